"""Names of the hidden files and folders that a write makes beside its target.

All of them begin with a dot, the first 40 characters of the name of the target, and eight digits of
a hash of the whole name. Systems refuse long names, and two long names may begin alike.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from pathlib import Path

import attrs

_MOST_CHARACTERS = 40

_PATTERN = re.compile(
    r"(?P<stem>\.(?P<start>.{1,40})\.(?P<digits>[0-9a-f]{8}))"
    r"(?:\.(?P<single>lock|undo(?:\.new)?)"
    r"|\.(?P<unique>[0-9a-f]{8})\.(?P<kind>partial|replaced|resume)\b.*)",
    re.DOTALL,
)


def _digits(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:8]


@attrs.frozen
class HiddenNames:
    """Names of the hidden files beside one target.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the target.
    stem : str
        Beginning of all names.
    """

    folder: Path
    stem: str

    @classmethod
    def beside(cls, target: Path) -> HiddenNames:
        """Return the names beside a target."""
        start = target.name[:_MOST_CHARACTERS]
        return cls(target.parent, f".{start}.{_digits(target.name)}")

    @property
    def lock(self) -> Path:
        """Path of the file that a process locks while it writes the target."""
        return self.folder / f"{self.stem}.lock"

    @property
    def undo(self) -> Path:
        """Path of the journal from which the target returns to its state before an append."""
        return self.folder / f"{self.stem}.undo"

    def partial(self, suffix: str) -> Path:
        """Return a new path for an incomplete file; pynwb warns of other suffixes than its own."""
        return self.folder / f"{self.stem}.{uuid.uuid4().hex[:8]}.partial{suffix}"

    def replaced(self) -> Path:
        """Return a new path for the former folder while another one takes its place."""
        return self.folder / f"{self.stem}.{uuid.uuid4().hex[:8]}.replaced"

    def is_of(self, name: str) -> bool:
        """Return whether a target of this name has these hidden names."""
        return HiddenNames.beside(self.folder / name).stem == self.stem


@attrs.frozen(kw_only=True)
class HiddenName:
    """Parts of the name of one hidden file or folder.

    Attributes
    ----------
    path : pathlib.Path
    names : HiddenNames
        Names beside the target.
    unique : str or None
        Digits that the files of one write share; None for a lock, and for a journal of an append.
    kind : {"lock", "undo", "partial", "replaced", "resume"}
    target : str or None
        Name of the target, unless it is too long to follow from the hidden name.
    """

    path: Path
    names: HiddenNames
    unique: str | None
    kind: str
    target: str | None

    @classmethod
    def parse(cls, path: Path) -> HiddenName | None:
        """Return the parts of a name, or None if no write makes such a name."""
        match = _PATTERN.fullmatch(path.name)
        if match is None:
            return None
        start, digits = match["start"], match["digits"]
        is_whole = _digits(start) == digits
        if not is_whole and len(start) < _MOST_CHARACTERS:
            return None
        return cls(
            path=path,
            names=HiddenNames(path.parent, match["stem"]),
            unique=match["unique"],
            kind=match["kind"] or match["single"].removesuffix(".new"),
            target=start if is_whole else None,
        )
