"""Comparison of the datasets of a file with the sources of the conversion, value by value."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.certification.raw_files import RawFiles, RecordedFile, recorded_files
from nwb_ophys.certification.reopening import Replanned, replan
from nwb_ophys.certification.report import Difference, SourceAnswer, in_words, listed, ranges
from nwb_ophys.errors import counted
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.encoding import num_bytes
from nwb_ophys.storage.grid import Selection, Shape, block_shape, cell_at
from nwb_ophys.storage.record import Record
from nwb_ophys.storage.sources import ArraySource, Source
from nwb_ophys.storage.verification import BlockPass, Resources, TolerantSource, run_passes

if TYPE_CHECKING:
    from pynwb import NWBFile

_BLOCK_BYTES = 8_000_000
_TIMES = ("timestamps", "starting_time")
_LEFT_OUT = re.compile(
    r"left? out|leaves? out|\bnot (?:read|written|converted|stored|included)|missing|truncated|"
    r"incomplete|skipped|dropped|without",
    re.IGNORECASE,
)


@attrs.define
class _Compared:
    """Comparison of one dataset, by several threads."""

    location: str
    stored: Any
    lock: Any = attrs.field(factory=threading.Lock)
    frames: list[tuple[int, int]] = attrs.field(factory=list)
    first: tuple[int, ...] | None = None
    values: tuple[Any, Any] = (None, None)
    failures: list[str] = attrs.field(factory=list)

    def take(self, corner: Shape, values: NDArray[Any]) -> None:
        """Compare a block of the source with the file."""
        cell = cell_at(corner, values.shape, tuple(self.stored.shape))
        try:
            stored = np.asarray(self.stored.read(cell))
        except Exception as error:  # of any library, about whatever the file holds
            with self.lock:
                self.frames.append((cell[0].start, cell[0].stop - 1))
                self.failures.append(" ".join(f"{type(error).__name__}: {error}".split())[:200])
            return
        given = np.asarray(values).astype(stored.dtype, copy=False)
        if given.shape == stored.shape and given.tobytes() == stored.tobytes():
            return
        self._note(cell, given, stored)

    def _note(self, cell: Selection, given: NDArray[Any], stored: NDArray[Any]) -> None:
        differs = _differing(given, stored)
        if not differs.any():
            return
        within = np.unravel_index(int(np.argmax(differs)), differs.shape)
        index = tuple(int(i) + step.start for i, step in zip(within, cell, strict=True))
        rows = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1)) + cell[0].start
        with self.lock:
            self.frames.extend((int(row), int(row)) for row in rows)
            if self.first is None or index < self.first:
                self.first, self.values = index, (given[within].item(), stored[within].item())

    def difference(self) -> Difference | None:
        """Return the difference, or None."""
        if not self.frames:
            return None
        frames = ranges(self.frames)
        text = f"{in_words(frames)}: not equal to the source"
        if self.first is not None:
            expected, found = self.values
            text += f"; the first at {list(self.first)}: {found} in the file"
            text += f", {expected} in the source"
        if self.failures:
            text += f"; not readable: {self.failures[0]}"
        expected, found = self.values
        return Difference(
            location=self.location,
            message=text,
            frames=frames,
            index=self.first,
            expected=expected,
            found=found,
        )


def _differing(given: NDArray[Any], stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where values differ; two that are not numbers are equal."""
    if given.dtype.names is not None:
        fields = [_differing(given[name], stored[name]) for name in given.dtype.names]
        return np.logical_or.reduce(fields)
    return (given != stored) & ~((given != given) & (stored != stored))


