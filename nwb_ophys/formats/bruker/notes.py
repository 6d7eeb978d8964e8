"""Notes on the contents of a recording that are no movie, and on files beside it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from nwb_ophys.errors import counted
from nwb_ophys.formats.bruker.contents import Contents
from nwb_ophys.paths import names_of

_BESIDE = {
    "voltage recordings": re.compile(r"_Cycle\d+_VoltageRecording[^/]*\.(csv|xml)$", re.IGNORECASE),
    "stimulation points": re.compile(r"_Cycle\d+_MarkPoints[^/]*\.xml$", re.IGNORECASE),
}
_REFERENCES = "References"


def warn_of_contents(xml: Path, contents: Contents, line_scans: bool) -> None:
    """Warn of what is not written as a movie, or not at all.

    Parameters
    ----------
    xml : pathlib.Path
        The XML file of the recording.
    contents : Contents
    line_scans : bool
        Whether line scans are converted.
    """
    for note in (*_special(contents, line_scans), *_beside(xml, contents)):
        warnings.warn(f"'{xml}': {note}", UserWarning, stacklevel=3)


def _special(contents: Contents, line_scans: bool) -> Iterator[str]:
    """Yield a sentence for each kind of sequence that is no movie."""
    images = sum(scan.layout.num_samples for scan in contents.line_scans)
    if images and line_scans:
        yield (
            f"{counted(images, 'line scan')} found. Lines are no images, so they are written as "
            "lines over time: a TimeSeries of (lines, pixels) per channel in processing/ophys. "
            "line_scans=False (--option line_scans=false) leaves them out."
        )
    elif images and contents.sections:
        yield f"{counted(images, 'line scan')} left out, as line_scans=false says."
    stills = [section for section in contents.sections if not section.is_movie]
    if stills:
        planes = max(section.layout.num_planes for section in stills)
        what = "a z-stack in space" if planes > 1 else "a single image"
        many = f" at each of {len(stills)} positions" if len(stills) > 1 else ""
        yield (
            f"{what}{many}, without a time axis, is written as images (Images in the acquisition), "
            "not as a movie."
        )
    if contents.left_out:
        types = ", ".join(f"'{kind}'" for kind in contents.left_out)
        yield f"sequences of the type {types} are spot (point) scans, which are left out."


def _beside(xml: Path, contents: Contents) -> Iterator[str]:
    """Yield a sentence for the files of the recording that are not converted."""
    names = names_of(xml.parent)
    start = f"{xml.stem}_"
    texts = (name for name in names if name[-4:].lower() in (".csv", ".xml"))
    own = sorted(name for name in texts if name.startswith(start))
    for what, pattern in _BESIDE.items():
        found = [name for name in own if pattern.search(name)]
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            yield f"{what} ('{found[0]}'{more}) are left out; only images are converted."
    if _REFERENCES in names and (xml.parent / _REFERENCES).is_dir():
        yield f"the reference images in the folder '{_REFERENCES}' are left out."
