"""TIFF files that a maker's format owns, so that the plain TIFF formats skip them."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from nwb_ophys.filetypes.tiff.folders import first_heading, has_beside
from nwb_ophys.interfaces.base import Detectable
from nwb_ophys.paths import PathProbe


def is_owned(probe: PathProbe) -> bool:
    """Return whether a format of this package owns the first TIFF file of a path.

    Parameters
    ----------
    probe : PathProbe
        A TIFF file or a folder of them; only the header of the first file is read, only once.
    """
    found = first_heading(probe)
    return found is not None and any(
        (cls.owns(found[1]) and has_beside(probe, cls.owned_beside)) or cls.owns_path(probe)
        for cls in _owners()
    )


@functools.cache
def _owners() -> tuple[Any, ...]:
    """Return the interface classes that own TIFF files."""
    # Imported at the first call, because the plain formats that call are in the same package.
    package = importlib.import_module("nwb_ophys.formats")
    classes = [getattr(package, name) for name in package.__all__]
    owns = vars(Detectable)["owns"].__func__
    return tuple(cls for cls in classes if cls.owns.__func__ is not owns)
