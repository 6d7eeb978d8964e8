"""Folders of SIMA."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
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
        parts = self.extractor.folder.parts
        return _name(self.extractor.part, parts)

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
    def streams(cls, path: Path, **source: Any) -> dict[str, dict[str, Any]]:
        """Return all ROIs and signals of a folder, each extraction and sequence on its own."""
        from nwb_ophys.formats.sima.folder import SimaFolder

        asked = {n: v for n, v in source.items() if n != "sampling_frequency"}
        folder = SimaFolder(path)
        parts = folder.select(**asked) or [folder.choose(**asked)]
        return {
            _name(part, parts): {"folder_path": path, **source, **part.arguments} for part in parts
        }


def _is_signals(name: str) -> bool:
    return (
        name.startswith("signals_") and name.removesuffix(".pkl").removeprefix("signals_").isdigit()
    )


def _name(part: Any, parts: Any) -> str:
    """Return that in which a part differs from the others."""
    words = []
    for field in ("channel_name", "signals_label", "roi_label", "sequence"):
        value = getattr(part, field)
        if value is not None and len({getattr(other, field) for other in parts}) > 1:
            words.append(f"sequence{value}" if field == "sequence" else str(value))
    return " ".join(words)
