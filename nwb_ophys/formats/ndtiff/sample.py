"""NDTiff data sets as Micro-Manager 2 and Pycro-Manager write them: TIFF files and an index.

Source of the layout: https://github.com/micro-manager/NDTiffStorage and the reader in tifffile.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_ndtiff"]

_MARK, _SUMMARY_MARK, _VERSION = 483729, 2355492, (3, 2)
_TEXT, _SHORT, _LONG = 2, 3, 4
_PIXEL_TYPES = {"uint8": 0, "uint16": 1}

Image = tuple[Mapping[str, Any], "Array", Mapping[str, Any]]


def write_ndtiff(
    folder: str | Path,
    channels: Array | Mapping[str, Array],
    *,
    sampling_frequency: float | None = 30.0,
    axes: Mapping[str, Any] | None = None,
    frame: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
    num_files: int = 1,
) -> Path:
    """Write movies as an NDTiff data set.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder of the data set; created if it does not exist.
    channels : numpy.ndarray or mapping of str to numpy.ndarray
        Movie of each channel, uint8 or uint16, (samples, rows, columns) or
        (samples, rows, columns, planes); a single array has no axis of channels.
    sampling_frequency : float, optional
        Samples per second in Hz, for the times of images; None to write no times.
    axes, frame : mapping, optional
        Further axes and metadata of all images, such as ``{"position": 0}``.
    summary : mapping, optional
        Metadata of the acquisition.
    num_files : int
        Number of TIFF files; the images are distributed evenly.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    named = {None: channels} if isinstance(channels, np.ndarray) else dict(channels)
    images: list[Image] = []
    for time in range(len(next(iter(named.values())))):
        for name, movie in named.items():
            planes = movie[time][..., None] if movie.ndim == 3 else movie[time]
            for plane in range(planes.shape[2]):
                own: dict[str, Any] = {} if name is None else {"channel": name}
                known = dict(frame or {})
                if sampling_frequency is not None:
                    known["ElapsedTime-ms"] = time * 1000 / sampling_frequency + plane
                own |= {"z": plane, "time": time, **(axes or {})}
                images.append((own, planes[:, :, plane], known))
    return write_images(folder, images, summary=summary, num_files=num_files)


def write_images(
    folder: str | Path,
    images: Iterable[Image],
    *,
    summary: Mapping[str, Any] | None = None,
    num_files: int = 1,
) -> Path:
    """Write images in the given order as an NDTiff data set.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder of the data set; created if it does not exist.
    images : iterable of (mapping, numpy.ndarray, mapping)
        Axes, pixels of shape (rows, columns) and type uint8 or uint16, and metadata of each image.
    summary : mapping, optional
        Metadata of the acquisition.
    num_files : int
        Number of TIFF files; the images are distributed evenly.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ValueError
        If pixels are neither uint8 nor uint16.
    """
    folder, saved = Path(folder), list(images)
    folder.mkdir(parents=True, exist_ok=True)
    index = b""
    for number, own in enumerate(np.array_split(np.arange(len(saved)), num_files)):
        name = f"session_NDTiffStack{f'_{number}' if number else ''}.tif"
        content, entries = _file([saved[each] for each in own], name, dict(summary or {}))
        (folder / name).write_bytes(content)
        index += entries
    (folder / "NDTiff.index").write_bytes(index)
    return folder


def _file(images: Sequence[Image], name: str, summary: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the bytes of a TIFF file, and its entries of the index."""
    text = json.dumps(summary).encode()
    position = 28 + len(text) + len(text) % 2
    content = struct.pack("<2sHI", b"II", 42, position)
    content += struct.pack("<5I", _MARK, *_VERSION, _SUMMARY_MARK, len(text)) + text
    content += bytes(position - len(content))
    entries = b""
    for number, (axes, pixels, metadata) in enumerate(images):
        if pixels.dtype.name not in _PIXEL_TYPES:
            raise ValueError(f"NDTiff has pixels of uint8 and uint16, not {pixels.dtype}.")
        known = json.dumps(metadata).encode()
        size = pixels.nbytes
        start = position + 2 + 12 * 10 + 4
        end = start + size + len(known)
        following = end + end % 2 if number + 1 < len(images) else 0
        content += _directory(pixels, start, len(known), following)
        content += np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"))).tobytes()
        content += known + bytes(end % 2)
        position = end + end % 2
        entries += _entry(axes, name, pixels, start, len(known))
    return content, entries


def _directory(pixels: Array, start: int, num_metadata: int, following: int) -> bytes:
    rows, columns = pixels.shape
    tags = [
        (256, _SHORT, 1, columns),  # ImageWidth
        (257, _SHORT, 1, rows),  # ImageLength
        (258, _SHORT, 1, pixels.itemsize * 8),  # BitsPerSample
        (259, _SHORT, 1, 1),  # Compression: none
        (262, _SHORT, 1, 1),  # PhotometricInterpretation: the smallest value is black
        (273, _LONG, 1, start),  # StripOffsets
        (277, _SHORT, 1, 1),  # SamplesPerPixel
        (278, _SHORT, 1, rows),  # RowsPerStrip
        (279, _LONG, 1, pixels.nbytes),  # StripByteCounts
        (51123, _TEXT, num_metadata, start + pixels.nbytes),  # MicroManagerMetadata
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def _entry(
    axes: Mapping[str, Any], name: str, pixels: Array, start: int, num_metadata: int
) -> bytes:
    """Return the entry of an image in the index."""
    texts = b"".join(
        struct.pack("<I", len(text)) + text for text in (json.dumps(axes).encode(), name.encode())
    )
    rows, columns = pixels.shape
    numbers = (start, columns, rows, _PIXEL_TYPES[pixels.dtype.name], 0)
    return texts + struct.pack("<8I", *numbers, start + pixels.nbytes, num_metadata, 0)


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write an NDTiff data set with two files; return the source arguments."""
    movie = recording.movie.astype("uint16")
    return {"folder_path": write_ndtiff(folder / "ndtiff", {"GFP": movie}, num_files=2)}
