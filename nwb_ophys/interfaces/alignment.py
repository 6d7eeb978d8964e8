"""Times of an interface's samples, and their alignment to the clock of the session."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.errors import MetadataError
from nwb_ophys.timing import extractor_times, interpolate_times, regular_times


class TimeAlignment:
    """Mixin that reads and sets the times of the samples of ``self.extractor``."""

    extractor: Any
    _unshifted: NDArray[np.float64] | None = None
    """Times before the shift; None when they were not shifted."""
    _is_aligned = False
    """Whether the user has set the times."""

    @property
    def times_are_set(self) -> bool:
        """Return whether the user has set or shifted the times."""
        return self._is_aligned

    @property
    def is_shifted(self) -> bool:
        """Return whether the times count from the start of the session, not of the recording."""
        return self._unshifted is not None

    def get_original_timestamps(self) -> NDArray[np.float64]:
        """Return the times of the samples in seconds, as the source counts them."""
        native = self.extractor.get_native_timestamps()
        return self._regular_timestamps() if native is None else np.asarray(native, dtype=float)

    def get_timestamps(self) -> NDArray[np.float64]:
        """Return the times of the samples in seconds, as they will be written."""
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
            Times in seconds from the start of the session.
        """
        self._set_times(t)
        self._unshifted, self._is_aligned = None, True

    def set_aligned_starting_time(self, t0: float) -> None:
        """Shift all times by ``t0``, the start of this recording on the clock of the session.

        Parameters
        ----------
        t0 : float
            Zero of the recording's own clock, in seconds from the start of the session. A second
            call replaces the shift instead of adding to it.
        """
        if not np.isfinite(t0):
            raise MetadataError(
                f"The starting time is {t0}; it must be a finite number of seconds."
            )
        self._shift(float(t0))
        self._is_aligned = True

    def shift_to_session_start(self, delay: float) -> None:
        """Count times from the start of the session, unless the user has set them.

        Parameters
        ----------
        delay : float
            Seconds from the start of the session to the start of this recording.
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
        """Convert the times to the clock of the session by events known on both clocks.

        Parameters
        ----------
        unaligned, aligned : array-like of float, shape (events,)
            The same events on this recording's clock and on the clock of the session, in seconds.
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
