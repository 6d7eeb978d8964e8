"""YAML and JSON documents: one reader and one writer for metadata, configurations and options.

The reader follows YAML 1.2, in which ``1e-6`` is a number, ``010`` is ten and ``12:30`` a text,
with two additions that files written for YAML 1.1 rely on: ``yes``, ``no``, ``on`` and ``off`` are
true or false, and dates and times become :mod:`datetime` objects. The writer quotes every text
that a reader of either version would not read as that text.
"""

from __future__ import annotations

import codecs
import datetime
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import RepresenterError, SafeRepresenter
from ruamel.yaml.resolver import BaseResolver
from ruamel.yaml.scanner import Scanner

from nwb_ophys.outside import require_ordinary

MAX_DEPTH = 100
"""Levels of lists and dictionaries that a document may have."""

MAX_BYTES = 1 << 26
"""Length of the text of a document."""

MAX_VALUES = 1_000_000
"""Values of a JSON text; more are allowed where the text has 16 characters for each of them."""

MAX_LINES = 250_000
"""Lines and commas of a YAML text, whose values take about 0.1 ms each."""

MAX_DIGITS = 4000
"""Digits of an integer, whose value takes a time that grows with their square."""

MAX_REPEATED = 100_000
"""Values that the aliases (``*name``) of a document may repeat, so that it fits into memory."""


_MARKS_OF_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BYTES_PER_VALUE = 16
_CHARACTERS_PER_NODE = 64


class DocumentError(ValueError):
    """A text that is not valid YAML or JSON; the message gives the line and the reason."""


def read_document(path: str | Path) -> Any:
    """Read a file as JSON when its name ends in ``.json``, and as YAML otherwise.

    Parameters
    ----------
    path : path-like
        The file, a text in UTF-8, or in UTF-16 with its mark.

    Returns
    -------
    object
        A dictionary, a list or a single value; None for an empty file.

    Raises
    ------
    OSError, UnicodeDecodeError
        When the file cannot be read or is not such a text.
    DocumentError
        When the text is not valid.
    """
    path = Path(path)
    require_ordinary(path)
    text = decoded(read_limited(path))
    if not text.strip():
        return None
    return parse_json(text) if path.suffix.lower() == ".json" else parse_yaml(text)


def decoded(data: bytes) -> str:
    """Return a text in UTF-8, or in UTF-16 with its mark, without the mark.

    Windows marks texts; its PowerShell writes UTF-16, and so do tables of Excel as "Unicode text".

    Parameters
    ----------
    data : bytes

    Raises
    ------
    UnicodeDecodeError
        For bytes that are not such a text.
    """
    return data.decode("utf-16" if data.startswith(_MARKS_OF_UTF_16) else "utf-8-sig")


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML document.

    Parameters
    ----------
    text : str
        One document. Only plain values are made from it, never objects of a class.

    Raises
    ------
    DocumentError
        When the text is not valid, gives a key twice, or is nested too deeply.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Composer, yaml.Constructor = _Resolver, _Composer, _Constructor
    yaml.Scanner = _Scanner
    if text.count("\n") + text.count(",") > MAX_LINES:
        raise DocumentError(f"it has more than {MAX_LINES:,} lines or values")
    try:
        value = yaml.load(text)
    except MarkedYAMLError as error:
        raise DocumentError(_reason(error)) from error
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    # Errors without a place, and those that escape from within ruamel.yaml, as an IndexError.
    except Exception as error:
        raise DocumentError(" ".join(str(error).split()) or type(error).__name__) from error
    _check_depth(value)
    return value


