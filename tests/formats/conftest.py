"""One small recording in every format there is, for the tests of all of them."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import Any

import attrs
import pytest

from nwb_ophys.registry import FormatRow, formats
from nwb_ophys.testing import SimulatedRecording, simulate_recording

START = "2024-05-17T14:30:00+02:00"


def _sample(name: str, folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a small recording of a format, and return the source arguments that open it."""
    file = Path(__file__).parent / "samples" / f"{name.replace('-', '_')}.py"
    assert file.is_file(), f"the format {name} has no sample: {file} is absent"
    found = runpy.run_path(str(file))["write"](folder, recording)
    assert isinstance(found, dict)
    return found


@attrs.frozen
class Sample:
    """A format with a small recording in it."""

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


@pytest.fixture(params=sorted(formats()))
def sample(request: pytest.FixtureRequest, tmp_path: Path, recording: SimulatedRecording) -> Sample:
    return sample_of(request.param, tmp_path, recording)


def sample_of(name: str, tmp_path: Path, recording: SimulatedRecording) -> Sample:
    """Write the sample of a format into a folder of its own."""
    row = formats()[name]
    folder = tmp_path / "source"
    folder.mkdir()
    return Sample(row, row.load(), _sample(name, folder, recording), recording)


@pytest.fixture
def metadata(careful_metadata: dict[str, Any]) -> dict[str, Any]:
    """What a careful user states, to be changed by the test."""
    return copy.deepcopy(careful_metadata)


@pytest.fixture(scope="session")
def careful_metadata() -> dict[str, Any]:
    """What a careful user states."""
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
