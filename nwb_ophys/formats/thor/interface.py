"""ThorImage recordings of Thorlabs."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import counted
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.thor.reader import IMAGE_NAME, RAW_NAME
from nwb_ophys.formats.thor.xml import NAME, ThorExperiment
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import possible_number
from nwb_ophys.paths import PathProbe

_VERSION = re.compile(rb"<Software\s[^<>]*?version=\"([\d.]*)")

# ThorSync writes its settings beside the signals of a recording.
_SYNC_SETTINGS = "ThorRealTimeDataSettings.xml"

# ThorImage does not state its name, but its OME-XML names files by its own pattern.
_FILE_NAMES = re.compile(r'FileName="Chan[A-Z]_\d+_\d+_\d+_\d+\.tif')


@attrs.frozen(kw_only=True)
class ThorSource:
    """Source arguments of a ThorImage recording."""

    folder_path: Path = argument("Folder with Experiment.xml, or a file in it.")
    channel_name: str | None = argument(
        "Name of the channel, such as 'ChanA'; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    region_name: str | None = argument(
        "Name of the region, such as '001_002'; optional if there is only one.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class ThorImagingInterface(ImagingInterface):
    """One channel of a ThorImage recording: one plane, or volumes."""

    Source = ThorSource
    reads_ranges = True
    has_volumes = True
    owned_beside = (".xml",)

    def __init__(self, *args: Any, **source: Any) -> None:
        super().__init__(*args, **source)
        if self.extractor.recording.experiment.is_of_camera:
            self.photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.thor.reader import ThorExtractor

        arguments = attrs.asdict(source)
        return ThorExtractor(_folder(arguments.pop("folder_path")), **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of Experiment.xml: start, rate, laser, gain, pixel size, notes."""
        stated = self.extractor.recording.experiment
        letter = self.extractor.channel_name[-1:]
        gain = stated.number("PMT", f"gain{letter}")
        laser = None if stated.is_of_camera else stated.number("MultiPhotonLaser", "pos")
        series = {"pmt_gain": gain or None, "comments": _series_text(stated)}
        return {
            "NWBFile": {
                "session_start_time": stated.start(),
                "notes": stated.text("ExperimentNotes", "text") or None,
            },
            "Ophys": {
                "Device": [{"description": _device_text(stated)}],
                "ImagingPlane": [
                    {
                        "imaging_rate": self.extractor.get_nominal_rate(),
                        # 0 if ThorImage did not control the laser.
                        "excitation_lambda": laser if laser and 200 < laser < 3000 else None,
                        "description": _plane_text(stated),
                        "optical_channel": [{"name": self.extractor.channel_name}],
                        **_spacing(stated, self.extractor.is_volumetric),
                    }
                ],
                self.photon_series_type: [_camera(stated) if stated.is_of_camera else series],
            },
        }

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return self.extractor.recording.channel_names  # type: ignore[no-any-return]

    def position_name(self) -> str:
        """Return the name of the region; empty if there is only one."""
        several = len(self.extractor.recording.regions) > 1
        return f"Region{self.source.region_name}" if several else ""

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by ThorImage."""
        return bool(_FILE_NAMES.search(heading.description[:8192]))

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a ThorImage recording: its Experiment.xml."""
        probe = PathProbe.of(path)
        name = probe.path.name
        if probe.is_file and not (name == NAME or IMAGE_NAME.match(name) or RAW_NAME.match(name)):
            return None
        if probe.is_folder and NAME not in probe.file_names:
            return None
        head = probe.head(_folder(probe.path) / NAME)
        if b"<ThorImageExperiment" not in head:
            return None
        version = _VERSION.search(head)
        number = ".".join(version[1].decode().split(".")[:2]) if version else ""
        what = f"{NAME} of ThorImage {number}".strip()
        if probe.is_file:
            return what if name == NAME else f"'{name}' beside {what}"
        count = len([name for name in probe.file_names if IMAGE_NAME.match(name)])
        raw = next((name for name in probe.file_names if RAW_NAME.match(name)), None)
        if not count and not raw and probe.names(*TIFF_SUFFIXES):
            return None  # one file with all pages, which its OME-XML describes
        images = counted(count, "TIFF file") if count or not raw else raw
        return f"{images} and {what}"

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder that Experiment.xml, an image or the raw file belongs to, or None."""
        return probe.path.parent if probe.is_file and cls.matches(probe) else None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every channel of every region."""
        from nwb_ophys.formats.thor.reader import ThorExtractor, open_thor_recording

        recording = open_thor_recording(_folder(path))
        _warn_of_sync(_folder(path))
        regions = recording.regions
        for region, channel in itertools.product(regions, recording.channel_names):
            chosen: dict[str, Any] = {"channel_name": channel}
            chosen |= {"region_name": region} if len(regions) > 1 else {}
            allowed = source.get("allow_truncated", False)
            with ThorExtractor(_folder(path), allow_truncated=allowed, **chosen) as extractor:
                num_planes = extractor.num_planes_of_all
            yield Part(
                arguments={"folder_path": path, **chosen},
                position=region,
                channel=channel,
                num_planes=num_planes,
            )


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _warn_of_sync(folder: Path) -> None:
    """Warn of recordings of ThorSync, which lie in or beside the folder of the images."""
    own = PathProbe(folder.absolute())
    for place in (*own.folders(), *PathProbe(own.path.parent).folders()):
        # Folders of images are not listed, of which each may have many.
        if not (place.path / _SYNC_SETTINGS).is_file():
            continue
        episodes = [name for name in place.names(".h5") if name.startswith("Episode")]
        if episodes:
            warnings.warn(
                f"'{place.path / episodes[0]}' is a recording of ThorSync, which is not written. "
                "Times of frames can be read from it with pulses=FILE (on the command line "
                "--pulses FILE).",
                UserWarning,
                stacklevel=3,
            )


