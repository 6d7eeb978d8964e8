"""Create, replace and append to a file so that it is either whole or untouched.

Everything is written to a partial file beside the target, which is flushed to the disk and renamed
over the target at the end. An existing file is appended to in a copy, or else in its place with a
journal from which it returns to its state before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import (
    ArgumentError,
    OutputError,
    OutputExistsError,
    error_within,
    last_reason,
)
from nwb_ophys.home import with_home
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.storage.atomic import fingerprint, replace_target
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import (
    DEFAULT_BACKEND,
    NWB_SUFFIXES,
    backend_of_name,
    backend_of_path,
    check_appendable,
    get_backend,
)
from nwb_ophys.storage.debris import clear_target, sweep
from nwb_ophys.storage.disk_errors import (
    disk_error,
    disk_errors,
    output_error,
    output_errors,
    same_folder,
)
from nwb_ophys.storage.flushing import flush
from nwb_ophys.storage.hdmf.managers import make_manager
from nwb_ophys.storage.hdmf.placeholders import restored_after_write
from nwb_ophys.storage.hdmf.records import detached_records
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.in_place import changed_in_place, check_in_place
from nwb_ophys.storage.locking import locked
from nwb_ophys.storage.places import check_place, real_place
from nwb_ophys.storage.read_only import check_changeable, check_not_annexed
from nwb_ophys.storage.remote_targets import (
    check_remote_kind,
    check_remote_target,
    check_resumable,
    uploaded,
)
from nwb_ophys.storage.replaceable import reason_to_keep
from nwb_ophys.storage.resuming import Resumption
from nwb_ophys.storage.space import check_copy
from nwb_ophys.storage.threads import blosc_without_lock
from nwb_ophys.storage.write import WriteOptions, filled_at_the_end

if TYPE_CHECKING:
    from pynwb import NWBFile

_REMEDY = "overwrite=True to replace it or append=True to add to it"


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
        Where the file will be, links followed; the path of a URL as it is.

    Raises
    ------
    OutputExistsError
        When something is there already, and neither is allowed.
    OutputError
        When the folder is absent, or what is there is no NWB file and so is not replaced, or is
        read-only.
    """
    given = as_path(path)
    if isinstance(given, RemotePath):
        check_remote_target(given, overwrite=overwrite, append=append)
        return given
    target = _checked_place(given)
    try:
        target.stat()
    except FileNotFoundError:
        return target
    except OSError as error:  # the disk is faulty
        raise disk_error(error.errno or 0, target) from error
    if _is_meant_as_folder(target, overwrite):
        raise OutputError(
            f"'{path}' is a folder, not an NWB file; give the name of a file in it that ends in "
            f".nwb, such as '{Path(path) / 'session.nwb'}'."
        )
    if not (overwrite or append):
        raise OutputExistsError(f"'{path}' already exists; use {remedy}.")
    if append and backend_of_path(target) is None:
        raise OutputError(f"'{path}' is not an NWB file; it is left as it is. Choose another name.")
    if overwrite and (reason := reason_to_keep(target)) is not None:
        raise OutputError(
            f"'{path}' {reason}. It is left as it is; choose another name, or remove it yourself."
        )
    check_changeable(with_home(given))
    return target


def _checked_place(given: Path) -> Path:
    """Return the place of a file to write, where a file can be."""
    check_not_annexed(with_home(given))  # the folder there allows no new files, too
    place = real_place(given)
    check_place(place)
    return place


