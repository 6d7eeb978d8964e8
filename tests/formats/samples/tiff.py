"""A plain TIFF."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_tiff


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    path = write_tiff(folder / "movie.tif", recording.movie)
    return {"file_path": path, "sampling_frequency": 30.0}
