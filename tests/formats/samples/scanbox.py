"""A recording of Scanbox."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_scanbox


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_scanbox(folder / "mouse_000_001.sbx", recording.movie)}
