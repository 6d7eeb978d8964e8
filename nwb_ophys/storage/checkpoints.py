"""Thread that commits the finished chunks of a write to its journal, while other threads write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from nwb_ophys.storage.journal import ChunkProgress, JournalFile
from nwb_ophys.storage.threads import to_the_end

# Seconds before the first commit, and between commits. A shorter write has no journal.
FIRST, INTERVAL = 1.0, 1.0
# A commit, for which other threads wait, takes at most this share of the time.
LARGEST_SHARE = 0.005


class CommitSteps(Protocol):
    """Steps of a backend that make the chunks stored so far readable after a kill."""

    has_undo: bool
    """Whether a file is returned to a commit by :func:`nwb_ophys.storage.undo.restore`."""

    def begin(self) -> None:
        """Prepare the first commit of this run."""

    def flush(self) -> float:
        """Make all stored chunks readable, and return for how many seconds others waited."""

    def arm(self, number: int) -> float:
        """Prepare the return to a commit; return for how many seconds others waited."""


class NoSteps:
    """Steps of a backend whose chunks are files, which need no further step."""

    has_undo = False

    def begin(self) -> None:
        """Do nothing."""

    def flush(self) -> float:
        """Do nothing."""
        return 0.0

    def arm(self, number: int) -> float:
        """Do nothing."""
        return 0.0


class Checkpoints:
    """Commits of one write, in a thread of their own.

    A commit flushes the file, prepares the return to this state, and adds the finished chunks to
    the journal, in that order. If the disk refuses the journal, the write goes on without it.

    Parameters
    ----------
    journal : JournalFile
        Created by the first commit, unless an earlier run began it.
    header : callable
        Return the first line of a new journal, or None if the write cannot be resumed.
    steps : CommitSteps
    datasets : sequence of ChunkProgress
    number : int
        Number of commits of an earlier run.
    """

    def __init__(
        self,
        journal: JournalFile,
        header: Callable[[], Mapping[str, Any] | None],
        steps: CommitSteps,
        datasets: Sequence[ChunkProgress],
        number: int = 0,
    ) -> None:
        self._journal, self._header, self._steps = journal, header, steps
        self._datasets, self._number = datasets, number
        self._has_begun = False
        self._is_off = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to commit from time to time."""
        if self._journal.is_open:  # the file may change from now on
            self._begin()
        name = "nwb-ophys-journal"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def close(self, *, is_kept: bool, is_complete: bool) -> bool:
        """End the thread, and commit the rest if it is of use.

        Parameters
        ----------
        is_kept : bool
            Whether the incomplete file is kept, to be resumed.
        is_complete : bool
            Whether all chunks are stored.

        Returns
        -------
        bool
            Whether the journal commits chunks.
        """
        to_the_end(self._end)
        if is_kept or (is_complete and self._journal.is_open):
            to_the_end(self._finish)
        self._journal.close()
        return self._number > 0 and not self._is_off

    def _finish(self) -> None:
        self._commit_safely()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        pause = FIRST
        while not self._stop.wait(pause) and not self._is_off:
            pause = max(INTERVAL, self._commit_safely() / LARGEST_SHARE)

    def _commit_safely(self) -> float:
        """Commit, and return for how many seconds others waited."""
        if self._is_off:
            return 0.0
        try:
            return self._commit()
        except Exception:  # a full disk, or data of a kind that cannot be described
            self._turn_off()
            return 0.0

    def _turn_off(self) -> None:
        self._is_off = True
        for each in self._datasets:
            each.stop_recording()
        self._journal.close()
        with suppress(OSError):  # of the disk that refused it
            self._journal.path.unlink(missing_ok=True)

    def _commit(self) -> float:
        found = {each.location: each.take() for each in self._datasets}
        chunks = {name: entries.to_dict() for name, entries in found.items() if len(entries)}
        if not chunks:
            return 0.0
        self._begin()
        waited = self._steps.flush()
        waited += self._steps.arm(self._number + 1)
        line = {"commit": self._number + 1, "time": time.time(), "chunks": chunks}
        if self._journal.is_open:
            self._journal.append(line)
        else:
            header = self._header()
            if header is None:
                self._turn_off()
                return waited
            self._journal.create({**header, "has_undo": self._steps.has_undo}, line)
        self._number += 1
        return waited

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._steps.begin()
