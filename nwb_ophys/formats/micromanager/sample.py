"""Image file stacks as Micro-Manager writes them: OME-TIFF files with additional JSON.

The TIFF header is followed by pairs of a mark and an offset, the summary as JSON, and the pages:
directory, pixels, and the JSON of the frame in the private tag 51123. Source of the layout:
https://micro-manager.org/Micro-Manager_File_Formats and the reader in tifffile.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
import numpy as np

from nwb_ophys.simulation.ome_xml import (
    OmePlan,
    as_images,
    frame_of,
    ome_xml,
    order_pages,
    uuids,
)

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_micromanager"]

# Marks in the header of the index map, display settings and comments, and those at the places.
_MARKS = (54773648, 483765892, 99384722)
_INDEX_MARK, _DISPLAY_MARK, _COMMENTS_MARK = 3453623, 347834724, 84720485
_SUMMARY_MARK = 2355492
_TEXT, _SHORT, _LONG, _RATIONAL = 2, 3, 4, 5
_TYPES = {"uint8": "GRAY8", "uint16": "GRAY16"}


def write_micromanager(
    folder: str | Path,
    channels: Array | Mapping[str, Array] | Sequence[Mapping[str, Array]],
    *,
    sampling_frequency: float = 30.0,
    interval_ms: float | None = None,
    elapsed_ms: Sequence[float] | Array | None = None,
    playback_fps: float = 10.0,
    num_files: int = 1,
    start: str = "2022-04-07 15:04:05.678 +0200",
    exposure_ms: float = 10.0,
    binning: str = "2",
    pixel_size_um: float = 0.65,
    z_step_um: float = 5.0,
    camera: str = "Andor",
    with_elapsed: bool = True,
    summary: Mapping[str, Any] | None = None,
    acquired: datetime | None = None,
    prefix: str = "session",
) -> list[Path]:
    """Write a recording as Micro-Manager 2 does: a folder with .ome.tif and DisplaySettings.json.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder of the recording; created if it does not exist.
    channels : numpy.ndarray, mapping or sequence of mappings
        Movie of each channel by its name, uint8 or uint16, (samples, rows, columns) or
        (samples, rows, columns, planes); a sequence has one mapping per position. A single array is
        the channel "Default".
    sampling_frequency : float
        Samples per second in Hz, which determines the times of frames.
    interval_ms : float, optional
        Interval between samples in the summary; 1000 / `sampling_frequency` by default.
        Micro-Manager writes 0 if frames are acquired as fast as possible.
    elapsed_ms : array-like, optional
        Time of each sample since the start, or (samples, planes) or (samples, planes, channels) of
        each image; regular by default.
    playback_fps : float
        Rate of playback in DisplaySettings.json.
    num_files : int
        Number of files; the pages are distributed evenly.
    start : str
        Text of the start of the acquisition.
    exposure_ms, binning, pixel_size_um, z_step_um, camera
        Settings in the summary and in the JSON of frames.
    with_elapsed : bool
        Whether to write the times of frames.
    summary : mapping, optional
        Further keys of the summary, or other values of existing keys.
    acquired : datetime.datetime, optional
        ``AcquisitionDate`` of the OME-XML.
    prefix : str
        Beginning of the file names.

    Returns
    -------
    list of pathlib.Path
        The .ome.tif files.

    Raises
    ------
    ValueError
        If a movie is neither uint8 nor uint16.
    """
    images = as_images({"Default": channels} if isinstance(channels, np.ndarray) else channels)
    first = next(iter(images[0].values()))
    if first.dtype.name not in _TYPES:
        raise ValueError(f"Micro-Manager writes uint8 and uint16, not {first.dtype}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    interval = 1000 / sampling_frequency if interval_ms is None else interval_ms
    regular = np.arange(len(first)) * 1000 / sampling_frequency
    elapsed = _of_each_image(regular if elapsed_ms is None else elapsed_ms, images)
    stated = {
        "Prefix": prefix,
        "MicroManagerVersion": "2.0.0",
        "StartTime": start,
        "Interval_ms": interval,
        "Channels": len(images[0]),
        "ChNames": list(images[0]),
        "Frames": len(first),
        "Slices": first.shape[3],
        "Positions": len(images),
        "Height": first.shape[1],
        "Width": first.shape[2],
        "PixelType": _TYPES[first.dtype.name],
        "PixelSize_um": pixel_size_um,
        "z-step_um": z_step_um,
        **(summary or {}),
    }
    frame = {
        "Camera": camera,
        "Binning": binning,
        "Exposure-ms": exposure_ms,
        "PixelSizeUm": pixel_size_um,
    }
    plan = attrs.evolve(_plan(images, num_files, prefix, pixel_size_um), acquired=acquired)
    for number, name in enumerate(plan.files):
        with (folder / name).open("wb") as file:
            times = elapsed if with_elapsed else None
            _write_file(file, plan, number, stated, frame, times)
    shown = {"map": {"PlaybackFPS": {"type": "DOUBLE", "scalar": playback_fps}}}
    (folder / "DisplaySettings.json").write_text(json.dumps(shown))
    return [folder / name for name in plan.files]


def _of_each_image(elapsed: Any, images: Any) -> Array:
    """Return the times as an array of shape (samples, planes, channels)."""
    first = next(iter(images[0].values()))
    times = np.asarray(elapsed, float)
    times = times.reshape(*times.shape, *[1] * (3 - times.ndim))
    return np.broadcast_to(times, (len(first), first.shape[3], len(images[0])))


def _plan(images: Any, num_files: int, prefix: str, pixel_size_um: float) -> OmePlan:
    base = f"{prefix}_MMStack_Pos0"
    later = [f"{base}_{number}.ome.tif" for number in range(1, num_files)]
    size = str(pixel_size_um)
    return OmePlan(
        images=images,
        image_names=[f"Pos{index}" for index in range(len(images))],
        files=[f"{base}.ome.tif", *later],
        uuids=uuids(num_files),
        pages=order_pages(images, "XYCZT", num_files),
        pixels={"PhysicalSizeX": size, "PhysicalSizeY": size} if pixel_size_um else {},
    )


def _write_file(
    file: BinaryIO,
    plan: OmePlan,
    number: int,
    summary: Mapping[str, Any],
    frame: Mapping[str, Any],
    elapsed: Array | None,
) -> None:
    text = json.dumps(summary).encode()
    pages = [page for page in plan.pages if page[4] == number]
    position = _even(40 + len(text))
    file.write(struct.pack("<2sHI", b"II", 42, position))
    file.write(bytes(24))  # marks and offsets of the sections after the pages
    file.write(struct.pack("<II", _SUMMARY_MARK, len(text)) + text)
    index = struct.pack("<II", _INDEX_MARK, len(pages))
    for page in pages:
        image, channel, plane, time = page[:4]
        index += struct.pack("<5I", channel, plane, time, image, position)
        own = {
            "PositionIndex": image,
            "ChannelIndex": channel,
            "SliceIndex": plane,
            "FrameIndex": time,
            **frame,
        }
        if elapsed is not None:
            own["ElapsedTime-ms"] = float(elapsed[time, plane, channel])
        descriptions = _descriptions(plan, number, len(pages)) if page is pages[0] else ()
        file.write(bytes(position - file.tell()))
        body = _page(position, frame_of(plan.images, page), json.dumps(own).encode(), descriptions)
        following = _even(position + len(body[0]) + len(body[1]))
        link = 0 if page is pages[-1] else following
        file.write(body[0][:-4] + struct.pack("<I", link) + body[1])
        position = following
    _write_ends(file, index)


def _write_ends(file: BinaryIO, index: bytes) -> None:
    """Write the index map, display settings and comments, and where they are."""
    parts = [index]
    for mark, text in ((_DISPLAY_MARK, b"[]"), (_COMMENTS_MARK, b'{"Summary": ""}')):
        parts.append(struct.pack("<II", mark, len(text)) + text)
    places = []
    for mark, part in zip(_MARKS, parts, strict=True):
        places += [mark, file.tell()]
        file.write(part)
    file.seek(8)
    file.write(struct.pack("<6I", *places))


def _descriptions(plan: OmePlan, number: int, num_pages: int) -> tuple[bytes, bytes]:
    """Return the descriptions of the first page for OME and for ImageJ."""
    return ome_xml(plan, number).encode() + b"\0", f"ImageJ=1.53t\nimages={num_pages}\n\0".encode()


def _page(
    position: int, image: Array, text: bytes, descriptions: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return the directory of a page without its link, and the bytes after it."""
    # Readers expect the pixels immediately after 13 tags; the first page has more tags.
    num_tags = 13 + len(descriptions)
    pixels = position + 2 + 12 * num_tags + 4
    resolution = pixels + image.nbytes
    own = resolution + 16
    behind = own + len(text)
    starts = [behind + len(b"".join(descriptions[:n])) for n in range(len(descriptions))]
    described = zip(descriptions, starts, strict=True)
    tags = [
        (256, _SHORT, 1, image.shape[1]),  # ImageWidth
        (257, _SHORT, 1, image.shape[0]),  # ImageLength
        (258, _SHORT, 1, image.itemsize * 8),  # BitsPerSample
        (259, _SHORT, 1, 1),  # Compression: none
        (262, _SHORT, 1, 1),  # PhotometricInterpretation: the smallest value is black
        *((270, _TEXT, len(each), place) for each, place in described),  # ImageDescription
        (273, _LONG, 1, pixels),  # StripOffsets
        (277, _SHORT, 1, 1),  # SamplesPerPixel
        (278, _SHORT, 1, image.shape[0]),  # RowsPerStrip
        (279, _LONG, 1, image.nbytes),  # StripByteCounts
        (282, _RATIONAL, 1, resolution),  # XResolution
        (283, _RATIONAL, 1, resolution + 8),  # YResolution
        (296, _SHORT, 1, 3),  # ResolutionUnit: centimetre
        (51123, _TEXT, len(text), own),  # MicroManagerMetadata
    ]
    entries = b"".join(struct.pack("<HHII", *entry) for entry in tags)
    little = image.astype(image.dtype.newbyteorder("<")).tobytes()
    little += struct.pack("<4I", 10_000, 1, 10_000, 1)
    return struct.pack("<H", num_tags) + entries + bytes(4), little + text + b"".join(descriptions)


def _even(position: int) -> int:
    return position + position % 2


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a folder of Micro-Manager with two files; return the source arguments."""
    write_micromanager(folder / "mm", recording.movie.astype("uint16"), num_files=2)
    return {"folder_path": folder / "mm"}
