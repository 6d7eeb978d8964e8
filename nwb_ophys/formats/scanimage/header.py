"""Parse the header of a ScanImage recording into metadata (ScanImage 2016 and later)."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path

import attrs

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.scanimage.text import HeaderProperties, read_header_texts

EPOCH = re.compile(r"^epoch = \[([^\]]*)\]", re.MULTILINE)


@attrs.frozen(kw_only=True)
class ScanImageMetadata:
    """Metadata from the header of a ScanImage recording; None where not stated.

    Attributes
    ----------
    path : Path
        The file.
    version_major, version_minor : int or None
        Version of ScanImage, such as 2021 and 0.
    channel_names : tuple of str
        Names of the saved channels, in the order of their pages.
    channel_numbers : tuple of int
        Numbers of the saved channels as ScanImage counts them, from 1.
    is_volumetric : bool
        Whether there are several planes.
    num_planes : int
        Number of planes of a volume (slices in ScanImage's terms), without flyback.
    frames_per_slice : int
        Number of saved frames of each plane before the next plane.
    num_flyback_frames : int
        Number of saved flyback frames between two volumes.
    frame_rate, volume_rate : float or None
        Frames and volumes per second, in Hz.
    line_period : float or None
        Duration of a line, in seconds.
    pixels_per_line, lines_per_frame : int or None
        Shape of a frame.
    scan_mode : str or None
        ``"resonant"`` or ``"linear"``.
    is_bidirectional : bool or None
        Whether every other line is scanned backwards.
    pmt_gains : tuple of float or None
        Gain of the photomultiplier of each saved channel, in ScanImage's unit. ScanImage lists
        gains by photomultiplier; None unless the list covers the number of each saved channel,
        since the header does not match photomultipliers to channels.
    objective_resolution : float or None
        Micrometres in the sample per degree of scan angle.
    zoom_factor : float or None
        Zoom of the scan.
    field_of_view : tuple of float or None
        Extent of a frame along (x, y), in micrometres.
    pixel_size : tuple of float or None
        Extent of a pixel along (x, y), in micrometres; None for several regions of interest.
    plane_positions : tuple of float or None
        Depth of each plane (SI.hStackManager.zs), in micrometres.
    epoch : datetime or None
        Date and time of timestamp 0, in local time without a zone.
    acquisition_state : str
        ``"grab"``, ``"loop"`` or ``"focus"``.
    frames_per_file : float
        Number of frames after which ScanImage started a new file; infinite if never.
    stack_mode : str
        ``"fast"`` or ``"slow"``; empty if not stated.
    average_factor : int
        Number of frames averaged into each saved frame.
    """

    path: Path
    version_major: int | None
    version_minor: int | None
    channel_names: tuple[str, ...]
    channel_numbers: tuple[int, ...]
    is_volumetric: bool
    num_planes: int
    frames_per_slice: int
    num_flyback_frames: int
    frame_rate: float | None
    volume_rate: float | None
    line_period: float | None
    pixels_per_line: int | None
    lines_per_frame: int | None
    scan_mode: str | None
    is_bidirectional: bool | None
    pmt_gains: tuple[float, ...] | None
    objective_resolution: float | None
    zoom_factor: float | None
    field_of_view: tuple[float, float] | None
    pixel_size: tuple[float, float] | None
    plane_positions: tuple[float, ...] | None
    epoch: datetime | None
    acquisition_state: str
    frames_per_file: float
    stack_mode: str
    average_factor: int

    @property
    def sampling_frequency(self) -> float | None:
        """Volumes per second if there are several planes, else frames per second; in Hz."""
        return self.volume_rate if self.is_volumetric else self.frame_rate

    @property
    def line_rate(self) -> float | None:
        """Lines per second, in Hz."""
        return None if self.line_period is None else 1.0 / self.line_period

    @property
    def frames_per_cycle(self) -> int:
        """Number of saved frames of each channel from one volume to the next."""
        return self.num_planes * self.frames_per_slice + self.num_flyback_frames


def scanimage_metadata(path: str | PathLike[str]) -> ScanImageMetadata:
    """Read the metadata in the header of a ScanImage recording; takes milliseconds.

    Parameters
    ----------
    path : str or Path
        A file of the recording.

    Returns
    -------
    ScanImageMetadata
        The properties that NWB needs.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError, SourceError
        If the file is missing, is not a TIFF, is not from ScanImage 2016 or later, or if the
        numbers of channels and planes in its header are missing or inconsistent.
    """
    file_path = Path(path)
    header, description = read_header_texts(file_path)
    return parse_header(file_path, header, description)


def parse_header(path: Path, header: str, description: str) -> ScanImageMetadata:
    """Parse the texts that `read_header_texts` returns; the path is for messages."""
    si = HeaderProperties(path, header)
    numbers = tuple(int(number) for number in si.numbers("hChannels.channelSave"))
    names = si.texts("hChannels.channelName")
    if not numbers or max(numbers) > len(names):
        raise CorruptSourceError(
            f"'{path}': its header lists the saved channels {numbers}, but the names {names}; "
            "read it as a plain TIFF stack."
        )
    num_planes, frames_per_slice, num_flyback = _stack_sizes(si)
    view, size = _field_of_view(si)
    return ScanImageMetadata(
        path=path,
        version_major=si.integer("VERSION_MAJOR"),
        version_minor=si.integer("VERSION_MINOR"),
        channel_names=tuple(names[number - 1] for number in numbers),
        channel_numbers=numbers,
        is_volumetric=num_planes > 1,
        num_planes=num_planes,
        frames_per_slice=frames_per_slice,
        num_flyback_frames=num_flyback,
        frame_rate=si.number("hRoiManager.scanFrameRate"),
        volume_rate=si.number("hRoiManager.scanVolumeRate"),
        line_period=si.number("hRoiManager.linePeriod"),
        pixels_per_line=si.integer("hRoiManager.pixelsPerLine"),
        lines_per_frame=si.integer("hRoiManager.linesPerFrame"),
        scan_mode=si.value("hScan2D.scanMode"),
        is_bidirectional=si.value("hScan2D.bidirectional"),
        pmt_gains=_pmt_gains(si, numbers),
        objective_resolution=si.number("objectiveResolution"),
        zoom_factor=si.number("hRoiManager.scanZoomFactor"),
        field_of_view=view,
        pixel_size=size,
        plane_positions=_plane_positions(si, num_planes),
        epoch=parse_epoch(description),
        acquisition_state=str(si.value("acqState") or ""),
        frames_per_file=float(si.number("hScan2D.logFramesPerFile") or math.inf),
        stack_mode=str(si.value("hStackManager.stackMode") or ""),
        average_factor=si.integer("hScan2D.logAverageFactor") or 1,
    )


def parse_epoch(description: str) -> datetime | None:
    """Return the local date and time of timestamp 0 from the description of a page, or None."""
    match = EPOCH.search(description)
    numbers = [float(part) for part in match[1].replace(",", " ").split()] if match else []
    if len(numbers) != 6:
        return None
    year, month, day, hour, minute = (int(number) for number in numbers[:5])
    try:
        # Seconds may round to 60, which datetime refuses.
        return datetime(year, month, day, hour, minute) + timedelta(seconds=numbers[5])
    except (ValueError, OverflowError):  # zeros, where the clock was not read
        return None


def _stack_sizes(si: HeaderProperties) -> tuple[int, int, int]:
    """Return planes, saved frames per slice and saved flyback frames of a volume."""
    enabled = si.value("hStackManager.enable")
    if enabled is None:  # ScanImage 2016 to 2018
        enabled = si.value("hFastZ.enable")
    num_slices = si.integer("hStackManager.numSlices") or 1
    # A single plane is not a volume, even if the stack manager is switched on.
    if not enabled or num_slices <= 1:
        return 1, 1, 0
    per_slice = si.integer("hStackManager.framesPerSlice") or 1
    per_volume = si.integer("hStackManager.numFramesPerVolume") or per_slice * num_slices
    with_flyback = si.integer("hStackManager.numFramesPerVolumeWithFlyback")
    if with_flyback is None and si.value("hFastZ.discardFlybackFrames"):
        with_flyback = per_volume + (si.integer("hFastZ.numDiscardFlybackFrames") or 0)
    flyback = (with_flyback or per_volume) - per_volume
    factor = si.integer("hScan2D.logAverageFactor") or 1
    if per_volume != per_slice * num_slices or flyback < 0:
        raise SourceError(
            f"'{si.path}': its header states {num_slices} slices of {per_slice} frames, but "
            f"{per_volume} frames per volume and {with_flyback} with flyback; the order of the "
            "planes is unclear. Read it as a plain TIFF stack."
        )
    # ScanImage averages only frames of the same slice, before it saves them.
    if per_slice % factor or (factor > 1 and flyback):
        raise SourceError(
            f"'{si.path}': its header states that {factor} frames were averaged, but {per_slice} "
            f"frames per slice and {flyback} flyback frames; the order of the planes is unclear. "
            "Read it as a plain TIFF stack."
        )
    return num_slices, per_slice // factor, flyback


def _plane_positions(si: HeaderProperties, num_planes: int) -> tuple[float, ...] | None:
    """Return the depth of each plane in micrometres; None for a single plane or if unclear."""
    zs = si.numbers("hStackManager.zs", ())
    has_positions = num_planes > 1 and len(zs) >= num_planes and len(zs) % num_planes == 0
    return zs[:: len(zs) // num_planes] if has_positions else None


def _pmt_gains(si: HeaderProperties, channel_numbers: tuple[int, ...]) -> tuple[float, ...] | None:
    """Return the gain of the photomultiplier of each saved channel; None if not known."""
    gains = si.numbers("hPmts.gains", ())
    if len(gains) < max(channel_numbers):
        return None
    return tuple(gains[number - 1] for number in channel_numbers)


def _field_of_view(
    si: HeaderProperties,
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Return extents of a frame and of a pixel along (x, y), in micrometres."""
    # x and y of each of the four corners of the frame, alternating.
    corners = si.numbers("hRoiManager.imagingFovUm", ())
    if len(corners) != 8:
        return None, None
    width, height = max(corners[::2]) - min(corners[::2]), max(corners[1::2]) - min(corners[1::2])
    columns = si.integer("hRoiManager.pixelsPerLine")
    rows = si.integer("hRoiManager.linesPerFrame")
    if not columns or not rows or si.value("hRoiManager.mroiEnable"):
        return (width, height), None
    return (width, height), (width / columns, height / rows)
