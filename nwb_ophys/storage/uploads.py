"""Upload of a file or folder to a store, under whose name it appears when it is complete.

A large object is uploaded in parts, and the store joins them when all are there. Of a folder, the
objects by which readers recognise it are put last; its chunks may be uploaded, and removed from the
disk, while others are written. After an error or an interrupt the parts and
objects that were uploaded are removed.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import NwbOphysError, OutputError
from nwb_ophys.remote.stores import Store, reason_of, retried, store_errors
from nwb_ophys.storage.streaming import UploadError
from nwb_ophys.storage.threads import Flag, Workers

PART_BYTES = 16 << 20
"""Size of a part; one of a file of more than 140 GB is larger, since S3 allows 10,000 parts."""

NUM_THREADS = 8
"""Number of objects of a folder that are uploaded at once, each in parts of ``PART_BYTES``."""

WAITING_BYTES = 1 << 30
"""Size of the complete chunks and shards on the disk that are not uploaded yet."""

_PARTS_LEFT = (
    "The parts that were uploaded could not be removed. Nobody sees them, but the store may charge "
    "for them: abort the incomplete multipart upload with the tool of the store."
)
_MOST_PARTS = 9_000
_MOST_JOBS = 4 * NUM_THREADS
_MOST_REMOVED = 1_000
_MEGABYTE = 1 << 20
# Seconds between two looks at the size of what waits.
_PAUSE = 0.01


class Stopped(Exception):  # noqa: N818
    """The upload was stopped by an interrupt."""


def part_size(size: int) -> int:
    """Return the number of bytes of the parts of a file, a whole number of megabytes."""
    return max(PART_BYTES, -(-size // (_MOST_PARTS * _MEGABYTE)) * _MEGABYTE)


@attrs.define
class Digests:
    """MD5 sums of an object, of which stores state one."""

    size: int = 0
    whole: Any = attrs.field(factory=lambda: hashlib.md5(usedforsecurity=False))
    parts: list[bytes] = attrs.field(factory=list)

    def add(self, part: bytes) -> None:
        """Add the next part."""
        self.size += len(part)
        self.whole.update(part)
        self.parts.append(hashlib.md5(part, usedforsecurity=False).digest())

    def agree_with(self, info: dict[str, Any]) -> bool:
        """Return whether a store states the sum of these bytes, or states none.

        The tag of an object in S3 is the MD5 sum of its bytes, or of the sums of its parts.
        """
        stated = str(info.get("ETag") or "").strip('"').lower()
        joined = hashlib.md5(b"".join(self.parts), usedforsecurity=False).hexdigest()
        if stated and stated not in (self.whole.hexdigest(), f"{joined}-{len(self.parts)}"):
            return False
        sum_of_gcs = info.get("md5Hash")
        return not sum_of_gcs or sum_of_gcs == base64.b64encode(self.whole.digest()).decode()

    def are_confirmed_by(self, answer: Any) -> bool:
        """Return whether the answer to an upload states the sum of these bytes."""
        stated = answer.get("ETag") if isinstance(answer, dict) else None
        return str(stated).strip('"').lower() == self.whole.hexdigest()


@attrs.frozen
class Upload:
    """The upload of one file or folder.

    Attributes
    ----------
    store : Store
        Of the object or folder that is written.
    local : pathlib.Path
    check : callable
        Called just before the file or folder appears; raises if it must not.
    last : tuple of str
        Names of the objects by which a folder is recognised.
    is_complete : Flag
        Set when the object is in its place.
    has_left : Flag
        Set when parts were uploaded that could not be removed.
    """

    store: Store
    local: Path
    check: Callable[[], None]
    last: tuple[str, ...] = ()
    is_complete: Flag = attrs.field(factory=Flag)
    has_left: Flag = attrs.field(factory=Flag)

    def run(self) -> None:
        """Upload everything, in other threads; this thread waits and may be interrupted."""
        if self.local.is_dir():
            self._put_folder()
        else:
            self._in_threads([(self.local, self.store.path)], 1, check=self.check)

    def _put_folder(self) -> None:
        own = [self.local / name for name in self.last if (self.local / name).is_file()]
        others = (each for each in files_in(self.local) if each not in own)
        try:
            self._in_threads(((each, self._path_of(each)) for each in others), NUM_THREADS)
            self.check()
            for each in own:
                self._in_threads([(each, self._path_of(each))], 1)
        except BaseException:
            remove_objects(
                self.store, (self._path_of(each) for each in (*own, *files_in(self.local)))
            )
            raise

    def _path_of(self, file: Path) -> str:
        return f"{self.store.path}/{file.relative_to(self.local).as_posix()}"

    def _in_threads(
        self,
        jobs: Iterable[tuple[Path, str]],
        count: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        stop = Flag()  # set when the threads end: by an error, an interrupt, or at last

        def put(job: tuple[Path, str]) -> None:
            put_file(self.store, *job, stop=stop, check=check, left=self.has_left)
            if job[0] == self.local:
                self.is_complete.set()

        with Workers(count, put, stop, "nwb-ophys-upload") as workers:
            waiting = 0
            for job in jobs:
                workers.submit(job)
                waiting += 1
                if waiting >= _MOST_JOBS:
                    workers.next_done()
                    waiting -= 1
            for _ in range(waiting):
                workers.next_done()
            workers.close()


def remove_objects(store: Store, paths: Iterable[str]) -> None:
    """Remove objects in the order given; some may be absent."""

    def remove_many(many: list[str]) -> None:
        try:
            retried(lambda: store.fs.rm(many))
        except FileNotFoundError:
            for path in many:
                with suppress(FileNotFoundError):
                    retried(partial(store.fs.rm_file, path))

    remaining = iter(paths)
    with Workers(1, remove_many, Flag(), "nwb-ophys-remove") as worker:
        while many := list(itertools.islice(remaining, _MOST_REMOVED)):
            worker.submit(many)
            worker.next_done()
        worker.close()


class ChunkUploads:
    """Upload of complete files of a folder, which are removed from the disk then.

    Use it as a context manager, and call :meth:`finish` at the end of the block.

    Parameters
    ----------
    store : Store
        Of the folder.
    local : pathlib.Path
        The incomplete folder on the disk.
    """

    def __init__(self, store: Store, local: Path) -> None:
        self._store, self._local = store, local
        self._stop = Flag()
        self._workers = Workers(NUM_THREADS, self._put, self._stop, "nwb-ophys-upload")
        self._waiting: dict[str, int] = {}
        self._error: BaseException | None = None

    def __enter__(self) -> ChunkUploads:
        self._workers.start()  # before several threads submit files
        return self

    def __exit__(self, *exception: object) -> None:
        self._workers.close()

    def add(self, path: str, *, stays: bool = False) -> None:
        """Upload a file in another thread, as soon as less than ``WAITING_BYTES`` wait.

        Parameters
        ----------
        path : str
        stays : bool
            Whether the file stays on the disk as well.

        Raises
        ------
        UploadError
            The error of an upload before.
        """
        size = Path(path).stat().st_size
        while self._waiting and sum(list(self._waiting.values())) + size > WAITING_BYTES:
            self._check()
            time.sleep(_PAUSE)
        self._check()
        self._waiting[path] = size
        self._workers.submit((path, stays))

    def wait(self) -> None:
        """Wait until all files are uploaded.

        Raises
        ------
        UploadError
        """
        while self._waiting:
            self._check()
            time.sleep(_PAUSE)
        self._check()

    def finish(self) -> None:
        """Wait until all files are uploaded, and end the threads.

        Raises
        ------
        UploadError
        """
        self.wait()
        self._workers.close()

    def _check(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._workers.next_done(wait=False)
        if self._error is not None:
            raise self._error

    def _put(self, job: tuple[str, bool]) -> None:
        path, stays = job
        key = f"{self._store.path}/{Path(path).relative_to(self._local).as_posix()}"
        try:
            with store_errors(self._store.remote, UploadError, doing="cannot be uploaded"):
                put_file(self._store, Path(path), key, stop=self._stop)
            if not stays:
                Path(path).unlink()
            del self._waiting[path]
        except BaseException as error:
            self._error = self._error or _upload_error(error)
            self._stop.set()


def _upload_error(error: BaseException) -> BaseException:
    is_other = isinstance(error, OutputError) and not isinstance(error, UploadError)
    return UploadError(str(error)) if is_other else error


def put_file(
    store: Store,
    local: Path,
    path: str,
    *,
    stop: Flag,
    check: Callable[[], None] = lambda: None,
    left: Flag | None = None,
) -> None:
    """Upload a file and compare its size and its checksum with those that the store states.

    The store is asked for them only if its answer to the upload does not state the checksum.

    Parameters
    ----------
    store : Store
    local : pathlib.Path
    path : str
        Path of the object in the store.
    stop : Flag
        The upload ends, and is aborted, when it is set.
    check : callable
        Called just before the object appears.
    left : Flag, optional
        Set when parts were uploaded that could not be removed.

    Raises
    ------
    OutputError
        If the object is not the same; it is removed.
    Stopped
    """
    size = local.stat().st_size
    if size <= PART_BYTES or _is_memory(store):
        digests = Digests()
        data = local.read_bytes()
        digests.add(data)
        check()
        answer = retried(lambda: store.fs.pipe_file(path, data), stop.is_set)
        if digests.are_confirmed_by(answer):
            return
    else:
        uploading = _Uploading(store, path, part_size(size), stop, left or Flag())
        digests = uploading.put(local, check)
    _compare(store, local, path, digests)


def _is_memory(store: Store) -> bool:
    """Return whether objects lie in the memory of the process, where there are no parts."""
    protocol = store.fs.protocol
    return "memory" in ((protocol,) if isinstance(protocol, str) else protocol)


def try_upload(store: Store) -> None:
    """Begin an upload in parts and abort it, so that a store which refuses it says so."""
    file = begin(store, store.path, b"0", PART_BYTES)
    try:
        _add_last_part(file)
    finally:
        _discard(file)


def num_open_uploads(store: Store) -> int:
    """Return the number of uploads to an object or folder that have not ended; 0 if not known."""
    bucket, _, key = store.path.partition("/")
    if store.remote.protocol not in ("s3", "s3a"):
        return 0
    try:
        found = store.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
    except Exception:  # a key that may write need not be allowed to list uploads
        return 0
    keys = [str(each["Key"]) for each in found.get("Uploads") or ()]
    return sum(each == key or each.startswith(f"{key}/") for each in keys)


@attrs.frozen
class _Uploading:
    """Upload of one object in parts of some bytes, which ends when ``stop`` is set."""

    store: Store
    path: str
    part: int
    stop: Flag
    left: Flag

    def put(self, local: Path, check: Callable[[], None]) -> Digests:
        """Upload a file, and return its sums; after an error its parts are removed."""
        digests = Digests()
        file: Any = None
        try:
            with local.open("rb") as source:
                while data := source.read(self.part):
                    if self.stop.is_set():
                        raise Stopped
                    digests.add(data)
                    if file is None:
                        action = partial(begin, self.store, self.path, data, self.part)
                        file = retried(action, self.stop.is_set)
                    else:
                        _add_part(file, data, self.stop)
            retried(lambda: _add_last_part(file), self.stop.is_set)
            check()
            file.close()
            file.commit()
        except BaseException as error:
            if file is not None:
                self._give_up(file, error)
            raise
        return digests

    def _give_up(self, file: Any, error: BaseException) -> None:
        """Remove the parts; if that fails, for the same reason, too, say that they are there."""
        try:
            _discard(file)
        except Exception:
            self.left.set()
            if isinstance(error, Stopped):
                return
            why = str(error)
            if not isinstance(error, NwbOphysError):
                why = f"'{self.store.remote}' cannot be uploaded: {reason_of(error)}."
            raise OutputError(f"{why} {_PARTS_LEFT}") from None


def begin(store: Store, path: str, data: bytes, part: int) -> Any:
    """Return an upload in parts with its first bytes, which ``commit`` or ``discard`` ends.

    Raises
    ------
    OutputError
        If files of the store appear before they are complete.
    """
    file = store.fs.open(path, "wb", block_size=part, autocommit=False)
    try:
        if not (hasattr(file, "commit") and hasattr(file, "discard")):
            raise OutputError(
                f"'{store.remote}' cannot be written: its store shows files before they are "
                "complete. Write to a folder, and copy the file from there."
            )
        file.write(data)
    except BaseException:
        with suppress(Exception):
            _discard(file)
        raise
    return file


def _discard(file: Any) -> None:
    try:
        retried(file.discard)
    finally:
        file.closed = True  # or its end would send the rest


def _add_part(file: Any, data: bytes, stop: Flag) -> None:
    try:
        file.write(data)
    except Exception:  # the bytes stay in the buffer of the file
        retried(file.flush, stop.is_set)


def _add_last_part(file: Any) -> None:
    file.forced = False  # set by an attempt that failed
    file.flush(force=True)


def _compare(store: Store, local: Path, path: str, digests: Digests) -> None:
    info = retried(lambda: store.fs.info(path))
    # The tag of an encrypted object is another one.
    if info["size"] == digests.size and (
        digests.agree_with(info) or _holds_same_bytes(store, local, path)
    ):
        return
    with suppress(Exception):
        store.fs.rm_file(path)
    raise OutputError(
        f"'{store.remote}' was not stored as it was sent: the store states {info['size']:,} bytes "
        f"of {digests.size:,}, or holds other ones. It was removed; run this again."
    )


def _holds_same_bytes(store: Store, local: Path, path: str) -> bool:
    with local.open("rb") as mine, store.fs.open(path, "rb", block_size=PART_BYTES) as theirs:
        while data := mine.read(PART_BYTES):
            if theirs.read(len(data)) != data:
                return False
    return True


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders."""
    for each in folder.iterdir():
        if each.is_dir():
            yield from files_in(each)
        else:
            yield each
