"""Names of image files: the counter that parts of a movie differ in, and tokens with a meaning."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import attrs

from nwb_ophys.paths import natural_order

_START = r"(?:^|(?<=[\W_\d]))"
_END = r"(?=[\W_]|$)"
_COLOURS = "green|red|blue|yellow|cyan|magenta|farred|gfp|rfp|yfp|cfp|dapi|mcherry|tdtomato|gcamp"
_TOKENS = {
    # A date is part of the name of a session, and never the counter of its files.
    "identity": r"(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?!\d)"
    rf"|{_START}(?:mouse|mice|animal|subject|subj|sub|rat|fish|fly|session|ses|day|date)"
    r"[ _-]?[a-z]?\d+",
    "channel": rf"{_START}(?:channel|chan|ch)[ _-]?\d+|^c\d+(?=-)|{_START}c\d+{_END}"
    rf"|{_START}(?:{_COLOURS}){_END}",
    "plane": rf"{_START}(?:plane|slice|layer|depth)[ _-]?\d+|{_START}z[_-]?\d+{_END}",
    "position": rf"{_START}(?:position|pos|fov|roi|region|field|site|tile|well|area)[ _-]?\d+"
    rf"|{_START}xy\d+{_END}",
    "number": r"\d+",
}
# Numbers behind a date that may be a time of day. Numbers such as 00-00-01 are a counter.
_TIME_OF_DAY = re.compile(
    r"[-_ T](?:0[1-9]|1\d|2[0-3]|00(?=[-.h](?!00)))[-_.h][0-5]\d[-_.m][0-5]\d(?!\d)"
)
_TOKEN = re.compile("|".join(f"(?P<{k}>{v})" for k, v in _TOKENS.items()), re.IGNORECASE)
# ImageJ puts the name of a projection before the name of the stack.
_PROJECTION = re.compile(
    rf"^(?:max|avg|std|med|sum|min)_|{_START}(?:MAX|AVG|STD|MED|SUM|MIN)_"
    rf"|{_START}(?:reference|projection){_END}",
)
_PROJECTION_WORD = re.compile(rf"{_START}(?:reference|projection){_END}", re.IGNORECASE)


# Numbers that are dates, by their number of digits, with the years that they may have. Unlike those
# of the identity, they may be counters as well: only all numbers of a series together show it.
_DATES = {
    6: (("%y%m%d", "%d%m%y", "%m%d%y"), range(2005, 2040)),
    8: (("%d%m%Y", "%m%d%Y"), range(1990, 2050)),
    12: (("%Y%m%d%H%M", "%y%m%d%H%M%S"), range(2005, 2040)),
    14: (("%Y%m%d%H%M%S",), range(1990, 2050)),
}
_CLOCK = re.compile(r"(?!00)(?:[01]\d|2[0-3])(?:[0-5]\d){2}")
_ENDS_WITH_DATE = re.compile(r"(\d{2}|#)[-_T ]?$")

# The end of the name of a file that continues another one, such as _X2, @0001 and _1. More digits
# are those of a date or a time.
_CONTINUES = re.compile(r"(?:[ _.@-]+[a-z]{0,6}[ _.-]?|[a-z]{1,6}[_.-]?)?\d{1,5}", re.IGNORECASE)

# Fewer steps of a counter do not show its interval; up to this number, it counts one by one.
_FEWEST_STEPS, _LARGEST_COUNT = 3, 9


@attrs.frozen(kw_only=True)
class NamedSeries:
    """Files whose names differ in one counter at most.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        The files in the order of the counter.
    family : tuple of str
        Name without the counter and without the tokens of `tokens`. Series of one family are
        streams of one recording.
    tokens : tuple of str
        Tokens of channel, plane and position, such as ``ch1`` or ``z03``.
    numbers : tuple of int
        Values of the counter, file by file; empty where the names have no counter.
    """

    paths: tuple[Path, ...]
    family: tuple[str, ...]
    tokens: tuple[str, ...]
    numbers: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Tokens as a name, such as ``ch1 z03``."""
        return " ".join(self.tokens)

    @property
    def gap(self) -> tuple[int, int] | None:
        """Two neighbouring values of the counter between which others are missing, or None."""
        steps = [b - a for a, b in zip(self.numbers, self.numbers[1:], strict=False)]
        # Few small numbers are no multiples of an interval, such as 0, 10, 20 and 30.
        are_few = len(steps) < _FEWEST_STEPS and self.numbers[-1:] <= (_LARGEST_COUNT,)
        usual = 1 if are_few else min(steps, default=0)
        at = next((index for index, step in enumerate(steps) if step > usual), None)
        return None if at is None else (self.numbers[at], self.numbers[at + 1])


