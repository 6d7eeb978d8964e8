"""Folders in which the files of a recording may lie, and kinds of files that are never opened.

A recording may come from anybody. Its files name other files, and its folder may hold links, so
each file that is opened is checked here: a pipe, a device or a socket is refused, because opening
it may wait forever, and so is a file outside of the recording's folder that the user did not allow.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import attrs

from nwb_ophys.copies import is_named_as_copy
from nwb_ophys.errors import OutputError, OutsideFolderError, SpecialFileError
from nwb_ophys.home import with_home
from nwb_ophys.listings import listing_of
from nwb_ophys.remote.paths import as_path
from nwb_ophys.shell_words import quoted

Result = TypeVar("Result")

_IS_WINDOWS = os.name == "nt"
_NOT_ON_WINDOWS = '<>:"/\\|?*'
_DEVICES = re.compile(r"CON|PRN|AUX|NUL|(?:COM|LPT)[1-9\u00b9\u00b2\u00b3]|CONIN\$|CONOUT\$")
_KINDS = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_STORE = (".zgroup", ".zarray", "zarr.json")
# Levels of subfolders of a recording in which links are looked for.
_DEPTH = 3


@attrs.frozen
class Reach:
    """Folders in which the files of a recording may lie.

    Attributes
    ----------
    folders : tuple of str
        Folders of the given paths, links resolved.
    allowed : tuple of str
        Further folders that the user allowed, links resolved.
    copies : tuple of str
        Given files with names of copies, which the user wants to be read.
    """

    folders: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()

    def holds(self, path: str | Path) -> bool:
        """Return whether a file lies in one of the folders, links resolved."""
        real = os.path.realpath(path)
        if any(_is_within(real, folder) for folder in (*self.folders, *self.allowed)):
            return True
        home = _annex_home(real)
        return home is not None and any(_is_within(folder, home) for folder in self.folders)


_REACH: ContextVar[Reach | None] = ContextVar("reach", default=None)


def current_reach() -> Reach | None:
    """Return the folders of the recording that is read now; None outside of a recording."""
    return _REACH.get()


def reach_of(paths: Iterable[str | Path]) -> Reach:
    """Return the folders of given paths, and no others."""
    given = list(map(as_path, paths))
    return Reach(tuple(dict.fromkeys(_folders_of_all(given))), copies=_copies_of(given))


@contextmanager
def reading_from(
    paths: Iterable[str | Path], allow_outside: Iterable[str | Path] = ()
) -> Iterator[Reach]:
    """Refuse, within the block, files that lie outside of the folders of some paths.

    Parameters
    ----------
    paths : iterable of path-like
        Files and folders of a recording. Paths that the user gave may be links themselves. In a
        block within another one they were found, so that they must lie in its folders.
    allow_outside : iterable of path-like
        Further folders in which files may lie.
    """
    outer, given = _REACH.get(), [as_path(path) for path in paths]
    if outer is not None:
        for path in given:
            check_file(path)
    folders = _folders_of_all(given)
    allowed = (os.path.realpath(with_home(Path(folder))) for folder in allow_outside)
    before = outer or Reach(())
    reach = Reach(
        tuple(dict.fromkeys((*before.folders, *folders))),
        tuple(dict.fromkeys((*before.allowed, *allowed))),
        tuple(dict.fromkeys((*before.copies, *_copies_of(given)))),
    )
    token = _REACH.set(reach)
    try:
        yield reach
    finally:
        _REACH.reset(token)


@contextmanager
def within_reach(reach: Reach | None) -> Iterator[None]:
    """Read, within the block, from the folders of a former :func:`reading_from`."""
    token = _REACH.set(reach)
    try:
        yield
    finally:
        _REACH.reset(token)


def reading_within_reach(method: Callable[[Any], Result]) -> Callable[[Any], Result]:
    """Return a method that reads files from where its object was allowed to open them.

    Parameters
    ----------
    method : callable
        Of a class whose objects keep their :class:`Reach` as ``_reach``.
    """

    @functools.wraps(method)
    def reading(self: Any) -> Result:
        with within_reach(self._reach):
            return method(self)

    return reading


def _copies_of(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in paths if is_named_as_copy(path.name))


def _folders_of_all(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the folders of given paths; the folder of many files is looked up once."""
    known: set[Path] = set()
    for path in paths:
        if not is_ordinary_file(path):
            yield from _folders_of(path)
        elif path.parent not in known:
            known.add(path.parent)
            yield from _folders_of(path)


def resolved(paths: Iterable[Path]) -> set[Path]:
    """Return paths with their links resolved; the folder of many files is resolved once."""
    folders: dict[Path, Path] = {}
    found = set()
    for path in paths:
        if not is_ordinary_file(path):
            found.add(path.resolve())
            continue
        folder = path.parent
        if folder not in folders:
            folders[folder] = folder.resolve()
        found.add(folders[folder] / path.name)
    return found


