"""A memory map of CaImAn."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_memmap


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_memmap(folder, recording.movie), "sampling_frequency": 30.0}
