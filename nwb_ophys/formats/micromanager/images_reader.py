"""Read Micro-Manager's separate image files: one TIFF file per image, with ``metadata.txt``."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.filetypes.frames.facts import FrameFacts
from nwb_ophys.filetypes.frames.grid import frame_grid, rate_and_times
from nwb_ophys.filetypes.frames.values import first_number
from nwb_ophys.filetypes.ome.times import select_image
from nwb_ophys.filetypes.tiff.checks import inspect_later_tiff
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import ManyTiffsReader
from nwb_ophys.formats.micromanager.acquisition import shared_start
from nwb_ophys.formats.micromanager.images import ImageFile, read_image_folder
from nwb_ophys.remote.paths import as_path


class MicroManagerImagesExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel at one position of separate image files.

    The time of a sample is the ``ElapsedTime-ms`` of its earliest plane, in s since the start of
    the acquisition.

    Parameters
    ----------
    folder_path : path
        Folder with ``metadata.txt`` and the images.
    channel_name : str, optional
        The channel to read; needed if there are several.
    position_index : int, optional
        The position to read, from 0; needed if there are several in the folder.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    sampling_frequency : float, optional
        Samples per second in Hz; by default from ``metadata.txt``.
    allow_truncated : bool
        Whether to read the samples before the first one with a truncated image in any channel, with
        a UserWarning. The headers of all images are read then.

    Attributes
    ----------
    summary, frame : Mapping
        Metadata of the acquisition, and of the first image without settings that differ in others.
    channel_name, position_name : str
    channel_names : list of str
    num_positions : int
    channel_facts : dict
        Always empty: the files do not state the light of a channel.
    spacing : tuple of None
        Distances of pixels, which only the metadata of Micro-Manager state.

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range; also if no rate is stated or given.
    SourceError
        As for `read_image_folder`; also if images are truncated or differ in shape.
    """

    extractor_name = "MicroManagerImagesExtractor"

    def __init__(
        self,
        folder_path: str | PathLike[str],
        channel_name: str | None = None,
        position_index: int | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        self.folder = as_path(folder_path)
        found = read_image_folder(self.folder)
        path = found.metadata_path
        names = tuple(map(found.position_name, found.positions))
        index = select_image(path, names, position_index, "position_index")
        self.summary = found.summary
        self.num_positions, self.position_name = len(names), names[index]
        frames = found.frames(found.positions[index])
        if allow_truncated:
            frames = _before_truncated(self.folder, frames)
        self.channel_names = list(frames)
        channel = index_of_name("channel_name", channel_name, self.channel_names, path)
        self.channel_name = self.channel_names[channel]
        self.channel_facts: dict[str, Any] = {}
        self.spacing = (None, None, None)
        stream = f" of channel {self.channel_name}" if self.channel_name else ""
        grid = frame_grid(path, stream, frames[self.channel_name], found.first_time)
        grid = grid.of_plane(plane_index)
        images = grid.flat()
        facts = FrameFacts(f"'{path}'")
        for number, image in enumerate(images):
            facts.add(number, image.metadata)
        self.frame = facts.common_frame(images[0].metadata)
        elapsed = [first_number(image.metadata, "ElapsedTime-ms") for image in images]
        rate, self._stated_times = rate_and_times(
            path,
            self.summary,
            np.array(elapsed, float).reshape(grid.shape) / 1000,
            sampling_frequency,
            grid.times,
        )
        self.file_paths = [self.folder / image.name for image in images]
        self._pages = np.arange(len(images), dtype=np.int64).reshape(grid.shape)
        super().__init__(
            ManyTiffsReader(self.file_paths, [1] * len(images), allow_truncated=allow_truncated),
            sampling_frequency=rate,
            num_samples=len(grid.times),
            num_planes=len(grid.planes),
        )

    @property
    def start(self) -> Any:
        """Start of the acquisition: a datetime, with a zone if one is stated, or None."""
        return shared_start(self.folder, self.summary)


def _before_truncated(
    folder: Path, frames: Mapping[str, Mapping[tuple[int, int], ImageFile]]
) -> dict[str, dict[tuple[int, int], ImageFile]]:
    """Return the images of the times before the first one with a truncated image."""
    first = min(key for own in frames.values() for key in own)
    lost = [
        time
        for own in frames.values()
        for (time, plane), image in own.items()
        if inspect_later_tiff(
            folder / image.name,
            reads_axes=False,
            allow_truncated=True,
            is_first=(time, plane) == first,
        )
        is None
    ]
    end = min(lost, default=None)
    return {
        name: {key: image for key, image in own.items() if end is None or key[0] < end}
        for name, own in frames.items()
    }