def _folders_of(path: Path) -> tuple[str, ...]:
    """Return the folder of a given path as it is written, and the folder to which it leads."""
    if path.is_dir():
        return (os.path.realpath(path),)
    return (os.path.realpath(path.parent), str(Path(os.path.realpath(path)).parent))


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _annex_home(real: str) -> str | None:
    """Return the data set whose git-annex stores a file: DataLad keeps links in place of files."""
    home, marked, rest = real.partition(f"{os.sep}.git{os.sep}")
    return home if marked and f"annex{os.sep}objects{os.sep}" in rest else None


def check_file(path: str | Path) -> None:
    """Check a file that is about to be opened; one that is absent passes.

    Raises
    ------
    SpecialFileError
        If it is a pipe, a socket or a device.
    OutsideFolderError
        If it is a link that leads out of the folders of the recording.
    """
    try:
        own = os.lstat(path)
    except (OSError, ValueError):  # absent, or no name of a file
        return
    if stat.S_ISLNK(own.st_mode):
        _check_link(Path(path))
    elif not (stat.S_ISREG(own.st_mode) or stat.S_ISDIR(own.st_mode)):
        raise special_file(path)


def is_ordinary_file(path: str | Path) -> bool:
    """Return whether a path is a file itself, and no link; one look at it is enough then."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _check_link(link: Path) -> None:
    require_ordinary(link)
    reach = _REACH.get()
    if reach is not None and link.exists() and not reach.holds(link):
        raise _leading_out(link, reach.folders)


def require_ordinary(path: str | Path) -> None:
    """Raise if a path is a pipe, a socket or a device, or a link to one.

    Raises
    ------
    SpecialFileError
    """
    if is_special(path):
        raise special_file(path)


def is_special(path: str | Path) -> bool:
    """Return whether a path leads to a pipe, a socket or a device; False where nothing is."""
    try:
        return stat.S_IFMT(Path(path).stat().st_mode) in _KINDS
    except (OSError, ValueError):
        return False


def check_output(path: str | Path) -> None:
    """Check that a file may be written at a path, which is no pipe, socket or device.

    Raises
    ------
    OutputError
    """
    if is_special(path):
        raise OutputError(f"'{path}' is {_kind(path)}, not a file; give the name of a file.")
    fault = fault_on_windows(Path(path).name) if _IS_WINDOWS else None
    if fault is not None:
        raise OutputError(f"'{path}' cannot be written: on Windows {fault}. Choose another name.")


def fault_on_windows(name: str) -> str | None:
    """Return why Windows has no file of a name, or None.

    It would write ``a:b.nwb`` to a hidden part of a file ``a``, and ``aux.nwb`` to a device.

    Parameters
    ----------
    name : str
        Name of a file without its folder.
    """
    found = next((each for each in name if each in _NOT_ON_WINDOWS or each < " "), None)
    if found is not None:
        return f"no name has the character {found!r}"
    if name.endswith((" ", ".")):
        return "no name ends with a space or a dot"
    stem = name.partition(".")[0].rstrip().upper()
    return f"'{stem}' is the name of a device" if _DEVICES.fullmatch(stem) else None


def ignores_case(folder: str | Path) -> bool:
    """Return whether names that differ only in their case are one file in a folder.

    They are on most disks of Windows and macOS.

    Parameters
    ----------
    folder : path-like
        If it does not exist, the folder around it counts.
    """
    place = Path(os.path.realpath(folder))
    for each in (place, *place.parents):
        other = each.with_name(each.name.swapcase()) if each.name else each
        if other.name != each.name and each.exists():
            return other.exists() and other.samefile(each)
    return False


def special_file(path: str | Path) -> SpecialFileError:
    """Return the error for a path that is neither a file nor a folder."""
    return SpecialFileError(f"'{path}' is {_kind(path)}, which is not opened; give a file.")


def _kind(path: str | Path) -> str:
    return _KINDS.get(stat.S_IFMT(Path(path).stat().st_mode), "neither a file nor a folder")


def named_file(
    by: str | Path, name: str | Path, *, of: str = "", place: str | Path | None = None
) -> Path:
    """Return the path of a file that another file names; refuse names that lead out.

    Parameters
    ----------
    by : path-like
        The file that names it; the name is relative to the folder of this file.
    name : str or path-like
        The name as it is stated, which may be absolute.
    of : str
        The part of the file that states the name, such as ``'mov'``, for the message.
    place : path-like, optional
        Where the file is, if the name is not relative to the folder of ``by``.

    Raises
    ------
    OutsideFolderError
        If it lies outside of the folders of the recording.
    SpecialFileError
        If it is a pipe, a socket or a device.
    """
    path = as_path(by).parent / name if place is None else Path(place)
    reach = _REACH.get() or reach_of([by])
    if not reach.holds(path):
        where = f"{of} in '{by}'" if of else f"'{by}'"
        raise OutsideFolderError(
            f"{where} names '{name}', which lies outside of the folder '{_shown(reach.folders)}', "
            f"and is not read. If it belongs to the recording, {remedy(path)}."
        )
    require_ordinary(path)
    return path


def named_elsewhere(by: str | Path, names: Iterable[str]) -> list[str]:
    """Return the names of files with folders that a file states, after they were checked.

    Parameters
    ----------
    by : path-like
        The file that names them.
    names : iterable of str
        Relative to the folder of this file, or absolute.

    Raises
    ------
    OutsideFolderError, SpecialFileError
        See :func:`named_file`.
    """
    found = [name for name in names if "/" in name or os.sep in name or name == ".."]
    for name in found:
        named_file(by, name)
    return found


def _leading_out(link: str | Path, folders: Sequence[str]) -> OutsideFolderError:
    real = os.path.realpath(link)
    return OutsideFolderError(
        f"'{link}' is a link to '{real}', which lies outside of the folder '{_shown(folders)}', "
        f"and is not read. If it belongs to the recording, {remedy(real)}; otherwise remove the "
        "link."
    )


def remedy(path: str | Path) -> str:
    """Return the argument that allows a file outside of the recording's folder, for messages."""
    real = Path(os.path.realpath(path))
    folder = real if real.is_dir() else real.parent
    word = quoted(str(folder))
    return f"give allow_outside='{folder}' (on the command line --option allow_outside={word})"


