"""Read recordings of ScanImage 4 and later, and find the pages of each sample."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index, check_stated_rate
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.tiff.checks import TiffSource, check_agreement
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.scanimage.files import (
    RecordedFile,
    check_given_files,
    check_volume_start,
    find_recording,
    inspect_recorded_files,
)
from nwb_ophys.formats.scanimage.frames import (
    FrameStatement,
    check_count,
    check_interleaved,
    check_order,
    check_whole_volumes,
    frame_statement,
    warn_of_line_scan,
    warn_of_other_rate,
    warn_of_triggers,
)
from nwb_ophys.formats.scanimage.header import (
    ScanImageMetadata,
    channel_of_file,
    parse_header,
    scanimage_metadata,
)
from nwb_ophys.formats.scanimage.regions import Region, first_rows, read_regions
from nwb_ophys.formats.scanimage.text import read_header_texts
from nwb_ophys.metadata import common_header
from nwb_ophys.remote.paths import as_path

__all__ = ["ScanImageExtractor", "ScanImageMetadata", "scanimage_metadata"]

AnyPath = str | PathLike[str]
_BLOCK = 1000
# Facts of the metadata that may change from file to file, with their names in messages.
_FACTS = {
    "version": "version",
    "frame_rate": "frame rate",
    "volume_rate": "volume rate",
    "line_period": "line period",
    "pmt_gains": "PMT gains",
    "zoom_factor": "zoom",
    "field_of_view": "field of view",
    "pixel_size": "pixel size",
    "plane_positions": "positions of the planes",
    "average_factor": "number of averaged frames",
    "is_summed": "division of averaged frames",
}


class ScanImageExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel, and of one region, of a ScanImage recording.

    Pages are in the order channel, frame of the slice, slice, flyback frames, volume, fastest
    first. Flyback frames are left out, and so are the frames of an incomplete last volume, with a
    UserWarning. Several regions of interest are one below the other in each page; the fly-to rows
    between them are left out. Reads headers when created, and pixels and timestamps on demand; see
    `TiffFramesExtractor` for threads and closing.

    Parameters
    ----------
    file_path : path, optional
        Any file of the recording; names and frame numbers identify the others.
    channel_name : str, optional
        The saved channel to read; needed if there are several.
    file_paths : iterable of paths, optional
        Only these files, in the order of time; replaces ``file_path``.
    slice_sample : int, optional
        The frame to read if each slice has several frames, from 0.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    interleave_slice_samples : bool
        Whether to read all frames of each slice, each as a separate sample: first the volume of
        the first frames, then the volume of the second frames, and so on. The samples of a slice
        follow each other directly, then there is a pause; the sampling frequency is the mean.
    roi_name : str, optional
        The region of interest to read; needed if there are several.
    allow_truncated : bool
        Whether to read the complete pages of a truncated file, with a UserWarning. The files after
        it are left out.

    Attributes
    ----------
    metadata : ScanImageMetadata
        Metadata from the header of the first file.
    common_metadata : ScanImageMetadata
        The same, with None for facts that differ in another file, and for their rates.
    file_paths : list of Path
        The files in the order of time.
    channel_name : str
        The channel that is read.
    regions : tuple of Region
        All regions of interest; empty for ordinary frames.
    region : Region or None
        The region that is read.

    Raises
    ------
    SourceArgumentError
        If an argument is missing, out of range or contradicts another.
    SourceNotFoundError, CorruptSourceError, MissingPackageError
        If a file does not exist, is truncated or cannot be decoded.
    SourceError
        If files are missing, do not continue each other or differ in channels, planes, regions or
        shape, if there is no complete volume, if frame numbers contradict the channels, if regions
        do not fit the pages, or if the recording is not from ScanImage 4 or later.
    """

    extractor_name = "ScanImageExtractor"

    def __init__(
        self,
        file_path: AnyPath | None = None,
        channel_name: str | None = None,
        file_paths: Iterable[AnyPath] | None = None,
        slice_sample: int | None = None,
        plane_index: int | None = None,
        interleave_slice_samples: bool = False,
        roi_name: str | None = None,
        allow_truncated: bool = False,
    ) -> None:
        headers, files = _open_files(file_path, file_paths, allow_truncated)
        self.metadata = metadata = headers[0]
        self.common_metadata: ScanImageMetadata = common_header(headers, _FACTS)
        self.regions = _common_regions(files, metadata)
        self.region, self._rows, sources = _crop(files, metadata, self.regions, roi_name)
        reader = TiffPageReader(sources)
        self._epochs = [file.epoch for file in files]
        self.file_paths = [file.path for file in files]
        self._channel_index = index_of_name(
            "channel_name", channel_name, metadata.channel_names, metadata.path
        )
        self.channel_name = metadata.channel_names[self._channel_index]
        self._slice_samples = _slice_samples(metadata, slice_sample, interleave_slice_samples)
        if plane_index is not None:
            check_index("plane_index", plane_index, metadata.num_planes)
        self._planes = np.arange(metadata.num_planes, dtype=np.int64)
        if plane_index is not None:
            self._planes = self._planes[plane_index : plane_index + 1]
        rate = metadata.sampling_frequency
        if rate is None:
            raise CorruptSourceError(
                f"'{metadata.path}': its header states no frame or volume rate above 0 "
                "(scanFrameRate, scanVolumeRate); read it as a plain TIFF stack."
            )
        check_stated_rate(metadata.path, rate, "scanFrameRate or scanVolumeRate")
        if metadata.is_line_scan:
            warn_of_line_scan(metadata.path, "scanAngleMultiplierSlow = 0")
        num_volumes = count_volumes(reader.num_pages, metadata)
        super().__init__(
            reader,
            sampling_frequency=rate * len(self._slice_samples),
            num_samples=num_volumes * len(self._slice_samples),
            num_planes=len(self._planes),
        )

    def _sample_pages(self, samples: Integers) -> Integers:
        return sample_pages(
            samples,
            metadata=self.metadata,
            channel_index=self._channel_index,
            planes=self._planes,
            slice_samples=self._slice_samples,
        )

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> npt.NDArray[np.float64] | None:
        """Read the stated time of the last plane of each sample.

        Each call reads the description of one page per sample from the files, unless the times of
        all samples were read before.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; all samples by default.

        Returns
        -------
        numpy.ndarray of float64, shape (samples,), or None
            Seconds since `ScanImageMetadata.epoch`; None if the first frame states no time.

        Raises
        ------
        CorruptSourceError
            If the first frame states a time and another one does not.
        """
        samples = self._sample_range(start_sample, end_sample)
        if "_all_times" in self.__dict__:
            return None if self._all_times is None else self._all_times[samples]
        pages = self._sample_pages(samples)[:, -1]
        files, local = self._reader.locate(pages)
        has_times = self._statements_of(0, np.zeros(1, np.int64))[0].time is not None
        times = np.empty(len(pages), np.float64)
        for file in np.unique(files).tolist():
            chosen = files == file
            stated = self._statements_of(file, local[chosen])
            path = self._reader.sources[file].table.path
            warn_of_triggers(path, local[chosen].tolist(), stated)
            numbers = [each.number for each in stated if each.number is not None]
            if len(numbers) == len(stated):
                check_order(path, local[chosen], numbers, "frame number")
                if self.metadata.is_volumetric and len(self._slice_samples) == 1:
                    check_whole_volumes(path, local[chosen], numbers)
            if has_times:
                found = _required_times(path, local[chosen], stated)
                times[chosen] = np.array(found) + self._seconds_after_first(file)
        if not has_times:
            return None
        check_order(self.file_paths[0], pages, times, "time in seconds", "frameTimestamps")
        if not self.metadata.is_volumetric and self.stated_rate is not None:
            warn_of_other_rate(self.file_paths[0], times, self.stated_rate)
        return times

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> npt.NDArray[Any]:
        """Read samples, without the rows of other regions; see `TiffFramesExtractor`."""
        return super().get_series(start_sample, end_sample)[:, self._rows]

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        rows, columns = super().get_image_shape()
        return len(range(rows)[self._rows]), columns

    def _statements_of(self, file: int, pages: Integers) -> list[FrameStatement]:
        """Return what some pages of one file state of their frames."""
        table = self._reader.sources[file].table
        # Descriptions of ScanImage 2015 and earlier hold the whole header, some 10 kB per page.
        blocks = (pages[start : start + _BLOCK] for start in range(0, len(pages), _BLOCK))
        return [frame_statement(text) for some in blocks for text in table.read_descriptions(some)]

    def _seconds_after_first(self, file: int) -> float:
        """Return the time from the epoch of the first file to that of another, in seconds."""
        first, own = self._epochs[0], self._epochs[file]
        return 0.0 if first is None or own is None else (own - first).total_seconds()


