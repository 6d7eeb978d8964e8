"""Tests of the comparison of claimed sizes with files: HDF5, Zarr, .npz and images within TIFF."""

from __future__ import annotations

import zipfile
import zlib

import h5py
import imagecodecs
import numpy as np
import pytest

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.hdf5_claims import check_stored
from nwb_ophys.filetypes.npy import check_npz
from nwb_ophys.filetypes.tiff.embedded import _READERS
from nwb_ophys.storage.backends.inflated import MEASURES


def test_datasets_that_are_stored_pass(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rng = np.random.default_rng(1)
        values = rng.integers(0, 99, (40, 32, 32), "u2")
        for name, how in {
            "contiguous": {},
            "chunked": {"chunks": (1, 32, 32)},
            "packed": {"chunks": (7, 32, 32), "compression": "gzip", "shuffle": True},
            "zeros": {"chunks": (40, 32, 32), "compression": "gzip"},
        }.items():
            data = values * (name != "zeros")
            assert check_stored(file.create_dataset(name, data=data, **how)) == file[name]
        assert check_stored(file.create_dataset("empty", (0, 5), "f4")).shape == (0, 5)
        assert check_stored(file.create_dataset("null", data=h5py.Empty("f4"))).shape is None
    assert check_stored([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("shape", "chunks", "chunk", "what"),
    [
        ((2**40, 64, 64), (1, 64, 64), b"", "the shape"),
        ((2**20, 64, 64), (1, 64, 64), bytes(10), "the shape"),
        (
            (2, 2**14, 2**14),
            (1, 2**14, 2**14),
            zlib.compress(bytes(1 << 29)),
            "chunks of the shape",
        ),
        ((2, 64, 64), (1, 64, 64), bytes(1 << 20), "holds more bytes of one of them"),
    ],
)
def test_datasets_that_the_file_cannot_hold_are_refused(tmp_path, shape, chunks, chunk, what):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a/b", shape, "u2", chunks=chunks, compression="gzip")
        if chunk:
            data.id.write_direct_chunk((0, 0, 0), chunk)
        with pytest.raises(
            CorruptSourceError, match=rf"a\.h5'.*its dataset '/a/b' claims.*{what}|{what}"
        ):
            check_stored(data)


def test_members_of_npz_files(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros((1000, 1000)), b=np.array(["text"]), c=np.arange(5))
    check_npz(path)
    np.save(tmp_path / "a.npy", np.zeros((10, 10)))
    content = (tmp_path / "a.npy").read_bytes()
    for member, what in {
        content.replace(b"(10, 10)", b"(10,999)"): "claims the shape",
        content + bytes(1 << 28): "bytes, packed to",
    }.items():
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", member)
        with pytest.raises(ValueError, match=what):
            check_npz(path)


@pytest.mark.parametrize("codec", ["zlib", "gzip", "zstd", "lzma", "bz2", "blosc", "lz4"])
def test_sizes_to_which_chunks_inflate(codec):
    codecs = pytest.importorskip("numcodecs")
    data, most = bytes(3 << 20), 1 << 20
    packed = bytes(codecs.get_codec({"id": codec}).encode(data))
    assert MEASURES[codec](packed, most) > most
    assert MEASURES[codec](packed, 1 << 22) in (3 << 20, None)


@pytest.mark.parametrize(
    ("compression", "packed"),
    [
        (7, imagecodecs.jpeg8_encode(np.zeros((20, 30), "u1"))),
        (34712, imagecodecs.jpeg2k_encode(np.zeros((20, 30), "u1"))),
        (34933, imagecodecs.png_encode(np.zeros((20, 30), "u1"))),
        (50001, imagecodecs.webp_encode(np.zeros((20, 30, 3), "u1"), lossless=True)),
        (50001, imagecodecs.webp_encode(np.zeros((20, 30, 3), "u1"), lossless=False)),
    ],
)
def test_sizes_that_images_state(compression, packed):
    assert _READERS[compression](packed) == (20, 30)
    for length in range(0, len(packed), 7):
        assert _READERS[compression](packed[:length]) in (None, (20, 30))
