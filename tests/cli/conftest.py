"""Fixtures that run the command line in this process, and small recordings for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen

from nwb_ophys.cli import main
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)


@frozen
class Outcome:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str

    def is_mistake(self, *words: str) -> bool:
        """Return whether a user's mistake is reported, in one or two lines with these words."""
        lines = self.err.strip().splitlines()
        shown = "Traceback" not in self.err and all(word in self.err for word in words)
        return self.code == 2 and 1 <= len(lines) <= 2 and lines[-1].startswith("Error: ") and shown


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(int(exit_.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=40, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, recording: SimulatedRecording) -> Path:
    """Folder with files that do not name their folder, which tests copy."""
    folder = tmp_path_factory.mktemp("written")
    write_tiff(folder / "movie.tif", recording.movie)
    write_scanimage(folder / "si.tif", {1: recording.movie, 2: recording.movie + 1})
    write_caiman(folder / "caiman.hdf5", recording)
    np.save(folder / "movie.npy", recording.movie)
    return folder


@pytest.fixture
def raw(
    tmp_path: Path, recording: SimulatedRecording, written: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Folder with a recording in each format, in which the command line runs."""
    folder = shutil.copytree(written, tmp_path / "raw")
    write_suite2p(folder, [recording, recording])
    monkeypatch.chdir(folder)
    return folder
