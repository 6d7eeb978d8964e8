"""What has been written so far, told to a callback while a file is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class WriteProgress:
    """How far a write has come.

    Attributes
    ----------
    location : str
        The dataset being written, such as ``TwoPhotonSeries/data``.
    frames, num_frames : int
        How many entries along its first axis are done, and how many there are.
    num_bytes, total_bytes : int
        Uncompressed bytes done and to do, of all datasets that are read while written.
    """

    location: str
    frames: int
    num_frames: int
    num_bytes: int
    total_bytes: int


ProgressCallback = Callable[[WriteProgress], None]


class ProgressBar:
    """Shows progress as a tqdm bar with frames and MB/s, on a terminal only.

    Use it as a context manager, which ends the line of the bar whatever happens.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress: WriteProgress) -> None:
        """Show how far the write has come."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=progress.total_bytes, unit="B", unit_scale=True, leave=False)
        self._bar.set_description(
            f"{progress.location} {progress.frames}/{progress.num_frames} frames", refresh=False
        )
        self._bar.update(progress.num_bytes - self._done)
        self._done = progress.num_bytes
