"""Arrays saved with NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.simulation.recording import SimulatedRecording

__all__: list[str] = []


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Save a movie as a ``.npy`` file; return the source arguments that open it."""
    np.save(folder / "movie.npy", recording.movie)
    return {"timeseries": folder / "movie.npy", "sampling_frequency": 30.0}


def write_segmentation_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Save masks and traces as ``.npy`` files; return the source arguments that open them."""
    np.save(folder / "masks.npy", np.moveaxis(recording.image_masks(), 0, -1))
    np.save(folder / "raw.npy", recording.fluorescence)
    return {
        "image_masks": folder / "masks.npy",
        "raw": folder / "raw.npy",
        "neuropil": recording.neuropil,
        "mean_image": recording.mean_image(),
        "sampling_frequency": 30.0,
    }
