"""Movies in files of raw pixels, and CaImAn's memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part, axes_parts, indexed_name, indexed_names
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MemmapSource:
    """Source arguments of a movie in a file of raw pixels."""

    file_path: Path = argument(
        "File of raw pixels. The name of a CaImAn memory map (.mmap) states its shape and order; "
        "other files need shape and dtype."
    )
    sampling_frequency: float = argument(
        "Rate of frames, or of volumes, in Hz.",
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
    allow_truncated: bool = allow_truncated_argument()


class MemmapImagingInterface(ImagingInterface):
    """One channel of a movie in a file of raw pixels, such as a NumPy memory map."""

    Source = MemmapSource
    is_generic = True
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

    def describe(self) -> Mapping[str, Any]:
        """Return nothing, because raw pixels come without metadata."""
        return {}

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.axes.size("C"))

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a CaImAn memory map: its name and size, or its first frame."""
        from nwb_ophys.formats.memmap.reader import caiman_layout, caiman_size

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
        from nwb_ophys.formats.memmap.reader import caiman_layout

        return caiman_layout(probe.path) is not None and cls.matches(probe) is None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each channel of the movie."""
        from nwb_ophys.formats.memmap.reader import find_raw_binary

        names = ("shape", "dtype", "dimension_order", "offset", "allow_truncated")
        given = {name: source[name] for name in names if name in source}
        return axes_parts(find_raw_binary(path, **given).axes, file_path=path)
