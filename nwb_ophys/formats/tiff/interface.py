"""Multi-page TIFF stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from nwb_ophys.filetypes.tiff.folders import (
    TIFF_SUFFIXES,
    first_heading,
    tiff_files,
    warn_of_subfolders,
)
from nwb_ophys.formats.owners import is_owned
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part, indexed_name, indexed_names, indexed_parts
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class TiffSource:
    """Source arguments of a TIFF stack."""

    file_path: Path | list[Path] = argument(
        "TIFF file; list of TIFF files in order of time; or folder of TIFF files, sorted by number."
    )
    sampling_frequency: float = argument(
        "Rate of frames, or of volumes, in Hz; a TIFF file does not state it."
    )
    dimension_order: Literal["ZCT", "ZTC", "CZT", "CTZ", "TCZ", "TZC"] | None = argument(
        "Order of planes (Z), channels (C) and time (T) in the pages, fastest first.", default=None
    )
    num_channels: int | None = argument("Number of channels in the pages.", default=None)
    channel_index: int = argument("Index of the channel, from 0.", default=0)
    num_planes: int | None = argument("Number of planes in the pages.", default=None)
    plane_index: int | None = argument(
        "Index of the plane, from 0; all planes if not given.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class TiffImagingInterface(ImagingInterface):
    """One channel of a movie in plain multi-page TIFF files."""

    Source = TiffSource
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.tiff.reader import TiffStackExtractor

        arguments = attrs.asdict(source)
        paths = tiff_files(arguments.pop("file_path"))
        return TiffStackExtractor(paths, arguments.pop("sampling_frequency"), **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing, because a plain TIFF file states nothing about the microscope."""
        return {}

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.layout.num_channels)

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a plain TIFF file, or a folder of them."""
        probe = PathProbe.of(path)
        found = first_heading(probe)
        if found is None or found[1].has_ome_xml or is_owned(probe):
            return None
        if probe.is_folder:
            count = len(probe.names(*TIFF_SUFFIXES))
            return f"{count} plain TIFF file{'s' * (count > 1)}"
        return f"'{probe.path.name}' is a plain TIFF file"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each channel of a TIFF stack."""
        from nwb_ophys.formats.tiff.reader import tiff_layout

        warn_of_subfolders(path)
        names = ("num_channels", "num_planes", "allow_truncated")
        given = {key: source[key] for key in names if key in source}
        layout = tiff_layout(tiff_files(path), **given)
        return indexed_parts(layout.num_channels, layout.num_planes, file_path=path)
