"""How much memory is left, how arrays lie in it, and memory maps that do not pile up in it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

# Systems without the call drop such pages by themselves when memory is short.
_DROP = getattr(mmap, "MADV_DONTNEED", None)


_GROUPS = Path("/sys/fs/cgroup")
_GROUPS_OF_PROCESS = Path("/proc/self/cgroup")


def available_memory() -> int:
    """Return how many bytes may still be taken: of the machine, and of the process's control group.

    Containers and the schedulers of clusters limit the latter (Linux, cgroup-v1 and cgroup-v2).
    """
    return min([int(psutil.virtual_memory().available), *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Give what is left in each control group of the process that has a limit."""
    try:
        lines = _GROUPS_OF_PROCESS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield from _left_along(_GROUPS, group, "memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            yield from _left_along(_GROUPS / "memory", group, *files, "total_")


def _left_along(base: Path, group: str, limit: str, usage: str, prefix: str) -> Iterator[int]:
    """Give what is left in a group and those around it; a container sees its own as the base."""
    names = [part for part in group.split("/") if part not in ("", "..")]
    for depth in range(len(names) + 1):
        folder = base.joinpath(*names[:depth])
        try:
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            stated = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # What files have been read or written is kept only as long as nobody needs the room.
            kept = {f"{prefix}active_file", f"{prefix}inactive_file"}
            used -= sum(int(size) for name, size in stated if name in kept)
        except (OSError, ValueError):  # no such group here, or "max", which is no limit
            continue
        yield max(most - used, 0)


def release_map(values: NDArray[Any]) -> None:
    """Let go of the pages of the file that an array maps; they are read again when asked for.

    Parameters
    ----------
    values : numpy.ndarray
        A view of a read-only memory map; any other array is left alone.
    """
    mapped = _map_of(values)
    if mapped is not None and _DROP is not None:
        mapped.madvise(_DROP)


def copy_if_mapped(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy, in the same order, of a view of a read-only memory map, which is let go of.

    Parameters
    ----------
    values : numpy.ndarray
        Returned as it is where it is no such view.
    """
    if _DROP is None or values.flags.writeable or _map_of(values) is None:
        return values
    copied = np.array(values, order="K", subok=False)
    release_map(values)
    return copied


def slowest_axis(values: Any) -> int:
    """Return the axis along which the values of an array lie farthest apart; 0 if not known.

    Parameters
    ----------
    values : array-like
    """
    strides = [abs(step) for step in getattr(values, "strides", None) or (0,)]
    return strides.index(max(strides))


def _map_of(values: Any) -> mmap.mmap | None:
    """Return the read-only memory map that an array is a view of, through whatever lies between.

    A map in which values were changed, for the process alone, would lose them.
    """
    while values is not None and not isinstance(values, mmap.mmap):
        if isinstance(values, np.ndarray) and values.flags.writeable:
            return None
        values = values.obj if isinstance(values, memoryview) else getattr(values, "base", None)
    return values
