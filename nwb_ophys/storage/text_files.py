"""Text files: documents and pages that appear under their name when they are whole."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from nwb_ophys.errors import NwbOphysError, OutputError, OutputExistsError
from nwb_ophys.outside import check_output
from nwb_ophys.storage.atomic import rename_new
from nwb_ophys.storage.disk_errors import output_error


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text file; a former file stays until the new one is whole.

    Raises
    ------
    OutputExistsError
        If the file exists and ``overwrite`` is False.
    OutputError
        If the file cannot be written.
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
