"""Tests of README.md: all its code runs and prints the output that is shown."""

from __future__ import annotations

import os
import re
import shutil
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


@pytest.mark.parametrize("kind", ["warm", pytest.param("cold", marks=pytest.mark.slow)])
def test_every_block_runs_as_in_the_shell_of_a_new_user(
    tmp_path, blocks_of, install_module, programs, kind
):
    """Run README.md from top to bottom in one shell, each block of Python by a new interpreter."""
    blocks = blocks_of("README.md")
    assert sum(block.language == "python" for block in blocks) >= 5
    lines = ["set -eu"]
    for block in blocks:
        lines += _lines_of(block, tmp_path)
        if block.label == "pyproject.toml":
            install_module(block.code, tmp_path)
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=_environment(tmp_path, programs if kind == "warm" else _programs(tmp_path)),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "nwb-ophys-demo"
    assert (folder / "movie.nwb").is_file()
    with h5py.File(folder / "rig.nwb") as file:
        series = file["acquisition/TwoPhotonSeries"]
        assert series["starting_time"][()] == 2.5
        assert file["processing/ophys/Fluorescence/Neuropil/starting_time"][()] == 2.5
    _check_traces_without_masks(folder / "traces.nwb")


def _lines_of(block, folder: Path) -> list[str]:
    """Return the lines of the shell that do what a block says."""
    names = {"labrig.py": "labrig.py", "pyproject.toml": "pyproject.toml", "traces": "traces.py"}
    if block.label in names:
        file = folder / names[block.label]
        file.write_text(block.code, encoding="utf-8")
        return [f"cp '{file}' ."]
    if block.language == "python":
        return ["python - <<'END'", block.code, "END"]
    return [] if block.language != "bash" or "pip install" in block.code else [block.code]


def _programs(folder: Path) -> Path:
    """Return a folder with programs that import everything each time."""
    programs = folder / "bin"
    programs.mkdir()
    for name, arguments in (("nwb-ophys", " -m nwb_ophys"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    return programs


def _environment(folder: Path, programs: Path) -> dict[str, str]:
    """Return an environment whose commands are those of the activated one of the README."""
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


def _check_traces_without_masks(path: Path) -> None:
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), mode="r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert "image_mask" not in table.colnames
        assert [len(pixels) for pixels in table["pixel_mask"][:]] == [0] * 12
        traces = ophys["Fluorescence"].roi_response_series
        assert {name: series.data.shape for name, series in traces.items()} == {
            "RoiResponseSeries": (300, 12),
            "Neuropil": (300, 12),
            "Deconvolved": (300, 12),
        }
        assert "SegmentationImages" not in ophys.data_interfaces


def test_the_first_example_has_five_lines(blocks_of):
    first = next(block for block in blocks_of("README.md") if block.language == "python")
    assert len(first.code.splitlines()) == 5


def test_the_demo_prints_what_is_shown(labelled, demo):
    printed = (demo / "printed").read_text(encoding="utf-8")
    assert _without_sizes(printed) == _without_sizes(labelled["demo"])


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
