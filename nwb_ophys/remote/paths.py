"""Paths of objects in stores, which are URLs."""

from __future__ import annotations

import contextvars
import fnmatch
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, unquote

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.remote.answers import AT_ONCE
from nwb_ophys.remote.reading import (
    WITHOUT_FOLDERS,
    RangeFile,
    begin_reading,
    is_folder,
    names_in,
    note_opened,
    read_range,
    status,
)
from nwb_ophys.remote.trees import tree_of

# Two letters at least: one letter is a drive of Windows. pathlib leaves one slash of the two.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+(?:::[A-Za-z0-9+.\-]+)*):(/+)([^/].*)", re.DOTALL)
_USER = re.compile(r"^[^/@]*@")
_LOCAL = ("file", "local")
_THIS_COMPUTER = "localhost/"
_DRIVE = re.compile(r"[A-Za-z]:")
# Stores in which a name may have a question mark, and a container is named before the account.
_OF_OBJECTS = ("s3", "s3a", "gs", "gcs", "memory")
_OF_CONTAINERS = ("abfs", "abfss", "az", "adl")
_QUERY = re.compile(r"\?.*", re.DOTALL)
_QUERY_OF_OBJECT = re.compile(r"\?[^/?]*=.*", re.DOTALL)
READ_AHEAD = 64
"""Number of objects whose first blocks are read together."""

# Parameters of a query that sign a request. Others may state which file is meant.
_SIGNING = re.compile(
    r"x-(amz|goog|ms)-.*|.*(sig|token|key|expir|policy|credential).*|s[eprtv]|spr|sk[a-z]+",
    re.IGNORECASE,
)
# URLs with a password or a signature, by the path that is shown in their place.
_WHOLE: dict[str, str] = {}


