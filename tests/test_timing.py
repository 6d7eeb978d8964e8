"""Tests of the times of samples: a rate only if it reproduces the times, and alignment."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pynwb.testing.mock.file import mock_NWBFile

import nwb_ophys
from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import MetadataError, SourceError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.timing import (
    TOLERANCE,
    Clock,
    clock_of,
    describe_times,
    extractor_times,
    interpolate_times,
    other_rate,
    rate_of_times,
    regular_times,
)

RATES = st.floats(0.01, 10_000)
STARTS = st.floats(-1e5, 1e5)
LENGTHS = st.integers(2, 2_000)
ROUNDING = 1e-9  # of float64 at 1e5 s


def _reproduced(clock, num_samples):
    return clock.starting_time + np.arange(num_samples) / clock.rate


def _holds(clock, times):
    if clock.is_regular:
        return np.abs(_reproduced(clock, len(times)) - times).max() <= TOLERANCE + ROUNDING
    return np.array_equal(clock.timestamps, times)


class _Extractor:
    """Extractor with only the methods that timing calls."""

    def __init__(self, num_samples, rate=None, native=None, times=None):
        self.num_samples, self.rate, self.native, self.times = num_samples, rate, native, times

    def get_num_samples(self):
        return np.int64(self.num_samples)

    def get_sampling_frequency(self):
        return self.rate

    def get_native_timestamps(self):
        return self.native

    def has_time_vector(self):
        return self.times is not None

    def get_timestamps(self):
        return self.times


# --- a rate that stands for times ---------------------------------------------------------------


@given(RATES, STARTS, LENGTHS, st.booleans())
def test_regular_times_are_a_rate_that_reproduces_every_sample(rate, start, length, nominal):
    times = start + np.arange(length) / rate
    clock = describe_times(times, rate if nominal else None)
    assert clock.is_regular
    assert clock.starting_time == start
    assert np.abs(_reproduced(clock, length) - times).max() <= TOLERANCE + ROUNDING
    if nominal:
        assert clock.rate == rate


@given(RATES, STARTS, st.integers(3, 200), st.randoms(use_true_random=False), st.floats(0, 3))
def test_whatever_the_jitter_a_rate_is_given_only_where_it_is_true(rate, start, length, rng, size):
    jitter = np.array([rng.uniform(-1, 1) for _ in range(length)]) * size * TOLERANCE
    times = np.sort(start + np.arange(length) / rate + jitter)
    assert _holds(describe_times(times, rate), times)
    assert _holds(describe_times(times), times)


@pytest.mark.filterwarnings("ignore:Timestamps repeat:UserWarning")
@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=30).map(sorted))
def test_any_times_are_reproduced(times):
    times = np.array(times)
    assert _holds(describe_times(times, 30.0), times)


def test_times_rounded_to_microseconds_are_regular():
    times = np.round(np.arange(100_000) / 29.97, 6)
    assert describe_times(times, 29.97).rate == 29.97
    assert _holds(describe_times(times), times)
    assert describe_times(times).is_regular


def test_a_jitter_just_within_the_tolerance_is_none_and_just_beyond_is_one():
    for factor, regular in ((0.99, True), (2.1, False)):
        times = np.arange(1000) / 30.0
        times[500] += factor * TOLERANCE
        assert describe_times(times, 30.0).is_regular is regular
    # The first sample is the start: an error of its time is one of all others.
    times = np.arange(1000) / 30.0
    times[0] -= 2.1 * TOLERANCE
    clock = describe_times(times, 30.0)
    assert not clock.is_regular
    assert clock.timestamps.tolist() == times.tolist()


def test_a_slow_drift_is_a_rate_of_its_own():
    times = np.arange(10_000) / 30.0 * (1 + 1e-6)
    clock = describe_times(times, 30.0)
    assert clock.is_regular
    assert clock.rate != 30.0
    assert _holds(clock, times)


def test_the_nominal_rate_is_preferred_where_it_fits_and_only_there():
    times = np.arange(100) / 30.0
    assert describe_times(times, 30.0000001).rate == 30.0000001
    assert describe_times(times, 20.0).rate == 30.0
    for odd in (0.0, -30.0, float("nan"), float("inf")):
        assert describe_times(times, odd).rate == 30.0


def test_a_whole_number_is_the_likeliest_rate():
    times = np.round(np.arange(1000) / 15, 6) + 3.0
    assert describe_times(times).rate == 15
    assert describe_times(times).starting_time == 3.0


@pytest.mark.parametrize("gap", [0.04, 1e-3, 1e-5, -0.02])
def test_a_gap_keeps_the_timestamps_exact(gap):
    times = np.arange(50) / 30.0
    times[25:] += gap
    clock = describe_times(times, 30.0)
    assert clock.rate is None
    assert clock.timestamps.dtype == np.float64
    assert clock.timestamps.tolist() == times.tolist()


def test_times_that_stand_still_are_no_rate():
    times = np.full(10, 5.0)
    for rate in (None, 30.0):
        with pytest.warns(UserWarning, match="Timestamps repeat at 9 of 10 samples"):
            clock = describe_times(times, rate)
        assert clock.timestamps.tolist() == times.tolist()


def test_times_that_go_backwards_come_with_a_warning():
    times = np.array([0, 0.1, 0.3, 0.2, 0.4, 0.3])
    with pytest.warns(UserWarning, match="Timestamps go backwards at 2 of 6 samples"):
        clock = describe_times(times)
    assert clock.timestamps.tolist() == times.tolist()
    with pytest.warns(UserWarning, match="backwards at 9 of 10"):
        assert not describe_times(-np.arange(10.0)).is_regular


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_times_that_are_not_finite_come_with_a_warning(odd):
    times = np.arange(5.0)
    times[[1, 4]] = odd
    with pytest.warns(UserWarning, match="2 of 5 timestamps are not finite"):
        clock = describe_times(times, 1.0)
    np.testing.assert_array_equal(clock.timestamps, times)


def test_a_single_sample_and_none():
    assert describe_times([2.5], 30.0) == Clock(rate=30.0, starting_time=2.5)
    assert describe_times([2.5]).timestamps.tolist() == [2.5]
    assert describe_times([]).timestamps.shape == (0,)
    assert describe_times([], 30.0).timestamps.shape == (0,)


def test_whole_numbers_and_lists_are_taken():
    assert describe_times([0, 1, 2]) == Clock(rate=1.0, starting_time=0.0)
    assert describe_times(np.arange(5, dtype=np.float32)).rate == 1.0


@given(RATES, STARTS, st.integers(0, 100))
def test_regular_times_are_those_of_the_rate(rate, start, length):
    times = regular_times(length, rate, start)
    assert times.dtype == np.float64
    assert times.tolist() == [start + sample / rate for sample in range(length)]


# --- an extractor's times -----------------------------------------------------------------------


def test_times_that_were_set_come_before_the_sources_own():
    assert extractor_times(_Extractor(2, times=[0, 1], native=[5, 6])).tolist() == [0, 1]
    assert extractor_times(_Extractor(2, native=[5, 6])).tolist() == [5, 6]
    assert extractor_times(_Extractor(2, native=[5, 6])).dtype == np.float64
    assert extractor_times(_Extractor(2, rate=30.0)) is None


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_times_than_of_samples_is_an_error(count):
    message = f"_Extractor gives {count} timestamps for 3 samples"
    with pytest.raises(SourceError, match=message):
        extractor_times(_Extractor(3, native=np.arange(count)))
    with pytest.raises(SourceError, match=message):
        clock_of(_Extractor(3, rate=30.0, times=np.arange(count)))


def test_the_clock_of_an_extractor():
    assert clock_of(_Extractor(3, rate=30)) == Clock(rate=30.0, starting_time=0.0)
    assert clock_of(_Extractor(0, rate=30, native=[])) == Clock(rate=30.0, starting_time=0.0)
    assert clock_of(_Extractor(3, rate=9.0, native=[1, 1.5, 2])) == Clock(
        rate=2.0, starting_time=1.0
    )
    irregular = _Extractor(3, rate=9.0, native=[1, 1.5, 4])
    for clock in (clock_of(irregular), clock_of(irregular, rate=5.0, starting_time=7.0)):
        assert clock.timestamps.tolist() == [1, 1.5, 4]
        assert clock.rate is None
        assert clock.starting_time is None


def test_what_the_user_states_stands_for_regular_times():
    assert clock_of(_Extractor(3), rate=5) == Clock(rate=5.0, starting_time=0.0)
    assert clock_of(_Extractor(3, rate=9.0), rate=5, starting_time=0) == Clock(
        rate=5.0, starting_time=0.0
    )
    assert clock_of(_Extractor(1, native=[3.0]), rate=5) == Clock(rate=5.0, starting_time=3.0)
    assert clock_of(_Extractor(3, native=[1, 2, 3]), starting_time=7) == Clock(
        rate=1.0, starting_time=7.0
    )


def test_one_timestamp_without_a_rate_is_written_as_it_is():
    assert clock_of(_Extractor(1, native=[3.0])).timestamps.tolist() == [3.0]


def test_no_times_at_all_are_an_error():
    with pytest.raises(MetadataError, match=r"states no sampling frequency and no timestamps"):
        clock_of(_Extractor(3))


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_an_error(rate):
    with pytest.raises(MetadataError, match="must be a positive number of Hz"):
        clock_of(_Extractor(3, rate=rate))
    with pytest.raises(MetadataError, match="must be a positive number of Hz"):
        clock_of(_Extractor(3, rate=30.0), rate=rate)


# --- from one clock to another ------------------------------------------------------------------

MOMENTS = st.integers(2, 8).flatmap(
    lambda count: st.tuples(
        *(
            st.lists(st.floats(1e-2, 100), min_size=count, max_size=count).map(np.cumsum)
            for _ in range(2)
        )
    )
)


@given(st.lists(st.floats(-1e3, 1e3), max_size=20), MOMENTS)
def test_within_the_moments_it_is_linear_interpolation_and_beyond_the_last_slopes(times, moments):
    unaligned, aligned = moments
    times = np.array(times)
    found = interpolate_times(times, unaligned, aligned)
    inside = (times >= unaligned[0]) & (times <= unaligned[-1])
    np.testing.assert_array_equal(found[inside], np.interp(times[inside], unaligned, aligned))
    for outside, at in (
        (times < unaligned[0], slice(0, 2)),
        (times > unaligned[-1], slice(-2, None)),
    ):
        line = np.polynomial.Polynomial.fit(unaligned[at], aligned[at], 1)
        np.testing.assert_allclose(found[outside], line(times[outside]), rtol=1e-6, atol=1e-6)


@given(MOMENTS)
def test_times_that_ascend_still_ascend_and_the_moments_meet(moments):
    unaligned, aligned = moments
    times = np.linspace(unaligned[0] - 50, unaligned[-1] + 50, 300)
    assert (np.diff(interpolate_times(times, unaligned, aligned)) > 0).all()
    np.testing.assert_allclose(interpolate_times(unaligned, unaligned, aligned), aligned)
    assume(np.diff(aligned).min() > 1e-2)
    back = interpolate_times(interpolate_times(times, unaligned, aligned), aligned, unaligned)
    np.testing.assert_allclose(back, times, atol=1e-6)


def test_a_shift_and_a_single_time():
    assert interpolate_times([-5, 0, 5, 10, 20], [0, 10], [100, 110]).tolist() == [
        95,
        100,
        105,
        110,
        120,
    ]
    assert interpolate_times(20, [0, 10], [100, 110]) == 120
    assert np.isnan(interpolate_times([np.nan], [0, 10], [100, 110])).all()
    assert interpolate_times([], [0, 1], [1, 2]).shape == (0,)


@pytest.mark.parametrize(
    ("unaligned", "aligned", "message"),
    [
        ([0], [1], "at least two times"),
        ([], [], "at least two times"),
        ([0, 1], [0, 1, 2], r"shapes \(2,\) and \(3,\)"),
        ([[0, 1]], [[0, 1]], "two vectors"),
        (0, 1, "two vectors"),
        ([0, 0], [0, 1], "ascend"),
        ([1, 0], [0, 1], "ascend"),
        ([0, 1], [1, 0], "ascend"),
        ([0, np.nan], [0, 1], "ascend"),
        ([0, 1], [0, np.nan], "ascend"),
        ([0, np.inf], [0, 1], "finite"),
        ([0, 1], [0, np.inf], "finite"),
    ],
)
def test_moments_that_are_of_no_use_are_an_error(unaligned, aligned, message):
    with pytest.raises(MetadataError, match=message):
        interpolate_times([0.5], unaligned, aligned)


# --- an interface's times -----------------------------------------------------------------------


@pytest.fixture
def interface():
    movie = np.zeros((4, 3, 2), np.uint8)
    return nwb_ophys.NumpyImagingInterface(timeseries=movie, sampling_frequency=10.0)


def test_without_more_the_times_count_from_zero(interface):
    assert interface.get_timestamps().tolist() == [0, 0.1, 0.2, 0.3]
    assert interface.get_original_timestamps().tolist() == [0, 0.1, 0.2, 0.3]


def test_times_that_are_set_are_those_and_the_original_ones_stay(interface):
    given = np.array([5, 6, 8, 9], dtype=np.int32)
    interface.set_aligned_timestamps(given)
    given[:] = 0
    assert interface.get_timestamps().tolist() == [5, 6, 8, 9]
    assert interface.get_timestamps().dtype == np.float64
    assert interface.get_original_timestamps().tolist() == [0, 0.1, 0.2, 0.3]


def test_a_start_set_again_replaces_the_one_before(interface):
    interface.set_aligned_starting_time(3)
    interface.set_aligned_starting_time(7.5)
    np.testing.assert_allclose(interface.get_timestamps(), [7.5, 7.6, 7.7, 7.8])
    interface.set_aligned_starting_time(0)
    np.testing.assert_allclose(interface.get_timestamps(), [0, 0.1, 0.2, 0.3])


def test_a_start_after_set_times_shifts_those(interface):
    interface.set_aligned_starting_time(100)
    interface.set_aligned_timestamps([5, 6, 8, 9])
    interface.set_aligned_starting_time(10)
    interface.set_aligned_starting_time(1)
    np.testing.assert_allclose(interface.get_timestamps(), [6, 7, 9, 10])


def test_alignment_by_interpolation_carries_on_from_the_times_there_are(interface):
    interface.set_aligned_starting_time(1)
    interface.align_by_interpolation([1.0, 1.2], [2.0, 2.4])
    np.testing.assert_allclose(interface.get_timestamps(), [2.0, 2.2, 2.4, 2.6])
    interface.set_aligned_starting_time(1)
    np.testing.assert_allclose(interface.get_timestamps(), [3.0, 3.2, 3.4, 3.6])
    assert interface.get_original_timestamps().tolist() == [0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("times", [[], [0, 1, 2], range(5), np.zeros((4, 1)), 5.0])
def test_times_of_another_length_are_an_error_and_change_nothing(interface, times):
    interface.set_aligned_starting_time(1)
    with pytest.raises(MetadataError, match="4 samples need 4 timestamps in one vector"):
        interface.set_aligned_timestamps(times)
    np.testing.assert_allclose(interface.get_timestamps(), [1, 1.1, 1.2, 1.3])


def test_what_is_set_is_what_is_written(interface, tmp_path):
    import h5py

    start = {"NWBFile": {"session_start_time": "2024-05-17T12:00:00+00:00"}}
    for times, regular in (([5, 6, 7, 8], True), ([5, 6, 8, 9], False)):
        interface.set_aligned_timestamps(times)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            path = interface.run_conversion(tmp_path / "a.nwb", metadata=start, overwrite=True)
        with h5py.File(path) as file:
            series = file["acquisition/TwoPhotonSeries"]
            if regular:
                assert series["starting_time"][()] == 5
                assert series["starting_time"].attrs["rate"] == 1
            else:
                assert series["timestamps"][:].tolist() == times


@given(
    st.floats(0.1, 1000),
    # Intervals that differ by less than a fifth, so that they are not uneven by design.
    st.lists(st.floats(0.92, 1.08), min_size=1, max_size=20),
    st.floats(0.1, 1000),
)
def test_the_rate_of_times_is_the_one_that_a_reader_of_the_file_finds(rate, steps, nominal):
    times = np.concatenate([[0.0], np.cumsum(steps)]) / rate
    clock = describe_times(times, nominal)
    found = rate_of_times(times, nominal)
    read = clock.rate if clock.is_regular else 1 / np.median(np.diff(times))
    assert found == pytest.approx(read, rel=2e-6)


def test_the_rate_without_usable_times_is_the_nominal_one():
    for times in (None, [], [3.0], [0.0, np.nan], [1.0, 1.0, 1.0]):
        assert rate_of_times(times, 30.0) == 30.0


def test_the_rate_of_uneven_intervals_is_the_nominal_one():
    # A plane that is swept forth and back at 10 volumes per second, seen at a third of the sweep.
    times = np.cumsum([0.0, 1 / 6, 1 / 30, 1 / 6, 1 / 30, 1 / 6])
    assert rate_of_times(times, 10.0) == 10.0


def test_repeated_times():
    """Fault: a time that several samples share was written without a word."""
    with pytest.warns(UserWarning, match="Timestamps repeat at 1 of 4 samples"):
        clock = describe_times([0.0, 0.1, 0.1, 0.3])
    assert clock.timestamps.tolist() == [0.0, 0.1, 0.1, 0.3]


@pytest.mark.parametrize(
    ("times", "stated", "found"),
    [
        (np.arange(10) / 10, 30.0, 10.0),
        (np.arange(10) / 29, 30.0, None),
        (np.arange(3) / 10, 30.0, None),  # too few
        (np.arange(10.0) ** 2, 30.0, None),  # uneven
        (np.full(10, np.nan), 30.0, None),
        (np.zeros(10), 30.0, None),
    ],
)
def test_the_rate_of_times_beside_a_stated_one(times, stated, found):
    assert other_rate(times, stated) == (None if found is None else pytest.approx(found))


def test_warnings_of_times_name_the_file(tmp_path):
    np.save(tmp_path / "movie.npy", np.zeros((3, 4, 5), "uint8"))
    interface = NumpyImagingInterface(tmp_path / "movie.npy", sampling_frequency=10.0)
    label = extractor_label(interface.extractor)
    assert label == f"ArrayImagingExtractor of '{tmp_path / 'movie.npy'}'"
    interface.set_aligned_timestamps([0.0, 2.0, 1.0])
    with pytest.warns(UserWarning, match=rf"Timestamps of {label} go backwards at 1 of 3 samples"):
        interface.add_to_nwbfile(mock_NWBFile())
