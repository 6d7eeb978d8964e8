"""Read OME-TIFF recordings, in one or several files."""

import warnings
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.ome_files import find_pages, read_ome
from nwb_ophys.extractors.ome_model import OmeChannel, OmeImage
from nwb_ophys.extractors.ranges import check_rate
from nwb_ophys.extractors.tiff_frames import TiffFramesExtractor, check_index
from nwb_ophys.extractors.tiff_reader import TiffPageReader

AnyPath = str | PathLike[str]
# Rates that differ by less are the same but for rounding and jitter.
TOLERANCE = 0.01


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
        channel = channel_index(recording.path, self.image.channel_names, channel_name)
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


def usable_times(
    path: Path, times: npt.NDArray[np.float64], name: str = "DeltaT"
) -> npt.NDArray[np.float64] | None:
    """Return the earliest time of each sample, where all are stated and increase.

    Parameters
    ----------
    path : Path
        For messages.
    times : numpy.ndarray of float64, shape (samples, planes)
        Seconds; NaN where not stated.
    name : str
        What the times are called there.
    """
    is_stated = ~np.isnan(times)
    if not is_stated.any():
        return None
    if not is_stated.all():
        why = f"of {times.size} planes {int(is_stated.sum())} state their {name}"
    elif (np.diff(first := times.min(axis=1)) <= 0).any():
        number = int(np.argmax(np.diff(first) <= 0)) + 1
        why = f"the {name} of sample {number} is not after that of the one before"
    else:
        return first
    warnings.warn(f"{path}: {why}; these times are not used.", UserWarning, stacklevel=4)
    return None


def mean_rate(times: npt.NDArray[np.float64] | None) -> float | None:
    """Return the mean rate of times in Hz; None for fewer than two."""
    if times is None or len(times) < 2:
        return None
    return float((len(times) - 1) / (times[-1] - times[0]))


def chosen_rate(
    path: Path, given: float | None, measured: float | None, planned: float | None, times: str
) -> float | None:
    """Return the rate that the user gives, else the measured, else the planned one.

    A UserWarning says where it is not what the file states elsewhere.

    Parameters
    ----------
    path : Path
        For messages.
    given, measured, planned : float or None
        In Hz.
    times : str
        What the measured rate follows from.
    """
    if given is not None:
        check_rate(given)
        _warn_if_apart(path, "sampling_frequency", given, measured or planned)
        return given
    if measured is not None:
        _warn_if_apart(path, times, measured, planned)
        return measured
    return planned


def _warn_if_apart(path: Path, name: str, rate: float, other: float | None) -> None:
    """Say that a rate that is used is not the one that a file states elsewhere."""
    if other is not None and abs(rate - other) > TOLERANCE * other:
        warnings.warn(
            f"{path}: {name} gives {rate:g} Hz, which is used, but the file states {other:g} Hz.",
            UserWarning,
            stacklevel=6,
        )


def channel_index(path: Path, names: tuple[str, ...], name: str | None) -> int:
    """Return the index of a channel by its name, which is not needed where there is one."""
    if name is None and len(names) == 1:
        return 0
    if name not in names:
        message = f"channel_name is {name!r}; the channels in {path} are: {', '.join(names)}"
        raise SourceArgumentError(message)
    return names.index(name)


def image_index_of(
    path: Path, names: tuple[str, ...], index: int | None, argument: str = "image_index"
) -> int:
    """Return the index of an image, which is not needed where there is one."""
    if index is None and len(names) > 1:
        listed = ", ".join(f"{number} ({name})" for number, name in enumerate(names[:20]))
        message = f"{path} has {len(names)} images; give {argument}, one of: {listed}"
        raise SourceArgumentError(message)
    if index is None:
        return 0
    check_index(argument, index, len(names))
    return index
