"""Parse the header of a ScanImage recording into metadata (ScanImage 4 and later)."""

from __future__ import annotations

import math
import re
from datetime import datetime
from os import PathLike
from pathlib import Path

import attrs

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.scanimage.frames import parse_epoch
from nwb_ophys.formats.scanimage.generations import stated_version
from nwb_ophys.formats.scanimage.stacks import Stack, averaged_frames, stack_of
from nwb_ophys.formats.scanimage.text import HeaderProperties, read_header_texts
from nwb_ophys.metadata import possible_number
from nwb_ophys.remote.paths import as_path

CHANNEL_IN_NAME = r"_chn(\d+)"
"""Pattern of the end of the names of files with one channel each (``logFilePerChannel``)."""

_FARTHEST_UM = 1e6


@attrs.frozen(kw_only=True)
class ScanImageMetadata:
    """Metadata from the header of a ScanImage recording; None where not stated.

    Attributes
    ----------
    path : Path
        The file.
    version_major, version_minor : int or None
        Version of ScanImage, such as 2021 and 0.
    version : str
        Version of ScanImage as text, such as ``"2021.0"`` or ``"4.2"``; empty if not stated.
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
        Saved frames and volumes per second, in Hz: the scanner's rate over ``average_factor``.
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
    scan_positions : tuple of float
        Depths as listed in the header (SI.hStackManager.zs), also of a single plane.
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
    is_summed : bool
        Whether these frames were added and not divided by their number
        (``logAverageDisableDivide``).
    is_line_scan : bool
        Whether the slow axis rested (``scanAngleMultiplierSlow``), so that all rows of a frame are
        of one line.
    has_regions : bool
        Whether several regions of interest may have been scanned (``mroiEnable``).
    flyto_rows : tuple of int
        Possible numbers of rows from one region to the next, as the durations in the header imply;
        empty if not stated.
    """

    path: Path
    version_major: int | None
    version_minor: int | None
    version: str
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
    scan_positions: tuple[float, ...]
    epoch: datetime | None
    acquisition_state: str
    frames_per_file: float
    stack_mode: str
    average_factor: int
    is_summed: bool
    is_line_scan: bool
    has_regions: bool
    flyto_rows: tuple[int, ...]

    @property
    def sampling_frequency(self) -> float | None:
        """Volumes per second if there are several planes, else frames per second; in Hz."""
        return self.volume_rate if self.is_volumetric else self.frame_rate

    @property
    def line_rate(self) -> float | None:
        """Lines per second, in Hz."""
        return None if not self.line_period else 1.0 / self.line_period

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
        If the file is missing, is not a TIFF, is not from ScanImage 4 or later, or if the
        numbers of channels and planes in its header are missing or inconsistent.
    """
    file_path = as_path(path)
    header, description = read_header_texts(file_path)
    return parse_header(file_path, header, description)


def parse_header(path: Path, header: str, description: str) -> ScanImageMetadata:
    """Parse the texts that `read_header_texts` returns; the path is for messages."""
    si = HeaderProperties(path, header)
    numbers, names = _channels_in_file(path, *_saved_channels(si))
    stack = stack_of(si)
    view, size = _field_of_view(si)
    frame_rate, volume_rate = _rates(si, stack)
    return ScanImageMetadata(
        path=path,
        version_major=si.integer("VERSION_MAJOR"),
        version_minor=si.integer("VERSION_MINOR"),
        version=_version(si, header),
        channel_names=names,
        channel_numbers=numbers,
        is_volumetric=stack.num_planes > 1,
        num_planes=stack.num_planes,
        frames_per_slice=stack.frames_per_slice,
        num_flyback_frames=stack.num_flyback_frames,
        frame_rate=frame_rate,
        volume_rate=volume_rate,
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
        plane_positions=_plane_positions(si, stack.num_planes),
        scan_positions=si.numbers("hStackManager.zs", ()),
        epoch=parse_epoch(description),
        acquisition_state=str(si.value("acqState") or ""),
        frames_per_file=float(si.number("hScan2D.logFramesPerFile") or math.inf),
        stack_mode=stack.mode,
        average_factor=averaged_frames(si),
        is_summed=bool(si.value("hScan2D.logAverageDisableDivide")),
        is_line_scan=_is_line_scan(si),
        has_regions=bool(si.value("hRoiManager.mroiEnable")),
        flyto_rows=_flyto_rows(si),
    )


def _version(si: HeaderProperties, header: str) -> str:
    """Return the version as text, such as ``2021.0``."""
    major = stated_version(header)
    minor = si.value("VERSION_MINOR")
    # ScanImage 4 states 4.2 as its major version.
    return major if minor is None or not major or "." in major else f"{major}.{minor}"


def _saved_channels(si: HeaderProperties) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the numbers of the saved channels, from 1, and their names."""
    numbers = tuple(int(number) for number in si.numbers("hChannels.channelSave"))
    if si.is_old:  # channels have no names
        return numbers, tuple(f"Channel {number}" for number in numbers)
    names = si.texts("hChannels.channelName")
    if not numbers or max(numbers) > len(names):
        raise CorruptSourceError(
            f"'{si.path}': its header lists the saved channels {numbers}, but the names {names}; "
            "read it as a plain TIFF stack."
        )
    return numbers, tuple(names[number - 1] for number in numbers)


