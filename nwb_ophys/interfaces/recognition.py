"""By what an interface is recognised, and where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nwb_ophys.glance import Glance


class Recognition:
    """What detection asks of a format; by default nothing is recognised as it."""

    file_suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings, in lower case, of files that are a recording each, wherever they lie."""

    is_found_in_folders: ClassVar[bool] = True
    """Whether it is looked for in the folders of a folder; else it is recognised only itself."""

    on_request: ClassVar[str] = ""
    """Option that asks for it, where it is left out of a recording that holds more."""

    options_on_request: ClassVar[Mapping[str, Any]] = {}
    """Conversion options that hold where it was asked for so."""

    @classmethod
    def matches(cls, path: Path | Glance) -> str | None:
        """Return evidence, in words, that a path is of this format, else None.

        Names and headers only are read, and no optional package is imported. What another format
        of this package says of itself is not evidence: each path is of one.

        Parameters
        ----------
        path : pathlib.Path or Glance
            Formats of this package make it a :class:`Glance`, which they share; those of others
            are given a path.
        """
        return None

    @classmethod
    def is_damaged(cls, glance: Glance) -> bool:
        """Whether a file that has an ending of this format's, and is of none, was to be of it.

        So that a recording that was cut off, or that lacks a file, is not passed over in a folder.
        """
        return False
