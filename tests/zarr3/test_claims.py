"""Tests of the codecs, sizes and indices that Zarr stores of format 3 of strangers claim."""

from __future__ import annotations

import json
import warnings

import numcodecs
import numpy as np
import pytest
import zarr

from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, UnsafePickleError
from nwb_ophys.storage import repack
from nwb_ophys.storage.backends.zarr_claims import (
    check_array_claims,
    check_chunks,
    check_header,
    layout_of,
)
from nwb_ophys.storage.backends.zarr_places import checksum

from .conftest import DATA

BOMB = bytes(80_000_000)
CODECS = {
    "gzip": (zarr.codecs.GzipCodec(level=1), numcodecs.GZip(1)),
    "zstd": (zarr.codecs.ZstdCodec(level=1), numcodecs.Zstd(1)),
    "blosc": (zarr.codecs.BloscCodec(cname="lz4", typesize=2), numcodecs.Blosc("lz4")),
    "numcodecs.zlib": ("zlib", numcodecs.Zlib(1)),
    "numcodecs.bz2": ("bz2", numcodecs.BZ2(1)),
    "numcodecs.lzma": ("lzma", numcodecs.LZMA(preset=0)),
    "numcodecs.lz4": ("lz4", numcodecs.LZ4()),
}


def _codec(name):
    stated = CODECS[name][0]
    if not isinstance(stated, str):
        return stated
    kinds = {"zlib": "Zlib", "bz2": "BZ2", "lzma": "LZMA", "lz4": "LZ4"}
    return getattr(zarr.codecs.numcodecs, kinds[stated])()


def _array(folder, codec=None, *, location="start", **how):
    array = zarr.create_array(
        str(folder),
        shape=(40, 30),
        chunks=(20, 30),
        shards={"shape": (40, 30), "index_location": location},
        dtype="u2",
        compressors=codec,
        config={"write_empty_chunks": True},
        **how,
    )
    array[...] = 7
    return folder


def _replace_chunk(folder, chunk):
    """Put the bytes of another second chunk at the end of a shard, and name them in its index."""
    layout = layout_of(folder)
    file = folder.joinpath("c", *("0" * len(layout.shape)))
    content = file.read_bytes()
    size = layout.index_bytes
    start = 0 if layout.is_index_first else len(content) - size
    index = np.frombuffer(content[start : start + size - 4], "<u8").reshape(-1, 2).copy()
    body = content[:start] + content[start + size :]
    index[1] = (len(body) + (size if layout.is_index_first else 0), len(chunk))
    stated = index.tobytes() + checksum(index.tobytes())
    parts = [stated, body, chunk] if layout.is_index_first else [body, chunk, stated]
    file.write_bytes(b"".join(parts))


def _change(folder, **header):
    path = folder / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **header}))


def _change_sharding(folder, **settings):
    path = folder / "zarr.json"
    header = json.loads(path.read_text())
    header["codecs"][0]["configuration"].update(settings)
    path.write_text(json.dumps(header))


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("name", CODECS)
def test_a_chunk_in_a_shard_that_inflates_beyond_its_shape(tmp_path, name, location):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of codecs that are in no specification
        folder = _array(tmp_path / "a", _codec(name), location=location)
        array = zarr.open_array(str(folder), mode="r")
    check_array_claims(folder)
    check_chunks(folder, array, (slice(None), 3))
    assert (array[...] == 7).all()
    _replace_chunk(folder, bytes(CODECS[name][1].encode(BOMB)))
    said = "chunk '1 of c/0/0' inflates to more than the 1200 bytes"
    with pytest.raises(CorruptSourceError, match=said):
        check_array_claims(folder)
    with pytest.raises(ValueError, match=said):
        check_chunks(folder, array, (slice(20, 40), slice(None)))
    check_chunks(folder, array, (slice(0, 20), slice(None)))


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda folder: _change(folder, shape=[-1, 30]), "claims the shape"),
        (lambda folder: _change(folder, shape=[10**15, 30]), "claims 50000000000000 chunks"),
        (lambda folder: _change_sharding(folder, chunk_shape=[0, 30]), "do not hold chunks"),
        (lambda folder: _change_sharding(folder, chunk_shape=[7, 30]), "do not hold chunks"),
        (lambda folder: _change_sharding(folder, chunk_shape=[20]), "do not hold chunks"),
        (
            lambda folder: _change_sharding(folder, index_codecs=[{"name": "gzip"}]),
            "indices of its shards are encoded by gzip",
        ),
        (
            lambda folder: _change_sharding(
                folder, codecs=[{"name": "sharding_indexed", "configuration": {}}]
            ),
            "lie within shards",
        ),
        (
            lambda folder: _change_sharding(folder, codecs=[{"name": "gzip"}, {"name": "zstd"}]),
            "several codecs",
        ),
        (
            lambda folder: _change_sharding(
                folder, codecs=[{"name": "bytes"}, {"name": "numcodecs.pickle"}]
            ),
            "holds pickles",
        ),
        (lambda folder: _change(folder, codecs=None), "cannot be opened"),
        (lambda folder: _change(folder, chunk_grid={"name": "regular"}), "cannot be opened"),
    ],
)
def test_headers_that_claim_too_much(tmp_path, act, said):
    folder = _array(tmp_path / "a", zarr.codecs.GzipCodec(level=1))
    act(folder)
    with pytest.raises(CorruptSourceError, match=said):
        check_array_claims(folder)


