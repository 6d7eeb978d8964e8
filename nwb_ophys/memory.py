"""Available memory, memory layout of arrays, and memory maps that do not fill the memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

# Systems without this call drop mapped pages on their own when memory is short.
_DROP = getattr(mmap, "MADV_DONTNEED", None)


_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PROCESS_CGROUPS = Path("/proc/self/cgroup")


def available_memory() -> int:
    """Return how many bytes the process may still use, within the machine and its control group.

    Containers and cluster schedulers limit the control group (Linux, cgroup-v1 and cgroup-v2).
    """
    return min([int(psutil.virtual_memory().available), *_cgroup_headroom()])


def release_map(values: NDArray[Any]) -> None:
    """Drop the pages of a memory-mapped file from memory; they are read again on access.

    Parameters
    ----------
    values : numpy.ndarray
        A view of a read-only memory map; for any other array this does nothing.
    """
    mapped = _read_only_map(values)
    if mapped is not None and _DROP is not None:
        mapped.madvise(_DROP)


def copy_if_mapped(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy, in the same memory order, of a view of a read-only map, and drop its pages.

    Parameters
    ----------
    values : numpy.ndarray
        Returned unchanged if it is not a view of a read-only memory map.
    """
    if _DROP is None or values.flags.writeable or _read_only_map(values) is None:
        return values
    copied = np.array(values, order="K", subok=False)
    release_map(values)
    return copied


def slowest_axis(values: Any) -> int:
    """Return the axis with the largest stride in memory; 0 if not known.

    Parameters
    ----------
    values : array-like
    """
    strides = [abs(step) for step in getattr(values, "strides", None) or (0,)]
    return strides.index(max(strides))


def _cgroup_headroom() -> Iterator[int]:
    """Yield the bytes left in each control group of the process that has a limit."""
    try:
        lines = _PROCESS_CGROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield from _headroom_along(_CGROUP_ROOT, group, "memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            yield from _headroom_along(_CGROUP_ROOT / "memory", group, *files, "total_")


def _headroom_along(base: Path, group: str, limit: str, usage: str, prefix: str) -> Iterator[int]:
    """Yield the bytes left in a group and its parents; in a container the base is its own group."""
    names = [part for part in group.split("/") if part not in ("", "..")]
    for depth in range(len(names) + 1):
        folder = base.joinpath(*names[:depth])
        try:
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            entries = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # The kernel frees the file cache as soon as a process needs the memory.
            cached = {f"{prefix}active_file", f"{prefix}inactive_file"}
            used -= sum(int(size) for name, size in entries if name in cached)
        except (OSError, ValueError):  # no such group here, or "max", which means no limit
            continue
        yield max(most - used, 0)


def _read_only_map(values: Any) -> mmap.mmap | None:
    """Return the read-only memory map below an array, through any views in between.

    Writable maps do not count: dropping their pages would lose values that the process changed.
    """
    while values is not None and not isinstance(values, mmap.mmap):
        if isinstance(values, np.ndarray) and values.flags.writeable:
            return None
        values = values.obj if isinstance(values, memoryview) else getattr(values, "base", None)
    return values
