"""Probes of a path: names in a folder and the first bytes of files, each read once."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from nwb_ophys.copies import copies_in
from nwb_ophys.errors import SourceError
from nwb_ophys.home import with_home
from nwb_ophys.listings import kept, listing_of
from nwb_ophys.outside import Reach, check_file, current_reach, is_special, leads_out, reach_of
from nwb_ophys.remote.paths import RemotePath, open_scattered
from nwb_ophys.remote.reading import names_in, sizes_in

Result = TypeVar("Result")
Item = TypeVar("Item")

_HEAD_BYTES = 65536
_ZARR = (".zgroup", ".zarray")
# Folders in which systems and network drives keep deleted files, thumbnails and older versions of
# recordings. They are not part of the folder that holds them.
_SYSTEM_FOLDERS = frozenset(
    (
        "$recycle.bin",
        "system volume information",
        "__macosx",
        "lost+found",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
    )
)
_FEW = 100
_NUMBER = re.compile(r"\d+")
_NUMBERS_AND_OTHERS = re.compile(r"(\d+)")
_MOST_DIGITS = 20
# Far faster than a regular expression.
_DIGITS_ALIKE = str.maketrans("123456789", "000000000")
_WITHOUT_DIGITS = str.maketrans("", "", "0123456789")


class PathProbe:
    """Contents of a path, shared by all formats that are asked whether they recognise it.

    A folder is listed once and the head of a file is read once, however many formats ask.

    Parameters
    ----------
    path : pathlib.Path
    reads_every_file : bool
        Whether formats read the headers of all files of a folder, instead of a sample.
    is_given : bool
        Whether the user gave the path; a search of a folder found it otherwise.
    reach : Reach, optional
        Folders to which links may lead; by default those of the recording that is read now, or
        else the path itself.

    Attributes
    ----------
    path : pathlib.Path
    reads_every_file, is_given : bool
    is_folder, is_file : bool
    """

    def __init__(
        self,
        path: Path,
        reads_every_file: bool = False,
        is_given: bool = True,
        reach: Reach | None = None,
    ) -> None:
        self.path = path
        self._reach = reach or current_reach()
        self.reads_every_file, self.is_given = reads_every_file, is_given
        self.is_folder = path.is_dir()
        self.is_file = path.is_file()
        self._read: dict[tuple[Callable[..., Any], Path], Any] = {}
        self._within: dict[str, PathProbe] = {}

    @classmethod
    def of(cls, path: Path | PathProbe) -> PathProbe:
        """Return a probe of a path; a probe is returned unchanged."""
        return path if isinstance(path, PathProbe) else cls(path)

    @cached_property
    def _entries(self) -> _Entries:
        """Entries of the folder, without pipes, devices, sockets and links that lead out."""
        if not self.is_folder:
            return _Entries("")
        if isinstance(self.path, RemotePath):
            return kept(_remote_entries, self.path, self._reach or reach_of([self.path]))
        self._reach = self._reach or reach_of([self.path])
        return kept(_entries_in, str(self.path), self._reach)

    @cached_property
    def _own_or_entries(self) -> _Entries:
        """The file itself, or the entries of the folder."""
        return _Entries("", frozenset((self.path.name,))) if self.is_file else self._entries

    @property
    def file_names(self) -> frozenset[str]:
        """Names of the files in the folder; empty if the path is a file."""
        return self._entries.files

    @property
    def copies(self) -> Mapping[str, str]:
        """Names of the files that are copies of others in the folder, with the names of these.

        They are not among the files of the folder.
        """
        return self._entries.copies

    @property
    def sizes(self) -> Mapping[str, int]:
        """Sizes in bytes of the files in the folder, by name; without files that have gone."""
        return self._entries.sizes

    @property
    def folder_names(self) -> frozenset[str]:
        """Names of the folders in the folder, without those of the system, such as its bin."""
        return self._entries.folders

    @property
    def is_zarr(self) -> bool:
        """Return whether the folder is a Zarr group or a Zarr array."""
        return "zarr.json" in self._entries.files or not self._entries.hidden.isdisjoint(_ZARR)

    @property
    def is_zarr_array(self) -> bool:
        """Return whether the folder may be a Zarr array: a Zarr folder but not a Zarr 2 group."""
        return self.is_zarr and ".zgroup" not in self._entries.hidden

    def files(self, *suffixes: str) -> list[Path]:
        """Return the file itself, or the files of the folder, that have one of the suffixes.

        Files are in natural order: ``frame_2`` comes before ``frame_10``.

        Parameters
        ----------
        *suffixes : str
            In lower case, such as ``.tif`` or ``.ome.tif``; upper-case names match as well.
        """
        return [self._path_of(name) for name in self.names(*suffixes)]

    def first_file(self, *suffixes: str) -> Path | None:
        """Return the first of the files that :meth:`files` returns, or None."""
        names = self.names(*suffixes)
        return self._path_of(names[0]) if names else None

    def _path_of(self, name: str) -> Path:
        return self.path if self.is_file else self.path / name

    def names(self, *suffixes: str) -> list[str]:
        """Return the names of the files that :meth:`files` returns; far faster than the files.

        Parameters
        ----------
        *suffixes : str
        """
        return self._own_or_entries.ending_with(suffixes)

    def folders(self) -> list[PathProbe]:
        """Return a probe of each subfolder, in natural order."""
        return [self.within(name) for name in in_natural_order(self.folder_names)]

    def within(self, name: str) -> PathProbe:
        """Return the probe of the file or subfolder of this name."""
        if name not in self._within:
            self._within[name] = PathProbe(
                self.path / name, self.reads_every_file, reach=self._reach
            )
        return self._within[name]

    def read_once(self, read: Callable[[Path], Result], path: Path | None = None) -> Result:
        """Return the result of a reading function, calling it only once per path.

        Parameters
        ----------
        read : callable
            Takes a path. Formats that need the same content share the same function.
        path : pathlib.Path, optional
            The probed path by default, or a file in the folder.
        """
        key = (read, self.path if path is None else path)
        if key not in self._read:
            self._read[key] = read(key[1])
        return self._read[key]  # type: ignore[no-any-return]

    def look_once(self, look: Callable[[PathProbe], Result]) -> Result:
        """Return the result of a function of this probe, calling it only once.

        Parameters
        ----------
        look : callable
            Formats that look for the same share the same function.
        """
        key = (look, self.path)
        if key not in self._read:
            self._read[key] = look(self)
        return self._read[key]  # type: ignore[no-any-return]

    def head(self, path: Path | None = None) -> bytes:
        """Return the first bytes, at most 64 kB, of the file or of a file in the folder.

        Returns no bytes if the file cannot be read.
        """
        return self.read_once(_head, path)


class _Entries:
    """Names of the entries of a folder, and what formats ask of them.

    Parameters
    ----------
    folder : str
    files, folders, hidden : frozenset of str
        Names of files, of folders and of hidden entries, which are not part of a recording.
    copies : mapping of str to str
        Names of copies of files, which are not among the files, with the names of these.
    """

    def __init__(
        self,
        folder: str,
        files: frozenset[str] = frozenset(),
        folders: frozenset[str] = frozenset(),
        hidden: frozenset[str] = frozenset(),
        copies: Mapping[str, str] | None = None,
    ) -> None:
        self._folder, self.copies = folder, copies or {}
        self.files, self.folders, self.hidden = files, folders, hidden
        self._names: dict[tuple[str, ...], list[str]] = {}

    def ending_with(self, suffixes: tuple[str, ...]) -> list[str]:
        """Return the names of the files with some endings, in natural order."""
        if suffixes not in self._names:
            lists = [own for suffix in suffixes if (own := self._ending_with(suffix))]
            found = lists[0] if len(lists) == 1 else set(itertools.chain.from_iterable(lists))
            self._names[suffixes] = in_natural_order(found)
        return self._names[suffixes]

    def _ending_with(self, suffix: str) -> list[str]:
        """Return the names with one suffix, in any order."""
        last = suffix[suffix.rfind(".") :] if "." in suffix else None
        if last is None:
            names = [name for own in self._by_ending.values() for name in own]
        else:
            names = self._by_ending.get(last, [])
        return names if suffix == last else [n for n in names if n.lower().endswith(suffix)]

    @cached_property
    def _by_ending(self) -> dict[str, list[str]]:
        """Names by all that follows their last dot, in lower case; a format asks for few of them.

        Listing them once keeps a folder of ten thousand files fast, however many formats ask.
        """
        stated: dict[str, list[str]] = {}
        for name in self.files:
            dot = name.rfind(".")
            stated.setdefault("" if dot < 0 else name[dot:], []).append(name)
        found: dict[str, list[str]] = {}
        for ending, names in stated.items():
            found.setdefault(ending.lower(), []).extend(names)
        return found

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Sizes in bytes of the files by name; without files that have gone."""
        found = {}
        files = self.files
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name in files:
                    try:
                        found[entry.name] = entry.stat().st_size
                    except OSError:
                        continue
        return found


