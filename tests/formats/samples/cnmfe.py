"""A file of CNMF-E's own, with sparse matrices."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_cnmfe


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_cnmfe(folder / "cnmfe.mat", recording)}
