"""Comparison of a file with the hashes that its records state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nwb_ophys.certification.report import Difference, in_words, listed, ranges
from nwb_ophys.errors import counted
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.budget import COPIES
from nwb_ophys.storage.encoding import num_bytes
from nwb_ophys.storage.hashes import dtype_text
from nwb_ophys.storage.record import Known, Record, is_record
from nwb_ophys.storage.stored_objects import StoredObject, reason_of
from nwb_ophys.storage.verification import HashDifference, Resources, compare_with_hashes

# Hashes of more blocks would take hundreds of megabytes.
_MOST_BLOCKS = 10_000_000


class RecordedComparison:
    """Comparison of an open file with the hashes of its records.

    Parameters
    ----------
    root : object
        Open root group.
    storage : Backend
    records : mapping of str to Record or str
        Records by path; the reason for a damaged one.
    """

    def __init__(self, root: Any, storage: Backend, records: dict[str, Record | str]) -> None:
        self._root, self._storage = root, storage
        self._known = Known.of(records.values())
        self.differences: list[Difference] = [
            Difference(location=location, message=f"this record is damaged: {reason}")
            for location, reason in records.items()
            if isinstance(reason, str)
        ]
        self.others: list[str] = []
        """Datasets that no record states."""
        self.num_datasets = self.num_objects = self.num_bytes = 0
        self._too_large: list[str] = []
        self._in_blocks: dict[str, StoredObject] = {}

    def run(self, resources: Resources) -> None:
        """Compare everything."""
        seen = set()
        for each in self._storage.objects(self._root):
            seen.add(each.path)
            if not is_record(each.path):
                self.differences.extend(self._of_object(each))
        stated = {*self._known.attributes, *self._known.values, *self._known.datasets}
        for location in sorted(stated - seen):
            self._add(location, "it was written, but is not in the file")
        self._compare_blocks(resources)
        self.differences.sort(key=lambda each: each.location)

    def _add(self, location: str, message: str) -> None:
        self.differences.append(Difference(location=location, message=message))

    def _of_object(self, each: StoredObject) -> Iterator[Difference]:
        known, path = self._known, each.path
        if each.error:
            yield Difference(location=path, message=f"it cannot be read: {each.error}")
            return
        if path in known.attributes:
            self.num_objects += 1
            if each.attributes_hash() != known.attributes[path]:
                message = "its attributes are not those that were written"
                yield Difference(location=path, message=message)
        if path in known.values:
            yield from self._of_values(each)
        elif path in known.datasets:
            yield from self._of_layout(each)
        elif each.shape is not None:
            self.others.append(path)

    def _of_values(self, each: StoredObject) -> Iterator[Difference]:
        self.num_datasets += 1
        if not each.is_dataset:
            yield Difference(location=each.path, message="it has no values any more")
            return
        self.num_bytes += _size_of(each)
        try:
            own = each.values_hash()
        except Exception as error:  # of any library, about whatever the file holds
            message = f"it cannot be read: {reason_of(error)}"
            yield Difference(location=each.path, message=message)
            return
        if own != self._known.values[each.path]:
            message = "its values are not those that were written"
            yield Difference(location=each.path, message=message)

    def _of_layout(self, each: StoredObject) -> Iterator[Difference]:
        """Yield a difference in shape or type; else the dataset is compared block by block."""
        self.num_datasets += 1
        self.num_bytes += _size_of(each)
        grid = self._known.datasets[each.path].grid
        if each.shape != grid.shape or each.dtype is None:
            message = f"its shape is {each.shape}; {grid.shape} was written"
            yield Difference(location=each.path, message=message)
        elif each.dtype.newbyteorder("<") != grid.dtype:
            message = f"its type is {dtype_text(each.dtype)}; {dtype_text(grid.dtype)} was written"
            yield Difference(location=each.path, message=message)
        else:
            self._in_blocks[each.path] = each

    def _compare_blocks(self, resources: Resources) -> None:
        sources = {}
        for location in self._in_blocks:
            blocks = self._known.datasets[location].grid
            needed = COPIES * num_bytes(blocks.block_shape, blocks.dtype)
            if needed > resources.budget.num_bytes or len(blocks) > _MOST_BLOCKS:
                self._too_large.append(location)
                continue
            try:
                sources[location] = self._storage.checked_source(self._root[location])
            except Exception as error:
                self._add(location, f"it cannot be read: {reason_of(error)}")
        hashes = {location: self._known.datasets[location] for location in sources}
        for found in compare_with_hashes(sources, hashes, resources):
            self.differences.append(_of_blocks(found))

    def not_compared(self) -> Iterator[str]:
        """Yield sentences about what could not be compared."""
        if self._too_large:
            yield (
                f"not compared, since their blocks need more memory than buffer_gb allows: "
                f"{listed(self._too_large, 5)}"
            )
        if self.others:
            yield (
                f"not written by nwb_ophys: {counted(len(self.others), 'dataset')}, not compared: "
                f"{listed(sorted(self.others), 5)}"
            )


def _size_of(each: StoredObject) -> int:
    if each.shape is None or each.dtype is None or each.dtype.kind == "O":
        return 0
    return num_bytes(each.shape, each.dtype)


def _of_blocks(found: HashDifference) -> Difference:
    frames = ranges([(cell[0].start, cell[0].stop - 1) for cell in found.blocks])
    first = ", ".join(f"{step.start} to {step.stop - 1}" for step in found.blocks[0])
    blocks = counted(found.num_blocks, "block")
    reason = f"; the first cannot be read: {found.reason}" if found.reason else ""
    return Difference(
        location=found.location,
        message=(
            f"{in_words(frames)}: not what was written; {blocks} of values, the first at "
            f"({first}){reason}"
        ),
        frames=frames,
    )
