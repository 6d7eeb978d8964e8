"""A recording of a Miniscope, in three videos."""

from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.testing import SimulatedRecording, write_miniscope


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    movie = np.clip(recording.movie // 4, 0, 255).astype(np.uint8)
    # The program rounds to milliseconds; the contract compares times to the microsecond.
    path = write_miniscope(
        folder / "recording",
        movie,
        timestamps=recording.timestamps,
        sampling_frequency=30.0,
        frames_per_file=15,
        whole_milliseconds=False,
    )
    return {"folder_path": path}
