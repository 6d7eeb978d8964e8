"""Tests of the engine: the same contents for any number of workers, and behaviour on errors."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import GenericDataChunkIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numcodecs import LZ4

from nwb_ophys import BackendConfiguration, DatasetConfiguration, write_nwbfile
from nwb_ophys.errors import ArgumentError, MemoryLimitError, OutputError, SourceError

from .conftest import new_file, read

DTYPES = [
    *("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"),
    *(">i2", ">f4"),
]
LOCATION = "acquisition/a/data"


class Blocks(GenericDataChunkIterator):
    """Iterator over the blocks of an array that records the threads that read it."""

    def __init__(self, values, *, reads_in_parallel=False, before_reading=None, **options):
        self.values, self.reads_in_parallel = values, reads_in_parallel
        self.before_reading = before_reading
        self.source_label = "'/recordings/day 1.tif'"
        self.threads: set[int] = set()
        super().__init__(**options)

    def _get_maxshape(self):
        return self.values.shape

    def _get_dtype(self):
        return self.values.dtype

    def _get_data(self, selection):
        self.threads.add(threading.get_ident())
        if self.before_reading is not None:
            self.before_reading(selection)
        return self.values[selection]


@st.composite
def layouts(draw):
    """Draw an array of any dtype and number of axes, the shape of chunks, and of blocks."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=9))
    chunk = tuple(draw(st.integers(1, size)) for size in shape)
    blocks = tuple(
        min(draw(st.integers(1, 4)) * step, size) for step, size in zip(chunk, shape, strict=True)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, 256, (*shape, np.dtype(dtype).itemsize)).astype(np.uint8)
    if dtype == "?":
        values %= 2
    values = values.view(dtype)[..., 0]
    if draw(st.booleans()):  # leave whole chunks at zero
        values = np.where(rng.random(shape) < 0.05, values, np.zeros((), dtype)).astype(dtype)
    return values, chunk, blocks


def same_bytes(found, expected):
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@settings(max_examples=16)
@given(layout=layouts(), compression=st.sampled_from(["gzip", "gzip:6", "blosc", "lz4", "none"]))
def test_contents_are_those_of_the_source_whatever_the_workers(
    tmp_path_factory, backend, layout, compression
):
    values, chunk, blocks = layout
    folder = tmp_path_factory.mktemp("engine")
    for workers in (0, 1, 2, 7):
        data = {
            "serial": Blocks(values, chunk_shape=chunk, buffer_shape=blocks),
            "parallel": Blocks(
                values, chunk_shape=chunk, buffer_shape=blocks, reads_in_parallel=True
            ),
            "array": H5DataIO(values, chunks=chunk),
        }
        configuration = BackendConfiguration(backend=backend, compression=compression)
        target = folder / f"{workers}"
        write_nwbfile(
            new_file(**data), target, backend=backend, configuration=configuration, workers=workers
        )
        for name in data:
            found, chunks = read(target, f"acquisition/{name}/data")
            assert chunks == chunk
            assert same_bytes(found.astype(values.dtype), values), (name, workers)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0)])
def test_data_without_values_are_written(target, backend, shape):
    write_nwbfile(new_file(a=np.zeros(shape, np.int16)), target, backend=backend)
    assert read(target, LOCATION)[0].shape == shape


