"""Errors for paths that no format recognises."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nwb_ophys.errors import UnknownFormatError
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry.rows import formats

_MOST_ENDINGS = 4
_MOST_FAULTS = 3


def unrecognised(path: Path) -> UnknownFormatError:
    """Return the error for a path that no format recognises.

    The message says what is at the path and which formats were tried. If files there have the
    endings of some formats, the message lists only these formats, each with its description.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.

    Returns
    -------
    UnknownFormatError
    """
    probe = PathProbe(path)
    if probe.is_file and _has_nothing(path):
        return UnknownFormatError(f"'{path}' is an empty file, of 0 bytes; copy it again.")
    if probe.is_folder and not (probe.file_names or probe.folder_names):
        return UnknownFormatError(
            f"No format recognises '{path}', which is an empty folder; check the path."
        )
    names = [path.name] if probe.is_file else [*probe.file_names, *probe.folder_names]
    endings = {Path(name).suffix.lower() for name in names} - {""}
    known = list(formats().values())
    near = [row for row in known if endings & {*row.suffixes, *row.file_suffixes}]
    if probe.is_folder and endings == {".nwb"}:
        return UnknownFormatError(
            f"'{path}' contains only NWB files. They are not searched for in folders, where they "
            "may be the results of earlier conversions; give the path of a file."
        )
    if near:
        listed = "; ".join(f"{row.name}: {row.recognised}" for row in near)
        next_step = (
            "The file may be cut off, or a file beside it may be missing; to see the error, name "
            "the format (format=, on the command line --format)."
        )
    else:
        listed = ", ".join(row.name for row in known)
        next_step = "'nwb-ophys formats' lists the files of each format."
    holding = _holding(probe) + _faults(probe)
    return UnknownFormatError(
        f"No format recognises '{path}'{holding}. Looked for: {listed}. {next_step}"
    )


def _has_nothing(path: Path) -> bool:
    return path.exists() and path.stat().st_size == 0


def _faults(probe: PathProbe) -> str:
    """List empty files of a folder and links to files that do not exist."""
    files = sorted(probe.file_names)
    faults = [f"'{name}' is empty" for name in files if _has_nothing(probe.path / name)]
    faults += [
        f"'{name}' is a link to nothing" for name in files if not (probe.path / name).exists()
    ]
    more = f" and {len(faults) - _MOST_FAULTS} more" * (len(faults) > _MOST_FAULTS)
    return f" ({', '.join(faults[:_MOST_FAULTS])}{more})" if faults else ""


def _holding(probe: PathProbe) -> str:
    if not probe.is_folder:
        return ""
    counts = Counter(Path(name).suffix.lower() or "other" for name in probe.file_names)
    parts = [
        f"{count} {ending} file{'s' * (count > 1)}"
        for ending, count in counts.most_common(_MOST_ENDINGS)
    ]
    if len(counts) > _MOST_ENDINGS:
        parts.append("others")
    if probe.folder_names:
        parts.append(f"{len(probe.folder_names)} folder{'s' * (len(probe.folder_names) > 1)}")
    return f", which contains {', '.join(parts)}"
