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
from typing import IO, Any, NamedTuple, TypeVar
from xml.etree import ElementTree
from xml.parsers import expat

import attrs

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
_LARGE_BLOCK = 1 << 20
_MOST_REPEATED = 1 << 21
_NODE_TEXT = 64
_LARGEST_REPAIRED = 1 << 29
_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
_HEAD_BYTES = 256
# Printable characters of a value, without entities.
_VALUE = "[ !#-%'-;=-~]"
_SPACE = "[ \\t\\r\\n]*"
_MOST_SHAPES = 100


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


def iterate_xml(file: IO[bytes]) -> Iterator[tuple[str, Element]]:
    """Yield ``("start", element)`` and ``("end", element)`` for each element of an XML file.

    A caller that clears each element at its end can read a file of any length.

    Parameters
    ----------
    file : binary file

    Raises
    ------
    XmlError
        When the text is not XML or exceeds a limit.
    """
    parser = _Parser(keeps_events=True)
    while True:
        block = file.read(_BLOCK)
        yield from parser.events_of(block)
        if not block:
            return


class Shape:
    """Names and other text of the tags at the beginning of an element: all but the values.

    Parameters
    ----------
    literals : tuple of str
        Text before, between and after the values.
    child : str
        Name of the elements at the beginning.

    Attributes
    ----------
    attributes : dict of str to int
        Place of each attribute of the element among the values.
    children : tuple of dict of str to int
        The same for each of the elements at its beginning, which are empty.
    is_valid : bool
        Whether no tag has two values of one attribute.
    """

    __slots__ = ("attributes", "children", "is_valid", "match")

    def __init__(self, literals: tuple[str, ...], child: str) -> None:
        tags: list[dict[str, int]] = [{}]
        for place, literal in enumerate(literals[:-1]):
            if f"<{child} " in literal:
                tags.append({})
            tags[-1][literal.rpartition(" ")[2].removesuffix("=")] = place
        self.attributes, *children = tags
        self.children = tuple(children)
        self.is_valid = sum(map(len, tags)) == len(literals) - 1
        *inner, last = map(re.escape, (*literals[:-1], literals[-1].rstrip()))
        pattern = f'"({_VALUE}*)"'.join((*inner, last))
        self.match = re.compile(f"{_SPACE}{pattern}{_SPACE}").match


class Repeated(NamedTuple):
    """An element with new attributes, whose other content was parsed before.

    Attributes
    ----------
    shape : Shape
        Names of the attributes. Elements with the same names share the same object.
    values : tuple of str
        Values of all attributes, of the element and then of the elements at its beginning.
    rest : bytes
        Text after these elements, up to and including the end of the element.
    """

    shape: Shape
    values: tuple[str, ...]
    rest: bytes


def iterate_repeated(
    file: IO[bytes], tag: str, *, within: str, first: str
) -> Iterator[tuple[str, Any]]:
    """Yield the events of :func:`iterate_xml`, and parse elements of equal texts only once.

    A recording has a hundred thousand elements with the same settings in each.

    Parameters
    ----------
    file : binary file
    tag : str
        Name of the elements that are repeated.
    within : str
        Name of the element that holds them.
    first : str
        Name of the elements at their beginning, which differ.

    Yields
    ------
    tuple of (str, object)
        The events of :func:`iterate_xml`; ``("rest", bytes)`` after the end of an element whose
        content from there on may be repeated; and ``("repeated", list of Repeated)`` for elements
        that follow each other, each with the same rest as an element before, which replace the
        events of all of their elements.

    Raises
    ------
    XmlError
        When the text is not XML or exceeds a limit. Lines in its message are not counted right.
    """
    parser = _Parser(keeps_events=True)
    opening, closing = b"<" + tag.encode(), b"</" + tag.encode() + b">"
    repeats = _Repeats(tag, first)
    buffer = block = b""
    while True:
        block = file.read(_LARGE_BLOCK)
        buffer, position = buffer + block, 0
        text = buffer.decode("latin-1")  # one character per byte
        while (start := buffer.find(opening, position)) >= 0:
            end = buffer.find(closing, start) + len(closing)
            if end < start:
                break
            between = buffer[position:start]
            if between.strip(b" \t\r\n") or not parser.is_between_elements:
                yield from parser.events_of(between)
            holder = parser.innermost(within)
            if holder is not None:
                found, position = repeats.run(buffer, text, start)
                if found:
                    parser.count_cleared(holder, len(found))
                    yield "repeated", found
                    continue
            yield from parser.events_of(buffer[start:end])
            rest = repeats.rest_of(buffer, start, end) if holder is not None else None
            if rest is not None and parser.innermost(within) is holder and repeats.add(rest):
                yield "rest", rest
            position = end
        buffer = buffer[position:]
        if not block or len(buffer) > MAX_TOKEN_BYTES:
            yield from parser.events_of(buffer)
            buffer = b""
        if not block:
            yield from parser.events_of(b"")
            return


