"""What has been written so far, told to a callback while a file is written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from nwb_ophys.storage.grid import Selection, size_of
from nwb_ophys.storage.planning import PlannedDataset


@attrs.frozen(kw_only=True)
class WriteProgress:
    """How far a write has come.

    Attributes
    ----------
    location : str
        The dataset of which a part was written, such as ``acquisition/TwoPhotonSeries/data``.
    frames, num_frames : int
        How many entries along its first axis are done, and how many there are.
    num_bytes, total_bytes : int
        Uncompressed bytes done and to do, of all datasets that are written in chunks.
    dataset_bytes, total_dataset_bytes : int
        The same of this dataset.
    """

    location: str
    frames: int
    num_frames: int
    num_bytes: int
    total_bytes: int
    dataset_bytes: int
    total_dataset_bytes: int


ProgressCallback = Callable[[WriteProgress], None]


class ProgressCounter:
    """Counts what is done of each dataset, and tells a callback.

    Parameters
    ----------
    planned : sequence of PlannedDataset
    callback : callable, optional
        Called with a :class:`WriteProgress` after each block.
    """

    def __init__(
        self, planned: Sequence[PlannedDataset], callback: ProgressCallback | None
    ) -> None:
        self._callback = callback
        self._total = sum(each.configuration.num_bytes for each in planned)
        self._done: dict[str, int] = {each.location: 0 for each in planned}

    def add(self, planned: PlannedDataset, bounds: Selection) -> None:
        """Note that a part of a dataset is done."""
        values = size_of(bounds)
        planned.source.report_written(values)
        location, size = planned.location, planned.configuration.num_bytes
        self._done[location] += values * planned.source.dtype.itemsize
        done, num_frames = self._done[location], planned.source.shape[0]
        if self._callback is None:
            return
        progress = WriteProgress(
            location=location,
            frames=done * num_frames // size,
            num_frames=num_frames,
            num_bytes=sum(self._done.values()),
            total_bytes=self._total,
            dataset_bytes=done,
            total_dataset_bytes=size,
        )
        self._callback(progress)


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
