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
    first = path.parts[0] if path.parts else ""
    if not first.startswith("~"):
        return path
    try:
        home = Path(first).expanduser()
        # On Windows any name might be that of a user.
        return path.expanduser() if first == "~" or home.is_dir() else path
    except RuntimeError:
        return path