def is_projection(path: Path) -> bool:
    """Return whether the name of a file marks it as a projection or reference image."""
    stem = path.name.split(".")[0]
    return bool(_PROJECTION.search(stem) or _PROJECTION_WORD.search(stem))


def named_series(paths: Iterable[Path]) -> list[NamedSeries]:
    """Group files of one folder by their names; files of a group differ in one counter at most.

    The result does not depend on the order of the paths.

    Parameters
    ----------
    paths : iterable of pathlib.Path

    Returns
    -------
    list of NamedSeries
        In the natural order of their first files.
    """
    alike: dict[str, list[_Name]] = {}
    for path in sorted(set(paths), key=lambda each: natural_order(each.name)):
        name = _parse(path)
        alike.setdefault(name.template, []).append(name)
    found = [series for names in alike.values() for series in _by_counter(names)]
    return sorted(found, key=lambda series: natural_order(series.paths[0].name))


def continues(later: NamedSeries, first: NamedSeries) -> bool:
    """Return whether the names of a series are that of a single file with a number added.

    So programs name the later files of a movie whose first file has no number.

    Parameters
    ----------
    later, first : NamedSeries
    """
    if len(first.paths) != 1 or later.tokens != first.tokens or later is first:
        return False
    stem = first.paths[0].stem.lower()
    for path in later.paths:
        own = path.stem.lower()
        added = own[len(stem) :] if own.startswith(stem) else ""
        # Another digit behind a number makes another number.
        if not _CONTINUES.fullmatch(added) or (stem[-1:] + added[0]).isdigit():
            return False
    return True


@attrs.frozen(kw_only=True)
class _Name:
    path: Path
    template: str
    tokens: tuple[str, ...]
    numbers: tuple[int, ...]
    digits: tuple[str, ...]
    """The numbers as they are written."""
    follows_date: tuple[bool, ...]
    """Whether a date is directly before each number."""
    clock: int | None
    """Index of the first of three numbers that may be the time of day of a date; None if none."""

    @property
    def padding(self) -> tuple[int, ...]:
        """Number of digits of each number that begins with a zero, else 0."""
        return tuple(len(text) if text[0] == "0" and len(text) > 1 else 0 for text in self.digits)


def _parse(path: Path) -> _Name:
    """Divide a name into its template, the tokens with a meaning, and other numbers."""
    tokens: list[str] = []
    digits: list[str] = []
    follows_date: list[bool] = []
    template: list[str] = []
    end, clock = 0, None
    for match in _TOKEN.finditer(path.stem):
        template.append(path.stem[end : match.start()])
        end = match.end()
        if match.lastgroup == "number":
            digits.append(match[0])
            follows_date.append(_ends_with_date("".join(template), digits[:-1]))
            template.append("#")
        elif match.lastgroup == "identity":
            template.append(match[0])
            is_date = match[0][0].isdigit()
            if is_date and _TIME_OF_DAY.match(path.stem, end):
                clock = len(digits)
        else:
            tokens.append(match[0])
            template.append("?")
    template.append(path.stem[end:])
    text = "".join(template).lower() + path.suffix.lower()
    return _Name(
        path=path,
        template=text,
        tokens=tuple(tokens),
        numbers=tuple(map(int, digits)),
        digits=tuple(digits),
        follows_date=tuple(follows_date),
        clock=clock,
    )


