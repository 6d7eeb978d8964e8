"""EXTRACT output: a MATLAB file with the struct that ``extractor(movie, config)`` returns.

Names, types and shapes follow EXTRACT 1.1.0, see https://github.com/schnitzer-lab/EXTRACT-public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.simulation.matlab import MatlabVersion, Sparse, write_matlab
from nwb_ophys.simulation.recording import SimulatedRecording

__all__ = ["write_extract"]


def write_extract(
    path: str | Path,
    recording: SimulatedRecording,
    *,
    struct_name: str | None = None,
    version: str = "1.1.0",
    matlab_version: MatlabVersion = "7.3",
    sparse: bool = False,
    config: Mapping[str, Any] | None = None,
    bad: Sequence[int] = (),
) -> Path:
    """Write a recording as EXTRACT returns its cells.

    The masks are ``spatial_weights``, (rows, columns, cells), and the traces
    ``temporal_weights``, (samples, cells), in float32. Before version 1.0 they are ``filters`` and
    ``traces``, (cells, samples).

    Parameters
    ----------
    path : str or pathlib.Path
        The ``.mat`` file; an existing one is overwritten.
    recording : SimulatedRecording
        Recording of one plane.
    struct_name : str, optional
        Name of the struct; ``output``, or ``extractAnalysisOutput`` before version 1.0.
    version : str
        Version of EXTRACT.
    matlab_version : {"7.3", "5"}
        Version of the file format.
    sparse : bool
        Whether masks are a sparse matrix, (pixels, cells), in float64.
    config : Mapping, optional
        Settings that differ from the defaults of EXTRACT, with which traces are dF/F.
    bad : sequence of int
        Indices of the cells that failed the last check.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    path, is_old = Path(path), version.startswith("0")
    masks = np.moveaxis(recording.image_masks(), 0, -1).astype(np.float32)
    flat = masks.reshape(masks.shape[0] * masks.shape[1], -1 if masks.size else 0, order="F")
    settings = {"preprocess": True, "skip_dff": False, "trace_output_option": "nonneg"}
    settings |= dict(config or {})
    is_dff = settings["preprocess"] and not settings["skip_dff"]
    baseline = np.percentile(recording.fluorescence, 8, axis=0) if recording.num_samples else 1
    traces = recording.fluorescence / baseline - 1 if is_dff else recording.fluorescence
    traces = traces.astype(np.float32)
    is_bad = np.isin(np.arange(recording.num_cells), list(bad))
    output: dict[str, Any] = {
        "filters" if is_old else "spatial_weights": Sparse(flat) if sparse else masks,
        "traces" if is_old else "temporal_weights": traces.T if is_old else traces,
        "info": {
            "version": version,
            "summary_image": recording.maximum_image().astype(np.float64),
            "F_per_pixel": recording.mean_image().astype(np.float64),
            "max_image": recording.maximum_image().astype(np.float64),
            "cellcheck": {"is_bad": is_bad.astype(np.float64)},
        },
        "config": settings,
    }
    if is_old:  # duration of the analysis in seconds
        output["time"] = {"totalTime": 45.4}
    name = struct_name or ("extractAnalysisOutput" if is_old else "output")
    return write_matlab(path, {name: output, "config": settings}, matlab_version)


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write an EXTRACT file whose last cell failed its check; return the source arguments."""
    bad = [recording.num_cells - 1]
    path = write_extract(folder / "extract.mat", recording, bad=bad)
    return {"file_path": path, "sampling_frequency": recording.sampling_frequency}
