"""Tests of data from users: wrapped, memory-mapped, of another dtype than stated, or of records."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.common import DynamicTable, VectorData, VectorIndex
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator
from pynwb import NWBHDF5IO, TimeSeries

from nwb_ophys import BackendConfiguration, DatasetConfiguration, repack, write_nwbfile
from nwb_ophys.errors import (
    ArgumentError,
    DiskError,
    MemoryLimitError,
    OutputBusyError,
    OutputError,
    OutputExistsError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.storage import WriteOptions, append_to_nwbfile, get_backend
from nwb_ophys.storage.backends.hdf5 import Hdf5Source
from nwb_ophys.storage.disk_errors import disk_errors
from nwb_ophys.tools import add_plane_segmentation

from .conftest import new_file

DATA = "acquisition/a/data"
MASKS = "processing/ophys/ImageSegmentation/PlaneSegmentation/image_mask"


class Lazy(GenericDataChunkIterator):
    """Array that states a dtype of its choice."""

    reads_in_parallel = False

    def __init__(self, values, dtype=None, before_reading=None, **options):
        self.values, self.stated = values, dtype or values.dtype
        self.before_reading = before_reading or (lambda: None)
        super().__init__(**options)

    def _get_data(self, selection):
        self.before_reading()
        return self.values[selection]

    def _get_maxshape(self):
        return self.values.shape

    def _get_dtype(self):
        return np.dtype(self.stated)


def stored(path, location):
    """Return values as h5py or zarr reads them."""
    if Path(path).is_dir():
        return zarr.open(str(path), mode="r")[location][...]
    with h5py.File(path) as file:
        return file[location][...]


# --- dtypes -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::hdmf.build.warnings.DtypeConversionWarning")
@pytest.mark.parametrize("preset", ["gzip", "gzip:9", "none", "blosc", "zstd"])
@pytest.mark.parametrize("kind", ["f4", "i4"])
def test_timestamps_that_the_schema_widens(tmp_path, backend, preset, kind):
    """Data is float64 in the file: the shuffle filter must not use a narrower given dtype."""
    times = np.arange(50_000).astype(kind)
    for number, given in enumerate((H5DataIO(times), Lazy(times))):
        nwbfile = new_file()
        series = TimeSeries(name="a", data=np.arange(50_000.0), unit="V", timestamps=given)
        nwbfile.add_acquisition(series)
        path = write_nwbfile(
            nwbfile,
            tmp_path / f"{number}{'.nwb' if backend == 'hdf5' else '.zarr'}",
            backend=backend,
            configuration=BackendConfiguration(backend=backend, compression=preset),
            verify=True,
        )
        found = stored(path, "acquisition/a/timestamps")
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, times)


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        (np.array([1.0, 2.5]), "i2"),
        (np.array([1.0, np.nan]), "i2"),
        (np.array([1, 70_000]), "u2"),
        (np.array([-1, 7], "i2"), "u2"),
        (np.array([1e300, 0.0]), "f4"),
    ],
)
def test_values_that_do_not_fit_the_stated_dtype_are_refused(tmp_path, backend, values, stated):
    with pytest.raises(SourceError, match=f"'{DATA}'.*that do not fit into"):
        write_nwbfile(new_file(a=Lazy(values, stated)), tmp_path / "a.nwb", backend=backend)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        (np.array([1.0, 2.0]), "i2"),
        (np.array([1, 255]), "u1"),
        (np.array([0.1, np.nan, np.inf]), "f4"),
        (np.array([1, 2], "u1"), "i8"),
    ],
)
def test_values_that_fit_are_stored_as_stated(tmp_path, values, stated):
    path = write_nwbfile(new_file(a=Lazy(values, stated)), tmp_path / "a.nwb")
    found = stored(path, DATA)
    assert found.dtype == np.dtype(stated)
    np.testing.assert_array_equal(found, values.astype(stated))


# --- wrappers -----------------------------------------------------------------------------------


def masks_with(**options):
    rng = np.random.default_rng(0)
    masks = np.zeros((200, 150, 4), np.float32)  # tiles of 128 do not divide it
    for roi in range(4):
        masks[roi * 40 : roi * 40 + 9, 20:31, roi] = rng.random((9, 11))
    extractor = ArraySegmentationExtractor(masks, {}, 30.0)
    nwbfile = new_file()
    add_plane_segmentation(extractor, nwbfile, None, compression_options=options)
    return nwbfile, np.moveaxis(masks, (0, 1, 2), (2, 1, 0))


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "fillvalue": -1},
        {"compression": "lzf"},
        {"compression": "gzip", "fletcher32": True},
        {"compression": "gzip", "compression_opts": 0},
    ],
)
@pytest.mark.filterwarnings("ignore:lzf compression", "ignore:.*comes in H5DataIO with:UserWarning")
def test_sparse_masks_whatever_they_are_wrapped_in(tmp_path, backend, options):
    nwbfile, expected = masks_with(**options)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", backend=backend)
    np.testing.assert_array_equal(stored(path, MASKS), expected)


def test_links_to_datasets_stay_links(tmp_path):
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = np.arange(100_000)
    with h5py.File(tmp_path / "source.h5") as file:
        given = H5DataIO(file["x"], link_data=True)
        path = write_nwbfile(new_file(a=given), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        link = file["acquisition/a"].get("data", getlink=True)
        assert isinstance(link, h5py.ExternalLink)
        np.testing.assert_array_equal(file[DATA][:], np.arange(100_000))


def test_empty_datasets_to_be_filled_later(tmp_path):
    given = H5DataIO(shape=(5,), dtype=np.dtype("i4"), maxshape=(None,))
    path = write_nwbfile(new_file(a=given), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        assert (file[DATA].shape, file[DATA].maxshape) == ((5,), (None,))


def test_a_dataset_that_may_grow(tmp_path):
    """Chunks of a growable dataset may be larger than the dataset; the rest is the fill value."""
    values = np.ones(250)
    given = H5DataIO(values, maxshape=(None,), chunks=(100,), fillvalue=np.nan)
    small = H5DataIO(values[:10], maxshape=(None,), chunks=(1000,))
    nwbfile = new_file(a=given, b=small)
    again = BackendConfiguration.from_dict(BackendConfiguration.from_nwbfile(nwbfile).to_dict())
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", configuration=again)
    with h5py.File(path, "r+") as file:
        file[DATA].resize((400,))
        assert np.isnan(file[DATA][250:]).all()
        assert (file[DATA][:250] == 1).all()
        assert file["acquisition/b/data"].chunks == (1000,)
        np.testing.assert_array_equal(file["acquisition/b/data"][:], values[:10])


def test_the_fill_value_of_a_wrapper_is_that_in_zarr(tmp_path):
    given = H5DataIO(np.zeros(100), fillvalue=-1.0, chunks=(60,))
    path = write_nwbfile(new_file(a=given), tmp_path / "a.zarr", backend="zarr")
    array = zarr.open(str(path), mode="r")[DATA]
    assert array.fill_value == -1.0
    np.testing.assert_array_equal(array[:], np.zeros(100))


@pytest.mark.parametrize(
    "wrapped", [{"maxshape": (None,)}, {"compression": "gzip", "compression_opts": 4}, {}]
)
def test_what_is_stated_for_the_file_comes_before_what_wrappers_say(tmp_path, wrapped):
    given = H5DataIO(np.arange(200_000.0), chunks=(1000,), **wrapped)
    configuration = BackendConfiguration(compression="gzip:9", chunk_mb=0.08)
    path = write_nwbfile(new_file(a=given), tmp_path / "a.nwb", configuration=configuration)
    with h5py.File(path) as file:
        dataset = file[DATA]
        assert (dataset.compression_opts, dataset.chunks) == (9, (10_000,))


# --- memory maps --------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["readonly", "broadcast"])
def test_a_map_that_was_changed_in_memory_keeps_the_changes(tmp_path, view):
    np.full((400, 100, 100), 3, "u1").tofile(tmp_path / "movie.raw")
    mapped = np.memmap(tmp_path / "movie.raw", "u1", mode="c", shape=(400, 100, 100))
    mapped[:] = 7
    given = mapped[...] if view == "readonly" else np.broadcast_to(mapped, mapped.shape)
    given.flags.writeable = False
    path = write_nwbfile(new_file(a=Lazy(given, buffer_gb=0.001)), tmp_path / "a.nwb")
    assert (mapped == 7).all()
    assert (stored(path, DATA) == 7).all()


# --- records ------------------------------------------------------------------------------------

PIXELS = "processing/ophys/ImageSegmentation/PlaneSegmentation/pixel_mask"


def with_records(values):
    nwbfile = new_file()
    extractor = ArraySegmentationExtractor(np.ones((3, 3, 2), np.float32), {}, 30.0)
    add_plane_segmentation(extractor, nwbfile, None, mask_type="pixel")
    (table,) = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations.values()
    ends = np.array([len(values) // 2, len(values)], np.uint64)
    for column in table.columns:
        data = {"pixel_mask": values, "pixel_mask_index": ends}.get(column.name)
        if data is not None:
            assert isinstance(column, VectorData | VectorIndex)
            column._Data__data = data
    return nwbfile


@pytest.mark.parametrize("count", [10, 10_000])  # less and more than hdmf is left with
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        [("x", "i8"), ("y", "i8"), ("weight", "f8")],
        [("column", "u4"), ("row", "u4"), ("w", "f4")],
        [("weight", "f4"), ("y", "u4"), ("x", "u4")],
    ],
)
def test_records_have_the_fields_of_the_schema(tmp_path, count, wrapped, fields):
    values = np.zeros(count, fields)
    names = ["x", "y", "weight"] if fields[0][0] != "column" else [name for name, _ in fields]
    values[names[0]], values[names[1]], values[names[2]] = 1, 2, 3.5
    given = H5DataIO(values, compression="gzip") if wrapped else values
    path = write_nwbfile(with_records(given), tmp_path / "a.nwb")
    found = stored(path, PIXELS)
    assert found.dtype.names == ("x", "y", "weight")
    assert found.dtype["x"] == found.dtype["y"] == np.uint32
    assert found[-1].tolist() == (1, 2, 3.5)
    with NWBHDF5IO(path, "r") as io:
        table = io.read().processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        assert len(table["pixel_mask"][1]) == count // 2


@pytest.mark.parametrize(
    ("fields", "value", "words"),
    [
        ([("x", "i8"), ("y", "i8"), ("weight", "f8")], (-1, 2, 1.0), "do not fit"),
        ([("x", "u4"), ("y", "u4")], (1, 2), "must be x, y, weight"),
    ],
)
def test_records_that_do_not_fit_the_schema_are_refused(tmp_path, fields, value, words):
    nwbfile = with_records(np.array([value] * 10, fields))
    with pytest.raises(ArgumentError, match=words):
        write_nwbfile(nwbfile, tmp_path / "a.nwb")
    assert list(tmp_path.iterdir()) == []


# --- others at the same file --------------------------------------------------------------------


def test_a_file_that_another_process_wrote_meanwhile_is_left_alone(tmp_path, backend):
    target = tmp_path / "a.nwb"

    def meanwhile():
        if not target.exists():
            target.mkdir() if backend == "zarr" else None
            (target / "x" if backend == "zarr" else target).write_text("another's")

    lazy = Lazy(np.arange(100), before_reading=meanwhile)
    with pytest.raises(OutputExistsError, match="written by another process meanwhile"):
        write_nwbfile(new_file(a=lazy), target, backend=backend)
    assert (target / "x" if backend == "zarr" else target).read_text() == "another's"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="locks of files on Windows have no sharing")
def test_a_file_that_another_program_has_open_for_writing(tmp_path):
    """Fault: the file was replaced by its copy, and what the program wrote later was lost."""
    path = write_nwbfile(new_file(a=np.arange(9)), tmp_path / "a.nwb")
    series = TimeSeries(name="b", data=[1.0], unit="a", rate=1.0)
    acts = (
        lambda: append_to_nwbfile(path, lambda nwbfile: nwbfile.add_acquisition(series)),
        lambda: write_nwbfile(new_file(a=np.arange(9)), path, overwrite=True),
    )
    for act in acts:
        with h5py.File(path, "r+") as file:
            with pytest.raises(OutputBusyError, match="is open for writing, here or in another"):
                act()
            file.attrs["late"] = 1
        with h5py.File(path) as file:
            assert "late" in file.attrs
            act()  # a reader is no obstacle
    assert [each.name for each in tmp_path.iterdir()] == ["a.nwb"]


def test_two_that_append_at_the_same_time(tmp_path, backend):
    target = write_nwbfile(new_file(a=np.arange(3.0)), tmp_path / "a.nwb", backend=backend)

    def add(name):
        series = TimeSeries(name=name, data=np.arange(5.0), unit="V", rate=1.0)
        return lambda nwbfile: nwbfile.add_acquisition(series)

    def add_while_another_adds(nwbfile):
        append_to_nwbfile(target, add("other"))
        add("mine")(nwbfile)

    with pytest.raises(OutputError, match="changed by another process meanwhile"):
        append_to_nwbfile(target, add_while_another_adds)
    assert stored(target, "acquisition/other/data").tolist() == [0, 1, 2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["a.nwb"]
    append_to_nwbfile(target, add("mine"))
    assert stored(target, "acquisition/mine/data").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_zarr_is_replaced_where_the_system_cannot_exchange(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr("nwb_ophys.storage.atomic._renameat2", lambda: None)
    target = tmp_path / "a.zarr"
    for values in (np.arange(3.0), np.arange(4.0)):
        write_nwbfile(new_file(a=values), target, backend="zarr", overwrite=True)
    assert stored(target, DATA).tolist() == [0, 1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_raw_recording_in_hdf5_is_not_replaced(tmp_path):
    with h5py.File(tmp_path / "movie.h5", "w") as file:
        file["mov"] = np.zeros((3, 4, 5))
    with pytest.raises(OutputError, match=r"states nothing of NWB\. It is left as it is"):
        write_nwbfile(new_file(a=np.zeros(3)), tmp_path / "movie.h5", overwrite=True)
    assert stored(tmp_path / "movie.h5", "mov").shape == (3, 4, 5)


# --- errors -------------------------------------------------------------------------------------


def test_an_error_of_the_disk_keeps_its_number_and_crosses_processes(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nwb_ophys.storage.backends.hdf5.Hdf5Sink.put", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_nwbfile(new_file(a=Lazy(np.arange(100))), tmp_path / "a.nwb")
    assert caught.value.errno == 28
    assert isinstance(caught.value, OutputError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is OutputError
    assert str(again) == str(caught.value)


def _raising(error):
    def fail():
        raise error

    return fail


def test_an_error_of_a_source_without_a_number_keeps_its_message(tmp_path):
    """Fault: the line was '[Errno None] None: None'."""
    lost = SourceNotFoundError("'a.tif' does not exist; check the path.")
    lazy = Lazy(np.arange(100), before_reading=_raising(lost))
    with pytest.raises(SourceNotFoundError, match=r"failed: 'a\.tif' does not exist; check"):
        write_nwbfile(new_file(a=lazy), tmp_path / "a.nwb")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES, errno.EROFS])
def test_any_error_of_the_system_while_data_are_stored_is_one_of_the_disk(
    tmp_path, monkeypatch, number
):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("nwb_ophys.storage.positioned_access.write_at", fail)
    with pytest.raises(DiskError) as caught:
        write_nwbfile(new_file(a=np.arange(100_000)), tmp_path / "a.nwb")
    message = str(caught.value)
    assert message.startswith(f"'{tmp_path}/a.nwb' cannot be written: {os.strerror(number)}.")
    assert "[Errno" not in message
    assert caught.value.errno == number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("place", [".zattrs", ".zarray", "/0"])
def test_an_error_of_the_system_while_zarr_writes_a_file(tmp_path, monkeypatch, number, place):
    """Fault: such an error has no name of a file, and was printed as a number."""

    write = zarr.DirectoryStore._tofile

    def fail(*_):
        raise OSError(number, os.strerror(number))

    def _tofile(content, path):
        write(content, path) if place not in path else fail()

    monkeypatch.setattr(zarr.DirectoryStore, "_tofile", staticmethod(_tofile))
    if place == "/0":  # chunks of movies are written past the cache
        monkeypatch.setattr("nwb_ophys.storage.positioned_access.write_at", fail)
    target = tmp_path / "a.nwb.zarr"
    with pytest.raises(DiskError) as caught:
        write_nwbfile(new_file(a=np.arange(100_000)), target, backend="zarr")
    assert str(caught.value).startswith(f"'{target}' cannot be written: {os.strerror(number)}.")
    assert list(tmp_path.iterdir()) == []


def test_any_error_of_the_system_is_of_the_target_where_nothing_is_read(tmp_path):
    def fail(**how):
        with disk_errors(tmp_path / "a", **how):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(DiskError, match=r"/a' cannot be written: Input/output error\."):
        fail(reads_nothing=True)
    with pytest.raises(OSError, match=r"^\[Errno 5\]"):
        fail()


def test_an_error_of_reading_is_none_of_the_disk(tmp_path):
    stale = OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    lazy = Lazy(np.arange(100), before_reading=_raising(stale))
    with pytest.raises(SourceError, match="reading Lazy failed: OSError"):
        write_nwbfile(new_file(a=lazy), tmp_path / "a.nwb")


def test_an_error_is_told_before_more_is_read(tmp_path, monkeypatch):
    stored_once, reads = threading.Event(), []

    def full(*_):
        stored_once.set()
        raise OSError(28, "No space left on device")

    def before_reading():
        reads.append(1)
        if len(reads) > 1:
            assert stored_once.wait(10)

    monkeypatch.setattr("nwb_ophys.storage.backends.hdf5.Hdf5Sink.put", full)
    values = np.zeros((100, 100, 100))
    options = {"chunk_shape": (1, 100, 100), "buffer_shape": (10, 100, 100)}
    lazy = Lazy(values, before_reading=before_reading, **options)
    with pytest.raises(OutputError, match="No space left"):
        write_nwbfile(new_file(a=lazy), tmp_path / "a.nwb", workers=2)
    assert len(reads) <= 3


def test_what_fails_when_a_file_is_closed_does_not_hide_the_first_error(tmp_path, monkeypatch):
    from nwb_ophys.storage.backends.hdf5 import _io_class

    close = _io_class().close

    def failing(self):
        close(self)
        raise RuntimeError("Can't decrement id ref count")

    monkeypatch.setattr(_io_class(), "close", failing)
    with pytest.raises(SourceError, match="do not fit into"):
        write_nwbfile(new_file(a=Lazy(np.array([0.5]), "i2")), tmp_path / "a.nwb")
    with pytest.raises(OutputError, match=r"a\.nwb' cannot be written: Can't decrement"):
        write_nwbfile(new_file(a=np.zeros(3)), tmp_path / "a.nwb")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    def refuse(self, path, mode, manager=None):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("nwb_ophys.storage.backends.hdf5.Hdf5Backend.open", refuse)
    with pytest.raises(OutputError, match=r"/a\.nwb' cannot be written: Permission denied"):
        write_nwbfile(new_file(a=np.zeros(3)), tmp_path / "a.nwb")


def test_the_system_s_words_are_told_and_not_hdf5_s(tmp_path, monkeypatch):
    """Fault: it was 'Unable to synchronously create file (…, flags = 13, o_flags = 242)'."""

    def refuse(self, path, mode, manager=None):
        raise OSError(
            f"Unable to synchronously create file (unable to open file: name = '{path}', errno = "
            "30, error message = 'Read-only file system', flags = 13, o_flags = 242)"
        )

    monkeypatch.setattr("nwb_ophys.storage.backends.hdf5.Hdf5Backend.open", refuse)
    with pytest.raises(OutputError, match=r"/a\.nwb' cannot be written: Read-only file system\.$"):
        write_nwbfile(new_file(a=np.zeros(3)), tmp_path / "a.nwb")


def test_workers_and_options_are_taken(tmp_path):
    """append_to_nwbfile accepts workers and options, too."""
    target = write_nwbfile(new_file(a=np.arange(3.0)), tmp_path / "a.nwb")
    series = TimeSeries(name="b", data=np.zeros((50, 9000)), unit="V", rate=1.0)
    options = WriteOptions(workers=0, configuration=BackendConfiguration(compression="gzip:9"))
    append_to_nwbfile(target, lambda nwbfile: nwbfile.add_acquisition(series), options=options)
    with h5py.File(target) as file:
        assert file["acquisition/b/data"].compression_opts == 9


# --- what hdmf writes itself --------------------------------------------------------------------


def test_long_lists_of_numbers_are_stored_as_arrays_are(tmp_path, backend):
    nwbfile = new_file(a=[float(n) for n in range(50_000)], b=[[n, 2] for n in range(50_000)])
    nwbfile.add_acquisition(
        TimeSeries(name="c", data=[0.0] * 3, unit="V", timestamps=[0.0, 1.0, 3.0])
    )
    names = set(BackendConfiguration.from_nwbfile(nwbfile, backend).datasets)
    assert names == {"acquisition/a/data", "acquisition/b/data"}
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", backend=backend)
    np.testing.assert_array_equal(stored(path, "acquisition/a/data"), np.arange(50_000.0))
    np.testing.assert_array_equal(stored(path, "acquisition/b/data")[:, 0], np.arange(50_000))
    assert isinstance(nwbfile.acquisition["a"].data, list)


@pytest.mark.parametrize("preset", [None, "gzip:9", "none"])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_iterators_without_random_access_are_compressed(tmp_path, backend, preset, is_wrapped):
    frames = np.random.default_rng(0).integers(0, 9, (300, 20, 30)).astype(np.int16)
    data = DataChunkIterator(data=iter(frames), buffer_size=10)
    nwbfile = new_file(a=H5DataIO(data) if is_wrapped else data)
    configuration = BackendConfiguration(backend=backend, compression=preset)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", backend=backend, configuration=configuration)
    np.testing.assert_array_equal(stored(path, DATA), frames)
    if backend == "hdf5":
        with h5py.File(path) as file:
            expected = {None: "gzip", "gzip:9": "gzip", "none": None}[preset]
            assert file[DATA].compression == expected
            assert file[DATA].shuffle == (preset != "none")
    elif preset is not None:
        compressor = zarr.open(str(path), mode="r")[DATA].compressor
        assert (compressor is None) == (preset == "none")


def test_an_uncompressed_wrapper_is_asked_for_by_name(tmp_path):
    nwbfile, expected = masks_with(compression=None)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb")
    with h5py.File(path) as file:
        assert file[MASKS].compression is None
        np.testing.assert_array_equal(file[MASKS][:], expected)
    given = H5DataIO(np.arange(50_000.0), maxshape=(None,))
    with h5py.File(write_nwbfile(new_file(a=given), tmp_path / "b.nwb")) as file:
        assert file[DATA].compression == "gzip"


# --- chunks of masks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunk_mb", "tile"), [(0.01, (50, 50)), (0.1, (150, 166)), (9, (150, 200))]
)
def test_a_chunk_size_leaves_the_masks_of_rois_apart(tmp_path, chunk_mb, tile):
    nwbfile, expected = masks_with()
    configuration = BackendConfiguration(chunk_mb=chunk_mb)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", configuration=configuration)
    default = write_nwbfile(masks_with()[0], tmp_path / "b.nwb")
    again = repack(default, tmp_path / "c.nwb", configuration=configuration)
    for written in (path, again):
        with h5py.File(written) as file:
            assert file[MASKS].chunks == (1, *tile)
            np.testing.assert_array_equal(file[MASKS][:], expected)


@pytest.mark.parametrize("chunk_shape", [None, (1, 64, 64), (3, 100, 100), (4, 150, 200)])
@pytest.mark.parametrize("to", ["hdf5", "zarr"])
def test_chunks_that_are_not_stored_are_passed_over_when_repacking(tmp_path, to, chunk_shape):
    nwbfile, expected = masks_with()
    source = write_nwbfile(nwbfile, tmp_path / "a.nwb")
    own = DatasetConfiguration(location=MASKS, chunk_shape=chunk_shape)
    datasets = {} if chunk_shape is None else {MASKS: own}
    configuration = BackendConfiguration(backend=to, datasets=datasets)
    with h5py.File(source) as file:
        given = Hdf5Source(file[MASKS])
        assert given.is_sparse
        parts = [list(given.nonzero_chunks(n, n + 1, (1, 128, 128), False)) for n in range(4)]
        assert sum(map(len, parts)) == file[MASKS].id.get_num_chunks()
    for workers in (0, 2):
        path = repack(
            source,
            tmp_path / f"{workers}.nwb",
            configuration=configuration,
            workers=workers,
            verify=workers == 2,
        )
        np.testing.assert_array_equal(stored(path, MASKS), expected)


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"configuration": "storage.yaml"}, r"BackendConfiguration\.from_yaml"),
        ({"configuration": {"compression": "gzip"}}, r"from_dict"),
        ({"progress": 3}, "must be a function"),
        ({"workers": 1.5}, "must be an integer"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, options, words):
    with pytest.raises(ArgumentError, match=words):
        write_nwbfile(new_file(a=np.zeros(3)), tmp_path / "a.nwb", **options)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_will_do(tmp_path):
    configuration = BackendConfiguration(chunk_mb=np.float32(2), buffer_gb=np.float64(0.1))
    write_nwbfile(
        new_file(a=np.zeros(3)),
        tmp_path / "a.nwb",
        configuration=configuration,
        workers=np.int64(1),
        progress=True,
    )


def test_a_plan_that_does_not_fit_into_memory_is_refused():
    with pytest.raises(MemoryLimitError, match="buffer_gb allows"):
        BackendConfiguration.from_nwbfile(new_file(a=np.zeros((9, 900_000))), buffer_gb=0.001)


def test_a_name_in_zarr_makes_a_store(tmp_path):
    source = write_nwbfile(new_file(a=np.arange(9.0)), tmp_path / "a.nwb")
    assert repack(source, tmp_path / "a.nwb.zarr").is_dir()
    assert repack(source, tmp_path / "b.zarr", backend="hdf5").is_file()


def test_arrays_of_zarr_are_copied_where_no_link_can_lead_to_them(tmp_path, backend):
    """Fault: hdmf-zarr failed on arrays in memory, and hdmf read whole ones for HDF5."""
    values = np.arange(60_000, dtype="u2").reshape(300, 200)
    for given in (values, values[:9]):
        data = zarr.array(given, chunks=(7, 200))
        path = write_nwbfile(new_file(a=data), tmp_path / "a", backend=backend, overwrite=True)
        np.testing.assert_array_equal(stored(path, DATA), given)


@pytest.mark.parametrize("size", [10, 40_000])
def test_data_of_the_file_that_is_replaced_are_copied(tmp_path, backend, size):
    """Fault: the new file had links to itself, and the data were lost."""
    values = np.arange(size)
    path = write_nwbfile(new_file(a=values), tmp_path / "a", backend=backend)
    with get_backend(backend).open(path, "r") as io:
        series = io.read().acquisition["a"]
        write_nwbfile(new_file(a=series.data), path, backend=backend, overwrite=True)
    np.testing.assert_array_equal(stored(path, DATA), values)


def test_texts_of_the_file_that_is_replaced_are_refused(tmp_path):
    path = write_nwbfile(_columns(c=["a", "b"]), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        texts = file["acquisition/t/c"]
        with pytest.raises(OutputError, match=r"'acquisition/t/c' is read from .* link to itself"):
            write_nwbfile(_columns(c=texts), path, overwrite=True)
    assert stored(path, "acquisition/t/c").tolist() == [b"a", b"b"]


@pytest.mark.parametrize("size", [10, 40_000])
def test_masked_values_are_refused(tmp_path, backend, size):
    """Fault: the values that a mask hides were written as if there were no mask."""
    given = np.ma.masked_array(np.arange(size), mask=np.arange(size) == size - 1)
    wrapped = H5DataIO(given, compression="gzip")
    lazy = Lazy(given, buffer_shape=(10,), chunk_shape=(10,))
    for data in (given, wrapped, lazy):
        with pytest.raises(SourceError, match=r"has masked values.*array\.filled"):
            write_nwbfile(new_file(a=data), tmp_path / "a", backend=backend)
    assert list(tmp_path.iterdir()) == []
    path = write_nwbfile(new_file(a=given[:-1]), tmp_path / "a", backend=backend)
    np.testing.assert_array_equal(stored(path, DATA), np.arange(size - 1))


def _columns(**columns):
    nwbfile = new_file()
    given = [VectorData(name=n, description="d", data=each) for n, each in columns.items()]
    nwbfile.add_acquisition(DynamicTable(name="t", description="d", columns=given))
    return nwbfile


def test_the_first_number_of_a_list_does_not_decide_for_all(tmp_path, backend):
    """Fault: hdmf gave a dataset the type of the first number, and 2.5 after 1 became 2."""
    given = {
        "fractions": [1, 2.5, float("nan")],
        "flags": [True, 2, 0],
        "wrapped": H5DataIO([[1, 2], [3.5, 4], [5, 6]]),
        "precise": [np.float32(1), 0.1, 2.0],
        "objects": np.array([1, 2.5, 3], dtype=object),
        "whole": [1, 2, 3],
    }
    nwbfile = _columns(**given)
    nwbfile.add_acquisition(TimeSeries(name="a", data=[1] + [0.5] * 9_999, unit="a", rate=1.0))
    path = write_nwbfile(nwbfile, tmp_path / "a", backend=backend)
    for name, values in given.items():
        expected = np.asarray(getattr(values, "data", values) if name == "wrapped" else values)
        if name == "objects":
            expected = expected.astype(float)
        found = stored(path, f"acquisition/t/{name}")
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(stored(path, DATA), [1] + [0.5] * 9_999)
    assert nwbfile.acquisition["t"]["fractions"].data[:2] == [1, 2.5]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", None, "b"], "None and texts"),
        ([1.5, None], "None and numbers"),
        (np.array(["a", np.nan], dtype=object), "numbers and texts"),
        (np.array([[1, 2], [3]], dtype=object), "lists"),
        (np.array(["2024-01-01"], "M8[s]"), "dates or durations"),
    ],
)
def test_values_that_would_become_texts_are_refused(tmp_path, backend, values, words):
    """Fault: Zarr stores had the texts 'None' and 'nan', and no dates."""
    with pytest.raises(
        ArgumentError, match=f"'acquisition/t/c' holds .*{words.removeprefix('holds ')}"
    ):
        write_nwbfile(_columns(c=values), tmp_path / "a", backend=backend)
    assert list(tmp_path.iterdir()) == []
