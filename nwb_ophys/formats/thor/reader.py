"""Read recordings of ThorImage: TIFF files of one frame each, or one raw file of all frames."""

from __future__ import annotations

import re
import warnings
from os import PathLike
from pathlib import Path

import attrs
import numpy as np

from nwb_ophys.errors import SourceError, counted
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.thor.pages import open_images, open_raw
from nwb_ophys.formats.thor.xml import NAME, TIMING, ThorExperiment, read_experiment
from nwb_ophys.remote.paths import as_path

# Channel, the two numbers of the region, plane and time.
IMAGE_NAME = re.compile(r"(Chan\w+?)_(\d+)_(\d+)_(\d+)_(\d+)\.tiff?$", re.IGNORECASE)
RAW_NAME = re.compile(r"Image_\d+_\d+\.raw$", re.IGNORECASE)

Images = dict[tuple[str, str], dict[tuple[int, int], str]]
"""Names of files by (region, channel) and (time, plane)."""


@attrs.frozen(kw_only=True)
class ThorRecording:
    """Contents of a folder of ThorImage.

    Attributes
    ----------
    experiment : ThorExperiment
    raw : pathlib.Path or None
        The raw file of all frames, if there is one.
    images : dict
        Names of the image files.
    """

    experiment: ThorExperiment
    raw: Path | None
    images: Images

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels, in order."""
        if self.raw is not None:
            return self.experiment.channel_names
        return sorted({channel for _, channel in self.images})

    @property
    def regions(self) -> list[str]:
        """Names of the recorded regions, such as ``001_001``; one empty name for a raw file."""
        return sorted({region for region, _ in self.images}) or [""]


def open_thor_recording(folder: Path) -> ThorRecording:
    """Return the contents of a folder of ThorImage, reading names and ``Experiment.xml`` only.

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
            f"'{folder}' has {len(raws)} raw files, such as '{min(raws).name}', one per region; "
            "move each into a separate folder with a copy of Experiment.xml."
        )
    if not images and not raws:
        raise SourceError(
            f"'{folder}' has {NAME}, but neither images (ChanA_001_001_001_001.tif, …) nor "
            "Image_001_001.raw; copy them from where they were recorded. Read TIFF files with "
            "other names with the format ome-tiff, if they have OME-XML, or tiff."
        )
    if not raws or not images:
        return ThorRecording(experiment=experiment, raw=raws[0] if raws else None, images=images)
    is_raw = experiment.is_on("Streaming", "rawData")
    number = sum(len(named) for named in images.values())
    left = counted(number, "TIFF file") if is_raw else f"'{raws[0].name}'"
    warnings.warn(
        f"'{folder}' has both TIFF files and '{raws[0].name}'. Not read: {left}, since {NAME} "
        f'states rawData="{experiment.text("Streaming", "rawData")}" in Streaming.',
        UserWarning,
        stacklevel=3,
    )
    return ThorRecording(experiment=experiment, raw=raws[0] if is_raw else None, images=images)


class ThorExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of a ThorImage recording.

    Flyback frames are left out. Reads file names, ``Experiment.xml`` and the headers of two
    images when created; see `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    folder_path : path
        The folder with ``Experiment.xml``.
    channel_name : str, optional
        The channel to read; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    region_name : str, optional
        The region to read, such as ``001_002``; needed if there are several.
    allow_truncated : bool
        Whether to read the complete frames of truncated files, with a UserWarning; all channels
        then have as many samples.

    Attributes
    ----------
    recording : ThorRecording
    channel_name : str

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range.
    SourceNotFoundError, CorruptSourceError
        If a file does not exist or is truncated.
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
        allow_truncated: bool = False,
    ) -> None:
        folder = as_path(folder_path)
        self.recording = recording = open_thor_recording(folder)
        experiment = recording.experiment
        names, regions = recording.channel_names, recording.regions
        self.channel_name = names[index_of_name("channel_name", channel_name, names, folder)]
        region = regions[index_of_name("region_name", region_name, regions, folder, "regions")]
        if recording.raw is not None:
            reader, pages = open_raw(recording.raw, experiment, self.channel_name, allow_truncated)
        else:
            of_region = {name: recording.images.get((region, name), {}) for name in names}
            reader, pages = open_images(
                folder, experiment, of_region, self.channel_name, allow_truncated
            )
        _check_shape(experiment, reader)
        experiment.check()
        _warn_of_timing(folder)
        self.num_planes_of_all = pages.shape[1]
        num_frames = pages.shape[1] + experiment.num_flyback
        if plane_index is not None:
            check_index("plane_index", plane_index, pages.shape[1])
            pages = pages[:, plane_index : plane_index + 1]
        self._pages = np.ascontiguousarray(pages)
        super().__init__(
            reader,
            sampling_frequency=experiment.sampling_frequency(num_frames),
            num_samples=len(pages),
            num_planes=pages.shape[1],
        )


def _warn_of_timing(folder: Path) -> None:
    """Warn of times that early versions of ThorImage measured, one line for each image."""
    path = folder / TIMING
    if path.is_file() and path.stat().st_size:
        warnings.warn(
            f"'{path}', times that ThorImage measured, is not read: the times follow from the rate "
            f"that {NAME} states. To write measured times, give the file as times=FILE (on the "
            "command line --times FILE), with one line for each sample.",
            UserWarning,
            stacklevel=3,
        )


def _check_shape(experiment: ThorExperiment, reader: TiffPageReader) -> None:
    stated = (experiment.count("LSM", "pixelY"), experiment.count("LSM", "pixelX"))
    found = (reader.rows, reader.columns)
    if not experiment.is_of_camera and all(stated) and stated != found:
        raise SourceError(
            f"'{experiment.path}' states images of {stated[0]} rows and {stated[1]} columns, but "
            f"'{reader.sources[0].table.path}' has {found[0]} and {found[1]}; they belong to "
            "different recordings. Copy the folder again."
        )
