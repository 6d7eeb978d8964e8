"""Files of times, pulses and trials that a specification names for its sessions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import OptionError, SourceError, SpecificationError
from nwb_ophys.home import with_home
from nwb_ophys.remote.paths import is_url
from nwb_ophys.sessions.patterns import filled, matches

CLOCKS = ("times", "pulses", "trials")
"""Keys of a specification for what other devices recorded."""


@attrs.define
class ClockFiles:
    """Files of one session, whose names may have fields and marks of patterns.

    Attributes
    ----------
    fields : Mapping of str to str
        Fields of the session.
    folder : pathlib.Path
        Folder in which relative names begin.
    faults : list of str
        Faults that were found are added.
    files : list of str
        Files that were found.
    """

    fields: Mapping[str, str]
    folder: Path
    faults: list[str]
    files: list[str] = attrs.field(factory=list)

    def placed(self, clocks: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments of ``apply_times`` in which each file has its whole path."""
        found: dict[str, Any] = {}
        for key, given in clocks.items():
            listed = given if isinstance(given, list) else [given]
            placed = [self._placed(key, each) for each in listed]
            kept = [each for each in placed if each is not None]
            if kept:
                found[key] = kept[0] if key == "trials" else kept
        return found

    def _placed(self, key: str, given: Any) -> dict[str, Any] | None:
        # Imported here, since most specifications have no such key.
        from nwb_ophys.opening.times_given import stated_keys

        try:
            stated = stated_keys(given, key, has_stream=key != "trials")
            template = os.fspath(stated.pop("file"))
            for name, value in stated.items():
                if isinstance(value, str):
                    stated[name] = filled(value, self.fields)
            name = filled(template, self.fields)
            there = self._places(template, name)
        except KeyError as error:
            self.faults.append(f"'{key}' lacks {error}, or its field has no value.")
            return None
        except (OptionError, SpecificationError, SourceError) as error:
            self.faults.append(str(error))
            return None
        if len(there) != 1:
            what = f"{len(there)} files match" if there else "no file matches"
            self.faults.append(f"{key}: {what} '{name}' in '{self.folder}'; name one.")
            return None
        self.files += there
        return {**stated, "file": there[0]}

    def _places(self, template: str, name: str) -> list[str]:
        """Return the files of a name; a URL is looked at when it is read."""
        if is_url(name):
            return [name]
        # The name of a file may have brackets of its own.
        own = self.folder / with_home(Path(name))
        if own.exists():
            return [str(own)]
        return [each.place for each in matches(template, self.folder, self.fields)]
