"""Recordings of UCLA Miniscopes in the layouts of the current and of the previous program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_miniscope", "write_old_miniscope"]


def write_miniscope(
    path: str | Path,
    movie: Array,
    *,
    timestamps: Sequence[float] | Array | None = None,
    sampling_frequency: float = 30.0,
    start: datetime | None = None,
    device_name: str = "Miniscope",
    animal: str = "",
    settings: Mapping[str, Any] | None = None,
    frames_per_file: int = 1000,
    codec: str = "FFV1",
    whole_milliseconds: bool = True,
) -> Path:
    """Write a recording as Miniscope-DAQ-QT-Software does: one folder per Miniscope in a folder.

    Parameters
    ----------
    path : str or pathlib.Path
        Folder of the recording; created if it does not exist, else this Miniscope is added.
    movie : numpy.ndarray, shape (samples, rows, columns)
        Movie of uint8.
    timestamps : array-like of float, shape (samples,), optional
        Times of the frames in seconds since the start; regular by default.
    sampling_frequency : float
        Frames per second in Hz, written in the settings of the device.
    start : datetime.datetime, optional
        Start of the recording; with a time zone, its time in UTC is written, too.
    device_name : str
        Name of the device and of its folder.
    animal : str
        Name of the animal; the program writes an empty text if no name was entered.
    settings : Mapping, optional
        Further settings of the device, such as ``{"gain": "High", "led0": 47}``.
    frames_per_file : int
        Number of frames in each video.
    codec : str
        Code of four letters; only FFV1 and GREY are lossless.
    whole_milliseconds : bool
        Whether to round times to milliseconds, as the program does.

    Returns
    -------
    pathlib.Path
        The folder of the recording.

    Raises
    ------
    MissingPackageError
        If OpenCV is not installed.
    """
    path, movie = Path(path), np.asarray(movie)
    device = path / device_name
    device.mkdir(parents=True)
    _write_videos(device, "{}.avi", 0, movie, frames_per_file, codec, sampling_frequency)
    times = _milliseconds(timestamps, len(movie), sampling_frequency, whole_milliseconds)
    lines = [f"{number},{time},0" for number, time in enumerate(times)]
    _write_lines(device / "timeStamps.csv", ["Frame Number,Time Stamp (ms),Buffer Index", *lines])
    stated = {
        "compression": codec,
        "deviceName": device_name,
        "deviceType": "Miniscope_V4",
        "frameRate": f"{sampling_frequency:g}FPS",
        "framesPerFile": frames_per_file,
        **(settings or {}),
    }
    (device / "metaData.json").write_text(json.dumps(stated, indent=4))
    file = path / "metaData.json"
    known = json.loads(file.read_text())["miniscopes"] if file.exists() else []
    session: dict[str, Any] = {
        "animalName": animal,
        "cameras": [],
        "miniscopes": [*known, device_name],
    }
    if start is not None:
        session["recordingStartTime"] = _moment(start)
    file.write_text(json.dumps(session, indent=4))
    return path


def write_old_miniscope(
    path: str | Path,
    movie: Array,
    *,
    timestamps: Sequence[float] | Array | None = None,
    sampling_frequency: float = 30.0,
    animal: str = "",
    frames_per_file: int = 1000,
    codec: str = "FFV1",
    camera_number: int = 0,
    other_camera_frames: int = 0,
) -> Path:
    """Write a recording as the previous program Miniscope_DAQ does: one folder of msCam videos.

    Parameters
    ----------
    path : str or pathlib.Path
        Folder of the recording; created if it does not exist.
    movie, timestamps, sampling_frequency, animal, frames_per_file, codec
        See :func:`write_miniscope`. The program does not write the rate.
    camera_number : int
        Number of the Miniscope in ``timestamp.dat``.
    other_camera_frames : int
        Number of lines of a behaviour camera in ``timestamp.dat``.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    path, movie = Path(path), np.asarray(movie)
    path.mkdir(parents=True, exist_ok=True)
    _write_videos(path, "msCam{}.avi", 1, movie, frames_per_file, codec, sampling_frequency)
    times = _milliseconds(timestamps, len(movie), sampling_frequency, whole=True)
    other = _milliseconds(None, other_camera_frames, sampling_frequency, whole=True)
    lines = [
        # The program writes times as unsigned integers of 32 bits.
        f"{camera}\t{number}\t{int(time) % 2**32}\t1"
        for camera, own in ((camera_number, times), (1 - camera_number, other))
        for number, time in enumerate(own, start=1)
    ]
    _write_lines(path / "timestamp.dat", ["camNum\tframeNum\tsysClock\tbuffer", *lines])
    settings = ["animal\texcitation\tmsCamExposure\trecordLength", f"{animal}\t15\t255\t600"]
    _write_lines(path / "settings_and_notes.dat", [*settings, "", "elapsedTime\tNote"])
    return path


def _write_videos(
    folder: Path, name: str, first: int, movie: Array, size: int, codec: str, rate: float
) -> None:
    cv2 = require_package("cv2", "miniscope")
    if movie.ndim != 3 or movie.dtype != np.uint8 or not len(movie):
        raise ValueError(
            f"movie is {movie.dtype} of the shape {movie.shape}; a Miniscope records uint8, "
            "(samples, rows, columns), and at least one sample."
        )
    shape = (movie.shape[2], movie.shape[1])
    fourcc = cv2.VideoWriter_fourcc(*codec)
    for number, begin in enumerate(range(0, len(movie), size), start=first):
        file = str(folder / name.format(number))
        writer = cv2.VideoWriter(file, cv2.CAP_FFMPEG, fourcc, rate, shape, isColor=False)
        for frame in movie[begin : begin + size]:
            writer.write(np.ascontiguousarray(frame))
        writer.release()


def _milliseconds(timestamps: Any, count: int, rate: float, whole: bool) -> list[str]:
    times = np.arange(count) / rate if timestamps is None else np.asarray(timestamps)
    return [f"{time * 1000:.0f}" if whole else f"{time * 1000:.6f}" for time in times]


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n")


def _moment(start: datetime) -> dict[str, int]:
    names = ("year", "month", "day", "hour", "minute", "second")
    stated = {name: getattr(start, name) for name in names}
    stated["msec"] = start.microsecond // 1000
    if start.tzinfo is not None:
        since = start - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        stated["msecSinceEpoch"] = since // timedelta(milliseconds=1)
    return stated


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a recording of a Miniscope in three videos; return the source arguments."""
    movie = np.clip(recording.movie // 4, 0, 255).astype(np.uint8)
    # The program rounds to milliseconds; the contract compares times to the microsecond.
    path = write_miniscope(
        folder / "recording",
        movie,
        timestamps=recording.timestamps,
        sampling_frequency=30.0,
        frames_per_file=15,
        whole_milliseconds=False,
    )
    return {"folder_path": path}