def test_a_single_frame_is_written(target, backend):
    frame = np.arange(1, 13, dtype=np.uint16).reshape(1, 4, 3)
    lazy = Blocks(frame, chunk_shape=(1, 4, 3), buffer_shape=(1, 4, 3))
    write_nwbfile(new_file(a=lazy), target, backend=backend)
    assert same_bytes(read(target, LOCATION)[0], frame)


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_in_memory_are_chunked_and_compressed(target, backend, order):
    values = np.asarray(np.arange(60_000, dtype=np.int32).reshape(300, 200), order=order)
    write_nwbfile(new_file(a=values), target, backend=backend, workers=2)
    found, chunks = read(target, LOCATION)
    assert same_bytes(found, np.ascontiguousarray(values))
    assert chunks is not None
    stored = Path(target) if backend == "hdf5" else Path(target) / LOCATION
    files = [stored] if stored.is_file() else [p for p in stored.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < values.nbytes * 2


def test_chunks_of_zeros_are_not_stored(target, backend):
    values = np.zeros((8, 40, 40), np.float32)
    values[3, 5, 5] = 1.0
    values[6, 39, 0] = -0.0  # which is not all zero bits
    lazy = Blocks(values, chunk_shape=(1, 20, 20), buffer_shape=(8, 40, 40))
    write_nwbfile(new_file(a=lazy), target, backend=backend)
    assert same_bytes(read(target, LOCATION)[0], values)
    if backend == "hdf5":
        with h5py.File(target) as file:
            assert file[LOCATION].id.get_num_chunks() == 2
    else:
        assert zarr.open(str(target), mode="r")[LOCATION].nchunks_initialized == 2


def test_zeros_are_stored_where_they_are_not_the_fill_value(tmp_path):
    values = np.zeros((4, 5), np.int16)
    wrapped = H5DataIO(values, chunks=(2, 5), fillvalue=7)
    path = write_nwbfile(new_file(a=wrapped), tmp_path / "a.nwb")
    assert same_bytes(read(path, LOCATION)[0], values)


# --- presets ------------------------------------------------------------------------------------

NOISE = np.random.default_rng(1).poisson(100, (60, 31, 17)).astype(np.uint16)
FILTERS = {
    "gzip": ["2", "1"],
    "gzip:1": ["2", "1"],
    "gzip:3": ["2", "1"],
    "gzip:9": ["2", "1"],
    # 3 is the checksum Fletcher-32, where the compression has none.
    "zstd": ["2", "32015", "3"],
    "blosc": ["32001", "3"],
    "lz4": ["2", "32004", "3"],
    "none": ["3"],
}


@pytest.mark.parametrize("preset", FILTERS)
def test_each_preset_is_what_hdf5_reads(tmp_path, preset):
    lazy = Blocks(NOISE, chunk_shape=(7, 31, 17), buffer_shape=(60, 31, 17))
    configuration = BackendConfiguration(compression=preset)
    path = write_nwbfile(new_file(a=lazy), tmp_path / "a.nwb", configuration=configuration)
    with h5py.File(path) as file:
        dataset = file[LOCATION]
        properties = dataset.id.get_create_plist()
        filters = [properties.get_filter(i) for i in range(properties.get_nfilters())]
        assert [str(number) for number, *_ in filters] == FILTERS[preset]
        if ":" in preset:
            assert filters[-1][2] == (int(preset[-1]),)
        assert same_bytes(dataset[()], NOISE)
        stored = dataset.id.get_storage_size()
    assert (stored < NOISE.nbytes) == (preset != "none")


def test_a_block_of_lz4_as_long_as_its_values_is_not_taken_for_them(tmp_path):
    """HDF5's filter treats a block that has the size of the values as uncompressed values."""
    random = np.random.default_rng(3)
    drawn = (random.integers(0, 6, size).astype(np.uint8) for size in range(17, 60) for _ in "1234")
    data = {
        f"a{index}": Blocks(values, chunk_shape=values.shape, buffer_shape=values.shape)
        for index, values in enumerate(drawn)
        if len(LZ4().encode(values)) - 4 == len(values)
    }
    assert data, "none of them is a case"
    configuration = BackendConfiguration(compression="lz4")
    path = write_nwbfile(new_file(**data), tmp_path / "a.nwb", configuration=configuration)
    for name, lazy in data.items():
        assert same_bytes(read(path, f"acquisition/{name}/data")[0], lazy.values), name


@pytest.mark.parametrize("preset", FILTERS)
def test_each_preset_is_what_zarr_reads(tmp_path, preset):
    lazy = Blocks(NOISE, chunk_shape=(7, 31, 17), buffer_shape=(60, 31, 17))
    configuration = BackendConfiguration(backend="zarr", compression=preset)
    path = write_nwbfile(
        new_file(a=lazy), tmp_path / "a.zarr", backend="zarr", configuration=configuration
    )
    array = zarr.open(str(path), mode="r")[LOCATION]
    assert same_bytes(array[:], NOISE)
    name = preset.partition(":")[0]
    codec = "none" if array.compressor is None else array.compressor.codec_id
    assert codec == name
    if ":" in preset:
        assert array.compressor.level == int(preset[-1])
    assert (array.nbytes_stored < NOISE.nbytes) == (preset != "none")


def test_without_workers_there_is_no_other_thread(tmp_path, monkeypatch):
    def start(thread):
        raise AssertionError(f"{thread.name} was started")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        write_nwbfile(new_file(a=blocks_of(movie(8))), tmp_path / "a.nwb", workers=0)
        with pytest.raises(AssertionError, match="was started"):
            write_nwbfile(new_file(a=blocks_of(movie(8))), tmp_path / "b.nwb", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nwb"]


def test_a_higher_level_of_gzip_makes_a_smaller_file(tmp_path):
    sizes = []
    smooth = np.add.outer(np.arange(60), np.arange(31 * 17) // 7).astype(np.uint16) ** 2 % 9973
    for level in (1, 4, 9):
        lazy = Blocks(smooth, chunk_shape=smooth.shape, buffer_shape=smooth.shape)
        configuration = BackendConfiguration(compression=f"gzip:{level}")
        path = write_nwbfile(
            new_file(a=lazy), tmp_path / f"{level}.nwb", configuration=configuration
        )
        with h5py.File(path) as file:
            sizes.append(file[LOCATION].id.get_storage_size())
    assert sizes[0] > sizes[1] > sizes[2]


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ArgumentError, match="gzip, gzip:1 to gzip:9, zstd, blosc, lz4, none"):
        BackendConfiguration(compression="gzip:10")


# --- threads and memory -------------------------------------------------------------------------


def movie(num_frames=64, side=64):
    return np.random.default_rng(2).integers(0, 99, (num_frames, side, side)).astype(np.int16)


def blocks_of(values, **options):
    shape = (4, *values.shape[1:])
    return Blocks(values, chunk_shape=shape, buffer_shape=shape, **options)


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_a_source_that_is_not_safe_is_read_by_the_callers_thread_alone(target, backend, workers):
    lazy = blocks_of(movie())
    write_nwbfile(new_file(a=lazy), target, backend=backend, workers=workers)
    assert lazy.threads == {threading.get_ident()}


def test_a_source_that_is_safe_is_read_by_several_threads(target, backend):
    met, seen = threading.Barrier(3), set()

    def meet(_):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            met.wait(60)

    lazy = blocks_of(movie(), reads_in_parallel=True, before_reading=meet)
    write_nwbfile(new_file(a=lazy), target, backend=backend, workers=3)
    assert len(lazy.threads) == 3
    assert threading.get_ident() not in lazy.threads


@pytest.mark.parametrize("workers", [-1, 1.5, "2", True])
def test_a_wrong_number_of_workers_is_refused(tmp_path, workers):
    with pytest.raises(ArgumentError, match="workers is"):
        write_nwbfile(new_file(a=movie()), tmp_path / "a.nwb", workers=workers)
    assert list(tmp_path.iterdir()) == []


class OnTheFly(Blocks):
    """Movie of any length that is never in memory."""

    def __init__(self, num_frames, **options):
        self.num_frames = num_frames
        super().__init__(np.zeros((1, 256, 256), np.int16), **options)

    def _get_maxshape(self):
        return (self.num_frames, 256, 256)

    def _get_data(self, selection):
        start, stop, _ = selection[0].indices(self.num_frames)
        frames = np.arange(start, stop, dtype=np.int16)
        return np.broadcast_to(frames[:, None, None], (stop - start, 256, 256)).copy()


def peak_memory(target, num_frames, backend, buffer_gb, workers, **options):
    shape = (8, 256, 256)
    lazy = OnTheFly(num_frames, chunk_shape=shape, buffer_shape=shape, **options)
    nwbfile = new_file(a=lazy)
    configuration = BackendConfiguration(backend=backend, buffer_gb=buffer_gb)
    tracemalloc.start()
    try:
        write_nwbfile(
            nwbfile, target, backend=backend, configuration=configuration, workers=workers
        )
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("reads_in_parallel", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_memory_does_not_grow_with_the_recording(tmp_path, backend, workers, reads_in_parallel):
    budget = 0.02
    options = {"workers": workers, "reads_in_parallel": reads_in_parallel}
    peaks = [
        peak_memory(tmp_path / str(num_frames), num_frames, backend, budget, **options)
        for num_frames in (40, 160, 640)  # 5, 21 and 84 MB
    ]
    assert max(peaks) < budget * 1e9 * 1.5 + 5e6


def test_a_chunk_that_does_not_fit_into_the_buffer_is_refused_with_both_sizes(tmp_path):
    lazy = OnTheFly(1000, chunk_shape=(500, 256, 256), buffer_shape=(500, 256, 256))
    configuration = BackendConfiguration(buffer_gb=0.1)
    with pytest.raises(MemoryLimitError, match=r"0\.20 GB .* buffer_gb allows 0\.10 GB"):
        write_nwbfile(new_file(a=lazy), tmp_path / "a.nwb", configuration=configuration)
    assert list(tmp_path.iterdir()) == []


def test_where_memory_is_short_the_message_says_so_and_not_buffer_gb(tmp_path, monkeypatch):
    monkeypatch.setattr("nwb_ophys.storage.budget.available_memory", lambda: 100_000_000)
    lazy = OnTheFly(1000, chunk_shape=(500, 256, 256), buffer_shape=(500, 256, 256))
    with pytest.raises(MemoryLimitError, match=r"the memory that is free allows 0\.05 GB"):
        write_nwbfile(new_file(a=lazy), tmp_path / "a.nwb")
    assert list(tmp_path.iterdir()) == []


# --- what goes wrong ----------------------------------------------------------------------------


class Fault(Exception):
    """Error that a test raises on purpose."""


def threads():
    return {thread for thread in threading.enumerate() if "nwb-ophys" in thread.name}


@pytest.mark.parametrize("reads_in_parallel", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_reader_tells_where_and_of_what(
    target, backend, workers, reads_in_parallel
):
    def fail(selection):
        if selection[0].start >= 32:
            raise Fault("the page is torn")

    lazy = blocks_of(movie(), reads_in_parallel=reads_in_parallel, before_reading=fail)
    start = time.monotonic()
    with pytest.raises(SourceError) as caught:
        write_nwbfile(new_file(a=lazy), target, backend=backend, workers=workers)
    assert time.monotonic() - start < 5
    told = str(caught.value)
    for part in (LOCATION, "'/recordings/day 1.tif'", "Fault: the page is torn"):
        assert part in told
    first = int(told.split("frames ")[1].split(" ")[0])
    assert first >= 32
    assert first % 4 == 0
    assert isinstance(caught.value, Fault)
    assert isinstance(caught.value.__cause__, Fault)
    assert not threads()
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_while_storing_tells_where(target, backend, workers, monkeypatch):
    from nwb_ophys.storage.backends import hdf5
    from nwb_ophys.storage.backends import zarr as zarr_store

    def faulty(self, corner, values):
        if corner[0] >= 32:
            raise RuntimeError("the codec has a fault")

    monkeypatch.setattr(hdf5.Hdf5Sink, "put", faulty)
    monkeypatch.setattr(zarr_store.ZarrSink, "put", faulty)
    lazy = blocks_of(movie())
    with pytest.raises(OutputError, match=rf"'{LOCATION}', frames \d+ to \d+: .*has a fault"):
        write_nwbfile(new_file(a=lazy), target, backend=backend, workers=workers)
    assert not threads()
    assert list(target.parent.iterdir()) == []


def test_an_error_is_raised_within_a_second_of_others_at_work(target, backend):
    """The other workers stop before they finish all queued blocks."""
    begun = []

    def slow_or_fail(selection):
        begun.append(selection)
        if selection[0].start == 8:
            raise Fault
        time.sleep(0.2)

    lazy = blocks_of(movie(400), reads_in_parallel=True, before_reading=slow_or_fail)
    with pytest.raises(Fault):
        write_nwbfile(new_file(a=lazy), target, backend=backend, workers=2)
    assert len(begun) < 20  # of 100; as many take two seconds


# --- verification -------------------------------------------------------------------------------


def test_verifying_passes_what_is_as_it_was_stored(target, backend):
    values = movie()
    values[:20] = 0
    data = {"a": blocks_of(values), "b": H5DataIO(values.astype(np.float32), compression="gzip")}
    write_nwbfile(new_file(**data), target, backend=backend, verify=True, workers=2)
    assert same_bytes(read(target, LOCATION)[0], values)


@pytest.mark.parametrize("workers", [0, 2])
def test_verifying_finds_what_an_encoder_got_wrong(target, backend, workers, monkeypatch):
    from nwb_ophys.storage.backends import base as sinks

    right = sinks.chunk_bytes

    def wrong(values, *shape, **options):
        stored = right(values, *shape, **options)
        if values.flat[0] == values.dtype.type(77):
            stored.reshape(-1)[5] ^= 1
        return stored

    monkeypatch.setattr(sinks, "chunk_bytes", wrong)
    values = movie()
    values[[40, 48]] = 77  # the earlier one is told of, whichever thread is first
    with pytest.raises(OutputError, match=rf"'{LOCATION}', frames 40 to 43: what is in the file"):
        write_nwbfile(
            new_file(a=blocks_of(values)), target, backend=backend, verify=True, workers=workers
        )
    assert list(target.parent.iterdir()) == []


# --- settings -----------------------------------------------------------------------------------


def test_each_setting_of_a_dataset_is_used(tmp_path):
    configuration = BackendConfiguration(
        datasets={
            LOCATION: DatasetConfiguration(
                location=LOCATION, chunk_shape=(5, 64, 32), compression="gzip:7", shuffle=False
            )
        }
    )
    nwbfile = new_file(a=blocks_of(movie()), b=blocks_of(movie()))
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", configuration=configuration)
    with h5py.File(path) as file:
        changed, other = file[LOCATION], file["acquisition/b/data"]
        assert changed.chunks == (5, 64, 32)
        assert (changed.compression, changed.compression_opts) == ("gzip", 7)
        assert not changed.shuffle
        assert other.chunks == (4, 64, 64)
        assert other.shuffle
        assert same_bytes(changed[()], movie())
