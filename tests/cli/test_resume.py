"""Tests of the option ``--resume`` of ``convert`` and ``repack``."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys.cli import main
from nwb_ophys.storage.resuming import JournalCounter
from nwb_ophys.testing import simulate_recording, write_tiff

START = ("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00")
SMALL = ("--workers", "0", "--chunk-mb", "0.02", "--buffer-gb", "0.0008")


@pytest.fixture
def raw(tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    folder.mkdir()
    recording = simulate_recording(num_samples=600, num_rows=24, num_columns=34, num_cells=3)
    write_tiff(folder / "movie.tif", recording.movie)
    monkeypatch.chdir(folder)
    return folder


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code, capsys.readouterr()


def interrupted(capsys, monkeypatch, *arguments):
    """Run a command that Ctrl-C ends after some blocks."""
    calls = []
    add = JournalCounter.add

    def count(self, planned, bounds):
        add(self, planned, bounds)
        calls.append(bounds)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(JournalCounter, "add", count)
        return run(capsys, *arguments)


@pytest.mark.parametrize("name", ["out.nwb", "out.nwb.zarr"])
def test_an_interrupted_conversion_is_resumed(name, raw, capsys, monkeypatch):
    convert = ("convert", "movie.tif", "-o", name, "--option", "sampling_frequency=30")
    convert += (*START, *SMALL, "--no-progress", "--resume")
    code, said = interrupted(capsys, monkeypatch, *convert)
    assert code == 130
    kept = f"The part of '{raw / name}' that was written is kept; run again with --resume."
    assert said.err.splitlines()[-1] == f"Interrupted. {kept}"
    assert not (raw / name).exists()
    code, said = run(capsys, *convert)
    assert code == 0
    assert "from the start" not in said.err
    assert sorted(path.name for path in raw.iterdir()) == ["movie.tif", name]
    repack = ("repack", name, "-o", "copy.nwb", "--backend", "hdf5", "--compression", "gzip:2")
    repack += ("--chunk-mb", "0.02", "--workers", "0", "--buffer-gb", "0.0008", "--resume")
    code, _ = interrupted(capsys, monkeypatch, *repack)
    assert code == 130
    assert run(capsys, *repack)[0] == 0
    assert sorted(path.name for path in raw.iterdir()) == ["copy.nwb", "movie.tif", name]


def test_a_run_without_the_option_says_what_it_would_have_kept(raw, capsys, monkeypatch):
    convert = ("convert", "movie.tif", "-o", "out.nwb", "--option", "sampling_frequency=30")
    convert += (*START, *SMALL, "--no-progress")
    interrupted(capsys, monkeypatch, *convert, "--resume")
    code, said = run(capsys, *convert)
    assert code == 0
    assert "of an earlier run, from which --resume would go on." in said.err


def test_another_movie_starts_again(raw, capsys, monkeypatch):
    convert = ("convert", "movie.tif", "-o", "out.nwb", "--option", "sampling_frequency=30")
    convert += (*START, *SMALL, "--no-progress", "--resume")
    interrupted(capsys, monkeypatch, *convert)
    write_tiff(raw / "movie.tif", np.ones((600, 24, 34), np.int16))
    code, said = run(capsys, *convert)
    assert code == 0
    assert "Note: " in said.err
    assert "movie.tif' was " in said.err