def test_an_index_that_names_bytes_elsewhere(tmp_path):
    folder = _array(tmp_path / "a", zarr.codecs.GzipCodec(level=1))
    file = folder / "c/0/0"
    content = bytearray(file.read_bytes())
    for start, size in ((2**64 - 8, 16), (10**12, 5), (40, 10**12)):
        content[0:16] = np.array([start, size], "<u8").tobytes()
        file.write_bytes(content)
        with pytest.raises(CorruptSourceError, match="names bytes beyond its end"):
            check_array_claims(folder)
    file.write_bytes(content[:20])
    with pytest.raises(CorruptSourceError, match="has 20 bytes, fewer than its index of 36"):
        check_array_claims(folder)


def test_large_chunks_that_nothing_fills(tmp_path):
    folder = _array(tmp_path / "a", zarr.codecs.BloscCodec())
    grid = {"name": "regular", "configuration": {"chunk_shape": [10**9, 30]}}
    _change(folder, shape=[10**9, 30], chunk_grid=grid)
    _change_sharding(folder, chunk_shape=[5 * 10**8, 30])
    with pytest.raises(CorruptSourceError, match="claims chunks of the shape"):
        check_array_claims(folder)


def test_types_have_the_size_that_they_state(tmp_path):
    kind = {"name": "fixed_length_utf32", "configuration": {"length_bytes": 400_000}}
    folder = _array(tmp_path / "a")
    _change(folder, data_type=kind)
    with pytest.raises(CorruptSourceError, match="400000 bytes each"):
        check_array_claims(folder)
    fields = [["x", "uint16"], {"name": "y", "data_type": "float64"}]
    _change(folder, data_type={"name": "structured", "configuration": {"fields": fields}})
    check_header(folder)


def test_the_copies_in_the_root_are_checked(store, tmp_path):
    header = json.loads((store / "zarr.json").read_text())
    copy = header["consolidated_metadata"]["metadata"][DATA]
    inner = copy["codecs"][0]["configuration"]["codecs"]
    inner[1:] = [{"name": "numcodecs.pickle"}]
    (store / "zarr.json").write_text(json.dumps(header))
    with pytest.raises(UnsafePickleError, match=f"{DATA}' holds pickles"):
        repack(store, tmp_path / "b.nwb")


@pytest.mark.parametrize("command", ["inspect", "repack", "verify", "convert", "detect"])
def test_a_store_with_a_bomb_is_refused(store, tmp_path, capsys, command):
    codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "gzip", "configuration": {"level": 1}},
    ]
    _change_sharding(store / DATA, codecs=codecs)
    _replace_chunk(store / DATA, bytes(numcodecs.GZip(1).encode(BOMB)))
    target = ["-o", str(tmp_path / "b.nwb")] if command in ("repack", "convert") else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SystemExit) as ended:
            main([command, str(store), *target])
    out, err = capsys.readouterr()
    assert ended.value.code or command == "detect"
    if command == "repack":
        assert "inflates to more" in out + err
    assert "Traceback" not in err
    assert not (tmp_path / "b.nwb").exists()
