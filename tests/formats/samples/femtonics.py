"""A file of MESc with one unit of one channel."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_femtonics


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_femtonics(folder / "session.mesc", recording.movie)}
