"""Notes that were given, and files that were opened, while a recording was opened and read."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs


@attrs.define(eq=False)
class Witness:
    """Notes and opened files of one recording or conversion.

    Attributes
    ----------
    notes : list of str
        Texts of the warnings for the user, each once.
    opened : set of str
        Names of the files that Python opened. Libraries in C open files without its knowledge.
    thread : int
        The thread whose warnings are noted.
    """

    notes: list[str] = attrs.field(factory=list)
    opened: set[str] = attrs.field(factory=set)
    thread: int = 0

    def add(self, other: Witness) -> None:
        """Add what another witness noted."""
        self.notes.extend(note for note in other.notes if note not in self.notes)
        self.opened |= other.opened


_present: list[Witness] = []
_LOCK = threading.RLock()
_is_hooked: list[bool] = []


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    # Python calls this for every event of the process, so that it must be short.
    if event == "open" and _present and isinstance(arguments[0], (str, bytes, os.PathLike)):
        name = os.fsdecode(arguments[0])
        for witness in tuple(_present):
            witness.opened.add(name)


def note_elsewhere(opened: Iterable[str]) -> None:
    """Note files that another process opened, as those that are opened here."""
    for witness in tuple(_present):
        witness.opened.update(opened)


class _Noting:
    """Replacement of ``warnings.showwarning`` that notes the warnings of a thread, too."""

    def __init__(self, before: Any) -> None:
        self.before = before

    def __call__(self, message: Any, category: Any, *rest: Any, **named: Any) -> None:
        if issubclass(category, UserWarning):
            for witness in tuple(_present):
                is_new = str(message) not in witness.notes
                if is_new and witness.thread == threading.get_ident():
                    witness.notes.append(str(message))
        self.before(message, category, *rest, **named)


@contextmanager
def witnessed() -> Iterator[Witness]:
    """Note the warnings for the user and the opened files within the block."""
    if not _is_hooked:
        _is_hooked.append(True)
        sys.addaudithook(_note_opened)
    witness = Witness(thread=threading.get_ident())
    with _LOCK:
        if not isinstance(warnings.showwarning, _Noting):
            warnings.showwarning = _Noting(warnings.showwarning)
        _present.append(witness)
    try:
        yield witness
    finally:
        with _LOCK:
            _present.remove(witness)
            shown = warnings.showwarning
            # Another thread may note its own warnings still.
            if not _present and isinstance(shown, _Noting):
                warnings.showwarning = shown.before
