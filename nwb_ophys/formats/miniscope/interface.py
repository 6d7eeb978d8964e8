"""Recordings of UCLA Miniscopes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import first_named, first_of
from nwb_ophys.formats.miniscope.avi import is_avi
from nwb_ophys.formats.miniscope.files import (
    SETTINGS,
    SETTINGS_OF_DEVICE,
    Device,
    cameras,
    copied_recordings,
    find_device,
    find_devices,
    is_recording_file,
    side_files,
)
from nwb_ophys.formats.miniscope.times import stated_rate
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part, named_parts
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MiniscopeSource:
    """Source arguments of a Miniscope recording."""

    folder_path: Path = argument(
        "Folder of the Miniscope, of a recording, or of several recordings of one animal."
    )
    device_name: str | None = argument(
        "Folder name of the Miniscope, if a recording has several.", default=None
    )
    sampling_frequency: float | None = argument(
        "Frame rate in Hz, for frames without a timestamp.", default=None
    )
    camera_number: int | None = argument(
        "Number of the Miniscope in timestamp.dat, if it does not follow from the frame counts.",
        default=None,
    )
    allow_truncated: bool = allow_truncated_argument()


class MiniscopeImagingInterface(ImagingInterface):
    """The videos of one Miniscope, without the behaviour cameras."""

    Source = MiniscopeSource
    joins_subfolders = True
    reads_ranges = True
    photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.miniscope.reader import MiniscopeExtractor

        return MiniscopeExtractor(**attrs.asdict(source))

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the settings: start, animal, device and its settings, rate."""
        first: Device = self.extractor.devices[0]
        settings, session = self.extractor.settings, self.extractor.session
        kind = settings.get("deviceType")
        stated = [
            f"{key} {settings[key]}"
            for key in SETTINGS_OF_DEVICE
            if settings.get(key) not in (None, "")
        ]
        name = settings.get("deviceName")
        what = f"Miniscope{f' {name!r}' if name else ''}{f' of type {kind}' if kind else ''}"
        return {
            "NWBFile": {
                "session_start_time": first.start,
                "experimenter": _names(session.get("researcherName")),
                "experiment_description": session.get("experimentName") or None,
            },
            **({"Subject": {"subject_id": first.animal}} if first.animal else {}),
            "Ophys": {
                "Device": [{"description": f"{what}{'; ' if stated else ''}{', '.join(stated)}."}],
                "ImagingPlane": [{"imaging_rate": stated_rate(settings)}],
            },
        }

    def part(self) -> str:
        """Return the folder name of the device, if it is one of several."""
        several = len(find_devices(PathProbe(self.source.folder_path))) > 1
        return self.extractor.devices[0].name if several else ""

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Miniscope recording: its videos and settings."""
        probe = PathProbe.of(path)
        found = find_devices(probe, fewest=2) if probe.is_folder else []
        videos = [video for devices in found for device in devices for video in device.videos]
        if not any(is_avi(probe.head(video)) for video in videos):
            return None
        first = found[0][0]
        if first.is_old:
            beside = " and timestamp.dat" if first.times else ""
            return f"{len(videos)} msCam .avi files{beside}"
        kind = first.settings.get("deviceType")
        of = f"metaData.json with deviceType {kind}" if kind else "timeStamps.csv"
        files = "1 .avi file" if len(videos) == 1 else f"{len(videos)} .avi files"
        what = f"{files} of '{first.name}' and {of}"
        if len(found) > 1:
            what = f"{len(videos)} .avi files of {len(found)} Miniscopes and {of}"
        count = max(len(devices) for devices in found)
        return f"{count} recordings: {what}" if count > 1 else what

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder that a video, a file of times or of settings belongs to, or None.

        The settings of a whole recording belong to its folder, which holds those of the devices.
        """
        if not probe.is_file or not is_recording_file(probe.path.name):
            return None
        folder = PathProbe(probe.path.parent)
        return folder.path if find_device(folder) or _is_session(probe, folder) else None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each Miniscope at a path."""
        found = find_devices(PathProbe(path))
        _warn_of_other_cameras(path, [device for devices in found for device in devices])
        _warn_of_side_files(path, [device for devices in found for device in devices])
        _warn_of_copies(path)
        names = [devices[0].name for devices in found]
        return named_parts(names, "device_name", folder_path=path)


def _is_session(probe: PathProbe, folder: PathProbe) -> bool:
    return probe.path.name == SETTINGS and bool(find_devices(folder))


def _warn_of_other_cameras(path: Path, devices: list[Device]) -> None:
    """Warn of the videos of behaviour cameras beside those of the Miniscopes."""
    others = [folder for device in devices if device.folder != path for folder in cameras(device)]
    names = list(dict.fromkeys(str(folder.relative_to(path)) for folder in others))
    if names:
        warnings.warn(
            f"'{path}' also has videos of other cameras, which are left out: "
            f"{first_named(names, 5)}.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_side_files(path: Path, devices: list[Device]) -> None:
    """Warn of the head orientation and the notes that the program writes beside the videos."""
    files = dict.fromkeys(file for device in devices for file in side_files(device))
    if files:
        inside = [file for file in files if file.is_relative_to(path)]
        names = [str(file.relative_to(path) if file in inside else file) for file in files]
        warnings.warn(
            f"'{path}' also has orientations of the head or notes, which are not written: "
            f"{first_named(names, 5)}.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_copies(path: Path) -> None:
    copies = copied_recordings(PathProbe(path))
    if copies:
        pairs = [
            f"'{copy.relative_to(path)}' of '{one.relative_to(path)}'"
            for copy, one in copies.items()
        ]
        warnings.warn(
            f"'{path}' has copies of recordings, which are left out, as they have the start and "
            f"the videos of another one: {first_of(pairs, 5, '; ')}.",
            UserWarning,
            stacklevel=4,
        )


def _names(researcher: Any) -> list[str] | None:
    return [str(researcher)] if researcher else None
