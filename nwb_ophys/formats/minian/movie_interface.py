"""The movie that Minian registered, with the shifts of its frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from nwb_ophys.errors import SourceNotFoundError
from nwb_ophys.formats.minian.stores import MOTION_STORE, MOVIE_STORES, ORIGINAL_STORE
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.made_from import MadeFrom
from nwb_ophys.interfaces.registered import (
    RegisteredImagingOptions,
    RegisteredMovieWriter,
    Registration,
    describe_shifts,
)
from nwb_ophys.paths import PathProbe
from nwb_ophys.writers.original_files import OriginalFiles


@attrs.frozen(kw_only=True)
class MinianMovieSource:
    """Source arguments of a movie that Minian registered."""

    folder_path: Path = argument("Folder in which Minian saved Y_fm_chk.zarr.")
    sampling_frequency: float | None = argument(
        "Frames per second; required if there is no timeStamps.csv.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )
    timestamps_path: Path | None = argument(
        "The timeStamps.csv of the miniscope, if it is neither in the folder nor in its parent "
        "folder.",
        default=None,
    )
    motion_path: Path | None = argument(
        "The store motion.zarr with the shifts, if it is not in the folder.", default=None
    )


class MinianImagingInterface(RegisteredMovieWriter, ImagingInterface):
    """The movie that Minian registered."""

    Source = MinianMovieSource
    reads_ranges = True
    Options = RegisteredImagingOptions
    photon_series_type = "OnePhotonSeries"
    # The movie is as large as the recording, and Minian can make it again.
    request_option = "registered_movie"
    request_defaults: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.minian.movie import MinianMovieExtractor

        if source.motion_path is not None and not source.motion_path.is_dir():
            raise SourceNotFoundError(
                f"'{source.motion_path}' does not exist; give the folder motion.zarr as "
                "motion_path."
            )
        return MinianMovieExtractor(
            source.folder_path, source.sampling_frequency, source.timestamps_path
        )

    def find_registration(self) -> Registration | None:
        """Return the shifts in ``motion.zarr``; None without it, and after splines."""
        from nwb_ophys.formats.minian.movie import open_movie, read_shifts

        store = self._motion_store()
        if not store.is_dir() and self.source.motion_path is None:
            return None
        shifts = read_shifts(store, open_movie(self.source.folder_path))
        if shifts is None:
            return None
        what = "Frames before motion correction, after Minian's preprocessing."
        original = OriginalFiles(files=[ORIGINAL_STORE], starting_frames=[0], description=what)
        is_there = (self.source.folder_path / ORIGINAL_STORE).is_dir()
        return Registration(
            source=f"'{store}'",
            shifts=shifts,
            description=describe_shifts("Minian", 2),
            original=original if is_there else None,
            lacking=f"the store {ORIGINAL_STORE} of the movie that was registered",
        )

    def _motion_store(self) -> Path:
        given: Path | None = self.source.motion_path
        return self.source.folder_path / MOTION_STORE if given is None else given

    def no_registration(self) -> str:
        """Return where shifts are looked for."""
        return (
            f"'{self._motion_store()}' does not exist, or holds splines, not shifts of whole "
            "frames; give the store motion.zarr as motion_path."
        )

    def describe(self) -> Mapping[str, Any]:
        """Return a description of the movie."""
        description = "Movie after motion correction by Minian."
        return {"Ophys": {self.photon_series_type: [{"description": description}]}}

    def made_from(self) -> MadeFrom:
        """Return an empty statement: Minian does not save the name of the recording."""
        return MadeFrom()

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder in which Minian saved a store such as ``Y_fm_chk.zarr``, or None."""
        beside = PathProbe(probe.path.parent)
        stores = (*MOVIE_STORES, MOTION_STORE, ORIGINAL_STORE)
        return beside.path if probe.path.name in stores and cls.matches(beside) else None

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a folder with a movie that Minian registered."""
        from nwb_ophys.formats.minian.movie import movie_store
        from nwb_ophys.formats.minian.zarr_variables import read_zarr_shape

        probe = PathProbe.of(path)
        name = movie_store(probe)
        if name is None:
            return None
        array = probe.path / name / name.removesuffix(".zarr")
        shape = probe.read_once(read_zarr_shape, array)
        if shape is None or len(shape) != 3:
            return None
        return f"{name} with {shape[0]} frames of {shape[1]} x {shape[2]} pixels"
