"""Tests of times of movies and traces: a rate if it reproduces the times, or else timestamps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pynwb import NWBFile
from roiextractors.testing import (
    generate_dummy_imaging_extractor,
    generate_dummy_segmentation_extractor,
)

from nwb_ophys import tools
from nwb_ophys.timing import clock_of

IRREGULAR = [0.0, 0.12, 0.15, 0.19, 0.3]
BACKWARDS = [0.0, 0.12, 0.15, 0.19, 0.1]
MICROSECOND = 1e-6


def imaging_of(num_samples: int, rate: float = 30.0, native: Any = None) -> Any:
    return generate_dummy_imaging_extractor(
        num_samples=num_samples,
        num_rows=2,
        num_columns=3,
        sampling_frequency=rate,
        native_timestamps=native,
    )


def segmentation_of(num_samples: int, rate: float = 30.0, native: Any = None) -> Any:
    return generate_dummy_segmentation_extractor(
        num_rois=2,
        num_rows=2,
        num_columns=3,
        num_samples=num_samples,
        sampling_frequency=rate,
        native_timestamps=native,
    )


def movie_of(extractor: Any, nwbfile: NWBFile, given: Any = None) -> Any:
    tools.add_photon_series(extractor, nwbfile, given)
    return nwbfile.acquisition["TwoPhotonSeries"]


def traces_of(extractor: Any, nwbfile: NWBFile, given: Any = None) -> list[Any]:
    tools.add_fluorescence_traces(extractor, nwbfile, given)
    ophys = nwbfile.processing["ophys"]
    found = []
    for container in ("Fluorescence", "DfOverF"):
        found.extend(ophys[container].roi_response_series.values())
    assert len(found) == 4
    return found


def series_of(kind: str, times: Any, nwbfile: NWBFile, rate: float = 30.0) -> list[Any]:
    """Add a movie or traces with given times."""
    extractor = (imaging_of if kind == "movie" else segmentation_of)(len(times), rate)
    extractor.set_times(times)
    if kind == "movie":
        return [movie_of(extractor, nwbfile)]
    return traces_of(extractor, nwbfile)


def check_regular(series: Any, rate: float, start: float) -> None:
    assert type(series.rate) is float
    assert series.rate == pytest.approx(rate)
    assert series.starting_time == start
    assert series.timestamps is None


def check_irregular(series: Any, times: Any) -> None:
    assert series.rate is None
    assert series.starting_time is None
    assert isinstance(series.timestamps, H5DataIO)
    assert series.timestamps.io_settings["compression"] == "gzip"
    np.testing.assert_array_equal(series.timestamps.data, times)


kinds = pytest.mark.parametrize("kind", ["movie", "traces"])


@pytest.mark.parametrize("rate", [30.0, 30, np.float32(7.5), 1 / 3])
def test_no_time_vector(rate: Any, new_file: Callable[[], NWBFile]) -> None:
    for found in (
        [movie_of(imaging_of(4, rate), new_file())],
        traces_of(segmentation_of(4, rate), new_file()),
    ):
        for series in found:
            check_regular(series, float(rate), 0.0)
            assert series.rate == float(rate)
            assert type(series.starting_time) is float


@kinds
@pytest.mark.parametrize("start", [0.0, 12.25, -3.0])
def test_regular_times(kind: str, start: float, nwbfile: NWBFile) -> None:
    for series in series_of(kind, start + np.arange(5.0), nwbfile):
        check_regular(series, 1.0, start)


@kinds
def test_irregular_times(kind: str, nwbfile: NWBFile, round_trip: Callable[..., Any]) -> None:
    for series in series_of(kind, IRREGULAR, nwbfile):
        check_irregular(series, IRREGULAR)

    def look(read: NWBFile) -> Any:
        if kind == "movie":
            return read.acquisition["TwoPhotonSeries"].timestamps[:]
        return read.processing["ophys"]["DfOverF"]["RoiResponseSeries"].timestamps[:]

    np.testing.assert_array_equal(round_trip(nwbfile, look), IRREGULAR)


@kinds
def test_times_that_go_backwards_are_written_with_a_warning(kind: str, nwbfile: NWBFile) -> None:
    with pytest.warns(UserWarning, match="backwards"):
        found = series_of(kind, BACKWARDS, nwbfile)
    for series in found:
        check_irregular(series, BACKWARDS)


@pytest.mark.parametrize("native", ["evenly_spaced", "unevenly_spaced"])
def test_native_timestamps_count(native: str, new_file: Callable[[], NWBFile]) -> None:
    for extractor, add in (
        (imaging_of(8, 20.0, native), lambda e: [movie_of(e, new_file())]),
        (segmentation_of(8, 20.0, native), lambda e: traces_of(e, new_file())),
    ):
        times = np.array(extractor.get_native_timestamps())
        for series in add(extractor):
            if native == "evenly_spaced":
                check_regular(series, 20.0, 0.0)
            else:
                check_irregular(series, times)


def test_times_that_were_set_win_over_native_ones(nwbfile: NWBFile) -> None:
    extractor = imaging_of(5, 20.0, "unevenly_spaced")
    extractor.set_times(100.0 + np.arange(5) / 4)
    check_regular(movie_of(extractor, nwbfile), 4.0, 100.0)


def test_native_timestamps_by_monkeypatch(nwbfile: NWBFile) -> None:
    extractor = imaging_of(5)
    extractor.get_native_timestamps = lambda *_args, **_kwargs: np.array(IRREGULAR)
    check_irregular(movie_of(extractor, nwbfile), IRREGULAR)


def rate_in_metadata(rate: float, trace: str = "raw") -> dict[str, Any]:
    container = "DfOverF" if trace == "dff" else "Fluorescence"
    return {"Ophys": {container: {"PlaneSegmentation": {trace: {"rate": rate}}}}}


@pytest.mark.parametrize("trace", ["raw", "dff", "neuropil"])
def test_a_stated_rate_holds_for_all_traces_of_a_plane(trace: str, nwbfile: NWBFile) -> None:
    for series in traces_of(segmentation_of(5), nwbfile, rate_in_metadata(1.1, trace)):
        check_regular(series, 1.1, 0.0)


def test_a_stated_rate_with_regular_times(nwbfile: NWBFile) -> None:
    extractor = segmentation_of(5)
    extractor.set_times(2.0 + np.arange(5.0))
    for series in traces_of(extractor, nwbfile, rate_in_metadata(1.1)):
        check_regular(series, 1.1, 2.0)


def test_a_stated_rate_is_dropped_with_timestamps(nwbfile: NWBFile) -> None:
    extractor = segmentation_of(5)
    extractor.set_times(IRREGULAR)
    for series in traces_of(extractor, nwbfile, rate_in_metadata(15.0)):
        check_irregular(series, IRREGULAR)


def test_a_stated_rate_is_of_its_plane_only(metadata: Any, nwbfile: NWBFile) -> None:
    metadata["Ophys"]["Fluorescence"]["Cells1"]["raw"]["rate"] = 3.0
    extractor = segmentation_of(5)
    for name in ("Cells1", "Cells2"):
        tools.add_fluorescence_traces(extractor, nwbfile, metadata, plane_segmentation_name=name)
    ophys = nwbfile.processing["ophys"]
    assert (ophys["Traces"]["Raw"].rate, ophys["Changes"]["Dff"].rate) == (3.0, 3.0)
    assert (ophys["Traces"]["Raw2"].rate, ophys["Changes"]["Dff2"].rate) == (30.0, 30.0)


@pytest.mark.parametrize("times", [IRREGULAR, [5.0, 6.0, 7.0, 8.0, 9.0]])
def test_a_rate_stated_for_a_movie(times: Any, nwbfile: NWBFile) -> None:
    extractor = imaging_of(5)
    extractor.set_times(times)
    given = {
        "Ophys": {
            "TwoPhotonSeries": [
                {"name": "TwoPhotonSeries", "imaging_plane": "ImagingPlane", "rate": 1.25}
            ]
        }
    }
    series = movie_of(extractor, nwbfile, given)
    if times is IRREGULAR:
        check_irregular(series, IRREGULAR)
    else:
        check_regular(series, 1.25, 5.0)


def test_a_single_sample_with_a_time(nwbfile: NWBFile) -> None:
    extractor = imaging_of(1)
    extractor.set_times([4.5])
    check_regular(movie_of(extractor, nwbfile), 30.0, 4.5)


def test_as_many_times_as_samples(imaging: Any, nwbfile: NWBFile) -> None:
    imaging.get_native_timestamps = lambda *_args, **_kwargs: np.arange(5.0)
    with pytest.raises(ValueError, match="12"):
        movie_of(imaging, nwbfile)
    assert len(nwbfile.acquisition) == 0


@pytest.mark.parametrize(("jitter", "regular"), [(0.9e-6, True), (1.5e-6, False)])
def test_the_tolerance_is_a_microsecond(jitter: float, regular: bool, nwbfile: NWBFile) -> None:
    """The times deviate to both sides from a line through the first one."""
    times = np.arange(9.0)
    times[1:] += np.where(np.arange(1, 9) % 2, jitter, -jitter)
    series = series_of("movie", times, nwbfile, rate=1.0)[0]
    if regular:
        check_regular(series, 1.0, 0.0)
    else:
        check_irregular(series, times)


class Times:
    """Extractor with only the methods that the code calls."""

    def __init__(self, times: Any, nominal: float) -> None:
        self.times, self.nominal = np.asarray(times), nominal

    def has_time_vector(self) -> bool:
        return True

    def get_timestamps(self) -> Any:
        return self.times

    def get_num_samples(self) -> int:
        return len(self.times)

    def get_sampling_frequency(self) -> float:
        return self.nominal


@settings(max_examples=150, deadline=None)
@given(
    rate=st.floats(0.1, 1000.0),
    nominal=st.floats(0.1, 1000.0),
    start=st.floats(-1e4, 1e4),
    noise=st.lists(st.floats(-0.45e-6, 0.45e-6), min_size=2, max_size=300),
)
def test_times_on_a_line_have_a_rate_that_says_them(
    rate: float, nominal: float, start: float, noise: list[float]
) -> None:
    times = start + np.arange(len(noise)) / rate + np.array(noise)
    assume((np.diff(times) > 0).all())
    clock = clock_of(Times(times, nominal))
    assert clock.timestamps is None
    assert clock.starting_time == times[0]
    said = clock.starting_time + np.arange(len(times)) / clock.rate
    assert np.abs(said - times).max() <= MICROSECOND * (1 + 1e-6) + 1e-11


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.floats(1e-4, 1.0), min_size=2, max_size=100),
    start=st.floats(-1e4, 1e4),
    nominal=st.floats(0.1, 1000.0),
)
def test_whatever_is_written_says_the_times(
    steps: list[float], start: float, nominal: float
) -> None:
    times = start + np.concatenate([[0.0], np.cumsum(steps)])
    clock = clock_of(Times(times, nominal))
    if clock.timestamps is None:
        said = clock.starting_time + np.arange(len(times)) / clock.rate
        assert np.abs(said - times).max() <= MICROSECOND * (1 + 1e-6) + 1e-11
    else:
        assert clock.rate is None
        assert clock.starting_time is None
        np.testing.assert_array_equal(clock.timestamps, times)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(1.0, 100.0),
    size=st.integers(5, 200),
    data=st.data(),
    late=st.floats(5e-6, 5e-3),
)
def test_one_late_sample_gives_timestamps(
    rate: float, size: int, data: st.DataObject, late: float
) -> None:
    times = np.arange(size) / rate
    times[data.draw(st.integers(1, size - 2))] += late
    assume((np.diff(times) > 0).all())
    clock = clock_of(Times(times, rate))
    # A line that passes within 1 µs of the late sample misses the last one by more than 4 µs.
    np.testing.assert_array_equal(clock.timestamps, times)