def _entries_in(folder: str, reach: Reach) -> _Entries:
    """List a folder; one without permission counts as empty."""
    try:
        listing = listing_of(folder)
    except OSError:
        return _Entries(folder)
    files: list[str] = []
    folders: list[str] = []
    for entry in listing.others:
        if entry.name[0] != "." and not _is_left_out(entry, reach):
            (folders if _is_folder(entry) else files).append(entry.name)
    folders = [name for name in folders if name.lower() not in _SYSTEM_FOLDERS]
    visible = listing.visible_files
    copies = copies_in(folder, visible, reach.copies)
    return _Entries(
        folder,
        visible.difference(copies).union(files) if files or copies else visible,
        frozenset(folders),
        frozenset(name for name in listing.names if name[0] == "."),
        copies,
    )


def _is_left_out(entry: os.DirEntry[str], reach: Reach) -> bool:
    if not entry.is_symlink():
        return not (entry.is_file() or entry.is_dir())
    return is_special(entry.path) or leads_out(entry.path, reach)


def _remote_entries(folder: RemotePath, reach: Reach) -> _Entries:
    files, folders = names_in(folder)
    hidden = frozenset(name for name in files | folders if name.startswith("."))
    hidden |= {name for name in folders if name.lower() in _SYSTEM_FOLDERS}
    visible = files - hidden
    copies = copies_in(folder, visible, reach.copies)
    found = _Entries(str(folder), visible.difference(copies), folders - hidden, hidden, copies)
    found.sizes = {name: size for name, size in sizes_in(folder).items() if name in found.files}
    return found


