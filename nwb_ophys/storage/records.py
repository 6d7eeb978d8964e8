"""Data that hdmf would go through one by one in Python: records, and lists of integers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.container import Data
from hdmf.data_utils import DataIO
from pynwb import NWBFile

from nwb_ophys.storage.declaring import dataset_builders
from nwb_ophys.storage.protocols import rewrapped
from nwb_ophys.storage.sources import is_fillable, unwrapped

# Of the schema; "int" and the like leave the size open.
_NUMBER = re.compile(r"(u?int|float)\d+")

_LONG = 100
_LARGEST = np.iinfo(np.int64).max


@contextmanager
def records_set_aside(nwbfile: NWBFile) -> Iterator[Mapping[str, Any]]:
    """Spare hdmf the arrays of records of an ``NWBFile``, of which it makes a tuple per record.

    Long lists of integers, such as the ids of ROIs, are arrays meanwhile; it converts each integer
    of a list by itself.

    Yields
    ------
    mapping of str to array-like
        The arrays by the id of the object they are of, for :func:`put_back`.
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


def put_back(root: GroupBuilder, records: Mapping[str, Any]) -> None:
    """Put the arrays of records into the builders of the objects they are of."""
    for _, builder in dataset_builders(root):
        found = records.get(builder.attributes.get("object_id"))
        if found is not None:
            builder["data"] = found


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
    """Return the data of a builder; of records, which hdmf makes a list of, an array."""
    given = builder.data
    rows = given.data if isinstance(given, DataIO) else given
    if not (isinstance(builder.dtype, list) and isinstance(rows, list) and rows):
        return given
    fields = [(field["name"], field["dtype"]) for field in builder.dtype]
    if not all(isinstance(kind, str) and _NUMBER.fullmatch(kind) for _, kind in fields):
        return given
    values = np.array(rows, dtype=fields)
    return rewrapped(given, values) if isinstance(given, DataIO) else values
