"""Tests of README.md: all its code runs and prints the output that is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from nwb_ophys.registry import formats

README = Path(__file__).resolve().parents[2] / "README.md"
MAX_LINES = 40


@pytest.fixture
def labelled(blocks_of):
    return {block.label: block.code for block in blocks_of("README.md") if block.label}


def test_every_block_runs(page):
    blocks = page.run_all("README.md")
    assert sum(block.language == "python" for block in blocks) >= 5
    assert Path("movie.nwb").is_file()
    with h5py.File("rig.nwb") as file:
        series = file["acquisition/TwoPhotonSeries"]
        assert series["starting_time"][()] == 2.5
        assert file["processing/ophys/Fluorescence/Neuropil/starting_time"][()] == 2.5
    _check_traces_without_masks(Path("traces.nwb"))


def _check_traces_without_masks(path: Path) -> None:
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), mode="r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert "image_mask" not in table.colnames
        assert [len(pixels) for pixels in table["pixel_mask"][:]] == [0] * 6
        traces = ophys["Fluorescence"].roi_response_series
        assert {name: series.data.shape for name, series in traces.items()} == {
            "RoiResponseSeries": (100, 6),
            "Neuropil": (100, 6),
            "Deconvolved": (100, 6),
        }
        assert "SegmentationImages" not in ophys.data_interfaces


def test_the_first_example_has_five_lines(blocks_of):
    first = next(block for block in blocks_of("README.md") if block.language == "python")
    assert len(first.code.splitlines()) == 5


def test_the_demo_prints_what_is_shown(labelled, tmp_path):
    command = [sys.executable, "-c", "from nwb_ophys.cli import main; main(['demo'])"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert _without_sizes(done.stdout) == _without_sizes(labelled["demo"])


def _without_sizes(text: str) -> str:
    # How small a file becomes depends on the version of the compressor.
    return re.sub(r"\d+\.\d MB", "MB", text)


def test_the_own_format_is_short(labelled):
    lines = labelled["labrig.py"].splitlines() + labelled["pyproject.toml"].splitlines()
    assert len(lines) <= MAX_LINES


def test_the_own_format_works_once_it_is_installed(labrig, tmp_path):
    listed = _nwb_ophys(["formats"], labrig, tmp_path)
    assert re.search(r"^imaging +labrig .*\(nwb-ophys-labrig\) +yes$", listed, re.MULTILINE)
    _nwb_ophys(["convert", "cell3.raw", "-o", "cell3.nwb"], labrig, tmp_path)
    with h5py.File(tmp_path / "cell3.nwb") as file:
        series = file["acquisition/TwoPhotonSeries"]
        assert series["data"].shape == (100, 64, 48)
        assert series["starting_time"].attrs["rate"] == 500.0
        plane = file["general/optophysiology/ImagingPlane"]
        assert plane["indicator"][()] == b"Voltron2"
        assert file["session_start_time"][()] == b"2024-05-17T14:30:00+02:00"


def test_without_it_the_own_format_is_not_there(tmp_path):
    assert "labrig" not in formats()


def _nwb_ophys(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    code = f"from nwb_ophys.cli import main; main({arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert "docs/formats" in links
    assert [link for link in links if not (README.parent / link).exists()] == []
