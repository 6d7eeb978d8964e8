"""Tests of interrupted writes that are resumed, and of the reasons to start again."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator

from nwb_ophys import repack, write_nwbfile
from nwb_ophys.errors import OutputError, SourceError
from nwb_ophys.formats.numpy.interface import NumpyImagingInterface
from nwb_ophys.storage import BackendConfiguration, get_backend, remove_debris, resuming
from nwb_ophys.storage.checkpoints import Checkpoints, NoSteps
from nwb_ophys.storage.journal import Entries, Journal, JournalFile
from nwb_ophys.storage.resuming import find_earlier

from .conftest import VALUES, Lazy, new_file, read

DATA = "acquisition/a/data"
SESSION = {"NWBFile": {"session_start_time": "2024-05-17T12:00:00+00:00"}}


class Calls:
    """Progress callback that interrupts the write at one of its calls."""

    def __init__(self, stop=None, error=KeyboardInterrupt):
        self.shares, self._stop, self._error = [], stop, error

    def __call__(self, progress):
        self.shares.append(progress.num_bytes / progress.total_bytes)
        if len(self.shares) == self._stop:
            raise self._error


def interrupted(write, target, stop=3):
    """Interrupt a write, which is kept."""
    with pytest.raises(KeyboardInterrupt):
        write(target, resume=True, progress=Calls(stop))
    assert len(find_earlier(target)[0]) == 1


def names_beside(target):
    return sorted(path.name for path in target.parent.iterdir())


@pytest.fixture
def target(tmp_path, backend):
    return tmp_path / {"hdf5": "a.nwb", "zarr": "a.nwb.zarr"}[backend]


@pytest.fixture
def write(backend):
    def run(target, values=VALUES, name="a", **options):
        lazy = Lazy(values)
        write_nwbfile(new_file(**{name: lazy}), target, backend=backend, workers=0, **options)
        return lazy

    return run


def starts_again(reason):
    return pytest.warns(UserWarning, match=f"is written from the start.*{reason}")


def test_only_blocks_that_are_left_are_read_and_reported(target, write):
    interrupted(write, target)
    calls = Calls()
    assert write(target, resume=True, progress=calls).reads == 2
    assert calls.shares == [0.8, 1.0]
    assert np.array_equal(read(target, DATA)[0], VALUES)
    assert names_beside(target) == [target.name]


def test_a_write_may_be_interrupted_many_times(target, write):
    for _ in range(3):
        interrupted(write, target, stop=1)
    assert write(target, resume=True).reads == 2
    assert np.array_equal(read(target, DATA)[0], VALUES)


def test_an_interrupt_before_the_first_block_keeps_the_earlier_part(target, write, monkeypatch):
    interrupted(write, target)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(resuming, "_restore", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(target, resume=True)
    assert write(target, resume=True).reads == 2


def test_other_threads_and_another_buffer_resume_too(target, write, backend):
    interrupted(write, target)
    configuration = BackendConfiguration(backend=backend, buffer_gb=0.1)
    lazy = Lazy(VALUES, buffer_shape=(50, 5, 4))
    nwbfile = new_file(a=lazy)
    write_nwbfile(nwbfile, target, backend=backend, configuration=configuration, resume=True)
    assert np.array_equal(read(target, DATA)[0], VALUES)
    assert names_beside(target) == [target.name]


def test_without_resume_nothing_is_left_after_an_interrupt(target, write):
    with pytest.raises(KeyboardInterrupt):
        write(target, progress=Calls(3))
    assert names_beside(target) == []


def test_without_resume_the_user_learns_of_the_incomplete_file(target, write):
    interrupted(write, target)
    with pytest.warns(UserWarning, match="60 % of .* from which resume=True would go on"):
        assert write(target).reads == 5
    assert names_beside(target) == [target.name]


def test_an_error_of_the_source_keeps_what_is_written(target, backend):
    lazy = Lazy(VALUES, fails_at=60, error=OSError("gone"))
    with pytest.raises(SourceError), pytest.warns(UserWarning, match="is kept; run this again"):
        write_nwbfile(new_file(a=lazy), target, backend=backend, workers=0, resume=True)
    lazy = Lazy(VALUES)
    write_nwbfile(new_file(a=lazy), target, backend=backend, workers=0, resume=True)
    assert lazy.reads == 2


def test_an_error_of_the_disk_keeps_nothing(target, write):
    with pytest.raises(OutputError):
        write(target, resume=True, progress=Calls(3, OutputError("full")))
    assert names_beside(target) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values": VALUES + 1}, "the contents of 'acquisition/a/data' was"),
        ({"values": VALUES[:-1]}, "contents of 'acquisition/a/data' was .100, 5, 4"),
        ({"name": "b"}, "'acquisition/b"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_data_start_again(change, reason, target, write):
    interrupted(write, target)
    with starts_again(reason):
        assert write(target, resume=True, **change).reads == 5
    assert names_beside(target) == [target.name]


def test_another_compression_starts_again(target, write, backend):
    interrupted(write, target)
    configuration = BackendConfiguration(backend=backend, compression="gzip:9")
    with starts_again("dataset 'acquisition/a/data' was .* and is .*gzip:9.* now"):
        assert write(target, resume=True, configuration=configuration).reads == 5


def test_other_metadata_start_again_and_name_both_values(target, write, backend):
    interrupted(write, target)
    nwbfile = new_file(a=Lazy(VALUES))
    nwbfile.session_id = "second"
    with starts_again("'general/session_id' was absent then and is 'second' now"):
        write_nwbfile(nwbfile, target, backend=backend, resume=True)


@pytest.mark.parametrize("data", ["once", "unknown"])
def test_data_that_cannot_be_compared_start_again(data, target, write, backend):
    class Unknown(GenericDataChunkIterator):
        def _get_maxshape(self):
            return VALUES.shape

        def _get_dtype(self):
            return VALUES.dtype

        def _get_data(self, selection):
            return VALUES[selection]

    interrupted(write, target)
    once = DataChunkIterator(data=iter(VALUES), maxshape=VALUES.shape, dtype=VALUES.dtype)
    unknown = Unknown(chunk_shape=(10, 5, 4), buffer_shape=(20, 5, 4))
    reason = {"once": "yields its data once", "unknown": "whose files are not known"}[data]
    nwbfile = new_file(a=once if data == "once" else unknown)
    with starts_again(reason):
        write_nwbfile(nwbfile, target, backend=backend, resume=True)
    assert np.array_equal(read(target, DATA)[0], VALUES)


def test_a_file_without_its_contents_starts_again(target, write):
    interrupted(write, target)
    ((earlier,), _) = find_earlier(target)
    if earlier.partial.is_dir():
        for file in earlier.partial.rglob(".z*"):
            file.unlink()
    else:
        with earlier.partial.open("r+b") as file:
            file.truncate(100)
    for undo in target.parent.glob(".*.undo"):
        undo.unlink()
    with starts_again("its incomplete file is damaged|its journal is incomplete"):
        write(target, resume=True)
    assert names_beside(target) == [target.name]


def test_a_torn_line_ends_the_journal(target, write):
    interrupted(write, target)
    ((earlier,), _) = find_earlier(target)
    path = earlier.journal.path
    text = path.read_bytes()
    for length in range(1, len(text), 101):
        path.write_bytes(text[:length])
        assert Journal.read(path) is None
    path.write_bytes(text + text[: len(text) // 3])
    found = Journal.read(path)
    assert found is not None
    assert found.length == len(text)
    write(target, resume=True)
    assert np.array_equal(read(target, DATA)[0], VALUES)


def test_chunks_of_another_size_are_written_again(target, write, backend):
    """The journal states the stored bytes of each chunk."""
    interrupted(write, target)
    ((earlier,), _) = find_earlier(target)
    if backend == "zarr":
        chunk = earlier.partial / DATA / "0.0.0"
        chunk.write_bytes(chunk.read_bytes()[:-1])
        assert write(target, resume=True).reads == 3
    else:
        write(target, resume=True)
    assert np.array_equal(read(target, DATA)[0], VALUES)


def test_the_times_and_identifiers_are_those_of_the_first_run(target, write):
    interrupted(write, target)
    ((earlier,), _) = find_earlier(target)
    before = read(earlier.partial, "file_create_date")[0].tolist()
    write(target, resume=True)
    assert read(target, "file_create_date")[0].tolist() == before


def test_an_existing_file_stays_until_the_resumed_one_is_complete(target, write):
    write(target, values=VALUES + 5)

    def replace(target, **options):
        return write(target, overwrite=True, **options)

    interrupted(replace, target)
    assert np.array_equal(read(target, DATA)[0], VALUES + 5)
    assert replace(target, resume=True).reads == 2
    assert np.array_equal(read(target, DATA)[0], VALUES)
    assert names_beside(target) == [target.name]


def test_a_repack_is_resumed(target, backend, tmp_path):
    values = np.random.default_rng(0).integers(0, 999, (400, 32, 32)).astype(np.uint16)
    chunks = BackendConfiguration(chunk_mb=0.02)
    write_nwbfile(new_file(a=values), tmp_path / "source.nwb", configuration=chunks)
    small = BackendConfiguration(
        backend=backend, chunk_mb=0.02, buffer_gb=0.0008, compression="gzip:1"
    )

    def run(target, **options):
        repack(tmp_path / "source.nwb", target, configuration=small, workers=0, **options)

    interrupted(run, target, stop=6)
    calls = Calls()
    run(target, resume=True, progress=calls)
    assert calls.shares[0] > 0.2
    assert np.array_equal(read(target, DATA)[0], values)
    assert names_beside(target) == [target.name, "source.nwb"]


@pytest.mark.parametrize("change", ["touched", "options", "nothing"])
def test_conversions_compare_files_and_options(change, target, backend, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    movie = np.random.default_rng(0).integers(0, 99, (400, 32, 32)).astype(np.uint16)
    np.save(folder / "movie.npy", movie)
    small = BackendConfiguration(backend=backend, chunk_mb=0.02, buffer_gb=0.0008)

    def run(target, **options):
        interface = NumpyImagingInterface(timeseries=folder / "movie.npy", sampling_frequency=30.0)
        given = {"metadata": SESSION, "workers": 0, "backend": backend, **options}
        interface.run_conversion(target, configuration=small, **given)

    interrupted(run, target, stop=4)
    if change == "nothing":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(target, resume=True, progress=None)
        return
    if change == "touched":
        os.utime(folder / "movie.npy", ns=(5, 5))
    reason = {"touched": "movie.npy' was .* bytes of", "options": "the option 'stub"}[change]
    with starts_again(reason), contextlib.suppress(KeyboardInterrupt):
        given = {"stub": 300} if change == "options" else {}
        run(target, resume=True, progress=None, **given)
    assert names_beside(target) == [target.name, "raw"]


def test_clean_removes_an_incomplete_file_with_its_journal(target, write):
    interrupted(write, target)
    removed = remove_debris(target.parent)
    assert all(each.is_removed for each in removed)
    assert names_beside(target) == []


def test_a_journal_without_its_file_is_removed(target, write):
    interrupted(write, target)
    ((earlier,), _) = find_earlier(target)
    text = earlier.journal.path.read_bytes()
    earlier.remove()
    earlier.journal.path.write_bytes(text)
    assert write(target, resume=True).reads == 5
    assert names_beside(target) == [target.name]


def test_a_former_folder_is_not_taken_for_the_incomplete_one(target, write, backend, monkeypatch):
    """A kill right after the exchange of two folders leaves the former one, and the journal."""
    write(target, values=VALUES + 5)

    def replace(target, **options):
        return write(target, overwrite=True, **options)

    interrupted(replace, target)
    ((earlier,), _) = find_earlier(target)
    partial = earlier.partial
    if backend == "hdf5":  # files are not exchanged
        return
    aside = partial.with_name("aside")
    partial.rename(aside)
    target.rename(partial)
    aside.rename(target)
    assert find_earlier(target)[0] == []
    assert names_beside(target) == [target.name]


def test_files_that_a_killed_writer_of_a_store_left_are_no_strangers(tmp_path):
    (tmp_path / "a").mkdir()
    unique = "0" * 32
    for name in (".zattrs", f"a/.zarray.{unique}.partial", f"a/0.0.{unique}.partial"):
        (tmp_path / name).write_text("{}")
    assert list(get_backend("zarr").strangers(tmp_path)) == []


def test_a_write_goes_on_where_a_network_file_system_loses_its_journal(tmp_path, monkeypatch):
    """Fault: the thread ended with a traceback, and the write with "Bad file descriptor"."""

    class Stale(NoSteps):
        def flush(self):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def refuse(*_, **__):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    index = np.arange(1)
    entries = Entries(
        index=index,
        size=index + 4,
        checksum=index.astype(np.uint64),
        digest=np.zeros((1, 16), np.uint8),
    )
    dataset = SimpleNamespace(location="a", take=lambda: entries, stop_recording=lambda: None)
    journal = JournalFile(tmp_path / "a.resume")
    journal.create({}, {})
    closed = os.close

    def close_and_refuse(handle):
        closed(handle)
        refuse()

    checkpoints = Checkpoints(journal, dict, Stale(), [dataset], number=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close_and_refuse)
        patch.setattr(Path, "unlink", refuse)
        assert checkpoints._commit_safely() == 0.0
    assert checkpoints.close(is_kept=False, is_complete=True) is False
