"""A folder of ThorImage."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_thor


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    movie = recording.movie.astype("uint16")
    return {"folder_path": write_thor(folder / "experiment", movie, sampling_frequency=30.0)}
