"""Patterns of paths with fields, such as ``raw/{subject_id}/{session_id}``, and what they match."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import attrs

from nwb_ophys.errors import SpecificationError
from nwb_ophys.home import with_home
from nwb_ophys.paths import parent_of
from nwb_ophys.remote.paths import RemotePath, as_path, is_url
from nwb_ophys.remote.reading import names_in

# The form of a field may be a regular expression with numbers of repeats, such as [0-9]{8}.
_FIELD = re.compile(r"\{([A-Za-z_][\w.]*)(?::((?:[^{}]|\{\d+(?:,\d*)?\})+))?\}")
_MARKS = frozenset("*?{}[]")
_ANY_DEPTH = "**"
# Beginnings of patterns of the local disk.
_LOCAL = ("/", "~", os.sep)
_MOST_LISTINGS = 10_000
# Regular expressions of the directives of dates that names hold.
_DIRECTIVES = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "f": r"\d{1,6}",
    "j": r"\d{3}",
    "b": r"[A-Za-z]{3}",
    "B": r"[A-Za-z]+",
    "p": r"[AaPp][Mm]",
    "I": r"\d{2}",
    "%": "%",
}


@attrs.frozen
class Match:
    """A path that a pattern matches, as a text, with the texts of its fields."""

    place: str
    fields: dict[str, str]

    @property
    def path(self) -> Path:
        """The path, which may be one of an object store."""
        return as_path(self.place) if is_url(self.place) else Path(self.place)


def has_fields(text: str) -> bool:
    """Return whether a text has fields in braces."""
    return _FIELD.search(text) is not None


def fields_of(text: str) -> tuple[str, ...]:
    """Return the names of the fields in a text, each once."""
    return tuple(dict.fromkeys(match[1] for match in _FIELD.finditer(text)))


def filled(text: str, fields: Mapping[str, str]) -> str:
    """Return a text with its fields replaced by values; a date has the form that its field states.

    Raises
    ------
    KeyError
        With the name of a field that has no value, or no date for its form.
    """
    return _FIELD.sub(lambda match: _value(match, fields), text)


def _value(match: re.Match[str], fields: Mapping[str, str]) -> str:
    name, form = match[1], match[2]
    if form is None or "%" not in form:
        return fields[name]
    try:
        return datetime.datetime.fromisoformat(fields[name]).strftime(form)
    except ValueError:
        raise KeyError(f"{name}:{form}") from None


def matches(pattern: str, folder: Path, fields: Mapping[str, str] | None = None) -> Iterator[Match]:
    """Find the paths that a pattern matches, sorted by name with numbers in order.

    Parameters
    ----------
    pattern : str
        Names separated by ``/``. ``*`` and ``?`` stand for other characters, ``**`` for folders of
        any depth, and a field in braces for a text that is the same wherever it is given. A ``/``
        at the end leaves files out. The pattern of a URL begins with the name of the bucket or
        host; ``**`` is not allowed in it.
    folder : pathlib.Path
        Folder of a relative pattern, which may be one of an object store.
    fields : Mapping of str to str, optional
        Values of fields of the pattern, in which stars and brackets are no marks.

    Yields
    ------
    Match

    Raises
    ------
    SpecificationError
        When the pattern is not valid, or a name can be read in two ways.
    SourceError
        When an object store cannot be listed.
    KeyError
        With the name of a field that has no value, where values are given.
    """
    values: dict[str, str] = {}
    if fields is not None:
        pattern = _FIELD.sub(lambda match: _placed(match, fields, values), pattern)
    if is_url(pattern) or (isinstance(folder, RemotePath) and not pattern.startswith(_LOCAL)):
        yield from _RemoteWalk.of(pattern, folder, values).matches()
        return
    root, steps = _parsed(pattern, tuple(values.items()))
    is_of_folders = pattern.endswith(("/", os.sep))
    for match in _walk(root or str(folder), steps, {}):
        if not is_of_folders or os.path.isdir(match.place):  # noqa: PTH112
            yield match


def _placed(match: re.Match[str], fields: Mapping[str, str], values: dict[str, str]) -> str:
    """Return the value of a field; names with marks stay fields, whose values are noted."""
    parts = _value(match, fields).split("/")
    for index, part in enumerate(parts):
        if set(part) & _MARKS:
            name = f"_{len(values)}"
            values[name], parts[index] = part, f"{{{name}}}"
    return "/".join(parts)


# A pattern such as *.tif is asked in the folder of every session.
@lru_cache(maxsize=256)
def _parsed(pattern: str, values: tuple[tuple[str, str], ...]) -> tuple[str, Sequence[_Step | str]]:
    """Return the root of an absolute pattern, and its steps."""
    expanded = str(with_home(Path(pattern)))
    root = Path(expanded).anchor
    names = expanded[len(root) :].replace(os.sep, "/").split("/")
    steps = [step for step in names if step not in ("", ".")]
    known = dict(values)
    return root, [
        step if step == _ANY_DEPTH else _Step.parse(step, pattern, known) for step in steps
    ]


def _walk(folder: str, steps: Sequence[_Step | str], fields: dict[str, str]) -> Iterator[Match]:
    """Yield the matches below a folder; texts and directory entries take less time than paths."""
    if not steps:
        yield Match(folder, fields)
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):  # any depth
        yield from _walk(folder, rest, fields)
        for entry in _entries(folder):
            # A link may lead back to a folder above it.
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, steps, fields)
    elif step.is_plain:
        is_above = step.text == os.pardir
        place = parent_of(folder) if is_above else f"{folder.rstrip(os.sep)}{os.sep}{step.text}"
        if os.path.exists(place):  # noqa: PTH110
            yield from _walk(place, rest, fields)
    else:
        for entry in _entries(folder):
            if entry.name.startswith(".") and not step.text.startswith("."):
                continue
            own = step.match(entry.name, fields, folder)
            if own is not None and (not rest or entry.is_dir()):
                yield from _walk(entry.path, rest, {**fields, **own})


@attrs.define
class _RemoteWalk:
    """Search for the matches of a pattern in an object store, which lists each folder once.

    Attributes
    ----------
    pattern : str
    root : RemotePath
    steps : sequence of _Step
    num_listings : int
        Number of folders that were listed.
    """

    pattern: str
    root: RemotePath
    steps: Sequence[_Step]
    num_listings: int = 0

    @classmethod
    def of(cls, pattern: str, folder: Path, values: Mapping[str, str]) -> _RemoteWalk:
        """Return the search for a pattern, which is a URL or lies in a folder of a store."""
        root, inner = folder, pattern
        if is_url(pattern):
            scheme, _, rest = pattern.partition("://")
            host, _, inner = rest.lstrip("/").partition("/")
            if set(host) & _MARKS:
                raise SpecificationError(
                    f"The pattern '{pattern}' has a field or star in the name of the bucket or "
                    "host; name one bucket, and give a pattern for each."
                )
            root = as_path(f"{scheme}://{host}")
        assert isinstance(root, RemotePath)
        names = [name for name in inner.split("/") if name not in ("", ".")]
        faults = {_ANY_DEPTH, os.pardir} & set(names)
        if root.protocol.startswith("http") and any("?" in name for name in names):
            faults.add("?")
        if faults:
            raise SpecificationError(
                f"The pattern '{pattern}' has '{min(faults)}', which patterns in object stores "
                "must not have; name each folder, with * where its name does not matter."
            )
        return cls(pattern, root, [_Step.parse(name, pattern, values) for name in names])

    def matches(self) -> Iterator[Match]:
        """Yield the matches in order of their names."""
        folder, steps = self.root, list(self.steps)
        while len(steps) > 1 and steps[0].is_plain:  # a user may not list the folders above
            folder /= steps.pop(0).text
        return self._below(folder, steps, {})

    def _below(
        self, folder: RemotePath, steps: Sequence[_Step], fields: dict[str, str]
    ) -> Iterator[Match]:
        if not steps:
            yield Match(str(folder), fields)
            return
        step, rest = steps[0], steps[1:]
        files, folders = self._names_in(folder)
        candidates = folders if rest or self.pattern.endswith("/") else files | folders
        for name in sorted(candidates, key=_in_order):
            if name.startswith(".") and not step.text.startswith("."):
                continue
            own = step.match(name, fields, str(folder))
            if own is not None:
                yield from self._below(folder / name, rest, {**fields, **own})

    def _names_in(self, folder: RemotePath) -> tuple[frozenset[str], frozenset[str]]:
        self.num_listings += 1
        if self.num_listings > _MOST_LISTINGS:
            raise SpecificationError(
                f"The pattern '{self.pattern}' needs more than {_MOST_LISTINGS:,} requests for "
                "lists of folders; state more of the names, or give several patterns."
            )
        return names_in(folder)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: _in_order(entry.name))
    except OSError:  # no folder, or one that may not be listed
        return []


def _place_of(folder: str, name: str) -> Path:
    return as_path(folder) / name if is_url(folder) else Path(folder, name)


def _in_order(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


@attrs.frozen
class _Step:
    """One name of a pattern, between two slashes.

    Attributes
    ----------
    text : str
    greedy, lazy : re.Pattern
        Expressions in whose fields as much or as little text as possible lies. Their groups have
        the numbers of the fields.
    names : tuple of str
        Names of the fields.
    dates : dict of str to str
        Forms of the fields that are dates.
    is_plain : bool
        Whether the step is the name of one file or folder.
    """

    text: str
    greedy: re.Pattern[str]
    lazy: re.Pattern[str]
    names: tuple[str, ...]
    dates: dict[str, str]
    is_plain: bool

    @classmethod
    def parse(cls, text: str, pattern: str, values: Mapping[str, str]) -> _Step:
        """Return the step of a text, some of whose fields may have values.

        The whole pattern is for messages.
        """
        fields = [(match[1], match[2]) for match in _FIELD.finditer(text)]
        between = _FIELD.split(text)[::3]
        for plain in between:
            if set("{}[]") & set(plain):
                raise SpecificationError(
                    f"The pattern '{pattern}' has '{plain}', where no brackets are allowed; a "
                    "field is a name in braces, such as {subject_id}."
                )
        try:
            greedy, lazy = (
                re.compile(_expression(between, fields, values, mark)) for mark in ("", "?")
            )
        except re.error as error:
            raise SpecificationError(f"The pattern '{pattern}' is not valid: {error}.") from error
        names = tuple(dict.fromkeys(name for name, _ in fields if name not in values))
        return cls(
            text=_FIELD.sub(lambda match: values.get(match[1], match[0]), text),
            greedy=greedy,
            lazy=lazy,
            names=names,
            dates={name: form for name, form in fields if form and "%" in form},
            is_plain=not names and not any(set("*?") & set(plain) for plain in between),
        )

    def match(self, name: str, known: Mapping[str, str], folder: str) -> dict[str, str] | None:
        """Return the fields in a name, or None if it does not match or contradicts known ones."""
        found, other = self.greedy.fullmatch(name), self.lazy.fullmatch(name)
        if found is None or other is None:
            return None
        fields = self._fields(found)
        if fields is None or any(known.get(key, text) != text for key, text in fields.items()):
            return None
        if found.groupdict() != other.groupdict():
            both = " or ".join(
                ", ".join(f"{key} = {each[f'f{i}']!r}" for i, key in enumerate(self.names))
                for each in (other, found)
            )
            raise SpecificationError(
                f"'{_place_of(folder, name)}' matches '{self.text}' in two ways: {both}. State "
                "what a field may hold, as in {subject_id:M[0-9]+}."
            )
        return fields

    def _fields(self, found: re.Match[str]) -> dict[str, str] | None:
        fields = {name: found[f"f{index}"] for index, name in enumerate(self.names)}
        for name, form in self.dates.items():
            try:
                moment = datetime.datetime.strptime(fields[name], form)
            except ValueError:
                return None
            fields[name] = moment.isoformat() if set("HIMSf") & set(form) else f"{moment:%Y-%m-%d}"
        return fields


def _expression(
    between: Sequence[str],
    fields: Sequence[tuple[str, str | None]],
    values: Mapping[str, str],
    mark: str,
) -> str:
    """Return the expression of a step, whose fields and stars take as the mark says."""
    parts, numbers = [_plain(between[0], mark)], dict[str, int]()
    for (name, form), plain in zip(fields, between[1:], strict=True):
        if name in values:
            parts.append(re.escape(values[name]))
        elif name in numbers:
            parts.append(f"(?P=f{numbers[name]})")
        else:
            numbers[name] = len(numbers)
            parts.append(f"(?P<f{numbers[name]}>{_inner(form, mark)})")
        parts.append(_plain(plain, mark))
    return "".join(parts)


def _inner(form: str | None, mark: str) -> str:
    """Return the expression of the text of a field."""
    if form is None:
        return f".+{mark}"
    if "%" not in form:
        return form
    pieces = re.split(r"%(.)", form)
    return "".join(
        _DIRECTIVES.get(piece, "(?!)") if index % 2 else re.escape(piece)
        for index, piece in enumerate(pieces)
    )


def _plain(text: str, mark: str) -> str:
    return re.escape(text).replace(r"\*", f".*{mark}").replace(r"\?", ".")