class _Repeats:
    """Texts at the end of elements that were parsed before, up to a number of bytes."""

    def __init__(self, tag: str, first: str) -> None:
        attribute = f' (?!xml)[A-Za-z]\\w*="{_VALUE}*"'.encode()
        space = _SPACE.encode()
        child = b"<" + first.encode() + b"(?:" + attribute + b")+ ?/>" + space
        self._head = re.compile(
            b"<" + tag.encode() + b"(?:" + attribute + b")+>" + space + b"(?:" + child + b")+"
        )
        self._closing = b"</" + tag.encode() + b">"
        self._child = first
        self._nested = (b"<" + first.encode(), b"<" + tag.encode())
        self._known: set[bytes] = set()
        self._num_bytes = 0
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._shape: Shape | None = None

    def run(self, buffer: bytes, text: str, start: int) -> tuple[list[Repeated], int]:
        """Return the elements from a position on that follow each other, and where they end.

        Parameters
        ----------
        buffer : bytes
        text : str
            The same with one character per byte.
        start : int
            Start of an element.
        """
        found: list[Repeated] = []
        shape, known, closing, rest = self._shape, self._known, self._closing, None
        while True:
            head = shape.match(text, start) if shape is not None else None
            if shape is None or head is None:
                shape = self._shape_at(buffer, start)
                head = shape.match(text, start) if shape is not None else None
            if shape is None or head is None:
                break
            at = head.end()
            if rest is None or not buffer.startswith(rest, at):
                rest = buffer[at : buffer.find(closing, at) + len(closing)]
                if rest not in known:
                    break
            found.append(Repeated(shape, head.groups(), rest))
            start = at + len(rest)
        self._shape = shape
        return found, start

    def _shape_at(self, buffer: bytes, start: int) -> Shape | None:
        """Return the shape of the element at a position; None if it has to be parsed."""
        head = self._head.match(buffer, start)
        if head is None:
            return None
        literals = tuple(head[0].decode("ascii").split('"')[::2])
        if literals not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                return None
            self._shapes[literals] = Shape(literals, self._child)
        shape = self._shapes[literals]
        return shape if shape.is_valid else None

    def rest_of(self, buffer: bytes, start: int, end: int) -> bytes | None:
        """Return the text after the beginning of an element; None if it has to be parsed."""
        head = self._head.match(buffer, start, end)
        return None if head is None else buffer[head.end() : end]

    def add(self, rest: bytes) -> bool:
        """Note the text at the end of an element, unless it has further elements that differ.

        Returns whether it was noted, now or before.
        """
        self._num_bytes += len(rest)
        if self._num_bytes <= _MOST_REPEATED and not any(each in rest for each in self._nested):
            self._known.add(rest)
        return rest in self._known


@attrs.define(eq=False)
class _Open:
    """An open element: its name, its own nodes and those of its elements."""

    tag: str
    own: int
    inner: int = 0


class _Names(dict[str, str]):
    """Names as ElementTree has them, with the namespace in braces."""

    def __missing__(self, name: str) -> str:
        found = self[name] = f"{{{name}" if "}" in name else name
        return found


class _Parser:
    """The parser, with the events that are not yielded yet and the number of nodes in memory."""

    def __init__(self, encoding: str | None = None, *, keeps_events: bool = False) -> None:
        self.events: deque[tuple[str, Element, int]] = deque()
        self.num_nodes = 0
        self._keeps_events = keeps_events
        self._depth = 0
        self._num_fed = 0
        self._has_sections = False
        self._open: list[_Open] = []
        self._names = _Names()
        self._builder = ElementTree.TreeBuilder()
        self._expat = expat.ParserCreate(encoding, "}")
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._data
        self._expat.StartDoctypeDeclHandler = self._check_declarations
        self._expat.EntityDeclHandler = self._refuse_declaration
        self._expat.AttlistDeclHandler = self._refuse_declaration
        self._expat.StartCdataSectionHandler = self._section
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

    def events_of(self, block: bytes) -> Iterator[tuple[str, Element]]:
        """Parse the next bytes and yield their events; the caller may clear elements that end."""
        self.feed(block)
        while self.events:
            event, element, size = self.events.popleft()
            yield event, element
            if event == "start":
                self._open.append(_Open(element.tag, size))
                continue
            ended = self._open.pop()
            own, inner = ended.own, ended.inner
            is_cleared = (own > 1 or inner) and not element.attrib and not len(element)
            left = 1 if is_cleared else own + inner
            self.num_nodes -= own + inner - left
            if self._open:
                self._open[-1].inner += left

    @property
    def is_between_elements(self) -> bool:
        """Return whether no tag, comment or section has begun and not ended."""
        return not self._has_sections and self._expat.CurrentByteIndex == self._num_fed

    def innermost(self, tag: str) -> _Open | None:
        """Return the innermost open element if it has this name, between its elements."""
        if not self._open or self._open[-1].tag != tag or not self.is_between_elements:
            return None
        return self._open[-1]

    def count_cleared(self, holder: _Open, number: int) -> None:
        """Count elements that were not parsed like some that were cleared."""
        self._count(number)
        holder.inner += number

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
            if "}" in "".join(attributes):
                names = {self._names[key]: value for key, value in attributes.items()}
        self.num_nodes += size
        if self.num_nodes > MAX_NODES:
            raise _too_many_nodes()
        element = self._builder.start(self._names[name], names)
        if self._keeps_events:
            self.events.append(("start", element, size))

    def _end(self, name: str) -> None:
        self._depth -= 1
        element = self._builder.end(self._names[name])
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

    def _section(self) -> None:
        self._has_sections = True

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
