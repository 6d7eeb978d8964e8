"""Reader of the movie that Minian registered, ``Y_fm_chk.zarr``, and of its shifts.

``motion.zarr`` holds ``motion``, (frame, shift_dim), with the coordinate ``shift_dim`` of
``height`` and ``width``: the number of pixels by which ``apply_transform`` of Minian's
``motion_correction.py`` moved the content of each frame, as it resamples the frame with the
translation ``-motion``. After non-rigid motion correction it holds coefficients of splines instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.formats.minian.stores import MOVIE_STORES
from nwb_ophys.formats.minian.times import sample_times
from nwb_ophys.formats.minian.zarr_variables import (
    ZarrVariable,
    open_zarr_variable,
    read_zarr_shape,
)
from nwb_ophys.paths import PathProbe
from nwb_ophys.remote.paths import as_path

_MOVIE_AXES = ("frame", "height", "width")


def movie_store(folder: Path | PathProbe) -> str | None:
    """Return the name of the store of the registered movie in a folder, or None."""
    names = PathProbe.of(folder).folder_names
    return next((name for name in MOVIE_STORES if name in names), None)


def open_movie(folder: Path) -> ZarrVariable:
    """Return the registered movie in a folder, (frame, height, width).

    Raises
    ------
    CorruptSourceError
        When the store is absent or damaged.
    """
    name = movie_store(folder)
    movie = None if name is None else open_zarr_variable(folder / name, _MOVIE_AXES)
    if movie is None:
        raise CorruptSourceError(
            f"'{folder}' has no {MOVIE_STORES[0]} with the movie that Minian registered. Give the "
            "folder of its intermediate results."
        )
    movie.check_complete()
    frames = movie.coordinate("frame")
    if frames is not None and frames.shape != movie.shape[:1]:
        raise CorruptSourceError(
            f"'{movie.store}' has {movie.shape[0]} frames, but {frames.size} numbers of frames."
        )
    return movie


class MinianMovieExtractor(ArrayImagingExtractor):
    """The movie that Minian registered.

    Parameters
    ----------
    folder_path : pathlib.Path
        The folder that holds ``Y_fm_chk.zarr``.
    sampling_frequency : float, optional
        Frames per second; required without a table of timestamps.
    timestamps_path : pathlib.Path, optional
        The table of timestamps; by default ``timeStamps.csv`` in the folder or its parent.

    Raises
    ------
    CorruptSourceError
        When the store is absent or damaged.
    SourceError
        When neither a table nor an argument states the times of the frames.
    """

    extractor_name = "MinianMovieExtractor"

    def __init__(
        self,
        folder_path: Path,
        sampling_frequency: float | None = None,
        timestamps_path: Path | None = None,
    ) -> None:
        folder = as_path(folder_path)
        movie = open_movie(folder)
        num_samples = movie.shape[0]
        self._native_times = sample_times(
            folder,
            movie.coordinate("frame"),
            num_samples,
            sampling_frequency,
            timestamps_path,
        )
        super().__init__(movie, sampling_frequency or _rate(self._native_times))  # type: ignore[arg-type]

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times that the table of timestamps states, in seconds; None without one."""
        if self._native_times is None:
            return None
        return self._native_times[start_sample:end_sample]


def _rate(times: NDArray[np.float64] | None) -> float | None:
    """Return the mean rate of times, for readers that need a number."""
    if times is None:
        return None
    if len(times) < 2 or times[-1] <= times[0]:
        return 1.0
    return float((len(times) - 1) / (times[-1] - times[0]))


def read_shifts(store: Path, movie: ZarrVariable) -> NDArray[Any] | None:
    """Return the shifts of the frames of a movie, (samples, 2): x and y; None after splines.

    Parameters
    ----------
    store : pathlib.Path
        Such as ``motion.zarr``.
    movie : ZarrVariable

    Raises
    ------
    SourceError
        When the store has no shifts of the frames.
    """
    num_samples, frames = movie.shape[0], movie.coordinate("frame")
    if len(read_zarr_shape(store / "motion") or (0, 0)) != 2:
        return None
    motion = open_zarr_variable(store, ("frame", "shift_dim"))
    if motion is None:
        raise SourceError(f"'{store}' does not exist; give the folder motion.zarr as motion_path.")
    axes, own = motion.coordinate("shift_dim"), motion.coordinate("frame")
    order = [str(axis) for axis in axes] if axes is not None else ["height", "width"]
    if sorted(order) != ["height", "width"] or motion.shape[1] != 2:
        raise CorruptSourceError(
            f"'{store}' has shifts of the shape {motion.shape} along {', '.join(order)}; they must "
            "be along height and width."
        )
    motion.check_complete()
    values = motion[:][:, [order.index("width"), order.index("height")]]
    if own is not None and frames is not None:
        place = np.searchsorted(own, frames).clip(max=max(len(own) - 1, 0))
        if not len(own) or not np.array_equal(own[place], frames):
            raise SourceError(
                f"'{store}' lacks the shifts of some of the {num_samples} frames of the movie; it "
                "may be of another recording."
            )
        return values[place]
    if len(values) != num_samples:
        raise SourceError(
            f"'{store}' has shifts of {len(values)} frames, the movie has {num_samples}; it may be "
            "of another recording."
        )
    return values
