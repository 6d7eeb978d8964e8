"""Names of other files that a file states, such as the videos of a series, in a copy elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nwb_ophys.storage.hdmf.placeholders import dataset_builders, put
from nwb_ophys.storage.sources import unwrapped

if TYPE_CHECKING:
    from hdmf.build import GroupBuilder

NAMED_FILES = "external_file"
"""Dataset in which a series of images names its files."""


def moved_names(names: Iterable[Any], source: Path, target: Path) -> list[str]:
    """Return names of files for a copy; one that is relative leads to the same file from there.

    URLs, absolute names, and names that lead nowhere stay as they are.

    Parameters
    ----------
    names : iterable of str or bytes
    source, target : pathlib.Path
        The file that states them, and its copy.
    """
    texts = (name.decode() if isinstance(name, bytes) else str(name) for name in names)
    here, there = (Path(os.path.realpath(path)).parent for path in (source, target))
    return [_moved(name, here, there) for name in texts]


def _moved(name: str, here: Path, there: Path) -> str:
    is_relative = "://" not in name and not Path(name).is_absolute()
    if here == there or not name or not is_relative or not (here / name).exists():
        return name
    return Path(os.path.relpath(here / name, there)).as_posix()


def move_named_files(root: GroupBuilder, source: Path, target: Path) -> None:
    """Change the names of files in the builders of a copy.

    Parameters
    ----------
    root : hdmf.build.GroupBuilder
    source, target : pathlib.Path
        The file that states them, and its copy.
    """
    for location, builder in dataset_builders(root):
        values = unwrapped(builder.data)
        if location.rpartition("/")[2] == NAMED_FILES and np.ndim(values) == 1:
            before = [str(name) for name in values[:]]
            names = moved_names(before, source, target)
            if names != before:
                put(builder, names)
