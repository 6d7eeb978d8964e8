"""A folder of Micro-Manager's, in two files."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_micromanager


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    write_micromanager(folder / "mm", recording.movie.astype("uint16"), num_files=2)
    return {"folder_path": folder / "mm"}
