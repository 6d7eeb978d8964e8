"""Tests of deflate streams of several kinds of blocks: valid, equal, and hardly larger."""

from __future__ import annotations

import functools
import gzip
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

import nwb_ophys
from nwb_ophys.storage import literals
from nwb_ophys.storage.deflate import gzip_stream, zlib_stream

from .specimens import DATA, series

SIZE = 1 << 19
MOST_GROWTH = 1.03


@pytest.fixture(params=["compiled", "not compiled"])
def installation(request, monkeypatch):
    """The package as a compiler was there when it was installed, or was not."""
    if request.param == "not compiled":
        monkeypatch.setattr(literals, "_compiled", None)
    elif not literals.are_compiled():
        pytest.skip("no compiler was there")
    return request.param


def _planes(values):
    """Return values as shuffled bytes, one row per byte."""
    return values.view(np.uint8).reshape(-1, values.dtype.itemsize).T.copy()


def _noise(sigma, dtype="i2", count=3 * SIZE):
    return np.random.default_rng(0).normal(2000, sigma, count).astype(dtype)


_SIGMAS = (5, 20, 40, 60, 80, 100, 300, 3000)
_NAMES = [
    *(f"noise of {sigma}" for sigma in _SIGMAS),
    "float32",
    "float64",
    "uint32",
    "uint64",
    "photons",
    "random bytes",
    "zeros",
    "half of zeros",
    "dark columns",
    "dark rows",
    "dark frames",
    "repeats of 3 kB",
    "repeats of 30 kB",
    "frames twice",
    "saturated",
    "even numbers",
    "multiples of 16",
]


@functools.cache
def _specimens():
    random = np.random.default_rng(1)
    bytes_ = random.integers(0, 256, 3 * SIZE).astype(np.uint8)
    rows, columns = np.mgrid[:512, :512]
    field = 60 + 40 * np.sin(rows / 23) * np.cos(columns / 31)
    found = {f"noise of {sigma}": _noise(sigma) for sigma in _SIGMAS}
    found |= {
        "float32": _noise(100, "f4"),
        "float64": _noise(100, "f8", SIZE),
        "uint32": random.integers(0, 1 << 20, 2 * SIZE).astype("u4"),
        "uint64": random.integers(0, 1 << 50, SIZE).astype("u8"),
        "photons": random.poisson(field, (6, 512, 512)).astype("i2"),
        "random bytes": bytes_,
        "zeros": np.zeros(3 * SIZE, "i2"),
        "half of zeros": np.concatenate([np.zeros(3 * SIZE, "i2"), _noise(300)]),
        "dark columns": np.where(columns < 200, 0, random.integers(0, 4096, (6, 512, 512))).astype(
            "i2"
        ),
        "dark rows": np.where(rows < 200, 0, random.integers(0, 4096, (6, 512, 512))).astype("i2"),
        "dark frames": random.integers(0, 4096, (8, 512, 512)).astype("i2")
        * (np.arange(8) % 2).astype("i2")[:, None, None],
        "repeats of 3 kB": np.resize(bytes_[:3_000], 2 * SIZE),
        "repeats of 30 kB": np.resize(bytes_[:30_000], 2 * SIZE),
        "frames twice": np.repeat(random.integers(0, 4096, (64, 128, 96)).astype("i2"), 2, axis=0),
        "saturated": np.minimum(_noise(3000), 4000),
        "even numbers": _noise(300) // 2 * 2,
        "multiples of 16": _noise(3000) // 16 * 16,
    }
    assert list(found) == _NAMES
    return found


@pytest.mark.parametrize("name", _NAMES)
def test_a_stream_is_valid_and_at_most_three_percent_larger(name, installation):
    planes = _planes(np.ascontiguousarray(_specimens()[name]).reshape(-1))
    stream = bytes(zlib_stream(planes, 1))
    assert zlib.decompress(stream) == planes.tobytes()
    assert gzip.decompress(gzip_stream(planes, 1)) == planes.tobytes()
    assert len(stream) <= len(isal_zlib.compress(planes, 1)) * MOST_GROWTH
    assert zlib_stream(planes.copy(), 1) == stream


@pytest.mark.parametrize(
    ("noise", "plane", "is_stored"),
    [
        ((300,), 0, True),
        ((300,), 1, False),
        ((5,), 0, False),
        ((100, "f4"), 0, True),
        ((100, "f4"), 3, False),
    ],
)
def test_which_planes_are_stored(noise, plane, is_stored, installation):
    planes = _planes(_noise(*noise))
    assert (planes[plane, 1000:60_000].tobytes() in bytes(zlib_stream(planes, 1))) is is_stored


