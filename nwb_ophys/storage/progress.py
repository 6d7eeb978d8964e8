"""Progress of a write, reported to a callback after each block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from nwb_ophys.errors import printable
from nwb_ophys.storage.grid import Selection, size_of
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.terminals import is_shown_on_terminal


@attrs.frozen(kw_only=True)
class WriteProgress:
    """Progress of a write.

    Attributes
    ----------
    location : str
        Path of the dataset that was written last, such as ``acquisition/TwoPhotonSeries/data``.
    frames, num_frames : int
        Numbers of written entries and of all entries along its first axis.
    num_bytes, total_bytes : int
        Numbers of written bytes and of all bytes, uncompressed, of all datasets written in chunks.
    dataset_bytes, total_dataset_bytes : int
        The same numbers for this dataset.
    """

    location: str
    frames: int
    num_frames: int
    num_bytes: int
    total_bytes: int
    dataset_bytes: int
    total_dataset_bytes: int


ProgressCallback = Callable[[WriteProgress], None]


class Counter(Protocol):
    """Counter of the written parts of datasets."""

    def add(self, planned: PlannedDataset, bounds: Selection) -> None:
        """Count a written part of a dataset."""


class ProgressCounter:
    """Counter of the written values of each dataset, which reports to a callback.

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

    def skip(self, planned: PlannedDataset, num_values: int) -> None:
        """Count values that an earlier run wrote; the next report includes them."""
        if num_values:
            planned.source.report_written(num_values)
            self._done[planned.location] += num_values * planned.source.dtype.itemsize

    def add(self, planned: PlannedDataset, bounds: Selection) -> None:
        """Count a written part of a dataset."""
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
    """Progress bar of tqdm with frames and MB/s, shown on a terminal only.

    Use it as a context manager, which ends the line of the bar also after an error.
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
        """Show the progress."""
        if not is_shown_on_terminal():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=progress.total_bytes, unit="B", unit_scale=True, leave=False)
        self._bar.set_description(
            f"{printable(progress.location)} {progress.frames}/{progress.num_frames} frames",
            refresh=False,
        )
        self._bar.update(progress.num_bytes - self._done)
        self._done = progress.num_bytes
        if progress.num_bytes == progress.total_bytes:
            self._bar.refresh()  # which update() leaves out soon after another one
