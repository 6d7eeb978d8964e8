"""Folders of SIMA: pickles of plain dictionaries, arrays and sparse matrices.

Files, keys and types follow SIMA 1.3, see http://www.losonczylab.org/sima. SIMA itself is not
needed.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_sima"]

_TIMESTAMP = "2014-05-17-14h30m00s"


def write_sima(
    folder: str | Path,
    recording: SimulatedRecording,
    *,
    label: str = "auto_ROIs",
    channel_names: Sequence[str] = ("GCaMP",),
    num_sequences: int = 1,
    polygons: Mapping[int, Any] | None = None,
    with_signals: bool = True,
    with_spikes: bool = True,
    python2: bool = False,
) -> Path:
    """Write a recording as SIMA saves a dataset with ROIs, signals and inferred spikes.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder such as ``NAME.sima``; created if it does not exist.
    recording : SimulatedRecording
        Recording of one plane or several.
    label : str
        Label of the ROIs and of the signals.
    channel_names : sequence of str
        Names of the channels; the signals of the second are twice those of the first.
    num_sequences : int
        Number of sequences that the recording is divided into.
    polygons : Mapping of int to sequence, optional
        Polygons with (x, y, z) corners that replace the masks of some cells.
    with_signals, with_spikes : bool
        Whether to write signals, and inferred spikes.
    python2 : bool
        Whether to write pickles of Python 2, in which texts and arrays are bytes.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns, planes = (*recording.field_shape, 1)[:3]
    shape = (planes, rows, columns)
    rois = _rois(recording, shape, polygons or {})
    mean = np.moveaxis(recording.mean_image().reshape(rows, columns, planes), -1, 0)
    number = len(channel_names)
    contents: dict[str, Any] = {
        "dataset": {
            "savedir": "/data/recording.sima",
            "channel_names": list(channel_names),
            "num_frames": recording.num_samples,
            "frame_shape": (*shape, number),
            "num_sequences": num_sequences,
            "__version__": "1.3.2",
        },
        "rois": {label: {"rois": rois, "timestamp": _TIMESTAMP}},
        "time_averages": np.stack([mean * (1 + index) for index in range(number)], axis=-1),
    }
    for channel in range(number if with_signals else 0):
        entry = _signals(recording, channel, num_sequences, with_spikes)
        entry |= {"mean_frame": mean * (1 + channel), "rois": rois}
        contents[f"signals_{channel}"] = {label: entry}
    for name, content in contents.items():
        (folder / f"{name}.pkl").write_bytes(dump_sima_pickle(content, python2=python2))
    return folder


def _rois(
    recording: SimulatedRecording, shape: tuple[int, ...], polygons: Mapping[int, Any]
) -> list[dict[str, Any]]:
    """Return the ROIs as dictionaries, with one sparse matrix per plane as masks."""
    from scipy.sparse import lil_matrix

    rois = []
    for index, image in enumerate(recording.image_masks()):
        planes = np.moveaxis(image.reshape(*shape[1:], shape[0]), -1, 0)
        is_mask = index not in polygons
        rois.append(
            {
                "mask": [lil_matrix(plane) for plane in planes] if is_mask else None,
                "polygons": None if is_mask else [np.array(each) for each in polygons[index]],
                "id": f"cell{index}",
                "label": None,
                "tags": {"bright", "left"} if index == 0 else set(),
                "im_shape": shape,
            }
        )
    return rois


def _signals(
    recording: SimulatedRecording, channel: int, num_sequences: int, with_spikes: bool
) -> dict[str, Any]:
    """Return the signals of one channel, one array (ROIs, frames) per sequence."""

    def cut(values: Array) -> list[Array]:
        parts = np.array_split(values.astype(np.float32).T, num_sequences, axis=1)
        return [np.ascontiguousarray(part) for part in parts]

    entry: dict[str, Any] = {
        "raw": cut(recording.fluorescence * (1 + channel)),
        "overlap": (np.zeros(0, int), np.zeros(0, int)),
        "signal_channel": channel,
        "timestamp": _TIMESTAMP,
    }
    if with_spikes:
        entry |= {
            "spikes": cut(recording.spikes),
            "spikes_fits": cut(recording.calcium),
            "spikes_params": [{} for _ in range(num_sequences)],
        }
    return entry


def dump_sima_pickle(content: Any, *, python2: bool = False) -> bytes:
    """Return the bytes of a pickle.

    Parameters
    ----------
    content : object
    python2 : bool
        Whether texts and the contents of arrays are bytes, and modules of NumPy and SciPy have
        their old names.
    """
    if not python2:
        return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(content)
    # In protocol 2 the name of a class is text of any length that ends with a newline.
    renamed = file.getvalue().replace(b"cscipy.sparse._lil\n", b"cscipy.sparse.lil\n")
    return renamed.replace(b"cnumpy._core.", b"cnumpy.core.")


# The pickler that is written in Python, whose table of types can be changed.
_Pickler: Any = vars(pickle)["_Pickler"]


class _Python2Pickler(_Pickler):  # type: ignore[misc]
    """Pickler of Python 2, which does not distinguish texts and bytes."""

    dispatch: ClassVar[dict[Any, Any]] = dict(_Pickler.dispatch)

    def _save_string(self, value: Any) -> None:
        text = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(text).to_bytes(4, "little") + text)
        self.memoize(value)

    dispatch[str] = _save_string
    dispatch[bytes] = _save_string


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a folder of SIMA pickled by Python 2; return the source arguments."""
    path = write_sima(folder / "recording.sima", recording, python2=True)
    return {"folder_path": path, "sampling_frequency": 30.0}
