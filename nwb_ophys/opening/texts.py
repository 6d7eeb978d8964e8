"""Values given as text, as on the command line, and distinct names of paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def distinct_name(path: Path, paths: Sequence[Path]) -> str:
    """Return a name for one of several paths: the folders that differ, and its stem if it does.

    Parameters
    ----------
    path : pathlib.Path
    paths : sequence of pathlib.Path
        All paths.
    """
    if len({other.stem for other in paths}) == len(paths):
        return path.stem
    folders = [other.parts[:-1] for other in paths]
    same_in_all = {
        (index, parts[0])
        for index, parts in enumerate(zip(*folders, strict=False))
        if len(set(parts)) == 1
    }
    own = {
        other: tuple(part for part in enumerate(other.parts[:-1]) if part not in same_in_all)
        for other in paths
    }
    words = [part for _, part in own[path]]
    is_enough = all(own.values()) and len(set(own.values())) == len(paths)
    return " ".join(words if is_enough else [*words, path.stem])
