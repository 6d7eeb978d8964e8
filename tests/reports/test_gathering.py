"""Tests of the statistics that are gathered while movies are written."""

from __future__ import annotations

from contextlib import contextmanager

import attrs
import h5py
import numpy as np
import pytest
import zarr

import nwb_ophys
from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import ArgumentError
from nwb_ophys.reports import gathering
from nwb_ophys.reports.gathering import StatisticsGatherer
from nwb_ophys.reports.statistics import movie_statistics
from tests.reports.plain_numpy import check

DATA = "acquisition/TwoPhotonSeries/data"
START = {"NWBFile": {"session_start_time": "2024-05-17T12:00:00+00:00"}}


def movie_of(kind):
    rng = np.random.default_rng(0)
    shape = (100, 50, 40, 3) if kind == "volume" else (300, 50, 40)
    values = rng.poisson(60, shape).astype("u2" if kind == "volume" else kind)
    if values.dtype.kind == "f":
        values[5, 3, 2] = np.nan
    values[17], values[20:23], values[60] = values[16], 0, values[59]
    return values


def in_file_order(movie):
    return movie.swapaxes(1, 2)


def convert(movie, target, gatherer, chunk_shape=None, **options):
    interface = NumpyImagingInterface(timeseries=movie, sampling_frequency=30.0)
    given = {"metadata": START, "progress": False, **options}
    if chunk_shape is not None:
        given["iterator_options"] = {"chunk_shape": chunk_shape}
    interface.run_conversion(target, observer=gatherer, **given)
    return gatherer.statistics(DATA)


@pytest.fixture
def target(tmp_path, backend):
    return tmp_path / {"hdf5": "a.nwb", "zarr": "a.nwb.zarr"}[backend]


@contextmanager
def dataset(path, location=DATA):
    if path.is_dir():
        yield zarr.open_group(str(path), mode="r")[location]
    else:
        with h5py.File(path) as file:
            yield file[location]


def assert_same(found, other):
    rounded = ("mean", "standard_deviation", "frame_means")
    for field in attrs.fields(type(found)):
        values = [getattr(each, field.name) for each in (found, other)]
        if field.name == "histogram":
            np.testing.assert_array_equal(values[0].counts, values[1].counts)
            np.testing.assert_array_equal(values[0].edges, values[1].edges)
        elif field.name in rounded and found.dtype.kind == "f":
            np.testing.assert_allclose(*values, rtol=1e-6, err_msg=field.name)
        else:
            np.testing.assert_array_equal(*values, err_msg=field.name)


@pytest.mark.parametrize(
    ("kind", "chunk", "workers"),
    [
        ("u2", None, 0),
        ("u2", 1, 3),
        ("i2", 7, 3),
        ("f4", "tiles", 3),
        ("f4", 7, 0),
        ("volume", "tiles", 0),
        ("volume", None, 3),
    ],
)
def test_gathered_statistics_are_those_of_the_file_and_of_the_source(
    kind, target, backend, workers, chunk
):
    movie = movie_of(kind)
    field = in_file_order(movie).shape[1:]
    shape = None
    if chunk == "tiles":
        shape = (16, 17, 19, *(1 for _ in field[2:]))
    elif chunk is not None:
        shape = (chunk, *field)
    found = convert(movie, target, StatisticsGatherer(), shape, backend=backend, workers=workers)
    check(found, in_file_order(movie))
    with dataset(target) as data:
        assert_same(found, movie_statistics(data, workers=workers))


