"""Base class of extractors of paged TIFF files, which map samples to page numbers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_ophys.base_extractors import ImagingExtractor
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.calibration import Calibration
from nwb_ophys.extractors.ranges import check_range
from nwb_ophys.filetypes.tiff.imagej import calibration_of_tiffs
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.timing import rate_of_times


class TiffFramesExtractor(ImagingExtractor):  # type: ignore[misc]
    """Samples of one page per plane; subclasses define the pages.

    `get_series` may be called from several threads at once. `close` releases the files; so do
    leaving a ``with`` block and deleting the object.

    Parameters
    ----------
    reader : TiffPageReader
        The files; this object closes them.
    sampling_frequency : float or None
        Samples per second, in Hz; None if the files state none, which only a single sample, or
        times that will be set, allow.
    num_samples : int
        Number of samples.
    num_planes : int
        Number of planes of a sample; the extractor is volumetric if there are several.
    """

    reads_in_parallel = True

    _reader: TiffPageReader
    _pages: Integers
    """Pages of all samples, of shape (samples, planes), unless computed by `_sample_pages`."""
    _stated_times: npt.NDArray[np.float64] | None = None
    """Times of all samples, if the files state them."""

    def __init__(
        self,
        reader: TiffPageReader,
        *,
        sampling_frequency: float | None,
        num_samples: int,
        num_planes: int,
    ) -> None:
        super().__init__()
        self._reader = reader
        self.stated_rate = None if sampling_frequency is None else float(sampling_frequency)
        self._num_samples = num_samples
        self._num_planes = num_planes
        self.is_volumetric = num_planes > 1

    @functools.cached_property
    def calibration(self) -> Calibration | None:
        """Linear calibration of the pixels that the files state, in whatever format they are."""
        sources = self._reader.sources
        # The headers of files that are checked on access are not all read for this.
        tables = [each.table for each in (sources if isinstance(sources, tuple) else sources[:1])]
        return calibration_of_tiffs(tables, self._reader.dtype)

    @property
    def pages_of_files(self) -> dict[Path, int]:
        """Number of pages of each file, in the order in which the files are joined."""
        counts = np.diff(self._reader.first_pages).tolist()
        return dict(zip(self._reader.paths, counts, strict=True))

    def _sample_pages(self, samples: Integers) -> Integers:
        """Return the pages of samples: int64, shape (samples,) in, (samples, planes) out."""
        return self._pages[samples]

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> npt.NDArray[Any]:
        """Read samples.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; all samples by default.

        Returns
        -------
        numpy.ndarray, shape (samples, rows, columns) or (samples, rows, columns, planes)
            A new array in native byte order. For volumes it is a transposed view: planes are not
            next to each other in memory.

        Raises
        ------
        SourceArgumentError
            If the range lies outside the recording.
        """
        if self.is_volumetric:
            return self.get_planes(start_sample, end_sample, slice(None))
        samples = self._sample_range(start_sample, end_sample)
        return self._reader.read(self._sample_pages(samples).reshape(-1))

    def get_planes(
        self, start_sample: int | None, end_sample: int | None, planes: slice
    ) -> npt.NDArray[Any]:
        """Read some planes of volumes, without the pages of the others.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; all samples by default.
        planes : slice

        Returns
        -------
        numpy.ndarray, shape (samples, rows, columns, planes)
        """
        pages = self._sample_pages(self._sample_range(start_sample, end_sample))[:, planes]
        frames = self._reader.read(pages.reshape(-1))
        return frames.reshape(*pages.shape, *frames.shape[1:]).transpose(0, 2, 3, 1)

    def _sample_range(self, start: int | None, end: int | None) -> Integers:
        """Return the numbers of the samples from ``start`` to before ``end``, as int64."""
        first, last = check_range(start, end, self._num_samples)
        return np.arange(first, last, dtype=np.int64)

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self._reader.rows, self._reader.columns

    def get_num_samples(self) -> int:
        """Return the number of samples."""
        return self._num_samples

    def get_sampling_frequency(self) -> float | None:  # type: ignore[override]
        """Return the number of samples per second in Hz, measured where the files state times.

        Raises
        ------
        SourceArgumentError
            For a single sample without a stated rate.
        """
        nominal = self.get_nominal_rate()
        return None if nominal is None else rate_of_times(self._all_times, nominal)

    @functools.cached_property
    def _all_times(self) -> npt.NDArray[np.float64] | None:
        """Times of all samples, if the files state them; reading them may take long."""
        return self.get_native_timestamps()

    def get_nominal_rate(self) -> float | None:
        """Return the number of samples per second in Hz that the headers state.

        None if they state none and the times of the samples will be set.

        Raises
        ------
        SourceArgumentError
            For a single sample without a stated rate.
        """
        if self.stated_rate is None and self._num_samples == 1:
            raise SourceArgumentError(
                f"'{next(iter(self.pages_of_files))}' has a single sample per stream and states no "
                "interval above 0, so that it is an image or a z-stack rather than a movie; to "
                "write it as a movie, give sampling_frequency, in samples per second."
            )
        return self.stated_rate

    def get_dtype(self) -> np.dtype:
        """Return the type of a pixel, in native byte order."""
        return self._reader.dtype

    def get_num_planes(self) -> int:
        """Return the number of planes of a volumetric recording."""
        if not self.is_volumetric:
            super().get_num_planes()  # raises, as roiextractors has it
        return self._num_planes

    def get_native_timestamps(
        self,
        start_sample: int | None = None,
        end_sample: int | None = None,
    ) -> npt.NDArray[np.float64] | None:
        """Return the times of samples that the files state; the class defines their meaning.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; all samples by default.

        Returns
        -------
        numpy.ndarray of float64, shape (samples,), or None
            In seconds; None if not stated, as in plain TIFF files.
        """
        samples = self._sample_range(start_sample, end_sample)
        return None if self._stated_times is None else self._stated_times[samples]

    def close(self) -> None:
        """Close the files; reading afterwards raises SourceError."""
        self._reader.close()

    def __enter__(self) -> TiffFramesExtractor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # There is no reader if __init__ raised.
        if "_reader" in self.__dict__:
            self._reader.close()
