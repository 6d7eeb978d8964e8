"""Arrays by name."""

from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.testing import SimulatedRecording


def write(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    np.save(folder / "masks.npy", np.moveaxis(recording.image_masks(), 0, -1))
    np.save(folder / "raw.npy", recording.fluorescence)
    return {
        "image_masks": folder / "masks.npy",
        "raw": folder / "raw.npy",
        "neuropil": recording.neuropil,
        "mean_image": recording.mean_image(),
        "sampling_frequency": 30.0,
    }
