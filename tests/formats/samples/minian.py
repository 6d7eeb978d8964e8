"""A folder of Minian, of which curation left out units; a rate in place of timeStamps.csv."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_minian


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    unit_ids = range(2, 2 + 5 * recording.num_cells, 5)
    path = folder / "minian"
    write_minian(path, recording, unit_ids=unit_ids, frame_step=2, with_timestamps=False)
    return {"folder_path": path, "sampling_frequency": 30.0}
