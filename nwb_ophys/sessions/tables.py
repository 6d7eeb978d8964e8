"""Tables of sessions and subjects: TSV, CSV and XLSX files with a header."""

from __future__ import annotations

import csv
import datetime
import io
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import DocumentError, decoded, read_limited
from nwb_ophys.errors import SpecificationError, absence, as_sentence
from nwb_ophys.optional import require_package
from nwb_ophys.outside import require_ordinary

_EXTRA = "tables"
_SHEETS = (".xlsx", ".xlsm")
_DELIMITERS = ",;\t|"
_MOST_BYTES = 64 << 20
# Of the inflated file; a cell takes ten times the memory of its text.
_MOST_BYTES_OF_SHEET = 32 << 20
# BIDS writes n/a for a value that is missing, R writes NA, and pandas nan.
_MISSING = {"", "n/a", "N/A", "NA", "NaN", "nan"}
_ERRORS = {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"}


@attrs.frozen(kw_only=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    where : str
        The table and the number of the line, for messages.
    values : dict of str to str
        Texts by column; missing values are left out.
    """

    where: str
    values: dict[str, str]


@attrs.frozen(kw_only=True)
class Table:
    """A table with a header.

    Attributes
    ----------
    path : pathlib.Path
    columns : tuple of str
    rows : tuple of Row
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path) -> Table:
    """Read a table.

    Parameters
    ----------
    path : pathlib.Path
        Ends in .tsv, .csv, .txt or .xlsx. Texts are in UTF-8, and the columns of a .csv file are
        separated by whichever of comma, semicolon and tab its header has.

    Raises
    ------
    SpecificationError
        When the file is absent, is not a table, or gives a column twice.
    MissingPackageError
        When openpyxl, which reads .xlsx files, is not installed.
    """
    require_ordinary(path)
    if not path.is_file():
        fault = "is a folder; give a file" if path.is_dir() else absence(path)
        raise SpecificationError(f"The table '{path}' {fault}.")
    try:
        cells = _sheet(path) if path.suffix.lower() in _SHEETS else _texts(path)
        numbered = [
            (number, row)
            for number, row in enumerate(cells, start=1)
            if any(map(str.strip, row))  # a cell may hold nothing but spaces
        ]
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, SpecificationError):
            raise
        raise SpecificationError(
            f"The table '{path}' cannot be read: {as_sentence(error)}"
        ) from error
    if not numbered:
        raise SpecificationError(f"The table '{path}' is empty; its first line names the columns.")
    (_, header), *rows = numbered
    columns = _columns(path, header)
    return Table(
        path=path,
        columns=tuple(filter(None, columns)),
        rows=tuple(_row(path, number, columns, row) for number, row in rows),
    )


def _columns(path: Path, header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise SpecificationError(f"The table '{path}' has the column '{twice[0]}' twice.")
    return columns


def _row(path: Path, number: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    where = f"{path.name}, line {number}"
    beyond = [text for text in cells[len(columns) :] if text.strip()]
    nameless = [
        text for text, name in zip(cells, columns, strict=False) if text.strip() and not name
    ]
    if beyond or nameless:
        text = (beyond or nameless)[0].strip()
        raise SpecificationError(
            f"{where}: '{text}' is in a column without a name; name the column in the first line."
        )
    texts = zip(columns, (text.strip() for text in cells), strict=False)
    values = {name: text for name, text in texts if text not in _MISSING}
    wrong = next((name for name, text in values.items() if text in _ERRORS), None)
    if wrong is not None:
        raise SpecificationError(
            f"{where}: '{wrong}' is {values[wrong]}, an error of a formula; correct the sheet."
        )
    return Row(where=where, values=values)


def _texts(path: Path) -> list[list[str]]:
    try:
        text = decoded(read_limited(path, _MOST_BYTES))
    except UnicodeDecodeError as error:
        raise SpecificationError(
            f"The table '{path}' is not a text in UTF-8; save it as CSV in UTF-8."
        ) from error
    except DocumentError as error:
        raise SpecificationError(f"The table '{path}' is too long: {error}.") from error
    first = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=first.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def _sheet(path: Path) -> list[list[str]]:
    openpyxl = require_package("openpyxl", _EXTRA)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > _MOST_BYTES_OF_SHEET:
            raise SpecificationError(
                f"The table '{path}' is too long: its sheets have {size} bytes, but at most "
                f"{_MOST_BYTES_OF_SHEET >> 20} MB are read."
            )
        # Not as a stream, which ends where the file says, and knows nothing of merged cells.
        book = openpyxl.load_workbook(path, data_only=True)
        formulas = openpyxl.load_workbook(path)
    except SpecificationError:
        raise
    except Exception as error:  # openpyxl and zipfile raise errors of many kinds
        raise SpecificationError(
            f"The table '{path}' is not a sheet in the format XLSX; save it again as .xlsx or .csv."
        ) from error
    # A program for sheets does not show those that are hidden.
    shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    first = (shown or book.worksheets)[0]
    others = [sheet for sheet in book.worksheets if sheet is not first]
    _check_formulas(path, first, formulas[first.title])
    _warn_of_sheets(path, first, others)
    texts = [list(map(_text, row)) for row in first.iter_rows()]
    for merged in first.merged_cells.ranges:  # all of them show the value of the first
        value = texts[merged.min_row - 1][merged.min_col - 1]
        for row, column in (place for line in merged.rows for place in line):
            texts[row - 1][column - 1] = value
    return texts


def _check_formulas(path: Path, values: Any, formulas: Any) -> None:
    """Check that each formula has a value, as it has once a program for sheets has saved it."""
    for row in formulas.iter_rows():
        for cell in row:
            found = values[cell.coordinate]
            # An empty text, as of =IF(A2="", "", A2), is a value.
            if cell.data_type == "f" and found.value is None and found.data_type == "n":
                raise SpecificationError(
                    f"{path.name}, line {cell.row}: the formula in {cell.coordinate} has no value; "
                    "open the file in a program for sheets, and save it."
                )


def _warn_of_sheets(path: Path, first: Any, others: Sequence[Any]) -> None:
    """Warn of sheets that are not read."""
    named = [
        repr(each.title)
        for each in others
        if any(value is not None for row in each.iter_rows(values_only=True) for value in row)
    ]
    if named:
        warnings.warn(
            f"'{path}': only the first sheet, {first.title!r}, is read, not {', '.join(named)}.",
            UserWarning,
            stacklevel=2,
        )


def _text(cell: Any) -> str:
    """Return a cell as the text that a user sees in it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time()
        return value.date().isoformat() if is_day else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    form = str(cell.number_format)
    # Codes such as 007 may be numbers that are shown with zeros before them.
    is_code = isinstance(value, int) and len(form) > 1 and set(form) == {"0"}
    return str(value).zfill(len(form)) if is_code else str(value)
