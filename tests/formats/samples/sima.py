"""A folder of SIMA, pickled by Python 2."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_sima


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    path = write_sima(folder / "recording.sima", recording, python2=True)
    return {"folder_path": path, "sampling_frequency": 30.0}
