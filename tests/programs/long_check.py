"""The process of the page, whose check of a written file lasts until it is interrupted."""

from __future__ import annotations

import time
from typing import Any

from nwb_ophys.page import work, worker


def serve(pipe: Any) -> None:
    """Do the work that comes through a pipe, as the page lets its process do."""
    work.summarise_file = lambda path: time.sleep(600)
    worker._serve(pipe)
