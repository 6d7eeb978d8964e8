"""Folders of SIMA."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part, distinct_labels, part_name
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class SimaSource:
    """Source arguments of a folder of SIMA."""

    folder_path: Path = argument("The folder NAME.sima.")
    sampling_frequency: float | None = argument(
        "Frames per second; SIMA does not save it. Needed where there are signals.", default=None
    )
    channel_name: str | None = argument(
        "Which channel's signals; not needed where there are those of one.", default=None
    )
    signals_label: str | None = argument(
        "Which signals, by the label that they were extracted under; not needed where there are "
        "no others.",
        default=None,
    )
    roi_label: str | None = argument(
        "Which ROIs that no signals were extracted of, by their label.", default=None
    )
    sequence: int | None = argument(
        "Which sequence, from 0; not needed where there is one.", default=None
    )


class SimaSegmentationInterface(SegmentationInterface):
    """ROIs of SIMA, with the signals that were extracted of them."""

    Source = SimaSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.sima.folder import SimaFolder
        from nwb_ophys.formats.sima.reader import SimaExtractor

        folder = SimaFolder(source.folder_path)
        asked = attrs.asdict(source)
        path, rate = asked.pop("folder_path"), asked.pop("sampling_frequency")
        del path
        return SimaExtractor(folder, folder.choose(**asked), rate)

    def describe(self) -> Mapping[str, Any]:
        """Return what the folder states of the ROIs: nothing of the microscope."""
        part = self.extractor.part
        label = part.signals_label or part.roi_label
        what = f"ROIs of SIMA, '{label}'"
        if part.channel_name is not None:
            what += f", with the signals of channel '{part.channel_name}'"
        if part.sequence is not None:
            what += f" in sequence {part.sequence}"
        segmentation = {"plane_segmentations": [{"description": f"{what}."}]}
        ophys: dict[str, Any] = {"ImageSegmentation": segmentation}
        if "demixed" in self.extractor.get_traces_dict():
            demixed = {"description": "Signal of each ROI without that of the other channel."}
            ophys["Fluorescence"] = {"PlaneSegmentation": {"demixed": demixed}}
        return {"Ophys": ophys}

    def part(self) -> str:
        """Return channel, label and sequence, those in which the parts of the folder differ."""
        others = [_labels(part) for part in self.extractor.folder.parts]
        return part_name(*distinct_labels(_labels(self.extractor.part), others))

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return evidence, in words, that a path is a folder of SIMA with ROIs."""
        probe = PathProbe.of(path)
        names = probe.file_names
        found = [n for n in sorted(names) if n == "rois.pkl" or _is_signals(n)]
        if "dataset.pkl" not in names or not found:
            return None
        head = probe.head(probe.path / "dataset.pkl")
        if not head.startswith((b"\x80", b"(")) or b"channel_names" not in head:
            return None
        return f"dataset.pkl with SIMA's channel_names, and {' and '.join(found)}"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return all ROIs and signals of a folder, each extraction and sequence on its own."""
        from nwb_ophys.formats.sima.folder import SimaFolder

        # A set of ROIs without signals lacks most of the arguments, so that the folder chooses.
        asked = {n: v for n, v in source.items() if n != "sampling_frequency"}
        folder = SimaFolder(path)
        return [
            Part(arguments={"folder_path": path, **part.arguments}, labels=_labels(part))
            for part in folder.select(**asked) or [folder.choose(**asked)]
        ]


def _is_signals(name: str) -> bool:
    return (
        name.startswith("signals_") and name.removesuffix(".pkl").removeprefix("signals_").isdigit()
    )


def _labels(part: Any) -> tuple[str, ...]:
    """Return the names in which segmentations of one folder may differ."""
    sequence = "" if part.sequence is None else f"sequence{part.sequence}"
    return (part.channel_name or "", part.signals_label or "", part.roi_label or "", sequence)
