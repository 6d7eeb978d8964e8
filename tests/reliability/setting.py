"""The setting of the harness: short in every run of the tests, long by hand."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("NWB_OPHYS_RELIABILITY") == "long"


def rounds(short: int, long: int) -> int:
    """Return the number of rounds of a test in the present setting."""
    return long if IS_LONG else short
