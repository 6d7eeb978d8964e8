"""Targets in object stores: written beside, in a temporary folder, and uploaded when complete."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from nwb_ophys.errors import ArgumentError, DiskError, OutputError, OutputExistsError
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.remote.stores import Store, open_store, retried, store_errors
from nwb_ophys.storage.atomic import last_completed, note_completed, remove
from nwb_ophys.storage.backends.registry import BACKENDS, all_backends, backend_of_path
from nwb_ophys.storage.replaceable import reason_to_keep
from nwb_ophys.storage.uploads import Upload, try_upload

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
    paths = retried(lambda: store.fs.find(store.path))
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
    folder = Path(tempfile.mkdtemp(prefix="nwb-ophys-"))
    before = last_completed()
    try:
        try:
            yield folder / target.name
        except DiskError as error:
            raise OutputError(
                f"{error} The file is written to a temporary folder before it is uploaded to "
                f"'{target}'; the environment variable TMPDIR names another one."
            ) from error
        finally:
            note_completed(before)
        with store_errors(target, OutputError, doing="cannot be uploaded"):
            _upload(folder / target.name, found)
    finally:
        remove(folder)


def _upload(local: Path, found: Found) -> None:
    backend = backend_of_path(local)
    if local.is_dir() != bool(found.paths) and found.info is not None:
        kind = "a folder" if found.paths else "a file"
        raise OutputError(
            f"'{found.store.remote}' is {kind} of another backend and is left as it is; choose "
            "another name, or remove it yourself."
        )
    last = () if backend is None else backend.headings
    upload = Upload(found.store, local, lambda: _check_unchanged(found), last)
    if not local.is_dir():
        try:
            upload.run()
        finally:
            if upload.is_complete.is_set():
                note_completed(found.store.remote)
        return
    with _marked(found, upload):
        upload.run()
    note_completed(found.store.remote)


@contextmanager
def _marked(found: Found, upload: Upload) -> Iterator[None]:
    """Remove what makes a folder readable, mark it as incomplete, and write it in the block.

    Objects of a folder that is replaced and that are not part of the new one are removed.
    """
    store = found.store
    mark = f"{store.path}/{_MARK}"
    own = {f"{store.path}/{each.relative_to(upload.local).as_posix()}" for each in upload.files()}
    _check_unchanged(found)
    try:
        retried(lambda: store.fs.pipe_file(mark, _MARK_TEXT))
        upload.remove(path for path in found.paths if path[len(store.path) + 1 :] in _headings())
        upload.remove(path for path in found.paths if path not in own)
        yield
    except BaseException:
        upload.remove([*found.paths, mark])
        raise
    upload.remove([mark])


def _check_unchanged(found: Found) -> None:
    """Raise if another process has written the target since it was looked at."""
    now = _look(found.store)
    if now.identity != found.identity:
        raise OutputError(
            f"'{found.store.remote}' was written by another process meanwhile; it is left as it "
            "is. Choose another name, or run this again with overwrite=True."
        )
