"""Arrays that hdmf would convert one value at a time: records, and lists of integers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.container import Data
from hdmf.data_utils import DataIO

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.hdmf.internals import replace_data, set_dtype
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, rewrapped
from nwb_ophys.storage.sources import SMALL_BYTES, is_fillable, unwrapped

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder, GroupBuilder
    from pynwb import NWBFile

# Dtypes of the schema with a size; "int" and the like leave it open.
_NUMBER = re.compile(r"(u?int|float)\d+")

_LONG = 100
_LARGEST = np.iinfo(np.int64).max


@contextmanager
def detached_records(nwbfile: NWBFile) -> Iterator[Mapping[str, Any]]:
    """Detach the arrays of records from an ``NWBFile``; hdmf would make a tuple of each record.

    Long lists of integers, such as the ids of ROIs, are arrays within the block, since hdmf
    converts each integer of a list by itself. At the end of the block the object is as before.

    Yields
    ------
    mapping of str to array-like
        The arrays by the id of their object, for :func:`reattach`.
    """
    new = [
        item
        for item in nwbfile.all_children()
        if isinstance(item, Data) and item.container_source is None
    ]
    records = {owner.object_id: owner.data for owner in new if _is_records(owner.data)}
    given = {owner.object_id: owner.data for owner in new if _is_long_list(owner.data)} | records
    owners = [owner for owner in new if owner.object_id in given]
    try:
        for owner in owners:
            is_record = owner.object_id in records
            values = unwrapped(owner.data)
            replace_data(owner, values[:0] if is_record else np.array(values))
        yield records
    finally:
        for owner in owners:
            replace_data(owner, given[owner.object_id])


def reattach(root: GroupBuilder, records: Mapping[str, Any]) -> None:
    """Put the arrays of records into the builders of their objects.

    Lists of numbers of which the first does not state the type of all become arrays of numbers, as
    do arrays of objects that are all numbers.

    Raises
    ------
    ArgumentError
        If values of different kinds are mixed, of which some would become texts.
    """
    for location, builder in dataset_builders(root):
        found = records.get(builder.attributes.get("object_id"))
        if found is not None:
            builder["data"] = _as_specified(found, builder)
            continue
        data = unwrapped(builder.data)
        _check_kinds(data, location)
        values = _of_common_type(data, builder.dtype)
        if values is not None:
            given = builder.data
            builder["data"] = rewrapped(given, values) if isinstance(given, DataIO) else values
            set_dtype(builder, values.dtype.type)


def _of_common_type(rows: Any, first: Any) -> np.ndarray[Any, Any] | None:
    """Return a list of numbers as an array if the type of its first number cannot hold all.

    hdmf gives the dataset that type: 2.5 after 1 would be stored as 2.
    """
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "O":
        found = np.asarray(rows.tolist()) if _kinds_in(rows) == {"numbers"} else None
        return found if found is not None and found.dtype.kind in "biuf" else None
    if not isinstance(rows, list) or not isinstance(first, type) or first in (str, bytes, float):
        return None
    try:
        values, kind = np.asarray(rows), np.dtype(first)
    except (ValueError, TypeError, OverflowError):  # lists of different lengths, or not numbers
        return None
    if not {values.dtype.kind, kind.kind} <= set("biuf"):
        return None
    with np.errstate(all="ignore"):
        held = values.astype(kind).astype(values.dtype)
    if np.array_equal(held, values, equal_nan=values.dtype.kind == "f"):
        return None
    has_fractions = any(isinstance(each, float | np.floating) for each in _flat(rows))
    return values if has_fractions or values.dtype.kind != "f" else None


def _check_kinds(data: Any, place: str) -> None:
    """Check that values are of one kind that NWB has; hdmf-zarr makes texts or nothing of others.

    Raises
    ------
    ArgumentError
    """
    if isinstance(data, np.ndarray) and data.dtype.kind in "Mm":
        raise ArgumentError(
            f"'{place}' holds dates or durations of NumPy, which NWB cannot store; give texts in "
            "ISO 8601, or seconds."
        )
    kinds = _kinds_in(data)
    if kinds and (len(kinds) > 1 or "lists" in kinds) and "others" not in kinds:
        raise ArgumentError(
            f"'{place}' holds {' and '.join(sorted(kinds))}, which NWB cannot store in one "
            "dataset; give values of one kind, such as NaN or an empty text where there is none."
        )


def _kinds_in(data: Any) -> set[str]:
    """Return the kinds of values in a flat list or an array of objects; nothing for other data."""
    is_array = isinstance(data, np.ndarray) and data.dtype.kind == "O"
    if not (is_array or isinstance(data, list)):
        return set()
    types = set(map(type, data.reshape(-1).tolist() if is_array else data))
    if not is_array and types & {list, tuple, np.ndarray}:
        return set()
    return {_kind_of(each) for each in types}


def _kind_of(of: type) -> str:
    if issubclass(of, str | bytes):
        return "texts"
    if issubclass(of, bool | int | float | np.number | np.bool_):
        return "numbers"
    if of is type(None):
        return "None"
    return "lists" if issubclass(of, list | tuple | np.ndarray) else "others"


def _flat(rows: list[Any]) -> np.ndarray[Any, Any]:
    return np.asarray(rows, dtype=object).reshape(-1)


def _numbers_of(rows: list[Any], dtype: Any) -> np.ndarray[Any, Any] | None:
    """Return a long list of numbers, or of lists of numbers, as an array; None for other lists."""
    if len(rows) < _LONG or isinstance(dtype, list):
        return None
    if isinstance(rows[0], bool) or not isinstance(rows[0], Real | list | tuple):
        return None
    try:
        values = np.asarray(rows)
    except ValueError:  # lists of different lengths
        return None
    if values.dtype.kind not in "iuf" or values.nbytes < SMALL_BYTES:
        return None
    is_number = isinstance(dtype, str) and _NUMBER.fullmatch(dtype)
    return values.astype(dtype, copy=False) if is_number else values


def _as_specified(given: Any, builder: DatasetBuilder) -> Any:
    """Return records with the fields of the schema: its names, dtypes and order.

    Numbers that are more precise than the schema requires keep their dtype.

    Raises
    ------
    ArgumentError
        If the number of fields differs, or values do not fit.
    """
    values, fields = unwrapped(given), _number_fields(builder)
    if fields is None:
        return given
    names = [name for name, _ in fields]
    if len(fields) != len(values.dtype.names):
        raise ArgumentError(
            f"The records of '{builder.path}' have the fields {', '.join(values.dtype.names)}; "
            f"they must be {', '.join(names)}."
        )
    # Like pynwb, match fields with other names by their order.
    order = names if set(names) == set(values.dtype.names) else values.dtype.names
    columns = [_fitting(values[own], kind) for own, (_, kind) in zip(order, fields, strict=True)]
    dtype = np.dtype([(name, column.dtype) for name, column in zip(names, columns, strict=True)])
    if dtype == values.dtype:
        return given
    if not all(
        np.array_equal(column, values[own], equal_nan=column.dtype.kind == "f")
        for own, column in zip(order, columns, strict=True)
    ):
        raise ArgumentError(
            f"The records of '{builder.path}' have values that do not fit the fields "
            f"{', '.join(f'{name} ({kind})' for name, kind in fields)}."
        )
    records = np.empty(values.shape, dtype)
    for name, column in zip(names, columns, strict=True):
        records[name] = column
    return rewrapped(given, records) if isinstance(given, DataIO) else records


def _fitting(column: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    asked = np.dtype(kind)
    is_enough = column.dtype.kind == asked.kind and column.dtype.itemsize >= asked.itemsize
    return column if is_enough else column.astype(asked)


def _number_fields(builder: DatasetBuilder) -> list[tuple[str, str]] | None:
    """Return names and dtypes of the fields of records, or None if a field is not a number."""
    if not isinstance(builder.dtype, list):
        return None
    fields = [(field["name"], field["dtype"]) for field in builder.dtype]
    is_number = [isinstance(kind, str) and _NUMBER.fullmatch(kind) for _, kind in fields]
    return fields if all(is_number) else None


def _is_long_list(data: Any) -> bool:
    if type(data) is not list or len(data) < _LONG:
        return False
    return all(type(value) is int and abs(value) <= _LARGEST for value in data)


def _is_records(data: Any) -> bool:
    values = unwrapped(data)
    return (
        isinstance(values, np.ndarray)
        and is_fillable(values.shape, values.dtype)
        and bool(values.dtype.names)
    )


def data_of(builder: DatasetBuilder) -> Any:
    """Return the data of a builder, with long lists of numbers and records as arrays."""
    given = builder.data
    rows = given.data if isinstance(given, DataIO) else given
    numbers = _numbers_of(rows, builder.dtype) if isinstance(rows, list) else None
    if numbers is not None:
        return rewrapped(given, numbers) if isinstance(given, DataIO) else numbers
    if not (isinstance(builder.dtype, list) and isinstance(rows, list) and rows):
        return given
    fields = _number_fields(builder)
    if fields is None:
        return given
    values = np.array(rows, dtype=fields)
    return rewrapped(given, values) if isinstance(given, DataIO) else values
