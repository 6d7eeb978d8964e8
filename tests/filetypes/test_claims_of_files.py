"""Tests of the comparison of claimed sizes with files: HDF5, Zarr, .npz and images within TIFF."""

from __future__ import annotations

import datetime
import struct
import zipfile
import zlib

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from hdmf.backends.hdf5.h5_utils import H5DataIO
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.npy import check_npz
from nwb_ophys.filetypes.tiff.checks import inspect_tiff
from nwb_ophys.filetypes.tiff.embedded import _READERS
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.filetypes.tiff.table import read_page_table
from nwb_ophys.storage import repack
from nwb_ophys.storage.backends.hdf5_claims import check_stored
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
            lambda: zlib.compress(bytes(1 << 29), 1),
            "chunks of the shape",
        ),
        ((2, 64, 64), (1, 64, 64), bytes(1 << 20), "holds more bytes of one of them"),
    ],
)
def test_datasets_that_the_file_cannot_hold_are_refused(tmp_path, shape, chunks, chunk, what):
    chunk = chunk() if callable(chunk) else chunk
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


SHAPES = [(1, 1), (8, 8), (16, 24), (24, 34), (90, 160), (100, 120), (256, 256), (513, 700)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("how", [{}, {"lossless": True}, {"usecontainer": True}])
def test_the_size_of_jpeg_xl(shape, dtype, how):
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    packed = imagecodecs.jpegxl_encode(image, **how)
    assert _READERS[50002](packed) == shape
    assert _READERS[50002](packed[:3]) is None


def test_jpeg_xl_of_several_images_or_planes():
    with pytest.raises(ValueError, match="an animation or a preview"):
        _READERS[50002](imagecodecs.jpegxl_encode(np.zeros((5, 20, 30), "u1")))
    assert _READERS[50002](imagecodecs.jpegxl_encode(np.zeros((20, 30, 2), "u1"))) == (20, 30, 2)
    assert _READERS[50002](b"") is None
    assert _READERS[50002](b"\0\0\0\2abcd" + bytes(20)) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_the_size_of_jpeg_xr_and_lerc(shape, dtype):
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    assert _READERS[34887](imagecodecs.lerc_encode(image)) == shape
    if min(shape) > 1:
        assert _READERS[22610](imagecodecs.jpegxr_encode(image)) == shape
    for code in (34887, 22610):
        assert _READERS[code](b"") is None


@pytest.mark.parametrize("version", [2, 3, 4, 5, 6])
def test_lerc_of_any_version_and_of_several_bands(version):
    image = np.arange(600, dtype="f4").reshape(20, 30)
    assert _READERS[34887](imagecodecs.lerc_encode(image, version=version)) == (20, 30)
    bands = np.zeros((5, 20, 30), "u2")
    assert _READERS[34887](imagecodecs.lerc_encode(bands, planar=True)) == (20, 30, 5)
    assert _READERS[34887](imagecodecs.lerc_encode(np.moveaxis(bands, 0, 2))) == (20, 30, 5)


def test_a_header_within_a_comment_hides_no_larger_image():
    small = imagecodecs.jpeg2k_encode(np.zeros((20, 30), "u1"), codecformat="j2k")
    large = imagecodecs.jpeg2k_encode(np.zeros((200, 300), "u1"), codecformat="j2k")
    assert _READERS[34712](small + large) == (200, 300)
    assert _READERS[34712](imagecodecs.jpeg2k_encode(np.zeros((20, 30, 3), "u1"))) == (20, 30, 3)


@pytest.mark.parametrize(
    ("compression", "packed"),
    [
        (50002, lambda: imagecodecs.jpegxl_encode(np.zeros((2200, 2200), "u1"), effort=1)),
        (50002, lambda: imagecodecs.jpegxl_encode(np.zeros((3, 64, 64), "u1"), effort=1)),
        (22610, lambda: imagecodecs.jpegxr_encode(np.zeros((2200, 2200), "u1"))),
        (34887, lambda: imagecodecs.lerc_encode(np.zeros((2200, 2200), "u1"))),
        (34887, lambda: b"CntZImage " + bytes(100)),
        (34712, lambda: imagecodecs.jpeg2k_encode(np.zeros((2200, 2200), "u1"))),
        (7, lambda: b"\xff\xd8" + b"\xff\xfe\xff\xff" + bytes(0xFFFD) + b"\xff\xd9"),
    ],
)
def test_images_larger_than_their_tile_are_not_decoded(tmp_path, compression, packed, monkeypatch):
    path, data = tmp_path / "a.tif", packed()
    how = {"shape": (3, 64, 64), "dtype": "u1", "tile": (64, 64), "photometric": "minisblack"}
    tifffile.imwrite(path, iter([data] * 3), compression="zlib", metadata=None, **how)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in tiff.pages:
            page.tags["Compression"].overwrite(compression)
    decoded = []
    reader = TiffPageReader([inspect_tiff(path)])
    monkeypatch.setattr(tifffile.TiffFile, "asarray", lambda *_, **__: decoded.append(1))
    with pytest.raises(CorruptSourceError, match=r"pages 0 to 2 cannot be decoded \(its compr"):
        reader.read(np.arange(3))
    assert not decoded
    reader.close()


def test_pages_that_share_their_pixels(tmp_path):
    """A file of 100 kB claimed gigabytes of pixels, each of which was there."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((1, 64, 64), "u1"), metadata=None)
    _share_pixels(path, 600)
    with pytest.raises(CorruptSourceError, match=r"600 pages claim 2457600 bytes of pixels in all"):
        read_page_table(path)


def _share_pixels(path, number):
    """Append copies of the only directory of a file."""
    with tifffile.TiffFile(path) as tiff:
        start, order = tiff.pages[0].offset, tiff.byteorder
    content = bytearray(path.read_bytes())
    (count,) = struct.unpack_from(order + "H", content, start)
    end = start + 2 + 12 * count
    directory = bytes(content[start:end])
    for _ in range(number - 1):
        struct.pack_into(order + "I", content, end, len(content))
        content += directory + bytes(4)
        end = len(content) - 4
    path.write_bytes(content)


def test_a_zstd_frame_without_its_size():
    numcodecs = pytest.importorskip("numcodecs")
    head, zeros = b"\x28\xb5\x2f\xfd\x00\x58", (1 << 17 << 3 | 2).to_bytes(3, "little") + b"\0"
    last = (1 << 17 << 3 | 3).to_bytes(3, "little") + b"\0"
    packed = head + zeros * 1000 + last
    assert MEASURES["zstd"](packed, 0) == (1001 << 17) * 4 // 5
    assert MEASURES["zstd"](b"not a frame", 0) is None
    assert MEASURES["zstd"](bytes(numcodecs.Zstd(1).encode(bytes(999))), 0) == 999


@pytest.mark.parametrize("codec", ["gzip", "bz2", "lzma", "zlib"])
def test_all_streams_of_a_chunk_are_measured(codec):
    codecs = pytest.importorskip("numcodecs")
    encode = codecs.get_codec({"id": codec}).encode
    packed = bytes(encode(bytes(10))) + bytes(encode(bytes(3 << 20)))
    assert MEASURES[codec](packed, 1 << 20) > 1 << 20
    assert MEASURES[codec](packed, 1 << 22) == 10 + (3 << 20)


def _with_filters(path, filters, chunk, mask=0):
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1, 64, 64))
        for each in filters:
            getattr(settings, f"set_{each}")(*([1] if each == "deflate" else []))
        space = h5py.h5s.create_simple((3, 64, 64))
        made = h5py.h5d.create(file.id, b"mov", h5py.h5t.NATIVE_INT16, space, settings)
        made.write_direct_chunk((0, 0, 0), chunk, mask)


def test_a_chunk_of_hdf5_that_inflates_beyond_its_shape(tmp_path):
    path, noise = tmp_path / "a.h5", np.random.default_rng(0).bytes(1 << 18)
    bomb = zlib.compress(noise + bytes(80_000_000), 1)
    for filters in (["deflate"], ["shuffle", "deflate"], ["deflate", "fletcher32"]):
        _with_filters(path, filters, bomb)
        with h5py.File(path) as file, pytest.raises(CorruptSourceError, match="more bytes of one"):
            check_stored(file["mov"])[0]
    _with_filters(path, ["deflate"], bytes(range(256)) * 32, 1)  # stored without the filter
    with h5py.File(path) as file:
        assert check_stored(file["mov"])[0].tobytes() == bytes(range(256)) * 32
    _with_filters(path, ["deflate", "deflate"], zlib.compress(zlib.compress(bytes(8192))))
    with h5py.File(path) as file, pytest.raises(CorruptSourceError, match="by 2 filters"):
        check_stored(file["mov"])


def test_repack_refuses_chunks_that_inflate_beyond_their_shape(tmp_path):
    path = tmp_path / "a.nwb"
    start = datetime.datetime(2024, 5, 17, tzinfo=datetime.timezone.utc)
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=start)
    data = H5DataIO(np.zeros((3, 64, 64), "i2"), chunks=(1, 64, 64), compression="gzip")
    nwbfile.add_acquisition(TimeSeries(name="a", data=data, unit="a", rate=1.0))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with h5py.File(path, "a") as file:
        bomb = zlib.compress(bytes(8_000_000))
        file["acquisition/a/data"].id.write_direct_chunk((0, 0, 0), bomb, 0)
    for target in (tmp_path / "b.nwb", tmp_path / "b.nwb.zarr"):
        with pytest.raises(CorruptSourceError, match=r"'[^']*/a\.nwb' .* to more than 8192"):
            repack(path, target)
        assert not target.exists()


def test_a_long_list_of_texts_is_no_claim(tmp_path):
    """Fault: a text takes 16 bytes of a chunk, twice the size of its pointer in memory."""
    texts = [f"roi {number}" for number in range(40_000)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", data=texts, dtype=h5py.string_dtype(), chunks=(40_000,))
        assert check_stored(data)[39_999] == b"roi 39999"
