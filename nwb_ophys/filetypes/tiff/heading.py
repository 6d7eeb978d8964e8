"""Header of a TIFF file: the texts of its first page, read without any optional package."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from nwb_ophys.filetypes.tiff.pages import IMAGE_DESCRIPTION
from nwb_ophys.outside import check_file
from nwb_ophys.remote.paths import open_scattered

SOFTWARE = 305
_TEXT_TYPES = (1, 2)  # BYTE, which some use for text, and ASCII
# Descriptions may have megabytes; their first lines identify the program that wrote them.
_LONGEST = 1 << 16
_MOST_ENTRIES = 4096
# Rows, columns, bits per sample, sample format.
_FRAME_TAGS = (257, 256, 258, 339)
# ImageJ writes one page directory for stacks of more than 4 GB, tifffile for "shape".
_IMAGES = re.compile(r"^images=(?!1$)\d+|\"shape\": \[\d+, \d+, \d+", re.MULTILINE)


@attrs.frozen
class TiffHeading:
    """Texts of the first page of a TIFF file.

    Attributes
    ----------
    tags : frozenset of int
        Numbers of all tags of the page.
    texts : mapping of int to str
        Texts by the number of the tag, cut after 64 kB.
    extra_number : int
        The number after the header of the file, at byte 8 of a TIFF and at byte 16 of a BigTIFF
        file, where some programs put a mark; 0 if the file ends there.
    frame : tuple of (int or None)
        Rows, columns, bits per sample and sample format of the first page; None where a tag is
        absent or has a value per sample.
    has_more_pages : bool
        Whether another page directory follows the first one.
    """

    tags: frozenset[int]
    texts: Mapping[int, str]
    extra_number: int = 0
    frame: tuple[int | None, ...] = ()
    has_more_pages: bool = False

    @property
    def description(self) -> str:
        """Image description, or empty where there is none."""
        return self.texts.get(IMAGE_DESCRIPTION, "")

    @property
    def software(self) -> str:
        """Name of the program that wrote the file, or empty where it is not stated."""
        return self.texts.get(SOFTWARE, "")

    @property
    def is_single_image(self) -> bool:
        """True if the file has one page, and does not state more images behind it."""
        return not self.has_more_pages and _IMAGES.search(self.description) is None

    @property
    def has_ome_xml(self) -> bool:
        """True if the image description is OME-XML."""
        return "<OME " in self.description[:4096]


def read_tiff_heading(path: Path) -> TiffHeading | None:
    """Return the texts of the first page, or None if the file cannot be read as TIFF.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF 6.0 or BigTIFF file, of which a few blocks are read.
    """
    try:
        check_file(path)
        with open_scattered(path) as file:
            return _read(file)
    except (OSError, struct.error, ValueError):
        return None


def _read(file: BinaryIO) -> TiffHeading | None:
    head = file.read(32)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return None
    (version,) = struct.unpack(order + "H", head[2:4])
    if version not in (42, 43):
        return None
    is_big = version == 43
    (start,) = (
        struct.unpack(order + "Q", head[8:16]) if is_big else struct.unpack(order + "I", head[4:8])
    )
    after = 16 if is_big else 8
    extra = struct.unpack(order + "I", head[after : after + 4])[0] if len(head) >= after + 4 else 0
    file.seek(start)
    (count,) = struct.unpack(order + ("Q" if is_big else "H"), file.read(8 if is_big else 2))
    if count > _MOST_ENTRIES:
        return None
    layout = struct.Struct(order + ("HHQ8s" if is_big else "HHI4s"))
    entries = file.read(layout.size * count)
    following = file.read(8 if is_big else 4)
    tags, texts, numbers = set(), {}, {}
    for tag, kind, size, value in layout.iter_unpack(entries):
        tags.add(tag)
        # Some files have two descriptions, of which the first one is OME-XML.
        if kind in _TEXT_TYPES and tag not in texts:
            texts[tag] = _text(file, size, value, order + ("Q" if is_big else "I"))
        if tag in _FRAME_TAGS and size == 1:
            numbers[tag] = _number(kind, value, order)
    return TiffHeading(
        frozenset(tags),
        texts,
        extra,
        tuple(numbers.get(tag) for tag in _FRAME_TAGS),
        any(following),
    )


def _number(kind: int, value: bytes, order: str) -> int | None:
    code = {3: "H", 4: "I"}.get(kind)  # SHORT and LONG
    return struct.unpack_from(order + code, value)[0] if code else None


def _text(file: BinaryIO, size: int, value: bytes, offset: str) -> str:
    if size > len(value):
        file.seek(struct.unpack(offset, value)[0])
        value = file.read(min(size, _LONGEST))
    return value[:size].split(b"\0", 1)[0].decode("utf-8", "replace")
