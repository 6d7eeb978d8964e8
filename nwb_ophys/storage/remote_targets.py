"""Targets in object stores: written beside, in a temporary folder, and uploaded when complete.

The chunks of a folder under a new name are uploaded as soon as they are complete, so that they take
little space on the disk. A folder that replaces another one is written as a whole before anything
of the other one is removed.
"""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from nwb_ophys.errors import ArgumentError, DiskError, OutputError, OutputExistsError, counted
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.remote.stores import Store, open_store, retried, store_errors
from nwb_ophys.remote.trees import forget
from nwb_ophys.storage.atomic import last_completed, note_completed, note_left, remove
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import BACKENDS, all_backends, backend_of_path
from nwb_ophys.storage.replaceable import reason_to_keep
from nwb_ophys.storage.streaming import leading_to
from nwb_ophys.storage.uploads import (
    ChunkUploads,
    Upload,
    files_in,
    num_open_uploads,
    remove_objects,
    try_upload,
)

_READ_ONLY = ("http", "https", "github", "git", "zip", "tar", "data", "reference")
_MARK = ".nwb-ophys-upload"
_MARK_TEXT = b"An upload to this folder has not ended. Until it has, the folder is incomplete.\n"


@attrs.frozen
class Found:
    """Contents of a target before it is written.

    Attributes
    ----------
    store : Store
    info : dict or None
        Facts about an object; None where nothing is.
    paths : tuple of str
        Paths of the objects of a folder.
    """

    store: Store
    info: dict[str, Any] | None = None
    paths: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, ...] | None:
        """Facts that change when the object is written."""
        if self.info is None:
            return None
        names = ("type", "size", "ETag", "LastModified", "updated", "md5Hash", "created")
        return tuple(str(self.info.get(name)) for name in names)

    @property
    def is_new(self) -> bool:
        """Return whether no file and no readable folder is there; parts of a folder may be."""
        names = {path[len(self.store.path) + 1 :] for path in self.paths}
        return self.info is None or (_MARK in names and names.isdisjoint(_headings()))


def check_resumable(path: str | Path, *, resume: bool) -> None:
    """Check that a write that is to be resumed has its target on the disk.

    Raises
    ------
    ArgumentError
    """
    if resume and isinstance(as_path(path), RemotePath):
        raise ArgumentError(
            f"resume=True is given for '{as_path(path)}'; only files on a disk are resumed. Write "
            "to a folder with resume=True and copy the file to the store, or leave out resume=True."
        )


def check_remote_target(
    target: RemotePath, *, overwrite: bool = False, append: bool = False
) -> Found:
    """Check that an object or folder may be written to a store, before any work is done.

    Parameters
    ----------
    target : RemotePath
    overwrite, append : bool

    Returns
    -------
    Found
        What is there now.

    Raises
    ------
    OutputExistsError
        When something is there already.
    OutputError
        When it is no NWB file, when nothing can be written there, or for ``append``.
    """
    if target.protocol in _READ_ONLY:
        raise OutputError(
            f"'{target}' cannot be written: {target.protocol}:// is for reading. Write to a "
            "folder, or to a store such as s3:// or gs://."
        )
    with store_errors(target, OutputError, doing="cannot be written"):
        found = _look(open_store(target))
        if found.info is None:
            _check_writable(found.store)
            return found
        if append:
            raise OutputError(
                f"'{target}' exists in an object store, where files are not appended to. "
                "Download it, append to the copy, and upload that with the tool of the store."
            )
        if not overwrite:
            raise OutputExistsError(f"'{target}' already exists; use overwrite=True to replace it.")
        if (reason := _reason_to_keep(found)) is not None:
            raise OutputError(
                f"'{target}' {reason}. It is left as it is; choose another name, or remove it "
                "yourself."
            )
        _check_writable(found.store)
    return found


def _look(store: Store) -> Found:
    if "/" not in store.path.strip("/") and store.remote.protocol != "memory":
        raise OutputError(f"'{store.remote}' is a bucket; add a name, such as session.nwb.")
    info = store.info()
    if info is None or info["type"] != "directory":
        return Found(store, info)
    found = retried(lambda: store.fs.find(store.path))
    # Consoles of stores mark folders by empty objects whose names end in a slash.
    paths = [path for path in found if not path.endswith("/") and len(path) > len(store.path) + 1]
    return Found(store, info if paths else None, tuple(paths))


def _check_writable(store: Store) -> None:
    """Begin an upload in parts and abort it; a wrong bucket or key fails before the conversion."""
    if store.remote.protocol != "memory":
        retried(lambda: try_upload(store))


