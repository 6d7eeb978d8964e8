"""Files of a Miniscope, written by the current program or by its predecessor.

Miniscope-DAQ-QT-Software writes a folder per recording with ``metaData.json``, and in it one per
device, with ``0.avi``, ``1.avi``, …, ``timeStamps.csv`` and ``metaData.json``. The earlier
Miniscope_DAQ writes one folder with ``msCam1.avi``, …, ``timestamp.dat`` and
``settings_and_notes.dat``; behaviour cameras are beside them as ``behavCam1.avi``. The folder has
the time of its start as its name, and lies in one with the name of the day.
"""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import DocumentError, parse_source_json, read_limited
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.metadata import common_facts
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe, natural_order

SETTINGS, TIMES = "metaData.json", "timeStamps.csv"
ORIENTATIONS, NOTES = "headOrientation.csv", "notes.csv"
OLD_SETTINGS, OLD_TIMES = "settings_and_notes.dat", "timestamp.dat"
# Settings of the device that NWB has no field for; the description of the device lists them.
SETTINGS_OF_DEVICE = ("gain", "led0", "ewl", "excitation", "msCamExposure", "compression")

_HEAD_BYTES = 4096
_VIDEO = re.compile(r"(\d+)\.avi", re.IGNORECASE)
_OLD_VIDEO = re.compile(r"msCam(\d+)\.avi", re.IGNORECASE)
# Folders of the earlier program, which is of the United States: 9_14_2018/H10_M3_S5.
_OLD_DAY = re.compile(r"(\d{1,2})_(\d{1,2})_(\d{4})")
_OLD_TIME = re.compile(r"H(\d{1,2})_M(\d{1,2})_S(\d{1,2})")
_DATE = ("year", "month", "day", "hour", "minute", "second")


@attrs.frozen(eq=False)
class Device:
    """One recording of one Miniscope.

    Attributes
    ----------
    folder : pathlib.Path
    is_old : bool
        Whether the earlier program wrote it.
    numbers : tuple of int
        Numbers in the names of the videos, ascending.
    videos, times : tuple of pathlib.Path, pathlib.Path or None
        Video files, and the file of timestamps if there is one.
    settings, session : Mapping
        Stated settings of the device and of the whole recording.
    """

    folder: Path
    is_old: bool
    numbers: tuple[int, ...]
    videos: tuple[Path, ...]
    times: Path | None
    settings: Mapping[str, Any]
    session: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the device's folder."""
        return self.folder.name

    @property
    def animal(self) -> str | None:
        """Name of the animal, or None when it is not stated."""
        stated = self.session.get("animalName") or self.session.get("animal")
        return str(stated).strip() or None if stated else None

    @property
    def start(self) -> datetime.datetime | None:
        """Start of the recording, with a time zone when the settings imply one.

        The earlier program states it in the names of its folders only.
        """
        return _start_in_names(self.folder) if self.is_old else _start(self.session)


