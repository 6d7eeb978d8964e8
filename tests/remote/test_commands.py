"""Commands that read NWB files in an object store: verify, inspect, repack and report."""

from __future__ import annotations

import json
import os
import pickle
import re

import fsspec
import numcodecs.pickles
import numpy as np
import pytest
import zarr

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.remote import reading, trees
from nwb_ophys.storage import repack

from .conftest import METADATA
from .test_input import _is_same, _no_blocks_of_before
from .test_output import DATA, NAMES

_caches = _no_blocks_of_before
FOLDER = "/remote-commands"
URL = f"memory:/{FOLDER}"


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A small movie in a file of each backend."""
    folder = tmp_path_factory.mktemp("files")
    values = np.random.default_rng(0).integers(0, 1 << 16, (40, 48, 64), dtype=np.uint16)
    np.save(folder / "movie.npy", values)
    opened = nwb_ophys.open(folder / "movie.npy", sampling_frequency=30.0)
    for name in NAMES.values():
        opened.run_conversion(folder / name, metadata=METADATA, progress=False)
    opened.close()
    return folder


@pytest.fixture
def memory(files):
    store = fsspec.filesystem("memory")
    for name in NAMES.values():
        store.put(str(files / name), f"{FOLDER}/{name}", recursive=True)
    trees._TREES.clear()
    yield store
    store.rm(FOLDER, recursive=True)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        return ended.value.code, capsys.readouterr()

    return call


@pytest.mark.parametrize("name", NAMES.values())
def test_what_is_said_is_that_of_the_file_on_the_disk(memory, files, run, name):
    for command in ("verify", "inspect"):
        local, remote = (run(command, f"{folder}/{name}") for folder in (files, URL))
        assert remote[0] == local[0] == 0
        said = remote[1].out.replace(f"{URL}/{name}", "FILE")
        assert said == local[1].out.replace(str(files / name), "FILE")
        assert "FILE: " in said
    code, said = run("verify", f"{URL}/{name}", files / "movie.npy")
    assert code == 0
    assert "May the source files be deleted? Yes" in said.out


@pytest.mark.parametrize("name", NAMES.values())
@pytest.mark.parametrize("target", NAMES.values())
def test_a_copy_is_that_of_the_file_on_the_disk(memory, files, run, name, target, tmp_path):
    code, said = run("repack", f"{URL}/{name}", "-o", tmp_path / f"remote-{target}")
    assert code == 0
    assert "from 0.0 MB" not in said.out
    local = repack(files / name, tmp_path / f"local-{target}", progress=False)
    if target.endswith(".zarr"):
        one, other = (zarr.open_group(str(tmp_path / f"{each}-{target}"), "r")[DATA][:]
                      for each in ("local", "remote"))  # fmt: skip
        np.testing.assert_array_equal(one, other)
    else:
        assert _is_same(local, tmp_path / f"remote-{target}")
    assert run("verify", tmp_path / f"remote-{target}")[0] == 0


@pytest.mark.parametrize("name", NAMES.values())
def test_a_report_is_that_of_the_file_on_the_disk(memory, files, run, name, tmp_path):
    pages = []
    for place, page in ((files, tmp_path / "local.html"), (URL, tmp_path / "remote.html")):
        code, said = run("report", f"{place}/{name}", "-o", page)
        assert code == 0, said.err
        text = page.read_text("utf-8").replace(f"{place}/{name}", "FILE")
        text = re.sub(r"<meta name=\"nwb-ophys[^>]*>", "", text)  # for an index on the disk
        pages.append(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d[^<]*", "TIME", text))
    assert pages[0] == pages[1]
    assert "TwoPhotonSeries" in pages[0]


@pytest.mark.parametrize("name", NAMES.values())
def test_values_that_were_changed_are_found(memory, files, run, name):
    place = f"{FOLDER}/{name}" + (f"/{DATA}/0.0.0" if name.endswith(".zarr") else "")
    content = bytearray(memory.cat_file(place))
    content[len(content) // 2] ^= 255
    memory.pipe_file(place, bytes(content))
    code, said = run("verify", f"{URL}/{name}")
    assert code == 1
    assert DATA in said.out
    assert "Traceback" not in said.err


class _Call:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("command", ["inspect", "verify", "repack", "detect", "report"])
def test_pickles_are_not_decoded(memory, run, tmp_path, monkeypatch, command):
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    monkeypatch.chdir(tmp_path)
    store = f"{FOLDER}/{NAMES['zarr']}"
    place = f"{store}/session_description"
    header = json.loads(memory.cat_file(f"{place}/.zarray"))
    header |= {"filters": [{"id": "pickle", "protocol": 4}], "compressor": None, "dtype": "|O"}
    memory.pipe_file(f"{place}/.zarray", json.dumps(header).encode())
    memory.pipe_file(f"{place}/0", pickle.dumps(_Call()))
    target = ["-o", tmp_path / "b.nwb"] if command == "repack" else []
    code, said = run(command, f"memory:/{store}", *target)
    assert code or command == "detect"
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", ["inspect", "verify", "repack", "report"])
def test_mistakes_are_named_in_one_line(memory, files, run, tmp_path, command):
    target = ["-o", tmp_path / "b.nwb"] if command == "repack" else []
    code, said = run(command, f"{URL}/absent.nwb", *target)
    assert code == 2
    assert said.err == f"Error: '{URL}/absent.nwb' does not exist; check the path.\n"


def _forget_the_last_seconds():
    for facts in (reading._info, reading._entries, reading._block, reading._small_block):
        facts.cache_clear()
    trees._TREES.clear()


@pytest.mark.parametrize("name", NAMES.values())
@pytest.mark.parametrize("place", ["", "/{name}"])
def test_sources_of_a_verification_may_be_in_a_store(memory, files, run, tmp_path, name, place):
    source = nwb_ophys.open(f"{URL}/{name}")
    copy = source.run_conversion(tmp_path / "copy.nwb", metadata=METADATA, progress=False)
    source.close()
    others = [each for each in NAMES.values() if each != name]
    for each in () if place else others:
        memory.rm(f"{FOLDER}/{each}", recursive=True)
    _forget_the_last_seconds()
    given = URL + place.format(name=name)
    code, said = run("verify", copy, given)
    assert code == 0, said.out + said.err
    assert "May the source files be deleted? Yes" in said.out


def test_files_of_a_store_that_were_not_converted_are_named(memory, files, run, tmp_path):
    memory.pipe_file(f"{FOLDER}/day1/notes.txt", b"Mouse 7")
    source = nwb_ophys.open(f"{URL}/{NAMES['hdf5']}")
    copy = source.run_conversion(tmp_path / "copy.nwb", metadata=METADATA, progress=False)
    source.close()
    code, said = run("verify", copy, f"{URL}/day1", f"{URL}/{NAMES['hdf5']}")
    assert code == 1
    assert "did not read 1 file there: 'notes.txt'." in said.out


def test_a_source_in_a_store_that_was_changed_is_named(memory, files, run, tmp_path):
    place = f"{FOLDER}/{NAMES['hdf5']}"
    source = nwb_ophys.open(f"{URL}/{NAMES['hdf5']}")
    copy = source.run_conversion(tmp_path / "copy.nwb", metadata=METADATA, progress=False)
    source.close()
    content = bytearray(memory.cat_file(place))
    content[content.index(b"n.a.")] ^= 1
    memory.pipe_file(place, bytes(content))
    _forget_the_last_seconds()
    code, said = run("verify", copy, f"{URL}/{NAMES['hdf5']}")
    assert code == 1, said
    assert "1 source file is not as converted" in said.out
