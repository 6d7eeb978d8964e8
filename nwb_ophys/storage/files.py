"""Creating, replacing and appending to a file so that it is either whole or untouched.

What is written goes to a name of its own beside the target, is flushed to the disk, and is renamed
over it. An existing file is appended to in a copy.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pynwb import NWBFile

from nwb_ophys.errors import NwbOphysError, OutputError, OutputExistsError
from nwb_ophys.storage.atomic import fingerprint, remove, replace_target
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import backend_of_path, get_backend
from nwb_ophys.storage.flushing import flush
from nwb_ophys.storage.hdmf.placeholders import restored_after_write
from nwb_ophys.storage.hdmf.records import detached_records
from nwb_ophys.storage.threads import blosc_without_lock
from nwb_ophys.storage.write import WriteOptions, write_with

_REMEDY = "overwrite to replace it or append to add to it"


def check_target(
    path: str | Path, *, overwrite: bool = False, append: bool = False, remedy: str = _REMEDY
) -> Path:
    """Check that a file may be written at a path, before any work is done.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.
    append : bool
        Whether an existing file may be added to.
    remedy : str
        What the caller offers where something is there, for the message.

    Returns
    -------
    pathlib.Path
        Where the file will be, links followed.

    Raises
    ------
    OutputExistsError
        When something is there already, and neither is allowed.
    OutputError
        When the folder is absent, or what is there is no NWB file and so is not replaced.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    if not target.parent.is_dir():
        raise OutputError(f"The folder '{target.parent}' does not exist; make it first.")
    if not target.exists():
        return target
    if not (overwrite or append):
        raise OutputExistsError(f"'{path}' exists already; use {remedy}.")
    if backend_of_path(target) is None if append else not _is_expendable(target):
        raise OutputError(f"'{path}' is not an NWB file; it is left as it is. Choose another name.")
    return target


def _is_expendable(target: Path) -> bool:
    """Whether what is there may be replaced: NWB, also half-written; no raw recording."""
    if target.name.endswith((".nwb", ".nwb.zarr")):
        return True
    if target.is_file() and target.stat().st_size == 0:
        return True
    storage = backend_of_path(target)
    try:
        return storage is not None and storage.neurodata_type(target) == "NWBFile"
    except Exception:  # whatever a backend finds wrong with a file
        return False


def create_nwbfile(
    nwbfile: NWBFile,
    path: str | Path,
    *,
    backend: str = "hdf5",
    overwrite: bool = False,
    options: WriteOptions | None = None,
) -> Path:
    """Write an ``NWBFile`` to a new file.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        It is the same afterwards.
    path : path-like
    backend : {"hdf5", "zarr"}
    overwrite : bool
        Whether an existing file is replaced; until the new one is whole, the old one stays.
    options : WriteOptions, optional
        How the datasets are stored, with how many threads, and whom to tell of it.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    OutputExistsError, OutputError
        See :func:`check_target`. Also when the object was read from or written to a file by pynwb
        itself, or holds an iterator that gives its data once and has given them.
    """
    storage = get_backend(backend)
    target = check_target(path, overwrite=overwrite)
    if nwbfile.container_source is not None:
        raise OutputError(
            f"The NWBFile is that of '{nwbfile.container_source}'; append to that file, or write "
            "it anew with repack()."
        )
    with (
        replacing(target, storage) as partial,
        new_file(lambda: storage.open(partial, "w"), partial, target) as io,
    ):
        _write(nwbfile, io, storage, options)
    return target


def _write(nwbfile: NWBFile, io: Any, storage: Backend, options: WriteOptions | None) -> None:
    with restored_after_write(nwbfile), detached_records(nwbfile) as records:
        write_with(
            io, storage, options or WriteOptions(), lambda: io.write(nwbfile), records=records
        )


def append_to_nwbfile(
    path: str | Path,
    fill: Callable[[NWBFile], Any],
    *,
    options: WriteOptions | None = None,
) -> Path:
    """Add to an existing file.

    Parameters
    ----------
    path : path-like
    fill : callable
        Called with the ``NWBFile`` read from it, to add to.
    options : WriteOptions, optional
        How the datasets are stored, with how many threads, and whom to tell of it.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    OutputError
        When it is no NWB file, or cannot be read as one.
    """
    target = check_target(path, append=True)
    found = backend_of_path(target)
    if found is None:
        raise OutputError(f"'{path}' does not exist; there is nothing to append to.")
    storage = get_backend(found.name)  # which says so when its package is missing
    with replacing(target, storage) as partial:
        storage.copy(target, partial)
        with closed_at_the_end(_opened(storage, partial, path), target) as io:
            nwbfile = _read(io, path)
            fill(nwbfile)
            _write(nwbfile, io, storage, options)
    return target


def _opened(storage: Backend, copy: Path, path: str | Path) -> Any:
    try:
        return storage.open(copy, "r+")
    except Exception as error:  # whatever the backend finds wrong with a file
        reason = str(error).replace(str(copy), str(path))
        raise OutputError(f"'{path}' cannot be read as an NWB file: {reason}") from error


def _read(io: Any, path: str | Path) -> NWBFile:
    try:
        return io.read()
    except Exception as error:  # whatever pynwb finds wrong with a file
        raise OutputError(f"'{path}' cannot be read as an NWB file: {error}") from error


@contextmanager
def replacing(target: Path, storage: Backend) -> Iterator[Path]:
    """Give a path to write to that becomes the target at the end, or vanishes on any error.

    Yields
    ------
    pathlib.Path
        Beside the target.

    Raises
    ------
    OutputError
        When it cannot be put on the disk, or not in the place of the target, or when another
        process has written the target meanwhile.
    """
    # pynwb warns of names that do not end as it expects; systems refuse long ones.
    unique = f".{target.name[:40]}.{uuid.uuid4().hex[:8]}.partial{storage.suffix}"
    partial = target.with_name(unique)
    before = fingerprint(target)
    try:
        with blosc_without_lock():
            yield partial
        try:
            flush(partial)
            replace_target(partial, target, before)
        except OSError as error:
            if isinstance(error, NwbOphysError):
                raise
            raise OutputError(f"'{target}' cannot be written: {error}") from error
    finally:
        remove(partial)


@contextmanager
def new_file(make: Callable[[], Any], partial: Path, target: Path) -> Iterator[Any]:
    """Open a new file for writing, which becomes the target later.

    Parameters
    ----------
    make : callable
        Opens it.
    partial, target : pathlib.Path
        Where it is, and where it will be.

    Raises
    ------
    OutputError
        When the folder does not let it be made.
    """
    try:
        io = make()
    except OSError as error:
        reason = error.strerror or str(error).replace(str(partial), str(target))
        # h5py has the system's words amid those of HDF5's inner workings.
        inner = re.search(r"error message = '([^']+)'", reason)
        reason = inner[1] if inner else reason
        raise OutputError(f"'{target}' cannot be written: {reason}.") from error
    with closed_at_the_end(io, target):
        yield io


@contextmanager
def closed_at_the_end(io: Any, target: Path) -> Iterator[Any]:
    """Close what is written to; where that fails after another error, the first one is told.

    Raises
    ------
    OutputError
        When it cannot be closed, since the disk is full or the like.
    """
    try:
        yield io
    except BaseException:
        with suppress(Exception):
            io.close()
        raise
    try:
        io.close()
    except (OSError, RuntimeError) as error:  # RuntimeError is what h5py makes of HDF5's
        raise OutputError(f"'{target}' cannot be written: {error}") from error