def parse_json(text: str) -> Any:
    """Return the value of a JSON document.

    Raises
    ------
    DocumentError
        When the text is not valid, gives a key twice, or is nested too deeply.
    """
    try:
        _check_num_values(text)
        value = json.loads(text, object_pairs_hook=_unique_dict, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise DocumentError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except DocumentError:
        # JSON is YAML too, and the reader of YAML knows the line. YAML forbids some tabs.
        parse_yaml(text.expandtabs(1))
        raise
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    _check_depth(value)
    return value


def read_limited(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file that is not longer than a limit.

    Raises
    ------
    OSError
        When the file cannot be read.
    DocumentError
        When it is longer.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise DocumentError(f"it has {size} bytes, but at most {max_bytes >> 20} MB are read")
    return path.read_bytes()


def parse_source_json(text: str | bytes, *, max_bytes: int = MAX_BYTES, start: int = 0) -> Any:
    """Return the value of a JSON text that another program wrote into a recording.

    A key may be given twice; the last value counts.

    Parameters
    ----------
    text : str or bytes
        Bytes are decoded as UTF-8, with the bytes that are not replaced.
    max_bytes : int
        Length of the longest text that is parsed.
    start : int
        Position of the value in a str; with another position than 0, text may follow the value.

    Raises
    ------
    ValueError
        When the text is not JSON, is too long, or has too many values or levels.
    """
    if len(text) > max_bytes:
        raise DocumentError(_TOO_LONG)
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    _check_num_values(decoded)
    try:
        if start:
            value, _ = _DECODER.raw_decode(decoded, start)
        else:
            value = _DECODER.decode(decoded)
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    _check_depth(value)
    return value


def dump_yaml(value: Any, *, flow_style: bool | None = None) -> str:
    """Return a value as YAML, with every text on one line and keys in the given order.

    Parameters
    ----------
    value : object
        A text, a number, a date, or lists and dictionaries of them.
    flow_style : bool, optional
        Whether lists and dictionaries are written in brackets; by default only the innermost are.

    Raises
    ------
    DocumentError
        When the value or one within it cannot be written as YAML.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Representer = _QuotingResolver, _Representer
    yaml.default_flow_style = flow_style
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = sys.maxsize
    stream = io.StringIO()
    try:
        yaml.dump(value, stream)
    except RepresenterError as error:
        raise DocumentError(" ".join(str(error).split())) from error
    # The mark of the end of the document, which follows a single text or number.
    written = stream.getvalue().removesuffix("...\n")
    # Such characters are in double quotes, in which readers decode the code of each.
    return written if written.isascii() else _NO_GLYPH.sub(_as_code, written)


_NO_GLYPH = re.compile(
    # Marks of direction, characters of no width and separators of lines, and private ones.
    "[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\uf8ff\ufeff"
    "\ufff0-\ufffb\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def _as_code(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_TOO_LONG = f"it has more than {MAX_BYTES >> 20} MB"
_TOO_DEEP = f"lists and dictionaries are nested deeper than {MAX_DEPTH} levels"


def _reason(error: MarkedYAMLError) -> str:
    """Return an error of ruamel.yaml on one line, beginning with the place."""
    said = ", ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + " ".join(said.split())


def _check_num_values(text: str) -> None:
    """Refuse a text whose values would take far more memory than the text."""
    most = max(MAX_VALUES, len(text) // _BYTES_PER_VALUE)
    if text.count(",") + text.count("[") + text.count("{") > most:
        raise DocumentError(f"it has more than {most:,} values")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise DocumentError(f"an integer has {len(text):,} digits")
    return int(text)


_DECODER = json.JSONDecoder(parse_int=_integer)


def _unique_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DocumentError(f"the key '{key}' is given twice")
        found[key] = value
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for each in level for item in _containers(each)]
        if not level:
            return
    raise DocumentError(_TOO_DEEP)


def _containers(value: Any) -> list[Any]:
    """Return the lists and dictionaries directly within a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, (dict, list))]


