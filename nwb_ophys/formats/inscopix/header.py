"""Header of Inscopix's ``.isxd`` files: JSON at the end of the file, after the data.

The last 8 bytes are the length of the JSON as a little-endian integer, after a zero byte. ``type``
is the kind of data: 0 for a movie, 1 for a cell set, other numbers for images, events and GPIO.
Checked against files that Inscopix's own package ``isx`` 2.1 writes and reads.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import CorruptSourceError, shown
from nwb_ophys.extractors.ranges import check_stated_rate
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.outside import check_file

MOVIE, CELL_SET = 0, 1

_KINDS = {
    MOVIE: "a movie",
    CELL_SET: "a cell set",
    2: "a behaviour movie",
    3: "a recording of GPIO signals",
    4: "a single image",
    5: "an event set",
    7: "a recording of the IMU",
    8: "a vessel set",
}
_FORMATS = {MOVIE: "inscopix", CELL_SET: "inscopix-cells"}
_LENGTH_BYTES = 8
# A header of a few samples or pixels may have no data beside it.
_MOST_UNCHECKED = 10_000_000
_EPOCH = datetime.datetime(1970, 1, 1)
# Errors of arithmetic with a value of the JSON that is no number.
_NOT_A_NUMBER = (
    AttributeError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)


@attrs.frozen
class IsxdHeader:
    """Header of an ``.isxd`` file.

    Attributes
    ----------
    path : pathlib.Path
    content : dict
        The JSON object.
    data_bytes : int
        Number of bytes of data before the JSON.
    """

    path: Path
    content: dict[str, Any] = attrs.field(repr=False)
    data_bytes: int

    @property
    def kind(self) -> int | None:
        """Kind of the data: ``MOVIE``, ``CELL_SET``, another number, or None if not stated."""
        return self.content.get("type")

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Shape of a frame, (rows, columns)."""
        size = self.content["spacingInfo"]["numPixels"]
        return (int(size["y"]), int(size["x"]))

    @property
    def num_times(self) -> int:
        """Number of samples, including dropped, cropped and blank ones."""
        return int(self._timing["numTimes"])

    @property
    def period(self) -> Fraction:
        """Seconds between samples."""
        return _ratio(self._timing["period"])

    @property
    def valid_samples(self) -> NDArray[np.int64]:
        """Indices of the samples that are not dropped, cropped or blank."""
        is_valid = np.ones(self.num_times, dtype=bool)
        for key in ("dropped", "cropped", "blank"):
            for entry in self._timing.get(key) or ():
                first, last = _span(entry)
                is_valid[first : last + 1] = False
        return np.flatnonzero(is_valid)

    @property
    def start(self) -> datetime.datetime | None:
        """Time of the first sample, with a time zone if one is stated; None if not stated.

        Processed files without a clock state 0. An offset of 0 does not mean UTC, since files
        whose clock ran in local time state it as well.
        """
        stated = self._timing.get("start") or {}
        try:
            seconds = _ratio(stated.get("secsSinceEpoch") or {"num": 0, "den": 1})
            offset = datetime.timedelta(seconds=int(stated.get("utcOffset") or 0))
            start = _EPOCH + datetime.timedelta(microseconds=round(seconds * 10**6)) + offset
            zone = datetime.timezone(offset)
        except _NOT_A_NUMBER:
            return None
        if seconds <= 0:
            return None
        return start.replace(tzinfo=zone) if offset else start

    @property
    def _timing(self) -> dict[str, Any]:
        return self.content["timingInfo"]

    def stated(self, *keys: str) -> Any:
        """Return a property of the session by its path of keys; None if it is absent or empty."""
        value: Any = self.content.get("extraProperties")
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value in ("", None) else value


def read_isxd_header(path: Path) -> IsxdHeader | None:
    """Return the header of an ``.isxd`` file; None if there is no complete header.

    Parameters
    ----------
    path : pathlib.Path
        The file; only its end is read.
    """
    found = _read_json(path)
    known = found is not None and all(
        isinstance(found[0].get(key), dict) for key in ("spacingInfo", "timingInfo")
    )
    return IsxdHeader(path, *found) if found is not None and known else None


def other_kind(path: Path) -> str | None:
    """Return the kind of data in an ``.isxd`` file that is neither a movie nor a cell set.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str or None
        Such as "an event set"; None for movies, cell sets and files without a header.
    """
    found = _read_json(path)
    kind = None if found is None else found[0].get("type")
    if not isinstance(kind, int) or kind in (MOVIE, CELL_SET):
        return None
    return _KINDS.get(kind, f"data of type {kind}")


