"""The times of an interface's samples, and how they are brought onto the session's clock."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.errors import MetadataError
from nwb_ophys.timing import extractor_times, interpolate_times, regular_times


class TimeAlignment:
    """Reads and sets the times of the samples of ``self.extractor``."""

    extractor: Any
    _unshifted: NDArray[np.float64] | None = None
    """The times before they were shifted, where they were."""
    _is_aligned = False
    """Whether somebody has set the times."""

    def get_original_timestamps(self) -> NDArray[np.float64]:
        """Return the times of the samples in seconds as the source counts them."""
        native = self.extractor.get_native_timestamps()
        return self._regular_timestamps() if native is None else np.asarray(native, dtype=float)

    def get_timestamps(self) -> NDArray[np.float64]:
        """Return the times of the samples in seconds as they will be written."""
        times = extractor_times(self.extractor)
        return self._regular_timestamps() if times is None else times

    def _regular_timestamps(self) -> NDArray[np.float64]:
        rate = self.extractor.get_sampling_frequency()
        if rate is None:
            raise MetadataError(
                f"{type(self).__name__}: the source states no sampling frequency; give one, or "
                "timestamps with set_aligned_timestamps()."
            )
        return regular_times(int(self.extractor.get_num_samples()), float(rate))

    def set_aligned_timestamps(self, t: ArrayLike) -> None:
        """Set the times of the samples.

        Parameters
        ----------
        t : array-like of float, shape (samples,)
            In seconds from the start of the session.
        """
        self._set_times(t)
        self._unshifted, self._is_aligned = None, True

    def set_aligned_starting_time(self, t0: float) -> None:
        """Shift all times, which count from the start of this recording, to start at ``t0``.

        Parameters
        ----------
        t0 : float
            When the recording's own clock was 0, in seconds from the start of the session. Called
            again, it replaces the shift instead of adding to it.
        """
        if not np.isfinite(t0):
            raise MetadataError(f"The starting time is {t0}; it must be a finite number of s.")
        self._shift(float(t0))
        self._is_aligned = True

    def shift_to_session_start(self, delay: float) -> None:
        """Count times from the start of the session, unless they have been set otherwise.

        Parameters
        ----------
        delay : float
            How long after the start of the session this recording began, in seconds.
        """
        extractor = self.extractor
        has_times = extractor_times(extractor) is not None or extractor.get_sampling_frequency()
        if has_times and not self._is_aligned and (delay or self._unshifted is not None):
            self._shift(delay)

    def _shift(self, t0: float) -> None:
        unshifted = self.get_timestamps() if self._unshifted is None else self._unshifted
        self._set_times(unshifted + t0)
        self._unshifted = unshifted

    def align_by_interpolation(self, unaligned: ArrayLike, aligned: ArrayLike) -> None:
        """Carry the times over to another clock by moments known on both.

        Parameters
        ----------
        unaligned, aligned : array-like of float, shape (moments,)
            The same moments on this recording's clock and on that of the session, in seconds.
        """
        self.set_aligned_timestamps(interpolate_times(self.get_timestamps(), unaligned, aligned))

    def _set_times(self, times: ArrayLike) -> None:
        vector = np.asarray(times, dtype=np.float64)
        num_samples = int(self.extractor.get_num_samples())
        if vector.shape != (num_samples,):
            raise MetadataError(
                f"{type(self).__name__}: {num_samples} samples need {num_samples} timestamps in "
                f"one vector; got the shape {vector.shape}."
            )
        self.extractor.set_times(vector)
