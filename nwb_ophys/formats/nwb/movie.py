"""Movies in NWB files of any author, from HDF5 and Zarr.

roiextractors takes only series in ``acquisition``, and of those only the one that has the default
name, unless it is given another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from roiextractors import ImagingExtractor

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.formats.nwb.files import NwbObject, object_at


class NwbMovieExtractor(ImagingExtractor):  # type: ignore[misc]
    """The movie of a one- or two-photon series.

    Parameters
    ----------
    io : object
        What is to be closed.
    nwbfile : pynwb.NWBFile
        The open file, HDF5 or Zarr.
    chosen : NwbObject
        Which series.
    plane_index : int, optional
        Which plane of volumes; all when not given.

    Attributes
    ----------
    series : pynwb.ophys.TwoPhotonSeries or pynwb.ophys.OnePhotonSeries
    nwbfile : pynwb.NWBFile

    Raises
    ------
    SourceArgumentError
        When there is no such plane.
    CorruptSourceError
        When there are not as many timestamps as samples.
    """

    extractor_name = "NwbMovieExtractor"
    # h5py lets one thread in at a time, and Zarr any number.
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
        if plane_index is not None and not 0 <= plane_index < num_planes:
            self.close()
            raise SourceArgumentError(
                f"plane_index is {plane_index}; '{chosen.name}' has {num_planes} planes, from 0."
            )
        self.is_volumetric = len(self._shape) == 4 and plane_index is None
        self._check_times()

    def _check_times(self) -> None:
        times = self.series.timestamps
        if times is not None and len(times) != self._shape[0]:
            self.close()
            raise CorruptSourceError(
                f"'{self.series.name}' has {len(times)} timestamps for {self._shape[0]} samples."
            )

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns): a file has x, the columns, before y, the rows."""
        return (self._shape[2], self._shape[1])

    def get_num_planes(self) -> int:
        """Return the number of planes; 1 for a planar movie."""
        return self._shape[3] if self.is_volumetric else 1

    def get_num_samples(self) -> int:
        """Return the number of samples."""
        return self._shape[0]

    def get_sampling_frequency(self) -> float | None:
        """Return samples per second; of timestamps, what their median distance implies."""
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

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times in seconds, where they do not follow from the rate alone."""
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
