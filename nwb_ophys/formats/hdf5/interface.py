"""Movies in HDF5 files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part, axes_parts, indexed_name, indexed_names
from nwb_ophys.paths import PathProbe

_SUFFIXES = (".h5", ".hdf5", ".hdf")


@attrs.frozen(kw_only=True)
class Hdf5Source:
    """Source arguments of a movie in an HDF5 file."""

    file_path: Path = argument("HDF5 file with the movie.")
    sampling_frequency: float | None = argument(
        "Rate of frames, or of volumes, in Hz. If not given, it is read from the dataset's "
        "attribute fr, which CaImAn writes.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )
    dataset_name: str | None = argument(
        "Name of the dataset. If not given: 'mov', or the only one with the axes of a movie.",
        default=None,
    )
    dimension_order: str | None = argument(
        "Order of the axes, one letter each: T (time), C (channels), Z (planes), Y (rows), X "
        "(columns). If not given: the order of the dimension labels, else TYX; or CTYX if the "
        "first of four axes is at most 4 long and shorter than the second. Variables that MATLAB "
        "saved with -v7.3 have XY in place of YX.",
        default=None,
    )
    channel_index: int | None = argument(
        "Index of the channel, from 0; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of the plane, from 0; all planes if not given.", default=None
    )


class Hdf5ImagingInterface(ImagingInterface):
    """One channel of a movie that is a dataset of an HDF5 file."""

    Source = Hdf5Source
    reads_ranges = True
    is_generic = True
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.hdf5.reader import Hdf5MovieExtractor, find_hdf5_movie

        movie = find_hdf5_movie(source.file_path, source.dataset_name, source.dimension_order)
        return Hdf5MovieExtractor(
            movie, source.sampling_frequency, source.channel_index, source.plane_index
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the rate; a dataset states nothing about the microscope."""
        rate = self.extractor.get_sampling_frequency()
        return {"Ophys": {"ImagingPlane": [{"imaging_rate": rate}]}}

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.axes.size("C"))

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an HDF5 file with a movie at its root."""
        probe = PathProbe.of(path)
        if not probe.is_file or probe.path.suffix.lower() not in _SUFFIXES:
            return None
        from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
        from nwb_ophys.formats.hdf5.reader import movie_datasets

        outline = probe.read_once(read_hdf5_outline)
        found = movie_datasets(outline.datasets) if outline is not None else []
        # Deeper datasets, and those beside estimates, belong to the output of other programs.
        if outline is None or len(found) != 1 or "/" in found[0] or "estimates" in outline:
            return None
        shape, dtype = outline.datasets[found[0]]
        return f"'{probe.path.name}' holds '{found[0]}' of shape {shape}, {dtype}"

    @classmethod
    def needs(cls, path: Any) -> Sequence[str]:
        """Return that the rate is needed where the dataset does not state it."""
        from nwb_ophys.formats.hdf5.reader import find_hdf5_movie

        try:
            is_stated = find_hdf5_movie(path).rate is not None
        except SourceError:  # which is raised with words where the file is opened
            return ()
        return () if is_stated else ("sampling_frequency",)

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a file is empty, starts as HDF5 but is damaged, or has no frames."""
        from nwb_ophys.filetypes.hdf5 import is_damaged_hdf5, read_hdf5_outline
        from nwb_ophys.formats.hdf5.reader import has_empty_movie

        outline = probe.read_once(read_hdf5_outline)
        has_none = outline is not None and has_empty_movie(outline.datasets)
        return has_none or is_damaged_hdf5(probe)

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return the datasets among which the user has to choose, or None."""
        if not probe.is_file or probe.path.suffix.lower() not in _SUFFIXES:
            return None
        from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
        from nwb_ophys.formats.hdf5.reader import choice_of_datasets

        outline = probe.read_once(read_hdf5_outline)
        if outline is None or "estimates" in outline or "neurodata_type" in outline.attributes:
            return None
        return choice_of_datasets(probe.path, outline.datasets)

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each channel of the movie."""
        from nwb_ophys.formats.hdf5.reader import find_hdf5_movie

        names = (source.get("dataset_name"), source.get("dimension_order"))
        return axes_parts(find_hdf5_movie(path, *names).axes, file_path=path)
