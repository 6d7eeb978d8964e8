"""Stores of objects, opened with fsspec, and their errors without credentials."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from nwb_ophys.errors import MissingPackageError, NwbOphysError
from nwb_ophys.optional import require_package
from nwb_ophys.remote.answers import (
    Answer,
    NoPartsError,
    info_of,
    read_answer,
    read_answers,
)

if TYPE_CHECKING:
    from nwb_ophys.remote.paths import RemotePath

Result = TypeVar("Result")

ATTEMPTS = 4
"""Number of attempts of a request, beside those that the package of the store makes itself."""

# Seconds before the second attempt; twice as many before each further one.
_FIRST_PAUSE = 0.5

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_FINAL = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    ValueError,
    TypeError,
    AttributeError,
)
"""Errors that another attempt does not change."""


@attrs.frozen
class Store:
    """The store of one object or folder of objects.

    Attributes
    ----------
    remote : RemotePath
    fs : fsspec.AbstractFileSystem
    path : str
        Path of the object in the store.
    """

    remote: RemotePath
    fs: Any
    path: str

    def info(self, path: str | None = None) -> dict[str, Any] | None:
        """Return facts about an object, among them its size; None if it does not exist."""
        with suppress(FileNotFoundError):
            return retried(lambda: info_of(self.fs, path or self.path))
        return None

    def read(self, start: int, stop: int) -> Answer:
        """Return bytes of the object with its version."""
        return read_answer(self.fs, self.path, start, stop)

    def find(self) -> Iterable[dict[str, Any]]:
        """Return facts about all objects below the path.

        fsspec leaves out the folders that cannot be listed, in stores whose packages do not list
        them in another way. They are listed one by one here, so that each failure is an error.
        """
        bases = require_package("fsspec", "remote"), require_package("fsspec.asyn", "remote")
        own, names = type(self.fs), (("AbstractFileSystem", "find"), ("AsyncFileSystem", "_find"))
        walks = [
            getattr(own, name, None) is getattr(getattr(base, kind), name)
            for base, (kind, name) in zip(bases, names, strict=True)
        ]
        if not any(walks):
            found = retried(lambda: self.fs.find(self.path, detail=True))
            return found.values()  # type: ignore[no-any-return]
        return self._walked()

    def _walked(self) -> Iterator[dict[str, Any]]:
        waiting = [self.path]
        while waiting:
            folder = waiting.pop()
            for info in retried(functools.partial(self.fs.ls, folder, detail=True)):
                if info["type"] != "directory":
                    yield info
                elif str(info["name"]).strip("/") != folder.strip("/"):  # itself, as a marker
                    waiting.append(str(info["name"]))

    def read_all(self, sizes: Mapping[str, int]) -> dict[str, Answer]:
        """Return the contents of several objects by path, which are requested at once."""
        return read_answers(self.fs, sizes)


def open_store(remote: RemotePath) -> Store:
    """Return the store of an object.

    Raises
    ------
    MissingPackageError
        If fsspec or the package of the store is not installed.
    """
    fsspec = require_package("fsspec", "remote")
    try:
        fs, path = _opened(fsspec, remote.url)
    except ImportError as error:
        raise MissingPackageError(
            f"'{remote}' cannot be opened: {error}. Install that package, as with pip install "
            "s3fs for s3:// or pip install gcsfs for gs://."
        ) from None
    return Store(remote, fs, str(path).rstrip("/"))


def _opened(fsspec: Any, url: str) -> tuple[Any, str]:
    if "::" not in url:
        return fsspec.core.url_to_fs(url, use_listings_cache=False)  # type: ignore[no-any-return]
    # fsspec takes two colons for a chain of file systems; here they are part of a name.
    cls = fsspec.get_filesystem_class(url.partition("://")[0])
    return cls(**cls._get_kwargs_from_urls(url), use_listings_cache=False), cls._strip_protocol(url)


@contextmanager
def store_errors(
    remote: RemotePath, kind: type[NwbOphysError], *, doing: str = "cannot be read"
) -> Iterator[None]:
    """Replace the errors of a store by one that names the URL, and holds no credentials.

    Parameters
    ----------
    remote : RemotePath
    kind : type
        Class of the error that is raised.
    doing : str
        The end of a sentence of which the URL is the subject.
    """
    try:
        yield
    except NwbOphysError:
        raise
    except Exception as error:
        # Without a cause: texts of other packages may hold keys, tokens and signed URLs.
        reason = reason_of(error)
    else:
        return
    raise kind(f"'{remote}' {doing}: {reason}.") from None


def reason_of(error: BaseException) -> str:
    """Return the reason of a store's error in words, of which no text comes from the store."""
    name, code = type(error).__name__, _code_of(error)
    if isinstance(error, NoPartsError):
        return str(error).rstrip(".")
    if "Credential" in name or "Token" in name:
        return f"the credentials are missing or incomplete ({code or name}); set them as the " + (
            "package of the store asks"
        )
    if code in _EXPIRED:
        return f"the credentials have expired ({code}); renew them and run this again"
    if isinstance(error, PermissionError):
        return f"the store denies access{_in_brackets(code)}; check the credentials and their " + (
            "permissions"
        )
    if isinstance(error, FileNotFoundError):
        return f"the store has no such bucket or object{_in_brackets(code)}; check the URL"
    if isinstance(error, (NotImplementedError, AttributeError)):
        return f"this kind of store cannot do that ({name}); use another one"
    if isinstance(error, (ValueError, TypeError)) or not _may_pass(name):
        return f"the URL or the settings of the store are wrong ({code or name}); check them"
    return f"the store failed or could not be reached ({code or name}), also after " + (
        f"{ATTEMPTS} attempts; run this again later"
    )


def _in_brackets(code: str) -> str:
    return f" ({code})" if code else ""


def _code_of(error: BaseException) -> str:
    """Return the code of an error of botocore, such as ``NoSuchBucket``."""
    found: BaseException | None = error
    for _ in range(10):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            return code if code.isalnum() and len(code) <= 60 else ""
        found = None if found is None else found.__cause__ or found.__context__
    return ""


def is_transient(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    name = type(error).__name__
    is_final = isinstance(error, (*_FINAL, NwbOphysError)) or "Credential" in name
    return not is_final and _may_pass(name)


def _may_pass(name: str) -> bool:
    """Return whether errors of a class of botocore are not those of the request itself."""
    return not name.startswith(("Param", "Invalid", "Unknown", "Profile"))


def retried(action: Callable[[], Result], is_stopped: Callable[[], bool] = lambda: False) -> Result:
    """Return the result of a request, which is repeated after transient errors.

    Parameters
    ----------
    action : callable
    is_stopped : callable
        Returns whether no further attempt is wanted.

    Raises
    ------
    Exception
        The error of the last attempt.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return action()
        except Exception as error:
            if not is_transient(error) or is_stopped():
                raise
        time.sleep(_FIRST_PAUSE * 2**attempt)
    return action()
