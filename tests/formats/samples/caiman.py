"""A file of CaImAn's, whose last component was not accepted."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_caiman


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    accepted = range(recording.num_cells - 1)
    return {"file_path": write_caiman(folder / "caiman.hdf5", recording, accepted=accepted)}
