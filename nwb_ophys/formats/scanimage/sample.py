"""ScanImage BigTIFF files (``SI.TIFF_FORMAT_VERSION = 4``, of ScanImage 2020 and later).

A file begins with the 16-byte BigTIFF header, then four 32-bit numbers (a magic number, the
version, the lengths of the two texts that follow), the settings, and the regions as JSON. Then
come the pages: directory, 2000 characters of description, pixels. The ``Software`` and ``Artist``
tags of every page point back at the two texts. Source of the layout:
https://docs.scanimage.org/Appendix/ScanImage%2BBigTiff%2BSpecification.html and real files.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from nwb_ophys.formats.scanimage.sample_acquisition import (
    Acquisition,
    Array,
    frame_description,
    movies_by_channel,
)
from nwb_ophys.formats.scanimage.sample_header import frame_data, roi_groups
from nwb_ophys.formats.scanimage.sample_old import write_scanimage_old
from nwb_ophys.simulation.recording import SimulatedRecording

__all__ = ["write_scanimage", "write_scanimage_old"]

_MAGIC_NUMBER = 117637889
_VERSION = 4
_HEADER_LENGTH = 32
_DESCRIPTION_LENGTH = 2000
#: Types of TIFF fields that occur here.
_TEXT, _SHORT, _RATIONAL, _LONG8 = 2, 3, 5, 16
_NUM_TAGS = 18
_DIRECTORY_LENGTH = 8 + _NUM_TAGS * 20 + 8
_SUFFIXES = (".tif", ".tiff")


def write_scanimage(
    path: str | Path,
    channels: Array | Mapping[int, Array],
    *,
    sampling_frequency: float = 30.0,
    channel_names: Mapping[int, str] | None = None,
    num_channels_available: int = 4,
    num_flyback_frames: int = 0,
    frames_per_slice: int = 1,
    stack_mode: str = "fast",
    frames_per_file: int | None = None,
    num_frames: int | None = None,
    frame_timestamps: Sequence[float] | Array | None = None,
    session_start_time: datetime = datetime(2024, 5, 17, 14, 3, 21, 250000),
    objective_resolution: float = 31.0,
    zoom: float = 1.0,
    line_period: float | None = None,
    pmt_gains: Sequence[float] = (),
    z_step: float = 10.0,
    average_factor: int = 1,
    regions: Mapping[str, tuple[int, tuple[float, float], tuple[float, float]]] | None = None,
    stem: str = "recording",
) -> list[Path]:
    """Write an acquisition ("grab") as ScanImage does: one file, or several.

    Parameters
    ----------
    path : str or pathlib.Path
        File that ends in .tif or .tiff; or a folder, created if it does not exist, in which the
        files have ScanImage's names: stem_00001.tif, or stem_00001_00001.tif,
        stem_00001_00002.tif, … with `frames_per_file`.
    channels : numpy.ndarray or mapping of int to numpy.ndarray
        Movie of each saved channel by its number, from 1; numbers may have gaps. A single array is
        channel 1. int16 or uint16, (samples, rows, columns), or
        (samples, rows, columns, planes) for a stack. Pages are written volume by volume, plane
        by plane, frame of the slice by frame, channel by channel.
    sampling_frequency : float
        Frames per second in Hz, of a stack volumes per second. ScanImage writes six digits.
    channel_names : mapping of int to str, optional
        Names by the number of the channel; "Channel 1" and so on by default.
    num_channels_available : int
        Number of channels that the microscope has, saved or not.
    num_flyback_frames : int
        Number of frames after each volume, while the objective flies back. All their pixels have
        the largest value of the dtype, so that a test notices if they are read as images.
    frames_per_slice : int
        Number of consecutive frames of each slice. Samples k, k + 1, … of the movies are then the
        first, second, … frames of the slices of one volume.
    stack_mode : {"fast", "slow"}
        "fast": continuous sweeps; "slow": each slice is triggered separately.
    frames_per_file : int, optional
        Number of frames per file (``logFramesPerFile``), where a frame has one page per channel;
        by default all frames are in one file.
    num_frames : int, optional
        Number of frames to write, also if the last volume is then incomplete; all by default.
    frame_timestamps : array-like, optional
        Start of each frame in seconds, including flyback frames; regular by default.
    session_start_time : datetime.datetime
        Wall-clock time of the start (``epoch``), to a millisecond. A time zone is not written.
    objective_resolution : float
        Micrometres in the sample per degree of scanning; the field has 18 degrees at zoom 1.
    zoom : float
        Zoom factor of the scan.
    line_period : float, optional
        Duration of a line in seconds; by default 94 % of a frame's duration per line.
    pmt_gains : sequence of float
        Gains of the photomultipliers that ScanImage controls.
    z_step : float
        Distance between planes in micrometres.
    average_factor : int
        Number of frames that ScanImage averaged into each saved frame.
    regions : mapping of str to tuple, optional
        Regions of interest of a mesoscope, by name: number of rows, and centre and size (x, y) in
        degrees. The rows of the movies are then those of all regions, one below the other, with
        equal numbers of fly-to rows between them.
    stem : str
        Beginning of the file names, when `path` is a folder.

    Returns
    -------
    list of pathlib.Path
        The files in temporal order.

    Raises
    ------
    ValueError
        If shapes or types differ between channels, or if options contradict each other.
    """
    acquisition = Acquisition(
        channels=movies_by_channel(channels),
        channel_names=dict(channel_names or {}),
        num_channels_available=num_channels_available,
        sampling_frequency=sampling_frequency,
        num_flyback_frames=num_flyback_frames,
        frames_per_slice=frames_per_slice,
        stack_mode=stack_mode,
        frames_per_file=frames_per_file,
        num_frames=num_frames,
        frame_timestamps=frame_timestamps,
        session_start_time=session_start_time,
        objective_resolution=objective_resolution,
        zoom=zoom,
        line_period=line_period,
        pmt_gains=tuple(pmt_gains),
        z_step=z_step,
        average_factor=average_factor,
        regions=dict(regions or {}),
    )
    return _write_files(Path(path), stem, acquisition)


def _write_files(path: Path, stem: str, acquisition: Acquisition) -> list[Path]:
    """Write the files of an acquisition and return their paths."""
    num_logged, per_file = acquisition.num_logged_frames, acquisition.frames_per_file
    step = per_file or num_logged
    paths = _name_files(path, stem, -(-num_logged // step), per_file is not None)
    for index, file_path in enumerate(paths):
        frames = range(index * step, min((index + 1) * step, num_logged))
        with file_path.open("wb") as file:
            _write_file(file, acquisition, frames)
    return paths


def _name_files(path: Path, stem: str, num_files: int, numbered: bool) -> list[Path]:
    """Return the paths of the files, and create the folder."""
    if path.suffix.lower() in _SUFFIXES:
        if numbered:
            raise ValueError(f"'{path}' is one file; give a folder to write several.")
        return [path]
    path.mkdir(parents=True, exist_ok=True)
    if not numbered:
        return [path / f"{stem}_00001.tif"]
    return [path / f"{stem}_00001_{index:05d}.tif" for index in range(1, num_files + 1)]


def _write_file(file: BinaryIO, acquisition: Acquisition, frames: range) -> None:
    """Write the header and one page for each frame and channel."""
    texts = [text(acquisition).encode() + b"\0" for text in (frame_data, roi_groups)]
    lengths = [len(text) for text in texts]
    offset = _round_up(_HEADER_LENGTH + sum(lengths))
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset))
    file.write(struct.pack("<IIII", _MAGIC_NUMBER, _VERSION, *lengths))
    file.write(b"".join(texts).ljust(offset - _HEADER_LENGTH, b"\0"))
    last = (frames[-1], max(acquisition.channels))
    for frame in frames:
        description = frame_description(acquisition, frame).ljust(_DESCRIPTION_LENGTH)
        for number, movie in acquisition.channels.items():
            image = acquisition.image(movie, frame)
            page = description.encode() + b"\0"
            page = page.ljust(_round_up(len(page)), b"\0") + image.tobytes()
            following = _round_up(offset + _DIRECTORY_LENGTH + len(page))
            is_last = (frame, number) == last
            file.write(_directory(acquisition, offset, 0 if is_last else following, lengths))
            file.write(page.ljust(following - offset - _DIRECTORY_LENGTH, b"\0"))
            offset = following


def _directory(acquisition: Acquisition, offset: int, following: int, lengths: list[int]) -> bytes:
    """Return the directory of a page at `offset`, which links to the `following` page."""
    _, num_rows, num_columns, _ = acquisition.movie_shape
    signed = next(iter(acquisition.channels.values())).dtype.kind == "i"
    description = offset + _DIRECTORY_LENGTH
    pixels = _round_up(description + _DESCRIPTION_LENGTH + 1)
    # Pixels per centimetre: 10,000 µm over the size of a pixel in µm, as a fraction over 2**30.
    resolution = struct.pack("<II", 2**30, round(2**30 * acquisition.pixel_size / 10_000))
    tags: list[tuple[int, int, int, int | bytes]] = [
        (256, _SHORT, 1, num_columns),  # ImageWidth
        (257, _SHORT, 1, num_rows),  # ImageLength
        (258, _SHORT, 1, 16),  # BitsPerSample
        (259, _SHORT, 1, 1),  # Compression: none
        (262, _SHORT, 1, 1),  # PhotometricInterpretation: the smallest value is black
        (270, _TEXT, _DESCRIPTION_LENGTH + 1, description),  # ImageDescription
        (273, _LONG8, 1, pixels),  # StripOffsets
        (274, _SHORT, 1, 1),  # Orientation: the first row is at the top
        (277, _SHORT, 1, 1),  # SamplesPerPixel
        (278, _SHORT, 1, num_rows),  # RowsPerStrip
        (279, _LONG8, 1, num_rows * num_columns * 2),  # StripByteCounts
        (282, _RATIONAL, 1, resolution),  # XResolution
        (283, _RATIONAL, 1, resolution),  # YResolution
        (284, _SHORT, 1, 1),  # PlanarConfiguration
        (296, _SHORT, 1, 3),  # ResolutionUnit: centimetre
        (305, _TEXT, lengths[0], _HEADER_LENGTH),  # Software
        (315, _TEXT, lengths[1], _HEADER_LENGTH + lengths[0]),  # Artist
        (339, _SHORT, 1, 2 if signed else 1),  # SampleFormat
    ]
    entries = [
        struct.pack("<HHQ", code, kind, count)
        + (value if isinstance(value, bytes) else struct.pack("<Q", value))
        for code, kind, count, value in tags
    ]
    return struct.pack("<Q", _NUM_TAGS) + b"".join(entries) + struct.pack("<Q", following)


def _round_up(length: int) -> int:
    """Return the next multiple of 8, at which ScanImage aligns its sections."""
    return -(-length // 8) * 8


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a file of ScanImage; return the source arguments."""
    (path,) = write_scanimage(folder / "si.tif", recording.movie, sampling_frequency=30.0)
    return {"file_path": path}
