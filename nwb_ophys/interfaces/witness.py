"""Notes that were given, and files that were opened, while a recording was opened and read."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs


@attrs.define
class Witness:
    """Notes and opened files of one recording or conversion.

    Attributes
    ----------
    notes : list of str
        Texts of the warnings for the user, each once.
    opened : set of str
        Names of the files that Python opened. Libraries in C open files without its knowledge.
    """

    notes: list[str] = attrs.field(factory=list)
    opened: set[str] = attrs.field(factory=set)

    def add(self, other: Witness) -> None:
        """Add what another witness noted."""
        self.notes.extend(note for note in other.notes if note not in self.notes)
        self.opened |= other.opened


_present: list[Witness] = []
_is_hooked: list[bool] = []


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    # Python calls this for every event of the process, so that it must be short.
    if event == "open" and _present and isinstance(arguments[0], (str, bytes, os.PathLike)):
        name = os.fsdecode(arguments[0])
        for witness in _present:
            witness.opened.add(name)


@contextmanager
def witnessed() -> Iterator[Witness]:
    """Note the warnings for the user and the opened files within the block."""
    if not _is_hooked:
        _is_hooked.append(True)
        sys.addaudithook(_note_opened)
    witness = Witness()
    before = warnings.showwarning

    def show(message: Any, category: Any, *rest: Any, **named: Any) -> None:
        if issubclass(category, UserWarning) and str(message) not in witness.notes:
            witness.notes.append(str(message))
        before(message, category, *rest, **named)

    warnings.showwarning = show
    _present.append(witness)
    try:
        yield witness
    finally:
        _present.remove(witness)
        if warnings.showwarning is show:
            warnings.showwarning = before
