"""A recording of ScanImage."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_scanimage


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    (path,) = write_scanimage(folder / "si.tif", recording.movie, sampling_frequency=30.0)
    return {"file_path": path}
