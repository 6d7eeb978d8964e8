"""Tests of components of a volume, from CaImAn's file to NWB."""

from __future__ import annotations

import h5py
import numpy as np
import pynwb
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys import CaimanSegmentationInterface, NumpySegmentationInterface
from nwb_ophys.testing import check_format, simulate_recording, write_caiman

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
VOLUME = simulate_recording(
    num_samples=20, num_rows=20, num_columns=34, num_planes=3, num_cells=4, sampling_frequency=5.0
)


@pytest.fixture
def source(tmp_path):
    return write_caiman(tmp_path / "caiman.hdf5", VOLUME, accepted=[0, 2])


def test_a_volume_keeps_the_contract(source):
    check_format(CaimanSegmentationInterface, source)


@pytest.mark.parametrize("mask_type", ["image", "voxel"])
def test_masks_of_volumes(tmp_path, source, mask_type):
    target = tmp_path / "a.nwb"
    interface = CaimanSegmentationInterface(source)
    interface.run_conversion(target, metadata=START, mask_type=mask_type)
    with NWBHDF5IO(target, "r") as io:
        assert pynwb.validate(io=io) == []
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        apart = ophys["ImageSegmentation"]["BackgroundPlaneSegmentation"]
        assert (len(table), len(apart)) == (4, 2)
        np.testing.assert_array_equal(table["Accepted"][:], [1, 0, 1, 0])
        for index, expected in enumerate(VOLUME.image_masks()):
            if mask_type == "image":
                found = table["image_mask"][index].swapaxes(0, 1)
            else:
                found = np.zeros((20, 34, 3))
                for x, y, z, weight in table["voxel_mask"][index]:
                    found[int(y), int(x), int(z)] = weight
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_allclose(
            ophys["Fluorescence"]["RoiResponseSeries"].data[:], VOLUME.fluorescence, rtol=1e-6
        )


def test_summary_images_of_volumes_are_one_for_each_plane(tmp_path, source):
    """An image in NWB is flat."""
    target = tmp_path / "a.nwb"
    CaimanSegmentationInterface(source).run_conversion(target, metadata=START)
    with h5py.File(source, "r") as file:
        expected = file["estimates/Cn"][:]
    with NWBHDF5IO(target, "r") as io:
        images = io.read().processing["ophys"]["SegmentationImages"].images
        assert sorted(images) == [f"correlationPlane{index}" for index in range(3)]
        for index in range(3):
            found = images[f"correlationPlane{index}"].data[:]
            np.testing.assert_array_equal(found, expected[:, :, index].T)


def test_summary_images_of_arrays_likewise():
    rois = NumpySegmentationInterface(
        np.moveaxis(VOLUME.image_masks(), 0, -1),
        raw=VOLUME.fluorescence,
        sampling_frequency=5.0,
        mean_image=VOLUME.mean_image(),
    )
    metadata = rois.get_metadata()
    metadata["NWBFile"] |= START["NWBFile"]
    metadata["Ophys"]["SegmentationImages"]["PlaneSegmentation"]["mean"]["name"] = "Average"
    images = rois.create_nwbfile(metadata).processing["ophys"]["SegmentationImages"].images
    assert sorted(images) == ["AveragePlane0", "AveragePlane1", "AveragePlane2"]
