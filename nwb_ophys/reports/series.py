"""Movies of a file: their facts, the statistics of their pixels, and frames that are faulty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.reports.failures import Unreadable, attempt
from nwb_ophys.reports.gathering import StatisticsGatherer
from nwb_ophys.reports.pixel_sizes import PixelSize, pixel_size_of
from nwb_ophys.reports.scaling import Scaling, scaling_of
from nwb_ophys.reports.statistics import MovieStatistics, movie_statistics
from nwb_ophys.reports.stored_file import StoredFile
from nwb_ophys.reports.timing import StreamTimes, stream_times

_IMAGES = ("ImageSeries", "PhotonSeries", "OpticalSeries", "ImageMaskSeries")
_MOST_FILES = 20
_NUM_AXES = (3, 4)


@attrs.frozen(kw_only=True, eq=False)
class MovieFacts:
    """A series of frames.

    Attributes
    ----------
    path, kind, description : str
    plane : str or None
        Path of its imaging plane.
    shape : tuple of int
        (frames, columns, rows[, planes]); empty if the frames are in other files.
    dtype : str
    scaling : Scaling
    pixel_size : PixelSize or None
    external_files : tuple of str
        Names of the first files with its frames, if they are not in this file.
    num_external_files : int
    times : StreamTimes or Unreadable
    statistics : MovieStatistics or Unreadable or None
        None for a series without frames in this file.
    lacking : str
        Parts that were never written, in whose place fill values are read, as a sentence; empty
        if there are none.
    """

    path: str
    kind: str
    description: str
    plane: str | None
    shape: tuple[int, ...]
    dtype: str
    scaling: Scaling
    pixel_size: PixelSize | None
    external_files: tuple[str, ...]
    num_external_files: int
    times: StreamTimes | Unreadable
    statistics: MovieStatistics | Unreadable | None
    lacking: str = ""

    @property
    def name(self) -> str:
        """Name of the series, the last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def noun(self) -> str:
        """Word for a sample of the movie."""
        return "volume" if self.is_volumetric else "frame"

    @property
    def is_volumetric(self) -> bool:
        """Return whether a frame has several planes."""
        return len(self.shape) == 4 and not self.is_coloured

    @property
    def is_coloured(self) -> bool:
        """Return whether the last axis of a series without an imaging plane holds colours."""
        return len(self.shape) == 4 and self.plane is None and self.shape[3] in (3, 4)


def movie_paths(file: StoredFile) -> Iterator[str]:
    """Yield the paths of the series of images in a file, of any type that has frames."""
    for path in file.members:
        kind = file.kind(path)
        has_plane = "imaging_plane" in file.members[path]
        is_movie = kind.endswith(_IMAGES) or (has_plane and "data" in file.members[path])
        if not is_movie or "rois" in file.members[path]:
            continue
        if file.kind(path).endswith(_IMAGES) or _has_frames(file, path):
            yield path


def _has_frames(file: StoredFile, path: str) -> bool:
    """Return whether the data of a series have the axes of frames or volumes."""
    shape = file.shape(file.member(path, "data"))
    return shape is not None and len(shape) in _NUM_AXES


def gather_movie(
    file: StoredFile, path: str, gatherer: StatisticsGatherer | None = None
) -> MovieFacts:
    """Return the facts and the statistics of a movie.

    Parameters
    ----------
    file : StoredFile
    path : str
    gatherer : StatisticsGatherer, optional
        What observed the write of the file; without statistics of this movie, it is read.

    Raises
    ------
    CorruptSourceError
        If neither the file nor other ones that it names have frames of the movie.
    """
    data = file.member(path, "data")
    _check_frames(file, path)
    shape = file.shape(data) or ()
    plane = file.member(path, "imaging_plane")
    external = file.member(path, "external_file")
    names = _texts(file.value(external)) if external is not None else []
    has_frames = bool(shape) and 0 not in shape
    statistics: Any = None
    if has_frames and data is not None:
        gathered = None if gatherer is None else gatherer.statistics(data)
        statistics = gathered or attempt(data, movie_statistics, file.root[data])
    found = None if data is None else file.objects[data]
    return MovieFacts(
        path=path,
        kind=file.kind(path),
        description=str(file.attribute(path, "description") or ""),
        plane=plane,
        shape=shape if has_frames or not names else (),
        dtype="" if found is None or found.dtype is None else str(found.dtype),
        scaling=scaling_of(file, data),
        pixel_size=pixel_size_of(file, path, plane, shape),
        external_files=tuple(names[:_MOST_FILES]),
        num_external_files=len(names),
        times=attempt(path, stream_times, file, path),
        statistics=statistics,
        lacking=file.lacking(data) if has_frames and data is not None else "",
    )


def _check_frames(file: StoredFile, path: str) -> None:
    """Check that a series has data with the axes of frames, or that they are in other files."""
    if "external_file" in file.members[path]:
        return
    shape = file.shape(file.required(path, "data"))
    if shape is None or len(shape) not in _NUM_AXES:
        stated = "are empty" if shape is None else f"have the shape {shape}"
        raise CorruptSourceError(f"Its data {stated}; those of a movie have three or four axes.")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value or ()]


def planes_of(num_planes: int, most: int) -> list[int]:
    """Return the numbers of at most some planes, spread evenly from the first to the last."""
    if num_planes <= most:
        return list(range(num_planes))
    return [int(each) for each in np.round(np.linspace(0, num_planes - 1, most))]


def as_image(frame: Any, plane: int | None = None) -> Any:
    """Return an array of a frame, (columns, rows[, planes]), as rows and columns of an image."""
    values = np.asarray(frame)
    return (values if plane is None else values[:, :, plane]).T


def duration(seconds: float | None) -> str:
    """Return a duration in words."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 120:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def at_time(seconds: float) -> str:
    """Return a time to 0.1 ms, however far it lies from zero, as clocks of the Unix epoch do."""
    decimals = f"{seconds:.4f}".rstrip("0").rstrip(".")
    return f"{decimals if abs(seconds) >= 1 else f'{seconds:.6g}'} s"


def in_sizes(shape: Sequence[int]) -> str:
    """Return a shape in words."""
    return " × ".join(map(str, shape))
