"""Folders below which the page reads and writes, and checks of paths that a browser sends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import attrs

from nwb_ophys.errors import SourceError, SourceNotFoundError, not_found, printable
from nwb_ophys.home import with_home

_MOST_ENTRIES = 2000
_MOST_CHARACTERS = 4096
_CODES = re.compile("(?:%[0-9A-F]{2})+")


def as_identifier(path: Path) -> str:
    """Return a path as text; ``%`` begins the code of a byte that is no printable text, and of %.

    Parameters
    ----------
    path : pathlib.Path
    """
    return "".join(
        each if each.isprintable() and each != "%" else _coded(each) for each in str(path)
    )


def _coded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in os.fsencode(character))


def _decoded(text: str) -> str:
    """Return the path of an identifier; codes that no identifier has are the text of a user."""

    def decode(match: re.Match[str]) -> str:
        part = os.fsdecode(unquote_to_bytes(match[0]))
        return part if as_identifier(Path(part)) == match[0] else match[0]

    return _CODES.sub(decode, text)


@attrs.frozen(kw_only=True)
class Entry:
    """A file or folder in a listing.

    Attributes
    ----------
    name : str
        Its name, with codes in place of characters that have no glyph.
    identifier : str
        Its path, see :func:`as_identifier`.
    is_folder : bool
    """

    name: str
    identifier: str
    is_folder: bool


@attrs.frozen(kw_only=True)
class Listing:
    """The files and folders in a folder.

    Attributes
    ----------
    folder : pathlib.Path
    above : pathlib.Path or None
        The folder that holds it, if that is allowed.
    entries : tuple of Entry
        Folders first; hidden ones are left out.
    num_left_out : int
        Number of entries beyond the first two thousand.
    """

    folder: Path
    above: Path | None
    entries: tuple[Entry, ...]
    num_left_out: int


@attrs.frozen
class Roots:
    """Folders below which files may be read and written, with links resolved.

    Attributes
    ----------
    folders : tuple of pathlib.Path
        The first one is where browsing begins.
    """

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Iterable[Path]) -> Roots:
        """Return the roots of given folders.

        Raises
        ------
        SourceNotFoundError
            If one of them is not a folder.
        """
        found = [Path(os.path.realpath(with_home(folder))) for folder in folders]
        for folder in found:
            if not folder.is_dir():
                raise SourceNotFoundError(f"'{folder}' is not a folder; give one that exists.")
        return cls(tuple(dict.fromkeys(found)))

    def holds(self, path: Path) -> bool:
        """Return whether a path lies in one of the folders when its links are resolved."""
        real = Path(os.path.realpath(path))
        return any(real == folder or folder in real.parents for folder in self.folders)

    def path_of(self, text: str) -> Path:
        """Return the path that an identifier or a typed text names; it need not exist.

        Parameters
        ----------
        text : str
            A whole path; ``%`` begins the code of a byte if :func:`as_identifier` made the text.

        Raises
        ------
        SourceError
            If it is no path, or lies outside of the folders when links are resolved.
        """
        return self.checked(_decoded(text))

    def checked(self, text: str) -> Path:
        """Return the path that a text is, without codes; it need not exist.

        Parameters
        ----------
        text : str
            A path; a relative one begins in the first folder.

        Raises
        ------
        SourceError
            If it is no path, or lies outside of the folders when links are resolved.
        """
        if not text or "\0" in text or len(text) > _MOST_CHARACTERS:
            raise SourceError("The path is empty, too long or has a NUL; give the path of a file.")
        try:
            path = self.folders[0] / with_home(Path(text))
        except RuntimeError as error:  # ~name of nobody
            raise SourceError(
                f"'{printable(text)}' names the home folder of an unknown user; give a whole path."
            ) from error
        real = Path(os.path.realpath(path))
        if not self.holds(real):
            allowed = ", ".join(f"'{printable(str(folder))}'" for folder in self.folders)
            raise SourceError(
                f"'{printable(str(path))}' lies outside of the folders of this page: {allowed}. "
                "Start 'nwb-ophys gui' with --root FOLDER to allow another one."
            )
        return real

    def existing(self, text: str) -> Path:
        """Return the path that a text names.

        Raises
        ------
        SourceError, SourceNotFoundError
            If it lies outside, or does not exist.
        """
        path = self.path_of(text)
        try:
            path.stat()
        except FileNotFoundError as error:
            name = printable(str(path))
            raise not_found(name) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        return path

    def listing(self, folder: Path) -> Listing:
        """Return the files and folders in a folder that lies in the roots.

        Raises
        ------
        SourceError
            If the folder cannot be read.
        """
        try:
            with os.scandir(folder) as found:
                named = [each for each in found if not each.name.startswith(".")]
        except OSError as error:
            raise _unreadable(folder, error) from error
        kept = [(not each.is_dir(), each.name) for each in named if self._is_shown(each)]
        shown = [
            Entry(
                name=printable(name),
                identifier=as_identifier(folder / name),
                is_folder=not is_file,
            )
            for is_file, name in sorted(kept)[:_MOST_ENTRIES]
        ]
        above = folder.parent if folder.parent != folder and self.holds(folder.parent) else None
        return Listing(
            folder=folder,
            above=above,
            entries=tuple(shown),
            num_left_out=len(kept) - len(shown),
        )

    def _is_shown(self, entry: os.DirEntry[str]) -> bool:
        """Return whether an entry is a file or folder that the page may open."""
        try:
            is_plain = entry.is_file() or entry.is_dir()
        except OSError:  # a link to itself, or to a disk that is gone
            return False
        return is_plain and (not entry.is_symlink() or self.holds(Path(entry.path)))


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"'{printable(str(path))}' cannot be read: {error.strerror or error}.")
