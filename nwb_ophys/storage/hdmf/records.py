"""Data that hdmf would go through one by one in Python: records, and lists of integers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.container import Data
from hdmf.data_utils import DataIO
from pynwb import NWBFile

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, rewrapped
from nwb_ophys.storage.sources import SMALL_BYTES, is_fillable, unwrapped

# Of the schema; "int" and the like leave the size open.
_NUMBER = re.compile(r"(u?int|float)\d+")

_LONG = 100
_LARGEST = np.iinfo(np.int64).max


@contextmanager
def detached_records(nwbfile: NWBFile) -> Iterator[Mapping[str, Any]]:
    """Spare hdmf the arrays of records of an ``NWBFile``, of which it makes a tuple per record.

    Long lists of integers, such as the ids of ROIs, are arrays meanwhile; it converts each integer
    of a list by itself.

    Yields
    ------
    mapping of str to array-like
        The arrays by the id of the object they are of, for :func:`reattach`.
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
            owner._Data__data = values[:0] if is_record else np.array(values)
        yield records
    finally:
        for owner in owners:
            owner._Data__data = given[owner.object_id]


def reattach(root: GroupBuilder, records: Mapping[str, Any]) -> None:
    """Put the arrays of records into the builders of the objects they are of."""
    for _, builder in dataset_builders(root):
        found = records.get(builder.attributes.get("object_id"))
        if found is not None:
            builder["data"] = _as_specified(found, builder)


def _numbers_of(rows: list[Any], dtype: Any) -> np.ndarray[Any, Any] | None:
    """Return a long list of numbers, or of lists of numbers, as an array; None for any other."""
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
    """Return records with the names and kinds of fields that the schema has, in its order.

    More precise numbers than the schema asks for stay as they are.

    Raises
    ------
    ArgumentError
        When there are other fields, or their values do not fit.
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
    # As pynwb does, fields of other names are taken by their order.
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
    """Return names and kinds of the fields of records, where all of them are numbers."""
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
    """Return the data of a builder; of long lists of numbers, and of records, an array."""
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
