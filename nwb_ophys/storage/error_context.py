"""What went wrong while a dataset was filled, told with the dataset, the frames and the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nwb_ophys.errors import NwbOphysError, OutputError, SourceError
from nwb_ophys.storage.grid import Selection
from nwb_ophys.storage.planning import PlannedDataset


@contextmanager
def while_reading(planned: PlannedDataset, bounds: Selection) -> Iterator[None]:
    """Tell of an error in a reader where it arose.

    Raises
    ------
    SourceError
        Which is also of the class it had; an error of ours keeps its own.
    """
    try:
        yield
    except Exception as error:
        raise _told(
            error, f"reading {planned.source.label} failed", planned, bounds, SourceError
        ) from error


@contextmanager
def while_writing(planned: PlannedDataset, bounds: Selection) -> Iterator[None]:
    """Tell of an error in an encoder or of the disk where it arose.

    Raises
    ------
    OutputError
        Which is also of the class it had; an error of ours keeps its own.
    """
    try:
        yield
    except Exception as error:
        what = f"storing what was read from {planned.source.label} failed"
        raise _told(error, what, planned, bounds, OutputError) from error


def _told(
    error: Exception,
    what: str,
    planned: PlannedDataset,
    bounds: Selection,
    kind: type[NwbOphysError],
) -> Exception:
    first = bounds[0]
    where = f"'{planned.location}', frames {first.start} to {first.stop - 1}"
    is_ours = isinstance(error, NwbOphysError)
    reason = str(error) if is_ours else f"{type(error).__name__}: {error}".removesuffix(": ")
    told = _class_of(kind, type(error))(f"{where}: {what}: {reason}")
    for name in ("errno", "strerror", "filename"):  # by which a full disk is told
        if isinstance(error, OSError) and isinstance(told, OSError):
            setattr(told, name, getattr(error, name))
    return told


def _class_of(kind: type[NwbOphysError], original: type[Exception]) -> type[Exception]:
    """Return a class that is caught as an error of ours and as what the source raised."""
    if issubclass(original, NwbOphysError):
        return original
    if issubclass(original, StopIteration):  # an iterator on the way would take it for its end
        return kind
    namespace = {
        "__init__": lambda self, text: Exception.__init__(self, text),
        "__str__": lambda self: str(self.args[0]),
        # Such a class cannot be found by name in another process; that of ours can.
        "__reduce__": lambda self: (kind, (str(self),)),
        "__module__": kind.__module__,
    }
    try:
        return type(kind.__name__, (kind, original), namespace)
    except TypeError:  # some classes cannot be combined
        return kind
