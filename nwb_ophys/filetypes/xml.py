"""XML files with bytes of another encoding than they declare."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar
from xml.etree import ElementTree

from nwb_ophys.filetypes.files import unreadable_file
from nwb_ophys.outside import check_file

Result = TypeVar("Result")

_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
_HEAD_BYTES = 256


def read_xml(path: Path, parse: Callable[[IO[bytes]], Result]) -> Result:
    """Parse an XML file, also if some of its bytes are not UTF-8.

    Programs on Windows write the texts of users with bytes of cp1252 into files that declare UTF-8.

    Parameters
    ----------
    path : pathlib.Path
    parse : callable
        Takes an open file. It is called a second time if the first one fails at such bytes.

    Raises
    ------
    CorruptSourceError
        When the file is truncated or not XML.
    """
    try:
        check_file(path)
        with path.open("rb") as file:
            return parse(file)
    except ElementTree.ParseError as error:
        content = path.read_bytes()
        repaired = as_utf8(content)
        if repaired == content:
            raise unreadable_file(path, "an XML file", error) from error
    try:
        return parse(io.BytesIO(repaired))
    except ElementTree.ParseError as error:
        raise unreadable_file(path, "an XML file", error) from error


def as_utf8(content: bytes) -> bytes:
    """Return XML in which bytes that are not UTF-8 are decoded as cp1252.

    Parameters
    ----------
    content : bytes
        Content of a file; returned as it is if it declares an encoding other than UTF-8.
    """
    declared = _ENCODING.search(content[:_HEAD_BYTES])
    if declared and declared[1].lower().replace(b"-", b"") != b"utf8":
        return content
    return b"\n".join(map(_line_as_utf8, content.split(b"\n")))


def _line_as_utf8(line: bytes) -> bytes:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        wrong = line[error.start : error.end].decode("cp1252", "replace").encode()
        return line[: error.start] + wrong + _line_as_utf8(line[error.end :])
    return line
