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
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part, indexed_name, indexed_names, indexed_parts
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class TiffSource:
    """Source arguments of a TIFF stack."""

    file_path: Path | list[Path] = argument(
        "The TIFF file; several in the order of time; or a folder of them, taken by number."
    )
    sampling_frequency: float = argument(
        "Sampling rate in Hz, which a TIFF does not state; if there are planes, that of volumes."
    )
    dimension_order: Literal["ZCT", "ZTC", "CZT", "CTZ", "TCZ", "TZC"] | None = argument(
        "How pages go through planes (Z), channels (C) and time (T), fastest first.", default=None
    )
    num_channels: int | None = argument("Number of channels in the pages.", default=None)
    channel_index: int = argument("Which channel to read, from 0.", default=0)
    num_planes: int | None = argument("Number of planes in the pages.", default=None)
    plane_index: int | None = argument("Which plane to read, from 0; all if not.", default=None)


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
        """Return nothing: a plain TIFF states nothing of the microscope."""
        return {}

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.layout.num_channels)

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return evidence, in words, that a path is a plain TIFF file or a folder of them."""
        probe = PathProbe.of(path)
        found = first_heading(probe)
        if found is None or found[1].has_ome_xml or is_owned(probe):
            return None
        if probe.is_folder:
            count = len(probe.names(*TIFF_SUFFIXES))
            return f"{count} TIFF file{'s' * (count > 1)} of no program's own"
        return f"'{probe.path.name}' begins as a TIFF does, and names no program's own format"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return each channel of a TIFF stack."""
        from nwb_ophys.formats.tiff.reader import tiff_layout

        warn_of_subfolders(path)
        given = {key: source[key] for key in ("num_channels", "num_planes") if key in source}
        layout = tiff_layout(tiff_files(path), **given)
        return indexed_parts(layout.num_channels, layout.num_planes, file_path=path)
