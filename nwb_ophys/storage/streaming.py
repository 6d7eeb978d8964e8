"""Files of a folder that leave the disk when they are complete, for targets in object stores.

A backend hands each complete chunk or shard to :class:`FinishedFiles`. For a folder on the disk
these are flushed; the target of a folder elsewhere offers an :class:`Outlet` that takes them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from nwb_ophys.errors import OutputError


class FinishedFiles(Protocol):
    """Takes the complete files of a folder, from several threads."""

    def add(self, path: str) -> None:
        """Take a complete file, which nobody changes or opens any more."""


class Outlet(Protocol):
    """The way of the files of an incomplete folder to their place elsewhere."""

    @property
    def place(self) -> Path:
        """Folder there."""

    def receiving(
        self, partial: Path, locations: Sequence[str], is_header: Callable[[str], bool]
    ) -> AbstractContextManager[FinishedFiles]:
        """Take the files of datasets within the block; at its end all of them are there.

        Parameters
        ----------
        partial : pathlib.Path
            The incomplete folder.
        locations : sequence of str
            Paths of the datasets in it. Of each the headers stay on the disk as well.
        is_header : callable
            Returns whether the name of a file is that of a header.
        """


class UploadError(OutputError):
    """A file was not taken elsewhere; the chunk that is stored meanwhile is not at fault."""


_OUTLET: ContextVar[tuple[Path, Outlet] | None] = ContextVar("_OUTLET", default=None)


@contextmanager
def leading_to(outlet: Outlet, folder: Path) -> Iterator[None]:
    """Take the complete files of folders that are written in a folder, within the block."""
    token = _OUTLET.set((folder, outlet))
    try:
        yield
    finally:
        _OUTLET.reset(token)


def outlet_of(partial: Path) -> Outlet | None:
    """Return the outlet of an incomplete folder; None where its files stay on the disk."""
    found = _OUTLET.get()
    return found[1] if found is not None and partial.is_relative_to(found[0]) else None
