"""Chunks and settings of HDF5 filters that are damaged: an error with the name, and no crash."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pytest
import zarr

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError, NwbOphysError
from nwb_ophys.storage.backends.bitshuffle_chunks import bitshuffle_fault
from nwb_ophys.storage.backends.blosc_chunks import blosc_fault
from nwb_ophys.storage.backends.hdf5_filters import check_filter_settings
from nwb_ophys.storage.backends.hdf5_reading import checked
from nwb_ophys.storage.backends.zarr_parts import check_store

from .setting import rounds

FILTERS: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "szip": {"compression": "szip"},
    "scaleoffset": {"scaleoffset": 0},
    "fletcher32": {"compression": "gzip", "fletcher32": True},
    "blosc": dict(hdf5plugin.Blosc(cname="zstd")),
    "blosc2": dict(hdf5plugin.Blosc2()),
    "lz4": dict(hdf5plugin.LZ4()),
    "zstd": dict(hdf5plugin.Zstd()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bitshuffle-zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
}
FILTER_NAMES = {"szip": "szip", "scaleoffset": "scale-offset"}
FRAMES = np.random.default_rng(0).poisson(50, (8, 64, 64)).astype(np.uint16)


def _write(path: Path, name: str) -> list[Any]:
    """Write a movie; return the places of its chunks."""
    with h5py.File(path, "w") as file:
        movie = file.create_dataset("mov", data=FRAMES, chunks=(2, 64, 64), **FILTERS[name])
        movie.attrs["fr"] = 10.0
        return [movie.id.get_chunk_info(index) for index in range(movie.id.get_num_chunks())]


def _filters(path: Path) -> Any:
    try:
        with h5py.File(path, "r") as file:
            plist = file["mov"].id.get_create_plist()
            return [plist.get_filter(index) for index in range(plist.get_nfilters())]
    except Exception:  # damage elsewhere
        return None


def _read(path: Path) -> str:
    """Return the error of reading a movie; empty where it is read."""
    try:
        interface = nwb_ophys.open(path, format="hdf5")
        extractor = interface.extractor
        assert extractor.get_series().shape[0] == len(FRAMES)
    except NwbOphysError as error:
        return str(error)
    return ""


def _check(path: Path, content: bytes) -> None:
    """Check that a damaged movie is read, or refused by its name."""
    path.write_bytes(content)
    error = _read(path)
    assert not error or path.name in error, error
    path.unlink()


@pytest.fixture(params=list(FILTERS))
def movie(request, tmp_path):
    path = tmp_path / "movie.h5"
    chunks = _write(path, request.param)
    return path, chunks, path.read_bytes()


def test_damaged_chunks_are_errors_by_name_or_data(movie):
    path, chunks, whole = movie
    assert _read(path) == ""
    for seed in range(rounds(6, 200)):
        chance, content = random.Random(seed), bytearray(whole)
        chunk = chance.choice(chunks)
        # The first bytes hold the sizes, on which decoders crash most often.
        for _ in range(chance.choice((1, 1, 2, 8))):
            within = chance.randrange(min(chunk.size, chance.choice((20, 1 << 20))))
            content[chunk.byte_offset + within] = chance.randrange(256)
        _check(path.with_name(f"movie{seed}.h5"), content)


@pytest.mark.filterwarnings("ignore:.*is damaged")  # of a dataset whose header cannot be read
def test_damaged_settings_of_filters_are_errors_by_name_or_data(movie):
    path, chunks, whole = movie
    sound, end = _filters(path), min(chunk.byte_offset for chunk in chunks)
    changed = []
    for place in range(end if rounds(0, 1) else 0):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        if _filters(path) not in (sound, None):
            changed.append(place)
    for seed in range(rounds(0, 200)):
        chance, content = random.Random(seed), bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            content[chance.choice(changed)] = chance.randrange(256)
        _check(path.with_name(f"movie{seed}.h5"), content)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "i4"])
@pytest.mark.parametrize("name", ["szip", "scaleoffset", "gzip"])
def test_settings_that_do_not_follow_from_the_dataset(tmp_path, name, dtype):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        frames = FRAMES.astype(dtype)
        file.create_dataset("mov", data=frames, chunks=(2, 64, 64), fillvalue=3, **FILTERS[name])
    with h5py.File(path, "r") as file:
        check_filter_settings(file["mov"])
        plist = file["mov"].id.get_create_plist()
        # h5py before 3.16 reads no further values.
        stated = plist.get_filter(plist.get_nfilters() - 1)[2][:16]
    if name == "gzip":
        return
    # The number of pixels per line, and that of elements in a chunk.
    damaged = struct.pack(f"<{len(stated)}I", *stated)
    content = path.read_bytes()
    place = content.index(damaged) + (12 if name == "szip" else 8)
    path.write_bytes(content[:place] + b"\xff\xff" + content[place + 2 :])
    with (
        h5py.File(path, "r") as file,
        pytest.raises(CorruptSourceError, match=f"a.h5' is damaged: .*{FILTER_NAMES[name]}"),
    ):
        check_filter_settings(file["mov"])


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
@pytest.mark.parametrize("chunks", [(2, 64, 64), (3, 7, 31), (1, 3, 1)])
def test_whole_chunks_of_bitshuffle_have_no_fault(tmp_path, chunks, compression):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        filters = dict(hdf5plugin.Bitshuffle(cname=compression, nelems=64))
        file.create_dataset("mov", data=FRAMES, chunks=chunks, **filters)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        np.testing.assert_array_equal(checked(file["mov"])[:], FRAMES)
        np.testing.assert_array_equal(checked(file["mov"])[1:2, 0], FRAMES[1:2, 0])


def test_every_length_in_a_chunk_of_bitshuffle_is_checked():
    chunk = struct.pack(">QI", 32, 16) + 2 * (struct.pack(">I", 4) + bytes(4))
    assert bitshuffle_fault(chunk, 16, 2) == ""
    for place in (7, 11, 15, 23):
        damaged = chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]
        assert bitshuffle_fault(damaged, 16, 2), place
    assert bitshuffle_fault(chunk[:14], 16, 2) == "ends before its last block"
    assert bitshuffle_fault(chunk[:-1], 16, 2)
    assert bitshuffle_fault(b"", 16, 2)


@pytest.mark.parametrize("codec", ["lz4", "blosclz", "zlib", "zstd"])
def test_chunks_of_blosc_with_a_damaged_header(codec):
    """Only headers that contradict the chunk are faults; the decoder crashes on those."""
    encoded = numcodecs.Blosc(codec).encode(FRAMES)
    assert blosc_fault(encoded, len(encoded)) == ""
    assert blosc_fault(encoded[:100], len(encoded)) == ""
    assert blosc_fault(encoded[:10], 10)
    assert blosc_fault(encoded[:-1], len(encoded) - 1)
    for place, value in ((15, 0x24), (11, 0x7F), (18, 0xFF), (19, 0xFF)):
        damaged = encoded[:place] + bytes([value]) + encoded[place + 1 :]
        assert blosc_fault(damaged, len(damaged)), place
    random_numbers = np.random.default_rng(0).bytes(4096)
    stored = numcodecs.Blosc(codec).encode(np.frombuffer(random_numbers, np.uint8))
    assert blosc_fault(stored, len(stored)) == ""


def test_a_store_with_a_damaged_chunk_is_refused_by_name(tmp_path):
    zarr.save_array(str(tmp_path / "a.zarr"), FRAMES, compressor=numcodecs.Blosc("lz4"))
    check_store(tmp_path)
    chunk = tmp_path / "a.zarr" / "0.0.0"
    content = bytearray(chunk.read_bytes())
    content[15] ^= 0x24
    chunk.write_bytes(content)
    with pytest.raises(CorruptSourceError, match=r"chunk '0\.0\.0' has \d+ bytes, but"):
        check_store(tmp_path)
