"""Errors that nwb_ophys raises: what is wrong, where, what is allowed, the next step.

Each one is for the user to resolve and is not a bug: the command line prints it in a line or two
and exits with 2. Each is also an instance of the builtin that a Python programmer would expect::

    NwbOphysError
    ├── ArgumentError (AssertionError)          a wrong choice given to a function of ``tools``
    ├── OptionError (TypeError)                 an unknown or ill-typed conversion option
    ├── MetadataError (ValueError)              metadata of a wrong shape, type, key or link
    ├── SourceError (ValueError)                the source cannot be read as described
    │   ├── SourceArgumentError (TypeError)     an unknown, missing or ill-typed source argument
    │   ├── SourceNotFoundError (FileNotFoundError)
    │   ├── OutsideFolderError                  a file outside of the recording's folder
    │   ├── SpecialFileError                    a named pipe, a socket or a device
    │   └── CorruptSourceError                  truncated, damaged or not of the stated format
    │       └── UnsafePickleError               a pickle of more than plain data
    ├── UnknownFormatError (ValueError)         no such format, or no format recognises the path
    ├── SpecificationError (ValueError)         a batch specification or one of its tables is wrong
    ├── MissingPackageError (ImportError)       an optional package is absent; names the pip install
    ├── OutputExistsError (FileExistsError)     the target exists, without overwrite or append
    ├── OutputError (OSError)                   the target cannot be written or appended to
    │   ├── OutputBusyError (BlockingIOError)   another process or thread is writing the target
    │   └── DiskError                           the disk refuses it: full, read-only, faulty …
    └── MemoryLimitError (MemoryError)          the data do not fit into the memory available
"""

from __future__ import annotations

import errno
import os
import pathlib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class NwbOphysError(Exception):
    """Base class of all errors raised on purpose by this package."""

    def __reduce__(self) -> tuple[object, ...]:
        """Return a call of the class; Dask makes errors without it, which some classes refuse."""
        return type(self), self.args, vars(self) or None


def _in_words(subject: str, faults: tuple[object, ...]) -> str:
    """Return the message of one fault, or the list of several."""
    if len(faults) < 2:
        return "".join(map(str, faults))
    lines = [f"- {fault}" for fault in faults]
    return "\n".join([f"The {subject} has {len(lines)} errors:", *lines])


class ArgumentError(NwbOphysError, AssertionError):
    """A choice that a function does not offer; the message lists the choices it offers."""


class OptionError(NwbOphysError, TypeError):
    """An unknown or ill-typed conversion option; the message names the allowed ones."""


class MetadataError(NwbOphysError, ValueError):
    """Metadata of a wrong shape, type, key or link; the message gives the path of the key.

    Parameters
    ----------
    *faults : str
        A sentence for each fault. The message of several faults is a list of them.
    """

    def __str__(self) -> str:
        return _in_words("metadata", self.args)


class SourceError(NwbOphysError, ValueError):
    """A source that cannot be read as described; the message gives its path."""


