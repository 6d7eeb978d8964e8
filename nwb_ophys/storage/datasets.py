"""Finding the large datasets of an ``NWBFile``, and exchanging them while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from hdmf.container import Data
from hdmf.data_utils import DataIO
from pynwb import NWBFile, TimeSeries


@attrs.frozen
class DatasetSlot:
    """A place in an ``NWBFile`` that holds data: a field of an object."""

    owner: Any
    field: str

    @property
    def value(self) -> Any:
        """What it holds: an array, an iterator, or either wrapped for a backend."""
        return self.owner.fields[self.field] if self._in_fields else self.owner.data

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return f"{self.owner.name}/{self.field}" if self._in_fields else str(self.owner.name)

    @property
    def _in_fields(self) -> bool:
        return self.field in self.owner.fields

    def exchange(self, value: Any) -> None:
        """Put something else there, which pynwb's own setters forbid."""
        if self._in_fields:
            self.owner.fields[self.field] = value
        else:
            self.owner._Data__data = value


def data_slots(nwbfile: NWBFile) -> Iterator[DatasetSlot]:
    """Find the places in a file that hold data.

    Yields
    ------
    DatasetSlot
        The data and timestamps of series, the columns of tables, and images.
    """
    # nwbfile.objects is kept from when it was first asked for, and lacks what was added since.
    for owner in nwbfile.all_children():
        if isinstance(owner, TimeSeries):
            for field in ("data", "timestamps"):
                if owner.fields.get(field) is not None:
                    yield DatasetSlot(owner, field)
        elif isinstance(owner, Data):
            yield DatasetSlot(owner, "data")


@contextmanager
def exchanged(nwbfile: NWBFile, change: Callable[[DatasetSlot], Any]) -> Iterator[None]:
    """Exchange the data of a file for what a backend takes, and put the old back afterwards.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    change : callable
        Gives the value to write for a slot, or the slot's own.
    """
    slots = [(slot, slot.value) for slot in data_slots(nwbfile)]
    unwritten = [item for item in nwbfile.all_children() if item.container_source is None]
    try:
        for slot, value in slots:
            new = change(slot)
            if new is not value:
                slot.exchange(new)
        yield
    finally:
        for slot, value in slots:
            if slot.value is not value:
                slot.exchange(value)
        for item in unwritten:
            # hdmf notes the file in each object, and would refuse to write it to another one.
            item._AbstractContainer__container_source = None
            item.set_modified()


def unwrapped(value: Any) -> Any:
    """Return the data within a backend's wrapper."""
    while isinstance(value, DataIO):
        value = value.data
    return value
