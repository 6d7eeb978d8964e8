"""Tests of the codecs and sizes that Zarr stores of strangers claim."""

from __future__ import annotations

import json
import os
import pickle
import warnings
import zlib
from pathlib import Path

import numcodecs.pickles
import numpy as np
import pytest
import zarr

from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, UnsafePickleError
from nwb_ophys.formats.minian.zarr_variables import open_zarr_variable
from nwb_ophys.storage import create_nwbfile, repack
from nwb_ophys.storage.backends.zarr_claims import check_array_claims, check_chunks, check_header
from nwb_ophys.storage.backends.zarr_places import array_folder
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import sample_writers

from .conftest import VALUES, new_file

RECORDING = simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)


class _Call:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.fixture
def permissive(monkeypatch, tmp_path):
    """Let numcodecs decode pickles, as its versions before 0.15.2 do."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("harmed"))


def _change(array: Path, chunk: bytes | None = None, **header: object) -> None:
    path = array / ".zarray"
    path.write_text(json.dumps({**json.loads(path.read_text()), **header}))
    if chunk is not None:
        for each in array.iterdir():
            if each.name[0].isdigit():
                each.write_bytes(chunk)


def _with_pickles(array: Path) -> None:
    filters = [{"id": "pickle", "protocol": 4}]
    _change(array, pickle.dumps(_Call()), dtype="|O", compressor=None, filters=filters)


def _store(path: Path) -> Path:
    create_nwbfile(new_file(a=VALUES), path, backend="zarr")
    return path


def _consolidated(store: Path, name: str) -> None:
    """Let a ``.zmetadata`` alone state that an array holds pickles."""
    header = json.loads((store / name / ".zarray").read_text())
    header |= {"dtype": "|O", "compressor": None, "filters": [{"id": "pickle", "protocol": 4}]}
    metadata = {f"{name}/.zarray": header, ".zgroup": {"zarr_format": 2}}
    content = {"zarr_consolidated_format": 1, "metadata": metadata}
    if (store / ".zmetadata").is_file():
        content = json.loads((store / ".zmetadata").read_text())
        content["metadata"][f"{name}/.zarray"] = header
    (store / ".zmetadata").write_text(json.dumps(content))
    for each in (store / name).iterdir():
        if each.name[0].isdigit():
            each.write_bytes(pickle.dumps(_Call()))


@pytest.mark.parametrize("place", ["array", "consolidated"])
@pytest.mark.parametrize("name", ["acquisition/a/data", "session_description"])
@pytest.mark.parametrize("command", ["inspect", "repack", "verify", "convert", "detect"])
def test_pickles_in_an_nwb_store_are_not_decoded(
    tmp_path, permissive, capsys, place, name, command
):
    """They are refused by the name of the codec, because some versions of numcodecs run them."""
    store = _store(tmp_path / "a.nwb.zarr")
    (_with_pickles(store / name) if place == "array" else _consolidated(store, name))
    target = ["-o", str(tmp_path / "b.nwb")] if command in ("repack", "convert") else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SystemExit) as ended:
            main([command, str(store), *target])
    out, err = capsys.readouterr()
    assert ended.value.code or command == "detect"
    if command in ("repack", "verify"):
        assert f"'{store.name}/{name}' holds pickles (codec 'pickle')" in out + err
    assert "Traceback" not in err
    assert not (tmp_path / "b.nwb").exists()


@pytest.mark.parametrize("name", ["A.zarr/A", "A.zarr/unit_id", "C.zarr/C", "C.zarr/frame"])
def test_pickles_of_minian_are_not_decoded(tmp_path, permissive, capsys, name):
    sample_writers()["write_minian"](tmp_path, RECORDING)
    (array,) = (each.parent for each in tmp_path.rglob(".zarray") if each.parent.match(name))
    _with_pickles(array)
    options = ["-o", str(tmp_path / "b.nwb"), "--option", "sampling_frequency=30"]
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(array.parent.parent), *options])
    err = capsys.readouterr().err
    assert (ended.value.code == 2) == ("holds pickles" in err)
    assert "Traceback" not in err


def _array(path: Path, shape=(40, 30), chunks=(20, 30), **how: object) -> Path:
    import zarr

    array = zarr.open_array(str(path), mode="w", shape=shape, chunks=chunks, dtype="u2", **how)
    array[...] = 7
    return path


BOMB = bytes(80_000_000)
CODECS = {
    "gzip, two members": ({"id": "gzip", "level": 1}, None),
    "zlib": ({"id": "zlib", "level": 1}, None),
    "filter": (None, [{"id": "zlib", "level": 1}]),
    "bz2": ({"id": "bz2", "level": 1}, None),
    "lzma": ({"id": "lzma", "format": 1, "check": -1, "preset": 0, "filters": None}, None),
    "zstd": ({"id": "zstd", "level": 1}, None),
    "lz4": ({"id": "lz4", "acceleration": 1}, None),
    "blosc": ({"id": "blosc", "cname": "lz4", "clevel": 1, "shuffle": 0, "blocksize": 0}, None),
}


@pytest.mark.parametrize("name", CODECS)
def test_a_chunk_that_inflates_beyond_its_shape(tmp_path, name):
    import zarr

    compressor, filters = CODECS[name]
    folder = _array(tmp_path / "a", compressor=None)
    codec = numcodecs.get_codec(dict(compressor or filters[0]))
    packed = bytes(codec.encode(BOMB))
    if "two members" in name:
        packed = bytes(codec.encode(bytes(10))) + packed
    _change(folder, packed, compressor=compressor, filters=filters)
    with pytest.raises(CorruptSourceError, match="inflates to more than the 1200 bytes"):
        check_array_claims(folder)
    array = zarr.open_array(str(folder), mode="r")
    with pytest.raises(ValueError, match="inflates to more"):
        check_chunks(folder, array, (slice(None), slice(None)))


@pytest.mark.parametrize("name", CODECS)
def test_chunks_of_their_shape_pass(tmp_path, name):
    import zarr

    compressor, filters = CODECS[name]
    how = {
        "compressor": None if compressor is None else numcodecs.get_codec(dict(compressor)),
        "filters": None if filters is None else [numcodecs.get_codec(dict(filters[0]))],
    }
    folder = _array(tmp_path / "a", **how)
    check_array_claims(folder)
    array = zarr.open_array(str(folder), mode="r")
    check_chunks(folder, array, (slice(None), 3))
    assert (array[...] == 7).all()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"shape": [-1, 30]}, "claims the shape"),
        ({"chunks": [0, 30]}, "claims the shape"),
        ({"dtype": "<U99999"}, "99999 bytes each"),
        ({"shape": [10**15, 30]}, "claims 50000000000000 chunks"),
        ({"chunks": [10**12, 30]}, "claims chunks of the shape"),
        ({"filters": [{"id": "categorize", "labels": ["a"]}]}, "'categorize' inflates"),
        ({"compressor": {"id": "pickle"}}, "holds pickles"),
        ({"compressor": "zlib"}, "cannot be opened"),
        ({"shape": None}, "cannot be opened"),
    ],
)
def test_headers_that_claim_too_much(tmp_path, header, said):
    folder = _array(tmp_path / "a", compressor=numcodecs.Zlib(1))
    _change(folder, **header)
    with pytest.raises(CorruptSourceError, match=said):
        check_array_claims(folder)


SEVERAL = (
    numcodecs.Blosc("lz4"),
    [numcodecs.Shuffle(2), numcodecs.Zlib(1)],
)


def test_chunks_of_several_codecs_pass(tmp_path):
    """Stores that hdmf-zarr makes of HDF5 files have HDF5's filters and Zarr's compressor."""
    import zarr

    folder = _array(tmp_path / "a", compressor=SEVERAL[0], filters=SEVERAL[1])
    check_array_claims(folder)
    array = zarr.open_array(str(folder), mode="r")
    check_chunks(folder, array, (slice(None), 3))
    assert (array[...] == 7).all()
    _array(tmp_path / "b", compressor=None, filters=[numcodecs.Zlib(1), numcodecs.Delta("u1")])
    check_array_claims(tmp_path / "b")


@pytest.mark.parametrize("depth", [1, 2])
def test_a_chunk_that_a_later_codec_inflates_beyond_its_shape(tmp_path, depth):
    folder = _array(tmp_path / "a", compressor=SEVERAL[0], filters=SEVERAL[1])
    packed = BOMB
    for codec in [numcodecs.Zlib(1)] * depth:
        packed = bytes(codec.encode(packed))
    _change(
        folder,
        bytes(SEVERAL[0].encode(packed)),
        filters=[{"id": "zlib", "level": 1}] * depth,
    )
    with pytest.raises(CorruptSourceError, match="inflates to more than the 1200 bytes"):
        check_array_claims(folder)


def _of_format_3(folder: Path, codecs: list[str], **keys: object) -> Path:
    grid = {"name": "regular", "configuration": {"chunk_shape": [20, 30]}}
    header = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [40, 30],
        "data_type": "uint16",
        "chunk_grid": grid,
        "codecs": [{"name": name} for name in codecs],
        **keys,
    }
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps(header))
    return folder


@pytest.mark.parametrize("is_old", [False, True])
def test_chunks_of_format_3(tmp_path, is_old):
    keys = {"chunk_key_encoding": {"name": "v2" if is_old else "default"}}
    folder = _of_format_3(tmp_path / "a", ["bytes", "gzip"], **keys)
    chunk = folder / ("1.0" if is_old else "c/1/0")
    chunk.parent.mkdir(parents=True, exist_ok=True)
    chunk.write_bytes(bytes(numcodecs.GZip(1).encode(np.zeros((20, 30), "u2"))))
    check_array_claims(folder)
    chunk.write_bytes(bytes(numcodecs.GZip(1).encode(BOMB)))
    with pytest.raises(CorruptSourceError, match=r"chunk '(1\.)?0' inflates to more than the 1200"):
        check_array_claims(folder)


def test_headers_of_format_3(tmp_path):
    with pytest.raises(UnsafePickleError, match="holds pickles"):
        check_header(_of_format_3(tmp_path / "a", ["numcodecs.pickle"]))
    with pytest.raises(ValueError, match="several codecs"):
        check_header(_of_format_3(tmp_path / "b", ["bytes", "gzip", "zstd"]))
    with pytest.raises(ValueError, match="claims the shape"):
        check_header(_of_format_3(tmp_path / "c", ["bytes"], shape=[-1, 30]))
    (tmp_path / "d").mkdir()
    (tmp_path / "d/zarr.json").write_text('{"node_type": "group"}')
    check_header(tmp_path / "d")
    check_header(tmp_path)


def test_a_variable_names_the_codec(tmp_path):
    _array(tmp_path / "A.zarr/A", compressor=None)
    _with_pickles(tmp_path / "A.zarr/A")
    with pytest.raises(UnsafePickleError, match=r"A\.zarr/A' holds pickles"):
        open_zarr_variable(tmp_path / "A.zarr", ("height", "width"))


def test_a_store_with_a_bomb_is_not_repacked(tmp_path):
    store = _store(tmp_path / "a.nwb.zarr")
    _change(store / "acquisition/a/data", zlib.compress(BOMB, 1), compressor={"id": "zlib"})
    with pytest.raises(CorruptSourceError, match="inflates to more"):
        repack(store, tmp_path / "b.nwb")
    assert not (tmp_path / "b.nwb").exists()


def test_the_folder_of_an_array_is_found_without_a_list_of_its_files(tmp_path, monkeypatch):
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w").create_dataset("b/c", shape=(4,))
    monkeypatch.setattr(type(array.store), "__len__", lambda _: pytest.fail("All are listed."))
    assert array_folder(array) == tmp_path / "a.zarr" / "b" / "c"