def names_of(folder: Path) -> frozenset[str]:
    """Return the names of all entries of a folder, which is listed once.

    Parameters
    ----------
    folder : pathlib.Path
        On a disk, or in an object store.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    if isinstance(folder, RemotePath):
        return frozenset().union(*names_in(folder))
    return listing_of(folder).names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _head(path: Path) -> bytes:
    try:
        check_file(path)
        with open_scattered(path) as file:
            return file.read(_HEAD_BYTES)
    except (OSError, SourceError):
        return b""


def is_denied(path: Path) -> bool:
    """Return whether the permission to read a file, or the files of a folder, is missing.

    Object stores say so when they are read.
    """
    if isinstance(path, RemotePath):
        return False
    needed = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    return path.exists() and not os.access(path, needed)


def parent_of(folder: str) -> str:
    """Return the folder above another one, as ``..`` leads to it, by the shortest name.

    Parameters
    ----------
    folder : str
        Absolute path without ``..``.
    """
    return os.path.dirname(os.path.realpath(folder) if os.path.islink(folder) else folder)  # noqa: PTH120, PTH114


def plain_path(path: str | Path) -> Path:
    """Return an absolute path without ``..``, so that each path has one name in every folder.

    Parameters
    ----------
    path : path-like
        It may begin with ``~``, and need not exist.
    """
    absolute = with_home(Path(path)).absolute()
    place = absolute.anchor
    for part in absolute.parts[1:]:
        place = parent_of(place) if part == os.pardir else os.path.join(place, part)  # noqa: PTH118
    return Path(place)


def common_folder(paths: Sequence[Path]) -> Path:
    """Return the path that holds all others, or is one of them, on a disk or in a store.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        At least one; absolute.
    """
    root = paths[0]
    while root != root.parent and not all(path.is_relative_to(root) for path in paths):
        root = root.parent
    return root


def with_short_paths(text: str) -> str:
    """Return a text in which quoted paths below the current folder are relative to it."""
    try:
        here = Path.cwd()
    except OSError:  # the folder was deleted
        return text
    return text.replace(f"'{here}{os.sep}", "'")


def natural_order(name: str) -> tuple[str, str]:
    """Return a key that sorts ``frame_2`` before ``frame_10``, and ``frame`` before both."""
    # Padded to the same number of digits, numbers sort correctly as text.
    return _NUMBER.sub(_padded, name), name


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return names of files in the order of :func:`natural_order`.

    One search for the numbers of all names is several times as fast as one search per name.
    """
    unsorted = list(names)
    if len(set("\0".join(unsorted).translate(_DIGITS_ALIKE).split("\0"))) == 1:
        return sorted(unsorted)  # numbers of as many digits, at the same places
    pieces = _NUMBERS_AND_OTHERS.split("\0".join(unsorted))  # no name contains a zero byte
    pieces[1::2] = [number.zfill(_MOST_DIGITS) for number in pieces[1::2]]
    padded = "".join(pieces).split("\0")
    return [name for _, name in sorted(zip(padded, unsorted, strict=True))] if unsorted else []


