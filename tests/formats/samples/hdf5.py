"""A movie as CaImAn saves it in HDF5."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_hdf5


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {"file_path": write_hdf5(folder / "movie.hdf5", recording.movie)}
