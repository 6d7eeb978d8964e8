"""What the formats of TIFF files share: finding the files, and telling whose they are."""

from __future__ import annotations

import warnings
from pathlib import Path

from nwb_ophys.errors import SourceError
from nwb_ophys.extractors.tiff_heading import TiffHeading, author_of, read_tiff_heading
from nwb_ophys.glance import Glance

TIFF_SUFFIXES = (".tif", ".tiff")


def tiff_files(path: Path | list[Path]) -> list[Path]:
    """Return the TIFF files that a path or paths mean, those of a folder by their numbers."""
    if isinstance(path, list):
        return path
    if not path.is_dir():
        return [path]
    files = Glance(path).files(*TIFF_SUFFIXES)
    if not files:
        raise SourceError(f"The folder '{path}' holds no TIFF file (.tif, .tiff).")
    return files


def first_heading(glance: Glance) -> tuple[Path, TiffHeading] | None:
    """Return the first TIFF file of a path and its heading; None where there is none."""
    files = glance.files(*TIFF_SUFFIXES)
    heading = glance.read_once(read_tiff_heading, files[0]) if files else None
    return None if heading is None else (files[0], heading)


def is_written_by(glance: Glance, author: str | None) -> bool:
    """Whether the first TIFF file of a path is a program's own; of None, a plain one."""
    found = first_heading(glance)
    return found is not None and author_of(found[1]) == author


def warn_of_subfolders(path: Path) -> None:
    """Say which folders within a folder hold TIFF files, which are not read with it."""
    if not path.is_dir():
        return
    others = [each.path.name for each in Glance(path).folders() if each.files(*TIFF_SUFFIXES)]
    if others:
        warnings.warn(
            f"The TIFF files in {', '.join(sorted(others))} within '{path}' are not read with it; "
            "give those folders as paths of their own.",
            UserWarning,
            stacklevel=3,
        )
