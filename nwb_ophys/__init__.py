"""Turn optical-physiology recordings into NWB files: correct, fast and safe.

Names are imported when they are first used, so that importing the package costs nothing. The names
of formats and of converters of whole recordings follow from the rows in ``nwb_ophys.formats``.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # typing takes as long to import as the rest of this file
if TYPE_CHECKING:
    from nwb_ophys.certification import verify as verify
    from nwb_ophys.converter import OphysConverter as OphysConverter
    from nwb_ophys.editing import edit_metadata as edit_metadata
    from nwb_ophys.errors import NwbOphysError as NwbOphysError
    from nwb_ophys.interfaces import BaseOphysInterface as BaseOphysInterface
    from nwb_ophys.interfaces import ImagingInterface as ImagingInterface
    from nwb_ophys.interfaces import SegmentationInterface as SegmentationInterface
    from nwb_ophys.interfaces import argument as argument
    from nwb_ophys.opening import open as open
    from nwb_ophys.registry import detect as detect
    from nwb_ophys.reports import preview as preview
    from nwb_ophys.reports import write_report as write_report
    from nwb_ophys.sessions import run_sessions as run_sessions
    from nwb_ophys.sessions import sessions_of as sessions_of
    from nwb_ophys.storage import BackendConfiguration as BackendConfiguration
    from nwb_ophys.storage import DatasetConfiguration as DatasetConfiguration
    from nwb_ophys.storage import repack as repack
    from nwb_ophys.writers.run import write_nwbfile as write_nwbfile

__version__ = "0.1.0"

# The same names as above, for use at run time; a test compares the two.
_HOMES = {
    "BackendConfiguration": "nwb_ophys.storage",
    "BaseOphysInterface": "nwb_ophys.interfaces",
    "DatasetConfiguration": "nwb_ophys.storage",
    "ImagingInterface": "nwb_ophys.interfaces",
    "NwbOphysError": "nwb_ophys.errors",
    "OphysConverter": "nwb_ophys.converter",
    "SegmentationInterface": "nwb_ophys.interfaces",
    "argument": "nwb_ophys.interfaces",
    "detect": "nwb_ophys.registry",
    "edit_metadata": "nwb_ophys.editing",
    "open": "nwb_ophys.opening",
    "preview": "nwb_ophys.reports",
    "repack": "nwb_ophys.storage",
    "run_sessions": "nwb_ophys.sessions",
    "sessions_of": "nwb_ophys.sessions",
    "verify": "nwb_ophys.certification",
    "write_nwbfile": "nwb_ophys.writers.run",
    "write_report": "nwb_ophys.reports",
}

# Modules that work as ``nwb_ophys.tools`` does, without an import of their own.
_ROOMS = (
    *("errors", "interfaces", "metadata", "opening", "reports", "sessions", "storage"),
    *("testing", "tools"),
)


def _homes_of_formats() -> dict[str, str]:
    """Return the modules that the names of formats are imported from."""
    from nwb_ophys.formats import builtin_rows

    homes = {row.interface_name: "nwb_ophys.formats" for row in builtin_rows()}
    converters = {row.converter for row in builtin_rows() if row.converter is not None}
    return homes | dict.fromkeys(converters, "nwb_ophys.opening.converters")


def __getattr__(name: str):  # type: ignore[no-untyped-def]
    if name == "__all__":  # a star must not replace the builtin open
        return [each for each in __dir__() if each != "open"]
    if name in _ROOMS:
        return importlib.import_module(f"nwb_ophys.{name}")
    of_format = {} if name in _HOMES else _homes_of_formats()
    home = _HOMES.get(name) or of_format.get(name)
    if home is None:
        message = f"module 'nwb_ophys' has no attribute {name!r}"
        # With the name and the module Python suggests the name that may be meant.
        raise AttributeError(message, name=name, obj=sys.modules[__name__])
    found = getattr(importlib.import_module(home), name)
    if name in of_format:
        # Who names a class in Python converts with it. Commands find classes by their formats, and
        # those that only look import no pynwb.
        importlib.import_module("nwb_ophys.interfaces.writing")
    return found


def __dir__() -> list[str]:
    return sorted([*_HOMES, *_homes_of_formats(), "__version__"])