@contextmanager
def reserved(
    path: str | Path, *, overwrite: bool = False, append: bool = False, remedy: str = _REMEDY
) -> Iterator[Path]:
    """Keep other processes and threads from writing a file within the block.

    Call it before any work is done. Debris of a process that was killed while it wrote the same
    file is removed, with a warning. Blocks for the same file may be nested.

    The file of a URL is written to a temporary folder, and uploaded when the block ends. Others may
    write it meanwhile; then it is left as they wrote it.

    Parameters
    ----------
    path, overwrite, append, remedy
        See :func:`check_target`.

    Yields
    ------
    pathlib.Path
        Where the file will be, links followed, or its place in a temporary folder.

    Raises
    ------
    OutputBusyError
        When another process or thread is writing the file; names the process.
    OutputExistsError, OutputError
        See :func:`check_target`.
    """
    given = as_path(path)
    if isinstance(given, RemotePath):
        with (
            uploaded(given, overwrite=overwrite, append=append) as temporary,
            locked(temporary) as lock,
        ):
            clear_target(temporary, lock)
            if not append:
                _note_name(given)
            yield temporary
        return
    place = _checked_place(given)
    with locked(place) as lock:
        is_outermost = not lock.is_cleared
        clear_target(place, lock)
        try:
            target = check_target(path, overwrite=overwrite, append=append, remedy=remedy)
            if is_outermost and not append:
                _note_name(given)
            yield target
        except BaseException:
            if is_outermost:
                sweep(lock)
            raise


def _note_name(path: Path) -> None:
    """Warn of a name by which other programs do not recognise an NWB file."""
    if not path.name.lower().endswith(NWB_SUFFIXES):
        warnings.warn(
            f"The name of '{path}' does not end in {NWB_SUFFIXES[0]}. It is kept, but the DANDI "
            "archive and most programs that show NWB files look for that ending.",
            UserWarning,
            stacklevel=4,
        )


def final_path(given: str | Path, place: Path) -> Path:
    """Return the path of a written file, which for a URL is not where it was written.

    Parameters
    ----------
    given : path-like
        As the user gave it.
    place : pathlib.Path
        As :func:`reserved` gave it.
    """
    path = as_path(given)
    return path if isinstance(path, RemotePath) else place


def _is_meant_as_folder(target: Path, overwrite: bool) -> bool:
    """Return whether a folder was given as the place for a file, not as what to replace."""
    if not target.is_dir() or backend_of_path(target) is not None:
        return False
    return not overwrite or not (target.name.endswith(NWB_SUFFIXES) or any(target.iterdir()))


class Target:
    """The place of one NWB file while it is written.

    Attributes
    ----------
    path : pathlib.Path
        Where the file will be, links followed.
    nwbfile : pynwb.NWBFile or None
        Content of the file that is appended to; None where the file is new.
    """

    def __init__(
        self,
        path: Path,
        partial: Path | None,
        storage: Backend,
        how: WriteOptions,
        resumption: Resumption,
        io: Any = None,
    ) -> None:
        self.path, self._resumption = path, resumption
        self.nwbfile: NWBFile | None = None
        self.is_written = False
        self._partial, self._storage, self._how, self._io = partial, storage, how, io

    def write(self, nwbfile: NWBFile) -> None:
        """Write an ``NWBFile``, which is the same afterwards.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
            A new object, or the content of the file that is appended to.

        Raises
        ------
        OutputError
            When the object was read from or written to a file by pynwb itself, or holds an
            iterator that gives its data once and has given them, or the file cannot be written.
        SourceError
            When data cannot be read; with the dataset, the frames and the source.
        """
        with (
            self._opened_for(nwbfile) as io,
            restored_after_write(nwbfile),
            detached_records(nwbfile) as records,
            filled_at_the_end(
                io, self._storage, self._how, records=records, resumption=self._resumption
            ),
        ):
            self._storage.write_nwbfile(io, nwbfile)
        self.is_written = True

    @contextmanager
    def _opened_for(self, nwbfile: NWBFile) -> Iterator[Any]:
        if nwbfile is self.nwbfile:
            yield self._io
            return
        if self._partial is None:
            raise OutputError(
                f"'{self.path}' is appended to in its place; add to the NWBFile read from it, and "
                "write that."
            )
        if nwbfile.container_source is not None:
            raise OutputError(
                f"The NWBFile belongs to the file '{nwbfile.container_source}'; append to that "
                "file, or copy that file with repack()."
            )
        with output_errors(self.path, self._partial):
            io = self._storage.open(self._partial, "w", make_manager())
        with closed_at_the_end(io, self.path):
            yield io


