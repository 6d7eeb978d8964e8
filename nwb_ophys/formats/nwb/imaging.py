"""Movies in NWB files of any author, as sources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.formats.nwb.files import (
    SERIES,
    NwbObject,
    choose,
    list_nwb,
    nwb_refusal,
    unique_names,
)
from nwb_ophys.formats.nwb.left_out import warn_of_left_out
from nwb_ophys.formats.nwb.lost import warn_of_lost
from nwb_ophys.formats.nwb.objects import (
    open_nwb,
    plane_of,
    session_of,
    starting_time_of,
    stated,
)
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import models
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class NwbImagingSource:
    """Source arguments of a movie in an NWB file."""

    file_path: Path = argument("NWB file: an HDF5 file, or the folder of a Zarr store.")
    series_name: str | None = argument(
        "Name of the one- or two-photon series, or its path in the file; optional if there is "
        "only one.",
        default=None,
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Rate of frames, or of volumes, in Hz; replaces the rate and the timestamps of the file.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )


class NwbImagingInterface(ImagingInterface):
    """A one- or two-photon series in an NWB file."""

    Source = NwbImagingSource
    reads_ranges = True
    states_movies = True
    has_volumes = True
    # NWB files in a folder of recordings are usually results of their conversion, not sources.
    searched_in_folders = False

    def __init__(self, *args: Any, **source: Any) -> None:
        super().__init__(*args, **source)
        self.photon_series_type = type(self.extractor.series).__name__

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.nwb.movie import NwbMovieExtractor

        chosen = choose(source.file_path, SERIES, source.series_name, "series_name")
        return NwbMovieExtractor(
            *open_nwb(source.file_path), chosen, source.plane_index, source.sampling_frequency
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the file: session, subject, device, plane and series."""
        series = self.extractor.series
        model = getattr(models, self.photon_series_type)
        entry = stated(series, model, ("rate", "starting_time", "dimension", "format"))
        if self.extractor.get_sampling_frequency() is None:
            # The metadata may give the rate; the start of the series holds with it.
            entry["starting_time"] = starting_time_of(series) or None
        planes = plane_of(series.imaging_plane)
        entry["imaging_plane"] = planes["ImagingPlane"][0]["name"]
        ophys = {**planes, self.photon_series_type: [entry]}
        return {**session_of(self.extractor.nwbfile), "Ophys": ophys}

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an NWB file with a movie: its series."""
        probe = PathProbe.of(path)
        found = _movies(probe.read_once(list_nwb))
        if not found:
            return None
        names = ", ".join(f"{each.kind} '{each.name}'" for each in found)
        return f"'{probe.path.name}' is NWB with {len(found)} series of pixels: {names}"

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return why an NWB file has neither a movie nor ROIs, or None."""
        is_nwb = probe.is_zarr or (probe.is_file and probe.head().startswith(b"\x89HDF"))
        return probe.read_once(nwb_refusal) if is_nwb else None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each one- or two-photon series with pixels."""
        movies = _movies(list_nwb(path))
        if movies:
            warn_of_left_out(path)
            warn_of_lost(path)
        # A series may be chosen by its name or by its path.
        asked = source.get("series_name")
        chosen = [each for each in movies if asked in (None, each.name, each.path)]
        if asked is not None or len(movies) < 2:
            given = {} if asked is None else {"series_name": asked}
            return [Part(arguments={"file_path": path, **given}, num_planes=_planes(chosen))]
        names = unique_names(movies)
        return [
            Part(
                arguments={"file_path": path, "series_name": name},
                labels=(name,),
                num_planes=_planes([each]),
            )
            for name, each in zip(names, movies, strict=True)
        ]


def _movies(found: tuple[NwbObject, ...] | None) -> list[NwbObject]:
    return [each for each in found or () if each.kind in SERIES and each.has_data]


def _planes(movies: list[NwbObject]) -> int:
    return movies[0].shape[3] if len(movies) == 1 and len(movies[0].shape) == 4 else 1
