"""Recordings that the files of a folder make: what is joined, in which order, and left out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import first_named


@attrs.frozen(kw_only=True)
class FileGroup:
    """Files of one recording.

    Attributes
    ----------
    path : pathlib.Path or list of pathlib.Path
        Path argument that opens the recording.
    files : tuple of pathlib.Path
        The files that are read, in order; a folder stands for its files.
    name : str
        What tells the recording apart from others of the folder, such as ``ch1``; may be empty.
    notes : tuple of str
        Sentences that the user must know, such as numbers missing in a series of files.
    """

    path: Path | list[Path]
    files: tuple[Path, ...]
    name: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of_files(
        cls, files: Sequence[Path], name: str = "", notes: tuple[str, ...] = ()
    ) -> FileGroup:
        """Return the group of some files, opened by their list or by the only one."""
        path = files[0] if len(files) == 1 else list(files)
        return cls(path=path, files=tuple(files), name=name, notes=notes)


@attrs.frozen
class LeftOut:
    """File that is not part of any recording, the reason in words, and the next step."""

    path: Path
    reason: str
    advice: str = "To convert it, give its own path."


@attrs.frozen(kw_only=True)
class Grouping:
    """Recordings among some files.

    Attributes
    ----------
    groups : tuple of FileGroup
        In order; each is converted.
    left_out : tuple of LeftOut
        Files beside them that are left out.
    """

    groups: tuple[FileGroup, ...]
    left_out: tuple[LeftOut, ...] = ()


_MOST_SHOWN = 5


def warn_of_grouping(grouping: Any, stacklevel: int = 3) -> None:
    """Warn of files that are left out, a sentence per reason and folder, and of notes of groups.

    Parameters
    ----------
    grouping : Grouping
        Or an object with the attributes ``groups`` and ``left_out``.
    stacklevel : int
        As for :func:`warnings.warn`.
    """
    for note in (note for group in grouping.groups for note in group.notes):
        warnings.warn(note, UserWarning, stacklevel=stacklevel)
    reasons: dict[tuple[str, Path], list[Path]] = {}
    for each in grouping.left_out:
        key = (f"{each.reason}. {each.advice}", each.path.parent)
        reasons.setdefault(key, []).append(each.path)
    for (reason, folder), paths in reasons.items():
        shown = first_named([path.name for path in paths], _MOST_SHOWN)
        warnings.warn(
            f"{shown} in '{folder}' is left out: {reason}", UserWarning, stacklevel=stacklevel
        )
