"""Fixtures with a small recording in every format, for the tests that all formats share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
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
    folder: Path
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
    """Folder and source arguments of the samples that were written, by format."""
    return {}


@pytest.fixture(scope="session", params=sorted(ROWS))
def sample(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    recording: SimulatedRecording,
    written_samples: dict[str, tuple[Path, dict[str, Any]]],
) -> Iterator[Sample]:
    """Sample of each format, which no test may change."""
    row = ROWS[request.param]
    if row.name not in written_samples:
        folder = tmp_path_factory.mktemp("sample")
        written_samples[row.name] = folder, write_sample(row, folder, recording)
    folder, source = written_samples[row.name]
    before = _states_in(folder)
    yield Sample(row, row.load(), folder, source, recording)
    assert _states_in(folder) == before, "a test changed the sample that all tests share"


def _states_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the size and the time of the last change of everything in a folder."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in found.items()}


@pytest.fixture(scope="session")
def interface(sample: Sample) -> Iterator[Any]:
    """Interface of each sample, for calls that are refused and leave it as it is."""
    with sample.open() as opened:
        yield opened


def sample_of(name: str, tmp_path: Path, recording: SimulatedRecording) -> Sample:
    """Write the sample of a format into a folder of its own."""
    row = ROWS[name]
    folder = tmp_path / "source"
    folder.mkdir()
    return Sample(row, row.load(), folder, write_sample(row, folder, recording), recording)


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