def _required_times(path: Path, pages: Integers, stated: Sequence[FrameStatement]) -> list[float]:
    """Return the times of some pages of a file; raise CorruptSourceError if one has no time."""
    times = [each.time for each in stated]
    if None in times:
        raise CorruptSourceError(
            f"'{path}': page {pages[times.index(None)]} states no frameTimestamps_sec, but others "
            f"do; the file is damaged. To repair it, {COPY_AGAIN}."
        )
    return times  # type: ignore[return-value]


def sample_pages(
    samples: Integers,
    *,
    metadata: ScanImageMetadata,
    channel_index: int,
    planes: Integers,
    slice_samples: Sequence[int],
) -> Integers:
    """Compute the pages of samples, without a table, so that the number of pages may be large.

    Parameters
    ----------
    samples : numpy.ndarray of int64, shape (samples,)
        Numbers of the samples, from 0.
    metadata : ScanImageMetadata
        Gives the numbers of channels, planes, frames per slice and flyback frames.
    channel_index : int
        Index of the channel among the saved ones.
    planes : numpy.ndarray of int64, shape (planes,)
        Indices of the planes.
    slice_samples : sequence of int
        Indices of the frames of each slice; each frame is a separate sample.

    Returns
    -------
    numpy.ndarray of int64, shape (samples, planes)
        Numbers of the pages, counted over all files from 0.
    """
    num_channels = len(metadata.channel_numbers)
    volumes, positions = np.divmod(samples, len(slice_samples))
    frames_in_slice = np.asarray(slice_samples, np.int64)[positions]
    frames_in_volume = planes[None, :] * metadata.frames_per_slice + frames_in_slice[:, None]
    frames = volumes[:, None] * metadata.frames_per_cycle + frames_in_volume
    return frames * num_channels + channel_index


