"""Read recordings of Scanbox: a ``.sbx`` file with pixels and a ``.mat`` file with metadata."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_ophys.base_extractors import ImagingExtractor
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, counted
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index, check_range, warn_of_stated_rate
from nwb_ophys.filetypes.files import check_not_shortened
from nwb_ophys.filetypes.mapped import mapped_rows
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.formats.scanbox.header import ScanboxHeader, read_scanbox_header, scanbox_files
from nwb_ophys.remote.paths import as_path
from nwb_ophys.timing import require_rate

_BRIGHTEST = np.uint16(np.iinfo(np.uint16).max)


class ScanboxExtractor(ImagingExtractor):  # type: ignore[misc]
    """Frames or volumes of one channel of a Scanbox recording.

    Scanbox stores inverted pixels, 65535 for black; they are returned as Scanbox shows them.
    `get_series` may be called from several threads at once. No file is kept open.

    Parameters
    ----------
    file_path : path-like
        The ``.sbx`` file, or the ``.mat`` file with the same name.
    channel_name : str, optional
        The saved channel, such as "PMT0"; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    region_index : int, optional
        The region of a mesoscope to read, from 0; needed if there are several.
    sampling_frequency : float, optional
        Samples per second in Hz; replaces the rate from the header.
    allow_truncated : bool
        Whether to read the complete frames of a truncated file, with a UserWarning.

    Attributes
    ----------
    metadata : ScanboxHeader
    channel_name : str

    Raises
    ------
    SourceArgumentError
        When an argument is missing or out of range.
    SourceNotFoundError, CorruptSourceError, MissingPackageError
        When a file does not exist, is truncated or cannot be read.
    """

    extractor_name = "ScanboxExtractor"
    reads_in_parallel = True

    def __init__(
        self,
        file_path: str | PathLike[str],
        channel_name: str | None = None,
        plane_index: int | None = None,
        region_index: int | None = None,
        sampling_frequency: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        super().__init__()
        self.file_path, header_path = scanbox_files(as_path(file_path))
        self.metadata = header = read_scanbox_header(header_path)
        self._channel = index_of_name(
            "channel_name", channel_name, header.channel_names, header.path
        )
        self.channel_name = header.channel_names[self._channel]
        if plane_index is not None:
            check_index("plane_index", plane_index, header.num_planes)
        if region_index is None and header.num_regions > 1:
            raise SourceArgumentError(
                f"'{header.path}' states {header.num_regions} regions of a mesoscope; give "
                f"region_index, from 0 to {header.num_regions - 1}."
            )
        self._region = region_index or 0
        check_index("region_index", self._region, header.num_regions)
        self._plane = plane_index
        self._num_frames = _count_frames(self.file_path, header, allow_truncated)
        self._num_samples = self._num_frames // header.frames_per_sample
        self.is_volumetric = header.num_planes > 1 and plane_index is None
        rate = sampling_frequency or header.sampling_frequency
        warn_of_stated_rate(header.path, sampling_frequency, header.sampling_frequency, "resfreq")
        if rate is None:
            require_rate(
                SourceArgumentError(
                    f"'{header.path}' states no resfreq, so the rate is unknown; give "
                    "sampling_frequency, in samples per second."
                )
            )
        self._sampling_frequency = rate

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> npt.NDArray[np.uint16]:
        """Read samples.

        Returns
        -------
        numpy.ndarray of uint16, shape (samples, rows, columns) or (samples, rows, columns, planes)
            A new array; for volumes it is a transposed view.
        """
        planes = slice(None) if self._plane is None else slice(self._plane, self._plane + 1)
        pixels = self.get_planes(start_sample, end_sample, planes)
        return pixels if self.is_volumetric else pixels[..., 0]

    def get_planes(
        self, start_sample: int | None, end_sample: int | None, planes: slice
    ) -> npt.NDArray[np.uint16]:
        """Read some planes of volumes, without the others.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; all samples by default.
        planes : slice

        Returns
        -------
        numpy.ndarray, shape (samples, rows, columns, planes)
        """
        first, last = check_range(start_sample, end_sample, self._num_samples)
        frames = self._pixels()[first:last]
        if self.metadata.num_regions > 1:
            frames = frames[:, self._region : self._region + 1]
        stored = frames[:, planes, ..., self._channel]
        pixels = np.empty(stored.shape, np.uint16)
        np.subtract(_BRIGHTEST, stored, out=pixels)
        return pixels.transpose(0, 2, 3, 1)

    def _pixels(self) -> Any:
        """Map the frames of all complete samples into memory.

        The axes are sample, plane or region, row, column and channel.
        """
        header = self.metadata
        size = self._num_samples * header.frames_per_sample * header.frame_bytes
        check_not_shortened(self.file_path, size)
        frame = (header.num_rows, header.num_columns, len(header.channels))
        shape = (self._num_samples, header.frames_per_sample, *frame)
        return mapped_rows(self.file_path, "<u2", shape)

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self.metadata.num_rows, self.metadata.num_columns

    def get_num_samples(self) -> int:
        """Return the number of frames, or of complete volumes."""
        return self._num_samples

    def get_num_planes(self) -> int:
        """Return the number of planes of a volumetric recording."""
        if not self.is_volumetric:
            super().get_num_planes()  # raises, as roiextractors has it
        return self.metadata.num_planes

    def get_sampling_frequency(self) -> float | None:  # type: ignore[override]
        """Return samples per second, in Hz."""
        return self._sampling_frequency

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel."""
        return np.dtype(np.uint16)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> npt.NDArray[np.float64] | None:
        """Return the times of a region of a mesoscope, whose first frame is a later frame.

        Returns
        -------
        numpy.ndarray of float64, shape (samples,), or None
            In seconds from the first frame of the file; None for the first or only region, since
            Scanbox files have no times.
        """
        if not self._region or self._sampling_frequency is None:
            return None
        samples = np.arange(*check_range(start_sample, end_sample, self._num_samples))
        delay = self._region / self.metadata.num_regions
        return np.asarray((samples + delay) / self._sampling_frequency)


