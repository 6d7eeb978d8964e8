"""Read movies from NWB files of any origin, in HDF5 and Zarr.

roiextractors reads only series in ``acquisition``, and by default only the one with the default
name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import ImagingExtractor
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.formats.nwb.files import NwbObject, object_at
from nwb_ophys.formats.nwb.objects import are_times, rate_of_times, starting_time_of
from nwb_ophys.storage import check_complete
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.timing import usable_rate


class NwbMovieExtractor(ImagingExtractor):  # type: ignore[misc]
    """The movie of a one- or two-photon series.

    Parameters
    ----------
    io : object
        The object to close.
    nwbfile : pynwb.NWBFile
        The open file, HDF5 or Zarr.
    chosen : NwbObject
        The series to read.
    plane_index : int, optional
        The plane of volumes to read, from 0; all planes by default.
    sampling_frequency : float, optional
        Samples per second in Hz; replaces the rate and the timestamps of the file.

    Attributes
    ----------
    stated_rate : float or None
        The rate that the file states, which may be 0 or NaN.
    series : pynwb.ophys.TwoPhotonSeries or pynwb.ophys.OnePhotonSeries
    nwbfile : pynwb.NWBFile

    Raises
    ------
    SourceArgumentError
        When there is no such plane.
    CorruptSourceError
        When the numbers of timestamps and samples differ.
    """

    extractor_name = "NwbMovieExtractor"
    # h5py serialises threads; Zarr reads in any number of threads.
    reads_in_parallel = True

    def __init__(
        self,
        io: Any,
        nwbfile: Any,
        chosen: NwbObject,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
    ) -> None:
        super().__init__()
        self._io, self.nwbfile, self._given_rate = io, nwbfile, sampling_frequency
        self._plane = plane_index
        try:
            self._read(object_at(self.nwbfile, chosen.path))
        except BaseException:  # of any kind: nobody else can close the file
            self.close()
            raise

    def _read(self, series: Any) -> None:
        self.series = series
        self._data = check_stored(series.data)
        self._shape = tuple(int(size) for size in self._data.shape)
        num_planes = self._shape[3] if len(self._shape) == 4 else 1
        if self._plane is not None:
            check_index("plane_index", self._plane, num_planes)
        self.is_volumetric = len(self._shape) == 4 and self._plane is None
        self._check_times()
        for each in (self._data, self.series.timestamps):
            check_complete(each)

    def _check_times(self) -> None:
        times = self.series.timestamps if self._given_rate is None else None
        # Not `_times`, in which roiextractors keeps times that were set.
        self._file_times = times if times is not None and are_times(times) else None
        if times is not None and len(times) != self._shape[0]:
            raise CorruptSourceError(
                f"'{self.series.name}' in '{self._io.source}' has {len(times)} timestamps for "
                f"{self._shape[0]} samples; it must have one per sample. To convert it with a "
                "constant rate, give sampling_frequency (on the command line --option "
                "sampling_frequency=30)."
            )

    @property
    def stated_rate(self) -> float | None:
        """The rate that the file states, which may be 0 or NaN; None for timestamps."""
        return None if self.series.rate is None else float(self.series.rate)

    @property
    def series_label(self) -> str:
        """Name of the series in messages."""
        return f"its series '{self.series.name}'"

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns); in the file, x (columns) comes before y (rows)."""
        return (self._shape[2], self._shape[1])

    def get_num_planes(self) -> int:
        """Return the number of planes; 1 for a planar movie."""
        return self._shape[3] if self.is_volumetric else 1

    def get_num_samples(self) -> int:
        """Return the number of samples."""
        return self._shape[0]

    def get_sampling_frequency(self) -> float | None:
        """Return samples per second: the given or stated rate, or that of the timestamps.

        None where the stated rate is not a number above 0.
        """
        if self._given_rate is not None or self.series.rate is not None:
            return usable_rate(self._given_rate or self.series.rate)
        return None if self._file_times is None else rate_of_times(self._file_times)

    def get_dtype(self) -> np.dtype[Any]:
        """Return the dtype of the pixels."""
        return np.dtype(self._data.dtype)

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[Any]:
        """Return samples, (samples, rows, columns[, planes])."""
        first, last, _ = slice(start_sample, end_sample).indices(self._shape[0])
        selection: tuple[Any, ...] = (slice(first, max(first, last)),)
        if self._plane is not None and len(self._shape) == 4:
            selection += (slice(None), slice(None), self._plane)
        return np.swapaxes(np.asarray(self._data[selection]), 1, 2)

    def get_planes(
        self, start_sample: int | None, end_sample: int | None, planes: slice
    ) -> NDArray[Any]:
        """Return some planes of volumes, (samples, rows, columns, planes)."""
        first, last, _ = slice(start_sample, end_sample).indices(self._shape[0])
        selection = (slice(first, max(first, last)), slice(None), slice(None), planes)
        return np.swapaxes(np.asarray(self._data[selection]), 1, 2)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times in seconds; None if they follow from the rate alone."""
        series, rate = self.series, self.get_sampling_frequency()
        if self._file_times is not None:
            return np.asarray(self._file_times[start_sample:end_sample], dtype=np.float64)
        start = starting_time_of(series)
        if not start or rate is None:
            return None
        return (start + np.arange(self._shape[0]) / rate)[start_sample:end_sample]

    def close(self) -> None:
        """Close the file."""
        if getattr(self, "_io", None) is not None:
            self._io.close()
            self._io = None

    def __del__(self) -> None:
        self.close()
