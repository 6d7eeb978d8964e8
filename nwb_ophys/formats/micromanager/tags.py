"""Read the metadata that Micro-Manager adds to its TIFF files besides OME-XML.

The 8 bytes of the TIFF header are followed by pairs of a mark and an offset (index map, display
settings, comments). At byte 32 follow the mark 2355492, the length and the text of the summary, a
JSON object. Every page has the private tag 51123, a JSON object about its frame. Source of the
layout: https://micro-manager.org/Micro-Manager_File_Formats, section Image file stacks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.frames.values import read_json
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.pages import Integers, TiffStructure, read_structure
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe

FRAME_TAG = 51123
SUMMARY_MARK = 2355492
SUMMARY_POSITION = 32


def read_summary(path: Path) -> dict[str, Any] | None:
    """Read the summary of the acquisition.

    Parameters
    ----------
    path : Path
        A file written by Micro-Manager.

    Returns
    -------
    dict or None
        None if the file has no summary or cannot be read.
    """
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(SUMMARY_POSITION + 8)
            order = {b"II": "<", b"MM": ">"}.get(head[:2])
            if order is None:
                return None
            mark, length = struct.unpack(order + "II", head[SUMMARY_POSITION:])
            if mark != SUMMARY_MARK:
                return None
            return read_json(file, length)
    except (OSError, struct.error):
        return None


@contextmanager
def naming_unclosed(path: Path) -> Iterator[None]:
    """Name the cause where a file that was not closed has no OME-XML.

    Parameters
    ----------
    path : Path
        A file of Micro-Manager, or a folder of them.

    Raises
    ------
    CorruptSourceError
        If the file has a summary, which is written first, and no OME-XML, which is written last.
    """
    try:
        yield
    except SourceError as error:
        file = PathProbe(path).first_file(*TIFF_SUFFIXES)
        heading = None if file is None else read_tiff_heading(file)
        is_ome = heading is not None and "<OME" in heading.description[:4096]
        if file is None or is_ome or read_summary(file) is None:
            raise
        raise CorruptSourceError(
            f"'{file}' has no OME-XML, which Micro-Manager writes when it closes a file. Open the "
            "file in Micro-Manager, which can repair it, and save it again; or read it as a plain "
            "TIFF stack (format tiff)."
        ) from error


class FrameTags:
    """Metadata of the single frames of a file, found in one pass over its page directories.

    Parameters
    ----------
    path : Path
        A TIFF file that has been checked for truncation.
    num_pages : int
        Number of its complete pages.
    """

    def __init__(self, path: Path, num_pages: int) -> None:
        self.path = path
        with path.open("rb", buffering=0) as file:
            self._places = _find_texts(file, read_structure(file, path), num_pages)

    def texts(self, pages: Integers) -> list[bytes]:
        """Return the JSON texts of some pages; empty for pages without one."""
        texts = []
        with self.path.open("rb", buffering=0) as file:
            for page in pages.tolist():
                offset, size = self._places[page]
                file.seek(offset)
                texts.append(file.read(size))
        return texts

    def frame(self, page: int) -> Mapping[str, Any]:
        """Return the metadata of one frame; empty if it has none."""
        (text,) = self.texts(np.array([page]))
        try:
            found = parse_source_json(text.rstrip(b"\0")) if text else {}
        except ValueError as error:
            raise CorruptSourceError(
                f"'{self.path}': the Micro-Manager metadata of page {page} are damaged ({error}); "
                f"{COPY_AGAIN}."
            ) from error
        return found if isinstance(found, dict) else {}


def read_summary_text(head: bytes) -> dict[str, Any] | None:
    """Return the summary at the beginning of a ``metadata.txt``; None if it is not there."""
    text = head.decode("utf-8", "replace")
    match = re.search(r'"Summary"\s*:\s*(?=\{)', text)
    if match is None:
        return None
    try:
        found = parse_source_json(text, start=match.end())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _find_texts(file: BinaryIO, structure: TiffStructure, num_pages: int) -> list[tuple[int, int]]:
    """Return the offset and size of the text of each of the first pages."""
    places: list[tuple[int, int]] = []
    offset = structure.first_offset
    count_format, offset_format = structure.count_format, structure.offset_format
    record = structure.tag_dtype
    while offset and len(places) < num_pages:
        file.seek(offset)
        block = file.read(2048)
        (count,) = count_format.unpack_from(block)
        size = count_format.size + count * record.itemsize + offset_format.size
        if size > len(block):
            block += file.read(size - len(block))
        tags = np.frombuffer(block, record, count, count_format.size)
        own = tags[tags["code"] == FRAME_TAG]
        # Values of up to four bytes replace the offset; they are too short for a JSON object.
        is_text = len(own) > 0 and int(own["count"][0]) > 4
        places.append((int(own["value"][0]), int(own["count"][0])) if is_text else (0, 0))
        (offset,) = offset_format.unpack_from(block, size - offset_format.size)
    return places