@contextmanager
def target(path: str | Path, how: WriteOptions) -> Iterator[Target]:
    """Offer the place for one NWB file, which appears whole when the block ends, or not at all.

    Parameters
    ----------
    path : path-like
    how : WriteOptions
        Whether an existing file is replaced or added to, and how the datasets are stored.

    Yields
    ------
    Target
        Its ``nwbfile`` is the content of an existing file that is appended to, else None. Call its
        ``write`` once.

    Raises
    ------
    OutputExistsError, OutputError
        See :func:`check_target`; also when the file cannot be written, or cannot be read as NWB.
    ArgumentError
        When overwriting and appending are asked for together, or another backend than that of the
        file that is appended to.
    """
    check_in_place(in_place=how.in_place, append=how.append, resume=how.resume)
    if how.overwrite and how.append:
        raise ArgumentError(
            "overwrite=True and append=True are given; choose overwrite or append, not both."
        )
    check_resumable(path, resume=how.resume)
    with (
        reserved(path, overwrite=how.overwrite, append=how.append) as place,
        _written(path, place, how) as offered,
    ):
        yield offered
    offered.path = final_path(path, place)


@contextmanager
def _written(path: str | Path, place: Path, how: WriteOptions) -> Iterator[Target]:
    """Offer the place for one file whose target is reserved."""
    stored = backend_of_path(place) if how.append else None
    how = _with_backend(how, place, stored)
    storage = stored or get_backend(str(how.backend), how.zarr_format)
    if stored is not None:
        check_appendable(stored, path, how.zarr_format)
    given = as_path(path)
    if how.overwrite and isinstance(given, RemotePath):
        check_remote_kind(given, storage)
    appended = [] if stored is None else [place]
    resumption = Resumption(
        place, storage, is_wanted=how.resume, sources=how.source_facts, appended=appended
    )
    if how.in_place and stored is not None:
        with _written_in_place(path, place, storage, how, resumption) as offered:
            yield offered
        return
    with replacing(place, storage, resumption) as partial:
        if stored is None:
            offered = Target(place, partial, storage, how, resumption)
            yield offered
        else:
            if how.space_check:
                check_copy(place)
            storage.copy(place, partial)
            with closed_at_the_end(_opened(storage, partial, path), place) as io:
                offered = Target(place, partial, storage, how, resumption, io)
                offered.nwbfile = _read(io, path)
                yield offered
        _check_written(offered, path)


@contextmanager
def _written_in_place(
    path: str | Path, place: Path, storage: Backend, how: WriteOptions, resumption: Resumption
) -> Iterator[Target]:
    """Offer a file that is appended to in its place, and is as it was before after any error."""
    with (
        changed_in_place(place) as guard,
        blosc_without_lock(),
        disk_errors(place),
        same_folder(place),
    ):
        with closed_at_the_end(_opened(storage, place, path, guard), place) as io:
            offered = Target(place, None, storage, how, resumption, io)
            offered.nwbfile = _read(io, path)
            yield offered
        _check_written(offered, path)
    resumption.remove_earlier()


def _check_written(offered: Target, path: str | Path) -> None:
    if not offered.is_written:
        raise OutputError(f"Nothing was written to '{path}'; call write() of the target.")


def _with_backend(how: WriteOptions, path: Path, stored: Backend | None) -> WriteOptions:
    """Return the settings with the backend of the file, which one that is appended to keeps."""
    configuration = how.configuration
    if stored is None:
        named = backend_of_name(path) if configuration is None else configuration.backend
        return attrs.evolve(how, backend=how.backend or named or DEFAULT_BACKEND)
    if how.backend not in (None, stored.name):
        raise ArgumentError(
            f"'{path}' is stored with the backend '{stored.name}'; "
            f"it cannot be appended to as '{how.backend}'."
        )
    if configuration is not None:
        configuration = attrs.evolve(configuration, backend=stored.name)
    return attrs.evolve(how, backend=stored.name, configuration=configuration)


