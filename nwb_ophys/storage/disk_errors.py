"""Errors of the disk in plain words: the target, the reason of the system, and the next step.

HDF5 and hdmf report a full disk as errors of many classes, with the inner workings of HDF5 in their
text. The number of the system's error is in the text, or in an error further down the chain.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from nwb_ophys.errors import DiskError, NwbOphysError, OutputError, shown_size

# Reading never fails with these.
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# Functions of Zarr 2 and 3, and of this package, that write a file.
_WRITING = {"_tofile", "_put", "write_file", "write_past_cache", "write_all"}
# HDF5 states the number of the system's error, and so does the error of a folder that is copied.
_NUMBER = re.compile(r"(?:\berrno = |\[Errno )(\d+)")
_FEW_FILES, _FEW_BLOCKS = 16, 256
_INNARDS = re.compile(r"\s*\((?:file |unable to ).*\)\s*$", re.DOTALL)


@contextmanager
def disk_errors(
    target: Path, written: Path | None = None, *, reads_nothing: bool = False
) -> Iterator[None]:
    """Turn the errors of the disk that refuses a target into one plain error.

    Parameters
    ----------
    target : pathlib.Path
        File or folder that the user asked for.
    written : pathlib.Path, optional
        File or folder that is written to; by default the target.
    reads_nothing : bool
        Whether the block opens no other files, so that any error of the system is of the target.

    Raises
    ------
    DiskError
        For an error of the disk. All other errors pass.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskError):
            raise
        number = _number_of(error, {target, written or target})
        if number is None and reads_nothing and isinstance(error, OSError):
            number = error.errno
        if number is None:
            raise
        raise disk_error(number, target) from error


@contextmanager
def same_folder(target: Path) -> Iterator[None]:
    """Check at the end of the block that the folder of a target is the one it was.

    Zarr makes missing folders again, and the chunks stored before would be missing.

    Raises
    ------
    DiskError
        When the folder was removed or replaced.
    """
    with _kept_in_mind(target.parent):
        before = _identity(target.parent)
        try:
            yield
        except Exception as error:
            if _identity(target.parent) == before:
                raise
            raise _vanished(target) from error
        if _identity(target.parent) != before:
            raise _vanished(target)


@contextmanager
def _kept_in_mind(folder: Path) -> Iterator[None]:
    """Keep the number of a folder the same, as it is while the folder is open.

    Some file systems of networks and clouds (FUSE) give a folder another one after a while.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:  # Windows opens no folders
        yield
        return
    try:
        yield
    finally:
        os.close(handle)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _vanished(target: Path) -> DiskError:
    words = f"The folder '{target.parent}' was removed or replaced meanwhile"
    return DiskError(f"'{target}' cannot be written: {words}.", errno.ENOENT, words)


def disk_error(number: int, target: Path) -> DiskError:
    """Return the error for a target that the disk refuses.

    Parameters
    ----------
    number : int
        Number of the system's error.
    target : pathlib.Path
    """
    words = os.strerror(number)
    step = _next_step(number, target)
    return DiskError(f"'{target}' cannot be written: {words}.{step}", number, words)


def output_error(error: BaseException, target: Path, written: Path | None = None) -> OutputError:
    """Return the error for a target that cannot be created, closed or put in its place.

    Parameters
    ----------
    error : BaseException
        Error of the system, or of HDF5.
    target, written : pathlib.Path
        File that the user asked for, and the file that was written to instead.
    """
    number = next(filter(None, map(_stated_number, _chain(error))), None)
    if number is not None:
        return disk_error(number, target)
    text = _INNARDS.sub("", str(error)).replace(str(written or target), str(target))
    return OutputError(f"'{target}' cannot be written: {' '.join(text.split()).rstrip('.')}.")


@contextmanager
def output_errors(target: Path, written: Path | None = None) -> Iterator[None]:
    """Name the target and the reason of the system when a file cannot be created or changed.

    Raises
    ------
    OutputError
        See :func:`output_error`.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, NwbOphysError):
            raise
        raise output_error(error, target, written) from error


def longest_name(folder: Path) -> int | None:
    """Return the number of bytes that a name in a folder may have, or None if it is not known."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):
        return None


def _next_step(number: int, target: Path) -> str:
    folder = target.parent
    if number == errno.ENOSPC and _lacks_files(folder):
        return (
            f" The file system of '{folder}' has no room for more files, although it has free "
            "space: remove files there, choose another folder, or write an HDF5 file (.nwb), which "
            "is one file."
        )
    if number == errno.ENOSPC:
        return f" Free some space on the file system of '{folder}', or choose another folder."
    if number == errno.EDQUOT:
        return f" Remove files of yours from the file system of '{folder}', or choose another one."
    if number == errno.EFBIG:
        limit = largest_file()
        if limit is None:
            return f" Choose a folder on another file system than that of '{folder}'."
        return f" This process may write files of at most {shown_size(limit)} (ulimit -f)."
    if number == errno.ESTALE:
        return f" The server of '{folder}' gave up the file; run the command again."
    if number == errno.EIO:
        return f" The disk of '{folder}' may be faulty; choose another folder."
    if number == errno.ENOMEM:
        return " The memory is full, not the disk; use fewer workers, or close other programs."
    if number == errno.ENAMETOOLONG:
        limit = longest_name(folder)
        most = "" if limit is None else f" of at most {limit} bytes"
        return f" Choose a shorter name{most}."
    return ""


def _lacks_files(folder: Path) -> bool:
    """Return whether a file system has free space, but all its files (inodes) are in use.

    A store has a file per chunk. Other threads may have removed some meanwhile.
    """
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):  # Windows
        return False
    return found.f_files > 0 and found.f_favail < _FEW_FILES and found.f_bavail > _FEW_BLOCKS


def largest_file() -> int | None:
    """Return the number of bytes that a file of this process may have, or None if any."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft


def _number_of(error: BaseException, written: set[Path]) -> int | None:
    """Return the number of the system's error that lies behind an error, if it is of the target."""
    is_ours = isinstance(error, NwbOphysError)
    if is_ours and not isinstance(error, OutputError):
        return None
    for each in [error] if is_ours else _chain(error):
        number = _stated_number(each)
        if number is not None and _is_of(each, number, written):
            return number
    return None


def _stated_number(error: BaseException) -> int | None:
    """Return the number of the system's error, of the error itself or in the words of HDF5."""
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    stated = _NUMBER.search(str(error))
    return number or (int(stated[1]) if stated else None)


def _is_of(error: BaseException, number: int, written: set[Path]) -> bool:
    """Return whether an error of the system concerns what is written, not some other file."""
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    paths = [
        Path(os.fsdecode(name)).absolute()
        for name in names
        if isinstance(name, (str, bytes, os.PathLike))
    ]
    if paths:
        return any(written & {path, *path.parents} for path in paths)
    # An error while data are stored is of this package already, with that of the system.
    is_of_output = isinstance(error, OutputError) or number in _OF_WRITING or _in_writing(error)
    return is_of_output or any(str(path) in str(error) for path in written)


def _in_writing(error: BaseException) -> bool:
    """Return whether an error comes from a function with which Zarr 2 or 3 writes a file."""
    return any(frame.f_code.co_name in _WRITING for frame, _ in walk_tb(error.__traceback__))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it; hdmf raises its own in their place."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
