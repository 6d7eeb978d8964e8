"""Contents of folders, each listed once while a recording is opened.

Everything that opens a recording looks into its folder: the search for links, detection, the format
itself. Listing a folder of 50,000 files takes as long as reading their headers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, TypeVar

import attrs

Result = TypeVar("Result")

_KEPT: ContextVar[dict[Any, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def listed_once() -> Iterator[None]:
    """Keep, within the outermost block, what :func:`kept` returns."""
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept(make: Callable[..., Result], *arguments: Any) -> Result:
    """Return the result of a function, which is called once within :func:`listed_once`.

    Parameters
    ----------
    make : callable
        Outside of such a block it is called each time.
    *arguments
        Its arguments, which are hashable.
    """
    known = _KEPT.get()
    if known is None:
        return make(*arguments)
    key = (make, *arguments)
    if key not in known:
        known[key] = make(*arguments)
    return known[key]  # type: ignore[no-any-return]


@attrs.frozen(kw_only=True, slots=False, eq=False)
class Listing:
    """Entries of a folder.

    Attributes
    ----------
    files : frozenset of str
        Names of the files; links to files are not among them.
    others : tuple of os.DirEntry
        All other entries: folders, links, pipes.
    """

    files: frozenset[str]
    others: tuple[os.DirEntry[str], ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of all entries."""
        return self.files.union(entry.name for entry in self.others)

    @cached_property
    def visible_files(self) -> frozenset[str]:
        """Names of the files that are not hidden."""
        hidden = [name for name in self.files if name[0] == "."]
        return self.files.difference(hidden) if hidden else self.files


def listing_of(folder: str | os.PathLike[str]) -> Listing:
    """Return the entries of a folder, which is listed once within :func:`listed_once`.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    return kept(_listed, os.fspath(folder))


def _listed(folder: str) -> Listing:
    files: list[str] = []
    others: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files.append(entry.name)
            else:
                others.append(entry)
    return Listing(files=frozenset(files), others=tuple(others))
