"""Converters of whole recordings, one per acquisition system, for all channels and planes.

The row of a format names its converter; the converter reads all formats whose rows name it. The
classes are attributes of this module, made from the rows when they are first used.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import SourceError
from nwb_ophys.formats import builtin_rows
from nwb_ophys.opening.grouping import group
from nwb_ophys.opening.recordings import is_wanted, open_all, parse_request, reading_recordings
from nwb_ophys.registry import FormatRow, detect, get_format, likeliest, option_asking_for
from nwb_ophys.remote.paths import as_path


class RecordingConverter(OphysConverter):
    """Converter of everything in a recording of one acquisition system.

    Parameters
    ----------
    path : path-like
        File or folder of the recording.
    **source
        Source arguments of the formats, and for formats with planes ``as_volume``: True (the
        default) for one series per volume, False for one series per plane, each on an imaging
        plane of its own. A format that is converted only on request is included if its option,
        such as ``registered_movie``, is True.

    Raises
    ------
    SourceError
        If the path matches no format of `format_names`, or no requested one.
    """

    format_names: ClassVar[tuple[str, ...]] = ()
    """Names of the formats that the converter reads; by default those whose rows name it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        names = tuple(row.name for row in builtin_rows() if row.converter == cls.__name__)
        if names and "format_names" not in vars(cls):
            cls.format_names = names

    def __init__(self, path: str | Path, **source: Any) -> None:
        # Formats that are always converted come first.
        rows = sorted(map(get_format, self.format_names), key=option_asking_for)
        options = {option for row in rows if (option := option_asking_for(row))}
        requests = {name: parse_request(name, source[name]) for name in options & set(source)}
        default = all(map(option_asking_for, rows))
        wanted = [row for row in rows if is_wanted(option_asking_for(row), requests, default)]
        with reading_recordings([as_path(path)], source):
            interfaces = self._opened(path, wanted, requests, source)
        super().__init__(interfaces)

    def _opened(
        self,
        path: str | Path,
        wanted: Sequence[FormatRow],
        requests: Mapping[str, bool],
        source: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the interfaces of all streams of the wanted formats."""
        found = self._found(path, [row.name for row in wanted])
        requested = {option: True for option, is_requested in requests.items() if is_requested}
        for option in requested:
            if all(option_asking_for(row) != option for _, row in found):
                # Raises an error that says which files are missing.
                self._found(path, [r.name for r in wanted if option_asking_for(r) == option])
        given = {name: value for name, value in source.items() if requests.get(name, True)}
        return open_all(group(found), given | requested, with_options=False, all_in_one=True)

    @classmethod
    def _found(cls, path: str | Path, names: Sequence[str]) -> list[tuple[Path, FormatRow]]:
        """Return paths of recordings of some formats in a path, at most one per path and kind."""
        found = likeliest(detect(path, format_names=names, every_file=True))
        if not found:
            looked_for = "; ".join(get_format(name).recognised for name in names)
            raise SourceError(
                f"'{path}' contains no recording that {cls.__name__} reads; it looks for: "
                f"{looked_for}."
            )
        return found


# --- classes made from the rows -----------------------------------------------------------------

_DOCSTRING = """Converter of everything in a recording ({systems}).

    The converter reads:

{formats}

    Parameters
    ----------
    path : path-like
        File or folder of the recording.
{requests}    **source
        Source arguments of the formats{as_volume}.

    Raises
    ------
    SourceError
        If the path contains no such recording.
    """

_AS_VOLUME = """, and ``as_volume``: True (the default) for one series per
        volume, False for one series per plane"""


@functools.cache
def _converter_class(name: str) -> type[RecordingConverter]:
    """Return the converter that rows name."""
    rows = [row for row in builtin_rows() if row.converter == name]
    requests = [(option, row) for row in rows if (option := option_asking_for(row))]
    docstring = _DOCSTRING.format(
        systems=f"format{'s' * (len(rows) > 1)} {', '.join(row.name for row in rows)}",
        formats="\n".join(f"    - ``{row.name}`` ({row.kind}): {row.recognised}" for row in rows),
        requests="".join(
            f"    {option} : bool\n        Whether to convert ``{row.name}``, too; default False.\n"
            for option, row in requests
        ),
        as_volume=_AS_VOLUME if any(row.load().has_volumes for row in rows) else "",
    )
    attributes = {"__doc__": docstring, "__module__": __name__, "__qualname__": name}
    return type(name, (RecordingConverter,), attributes)


def __getattr__(name: str) -> Any:
    if name in _converter_names():
        return _converter_class(name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_converter_names()]


def _converter_names() -> list[str]:
    return sorted({row.converter for row in builtin_rows() if row.converter is not None})
