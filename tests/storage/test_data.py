"""Tests of how the data of any ``NWBFile`` is stored, and of the progress that is reported."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys

import h5py
import numpy as np
import pynwb
import pytest
import zarr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk, DataChunkIterator
from hdmf_zarr import ZarrDataIO
from numcodecs import Delta, GZip, Zstd
from pynwb.base import Images
from pynwb.image import GrayscaleImage

import nwb_ophys
from nwb_ophys.errors import OutputError, SourceError
from nwb_ophys.storage import (
    BackendConfiguration,
    ProgressBar,
    WriteOptions,
    WriteProgress,
    append_to_nwbfile,
    create_nwbfile,
)

from .conftest import VALUES, Lazy, new_file, read


class Sequential(AbstractDataChunkIterator):
    """Iterator of a user, without random access."""

    def __init__(self, values):
        self.values = values
        self.blocks = iter(range(0, len(values), 30))

    def __iter__(self):
        return self

    def __next__(self):
        start = next(self.blocks)
        selection = np.s_[start : min(start + 30, len(self.values)), 0:5, 0:4]
        return DataChunk(data=self.values[selection], selection=selection)

    def recommended_chunk_shape(self):
        return (30, *self.values.shape[1:])

    def recommended_data_shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    @property
    def maxshape(self):
        return self.values.shape


# --- chunks and compression ---------------------------------------------------------------------


def test_hdf5_stores_as_the_wrapper_says(tmp_path):
    wrapped = {
        "gzip": H5DataIO(Lazy(VALUES), compression="gzip", compression_opts=7, shuffle=True),
        "checked": H5DataIO(Lazy(VALUES), fletcher32=True, maxshape=(None, 5, 4)),
        "chunked": H5DataIO(Lazy(VALUES), compression="gzip", chunks=(50, 5, 2)),
        "array": H5DataIO(VALUES, compression="gzip", chunks=(7, 5, 4), maxshape=(None, 5, 4)),
        "bare": Lazy(VALUES),
    }
    path = create_nwbfile(new_file(**wrapped), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        stored = {name: file[f"acquisition/{name}/data"] for name in wrapped}
        for dataset in stored.values():
            np.testing.assert_array_equal(dataset[:], VALUES)
        assert stored["gzip"].compression == "gzip"
        assert stored["gzip"].compression_opts == 7
        assert stored["gzip"].shuffle
        assert stored["gzip"].chunks == (10, 5, 4)
        assert stored["gzip"].maxshape == VALUES.shape
        assert stored["checked"].fletcher32
        assert stored["checked"].maxshape == (None, 5, 4)
        assert stored["checked"].compression is None
        assert stored["chunked"].chunks == (50, 5, 2)
        assert stored["array"].chunks == (7, 5, 4)
        assert stored["array"].maxshape == (None, 5, 4)
        assert stored["bare"].chunks == (10, 5, 4)


def test_a_compression_that_was_warned_of_is_not_warned_of_again(tmp_path):
    with pytest.warns(UserWarning, match="lzf compression may not be available"):
        wrapped = H5DataIO(Lazy(VALUES), compression="lzf")
    path = create_nwbfile(new_file(a=wrapped), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        assert file["acquisition/a/data"].compression == "lzf"


def test_zarr_stores_what_was_wrapped_for_either_backend(tmp_path):
    wrapped = {
        "h5": H5DataIO(Lazy(VALUES), compression="gzip", chunks=(50, 5, 2)),
        "h5array": H5DataIO(VALUES, compression="gzip", chunks=(7, 5, 4)),
        "unchunked": H5DataIO(VALUES, compression="gzip"),
        "zarr": ZarrDataIO(Lazy(VALUES), chunks=(25, 5, 4), compressor=GZip(3)),
        "none": ZarrDataIO(Lazy(VALUES), compressor=False),
        "bare": Lazy(VALUES),
    }
    nwbfile = new_file(**wrapped)
    for name in ("a", "b"):
        path = create_nwbfile(nwbfile, tmp_path / f"{name}.zarr", backend="zarr")
        stored = zarr.open(str(path), mode="r")["acquisition"]
        for series in wrapped:
            np.testing.assert_array_equal(stored[series]["data"][:], VALUES)
        assert stored["h5/data"].chunks == (50, 5, 2)
        assert stored["h5/data"].compressor is not None
        assert stored["h5array/data"].chunks == (7, 5, 4)
        assert stored["zarr/data"].chunks == (25, 5, 4)
        assert stored["zarr/data"].compressor == GZip(3)
        assert stored["none/data"].compressor is None
        assert stored["bare/data"].chunks == (10, 5, 4)


def test_what_was_wrapped_for_zarr_is_written_to_hdf5_too(tmp_path):
    nwbfile = new_file(a=ZarrDataIO(Lazy(VALUES)), b=ZarrDataIO(VALUES))
    path = create_nwbfile(nwbfile, tmp_path / "a.nwb")
    for name in ("a", "b"):
        assert read(path, f"acquisition/{name}/data")[0].tolist() == VALUES.tolist()


def test_hdf5_stores_as_zarr_was_asked_to_where_it_can(tmp_path):
    given = {
        "gzip": ZarrDataIO(Lazy(VALUES), chunks=(25, 5, 4), compressor=GZip(3)),
        "none": ZarrDataIO(Lazy(VALUES), compressor=False),
    }
    path = create_nwbfile(new_file(**given), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        stored = {name: file[f"acquisition/{name}/data"] for name in given}
        assert stored["gzip"].chunks == (25, 5, 4)
        assert (stored["gzip"].compression, stored["gzip"].compression_opts) == ("gzip", 3)
        assert stored["none"].compression is None


@pytest.mark.parametrize(
    ("other", "wrap", "asked"),
    [
        ("hdf5", lambda data: ZarrDataIO(data, compressor=Zstd(3)), "Zstd(level=3)"),
        ("hdf5", lambda data: ZarrDataIO(data, filters=[Delta("i2")]), "Delta"),
        ("zarr", lambda data: H5DataIO(data, compression="gzip", fletcher32=True), "fletcher32"),
    ],
)
def test_what_only_the_other_backend_has_is_told_of(tmp_path, other, wrap, asked):
    """Filters that a backend lacks are not dropped silently."""
    for data in (Lazy(VALUES), VALUES):
        nwbfile = new_file(a=wrap(data))
        with pytest.warns(UserWarning, match=f"a/data' comes in .*{re.escape(asked)}.*'{other}'"):
            create_nwbfile(nwbfile, tmp_path / "a", backend=other, overwrite=True)
        chosen = BackendConfiguration(backend=other, compression="gzip:2")
        options = WriteOptions(configuration=chosen)
        create_nwbfile(
            nwbfile, tmp_path / "a", backend=other, overwrite=True, options=options
        )  # without a warning, which would be an error


# --- any NWBFile --------------------------------------------------------------------------------


def test_a_file_of_plain_pynwb_is_written_whole(target, backend):
    nwbfile = new_file(
        lazy=Lazy(VALUES),
        wrapped=H5DataIO(Lazy(VALUES), compression="gzip"),
        generator=DataChunkIterator(data=(frame for frame in VALUES), buffer_size=7),
        iterated=DataChunkIterator(data=VALUES, buffer_size=7),
        across=DataChunkIterator(data=VALUES, buffer_size=2, iter_axis=1),
        sequential=Sequential(VALUES),
        wrapped_generator=H5DataIO(DataChunkIterator(data=iter(VALUES)), compression="gzip"),
        array=VALUES,
        listed=VALUES.tolist(),
        empty=np.zeros((0, 3)),
    )
    names = set(nwbfile.acquisition) - {"empty"}
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="linked", data=nwbfile.acquisition["lazy"], unit="a", rate=1.0)
    )
    times = H5DataIO(np.arange(100) / 7, compression="gzip")
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="texts", data=["ä", "b", "c d"], unit="a", timestamps=[0.0, 1.0, 4.0])
    )
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="timed", data=Lazy(VALUES), unit="a", timestamps=times)
    )
    image = GrayscaleImage(name="image", data=H5DataIO(VALUES[0].astype(float), compression="gzip"))
    lazy_image = GrayscaleImage(
        name="lazy", data=Lazy(VALUES[:, 0] * 1.0, buffer_shape=(50, 4), chunk_shape=(50, 4))
    )
    nwbfile.add_acquisition(Images(name="images", images=[image, lazy_image]))
    nwbfile.add_trial_column("word", "w")
    nwbfile.add_trial(start_time=0.0, stop_time=1.5, word="go")
    path = nwb_ophys.write_nwbfile(nwbfile, target, backend=backend)
    # A link is a dataset to h5py, and no more than a note to zarr.
    for name in (*names, "timed", *(["linked"] if backend == "hdf5" else [])):
        assert read(path, f"acquisition/{name}/data")[0].tolist() == VALUES.tolist(), name
    texts = [
        t.decode() if isinstance(t, bytes) else t for t in read(path, "acquisition/texts/data")[0]
    ]
    assert texts == ["ä", "b", "c d"]
    assert read(path, "acquisition/empty/data")[0].shape == (0, 3)
    np.testing.assert_array_equal(read(path, "acquisition/timed/timestamps")[0], np.arange(100) / 7)
    np.testing.assert_array_equal(read(path, "acquisition/images/image")[0], VALUES[0])
    np.testing.assert_array_equal(read(path, "acquisition/images/lazy")[0], VALUES[:, 0])
    assert read(path, "intervals/trials/stop_time")[0].tolist() == [1.5]


@pytest.mark.parametrize(
    "data", [VALUES, VALUES.tolist(), tuple(VALUES)], ids=["array", "list", "tuple"]
)
def test_an_iterator_over_a_sequence_is_written_whole_each_time(target, backend, data):
    nwbfile = new_file(a=DataChunkIterator(data=data, buffer_size=30))
    for number in range(2):
        path = create_nwbfile(nwbfile, f"{target}{number}", backend=backend)
        assert read(path, "acquisition/a/data")[0].tolist() == VALUES.tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataChunkIterator(data=(frame for frame in VALUES), buffer_size=30),
        lambda: H5DataIO(DataChunkIterator(data=iter(VALUES), buffer_size=30)),
        lambda: Sequential(VALUES),
    ],
    ids=["generator", "wrapped", "own"],
)
def test_data_that_are_given_once_are_not_written_a_second_time_as_zeros(tmp_path, backend, make):
    nwbfile = new_file(a=make())
    path = create_nwbfile(nwbfile, tmp_path / "a", backend=backend)
    assert read(path, "acquisition/a/data")[0].tolist() == VALUES.tolist()
    with pytest.raises(
        OutputError, match="data of 'acquisition/a/data' come from an iterator that yields them"
    ):
        create_nwbfile(nwbfile, tmp_path / "b", backend=backend)
    assert not (tmp_path / "b").exists()


def test_an_iterator_that_pynwb_has_used_up_is_refused(tmp_path):
    iterator = DataChunkIterator(data=iter(VALUES), buffer_size=30)
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as file:
        file.write(new_file(a=iterator))
    with pytest.raises(OutputError, match="yields them once"):
        create_nwbfile(new_file(a=iterator), tmp_path / "b.nwb")


def test_a_block_of_another_shape_is_an_error_and_not_repeated(target, backend):
    """HDF5 and Zarr would repeat one frame over the whole block."""
    lazy = Lazy(VALUES)
    whole = lazy._get_data
    for wrong in (lambda block: block[:1], lambda block: block[0], lambda block: block[..., :2]):
        lazy._get_data = lambda selection, wrong=wrong: wrong(whole(selection))
        with pytest.raises(SourceError, match=r"Lazy gave an array of shape .* must be \(20, 5, 4"):
            create_nwbfile(new_file(a=lazy), target, backend=backend)
        assert not target.exists()


@pytest.mark.parametrize("buffer_shape", [(7, 5, 4), (12, 2, 2), (5, 3, 4), (12, 5, 4)])
def test_blocks_that_do_not_divide_the_data_cover_them(target, backend, buffer_shape):
    lazy = Lazy(VALUES[:12], buffer_shape=buffer_shape, chunk_shape=(1, 1, 2))
    create_nwbfile(new_file(a=lazy), target, backend=backend)
    assert read(target, "acquisition/a/data")[0].tolist() == VALUES[:12].tolist()


# --- progress -----------------------------------------------------------------------------------


def test_progress_counts_the_bytes_of_all_lazy_data(target, backend):
    told: list[WriteProgress] = []
    nwbfile = new_file(
        first=Lazy(VALUES),
        second=H5DataIO(Lazy(VALUES[:50]), compression="gzip"),
        plain=VALUES,
        sequential=Sequential(VALUES),
    )
    create_nwbfile(nwbfile, target, backend=backend, options=WriteOptions(progress=told.append))
    total = VALUES.nbytes + VALUES[:50].nbytes
    assert {one.total_bytes for one in told} == {total}
    counts = [one.num_bytes for one in told]
    assert counts == sorted(set(counts))
    assert counts[-1] == total
    assert len(told) == 5 + 3
    for location, num_frames in (("acquisition/first/data", 100), ("acquisition/second/data", 50)):
        frames = [one.frames for one in told if one.location == location]
        assert frames == sorted(frames)
        assert frames[-1] == num_frames
        assert {one.num_frames for one in told if one.location == location} == {num_frames}


def test_progress_of_appending_is_of_what_is_added(target, backend):
    create_nwbfile(new_file(old=Lazy(VALUES)), target, backend=backend)
    told: list[WriteProgress] = []

    def add(nwbfile):
        nwbfile.add_acquisition(
            pynwb.TimeSeries(name="new", data=Lazy(VALUES[:40]), unit="a", rate=1.0)
        )

    append_to_nwbfile(target, add, options=WriteOptions(progress=told.append))
    assert [(one.frames, one.num_bytes, one.total_bytes) for one in told] == [
        (20, 800, 1600),
        (40, 1600, 1600),
    ]


def test_progress_is_told_after_the_block_is_read(tmp_path):
    lazy = Lazy(VALUES)
    reads = []
    create_nwbfile(
        new_file(a=lazy),
        tmp_path / "a.nwb",
        options=WriteOptions(workers=0, progress=lambda _: reads.append(lazy.reads)),
    )
    assert reads == [1, 2, 3, 4, 5]


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_there_is_no_bar_without_stderr(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar() as bar:
        create_nwbfile(
            new_file(a=Lazy(VALUES)), tmp_path / "a.nwb", options=WriteOptions(progress=bar)
        )


@pytest.mark.parametrize(("stream", "shown"), [(io.StringIO, False), (_Terminal, True)])
def test_a_bar_is_shown_on_a_terminal_only(tmp_path, monkeypatch, stream, shown, capsys):
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    with ProgressBar() as bar:
        create_nwbfile(
            new_file(a=Lazy(VALUES)), tmp_path / "a.nwb", options=WriteOptions(progress=bar)
        )
    assert bool(stderr.getvalue()) is shown
    assert capsys.readouterr() == ("", "")


# --- interruption -------------------------------------------------------------------------------

_LONG_WRITE = """
import sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
from conftest import Lazy, new_file
from nwb_ophys.storage import WriteOptions, create_nwbfile

def tell(progress):
    print(progress.frames, flush=True)
    time.sleep(0.05)

values = np.zeros((100_000, 5, 4), np.int16)
options = WriteOptions(progress=tell)
create_nwbfile(new_file(a=Lazy(values)), sys.argv[2], backend=sys.argv[3], options=options)
"""


def test_an_interrupted_process_leaves_nothing_behind(target, backend):
    arguments = [os.path.dirname(__file__), str(target), backend]  # noqa: PTH120
    with subprocess.Popen(
        [sys.executable, "-c", _LONG_WRITE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().strip() == "20"
        assert any("partial" in path.name for path in target.parent.iterdir())
        assert not target.exists()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert list(target.parent.iterdir()) == []
