"""The setting of the harness: short in every run of the tests, long by hand."""

from __future__ import annotations

import os
from typing import Any

IS_LONG = os.environ.get("NWB_OPHYS_RELIABILITY") == "long"


def rounds(short: Any, long: Any) -> Any:
    """Return the number of rounds of a test, or what it goes through, in the present setting."""
    return long if IS_LONG else short
