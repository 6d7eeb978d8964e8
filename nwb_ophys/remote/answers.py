"""Bytes of objects with the version of the object that they are of, as the store states it.

An object may be replaced while it is read. The answers of S3 and of servers of HTTP state size and
tag of the object themselves; other stores are asked after the bytes have arrived.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib
import re
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

AT_ONCE = 32
"""Number of requests for small objects that are made together."""

_HTTP = ("http", "https")
# Names under which stores state what changes with each version of an object.
_TAGS = ("ETag", "etag", "generation", "md5Hash", "content_md5")
_TIMES = ("LastModified", "updated", "mtime", "last_modified", "Last-Modified", "created")
_TOTAL = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
_MISSING = (404, 410)
_REFUSED = (401, 403)
_OUT_OF_RANGE = 416
_PART = 206


class NoPartsError(ValueError):
    """A server gives an object as a whole only; the text is a sentence without its subject."""


@attrs.frozen
class Answer:
    """Bytes of an object, and facts about the object from which they came.

    Attributes
    ----------
    data : bytes
    size : int or None
        Size of the whole object; None if the store does not state it.
    tag : int
        Number for the version of the object; 0 if the store states none.
    """

    data: bytes
    size: int | None = None
    tag: int = 0

    def is_of(self, size: int, tag: int) -> bool:
        """Return whether the bytes are of an object of this size and version."""
        return self.size in (None, size) and (not tag or not self.tag or tag == self.tag)


def seconds_of(info: Mapping[str, Any]) -> float:
    """Return the time at which an object was written, which stores state under several names."""
    for name in _TIMES:
        found = info.get(name)
        if isinstance(found, str):
            found = _time_in(found)
        if isinstance(found, datetime.datetime):
            return found.timestamp()
        if isinstance(found, (int, float)):
            return float(found)
    return 0.0


def _time_in(text: str) -> datetime.datetime | None:
    with suppress(ValueError):
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    with suppress(ValueError):
        return parsedate_to_datetime(text)  # of headers of HTTP
    return None


def version_in(info: Mapping[str, Any]) -> str:
    """Return the text that changes with the version of an object, such as its ``ETag``.

    It is the time of the object where the store states nothing else, and empty without a time.
    """
    stated = next((str(info[name]) for name in _TAGS if info.get(name)), "").strip('"')
    return stated or str(seconds_of(info) or "")


def number_of(version: str) -> int:
    """Return a number for the text of a version; 0 for an empty one."""
    if not version:
        return 0
    return int.from_bytes(hashlib.blake2b(version.encode(), digest_size=7).digest(), "big")


def tag_of(info: Mapping[str, Any]) -> int:
    """Return a number that changes with the version of an object; 0 where nothing is stated."""
    return number_of(version_in(info))


def read_answer(fs: Any, path: str, start: int, stop: int) -> Answer:
    """Return bytes of an object with its version.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
    path : str
    start, stop : int
        Positions of the first byte, and after the last.
    """
    if start >= stop:
        return Answer(b"")
    if hasattr(fs, "call_s3"):
        return _ask_s3(fs, path, start, stop)
    if is_http(fs):
        return _in_loop(fs, _ask_http(fs, path, start, stop))  # type: ignore[no-any-return]
    data = bytes(fs.cat_file(path, start=start, end=stop))
    info = fs.info(path)
    return Answer(data, int(info["size"]), tag_of(info))


def read_answers(fs: Any, sizes: Mapping[str, int]) -> dict[str, Answer]:
    """Return whole objects with their versions, which are requested together.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
    sizes : Mapping of str to int
        Sizes by path.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda path: read_answer(fs, path, 0, sizes[path]), sizes)
        return dict(zip(sizes, found, strict=True))


def _in_loop(fs: Any, job: Coroutine[Any, Any, Any]) -> Any:
    sync = importlib.import_module("fsspec.asyn").sync

    async def run() -> Any:
        return await job

    return sync(fs.loop, run)


def is_http(fs: Any) -> bool:
    """Return whether a store is a server of HTTP."""
    return fs.protocol in (_HTTP, *_HTTP) and hasattr(fs, "encode_url")


def _ask_s3(fs: Any, path: str, start: int, stop: int) -> Answer:
    bucket, key, version = fs.split_path(path)
    given = {"VersionId": version} if version else {}
    bounds = {"Range": f"bytes={start}-{stop - 1}"}
    found = fs.call_s3("get_object", Bucket=bucket, Key=key, **bounds, **given)
    try:
        data = _in_loop(fs, found["Body"].read())
    finally:
        found["Body"].close()
    return Answer(data, _total(found.get("ContentRange"), start), tag_of(found))


async def _ask_http(fs: Any, path: str, start: int, stop: int) -> Answer:
    async with await _get(fs, path, start, stop) as found:
        _check_status(found, path)
        length = found.headers.get("Content-Length")
        is_whole = found.status != _PART and (start, length) == (0, str(stop))
        if found.status != _PART and not is_whole:
            raise NoPartsError(
                "its server does not give parts of files; download it first, and give the path of "
                "the copy."
            )
        if not _is_plain(found):
            raise NoPartsError(
                "its server sends it compressed, so that no parts of it can be read; download it "
                "first, and give the path of the copy."
            )
        data = await found.read()
        size = stop if is_whole else _total(found.headers.get("Content-Range"), start)
        return Answer(data, size, tag_of(_facts_in(found)))


async def _get(fs: Any, path: str, start: int, stop: int) -> Any:
    session = await fs.set_session()
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    headers = {**fs.kwargs.get("headers", {}), **headers}
    return session.get(fs.encode_url(path), **{**fs.kwargs, "headers": headers})


def _is_plain(found: Any) -> bool:
    return found.headers.get("Content-Encoding", "") in ("", "identity")


def _facts_in(found: Any) -> dict[str, Any]:
    names = ("ETag", "Last-Modified")
    return {name: found.headers[name] for name in names if name in found.headers}


def _check_status(found: Any, path: str) -> None:
    if found.status in _MISSING:
        raise FileNotFoundError(path)
    if found.status in _REFUSED:
        raise PermissionError(path)
    found.raise_for_status()


def _total(stated: str | None, start: int) -> int | None:
    """Return the size of an object that an answer states, which must begin at a position."""
    found = _TOTAL.match(stated or "")
    if found is None:
        return None
    if found[1] is not None and int(found[1]) != start:
        raise OSError("The answer has other bytes than those that were asked for.")
    return int(found[2])


def info_of(fs: Any, path: str) -> dict[str, Any]:
    """Return facts about an object; of one behind HTTP without taking each error for absence."""
    return dict(_in_loop(fs, _http_info(fs, path)) if is_http(fs) else fs.info(path))


async def _http_info(fs: Any, path: str) -> dict[str, Any]:
    session = await fs.set_session()
    headers = {**fs.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
    given = {"allow_redirects": True, **fs.kwargs, "headers": headers}
    facts: dict[str, Any] = {"name": path, "type": "file", "size": None}
    async with session.head(fs.encode_url(path), **given) as found:
        if found.ok and _is_plain(found) and "Content-Length" in found.headers:
            size = int(found.headers["Content-Length"])
            return {**facts, "size": size, **_facts_in(found)}
    # A signature is that of one method, and some servers answer no HEAD; one byte is asked for.
    async with await _get(fs, path, 0, 1) as found:
        total = _TOTAL.match(found.headers.get("Content-Range", ""))
        if found.status != _OUT_OF_RANGE:
            _check_status(found, path)
        if total is None or not _is_plain(found):
            return facts
        return {**facts, "size": int(total[2]), **_facts_in(found)}
