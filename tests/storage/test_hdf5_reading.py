"""Tests of reading HDF5 datasets chunk by chunk: equal to h5py, and no chunk of another size."""

from __future__ import annotations

import bz2
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.storage.backends import hdf5_codecs
from nwb_ophys.storage.backends.hdf5_codecs import lzf_size
from nwb_ophys.storage.backends.hdf5_reading import CheckedDataset, checked

SHAPE, CHUNKS = (11, 13, 17), (4, 5, 8)
CHUNK_BYTES = 4 * 5 * 8 * 2
FILTERS = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "shuffled": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf", "shuffle": True},
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc": dict(hdf5plugin.Blosc()),
    "lz4": dict(hdf5plugin.LZ4(nbytes=96)),
    "bzip2": dict(hdf5plugin.BZip2()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
    "blosc2": dict(hdf5plugin.Blosc2()),
    "scaleoffset": {"scaleoffset": 0},
}
# Number, settings and encoder of each filter.
ENCODED = {
    "gzip": (1, (4,), zlib.compress),
    "bzip2": (307, (9,), bz2.compress),
    "zstd": (32015, (3,), lambda raw: bytes(numcodecs.Zstd(1).encode(raw))),
    "blosc": (32001, (2, 2, 2, CHUNK_BYTES, 5, 1, 1), lambda raw: numcodecs.Blosc().encode(raw)),
    "lz4": (32004, (), lambda raw: struct.pack(">QII", len(raw), len(raw), len(raw)) + raw),
    "lzf": (32000, (4, 0, CHUNK_BYTES), lambda raw: _literals(raw)),
    "bitshuffle": (32008, (0, 4, 2, 0, 2), lambda raw: struct.pack(">QI", len(raw), 8192) + raw),
}


