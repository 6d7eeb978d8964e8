"""Session of all files that the benchmarks write."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

START = datetime(2024, 5, 17, tzinfo=timezone.utc)
METADATA = {"NWBFile": {"session_start_time": START}}


def new_nwbfile() -> Any:
    """Return an empty ``NWBFile``."""
    from pynwb import NWBFile

    return NWBFile("A movie with photon noise.", "benchmark", START)
