"""XML of files: one parser with limits of its own, and bytes of another encoding than declared.

The parser refuses what the header of a recording never has: declarations of entities or of default
attributes, which multiply a text, and more depth, attributes or elements than fit into the memory.
The limits do not depend on the installed version of libexpat. The parser opens no other file.
"""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar
from xml.etree import ElementTree
from xml.parsers import expat

from nwb_ophys.filetypes.files import unreadable_file
from nwb_ophys.outside import check_file

Result = TypeVar("Result")
Element = ElementTree.Element
XmlError = ElementTree.ParseError
"""Error for a text that is not XML, or that exceeds a limit."""

MAX_DEPTH = 200
"""Levels of elements."""

MAX_ATTRIBUTES = 1000
"""Attributes of one element."""

MAX_NODES = 3_000_000
"""Elements, attributes and parts of long texts that are kept at a time, of about 110 bytes each."""

MAX_TOKEN_BYTES = 1 << 22
"""Length of a tag or a comment, which the parser holds as a whole."""

MAX_TREE_BYTES = 1 << 26
"""Length of a text whose elements are all kept."""

_BLOCK = 1 << 16
_NODE_TEXT = 64
_LARGEST_REPAIRED = 1 << 29
_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
_HEAD_BYTES = 256


class XmlLimitError(XmlError):
    """XML with declarations, depth, attributes or elements that no recording has."""


def parse_xml(source: IO[bytes] | bytes | str) -> Element:
    """Return the root element of an XML text.

    Parameters
    ----------
    source : binary file, bytes or str
        At most 64 MB.

    Raises
    ------
    XmlError
        When the text is not XML or exceeds a limit.
    """
    content = source if isinstance(source, (bytes, str)) else source.read(MAX_TREE_BYTES + 1)
    if len(content) > MAX_TREE_BYTES:
        raise XmlLimitError(f"it has more than {MAX_TREE_BYTES >> 20} MB.")
    # A str is decoded already, whatever encoding it declares.
    encoding = "utf-8" if isinstance(content, str) else None
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    # Faster than to refuse the element that is one too many.
    if data.count(b"/>") + data.count(b"</") > MAX_NODES:
        raise _too_many_nodes()
    parser = _Parser(encoding)
    for start in range(0, len(data), _BLOCK):
        parser.feed(data[start : start + _BLOCK])
    parser.feed(b"")
    return parser.root()


def iterate_xml(file: IO[bytes], *, encoding: str | None = None) -> Iterator[tuple[str, Element]]:
    """Yield ``("start", element)`` and ``("end", element)`` for each element of an XML file.

    A caller that clears each element at its end can read a file of any length.

    Parameters
    ----------
    file : binary file
    encoding : str, optional
        Encoding of the file in place of the declared one.

    Raises
    ------
    XmlError
        When the text is not XML or exceeds a limit.
    """
    parser = _Parser(encoding, keeps_events=True)
    kept: list[list[int]] = []  # nodes of each open element, and of its children
    while True:
        block = file.read(_BLOCK)
        parser.feed(block)
        while parser.events:
            event, element, size = parser.events.popleft()
            yield event, element
            if event == "start":
                kept.append([size, 0])
                continue
            own, inner = kept.pop()
            is_cleared = (own > 1 or inner) and not element.attrib and not len(element)
            left = 1 if is_cleared else own + inner
            parser.num_nodes -= own + inner - left
            if kept:
                kept[-1][1] += left
        if not block:
            return


class _Parser:
    """The parser, with the events that are not yielded yet and the number of nodes in memory."""

    def __init__(self, encoding: str | None, *, keeps_events: bool = False) -> None:
        self.events: deque[tuple[str, Element, int]] = deque()
        self.num_nodes = 0
        self._keeps_events = keeps_events
        self._depth = 0
        self._num_fed = 0
        self._names: dict[str, str] = {}
        self._builder = ElementTree.TreeBuilder()
        self._expat = expat.ParserCreate(encoding, "}")
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._data
        self._expat.StartDoctypeDeclHandler = self._check_declarations
        self._expat.EntityDeclHandler = self._refuse_declaration
        self._expat.AttlistDeclHandler = self._refuse_declaration
        # An entity of an external document type, which is not opened.
        self._expat.SkippedEntityHandler = self._refuse_entity

    def feed(self, block: bytes) -> None:
        """Parse the next bytes of the file; no bytes are its end."""
        try:
            self._expat.Parse(block, not block)
        except expat.ExpatError as error:
            raise XmlError(str(error)) from error
        self._num_fed += len(block)
        if self._num_fed - self._expat.CurrentByteIndex > MAX_TOKEN_BYTES:
            raise XmlLimitError(f"it has a tag or comment of more than {MAX_TOKEN_BYTES:,} bytes.")

    def root(self) -> Element:
        """Return the root element after the end of the file."""
        return self._builder.close()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise XmlLimitError(f"its elements are nested deeper than {MAX_DEPTH} levels.")
        if len(attributes) > MAX_ATTRIBUTES:
            raise XmlLimitError(f"an element has more than {MAX_ATTRIBUTES} attributes.")
        size, names = 1, attributes
        if attributes:
            size += len(attributes) + sum(map(len, attributes.values())) // _NODE_TEXT
            names = {self._name(key): value for key, value in attributes.items()}
        self._count(size)
        element = self._builder.start(self._name(name), names)
        if self._keeps_events:
            self.events.append(("start", element, size))

    def _end(self, name: str) -> None:
        self._depth -= 1
        element = self._builder.end(self._name(name))
        if self._keeps_events:
            self.events.append(("end", element, 0))

    def _data(self, text: str) -> None:
        if len(text) >= _NODE_TEXT:
            self._count(len(text) // _NODE_TEXT)
        self._builder.data(text)

    def _count(self, size: int) -> None:
        self.num_nodes += size
        if self.num_nodes > MAX_NODES:
            raise _too_many_nodes()

    def _name(self, name: str) -> str:
        """Return a name as ElementTree has it, with its namespace in braces."""
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = f"{{{name}" if "}" in name else name
        return found

    def _check_declarations(self, *doctype: Any) -> None:
        *_, has_declarations = doctype
        if has_declarations:
            self._refuse_declaration()

    def _refuse_entity(self, name: str, *_: Any) -> None:
        raise XmlError(f"Undefined entity &{name};.")

    def _refuse_declaration(self, *_: Any) -> None:
        raise XmlLimitError("it declares entities or attributes of its own (<!DOCTYPE … [ … ]>).")


def _too_many_nodes() -> XmlLimitError:
    return XmlLimitError(f"it has more than {MAX_NODES:,} elements and attributes.")


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
    except XmlError as error:
        if isinstance(error, XmlLimitError) or path.stat().st_size > _LARGEST_REPAIRED:
            raise unreadable_file(path, "an XML file", error) from error
        content = path.read_bytes()
        repaired = as_utf8(content)
        if repaired == content:
            raise unreadable_file(path, "an XML file", error) from error
    try:
        return parse(io.BytesIO(repaired))
    except XmlError as error:
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
