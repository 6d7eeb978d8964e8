"""What the ``.mat`` file of a Scanbox recording states, and what follows from it.

Source of the layout: https://scanbox.org/2016/09/02/reading-scanbox-files-in-python/ and the fields
of real files.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceNotFoundError
from nwb_ophys.optional import require_package

# Scanbox 1 does not state how many columns it writes.
_COLUMNS_OF_VERSION_1 = 796
# By the code ``channels``, which of the photomultipliers were saved.
_SAVED = {1: (0, 1), 2: (0,), 3: (1,)}


@attrs.frozen(kw_only=True)
class ScanboxHeader:
    """What the ``.mat`` file states.

    Attributes
    ----------
    path : pathlib.Path
    info : object
        The struct ``info``, whose fields are attributes.
    num_rows, num_columns : int
        Of a frame.
    channels : tuple of int
        Numbers of the photomultipliers that were saved.
    num_planes : int
        Frames of a volume; 1 where one plane was scanned.
    frame_rate : float or None
        Frames per second in Hz, of whichever plane.
    line_rate : float or None
        Lines per second in Hz.
    frames_requested : int
        Frames that Scanbox was asked for; 0 where it was to go on until it is stopped.
    """

    path: Path
    info: Any = attrs.field(repr=False)
    num_rows: int
    num_columns: int
    channels: tuple[int, ...]
    num_planes: int
    frame_rate: float | None
    line_rate: float | None
    frames_requested: int

    @property
    def channel_names(self) -> list[str]:
        """Names of the saved channels, as Scanbox has them."""
        return [f"PMT{number}" for number in self.channels]

    @property
    def frame_bytes(self) -> int:
        """Size of a frame of all channels in the ``.sbx`` file."""
        return self.num_rows * self.num_columns * len(self.channels) * 2

    @property
    def sampling_frequency(self) -> float | None:
        """Frames, or volumes where there are planes, per second in Hz."""
        return None if self.frame_rate is None else self.frame_rate / self.num_planes


def scanbox_files(path: Path) -> tuple[Path, Path]:
    """Return the ``.sbx`` file and the ``.mat`` file of a recording, from either.

    Raises
    ------
    SourceNotFoundError, SourceArgumentError
        When one is not there, or the path is neither.
    """
    if path.suffix.lower() not in (".sbx", ".mat") or path.is_dir():
        raise SourceArgumentError(f"'{path}' is no .sbx file of Scanbox; give one.")
    found = []
    for suffix in (".sbx", ".mat"):
        own = path if path.suffix.lower() == suffix else path.with_suffix(suffix)
        own = own if own.is_file() else own.with_suffix(suffix.upper())
        if not own.is_file():
            raise SourceNotFoundError(
                f"'{own.with_suffix(suffix)}' does not exist; a Scanbox recording is a .sbx file, "
                "which has the pixels, and a .mat file of the same name. Put them into one folder."
            )
        found.append(own)
    return found[0], found[1]


def read_scanbox_header(path: Path) -> ScanboxHeader:
    """Read the ``.mat`` file of a recording.

    Raises
    ------
    CorruptSourceError
        When it cannot be read, or is not of Scanbox, or states what cannot be.
    MissingPackageError
        When scipy is not installed.
    """
    info = _read_info(path)
    rows = _whole(path, info, "recordsPerBuffer")
    # Of a bidirectional scan a record is two lines, there and back.
    rows *= 2 if _is_bidirectional(path, info) else 1
    size = np.atleast_1d(getattr(info, "sz", ()))
    columns = int(size[1]) if size.size == 2 else _COLUMNS_OF_VERSION_1
    if size.size == 2 and int(size[0]) != rows:
        warnings.warn(
            f"'{path}' states frames of {int(size[0])} lines (sz) and of {rows} (recordsPerBuffer "
            f"and scanmode); the pixels are read as frames of {rows}.",
            UserWarning,
            stacklevel=2,
        )
    line_rate = _line_rate(path, info)
    config = getattr(info, "config", None)
    lines = number_of(config, "lines") or rows
    requested = int(number_of(config, "frames") or 0)
    fold = int(number_of(info, "fold_lines") or 0)
    if fold:
        if rows % fold:
            raise CorruptSourceError(
                f"'{path}' states that frames of {rows} lines are {fold} lines each, folded, which "
                "does not go; check fold_lines."
            )
        requested *= rows // fold
        rows = lines = fold
    return ScanboxHeader(
        path=path,
        info=info,
        num_rows=rows,
        num_columns=columns,
        channels=_channels(path, info),
        num_planes=_num_planes(path, info),
        frame_rate=None if line_rate is None else line_rate / lines,
        line_rate=line_rate,
        frames_requested=requested,
    )


def _read_info(path: Path) -> Any:
    read = require_package("scipy.io", "scanbox").loadmat
    try:
        found = read(path, squeeze_me=True, struct_as_record=False, variable_names=["info"])
    except NotImplementedError as error:
        raise CorruptSourceError(
            f"'{path}' is a MATLAB file of version 7.3, which Scanbox does not write; load it in "
            "MATLAB and save info with '-v7'."
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise CorruptSourceError(
            f"'{path}' cannot be read as a MATLAB file: {error}. It may be damaged or incomplete; "
            "copy it again from where it was recorded."
        ) from error
    info = found.get("info")
    if not hasattr(info, "recordsPerBuffer"):
        raise CorruptSourceError(
            f"'{path}' has no info with recordsPerBuffer; it is not the .mat file that Scanbox "
            "wrote beside the .sbx file."
        )
    return info


def number_of(struct: Any, name: str) -> float | None:
    """Return a number of a struct, None where there is no such field or it is empty."""
    value = np.asarray(getattr(struct, name, ()))
    if value.size != 1 or value.dtype.kind not in "biuf" or not math.isfinite(value.item()):
        return None
    return float(value.item())


def _whole(path: Path, info: Any, name: str) -> int:
    value = number_of(info, name)
    if value is None or value < 1 or value != int(value):
        raise CorruptSourceError(
            f"'{path}' states {name} = {getattr(info, name, None)!r}; it must be a whole number."
        )
    return int(value)


def _is_bidirectional(path: Path, info: Any) -> bool:
    mode = number_of(info, "scanmode")
    if mode not in (0, 1):
        raise CorruptSourceError(
            f"'{path}' states scanmode = {getattr(info, 'scanmode', None)!r}; it must be 0 "
            "(bidirectional) or 1 (unidirectional)."
        )
    return mode == 0


def _line_rate(path: Path, info: Any) -> float | None:
    """Return lines per second: the mirror gives one line a period, or one each way."""
    frequency = number_of(info, "resfreq")
    if not frequency or frequency < 0:
        return None
    return frequency * (2 if _is_bidirectional(path, info) else 1)


def _channels(path: Path, info: Any) -> tuple[int, ...]:
    code = number_of(info, "channels")
    if code in _SAVED:
        return _SAVED[int(code)]
    # Since version 3 there is a struct in place of the code, which then is -1.
    stated = getattr(info, "chan", None)
    count = number_of(stated, "nchan")
    if count is None or count < 1:
        raise CorruptSourceError(
            f"'{path}' states channels = {getattr(info, 'channels', None)!r} and no chan.nchan; "
            f"known are {', '.join(map(str, _SAVED))}, and -1 with chan.nchan."
        )
    for name in ("save", "sample"):
        chosen = np.flatnonzero(np.atleast_1d(getattr(stated, name, ())))
        if len(chosen) == count:
            return tuple(chosen.tolist())
    return tuple(range(int(count)))


def _num_planes(path: Path, info: Any) -> int:
    """Return the number of planes that a tunable lens went through, one frame each."""
    wave = np.atleast_1d(getattr(info, "otwave", ()))
    is_volume = number_of(info, "volscan")
    if is_volume is None:
        return max(wave.size, 1)
    if is_volume and not wave.size:
        warnings.warn(
            f"'{path}' states a scan of volumes (volscan) without its planes (otwave is empty); "
            "the frames are taken for one plane's, in the order of time.",
            UserWarning,
            stacklevel=3,
        )
    return max(wave.size, 1) if is_volume else 1
