"""A file of EXTRACT's, whose last cell did not pass its check."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_extract


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    bad = [recording.num_cells - 1]
    path = write_extract(folder / "extract.mat", recording, bad=bad)
    return {"file_path": path, "sampling_frequency": recording.sampling_frequency}
