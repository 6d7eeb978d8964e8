"""Context of errors raised while a dataset is filled: the dataset, the frames and the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from nwb_ophys.errors import NwbOphysError, OutputError, SourceError
from nwb_ophys.storage.streaming import UploadError

if TYPE_CHECKING:
    from nwb_ophys.storage.grid import Selection
    from nwb_ophys.storage.planning import PlannedDataset


def while_reading(planned: PlannedDataset, bounds: Selection) -> AbstractContextManager[None]:
    """Add dataset, frame range and source to errors raised while reading.

    Raises
    ------
    SourceError
        Also an instance of the original class; an error of this package keeps its own class.
    """
    return _located(planned, bounds, "reading {} failed", SourceError)


def while_writing(planned: PlannedDataset, bounds: Selection) -> AbstractContextManager[None]:
    """Add dataset, frame range and source to errors raised while encoding and storing.

    Raises
    ------
    OutputError
        Also an instance of the original class; an error of this package keeps its own class.
    UploadError
        As it is: it is that of another chunk.
    """
    return _located(planned, bounds, "storing what was read from {} failed", OutputError)


def while_observing(planned: PlannedDataset, bounds: Selection) -> AbstractContextManager[None]:
    """Add dataset, frame range and source to errors raised by the observer of a write.

    Raises
    ------
    OutputError
        Also an instance of the original class; an error of this package keeps its own class.
    """
    what = "the observer failed with what was read from {}"
    return _located(planned, bounds, what, OutputError)


@contextmanager
def _located(
    planned: PlannedDataset, bounds: Selection, what: str, kind: type[NwbOphysError]
) -> Iterator[None]:
    try:
        yield
    except UploadError:  # of a chunk that was stored before
        raise
    except Exception as error:
        described = what.format(planned.source.label)
        raise _with_context(error, described, planned, bounds, kind) from error


def _with_context(
    error: Exception,
    what: str,
    planned: PlannedDataset,
    bounds: Selection,
    kind: type[NwbOphysError],
) -> Exception:
    first = bounds[0]
    where = f"'{planned.location}', frames {first.start} to {first.stop - 1}"
    located = combined_class(kind, type(error))(f"{where}: {what}: {_reason(error)}")
    for name in ("errno", "strerror", "filename"):  # callers recognise a full disk by these
        value = getattr(error, name, None)
        if value is not None and isinstance(error, OSError) and isinstance(located, OSError):
            setattr(located, name, value)  # None would take the place of the message
    return located


def _reason(error: Exception) -> str:
    if isinstance(error, NwbOphysError):
        return str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: '{error.filename}'."
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def combined_class(kind: type[NwbOphysError], original: type[Exception]) -> type[Exception]:
    """Return a class that is caught as an error of this package and as the original class.

    Parameters
    ----------
    kind : type
        Class of this package.
    original : type
        If it is of this package, too, it is returned itself.
    """
    if issubclass(original, NwbOphysError):
        return original
    if issubclass(original, StopIteration):  # a generator on the way would end silently
        return kind
    namespace = {
        "__init__": lambda self, text: Exception.__init__(self, text),
        "__str__": lambda self: str(self.args[0]),
        # Another process cannot find such a class by name; it unpickles the error of this package.
        "__reduce__": lambda self: (kind, (str(self),)),
        "__module__": kind.__module__,
    }
    try:
        return type(kind.__name__, (kind, original), namespace)
    except TypeError:  # some classes cannot be combined
        return kind
