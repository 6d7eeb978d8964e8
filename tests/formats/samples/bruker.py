"""A folder of Prairie View."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_bruker


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    movie = recording.movie.astype("uint16")
    return {"folder_path": write_bruker(folder / "TSeries-1", movie, sampling_frequency=30.0)}
