"""Numbers of a report equal those computed from the raw arrays by other code."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_of_reports import COLUMNS, DROPPED, NUM_FRAMES, RATE, ROWS, write_session

from nwb_ophys.reports import traces
from nwb_ophys.reports.report import gather_report
from nwb_ophys.reports.roi_figures import outline_figures, outline_shapes
from nwb_ophys.reports.stored_file import opened
from nwb_ophys.reports.traces import heat_map, signal_to_noise


@pytest.fixture(scope="module", params=["one file", "store"])
def made(request, tmp_path_factory):
    """A file of each kind of backend, written without this package."""
    folder = tmp_path_factory.mktemp("made")
    if request.param == "one file":
        return write_session(folder / "session.nwb")
    hdmf_zarr = pytest.importorskip("hdmf_zarr")
    return write_session(folder / "session.nwb.zarr", io=hdmf_zarr.NWBZarrIO)


@pytest.fixture(scope="module")
def report(made):
    return gather_report(made.path)


def test_images_and_counts_of_the_movie(made, report):
    (movie,) = report.movies
    found = movie.statistics
    assert movie.shape == (NUM_FRAMES, COLUMNS, ROWS)
    np.testing.assert_allclose(found.mean, made.movie.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.maximum, made.movie.max(axis=0))
    np.testing.assert_allclose(found.standard_deviation, made.movie.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.frame_means, made.movie.mean(axis=(1, 2)))
    assert found.num_zero == (made.movie == 0).sum() == 10
    assert (found.saturation_value, found.num_saturated) == (65535, 3)
    assert found.blank_frames.tolist() == [20]
    assert found.repeated_frames.tolist() == [11]
    assert movie.pixel_size.x == pytest.approx(2e-6)


def test_times_of_the_movie(made, report):
    (movie,) = report.movies
    times = movie.times
    assert (times.start, times.end) == (made.timestamps[0], made.timestamps[-1])
    assert times.rate == pytest.approx(RATE)
    assert (times.num_gaps, times.num_missing) == (1, 2)
    assert times.gaps == ((made.timestamps[DROPPED - 1], made.timestamps[DROPPED]),)
    np.testing.assert_array_equal(
        times.times(np.array([0, DROPPED])), made.timestamps[[0, DROPPED]]
    )
    steps = np.diff(made.timestamps)
    assert times.jitter == pytest.approx(steps[steps < 0.15].std(), abs=1e-12)


def test_streams_that_disagree_are_marked(report):
    marks = report.timing.marks
    raw = next(path for path in marks if path.endswith("/raw"))
    dff = next(path for path in marks if path.endswith("/dff"))
    assert marks[raw] == ("Its times differ from those of 'Movie' on the same plane.",)
    assert "40 samples" in marks[dff][0]
    assert "61 frames" in marks[dff][0]
    assert not any(path.endswith("Movie") for path in marks)


def test_the_rois(made, report):
    cells, background = report.tables
    assert (cells.is_background, background.is_background) == (False, True)
    assert cells.is_accepted.tolist() == made.accepted
    expected = [len({(x, y) for x, y, weight in mask if weight}) for mask in made.masks]
    assert cells.sizes.tolist() == expected
    assert cells.backdrop.origin == "the mean of 'Movie'"
    assert cells.ids.tolist() == [0, 1, 2, 3, 4]


def test_the_traces(made, report):
    raw = next(each for each in report.traces if each.path.endswith("/raw"))
    assert raw.table == report.tables[0].path
    assert raw.shape == made.traces.shape
    best, values = raw.examples[0]
    assert best == 2  # the only one with a signal
    np.testing.assert_array_equal(values, made.traces[:, 2])
    assert raw.signal_to_noise.argmax() == 2
    np.testing.assert_allclose(raw.heat_map, scaled(made.traces), rtol=1e-4, atol=1e-5)


def scaled(traces):
    """Return traces as rows, in standard deviations from their medians."""
    rows = traces.T.astype(np.float64)
    return (rows - np.median(rows, axis=1)[:, None]) / rows.std(axis=1)[:, None]


def test_signal_to_noise_is_that_of_its_definition():
    values = np.random.default_rng(0).normal(size=(500, 3))
    values[100:110, 1] += 9
    ratios, signals = signal_to_noise(values)
    for column in range(3):
        trace = values[:, column]
        signal = np.percentile(trace, 99) - np.median(trace)
        noise = np.median(np.abs(np.diff(trace))) / 0.6744897501960817 / np.sqrt(2)
        assert ratios[column] == pytest.approx(signal / noise)
        assert signals[column] == pytest.approx(signal)
    assert noise == pytest.approx(1, abs=0.1)  # of a normal distribution


def test_traces_without_noise_rank_by_their_signal_and_nan_is_left_out():
    values = np.zeros((200, 3))
    values[50:60, 0], values[50:60, 1] = 1, 5
    ratios, signals = signal_to_noise(values)
    assert ratios[:2].tolist() == [np.inf, np.inf]
    assert signals.tolist() == [1, 5, 0]
    assert np.isnan(ratios[2])
    noisy = np.random.default_rng(0).normal(size=(300, 1))
    gaps = np.where(np.arange(300)[:, None] % 50 == 0, np.nan, noisy)
    assert signal_to_noise(gaps)[0][0] == pytest.approx(signal_to_noise(noisy)[0][0], rel=0.15)
    assert np.isfinite(heat_map(gaps, 1)).sum() == 300 - 6


@pytest.mark.parametrize("per_bin", [1, 3, 7])
def test_the_bins_of_a_heat_map_are_means(per_bin):
    values = np.random.default_rng(0).normal(size=(20, 2))
    found, rows = heat_map(values, per_bin), scaled(values)
    starts = range(0, 20, per_bin)
    expected = [[row[start : start + per_bin].mean() for start in starts] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_large_sets_of_traces_are_read_in_even_runs(made, monkeypatch):
    monkeypatch.setattr(traces, "_MOST_BYTES", 30 * 5 * 4)
    monkeypatch.setattr(traces, "_MOST_RUNS", 3)
    report = gather_report(made.path)
    raw = next(each for each in report.traces if each.path.endswith("/raw"))
    with opened(made.path) as file:
        length = (file.source(f"{raw.path}/data").chunk_shape or (1,))[0]
    last = (NUM_FRAMES - 1) // length * length
    starts = sorted({0, last // length // 2 * length, last}) if length < NUM_FRAMES else [0]
    found = raw.samples
    assert found[np.diff(found, prepend=-9) != 1].tolist() == starts
    assert 20 <= len(found) <= 30
    np.testing.assert_array_equal(raw.examples[0][1], made.traces[found, raw.examples[0][0]])


@given(
    num_samples=st.integers(1, 5000),
    most=st.integers(1, 3000),
    chunk=st.integers(1, 700),
)
def test_a_run_of_samples_begins_with_a_chunk(num_samples, most, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "_MOST_BYTES", 4 * most)
        patch.setattr(traces, "_MOST_RUNS", 8)
        found = traces._samples_to_read(num_samples, 4, chunk)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert found[-1] < num_samples
    if num_samples <= max(most, 8):
        assert len(found) == num_samples
        return
    assert len(found) <= max(most, 8)
    first = found[np.diff(found, prepend=-9) != 1]
    assert (first % chunk == 0).all()
    last_chunk = (num_samples - 1) // chunk
    assert found[-1] // chunk == last_chunk or last_chunk < 1


def test_storage_is_what_the_library_says(made, report):
    found = next(each for each in report.storage.datasets if each.path == "acquisition/Movie/data")
    if made.path.is_file():
        with h5py.File(made.path) as file:
            data = file["acquisition/Movie/data"]
            expected = (data.shape, data.chunks, data.id.get_storage_size(), data.size * 2)
        assert found.filters == "shuffle, gzip 4"
        assert report.num_bytes == made.path.stat().st_size
    else:
        zarr = pytest.importorskip("zarr")
        data = zarr.open(str(made.path), "r")["acquisition/Movie/data"]
        stored = data.nbytes_stored
        stored = stored() if callable(stored) else stored
        expected = (data.shape, data.chunks, stored, data.size * 2)
        assert found.filters
        sizes = [each.stat().st_size for each in made.path.rglob("*") if each.is_file()]
        assert report.num_bytes == sum(sizes)
    assert (found.shape, found.chunk_shape, found.stored_bytes, found.raw_bytes) == expected


def test_the_metadata(report):
    facts = {fact.label: fact for fact in report.session.session}
    assert facts["session id"].text == "day1"
    assert facts["experimenter"].text == "Last, First"
    assert facts["identifier"].text == "0123"
    (plane,) = report.session.planes
    stated = {fact.label: fact.text for fact in plane.facts}
    assert stated["excitation wavelength"] == "920 nm"
    assert stated["grid spacing"] == "2, 2 micrometers"
    assert stated["device"] == "Scope"
    assert [channel.name for channel in plane.parts] == ["Green"]
    genotype = next(fact for fact in report.session.subject if fact.label == "genotype")
    assert genotype.is_unknown


def test_the_verdict(report):
    assert report.verdict.is_valid
    assert report.verdict.is_accepted


def test_of_outlines_that_are_too_large_for_a_page_every_nth_is_shown(report):
    cells = report.tables[0]
    (outlines,) = cells.outlines
    whole, every = outline_shapes(cells, outlines)
    assert (every, whole.count("<title>")) == (1, 5)
    part, every = outline_shapes(cells, outlines, len(whole) // 3)
    assert every >= 3
    assert 0 < len(part) < len(whole)
    (figure,) = outline_figures(cells, 1000, len(whole) // 3)
    assert f"one ROI in {every} is shown" in figure.caption


def test_timestamps_that_are_no_numbers_are_counted_and_are_no_gaps(tmp_path):
    made = write_session(tmp_path / "session.nwb")
    with h5py.File(made.path, "r+") as file:
        times = file["acquisition/Movie/timestamps"]
        times[7], times[50] = np.nan, np.inf
    report = gather_report(made.path)
    (movie,) = report.movies
    assert movie.times.num_times_unknown == 2
    assert (movie.times.num_gaps, movie.times.num_missing) == (1, 2)
    assert movie.times.gaps == ((made.timestamps[DROPPED - 1], made.timestamps[DROPPED]),)
    marks = report.timing.marks["acquisition/Movie"]
    assert "2 timestamps are NaN or infinite." in marks