class SourceComparison:
    """Comparison of an open file with the sources that its records state.

    Parameters
    ----------
    root : object
        Open root group.
    storage : Backend
    records : sequence of Record
        Oldest first.
    path : pathlib.Path
        The file.
    sources : sequence of pathlib.Path
        Files and folders that the user gives.
    options : Mapping
        Source arguments of the user.
    """

    def __init__(
        self,
        root: Any,
        storage: Backend,
        records: Sequence[Record],
        path: Path,
        sources: Sequence[Path],
        options: Mapping[str, Any],
    ) -> None:
        self._root, self._storage, self._records, self._options = root, storage, records, options
        self._files = RawFiles(sources, path)
        self._recorded: list[RecordedFile] = []
        self._clocks_read: set[Path] = set()
        self.differences: list[Difference] = []
        self.not_compared: list[str] = []
        self.compared: list[str] = []
        self._reasons: list[str] = []
        self._interfaces: list[Any] = []
        self._planned: NWBFile | None = None

    def run(self, resources: Resources) -> None:
        """Compare everything."""
        with_sources = [each for each in self._records if each.contents.get("streams")]
        if not with_sources:
            self._reasons.append("the record of the file states no sources")
        try:
            for record in with_sources:
                self._of_record(record, resources)
        finally:
            for interface in self._interfaces:
                interface.close()
        written = {name for each in self._records for name in each.datasets}
        others = sorted(
            name
            for name in written - {*self.compared, *(d.location for d in self.differences)}
            if name.rpartition("/")[2] not in _TIMES
        )
        if others:
            number = counted(len(others), "dataset")
            self.not_compared.append(f"not compared with a source: {number}: {listed(others, 5)}")
            self._reasons.append(f"{number} without a source to compare with: {listed(others, 3)}")

    def _of_record(self, record: Record, resources: Resources) -> None:
        try:
            recorded = recorded_files(record.contents)
            clocks = recorded_files(record.contents, "clock_files")
        except (KeyError, ValueError, TypeError) as error:
            self._reasons.append(f"the record of the source files is damaged ({error})")
            return
        self._recorded.extend(recorded)
        self._files.match(recorded)
        self._files.match_clocks(clocks)
        self._reasons.extend(_left_out(record.contents))
        try:
            planned = replan(record.contents, self._files, self._options, self._planned)
        except Exception as error:  # of any reader, about whatever the sources hold
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            self._reasons.append(f"the source could not be opened again: {reason}")
            self.not_compared.append(f"not compared with the source: {reason}")
            return
        self._planned = planned.nwbfile
        self._clocks_read |= planned.clocks
        self._interfaces.extend(planned.interfaces.values())
        self._reasons.extend(_other_channels(planned.interfaces))
        self._compare(record, planned, resources)

    def _compare(self, record: Record, planned: Replanned, resources: Resources) -> None:
        passes, compared = [], []
        for location, source in _as_stored(planned.sources, record):
            name = location.rpartition("/")[2]
            if planned.unknown_times and name in _TIMES:
                continue
            stored = self._stored(location, source)
            if stored is None:
                continue
            item = _Compared(location, stored)
            block = _block_of(source, stored)
            tolerant = TolerantSource(source, block)
            passes.append(
                BlockPass(location=location, source=tolerant, block_shape=block, take=item.take)
            )
            compared.append((item, tolerant))
        run_passes(passes, resources)
        for item, tolerant in compared:
            found = item.difference()
            if tolerant.failures:
                first = tolerant.failures[min(tolerant.failures)]
                message = f"the source cannot be read: {first}"
                found = Difference(location=item.location, message=message)
            if found is None:
                self.compared.append(item.location)
            else:
                self.differences.append(found)
        if not planned.unknown_times:
            self._compare_starts(planned)
        self._note_times(record, planned)

    def _compare_starts(self, planned: Replanned) -> None:
        """Compare the first time and the rate of series without timestamps."""
        for location, start in planned.starts.items():
            try:
                dataset = self._root[location]
                stored = float(np.asarray(dataset[()]).reshape(-1)[0])
                rate = float(dataset.attrs["rate"])
            except Exception:  # noqa: S112 - of any backend: it is absent, or something else
                continue
            pairs = ((stored, start.starting_time, "s"), (rate, start.rate, "Hz"))
            messages = [
                f"{found:.9g} {unit} in the file, {expected:.9g} {unit} in the source"
                for found, expected, unit in pairs
                if not math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
            ]
            for message in messages:
                self._add(location, message)
            self.compared += [] if messages else [location]

    def _note_times(self, record: Record, planned: Replanned) -> None:
        """Note the times that were written, and not compared."""
        done = {*self.compared, *(each.location for each in self.differences)}
        reason = "; ".join(dict.fromkeys(planned.unknown_times.values()))
        self.not_compared += [
            f"'{location}': {reason or 'the source states its times in another way'}"
            for location in sorted({*record.values, *record.datasets} - done)
            if location.rpartition("/")[2] in _TIMES
        ]

    def _stored(self, location: str, source: Source) -> Any:
        """Return the dataset of the file, or None where it differs in presence or shape."""
        try:
            dataset = self._root[location]
            shape = tuple(dataset.shape)
        except Exception:
            self._add(location, "it is in the source, but not in the file")
            return None
        if shape != tuple(source.shape):
            self._add(location, f"its shape is {shape}; the source has {tuple(source.shape)}")
            return None
        if dataset.chunks is None:
            return ArraySource(dataset, f"'{location}'", in_parallel=False)
        return self._storage.checked_source(dataset)

    def _add(self, location: str, message: str) -> None:
        self.differences.append(Difference(location=location, message=message))

    def answer(self, differences: Sequence[Difference]) -> SourceAnswer:
        """Return whether the source files may be deleted.

        Parameters
        ----------
        differences : sequence of Difference
            All differences that were found, from hashes too.
        """
        reasons = []
        if differences:
            places = sorted({each.location for each in differences})
            number = counted(len(places), "object")
            reasons.append(f"the file differs in {number}: {listed(places, 3)}")
        reasons += [*self._files.reasons, *self._reasons]
        unread = self._files.unread(self._recorded)
        uncompared = self._files.without_comparison(self._clocks_read)
        if uncompared:
            reasons.append(f"times are not compared with their files: {listed(uncompared, 5)}")
        if unread:
            number = counted(len(unread), "file")
            reasons.append(f"the conversion did not read {number} there: {listed(unread, 5)}")
        return SourceAnswer(
            reasons=tuple(dict.fromkeys(reasons)),
            num_datasets=len(self.compared),
            num_files=len({*self._files.found.values(), *self._clocks_read}),
            is_sampled=self._files.is_sampled,
        )


