"""Lock of a target, so that one process or thread at a time writes it.

The lock is a file beside the target, which the writer locks with the system. The system unlocks it
when the process ends, however it ends, so that the files beside an unlocked target are debris. On
file systems without locks the file itself is the lock: it is in force while its process lives.
"""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import stat
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import DiskError, OutputBusyError, OutputError
from nwb_ophys.storage.disk_errors import disk_error
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.threads import to_the_end

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PROGRAM = "nwb_ophys"
_MOST_BYTES = 10_000
_ATTEMPTS, _PAUSE = 20, 0.02
_EQUAL_SECONDS = 0.1
# Of file systems without locks; NFS has some for files only that are open for writing.
_NO_LOCKS = {
    *(errno.ENOSYS, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP),
    *(errno.EPERM, errno.EBADF, errno.ENOTTY),
}
# Windows states these for a file that another process has locked. So does SMB, but AFS for any.
_PERHAPS_HELD = {errno.EACCES, errno.EDEADLK}
# Byte that Windows locks, behind the text, which another process must be able to read.
_LOCKED_BYTE = 1 << 20


@attrs.frozen(kw_only=True)
class Holder:
    """Process that wrote its name into a lock.

    Attributes
    ----------
    pid : int
    host : str
    started : float
        When the process began, see :func:`_started`; another one may have its number later.
    since : str
        Time of the lock, for messages.
    target : str
        Name of the target.
    """

    pid: int
    host: str
    started: float
    since: str
    target: str

    @classmethod
    def present(cls, target: str) -> Holder:
        """Return this process."""
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        pid = os.getpid()
        started = _started(pid) or 0.0
        return cls(pid=pid, host=socket.gethostname(), started=started, since=since, target=target)

    @classmethod
    def parse(cls, text: bytes) -> Holder | None:
        """Return the process that a lock states, or None for any other text."""
        try:
            stated = json.loads(text)
            if stated.pop("program") != _PROGRAM:
                return None
            holder = cls(**stated)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        kinds = attrs.asdict(Holder(pid=0, host="", started=0.0, since="", target=""))
        right = (type(stated[name]) is type(kind) for name, kind in kinds.items())
        return holder if all(right) else None

    def dump(self) -> bytes:
        """Return the text of a lock."""
        return json.dumps({"program": _PROGRAM, **attrs.asdict(self)}).encode()

    @property
    def is_here(self) -> bool:
        """True if the process ran on this host."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """True if the process runs; a process on another host may run."""
        if not self.is_here:
            return True
        started = _started(self.pid)
        if started is None:
            return _is_hidden(self.pid)
        return abs(started - self.started) < _EQUAL_SECONDS

    def __str__(self) -> str:
        if self.is_here and self.pid == os.getpid():
            return f"another thread of this process ({self.pid}), since {self.since}"
        return f"process {self.pid} on '{self.host}', since {self.since}"


def _started(pid: int) -> float | None:
    """Return when a process began, in seconds, or None if there is no such process.

    Linux counts them from the start of the system. From that, psutil works out a time of day, which
    is another one when the clock was set.
    """
    if sys.platform == "linux":
        try:
            facts = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        has_ended = facts[0] in (b"Z", b"X")
        return None if has_ended else int(facts[19]) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def _is_hidden(pid: int) -> bool:
    """Return whether another user has a process that the system does not show (hidepid)."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)  # which sends nothing
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