def channel_of_file(path: Path) -> int | None:
    """Return the number of the channel that the name of a file states; None if it states none."""
    match = re.search(rf"{CHANNEL_IN_NAME}$", path.stem)
    return None if match is None else int(match[1])


def _channels_in_file(
    path: Path, numbers: tuple[int, ...], names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the channels of a file, which is one if ScanImage saved each to a file of its own.

    The header then lists the channels of all files.
    """
    own = channel_of_file(path)
    if own not in numbers:
        return numbers, names
    return (own,), (names[numbers.index(own)],)


def _rates(si: HeaderProperties, stack: Stack) -> tuple[float | None, float | None]:
    """Return saved frames per second and volumes per second, in Hz."""
    rate, period = (
        possible_number(si.number(f"hRoiManager.scanFrame{each}")) for each in ("Rate", "Period")
    )
    scanned = rate if rate or not period else 1 / period
    saved = scanned / averaged_frames(si) if scanned else None
    # Frames are averaged within a slice, so that the rate of volumes remains.
    volumes = possible_number(si.number("hRoiManager.scanVolumeRate"))
    is_early_slow = stack.mode == "slow" and si.value("hStackManager.enable") is None
    if stack.num_planes > 1 and (not volumes or is_early_slow):
        volume_period = possible_number(si.number("hFastZ.volumePeriod"))
        volumes = 1 / volume_period if volume_period and not saved else None
        volumes = saved / stack.frames_per_cycle if saved else volumes
    return saved, volumes


def _is_line_scan(si: HeaderProperties) -> bool:
    """Return whether the slow axis rested; regions of interest have scan angles of their own."""
    slow = si.number("hRoiManager.scanAngleMultiplierSlow")
    return slow == 0 and not si.value("hRoiManager.mroiEnable")


def _flyto_rows(si: HeaderProperties) -> tuple[int, ...]:
    """Return the possible numbers of rows from one region to the next."""
    duration = si.number("hScan2D.flytoTimePerScanfield")
    line = si.number("hRoiManager.linePeriod")
    if duration is None or not line:
        return ()
    rows = {round(duration / line)}
    # A resonant scanner flies for whole periods, each of one line, or two if it is bidirectional.
    frequency = si.number("hScan2D.scannerFrequency")
    lines = 1 / (frequency * line) if frequency else 0.0
    if frequency and round(lines) in (1, 2) and abs(lines - round(lines)) < 0.05:
        rows.add(math.ceil(round(duration * frequency, 3)) * round(lines))
    return tuple(sorted(rows))


def _plane_positions(si: HeaderProperties, num_planes: int) -> tuple[float, ...] | None:
    """Return the depth of each plane in micrometres; None for a single plane or if unclear."""
    zs = si.numbers("hStackManager.zs", ())
    has_positions = num_planes > 1 and len(zs) >= num_planes and len(zs) % num_planes == 0
    has_positions = has_positions and all(abs(z) <= _FARTHEST_UM for z in zs)
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
    # x and y of each of the four corners of the frame, in the order of its outline: the first two
    # are the ends of the first line. The scan may be rotated.
    corners = si.numbers("hRoiManager.imagingFovUm", ())
    if len(corners) != 8:
        return None, None
    first, second, third = ((corners[i], corners[i + 1]) for i in (0, 2, 4))
    width, height = round(math.dist(first, second), 9), round(math.dist(second, third), 9)
    columns = si.integer("hRoiManager.pixelsPerLine")
    rows = si.integer("hRoiManager.linesPerFrame")
    # The field of a line scan has no extent along y.
    if not columns or not rows or not width * height or si.value("hRoiManager.mroiEnable"):
        return (width, height), None
    return (width, height), (width / columns, height / rows)