def _count_frames(path: Path, header: ScanboxHeader, allow_truncated: bool) -> int:
    """Return the number of complete frames; an incomplete one is refused unless allowed."""
    size = path.stat().st_size
    count, rest = divmod(size, header.frame_bytes)
    shape = f"{header.num_rows} x {header.num_columns} pixels, {len(header.channels)} channel(s)"
    evidence = (
        f"its {size} bytes are {count} frames of {shape}, {header.frame_bytes} bytes each, and "
        f"{rest} bytes of another; or '{header.path.name}' belongs to another recording"
    )
    if not count:
        raise nothing_complete(path, reason=evidence)
    if rest:
        report_truncated(
            path,
            count,
            header.frames_requested,
            allow=allow_truncated,
            reason=evidence,
        )
    several = header.frames_per_sample
    whole, parts = ("round", "regions") if header.num_regions > 1 else ("volume", "planes")
    if count < several:
        raise CorruptSourceError(
            f"'{path}' has {count} frames, less than one {whole} of {several} {parts}; there is "
            "nothing to convert."
        )
    if left := count % several:
        warnings.warn(
            f"'{path}' has {count} frames: {count // several} {whole}s of {several} {parts} and "
            f"{counted(left, 'frame')} of an incomplete {whole}, which are left out.",
            UserWarning,
            stacklevel=3,
        )
    if not rest:
        _compare_with_request(path, header, count)
    return count


def _compare_with_request(path: Path, header: ScanboxHeader, count: int) -> None:
    """Warn of more frames than requested, or of fewer although nobody stopped the recording."""
    if 0 < header.frames_requested < count:
        warnings.warn(
            f"'{path}' has {count} frames of {header.num_rows} x {header.num_columns} pixels and "
            f"the channels {', '.join(header.channel_names)}, but '{header.path.name}' states that "
            f"{header.frames_requested} were requested. Check whether its frames and channels are "
            "divided rightly.",
            UserWarning,
            stacklevel=4,
        )
    was_stopped = bool(np.any(getattr(header.info, "abort_bit", 0)))
    if count < header.frames_requested and not was_stopped:
        warnings.warn(
            f"'{path}' has {count} frames, but '{header.path.name}' states that "
            f"{header.frames_requested} were requested and that nobody stopped the recording; the "
            "file may be incomplete.",
            UserWarning,
            stacklevel=4,
        )