def _literals(raw):
    """Return bytes as LZF stores what it cannot compress: a count less one before 32 of them."""
    parts = [raw[start : start + 32] for start in range(0, len(raw), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A file with a dataset per filter and dtype."""
    path = tmp_path_factory.mktemp("reading") / "a.h5"
    values = np.random.default_rng(0).integers(0, 50, SHAPE)
    with h5py.File(path, "w") as file:
        for name, settings in FILTERS.items():
            for dtype in ("i2",) if name == "scaleoffset" else ("i2", ">u4", "f8"):
                data = values.astype(dtype)
                file.create_dataset(f"{name}/{dtype}", data=data, chunks=CHUNKS, **settings)
        pairs = np.zeros(SHAPE, [("x", "u4"), ("weight", "f4")])
        pairs["x"], pairs["weight"] = values, values / 3
        file.create_dataset("pairs", data=pairs, chunks=CHUNKS, compression="gzip")
        file.create_dataset("flags", data=values > 9, chunks=CHUNKS, compression="lzf")
        words = np.array([f"é{i}" for i in range(40)], object)
        text = h5py.string_dtype()
        file.create_dataset("words", data=words, dtype=text, chunks=(7,), compression="gzip")
    with h5py.File(path, "r") as file:
        yield file


def _index(size):
    whole = st.slices(size).filter(lambda part: part.step is None or part.step > 0)
    return st.one_of(whole, st.integers(-size, size - 1))


@given(st.data())
def test_every_selection_is_read_as_h5py_reads_it(stored, data):
    names = [f"{group}/{dtype}" for group in FILTERS for dtype in stored[group]]
    dataset = stored[data.draw(st.sampled_from([*names, "pairs", "flags"]))]
    parts = data.draw(st.tuples(*(_index(size) for size in SHAPE)))
    parts = parts[: data.draw(st.integers(0, 3))]
    if data.draw(st.booleans()):
        parts = (*parts, ...)
    expected, found = dataset[parts], checked(dataset)[parts]
    assert np.shape(found) == np.shape(expected)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["gzip/i2", "bitshuffle/i2", "shuffled/>u4"])
def test_other_selections_are_left_to_h5py(stored, name):
    dataset, own = stored[name], checked(stored[name])
    for chosen in ([1, 5, 9], np.arange(11) % 2 == 0, (slice(None), [2, 7]), []):
        np.testing.assert_array_equal(own[chosen], dataset[chosen])
    np.testing.assert_array_equal(np.asarray(own), dataset[:])
    np.testing.assert_array_equal(own.astype("f4")[2], dataset[2].astype("f4"))
    into = np.zeros((2, *SHAPE[1:]), dataset.dtype)
    own.read_direct(into, np.s_[3:5])
    np.testing.assert_array_equal(into, dataset[3:5])
    for wrong in (11, (0, 0, 0, 0), slice(None, None, -1), (..., ...)):
        with pytest.raises((IndexError, TypeError, ValueError)):
            own[wrong]


def test_fields_and_texts_are_read_through_h5py(stored):
    np.testing.assert_array_equal(checked(stored["pairs"])["x"], stored["pairs"]["x"])
    assert checked(stored["words"]).asstr()[39] == "é39"


def test_which_filters_are_decoded_outside_of_hdf5(stored):
    inside = {name for name in FILTERS if not checked(stored[name]["i2"]).reads_in_parallel}
    assert inside == {"bitshuffle", "blosc2", "scaleoffset"}


def _write(path, name, raw, mask=0, shape=(8, 5, 8), corner=(4, 0, 0)):
    """Write a dataset whose chunk at a corner holds other bytes."""
    number, settings, encode = ENCODED[name]
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(CHUNKS)
        plist.set_filter(number, h5py.h5z.FLAG_OPTIONAL, settings)
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(file.id, b"mov", h5py.h5t.NATIVE_INT16, space, plist)
        made.write_direct_chunk((0, 0, 0), bytes(CHUNK_BYTES), 1)
        made.write_direct_chunk(corner, raw if mask else encode(raw), mask)


@pytest.mark.parametrize("has_packages", [True, False])
@pytest.mark.parametrize("size", [1, CHUNK_BYTES // 2, CHUNK_BYTES - 1, CHUNK_BYTES + 1])
@pytest.mark.parametrize("name", ENCODED)
def test_a_chunk_that_decodes_to_another_size(tmp_path, monkeypatch, name, size, has_packages):
    """Fault: HDF5 reads the memory behind a short chunk, or crashes."""
    if not has_packages:
        monkeypatch.setattr(hdf5_codecs, "_package", lambda name: None)
    _write(tmp_path / "a.h5", name, b"\1" * size)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        movie = checked(file["mov"])
        assert not movie[:4].any()
        for chosen in (slice(4, 6), [4, 5], -1):
            with pytest.raises(
                CorruptSourceError, match=r"a.h5' .*\(4, 0, 0\) of its dataset '/mov'"
            ):
                movie[chosen]


@pytest.mark.parametrize("name", [name for name in ENCODED if name != "bitshuffle"])
@pytest.mark.parametrize("has_packages", [True, False])
def test_a_whole_chunk_of_the_same_encoders(tmp_path, monkeypatch, name, has_packages):
    if not has_packages:
        monkeypatch.setattr(hdf5_codecs, "_package", lambda name: None)
    raw = np.random.default_rng(1).bytes(CHUNK_BYTES)
    _write(tmp_path / "a.h5", name, raw)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert checked(file["mov"])[4:].tobytes() == raw


def test_chunks_that_were_stored_without_the_filter(tmp_path):
    raw = np.random.default_rng(1).bytes(CHUNK_BYTES)
    _write(tmp_path / "a.h5", "gzip", raw, mask=1)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert checked(file["mov"])[4:].tobytes() == raw
    _write(tmp_path / "a.h5", "gzip", raw[:-2], mask=1)
    with h5py.File(tmp_path / "a.h5", "r") as file, pytest.raises(CorruptSourceError, match="318"):
        checked(file["mov"])[4:]


@pytest.mark.parametrize("damage", ["checksum", "end", "middle"])
def test_a_damaged_stream_is_refused(tmp_path, damage):
    stream = bytearray(zlib.compress(np.random.default_rng(1).bytes(CHUNK_BYTES)))
    if damage == "end":
        del stream[-5:]
    else:
        stream[-1 if damage == "checksum" else 300] ^= 1
    _write(tmp_path / "a.h5", "gzip", b"\1")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["mov"].id.write_direct_chunk((4, 0, 0), bytes(stream))
    with h5py.File(tmp_path / "a.h5", "r") as file, pytest.raises(CorruptSourceError, match="4, 0"):
        checked(file["mov"])[:]


@pytest.mark.parametrize("name", ["gzip", "bzip2", "zstd", "lzf"])
def test_no_more_is_inflated_than_a_chunk_holds(tmp_path, name):
    pytest.importorskip("imagecodecs")
    encode = ENCODED[name][2]
    bomb = bytes(200_000_000)
    packed = bytes(range(256)) * 4 + b"\xff" * 3_000 if name == "lzf" else encode(bomb)
    _write(tmp_path / "a.h5", name, b"\1")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["mov"].id.write_direct_chunk((4, 0, 0), packed)
    del bomb
    with h5py.File(tmp_path / "a.h5", "r") as file:
        movie = checked(file["mov"])
        tracemalloc.start()
        with pytest.raises(CorruptSourceError):
            movie[4:]
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


def test_lzf_is_measured_by_its_references():
    imagecodecs = pytest.importorskip("imagecodecs")
    random = np.random.default_rng(0)
    for raw in (b"a", bytes(100_000), random.bytes(999), random.integers(0, 3, 5_000).tobytes()):
        assert lzf_size(imagecodecs.lzf_encode(raw)) == len(raw)


def test_both_orders_of_a_checksum(tmp_path):
    """HDF5 1.6.2 wrote the bytes of both halves in the other order."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = np.arange(160, dtype="i2").reshape(CHUNKS)
        movie = file.create_dataset("mov", data=data, chunks=CHUNKS, fletcher32=True)
        _, chunk = movie.id.read_direct_chunk((0, 0, 0))
        body, sum_ = chunk[:-4], chunk[-4:]
        for order, is_right in (((1, 0, 3, 2), True), ((3, 2, 1, 0), False)):
            turned = bytes(sum_[place] for place in order)
            movie.id.write_direct_chunk((0, 0, 0), body + turned)
            if is_right:
                np.testing.assert_array_equal(checked(movie)[:], data)
                continue
            with pytest.raises(CorruptSourceError, match="checksum"):
                checked(movie)[:]


def test_threads_read_at_once(stored):
    dataset = stored["shuffled/i2"]
    own, expected = checked(dataset), dataset[:]
    with ThreadPoolExecutor(8) as pool:
        for index, frame in enumerate(pool.map(lambda index: own[index % 11], range(400))):
            np.testing.assert_array_equal(frame, expected[index % 11])


def test_a_chunk_is_decoded_once_for_its_frames(stored, monkeypatch):
    own = checked(stored["gzip/i2"])
    calls = []
    monkeypatch.setattr(
        type(own._chunk_reader), "_decoded", _counted(type(own._chunk_reader)._decoded, calls)
    )
    for index in range(4):
        own[index, :5, :8]
    assert len(calls) == 1


def _counted(function, calls):
    def counted(self, corner):
        calls.append(corner)
        return function(self, corner)

    return counted


def test_a_file_that_is_written_to_is_read_as_it_is(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        movie = file.create_dataset("mov", (4, 5, 8), "i2", chunks=CHUNKS, maxshape=(None, 5, 8))
        own = checked(movie)
        assert not own[:].any()
        own[:] = 3
        own.resize(8, axis=0)
        own[4:] = 5
        assert (own[:4] == 3).all()
        assert (own[4:] == 5).all()


def test_datasets_without_chunks_stay_what_they_are(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert type(checked(file.create_dataset("a", data=[1, 2]))) is h5py.Dataset
        assert type(checked(file.create_dataset("b", data=h5py.Empty("f4")))) is h5py.Dataset
        own = checked(file.create_dataset("c", data=[1, 2], chunks=(2,)))
        assert isinstance(own, CheckedDataset)
        assert checked(own) is own
