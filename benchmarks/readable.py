"""Files that are read: the same contents, written by neuroconv and by nwb_ophys with defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from benchmarks.session import new_nwbfile
from benchmarks.sources import (
    BRIGHTNESS,
    FIELD_SHAPE,
    SAMPLING_FREQUENCY,
    dim_field,
    load_noise,
    make_noise,
    movie_extractor,
    num_frames,
)

WRITERS = ("neuroconv", "nwb_ophys")
#: Names of the files of each writer.
NAMES = ("recording", "bright", "lists")

#: Frames of the movie at full scale: 300 MB.
NUM_FRAMES = 570
#: Frames of the bright movie.
NUM_BRIGHT = 285
NUM_ROIS = 500
NUM_SAMPLES = 20_000
#: ROIs with pixel masks, and times, of the second file.
NUM_LISTED = 2000
NUM_TIMES = 1_000_000

_TABLE = "processing/ophys/ImageSegmentation/PlaneSegmentation"


@frozen(kw_only=True)
class Place:
    """Path of a file, and of the datasets in it.

    Attributes
    ----------
    path : pathlib.Path
    movie, masks, traces, times, pixels : str
        Paths of the datasets; each file has some of them.
    """

    path: Path
    movie: str
    masks: str = f"{_TABLE}/image_mask"
    traces: str = "processing/ophys/Fluorescence/RoiResponseSeries/data"
    pixels: str = f"{_TABLE}/pixel_mask"

    @property
    def times(self) -> str:
        """Path of the timestamps of the movie."""
        return self.movie.replace("/data", "/timestamps")


def place_of(folder: Path, writer: str, name: str) -> Place:
    """Return the file of a writer; ``name`` is ``recording`` or ``lists``."""
    path = folder / f"{writer}-{name}.nwb"
    with h5py.File(path) as file:
        (series,) = file["acquisition"]
    return Place(path=path, movie=f"acquisition/{series}/data")


def make_files(folder: Path, scale: float) -> None:
    """Write the files that are missing, and check that those of both writers have equal values."""
    made = [_make(folder, name, scale, contents) for name, contents in _CONTENTS.items()]
    if any(made):
        _check_equal(folder)


def _make(folder: Path, name: str, scale: float, contents: Callable[..., Any]) -> bool:
    paths = {writer: folder / f"{writer}-{name}.nwb" for writer in WRITERS}
    if all(path.exists() for path in paths.values()):
        return False
    movie, rois, mask_type = contents(folder, scale)
    for writer, path in paths.items():
        _WRITE[writer](path, movie, rois, mask_type)
    return True


# --- contents ---------------------------------------------------------------------------------


def _recording(folder: Path, scale: float) -> tuple[Any, Any, str]:
    """Return a movie, and ROIs with image masks and traces."""
    movie_folder = folder / "movie"
    movie_folder.mkdir(exist_ok=True)
    make_noise(movie_folder, num_frames(scale, NUM_FRAMES) / 2000)
    movie = load_noise(movie_folder)
    extractor = movie_extractor(movie)
    extractor.set_times(_irregular(len(movie)))
    return extractor, _dense_rois(movie, scale), "image"


def _irregular(count: int) -> NDArray[np.float64]:
    """Return times whose intervals vary, so that they are written."""
    intervals = np.random.default_rng(1).normal(1 / SAMPLING_FREQUENCY, 1e-3, count)
    return np.cumsum(intervals)


def _dense_rois(movie: NDArray[Any], scale: float) -> Any:
    from roiextractors.extractors.numpyextractors.numpyextractors import NumpySegmentationExtractor

    from benchmarks.analysed import _disks

    random = np.random.default_rng(2)
    count, samples = max(10, round(NUM_ROIS * scale)), max(100, round(NUM_SAMPLES * scale))
    images = np.zeros((count, *FIELD_SHAPE), np.float32)
    for image, pixels in zip(images, _disks(random, count), strict=True):
        rows, columns = pixels[:, :2].astype(int).T
        image[rows, columns] = pixels[:, 2]
    return NumpySegmentationExtractor(
        np.moveaxis(images, 0, -1),
        raw=random.gamma(4, 20, (samples, count)).astype(np.float32),
        mean_image=movie[:20].mean(axis=0).astype(np.float32),
        sampling_frequency=SAMPLING_FREQUENCY,
    )


def _bright(folder: Path, scale: float) -> tuple[Any, Any, str]:
    """Return a movie with so many photons that its low bytes are noise, of 7.8 bits."""
    random = np.random.default_rng(4)
    field = BRIGHTNESS * dim_field()
    shape = (num_frames(scale, NUM_BRIGHT), *FIELD_SHAPE)
    movie = np.stack([random.poisson(field).astype(np.int16) for _ in range(shape[0])])
    extractor = movie_extractor(movie)
    extractor.set_times(_irregular(len(movie)))
    return extractor, None, ""


def _lists(folder: Path, scale: float) -> tuple[Any, Any, str]:
    """Return a movie of few pixels and many times, and ROIs with lists of pixels."""
    from benchmarks.masks import RoiMaskList

    count = max(100, round(NUM_TIMES * scale))
    movie = np.random.default_rng(3).poisson(60, (count, 4, 4)).astype(np.int16)
    extractor = movie_extractor(movie)
    extractor.set_times(_irregular(count))
    return extractor, RoiMaskList(max(10, round(NUM_LISTED * scale))), "pixel"


_CONTENTS: dict[str, Callable[..., Any]] = {
    "recording": _recording,
    "bright": _bright,
    "lists": _lists,
}


# --- writers ----------------------------------------------------------------------------------


def _write_with_neuroconv(path: Path, movie: Any, rois: Any, mask_type: str) -> None:
    from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
    from neuroconv.tools.roiextractors import add_imaging_to_nwbfile, add_segmentation_to_nwbfile

    nwbfile = new_nwbfile()
    add_imaging_to_nwbfile(movie, nwbfile)
    if rois is not None:
        add_segmentation_to_nwbfile(rois, nwbfile)  # writes masks in the form of their source
    configure_and_write_nwbfile(nwbfile, str(path), backend="hdf5")


def _write_with_nwb_ophys(path: Path, movie: Any, rois: Any, mask_type: str) -> None:
    import nwb_ophys
    from nwb_ophys import tools

    nwbfile = new_nwbfile()
    tools.add_imaging(movie, nwbfile)
    if rois is not None:
        tools.add_segmentation(rois, nwbfile, mask_type=mask_type)
    nwb_ophys.write_nwbfile(nwbfile, path)


_WRITE = {"neuroconv": _write_with_neuroconv, "nwb_ophys": _write_with_nwb_ophys}


def _check_equal(folder: Path) -> None:
    """Raise a ValueError if a dataset that is read differs between the writers."""
    read = {
        "recording": ("movie", "times", "masks", "traces"),
        "bright": ("movie", "times"),
        "lists": ("movie", "times", "pixels"),
    }
    for name, parts in read.items():
        places = [place_of(folder, writer, name) for writer in WRITERS]
        with h5py.File(places[0].path) as first, h5py.File(places[1].path) as second:
            for part in parts:
                one, other = (
                    file[getattr(place, part)]
                    for file, place in zip((first, second), places, strict=True)
                )
                if not _are_equal(one, other):
                    raise ValueError(f"The {part} of {places[0].path} and {places[1].path} differ.")


def _are_equal(one: h5py.Dataset, other: h5py.Dataset) -> bool:
    step = max(1, (1 << 26) // max(one.nbytes // len(one), 1))
    starts = range(0, len(one), step)
    if one.dtype.names is not None:
        # neuroconv 0.10 stores the row of a pixel as x, and the column as y.
        pairs = (("x", "y"), ("y", "x"), ("weight", "weight"))
        return all(np.array_equal(one[:][a], other[:][b]) for a, b in pairs)
    return one.shape == other.shape and all(
        np.array_equal(one[start : start + step], other[start : start + step]) for start in starts
    )
