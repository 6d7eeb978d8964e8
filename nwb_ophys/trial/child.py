"""The process that opens HDF5 files first, so that a damaged one cannot take the caller with it.

A process of its own runs this file. It imports h5py and nothing of this package, reads the path
of a file per line, and answers ``.`` while it makes progress and at the end a JSON list of the
members that have a name but cannot be opened. A damaged file makes the library of HDF5 crash or run
for ever, which ends this process and no other. Other errors that h5py raises are of no interest
here: the caller meets them as well.
"""

from __future__ import annotations

import collections
import faulthandler
import functools
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# The process ends itself if it makes no progress for so long, in case its parent was killed.
_ORPHAN_SECONDS = 900
_PROGRESS_SECONDS = 0.2
_MOST_SECONDS = 10.0
# Values of datasets are read if they are texts, lists or references, whose parts lie in several
# places of the file, or few numbers. The others are read block by block by the caller.
_MOST_PART_BYTES = 64_000_000
_MOST_NUMBER_BYTES = 1_000_000
_MOST_REFERENCES = 100_000
_MEMORY_BYTES = 2_000_000_000
# Memory for the values of one dataset: a chunk may inflate to a thousand times its bytes. The
# library holds up to five copies of a chunk, and Python many bytes for each text.
_BASE_BYTES, _COPIES, _TEXT_COPIES = 300_000_000, 6, 40
_DEEPEST = 210  # levels of groups; a file with more is refused when it is searched for links
# Filters whose codecs end with an error on damaged data: gzip, shuffle, fletcher32, bzip2, LZF,
# Blosc, LZ4 and Zstandard. Others, such as bitshuffle and szip, may crash on any chunk.
_STURDY = frozenset({1, 2, 3, 307, 32000, 32001, 32004, 32015})
_MOST_CHUNK_BYTES = 256_000_000


class Progress:
    """Reports of progress, at most five per second, and the time that the walk may take.

    Parameters
    ----------
    report : callable
        Takes no arguments.
    """

    def __init__(self, report: Callable[[], None]) -> None:
        self._report, self._first = report, time.monotonic()
        self._last = self._first

    @property
    def is_enough(self) -> bool:
        """Return whether the walk took its time; the rest of a huge file stays untouched."""
        return time.monotonic() - self._first > _MOST_SECONDS

    def __call__(self, *_: Any) -> bool | None:
        """Report progress; return True, which ends a visit of chunks, where it is enough."""
        now = time.monotonic()
        if now - self._last > _PROGRESS_SECONDS:
            self._last = now
            self._report()
        return True if now - self._first > _MOST_SECONDS else None


def walk(path: str, progress: Progress) -> list[str]:
    """Touch everything in an HDF5 file that a reader touches before it reads blocks of data.

    Parameters
    ----------
    path : str
    progress : Progress
        Called after each object and each chunk.

    Returns
    -------
    list of str
        Places of members that cannot be opened, or whose own members cannot be listed.
    """
    import h5py

    lost: list[str] = []
    with suppress(Exception), _opened(h5py, path) as file:
        seen: set[Any] = set()
        pending: collections.deque[tuple[Any, int]] = collections.deque([(file["/"], 0)])
        while pending and not progress.is_enough:
            found, depth = pending.popleft()
            with suppress(Exception):
                key = _address(found)
                if key in seen:
                    continue
                seen.add(key)
            progress()
            _touch_attributes(found, progress, lost)
            with suppress(Exception):
                if isinstance(found, h5py.Dataset):
                    _touch_dataset(found, progress)
                elif isinstance(found, h5py.Group) and depth < _DEEPEST:
                    pending += ((child, depth + 1) for child in _children(found, progress, lost))
    return lost


def _opened(h5py: Any, path: str) -> Any:
    """Open a file, without a lock where the file system has none, as the caller does."""
    try:
        return h5py.File(path, "r")
    except BlockingIOError:
        raise
    except OSError as error:
        if "unable to lock file" not in str(error):
            raise
    return h5py.File(path, "r", locking=False)


def _address(found: Any) -> Any:
    import h5py

    info = h5py.h5o.get_info(found.id)
    return info.fileno, info.addr


def _children(group: Any, progress: Progress, lost: list[str]) -> Iterator[Any]:
    """Yield the objects of a group; soft links, and links to other files, are not followed."""
    import h5py

    try:
        # h5py gives the names that are not UTF-8 as bytes.
        names = sorted(group, key=lambda each: _encoded(each).startswith(b"#"))
    except Exception:
        lost.append(_place(group, "…"))
        return
    links = group.id.links
    # References of MATLAB lie in a group of their own, and may be millions.
    for name in names:
        if progress():
            return
        try:
            is_own = links.get_info(_encoded(name)).type == h5py.h5l.TYPE_HARD
            child = group[name] if is_own else None
        except TypeError:  # a link or an object that only other programs know
            continue
        except Exception:
            lost.append(_place(group, name))
            continue
        if child is not None:
            yield child


