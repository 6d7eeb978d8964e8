"""The terminal on which a program runs, if there is one; this module imports no package."""

from __future__ import annotations

import sys


def is_shown_on_terminal() -> bool:
    """Return whether stderr is a terminal; a service or a window may have none at all."""
    return sys.stderr is not None and sys.stderr.isatty()