def _reason_to_keep(found: Found) -> str | None:
    """Return why something must not be replaced, as the end of a sentence, or None."""
    if found.paths:
        return _reason_to_keep_folder(found)
    try:
        with retried(lambda: found.store.fs.open(found.store.path, "rb")) as opened:
            (backend,) = (each for each in all_backends() if not each.headings)
            kind = backend.type_in_object(opened)
    except OSError:
        size = int((found.info or {}).get("size") or 0)
        return f"is not an NWB file: it holds {size:,} bytes of another kind" if size else None
    return None if kind == "NWBFile" else "is not an NWB file: its root states something else"


def _reason_to_keep_folder(found: Found) -> str | None:
    """Judge a folder by a copy of it on the disk, which has the headers of the root only."""
    headings = _headings()
    names = [path[len(found.store.path) + 1 :] for path in found.paths]
    is_incomplete = _MARK in names
    with tempfile.TemporaryDirectory(prefix="nwb-ophys-") as folder:
        for name, path in zip(names, found.paths, strict=True):
            place = Path(folder) / name
            if name == _MARK or ".." in PurePosixPath(name).parts:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            data = b"" if name not in headings else retried(partial(found.store.fs.cat, path))
            place.write_bytes(data)
        if is_incomplete:
            backends = BACKENDS.values()
            is_part = any(each.may_be_incomplete(Path(folder)) for each in backends)
            return None if is_part else "holds an incomplete upload and other files"
        return reason_to_keep(Path(folder))


def _headings() -> tuple[str, ...]:
    return tuple(name for backend in BACKENDS.values() for name in backend.headings)


@contextmanager
def uploaded(target: RemotePath, *, overwrite: bool, append: bool) -> Iterator[Path]:
    """Give a path in a temporary folder, whose file is uploaded at the end of the block.

    Parameters
    ----------
    target, overwrite, append
        See :func:`check_remote_target`.

    Yields
    ------
    pathlib.Path
        On the disk. The file or folder that is there at the end of the block becomes the target.

    Raises
    ------
    OutputExistsError, OutputError
        See :func:`check_remote_target`; also when the upload fails, which is aborted then.
    """
    found = check_remote_target(target, overwrite=overwrite, append=append)
    _note_open_uploads(found.store)
    folder = Path(tempfile.mkdtemp(prefix="nwb-ophys-"))
    outlet = ChunkOutlet(found)
    before = last_completed()
    try:
        try:
            with leading_to(outlet, folder) if found.is_new else nullcontext():
                yield folder / target.name
        except DiskError as error:
            raise OutputError(
                f"{error} The file is written to a temporary folder before it is uploaded to "
                f"'{target}'; the environment variable TMPDIR names another one."
            ) from error
        finally:
            note_completed(before)
        with store_errors(target, OutputError, doing="cannot be uploaded"):
            _upload(folder / target.name, found, outlet)
    except BaseException as error:
        _remove_after(error, outlet)
        raise
    finally:
        forget(target)
        remove(folder)


def _note_open_uploads(store: Store) -> None:
    """Warn of uploads to the same place that have not ended, such as of a process that was killed.

    They may be those of another process, which is still writing, so that they are left.
    """
    count = num_open_uploads(store)
    if count:
        warnings.warn(
            f"'{store.remote}' has {counted(count, 'upload')} in parts that began before and did "
            "not end, such as of a process that was killed. Nobody sees the parts, but the store "
            "may charge for them: if no other process writes there, abort such uploads with the "
            "tool of the store, such as 'aws s3api abort-multipart-upload'.",
            UserWarning,
            stacklevel=4,
        )


def check_remote_kind(target: RemotePath, backend: Backend) -> None:
    """Check that what is replaced is a file or a folder as the new one is.

    Parameters
    ----------
    target : RemotePath
    backend : Backend
        Of the new file.

    Raises
    ------
    OutputError
    """
    with store_errors(target, OutputError, doing="cannot be written"):
        _check_kind(_look(open_store(target)), is_folder=bool(backend.headings))


def _check_kind(found: Found, *, is_folder: bool) -> None:
    if is_folder != bool(found.paths) and found.info is not None:
        kind = "a folder" if found.paths else "a file"
        raise OutputError(
            f"'{found.store.remote}' is {kind} of another backend and is left as it is; choose "
            "another name, or remove it yourself."
        )


def _remove_after(error: BaseException, outlet: ChunkOutlet) -> None:
    try:
        with store_errors(outlet.place, OutputError, doing="holds parts that cannot be removed"):
            outlet.remove()
    except OutputError as left:
        note_left(outlet.place)
        if isinstance(error, Exception):
            raise OutputError(
                f"{error} {left} Remove them with the tool of the store, or write again with "
                "overwrite=True, which replaces them."
            ) from error


