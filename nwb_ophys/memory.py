"""Available memory and cores, memory layout of arrays, and maps that do not fill the memory."""

from __future__ import annotations

import gc
import math
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Systems without this call drop mapped pages on their own when memory is short.
_DROP = getattr(mmap, "MADV_DONTNEED", None)


# M_ARENA_MAX of malloc.h.
_MOST_ARENAS_SETTING = -8
_MOST_ARENAS = 2
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PROCESS_CGROUPS = Path("/proc/self/cgroup")
# Files of a control group by version: limit, usage and prefix in memory.stat; quota and period.
_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    2: ("memory.max", "memory.current", ""),
}
_CPU_FILES = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}


def available_memory() -> int:
    """Return how many bytes the process may still use, within the machine and its control group.

    Containers and cluster schedulers limit the control group (Linux, cgroup-v1 and cgroup-v2).
    """
    import psutil  # here, as readers import this module, and most are not asked

    return min([int(psutil.virtual_memory().available), *_cgroup_headroom()])


def share_freed_memory() -> None:
    """Have all threads of the process use the memory that any of them frees.

    By default, the allocator of Linux (glibc) gives each thread an arena of its own, which keeps
    freed blocks. A process that converts one session after the other, with new threads for each,
    so keeps some 100 MB more. Elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_MOST_ARENAS_SETTING, _MOST_ARENAS)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep Python from looking for garbage within the block, as while many modules are imported."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def keep_out_of_collection() -> None:
    """Keep the objects that there are now, such as modules, out of every later look for garbage.

    For processes that work on after their imports, which else are looked at again and again.
    """
    gc.freeze()


def usable_cores() -> int:
    """Return how many processor cores the process may use, within its control group.

    Containers and cluster schedulers limit the control group; a part of a core counts as one.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has this call
        cores = os.cpu_count() or 1
    return max(min([cores, *map(math.ceil, _cgroup_cores())]), 1)


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


def read_unshared(read: Callable[[], Any]) -> NDArray[Any]:
    """Read a block, and copy it if its reader may fill the same memory with the next block.

    Blocks wait for threads that compress them. Readers of cameras and videos often fill one buffer
    again and again, or return a view of it.

    Parameters
    ----------
    read : callable
        Returns an array that is not masked.
    """
    box = [copy_if_mapped(np.asarray(read()))]
    return box.pop() if _num_holders(box) <= _FEWEST_HOLDERS else np.array(box[0], order="K")


def _num_holders(box: list[NDArray[Any]]) -> float:
    """Return how many references there are to the only array in a list, or to its memory.

    A list, so that the caller has no reference of its own.
    """
    if not hasattr(sys, "getrefcount"):  # which only CPython has
        return math.inf
    owner = box[0]
    most = sys.getrefcount(owner)
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
        most = max(most, sys.getrefcount(owner))
    is_known = owner.base is None or isinstance(owner.base, bytes)
    return most if is_known else math.inf


_FEWEST_HOLDERS = _num_holders([np.empty(1)])


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
    for folder, version in _cgroup_folders("memory"):
        limit, usage, prefix = _MEMORY_FILES[version]
        try:
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            entries = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # The kernel frees the file cache as soon as a process needs the memory.
            cached = {f"{prefix}active_file", f"{prefix}inactive_file"}
            used -= sum(int(size) for name, size in entries if name in cached)
        except (OSError, ValueError):  # no such group here, or "max", which means no limit
            continue
        yield max(most - used, 0)


def _cgroup_cores() -> Iterator[float]:
    """Yield the cores granted to each control group of the process that has a quota."""
    for folder, version in _cgroup_folders("cpu"):
        try:
            texts = [(folder / name).read_text() for name in _CPU_FILES[version]]
            quota, period = (int(text) for text in " ".join(texts).split())
        except (OSError, ValueError):  # no such group here, or "max", which means no quota
            continue
        if quota > 0 and period > 0:  # version 1 has -1 for no quota
            yield quota / period


def _cgroup_folders(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder and version of each control group of the process, outermost first.

    In a container the outermost group is its own.
    """
    try:
        lines = _PROCESS_CGROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base, version = (_CGROUP_ROOT / controller, 1) if controllers else (_CGROUP_ROOT, 2)
        names = [part for part in group.split("/") if part not in ("", "..")]
        for depth in range(len(names) + 1):
            yield base.joinpath(*names[:depth]), version


def _read_only_map(values: Any) -> mmap.mmap | None:
    """Return the read-only memory map below an array, through any views in between.

    Writable maps do not count: dropping their pages would lose values that the process changed.
    """
    while values is not None and not isinstance(values, mmap.mmap):
        if isinstance(values, np.ndarray) and values.flags.writeable:
            return None
        values = values.obj if isinstance(values, memoryview) else getattr(values, "base", None)
    return values
