"""Tests of observers, which see each block of a write before it is encoded."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest
from pynwb import TimeSeries

from nwb_ophys import write_nwbfile
from nwb_ophys.errors import ArgumentError, OutputError
from nwb_ophys.storage import BackendConfiguration, WriteOptions, append_to_nwbfile

from .conftest import VALUES, Lazy, new_file, read
from .test_resuming import interrupted

DATA = "acquisition/a/data"


class Watcher:
    """Observer that puts together what it sees."""

    def __init__(self, wanted=(DATA,), fails_at=None, error=None, changes=False):
        self.begun, self.seen, self.counts, self.threads = {}, {}, {}, set()
        self.wanted, self._fails_at, self._error = wanted, fails_at, error
        self._changes = changes

    def begin(self, location, shape, chunk_shape, dtype):
        assert threading.current_thread() is threading.main_thread()
        self.begun[location] = (shape, chunk_shape, dtype)
        self.seen[location] = np.zeros(shape, dtype)
        self.counts[location] = np.zeros(shape, int)
        return location in self.wanted

    def take(self, location, selection, values):
        self.threads.add(threading.get_ident())
        if self._fails_at is not None and selection[0].start >= self._fails_at:
            raise self._error
        if self._changes:
            values[0] = 0
        self.seen[location][selection] = values
        self.counts[location][selection] += 1


def own_threads():
    return [each.name for each in threading.enumerate() if each.name.startswith("nwb-ophys")]


class Parallel(Lazy):
    reads_in_parallel = True


@pytest.mark.parametrize(("kind", "workers"), [(Lazy, 0), (Lazy, 3), (Parallel, 1), (Parallel, 3)])
@pytest.mark.parametrize("chunk", [(10, 5, 4), (7, 5, 4), (100, 2, 3), (1, 1, 1)])
def test_every_value_is_seen_once(target, backend, workers, kind, chunk):
    watcher = Watcher()
    nwbfile = new_file(a=kind(VALUES, chunk_shape=(1, 1, 1), buffer_shape=(20, 5, 4)))
    configuration = BackendConfiguration.from_nwbfile(nwbfile, backend=backend)
    configuration[DATA].chunk_shape = chunk
    given = {"backend": backend, "configuration": configuration}
    write_nwbfile(nwbfile, target, workers=workers, observer=watcher, **given)
    assert watcher.begun[DATA] == (VALUES.shape, chunk, VALUES.dtype)
    assert (watcher.counts[DATA] == 1).all()
    np.testing.assert_array_equal(watcher.seen[DATA], VALUES)
    np.testing.assert_array_equal(read(target, DATA)[0], VALUES)


def test_datasets_that_are_not_wanted_are_not_seen(target, backend):
    watcher = Watcher(wanted=("acquisition/b/data",))
    write_nwbfile(
        new_file(a=Lazy(VALUES), b=Lazy(VALUES)), target, backend=backend, observer=watcher
    )
    assert set(watcher.begun) == {DATA, "acquisition/b/data"}
    assert not watcher.counts[DATA].any()
    assert (watcher.counts["acquisition/b/data"] == 1).all()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", [Lazy, Parallel])
def test_an_error_of_an_observer_ends_the_write(target, backend, workers, kind):
    watcher = Watcher(fails_at=40, error=ZeroDivisionError("of the observer"))
    with pytest.raises(
        OutputError, match=r"acquisition/a/data', frames 4\d to .*observer"
    ) as raised:
        write_nwbfile(
            new_file(a=kind(VALUES)), target, backend=backend, workers=workers, observer=watcher
        )
    assert isinstance(raised.value, ZeroDivisionError)
    assert list(target.parent.iterdir()) == []
    assert own_threads() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupt_within_an_observer_ends_the_write(target, backend, workers):
    watcher = Watcher(fails_at=40, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_nwbfile(
            new_file(a=Parallel(VALUES)), target, backend=backend, workers=workers, observer=watcher
        )
    assert list(target.parent.iterdir()) == []
    assert own_threads() == []


def test_an_observer_cannot_change_the_data(target, backend):
    with pytest.raises(OutputError, match="read-only"):
        write_nwbfile(
            new_file(a=Lazy(VALUES)), target, backend=backend, observer=Watcher(changes=True)
        )


def test_the_file_is_the_same_with_and_without_an_observer(tmp_path):
    paths = [tmp_path / name for name in ("with.nwb", "without.nwb")]
    for path, observer in zip(paths, (Watcher(), None), strict=True):
        write_nwbfile(new_file(a=Lazy(VALUES)), path, observer=observer)
    stored = []
    for path in paths:
        with h5py.File(path) as file:
            data = file[DATA].id
            chunks = (data.get_chunk_info(index) for index in range(data.get_num_chunks()))
            stored.append([data.read_direct_chunk(each.chunk_offset) for each in chunks])
    assert stored[0] == stored[1]


def test_blocks_that_an_earlier_run_stored_are_not_seen(target, backend):
    first, second = Watcher(), Watcher()

    def write(path, observer=first, **options):
        lazy = Lazy(VALUES)
        given = {"backend": backend, "workers": 0, "observer": observer}
        write_nwbfile(new_file(a=lazy), path, **given, **options)

    interrupted(write, target)
    write(target, resume=True, observer=second)
    assert not (second.counts[DATA] == 1).all()
    assert ((first.counts[DATA] + second.counts[DATA]) >= 1).all()
    assert second.counts[DATA].max() == 1


def test_only_what_is_appended_is_seen(target, backend):
    write_nwbfile(new_file(a=Lazy(VALUES)), target, backend=backend)
    watcher = Watcher(wanted=("acquisition/b/data",))

    def add(nwbfile):
        nwbfile.add_acquisition(TimeSeries(name="b", data=Lazy(VALUES), unit="a", rate=1.0))

    options = WriteOptions(observer=watcher)
    append_to_nwbfile(target, add, options=options)
    assert set(watcher.begun) == {"acquisition/b/data"}
    assert (watcher.counts["acquisition/b/data"] == 1).all()


@pytest.mark.parametrize("observer", [1, print, object()])
def test_an_observer_has_two_methods(tmp_path, observer):
    with pytest.raises(ArgumentError, match="observer"):
        write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb", observer=observer)
    assert list(tmp_path.iterdir()) == []
