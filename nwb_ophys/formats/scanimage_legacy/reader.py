"""Read recordings of ScanImage 3 (3.8 and older), in one or several files."""

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.tiff.checks import TiffSource, check_agreement, inspect_tiff
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.scanimage_legacy.header import LegacyMetadata, parse_legacy_header

AnyPath = str | PathLike[str]


class ScanImageLegacyExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of a ScanImage 3 recording.

    Pages are in the order channel, frame of the slice, slice, fastest first. The k-th volume of a
    stack is made of the k-th frames of its slices. Of several acquisitions times are stated, in s
    since the trigger of the first; frames of one are regular. Reads headers when made, and pixels
    when asked for them; see `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    file_paths : path or iterable of paths
        The files in the order of time. Those with one trigger time are parts of one acquisition;
        a stack is in one file.
    channel_name : str, optional
        The saved channel to read; needed if there are several.
    plane_index : int, optional
        The slice of a stack to read, from 0; by default volumes of all slices.

    Attributes
    ----------
    metadata : LegacyMetadata
        What the header of the first file states.
    file_paths : list of Path
    channel_name : str

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range.
    SourceNotFoundError, CorruptSourceError, MissingPackageError
        If a file is not there, is truncated or cannot be decoded.
    SourceError
        If files differ in channels, slices, rate or shape, if a stack was not completed, or if it
        is no recording of ScanImage 3.
    """

    extractor_name = "ScanImageLegacyExtractor"

    def __init__(
        self,
        file_paths: AnyPath | Iterable[AnyPath],
        channel_name: str | None = None,
        plane_index: int | None = None,
    ) -> None:
        paths = [file_paths] if isinstance(file_paths, str | PathLike) else list(file_paths)
        if not paths:
            raise SourceArgumentError("file_paths is empty; give at least one file")
        sources = [inspect_tiff(path) for path in paths]
        headers = [_header(source) for source in sources]
        self.metadata = _check_alike(headers)
        reader = TiffPageReader(sources)
        self.file_paths = [source.table.path for source in sources]
        names = self.metadata.channel_names
        channel = index_of_name("channel_name", channel_name, names, self.metadata.path)
        self.channel_name = self.metadata.channel_names[channel]
        num_planes = self.metadata.num_planes
        if plane_index is not None:
            check_index("plane_index", plane_index, num_planes)
        pages = [
            first + _arrange(source, self.metadata, source is sources[-1])
            for first, source in zip(reader.first_pages, sources, strict=False)
        ]
        _check_planned(headers, pages)
        planes = slice(None) if plane_index is None else slice(plane_index, plane_index + 1)
        self._pages = np.concatenate(pages)[:, planes, channel]
        is_volumetric = self._pages.shape[1] > 1
        rate = self.metadata.frame_rate / (num_planes if is_volumetric else 1)
        if num_planes > 1 and not is_volumetric and len(pages[0]) == 1:
            rate /= num_planes  # a frame of the slice in each volume
        self._stated_times = _times(headers, [len(each) for each in pages], rate)
        super().__init__(
            reader,
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )


def legacy_metadata(path: AnyPath) -> LegacyMetadata:
    """Read what the header of a file of ScanImage 3 states.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        If the file is not there, or is truncated or damaged.
    SourceError
        If it is of another program.
    """
    return _header(inspect_tiff(path))


def _header(source: TiffSource) -> LegacyMetadata:
    return parse_legacy_header(source.table.path, source.table.read_description(0))


def _check_alike(headers: Sequence[LegacyMetadata]) -> LegacyMetadata:
    """Return the first header; raise SourceError if another differs from it."""
    first = headers[0]
    for other in headers[1:]:
        names = ("channel_names", "num_planes", "frame_rate")
        check_agreement(first, other, names, "Leave it out.")
    return first


def _arrange(source: TiffSource, metadata: LegacyMetadata, is_last: bool) -> Integers:
    """Return the pages of a file, int64 of shape (frames of the slice, slices, channels)."""
    num_pages, num_channels = source.table.num_pages, metadata.pages_per_frame
    num_frames, rest = divmod(num_pages, num_channels * metadata.num_planes)
    expected = metadata.frames_per_slice
    is_stack = metadata.num_planes > 1
    is_cut = is_stack and expected is not None and num_frames != expected
    # A movie may be stopped between the channels of its last frame; of a stack, slices are missing.
    if is_cut or (rest and (is_stack or not is_last or not num_frames)):
        message = (
            f"{source.table.path} has {num_pages} pages, but its header states {num_channels} "
            f"channels x {metadata.num_planes} slices x {expected or 'any number of'} frames; it "
            "was not completed. Read it as a plain TIFF stack"
        )
        raise CorruptSourceError(message)
    if rest:
        warnings.warn(
            f"{source.table.path} has {num_pages} pages of {num_channels} channels; the last "
            f"frame has not all channels, and its {rest} pages are left out.",
            UserWarning,
            stacklevel=4,
        )
    pages = np.arange(num_pages - rest, dtype=np.int64)
    return pages.reshape(metadata.num_planes, num_frames, num_channels).swapaxes(0, 1)


def _check_planned(headers: Sequence[LegacyMetadata], pages: Sequence[Integers]) -> None:
    """Say of an acquisition that has fewer or more frames than were to be acquired."""
    counts: dict[object, list[int]] = {}
    for index, (header, own) in enumerate(zip(headers, pages, strict=True)):
        # Without a time, each file is an acquisition of its own.
        counts.setdefault(header.start or index, [index, 0])[1] += len(own)
    for index, num_frames in counts.values():
        header = headers[index]
        if header.frames_per_slice not in (None, num_frames):
            warnings.warn(
                f"{header.path}: {header.frames_per_slice} frames were to be acquired, "
                f"{num_frames} are there; the acquisition was ended early, or files of it are "
                "not given. All that are there are read.",
                UserWarning,
                stacklevel=4,
            )


def _times(
    headers: Sequence[LegacyMetadata], lengths: Sequence[int], rate: float
) -> npt.NDArray[np.float64] | None:
    """Return the times of all samples, in seconds; None where they are those of the rate."""
    starts = [header.start for header in headers]
    if len(set(starts)) == 1:
        return None
    if None in starts:
        path = headers[starts.index(None)].path
        message = (
            f"{path} states no time of its trigger (state.internal.triggerTimeString), so that "
            "it cannot be placed after the others; give it as a recording of its own"
        )
        raise SourceError(message)
    times: list[npt.NDArray[np.float64]] = []
    counted: dict[object, int] = {}
    for start, length in zip(starts, lengths, strict=True):
        first = counted.get(start, 0)
        counted[start] = first + length
        seconds = (start - starts[0]).total_seconds()  # type: ignore[operator]
        times.append(seconds + np.arange(first, first + length) / rate)
    found = np.concatenate(times)
    if (np.diff(found) <= 0).any():
        message = (
            f"the files beginning with {headers[0].path} are not in the order of time by their "
            "state.internal.triggerTimeString; give them in that order"
        )
        raise SourceError(message)
    return found
