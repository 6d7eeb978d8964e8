"""Read Micro-Manager's image file stacks: OME-TIFF files with extra metadata for each frame."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.frames.grid import rate_and_times
from nwb_ophys.filetypes.frames.values import first_positive
from nwb_ophys.filetypes.ome.files import find_pages, read_ome
from nwb_ophys.filetypes.ome.model import OmeImage
from nwb_ophys.filetypes.ome.times import select_image
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.micromanager.acquisition import shared_start
from nwb_ophys.formats.micromanager.frames import read_frames
from nwb_ophys.formats.micromanager.tags import naming_unclosed, read_summary
from nwb_ophys.metadata import earliest_start
from nwb_ophys.remote.paths import as_path

AnyPath = str | PathLike[str]


class MicroManagerExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel at one position of a Micro-Manager recording.

    The time of a sample is the ``ElapsedTime-ms`` of its earliest plane, in s since the start of
    the acquisition. The rate is the mean rate of these times, else it follows from the requested
    interval. The playback rate in the files is not used, since it is not the rate of the camera.

    Parameters
    ----------
    file_path : path
        Any ``.ome.tif`` file of the recording.
    channel_name : str, optional
        The channel to read; needed if there are several.
    position_index : int, optional
        The position of the stage to read, from 0; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    sampling_frequency : float, optional
        Samples per second in Hz; by default from the files.
    allow_truncated : bool
        Whether to read the complete samples of truncated files, with a UserWarning.

    Attributes
    ----------
    summary : dict
        Micro-Manager's metadata of the acquisition.
    frame : Mapping
        Its metadata of the first frame.
    image : OmeImage
        OME metadata of the position.
    channel_name, position_name : str
    num_positions : int
    file_paths : list of Path

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range; also if no rate is stated or given.
    SourceNotFoundError
        If a file of the recording does not exist.
    CorruptSourceError, MissingPackageError
        If a file is truncated, lacks planes or cannot be decoded.
    SourceError
        If Micro-Manager did not write the file.
    """

    extractor_name = "MicroManagerExtractor"

    def __init__(
        self,
        file_path: AnyPath,
        channel_name: str | None = None,
        position_index: int | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        path = as_path(file_path)
        with naming_unclosed(path):
            recording = read_ome(path)
        self.summary = _summary(path)
        images, names = recording.document.images, recording.document.image_names
        index = select_image(path, names, position_index, "position_index")
        self.num_positions, self.position_name = len(images), names[index]
        self.image: OmeImage = images[index]
        self._path, self._images = path, images
        self.channel_names = channel_names(self.summary, self.image)
        channel = index_of_name("channel_name", channel_name, self.channel_names, path)
        self.channel_name = self.channel_names[channel]
        self._channel = self.image.channels[channel]
        if plane_index is not None:
            check_index("plane_index", plane_index, self.image.sizes["Z"])
        planes = slice(None) if plane_index is None else slice(plane_index, plane_index + 1)
        found = find_pages(recording, self.image, channel, planes, allow_truncated)
        self.file_paths = [source.table.path for source in found.sources]
        reader = TiffPageReader(found.sources)
        frames = read_frames(reader, found.sources, found.pages)
        frames = frames.cut(_num_recorded(path, frames.num_recorded, len(found.pages)))
        frames.check_order(path)
        self.frame, self._pages = frames.first, found.pages[: len(frames.times)]
        rate, self._stated_times = rate_and_times(
            path, self.summary, frames.times, sampling_frequency
        )
        found.check_gaps(path, self._stated_times)
        super().__init__(
            reader,
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )

    @property
    def channel_facts(self) -> dict[str, Any]:
        """Light of the channel, as the OME-XML states it."""
        return {
            "excitation_lambda": self._channel.excitation,
            "indicator": self._channel.fluor,
            "emission_lambda": self._channel.emission,
        }

    @property
    def spacing(self) -> Any:
        """Distances of pixels along x, y and z in metres, as the OME-XML states them."""
        return self.image.spacing

    @property
    def start(self) -> Any:
        """Start of the acquisition: a datetime, with a zone if one is stated, or None."""
        # Positions of one acquisition have one start, whenever each was first recorded.
        acquired = earliest_start(image.acquired for image in self._images)
        return shared_start(self._path, self.summary) or acquired


def channel_names(summary: Mapping[str, Any], image: OmeImage) -> tuple[str, ...]:
    """Return the names of the channels: from the summary if they fit, else from the OME-XML.

    Raises
    ------
    CorruptSourceError
        If the summary and the OME-XML state different numbers of channels.
    """
    count, names = first_positive(summary, "Channels"), summary.get("ChNames")
    num_channels = image.sizes["C"]
    if count is not None and count != num_channels:
        raise CorruptSourceError(
            f"Micro-Manager's summary states {count:g} channels, the OME-XML {num_channels} "
            f"({', '.join(image.channel_names)}); the file is damaged or was modified. Read it as "
            "a plain TIFF stack."
        )
    if isinstance(names, list) and len(set(map(str, names))) == num_channels == len(names):
        return tuple(map(str, names))
    return image.channel_names


def _num_recorded(path: Path, num_recorded: int, num_samples: int) -> int:
    """Return the number of recorded samples; warn if the last samples are left out."""
    if num_recorded < num_samples:
        warnings.warn(
            f"'{path}': the last {num_samples - num_recorded} of {num_samples} samples have frames "
            "without metadata, with which Micro-Manager fills up an acquisition that is stopped. "
            "They are left out.",
            UserWarning,
            stacklevel=3,
        )
    return num_recorded


def _summary(path: Path) -> dict[str, Any]:
    summary = read_summary(path)
    if summary is None:
        raise SourceError(
            f"'{path}' has no summary of Micro-Manager after its TIFF header; read it as ome-tiff."
        )
    return summary
