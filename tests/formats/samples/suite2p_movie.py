"""What Suite2p's registration leaves: a folder without ROIs."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_suite2p


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"folder_path": write_suite2p(folder, recording, movie=True, rois=False)}
