"""Text files: documents and pages that appear under their name when they are whole."""

from __future__ import annotations

import codecs
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

from nwb_ophys.errors import NwbOphysError, OutputError, OutputExistsError
from nwb_ophys.outside import check_output
from nwb_ophys.storage.atomic import rename_new
from nwb_ophys.storage.copying import keep_mode
from nwb_ophys.storage.disk_errors import output_error
from nwb_ophys.storage.read_only import check_changeable, check_not_annexed

_BEGINNING = 1 << 16


@attrs.frozen
class TextKind:
    """A kind of text that this package writes, and may therefore replace.

    The headers of many programs for acquisition are texts, too. So a text is only replaced when its
    content shows that it is of the same kind.

    Attributes
    ----------
    name : str
        What it is, for messages.
    recognises : callable
        Returns whether the first bytes of a file (up to 64 KiB) are such a text.
    suffixes : tuple of str
        Ends of names that no header of a recording has; a text with one of them is of this kind.
    """

    name: str
    recognises: Callable[[bytes], bool]
    suffixes: tuple[str, ...] = ()


def kind_with(name: str, pattern: str, *suffixes: str) -> TextKind:
    """Return the kind of text in which a pattern occurs.

    Parameters
    ----------
    name : str
    pattern : str
        A regular expression, in which ``^`` is the start of a line.
    *suffixes : str
        See :class:`TextKind`.
    """
    found = re.compile(pattern.encode(), re.MULTILINE)
    return TextKind(name, lambda text: found.search(text) is not None, suffixes)


def is_of_kind(path: str | Path, kind: TextKind) -> bool:
    """Return whether a file is empty, or a text of a kind.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    place = Path(path)
    with place.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if not beginning:
        return True
    is_known = place.suffix.lower() in kind.suffixes or kind.recognises(beginning)
    return is_known and _is_text(beginning)


def check_replaceable(path: str | Path, kind: TextKind) -> None:
    """Check that a file is empty or a text of a kind, so that nothing else is lost.

    Raises
    ------
    OutputError
        If it is anything else, such as a file of a recording, or is read-only.
    OSError
        If it cannot be read.
    """
    if not is_of_kind(path, kind):
        raise OutputError(f"'{path}' is not {kind.name}. It is left as it is; choose another name.")
    check_changeable(Path(path))


def _is_text(beginning: bytes) -> bool:
    """Return whether the first bytes of a file are a text in UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return b"\0" not in beginning


def write_text(path: str | Path, text: str, *, replaces: TextKind | None = None) -> None:
    """Write a text file; a former file stays until the new one is whole.

    Parameters
    ----------
    path : path-like
    text : str
    replaces : TextKind, optional
        Kind of text that may be replaced; without it, no existing file is.

    Raises
    ------
    OutputExistsError
        If the file exists and nothing may be replaced.
    OutputError
        If the file cannot be written, or what is there is read-only or not of the kind that may
        be replaced.
    """
    path = Path(path)
    place = path.resolve()
    partial = place.with_name(f".{place.name[:40]}.{uuid.uuid4().hex[:8]}.partial")
    try:
        check_output(path)
        check_not_annexed(path)
        if path.is_dir():
            raise OutputError(
                f"'{path}' is a folder; give the name of a file, such as metadata.yaml."
            )
        if path.exists():
            if replaces is None:
                raise FileExistsError
            check_replaceable(path, replaces)
        partial.write_text(text, encoding="utf-8")
        if replaces is None:
            rename_new(partial, place)
        else:
            if place.exists():
                keep_mode(place, partial)
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
