"""Files and planes that a folder of Suite2p lacks, and folders of which one file is given."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import Suite2pImagingInterface, Suite2pSegmentationInterface
from nwb_ophys.paths import PathProbe
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import write_suite2p


@pytest.fixture
def folder(tmp_path):
    """Three planes of one recording."""
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12))
    for index in (1, 2):
        shutil.copytree(folder / "plane0", folder / f"plane{index}")
    return folder


def _notes(path, **options) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path, **options)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("name", ["F.npy", "Fneu.npy", "spks.npy", "iscell.npy"])
def test_a_file_that_the_other_planes_have(name, folder):
    (folder / "plane1" / name).unlink()
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder}': plane1 lacks {name}. The conversion goes on without")
    assert _notes(folder, plane_name="plane2") == []
    assert _notes(folder / "plane2") == []
    assert len(_notes(folder, plane_name="plane1")) == 1
    assert len(_notes(folder / "plane1")) == 1


def test_a_file_that_no_plane_has(folder):
    for plane in folder.glob("plane?"):
        (plane / "spks.npy").unlink()
    assert _notes(folder) == []
    for plane in folder.glob("plane?"):
        (plane / "F.npy").unlink()
    (note,) = _notes(folder)
    assert "plane0 lacks F.npy; plane1 lacks F.npy; plane2 lacks F.npy." in note


def test_a_plane_without_a_folder(folder):
    shutil.rmtree(folder / "plane1")
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder}' has no folder plane1, although")


def test_a_plane_without_its_rois(folder):
    (folder / "plane1" / "stat.npy").unlink()
    (note,) = _notes(folder)
    assert f"'{folder}' also has plane1, but without ops.npy and stat.npy" in note


@pytest.mark.parametrize("name", ["F.npy", "stat.npy", "ops.npy", "iscell.npy", "spks.npy"])
def test_the_folder_that_a_file_belongs_to(name, folder):
    file = folder / "plane1" / name
    assert Suite2pSegmentationInterface.recording_of(PathProbe(file)) == folder
    assert Suite2pImagingInterface.recording_of(PathProbe(file)) is None  # it has no movie
    given = nwb_ophys.open(file)
    assert set(given.interfaces) == set(nwb_ophys.open(folder).interfaces)


def test_the_folder_of_a_movie(folder):
    np.zeros(4, "<i2").tofile(folder / "plane0" / "data.bin")
    probe = PathProbe(folder / "plane0" / "ops.npy")
    assert Suite2pImagingInterface.recording_of(probe) == folder


def test_paths_that_are_their_own_recording(folder, tmp_path):
    (tmp_path / "F.npy").write_bytes((folder / "plane0" / "F.npy").read_bytes())
    (folder / "plane0" / "notes.npy").write_bytes(b"")
    for path in (folder, folder / "plane1", tmp_path / "F.npy", folder / "plane0" / "notes.npy"):
        assert Suite2pSegmentationInterface.recording_of(PathProbe(path)) is None
