"""Tests of pickled interfaces and converters."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest

from nwb_ophys import NumpyImagingInterface, OphysConverter
from nwb_ophys.errors import ArgumentError, SourceNotFoundError
from nwb_ophys.formats import Suite2pSegmentationInterface, TiffImagingInterface
from nwb_ophys.interfaces import TrialsInterface
from nwb_ophys.opening import apply_times, open_recording
from nwb_ophys.testing import simulate_recording, write_suite2p, write_tiff
from nwb_ophys.timing import times_follow

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
MOVIE = "acquisition/TwoPhotonSeries"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    recording = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
    write_tiff(tmp_path / "movie.tif", recording.movie)
    write_suite2p(tmp_path, [recording])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def travelled(source):
    return pickle.loads(pickle.dumps(source))


def convert(source, path):
    return source.run_conversion(path, metadata=START, progress=False)


def contents(path):
    """All datasets of a file but those that each writing makes anew."""
    with h5py.File(path) as file:
        found = {}

        def add(name, item):
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
                found[name] = item[()]

        file.visititems(add)
        return found


def assert_equal(one, other):
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    assert len(first) > 0
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_a_converter_is_sent_to_another_process(folder):
    recording = open_recording(["movie.tif", "suite2p"], options={"sampling_frequency": 30})
    here = convert(recording.converter, folder / "here.nwb")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = folder / "there.nwb"
        pool.submit(recording.converter.run_conversion, there, metadata=START).result()
    assert_equal(here, there)


def test_times_of_all_kinds_travel(folder):
    vector = np.arange(20) / 30 + np.random.default_rng(0).uniform(0, 1e-2, 20)
    np.save("t.npy", vector)

    def opened(rate=30.0):
        with times_follow(rate is None):
            return TiffImagingInterface("movie.tif", sampling_frequency=rate)

    movies = {name: opened() for name in ("own", "set", "shifted", "dates", "file")}
    movies["no rate"] = opened(None)
    movies["set"].set_aligned_timestamps(vector)
    movies["shifted"].set_aligned_starting_time(2.5)
    dates = np.datetime64("2024-05-17T12:30:00", "ns") + (vector * 1e9).astype("timedelta64[ns]")
    movies["dates"].set_aligned_datetimes(dates, in_utc=True)
    apply_times(movies["file"], times="t.npy")
    movies["no rate"].set_aligned_timestamps(vector)
    for name, movie in movies.items():
        other = travelled(movie)
        assert other.times_are_set == movie.times_are_set
        assert other.timestamps_are_set == movie.timestamps_are_set
        assert other.times_origin == movie.times_origin
        assert_equal(convert(movie, f"{name}.nwb"), convert(other, f"{name} there.nwb"))
    shifted = travelled(movies["shifted"])
    shifted.set_aligned_starting_time(1.0)  # replaces the shift
    assert shifted.get_timestamps()[0] == 1.0


def test_converters_in_converters_trials_and_arrays_travel(folder):
    (folder / "trials.csv").write_text("start_time,stop_time\n0,1\n1,2\n")
    rois = Suite2pSegmentationInterface("suite2p")
    inner = OphysConverter({"rois": rois, "trials": TrialsInterface("trials.csv")})
    pixels = np.random.default_rng(0).integers(0, 99, (20, 24, 34), dtype="uint16")
    movie = NumpyImagingInterface(pixels, sampling_frequency=30.0)
    outer = OphysConverter({"movie": movie, "inner": inner})
    assert_equal(convert(outer, "here.nwb"), convert(travelled(outer), "there.nwb"))


def test_copies_share_the_extractor_and_deep_copies_open_their_own(folder):
    movie = TiffImagingInterface("movie.tif", sampling_frequency=30.0)
    assert copy.copy(movie).extractor is movie.extractor
    own = copy.deepcopy(movie)
    movie.close()
    assert own.extractor.get_num_samples() == 20


def test_what_cannot_be_opened_again_is_named(folder):
    movie = TiffImagingInterface("movie.tif", sampling_frequency=30.0)
    sent = pickle.dumps(movie)
    movie.extractor = movie.extractor.slice_samples(0, 10)
    with pytest.raises(ArgumentError, match="another extractor than the one that it opened"):
        pickle.dumps(movie)
    movie.close()
    with pytest.raises(ArgumentError, match="TiffImagingInterface was closed"):
        pickle.dumps(movie)
    (folder / "movie.tif").unlink()
    with pytest.raises(SourceNotFoundError, match=r"movie\.tif' does not exist"):
        pickle.loads(sent)
