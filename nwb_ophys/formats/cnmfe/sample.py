"""CNMF-E output: a MATLAB file with the struct of ``neuron.obj2struct()``, or with CIAtah's struct.

Names and shapes follow https://github.com/zhoupc/CNMF_E and https://bahanonu.github.io/ciatah. No
file of either was available; the layout follows their source code and roiextractors' reader.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.simulation.matlab import MatlabVersion, Sparse, write_matlab
from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_cnmfe"]


def write_cnmfe(
    path: str | Path,
    recording: SimulatedRecording,
    *,
    struct_name: str | None = None,
    matlab_version: MatlabVersion = "7.3",
    of_ciatah: bool = False,
    sparse: bool = True,
    states_rate: bool = True,
) -> Path:
    """Write a recording as CNMF-E saves its components.

    ``A`` are the masks, (pixels, components), with pixels column by column; ``C_raw`` the traces,
    ``C`` the denoised ones and ``S`` the spikes, (components, samples), all in float64; ``Cn`` the
    correlation image. With CIAtah they are ``extractedImages``, (rows, columns, components), and
    ``extractedSignals``.

    Parameters
    ----------
    path : str or pathlib.Path
        The ``.mat`` file; an existing one is overwritten.
    recording : SimulatedRecording
        Recording of one plane.
    struct_name : str, optional
        Name of the struct; ``results``, or ``cnmfeAnalysisOutput`` with CIAtah.
    matlab_version : {"7.3", "5"}
        Version of the file format.
    of_ciatah : bool
        Whether the struct is CIAtah's.
    sparse : bool
        Whether ``A`` and ``S`` are sparse matrices.
    states_rate : bool
        Whether ``Fs`` is the rate; if not it is NaN, which is CNMF-E's default.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    rate = recording.sampling_frequency if states_rate else np.nan
    output = _ciatah(recording, rate) if of_ciatah else _results(recording, rate, sparse)
    name = struct_name or ("cnmfeAnalysisOutput" if of_ciatah else "results")
    return write_matlab(Path(path), {name: output}, matlab_version)


def _masks(recording: SimulatedRecording) -> Array:
    return np.moveaxis(recording.image_masks(), 0, -1)


def _results(recording: SimulatedRecording, rate: float, sparse: bool) -> dict[str, Any]:
    rows, columns = recording.field_shape
    masks = _masks(recording).reshape(rows * columns, recording.num_cells, order="F")
    spikes = recording.spikes.T.astype(np.float64)
    return {
        "A": Sparse(masks) if sparse else masks,
        "C": recording.calcium.T,
        "C_raw": recording.fluorescence.T.astype(np.float64),
        "S": Sparse(spikes) if sparse else spikes,
        "Cn": recording.correlation_image(),
        "PNR": recording.maximum_image().astype(np.float64),
        "C_df": np.zeros((0, 0)),
        "Fs": rate,
        "ids": np.arange(recording.num_cells) + 1.0,
        "options": {"d1": float(rows), "d2": float(columns), "ssub": 1.0, "tsub": 1.0},
    }


def _ciatah(recording: SimulatedRecording, rate: float) -> dict[str, Any]:
    return {
        "extractedImages": _masks(recording),
        "extractedSignals": recording.fluorescence.T.astype(np.float64),
        "extractedSignalsEst": recording.calcium.T,
        "Cn": recording.correlation_image(),
        "inputOptions": {"Fs": rate},
        # Duration of the analysis in seconds.
        "time": {"totalTime": 45.4},
        "movieList": "recording.tif",
    }


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a CNMF-E file with sparse matrices; return the source arguments."""
    return {"file_path": write_cnmfe(folder / "cnmfe.mat", recording)}
