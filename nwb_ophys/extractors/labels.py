"""Names of data sources in messages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_OPENED = "_opened_paths"
_PATHS = ("file_path", "folder_path")
_PARENTS = ("parent", "_parent_segmentation", "_parent_imaging")


def extractor_label(extractor: Any) -> str:
    """Return the class of an extractor and the file or folder that it reads.

    Parameters
    ----------
    extractor : object
        A view of another extractor gets the path of its parent.

    Returns
    -------
    str
        Such as ``TiffStackExtractor of '/data/movie.tif'``.
    """
    path = _path_of(extractor)
    return type(extractor).__name__ + (f" of {path}" if path else "")


def keep_paths(extractor: Any, paths: Sequence[Path]) -> None:
    """Keep the paths that an extractor was opened with, for its label.

    Parameters
    ----------
    extractor : object
        Left as it is if it takes no attributes.
    paths : sequence of pathlib.Path
    """
    if paths and _OPENED not in getattr(extractor, "__dict__", {}):
        with suppress(AttributeError, TypeError):
            setattr(extractor, _OPENED, tuple(map(str, paths)))


def array_label(data: Any) -> str:
    """Return the file of a memory map or dataset, or ``"an array in memory"``."""
    path = getattr(data, "filename", None) or getattr(getattr(data, "file", None), "filename", None)
    return f"'{path}'" if path else "an array in memory"


def _path_of(extractor: Any) -> str:
    state = getattr(extractor, "__dict__", {})
    path = next((state[name] for name in _PATHS if state.get(name)), None)
    if path is not None:
        return f"'{path}'"
    paths = state.get("file_paths") or state.get(_OPENED) or []
    if len(paths):
        return f"'{paths[0]}'" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    parent = next((state[name] for name in _PARENTS if name in state), None)
    return "" if parent is None else _path_of(parent)
