"""Files that ScanImage writes beside the movies, and that are not converted."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from nwb_ophys.errors import first_named
from nwb_ophys.paths import PathProbe, in_natural_order

_KINDS = {
    "values of integration fields": re.compile(r"_IntegrationRois?(_\d+)*\.csv$", re.IGNORECASE),
    "estimates of motion": re.compile(r"_Motion[^/]*\.(csv|txt|mat)$", re.IGNORECASE),
    "positions of photostimulation": re.compile(r"\.stim$", re.IGNORECASE),
    "line scans along arbitrary paths": re.compile(
        r"\.(meta\.txt|pmt\.dat|scnnr\.dat)$", re.IGNORECASE
    ),
}
_OF_LINES = re.compile(r"\.(pmt|scnnr)\.dat$", re.IGNORECASE)
# Numbers of the acquisition and the file, and the channel, at the end of a name.
_COUNTERS = re.compile(r"(_\d+|_chn\d+)+$")
_MOST_NAMED = 3


def warn_of_side_files(movies: Iterable[Path], *, of_others: bool = False) -> None:
    """Warn of files beside recordings that are not converted.

    Parameters
    ----------
    movies : iterable of pathlib.Path
        A file of each recording.
    of_others : bool
        Whether the files of recordings without such a movie are named, and not those of the movies.
    """
    stems: dict[Path, set[str]] = {}
    for path in movies:
        stems.setdefault(path.parent, set()).add(_COUNTERS.sub("", path.stem))
    for folder, own in stems.items():
        if not folder.is_dir():
            continue
        files, starts = PathProbe(folder).file_names, tuple(own)
        names = [name for name in files if name.startswith(starts) is not of_others]
        for kind, pattern in _KINDS.items():
            found = in_natural_order(name for name in names if pattern.search(name))
            if found:
                warnings.warn(
                    f"'{folder}': {kind} ({first_named(found, _MOST_NAMED)}) are left out; only "
                    "images are converted.",
                    UserWarning,
                    stacklevel=4,
                )


def line_scan_refusal(probe: PathProbe) -> str | None:
    """Return that a line scan along an arbitrary path is not read, or None for other paths.

    Parameters
    ----------
    probe : PathProbe
    """
    names = [probe.path.name] if probe.is_file else in_natural_order(probe.file_names)
    found = [name for name in names if _OF_LINES.search(name)]
    if not found:
        return None
    what = "is a file" if probe.is_file else f"has files ('{found[0]}')"
    return (
        f"'{probe.path}' {what} of a line scan of ScanImage along an arbitrary path, which has no "
        "images and is not read yet. Give the TIFF files of another recording."
    )
