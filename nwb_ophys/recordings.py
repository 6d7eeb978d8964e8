"""Whole recordings: a converter per acquisition system, of every channel and every plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import SourceError
from nwb_ophys.opening import open_all
from nwb_ophys.registry import detect, get_format


class RecordingConverter(OphysConverter):
    """Everything in a recording of one system.

    Parameters
    ----------
    path : path-like
        A file or the folder of the recording.
    **source
        Source arguments of the formats, and ``as_volume`` where there are planes: whether those of
        volumes are one series (True, the default), or a series each on planes of their own (False).

    Raises
    ------
    SourceError
        When the path is of none of the system's formats.
    """

    format_names: ClassVar[tuple[str, ...]] = ()
    """Names of the formats of the system."""

    def __init__(self, path: str | Path, **source: Any) -> None:
        found: dict[tuple[Path, str | None], Any] = {}
        for candidate in detect(path):
            if candidate.format in self.format_names:
                where = next(iter(candidate.source.values()))
                found.setdefault((where, candidate.kind), candidate.row)
        if not found:
            looked_for = "; ".join(get_format(name).recognised for name in self.format_names)
            raise SourceError(
                f"'{path}' is no recording that {type(self).__name__} reads; it looks for: "
                f"{looked_for}."
            )
        rows = [(where, row) for (where, _), row in found.items()]
        super().__init__(open_all(rows, source, with_options=False))


class ScanImageConverter(RecordingConverter):
    """Every channel, and every plane or volume, of recordings of ScanImage."""

    format_names = ("scanimage", "scanimage-legacy")


class BrukerConverter(RecordingConverter):
    """Every channel, and every plane or volume, of recordings of Bruker's Prairie View."""

    format_names = ("bruker",)


class ThorConverter(RecordingConverter):
    """Every channel, and every plane or volume, of recordings of Thorlabs' ThorImage."""

    format_names = ("thor",)
