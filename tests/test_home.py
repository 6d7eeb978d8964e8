"""Names that begin with a tilde."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import nwb_ophys
from nwb_ophys.home import with_home
from nwb_ophys.testing import write_tiff

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def test_a_name_that_is_that_of_no_user(tmp_path, monkeypatch):
    """Fault: such a file of this folder ended every command with an unexpected error."""
    monkeypatch.chdir(tmp_path)
    write_tiff("~movie.tif", np.zeros((3, 4, 5), "u1"))
    interface = nwb_ophys.open("~movie.tif", sampling_frequency=10.0)
    interface.run_conversion("~movie.nwb", metadata=START)
    assert nwb_ophys.verify("~movie.nwb", ["~movie.tif"]).is_equal
    assert (tmp_path / "~movie.nwb").is_file()


def test_the_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert with_home(Path("~/a.tif")) == tmp_path / "a.tif"


def test_windows_takes_every_name_for_that_of_a_user(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "expanduser", lambda path: tmp_path / str(path)[1:])
    assert with_home(Path("~movie.tif")) == Path("~movie.tif")
    (tmp_path / "ann").mkdir()
    assert with_home(Path("~ann/a.tif")) == tmp_path / "ann" / "a.tif"
