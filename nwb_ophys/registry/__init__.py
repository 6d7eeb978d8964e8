"""Registry of formats: rows by name, detection, and errors for paths that no format recognises.

The rows of this package are in the folders of ``nwb_ophys.formats``. Other packages add rows
through the entry-point group ``nwb_ophys.formats``: the name of the entry point is the name of the
format, and its object is the interface class.
"""

from nwb_ophys.registry.detection import (
    Candidate,
    detect,
    is_generic,
    likeliest,
    option_asking_for,
)
from nwb_ophys.registry.rows import ENTRY_POINT_GROUP, FormatRow, format_table, formats, get_format
from nwb_ophys.registry.unrecognised import unrecognised

__all__ = [
    "ENTRY_POINT_GROUP",
    "Candidate",
    "FormatRow",
    "detect",
    "format_table",
    "formats",
    "get_format",
    "is_generic",
    "likeliest",
    "option_asking_for",
    "unrecognised",
]
