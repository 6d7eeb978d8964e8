"""The door through which files come in: errors of other packages become errors of this one.

Libraries raise errors of any class when a file is damaged. The methods with which a format reads
files let only errors of this package pass; all others are chained to one that names the file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from nwb_ophys.errors import CorruptSourceError, NwbOphysError, SourceError, error_within
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.paths import PathProbe
from nwb_ophys.remote.paths import as_path
from nwb_ophys.storage.error_context import combined_class

READING = (
    "open",
    "describe",
    "parts",
    "streams",
    "made_from",
    "matches",
    "refusal",
    "is_damaged",
    "recording_of",
    "group",
    "is_stray",
    "movie_files",
    "stated_beside",
    "channel_names",
    "channel_name",
    "position_name",
)
"""Methods of interfaces that read files."""

WRITING = ("add_to_nwbfile", "get_metadata")
"""Methods of interfaces during which readers read, beside other work."""

# Rooms whose code reads files. An error that none of them was part of is no fault of a file.
_READERS = tuple(f"nwb_ophys.{room}." for room in ("formats", "filetypes", "extractors", "rois"))
_MOST_SHOWN = 300
# Errors that no contents of a file raise in a right program.
_OF_PROGRAMS = (NameError, TypeError, AttributeError)


def guard(cls: type) -> None:
    """Let the methods with which a class reads files raise errors of this package only.

    Parameters
    ----------
    cls : type
        Class of an interface, whose own methods are replaced.
    """
    for name in (*READING, *WRITING):
        own = cls.__dict__.get(name)
        function = own.__func__ if isinstance(own, (classmethod, staticmethod)) else own
        if not callable(function) or getattr(function, "__isabstractmethod__", False):
            continue
        guarded: Any = _guarded(function, cls, name)
        if isinstance(own, (classmethod, staticmethod)):
            guarded = type(own)(guarded)
        setattr(cls, name, guarded)


def _guarded(function: Callable[..., Any], cls: type, name: str) -> Callable[..., Any]:
    is_ours = cls.__module__.partition(".")[0] == "nwb_ophys"
    author = "" if is_ours else f"{cls.__name__}.{name}()"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with source_errors(lambda: _paths_in(args), needs_reader=name in WRITING, author=author):
            return function(*args, **kwargs)

    return call


@contextmanager
def source_errors(
    paths: Callable[[], Iterable[Path]], *, needs_reader: bool = False, author: str = ""
) -> Iterator[None]:
    """Replace errors of other packages by errors that name the source.

    Parameters
    ----------
    paths : callable
        Returns the paths of the source.
    needs_reader : bool
        Whether errors pass that were not raised while a reader read.
    author : str
        Method of a format of another package, which may be wrong as well as the file.

    Raises
    ------
    SourceError
        Also an instance of the original class. An error of this package keeps its class; its
        message gets the path if it lacks it.
    """
    try:
        yield
    except SourceError as error:
        _name_source(error, list(paths()))
        raise
    except (NwbOphysError, Warning, ImportError, NotImplementedError):
        raise
    except Exception as error:
        if needs_reader and not _was_reading(error.__traceback__):
            raise
        own = error_within(error)
        if isinstance(own, SourceError):
            raise own from error
        raise _with_source(error, [str(path) for path in paths()], author) from error


def _name_source(error: SourceError, paths: list[Path]) -> None:
    """Put the path in front of a message that names neither the path nor a file in it."""
    text = str(error)
    if paths and len(error.args) == 1 and not any(path.name in text for path in paths):
        error.args = (f"'{paths[0]}': {text}",)


def _with_source(error: Exception, paths: list[str], author: str) -> Exception:
    source = f"'{paths[0]}'" if paths else "The source"
    if isinstance(error, OSError) and error.errno and error.strerror and error.filename:
        kind: type[NwbOphysError] = SourceError
        text = f"{source} cannot be read: {error.strerror}: '{error.filename}'."
    else:
        kind = CorruptSourceError
        reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        doubt = f"It may be damaged; {COPY_AGAIN}."
        if author:
            kind = SourceError if isinstance(error, _OF_PROGRAMS) else CorruptSourceError
            doubt = (
                f"{author} raised it: correct that method, or else the file may be damaged; "
                f"{COPY_AGAIN}."
            )
        text = f"{source} cannot be read: {reason[:_MOST_SHOWN].rstrip('.')}. {doubt}"
    return combined_class(kind, type(error))(text)


def _was_reading(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").startswith(_READERS):
            return True
        traceback = traceback.tb_next
    return False


def _paths_in(args: tuple[Any, ...]) -> list[Path]:
    """Return the paths that the arguments of a method have."""
    for arg in args:
        if isinstance(arg, (str, Path)):
            return [as_path(arg)]
        if isinstance(arg, PathProbe):
            return [arg.path]
        found = paths_of(arg) or paths_of(_Holder(arg))
        if found:
            return found
    return []


@attrs.frozen
class _Holder:
    """A holder of source arguments, as an interface is."""

    source: Any