@pytest.mark.parametrize(
    ("name", "is_encoded"),
    [
        ("photons", True),
        ("noise of 20", True),
        ("zeros", False),
        ("frames twice", False),
        ("repeats of 3 kB", False),
        ("repeats of 30 kB", False),
        ("even numbers", True),
    ],
)
def test_noise_is_encoded_byte_by_byte_and_repeats_are_not(name, is_encoded, monkeypatch):
    if not literals.are_compiled():
        pytest.skip("no compiler was there")
    encoded, encode = [], literals.encode_into

    def noted(data, memory):
        encoded.append(len(data))
        return encode(data, memory)

    monkeypatch.setattr(literals, "encode_into", noted)
    zlib_stream(_planes(np.ascontiguousarray(_specimens()[name]).reshape(-1)), 1)
    longest_trial = 1 << 15
    assert any(size > longest_trial for size in encoded) is is_encoded


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize(("axis", "most"), [(0, 1.005), (1, 0.9)])
def test_noise_gets_no_larger_than_by_isal(level, axis, most):
    """Codes of their own for every 32 kB suit a brightness that changes over the field."""
    if not literals.are_compiled():
        pytest.skip("no compiler was there")
    brightness = 60 + 40 * np.sin(np.arange(512) / 23)
    shape, field = ((2048, 512), brightness) if axis == 0 else ((512, 2048), brightness[:, None])
    planes = _planes(np.random.default_rng(1).poisson(field, shape).astype("i2").reshape(-1))
    assert len(zlib_stream(planes, level)) <= most * len(isal_zlib.compress(planes, level))


@given(st.data())
def test_every_length_and_mixture(data):
    """Pieces at the ends of planes, and of chunks smaller than a piece."""
    random = np.random.default_rng(data.draw(st.integers(0, 100)))
    itemsize = data.draw(st.sampled_from([1, 2, 4, 8]))
    count = data.draw(st.sampled_from([0, 1, 7, 255, 65_535, 65_536, SIZE - 1, SIZE + 1]))
    highest = [data.draw(st.sampled_from([1, 3, 200, 256])) for _ in range(itemsize)]
    planes = np.stack([random.integers(0, high, count).astype(np.uint8) for high in highest])
    whole = planes.tobytes()
    assert zlib.decompress(zlib_stream(planes, 1)) == whole
    assert gzip.decompress(gzip_stream(planes, 1)) == whole
    assert zlib.decompress(zlib_stream(whole, 1)) == whole


def test_readers_see_the_values_chunk_by_chunk(tmp_path, backend):
    values = _noise(300)[: 12 * 256 * 256].reshape(12, 256, 256)
    source = series(tmp_path / "a.nwb", values)
    configuration = nwb_ophys.BackendConfiguration(backend=backend, compression="gzip")
    path = nwb_ophys.repack(source, tmp_path / "b", configuration=configuration, workers=2)
    if backend == "zarr":
        zarr = pytest.importorskip("zarr")
        np.testing.assert_array_equal(zarr.open(str(path), mode="r")[DATA][:], values)
        chunk = (path / DATA / "0.0.0").read_bytes()
        assert gzip.decompress(chunk)[1000:60_000] in chunk  # low bytes, as they are
        return
    with h5py.File(path) as file:
        dataset = file[DATA]
        np.testing.assert_array_equal(dataset[:], values)
        for index in range(dataset.id.get_num_chunks()):
            place = dataset.id.get_chunk_info(index)
            assert place.filter_mask == 0
            _, chunk = dataset.id.read_direct_chunk(place.chunk_offset)
            raw = np.frombuffer(zlib.decompress(chunk), np.uint8)
            whole = raw.reshape(2, -1).T.copy().view("<i2").reshape(dataset.chunks)
            corner = tuple(
                slice(first, first + size)
                for first, size in zip(place.chunk_offset, dataset.chunks, strict=True)
            )
            part = values[corner]
            np.testing.assert_array_equal(whole[tuple(map(slice, part.shape))], part)


def test_equal_bytes_in_another_process():
    code = (
        "import numpy as np, hashlib; from nwb_ophys.storage.deflate import zlib_stream; "
        "values = np.random.default_rng(0).normal(2000, 300, 600_000).astype('i2'); "
        "planes = values.view('u1').reshape(-1, 2).T.copy(); "
        "print(hashlib.sha256(zlib_stream(planes, 1)).hexdigest())"
    )
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
            for _ in range(2)}  # fmt: skip
    assert len(runs) == 1
