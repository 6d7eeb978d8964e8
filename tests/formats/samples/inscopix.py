"""A movie of an Inscopix miniscope."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_inscopix


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_inscopix(folder / "movie.isxd", recording.movie.astype("uint16"))}
