"""Copies of files and folders that lie beside them: ``movie - Copy.tif``, ``movie (1).tif``.

Systems and browsers name them so. A copy holds what the file holds, so that a recording would have
its frames twice if both were read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from nwb_ophys.remote.paths import RemotePath, as_path, walk

_COPY = r"(?:copy|kopie|copie|copia|kopia)"
_COUNT = r"(?: ?\(\d+\)| \d+)?"
_CONFLICT = r"(?:conflict|konflikt|conflit|conflitto)"
# The name of the file without its last suffix is the first group.
_STEMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(.+?) - {_COPY}{_COUNT}",
        rf"(.+?)[ _-]{_COPY}{_COUNT}",
        rf"(.+?) \((?:another |\d+(?:st|nd|rd|th) )?{_COPY}\)",
        rf"{_COPY}(?: ?\(\d+\))? (?:of|von|de|di) (.+)",
        r"(.+?) ?\(\d+\)",
        # Of services that synchronise folders: Dropbox, Nextcloud, ownCloud, Syncthing.
        rf"(.+?) \([^()]*{_CONFLICT}[^()]*(?:\(\d+\))?[^()]*\)",
        rf"(.+?)_{_CONFLICT}-\d+-\d+",
        rf"(.+?)\.sync-{_CONFLICT}-\d+-\d+(?:-\w+)?",
    )
)
_MARKS = re.compile(rf"cop[yi]|kopi|\(\d+\)|{_CONFLICT}", re.IGNORECASE)
_UNFINISHED = re.compile(
    r"(.+)\.(?:part|partial|filepart|crdownload|download|opdownload|!ut|bts)", re.IGNORECASE
)
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z")
_WHOLE_BYTES, _BLOCK_BYTES, _NUM_BLOCKS = 1 << 24, 1 << 16, 64
_PAGE_BYTES = 1 << 12
_HEADERS = (".txt", ".xml", ".json", ".csv", ".dat", ".index")
# Files of a folder whose contents are compared; of all others the sizes are.
_MOST_COMPARED = 64


def is_named_as_copy(name: str) -> bool:
    """Return whether a file has a name that systems give to copies."""
    return bool(_originals(name))


def copies_in(
    folder: str | Path, names: Collection[str], kept: Iterable[str] = ()
) -> dict[str, str]:
    """Return the names of the files that are copies of others in the folder, with those of these.

    Names suggest a copy, and the contents decide. Files of 16 MB and more are compared in 64
    places.

    Parameters
    ----------
    folder : str or pathlib.Path
        On a disk, or in an object store.
    names : collection of str
    kept : iterable of str
        Paths of files that the user gave: where only the copy was given, the file that it was made
        of counts as the copy.
    """
    if _MARKS.search("\0".join(names)) is None:
        return {}
    place = as_path(folder)
    given = {path.name for path in map(as_path, kept) if path.parent == place}
    found: dict[str, str] = {}
    for name in sorted(names):
        for original in _originals(name):
            if original not in names or not _are_same(place / name, place / original):
                continue
            if name in given and original not in given:
                found[original] = name
            else:
                found[name] = original
            break
    return found


def copied_folders(folder: str | Path, names: Collection[str]) -> dict[str, str]:
    """Return the names of the folders that are copies of others in a folder, with those of these.

    All files of a copy are in the other folder, with their sizes. The contents of the first, the
    last and up to 62 files between them are compared, as :func:`copies_in` compares them.

    Parameters
    ----------
    folder : str or pathlib.Path
        On a disk, or in an object store.
    names : collection of str
        Names of the folders.
    """
    found: dict[str, str] = {}
    place = as_path(folder)
    for name in sorted(names):
        for original in _originals(name, is_folder=True):
            if original in names and _holds(place / original, place / name):
                found[name] = original
                break
    return found


def are_alike(files: Sequence[Path], others: Sequence[Path]) -> bool:
    """Return whether the files, or the folders, of two recordings hold the same, in order.

    Of many files, the first, the last and up to 62 files between them are compared, as
    :func:`copies_in` compares them.

    Parameters
    ----------
    files, others : sequence of pathlib.Path
    """
    pairs = list(zip(files, others, strict=False))
    if len(files) != len(others) or not pairs:
        return False
    last, number = len(pairs) - 1, min(len(pairs), _MOST_COMPARED)
    places = {index * last // max(number - 1, 1) for index in range(number)}
    return all(_hold_the_same(*pairs[place]) for place in sorted(places))


def first_alike(files: Sequence[Path]) -> dict[Path, Path]:
    """Return the files that hold what an earlier one of them holds, with that one.

    Parameters
    ----------
    files : sequence of pathlib.Path
    """
    known: dict[tuple[int, bytes], list[Path]] = {}
    found: dict[Path, Path] = {}
    sizes = {file: file.stat().st_size for file in files}
    counts = Counter(sizes.values())
    for file in (each for each, size in sizes.items() if counts[size] > 1):
        with file.open("rb") as opened:
            middle = _read(opened, sizes[file] // 2, _PAGE_BYTES)
        others = known.setdefault((sizes[file], middle), [])
        same = next((other for other in others if _are_same(file, other)), None)
        if same is None:
            others.append(file)
        else:
            found[file] = same
    return found


def unfinished_copy(name: str) -> str | None:
    """Return the name that a file gets when its copy or download is finished; None for others.

    Parameters
    ----------
    name : str
    """
    found = _UNFINISHED.fullmatch(name)
    return found[1] if found else None


def compressed_copy(name: str) -> str | None:
    """Return the name that a compressed file, such as ``a.tif.gz``, has when it is unpacked.

    Parameters
    ----------
    name : str

    Returns
    -------
    str or None
        None for others, and for archives that are named otherwise than their files.
    """
    whole, dot, _ = name.rpartition(".")
    return whole if dot and name.lower().endswith(_COMPRESSED) and "." in whole else None


def _hold_the_same(path: Path, other: Path) -> bool:
    if path.is_dir() and other.is_dir():
        return _holds(path, other) and _holds(other, path) and _state_the_same(path, other)
    return path.is_file() and not path.samefile(other) and _are_same(path, other)


def _state_the_same(folder: Path, other: Path) -> bool:
    """Return whether the headers of two folders with the same names are alike.

    Positions of one acquisition may have files of the same sizes, of which only some are compared.
    """
    names = [name for name in _sizes_below(folder) or () if name.lower().endswith(_HEADERS)]
    return all(
        _are_same(folder / name, other / name) for name in names if (folder / name).stat().st_size
    )


def _holds(folder: Path, copy: Path) -> bool:
    """Return whether a folder holds all files of another one, which is not empty."""
    own = _sizes_below(copy)
    if own is None or not own:
        return False
    others = _sizes_below(folder)
    if others is None or any(others.get(name) != size for name, size in own.items()):
        return False
    filled = sorted(name for name, size in own.items() if size)
    last, number = len(filled) - 1, min(len(filled), _MOST_COMPARED)
    places = {index * last // max(number - 1, 1) for index in range(number)}
    compared = [filled[place] for place in sorted(places)]
    return bool(compared) and all(_are_same(copy / name, folder / name) for name in compared)


def _sizes_below(folder: Path) -> dict[str, int] | None:
    """Return the sizes of all files below a folder by path; None where some cannot be seen.

    Hidden files, which systems write, are left out.
    """
    if isinstance(folder, RemotePath):
        return _sizes_in_store(folder)
    found: dict[str, int] = {}
    waiting = [""]
    try:
        while waiting:
            below = waiting.pop()
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    own = f"{below}{os.sep}{entry.name}" if below else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(own)
                    elif not entry.is_file(follow_symlinks=False):
                        return None  # a link, which may lead anywhere, or a pipe
                    elif not entry.name.startswith("."):
                        found[own] = entry.stat().st_size
    except OSError:
        return None
    return found


def _sizes_in_store(folder: RemotePath) -> dict[str, int]:
    found = {}
    for inner, _, names in walk(folder):
        for name in names:
            if not name.startswith("."):
                found[str((inner / name).relative_to(folder))] = (inner / name).stat().st_size
    return found


def _originals(name: str, is_folder: bool = False) -> list[str]:
    """Return the names that the file may have had of which one of some name is a copy."""
    if _MARKS.search(name) is None:
        return []
    # Some systems number folders behind all of their name, others before what follows a dot.
    parts = [(name, "")] if is_folder else []
    parts.append((Path(name).stem, Path(name).suffix))
    matches = [(p.fullmatch(stem), suffix) for stem, suffix in parts for p in _STEMS]
    return list(dict.fromkeys(match[1] + suffix for match, suffix in matches if match))


def _are_same(path: Path, other: Path) -> bool:
    """Return whether two files are alike, which an empty file says nothing of."""
    try:
        size = path.stat().st_size
        if not size or other.stat().st_size != size:
            return False
        blocks = [(0, size)]
        if size > _WHOLE_BYTES:
            last = size - _BLOCK_BYTES
            starts = [index * last // (_NUM_BLOCKS - 1) for index in range(_NUM_BLOCKS)]
            blocks = [(start, _BLOCK_BYTES) for start in starts]
        with path.open("rb") as one, other.open("rb") as two:
            return all(_read(one, *block) == _read(two, *block) for block in blocks)
    except OSError:
        return False


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)