def create_nwbfile(
    nwbfile: NWBFile,
    path: str | Path,
    *,
    backend: str = DEFAULT_BACKEND,
    overwrite: bool = False,
    options: WriteOptions | None = None,
) -> Path:
    """Write an ``NWBFile`` to a new file.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        It is the same afterwards.
    path : path-like
    backend : str
    overwrite : bool
        Whether an existing file is replaced; until the new one is whole, the old one stays.
    options : WriteOptions, optional
        How the datasets are stored, with how many threads, and how progress is reported.

    Returns
    -------
    pathlib.Path
        Path of the file, links followed.

    Raises
    ------
    OutputExistsError, OutputError
        See :func:`target`.
    """
    how = attrs.evolve(
        options or WriteOptions(), backend=backend, overwrite=overwrite, append=False
    )
    with target(path, how) as place:
        place.write(nwbfile)
    return place.path


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
        How the datasets are stored, with how many threads, and how progress is reported.

    Returns
    -------
    pathlib.Path
        Path of the file, links followed.

    Raises
    ------
    OutputError
        When there is no file, or it cannot be read as NWB.
    """
    with target(path, attrs.evolve(options or WriteOptions(), append=True)) as place:
        if place.nwbfile is None:
            raise OutputError(f"'{path}' does not exist; there is nothing to append to.")
        fill(place.nwbfile)
        place.write(place.nwbfile)
    return place.path


def _opened(storage: Backend, copy: Path, path: str | Path, guard: Any = None) -> Any:
    try:
        return storage.open(copy, "r+", guard=guard)
    except OutputError:
        raise
    except Exception as error:  # whatever the backend finds wrong with a file
        reason = str(error).replace(str(copy), str(path))
        raise OutputError(f"'{path}' cannot be read as an NWB file: {reason}") from error


def _read(io: Any, path: str | Path) -> NWBFile:
    try:
        return io.read()
    except Exception as error:  # whatever pynwb finds wrong with a file
        reason = last_reason(error_within(error) or error)
        raise OutputError(f"'{path}' cannot be read as an NWB file: {reason}") from error


@contextmanager
def replacing(target: Path, storage: Backend, resumption: Resumption) -> Iterator[Path]:
    """Give a path to write to that becomes the target at the end, or vanishes on any error.

    Parameters
    ----------
    target : pathlib.Path
    storage : Backend
    resumption : Resumption
        May complete the file of an earlier run instead, and keep this one for a later run.

    Yields
    ------
    pathlib.Path
        Beside the target.

    Raises
    ------
    OutputError
        When it cannot be put on the disk, or not in the place of the target, or when another
        process has written the target meanwhile.
    OutputBusyError
        When another program has the target open for writing.
    """
    partial = HiddenNames.beside(target).partial(storage.suffix)
    before = fingerprint(target)
    with resumption.cleaned_at_the_end(partial):
        with _without_writers(target):
            with blosc_without_lock(), disk_errors(target, partial), same_folder(target):
                yield partial
            complete = resumption.complete_file(partial)
            with output_errors(target, partial):
                flush(complete)
        # Network shares (SMB) do not replace a file that is open, here or elsewhere.
        with output_errors(target, partial):
            replace_target(complete, target, before)


def _without_writers(target: Path) -> AbstractContextManager[None]:
    """Keep other programs from writing what is at a path, until it is replaced."""
    there = backend_of_path(target) if target.is_file() else None
    return nullcontext() if there is None else there.without_writers(target)


@contextmanager
def closed_at_the_end(io: Any, target: Path) -> Iterator[Any]:
    """Close the file at the end of the block; after an error, that error is the one raised.

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
        raise output_error(error, target) from error
