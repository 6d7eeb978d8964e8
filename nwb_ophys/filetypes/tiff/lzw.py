"""Decode pages that are compressed with LZW by libtiff, in half of the time of other decoders.

libtiff reads whole files. A page becomes one: a header, a directory, and the strips of the page.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_ophys.optional import require_package

LZW = 5
_HEADER_BYTES, _ENTRY_BYTES = 8, 12
_SHORT, _LONG = 3, 4
_CLASSIC_LIMIT = 1 << 31


def lzw_decoder(tiff: Any) -> Callable[[Any], npt.NDArray[Any] | None] | None:
    """Return the function that decodes a page of a file, or None where libtiff cannot.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        A file whose pages are all encoded alike, with LZW.

    Returns
    -------
    callable or None
        Takes a page or frame of tifffile; returns its pixels, of shape (rows, columns), or None
        for a page that tifffile has to decode: one with damaged or absent strips.
    """
    codecs = require_package("imagecodecs", "tiff")
    first = tiff.pages.first
    if not codecs.TIFF.available or first.is_tiled or first.fillorder != 1 or first.jpegtables:
        return None
    byte_order = tiff.byteorder

    def decode(page: Any) -> npt.NDArray[Any] | None:
        found = [data for data, *_ in _segments(tiff, page)]
        if any(data is None for data in found):  # strips that the file does not hold
            return None
        strips = [bytes(data) for data in found]
        if sum(map(len, strips)) >= _CLASSIC_LIMIT:
            return None
        try:
            return np.asarray(codecs.tiff_decode(_one_page_file(first, strips, byte_order)))
        except codecs.TiffError:
            return None

    return decode


def _segments(tiff: Any, page: Any) -> Any:
    return tiff.filehandle.read_segments(page.dataoffsets, page.databytecounts)


def _one_page_file(first: Any, strips: Sequence[bytes], byte_order: str) -> bytes:
    """Return a TIFF file of one page, whose tags are those of ``first``."""
    entries: list[tuple[int, int, list[int]]] = [
        (256, _LONG, [first.imagewidth]),
        (257, _LONG, [first.imagelength]),
        (258, _SHORT, [first.bitspersample]),
        (259, _SHORT, [LZW]),
        (262, _SHORT, [1]),  # photometric interpretation; libtiff does not invert pixels
        (273, _LONG, [0] * len(strips)),
        (277, _SHORT, [1]),
        (278, _LONG, [first.rowsperstrip]),
        (279, _LONG, [len(strip) for strip in strips]),
        (317, _SHORT, [first.predictor]),
        (339, _SHORT, [first.sampleformat]),
    ]
    lists_at = _HEADER_BYTES + 2 + _ENTRY_BYTES * len(entries) + 4
    pixels_at = lists_at + 2 * 4 * len(strips)
    ends = np.cumsum([len(strip) for strip in strips])
    starts = [pixels_at, *(pixels_at + ends[:-1]).tolist()]
    directory, lists = [struct.pack(f"{byte_order}H", len(entries))], b""
    for code, kind, values in entries:
        numbers = starts if code == 273 else values
        letter = "H" if kind == _SHORT else "I"
        value = struct.pack(f"{byte_order}{len(numbers)}{letter}", *numbers)
        if len(value) > 4:
            value, lists = struct.pack(f"{byte_order}I", lists_at + len(lists)), lists + value
        head = struct.pack(f"{byte_order}HHI", code, kind, len(numbers))
        directory.append(head + value.ljust(4, b"\0"))
    mark = b"II" if byte_order == "<" else b"MM"
    header = mark + struct.pack(f"{byte_order}HI", 42, _HEADER_BYTES)
    room = b"\0" * (pixels_at - lists_at - len(lists))
    return b"".join((header, *directory, b"\0\0\0\0", lists, room, *strips))
