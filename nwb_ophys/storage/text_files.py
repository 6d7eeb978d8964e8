"""Text files: documents and pages that appear under their name when they are whole."""

from __future__ import annotations

import codecs
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from nwb_ophys.errors import NwbOphysError, OutputError, OutputExistsError
from nwb_ophys.outside import check_output
from nwb_ophys.storage.atomic import rename_new
from nwb_ophys.storage.disk_errors import output_error

_BEGINNING = 1 << 16


def is_text(path: Path) -> bool:
    """Return whether a file begins as a text in UTF-8; an empty file does.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    beginning = beginning_of(path)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return b"\0" not in beginning


def beginning_of(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def not_text(path: str | Path) -> OutputError:
    """Return the error for a file of data that is given as the place of a text."""
    return OutputError(f"'{path}' is not a text file. It is left as it is; choose another name.")


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text file; a former file stays until the new one is whole.

    Raises
    ------
    OutputExistsError
        If the file exists and ``overwrite`` is False.
    OutputError
        If the file cannot be written, or what is there is not a text file.
    """
    path = Path(path)
    place = path.resolve()
    partial = place.with_name(f".{place.name[:40]}.{uuid.uuid4().hex[:8]}.partial")
    try:
        check_output(path)
        if path.is_dir():
            raise OutputError(
                f"'{path}' is a folder; give the name of a file, such as metadata.yaml."
            )
        if path.exists() and not overwrite:
            raise FileExistsError
        if path.exists() and not is_text(path):  # a recording, perhaps
            raise not_text(path)
        partial.write_text(text, encoding="utf-8")
        if not overwrite:
            rename_new(partial, place)
        else:
            if place.exists():
                shutil.copymode(place, partial)
            partial.replace(place)
    except FileExistsError as error:  # perhaps made by another process meanwhile
        raise OutputExistsError(
            f"'{path}' already exists; use overwrite=True to replace it."
        ) from error
    except OSError as error:
        if isinstance(error, NwbOphysError):
            raise
        raise output_error(error, path, partial) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