def count_volumes(num_pages: int, metadata: ScanImageMetadata) -> int:
    """Count the complete volumes (or frames) of a recording.

    Parameters
    ----------
    num_pages : int
        Number of pages of all files.
    metadata : ScanImageMetadata
        Gives the numbers of channels, planes, frames per slice and flyback frames.

    Returns
    -------
    int
        At least 1. Warns if pages of an incomplete last volume are left out.

    Raises
    ------
    SourceError
        If there is no complete volume.
    """
    num_channels = len(metadata.channel_numbers)
    num_volumes, rest = divmod(num_pages, metadata.frames_per_cycle * num_channels)
    # An acquisition may end with the last plane, before the flyback.
    flyback_pages = metadata.num_flyback_frames * num_channels
    if rest >= metadata.frames_per_cycle * num_channels - flyback_pages:
        num_volumes, rest = num_volumes + 1, 0
    if rest and num_volumes:
        message = (
            f"'{metadata.path}': the acquisition was stopped within volume {num_volumes} (from 0); "
            f"its {rest} pages ({rest / num_channels:g} frames of {num_channels} channels) are "
            "left out, since they are not a complete sample."
        )
        warnings.warn(message, UserWarning, stacklevel=3)
    if not num_volumes:
        raise SourceError(
            f"'{metadata.path}' and the files after it have {num_pages} pages, less than one "
            f"volume of {metadata.num_planes} planes x {metadata.frames_per_slice} frames x "
            f"{num_channels} channels; there is nothing to convert."
        )
    return num_volumes


def _open_files(
    file_path: AnyPath | None, file_paths: Iterable[AnyPath] | None, allow_truncated: bool
) -> tuple[list[ScanImageMetadata], list[RecordedFile]]:
    """Find and check the files; return them with the metadata of those with other headers."""
    if (file_path is None) == (file_paths is None):
        raise SourceArgumentError("Give either file_path or file_paths, and not both.")
    if file_path is not None:
        path = as_path(file_path)
        files = find_recording(path, scanimage_metadata(path), allow_truncated)
    else:
        assert file_paths is not None
        if isinstance(file_paths, str | PathLike):
            raise SourceArgumentError("file_paths must be a list; give a single file as file_path.")
        paths = [as_path(path) for path in file_paths]
        if not paths:
            raise SourceArgumentError("file_paths is empty; give at least one file.")
        for path in paths:
            if path.stat().st_size or path == paths[0]:
                read_header_texts(path)
        files = inspect_recorded_files(paths, allow_truncated)
    headers = _check_alike(files)
    metadata = headers[0]
    for file in files:
        num_pages = file.source.table.num_pages
        first, last = file.first_frame, file.last_frame
        check_count(file.path, num_pages, first, last, metadata.channel_numbers)
        check_interleaved(file.path, file.first_numbers(metadata), metadata.channel_numbers)
    if file_paths is not None:
        check_given_files(files, metadata)
    check_volume_start(files[0], metadata)
    return headers, files


