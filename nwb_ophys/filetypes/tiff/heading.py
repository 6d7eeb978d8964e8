"""The texts of the first page of a TIFF, read without any package, to tell who wrote the file."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from nwb_ophys.filetypes.tiff.pages import IMAGE_DESCRIPTION

MAKE, MODEL, SOFTWARE = 271, 272, 305
_TEXT_TYPES = (1, 2)  # BYTE, which some use for text, and ASCII
# Descriptions may be of megabytes, and whose they are is said in their first lines.
_LONGEST = 1 << 16
_MOST_ENTRIES = 4096


@attrs.frozen
class TiffHeading:
    """What the first page of a TIFF states in words.

    Attributes
    ----------
    tags : frozenset of int
        Numbers of all its tags.
    texts : mapping of int to str
        Its texts by the number of the tag, cut after 64 kB.
    extra_number : int
        The number behind the header of a BigTIFF, where ScanImage puts a mark; else 0.
    """

    tags: frozenset[int]
    texts: Mapping[int, str]
    extra_number: int = 0

    @property
    def description(self) -> str:
        """The image description; empty where there is none."""
        return self.texts.get(IMAGE_DESCRIPTION, "")

    @property
    def software(self) -> str:
        """The program that wrote it; empty where it is not stated."""
        return self.texts.get(SOFTWARE, "")


def read_tiff_heading(path: Path) -> TiffHeading | None:
    """Return the texts of the first page, or None where the file is no TIFF that can be read.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF 6.0 or BigTIFF file; a few of its blocks are read.
    """
    try:
        with path.open("rb") as file:
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
    extra = struct.unpack(order + "I", head[16:20])[0] if is_big and len(head) >= 20 else 0
    file.seek(start)
    (count,) = struct.unpack(order + ("Q" if is_big else "H"), file.read(8 if is_big else 2))
    if count > _MOST_ENTRIES:
        return None
    layout = struct.Struct(order + ("HHQ8s" if is_big else "HHI4s"))
    entries = file.read(layout.size * count)
    tags, texts = set(), {}
    for tag, kind, size, value in layout.iter_unpack(entries):
        tags.add(tag)
        # Micro-Manager has two descriptions, of which the first is that of OME.
        if kind in _TEXT_TYPES and tag not in texts:
            texts[tag] = _text(file, size, value, order + ("Q" if is_big else "I"))
    return TiffHeading(frozenset(tags), texts, extra)


def _text(file: BinaryIO, size: int, value: bytes, offset: str) -> str:
    if size > len(value):
        file.seek(struct.unpack(offset, value)[0])
        value = file.read(min(size, _LONGEST))
    return value[:size].split(b"\0", 1)[0].decode("utf-8", "replace")


# Micro-Manager's own tag for the metadata of a frame.
_MICROMANAGER_TAG = 51123
# ScanImage's mark of a BigTIFF; see scanimage_text.
_SCANIMAGE_NUMBER = 117637889


# ThorImage states no program, but names its files so in its OME description.
_THOR_NAMES = re.compile(r'FileName="Chan[A-Z]_\d+_\d+_\d+_\d+\.tif')


def author_of(heading: TiffHeading) -> str | None:
    """Return which program's own TIFF a file is; None for a plain one.

    Returns
    -------
    {"scanimage", "scanimage-legacy", "bruker", "thor", "micromanager", "ome-tiff"} or None
    """
    description, software = heading.description, heading.software
    if heading.extra_number == _SCANIMAGE_NUMBER or "SI." in software[:200]:
        return "scanimage"
    if re.search(r"^(scanimage\.)?SI\.\w+", description[:4096], re.MULTILINE):
        return "scanimage"
    if description.startswith("state."):
        return "scanimage-legacy"
    if software.startswith("Prairie View"):
        return "bruker"
    if _MICROMANAGER_TAG in heading.tags or "MicroManager" in software:
        return "micromanager"
    if _THOR_NAMES.search(description[:8192]):
        return "thor"
    return "ome-tiff" if "<OME " in description[:4096] else None
