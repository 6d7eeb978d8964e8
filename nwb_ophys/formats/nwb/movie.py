"""Read movies from NWB files of any origin, in HDF5 and Zarr.

roiextractors reads only series in ``acquisition``, and by default only the one with the default
name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from roiextractors import ImagingExtractor

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.formats.nwb.files import NwbObject, object_at


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

    Attributes
    ----------
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
        self, io: Any, nwbfile: Any, chosen: NwbObject, plane_index: int | None = None
    ) -> None:
        super().__init__()
        self._io, self.nwbfile = io, nwbfile
        self.series = object_at(self.nwbfile, chosen.path)
        self._data = self.series.data
        self._shape = tuple(int(size) for size in self._data.shape)
        self._plane = plane_index
        num_planes = self._shape[3] if len(self._shape) == 4 else 1
        if plane_index is not None:
            try:
                check_index("plane_index", plane_index, num_planes)
            except SourceArgumentError:
                self.close()
                raise
        self.is_volumetric = len(self._shape) == 4 and plane_index is None
        self._check_times()

    def _check_times(self) -> None:
        times = self.series.timestamps
        if times is not None and len(times) != self._shape[0]:
            self.close()
            raise CorruptSourceError(
                f"'{self.series.name}' has {len(times)} timestamps for {self._shape[0]} samples; "
                "the file must have one timestamp per sample."
            )

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
        """Return samples per second: the stated rate, or from the median step of timestamps."""
        if self.series.rate is not None:
            return float(self.series.rate)
        times = np.asarray(self.series.timestamps[:], dtype=float)
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        return 1 / step if step > 0 else None

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
        series = self.series
        if series.timestamps is not None:
            return np.asarray(series.timestamps[start_sample:end_sample], dtype=np.float64)
        if not series.starting_time:
            return None
        times = series.starting_time + np.arange(self._shape[0]) / series.rate
        return times[start_sample:end_sample]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the file."""
        if getattr(self, "_io", None) is not None:
            self._io.close()
            self._io = None

    def __del__(self) -> None:
        self.close()