def _common_regions(
    files: Sequence[RecordedFile], metadata: ScanImageMetadata
) -> tuple[Region, ...]:
    """Return the regions of all files; raise SourceError if they differ."""
    regions = read_regions(metadata)
    for file in files[1:] if regions else ():
        if read_regions(attrs.evolve(metadata, path=file.path)) != regions:
            raise SourceError(
                f"'{file.path}' states other regions (mROI) than '{metadata.path}'; the files of "
                "one recording must agree. Leave it out with file_paths."
            )
    return regions


def _crop(
    files: Sequence[RecordedFile],
    metadata: ScanImageMetadata,
    regions: Sequence[Region],
    roi_name: str | None,
) -> tuple[Region | None, slice, list[TiffSource]]:
    """Return the region that is read, its rows, and the files.

    Uncompressed files are changed so that only the rows of the region are read.
    """
    sources = [file.source for file in files]
    if not regions:
        if roi_name is not None:
            raise SourceArgumentError(
                f"roi_name is {roi_name!r}; '{metadata.path}' has no regions of interest. Leave "
                "it out."
            )
        return None, slice(None), sources
    names = [region.name for region in regions]
    index = index_of_name("roi_name", roi_name, names, metadata.path, "regions")
    table = sources[0].table
    first = first_rows(regions, metadata, (table.rows, table.columns))[index]
    region = regions[index]
    if len(regions) == 1 or not all(source.table.is_direct for source in sources):
        return region, slice(first, first + region.num_rows), sources
    return region, slice(None), [_rows_of(source, first, region.num_rows) for source in sources]


def _rows_of(source: TiffSource, first: int, number: int) -> TiffSource:
    """Return an uncompressed file, of whose pages only some rows are read."""
    table = source.table
    skipped = first * table.columns * source.dtype.itemsize
    rows = attrs.evolve(table, rows=number, data_offsets=table.data_offsets + skipped)
    return attrs.evolve(source, table=rows)


def _check_alike(files: Sequence[RecordedFile]) -> list[ScanImageMetadata]:
    """Return the metadata of the first file and of those with another header.

    Raise SourceError if a file has other channels or planes, or if it has another rate and the
    frames state no times.
    """
    header, description = read_header_texts(files[0].path)
    first = parse_header(files[0].path, header, description)
    names = ["channel_numbers", "num_planes", "frames_per_slice", "num_flyback_frames"]
    if frame_statement(description).time is None:
        names.append("sampling_frequency")
    headers = [first]
    for file in files[1:]:
        other_header, other_description = read_header_texts(file.path)
        if other_header != header or channel_of_file(file.path) != channel_of_file(first.path):
            other = parse_header(file.path, other_header, other_description)
            check_agreement(first, other, names, "Leave it out with file_paths.")
            headers.append(other)
    return headers


def _slice_samples(
    metadata: ScanImageMetadata, slice_sample: int | None, interleave: bool
) -> tuple[int, ...]:
    """Return the indices of the frames of each slice that are read."""
    number = metadata.frames_per_slice
    if slice_sample is not None and interleave:
        raise SourceArgumentError(
            f"slice_sample={slice_sample} reads one frame of each slice, interleave_slice_samples "
            "reads all of them; give only one of the two."
        )
    if slice_sample is not None:
        check_index("slice_sample", slice_sample, number)
        return (int(slice_sample),)
    if number > 1 and not interleave:
        raise SourceArgumentError(
            f"'{metadata.path}' has {number} frames per slice; give slice_sample, 0 to "
            f"{number - 1}, or interleave_slice_samples=True to read each as a separate sample."
        )
    return tuple(range(number))
