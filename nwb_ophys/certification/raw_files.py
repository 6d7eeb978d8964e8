"""Source files: found again in the folders that the user gives, and compared with the record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from nwb_ophys.certification.report import listed
from nwb_ophys.errors import counted
from nwb_ophys.remote.paths import RemotePath, walk
from nwb_ophys.remote.reading import stated_version
from nwb_ophys.storage.file_hashes import Sampling, file_hash, is_system_file

_MOST_FILES = 1_000_000


@attrs.frozen(kw_only=True)
class RecordedFile:
    """A source file as the record states it."""

    path: PurePosixPath
    size: int
    hash: str | None
    version: str
    """Version of an object of a store, as the store stated it; empty for a file of a disk."""
    is_sampled: bool
    is_read: bool
    has_changed: bool
    sampling: Sampling

    @classmethod
    def of(cls, entry: Mapping[str, Any], sampling: Sampling) -> RecordedFile:
        """Return a file of a record.

        Raises
        ------
        KeyError, ValueError, TypeError
            If the entry is not that of a file below the common folder.
        """
        path = PurePosixPath(str(entry["path"]))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("The record names a file outside of the sources.")
        return cls(
            path=path,
            size=int(entry["size"] or 0),
            hash=entry.get("hash"),
            version=str(entry.get("version") or ""),
            is_sampled=bool(entry.get("is_sampled")),
            is_read=bool(entry.get("is_read")),
            has_changed=bool(entry.get("has_changed")),
            sampling=sampling,
        )


def recorded_files(contents: Mapping[str, Any], key: str = "source_files") -> list[RecordedFile]:
    """Return the source files of a record, or the files of times (``clock_files``)."""
    given = contents.get("sampling") or {}
    sampling = Sampling(
        pieces=min(max(int(given.get("pieces", 0)), 0), 1 << 10),
        piece_bytes=min(max(int(given.get("piece_bytes", 0)), 0), 1 << 24),
    )
    return [RecordedFile.of(entry, sampling) for entry in contents.get(key) or ()]


class RawFiles:
    """Files at the paths that the user gives, matched with those of a record.

    Files may have been moved: they are matched by the ends of their paths, then by their size and
    hash.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        Files and folders.
    left_out : pathlib.Path
        The NWB file, which may lie among them.
    """

    def __init__(self, sources: Sequence[Path], left_out: Path) -> None:
        self.sources = sources
        self.files = sorted({each.absolute() for each in _files(sources, left_out)})
        self._by_name: dict[str, list[Path]] = {}
        for path in self.files:
            self._by_name.setdefault(path.name, []).append(path)
        self._hashes: dict[tuple[Path, Sampling], str | None] = {}
        self.found: dict[PurePosixPath, Path] = {}
        self.clocks: dict[PurePosixPath, Path] = {}
        self.ambiguous_clocks: set[PurePosixPath] = set()
        # Files of times at the given paths, and whether they are as they were.
        self._of_times: dict[Path, bool] = {}
        self.reasons: list[str] = []
        self.is_sampled = False

    def match(self, recorded: Iterable[RecordedFile]) -> None:
        """Find the files of a record, and note those that are missing or differ."""
        missing, changed, moved = [], [], []
        for each in recorded:
            path = self._with_same_name(each) or self._with_same_contents(each)
            if path is None:
                missing.append(str(each.path))
                continue
            self.found[each.path] = path
            self.is_sampled |= each.is_sampled or (each.hash is None and bool(each.version))
            if each.has_changed:
                moved.append(str(each.path))
            if not self._is_same(path, each):
                changed.append(str(each.path))
        for names, reason in (
            (missing, "not found"),
            (changed, "not as converted (size or contents differ)"),
            (moved, "changed while the conversion read them"),
        ):
            if names:
                files = counted(len(names), "source file")
                self.reasons.append(f"{files} {_are(names)} {reason}: {listed(names, 5)}")

    def unread(self, recorded: Iterable[RecordedFile]) -> list[str]:
        """Return the files at the given paths that the conversion did not read."""
        read = {self.found.get(each.path) for each in recorded if each.is_read}
        return [self._short(p) for p in self.files if p not in read and p not in self._of_times]

    def match_clocks(self, recorded: Iterable[RecordedFile]) -> None:
        """Find the files from which times were set, and note those that differ."""
        changed, seen = [], set()
        for each in recorded:
            path = self._with_same_contents(each) or self._with_same_name(each)
            if path is None:
                continue
            is_same = self._is_same(path, each)
            self._of_times[path] = is_same
            if is_same:
                self.clocks[each.path] = path
            else:
                changed.append(str(each.path))
            if each.path in seen:  # files of other folders, of which a record has the name only
                self.clocks.pop(each.path, None)
                self.ambiguous_clocks.add(each.path)
            seen.add(each.path)
        if changed:
            files = counted(len(changed), "file")
            self.reasons.append(
                f"{files} of times {_are(changed)} not as converted (size or contents differ): "
                f"{listed(changed, 5)}"
            )

    def without_comparison(self, read: Collection[Path]) -> list[str]:
        """Return the files of times, as they were, that are not among those that were read."""
        same = (path for path, is_same in self._of_times.items() if is_same)
        return [self._short(path) for path in same if path not in read]

    def _short(self, path: Path) -> str:
        for source in self.sources:
            folder = source.absolute()
            if path.is_relative_to(folder) and path != folder:
                return str(path.relative_to(folder))
        return path.name

    def _with_same_name(self, recorded: RecordedFile) -> Path | None:
        """Return the file whose path has the longest end in common; one of that size first."""
        candidates = self._by_name.get(recorded.path.name, [])
        return max(
            candidates,
            key=lambda path: (_common_end(path, recorded.path), _size(path) == recorded.size),
            default=None,
        )

    def _with_same_contents(self, recorded: RecordedFile) -> Path | None:
        if not recorded.size:
            return None
        same = (path for path in self.files if _size(path) == recorded.size)
        return next((path for path in same if self._is_same(path, recorded)), None)

    def _is_same(self, path: Path, recorded: RecordedFile) -> bool:
        if _size(path) != recorded.size:
            return False
        if isinstance(path, RemotePath) and recorded.version == stated_version(path) != "":
            return True  # the very object that was read
        if recorded.hash is None:
            return bool(recorded.version)  # of a folder in a store, only some objects are hashed
        key = (path, recorded.sampling)
        if key not in self._hashes:
            try:
                self._hashes[key] = file_hash(path, recorded.sampling)
            except OSError:
                self._hashes[key] = None
        return self._hashes[key] == recorded.hash

    def place(self, path: PurePosixPath) -> Path | None:
        """Return the present place of a file or folder that a record names, or None."""
        if path in self.found:
            return self.found[path]
        return self._folder(path)

    def _folder(self, path: PurePosixPath) -> Path | None:
        """Return the folder in which the files that lay below a folder lie now."""
        scores: dict[Path, int] = {}
        for known, place in self.found.items():
            if not known.is_relative_to(path) or known == path:
                continue
            tail = known.relative_to(path).parts
            if place.parts[-len(tail) :] == tail:
                folder = place.parents[len(tail) - 1]
                scores[folder] = scores.get(folder, 0) + 1
        return max(scores, key=lambda folder: scores[folder], default=None)


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _common_end(path: Path, other: PurePosixPath) -> int:
    number = 0
    for one, two in zip(reversed(path.parts), reversed(other.parts), strict=False):
        if one != two:
            break
        number += 1
    return number


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _files(sources: Sequence[Path], left_out: Path) -> Iterator[Path]:
    """Yield the regular files at some paths, without those of systems and the NWB file."""
    own, number = left_out.resolve(), 0
    for source in sources:
        if source.is_file():
            yield source
            continue
        for inner, folders, names in walk(source):
            folders[:] = sorted(name for name in folders if (inner / name).resolve() != own)
            for name in sorted(names):
                path = inner / name
                if is_system_file(name) or not path.is_file() or path.resolve() == own:
                    continue
                number += 1
                if number > _MOST_FILES:
                    return
                yield path
