"""A ``.npy`` file."""

from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.testing import SimulatedRecording


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    np.save(folder / "movie.npy", recording.movie)
    return {"timeseries": folder / "movie.npy", "sampling_frequency": 30.0}
