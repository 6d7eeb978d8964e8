"""Read the header texts of a ScanImage recording (ScanImage 4 and later).

The header is text in MATLAB syntax, one property per line, of the form ``SI.hRoiManager... = 1``.
From ScanImage 2016 on it precedes the first page of a BigTIFF file, marked by the number
117637889; in files without that mark it is in the Software or ImageDescription tag of page 0, and
before 2016 in the ImageDescription of each page. Headers in JSON are read as such lines. See
"ScanImage BigTiff Specification",
https://docs.scanimage.org/Appendix/ScanImage+BigTiff+Specification.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import COPY_AGAIN, require_file, unreadable_file
from nwb_ophys.formats.scanimage.generations import (
    OLD_NAMES,
    OWN_LINE,
    PROPERTY,
    generation_of,
    stated_version,
)
from nwb_ophys.formats.scanimage.json_texts import as_lines
from nwb_ophys.optional import require_package
from nwb_ophys.outside import check_file
from nwb_ophys.remote.paths import opened_by_ranges

MAGIC_NUMBER = 117637889
_ARTIST = 315
# The parser takes a time that grows with the square of the length, 0.1 s at this one.
_LONGEST_VALUE = 40_000


def read_header_texts(path: Path) -> tuple[str, str]:
    """Read only the header and the description of the first page.

    Parameters
    ----------
    path : Path
        A file written by ScanImage.

    Returns
    -------
    header : str
        Lines of the form ``SI.property = value``.
    description : str
        The varying properties of page 0, such as ``frameTimestamps_sec = 0``.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    CorruptSourceError
        If it is not a TIFF.
    SourceError
        If it is not from ScanImage, or from a version whose header is not read.
    """
    require_file(path, "a TIFF file of ScanImage")
    tifffile = require_package("tifffile", "tiff")
    try:
        with tifffile.TiffFile(opened_by_ranges(path)) as tiff:
            page = tiff.pages.first
            software, description = map(as_lines, (page.software, page.description))
    except (tifffile.TiffFileError, IndexError, struct.error) as error:
        raise unreadable_file(path, "a TIFF file", error) from error
    header = as_lines(_read_static_texts(path)[0])
    for text in (header, software, description):
        if PROPERTY.search(text):
            return text, description
    raise _unknown_header(path, "\n".join((header, software, description)))


def read_region_text(path: Path) -> str:
    """Read the scanned regions, JSON, from the static header or the Artist tag; empty if none."""
    text = _read_static_texts(path)[1]
    if "{" in text:
        return text
    tifffile = require_package("tifffile", "tiff")
    with tifffile.TiffFile(opened_by_ranges(path)) as tiff:
        tag = tiff.pages.first.tags.get(_ARTIST)
        return str(tag.value) if tag is not None else ""


def _unknown_header(path: Path, text: str) -> SourceError:
    """Return the error for a file without a header that is read."""
    if "state." in text.lstrip()[:6]:
        return SourceError(
            f"'{path}' has no header of ScanImage 4 or later, but one of ScanImage 3.8 or older; "
            "read it with the format scanimage-legacy."
        )
    if OWN_LINE.search(text) is None:
        return SourceError(
            f"'{path}' has no header of ScanImage 4 or later; read it as a plain TIFF stack or "
            "with the format of the program that wrote it."
        )
    version = stated_version(text)
    return SourceError(
        f"'{path}' was written by ScanImage{f' {version}' if version else ''}, but its header is "
        "of a version that is not known (known: 'SI.', 'scanimage.SI5.', 'scanimage.SI4.' and "
        "'state.' at the beginning of lines), so its channels and planes are not known either. "
        'Find out both, and read it as a plain TIFF stack: format="tiff" with the options '
        "num_channels, num_planes and sampling_frequency."
    )


def _read_static_texts(path: Path) -> tuple[str, str]:
    """Return the settings and the regions before the first page; empty if the file has none."""
    check_file(path)
    with path.open("rb") as file:
        head = file.read(32)
        if head[:4] != b"II\x2b\x00" or len(head) < 32:
            return "", ""
        magic, _, *sizes = struct.unpack("<4I", head[16:])
        if magic != MAGIC_NUMBER:
            return "", ""
        settings, regions = (
            file.read(size).rstrip(b"\x00").decode("utf-8", "replace") for size in sizes
        )
        return settings, regions


class HeaderProperties:
    """Typed access to the properties of a header, by names of ScanImage 5.1 and later.

    Names have no leading ``SI.``; `OLD_NAMES` translates them for ScanImage 4 and 5.0. ScanImage
    writes hundreds of properties, some of them long tables; they are parsed on demand.

    Parameters
    ----------
    path : Path
        The file, for messages.
    header : str
        Lines of the form ``SI.property = value``.
    """

    def __init__(self, path: Path, header: str) -> None:
        self.path = path
        self._texts = {name: value.rstrip() for name, value in PROPERTY.findall(header)}
        self._prefix = generation_of(header)
        self._parse = require_package("tifffile", "tiff").matlabstr2py

    @property
    def is_old(self) -> bool:
        """True for ScanImage 4 and 5.0."""
        return self._prefix in ("SI4", "SI5")

    def spelled(self, name: str) -> list[str]:
        """Return the spellings of a property in headers of this generation."""
        names = OLD_NAMES.get(name, ()) if self.is_old else (name,)
        return [f"{self._prefix}.{each}" for each in names]

    def value(self, name: str) -> Any:
        """Return a property as a Python value; None if it is absent or an empty array."""
        text = next((self._texts[n] for n in self.spelled(name) if n in self._texts), "")
        if len(text) > _LONGEST_VALUE:
            raise CorruptSourceError(
                f"'{self.path}' is damaged: its ScanImage header states {len(text)} characters for "
                f"{self.spelled(name)[0]}. To repair it, {COPY_AGAIN}."
            )
        value = self._parse(text) if text not in ("", "[]", "''") else None
        return None if isinstance(value, list) and not self._flat(value) else value

    def number(self, name: str) -> float | None:
        """Return a property as a number; None if it is not one number."""
        value = self.value(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number else None

    def integer(self, name: str) -> int | None:
        """Return a property as an integer; None if it is not one integer."""
        value = self.number(name)
        return None if value is None or not value.is_integer() else int(value)

    def numbers(self, name: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """Return a property as a tuple of its numbers."""
        values = self._flat([self.value(name)])
        numbers = tuple(float(value) for value in values if isinstance(value, int | float))
        return numbers or self._required(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a property as a tuple of its texts."""
        texts = tuple(str(value) for value in self._flat([self.value(name)]) if value is not None)
        return texts or self._required(name, None)

    def _required(self, name: str, default: Any) -> Any:
        if default is None:
            raise CorruptSourceError(
                f"'{self.path}': its ScanImage header does not state {self.spelled(name)[0]}; read "
                "it as a plain TIFF stack."
            )
        return default

    def _flat(self, values: list[Any]) -> list[Any]:
        """Return nested MATLAB arrays as one flat list."""
        parts = [self._flat(value) if isinstance(value, list) else [value] for value in values]
        return [value for part in parts for value in part]
