"""Resumption of a write that was killed: its incomplete file is completed instead of a new one.

A write keeps a journal beside its incomplete file, see :mod:`nwb_ophys.storage.journal`. A later
write of the same target finds both. If its source and its plan are those in the journal, it fills
the chunks that were not committed; else it starts again and says why.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.errors import OutputError
from nwb_ophys.storage.atomic import remove
from nwb_ophys.storage.backends.base import Backend, Sink
from nwb_ophys.storage.checkpoints import Checkpoints
from nwb_ophys.storage.engine import FillTask
from nwb_ophys.storage.grid import Selection
from nwb_ophys.storage.hidden_names import HiddenName, HiddenNames
from nwb_ophys.storage.identity import (
    Facts,
    UnknownSourceError,
    difference,
    file_facts,
    plan_facts,
    source_facts,
    tree_facts,
)
from nwb_ophys.storage.journal import (
    EMPTY,
    UNKNOWN,
    ChunkProgress,
    Entries,
    Journal,
    JournalFile,
    undo_of,
)
from nwb_ophys.storage.journal import checksum as checksum_of
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.progress import Counter, ProgressCounter
from nwb_ophys.storage.record import versions
from nwb_ophys.storage.threads import to_the_end
from nwb_ophys.storage.undo import remove_undo

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder, GroupBuilder

# A smaller write has no journal, unless it is to be resumed.
LEAST_BYTES = 64_000_000


# Signals are reported where nothing else is known.
_KEPT: ContextVar[Path | None] = ContextVar("_KEPT", default=None)


def last_kept() -> Path | None:
    """Return the last target of this thread whose incomplete file was kept, or None."""
    return _KEPT.get()


def journal_of(partial: Path) -> Path:
    """Return the path of the journal of an incomplete file."""
    parts = HiddenName.parse(partial)
    assert parts is not None
    return partial.with_name(f"{parts.names.stem}.{parts.unique}.resume")


@attrs.frozen
class Earlier:
    """Incomplete file of an earlier run, and its journal."""

    partial: Path
    journal: Journal

    def remove(self) -> None:
        """Remove the file and its journal; the journal first, without which it is debris."""
        _remove_journal(self.journal.path)
        remove(self.partial)


def _remove_journal(path: Path) -> None:
    remove(path)
    remove_undo(undo_of(path))


def find_earlier(target: Path) -> tuple[list[Earlier], bool]:
    """Return what earlier runs left of a target, and whether an incomplete file was of no use.

    A journal without an incomplete file is removed, and so are both if the journal commits nothing.

    Returns
    -------
    earlier : list of Earlier
        The most complete first.
    is_lost : bool
    """
    names = HiddenNames.beside(target)
    with os.scandir(names.folder) as entries:
        near = [entry.name for entry in entries if entry.name.startswith(names.stem)]
    beside = [HiddenName.parse(names.folder / name) for name in near]
    ours = [name for name in beside if name is not None and name.names == names]
    partials = {name.unique: name.path for name in ours if name.kind == "partial"}
    found, is_lost = [], False
    for unique in {name.unique for name in ours if name.kind == "resume"}:
        path = names.folder / f"{names.stem}.{unique}.resume"
        journal = Journal.read(path)
        if journal is not None and unique in partials and _is_of(journal, partials[unique]):
            found.append(Earlier(partials[unique], journal))
            continue
        _remove_journal(path)
        if unique in partials:
            remove(partials[unique])
            is_lost = True
    return sorted(found, key=lambda each: each.journal.share()[0], reverse=True), is_lost


def _folder_number(partial: Path) -> int | None:
    """Return the number that the system gives a folder; None for a file."""
    return partial.stat().st_ino if partial.is_dir() else None


def _is_of(journal: Journal, partial: Path) -> bool:
    """Return whether a journal belongs to an incomplete file.

    When a folder becomes the target, the former folder has the name of the incomplete one until it
    is removed.
    """
    return journal.header.get("folder_number") == _folder_number(partial)


class Resumption:
    """Resumption of one write, by this run or by a later one.

    Parameters
    ----------
    target : pathlib.Path
    storage : Backend
    is_wanted : bool
        Whether an earlier run is resumed, and this one kept for a later run when it is interrupted.
    sources : callable, optional
        Return facts on all data; by default each dataset is asked for its own files.
    appended : sequence of pathlib.Path
        The file that is appended to, if any.
    """

    def __init__(
        self,
        target: Path,
        storage: Backend,
        *,
        is_wanted: bool = False,
        sources: Callable[[], Facts] | None = None,
        appended: Sequence[Path] = (),
    ) -> None:
        self.target, self._storage, self._is_wanted = target, storage, is_wanted
        self._sources, self._appended = sources, appended
        self._earlier, is_lost = find_earlier(target)
        self._partial: Path | None = None
        self._facts: Callable[[], Facts] | None = None
        self._adopted: Earlier | None = None
        self._has_commits = False
        if self._earlier and not is_wanted:
            self._mention()
        if is_wanted and is_lost and not self._earlier:
            self._start_again("its journal is incomplete")

    def _mention(self) -> None:
        done, total = self._earlier[0].journal.share()
        warnings.warn(
            f"{done * 100 // max(total, 1)} % of '{self.target}' are in the incomplete file of an "
            "earlier run, from which resume=True would go on. This run starts again, and removes "
            "that file at its end.",
            stacklevel=2,
        )

    # --- the file that becomes the target -------------------------------------------------------

    @contextmanager
    def cleaned_at_the_end(self, partial: Path) -> Iterator[None]:
        """Remove what is of no use any more when the block ends.

        Parameters
        ----------
        partial : pathlib.Path
            Incomplete file of this run. An error leaves it only if it can be resumed.
        """
        self._partial, pid = partial, os.getpid()
        raised: BaseException | None = None
        try:
            yield
        except BaseException as error:
            raised = error
            raise
        finally:
            if os.getpid() == pid:  # not a child after a fork, which leaves the block by an error
                self._clean(partial, raised)

    def complete_file(self, partial: Path) -> Path:
        """Return the file that becomes the target: that of this run, or of an earlier one."""
        return partial if self._adopted is None else self._adopted.partial

    @property
    def filled_file(self) -> Path:
        """The incomplete file that is filled: that of this run, or of an earlier one."""
        return self.target if self._partial is None else self.complete_file(self._partial)

    def _clean(self, partial: Path, error: BaseException | None) -> None:
        if error is not None:
            to_the_end(self._storage.settle)
        own = self.complete_file(partial)
        is_kept = (
            self._is_wanted
            and self._has_commits
            and error is not None
            and not isinstance(error, OutputError)
        )
        if is_kept:
            self._say_kept(error)
        else:
            _remove_journal(journal_of(own))
            remove(own)
        if own != partial:
            remove(partial)
        if error is None:
            self.remove_earlier()

    def remove_earlier(self) -> None:
        """Remove the incomplete files of earlier runs that this run made useless."""
        for each in self._earlier:
            each.remove()

    def _say_kept(self, error: BaseException | None) -> None:
        _KEPT.set(self.target)
        if isinstance(error, Exception):
            warnings.warn(
                f"The part of '{self.target}' that was written is kept; run this again with "
                "resume=True to go on from there.",
                stacklevel=2,
            )

    # --- the comparison with an earlier run -----------------------------------------------------

    def adopts(
        self,
        planned: Sequence[PlannedDataset],
        root: GroupBuilder | None,
        is_written: Callable[[DatasetBuilder], bool] = lambda builder: False,
    ) -> bool:
        """Compare this write with an earlier one, and return whether that is completed.

        Parameters
        ----------
        planned : sequence of PlannedDataset
        root : hdmf.build.GroupBuilder, optional
            Everything that hdmf is about to write.
        is_written : callable
            Return whether a dataset is in the file already.
        """
        if self._partial is None:  # a file that is appended to in its place
            return False
        is_long = sum(each.configuration.num_bytes for each in planned) >= LEAST_BYTES
        if not (is_long or self._is_wanted):
            return False
        try:
            self._facts = self._facts_of(planned, root, is_written)
            reason = None
        except UnknownSourceError as error:
            reason = str(error)
        if not self._is_wanted or not self._earlier:
            return False
        found = self._earlier[0]
        reason = reason or self._difference(found) or self._reason_not_to_open(found)
        if reason is not None:
            self._start_again(reason)
            return False
        self._adopted, self._has_commits = found, True
        for other in self._earlier[1:]:
            other.remove()
        self._earlier = []
        return True

    def _facts_of(
        self,
        planned: Sequence[PlannedDataset],
        root: GroupBuilder | None,
        is_written: Callable[[DatasetBuilder], bool],
    ) -> Callable[[], Facts]:
        """Return the function that returns all facts; the metadata are looked at now."""
        known = {"the backend": self._storage.name}
        known |= {
            f"the version of {name}": number for name, number in versions(self._storage).items()
        }
        known |= plan_facts(planned)
        if root is not None:
            filled = [each.location for each in planned]
            is_known = self._sources is not None
            known |= tree_facts(root, filled, is_written, is_source_known=is_known)

        def facts() -> Facts:
            sources = self._sources() if self._sources else source_facts(planned)
            return {**sources, **file_facts(self._appended), **known}

        return facts

    def _difference(self, found: Earlier) -> str | None:
        assert self._facts is not None
        try:
            return difference(found.journal.header["facts"], self._facts())
        except UnknownSourceError as error:
            return str(error)

    def _reason_not_to_open(self, found: Earlier) -> str | None:
        try:
            with self._opened(found) as root:
                for location in found.journal.header["datasets"]:
                    root[location]
        except Exception as error:  # of any library, about whatever is left of the file
            reason = " ".join(str(error).split()).rstrip(".")
            return f"its incomplete file is damaged ({reason})"
        return None

    def _opened(self, found: Earlier) -> Any:
        return self._storage.reopen(found.partial, undo_of(found.journal.path))

    def _start_again(self, reason: str) -> None:
        warnings.warn(
            f"'{self.target}' is written from the start, since the earlier run cannot be resumed: "
            f"{reason.rstrip('.')}.",
            stacklevel=2,
        )
        for each in self._earlier:
            each.remove()
        self._earlier = []

    # --- filling --------------------------------------------------------------------------------

    @contextmanager
    def root(self, own: Any) -> Iterator[Any]:
        """Open the root group to fill: that of this run, or of the earlier file.

        Raises
        ------
        OutputError
            If the earlier file cannot be closed, since the disk is full or the like.
        """
        if self._adopted is None:
            yield own
            return
        try:
            with self._opened(self._adopted) as root:
                yield root
        except RuntimeError as error:  # which h5py makes of errors of HDF5
            raise OutputError(f"'{self.target}' cannot be written: {error}") from error

    @contextmanager
    def committing(
        self, root: Any, tasks: Sequence[FillTask], counter: ProgressCounter
    ) -> Iterator[Counter]:
        """Commit the chunks that are finished in the block, after those of an earlier run.

        Yields
        ------
        Counter
            Counts the finished chunks.
        """
        if self._facts is None:
            yield counter
            return
        by_location = {task.planned.location: _progress_of(task) for task in tasks}
        if self._adopted is not None:
            _restore(self._adopted.journal, tasks, by_location)
            for task in tasks:
                counter.skip(task.planned, by_location[task.planned.location].num_values)
        checkpoints = self._checkpoints(root, tasks, by_location)
        try:
            checkpoints.start()
            yield JournalCounter(counter, by_location)
        except BaseException as error:
            is_kept = self._is_wanted and not isinstance(error, OutputError)
            self._has_commits = checkpoints.close(is_kept=is_kept, is_complete=False)
            raise
        self._has_commits = checkpoints.close(is_kept=False, is_complete=True)

    def _checkpoints(
        self, root: Any, tasks: Sequence[FillTask], by_location: Mapping[str, ChunkProgress]
    ) -> Checkpoints:
        assert self._partial is not None
        own = self.complete_file(self._partial)
        journal = JournalFile(journal_of(own))
        number = 0
        if self._adopted is not None:
            number = self._adopted.journal.num_commits
            journal.continue_from(self._adopted.journal.length)
        sizes = {
            task.planned.location: [
                by_location[task.planned.location].num_chunks,
                task.planned.configuration.num_bytes,
            ]
            for task in tasks
        }

        def header() -> Mapping[str, Any] | None:
            try:
                facts = self._facts() if self._facts else None
            except UnknownSourceError:
                return None
            return {"folder_number": _folder_number(own), "facts": facts, "datasets": sizes}

        steps = self._storage.commit_steps(root, undo_of(journal.path), list(by_location))
        return Checkpoints(journal, header, steps, list(by_location.values()), number)


class JournalCounter:
    """Counter of finished chunks, for the progress and for the journal.

    Parameters
    ----------
    counter : ProgressCounter
    datasets : mapping of str to ChunkProgress
    """

    def __init__(self, counter: ProgressCounter, datasets: Mapping[str, ChunkProgress]) -> None:
        self._counter, self._datasets = counter, datasets

    def add(self, planned: PlannedDataset, bounds: Selection) -> None:
        """Count a finished part of a dataset."""
        self._datasets[planned.location].finish(bounds)
        self._counter.add(planned, bounds)


def _progress_of(task: FillTask) -> ChunkProgress:
    planned, sink = task.planned, task.sink
    assert sink.digests is not None
    shape, chunk_shape = planned.source.shape, planned.chunk_shape
    sink.progress = ChunkProgress(planned.location, shape, chunk_shape, sink.digests)
    return sink.progress


def _restore(
    journal: Journal, tasks: Sequence[FillTask], by_location: Mapping[str, ChunkProgress]
) -> None:
    """Take over the committed chunks whose stored bytes are as the journal states."""
    sinks = {task.planned.location: task.sink for task in tasks}
    for location, entries in journal.entries(by_location.__contains__):
        progress, sink = by_location[location], sinks[location]
        intact = [_is_intact(sink, progress, entries, at) for at in range(len(entries))]
        progress.restore(entries.only(np.array(intact, bool)))


def _is_intact(sink: Sink, progress: ChunkProgress, entries: Entries, at: int) -> bool:
    size = int(entries.size[at])
    if size == EMPTY:
        return True
    stored = sink.stored_bytes(progress.corner(int(entries.index[at])))
    if stored is None or size == UNKNOWN:
        return stored is not None
    return len(stored) == size and checksum_of(stored) == int(entries.checksum[at])
