"""Judgement by its contents whether what is at a path may be replaced by an NWB file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import backend_of_path

_MOST_SHOWN = 3


def reason_to_keep(path: Path) -> str | None:
    """Return why a file or folder must not be replaced, or None if it may be.

    Only an NWB file or store, whole or truncated, an empty file and an empty folder may be
    replaced; a name proves nothing.

    Parameters
    ----------
    path : pathlib.Path
        Something that exists.

    Returns
    -------
    str or None
        The end of a sentence of which the path is the subject.
    """
    if path.is_dir():
        return _reason_to_keep_folder(path)
    if not path.is_file():
        return "is no regular file"
    size = path.stat().st_size
    if size == 0:
        return None
    backend = backend_of_path(path)
    if backend is None:
        return f"is not an NWB file: it holds {size:,} bytes of another kind"
    return _reason_of_root(backend, path)


def _reason_to_keep_folder(path: Path) -> str | None:
    backend = backend_of_path(path)
    if backend is None:
        held = _listed(each.name for each in path.iterdir())
        return None if not held else f"is not an NWB file: it is a folder that holds {held}"
    reason = _reason_of_root(backend, path)
    if reason is not None:
        return reason
    held = _listed(str(each.relative_to(path)) for each in backend.strangers(path))
    return f"is an NWB store that also holds {held}" if held else None


def _reason_of_root(backend: Backend, path: Path) -> str | None:
    kind = backend.file_kind
    try:
        found = backend.neurodata_type(path)
    except Exception:  # whatever a backend finds wrong with a file
        if backend.was_nwb(path):
            return None
        return f"is not known to be an NWB file: it is {kind} that cannot be read"
    if found == "NWBFile":
        return None
    held = "nothing of NWB" if found is None else f"'{found}'"
    return f"is not an NWB file: it is {kind} whose root states {held}"


def _listed(names: Iterable[str]) -> str:
    """Return the first names; empty if there is none."""
    found = list(itertools.islice(names, _MOST_SHOWN + 1))
    shown = ", ".join(f"'{name}'" for name in sorted(found[:_MOST_SHOWN]))
    return f"{shown} and more" if len(found) > _MOST_SHOWN else shown
