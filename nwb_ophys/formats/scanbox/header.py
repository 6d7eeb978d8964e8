"""Read the ``.mat`` file of a Scanbox recording, and derive sizes, channels and rates from it.

Source of the layout: https://scanbox.org/2016/09/02/reading-scanbox-files-in-python/ and the fields
of real files. The frames of the regions of a mesoscope take turns, as Scanbox's own sbxsplit.m
reads them.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.extractors.ranges import check_stated_rate
from nwb_ophys.filetypes.files import unreadable_file
from nwb_ophys.filetypes.matlab.claims import check_level5
from nwb_ophys.metadata import possible_number
from nwb_ophys.optional import require_package
from nwb_ophys.outside import check_file

# Scanbox 1 does not state the number of columns.
_COLUMNS_OF_VERSION_1 = 796
_MOST_LINES = 100_000
_SPLIT = (
    "Split the file into one per region with Scanbox (sbxsplit), set mesoscope.enabled to 0 in "
    "their .mat files, and convert those."
)
# Saved photomultipliers by the code ``channels``.
_SAVED_CHANNELS = {1: (0, 1), 2: (0,), 3: (1,)}


@attrs.frozen(kw_only=True)
class ScanboxHeader:
    """Metadata from the ``.mat`` file.

    Attributes
    ----------
    path : pathlib.Path
    info : object
        The struct ``info``, with its fields as attributes.
    num_rows, num_columns : int
        Shape of a frame.
    channels : tuple of int
        Numbers of the saved photomultipliers.
    num_planes : int
        Frames per volume; 1 for a single plane.
    num_regions : int
        Regions that the frames of a mesoscope alternate between; 1 for a single one.
    frame_rate : float or None
        Frames per second in Hz, counting all planes.
    line_rate : float or None
        Lines per second in Hz.
    frames_requested : int
        Number of requested frames; 0 for a recording until it is stopped.
    """

    path: Path
    info: Any = attrs.field(repr=False)
    num_rows: int
    num_columns: int
    channels: tuple[int, ...]
    num_planes: int
    num_regions: int
    frame_rate: float | None
    line_rate: float | None
    frames_requested: int

    @property
    def channel_names(self) -> list[str]:
        """Names of the saved channels, as Scanbox calls them."""
        return [f"PMT{number}" for number in self.channels]

    @property
    def frame_bytes(self) -> int:
        """Size of a frame with all channels in the ``.sbx`` file, in bytes."""
        return self.num_rows * self.num_columns * len(self.channels) * 2

    @property
    def frames_per_sample(self) -> int:
        """Frames from a sample to the next one of the same region."""
        return self.num_planes * self.num_regions

    @property
    def sampling_frequency(self) -> float | None:
        """Samples (frames, or volumes of several planes) of a region per second in Hz."""
        return None if self.frame_rate is None else self.frame_rate / self.frames_per_sample

    def region_corner(self, region: int) -> tuple[float, float] | None:
        """Return the settings of both galvanometers for a region, in their own unit, if stated."""
        mesoscope = getattr(self.info, "mesoscope", None)
        both = [np.atleast_1d(getattr(mesoscope, f"galvo_{name}", ())) for name in "ab"]
        if any(each.shape != (self.num_regions,) or each.dtype.kind not in "iuf" for each in both):
            return None
        return float(both[0][region]), float(both[1][region])


def scanbox_files(path: Path) -> tuple[Path, Path]:
    """Return the ``.sbx`` file and the ``.mat`` file of a recording, given either of them.

    Raises
    ------
    SourceNotFoundError, SourceArgumentError
        When one of them does not exist, or the path is neither.
    """
    if path.suffix.lower() not in (".sbx", ".mat") or path.is_dir():
        raise SourceArgumentError(f"'{path}' is not a .sbx file of Scanbox; give one.")
    found = []
    for suffix in (".sbx", ".mat"):
        own = path if path.suffix.lower() == suffix else path.with_suffix(suffix)
        own = own if own.is_file() else own.with_suffix(suffix.upper())
        if not own.is_file():
            raise SourceNotFoundError(
                f"'{own.with_suffix(suffix)}' does not exist; a Scanbox recording is a .sbx file "
                "with the pixels and a .mat file with the same name. Put both into one folder."
            )
        found.append(own)
    return found[0], found[1]


def read_scanbox_header(path: Path) -> ScanboxHeader:
    """Read the ``.mat`` file of a recording.

    Raises
    ------
    CorruptSourceError
        When it cannot be read, was not written by Scanbox, or is inconsistent.
    SourceError
        When it states a scan of regions whose frames are in an unknown order.
    MissingPackageError
        When scipy is not installed.
    """
    info = _read_info(path)
    _warn_of_line_scan(path, info)
    num_planes, num_regions = _num_planes(path, info), _num_regions(path, info)
    if num_planes > 1 and num_regions > 1:
        raise SourceError(
            f"'{path}' states a scan of {num_regions} regions (mesoscope.galvo_a) in {num_planes} "
            f"planes. The order of its frames is not known, so they are not read. {_SPLIT}"
        )
    rows = _whole(path, info, "recordsPerBuffer")
    # In a bidirectional scan a record is two lines, forwards and backwards.
    rows *= 2 if _is_bidirectional(path, info) else 1
    columns = _num_columns(path, info, rows)
    line_rate = _line_rate(path, info)
    config = getattr(info, "config", None)
    requested = int(struct_number(config, "frames") or 0)
    fold = int(struct_number(info, "fold_lines") or 0)
    if fold:
        if fold < 0 or rows % fold:
            raise CorruptSourceError(
                f"'{path}' states that frames of {rows} lines are folded into frames of {fold} "
                f"lines, but {rows} is not a multiple of {fold}; check fold_lines."
            )
        requested *= rows // fold
        rows = fold
    lines = fold or _scanned_lines(path, info, rows)
    return ScanboxHeader(
        path=path,
        info=info,
        num_rows=rows,
        num_columns=columns,
        channels=_channels(path, info),
        num_planes=num_planes,
        num_regions=num_regions,
        frame_rate=None if line_rate is None else line_rate / lines,
        line_rate=line_rate,
        frames_requested=requested,
    )


def _scanned_lines(path: Path, info: Any, rows: int) -> float:
    """Return the lines that are scanned for a frame of some rows; warn if they are not its rows.

    Lines that are scanned may be left out of the frame, but a frame has no other lines.
    """
    stated = struct_number(getattr(info, "config", None), "lines")
    lines = possible_number(stated, most=_MOST_LINES) or rows
    if lines != rows:
        warnings.warn(
            f"'{path}' states {lines:g} lines of a frame (config.lines) and frames of {rows} lines "
            f"(recordsPerBuffer and scanmode); the rate is that of frames of {max(lines, rows):g} "
            "lines. Check it; give sampling_frequency for another one.",
            UserWarning,
            stacklevel=3,
        )
    return max(lines, rows)


def _num_columns(path: Path, info: Any, rows: int) -> int:
    """Return the number of columns; warn if another number of rows is stated beside it."""
    size = np.atleast_1d(getattr(info, "sz", ()))
    if size.size != 2:
        return _COLUMNS_OF_VERSION_1
    if size.dtype.kind not in "biuf" or not (size >= 1).all():
        raise CorruptSourceError(
            f"'{path}' states sz = {size.tolist()}; it must be two integers of at least 1."
        )
    if int(size[0]) != rows:
        warnings.warn(
            f"'{path}' states frames of {int(size[0])} lines (sz) and of {rows} lines "
            f"(recordsPerBuffer and scanmode); the pixels are read as frames of {rows} lines.",
            UserWarning,
            stacklevel=3,
        )
    return int(size[1])


def _read_info(path: Path) -> Any:
    read = require_package("scipy.io", "scanbox").loadmat
    check_level5(path, ["info"])
    try:
        check_file(path)
        with path.open("rb") as file:
            found = read(file, squeeze_me=True, struct_as_record=False, variable_names=["info"])
    except NotImplementedError as error:
        raise CorruptSourceError(
            f"'{path}' is a MATLAB file of version 7.3, which Scanbox does not write; load it in "
            "MATLAB and save info with '-v7'."
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise unreadable_file(path, "a MATLAB file", error) from error
    info = found.get("info")
    if not hasattr(info, "recordsPerBuffer"):
        raise CorruptSourceError(
            f"'{path}' has no info with recordsPerBuffer; it is not the .mat file that Scanbox "
            "wrote with the .sbx file. Copy that file into the same folder."
        )
    return info


def struct_number(struct: Any, name: str) -> float | None:
    """Return a field of a struct as a number; None if it is missing, empty or not a number."""
    value = np.asarray(getattr(struct, name, ()))
    if value.size != 1 or value.dtype.kind not in "biuf" or not math.isfinite(value.item()):
        return None
    return float(value.item())


def _whole(path: Path, info: Any, name: str) -> int:
    value = struct_number(info, name)
    if value is None or value < 1 or value != int(value):
        raise CorruptSourceError(
            f"'{path}' states {name} = {getattr(info, name, None)!r}; it must be an integer of at "
            "least 1."
        )
    return int(value)


def _is_bidirectional(path: Path, info: Any) -> bool:
    if not hasattr(info, "scanmode"):
        return False  # the first versions of Scanbox scanned in one direction only
    mode = struct_number(info, "scanmode")
    if mode not in (0, 1):
        raise CorruptSourceError(
            f"'{path}' states scanmode = {getattr(info, 'scanmode', None)!r}; it must be 0 "
            "(bidirectional) or 1 (unidirectional)."
        )
    return mode == 0


def _line_rate(path: Path, info: Any) -> float | None:
    """Return lines per second: the mirror scans one or two lines per period."""
    frequency = struct_number(info, "resfreq")
    if not frequency:
        return None
    check_stated_rate(path, frequency, "resfreq")
    return frequency * (2 if _is_bidirectional(path, info) else 1)


def _channels(path: Path, info: Any) -> tuple[int, ...]:
    code = struct_number(info, "channels")
    # Since version 3 a struct replaces the code, which then is -1 or has no meaning.
    stated = getattr(info, "chan", None)
    count = struct_number(stated, "nchan")
    coded = _SAVED_CHANNELS.get(code, ())  # type: ignore[call-overload]
    if coded and count in (None, len(coded)):
        return coded
    if count is None or count < 1:
        raise CorruptSourceError(
            f"'{path}' states channels = {getattr(info, 'channels', None)!r} and no chan.nchan; "
            f"known are {', '.join(map(str, _SAVED_CHANNELS))}, and -1 with chan.nchan."
        )
    for name in ("save", "sample"):
        chosen = np.flatnonzero(np.atleast_1d(getattr(stated, name, ())))
        if len(chosen) == count:
            return tuple(chosen.tolist())
    return tuple(range(int(count)))


def _num_planes(path: Path, info: Any) -> int:
    """Return the number of planes that a tunable lens visits, one frame each.

    Newer versions of Scanbox state them in ``etl_table``, a row per plane, and may leave an older
    ``otwave`` in the file. The third number of ``otparam`` is the length of ``otwave``.
    """
    counts = {
        "etl_table": _num_rows(info, "etl_table"),
        "otwave": np.atleast_1d(getattr(info, "otwave", ())).size,
        "otparam": _stated_period(info),
    }
    source = next((name for name, count in counts.items() if count), None)
    is_volume = struct_number(info, "volscan")
    if is_volume == 0 or (is_volume is None and source in (None, "otparam")):
        return 1
    if source is None:
        warnings.warn(
            f"'{path}' states a scan of volumes (volscan) without its planes (etl_table, otwave "
            "and otparam are empty); the frames are read as a time series of one plane.",
            UserWarning,
            stacklevel=3,
        )
        return 1
    if source == "otwave" and counts["otparam"] not in (0, counts["otwave"]):
        warnings.warn(
            f"'{path}' states {counts['otwave']} planes in otwave and {counts['otparam']} in "
            f"otparam; the frames are read as volumes of {counts['otwave']} planes. Check them.",
            UserWarning,
            stacklevel=3,
        )
    return counts[source]


def _num_rows(info: Any, name: str) -> int:
    """Return the number of rows of a table of two columns; 0 if it is missing or empty."""
    table = np.asarray(getattr(info, name, ()))
    if not table.size or table.dtype.kind not in "biuf":
        return 0
    # scipy returns a table of one row, a plane and its power, without the axis of rows.
    return 1 if table.shape == (2,) else np.atleast_1d(table).shape[0]


def _stated_period(info: Any) -> int:
    """Return the number of steps of the lens in ``otparam``: lowest, highest, number."""
    values = np.atleast_1d(getattr(info, "otparam", ()))
    if values.shape != (3,) or values.dtype.kind not in "biuf" or not np.isfinite(values[2]):
        return 0
    return max(int(values[2]), 0)


def _num_regions(path: Path, info: Any) -> int:
    """Return the number of regions that a mesoscope visits, one frame each."""
    mesoscope = getattr(info, "mesoscope", None)
    if not struct_number(mesoscope, "enabled"):
        return 1
    count = np.atleast_1d(getattr(mesoscope, "galvo_a", ())).size
    if not count:
        fields = ", ".join(getattr(mesoscope, "_fieldnames", ()))
        raise SourceError(
            f"'{path}' states a scan of regions by a mesoscope (mesoscope.enabled; its fields: "
            f"{fields}), but not its regions (galvo_a), so that the order of the frames is not "
            f"known and they are not read. {_SPLIT}"
        )
    return count


def _warn_of_line_scan(path: Path, info: Any) -> None:
    if struct_number(info, "area_line") == 0:
        warnings.warn(
            f"'{path}' states a line scan (area_line is 0): rows of its frames are then times at "
            "one line, not places. They are written as frames; check them.",
            UserWarning,
            stacklevel=3,
        )
