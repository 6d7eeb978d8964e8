"""TIFF files as ScanImage 4 to 2015 write them, with all settings in the description of each page.

The spelling of the properties follows headers of ScanImage 4.2, 5.0, 5.1 and 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nwb_ophys.formats.scanimage.sample_acquisition import Acquisition, Array, movies_by_channel
from nwb_ophys.optional import require_package

_VERSIONS = ("4.2", "5.0", "5.1", "2015")


def write_scanimage_old(
    path: str | Path,
    channels: Array | Mapping[int, Array],
    *,
    version: str = "5.0",
    sampling_frequency: float = 30.0,
    num_flyback_frames: int = 0,
    frames_per_slice: int = 1,
    stack_mode: str = "fast",
    average_factor: int = 1,
    frame_timestamps: Sequence[float] | Array | None = None,
    frame_numbers: Sequence[int] | None = None,
    session_start_time: datetime = datetime(2015, 6, 3, 17, 2, 52, 583000),
    z_step: float = 10.0,
    settings: Mapping[str, str | None] | None = None,
) -> Path:
    """Write an acquisition ("grab") as ScanImage 4.2, 5.0, 5.1 or 2015 does: one file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; an existing one is overwritten.
    channels : numpy.ndarray or mapping of int to numpy.ndarray
        Movie of each saved channel by its number, from 1; as in `write_scanimage`.
    version : {"4.2", "5.0", "5.1", "2015"}
        Version of ScanImage.
    sampling_frequency : float
        Saved frames per second in Hz, of a stack volumes per second.
    num_flyback_frames : int
        Number of frames after each volume of a fast stack, of the largest value of the dtype.
    frames_per_slice : int
        Number of consecutive saved frames of each slice of a slow stack.
    stack_mode : {"fast", "slow"}
        "fast": continuous sweeps; "slow": all frames of a slice before the next slice.
    average_factor : int
        Number of frames that were averaged into each saved frame.
    frame_timestamps : array-like, optional
        Time of each frame in seconds, including flyback frames; regular by default. ScanImage 4
        states no times.
    frame_numbers : sequence of int, optional
        Number of each frame; by default they count acquired frames from 1.
    session_start_time : datetime.datetime
        Wall-clock time of the start, to a millisecond, which 4.2, 5.0 and 2015 state.
    z_step : float
        Distance between planes in micrometres.
    settings : mapping of str to str or None, optional
        Further settings, or other values of existing ones, by name with all prefixes; None leaves
        a setting out.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If shapes or types differ between channels, or if options contradict each other.
    MissingPackageError
        If tifffile is not installed.
    """
    if version not in _VERSIONS:
        raise ValueError(f"version is {version!r}, but may be {', '.join(_VERSIONS)}.")
    tifffile = require_package("tifffile", "scanimage")
    acquisition = Acquisition(
        channels=movies_by_channel(channels),
        channel_names={},
        num_channels_available=4,
        sampling_frequency=sampling_frequency,
        num_flyback_frames=num_flyback_frames,
        frames_per_slice=frames_per_slice,
        stack_mode=stack_mode,
        frames_per_file=None,
        num_frames=None,
        frame_timestamps=frame_timestamps,
        session_start_time=session_start_time,
        objective_resolution=15.0,
        zoom=3.0,
        line_period=None,
        pmt_gains=(),
        z_step=z_step,
        average_factor=average_factor,
    )
    header = _header(acquisition, version, settings or {})
    with tifffile.TiffWriter(path) as writer:
        for frame in range(acquisition.num_planned_frames):
            number = frame_numbers[frame] if frame_numbers else acquisition.frame_number(frame)
            text = _frame(acquisition, version, frame, number) + header
            for movie in acquisition.channels.values():
                image = acquisition.image(movie, frame)
                writer.write(
                    image,
                    description=text,
                    metadata=None,
                    contiguous=False,
                    software=None,
                    photometric="minisblack",
                )
    return Path(path)


def _frame(acquisition: Acquisition, version: str, frame: int, number: int) -> str:
    """Return the lines that state one frame."""
    time = acquisition.timestamp(frame)
    if version == "4.2":
        return f"Frame Tag = {number:08d}\n"
    if version == "5.0":
        return (
            f"Frame Number = {number:16d}\nFrame Timestamp(s) = {time:25.9f}\n"
            f"Acq Trigger Timestamp(s) = {-0.0000833:25.9f}\nDC Overvoltage = 0\n"
        )
    epoch = acquisition.session_start_time
    date = f"[{epoch.year} {epoch.month} {epoch.day} {epoch.hour} {epoch.minute} {_seconds(epoch)}]"
    return (
        f"frameNumbers = {number}\nframeTimestamps = {time:.9f}\n"
        f"acqTriggerTimestamps = {-0.0000833:.9f}\ndcOverVoltage = 0\n"
        + (f"epoch = {date}\n" if version == "2015" else "")
    )


def _seconds(time: datetime) -> str:
    return f"{time.second + time.microsecond / 1e6:.3f}"


def _header(acquisition: Acquisition, version: str, changes: Mapping[str, str | None]) -> str:
    """Return the settings, in the spelling of the version."""
    values = {
        "4.2": _settings_of_4,
        "5.0": _settings_of_5,
        "5.1": _settings_of_2015,
        "2015": _settings_of_2015,
    }[version](acquisition)
    prefix = {"4.2": "scanimage.SI4.", "5.0": "scanimage.SI5."}.get(version, "scanimage.SI.")
    major, minor = {"5.0": ("5", "0"), "5.1": ("5", "1"), "2015": ("'2015'", "'0'")}.get(
        version, (version, None)
    )
    values |= {"VERSION_MAJOR": major, **({"VERSION_MINOR": minor} if minor else {})}
    lines: dict[str, str | None] = {f"{prefix}{name}": str(values[name]) for name in sorted(values)}
    lines |= changes
    return "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)


def _column(acquisition: Acquisition) -> str:
    """Return the saved channels as MATLAB writes a column; one channel is a number."""
    numbers = ";".join(map(str, acquisition.channels))
    return f"[{numbers}]" if len(acquisition.channels) > 1 else numbers


def _flat_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the settings that ScanImage 4 and 5.0 share."""
    is_fast = acquisition.num_planes > 1 and acquisition.stack_mode == "fast"
    per_slice = acquisition.num_volumes if is_fast else acquisition.frames_per_slice
    if acquisition.num_planes == 1:
        per_slice = acquisition.num_planned_frames
    flyback = acquisition.num_flyback_frames
    period = f"{1 / acquisition.sampling_frequency:.9g}" if is_fast else "[]"
    return {
        "acqNumAveragedFrames": acquisition.average_factor,
        "acqNumFrames": per_slice * acquisition.average_factor,
        "acqState": "'grab'",
        "channelsDisplay": _column(acquisition),
        "channelsSave": _column(acquisition),
        "fastZDiscardFlybackFrames": str(flyback > 0).lower(),
        "fastZEnable": str(is_fast).lower(),
        "fastZImageType": "'XY-Z'",
        "fastZNumDiscardFrames": flyback,
        "fastZNumVolumes": acquisition.num_volumes if is_fast else 1,
        "fastZPeriod": period,
        "loggingFramesPerFile": "Inf",
        "scanFramePeriod": f"{1 / acquisition.scan_rate:.9g}",
        "stackNumSlices": acquisition.num_planes,
        "stackZStepSize": f"{acquisition.z_step:g}",
    }


