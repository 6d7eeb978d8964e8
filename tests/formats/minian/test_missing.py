"""Stores that a folder of Minian lacks, and folders of which one store is given."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import MinianSegmentationInterface
from nwb_ophys.filetypes.npy import check_characters
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


def test_the_projection_that_is_always_saved(folder):
    shutil.rmtree(folder / "max_proj.zarr")
    with pytest.warns(UserWarning, match=r"has no max_proj\.zarr, which Minian normally writes"):
        nwb_ophys.open(folder)


def test_the_whole_background(folder):
    shutil.rmtree(folder / "b.zarr")
    shutil.rmtree(folder / "f.zarr")
    with pytest.warns(UserWarning, match=r"has no b\.zarr, which Minian normally writes"):
        nwb_ophys.open(folder)


def test_a_text_of_characters_that_do_not_exist(folder):
    codes = np.array([ord("a"), 0x00F00000, 0x110000], np.uint32)
    with pytest.raises(ValueError, match="characters that do not exist"):
        check_characters(codes.view("<U3"))
    assert check_characters(np.array(["a\U0010ffff", ""])).tolist() == ["a\U0010ffff", ""]


def test_further_stores_are_named(folder):
    """Fault: they were left out without a word."""
    shutil.copytree(folder / "C.zarr", folder / "YrA.zarr")
    (folder / "YrA.zarr" / "C").rename(folder / "YrA.zarr" / "YrA")
    (folder / "session.nwb.zarr").mkdir()
    with pytest.warns(
        UserWarning, match=r"also has 'YrA\.zarr', which is not read from the output"
    ):
        nwb_ophys.open(folder)
