"""Tables of subjects, with columns as in BIDS's ``participants.tsv`` or with the names of NWB."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import DocumentError, parse_source_json, read_limited
from nwb_ophys.errors import SpecificationError
from nwb_ophys.metadata import archive_subject, models
from nwb_ophys.sessions.tables import Row, Table, read_table

_ID_COLUMNS = ("participant_id", "subject_id")
_FIELDS = {each.name for each in attrs.fields(models.Subject)} - {"subject_id"}
_NUMBER = re.compile(r"\d+([.,]\d+)?")
# Digits of thousands and a decimal comma look alike.
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")
_QUANTITY = re.compile(
    r"(age|weight)\s*(?:[(\[]\s*(?:in )?([^)\]]+?)\s*[)\]]|[_/ ](?:in )?([a-z]+))"
)
_MOST_BYTES = 1 << 20


@attrs.frozen
class Subjects:
    """Facts of subjects by their id.

    Attributes
    ----------
    path : pathlib.Path
    rows : dict of str to Row
        The fields of NWB's ``Subject``, by the id without the prefix ``sub-`` of BIDS.
    """

    path: Path
    rows: dict[str, Row]

    def row(self, subject_id: str) -> Row | None:
        """Return the facts of a subject, or None if the table lacks it."""
        return self.rows.get(subject_id.removeprefix("sub-"))


def read_subjects(path: Path) -> Subjects:
    """Read a table of subjects.

    Ages and weights that are plain numbers get the unit in the name of the column, such as
    ``Age (days)``, or the one that a JSON file beside the table states for the column, as BIDS
    describes it: ``{"age": {"Units": "days"}}`` in ``participants.json``.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    SpecificationError
        When it is not a table, has no column of ids, or gives a subject twice.
    """
    table = read_table(path)
    folded = {_folded(name): name for name in reversed(table.columns)}
    column = next((folded[name] for name in _ID_COLUMNS if name in folded), None)
    if column is None:
        raise SpecificationError(
            f"The table of subjects '{path}' needs a column 'participant_id' or 'subject_id'; it "
            f"has {', '.join(table.columns) or 'no columns'}."
        )
    fields = _fields_of(table, column)
    named = {name: unit for name in fields if (unit := _field_of(name)[1]) is not None}
    units = named | _units_of(path)
    rows: dict[str, Row] = {}
    for row in table.rows:
        subject = row.values.get(column, "").removeprefix("sub-")
        if not subject:
            raise SpecificationError(f"{row.where}: '{column}' is empty; give the subject's id.")
        if subject in rows:
            raise SpecificationError(
                f"{row.where}: subject '{subject}' is given twice, first in {rows[subject].where}."
            )
        values = {
            field: _with_unit(row.values[name], units.get(name))
            for name, field in fields.items()
            if name in row.values
        }
        rows[subject] = Row(where=row.where, values=values)
    return Subjects(path, rows)


def _fields_of(table: Table, column: str) -> dict[str, str]:
    """Return the field of NWB by column, with a note of the columns that have none."""
    found = {name: _field_of(name)[0] for name in table.columns if name != column}
    fields = {name: field for name, field in found.items() if field is not None}
    for name, field in fields.items():
        other = next(each for each, own in fields.items() if own == field)
        if other != name:
            raise SpecificationError(
                f"The table of subjects '{table.path}' has two columns of '{field}', {other!r} and "
                f"{name!r}; remove one."
            )
    unused = [name for name in table.columns if name not in fields and name != column]
    if unused:
        warnings.warn(
            f"'{table.path}': NWB has no field of a subject for the column"
            f"{'s' * (len(unused) > 1)} {', '.join(map(repr, unused))}, which "
            f"{'are' if len(unused) > 1 else 'is'} left out.",
            UserWarning,
            stacklevel=3,
        )
    return fields


def _folded(name: str) -> str:
    """Return the name of a column in lower case, with an underscore in place of each blank."""
    return "_".join(name.removeprefix("Subject.").casefold().split())


def _field_of(name: str) -> tuple[str | None, str | None]:
    """Return the field of NWB that a column has, or None, and the unit in the name if it has one.

    A unit counts if the archive's forms of ages and weights know it, so that ``age_group`` is none.
    """
    if _folded(name) in _FIELDS:
        return _folded(name), None
    match = _QUANTITY.fullmatch(name.removeprefix("Subject.").strip().casefold())
    if match is None:
        return None, None
    unit = match[2] or match[3]
    is_known = not archive_subject({match[1]: f"1 {unit}"}).faults
    return (match[1], unit) if is_known else (None, None)


def _units_of(path: Path) -> dict[str, str]:
    """Return the units that the JSON file of BIDS beside a table states, by column."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        stated = parse_source_json(read_limited(beside, _MOST_BYTES))
    except (OSError, ValueError, DocumentError) as error:
        raise SpecificationError(f"'{beside}' is not valid JSON: {error}.") from error
    columns: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    return {
        name: each["Units"]
        for name, each in columns.items()
        if isinstance(each, Mapping) and isinstance(each.get("Units"), str)
    }


def _with_unit(text: str, unit: str | None) -> str:
    if unit is None or not _NUMBER.fullmatch(text) or _THOUSANDS.fullmatch(text):
        return text
    return f"{text.replace(',', '.')} {unit}"
