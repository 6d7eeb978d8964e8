"""Read OME-TIFF recordings in one or several files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index, check_stated_rate
from nwb_ophys.filetypes.ome.files import find_pages, read_ome
from nwb_ophys.filetypes.ome.model import OmeChannel, OmeImage
from nwb_ophys.filetypes.ome.times import (
    mean_rate,
    sample_times,
    select_image,
    select_rate,
)
from nwb_ophys.filetypes.tiff.axes import note_one_sample
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.remote.paths import as_path
from nwb_ophys.timing import require_rate

AnyPath = str | PathLike[str]


class OmeTiffExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of one image of an OME-TIFF recording.

    The OME-XML states the file and page of each plane. The time of a sample is the time of its
    earliest plane, in s since the start of the acquisition (``DeltaT``). Reads headers when
    created, and pixels on demand; see `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    file_path : path
        Any file of the recording; the OME-XML names the others.
    channel_name : str, optional
        The channel to read; needed if there are several.
    image_index : int, optional
        The image (position) to read, from 0; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    sampling_frequency : float, optional
        Samples per second in Hz; by default from the files (DeltaT, else TimeIncrement).
    allow_truncated : bool
        Whether to read the complete samples of truncated files, with a UserWarning.

    Attributes
    ----------
    image : OmeImage
        Metadata of the image.
    channel : OmeChannel
        Metadata of the channel.
    channel_name : str
    image_name : str
    num_images : int
        Number of images of the recording.
    file_paths : list of Path

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range; also if no rate is stated or given.
    SourceNotFoundError
        If a file that the OME-XML names does not exist.
    CorruptSourceError, MissingPackageError
        If a file is truncated, lacks planes or cannot be decoded.
    SourceError
        If the file is not an OME-TIFF.
    """

    extractor_name = "OmeTiffExtractor"

    def __init__(
        self,
        file_path: AnyPath,
        channel_name: str | None = None,
        image_index: int | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        recording = read_ome(as_path(file_path))
        document = recording.document
        index = select_image(recording.path, document.image_names, image_index)
        self.num_images = len(document.images)
        self.image_name = document.image_names[index]
        self.image: OmeImage = document.images[index]
        channel = index_of_name(
            "channel_name", channel_name, self.image.channel_names, recording.path
        )
        self.channel: OmeChannel = self.image.channels[channel]
        self.channel_name = self.image.channel_names[channel]
        num_planes = self.image.sizes["Z"]
        if plane_index is not None:
            check_index("plane_index", plane_index, num_planes)
        planes = slice(None) if plane_index is None else slice(plane_index, plane_index + 1)
        found = find_pages(recording, self.image, channel, planes, allow_truncated)
        self._pages = found.pages
        self.file_paths = [source.table.path for source in found.sources]
        times = self.image.delta_t[channel, found.times, planes]
        self._stated_times = sample_times(recording.path, times)
        rate = self._rate(recording.path, sampling_frequency)
        found.check_gaps(recording.path, self._stated_times)
        super().__init__(
            TiffPageReader(found.sources),
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )
        if sampling_frequency is not None and len(self._pages) == 1:
            remedy = "read the file as plain TIFF, with format='tiff' and num_{}=1"
            note_one_sample(recording.path, self.image.sizes, remedy)

    def _rate(self, path: Path, given: float | None) -> float | None:
        """Return the rate that the user gives, else the measured, else the planned rate.

        None for a single sample, which may be an image or a z-stack and needs no rate.
        """
        increment = self.image.time_increment
        planned = None if increment is None else 1 / increment
        measured = mean_rate(self._stated_times)
        rate = select_rate(path, given, measured, planned, "the DeltaT of its planes")
        if rate is None and len(self._pages) == 1:
            return None
        if rate is None:
            require_rate(
                SourceArgumentError(
                    f"'{path}': its OME-XML states neither TimeIncrement nor the DeltaT of all "
                    "planes; give sampling_frequency, in samples per second."
                )
            )
            return None
        if given is None:
            check_stated_rate(path, rate, "TimeIncrement or DeltaT")
        else:
            # The stated times have the rate that the user corrects.
            self._stated_times = None
        return rate
