"""Tests of orientation: ROIs and images of each format lie on the movie, as in the raw files.

The field is wider than high and the ROIs are shaped like an L, so that whatever is transposed,
mirrored or moved shows. The raw files are read with h5py, NumPy, SciPy, pickle and zarr alone.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO
from scipy.sparse import csc_matrix

from nwb_ophys import (
    CaimanSegmentationInterface,
    CnmfeSegmentationInterface,
    ExtractSegmentationInterface,
    InscopixSegmentationInterface,
    MinianSegmentationInterface,
    NumpySegmentationInterface,
    NwbSegmentationInterface,
    SimaSegmentationInterface,
    Suite2pSegmentationInterface,
)
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_caiman,
    write_cnmfe,
    write_extract,
    write_inscopix_cells,
    write_minian,
    write_nwb,
    write_sima,
    write_suite2p,
)

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
ROWS, COLUMNS = 24, 34
CELLS = simulate_recording(num_samples=30, num_rows=ROWS, num_columns=COLUMNS, num_cells=3)

Raw = tuple[np.ndarray, dict[str, np.ndarray]]
"""Masks, (ROIs, rows, columns), and images, (rows, columns), as the raw files say it."""


def _rows_first(stored: np.ndarray) -> np.ndarray:
    """Return the masks of a MATLAB file, columns before rows; without ROIs only their shape."""
    return stored.swapaxes(-1, -2) if stored.ndim > 1 else stored


def _suite2p(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    plane = write_suite2p(folder, cells) / "plane0"
    stat, ops = (np.load(plane / f"{n}.npy", allow_pickle=True) for n in ("stat", "ops"))
    masks = np.zeros((len(stat), ROWS, COLUMNS))
    for mask, roi in zip(masks, stat, strict=True):
        mask[roi["ypix"], roi["xpix"]] = roi["lam"]
    keys = {"mean": "meanImg", "enhanced": "meanImgE", "maximum": "max_proj"}
    images = {name: ops.item()[key] for name, key in keys.items()}
    return Suite2pSegmentationInterface(plane.parent), (masks, images)


def _caiman(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    path = write_caiman(folder / "a.hdf5", cells)
    with h5py.File(path) as file:
        parts = tuple(file[f"estimates/A/{part}"][:] for part in ("data", "indices", "indptr"))
        matrix = csc_matrix(parts, shape=tuple(file["estimates/A/shape"][:])).toarray()
        images = {"correlation": file["estimates/Cn"][:]}
    masks = [column.reshape((ROWS, COLUMNS), order="F") for column in matrix.T]
    return CaimanSegmentationInterface(path), (np.array(masks), images)


def _cnmfe(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    path = write_cnmfe(folder / "a.mat", cells)
    with h5py.File(path) as file:
        matrix = file["results/A"]  # without parts for weights where there are none
        parts = [matrix[p][:] if p in matrix else np.zeros(0) for p in ("data", "ir", "jc")]
        matrix = csc_matrix(tuple(parts), shape=(ROWS * COLUMNS, len(parts[2]) - 1)).toarray()
        images = {"correlation": file["results/Cn"][:].T, "pnr": file["results/PNR"][:].T}
    masks = [column.reshape((ROWS, COLUMNS), order="F") for column in matrix.T]
    return CnmfeSegmentationInterface(path), (np.array(masks), images)


def _ciatah(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    path = write_cnmfe(folder / "a.mat", cells, of_ciatah=True)
    with h5py.File(path) as file:  # which has MATLAB's axes in reverse: ROIs, columns, rows
        masks = _rows_first(file["cnmfeAnalysisOutput/extractedImages"][:])
        images = {"correlation": file["cnmfeAnalysisOutput/Cn"][:].T}
    return CnmfeSegmentationInterface(path), (masks, images)


def _extract(
    folder: Path, cells: SimulatedRecording = CELLS, version: str = "1.1.0"
) -> tuple[Any, Raw]:
    path = write_extract(folder / "a.mat", cells, version=version)
    name = "extractAnalysisOutput/filters" if version < "1" else "output/spatial_weights"
    with h5py.File(path) as file:
        masks = _rows_first(file[name][:])
        info = file[name].parent["info"]
        names = {"summary_image": "summary_image", "f_per_pixel": "F_per_pixel"}
        images = {name: info[key][:].T for name, key in names.items()}
    return ExtractSegmentationInterface(path, 30.0), (masks, images)


def _extract_before_1(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    return _extract(folder, cells, "0.7")


def _minian(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    import zarr

    folder = write_minian(folder / "minian", cells, with_timestamps=False)
    masks = np.asarray(zarr.open_array(str(folder / "A.zarr" / "A"), mode="r"))
    highest = np.asarray(zarr.open_array(str(folder / "max_proj.zarr" / "max_proj"), mode="r"))
    return MinianSegmentationInterface(folder, 30.0), (masks, {"maximum_projection": highest})


def _sima(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    folder = write_sima(folder / "a.sima", cells)
    signals = pickle.loads((folder / "signals_0.pkl").read_bytes())["auto_ROIs"]
    masks = np.array([roi["mask"][0].toarray() for roi in signals["rois"]])
    mean = pickle.loads((folder / "time_averages.pkl").read_bytes())[0, :, :, 0]
    return SimaSegmentationInterface(folder, 30.0), (masks, {"mean": mean})


def _inscopix(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    path = write_inscopix_cells(folder / "a.isxd", cells)
    content = path.read_bytes()
    header = json.loads(content[-int.from_bytes(content[-8:], "little") - 9 : -9])
    size, samples = header["spacingInfo"]["numPixels"], header["timingInfo"]["numTimes"]
    count = len(header["CellNames"])
    length = size["x"] * size["y"] + samples
    values = np.frombuffer(content, "<f4", count * length).reshape(count, length)
    masks = values[:, :-samples].reshape(count, size["y"], size["x"])
    return InscopixSegmentationInterface(path), (masks, {})


def _nwb(
    folder: Path, cells: SimulatedRecording = CELLS, mask_type: str = "pixel"
) -> tuple[Any, Raw]:
    path = write_nwb(folder / "rois.nwb", recording=cells, mask_type=mask_type)
    with h5py.File(path) as file:
        module = file["processing/ophys"]
        table = module["ImageSegmentation/PlaneSegmentation"]
        images = {"mean": module["SegmentationImages/mean"][:].T}
        if mask_type == "image":
            masks = table["image_mask"][:].swapaxes(1, 2)
        else:
            masks = np.zeros((len(table["id"]), ROWS, COLUMNS))
            parts = np.split(table["pixel_mask"][:], table["pixel_mask_index"][:-1])
            for mask, pixels in zip(masks, parts, strict=True):
                mask[pixels["y"], pixels["x"]] = pixels["weight"]
    return NwbSegmentationInterface(path), (masks, images)


def _nwb_images(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    return _nwb(folder, cells, "image")


def _arrays(folder: Path, cells: SimulatedRecording = CELLS) -> tuple[Any, Raw]:
    masks, mean = cells.image_masks(), cells.mean_image()
    interface = NumpySegmentationInterface(
        np.moveaxis(masks, 0, -1), 30.0, raw=cells.fluorescence, mean_image=mean
    )
    return interface, (masks, {"mean": mean})


FORMATS = {
    function.__name__.removeprefix("_"): function
    for function in (
        *(_suite2p, _caiman, _cnmfe, _ciatah, _extract, _extract_before_1, _minian, _sima),
        *(_inscopix, _nwb, _nwb_images, _arrays),
    )
}


@contextmanager
def _written(interface: Any, folder: Path, mask_type: str | None) -> Iterator[Any]:
    with warnings.catch_warnings():
        if mask_type == "voxel":  # of planar masks pixels are written, with a warning
            warnings.filterwarnings("ignore", "mask_type is 'voxel'", UserWarning)
        target = folder / "written.nwb"
        interface.run_conversion(target, metadata=START, mask_type=mask_type, progress=False)
    with NWBHDF5IO(target, "r") as io:
        yield io.read().processing["ophys"]


def _masks_of(table: Any, mask_type: str) -> np.ndarray:
    """Return the masks in the order of NWB: x is the column, y the row."""
    if mask_type == "image":
        return np.asarray(table["image_mask"][:]).swapaxes(1, 2)
    masks = np.zeros((len(table.id), ROWS, COLUMNS))
    for mask, pixels in zip(masks, table["pixel_mask"][:], strict=True):
        for x, y, weight in pixels:
            mask[int(y), int(x)] = weight
    return masks


@pytest.mark.parametrize("mask_type", ["image", "pixel", "voxel", None])
@pytest.mark.parametrize("name", FORMATS)
def test_rois_and_images_lie_on_the_movie(tmp_path, name, mask_type):
    interface, (masks, images) = FORMATS[name](tmp_path)
    # What was written is in the vendor's layout: the raw file says what was simulated.
    np.testing.assert_allclose(masks, CELLS.image_masks(), rtol=1e-6)
    np.testing.assert_allclose(images.get("mean", CELLS.mean_image()), CELLS.mean_image())
    with _written(interface, tmp_path, mask_type) as ophys:
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        if mask_type is not None:
            np.testing.assert_allclose(_masks_of(table, mask_type), masks, rtol=1e-6)
        assert [list(each) for each in table["ROICentroids"][:]] == _centroids(masks)
        for image, expected in images.items():
            found = ophys["SegmentationImages"][image].data[:]
            assert found.shape == (COLUMNS, ROWS)
            np.testing.assert_array_equal(found.T, expected)


def _centroids(masks: np.ndarray) -> list[list[int]]:
    """Return x, y: the medians of the columns and rows of the brightest pixels."""
    brightest = (np.nonzero(mask == mask.max()) for mask in masks)
    return [[int(np.median(column)), int(np.median(row))] for row, column in brightest]


@pytest.mark.parametrize("mask_type", ["image", "pixel"])
@pytest.mark.parametrize("num_cells", [0, 1])
@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"nwb", "nwb_images"}))
def test_no_roi_and_one(tmp_path, name, num_cells, mask_type):
    cells = simulate_recording(
        num_samples=30, num_rows=ROWS, num_columns=COLUMNS, num_cells=num_cells
    )
    is_noted = pytest.warns(UserWarning, match=r"has 0 ROIs; its table has no rows\.$")
    with nullcontext() if num_cells else is_noted:
        interface, _ = FORMATS[name](tmp_path, cells)
    with _written(interface, tmp_path, mask_type) as ophys:
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert len(table.id) == num_cells
        if num_cells:
            found = _masks_of(table, mask_type)
            np.testing.assert_allclose(found, cells.image_masks(), rtol=1e-6)
        for container in ("Fluorescence", "DfOverF"):
            series = (
                ophys[container].roi_response_series if container in ophys.data_interfaces else {}
            )
            of_rois = [each for each in series.values() if each.rois.table is table]
            assert all(each.data.shape == (30, num_cells) for each in of_rois)
            assert num_cells or not of_rois