@pytest.mark.parametrize(
    ("kind", "share", "every"), [("u2", 2.9, 3), ("u2", 99, 16), ("volume", 2, 2)]
)
def test_of_larger_movies_some_parts_are_read_and_all_frames_are_compared(
    kind, share, every, target, backend, monkeypatch
):
    movie = movie_of(kind)
    monkeypatch.setattr(gathering, "WHOLE_BYTES", int(movie.nbytes / share))
    shape = (5, *in_file_order(movie).shape[1:])
    found = convert(movie, target, StatisticsGatherer(), shape, backend=backend)
    numbers = [number for number in range(len(movie)) if number // 5 % every == 0]
    check(found, in_file_order(movie), numbers)
    assert (found.every, found.frames_compared) == (every, len(movie))
    assert found.repeated_frames.tolist() == [17, 21, 22, 60]


def test_times_last_in_memory(tmp_path):
    movie = np.ascontiguousarray(movie_of("u2").transpose(1, 2, 0)).transpose(2, 0, 1)
    check(convert(movie, tmp_path / "a.nwb", StatisticsGatherer()), in_file_order(movie))


def test_datasets_that_are_no_movies_have_no_statistics(tmp_path):
    gatherer = StatisticsGatherer()
    convert(movie_of("u2"), tmp_path / "a.nwb", gatherer)
    for location in ("acquisition/TwoPhotonSeries/timestamps", "processing/a/image_mask", ""):
        assert gatherer.statistics(location) is None
    for location, shape, dtype in [
        ("processing/ophys/Fluorescence/a/data", (9, 4), "f4"),
        ("processing/ophys/ImageSegmentation/p/image_mask", (9, 4, 4), "f4"),
        ("acquisition/a/data", (9, 4, 4), "c8"),
        ("acquisition/a/data", (9, 4, 4, 2, 2), "u2"),
    ]:
        assert not gatherer.begin(location, shape, shape, np.dtype(dtype))


def test_one_gatherer_serves_one_write_after_the_other(tmp_path):
    first, second = movie_of("u2"), movie_of("i2")[:100]
    gatherer = StatisticsGatherer()
    check(convert(first, tmp_path / "a.nwb", gatherer), in_file_order(first))
    check(convert(second, tmp_path / "b.nwb", gatherer), in_file_order(second))


def test_a_resumed_write_has_no_statistics(target, backend):
    movie, gatherer = movie_of("u2"), StatisticsGatherer()
    shape, reports = (10, 40, 50), []

    def stop(progress):
        reports.append(progress)
        if len(reports) == 2:
            raise KeyboardInterrupt

    given = {"backend": backend, "workers": 0, "resume": True}
    interface = NumpyImagingInterface(timeseries=movie, sampling_frequency=30.0)
    options = {"chunk_shape": shape, "buffer_shape": shape}
    given |= {"metadata": START, "iterator_options": options}
    with pytest.raises(KeyboardInterrupt):
        interface.run_conversion(target, observer=gatherer, progress=stop, **given)
    assert gatherer.statistics(DATA) is None
    interface.run_conversion(target, observer=gatherer, progress=False, **given)
    assert gatherer.statistics(DATA) is None
    with dataset(target) as data:
        check(movie_statistics(data), in_file_order(movie))


@pytest.mark.parametrize("in_place", [False, True])
def test_statistics_of_what_is_appended(tmp_path, in_place):
    path = tmp_path / "a.nwb"
    NumpyImagingInterface(timeseries=movie_of("u2"), sampling_frequency=30.0).run_conversion(
        path, metadata=START, progress=False
    )
    movie, gatherer = movie_of("i2"), StatisticsGatherer()
    interface = NumpyImagingInterface(timeseries=movie, sampling_frequency=30.0)
    metadata = interface.get_metadata()
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Second"
    interface.run_conversion(
        path, append=True, in_place=in_place, metadata=metadata, observer=gatherer, progress=False
    )
    assert gatherer.statistics(DATA) is None
    check(gatherer.statistics("acquisition/Second/data"), in_file_order(movie))


def test_an_observer_without_a_file_is_refused():
    interface = NumpyImagingInterface(timeseries=movie_of("u2"), sampling_frequency=30.0)
    nwbfile = interface.create_nwbfile(metadata=START)
    with pytest.raises(ArgumentError, match="observer"):
        interface.run_conversion(nwbfile=nwbfile, observer=StatisticsGatherer())


@pytest.mark.parametrize(
    ("where", "workers"), [("begin", 2), ("add", 0), ("add", 2), ("result", 2)]
)
def test_a_fault_of_the_statistics_does_not_cost_the_file(tmp_path, monkeypatch, where, workers):
    def fail(*_, **__):
        raise MemoryError("of the test")

    name = {"begin": "__init__", "add": "add", "result": "result"}[where]
    monkeypatch.setattr(gathering.BlockGatherer, name, fail)
    movie, gatherer = movie_of("u2"), StatisticsGatherer()
    with pytest.warns(UserWarning, match=f"statistics of '{DATA}'.*MemoryError: of the test"):
        assert convert(movie, tmp_path / "a.nwb", gatherer, workers=workers) is None
    with dataset(tmp_path / "a.nwb") as data:
        np.testing.assert_array_equal(data[:], in_file_order(movie))


def test_write_nwbfile_and_the_engine_show_the_same(tmp_path):
    movie, gatherer = movie_of("u2"), StatisticsGatherer()
    interface = NumpyImagingInterface(timeseries=movie, sampling_frequency=30.0)
    nwbfile = interface.create_nwbfile(metadata=START)
    nwb_ophys.write_nwbfile(nwbfile, tmp_path / "a.nwb", observer=gatherer)
    check(gatherer.statistics(DATA), in_file_order(movie))
    assert gatherer.statistics(DATA) is gatherer.statistics(DATA)
