"""Movies in files of raw pixels, and CaImAn's memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.made_from import MadeFrom
from nwb_ophys.interfaces.registered import (
    RegisteredImagingOptions,
    RegisteredMovieWriter,
    Registration,
)
from nwb_ophys.interfaces.streams import Part, axes_parts, indexed_name, indexed_names
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MemmapSource:
    """Source arguments of a movie in a file of raw pixels."""

    file_path: Path = argument(
        "File of raw pixels. The name of a CaImAn memory map (.mmap) states its shape and order; "
        "other files need shape and dtype."
    )
    sampling_frequency: float | None = argument(
        "Rate of frames, or of volumes, in Hz. The rate in CaImAn's results beside its memory map "
        "is used if it is not given on opening. Required unless the times of the frames are given.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )
    shape: list[int] | None = argument(
        "Length of each axis, slowest first; -1 for one axis that follows from the file size.",
        default=None,
    )
    dtype: str | None = argument(
        "NumPy name of the pixel type, such as uint16, or '>u2' for big-endian.",
        default=None,
    )
    dimension_order: str | None = argument(
        "Order of the axes, one letter each, slowest first: T (time), C (channels), Z (planes), "
        "Y (rows), X (columns); TYX if not given.",
        default=None,
    )
    offset: int = argument(
        "Number of bytes before the first pixel.", default=0, schema={"minimum": 0}
    )
    channel_index: int | None = argument(
        "Index of the channel, from 0; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of the plane, from 0; all planes if not given.", default=None
    )
    shifts_path: Path | None = argument(
        "File with the shifts by which CaImAn registered the movie of its memory map: its results "
        "(.hdf5), a .npz file with shifts_rig, or with x_shifts_els and y_shifts_els, or a .npy "
        "file; looked for beside the memory map if not given.",
        default=None,
    )
    allow_truncated: bool = allow_truncated_argument()


class MemmapImagingInterface(RegisteredMovieWriter, ImagingInterface):
    """One channel of a movie in a file of raw pixels, such as a NumPy memory map."""

    Source = MemmapSource
    reads_ranges = True
    Options = RegisteredImagingOptions
    is_generic = True
    needs_rate = True
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.memmap.reader import RawBinaryExtractor, find_raw_binary

        binary = find_raw_binary(
            source.file_path,
            source.shape,
            source.dtype,
            source.dimension_order,
            source.offset,
            source.allow_truncated,
        )
        return RawBinaryExtractor(
            binary, source.sampling_frequency, source.channel_index, source.plane_index
        )

    def find_registration(self) -> Registration | None:
        """Return the shifts of the frames of a CaImAn memory map; None without any."""
        from nwb_ophys.formats.memmap.names import caiman_map
        from nwb_ophys.formats.memmap.shifts import find_registration

        layout, given = caiman_map(self.source.file_path), self.source.shifts_path
        if layout is not None and self.source.shape is None:
            return find_registration(layout, given)
        if given is not None:
            raise SourceError(
                f"shifts_path is '{given}', but '{self.source.file_path}' does not have the name "
                "of a CaImAn memory map; leave shifts_path out."
            )
        return None

    def no_registration(self) -> str:
        """Return where shifts are looked for."""
        return (
            f"'{self.source.file_path}' has no shifts of its frames beside it; give the file with "
            "shifts_rig, or with x_shifts_els and y_shifts_els, as shifts_path."
        )

    def describe(self) -> Mapping[str, Any]:
        """Return a description of a registered movie; raw pixels come without metadata."""
        if self.registration is None:
            return {}
        description = "Movie after motion correction by CaImAn."
        return {"Ophys": {self.photon_series_type: [{"description": description}]}}

    def made_from(self) -> MadeFrom | None:
        """Return the name of a memory map of CaImAn, which begins with that of the recording."""
        from nwb_ophys.formats.memmap.names import caiman_map

        if self.source.shape is not None or caiman_map(self.source.file_path) is None:
            return None
        return MadeFrom(files=(self.source.file_path.name,))

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.axes.size("C"))

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a CaImAn memory map: its name and size, or its first frame."""
        from nwb_ophys.formats.memmap.names import caiman_layout, caiman_size

        probe = PathProbe.of(path)
        layout = caiman_layout(probe.path) if probe.is_file else None
        if layout is None:
            return None
        sizes = dict(zip(*layout, strict=True))
        shape = " x ".join(str(sizes[letter]) for letter in "TYXZ")
        size, stated = probe.path.stat().st_size, caiman_size(layout)
        if 0 < size < stated:
            return (
                f"'{probe.path.name}' has a CaImAn name, and {size:,} of the {stated:,} bytes of "
                f"the {shape} pixels that it states"
            )
        if size != stated or not size:
            return None
        return f"'{probe.path.name}' has a CaImAn name, and the {shape} pixels that it states"

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a file has the name of a CaImAn memory map, but another size."""
        from nwb_ophys.formats.memmap.names import caiman_layout

        return caiman_layout(probe.path) is not None and cls.matches(probe) is None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each channel of the movie."""
        from nwb_ophys.formats.memmap.reader import find_raw_binary

        names = ("shape", "dtype", "dimension_order", "offset", "allow_truncated")
        given = {name: source[name] for name in names if name in source}
        return axes_parts(find_raw_binary(path, **given).axes, file_path=path)

    @classmethod
    def stated_beside(cls, path: Path, others: Sequence[Path] = ()) -> Mapping[str, Any]:
        """Return the rate, and the file with shifts, of CaImAn's results of a memory map."""
        from nwb_ophys.formats.memmap.names import caiman_map
        from nwb_ophys.formats.memmap.shifts import results_beside

        layout = caiman_map(path)
        results = [] if layout is None else list(results_beside(layout, others))
        rates = {each.rate for each in results if each.rate is not None and each.rate > 0}
        elsewhere = [e.path for e in results if e.arrays and e.path.parent != path.parent]
        found: dict[str, Any] = {}
        if len(rates) == 1:
            found["sampling_frequency"] = rates.pop()
        if len(elsewhere) == 1:
            found["shifts_path"] = elsewhere[0]
        return found