def _by_counter(names: list[_Name]) -> list[NamedSeries]:
    """Divide names of one template by all that differs but one number, the counter."""
    columns = list(zip(*(name.digits for name in names), strict=True))
    varying = [index for index, column in enumerate(columns) if len(set(map(int, column))) > 1]
    follows_date = names[0].follows_date
    clock = _clock_of(names)
    counters = [
        i for i in varying if i not in clock and not _are_datetimes(columns[i], follows_date[i])
    ]
    counter = counters[-1] if counters else None
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[_Name]] = {}
    for name in names:
        others = [str(n) for index, n in enumerate(name.numbers) if index != counter]
        groups.setdefault(((name.template, *others), name.tokens), []).append(name)
    return [
        _series((*family, *zeros), tokens, part, counter)
        for (family, tokens), group in groups.items()
        for zeros, part in _without_twins(group).items()
    ]


def _clock_of(names: Sequence[_Name]) -> range:
    """Return the indices of the numbers that are times of day in all names of one template."""
    start = names[0].clock
    if start is None or any(name.clock != start for name in names):
        return range(0)
    found = range(start, start + 3)
    times = ["".join(name.digits[start : start + 3]) for name in names]
    return range(0) if _are_counted(times) else found


def _are_counted(times: Iterable[str]) -> bool:
    """Return whether two numbers follow each other: no recordings start in successive seconds."""
    numbers = sorted(set(map(int, times)))
    return any(b - a == 1 for a, b in itertools.pairwise(numbers))


def _are_datetimes(digits: Sequence[str], follow_dates: bool = False) -> bool:
    """Return whether numbers are dates of one form, such as 240517, or times after a date.

    These are of several recordings, and count no files.
    """
    if follow_dates and all(map(_CLOCK.fullmatch, digits)) and not _are_counted(digits):
        return True
    forms, years = _DATES.get(len(digits[0]), ((), range(0)))
    # Numbers whose last digits alone differ are counted, not the same day of several years.
    if len(digits) > 1 and len({text[:4] for text in digits}) == 1:
        forms = tuple(form for form in forms if form.lower().startswith("%y"))
    if _are_counted(digits):
        forms = tuple(form for form in forms if not form.endswith("%S"))
    return any(all(_is_date(text, form, years) for text in digits) for form in forms)


def _ends_with_date(template: str, digits: Sequence[str]) -> bool:
    """Return whether the beginning of a name ends with a date, given the numbers in it."""
    match = _ENDS_WITH_DATE.search(template)
    return match is not None and (match[1] != "#" or _are_datetimes(digits[-1:]))


def _is_date(text: str, form: str, years: range) -> bool:
    try:
        return datetime.strptime(text, form).year in years
    except ValueError:
        return False


def _without_twins(names: list[_Name]) -> dict[tuple[str, ...], list[_Name]]:
    """Divide names by their leading zeros where two name the same number, such as 1 and 01.

    Neither of the two comes first in a movie; they are of two recordings.
    """
    if len({name.numbers for name in names}) == len(names):
        return {(): names}
    parts: dict[tuple[str, ...], list[_Name]] = {}
    for name in names:
        parts.setdefault(tuple(map(str, name.padding)), []).append(name)
    return parts


def _series(
    family: tuple[str, ...], tokens: tuple[str, ...], names: list[_Name], counter: int | None
) -> NamedSeries:
    if counter is None:
        return NamedSeries(paths=tuple(name.path for name in names), family=family, tokens=tokens)
    ordered = sorted(names, key=lambda name: (name.numbers[counter], name.path.name))
    return NamedSeries(
        paths=tuple(name.path for name in ordered),
        family=family,
        tokens=tokens,
        numbers=tuple(name.numbers[counter] for name in ordered),
    )