_YES_OR_NO = r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"
_PLAIN_VALUES = {
    "bool": (rf"true|True|TRUE|false|False|FALSE|{_YES_OR_NO}", "tTfFyYnNoO"),
    "float": (
        r"[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*([eE][-+]?\d+)?)"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "int": (
        r"[-+]?(0b[01][01_]*|0o[0-7][0-7_]*|0x[\da-fA-F][\da-fA-F_]*|\d[\d_]*)",
        "-+0123456789",
    ),
    "timestamp": (
        r"\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?([Tt]|[ \t]+)\d\d?:\d\d:\d\d(\.\d*)?"
        r"([ \t]*(Z|[-+]\d\d?(:\d\d)?))?",
        "0123456789",
    ),
    "merge": (r"<<", "<"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
"""Plain scalars that are not texts: a pattern, and the characters with which a match begins."""


class _Resolver(BaseResolver):
    """The types of plain scalars, whatever version a document states."""

    @property
    def processing_version(self) -> tuple[int, int]:
        """The version whose rules turn the text of a number into its value."""
        return (1, 2)

    def __init__(self, version: Any = None, loader: Any = None) -> None:
        super().__init__(loader)
        # ruamel.yaml makes a resolver again when this differs from the stated version.
        self._loader_version = version


class _QuotingResolver(_Resolver):
    """The types of plain scalars in YAML 1.1 too, so that a text that looks like one is quoted."""


def _add_rule(resolver: type[_Resolver], name: str, pattern: str, first: Any) -> None:
    # The method without "_base" would change the rules of ruamel.yaml for the whole process.
    compiled = re.compile(rf"^(?:{pattern})\Z", re.ASCII)
    resolver.add_implicit_resolver_base(f"tag:yaml.org,2002:{name}", compiled, list(first))


for _name, _rule in _PLAIN_VALUES.items():
    _add_rule(_Resolver, _name, *_rule)
_add_rule(_QuotingResolver, "bool", "[yYnN]", "yYnN")
_add_rule(_QuotingResolver, "value", "=", "=")
_add_rule(_QuotingResolver, "int", r"[-+]?[\d_]+(:[0-5]?\d)+(\.[\d_]*)?", "-+0123456789")


class _Scanner(Scanner):
    """ruamel.yaml's scanner, which also refuses brackets without end at once."""

    def fetch_flow_collection_start(self, *arguments: Any, **keywords: Any) -> None:
        if self.flow_level > MAX_DEPTH:
            raise DocumentError(_TOO_DEEP)
        super().fetch_flow_collection_start(*arguments, **keywords)


class _Composer(Composer):
    """ruamel.yaml's composer, which also refuses repeated keys and aliases without end."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        # An anchor may be given again; aliases refer to the last one.
        self.warn_double_anchors = False
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise DocumentError(_TOO_DEEP)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        # Here, because later the keys of merged mappings (``<<``) are among them.
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                continue
            if key.value in lines:
                first = lines[key.value]
                problem = f"the key '{key.value}' is given twice, first in line {first}"
                raise ComposerError(None, None, problem, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            sizes: dict[int, int] = {}
            total = _expanded_size(node, sizes)
            if total > _num_nodes(node, set()) + MAX_REPEATED:
                problem = f"the aliases repeat more than {MAX_REPEATED:,} values"
                raise ComposerError(None, None, problem, node.start_mark)
        return node


def _expanded_size(node: Any, sizes: dict[int, int]) -> int:
    """Return how many nodes there are when every alias is replaced by a copy.

    A long text counts as several.
    """
    if isinstance(node, ScalarNode):
        return 1 + len(str(node.value)) // _CHARACTERS_PER_NODE
    size = sizes.get(id(node))
    if size == 0:
        problem = f"the anchor '{node.anchor}' contains itself"
        raise ComposerError(None, None, problem, node.start_mark)
    if size is None:
        sizes[id(node)] = 0
        size = sizes[id(node)] = 1 + sum(_expanded_size(each, sizes) for each in _children(node))
    return size


def _num_nodes(node: Any, seen: set[int]) -> int:
    """Return how many nodes there are, those with several aliases counted once."""
    if id(node) in seen:
        return 1
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        return 1 + len(str(node.value)) // _CHARACTERS_PER_NODE
    return 1 + sum(_num_nodes(each, seen) for each in _children(node))


def _children(node: Any) -> list[Any]:
    if isinstance(node, MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value)


class _Constructor(SafeConstructor):
    """ruamel.yaml's safe constructor, with the line in every error and zones kept in times."""

    def construct_non_recursive_object(self, node: Any, tag: str | None = None) -> Any:
        try:
            return super().construct_non_recursive_object(node, tag)
        except (YAMLError, RecursionError):
            raise
        # Errors of Python's own types, as for the date 2024-02-30 or ``!!int x``.
        except Exception as error:
            kind = str(node.tag).rpartition(":")[2]
            problem = f"{str(node.value)[:40]!r} is not a valid {kind}: {error}"
            raise ConstructorError(None, None, problem, node.start_mark) from error

    def construct_yaml_int(self, node: Any) -> Any:
        if len(str(node.value)) > MAX_DIGITS:
            raise DocumentError(f"it has more than {MAX_DIGITS:,} digits")
        return super().construct_yaml_int(node)

    def construct_yaml_timestamp(self, node: Any, values: Any = None) -> Any:
        match = _TIMESTAMP.fullmatch(str(node.value))
        if match is None:
            raise DocumentError("write it as 2024-05-17 or 2024-05-17T14:30:00+02:00")
        date = datetime.date(*(int(match[part]) for part in ("year", "month", "day")))
        if match["hour"] is None:
            return date
        hour, minute, second = (int(match[part]) for part in ("hour", "minute", "second"))
        microsecond = int((match["fraction"] or "")[:6].ljust(6, "0"))
        time = datetime.time(hour, minute, second, microsecond)
        return datetime.datetime.combine(date, time, _zone(match))


_Constructor.add_default_constructor("timestamp")
_Constructor.add_default_constructor("int")
# Dictionaries and lists are all that metadata and configurations hold.
for _kind in ("omap", "pairs", "set"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", _Constructor.construct_undefined)

_TIMESTAMP = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)"
    r"((?:[Tt]|[ \t]+)(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d*))?"
    r"([ \t]*(?P<zone>Z|(?P<sign>[-+])(?P<zone_hours>\d\d?)(?::(?P<zone_minutes>\d\d))?))?)?",
    re.ASCII,
)


def _zone(match: re.Match[str]) -> datetime.tzinfo | None:
    if match["zone"] is None:
        return None
    if match["sign"] is None:
        return datetime.timezone.utc
    hours, minutes = int(match["zone_hours"]), int(match["zone_minutes"] or 0)
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    return datetime.timezone(-offset if match["sign"] == "-" else offset)


_MARKS = re.compile(r"""^[-.:]|:(?!\w)|[][{}#?,&*!|>'"%@`]""")


class _Representer(SafeRepresenter):
    """ruamel.yaml's safe representer, whose output readers of YAML 1.1 and 1.2 read alike."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, data: str) -> Any:
        # Double quotes keep line breaks and characters that are not printable. Without quotes,
        # versions of YAML and their readers disagree on some marks, such as the last of [a:, b].
        style = "'" if _MARKS.search(data) else None
        is_plain = data.isprintable() and not _NO_GLYPH.search(data)
        style = style if is_plain else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def represent_number(self, data: float) -> Any:
        written = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(data), repr(data))
        if "." not in written:
            # YAML 1.1 takes 1e-06 as a text.
            written = written.replace("e", ".0e")
        return self.represent_scalar("tag:yaml.org,2002:float", written)


_Representer.add_representer(str, _Representer.represent_text)
_Representer.add_representer(float, _Representer.represent_number)