def _upload(local: Path, found: Found, outlet: ChunkOutlet) -> None:
    backend = backend_of_path(local)
    _check_kind(found, is_folder=local.is_dir())
    last = () if backend is None else backend.headings
    if outlet.has_begun:
        Upload(found.store, local, outlet.check_mark, last).run()
        outlet.end()
        note_completed(found.store.remote)
        return
    if not local.is_dir():
        upload = Upload(found.store, local, lambda: _check_unchanged(found))
        try:
            upload.run()
        finally:
            if upload.is_complete.is_set():
                note_completed(found.store.remote)
            elif upload.has_left.is_set():
                note_left(found.store.remote)
        return
    upload = Upload(found.store, local, lambda: None, last)
    with _marked(found, upload):
        upload.run()
    note_completed(found.store.remote)


class ChunkOutlet:
    """Outlet of the chunks of a new folder in a store, which a mark states to be incomplete.

    Parameters
    ----------
    found : Found
        Contents of the folder before.

    Attributes
    ----------
    place : RemotePath
    has_begun : bool
        Whether something was uploaded that is not complete yet.
    """

    def __init__(self, found: Found) -> None:
        self.place = found.store.remote
        self._found, self._store = found, found.store
        self._mark = f"{found.store.path}/{_MARK}"
        self._text = _MARK_TEXT + uuid.uuid4().hex.encode()
        self.has_begun = False
        self._locations: Sequence[str] = ()

    @contextmanager
    def receiving(
        self, partial: Path, locations: Sequence[str], is_header: Callable[[str], bool]
    ) -> Iterator[ChunkUploads]:
        """Upload the files of datasets within the block; see :class:`Outlet`."""
        with store_errors(self.place, OutputError, doing="cannot be uploaded"):
            self._begin(locations)
        with ChunkUploads(self._store, partial) as uploads:
            yield uploads
            uploads.wait()
            for location in locations:
                for file in files_in(partial / location):
                    uploads.add(str(file), stays=is_header(file.name))
            uploads.finish()

    def _begin(self, locations: Sequence[str]) -> None:
        _check_unchanged(self._found)
        self.has_begun, self._locations = True, locations
        retried(lambda: self._store.fs.pipe_file(self._mark, self._text))
        remove_objects(self._store, (path for path in self._found.paths if path != self._mark))

    def check_mark(self) -> None:
        """Raise if another process writes the folder as well, whose mark is there then."""
        stored = None
        with suppress(FileNotFoundError):
            stored = retried(lambda: self._store.fs.cat_file(self._mark))
        if stored != self._text:
            self.has_begun = False  # what is there now is not only that of this process
            raise OutputError(
                f"'{self.place}' was written by another process meanwhile. It may hold parts of "
                "both; remove it, and run this again."
            )

    def end(self) -> None:
        """Remove the mark of a folder that is complete."""
        self.has_begun = False
        remove_objects(self._store, [self._mark])

    def remove(self) -> None:
        """Remove the datasets that were uploaded of a folder that is not complete, and the mark."""
        if not self.has_begun:
            return
        self.has_begun = False
        below = tuple(f"{self._store.path}/{each}/" for each in self._locations)
        found = retried(lambda: self._store.fs.find(self._store.path))
        own = (path for path in found if path == self._mark or path.startswith(below))
        remove_objects(self._store, own)


@contextmanager
def _marked(found: Found, upload: Upload) -> Iterator[None]:
    """Remove what makes a folder readable, mark it as incomplete, and write it in the block.

    Objects of a folder that is replaced and that are not part of the new one are removed.
    """
    store = found.store
    mark = f"{store.path}/{_MARK}"
    own = {
        f"{store.path}/{each.relative_to(upload.local).as_posix()}"
        for each in files_in(upload.local)
    }
    _check_unchanged(found)
    try:
        retried(lambda: store.fs.pipe_file(mark, _MARK_TEXT))
        remove_objects(
            store, (path for path in found.paths if path[len(store.path) + 1 :] in _headings())
        )
        remove_objects(store, (path for path in found.paths if path not in own))
        yield
    except BaseException:
        remove_objects(store, [*found.paths, mark])
        raise
    remove_objects(store, [mark])


def _check_unchanged(found: Found) -> None:
    """Raise if another process has written the target since it was looked at."""
    now = _look(found.store)
    if now.identity != found.identity:
        raise OutputError(
            f"'{found.store.remote}' was written by another process meanwhile; it is left as it "
            "is. Choose another name, or run this again with overwrite=True."
        )