def _settings_of_4(acquisition: Acquisition) -> dict[str, Any]:
    time = acquisition.session_start_time
    _, num_rows, num_columns, _ = acquisition.movie_shape
    day = f"{time.day:02d}-{time.month:02d}-{time.year}"
    clock = f"{time.hour:02d}:{time.minute:02d}:{time.second + time.microsecond / 1e6:06.3f}"
    return {
        **_flat_settings(acquisition),
        "scanFrameRate": f"{acquisition.scan_rate:.9g}",
        "scanLinesPerFrame": num_rows,
        "scanPixelsPerLine": num_columns,
        "scanZoomFactor": f"{acquisition.zoom:g}",
        "triggerClockTimeFirst": f"'{day} {clock}'",
    }


def _settings_of_5(acquisition: Acquisition) -> dict[str, Any]:
    time = acquisition.session_start_time
    _, num_rows, num_columns, _ = acquisition.movie_shape
    date = f"{time.year} {time.month} {time.day} {time.hour} {time.minute} {_seconds(time)}"
    return {
        **_flat_settings(acquisition),
        "acqStartTime": f"[{date}]",
        "linesPerFrame": num_rows,
        "pixelsPerLine": num_columns,
        "zoomFactor": f"{acquisition.zoom:g}",
    }


def _settings_of_2015(acquisition: Acquisition) -> dict[str, Any]:
    _, num_rows, num_columns, _ = acquisition.movie_shape
    flat = _flat_settings(acquisition)
    is_fast = flat["fastZEnable"] == "true"
    per_slice = 1 if is_fast else flat["acqNumFrames"]
    cycle = acquisition.num_planes + acquisition.num_flyback_frames
    return {
        "acqState": "'grab'",
        "hChannels.channelName": "{'Channel 1' 'Channel 2' 'Channel 3' 'Channel 4'}",
        "hChannels.channelSave": flat["channelsSave"],
        "hFastZ.discardFlybackFrames": flat["fastZDiscardFlybackFrames"],
        "hFastZ.enable": flat["fastZEnable"],
        "hFastZ.numDiscardFlybackFrames": acquisition.num_flyback_frames,
        "hFastZ.numFramesPerVolume": cycle if is_fast else "[]",
        "hFastZ.numVolumes": flat["fastZNumVolumes"],
        "hRoiManager.linesPerFrame": num_rows,
        "hRoiManager.mroiEnable": "false",
        "hRoiManager.pixelsPerLine": num_columns,
        "hRoiManager.scanFrameRate": f"{acquisition.scan_rate:.9g}",
        "hRoiManager.scanVolumeRate": f"{acquisition.sampling_frequency:.9g}",
        "hRoiManager.scanZoomFactor": f"{acquisition.zoom:g}",
        "hScan2D.logAverageFactor": acquisition.average_factor,
        "hScan2D.logFramesPerFile": "Inf",
        "hStackManager.framesPerSlice": per_slice,
        "hStackManager.slicesPerAcq": acquisition.num_planes,
    }
