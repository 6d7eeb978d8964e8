"""Memory and processor cores that this process may use, and the layout of arrays in memory.

Containers and the schedulers of clusters limit both by control groups (Linux, versions 1 and 2).
"""

from __future__ import annotations

import math
import mmap
import os
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
# Files of a control group by version: limit, usage and prefix in memory.stat; quota and period.
_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    2: ("memory.max", "memory.current", ""),
}
_CPU_FILES = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}


def available_memory() -> int:
    """Return the number of bytes that are free, on the machine and in the control groups."""
    return min([int(psutil.virtual_memory().available), *_free_in_groups()])


def usable_cores() -> int:
    """Return the number of processor cores that this process may use.

    A control group may grant a part of a core; that part counts as one.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has the call
        cores = os.cpu_count() or 1
    return max(min([cores, *map(math.ceil, _cores_of_groups())]), 1)


def _free_in_groups() -> Iterator[int]:
    """Yield the number of free bytes of each control group with a limit of memory."""
    for folder, version in _group_folders("memory"):
        limit, usage, prefix = _MEMORY_FILES[version]
        try:
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            stated = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # Linux frees pages of files as soon as a process needs the memory.
            kept = {f"{prefix}active_file", f"{prefix}inactive_file"}
            used -= sum(int(size) for name, size in stated if name in kept)
        except (OSError, ValueError):  # no such group here, or "max", which is no limit
            continue
        yield max(most - used, 0)


def _cores_of_groups() -> Iterator[float]:
    """Yield the number of cores of each control group with a quota of processor time."""
    for folder, version in _group_folders("cpu"):
        try:
            texts = [(folder / name).read_text() for name in _CPU_FILES[version]]
            quota, period = (int(text) for text in " ".join(texts).split())
        except (OSError, ValueError):  # no such group here, or "max", which is no limit
            continue
        if quota > 0 and period > 0:  # in version 1, -1 is no limit
            yield quota / period


def _group_folders(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder and version of each control group of this process, from the outermost.

    A container sees its own group as the outermost.
    """
    try:
        lines = _GROUPS_OF_PROCESS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base, version = (_GROUPS / controller, 1) if controllers else (_GROUPS, 2)
        names = [part for part in group.split("/") if part not in ("", "..")]
        for depth in range(len(names) + 1):
            yield base.joinpath(*names[:depth]), version


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