def _read_json(path: Path) -> tuple[dict[str, Any], int] | None:
    """Return the JSON object at the end of a file, and the number of bytes before it."""
    try:
        check_file(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _LENGTH_BYTES, 0))
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            begin = size - _LENGTH_BYTES - 1 - length
            if begin < 0 or length < 2:
                return None
            file.seek(begin)
            text = file.read(length + 1)
    except OSError:
        return None
    if text[:1] != b"{" or text[-1:] != b"\0":
        return None
    try:
        content = parse_source_json(text[:-1])
    except ValueError:
        return None
    return (content, begin) if isinstance(content, dict) else None


def open_isxd(path: Path, kind: int) -> IsxdHeader:
    """Return the header of a file, after checking its kind.

    Parameters
    ----------
    path : pathlib.Path
    kind : {MOVIE, CELL_SET}

    Raises
    ------
    CorruptSourceError
        When the file is of another kind, truncated or damaged.
    """
    if path.is_dir():
        raise CorruptSourceError(f"'{path}' is a folder; give an .isxd file in it.")
    header, other = read_isxd_header(path), other_kind(path)
    if other is not None:
        raise CorruptSourceError(not_read(path, other))
    if header is None:
        raise CorruptSourceError(
            f"'{path}' lacks the header at the end of an .isxd file, without which no frame can "
            f"be read; it may be truncated or damaged. To repair it, {COPY_AGAIN}."
        )
    if header.kind != kind:
        found = _KINDS.get(header.kind, f"of type {header.kind}")  # type: ignore[arg-type]
        known = f"; open it as {_FORMATS[header.kind]}" if header.kind in _FORMATS else ""
        raise CorruptSourceError(f"'{path}' is {found}, not {_KINDS[kind]}{known}.")
    try:
        _check(header)
    except CorruptSourceError:
        raise
    except (*_NOT_A_NUMBER, IndexError) as error:
        raise CorruptSourceError(
            f"'{path}' states an invalid size or invalid times ({shown(error)}); the file is "
            f"damaged. To repair it, {COPY_AGAIN}."
        ) from error
    return header


def not_read(path: Path, what: str) -> str:
    """Return the message for a file of Inscopix that is neither a movie nor a cell set."""
    return (
        f"'{path}' is {what} of Inscopix; only movies and cell sets (.isxd) are read. Give the "
        "movie or the cell set that it belongs to, or export it with Inscopix Data Processing."
    )


def check_size(header: IsxdHeader, expected: int, what: str) -> None:
    """Raise unless the data have the number of bytes that the header implies.

    Parameters
    ----------
    header : IsxdHeader
    expected : int
        Expected number of bytes.
    what : str
        Description of the expected data, for messages.
    """
    if header.data_bytes != expected:
        raise CorruptSourceError(
            f"'{header.path}' has {header.data_bytes} bytes of data, but {what} take {expected}. "
            f"It is truncated, or has an unknown version. If it is truncated, {COPY_AGAIN}."
        )


def _check(header: IsxdHeader) -> None:
    """Read all values that the readers need, so that errors show early."""
    if min(header.frame_shape) < 1 or header.num_times < 0:
        raise ValueError(
            f"The header states {header.num_times} samples of {header.frame_shape} pixels."
        )
    rows, columns = header.frame_shape
    for claimed, what in ((header.num_times, "samples"), (rows * columns, "pixels in a frame")):
        if claimed > max(header.data_bytes, _MOST_UNCHECKED):
            raise CorruptSourceError(
                f"'{header.path}' claims {shown(claimed)} {what}, but has {header.data_bytes} "
                f"bytes of data. To repair it, {COPY_AGAIN}."
            )
    _ = header.valid_samples
    try:
        rate = 1 / header.period
    except _NOT_A_NUMBER as error:
        raise CorruptSourceError(
            f"'{header.path}' states the period {header.content['timingInfo'].get('period')!r}; "
            "it must be a fraction of seconds above 0, as num and den. Correct it in a copy of "
            "the file."
        ) from error
    check_stated_rate(header.path, _as_float(rate), "the period")


def _as_float(number: Fraction) -> float:
    """Return a fraction as a number; infinity if it is too large."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _ratio(stated: Mapping[str, Any]) -> Fraction:
    return Fraction(stated["num"]) / Fraction(stated["den"])


def _span(entry: Any) -> tuple[int, int]:
    """Return the first and last sample of an entry: an index, "first - last" or a pair."""
    if isinstance(entry, str):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", entry)
        if found is None:
            raise ValueError(f"'{entry}' is not an index or a range of samples.")
        return int(found[1]), int(found[2] or found[1])
    if isinstance(entry, (list, tuple)):
        first, last = entry
        return int(first), int(last)
    return int(entry), int(entry)
