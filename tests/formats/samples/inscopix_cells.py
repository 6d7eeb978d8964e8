"""A cell set of Inscopix, whose last cell was rejected."""

from pathlib import Path
from typing import Any

from nwb_ophys.testing import SimulatedRecording, write_inscopix_cells


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    statuses = ["accepted"] * (recording.num_cells - 1) + ["rejected"]
    path = write_inscopix_cells(folder / "cells.isxd", recording, statuses=statuses)
    return {"file_path": path}
