"""An OME-TIFF."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_ome_tiff


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    (path,) = write_ome_tiff(folder / "movie.ome.tif", recording.movie)
    return {"file_path": path}
