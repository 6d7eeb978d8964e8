"""Test of a format of another package that is installed with pip."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from nwb_ophys.testing import simulate_recording

README = Path(__file__).parents[2] / "README.md"
_CHECK = """
from labrig import LabRigImagingInterface
from nwb_ophys import open
from nwb_ophys.testing import check_format
check_format(LabRigImagingInterface, "recordings/cell3.raw")
assert type(open("recordings")) is LabRigImagingInterface
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Environment of a process in which pip has installed the example format of the README."""
    folder = tmp_path_factory.mktemp("labrig")
    blocks = dict(re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", README.read_text(), re.S))
    for name in ("labrig.py", "pyproject.toml"):
        (folder / name).write_text(blocks[name], encoding="utf-8")
    (folder / "mouse7").mkdir()  # as recordings may lie beside it
    (folder / "suite2p").mkdir()
    site = folder / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    command = [sys.executable, "-m", "pip", "install", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (site / "labrig.py").exists()
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
    }


@pytest.fixture
def folder(tmp_path):
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    movie = simulate_recording(num_samples=20, dtype="uint16").movie
    movie.tofile(recordings / "cell3.raw")
    header = {"shape": list(movie.shape[1:]), "rate": 500.0, "indicator": "Voltron2"}
    header["start"] = "2024-05-17T14:30:00+02:00"
    (recordings / "cell3.json").write_text(json.dumps(header))
    return tmp_path


def run(code, environment, folder):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def nwb_ophys(arguments, environment, folder):
    return run(f"from nwb_ophys.cli import main; main({arguments!r})", environment, folder)


def test_it_is_listed_detected_and_converted(installed, folder):
    listed = nwb_ophys(["formats"], installed, folder)
    assert re.search(r"^imaging +labrig +\.raw files of our rig.*yes$", listed, re.MULTILINE)
    found = nwb_ophys(["detect", "recordings/cell3.raw"], installed, folder)
    assert "labrig" in found
    assert "a .raw file with its .json" in found
    nwb_ophys(["convert", "recordings", "-o", "cell3.nwb"], installed, folder)
    with h5py.File(folder / "cell3.nwb") as file:
        assert file["acquisition/TwoPhotonSeries/data"].shape == (20, 64, 48)


def test_it_keeps_to_the_contract(installed, folder):
    run(_CHECK, installed, folder)


def test_without_it_the_format_is_not_known(folder):
    assert "labrig" not in nwb_ophys(["formats"], dict(os.environ), folder)
