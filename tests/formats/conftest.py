"""Fixtures with a small recording in every format, for the tests that all formats share."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from nwb_ophys.registry import FormatRow, formats
from nwb_ophys.testing import SimulatedRecording, simulate_recording
from nwb_ophys.testing.samples import write_sample

START = "2024-05-17T14:30:00+02:00"


@attrs.frozen
class Sample:
    """Format with a small recording."""

    row: FormatRow
    cls: Any
    source: dict[str, Any]
    recording: SimulatedRecording

    @property
    def path(self) -> Path:
        return next(value for value in self.source.values() if isinstance(value, Path))

    @property
    def is_imaging(self) -> bool:
        return self.row.kind == "imaging"

    def open(self) -> Any:
        return self.cls(**self.source)


@pytest.fixture(scope="session")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=40, num_rows=24, num_columns=34, num_cells=3)


ROWS = formats()


@pytest.fixture(scope="session")
def written_samples() -> dict[str, tuple[Path, dict[str, Any]]]:
    """Folder and source arguments of the samples that tests have copied, by format."""
    return {}


@pytest.fixture(params=sorted(ROWS))
def sample(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    recording: SimulatedRecording,
    written_samples: dict[str, tuple[Path, dict[str, Any]]],
) -> Sample:
    """Copy of the sample of each format, which the test may change."""
    row = ROWS[request.param]
    if row.name not in written_samples:
        folder = tmp_path_factory.mktemp("sample")
        written_samples[row.name] = folder, write_sample(row, folder, recording)
    folder, source = written_samples[row.name]
    copied = shutil.copytree(folder, tmp_path / "source", symlinks=True)
    moved = {name: _moved(value, folder, copied) for name, value in source.items()}
    return Sample(row, row.load(), moved, recording)


def _moved(value: Any, folder: Path, copied: Path) -> Any:
    """Return a source argument with its paths in the copy."""
    if isinstance(value, list):
        return [_moved(each, folder, copied) for each in value]
    return copied / value.relative_to(folder) if isinstance(value, Path) else value


def sample_of(name: str, tmp_path: Path, recording: SimulatedRecording) -> Sample:
    """Write the sample of a format into a folder of its own."""
    row = ROWS[name]
    folder = tmp_path / "source"
    folder.mkdir()
    return Sample(row, row.load(), write_sample(row, folder, recording), recording)


@pytest.fixture
def metadata(careful_metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a careful user, which the test may change."""
    return copy.deepcopy(careful_metadata)


@pytest.fixture(scope="session")
def careful_metadata() -> dict[str, Any]:
    """Metadata of a careful user."""
    return {
        "NWBFile": {
            "session_start_time": START,
            "session_description": "A mouse looks at gratings.",
            "experimenter": ["Doe, Jane"],
            "institution": "An institute",
            "lab": "A laboratory",
            "experiment_description": "Two-photon imaging of mouse V1.",
            "keywords": ["two-photon"],
        },
        "Subject": {
            "subject_id": "M7",
            "species": "Mus musculus",
            "sex": "F",
            "age": "P90D",
            "description": "A mouse.",
        },
    }
