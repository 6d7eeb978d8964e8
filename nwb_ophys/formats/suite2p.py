"""Suite2p output folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.glance import Glance
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface


@attrs.frozen(kw_only=True)
class Suite2pSource:
    """Source arguments of a Suite2p folder."""

    folder_path: Path = argument("The folder 'suite2p', or that of one of its planes.")
    channel_name: Literal["chan1", "chan2"] = argument("Which channel.", default="chan1")
    plane_name: str | None = argument(
        "Which plane, such as 'plane0'; not needed where there is one.", default=None
    )


class Suite2pSegmentationInterface(SegmentationInterface):
    """The ROIs that Suite2p found in one plane, with the traces of one channel."""

    Source = Suite2pSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.suite2p import (
            MendedSuite2pExtractor,
            channel_names,
            find_suite2p_folder,
            plane_names,
        )

        folder, plane = find_suite2p_folder(source.folder_path)
        planes, channels = plane_names(folder), channel_names(folder)
        plane = source.plane_name or plane or (planes[0] if len(planes) == 1 else None)
        if plane not in planes:
            asked = (
                "several planes; choose one with plane_name" if plane is None else f"no '{plane}'"
            )
            raise SourceArgumentError(f"'{folder}' has {asked}: {', '.join(planes)}.")
        if source.channel_name not in channels:
            raise SourceArgumentError(
                f"'{folder}' has no channel '{source.channel_name}'; it has {', '.join(channels)}."
            )
        return MendedSuite2pExtractor(folder, source.channel_name, plane)

    def describe(self) -> Mapping[str, Any]:
        """Return what the output states of itself: nothing of the microscope."""
        plane, channel = self.extractor.plane_name, self.extractor.channel_name
        description = f"ROIs that Suite2p found in {plane}, channel {channel}."
        segmentation = {"plane_segmentations": [{"description": description}]}
        return {"Ophys": {"ImageSegmentation": segmentation}}

    def part(self) -> str:
        """Return the channel and the plane, where there are several."""
        folder = self.extractor.folder_path
        several_channels = len(self.extractor.get_available_channels(folder)) > 1
        several_planes = len(self.extractor.get_available_planes(folder)) > 1
        channel = self.extractor.channel_name if several_channels else ""
        return f"{channel} {self.extractor.plane_name if several_planes else ''}".strip()

    @classmethod
    def matches(cls, path: Path | Glance) -> str | None:
        """Return evidence, in words, that a path is a Suite2p folder."""
        from nwb_ophys.extractors.suite2p import find_suite2p_folder, plane_names

        glance = Glance.of(path)
        if not glance.is_folder:
            return None
        try:
            folder, plane = find_suite2p_folder(glance.path)
        except SourceError:
            return None
        return f"{plane or ', '.join(plane_names(folder))} with ops.npy and stat.npy"

    @classmethod
    def streams(cls, path: Path, **source: Any) -> dict[str, dict[str, Any]]:
        """Return every plane and channel of a Suite2p folder."""
        from nwb_ophys.extractors.suite2p import channel_names, find_suite2p_folder, plane_names

        folder, plane = find_suite2p_folder(path)
        planes = [plane] if plane else plane_names(folder)
        planes = [source["plane_name"]] if "plane_name" in source else planes
        channels = channel_names(folder)
        channels = [source["channel_name"]] if "channel_name" in source else channels
        return {
            " ".join([c] * (len(channels) > 1) + [p] * (len(planes) > 1)): {
                "folder_path": path,
                "channel_name": c,
                "plane_name": p,
            }
            for p in planes
            for c in channels
        }
