"""Read recordings of ThorImage: TIFF files of a frame each, or a raw file of all of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.thor_xml import NAME, ThorExperiment, read_experiment
from nwb_ophys.extractors.tiff_axes import StatedAxes
from nwb_ophys.extractors.tiff_files import TiffSource, inspect_tiff
from nwb_ophys.extractors.tiff_frames import TiffFramesExtractor, check_index
from nwb_ophys.extractors.tiff_many import ManyTiffsReader
from nwb_ophys.extractors.tiff_pages import Integers
from nwb_ophys.extractors.tiff_reader import TiffPageReader
from nwb_ophys.extractors.tiff_table import PageTable

# Channel, two numbers of the region, plane and time.
IMAGE_NAME = re.compile(r"(Chan\w+?)_(\d+)_(\d+)_(\d+)_(\d+)\.tiff?$", re.IGNORECASE)
RAW_NAME = re.compile(r"Image_\d+_\d+\.raw$", re.IGNORECASE)
# What the boards of Thorlabs record, whether or not it is switched on.
_ALL_CHANNELS = ("ChanA", "ChanB", "ChanC", "ChanD")

Images = dict[tuple[str, str], dict[tuple[int, int], str]]
"""Names of files by (region, channel) and (time, plane)."""


@attrs.frozen(kw_only=True)
class ThorRecording:
    """What is in a folder of ThorImage.

    Attributes
    ----------
    experiment : ThorExperiment
    raw : pathlib.Path or None
        The file of all frames, where there is one.
    images : dict
        Otherwise the names of the images.
    """

    experiment: ThorExperiment
    raw: Path | None
    images: Images

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels, in their order."""
        if self.raw is not None:
            return self.experiment.channel_names
        return sorted({channel for _, channel in self.images})

    @property
    def regions(self) -> list[str]:
        """Names of the regions that were visited, such as ``001_001``; one for a raw file."""
        return sorted({region for region, _ in self.images}) or [""]


def open_thor_recording(folder: Path) -> ThorRecording:
    """Return what is in a folder of ThorImage, of which names and ``Experiment.xml`` are read.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    SourceError
        When there are no images, or several raw files.
    """
    experiment = read_experiment(folder / NAME)
    images: Images = {}
    raws = []
    for path in folder.iterdir():
        named = IMAGE_NAME.match(path.name)
        if named:
            channel, first, second, plane, time = named.groups()
            key = (f"{first}_{second}", channel)
            images.setdefault(key, {})[int(time), int(plane)] = path.name
        elif RAW_NAME.match(path.name):
            raws.append(path)
    if len(raws) > 1:
        raise SourceError(
            f"'{folder}' holds {len(raws)} raw files, such as '{min(raws).name}', a region each; "
            "move each with a copy of Experiment.xml into a folder of its own"
        )
    if not images and not raws:
        raise SourceError(
            f"'{folder}' holds {NAME}, but neither images (ChanA_001_001_001_001.tif, …) nor "
            "Image_001_001.raw; copy them from where they were recorded"
        )
    raw = raws[0] if raws and not images else None
    return ThorRecording(experiment=experiment, raw=raw, images=images)


class ThorExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of a ThorImage recording.

    Frames of the flyback are left out. Reads names, ``Experiment.xml`` and the headers of two
    images when made; see `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    folder_path : path
        The folder with ``Experiment.xml``.
    channel_name : str, optional
        The channel to read; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; by default volumes of all planes.
    region_name : str, optional
        The region to read, such as ``001_002``; needed if there are several.

    Attributes
    ----------
    recording : ThorRecording
    channel_name : str

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range.
    SourceNotFoundError, CorruptSourceError
        If a file is not there, or is truncated.
    SourceError
        If images are missing, or their numbers contradict ``Experiment.xml``.
    """

    extractor_name = "ThorExtractor"

    def __init__(
        self,
        folder_path: str | PathLike[str],
        channel_name: str | None = None,
        plane_index: int | None = None,
        region_name: str | None = None,
    ) -> None:
        folder = Path(folder_path)
        self.recording = recording = open_thor_recording(folder)
        experiment = recording.experiment
        self.channel_name = _chosen("channel_name", channel_name, recording.channel_names, folder)
        region = _chosen("region_name", region_name, recording.regions, folder)
        if recording.raw is not None:
            reader, pages = _open_raw(recording, self.channel_name)
        else:
            images = recording.images[region, self.channel_name]
            reader, pages = _open_images(folder, experiment, images)
        _check_shape(experiment, reader)
        self.num_planes_of_all = pages.shape[1]
        if plane_index is not None:
            check_index("plane_index", plane_index, pages.shape[1])
            pages = pages[:, plane_index : plane_index + 1]
        self._pages = np.ascontiguousarray(pages)
        super().__init__(
            reader,
            sampling_frequency=experiment.sampling_frequency,
            num_samples=len(pages),
            num_planes=pages.shape[1],
        )

    def _sample_pages(self, samples: Integers) -> Integers:
        return self._pages[samples]


def _chosen(argument: str, given: str | None, known: Sequence[str], folder: Path) -> str:
    if given is None and len(known) == 1:
        return known[0]
    if given is None or given not in known:
        what = "is needed" if given is None else f"is {given!r}"
        raise SourceArgumentError(f"{argument} {what}; '{folder}' has {', '.join(known) or 'none'}")
    return given


def _check_shape(experiment: ThorExperiment, reader: TiffPageReader) -> None:
    stated = (experiment.count("LSM", "pixelY"), experiment.count("LSM", "pixelX"))
    found = (reader.rows, reader.columns)
    if not experiment.is_on("LightPath", "Camera") and all(stated) and stated != found:
        raise SourceError(
            f"{experiment.path} states images of {stated[0]} rows and {stated[1]} columns, but "
            f"{reader.sources[0].table.path} has {found[0]} and {found[1]}; they do not belong "
            "together"
        )


# --- images -----------------------------------------------------------------------------------


def _open_images(
    folder: Path, experiment: ThorExperiment, images: dict[tuple[int, int], str]
) -> tuple[TiffPageReader, Integers]:
    """Return the reader of one channel, and its pages of shape (samples, planes)."""
    if len(images) == 1:
        (name,) = images.values()
        source = inspect_tiff(folder / name, reads_axes=False)
        number = source.table.num_pages
        return TiffPageReader([source]), _in_volumes(experiment, number, folder / name)
    planes = sorted({plane for _, plane in images})
    times = sorted({time for time, _ in images})
    wanted = [(time, plane) for time in times for plane in planes]
    absent = [place for place in wanted if place not in images]
    # Those of the last volume, when the recording was stopped.
    last = [place for place in absent if place[0] == times[-1]]
    gaps = times[-1] - times[0] + 1 != len(times) or planes != list(
        range(planes[0], planes[-1] + 1)
    )
    if gaps or len(last) < len(absent):
        raise SourceError(
            f"'{folder}': of {images[min(images)]} and the {len(images) - 1} files with it, which "
            f"go to plane {planes[-1]} and time {times[-1]}, some are missing. Copy the folder "
            "again"
        )
    if absent:
        times = times[:-1]
        warnings.warn(
            f"'{folder}': the last of {len(times) + 1} volumes is left out, since {len(absent)} of "
            f"its {len(planes)} planes are missing.",
            UserWarning,
            stacklevel=3,
        )
    _check_number(experiment, len(times) * len(planes), len(planes), folder)
    paths = [folder / images[time, plane] for time in times for plane in planes]
    pages = np.arange(len(paths), dtype=np.int64).reshape(len(times), len(planes))
    if len(planes) == experiment.num_planes + experiment.num_flyback:
        pages = pages[:, : experiment.num_planes]
    return ManyTiffsReader(paths, [1] * len(paths)), pages


def _check_number(
    experiment: ThorExperiment, found: int, planes_per_volume: int, where: Path
) -> None:
    """Warn of a recording that was stopped, and raise where one that was not lacks frames."""
    volume = experiment.num_planes + experiment.num_flyback
    stated = experiment.num_frames // volume * planes_per_volume
    if not stated or found >= stated:
        return
    message = f"{experiment.path} states {stated} frames, but '{where}' has {found} of a channel"
    if experiment.text("ExperimentStatus", "value").lower() == "complete":
        raise SourceError(f"{message}, although it is complete. Copy the recording again")
    warnings.warn(f"{message}: it was stopped.", UserWarning, stacklevel=4)


def _in_volumes(experiment: ThorExperiment, number: int, path: Path) -> Integers:
    """Return the pages of whole volumes without the flyback, of shape (samples, planes)."""
    size = experiment.num_planes + experiment.num_flyback
    num_samples, rest = divmod(number, size)
    if not num_samples:
        raise CorruptSourceError(
            f"'{path}' has {number} frames, but a volume is of {experiment.num_planes} planes and "
            f"{experiment.num_flyback} of the flyback; nothing whole was recorded"
        )
    _check_number(experiment, number, size, path)
    if rest:
        warnings.warn(
            f"'{path}': the last {rest} of {number} frames are left out, since they make up no "
            f"whole volume of {size}.",
            UserWarning,
            stacklevel=4,
        )
    pages = np.arange(num_samples * size, dtype=np.int64).reshape(num_samples, size)
    return pages[:, : experiment.num_planes]


# --- raw files --------------------------------------------------------------------------------


def _open_raw(recording: ThorRecording, channel: str) -> tuple[TiffPageReader, Integers]:
    """Return the reader of a raw file, and the pages of a channel, of shape (samples, planes)."""
    path, experiment = recording.raw, recording.experiment
    assert path is not None
    rows, columns = experiment.count("LSM", "pixelY"), experiment.count("LSM", "pixelX")
    if rows < 1 or columns < 1:
        raise SourceError(f"{experiment.path} states no pixelX and pixelY; correct it there")
    size = path.stat().st_size
    number, rest = divmod(size, rows * columns * 2)
    names = _raw_channels(experiment, number)
    if rest or number % len(names):
        raise CorruptSourceError(
            f"'{path}' has {size} bytes, which is no multiple of {len(names)} channels of {rows} x "
            f"{columns} pixels of 16 bits; it is truncated, or does not belong to {NAME}"
        )
    frames = _in_volumes(experiment, number // len(names), path)
    reader = TiffPageReader([_raw_source(path, size, rows, columns, number)])
    return reader, frames * len(names) + names.index(channel)


def _raw_channels(experiment: ThorExperiment, num_pages: int) -> list[str]:
    """Return the channels of a raw file in their order: those switched on, or all of the board."""
    names = experiment.channel_names
    if not names:
        raise SourceError(f"{experiment.path} names no channel (Wavelength); correct it there")
    only_enabled = experiment.text("RawData", "onlyEnabledChannels")
    everything = list(_ALL_CHANNELS)
    stated = experiment.num_frames
    holds_all = stated > 0 and num_pages == stated * len(everything)
    # Where it is not stated, as before version 4, the size tells.
    if set(names) <= set(everything) and (only_enabled == "0" or (not only_enabled and holds_all)):
        return everything
    return names


def _raw_source(path: Path, size: int, rows: int, columns: int, number: int) -> TiffSource:
    """Return a raw file as one of uncompressed pages, which it is."""
    nothing = np.zeros(number, np.int64)
    table = PageTable(
        path=path,
        file_size=size,
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        depth=1,
        dtype=np.dtype("<u2"),
        compression=1,
        is_direct=True,
        is_uniform=True,
        data_offsets=np.arange(number, dtype=np.int64) * (rows * columns * 2),
        description_offsets=nothing,
        description_sizes=nothing,
    )
    return TiffSource(table=table, stated=StatedAxes(), dtype=np.dtype(np.uint16))
