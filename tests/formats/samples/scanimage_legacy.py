"""A recording of ScanImage 3.8."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_scanimage_legacy


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    movie = recording.movie.astype("uint16")
    return {"file_path": write_scanimage_legacy(folder / "old.tif", movie)}
