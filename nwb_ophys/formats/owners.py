"""TIFF files that a maker's format owns, so that the plain TIFF formats skip them."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nwb_ophys.filetypes.tiff.folders import (
    first_heading,
    has_beside,
    tiff_files,
)
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.interfaces.detectable import Detectable
from nwb_ophys.paths import PathProbe, without_digits


def first_unowned(
    probe: PathProbe, accepts: Callable[[TiffHeading], bool]
) -> tuple[Path, TiffHeading] | None:
    """Return the first TIFF file of a path that no format of this package owns, or None.

    Parameters
    ----------
    probe : PathProbe
        A TIFF file or a folder of them, of which a sample is read; each header only once.
    accepts : callable
        Takes a header and returns whether the file counts.
    """
    # Some images have no header of their own; a file beside them says what they are.
    if any(cls.recording_of(probe) is not None for cls in _owners()):
        return None
    return first_heading(probe, lambda each: accepts(each) and owner_of(each, probe) is None)


def owner_of(heading: TiffHeading, probe: PathProbe) -> Any:
    """Return the interface class that owns a TIFF file, or None.

    Parameters
    ----------
    heading : TiffHeading
    probe : PathProbe
        The file or its folder.
    """
    owners = (cls for cls in _owners() if cls.owns(heading))
    return next((cls for cls in owners if has_beside(probe, cls.owned_beside)), None)


def own_files(probe: PathProbe, owns: Callable[[TiffHeading], bool]) -> list[Path]:
    """Return the TIFF files of a folder that belong to one format, in natural order.

    If none does, all TIFF files are returned: the user named the format, and its reader says what
    the files lack.

    Parameters
    ----------
    probe : PathProbe
        A folder.
    owns : callable
        Takes a header and returns whether the file belongs to the format.

    Raises
    ------
    SourceError
        If the folder holds no TIFF file.
    """
    files = tiff_files(probe.path)
    headings = {path: probe.read_once(read_tiff_heading, path) for path in files}
    own = {path for path, each in headings.items() if each is not None and owns(each)}
    # An empty file with such a name is a part that was lost, which the reader reports.
    patterns = {without_digits(path.name) for path in own}
    return [
        path
        for path, each in headings.items()
        if path in own or (each is None and without_digits(path.name) in patterns)
    ] or files


@functools.cache
def _owners() -> tuple[Any, ...]:
    """Return the interface classes that own TIFF files."""
    # Imported at the first call, because the plain formats that call are in the same package.
    package = importlib.import_module("nwb_ophys.formats")
    classes = [getattr(package, name) for name in package.__all__]
    owns = vars(Detectable)["owns"].__func__
    return tuple(cls for cls in classes if cls.owns.__func__ is not owns)
