"""Paths that begin with the folder of a user."""

from __future__ import annotations

from pathlib import Path


def with_home(path: Path) -> Path:
    """Return a path with the folder of the user in place of ``~``.

    A name that begins with ``~`` and names no user, such as ``~movie.tif``, stays as it is.

    Parameters
    ----------
    path : pathlib.Path
    """
    try:
        return path.expanduser()
    except RuntimeError:
        return path
