"""Tests of recordings of a single sample: an image or a z-stack is no movie."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

from nwb_ophys.errors import OptionError
from nwb_ophys.formats import builtin_rows
from nwb_ophys.opening import open_recording
from nwb_ophys.opening.grouping import is_recorded
from nwb_ophys.registry import get_format
from nwb_ophys.testing import simulate_recording, write_bruker, write_scanimage, write_thor
from nwb_ophys.testing.samples import write_sample

RECORDED = [row.name for row in builtin_rows() if is_recorded(row) and row.sample is not None]
# Files of these formats say that they hold a movie.
OF_MOVIES = ["inscopix", "nwb"]
# The XML file of Prairie View states what is no movie; its own tests cover it.
OF_OTHERS = ["bruker"]
# Files of these formats state no rate of a single sample.
WITHOUT_RATE = ["metamorph", "ndtiff"]
START = {"NWBFile": {"session_start_time": "2024-05-17T14:00:00+02:00"}}
SAID = "which is no movie; it is written as images"


def _snapshot(folder: Path, name: str) -> tuple[Path, Any]:
    """Write the sample of a format with one sample; return its path and its pixels."""
    recording = simulate_recording(num_samples=20)
    one = attrs.evolve(recording, movie=recording.movie[:1], timestamps=recording.timestamps[:1])
    folder.mkdir()
    arguments = write_sample(get_format(name), folder, one)
    # A format may store fewer bits than the recording has.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = get_format(name).load()(**arguments).extractor.get_series()[0]
    path = next(iter(arguments.values()))
    return (path.parent if name == "ndtiff" else path), pixels


def _converted(out: Path, path: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Of 2 TIFF files|.*is left out: NDTiff.index")
        recording = open_recording([path], options=options)
    conversion = {name: dict(chosen) for name, chosen in recording.conversion_options.items()}
    recording.converter.run_conversion(out, metadata=START, conversion_options=conversion)
    return NWBHDF5IO(out, "r")


@pytest.mark.parametrize("name", [n for n in RECORDED if n not in OF_MOVIES + OF_OTHERS])
def test_a_single_sample_is_written_as_an_image(tmp_path: Path, name: str) -> None:
    path, pixels = _snapshot(tmp_path / "in", name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io = _converted(tmp_path / "a.nwb", path)
    assert any(SAID in str(each.message) for each in caught)
    with io:
        nwbfile = io.read()
        (container,) = nwbfile.acquisition.values()
        (image,) = container.images.values()
        np.testing.assert_array_equal(image.data[:].T, pixels)
        assert nwbfile.imaging_planes


@pytest.mark.parametrize("name", [n for n in RECORDED if n not in OF_OTHERS])
def test_who_asks_for_a_series_gets_a_series(tmp_path: Path, name: str) -> None:
    path, pixels = _snapshot(tmp_path / "in", name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = get_format(name).load().photon_series_type
        rate = {"sampling_frequency": 2.0} if name in WITHOUT_RATE else {}
        io = _converted(tmp_path / "a.nwb", path, photon_series_type=kind, **rate)
    with io:
        (series,) = io.read().acquisition.values()
        assert series.neurodata_type == kind
        np.testing.assert_array_equal(series.data[0].T, pixels)


@pytest.mark.parametrize("name", OF_MOVIES)
def test_files_that_state_a_movie_keep_it(tmp_path: Path, name: str) -> None:
    path, _ = _snapshot(tmp_path / "in", name)
    with _converted(tmp_path / "a.nwb", path) as io:
        (series,) = io.read().acquisition.values()
        assert series.data.shape[0] == 1


@pytest.mark.parametrize("suffix", ["stack", "image"])
@pytest.mark.parametrize("program", ["plain", "imagej", "ome"])
def test_one_sample_without_a_rate_in_files_of_any_program_is_written_as_images(
    tmp_path: Path, program: str, suffix: str
) -> None:
    """Fault: a z-stack in an OME-TIFF, ImageJ or plain TIFF file was refused without a rate."""
    pixels = np.random.default_rng(0).integers(0, 2000, (4, 12, 14)).astype("u2")
    pixels = pixels if suffix == "stack" else pixels[:1]
    path = tmp_path / ("a.ome.tif" if program == "ome" else "a.tif")
    if program == "plain":
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None)
        options = {"num_planes": len(pixels)}
    else:
        tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"}, **{program: True})
        options = {}
    with pytest.warns(UserWarning, match=SAID):
        io = _converted(tmp_path / "a.nwb", path, **options)
    with io:
        (container,) = io.read().acquisition.values()
        read = [image.data[:].T for image in container.images.values()]
        np.testing.assert_array_equal(read, pixels)
    kind = get_format("ome-tiff" if program == "ome" else "tiff").load().photon_series_type
    with _converted(tmp_path / "b.nwb", path, sampling_frequency=2.0, **options) as io:
        (series,) = io.read().acquisition.values()
        assert series.neurodata_type == kind
        assert series.rate == 2.0


def test_an_option_of_movies_for_an_image_of_prairie_view_is_refused(tmp_path: Path) -> None:
    write_bruker(tmp_path / "in", np.zeros((1, 12, 14), "u2"), sequence_type="Single")
    said = pytest.warns(UserWarning, match="a single image, without a time axis")
    with (
        said,
        pytest.raises(OptionError, match="photon_series_type has no effect on what was found"),
    ):
        open_recording([tmp_path / "in"], options={"photon_series_type": "TwoPhotonSeries"})


def test_a_z_stack_has_an_image_per_plane_and_the_facts_of_its_plane(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 2000, (1, 12, 14, 3)).astype("u2")
    write_thor(tmp_path / "in", volume)
    with pytest.warns(UserWarning, match="a single z-stack, which is no movie"):
        io = _converted(tmp_path / "a.nwb", tmp_path / "in")
    with io:
        nwbfile = io.read()
        images = nwbfile.acquisition["ZStack"].images
        for index in range(3):
            np.testing.assert_array_equal(images[f"Plane{index}"].data[:].T, volume[0, ..., index])
        (plane,) = nwbfile.imaging_planes.values()
        assert plane.grid_spacing is not None


def test_two_channels_are_two_images_on_planes_of_their_own(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 2000, (1, 12, 14)).astype("i2")
    write_scanimage(tmp_path / "a.tif", {1: movie, 2: movie + 1})
    said = "scanimage Channel 2: the recording holds a single image"
    with pytest.warns(UserWarning, match=said), pytest.warns(UserWarning, match="Channel 1: the"):
        io = _converted(tmp_path / "a.nwb", tmp_path / "a.tif")
    with io:
        found = io.read().acquisition
        for number in (1, 2):
            image = found[f"ImageChannel{number}"].images["Image"]
            np.testing.assert_array_equal(image.data[:].T, movie[0] + number - 1)


def test_a_truncated_movie_stays_a_movie(tmp_path: Path) -> None:
    movie = np.zeros((2, 12, 14), "i2")
    write_scanimage(tmp_path / "a.tif", movie)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[:-100])
    with pytest.warns(UserWarning, match="1 of 2"):
        io = _converted(tmp_path / "a.nwb", tmp_path / "a.tif", allow_truncated="true")
    with io:
        assert io.read().acquisition["TwoPhotonSeries"].data.shape[0] == 1


def test_the_channels_of_a_snapshot_of_imagej(tmp_path: Path) -> None:
    """Fault: channels whose names the interface alone knows could not be opened together."""
    pixels = np.arange(40, dtype="uint16").reshape(2, 4, 5)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    with pytest.warns(UserWarning, match=SAID):
        io = _converted(tmp_path / "a.nwb", tmp_path / "a.tif")
    with io:
        images = io.read().acquisition.values()
        found = [image.data[:].T for each in images for image in each.images.values()]
    np.testing.assert_array_equal(found, pixels)