def without_digits(name: str) -> str:
    """Return a name without its digits, which is the same for all files of a series."""
    return name.translate(_WITHOUT_DIGITS)


def _padded(number: re.Match[str]) -> str:
    return number[0].zfill(_MOST_DIGITS)


def sample_of_many(
    places: Sequence[tuple[str, str]], items: Sequence[Item], most: int = _FEW
) -> list[Item]:
    """Return all items, or a sample of ``most`` of them that covers as many series as possible.

    Files in a folder whose names differ only in their numbers are a series. The sample takes the
    first file of each series, then the last of each, then the others in order.

    Parameters
    ----------
    places : sequence of (str, str)
        Folder and name of each item.
    items : sequence
    most : int
        Largest number of items to return.
    """
    if len(items) <= most:
        return list(items)
    keys = [f"{folder}\0{without_digits(name)}" for folder, name in places]
    return _sample(keys, items, most)


def sample_of_names(names: Sequence[str], most: int) -> list[str]:
    """Return a sample of the names of files of one folder, as :func:`sample_of_many` does.

    If all names are of one series, the first and the last are returned.
    """
    if len(names) <= most:
        return list(names)
    keys = without_digits("\0".join(names)).split("\0")
    if len(set(keys)) == 1:
        return [names[0], names[-1]]
    return _sample(keys, names, most)


def _sample(keys: Sequence[str], items: Sequence[Item], most: int) -> list[Item]:
    """Return a sample of items; those with equal keys are a series."""
    series: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        series.setdefault(key, []).append(index)
    ordered = [[own[0], *own[:0:-1][:1], *own[1:-1]][:most] for own in series.values()]
    turns = itertools.zip_longest(*ordered)
    taken = [index for turn in turns for index in turn if index is not None][:most]
    return [items[index] for index in sorted(taken)]
