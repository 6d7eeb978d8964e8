"""Reader of Miniscope recordings: several videos, and several recordings of one animal.

The reader of roiextractors requires a file of timestamps with exactly one per frame, does not know
the layout of the earlier program, reads all frames for an empty range, and opens each video to
count its frames.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import ImagingExtractor
from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.filetypes.truncation import (
    NothingCompleteError,
    report_truncated,
    warn_of_later_files,
)
from nwb_ophys.formats.miniscope.avi import AviFrames, AviOutline, read_avi_outline
from nwb_ophys.formats.miniscope.files import (
    OLD_SETTINGS,
    SETTINGS,
    TIMES,
    Device,
    common_settings,
    find_devices,
    read_settings,
)
from nwb_ophys.formats.miniscope.times import Times, read_times, reconcile, stated_rate
from nwb_ophys.paths import PathProbe
from nwb_ophys.timing import other_rate, rate_of_times, require_rate

_EXTRA = "miniscope"


class MiniscopeExtractor(ImagingExtractor):  # type: ignore[misc]
    """Movie of one Miniscope, from one recording or from several consecutive ones.

    Frames are decoded on request. Each thread reads with an extractor of its own, from
    :meth:`open_again`.

    Parameters
    ----------
    folder_path : pathlib.Path
        The folder of the device, of a recording, or of several recordings of one animal.
    device_name : str, optional
        Name of the device's folder, required when there are several devices.
    sampling_frequency : float, optional
        Frames per second in Hz, for frames without a stated time.
    camera_number : int, optional
        Number of the Miniscope in ``timestamp.dat``, required when the numbers of timestamps do not
        identify it.
    allow_truncated : bool
        Whether to read the complete frames of a truncated video, with a UserWarning. Later videos
        of the same recording are left out.

    Attributes
    ----------
    devices : list of Device
        The recordings in order of time.
    settings, session : dict
        Settings of the device, and of the recording, that all recordings state alike.
    stated_rate : float or None
        Frames per second in the settings.
    pages_of_files : dict of pathlib.Path to int
        Number of frames of each video, in the order in which the videos are joined.

    Raises
    ------
    SourceError
        When the folder does not hold a Miniscope recording, videos are missing or cannot be read,
        or recordings differ in the shape of frames.
    SourceArgumentError
        When the device, the camera or the rate is required but not given, or does not exist.
    """

    extractor_name = "MiniscopeExtractor"

    def __init__(
        self,
        folder_path: Path,
        device_name: str | None = None,
        sampling_frequency: float | None = None,
        camera_number: int | None = None,
        allow_truncated: bool = False,
    ) -> None:
        super().__init__()
        if sampling_frequency is not None and not 0 < sampling_frequency < np.inf:
            raise SourceArgumentError(
                f"sampling_frequency is {sampling_frequency}; it must be a positive number of Hz."
            )
        self.devices = _chosen(folder_path, device_name)
        outlines = [_outlines(device, allow_truncated) for device in self.devices]
        _check_shapes([outline for own in outlines for outline in own])
        self.settings, self.session = common_settings(self.devices)
        self.stated_rate = stated_rate(self.settings)
        _warn_of_missing_times(self.devices)
        times, frames = _times(self.devices, outlines, sampling_frequency, camera_number)
        self._samples, self._native_times = frames, times
        self._warn_of_other_rate(sampling_frequency)
        self._rate = sampling_frequency or self.stated_rate or _measured(times)
        if self._rate is None:
            require_rate(
                SourceArgumentError(
                    f"'{self.devices[0].folder}' states neither times nor a rate above 0 "
                    f"(frameRate in {SETTINGS}); give sampling_frequency in Hz."
                )
            )
        videos = [outline for own in outlines for outline in own]
        self.pages_of_files = {video.path: video.num_frames for video in videos}
        self._frames = AviFrames(videos, _EXTRA)

    def _warn_of_other_rate(self, given: float | None) -> None:
        """Warn if the times have another rate than the user gives or the settings state."""
        rate = given or self.stated_rate
        if self._native_times is None or rate is None:
            return
        found = other_rate(self._native_times, rate)
        if found is not None:
            other = f"{SETTINGS} states {rate:.4g} Hz (frameRate)"
            if given is not None:
                other = f"sampling_frequency is {rate:.4g} Hz, which is for frames without a time"
            warnings.warn(
                f"'{self.devices[0].folder}': its timestamps give {found:.4g} Hz, which is "
                f"written, but {other}. Check which of them is right.",
                UserWarning,
                stacklevel=3,
            )

    @property
    def starts_of_folders(self) -> dict[Path, float]:
        """Start of each of several recordings in seconds after the first, by its folder."""
        if len(self.devices) < 2:
            return {}
        first = self.devices[0].start
        return {
            device.folder.absolute().parent: (device.start - first).total_seconds()  # type: ignore[operator]
            for device in self.devices
        }

    def open_again(self) -> MiniscopeExtractor:
        """Return a copy of this extractor with open files of its own, for another thread."""
        other = copy.copy(self)
        other._frames = self._frames.again()
        return other

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.uint8]:
        """Decode samples.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; by default all of them.

        Returns
        -------
        numpy.ndarray of uint8, shape (samples, rows, columns)

        Raises
        ------
        SourceArgumentError
            When the range lies outside the recording.
        CorruptSourceError
            When a frame cannot be decoded.
        """
        first, last = self._range(start_sample, end_sample)
        parts = []
        for begin, length, frame in self._samples:
            low, high = max(first, begin), min(last, begin + length)
            if low < high:
                parts.append(self._frames.read(frame + low - begin, frame + high - begin))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([*parts, np.empty((0, *self.get_image_shape()), np.uint8)])

    def _range(self, start: int | None, end: int | None) -> tuple[int, int]:
        count = self.get_num_samples()
        first, last = 0 if start is None else int(start), count if end is None else int(end)
        if not 0 <= first <= last <= count:
            raise SourceArgumentError(
                f"Samples {start} to {end} were requested; this recording has the samples 0 to "
                f"{count}, and the start must not lie after the end."
            )
        return first, last

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        first = self._frames.outlines[0]
        return (first.rows, first.columns)

    def get_num_samples(self) -> int:
        """Return the number of frames that have a time."""
        return sum(length for _, length, _ in self._samples)

    def get_sampling_frequency(self) -> float | None:  # type: ignore[override]
        """Return the frames per second in Hz: measured from the times, as given, or as stated."""
        if self._rate is None:
            return None
        return rate_of_times(self._native_times, float(self._rate))

    def get_dtype(self) -> np.dtype[Any]:
        """Return uint8: a Miniscope records shades of grey."""
        return np.dtype(np.uint8)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> Times | None:
        """Return the stated times in seconds since the start of the first recording, or None."""
        if self._native_times is None:
            return None
        first, last = self._range(start_sample, end_sample)
        return self._native_times[first:last].copy()

    def close(self) -> None:
        """Close the open file; the next read opens it again."""
        self._frames.close()


def _chosen(folder: Path, name: str | None) -> list[Device]:
    """Return the recordings of the requested device."""
    found = {devices[0].name: devices for devices in find_devices(PathProbe(folder))}
    if not found:
        raise SourceError(
            f"'{folder}' is not a Miniscope recording: neither it nor a folder in it has 0.avi, … "
            f"with {SETTINGS} or timeStamps.csv, or msCam1.avi, … with {OLD_SETTINGS}. Give the "
            "folder of the Miniscope, of one recording, or of recordings of one animal."
        )
    known = ", ".join(found)
    if name is None and len(found) > 1:
        raise SourceArgumentError(f"'{folder}' has the Miniscopes {known}; give device_name.")
    if name is not None and name not in found:
        raise SourceArgumentError(f"'{folder}' has no Miniscope '{name}'; there are: {known}.")
    devices = next(iter(found.values())) if name is None else found[name]
    for device in devices:
        if not device.is_old:
            read_settings(device.folder / SETTINGS)
            read_settings(device.folder.parent / SETTINGS)
    return devices


def _outlines(device: Device, allow_truncated: bool) -> list[AviOutline]:
    """Return the outline of each video of a recording; raise when a video is missing.

    A recording ends with a truncated video.
    """
    first = 1 if device.is_old else 0
    missing = sorted(set(range(first, device.numbers[-1])) - set(device.numbers))
    if missing:
        name = "msCam{}.avi" if device.is_old else "{}.avi"
        raise SourceError(
            f"'{device.folder}' lacks {', '.join(name.format(number) for number in missing)} of "
            f"the videos up to '{device.videos[-1].name}'; copy them there."
        )
    outlines: list[AviOutline] = []
    for number, path in enumerate(device.videos):
        outline = _later_outline(path, allow_truncated, is_first=not number)
        outlines += [] if outline is None else [outline]
        if outline is None or outline.is_truncated:
            warn_of_later_files(path, device.videos[number + 1 :])
            break
    return outlines


def _later_outline(path: Path, allow_truncated: bool, is_first: bool) -> AviOutline | None:
    """Return the outline of a video; None if it is truncated and has no complete frame."""
    try:
        return read_avi_outline(path, allow_truncated)
    except NothingCompleteError:
        if is_first:
            raise
        reason = f"it has {path.stat().st_size} bytes"
        report_truncated(path, 0, allow=allow_truncated, reason=reason)
        return None


def _check_shapes(outlines: Sequence[AviOutline]) -> None:
    first = outlines[0]
    for other in outlines[1:]:
        if (other.rows, other.columns) != (first.rows, first.columns):
            raise SourceError(
                f"'{other.path}' has frames of {other.rows} x {other.columns} pixels, "
                f"'{first.path}' of {first.rows} x {first.columns}; convert each recording "
                "separately."
            )
    if not sum(outline.num_frames for outline in outlines):
        raise SourceError(f"'{first.path}' holds no frames; copy the recording again.")


def _warn_of_missing_times(devices: Sequence[Device]) -> None:
    """Warn of recordings without a file of timestamps beside others that have one."""
    lacking = [device.folder for device in devices if device.times is None]
    if not lacking or len(lacking) == len(devices):
        return
    shown = ", ".join(f"'{folder}'" for folder in lacking[:5])
    more = ", …" if len(lacking) > 5 else ""
    warnings.warn(
        f"{len(lacking)} of {len(devices)} recordings have no {TIMES}, although the others do: "
        f"{shown}{more}. Their frames are spaced evenly; copy the missing file there.",
        UserWarning,
        stacklevel=3,
    )


def _times(
    devices: Sequence[Device],
    outlines: Sequence[Sequence[AviOutline]],
    rate: float | None,
    camera_number: int | None,
) -> tuple[Times | None, list[tuple[int, int, int]]]:
    """Return the times of all samples, and each recording's first sample, count and first frame."""
    if camera_number is not None and not any(each.is_old and each.times for each in devices):
        raise SourceArgumentError(
            f"camera_number is given, but '{devices[0].folder}' has no timestamp.dat with the "
            "times of several cameras; leave it out."
        )
    times: list[Times] = []
    runs: list[tuple[int, int, int]] = []
    samples = frames = 0
    for device, own in zip(devices, outlines, strict=True):
        count = sum(outline.num_frames for outline in own)
        found = read_times(device, count, camera_number)
        if found is not None:
            found = reconcile(found, own, device, rate)
        elif len(devices) > 1:
            found = _even_times(device, count, rate)
        if found is not None:
            begin = (device.start - devices[0].start).total_seconds() if len(devices) > 1 else 0.0  # type: ignore[operator]
            times.append(begin + found)
        used = count if found is None else len(found)
        runs.append((samples, used, frames))
        samples, frames = samples + used, frames + count
    return (np.concatenate(times) if times else None), runs


def _even_times(device: Device, num_frames: int, rate: float | None) -> Times:
    """Return evenly spaced times for a recording without stated times."""
    rate = rate or stated_rate(device.settings)
    if rate is None:
        raise SourceArgumentError(
            f"'{device.folder}' states neither times nor a rate above 0 (frameRate in {SETTINGS}); "
            "give sampling_frequency in Hz."
        )
    return np.arange(num_frames, dtype=np.float64) / rate


def _measured(times: Times | None) -> float | None:
    if times is None or len(times) < 2:
        return None
    step = float(np.median(np.diff(times)))
    return 1 / step if step > 0 else None
