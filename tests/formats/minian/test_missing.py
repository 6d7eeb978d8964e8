"""Stores that a folder of Minian lacks, and folders of which one store is given."""

from __future__ import annotations

import shutil

import pytest

import nwb_ophys
from nwb_ophys import MinianSegmentationInterface
from nwb_ophys.paths import PathProbe
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import write_minian


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "minian"
    write_minian(folder, simulate_recording(num_samples=12))
    return folder


@pytest.mark.parametrize(("lost", "kept"), [("S", "C"), ("C", "S")])
def test_a_store_that_is_saved_with_another(lost, kept, folder):
    if not (folder / f"{lost}.zarr").is_dir():
        shutil.copytree(folder / f"{kept}.zarr", folder / f"{lost}.zarr")
    shutil.rmtree(folder / f"{lost}.zarr")
    with pytest.warns(UserWarning, match=f"contains {kept}.zarr, but no {lost}.zarr. Minian saves"):
        nwb_ophys.open(folder)


def test_the_folder_that_a_store_belongs_to(folder):
    for store in folder.glob("*.zarr"):
        assert MinianSegmentationInterface.recording_of(PathProbe(store)) == folder
    assert MinianSegmentationInterface.recording_of(PathProbe(folder)) is None
