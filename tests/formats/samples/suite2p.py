"""A Suite2p folder, whose last ROI is no cell."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_suite2p


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    flags = [[True] * (recording.num_cells - 1) + [False]]
    return {"folder_path": write_suite2p(folder, recording, iscell=flags)}
