"""Checks of source files, with one wording of their messages for all formats."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

from nwb_ophys.documents import DocumentError, read_limited
from nwb_ophys.errors import (
    CorruptSourceError,
    SourceError,
    SourceNotFoundError,
    absence,
    as_sentence,
    first_named,
)
from nwb_ophys.outside import check_file, is_ordinary_file

COPY_AGAIN = "copy it again from where it was recorded"
_MOST_NAMED = 5


def require_file(
    path: Path, kind: str, folder_error: type[SourceError] = SourceNotFoundError
) -> None:
    """Raise unless a path is a file.

    Parameters
    ----------
    path : pathlib.Path
    kind : str
        The expected file with its article, such as ``"a TIFF file"``.
    folder_error : type
        Error to raise if the path is a folder.

    Raises
    ------
    SourceNotFoundError
        If nothing is at the path.
    """
    if is_ordinary_file(path):
        return
    if path.is_dir():
        raise folder_error(f"'{path}' is a folder; give {kind}.")
    check_file(path)
    if not path.is_file():
        raise SourceNotFoundError(f"'{path}' {absence(path)}. It must be {kind}.")


def unreadable_file(path: Path, kind: str, error: object) -> CorruptSourceError:
    """Return the error for a file that a library could not read.

    Parameters
    ----------
    path : pathlib.Path
    kind : str
        The expected file with its article, such as ``"a MATLAB file"``.
    error : object
        The error of the library, or its message.
    """
    # HDF5 refuses a file that is shorter than its header states.
    no_part = " No part of an HDF5 file can be read without its end." * (
        "truncated file" in str(error)
    )
    return CorruptSourceError(
        f"'{path}' cannot be read as {kind}: {as_sentence(error)} It may be truncated or damaged; "
        f"{COPY_AGAIN}.{no_part}"
    )


def misplaced_file(path: Path, other: str | None) -> CorruptSourceError:
    """Return the error for a file whose OME-XML states that it is another one of its recording.

    Parameters
    ----------
    path : pathlib.Path
    other : str or None
        Name of the other file; None if it is unknown.
    """
    return CorruptSourceError(
        f"'{path}' contains the images of {repr(other) if other else 'another file'} of the "
        "recording, as its OME-XML states: files were swapped, renamed or copied over each other. "
        f"Give them back their names, or {COPY_AGAIN}."
    )


def read_small_file(path: Path, kind: str, max_bytes: int) -> bytes:
    """Return the bytes of a file that is read as a whole.

    Parameters
    ----------
    path : pathlib.Path
    kind : str
        The expected file with its article, such as ``"an index of NDTiff"``.
    max_bytes : int
        Largest size of such a file.

    Raises
    ------
    CorruptSourceError
        When the file is larger.
    """
    try:
        return read_limited(path, max_bytes)
    except DocumentError as error:
        raise unreadable_file(path, kind, error) from None


def closed_file(path: Path) -> SourceError:
    """Return the error for reading from a file after it was closed."""
    return SourceError(f"'{path}' was closed; open it again to read it.")


def check_not_shortened(
    path: Path, num_bytes: int, error: type[SourceError] = CorruptSourceError
) -> None:
    """Raise if a file has become shorter than it was when it was opened.

    Reading beyond the end of a memory-mapped file would kill the process instead of raising.

    Parameters
    ----------
    path : pathlib.Path
    num_bytes : int
        Size that the file must still have.
    error : type
        Error to raise.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size < num_bytes:
        raise error(
            f"'{path}' has become shorter since it was opened: it has {size} bytes instead of "
            f"{num_bytes}. Do not change a recording while it is converted."
        )


def warn_of_absent(path: Path, names: Sequence[str], program: str, *, stacklevel: int = 2) -> None:
    """Warn of parts that a program normally writes, and that a file or folder lacks.

    Parameters
    ----------
    path : pathlib.Path
    names : sequence of str
        The absent parts; no warning without any.
    program : str
    stacklevel : int
        As for :func:`warnings.warn`, seen from the caller.
    """
    if names:
        them, they_were = ("it", "it was") if len(names) == 1 else ("them", "they were")
        warnings.warn(
            f"'{path}' has no {', no '.join(names)}, which {program} normally writes; the "
            f"conversion goes on without {them}. If {they_were} lost, copy the output of "
            f"{program} again.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def warn_of_others(path: Path, names: Sequence[str], program: str, *, stacklevel: int = 2) -> None:
    """Warn of values in the output of a program that are not read, such as those that users added.

    Parameters
    ----------
    path : pathlib.Path
    names : sequence of str
        The values; no warning without any.
    program : str
    stacklevel : int
        As for :func:`warnings.warn`, seen from the caller.
    """
    if names:
        verb = "is" if len(names) == 1 else "are"
        warnings.warn(
            f"'{path}' also has {first_named(names, _MOST_NAMED)}, which {verb} not read from the "
            f"output of {program} and {verb} left out.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def is_of_rois(shape: Sequence[int], num_rois: int, field: Sequence[int]) -> bool:
    """Return whether an array has values of ROIs or of pixels, so that it is more than a setting.

    Parameters
    ----------
    shape : sequence of int
    num_rois : int
    field : sequence of int
        (rows, columns[, planes]).
    """
    sizes = tuple(int(size) for size in shape)
    if math.prod(sizes) < 2:
        return False
    of_pixels = sizes[: len(field)] == tuple(field) or math.prod(field) in sizes
    return num_rois in sizes or of_pixels
