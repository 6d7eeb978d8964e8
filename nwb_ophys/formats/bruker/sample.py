"""Recordings of Bruker's Prairie View 4 and 5: TIFF files and an XML file that names them.

Source of the layout: files of Prairie View 5.6; version 4 has the settings as a flat list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np

from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_bruker"]

_SETTINGS: dict[str, Any] = {
    "activeMode": "ResonantGalvo",
    "bitDepth": "13",
    "dwellTime": "0.4",
    "laserPower": {"0": "599.6"},
    "laserWavelength": {"0": "920"},
    "micronsPerPixel": {"XAxis": "1.25", "YAxis": "1.5", "ZAxis": "5"},
    "objectiveLens": "16X",
    "objectiveLensMag": "16",
    "objectiveLensNA": "0.8",
    "opticalZoom": "2",
    "pmtGain": {"0": "600", "1": "700"},
    "scanLinePeriod": "6.25E-05",
    "zDevice": "0",
}


def write_bruker(
    folder: str | Path,
    channels: Array | Mapping[int, Array],
    *,
    sampling_frequency: float = 30.0,
    channel_names: Mapping[int, str] | None = None,
    version: str = "5.6.64.400",
    sequence_type: str | None = None,
    frames_per_cycle: int | None = None,
    pages_per_file: int = 1,
    timestamps: Sequence[float] | Array | None = None,
    restart_times: bool = False,
    bidirectional: bool = False,
    num_frames: int | None = None,
    z_step: float = 5.0,
    date: str | None = None,
    session_start_time: datetime = datetime(2024, 5, 17, 14, 3, 21),
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a recording as Prairie View does: a folder of TIFF files and an XML file.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder of the recording; created if it does not exist. The files have its name.
    channels : numpy.ndarray or mapping of int to numpy.ndarray
        Movie of each channel by its number, from 1; a single array is channel 2. Unsigned,
        (samples, rows, columns), or (samples, rows, columns, planes) for volumes, each of which
        is a cycle.
    sampling_frequency : float
        Frames per second, or volumes per second, in Hz.
    channel_names : mapping of int to str, optional
        Names by channel number; "Ch1", "Ch2", … by default.
    version : str
        Version of Prairie View. Before 5, settings are a flat list and files end in ``.tif``.
    sequence_type : str, optional
        ``type`` of the sequences; by default the type of a time series or of volumes.
    frames_per_cycle : int, optional
        Frames per cycle of a movie without planes; by default all frames are one cycle.
    pages_per_file : int
        Number of frames of a cycle in each file.
    timestamps : array-like, optional
        Start of each sample in seconds; regular by default.
    restart_times : bool
        Whether relative times restart with each cycle.
    bidirectional : bool
        Whether every other volume is swept backwards.
    num_frames : int, optional
        Number of frames to write, also if the last volume is then incomplete; all by default.
    z_step : float
        Distance between planes in micrometres.
    date : str, optional
        Text of ``date``; by default as on a computer with United States settings.
    session_start_time : datetime.datetime
        Wall-clock time of the start, to a second.
    settings : mapping, optional
        Further values by key, or by key and index; None leaves one out.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    movies = dict(channels) if isinstance(channels, Mapping) else {2: channels}
    movies = {number: np.asarray(movie) for number, movie in sorted(movies.items())}
    shape = next(iter(movies.values())).shape
    num_planes = shape[3] if len(shape) == 4 else 1
    times = np.arange(shape[0]) / sampling_frequency if timestamps is None else timestamps
    frames = _frames(shape[0], num_planes, frames_per_cycle, np.asarray(times), sampling_frequency)
    if bidirectional:
        frames = [_swept(frame, num_planes) for frame in frames]
    frames = frames[:num_frames]
    names = {n: (channel_names or {}).get(n, f"Ch{n}") for n in movies}
    suffix = ".tif" if version.startswith("4") else ".ome.tif"
    for frame in frames:
        part, page = divmod(frame["index"] - 1, pages_per_file)
        frame["page"] = page + 1 if pages_per_file > 1 else None
        first = part * pages_per_file + 1
        stem = f"{folder.name}_Cycle{frame['cycle']:05d}"
        frame["files"] = {n: f"{stem}_Ch{n}_{first:06d}{suffix}" for n in movies}
    _write_images(folder, movies, frames, f"Prairie View {version}", session_start_time)
    kind = "TSeries ZSeries Element" if num_planes > 1 else "TSeries Timed Element"
    period = 1 / (sampling_frequency * num_planes)
    values = {**_SETTINGS, "framePeriod": repr(period), "rastersPerFrame": "1", **(settings or {})}
    moment = session_start_time
    hour = moment.strftime("%I").lstrip("0")
    stated = f"{moment.month}/{moment.day}/{moment.year} {hour}:{moment:%M:%S %p}"
    text = _xml(
        frames, names, sequence_type or kind, version, date or stated, values, z_step, restart_times
    )
    # Prairie View writes a byte order mark.
    (folder / f"{folder.name}.xml").write_text(text, encoding="utf-8-sig")
    return folder


def _frames(
    num_samples: int, num_planes: int, per_cycle: int | None, times: Array, rate: float
) -> list[dict[str, Any]]:
    """Return the frames in the order of acquisition."""
    size = num_planes if num_planes > 1 else per_cycle or max(num_samples, 1)
    found = []
    for number in range(num_samples * num_planes):
        sample, plane = divmod(number, num_planes)
        found.append(
            {
                "cycle": number // size + 1,
                "index": number % size + 1,
                "sample": sample,
                "plane": plane,
                "time": float(times[sample]) + plane / (rate * num_planes),
            }
        )
    return found


def _swept(frame: dict[str, Any], num_planes: int) -> dict[str, Any]:
    """Return a frame with its plane reversed in every other volume."""
    back = frame["sample"] % 2
    return {**frame, "plane": num_planes - 1 - frame["plane"] if back else frame["plane"]}


def _write_images(
    folder: Path,
    movies: Mapping[int, Array],
    frames: list[dict[str, Any]],
    software: str,
    start: datetime,
) -> None:
    tifffile = require_package("tifffile", "bruker")
    pages: dict[str, list[Array]] = {}
    for frame in frames:
        for number, movie in movies.items():
            image = movie[frame["sample"]]
            image = image[..., frame["plane"]] if movie.ndim == 4 else image
            pages.setdefault(frame["files"][number], []).append(image)
    for name, images in pages.items():
        with tifffile.TiffWriter(folder / name) as writer:
            for image in images:
                writer.write(
                    image,
                    photometric="minisblack",
                    software=software,
                    datetime=start,
                    rowsperstrip=8,
                    metadata=None,
                )


def _xml(
    frames: list[dict[str, Any]],
    names: Mapping[int, str],
    kind: str,
    version: str,
    date: str,
    settings: Mapping[str, Any],
    z_step: float,
    restart_times: bool,
) -> str:
    is_old = version.startswith("4")
    state = _flat_state if is_old else _state
    stage = {"XAxis": "14.9", "YAxis": "56.2", "ZAxis": "166.5"}
    whole = {**settings, "positionCurrent": stage}
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<PVScan version="{version}" date={quoteattr(date)} notes="">',
        *([] if is_old else state(whole)),
    ]
    cycle, start = 0, 0.0
    for frame in frames:
        if frame["cycle"] != cycle:
            lines += ["</Sequence>"] if cycle else []
            cycle, start = frame["cycle"], frame["time"] if restart_times else 0.0
            lines.append(f'<Sequence type="{kind}" cycle="{cycle}"><PVStateShard />')
        lines.append(
            f'<Frame relativeTime="{frame["time"] - start:.9f}" '
            f'absoluteTime="{frame["time"] + 6.71:.12f}" index="{frame["index"]}">'
        )
        page = f' page="{frame["page"]}"' if frame["page"] else ""
        lines += [
            f'<File channel="{n}" channelName={quoteattr(names[n])}{page} filename="{file}" />'
            for n, file in frame["files"].items()
        ]
        position = {**stage, "ZAxis": f"{166.5 + frame['plane'] * z_step:g}"}
        changed = {"positionCurrent": position}
        lines += [*state(whole | changed if is_old else changed), "</Frame>"]
    return "\n".join([*lines, *(["</Sequence>"] if cycle else []), "</PVScan>"])


def _state(values: Mapping[str, Any]) -> list[str]:
    """Return settings as Prairie View 5 writes them."""
    lines = ["<PVStateShard>"]
    for key, value in values.items():
        if isinstance(value, Mapping) and key == "positionCurrent":
            lines.append(f'<PVStateValue key="{key}">')
            for axis, number in value.items():
                inner = f'<SubindexedValue subindex="0" value="{number}" description="Z Focus" />'
                lines.append(f'<SubindexedValues index="{axis}">{inner}</SubindexedValues>')
            lines.append("</PVStateValue>")
        elif isinstance(value, Mapping):
            inner = "".join(f'<IndexedValue index="{i}" value="{v}" />' for i, v in value.items())
            lines.append(f'<PVStateValue key="{key}">{inner}</PVStateValue>')
        elif value is not None:
            lines.append(f'<PVStateValue key="{key}" value="{value}" />')
    return [*lines, "</PVStateShard>"]


def _flat_state(values: Mapping[str, Any]) -> list[str]:
    """Return settings as Prairie View 4 writes them."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}_{index}": inner for index, inner in value.items()}
        elif value is not None:
            flat[key] = value
    lines = [
        f'<Key key="{key}" permissions="Read, Write, Save" value="{value}" />'
        for key, value in flat.items()
    ]
    return ["<PVStateShard>", *lines, "</PVStateShard>"]


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a folder of Prairie View; return the source arguments that open it."""
    movie = recording.movie.astype("uint16")
    return {"folder_path": write_bruker(folder / "TSeries-1", movie, sampling_frequency=30.0)}
