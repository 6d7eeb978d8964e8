"""SIMA folders."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument, trust_pickles_argument
from nwb_ophys.interfaces.made_from import MadeFrom
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part, distinct_labels, part_name
from nwb_ophys.listings import kept
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class SimaSource:
    """Source arguments of a SIMA folder."""

    folder_path: Path = argument("Folder NAME.sima.")
    sampling_frequency: float | None = argument(
        "Frame rate in Hz, which SIMA does not save; required if there are signals.", default=None
    )
    channel_name: str | None = argument(
        "Channel of the signals; optional if signals of only one channel were extracted.",
        default=None,
    )
    signals_label: str | None = argument(
        "Label that the signals were extracted under; optional if there is only one.",
        default=None,
    )
    roi_label: str | None = argument("Label of ROIs without signals.", default=None)
    sequence: int | None = argument(
        "Index of the sequence, from 0; optional if there is only one.", default=None
    )
    trust_pickles: bool = trust_pickles_argument()


class SimaSegmentationInterface(SegmentationInterface):
    """ROIs of SIMA, with the signals that were extracted from them."""

    Source = SimaSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.sima.folder import SimaFolder
        from nwb_ophys.formats.sima.reader import SimaExtractor

        folder = kept(SimaFolder, source.folder_path, source.trust_pickles)
        asked = attrs.asdict(source)
        rate = asked.pop("sampling_frequency")
        del asked["folder_path"], asked["trust_pickles"]
        return SimaExtractor(folder, folder.choose(**asked), rate)

    def describe(self) -> Mapping[str, Any]:
        """Return a description of the ROIs; SIMA saves nothing about the microscope."""
        part = self.extractor.part
        label = part.signals_label or part.roi_label
        what = f"ROIs '{label}' of SIMA"
        if part.channel_name is not None:
            what += f", with the signals of channel '{part.channel_name}'"
        if part.sequence is not None:
            what += f" in sequence {part.sequence}"
        segmentation = {"plane_segmentations": [{"description": f"{what}."}]}
        ophys: dict[str, Any] = {"ImageSegmentation": segmentation}
        if "demixed" in self.extractor.get_traces_dict():
            demixed = {"description": "Signal of each ROI after demixing from the other channel."}
            ophys["Fluorescence"] = {"PlaneSegmentation": {"demixed": demixed}}
        return {"Ophys": ophys}

    def part(self) -> str:
        """Return the channel, label and sequence, if the parts of the folder differ in them."""
        others = [_labels(part) for part in self.extractor.folder.parts]
        return part_name(*distinct_labels(_labels(self.extractor.part), others))

    def made_from(self) -> MadeFrom:
        """Return the channel of the signals, by its place in dataset.pkl."""
        folder, name = self.extractor.folder, self.extractor.part.channel_name
        names = folder.channel_names
        if name not in names:
            return MadeFrom()
        return MadeFrom(channel=names.index(name) + 1, num_channels=len(names))

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder to which a pickle of SIMA belongs, or None."""
        if not probe.is_file or probe.path.suffix != ".pkl":
            return None
        folder = probe.path.parent
        return folder if cls.matches(PathProbe(folder)) is not None else None

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return what a folder of SIMA lacks, or None."""
        folder = PathProbe(probe.path.parent) if probe.is_file else probe
        if probe.is_file and probe.path.suffix != ".pkl":
            return None
        if _is_dataset(folder):
            if cls.matches(folder) is not None:
                return f"'{probe.path}' is part of a SIMA dataset; give its folder '{folder.path}'."
            return (
                f"'{folder.path}' is a dataset of SIMA without ROIs: it has neither rois.pkl nor "
                "signals_0.pkl. Segment the dataset, or import ROIs, in SIMA."
            )
        if {"rois.pkl"} <= folder.file_names or any(map(_is_signals, folder.file_names)):
            is_there = "dataset.pkl" in folder.file_names
            lacking = "its dataset.pkl is damaged" if is_there else "no dataset.pkl"
            return (
                f"'{folder.path}' contains ROIs or signals of SIMA, but {lacking}; copy the whole "
                "folder NAME.sima."
            )
        return None

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a SIMA folder with ROIs: its pickles."""
        probe = PathProbe.of(path)
        names = probe.file_names
        if "dataset.pkl" not in names:
            return None
        found = [n for n in sorted(names) if n == "rois.pkl" or _is_signals(n)]
        if not found:
            return None
        if not _is_dataset(probe):
            return None
        return f"dataset.pkl with SIMA's channel_names, and {' and '.join(found)}"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each set of ROIs, and for each extraction of signals and sequence."""
        from nwb_ophys.filetypes.files import warn_of_absent
        from nwb_ophys.formats.sima.folder import SimaFolder

        # ROIs without signals have few of these arguments, so the folder chooses, not streams_of.
        others = ("sampling_frequency", "trust_pickles")
        asked = {n: v for n, v in source.items() if n not in others}
        folder = kept(SimaFolder, path, bool(source.get("trust_pickles")))
        missing = folder.missing_sequences()
        if missing:
            warnings.warn(
                f"'{path}' {missing}. Those of the other sequences are missing; to have them, "
                "extract the signals again in SIMA.",
                UserWarning,
                stacklevel=5,
            )
        unknown = folder.unknown_signals()
        if unknown:
            warnings.warn(
                f"'{path}' holds signals under names that SIMA does not write: "
                f"{', '.join(unknown)}. They are left out; the file may be damaged, so copy it "
                "again.",
                UserWarning,
                stacklevel=5,
            )
        warn_of_absent(path, folder.absent_signals(), "SIMA", stacklevel=5)
        return [
            Part(arguments={"folder_path": path, **part.arguments}, labels=_labels(part))
            for part in folder.select(**asked) or [folder.choose(**asked)]
        ]


def _is_dataset(probe: PathProbe) -> bool:
    if "dataset.pkl" not in probe.file_names:
        return False
    head = probe.head(probe.path / "dataset.pkl")
    return head.startswith((b"\x80", b"(")) and b"channel_names" in head


def _is_signals(name: str) -> bool:
    return (
        name.startswith("signals_") and name.removesuffix(".pkl").removeprefix("signals_").isdigit()
    )


def _labels(part: Any) -> tuple[str, ...]:
    """Return the names in which segmentations of one folder may differ."""
    sequence = "" if part.sequence is None else f"sequence{part.sequence}"
    return (part.channel_name or "", part.signals_label or "", part.roi_label or "", sequence)