class Lock:
    """Lock of one target; ``release`` may be called at any time, and by a child after a fork.

    Parameters
    ----------
    names : HiddenNames
        Names beside the target.
    target : str
        Name of the target, for other processes.
    """

    def __init__(self, names: HiddenNames, target: str) -> None:
        self.names, self.path = names, names.lock
        self.was_left = False
        """Whether a process ended without removing the lock file."""
        self.left_by: Holder | None = None
        """That process, if it wrote its name."""
        self.is_cleared = False
        """Whether the debris beside the target has been removed."""
        self._place = names.folder / target
        self._file: io.FileIO | None = None
        self._thread = threading.get_ident()

    @property
    def target(self) -> Path:
        """Path of the target."""
        return self._place

    @property
    def is_held(self) -> bool:
        """True while this process holds the lock."""
        return self._file is not None

    @property
    def is_held_here(self) -> bool:
        """True while this thread holds the lock; a context may be copied to another one."""
        return self.is_held and self._thread == threading.get_ident()

    def acquire(self) -> None:
        """Take the lock at once.

        Raises
        ------
        OutputBusyError
            When another process or thread has it; names that process.
        OutputError
            When no file can be made beside the target.
        """
        for attempt in range(_ATTEMPTS):
            file, is_new = self._opened()
            with _closed_unless_kept(file) as kept, self._removed_after_error(is_new):
                if self._try(file, is_new=is_new):
                    kept.append(file)
                    break
                self._refuse(_text(file), is_last=attempt == _ATTEMPTS - 1)
        self._state_holder()

    @contextmanager
    def _removed_after_error(self, is_new: bool) -> Iterator[None]:
        """Remove a lock file that was made just now if it cannot be locked."""
        try:
            yield
        except DiskError:
            if is_new:
                self.path.unlink(missing_ok=True)
            raise

    def _try(self, file: io.FileIO, *, is_new: bool) -> bool:
        """Lock an open file, and return whether it is the lock of the target."""
        is_free = _locked_by_system(file, Path(self._place), is_new=is_new)
        if is_free is None:
            is_free = is_new or self._taken_over(file)
        if not is_free or not _is_at(file, self.path):
            return False
        text = _text(file)
        if text.strip(b"\0") and Holder.parse(text) is None:
            raise OutputError(f"'{self.path}' is no lock of {_PROGRAM}; move it elsewhere.")
        if not file.writable():  # made by another user, whose process has ended
            self._remove_foreign(file)
            return False
        if not is_new:
            self.was_left, self.left_by = True, Holder.parse(text)
        _HELD.add(self)
        self._file = file
        return True

    def _opened(self) -> tuple[io.FileIO, bool]:
        try:
            return _opened(self.path)
        except OSError as error:
            if error.errno is not None:
                raise disk_error(error.errno, Path(self._place)) from error
            raise OutputError(f"'{self._place}' cannot be written: {error}.") from error

    def _state_holder(self) -> None:
        assert self._file is not None
        with suppress(OSError):  # a full disk; what is written next says so
            self._file.truncate(0)
            os.lseek(self._file.fileno(), 0, os.SEEK_SET)
            self._file.write(Holder.present(self._place.name).dump())

    def _taken_over(self, file: io.FileIO) -> bool:
        """Remove the lock of a dead process, on a file system without locks; return success."""
        holder = Holder.parse(_text(file))
        if holder is None or holder.is_alive:
            return False
        with suppress(OSError):
            self._set_aside(file)
        if _is_at(file, self.path):
            return False
        self.was_left, self.left_by = True, holder
        return True  # and another file is made, since this one is not at its path

    def _set_aside(self, file: io.FileIO) -> None:
        """Remove the lock file, unless another process was faster and has made its own."""
        aside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        self.path.rename(aside)
        if not _is_at(file, aside):
            os.link(aside, self.path)
        aside.unlink()

    def _remove_foreign(self, file: io.FileIO) -> None:
        """Remove the lock of another user, which this process cannot write."""
        try:
            self._set_aside(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(
                f"'{self.path}' is the lock of a process of another user that has ended, and "
                f"cannot be removed: {error.strerror}. Ask its owner to remove it, or choose "
                "another folder."
            ) from error

    def _refuse(self, text: bytes, *, is_last: bool) -> None:
        """Raise the error that names the process with the lock, or pause before the next attempt.

        The process may have locked the file just now, and not have written its name yet.
        """
        holder = Holder.parse(text)
        is_known = holder is not None and holder.is_alive
        if not (is_known or is_last):
            time.sleep(_PAUSE)
            return
        by = str(holder) if is_known else "another process"
        is_here = holder is not None and is_known and holder.is_here
        doubt = "" if is_here else f" If no such process runs, remove '{self.path}'."
        error = OutputBusyError(
            f"'{self._place}' is being written by {by}. Wait until it ends, or choose another "
            f"name.{doubt}"
        )
        error.by = f"{by}.{doubt}"
        raise error

    def release(self) -> None:
        """Remove the lock file and unlock it; do nothing if the lock is not held."""
        if self._file is None:
            return
        with suppress(OSError, ValueError):  # an interrupted release has closed the file
            if fcntl is not None and _is_at(self._file, self.path):
                self.path.unlink()
        self._file.close()
        if fcntl is None:  # Windows removes no open file
            with suppress(OSError):
                self.path.unlink()
        self._file = None

    def __del__(self) -> None:
        # An interrupt may arrive just before the release.
        self.release()

    def forget(self) -> None:
        """Close the lock in a child after a fork, which must not keep it locked."""
        if self._file is not None:
            self._file.close()
            self._file = None


# A fork copies open files, and with them locks; the child finds here what it has to close.
_HELD: weakref.WeakSet[Lock] = weakref.WeakSet()
_HELD_HERE: ContextVar[tuple[weakref.ref[Lock], ...]] = ContextVar("_HELD_HERE", default=())


def _forget_all() -> None:
    for lock in tuple(_HELD):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


@contextmanager
def locked(target: Path) -> Iterator[Lock]:
    """Hold the lock of a target within the block; blocks of one thread may be nested.

    Parameters
    ----------
    target : pathlib.Path
        Links followed.

    Yields
    ------
    Lock

    Raises
    ------
    OutputBusyError, OutputError
        See :meth:`Lock.acquire`.
    """
    names = HiddenNames.beside(target)
    for lock in (reference() for reference in _HELD_HERE.get()):
        if lock is not None and lock.is_held_here and lock.path == names.lock:
            yield lock
            return
    lock = Lock(names, target.name)
    before = _HELD_HERE.get()
    try:
        lock.acquire()
        _HELD_HERE.set((*before, weakref.ref(lock)))
        yield lock
    finally:
        to_the_end(lock.release)
        _HELD_HERE.set(before)


def stated_target(path: Path) -> str | None:
    """Return the name of the target that a lock file states, or None."""
    with suppress(OSError), path.open("rb") as file:
        holder = Holder.parse(file.read(_MOST_BYTES))
        return None if holder is None else holder.target
    return None


def current_holder(path: Path) -> str | None:
    """Return the process that holds a lock, in words, or None if no process does."""
    try:
        file = io.FileIO(str(path), "r")
    except OSError:
        return None
    with file:
        holder = Holder.parse(_text(file))
        is_free = _locked_by_system(file, path, is_shared=True)
        if is_free is None:
            is_free = holder is None or not holder.is_alive
        return None if is_free else "Another process" if holder is None else str(holder)


@contextmanager
def _closed_unless_kept(file: io.FileIO) -> Iterator[list[io.FileIO]]:
    kept: list[io.FileIO] = []
    try:
        yield kept
    finally:
        if not kept:
            file.close()


def _opened(path: Path) -> tuple[io.FileIO, bool]:
    """Return the open lock file, and whether it was made just now; follow no link."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

    def create(name: str, _: Any) -> int:
        return os.open(name, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def open_again(name: str, _: Any) -> int:
        return os.open(name, flags | os.O_RDWR)

    def open_to_read(name: str, _: Any) -> int:
        return os.open(name, flags | os.O_RDONLY)

    while True:
        with suppress(FileExistsError):
            return io.FileIO(str(path), "r+", opener=create), True
        with suppress(FileNotFoundError):  # released meanwhile
            try:
                return io.FileIO(str(path), "r+", opener=open_again), False
            except PermissionError:  # another user's
                return io.FileIO(str(path), "r", opener=open_to_read), False


def _locked_by_system(
    file: io.FileIO, target: Path, *, is_shared: bool = False, is_new: bool = False
) -> bool | None:
    """Lock a file; return False if another one has it, None if the file system has no locks.

    Then the holder that a file states counts, and nobody has one that was made just now.
    A file that is open for reading only is locked together with other readers: NFS refuses more.
    """
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OutputError(f"'{file.name}' is no regular file; remove it.")
    try:
        if fcntl is not None:
            kind = fcntl.LOCK_SH if is_shared or not file.writable() else fcntl.LOCK_EX
            fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
        else:
            _lock_on_windows(file)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            return False
        if error.errno in _PERHAPS_HELD:
            is_known = fcntl is not None and (is_new or Holder.parse(_text(file)) is not None)
            return None if is_known else False
        if error.errno in _NO_LOCKS:
            return None
        raise disk_error(error.errno or 0, target) from error
    return True


def _lock_on_windows(file: io.FileIO) -> None:
    import importlib

    msvcrt: Any = importlib.import_module("msvcrt")
    os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


def _is_at(file: io.FileIO, path: Path) -> bool:
    """Return whether an open file has this path; it may have been removed or replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except OSError:
        return False


def _text(file: io.FileIO) -> bytes:
    try:
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return file.read(_MOST_BYTES) or b""
    except OSError:
        return b""