def _encoded(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode("utf-8")


def _place(group: Any, name: str | bytes) -> str:
    return f"{os.fsdecode(group.name)}/{os.fsdecode(name)}".replace("//", "/")


def _touch_attributes(found: Any, progress: Progress, lost: list[str]) -> None:
    try:
        for name in found.attrs:
            if progress():
                return
            with suppress(Exception):
                _touch_attribute(found, name)
    except Exception:
        lost.append(f"the attributes of {os.fsdecode(found.name)}")


def _touch_attribute(found: Any, name: str | bytes) -> None:
    """Read an attribute; a text of any length, which most are, without the slower part of h5py."""
    import h5py
    import numpy as np

    key = name.encode("utf-8") if isinstance(name, str) else name
    attribute = h5py.h5a.open(found.id, key)
    stored = attribute.get_type()
    is_text = isinstance(stored, h5py.h5t.TypeStringID) and stored.is_variable_str()
    if is_text and attribute.get_space().get_simple_extent_type() == h5py.h5s.SCALAR:
        attribute.read(np.empty((), object), mtype=h5py.h5t.PYTHON_OBJECT)
    else:
        found.attrs[name]


def _touch_dataset(dataset: Any, progress: Progress) -> None:
    """Touch type, shape, settings and index of a dataset, and the values if they are in parts."""
    plist = dataset.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        plist.get_filter(number)
    for value in ("shape", "dtype", "maxshape", "chunks", "fillvalue", "is_virtual", "external"):
        with suppress(Exception):
            getattr(dataset, value)
    with suppress(Exception):
        if dataset.chunks is not None:
            dataset.id.chunk_iter(progress)
    if dataset.is_virtual or dataset.external or not dataset.size:
        return
    dtype = dataset.dtype
    is_in_parts = dtype.hasobject
    most = _MOST_PART_BYTES if is_in_parts else _MOST_NUMBER_BYTES
    num_bytes = dataset.size * dtype.itemsize
    if num_bytes > most:
        num_bytes = 0
    if dataset.chunks is None and not is_in_parts:  # no codec, nor a text, needs more memory
        if num_bytes:
            dataset[()]
        return
    chunk_bytes = _chunk_bytes(dataset)
    copies = _TEXT_COPIES if is_in_parts else _COPIES
    with _limited_to(_BASE_BYTES + copies * max(num_bytes, chunk_bytes)):
        _touch_chunks(dataset, chunk_bytes, progress)
        if num_bytes:
            values = dataset[()]
            progress()
            if is_in_parts:
                _touch_references(dataset, values, progress)


def _chunk_bytes(dataset: Any) -> int:
    """Return the number of bytes of a chunk, 0 where it is too large to be read here."""
    found = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    return found if found <= _MOST_CHUNK_BYTES else 0


def _touch_chunks(dataset: Any, chunk_bytes: int, progress: Progress) -> None:
    """Decode one chunk of a dataset, and all of them where a filter may crash on each."""
    import h5py

    plist = dataset.id.get_create_plist()
    numbers = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if not numbers or not chunk_bytes:
        return
    if not all(map(h5py.h5z.filter_avail, numbers)):
        with suppress(ImportError):
            importlib.import_module("hdf5plugin")  # registers its filters
    is_sturdy = numbers <= _STURDY
    for place in dataset.iter_chunks():
        with suppress(Exception):
            dataset[place]
        if progress() or is_sturdy:
            return


def _touch_references(dataset: Any, values: Any, progress: Progress) -> None:
    import h5py

    if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
        return
    values = [values] if isinstance(values, h5py.Reference) else values.ravel()[:_MOST_REFERENCES]
    for reference in values:
        if progress():
            return
        with suppress(Exception):
            dataset.file[reference].name  # noqa: B018


@contextmanager
def _limited_to(num_bytes: int) -> Iterator[None]:
    """Keep a block of code from using more memory than a number of bytes, or than all may use."""
    try:
        import resource

        before = resource.getrlimit(resource.RLIMIT_AS)
        most = _used_bytes() + num_bytes
        if before[0] == resource.RLIM_INFINITY or most < before[0]:
            resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    except Exception:  # a system without such limits
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _used_bytes() -> int:
    import resource

    return int(os.pread(_statm(), 100, 0).split()[0]) * resource.getpagesize()


@functools.cache
def _statm() -> int:
    """Return the open file of the memory of this process, which is read for each dataset."""
    return os.open("/proc/self/statm", os.O_RDONLY)


def _limit() -> None:
    """Keep a damaged file from filling the memory, and a crash from leaving a core file."""
    with suppress(Exception):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = _used_bytes() + _MEMORY_BYTES
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)  # no dialog after a crash


def main() -> None:
    """Answer the paths on the standard input until it ends."""
    import signal

    import h5py  # noqa: F401  imported before the first answer, which says that the process works

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, which then ends this
    _limit()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        _answer("ready")
        for line in sys.stdin:
            faulthandler.dump_traceback_later(_ORPHAN_SECONDS, exit=True, file=nowhere)
            lost = walk(json.loads(line), Progress(lambda: _go_on(nowhere)))
            faulthandler.cancel_dump_traceback_later()
            _answer(json.dumps(lost))
    # The library itself may run for ever while it ends.
    os._exit(0)


def _go_on(nowhere: Any) -> None:
    faulthandler.dump_traceback_later(_ORPHAN_SECONDS, exit=True, file=nowhere)
    _answer(".")


def _answer(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
