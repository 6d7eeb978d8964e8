"""Recordings of Thorlabs' ThorImage: Experiment.xml, and TIFF files or a raw file.

Source of the layout: files of ThorImage 5.0. The axes of a raw file are channel, plane (flyback
frames last) and time, fastest first; a pixel has 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np

from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_thor"]

_OME = "http://www.openmicroscopy.org/Schemas/OME/2010-06"
_FLYBACK = np.iinfo(np.uint16).max


def write_thor(
    folder: str | Path,
    channels: Array | Mapping[str, Array],
    *,
    sampling_frequency: float = 30.0,
    raw: bool = False,
    all_channels: bool = False,
    num_flyback_frames: int = 0,
    num_averaged: int = 1,
    is_streaming: bool = True,
    num_frames: int | None = None,
    status: str = "Complete",
    region: str = "001_001",
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write a recording as ThorImage does.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder of the recording; created if it does not exist.
    channels : numpy.ndarray or mapping of str to numpy.ndarray
        Movie of each channel by its name, ``ChanA`` to ``ChanD``; a single array is ChanA.
        uint16, (samples, rows, columns), or (samples, rows, columns, planes) for volumes.
    sampling_frequency : float
        Frames or volumes per second, in Hz.
    raw : bool
        Whether to write ``Image_001_001.raw`` instead of TIFF files.
    all_channels : bool
        Whether a raw file contains four channels, with zeros for disabled channels.
    num_flyback_frames : int
        Number of frames after each volume, with the largest value; only in raw files.
    num_averaged : int
        Number of frames that the microscope averaged to one.
    is_streaming : bool
        Whether frames were acquired continuously; else one stack was acquired per time point.
    num_frames : int, optional
        Number of frames per channel, also if the last volume is then incomplete; all by default.
    status : str
        ``Complete``, or ``Stopped``.
    region : str
        Two numbers in the names of TIFF files.
    changes : mapping, optional
        Attributes of elements of Experiment.xml by name; None leaves one out.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    movies = dict(channels) if isinstance(channels, Mapping) else {"ChanA": channels}
    volumes = {
        name: np.moveaxis(movie.reshape(*movie.shape[:3], -1), 3, 1)
        for name, movie in movies.items()
    }
    num_samples, num_planes = next(iter(volumes.values())).shape[:2]
    size = num_planes + num_flyback_frames
    if raw:
        _write_raw(folder, volumes, num_flyback_frames, all_channels, num_frames)
    else:
        for name, volume in volumes.items():
            _write_images(folder, f"{name}_{region}", volume, num_frames)
    stated = {
        "frames": num_samples * size,
        "rate": sampling_frequency * size * num_averaged,
        "planes": num_planes,
        "flyback": num_flyback_frames,
        "averaged": num_averaged,
        "streaming": is_streaming,
        "all": all_channels,
        "status": status,
        "shape": next(iter(volumes.values())).shape,
    }
    (folder / "Experiment.xml").write_text(_xml(list(movies), stated, changes or {}))
    return folder


def _write_images(folder: Path, stem: str, volume: Array, num_frames: int | None) -> None:
    tifffile = require_package("tifffile", "thor")
    places = [(t, z) for t in range(volume.shape[0]) for z in range(volume.shape[1])]
    for time, plane in places[:num_frames]:
        name = f"{stem}_{plane + 1:03d}_{time + 1:03d}.tif"
        description = (
            f'<?xml version="1.0"?><OME xmlns="{_OME}"><Image ID="Image:0"><Pixels '
            f'DimensionOrder="XYCZT" ID="Pixels:0" SizeC="1" SizeT="{volume.shape[0]}" '
            f'SizeX="{volume.shape[3]}" SizeY="{volume.shape[2]}" SizeZ="{volume.shape[1]}" '
            f'Type="uint16"><TiffData FirstT="{time}" FirstZ="{plane}" FirstC="0"><UUID '
            f'FileName="{name}">urn:uuid:0</UUID></TiffData></Pixels></Image></OME>'
        )
        image = np.asarray(volume[time, plane], np.uint16)
        tifffile.imwrite(
            folder / name, image, photometric="minisblack", description=description, metadata=None
        )


def _write_raw(
    folder: Path,
    volumes: Mapping[str, Array],
    num_flyback: int,
    all_channels: bool,
    num_frames: int | None,
) -> None:
    first = next(iter(volumes.values()))
    names = [f"Chan{letter}" for letter in "ABCD"] if all_channels else list(volumes)
    parts = []
    for name in names:
        part = np.asarray(volumes.get(name, np.zeros_like(first)), np.uint16)
        flyback = np.full((len(part), num_flyback, *part.shape[2:]), _FLYBACK, np.uint16)
        parts.append(np.concatenate([part, flyback], axis=1).reshape(-1, *part.shape[2:]))
    frames = np.stack(parts, axis=1)[:num_frames]
    frames.astype("<u2").tofile(folder / "Image_001_001.raw")


def _xml(
    names: list[str], stated: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]
) -> str:
    lines = ['<?xml version="1.0"?>', "<ThorImageExperiment>"]
    for name, attributes in _elements(stated).items():
        own = {**attributes, **changes.get(name, {})}
        texts = [f"{key}={quoteattr(str(v))}" for key, v in own.items() if v is not None]
        lines.append(f"  <{name} {' '.join(texts)} />")
    waves = "".join(f'<Wavelength name="{name}" exposureTimeMS="0" />' for name in names)
    return "\n".join([*lines, f"  <Wavelengths>{waves}</Wavelengths>", "</ThorImageExperiment>"])


def _elements(stated: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the attributes of the elements of Experiment.xml."""
    _, planes, rows, columns = stated["shape"]
    is_fast = int(stated["streaming"] and planes > 1)
    return {
        "Date": {"date": "05/17/2024 14:03:21", "uTime": 1715947401},
        "Software": {"version": "5.0.2023.10041"},
        "Magnification": {"mag": 16, "name": "16X"},
        "ZStage": {
            "name": "ThorZPiezo",
            "steps": planes,
            "stepSizeUM": 5,
            "startPos": 0.25,
            "enable": 1,
        },
        "Timelapse": {"timepoints": stated["frames"] // max(planes, 1), "intervalSec": 0},
        "LSM": {
            "name": "GalvoResonance",
            "pixelX": columns,
            "pixelY": rows,
            "pixelSizeUM": 1.25,
            "averageMode": int(stated["averaged"] > 1),
            "averageNum": stated["averaged"],
            "dwellTime": 0.1,
            "frameRate": f"{stated['rate']:.12g}",
        },
        "PMT": {"enableA": 1, "gainA": 70, "enableB": 1, "gainB": 80},
        "Pockels": {"start": 37.5},
        "Streaming": {
            "enable": int(stated["streaming"]),
            "frames": stated["frames"],
            "zFastEnable": is_fast,
            "flybackFrames": stated["flyback"],
        },
        "MultiPhotonLaser": {"enable": 1, "pos": 920},
        "LightPath": {"GalvoResonance": 1, "Camera": 0},
        "Modality": {"name": "Multiphoton"},
        "ExperimentStatus": {"value": stated["status"]},
        "ExperimentNotes": {"text": "A mouse looks at gratings."},
        "RawData": {"onlyEnabledChannels": int(not stated["all"])},
    }


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a folder of ThorImage; return the source arguments."""
    movie = recording.movie.astype("uint16")
    return {"folder_path": write_thor(folder / "experiment", movie, sampling_frequency=30.0)}
