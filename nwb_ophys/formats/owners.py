"""TIFF files that a maker's format owns, so that the plain TIFF formats skip them."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

from nwb_ophys.filetypes.tiff.folders import (
    has_beside,
    some_headings,
    tiff_files,
)
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.interfaces.base import Detectable
from nwb_ophys.interfaces.grouping import LeftOut
from nwb_ophys.paths import PathProbe


def is_owned(probe: PathProbe) -> bool:
    """Return whether a format of this package owns a TIFF file of a path.

    Parameters
    ----------
    probe : PathProbe
        A TIFF file or a folder of them, of which a sample is read; each header only once.
    """
    return any(owner_of(heading, probe) is not None for _, heading in some_headings(probe))


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


def own_files(probe: PathProbe, owns: Any) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """Divide the TIFF files of a folder into those of one format and those that are left out.

    Parameters
    ----------
    probe : PathProbe
        A folder.
    owns : callable
        Takes a header and returns whether the file belongs to the format.

    Returns
    -------
    own : list of pathlib.Path
        In natural order.
    left_out : tuple of LeftOut
        Files that no acquisition program owns. Those of other programs are recordings, too.

    Raises
    ------
    SourceError
        If the folder holds no TIFF file.
    """
    own: list[Path] = []
    left_out: list[LeftOut] = []
    files = tiff_files(probe.path)
    for path in files:
        heading = probe.read_once(read_tiff_heading, path)
        if heading is not None and owns(heading):
            own.append(path)
        elif heading is None:
            left_out.append(LeftOut(path, "it is empty or cannot be read as TIFF"))
        elif owner_of(heading, probe) is None:
            kind = "OME-TIFF" if heading.has_ome_xml else "plain TIFF"
            left_out.append(LeftOut(path, f"a {kind} file without the header of the others"))
    # A format that the user names for files without its header is read, and says what it lacks.
    return (own, tuple(left_out)) if own else (files, ())


@functools.cache
def _owners() -> tuple[Any, ...]:
    """Return the interface classes that own TIFF files."""
    # Imported at the first call, because the plain formats that call are in the same package.
    package = importlib.import_module("nwb_ophys.formats")
    classes = [getattr(package, name) for name in package.__all__]
    owns = vars(Detectable)["owns"].__func__
    return tuple(cls for cls in classes if cls.owns.__func__ is not owns)