def _shown(folders: Sequence[str]) -> str:
    return folders[-1] if folders else "."


def check_links_in(folder: Path) -> None:
    """Refuse a folder that holds links which lead out of the folders of the recording.

    Parameters
    ----------
    folder : pathlib.Path
        Its subfolders are searched as well, three levels deep; a Zarr store in full.

    Raises
    ------
    OutsideFolderError
        Names the first link.
    SpecialFileError
        Names the first pipe, socket or device in a Zarr store, whose files are all read.
    """
    reach = _REACH.get() or reach_of([folder])
    for link in links_leading_out(folder, reach):
        raise _leading_out(link, reach.folders)


def links_leading_out(
    folder: Path, reach: Reach | None = None, depth: int = _DEPTH, *, in_stores: bool = True
) -> Iterator[Path]:
    """Yield the links in a folder and its subfolders that lead out of it, in order of their names.

    Links to folders that contain them, which searches do not follow, and links without a target
    are left out.

    Parameters
    ----------
    folder : pathlib.Path
    reach : Reach, optional
        The folders in which the targets may lie; by default those of the recording that is read
        now, or else the folder itself.
    depth : int
        Levels of subfolders that are searched; those of a Zarr store are always.
    in_stores : bool
        Whether Zarr stores, which may hold a file per chunk, are searched.
    """
    allowed = reach or _REACH.get() or reach_of([folder])
    store = False if in_stores else None
    yield from _leading_out_below(str(folder), allowed, depth, store)


def _leading_out_below(
    folder: str, reach: Reach, depth: int, in_store: bool | None
) -> Iterator[Path]:
    """Yield the links; ``in_store`` is None where stores are not searched."""
    try:
        listing = listing_of(folder)
    except OSError:  # no permission
        return
    is_store = any(name in listing.names for name in _STORE)
    if is_store and in_store is None:
        return
    in_store = in_store or is_store if in_store is not None else None
    subfolders = []
    for entry in sorted(listing.others, key=lambda entry: entry.name):
        # Hidden files are no part of a recording, except the headers of a Zarr store.
        if entry.name.startswith(".") and not in_store:
            continue
        if in_store:  # whose files are all read
            require_ordinary(entry.path)
        if entry.is_symlink():
            if leads_out(entry.path, reach):
                yield Path(entry.path)
        elif entry.is_dir():
            subfolders.append(entry.path)
    if depth > 0 or in_store:
        for subfolder in subfolders:
            yield from _leading_out_below(subfolder, reach, depth - 1, in_store)


def leads_out(link: str | Path, reach: Reach) -> bool:
    """Return whether a link leads to a file or folder that lies outside of the allowed folders."""
    if not Path(link).exists():
        return False
    return not (leads_back(link) or reach.holds(link))


def leads_back(link: str | Path) -> bool:
    """Return whether a path is a link to a folder that contains it."""
    if not Path(link).is_symlink():
        return False
    return _is_within(os.path.realpath(Path(link).parent), os.path.realpath(link))
