"""Suite2p folders with any number of ROIs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from benchmarks.sources import FIELD_SHAPE, SAMPLING_FREQUENCY
from nwb_ophys.testing import SimulatedRecording, write_suite2p

NUM_SAMPLES = 5000

#: Disks of this radius have about 100 pixels.
_RADIUS = 5.6
#: Frames that the summary images are made from.
_NUM_FRAMES = 20
#: The images in Suite2p's settings.
_IMAGES = ("meanImg", "meanImgE", "Vcorr", "max_proj", "refImg")


@frozen(kw_only=True, eq=False)
class _Analysed(SimulatedRecording):
    """Recording with traces that are longer than its movie, which only gives the images."""

    @property
    def num_samples(self) -> int:
        return len(self.fluorescence)


def make_suite2p(folder: Path, num_rois: int) -> None:
    """Write a folder with traces, ΔF/F included, and a folder with masks only.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``traces/suite2p``, with ``dff.npy`` of ours beside Suite2p's ``F.npy``, and
        ``masks/suite2p``, without images and with one trace of two samples, as roiextractors
        wants a trace to know the number of ROIs.
    num_rois : int
        Number of ROIs.
    """
    random = np.random.default_rng(0)
    traces = [random.gamma(4, 20, (NUM_SAMPLES, num_rois)).astype(np.float32) for _ in range(3)]
    recording = _Analysed(
        movie=random.poisson(60, (_NUM_FRAMES, *FIELD_SHAPE)).astype(np.int16),
        pixel_masks=_disks(random, num_rois),
        fluorescence=traces[0],
        neuropil=traces[1],
        calcium=np.zeros((1, num_rois)),
        spikes=traces[2],
        sampling_frequency=SAMPLING_FREQUENCY,
        timestamps=np.arange(NUM_SAMPLES) / SAMPLING_FREQUENCY,
    )
    plane = write_suite2p(folder / "traces", recording) / "plane0"
    np.save(plane / "dff.npy", traces[0].T / np.float32(60) - 1)
    _copy_masks(plane, folder / "masks" / "suite2p" / "plane0")


def _copy_masks(plane: Path, target: Path) -> None:
    """Copy the folder of a plane without its images and traces."""
    target.mkdir(parents=True)
    for name in ("stat.npy", "iscell.npy"):
        shutil.copy(plane / name, target)
    np.save(target / "F.npy", np.load(plane / "F.npy", mmap_mode="r")[:, :2])
    settings = np.load(plane / "ops.npy", allow_pickle=True).item()
    kept = {key: value for key, value in settings.items() if key not in _IMAGES}
    np.save(target / "ops.npy", np.asarray(kept | {"nframes": 2}), allow_pickle=True)


def _disks(random: np.random.Generator, num_rois: int) -> list[NDArray[np.float64]]:
    """Return (row, column, weight) of the pixels of disks, which may overlap."""
    size = int(_RADIUS)
    rows, columns = np.mgrid[-size : size + 1, -size : size + 1]
    distance = np.hypot(rows, columns)
    inside = distance <= _RADIUS
    weights = (1 - distance / (2 * _RADIUS)).astype(np.float32)[inside]
    centres = random.integers(size, np.subtract(FIELD_SHAPE, size), (num_rois, 2))
    return [
        np.column_stack([rows[inside] + row, columns[inside] + column, weights])
        for row, column in centres
    ]


def add_delta_f(extractor: Any, plane_folder: Path) -> None:
    """Add a trace of ΔF/F to an extractor of roiextractors; Suite2p itself has three."""
    from roiextractors.segmentationextractor import _RoiResponse

    path = plane_folder / "dff.npy"
    if path.exists():
        values = np.load(path, mmap_mode="r").T
        response = _RoiResponse("dff", values, list(extractor.get_roi_ids()))
        extractor._roi_responses.append(response)


def dense_extractor(folder: Path) -> Any:
    """Return an extractor of the same ROIs with float32 images (rows, columns, ROIs) in memory.

    Parameters
    ----------
    folder : pathlib.Path
        A folder of a plane that :func:`make_suite2p` wrote.
    """
    from roiextractors.extractors.numpyextractors.numpyextractors import NumpySegmentationExtractor

    rois = np.load(folder / "stat.npy", allow_pickle=True)
    images = np.zeros((len(rois), *FIELD_SHAPE), np.float32)
    for image, roi in zip(images, rois, strict=True):
        image[roi["ypix"], roi["xpix"]] = roi["lam"]
    files = {"raw": "F", "neuropil": "Fneu", "deconvolved": "spks", "dff": "dff"}
    traces = {
        kind: np.load(folder / f"{name}.npy").T
        for kind, name in files.items()
        if (folder / f"{name}.npy").exists()
    }
    return NumpySegmentationExtractor(
        np.moveaxis(images, 0, -1), sampling_frequency=SAMPLING_FREQUENCY, **traces
    )