def _as_stored(sources: Mapping[str, Source], record: Record) -> Iterator[tuple[str, Source]]:
    """Yield the sources by their location in the file.

    What was appended may have another name than in a new file: it is then the only dataset of the
    record with the same last name and shape.
    """
    written = {**record.values, **record.datasets}
    free = {name: each for name, each in record.datasets.items() if name not in sources}
    for location, source in sources.items():
        if location in written:
            yield location, source
            continue
        last = location.rpartition("/")[2]
        alike = [
            name
            for name, each in free.items()
            if name.rpartition("/")[2] == last and each.grid.shape == tuple(source.shape)
        ]
        yield alike[0] if len(alike) == 1 else location, source


def _block_of(source: Source, stored: Any) -> Shape:
    """Return blocks of whole chunks of the file, or all of a small dataset."""
    shape, itemsize = tuple(source.shape), source.dtype.itemsize
    chunk = stored.chunk_shape or source.chunk_shape
    if chunk is None or num_bytes(shape, source.dtype) <= _BLOCK_BYTES:
        chunk = chunk or shape
    return block_shape(shape, tuple(chunk), None, max(_BLOCK_BYTES // itemsize, 1))


def _left_out(contents: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons that the record itself states."""
    for stream in contents.get("streams") or ():
        options = stream.get("options") or {}
        if options.get("stub") or options.get("stub_test"):
            yield "only the first samples were written (stub)"
    notes = [note for note in contents.get("notes") or () if _LEFT_OUT.search(str(note))]
    if notes:
        number = counted(len(notes), "note")
        texts = " ".join(map(str, notes[:3])).rstrip(".")
        yield f"the conversion gave {number} of what it left out: {texts}"


def _other_channels(interfaces: Mapping[str, Any]) -> Iterator[str]:
    """Yield the channels of recordings of which only others were converted."""
    written: dict[tuple[Any, ...], set[str]] = {}
    all_of: dict[tuple[Any, ...], set[str]] = {}
    for interface in interfaces.values():
        try:
            names = set(map(str, interface.channel_names()))
            own = str(interface.channel_name())
        except Exception:  # noqa: S112 - readers of other packages raise errors of any class
            continue
        if len(names) > 1:
            key = (type(interface), tuple(sorted(names)))
            written.setdefault(key, set()).add(own)
            all_of[key] = names
    for key, names in all_of.items():
        if rest := sorted(names - written[key]):
            number = counted(len(rest), "channel")
            yield f"the file lacks {number} of the recording: {listed(rest, 5)}"
