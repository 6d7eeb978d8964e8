"""What the formats of TIFF files share: finding the files, and telling whose they are."""

from __future__ import annotations

import warnings
from pathlib import Path

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.tiff.heading import TiffHeading, author_of, read_tiff_heading
from nwb_ophys.paths import PathProbe

TIFF_SUFFIXES = (".tif", ".tiff")
# Programs whose images say little without the XML file that is recorded with them.
_NEED_XML = ("bruker", "thor")


def tiff_files(path: Path | list[Path]) -> list[Path]:
    """Return the TIFF files that a path or paths mean, those of a folder by their numbers."""
    if isinstance(path, list):
        return path
    if not path.is_dir():
        return [path]
    files = PathProbe(path).files(*TIFF_SUFFIXES)
    if not files:
        raise SourceError(f"The folder '{path}' holds no TIFF file (.tif, .tiff).")
    return files


def first_heading(probe: PathProbe) -> tuple[Path, TiffHeading] | None:
    """Return the first TIFF file of a path and its heading; None where there is none."""
    first = probe.first_file(*TIFF_SUFFIXES)
    heading = None if first is None else probe.read_once(read_tiff_heading, first)
    return None if first is None or heading is None else (first, heading)


def in_words(probe: PathProbe) -> str:
    """Return of which TIFF file the heading was read, for evidence."""
    names = probe.names(*TIFF_SUFFIXES)
    return f"'{names[0]}'" if len(names) == 1 else f"the first of {len(names)} TIFF files"


def is_written_by(probe: PathProbe, author: str | None) -> bool:
    """Whether the first TIFF file of a path is a program's own; of None, a plain one."""
    found = first_heading(probe)
    if found is None:
        return False
    own = author_of(found[1])
    if own in _NEED_XML and author not in _NEED_XML and not _has_xml(probe):
        # Without that, the images are still what anybody's are.
        own = "ome-tiff" if "<OME " in found[1].description[:4096] else None
    return own == author


def _has_xml(probe: PathProbe) -> bool:
    """Whether there is an XML file in a folder, or beside a file."""
    return bool(probe.names(".xml") if probe.is_folder else probe.read_once(_xml_beside))


def _xml_beside(path: Path) -> list[str]:
    return PathProbe(path.parent).names(".xml")


def warn_of_subfolders(path: Path) -> None:
    """Say which folders within a folder hold TIFF files, which are not read with it."""
    if not path.is_dir():
        return
    others = [each.path.name for each in PathProbe(path).folders() if each.names(*TIFF_SUFFIXES)]
    if others:
        warnings.warn(
            f"The TIFF files in {', '.join(sorted(others))} within '{path}' are not read with it; "
            "give those folders as paths of their own.",
            UserWarning,
            stacklevel=3,
        )
