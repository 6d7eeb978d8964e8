"""Tests of real recordings: roiextractors' readers of NWB return the data of the sources."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.sparse
import tifffile
from roiextractors import NwbImagingExtractor, NwbSegmentationExtractor

from nwb_ophys import (
    CaimanSegmentationInterface,
    ScanImageImagingInterface,
    Suite2pSegmentationInterface,
)

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def test_volumes_of_scanimage(data_folder, tmp_path):
    folder = data_folder / "scanimage" / "volumetric_two_channels_multi_file"
    paths = sorted(folder.glob("*.tif"))
    interface = ScanImageImagingInterface(paths[0], channel_name="Channel 2")
    interface.run_conversion(tmp_path / "a.nwb", metadata=START)
    pages = np.concatenate([_pages(path) for path in paths])
    # Channels alternate; of the 16 frames of a cycle the first 9 are planes, the rest flyback.
    volumes = pages[1::2].reshape(100, 16, 20, 20)[:, :9].transpose(0, 2, 3, 1)
    reader = NwbImagingExtractor(tmp_path / "a.nwb", "TwoPhotonSeriesChannel2")
    assert reader.is_volumetric
    np.testing.assert_array_equal(reader.get_series(), volumes)
    times = np.concatenate([_times(path) for path in paths])[1::2].reshape(100, 16)[:, 8]
    np.testing.assert_allclose(reader.get_native_timestamps(), times, rtol=0, atol=1e-6)


def _pages(path):
    with tifffile.TiffFile(path) as file:
        return np.stack([page.asarray() for page in file.pages])


def _times(path):
    with tifffile.TiffFile(path) as file:
        lines = [page.description.splitlines() for page in file.pages]
    stamps = [next(x for x in line if x.startswith("frameTimestamps_sec")) for line in lines]
    return np.array([float(stamp.split("=")[1]) for stamp in stamps])


def test_suite2p(data_folder, tmp_path):
    plane = data_folder / "suite2p" / "v1.1.0" / "suite2p" / "plane0"
    Suite2pSegmentationInterface(plane).run_conversion(tmp_path / "a.nwb", metadata=START)
    reader = NwbSegmentationExtractor(tmp_path / "a.nwb")
    masks = np.zeros((512, 512, 83), np.float32)
    for roi, stat in enumerate(np.load(plane / "stat.npy", allow_pickle=True)):
        masks[stat["ypix"], stat["xpix"], roi] = stat["lam"]
    np.testing.assert_array_equal(reader.get_roi_image_masks(), masks)
    for name, file in (("raw", "F"), ("neuropil", "Fneu"), ("deconvolved", "spks")):
        np.testing.assert_array_equal(
            reader.get_traces(name=name).T, np.load(plane / f"{file}.npy")
        )
    assert reader.get_sampling_frequency() == 7.5
    np.testing.assert_allclose(reader.get_native_timestamps(), np.arange(101) / 7.5)
    is_cell = np.load(plane / "iscell.npy")[:, 0].astype(bool)
    np.testing.assert_array_equal(reader.get_property("accepted", reader.get_roi_ids()), is_cell)


@pytest.mark.parametrize(
    ("name", "rate"), [("caiman_analysis.hdf5", 30.0), ("v1.12.1_neurofinder_crop.hdf5", 7.5)]
)
def test_caiman(data_folder, tmp_path, name, rate):
    path = data_folder / "caiman" / name
    CaimanSegmentationInterface(path).run_conversion(tmp_path / "a.nwb", metadata=START)
    reader = NwbSegmentationExtractor(tmp_path / "a.nwb")
    with h5py.File(path, "r") as file:
        estimates = file["estimates"]
        parts = [estimates[f"A/{part}"][:] for part in ("data", "indices", "indptr")]
        footprints = scipy.sparse.csc_matrix(tuple(parts), shape=estimates["A/shape"][:])
        rows, columns = file["params/data/dims"][:]
        masks = footprints.toarray().reshape(columns, rows, -1).swapaxes(0, 1)
        traces = {
            "raw": estimates["C"][:] + estimates["YrA"][:],
            "dff": estimates["F_dff"][:],
            "denoised": estimates["C"][:],
            "deconvolved": estimates["S"][:],
        }
        background = estimates["f"][:]
    with h5py.File(tmp_path / "a.nwb", "r") as file:
        table = file["processing/ophys/ImageSegmentation/PlaneSegmentation"]
        np.testing.assert_array_equal(table["image_mask"][:].transpose(2, 1, 0), masks)
    # The reader gives what it finds.
    np.testing.assert_array_equal(reader.get_roi_image_masks(), masks)
    for kind, trace in traces.items():
        np.testing.assert_array_equal(reader.get_traces(name=kind).T, trace)
    assert reader.get_sampling_frequency() == rate
    with h5py.File(tmp_path / "a.nwb", "r") as file:
        series = file["processing/ophys/Fluorescence/Background"]
        np.testing.assert_array_equal(series["data"][:].T, background)
