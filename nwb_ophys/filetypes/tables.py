"""Tables in text files: values separated by commas, semicolons, tabs or blanks."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.documents import decoded
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.datetime_texts import DATE_AND_TIME, is_datetime, parse_datetimes
from nwb_ophys.filetypes.files import read_small_file, require_file, unreadable_file
from nwb_ophys.timing import Datetimes

MAX_BYTES = 1 << 29
"""Length of the longest table."""

_DELIMITERS = ("\t", ";", ",")
_NUM_SNIFFED = 50
_COMMENT = ("#", "%")
_NUMBER = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_FORM = "A date and time has the form 2024-05-17T14:30:01.5+02:00. "
_TRUTHS = {"true": True, "false": False}
_ABSENT = {"", "nan", "na", "n/a", "null", "none"}


@attrs.frozen(kw_only=True, eq=False)
class TextTable:
    """A table of texts.

    Attributes
    ----------
    path : pathlib.Path
    names : tuple of str
        Names of the columns; empty if the file has no line of names.
    columns : tuple of list of str
        Values without surrounding blanks, with a point in decimal numbers.
    lines : sequence of int
        Number of the line of each row, from 1.
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[list[str], ...]
    lines: Sequence[int]

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    def describe(self) -> str:
        """Return the columns in words."""
        if self.names:
            return ", ".join(f"'{name}'" for name in self.names)
        return f"{len(self.columns)} columns without names, 0 to {len(self.columns) - 1}"

    def index_of(self, column: str) -> int:
        """Return the index of a column, by its name or by its number from 0.

        Raises
        ------
        SourceError
            If there is no such column, or if several have the name.
        """
        for fold in (str, str.casefold):
            found = [i for i, name in enumerate(self.names) if fold(name) == fold(column)]
            if len(found) > 1:
                raise SourceError(
                    f"'{self.path}' has {len(found)} columns '{column}'; rename one of them."
                )
            if found:
                return found[0]
        if column.isdecimal() and int(column) < len(self.columns):
            return int(column)
        raise SourceError(f"'{self.path}' has no column '{column}'. It has {self.describe()}.")

    def numbers(self, index: int) -> NDArray[np.float64]:
        """Return a column as numbers; true is 1, and false is 0.

        Raises
        ------
        SourceError
            If a value is not a number; names its line.
        """
        # Among values that commas separate, a quoted text such as "1,2" may be no number elsewhere.
        cells = _with_points(self.columns[index], has_thousands=True)
        row = next((row for row, cell in enumerate(cells) if not _is_number(cell)), None)
        fault = "is not a number"
        if row is None:
            row = next((row for row, cell in enumerate(cells) if "," in cell), None)
            fault = "may have a decimal comma, or one of thousands"
        if row is not None:
            said = f"'{cells[row]}' {fault}" if cells[row] else "a value is absent"
            form = _FORM if ":" in cells[row] else ""  # such as 17.05.2024 14:30:01
            raise SourceError(
                f"{self._place(row, index)}: {said}. {form}Correct the file, or name another "
                "column."
            )
        truths = [_TRUTHS.get(cell.lower()) for cell in cells]
        pairs = zip(cells, truths, strict=True)
        return np.array([float(cell) if truth is None else truth for cell, truth in pairs], float)

    def datetimes(self, index: int) -> Datetimes | None:
        """Return a column as dates and times; None if its first value is something else.

        Raises
        ------
        SourceError
            If a further value is not a date and time, and where only some have a time zone; names
            the line.
        """
        cells = self.columns[index]
        if not cells or not is_datetime(cells[0]):
            return None
        return parse_datetimes(cells, [self._place(row, index) for row in range(len(cells))])

    def _place(self, row: int, index: int) -> str:
        name = f"'{self.names[index]}'" if self.names else str(index)
        return f"'{self.path}', line {self.lines[row]}, column {name}"


def read_table(path: Path, *, has_names: bool | None = None) -> TextTable:
    """Read a table from a text file.

    Commas, semicolons, tabs or blanks separate the values: the separator by which all lines have
    as many values. A comma within a value may mark decimals. Empty lines, and lines at the
    beginning that start with ``#`` or ``%``, are left out.

    Parameters
    ----------
    path : pathlib.Path
        In UTF-8, UTF-16 with its mark, or else Latin-1.
    has_names : bool, optional
        Whether the first line has the names of the columns; by default it has if one of its values
        is neither a number nor a date and time.

    Raises
    ------
    SourceNotFoundError
        If the file does not exist.
    CorruptSourceError
        If it is not a table; names the line.
    """
    require_file(path, "a table in a text file", folder_error=CorruptSourceError)
    numbered = _lines_of(path)
    if not numbered:
        raise CorruptSourceError(f"'{path}' holds no values.")
    try:
        delimiter = _delimiter_of([text for _, text in numbered[:_NUM_SNIFFED]])
        rows = _split(path, numbered, delimiter)
    except csv.Error as error:
        raise unreadable_file(path, "a table", error) from error
    if has_names is None:
        has_names = not all(_is_number(c) or not c or is_datetime(c) for c in rows[0])
    names = tuple(rows[0]) if has_names else ()
    body = rows[1:] if has_names else rows
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in names]
    # A separator at the end of every line makes a column of nothing.
    while len(columns) > 1 and not any(columns[-1]) and not (names and names[-1]):
        columns.pop()
        names = names[:-1]
    if delimiter != ",":
        columns = [_with_points(column) for column in columns]
    lines = [number for number, _ in numbered[len(rows) - len(body) :]]
    return TextTable(path=path, names=names, columns=tuple(columns), lines=lines)