class RemotePath(type(Path())):  # type: ignore[misc]
    """Path of an object in a store, whose text is its URL without credentials.

    It has the methods of a path that read. All that opens a file by its name finds nothing, so that
    code which does not know stores fails instead of reading something else.
    """

    def __str__(self) -> str:
        return _with_two_slashes(super().__str__().replace(os.sep, "/"))

    def __fspath__(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def url(self) -> str:
        """URL with everything that the user stated, which is never shown or recorded."""
        return _WHOLE.get(str(self), str(self))

    @property
    def protocol(self) -> str:
        """Beginning of the URL, such as ``s3``."""
        return str(self).partition(":")[0]

    def expanduser(self) -> RemotePath:
        """Return the path unchanged."""
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        """Return the path unchanged: stores have no links."""
        return self

    def absolute(self) -> RemotePath:
        """Return the path unchanged."""
        return self

    def relative_to(self, *others: Any, **how: Any) -> Any:
        """Return the path below another one, which is no URL."""
        return PurePosixPath(*super().relative_to(*others, **how).parts)

    def stat(self, **_: Any) -> os.stat_result:
        """Return size and time of the object.

        Raises
        ------
        FileNotFoundError
            If there is no object of this name.
        SourceError
            If the store cannot be read.
        """
        return status(self)

    def lstat(self) -> os.stat_result:
        """Return the same as :meth:`stat`: stores have no links."""
        return self.stat()

    def exists(self, **_: Any) -> bool:
        """Return whether there is an object of this name, or a folder of objects."""
        return self.is_file() or is_folder(self)

    def is_file(self, **_: Any) -> bool:
        """Return whether there is an object of this name."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, **_: Any) -> bool:
        """Return whether objects lie below this path."""
        return is_folder(self)

    def is_symlink(self) -> bool:
        """Return False: stores have no links."""
        return False

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """Open the object for reading by ranges of its bytes; by small ones without a buffer."""
        if mode == "rb":
            return RangeFile(self, is_scattered=buffering == 0)
        if mode not in ("r", "rt"):
            raise NotImplementedError(f"'{self}' can be read only.")
        content = io.BufferedReader(RangeFile(self))
        return io.TextIOWrapper(content, encoding, errors, newline)

    def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """Return the content of the object as text."""
        with self.open("r", encoding=encoding, errors=errors, newline=newline) as file:
            return str(file.read())

    def read_bytes(self) -> bytes:
        """Return the content of the object."""
        listed = tree_of(self)
        content = None if listed is None else listed[0].small.get(listed[1])
        if content is None:
            return read_range(self, 0, self.stat().st_size)
        note_opened(self)
        return content

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield the objects and folders in this folder."""
        for names in names_in(self):
            yield from (self / name for name in sorted(names))

    def rglob(self, pattern: str, **_: Any) -> Iterator[RemotePath]:
        """Yield the objects and folders below this folder whose names match a pattern."""
        for folder, folders, names in walk(self):
            found = (name for name in (*folders, *names) if fnmatch.fnmatchcase(name, pattern))
            yield from (RemotePath(folder / name) for name in found)

    def glob(self, pattern: str, **_: Any) -> Iterator[RemotePath]:
        """Yield the objects and folders in this folder whose names match a pattern."""
        return (each for each in self.iterdir() if fnmatch.fnmatchcase(each.name, pattern))


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder from a folder downwards, and the names of the folders and files in it."""
    if not isinstance(folder, RemotePath):
        yield from ((Path(each), folders, names) for each, folders, names in os.walk(folder))
        return
    remaining: list[RemotePath] = [folder]
    while remaining:
        each = remaining.pop()
        names, folders = map(sorted, names_in(each))
        yield each, folders, names
        remaining.extend(each / name for name in reversed(folders))


def opened_by_ranges(path: Path, tag: int = 0) -> Any:
    """Return an object of a store as a file of which few bytes are read; other paths unchanged.

    Parameters
    ----------
    path : pathlib.Path
    tag : int
        Version of the object (``st_ino``) that must be there; 0 for the present one.
    """
    return RangeFile(path, is_scattered=True, tag=tag) if isinstance(path, RemotePath) else path


def open_scattered(path: Path) -> Any:
    """Open a file of which few bytes are read, of an object in a store by small blocks."""
    return path.open("rb", buffering=0) if isinstance(path, RemotePath) else path.open("rb")


def read_ahead(read: Callable[[Any], Any], paths: Sequence[Path]) -> None:
    """Call a function that reads few bytes for several objects of stores at once.

    Its next calls find these bytes. Errors are those of the next calls.

    Parameters
    ----------
    read : callable
        Takes a path.
    paths : sequence of pathlib.Path
        At most ``READ_AHEAD``, or the first of them would be read again. Files on a disk are left
        out.
    """
    remote = [path for path in paths if isinstance(path, RemotePath)]

    def look(path: RemotePath) -> None:
        with suppress(Exception):
            read(path)

    if len(remote) > 1:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for path in remote:
                pool.submit(contextvars.copy_context().run, look, path)


def list_given(path: Path) -> None:
    """List a folder of a store that the user gave; other paths remain as they are.

    Raises
    ------
    SourceError
        If the store fails.

    Warns
    -----
    UserWarning
        If the files beside a given file cannot be listed.
    """
    if not isinstance(path, RemotePath):
        return
    if path.protocol in WITHOUT_FOLDERS:
        warnings.warn(
            f"The files beside '{path}' cannot be listed. If it is a recording of several files, "
            "give all of them.",
            UserWarning,
            stacklevel=3,
        )
    begin_reading(path)


def not_read(path: RemotePath, what: str = "its format is read from a disk only") -> SourceError:
    """Return the error for a source that is read from a disk only.

    Parameters
    ----------
    path : RemotePath
    what : str
        The end of a sentence that begins with the place of the source.
    """
    return SourceError(
        f"'{path}' is in an object store, and {what}. Download it first, with the tool of the "
        "store, and give the path of the copy."
    )


def require_disk(path: Path, what: str) -> None:
    """Check that a file is on a disk.

    Parameters
    ----------
    path : pathlib.Path
    what : str
        The end of a sentence that begins with the place of the file.

    Raises
    ------
    SourceError
    """
    if isinstance(path, RemotePath):
        raise not_read(path, what)


def _with_two_slashes(text: str) -> str:
    protocol, colon, rest = text.partition(":")
    return f"{protocol}{colon}//{rest.lstrip('/')}"


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return a path of the disk, or of an object in a store if it is a URL.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    SourceArgumentError
        For a URL that joins several file systems, or differs from another one in its query only.
    """
    if isinstance(path, RemotePath):
        return path
    text = path.as_posix() if isinstance(path, Path) else os.fspath(path)
    found = _URL.fullmatch(text)
    if found is None or (found[2] == "/" and not _is_known(found[1])):
        return path if isinstance(path, Path) else Path(path)
    protocol, slashes, rest = found.groups()
    protocol = protocol.lower()  # in any case it is the same
    if "::" in protocol:
        shown = shown_url(f"{protocol}://{rest}")
        raise SourceArgumentError(f"'{shown}' joins several file systems; give one URL.")
    if protocol in _LOCAL:
        return _local_path(rest.lstrip("/"), has_host=slashes == "//")
    shown = shown_url(f"{protocol}://{rest}")
    remote = RemotePath(shown)
    _check_kept(shown, remote)
    if shown != f"{protocol}://{rest}":
        _keep_whole(remote, f"{protocol}://{rest}")
    return remote


def _local_path(rest: str, *, has_host: bool) -> Path:
    """Return the path that a URL of a file names, without the slashes before it.

    Programs write blanks and other characters of paths as percent codes, users write them as they
    are; what exists decides.
    """
    text = local_text(rest, has_host=has_host, is_windows=os.name == "nt")
    path = Path(text)
    return path if "%" not in text or path.exists() else Path(unquote(text))


def local_text(rest: str, *, has_host: bool, is_windows: bool) -> str:
    """Return the text of the path that a URL of a file names.

    Parameters
    ----------
    rest : str
        The URL behind the protocol and its slashes.
    has_host : bool
        Whether it begins with the name of a computer.
    is_windows : bool
        Whether paths have drives, and names of computers.
    """
    if rest.startswith(_THIS_COMPUTER):
        return local_text(rest.removeprefix(_THIS_COMPUTER), has_host=False, is_windows=is_windows)
    if not is_windows:
        return f"/{rest}"
    has_drive = _DRIVE.match(rest) is not None
    return rest if has_drive else f"{'//' if has_host else '/'}{rest}"


def _check_kept(shown: str, remote: RemotePath) -> None:
    """Raise if a path cannot have the names of a URL, so that another object would be meant."""
    given = shown.partition("://")[2].rstrip("/")
    if str(remote).partition("://")[2] != given:
        raise SourceArgumentError(
            f"'{shown}' has an empty name between two slashes, or one that is a single dot, so "
            f"that '{remote}', which may be another object, would be read or written. Give that "
            "URL if it is meant; otherwise copy the object to another name first."
        )


def _keep_whole(remote: RemotePath, url: str) -> None:
    before = _WHOLE.get(str(remote), url)
    if _file_in_query(before) != _file_in_query(url):
        raise SourceArgumentError(
            f"'{remote}' was given with different queries (what follows the '?'), which are not "
            "shown or kept, so that one would be read for both. Download them and give the copies."
        )
    _WHOLE[str(remote)] = url


def _file_in_query(url: str) -> list[tuple[str, str]]:
    """Return the parameters of a URL that may state which file is meant."""
    parameters = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    return [each for each in parameters if _SIGNING.fullmatch(each[0]) is None]


def is_url(text: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of an object in a store."""
    if isinstance(text, str) and ":/" not in text:
        return False
    return isinstance(as_path(text), RemotePath)


def shown_url(url: str) -> str:
    """Return a URL without user, password and query, which may hold a signature.

    A question mark in the name of an object stays, and so does the container of an account.
    """
    protocol, _, rest = url.partition("://")
    kind = protocol.lower()
    query = _QUERY_OF_OBJECT if kind in (*_OF_OBJECTS, *_OF_CONTAINERS) else _QUERY
    user = _USER.match(rest)
    if user and (kind not in _OF_CONTAINERS or ":" in user[0]):
        rest = rest[user.end() :]
    return f"{protocol}://{query.sub('', rest)}"


def _is_known(protocol: str) -> bool:
    """Return whether fsspec knows a protocol; a folder may have a name that ends in a colon."""
    try:
        from fsspec import available_protocols
    except ImportError:
        return False
    return protocol.lower() in available_protocols()
