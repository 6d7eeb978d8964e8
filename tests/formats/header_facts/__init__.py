"""Tables of the facts that each format reads from its headers, one module per format.

A module ``header_facts/<name>.py`` has ``TABLES``, one for each format of the folder ``<name>``.
"""

from __future__ import annotations

import importlib
from pathlib import Path

_NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))

TABLES = tuple(
    table
    for name in _NAMES
    if name not in ("places", "table")
    for table in importlib.import_module(f"{__name__}.{name}").TABLES
)
