"""Read OME-TIFF recordings, in one or several files."""

from os import PathLike
from pathlib import Path

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.ome.files import find_pages, read_ome
from nwb_ophys.filetypes.ome.model import OmeChannel, OmeImage
from nwb_ophys.filetypes.ome.times import (
    chosen_rate,
    image_index_of,
    mean_rate,
    usable_times,
)
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import TiffPageReader

AnyPath = str | PathLike[str]


class OmeTiffExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of one image of an OME-TIFF recording.

    Which page of which file is which plane is as the OME-XML states it. Times are those of the
    earliest planes of samples, in s since the start of the acquisition (``DeltaT``). Reads headers
    when made, and pixels when asked for them; see `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    file_path : path
        Any file of the recording; the others are found by the names that the OME-XML states.
    channel_name : str, optional
        The channel to read; needed if there are several.
    image_index : int, optional
        The image (position) to read, from 0; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; by default volumes of all planes.
    sampling_frequency : float, optional
        Samples per second in Hz; that of the files (DeltaT, else TimeIncrement) if not given.

    Attributes
    ----------
    image : OmeImage
        What is stated of the image.
    channel : OmeChannel
        What is stated of the channel.
    channel_name : str
    image_name : str
    num_images : int
        Number of images of the recording.
    file_paths : list of Path

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range; also if no rate is stated and none given.
    SourceNotFoundError
        If a file that the OME-XML names is not there.
    CorruptSourceError, MissingPackageError
        If a file is truncated, lacks planes or cannot be decoded.
    SourceError
        If it is no OME-TIFF.
    """

    extractor_name = "OmeTiffExtractor"

    def __init__(
        self,
        file_path: AnyPath,
        channel_name: str | None = None,
        image_index: int | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
    ) -> None:
        recording = read_ome(Path(file_path))
        document = recording.document
        index = image_index_of(recording.path, document.image_names, image_index)
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
        found = find_pages(recording, self.image, channel, planes)
        self._pages = found.pages
        self.file_paths = [source.table.path for source in found.sources]
        times = self.image.delta_t[channel, found.times, planes]
        self._stated_times = usable_times(recording.path, times)
        rate = self._rate(recording.path, sampling_frequency)
        found.check_gaps(recording.path, self._stated_times)
        super().__init__(
            TiffPageReader(found.sources),
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )

    def _rate(self, path: Path, given: float | None) -> float:
        """Return the rate; given by the user, else measured, else planned."""
        increment = self.image.time_increment
        planned = None if increment is None else 1 / increment
        measured = mean_rate(self._stated_times)
        rate = chosen_rate(path, given, measured, planned, "the DeltaT of its planes")
        if rate is None:
            message = (
                f"{path}: its OME-XML states neither TimeIncrement nor the DeltaT of all planes; "
                "give sampling_frequency, in samples per second"
            )
            raise SourceArgumentError(message)
        if given is not None:
            # The times that are stated are of the rate that the user corrects.
            self._stated_times = None
        return rate
