"""Read recordings of ScanImage 3 (3.8 and older) in one or several files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.tiff.checks import TiffSource, check_agreement, inspect_tiff, inspect_tiffs
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.scanimage_legacy.header import LegacyMetadata, parse_legacy_header
from nwb_ophys.metadata import common_header

AnyPath = str | PathLike[str]
# Facts of the metadata that may change from file to file, with their names in messages.
_FACTS = {
    "version": "version",
    "num_averaged": "number of averaged frames",
    "line_rate": "line rate",
    "z_step": "distance of the slices",
    "motor_position": "position of the stage",
}


class ScanImageLegacyExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of a ScanImage 3 recording.

    Pages are in the order channel, frame of the slice, slice, fastest first. The k-th volume of a
    stack consists of the k-th frames of its slices. Several acquisitions have times, in s since
    the trigger of the first; the frames of one acquisition are regular. Reads headers when
    created, and pixels on demand; see `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    file_paths : path or iterable of paths
        The files in the order of time. Files with the same trigger time are parts of one
        acquisition; a stack is in one file.
    channel_name : str, optional
        The saved channel to read; needed if there are several.
    plane_index : int, optional
        The slice of a stack to read, from 0; volumes of all slices by default.
    allow_truncated : bool
        Whether to read the complete pages of a truncated file, with a UserWarning. The files after
        it are left out.

    Attributes
    ----------
    metadata : LegacyMetadata
        Metadata from the header of the first file.
    common_metadata : LegacyMetadata
        The same, with None for facts that differ in another file.
    file_paths : list of Path
    channel_name : str

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range.
    SourceNotFoundError, CorruptSourceError, MissingPackageError
        If a file does not exist, is truncated or cannot be decoded.
    SourceError
        If files differ in channels, slices, rate or shape, if a stack is incomplete, or if the
        recording is not from ScanImage 3.
    """

    extractor_name = "ScanImageLegacyExtractor"

    def __init__(
        self,
        file_paths: AnyPath | Iterable[AnyPath],
        channel_name: str | None = None,
        plane_index: int | None = None,
        allow_truncated: bool = False,
    ) -> None:
        paths = [file_paths] if isinstance(file_paths, str | PathLike) else list(file_paths)
        if not paths:
            raise SourceArgumentError("file_paths is empty; give at least one file.")
        sources = inspect_tiffs(paths, allow_truncated=allow_truncated)
        headers = [_header(source) for source in sources]
        self.metadata = _check_alike(headers)
        self.common_metadata: LegacyMetadata = common_header(headers, _FACTS)
        if self.metadata.is_line_scan:
            _warn_of_line_scan(self.metadata)
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
            rate /= num_planes  # each volume has one frame of the slice
        self._stated_times = _times(headers, [len(each) for each in pages], rate)
        super().__init__(
            reader,
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )


def legacy_metadata(path: AnyPath, allow_truncated: bool = False) -> LegacyMetadata:
    """Read the metadata in the header of a ScanImage 3 file.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        If the file does not exist, or is truncated or damaged.
    SourceError
        If another program wrote the file.
    """
    return _header(inspect_tiff(path, allow_truncated=allow_truncated))


def _header(source: TiffSource) -> LegacyMetadata:
    """Return the header; raise SourceError if a file holds several acquisitions."""
    path, table = source.table.path, source.table
    texts = [table.read_description(page) for page in (0, -1)]
    header = parse_legacy_header(path, texts[0])
    if texts[1] == texts[0] or not texts[1].startswith("state."):
        return header
    last = parse_legacy_header(path, texts[1])
    if last.start != header.start:
        raise SourceError(
            f"'{path}': its first page was triggered at {header.start}, its last page at "
            f"{last.start} (state.internal.triggerTimeString), so that it joins several "
            "acquisitions. Split the pages into one file per acquisition, or read the file as a "
            'plain TIFF stack: format="tiff" with the options num_channels and sampling_frequency.'
        )
    return header


def _warn_of_line_scan(metadata: LegacyMetadata) -> None:
    warnings.warn(
        f"'{metadata.path}' states a line scan (state.acq.linescan): rows of its frames are then "
        "times at one line, not places. They are written as frames; check them.",
        UserWarning,
        stacklevel=4,
    )


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
    # A movie may stop between the channels of its last frame; a stopped stack lacks slices.
    if is_cut or (rest and (is_stack or not is_last or not num_frames)):
        raise CorruptSourceError(
            f"'{source.table.path}' has {num_pages} pages, but its header states {num_channels} "
            f"channels x {metadata.num_planes} slices x {expected or 'any number of'} frames; it "
            "is incomplete. Read it as a plain TIFF stack."
        )
    if rest:
        warnings.warn(
            f"'{source.table.path}' has {num_pages} pages of {num_channels} channels; the last "
            f"frame lacks channels, and its {rest} pages are left out.",
            UserWarning,
            stacklevel=4,
        )
    pages = np.arange(num_pages - rest, dtype=np.int64)
    return pages.reshape(metadata.num_planes, num_frames, num_channels).swapaxes(0, 1)


def _check_planned(headers: Sequence[LegacyMetadata], pages: Sequence[Integers]) -> None:
    """Warn of acquisitions with fewer or more frames than planned."""
    counts: dict[object, list[int]] = {}
    for index, (header, own) in enumerate(zip(headers, pages, strict=True)):
        # Without a trigger time, each file is a separate acquisition.
        counts.setdefault(header.start or index, [index, 0])[1] += len(own)
    for index, num_frames in counts.values():
        header = headers[index]
        if header.frames_per_slice not in (None, num_frames):
            warnings.warn(
                f"'{header.path}': {header.frames_per_slice} frames were planned, but there are "
                f"{num_frames}; the acquisition was stopped early, or some of its files are "
                "missing. All existing frames are read.",
                UserWarning,
                stacklevel=4,
            )


def _times(
    headers: Sequence[LegacyMetadata], lengths: Sequence[int], rate: float
) -> npt.NDArray[np.float64] | None:
    """Return the times of all samples in seconds; None if they follow from the rate."""
    starts = [header.start for header in headers]
    if len(set(starts)) == 1:
        return None
    if None in starts:
        path = headers[starts.index(None)].path
        raise SourceError(
            f"'{path}' states no time of its trigger (state.internal.triggerTimeString), so that "
            "it cannot be placed after the others; convert it as a separate recording."
        )
    times: list[npt.NDArray[np.float64]] = []
    counted: dict[object, int] = {}
    for start, length in zip(starts, lengths, strict=True):
        first = counted.get(start, 0)
        counted[start] = first + length
        seconds = (start - starts[0]).total_seconds()  # type: ignore[operator]
        times.append(seconds + np.arange(first, first + length) / rate)
    found = np.concatenate(times)
    if (np.diff(found) <= 0).any():
        raise SourceError(
            f"'{headers[0].path}' and the files after it are not in the order of their trigger "
            "times (state.internal.triggerTimeString); give them in that order."
        )
    return found
