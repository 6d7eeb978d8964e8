"""Test of ``python -m benchmarks`` with little data and one round."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_trial_run_writes_the_report(tmp_path):
    for package in ("isal", "matplotlib", "neuroconv", "remfile"):
        pytest.importorskip(package)
    options = ["--only", "a,f,h,i", "--scale", "0.02", "--rounds", "1"]
    options += ["--output", tmp_path / "out"]
    command = [sys.executable, "-m", "benchmarks", *options, "--folder", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.json",
        "results.md",
        "a.png",
        "f.png",
    }
    comparisons = json.loads((tmp_path / "out" / "results.json").read_text())["comparisons"]
    assert set(comparisons) == {
        "a-bright-hdf5",
        "a-movie-hdf5",
        "f-import",
        "f-help",
        "h-reading",
        "i-reading",
    }
    for comparison in comparisons.values():
        for name, measured in comparison["contenders"].items():
            assert measured.get("not_run") or measured["seconds"][0] > 0, name
    for measured in comparisons["i-reading"]["contenders"].values():
        assert measured["requests of frame"][0] >= 2
        assert measured["transferred of frame"][0] >= 100_000
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "A trial" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