def common_settings(devices: Sequence[Device]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the device, and of the recording, that all recordings state alike.

    Parameters
    ----------
    devices : sequence of Device
        The recordings that are joined; settings that differ are left out with a warning.
    """
    where = f"'{devices[0].folder}'"
    if len(devices) > 1:
        where = f"'{Path(os.path.commonpath([device.folder.absolute() for device in devices]))}'"
    labels = ["/".join(device.folder.absolute().parts[-2:]) for device in devices]
    names = (*SETTINGS_OF_DEVICE, "deviceName", "deviceType", "frameRate")
    of_device = [{name: device.settings.get(name) for name in names} for device in devices]
    texts = ("researcherName", "experimentName")
    of_session = [{name: device.session.get(name) for name in texts} for device in devices]
    return (
        common_facts(where, zip(labels, of_device, strict=True), "recordings"),
        common_facts(where, zip(labels, of_session, strict=True), "recordings"),
    )


def find_device(probe: PathProbe, session: Mapping[str, Any] | None = None) -> Device | None:
    """Return the Miniscope whose files lie in a folder, or None.

    Parameters
    ----------
    probe : PathProbe
    session : Mapping, optional
        Settings in the folder above; read when not given.
    """
    names = probe.file_names
    old = _numbered(probe, _OLD_VIDEO)
    if old:
        settings = probe.read_once(read_old_settings, probe.path / OLD_SETTINGS)
        times = probe.path / OLD_TIMES if OLD_TIMES in names else None
        return _device(probe, True, old, times, settings, settings)
    videos = _numbered(probe, _VIDEO)
    if not videos or not names & {SETTINGS, TIMES}:
        return None
    settings = _settings(probe) if SETTINGS in names else {}
    if session is None:
        session = probe.read_once(_read_settings, probe.path.absolute().parent / SETTINGS)
    if not _is_miniscope(probe.path.name, settings, session):
        return None
    times = probe.path / TIMES if TIMES in names else None
    return _device(probe, False, videos, times, settings, session or settings)


def find_devices(probe: PathProbe, fewest: int = 1) -> list[list[Device]]:
    """Return the recordings of each Miniscope of a path in order of time.

    Parameters
    ----------
    probe : PathProbe
        The folder of a device, of a recording, or of recordings of one animal. Recordings without
        a stated start, or of several animals, do not share a clock: the result is empty then.
    fewest : int
        Smallest number of recordings in a folder of recordings.
    """
    own = find_device(probe)
    if own is not None:
        return [[own]]
    devices = _in_recording(probe)
    if devices:
        return [[device] for device in devices]
    recordings = _recordings_in(probe)
    every = [device for found in recordings for device in found]
    if len(recordings) < fewest or (len(recordings) > 1 and not _on_one_clock(every)):
        return []
    copies = _copies(every)
    every = [device for device in every if device not in copies]
    if len({device.folder.parent for device in every}) == 1:
        return [[device] for device in every]
    by_name: dict[str, list[Device]] = {}
    for device in sorted(every, key=lambda device: device.start):  # type: ignore[arg-type,return-value]
        by_name.setdefault(device.name, []).append(device)
    return [by_name[name] for name in sorted(by_name, key=natural_order)]


def copied_recordings(probe: PathProbe) -> dict[Path, Path]:
    """Return the folders of devices that are copies of others in a folder, with these."""
    if find_device(probe) is not None or _in_recording(probe):
        return {}
    every = [device for found in _recordings_in(probe) for device in found]
    return {copy.folder: device.folder for copy, device in _copies(every).items()}


def _recordings_in(probe: PathProbe) -> list[list[Device]]:
    """Return the Miniscopes of each recording in a folder."""
    within = [each for each in probe.folders() if SETTINGS in each.file_names]
    return [found for found in map(_in_recording, within) if found]


def _copies(devices: Sequence[Device]) -> dict[Device, Device]:
    """Return the devices of which another one has the name, start and videos of equal sizes."""
    first: dict[Any, Device] = {}
    found: dict[Device, Device] = {}
    for device in devices:
        sizes = tuple(video.stat().st_size for video in device.videos)
        one = first.setdefault((device.name, device.start, device.numbers, sizes), device)
        if one is not device and device.start is not None:
            found[device] = one
    return found


def cameras(device: Device) -> list[Path]:
    """Return the folders of other cameras in the recording of a device."""
    if device.is_old:
        return []
    beside = PathProbe(device.folder.parent)
    session = _settings(beside) if SETTINGS in beside.file_names else {}
    return [
        folder.path
        for folder in beside.folders()
        if _numbered(folder, _VIDEO) and find_device(folder, session) is None
    ]


def side_files(device: Device) -> list[Path]:
    """Return the files of orientations and of notes of a recording, if they have an entry."""
    if device.is_old:
        places = [device.folder / OLD_SETTINGS]
    else:
        places = [device.folder / ORIENTATIONS, device.folder.parent / NOTES]
    return [path for path in places if path.is_file() and _has_entry(path)]


def _has_entry(path: Path) -> bool:
    """Return whether a line follows the heading, which is written in any case."""
    try:
        check_file(path)
        with path.open("rb") as file:
            lines = [line for line in file.read(_HEAD_BYTES).splitlines() if line.strip()]
    except (OSError, SourceError):
        return False
    # The earlier program lists notes behind its settings.
    if path.name == OLD_SETTINGS:
        lines = list(itertools.dropwhile(lambda line: not line.startswith(b"elapsedTime"), lines))
    return len(lines) > 1


def is_recording_file(name: str) -> bool:
    """Return whether a file has a name that files of a Miniscope have."""
    others = (SETTINGS, TIMES, OLD_SETTINGS, OLD_TIMES)
    return name in others or bool(_VIDEO.fullmatch(name) or _OLD_VIDEO.fullmatch(name))


def _on_one_clock(devices: list[Device]) -> bool:
    starts = [device.start for device in devices]
    animals = {device.animal for device in devices}
    zones = {start.tzinfo is None for start in starts if start}
    return None not in starts and len(animals) == len(zones) == 1


def _in_recording(probe: PathProbe) -> list[Device]:
    """Return the Miniscopes in the folder of one recording."""
    session = _settings(probe) if SETTINGS in probe.file_names else {}
    found = [find_device(folder, session) for folder in probe.folders()]
    return [device for device in found if device is not None and not device.is_old]


def _numbered(probe: PathProbe, pattern: re.Pattern[str]) -> list[tuple[int, str]]:
    names = probe.names(".avi") if probe.is_folder else []
    found = ((pattern.fullmatch(name), name) for name in names)
    return sorted((int(match[1]), name) for match, name in found if match)


def _device(
    probe: PathProbe,
    is_old: bool,
    videos: list[tuple[int, str]],
    times: Path | None,
    settings: Mapping[str, Any],
    session: Mapping[str, Any],
) -> Device:
    numbers = tuple(number for number, _ in videos)
    paths = tuple(probe.path / name for _, name in videos)
    return Device(probe.path, is_old, numbers, paths, times, settings, session)


def _is_miniscope(folder: str, settings: Mapping[str, Any], session: Mapping[str, Any]) -> bool:
    """Distinguish a Miniscope from a behaviour camera by the settings' lists, its type or name."""
    names = {_plain(folder), _plain(settings.get("deviceName", folder))}
    for key, answer in (("cameras", False), ("miniscopes", True)):
        listed = session.get(key)
        if isinstance(listed, list) and names & {_plain(name) for name in listed}:
            return answer
    stated = settings.get("deviceType")
    return "scope" in (str(stated) if stated else folder).lower()


def _plain(name: Any) -> str:
    return str(name).replace(" ", "_").lower()


def _settings(probe: PathProbe) -> Mapping[str, Any]:
    return probe.read_once(_read_settings, probe.path / SETTINGS)


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        return read_settings(path)
    except CorruptSourceError:
        return {}


def read_settings(path: Path) -> Mapping[str, Any]:
    """Return the contents of a ``metaData.json``, which are empty when the file is absent.

    Raises
    ------
    CorruptSourceError
        When the file does not hold a JSON object.
    """
    try:
        check_file(path)
        found = parse_source_json(read_limited(path).decode("utf-8-sig"))
    except OSError:
        return {}
    except ValueError as error:
        raise CorruptSourceError(
            f"'{path}' is not a JSON file ({error}); correct it or move it away."
        ) from None
    if not isinstance(found, dict):
        raise CorruptSourceError(
            f"'{path}' does not hold a JSON object; correct it or move it away."
        )
    return found


def read_old_settings(path: Path) -> Mapping[str, Any]:
    """Return the contents of a ``settings_and_notes.dat``: a line of names, then one of values."""
    try:
        check_file(path)
        text = read_limited(path).decode("utf-8-sig", "replace")
    except (OSError, DocumentError):
        return {}
    lines = [line.split("\t") for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0][0].strip() != "animal":
        return {}
    return {key.strip(): value.strip() for key, value in zip(*lines[:2], strict=False)}


def _start_in_names(folder: Path) -> datetime.datetime | None:
    """Return the start that the names of a folder and of that of its day state, if they do."""
    names = folder.absolute()
    day, time = _OLD_DAY.fullmatch(names.parent.name), _OLD_TIME.fullmatch(names.name)
    if day is None or time is None:
        return None
    hour, minute, second = map(int, time.groups())
    try:
        return datetime.datetime(int(day[3]), int(day[1]), int(day[2]), hour, minute, second)
    except ValueError:
        return None


def _start(session: Mapping[str, Any]) -> datetime.datetime | None:
    """Return the stated start; its time zone is the difference from the stated universal time."""
    stated = session.get("recordingStartTime", session)
    if not isinstance(stated, Mapping):
        return None
    try:
        year, month, day, hour, minute, second = (int(stated[key]) for key in _DATE)
        milliseconds = int(stated.get("msec", 0))
        local = datetime.datetime(year, month, day, hour, minute, second, milliseconds * 1000)
        since_epoch = stated.get("msecSinceEpoch")
        if since_epoch is None:
            return local
        epoch = datetime.datetime(1970, 1, 1)
        offset = local - epoch - datetime.timedelta(milliseconds=int(since_epoch))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    quarter = datetime.timedelta(minutes=15)
    # Time zones are whole quarters of an hour; any other difference means unrelated values.
    if offset % quarter or abs(offset) > datetime.timedelta(hours=14):
        return local
    return local.replace(tzinfo=datetime.timezone(offset))
