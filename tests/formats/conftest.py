"""One small recording in every format there is, for the tests of all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from nwb_ophys.registry import FormatRow, formats
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

RATE = 30.0
START = "2024-05-17T14:30:00+02:00"


def _tiff(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    path = write_tiff(folder / "movie.tif", recording.movie)
    return {"file_path": path, "sampling_frequency": RATE}


def _scanimage(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    (path,) = write_scanimage(folder / "si.tif", recording.movie, sampling_frequency=RATE)
    return {"file_path": path}


def _numpy(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    np.save(folder / "movie.npy", recording.movie)
    return {"timeseries": folder / "movie.npy", "sampling_frequency": RATE}


def _suite2p(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    flags = [[True] * (recording.num_cells - 1) + [False]]
    return {"folder_path": write_suite2p(folder, recording, iscell=flags)}


def _caiman(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    accepted = range(recording.num_cells - 1)
    return {"file_path": write_caiman(folder / "caiman.hdf5", recording, accepted=accepted)}


def _numpy_segmentation(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    np.save(folder / "masks.npy", np.moveaxis(recording.image_masks(), 0, -1))
    np.save(folder / "raw.npy", recording.fluorescence)
    return {
        "image_masks": folder / "masks.npy",
        "raw": folder / "raw.npy",
        "neuropil": recording.neuropil,
        "mean_image": recording.mean_image(),
        "sampling_frequency": RATE,
    }


# A format that is added to the registry is tested once it has a line here, and fails without one.
WRITERS: dict[str, Callable[[Path, SimulatedRecording], dict[str, Any]]] = {
    "scanimage": _scanimage,
    "tiff": _tiff,
    "numpy": _numpy,
    "suite2p": _suite2p,
    "caiman": _caiman,
    "numpy-segmentation": _numpy_segmentation,
}


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
    row = formats()[request.param]
    assert request.param in WRITERS, f"the format {request.param} has no sample in this file"
    folder = tmp_path / "source"
    folder.mkdir()
    return Sample(row, row.load(), WRITERS[request.param](folder, recording), recording)


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