class SourceArgumentError(SourceError, TypeError):
    """An unknown, missing or ill-typed source argument; the message names the allowed ones."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """A file or folder that does not exist."""


def not_found(path: object) -> SourceNotFoundError:
    """Return the error for a path at which nothing is, with what is probably wrong with it.

    Parameters
    ----------
    path : path-like
    """
    return SourceNotFoundError(f"'{path}' {absence(path)}.")


def absence(path: object) -> str:
    """Return what is to be said of a path at which nothing is, after its name.

    Parameters
    ----------
    path : path-like
    """
    text = str(path)
    step = "check the path"
    link = _broken_link(text)
    if link is not None:
        return link
    if text[:1] in _QUOTES or text[-1:] in _QUOTES:
        step = "leave out the quotes, which are part of the path here"
    elif text != text.strip():
        step = "leave out the space at the beginning or the end of the path"
    elif os.sep == "/" and _WINDOWS_PATH.match(text):
        step = "it is a path of Windows, whose drive C: is /mnt/c in WSL; check the path"
    return f"does not exist; {step}"


def _broken_link(text: str) -> str | None:
    """Return what is wrong with a link at a path, or at one of the folders around it."""
    for place in (pathlib.Path(text), *pathlib.Path(text).parents):
        if not os.path.islink(place):  # noqa: PTH114  # pathlib raises for a name that is too long
            continue
        try:
            place.stat()
        except OSError as error:
            own = "is" if str(place) == text else f"does not exist: '{place}' is"
            if error.errno == errno.ELOOP:
                return f"{own} a link that leads in a circle; replace it by the file or folder"
            if error.errno != errno.ENOENT:  # it may be there
                return None
            target = place.readlink()
            if _ANNEX in str(target):
                return (
                    f"{own} a link of DataLad or git-annex to a content that is not on this "
                    "computer; get it first, with 'datalad get' or 'git annex get'"
                )
            step = "correct the link, or give the file or folder itself"
            return f"{own} a link to '{target}', which does not exist; {step}"
    return None


_ANNEX = f"annex{os.sep}objects{os.sep}"
_QUOTES = ("'", '"', "\u2018", "\u2019", "\u201c", "\u201d")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


class OutsideFolderError(SourceError):
    """A file that a recording names or links to, and that lies outside of its folder."""


class SpecialFileError(SourceError):
    """A named pipe, a socket or a device, which is never opened."""


class CorruptSourceError(SourceError):
    """A file that is truncated, damaged or not of the format it was opened as."""


class UnsafePickleError(CorruptSourceError):
    """A pickle of more than plain data, which could run code or fill the memory."""


class UnknownFormatError(NwbOphysError, ValueError):
    """A format name that does not exist, or a path that no format recognises."""


class SpecificationError(NwbOphysError, ValueError):
    """A batch specification, or a table that it names, that is wrong; the message names the key.

    Parameters
    ----------
    *faults : str
        A sentence for each fault. The message of several faults is a list of them.
    """

    def __str__(self) -> str:
        return _in_words("specification", self.args)


class MissingPackageError(NwbOphysError, ImportError):
    """An optional package that is not installed; the message names the ``pip install``."""


class OutputExistsError(NwbOphysError, FileExistsError):
    """A target that exists already, without ``overwrite`` or ``append``."""


class OutputError(NwbOphysError, OSError):
    """A target that cannot be written or appended to."""


class OutputBusyError(OutputError, BlockingIOError):
    """A target that another process or thread is writing; the message names it, as does ``by``."""

    by = "another process."


class DiskError(OutputError):
    """A target that the disk refuses: it is full, read-only, faulty or over a quota.

    ``errno`` and ``strerror`` are number and words of the system's error.

    Parameters
    ----------
    message : str
    number : int
    words : str
    """

    def __init__(self, message: str, number: int, words: str) -> None:
        super().__init__(message)
        self.errno, self.strerror = number, words

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return OutputError, (str(self),)


class MemoryLimitError(NwbOphysError, MemoryError):
    """Data that do not fit into the memory available; the message gives both sizes."""


def shown_size(num_bytes: float) -> str:
    """Return a number of bytes for messages.

    Parameters
    ----------
    num_bytes : float
    """
    if num_bytes < 1e5:
        return f"{num_bytes:,.0f} bytes"
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:,.1f} GB"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 frame`` or ``2 frames``.

    Parameters
    ----------
    number : int
    noun : str
        In the singular; its plural ends in s.
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def aligned(rows: list[tuple[str, ...]]) -> str:
    """Return a table as lines whose columns are aligned; the last column has any width.

    Parameters
    ----------
    rows : list of tuple of str
        All of one length.
    """
    shown_rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown_rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in shown_rows
    )


_MOST_SHOWN = 120
# Of errors of other packages, and of the last cause that one states.
_LONGEST_REASON, _LONGEST_CAUSE = 400, 300


def shown(value: object) -> str:
    """Return a value as Python would write it, for messages; a long one is shortened.

    Parameters
    ----------
    value : object
    """
    try:
        # The representation of a text of NumPy names its type.
        text = repr(str(value) if isinstance(value, str) else value)
    except ValueError:
        text = "an integer of thousands of digits"
    text = " ".join(text.split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 2]}…{text[-1]}"


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """Return a text with the code in place of each character that no terminal should receive.

    These are control characters, marks that change the direction of writing, other characters
    without a glyph, line separators, and bytes of a file name that are not UTF-8.

    Parameters
    ----------
    text : str
        A text that may come from a file, or the name of one.
    """
    if text.isprintable():
        return text
    return "".join(each if _has_glyph(each) else _escape(each) for each in text)


def _has_glyph(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name, as Python's surrogateescape has it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return _ESCAPES.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_sentence(error: object) -> str:
    """Return the message of an error, with one full stop at its end.

    Errors of other packages become one line of limited length: they may repeat damaged text.

    Parameters
    ----------
    error : BaseException or str
        Error of any package, or its message, which may or may not end with a stop.
    """
    text = str(error)
    if isinstance(error, KeyError) and not isinstance(error, NwbOphysError):
        text = f"there is no {text}"
    if isinstance(error, BaseException) and not isinstance(error, NwbOphysError):
        text = " ".join(text.split()) or type(error).__name__
        text = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
    return f"{text.rstrip('.')}."


def first_of(texts: Sequence[object], most: int, separator: str = ", ") -> str:
    """Return the first of some texts, and how many more there are.

    Parameters
    ----------
    texts : sequence of object
        Texts, or objects whose text is their representation for users.
    most : int
        Largest number of texts that are shown.
    separator : str
    """
    shown_texts = separator.join(map(str, texts[:most]))
    return shown_texts if len(texts) <= most else f"{shown_texts} and {len(texts) - most} more"


def first_named(names: Sequence[str], most: int) -> str:
    """Return names in quotes, and how many more there are.

    Parameters
    ----------
    names : sequence of str
    most : int
        Largest number of names that are shown.
    """
    return first_of([f"'{name}'" for name in names], most)


LOCKED = "it is open for writing in another program; close it there, and run this again"
"""Reason for which a file cannot be opened while a program writes it."""


def is_locked(error: BaseException) -> bool:
    """Return whether an error says that another program has a file open for writing."""
    return isinstance(error, BlockingIOError) and "unable to lock file" in str(error)


def is_without_locks(error: BaseException) -> bool:
    """Return whether HDF5 refuses a file that the file system cannot lock, and nobody writes."""
    is_of_lock = isinstance(error, OSError) and "unable to lock file" in str(error)
    return is_of_lock and not is_locked(error)


# What hdmf says of a file with objects of a namespace that it does not know.
_NO_SCHEMA = re.compile(r"'([\w.-]+)' not a namespace")


def last_reason(error: BaseException) -> str:
    """Return the last cause that another package states, without all that it writes of its objects.

    Parameters
    ----------
    error : BaseException
        Error of a reader of NWB files, whose message may hold a whole table.

    Returns
    -------
    str
        In one line of at most 300 characters, with one full stop at its end.
    """
    if is_locked(error):
        return f"{LOCKED[0].upper()}{LOCKED[1:]}."
    if namespace := _NO_SCHEMA.search(str(error)):
        return (
            f"It uses the extension '{namespace[1]}', whose schema is not in the file. Write the "
            "file again with pynwb in Python, after the import of the package of the extension; "
            "that adds the schema."
        )
    if isinstance(error, UnicodeDecodeError):
        return f"{error.object[:60]!r} in it is not a text in {error.encoding.upper()}."
    stated = error.args[-1] if len(error.args) > 1 and not isinstance(error, OSError) else None
    message = stated if isinstance(stated, str) else error
    place = getattr(error.args[0], "path", "") if message is stated else ""
    where = f"{str(place).removeprefix('root/')}: " if place else ""
    sentence = as_sentence(str(message) or type(error).__name__)
    text = where + " ".join(sentence.rpartition("due to: ")[2].split())
    return text if len(text) <= _LONGEST_CAUSE else f"{text[: _LONGEST_CAUSE - 2]}…."


def error_within(error: BaseException) -> NwbOphysError | None:
    """Return the error of this package that another package caught and replaced by its own.

    Parameters
    ----------
    error : BaseException
        Error of any package.

    Returns
    -------
    NwbOphysError or None
        The first one among its causes.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, NwbOphysError):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None
