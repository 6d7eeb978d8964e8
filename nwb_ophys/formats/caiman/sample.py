"""CaImAn output: the HDF5 file that ``CNMF.save`` writes.

Names, types and shapes follow CaImAn 1.8 to 1.12, see
https://caiman.readthedocs.io/en/latest/CaImAn_features_and_references.html. An attribute that is
None in Python is stored as the text "NoneType", a list of numbers as a list of texts, and an
image is flattened column by column (Fortran order).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording, mask_index

__all__ = ["write_caiman"]

#: Percentile of a trace that is its baseline in dF/F, as in ``detrend_df_f``.
_BASELINE_PERCENTILE = 8

#: Attributes of the estimates that stay None in a usual run.
_UNUSED_ESTIMATES = (
    *("A_thr", "Ab", "Ab_dense", "AtA", "AtY_buf", "CC", "CY", "C_on", "Cf", "OASISinstances"),
    *("W", "Yr_buf", "b0", "discarded_components", "ecc", "ind_new", "mn", "noisyC", "psx"),
    *("rho_buf", "sv", "vr"),
)


def write_caiman(
    path: str | Path,
    recording: SimulatedRecording,
    *,
    num_background_components: int = 2,
    accepted: Sequence[int] | None = None,
    cnn_predictions: bool = True,
    shifts: Array | Sequence[Array] = (),
    memory_map: str | Path | None = None,
) -> Path:
    """Write a recording as CaImAn saves its estimates and parameters.

    In ``estimates``, with traces as (cells, samples) of float64: ``A`` the masks as a sparse
    matrix (pixels, cells), ``C`` the denoised calcium, ``YrA`` the residual, so that their sum is
    the fluorescence, ``F_dff`` the relative fluorescence, ``S`` the spikes, ``b`` and ``f`` the
    background in space (pixels, components) and time (components, samples), ``Cn`` the
    correlation image.

    Parameters
    ----------
    path : str or pathlib.Path
        The HDF5 file; an existing one is overwritten.
    recording : SimulatedRecording
        Recording of one plane or several.
    num_background_components : int
        Number of background components; with 0 there is no background.
    accepted : sequence of int, optional
        Indices of the cells that the evaluation of components accepted (``idx_components``); the
        rest are rejected. By default there is no evaluation, and no qualities are written.
    cnn_predictions : bool
        Whether the evaluation used the neural network; without it ``cnn_preds`` is empty.
    shifts : array-like
        Number of pixels by which motion correction moved each frame: rows and columns, (samples,
        2), or a pair of arrays, (samples, patches).
    memory_map : str or pathlib.Path, optional
        The memory map of the corrected movie (``mmap_file``).

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If `accepted` contains an index without a cell.
    """
    path = Path(path)
    if accepted is not None and not set(accepted) <= set(range(recording.num_cells)):
        raise ValueError(
            f"accepted is {list(accepted)}, but the cells are 0 to {recording.num_cells - 1}."
        )
    estimates = {
        **dict.fromkeys(_UNUSED_ESTIMATES),
        **_traces(recording),
        **_background(recording, num_background_components),
        **_evaluation(recording, accepted, cnn_predictions),
        "Cn": recording.correlation_image(),
        "dims": list(recording.field_shape),
        "center": np.array([_center(pixels) for pixels in recording.pixel_masks]),
        "nr": recording.num_cells,
        "shifts": np.array(shifts, dtype=np.float64),
        "sn": np.sqrt(_flatten(recording.mean_image())),
    }
    with h5py.File(path, "w") as file:
        _write_values(file, {"dims": list(recording.field_shape), "dview": None})
        if memory_map is not None:
            _write_values(file, {"mmap_file": str(memory_map)})
        _write_values(file, {"remove_very_bad_comps": False, "skip_refinement": False})
        _write_values(file.create_group("estimates"), estimates)
        _write_values(file.create_group("estimates/A"), _sparse_masks(recording))
        for name, values in _parameters(recording, num_background_components).items():
            _write_values(file.create_group(f"params/{name}"), values)
    return path


def _sparse_masks(recording: SimulatedRecording) -> dict[str, Array]:
    """Return the masks as a matrix (pixels, cells) of float64 in compressed sparse columns."""
    field_shape = recording.field_shape
    indices, weights = [np.zeros(0, dtype=np.int32)], [np.zeros(0)]
    for pixels in recording.pixel_masks:
        index = np.ravel_multi_index(mask_index(pixels), field_shape, order="F")
        order = np.argsort(index)
        indices.append(index[order].astype(np.int32))
        weights.append(pixels[order, -1])
    return {
        "data": np.concatenate(weights),
        "indices": np.concatenate(indices),
        # The first, empty list makes the leading zero.
        "indptr": np.cumsum([len(index) for index in indices], dtype=np.int32),
        "shape": np.array([np.prod(field_shape), recording.num_cells]),
    }


def _flatten(image: Array) -> Array:
    """Return the pixels of an image column by column."""
    return image.ravel(order="F")


def _center(pixels: Array) -> Array:
    """Return the centre of mass of a mask: row, column and plane if there are several."""
    return np.average(np.array(mask_index(pixels)), axis=1, weights=pixels[:, -1])


def _traces(recording: SimulatedRecording) -> dict[str, Any]:
    """Return the traces (cells, samples), and the parameters of their deconvolution (cells,)."""
    fluorescence = recording.fluorescence.T.astype(np.float64)
    calcium = recording.calcium.T
    residual = fluorescence - calcium
    baseline = np.percentile(fluorescence, _BASELINE_PERCENTILE, axis=1, keepdims=True)
    decay = np.exp(-1 / (0.7 * recording.sampling_frequency))
    return {
        "C": calcium,
        "YrA": residual,
        "R": residual,
        "S": recording.spikes.T.astype(np.float64),
        "F_dff": (fluorescence - baseline) / baseline,
        "g": np.full((recording.num_cells, 1), decay),
        "bl": _as_texts(baseline[:, 0]),
        "c1": _as_texts(calcium[:, 0]),
        "lam": _as_texts(np.ones(recording.num_cells)),
        "neurons_sn": _as_texts(residual.std(axis=1)),
    }


def _as_texts(values: Iterable[float]) -> Array:
    """Return numbers as texts of 32 bytes, as CaImAn stores a list of numbers."""
    return np.array([repr(float(value)).encode() for value in values], dtype="S32")


def _background(recording: SimulatedRecording, num_components: int) -> dict[str, Any]:
    """Return the background: increasingly smooth images of unit norm, and their traces."""
    if num_components == 0:
        return {"b": None, "f": None}
    image = _flatten(recording.mean_image()).astype(np.float64)
    images = np.array([image ** (1 / order) for order in range(1, num_components + 1)])
    norms = np.linalg.norm(images, axis=1, keepdims=True)
    slow = (
        recording.neuropil.mean(axis=1) if recording.num_cells else np.ones(recording.num_samples)
    )
    waves = [slow / slow.mean() / order for order in range(1, num_components + 1)]
    return {"b": (images / norms).T, "f": norms * np.array(waves) / num_components}


def _evaluation(
    recording: SimulatedRecording, accepted: Sequence[int] | None, cnn_predictions: bool
) -> dict[str, Any]:
    """Return which cells were accepted, and their qualities (cells,)."""
    names = ("idx_components", "idx_components_bad", "SNR_comp", "r_values", "cnn_preds")
    if accepted is None:
        return dict.fromkeys(names)
    is_accepted = np.isin(np.arange(recording.num_cells), list(accepted))
    # Distinct values, so that a test notices cells in another order.
    rank = np.arange(recording.num_cells) / max(recording.num_cells, 1)
    values = (
        np.flatnonzero(is_accepted),
        np.flatnonzero(~is_accepted),
        np.where(is_accepted, 5.0, 1.0) + rank,
        np.where(is_accepted, 0.85, 0.1) + rank / 10,
        np.where(is_accepted, 0.9, 0.1) + rank / 100 if cnn_predictions else np.zeros(0),
    )
    return dict(zip(names, values, strict=True))


def _parameters(recording: SimulatedRecording, num_components: int) -> dict[str, dict[str, Any]]:
    """Return parameters of the analysis by group, only those that readers may use."""
    num_axes = len(recording.field_shape)
    return {
        "data": {
            "caiman_version": "1.12.1",
            "decay_time": 0.7,
            "dims": list(recording.field_shape),
            "dxy": [1] * num_axes,
            "fnames": np.array([b"recording.tif"]),
            "fr": recording.sampling_frequency,
            "last_commit": None,
            "var_name_hdf5": "mov",
        },
        "init": {"K": recording.num_cells, "gSig": [4] * num_axes, "nb": num_components},
        "preprocess": {"p": 1},
        "quality": {"min_SNR": 2.5, "rval_thr": 0.8, "use_cnn": True},
    }


def _write_values(group: h5py.Group, values: dict[str, Any]) -> None:
    """Write values as datasets; None is stored as the text "NoneType"."""
    for name, value in values.items():
        group[name] = "NoneType" if value is None else value


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a CaImAn file whose last component is rejected; return the source arguments."""
    accepted = range(recording.num_cells - 1)
    return {"file_path": write_caiman(folder / "caiman.hdf5", recording, accepted=accepted)}
