"""Reports: HTML pages that show what is in NWB files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nwb_ophys.reports.writing import preview, write_batch_index, write_index, write_report

if TYPE_CHECKING:
    from nwb_ophys.reports.report import gather_report

__all__ = ["gather_report", "preview", "write_batch_index", "write_index", "write_report"]


def __getattr__(name: str) -> Any:
    if name == "gather_report":  # its module imports pynwb
        return importlib.import_module("nwb_ophys.reports.report").gather_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
