"""Read Micro-Manager's image file stacks: OME-TIFF files with its own statements of each frame."""

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.ome.files import find_pages, read_ome
from nwb_ophys.filetypes.ome.model import OmeImage
from nwb_ophys.filetypes.ome.times import (
    chosen_rate,
    image_index_of,
    mean_rate,
    usable_times,
)
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.micromanager.frames import read_frames
from nwb_ophys.formats.micromanager.tags import (
    naming_unclosed,
    read_summary,
    start_of,
    stated,
    stated_number,
)

AnyPath = str | PathLike[str]


class MicroManagerExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel at one position of a Micro-Manager recording.

    Times are those that Micro-Manager states of each frame (``ElapsedTime-ms``), of volumes that of
    the earliest plane, in s since the start of the acquisition; the rate is their mean one; else it
    is that of the interval that was asked for. The rate at which the program plays a recording back
    on the screen is not taken for that of the camera.

    Parameters
    ----------
    file_path : path
        Any ``.ome.tif`` file of the recording.
    channel_name : str, optional
        The channel to read; needed if there are several.
    position_index : int, optional
        The position of the stage to read, from 0; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; by default volumes of all planes.
    sampling_frequency : float, optional
        Samples per second in Hz; that of the files if not given.

    Attributes
    ----------
    summary : dict
        What Micro-Manager states of the acquisition.
    frame : Mapping
        What it states of the first frame.
    image : OmeImage
        What the OME-XML states of the position.
    channel_name, position_name : str
    num_positions : int
    file_paths : list of Path

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range; also if no rate is stated and none given.
    SourceNotFoundError
        If a file of the recording is not there.
    CorruptSourceError, MissingPackageError
        If a file is truncated, lacks planes or cannot be decoded.
    SourceError
        If it is not of Micro-Manager.
    """

    extractor_name = "MicroManagerExtractor"

    def __init__(
        self,
        file_path: AnyPath,
        channel_name: str | None = None,
        position_index: int | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
    ) -> None:
        path = Path(file_path)
        with naming_unclosed(path):
            recording = read_ome(path)
        self.summary = _summary(path)
        images, names = recording.document.images, recording.document.image_names
        index = image_index_of(path, names, position_index, "position_index")
        self.num_positions, self.position_name = len(images), names[index]
        self.image: OmeImage = images[index]
        self.channel_names = channel_names(self.summary, self.image)
        channel = index_of_name("channel_name", channel_name, self.channel_names, path)
        self.channel_name = self.channel_names[channel]
        self.channel = self.image.channels[channel]
        if plane_index is not None:
            check_index("plane_index", plane_index, self.image.sizes["Z"])
        planes = slice(None) if plane_index is None else slice(plane_index, plane_index + 1)
        found = find_pages(recording, self.image, channel, planes)
        self.file_paths = [source.table.path for source in found.sources]
        reader = TiffPageReader(found.sources)
        frames = read_frames(reader, found.sources, found.pages)
        frames = frames.cut(_num_recorded(path, frames.num_recorded, len(found.pages)))
        frames.check_order(path)
        self.frame, self._pages = frames.first, found.pages[: len(frames.times)]
        self._stated_times = usable_times(path, frames.times, "ElapsedTime-ms")
        rate = self._rate(path, sampling_frequency)
        found.check_gaps(path, self._stated_times)
        super().__init__(
            reader,
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )

    @property
    def start(self) -> Any:
        """When the acquisition began: a datetime, with a zone where it is stated, or None."""
        return start_of(self.summary) or self.image.acquired

    def _rate(self, path: Path, given: float | None) -> float:
        """Return the rate; given by the user, else measured, else planned."""
        interval = stated_number(self.summary, "Interval_ms")
        if stated(self.summary, "CustomIntervals_ms"):
            interval = None  # of each frame its own
        planned = None if interval is None else round(1000 / interval, 9)
        measured = mean_rate(self._stated_times)
        rate = chosen_rate(path, given, measured, planned, "ElapsedTime-ms of its frames")
        if rate is None:
            message = (
                f"{path} states neither the times of its frames (ElapsedTime-ms) nor an interval "
                "(Interval_ms) above 0; give sampling_frequency, in samples per second"
            )
            raise SourceArgumentError(message)
        if given is not None:
            self._stated_times = None
        return rate


def channel_names(summary: Mapping[str, Any], image: OmeImage) -> tuple[str, ...]:
    """Return the names of the channels, of the summary where they fit, else of the OME-XML.

    Raises
    ------
    CorruptSourceError
        If the summary and the OME-XML state different numbers of channels.
    """
    count, names = stated_number(summary, "Channels"), summary.get("ChNames")
    num_channels = image.sizes["C"]
    if count is not None and count != num_channels:
        message = (
            f"Micro-Manager's summary states {count:g} channels, the OME-XML {num_channels} "
            f"({', '.join(image.channel_names)}); the file is damaged, or was changed"
        )
        raise CorruptSourceError(message)
    if isinstance(names, list) and len(set(map(str, names))) == num_channels == len(names):
        return tuple(map(str, names))
    return image.channel_names


def _num_recorded(path: Path, num_recorded: int, num_samples: int) -> int:
    """Return the first of two numbers, and say what is left out where it is less."""
    if num_recorded < num_samples:
        warnings.warn(
            f"{path}: of {num_samples} samples the last {num_samples - num_recorded} have frames "
            "of which Micro-Manager states nothing: it filled them with blank frames when the "
            "acquisition was stopped. They are left out.",
            UserWarning,
            stacklevel=3,
        )
    return num_recorded


def _summary(path: Path) -> dict[str, Any]:
    summary = read_summary(path)
    if summary is None:
        message = (
            f"{path} has no summary of Micro-Manager behind its TIFF header; read it as ome-tiff"
        )
        raise SourceError(message)
    return summary


def camera_of(frame: Mapping[str, Any]) -> str | None:
    """Return the camera by the name that it has in Micro-Manager; None where not stated."""
    found = stated(frame, "Camera", "Core-Camera")
    return None if found is None else str(found)


def binning_of(frame: Mapping[str, Any]) -> int | None:
    """Return how many pixels were combined into one along a side; None where not stated."""
    camera = camera_of(frame)
    text = str(stated(frame, "Binning", f"{camera}-Binning") or "")
    sides = set(text.split("x"))
    return int(text.split("x")[0]) if len(sides) == 1 and text.split("x")[0].isdigit() else None
