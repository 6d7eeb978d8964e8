"""An NWB file with a movie."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_nwb


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_nwb(folder / "movie.nwb", recording.movie)}