def _spacing(stated: ThorExperiment, is_volumetric: bool) -> dict[str, Any]:
    """Return the size of a pixel, and the distance of planes, in metres."""
    size, step = stated.pixel_size, stated.number("ZStage", "stepSizeUM")
    if size is None:
        return {}
    # A negative step is a sweep downwards.
    lengths = [*size, abs(step)] if is_volumetric and step else [*size]
    return {
        "grid_spacing": [round(length * 1e-6, 15) for length in lengths],
        "grid_spacing_unit": "meters",
    }


def _plane_text(stated: ThorExperiment) -> str | None:
    """Return a description of the focus position."""
    name = stated.text("ZStage", "name")
    start = possible_number(stated.number("ZStage", "startPos"), least=-1000, most=1000)
    if start is None:
        return None
    step = stated.number("ZStage", "stepSizeUM")
    apart = f" {step:g} um apart" if step is not None else ""
    steps = f", {stated.num_planes} planes{apart}" if stated.num_planes > 1 else ""
    return f"Focus {name} at {start:g} mm{steps}."


def _camera(stated: ThorExperiment) -> dict[str, Any]:
    """Return the exposure in s, and the binning if it is the same along both axes."""
    exposure = stated.number("Camera", "exposureTimeMS")
    binning = {stated.count("Camera", f"binning{axis}") for axis in "XY"}
    return {
        "exposure_time": exposure / 1000 if exposure else None,
        "binning": (binning.pop() or None) if len(binning) == 1 else None,
    }


def _device_text(stated: ThorExperiment) -> str:
    lens, power = stated.text("Magnification", "name"), stated.number("Magnification", "mag")
    power = possible_number(power, most=1000)
    magnified = f" ({power:g}x)" if power else ""
    version = stated.text("Software", "version")
    parts = [
        f"Thorlabs microscope run by ThorImage {version}".strip(),
        stated.text("Modality", "name"),
        _detector(stated),
        f"objective {lens}{magnified}" if lens else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def _detector(stated: ThorExperiment) -> str:
    element, word = ("Camera", "camera") if stated.is_of_camera else ("LSM", "scanner")
    name = stated.text(element, "name")
    return f"{word} {name}" if name else ""


def _series_text(stated: ThorExperiment) -> str | None:
    """Return a description of settings that NWB has no field for."""
    named = {
        "dwell time": ("LSM", "dwellTime", " us"),
        "frames averaged": ("LSM", "averageNum", "") if stated.is_averaged else "",
        "power": ("Pockels", "start", " %"),
        "flyback frames": ("Streaming", "flybackFrames", "") if stated.num_flyback else "",
    }
    parts = [
        f"{words} {stated.text(*place[:2])}{place[2]}"
        for words, place in named.items()
        if place and possible_number(stated.number(*place[:2])) is not None
    ]
    return f"Settings: {'; '.join(parts)}." if parts else None