def _lines_of(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not empty, with their numbers from 1."""
    data = read_small_file(path, "a table", MAX_BYTES)
    try:
        text = decoded(data)
    except UnicodeDecodeError as error:
        if error.encoding.startswith("utf-16"):
            raise _not_text(path) from None
        text = data.decode("latin-1")
    if "\0" in text:
        raise _not_text(path)
    found = [(i, each) for i, each in enumerate(text.splitlines(), 1) if each.strip()]
    first = next((i for i, (_, t) in enumerate(found) if not t.lstrip().startswith(_COMMENT)), None)
    return [] if first is None else found[first:]


def _not_text(path: Path) -> CorruptSourceError:
    return CorruptSourceError(
        f"'{path}' is not a text file; give a table of text (.csv or .tsv), as which programs such "
        "as Excel and MATLAB can save it."
    )


def _delimiter_of(lines: Sequence[str]) -> str | None:
    """Return the separator by which all lines have as many values; None for blanks.

    A blank stands for the blanks that are not between a date and the time of the day.
    """
    for delimiter in _DELIMITERS:
        counts = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(counts) == 1 and counts != {1}:
            return delimiter
    counts = {len(line.split()) for line in lines}
    if len(counts) == 1 and counts != {1} and not DATE_AND_TIME.search(lines[0]):
        return None
    counts = {len(_words(line)) for line in lines}
    if len(counts) == 1 and counts != {1}:
        return " "
    # A single column, or a table with a damaged line, which is named when it is split.
    most = max(_DELIMITERS, key=lambda each: sum(line.count(each) for line in lines))
    return most if sum(most in line for line in lines) > len(lines) / 2 else "\0"


def _words(line: str) -> list[str]:
    """Return the words of a line, of which a date and the time of the day are one."""
    return DATE_AND_TIME.sub(r"\1T", line).split()


def _split(path: Path, lines: Sequence[tuple[int, str]], delimiter: str | None) -> list[list[str]]:
    """Return the values of each line.

    Raises
    ------
    CorruptSourceError
        If a line has another number of values than the first.
    """
    if delimiter is None:
        rows = [line.split() for _, line in lines]
    elif delimiter == " ":
        rows = [_words(line) for _, line in lines]
    elif delimiter == "\0":
        rows = [[line.strip().strip('"')] for _, line in lines]
    else:
        read = csv.reader((line for _, line in lines), delimiter=delimiter)
        rows = [[cell.strip() for cell in row] for row in read]
    if len(rows) != len(lines):
        raise CorruptSourceError(
            f"'{path}' has a value over several lines, or a quote that is not closed; correct it."
        )
    width = len(rows[0])
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != width:
            raise CorruptSourceError(
                f"'{path}', line {number} and line {lines[0][0]} differ in their number of values, "
                f"{len(row)} and {width}; correct the file."
            )
    return rows


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or _DECIMAL_COMMA.fullmatch(cell)) or (
        cell.lower() in _TRUTHS
    )


def _with_points(column: list[str], *, has_thousands: bool = False) -> list[str]:
    """Return a column with decimal points where all its numbers have decimal commas or none.

    Where commas separate the values, those in quoted values may be of thousands.
    """
    commas = [cell for cell in column if _DECIMAL_COMMA.fullmatch(cell)]
    if not commas or (has_thousands and all(map(_THOUSANDS.fullmatch, commas))):
        return column
    if not all(_is_number(cell) or cell.lower() in _ABSENT for cell in column):
        return column
    return [cell.replace(",", ".") for cell in column]


def typed_column(cells: Sequence[str]) -> NDArray[np.generic] | list[str]:
    """Return texts as booleans, integers, numbers, or texts: the first that all of them are.

    Parameters
    ----------
    cells : sequence of str
        An absent value (an empty text, ``nan``, ``NA``, ``n/a``, ``null`` or ``none``) makes a
        column of integers one of real numbers with NaN, and stays as it is among texts.

    Returns
    -------
    numpy.ndarray of bool, int64 or float64, or list of str
    """
    given = [cell for cell in cells if cell.lower() not in _ABSENT]
    if not given:
        return list(cells)
    if len(given) == len(cells) and all(cell.lower() in _TRUTHS for cell in cells):
        return np.array([_TRUTHS[cell.lower()] for cell in cells])
    if not all(_NUMBER.fullmatch(cell) for cell in given):
        return list(cells)
    if len(given) == len(cells) and all(_is_plain_integer(cell) for cell in cells):
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    if any(_is_code(cell) for cell in given):
        return list(cells)
    return np.array([np.nan if c.lower() in _ABSENT else float(c) for c in cells])


def _is_plain_integer(cell: str) -> bool:
    return bool(re.fullmatch(r"[-+]?(0|[1-9]\d{0,17})", cell))


def _is_code(cell: str) -> bool:
    """Return whether digits are a code, such as ``007``, or too many for a number."""
    return bool(re.fullmatch(r"[-+]?(0\d+|\d{16,})", cell))
