"""Tests of files: they appear complete or not at all, and an existing file stays until then."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import warnings
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
import zarr
from hdmf_zarr import NWBZarrIO

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    ArgumentError,
    MissingPackageError,
    NwbOphysError,
    OutputError,
    OutputExistsError,
    SourceError,
)
from nwb_ophys.storage import (
    WriteOptions,
    append_to_nwbfile,
    atomic,
    backend_of_path,
    check_place,
    check_target,
    create_nwbfile,
    reserved,
)

from .conftest import VALUES, Lazy, new_file, read, snapshot

OTHER = VALUES[::-1].copy()


def _names(folder):
    return [path.name for path in Path(folder).iterdir()]


def _reader(path):
    if Path(path).is_dir():
        return NWBZarrIO(str(path), mode="r")
    return pynwb.NWBHDF5IO(str(path), mode="r")


def _add(values):
    return lambda nwbfile: nwbfile.add_acquisition(
        pynwb.TimeSeries(name="added", data=values, unit="a", rate=1.0)
    )


# --- what is written is what was given ----------------------------------------------------------


def test_a_new_file_holds_what_was_given_and_nothing_is_beside_it(target, backend):
    nwbfile = new_file(lazy=Lazy(VALUES), plain=VALUES)
    assert create_nwbfile(nwbfile, target, backend=backend) == target
    assert _names(target.parent) == [target.name]
    for name in ("lazy", "plain"):
        assert read(target, f"acquisition/{name}/data")[0].tolist() == VALUES.tolist()
    assert backend_of_path(target).name == backend
    with _reader(target) as io:
        series = io.read().acquisition["lazy"]
        np.testing.assert_array_equal(series.data[:], VALUES)
        assert series.rate == 1


def test_what_is_appended_is_added_to_what_was_there(target, backend):
    create_nwbfile(new_file(old=Lazy(VALUES)), target, backend=backend)
    assert append_to_nwbfile(target, _add(Lazy(OTHER))) == target
    append_to_nwbfile(
        str(target), lambda nwbfile: nwbfile.add_scratch(1.5, name="n", description="d")
    )
    assert _names(target.parent) == [target.name]
    assert read(target, "acquisition/old/data")[0].tolist() == VALUES.tolist()
    assert read(target, "acquisition/added/data")[0].tolist() == OTHER.tolist()
    with _reader(target) as io:
        nwbfile = io.read()
        np.testing.assert_array_equal(nwbfile.acquisition["added"].data[:], OTHER)
        assert set(nwbfile.acquisition) == {"old", "added"}


@pytest.mark.parametrize("old_backend", ["hdf5", "zarr"])
def test_an_old_file_of_either_backend_is_replaced(target, backend, old_backend):
    create_nwbfile(new_file(a=VALUES, old=VALUES), target, backend=old_backend)
    create_nwbfile(new_file(a=Lazy(OTHER)), target, backend=backend, overwrite=True)
    assert _names(target.parent) == [target.name]
    assert backend_of_path(target).name == backend
    assert read(target, "acquisition/a/data")[0].tolist() == OTHER.tolist()
    with _reader(target) as io:
        assert set(io.read().acquisition) == {"a"}


def test_nothing_in_a_file_tells_of_the_name_it_was_written_under(target, backend):
    """In some stores, links within a file contain its name and would break."""
    nwbfile = new_file(a=VALUES)
    if backend == "hdf5":  # hdmf-zarr 0.13 cannot write references in tables with numcodecs 0.15
        nwbfile.add_trial(start_time=0.0, stop_time=1.0, timeseries=[nwbfile.acquisition["a"]])
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="b", data=nwbfile.acquisition["a"], unit="a", rate=1.0)
    )
    create_nwbfile(nwbfile, target, backend=backend)
    append_to_nwbfile(target, lambda f: _add(f.acquisition["a"])(f))
    files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
    assert not [file for file in files if b"partial" in file.read_bytes()]
    moved = target.rename(target.with_name("moved" + "".join(target.suffixes)))
    with _reader(moved) as io:
        nwbfile = io.read()
        if backend == "hdf5":
            assert nwbfile.trials["timeseries"][0][0].timeseries.name == "a"
        for name in ("b", "added"):
            np.testing.assert_array_equal(nwbfile.acquisition[name].data[:], VALUES)


# --- when the target appears --------------------------------------------------------------------


def test_the_target_appears_only_at_the_end(target, backend):
    seen = []

    def look(_):
        seen.append((target.exists(), sorted(name[-4:] for name in _names(target.parent))))

    create_nwbfile(
        new_file(a=Lazy(VALUES)), target, backend=backend, options=WriteOptions(progress=look)
    )
    assert seen == [(False, sorted(["lock", target.name[-4:]]))] * 5


def test_the_old_file_stays_whole_until_the_end(target, backend):
    create_nwbfile(new_file(a=VALUES), target, backend=backend)
    before, seen = snapshot(target.parent), []

    def look(_):
        now = snapshot(target.parent)
        seen.append(all(now[name] == content for name, content in before.items()))

    create_nwbfile(
        new_file(a=Lazy(OTHER)),
        target,
        backend=backend,
        overwrite=True,
        options=WriteOptions(progress=look),
    )
    append_to_nwbfile(target, lambda nwbfile: None)
    before = snapshot(target.parent)
    append_to_nwbfile(target, _add(Lazy(OTHER)), options=WriteOptions(progress=look))
    assert seen == [True] * 10


def test_every_file_is_put_on_the_disk_before_it_appears(target, backend, synced):
    create_nwbfile(new_file(a=Lazy(VALUES)), target, backend=backend)
    files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
    assert {file.stat().st_ino for file in files} <= synced


# --- what goes wrong ----------------------------------------------------------------------------


class _Fault(Exception):
    """Error that a test raises on purpose."""


def _full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def _by_reader(error):
    return lambda monkeypatch: ({"fails_at": 60, "error": error}, None)


def _by_progress(error):
    def fail(progress):
        if progress.frames >= 60:
            raise error

    return lambda monkeypatch: ({}, fail)


def _by_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", _full_disk)
    return {}, None


def _by_rename(monkeypatch):
    renamed = atomic._renamed
    monkeypatch.setattr(atomic, "_renamed", _failing_for_partial(renamed))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, _failing_for_partial(getattr(os, name)))
        monkeypatch.setattr(Path, name, _failing_for_partial(getattr(Path, name)))
    return {}, None


def _failing_for_partial(rename):
    def replacement(source, *arguments, **options):
        if str(source).endswith((".partial.nwb", ".partial.nwb.zarr")):
            _full_disk()
        return rename(source, *arguments, **options)

    return replacement


FAULTS = {
    "reader": (_by_reader(_Fault("while reading")), SourceError),
    "reader interrupted": (_by_reader(KeyboardInterrupt()), KeyboardInterrupt),
    "reader stops iteration": (_by_reader(StopIteration()), SourceError),
    "reader exits": (_by_reader(SystemExit(1)), SystemExit),
    "progress": (_by_progress(_Fault("in the callback")), _Fault),
    "progress interrupted": (_by_progress(KeyboardInterrupt()), KeyboardInterrupt),
    "fsync": (_by_fsync, OutputError),
    "rename": (_by_rename, OutputError),
}


def _do(act, target, backend, lazy, nwbfile, progress=None):
    options = WriteOptions(progress=progress)
    if act == "append":
        append_to_nwbfile(target, _add(lazy), options=options)
        return
    overwrite = act == "overwrite"
    create_nwbfile(nwbfile, target, backend=backend, overwrite=overwrite, options=options)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("act", ["create", "overwrite", "append"])
def test_a_fault_leaves_nothing_new_and_the_old_whole(target, backend, act, fault, monkeypatch):
    (target.parent / "neighbour.txt").write_text("mine")
    if act != "create":
        create_nwbfile(new_file(a=VALUES), target, backend=backend)
    before = snapshot(target.parent)
    inject, expected = FAULTS[fault]
    with monkeypatch.context() as patched:
        options, progress = inject(patched)
        lazy = Lazy(OTHER, **options)
        nwbfile = new_file(a=lazy)
        with pytest.raises(expected) as caught:
            _do(act, target, backend, lazy, nwbfile, progress)
        if expected is OutputError:
            assert str(target) in str(caught.value)
            assert "No space left" in str(caught.value)
    assert snapshot(target.parent) == before
    # And the same again, without the fault, is whole.
    lazy.fails_at = None
    _do(act, target, backend, lazy, nwbfile)
    name = "added" if act == "append" else "a"
    assert read(target, f"acquisition/{name}/data")[0].tolist() == OTHER.tolist()


def test_a_fault_of_what_is_to_be_added_leaves_the_old_whole(target, backend):
    create_nwbfile(new_file(a=VALUES), target, backend=backend)
    before = snapshot(target.parent)

    def fail(nwbfile):
        nwbfile.add_scratch(1.0, name="n", description="d")
        raise _Fault

    with pytest.raises(_Fault):
        append_to_nwbfile(target, fail)
    assert snapshot(target.parent) == before


def test_an_extractor_that_fails_midway_leaves_nothing(target, backend):
    interface = nwb_ophys.NumpyImagingInterface(
        timeseries=np.zeros((40, 6, 5), np.int16), sampling_frequency=10.0
    )
    whole = interface.extractor.get_series

    def fail(start_sample=None, end_sample=None):
        if (end_sample or 40) > 20:
            raise _Fault("a page is missing")
        return whole(start_sample, end_sample)

    interface.extractor.get_series = fail
    options = {
        "metadata": {"NWBFile": {"session_start_time": "2024-05-17T12:00:00Z"}},
        "iterator_options": {"buffer_shape": (10, 5, 6)},
        "backend": backend,
    }
    with pytest.raises(SourceError, match="a page is missing"):
        interface.run_conversion(target, **options)
    assert _names(target.parent) == []


# --- what may be replaced, and where ------------------------------------------------------------


def test_what_is_there_is_not_touched_unasked(target, backend):
    create_nwbfile(new_file(a=VALUES), target, backend=backend)
    before = snapshot(target.parent)
    with pytest.raises(FileExistsError, match="already exists; use overwrite") as caught:
        create_nwbfile(new_file(a=OTHER), target, backend=backend)
    assert isinstance(caught.value, OutputExistsError)
    assert snapshot(target.parent) == before


@pytest.mark.parametrize("content", [{"a.txt": "mine"}, {"session.nwb": "x"}])
def test_a_folder_that_is_no_zarr_store_is_never_removed(tmp_path, backend, content):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)
    before = snapshot(tmp_path)
    for options in ({}, {"overwrite": True}):
        with pytest.raises(OSError, match="recordings"):
            create_nwbfile(new_file(a=VALUES), folder, backend=backend, **options)
    with pytest.raises(OutputError, match="is a folder, not an NWB file; give the name of a file"):
        append_to_nwbfile(folder, lambda nwbfile: None)
    assert snapshot(tmp_path) == before


def test_an_empty_folder_and_an_empty_file_are_replaced_if_asked(tmp_path, backend):
    (tmp_path / "folder.nwb").mkdir()
    (tmp_path / "file.nwb").touch()
    for path in tmp_path.iterdir():
        with pytest.raises(OutputError if path.is_dir() else OutputExistsError):
            create_nwbfile(new_file(a=VALUES), path, backend=backend)
        create_nwbfile(new_file(a=VALUES), path, backend=backend, overwrite=True)
        with _reader(path) as io:
            np.testing.assert_array_equal(io.read().acquisition["a"].data[:], VALUES)


def _as_hdf5(path):
    with h5py.File(path, "w") as file:
        file["mov"] = np.zeros(3)


def _cut(path):
    _as_hdf5(path)
    path.write_bytes(path.read_bytes()[:1500])


def _as_folder(path):
    (path / "raw").mkdir(parents=True)
    (path / "raw" / "movie.tif").write_bytes(b"II*")


def _as_store(path):
    zarr.open_group(str(path), mode="w")["a"] = [1]


def _store_with_raw_files(path):
    create_nwbfile(new_file(a=VALUES), path, backend="zarr")
    (path / "acquisition" / "raw.tif").write_bytes(b"II*")


def _store_with_link(path):
    create_nwbfile(new_file(a=VALUES), path, backend="zarr")
    (path.parent / "elsewhere").mkdir()
    (path / "raw").symlink_to(path.parent / "elsewhere")


def _store_with_a_number(path):
    """Write a store with a file that has the name of a chunk, where no array is."""
    create_nwbfile(new_file(a=VALUES), path, backend="zarr")
    (path / "acquisition" / "20240517").write_text("notes of the day")


def _checkout(path):
    create_nwbfile(new_file(a=VALUES), path, backend="zarr")
    (path / ".git" / "objects").mkdir(parents=True)
    (path / ".git" / "HEAD").write_text("ref: refs/heads/main")


def _with_a_hidden_file(path):
    path.mkdir()
    (path / ".keep").write_text("")


def _with_an_nwb_file(path):
    path.mkdir()
    create_nwbfile(new_file(a=VALUES), path / "a.nwb")


def _link_to_a_folder(path):
    (path.parent / "elsewhere").mkdir()
    (path.parent / "elsewhere" / "a.txt").write_text("mine")
    path.symlink_to(path.parent / "elsewhere")


def _link_to_a_text(path):
    (path.parent / "a.txt").write_text("mine")
    path.symlink_to(path.parent / "a.txt")


def _socket(path):
    folder = os.open(path.parent, os.O_RDONLY)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def _fifo(path):
    os.mkfifo(path)


NOT_NWB = {
    "a text": (lambda path: path.write_text("notes"), "is not an NWB file: it holds 5 bytes"),
    "a picture": (lambda path: path.write_bytes(b"II*\0" * 9), "it holds 36 bytes of another kind"),
    "an HDF5 movie": (_as_hdf5, "an HDF5 file whose root states nothing of NWB"),
    "a truncated HDF5 movie": (_cut, "not known to be an NWB file: it is an HDF5 file that cannot"),
    "a folder of raw files": (_as_folder, "it is a folder that holds 'raw'"),
    "a Zarr movie": (_as_store, "a Zarr folder whose root states nothing of NWB"),
    "raw files in a store": (_store_with_raw_files, "also holds 'acquisition/raw.tif'"),
    "a link in a store": (_store_with_link, "also holds 'raw'"),
    "a file with the name of a chunk": (_store_with_a_number, "also holds 'acquisition/20240517'"),
    "a checkout": (_checkout, "also holds '.git/HEAD'"),
    "a hidden file": (_with_a_hidden_file, "is a folder that holds '.keep'"),
    "a folder with an NWB file": (_with_an_nwb_file, "is a folder that holds 'a.nwb'"),
    "a link to a folder": (_link_to_a_folder, "is a folder"),
    "a link to a text": (_link_to_a_text, "it holds 4 bytes of another kind"),
    "a socket": (_socket, "is a socket"),
    "a pipe": (_fifo, "is a named pipe"),
}


@pytest.mark.parametrize("name", ["a.nwb", "a.nwb.zarr", "a.h5", "a"])
@pytest.mark.parametrize(("make", "said"), NOT_NWB.values(), ids=NOT_NWB)
def test_what_merely_has_the_name_is_never_replaced(tmp_path, backend, make, said, name):
    """Fault: --overwrite deleted any folder and file whose name ends in .nwb."""
    path = tmp_path / name
    make(path)
    before = None if path.is_fifo() or path.is_socket() else snapshot(tmp_path)
    for act in (create_nwbfile, nwb_ophys.write_nwbfile):
        with pytest.raises(OutputError, match=said):
            act(new_file(a=VALUES), path, backend=backend, overwrite=True)
    assert before is None or snapshot(tmp_path) == before
    assert path.exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path, backend):
    path = tmp_path / "absent" / "a.nwb"
    for act in (
        lambda: create_nwbfile(new_file(a=VALUES), path, backend=backend),
        lambda: append_to_nwbfile(path, lambda nwbfile: None),
    ):
        with pytest.raises(OutputError, match=f"folder '{path.parent}' does not exist; make it"):
            act()
    assert _names(tmp_path) == []


def test_there_must_be_something_to_append_to(tmp_path):
    with pytest.raises(OutputError, match="does not exist; there is nothing to append to"):
        append_to_nwbfile(tmp_path / "a.nwb", lambda nwbfile: None)
    (tmp_path / "b.nwb").write_bytes(b"no HDF5")
    with pytest.raises(OutputError, match=r"b\.nwb' is not an NWB file"):
        append_to_nwbfile(tmp_path / "b.nwb", lambda nwbfile: None)


def test_a_store_that_is_no_nwb_file_is_an_error_and_stays(target, backend):
    if backend == "hdf5":
        with h5py.File(target, "w") as file:
            file["a"] = 1
    else:
        zarr.open_group(str(target), mode="w")["a"] = [1]
    before = snapshot(target.parent)
    with pytest.raises(OutputError, match="cannot be read as an NWB file"):
        append_to_nwbfile(target, lambda nwbfile: None)
    assert snapshot(target.parent) == before


def test_a_truncated_file_is_an_error_and_stays(tmp_path):
    path = tmp_path / "a.nwb"
    create_nwbfile(new_file(a=Lazy(VALUES)), path)
    path.write_bytes(path.read_bytes()[:-2000])
    before = snapshot(tmp_path)
    with pytest.raises(OSError, match="cannot be read as an NWB file"):
        append_to_nwbfile(path, lambda nwbfile: None)
    assert snapshot(tmp_path) == before
    create_nwbfile(new_file(a=VALUES), path, overwrite=True)
    assert read(path, "acquisition/a/data")[0].tolist() == VALUES.tolist()


def test_a_symbolic_link_stays_one(tmp_path, target, backend):
    (tmp_path / "store").mkdir()
    real = tmp_path / "store" / target.name
    target.symlink_to(real)
    for values, options in ((VALUES, {}), (OTHER, {"overwrite": True})):
        assert create_nwbfile(new_file(a=values), target, backend=backend, **options) == real
        assert target.is_symlink()
        assert os.readlink(target) == str(real)  # noqa: PTH115
        assert read(real, "acquisition/a/data")[0].tolist() == values.tolist()
        assert _names(real.parent) == [real.name]
    append_to_nwbfile(target, _add(VALUES))
    assert target.is_symlink()
    assert read(real, "acquisition/added/data")[0].tolist() == VALUES.tolist()


def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "a.nwb"
    create_nwbfile(new_file(a=VALUES), path)
    path.chmod(0o600)
    append_to_nwbfile(path, _add(OTHER))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    create_nwbfile(new_file(a=VALUES), path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", ["inspect", "verify", "repack", "convert"])
def test_a_store_of_format_3_is_named_where_zarr_2_is_installed(tmp_path, capsys, command):
    store, target = tmp_path / "a.nwb.zarr", tmp_path / "b.nwb"
    typed = {"namespace": "core", "neurodata_type": "NWBFile", "nwb_version": "2.9.0"}
    series = {"namespace": "core", "neurodata_type": "TwoPhotonSeries"}
    places = (("", typed), ("acquisition", {}), ("acquisition/TwoPhotonSeries", series))
    for place, attributes in places:
        (store / place).mkdir()
        header = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (store / place / "zarr.json").write_text(json.dumps(header))
    (store / places[-1][0] / "data").mkdir()
    array = {"zarr_format": 3, "node_type": "array", "shape": [9, 5, 4], "data_type": "uint16"}
    array["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": [9, 5, 4]}}
    (store / places[-1][0] / "data/zarr.json").write_text(json.dumps(array))
    given = [store, *(["-o", target] if command in ("repack", "convert") else [])]
    with pytest.raises(SystemExit) as ended:
        main([command, *map(str, given)])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert f"'{store}' is of Zarr format 3, which hdmf-zarr" in err
    assert 'Install another version: pip install "hdmf-zarr>=0.14", in Python 3.12' in err
    assert "Traceback" not in out + err
    assert not target.exists()
    before = snapshot(tmp_path)
    with pytest.raises(
        MissingPackageError, match=r"a\.nwb\.zarr' cannot be appended to: .*format 3"
    ):
        append_to_nwbfile(store, lambda nwbfile: None)
    with pytest.raises(ArgumentError, match="is of Zarr format 3, in which it is appended to"):
        append_to_nwbfile(store, lambda nwbfile: None, options=WriteOptions(zarr_format=2))
    assert snapshot(tmp_path) == before


def test_long_and_foreign_names_are_as_good_as_any(tmp_path, backend):
    for name in ("ä µ #.nwb", "x" * 230 + ".nwb", "名" * 70 + ".nwb", "no suffix"):
        path = create_nwbfile(new_file(a=VALUES), tmp_path / name, backend=backend)
        append_to_nwbfile(path, _add(OTHER))
        create_nwbfile(new_file(a=VALUES), path, backend=backend, overwrite=True)
        assert read(path, "acquisition/a/data")[0].shape == VALUES.shape
    assert len(_names(tmp_path)) == 4


def test_relative_paths_and_those_from_home_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert create_nwbfile(new_file(a=VALUES), "a.nwb") == tmp_path / "a.nwb"
    assert check_target("~/b.nwb") == tmp_path / "b.nwb"


def test_a_backend_that_there_is_not_is_named(tmp_path):
    with pytest.raises(ArgumentError, match="backend is 'HDF5'; it must be one of 'hdf5', 'zarr'"):
        create_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb", backend="HDF5")


def test_a_folder_that_may_not_be_written_to_is_an_error(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="ermission"):
        create_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb")


# --- the object in memory -----------------------------------------------------------------------


def test_an_object_can_be_written_again_and_again(target, backend):
    nwbfile = new_file(lazy=Lazy(VALUES), plain=VALUES)
    data = nwbfile.acquisition["lazy"].data
    for number in range(3):
        path = create_nwbfile(nwbfile, target.with_name(f"{number}{target.name}"), backend=backend)
        for name in ("lazy", "plain"):
            assert read(path, f"acquisition/{name}/data")[0].tolist() == VALUES.tolist()
    assert nwbfile.acquisition["lazy"].data is data
    assert nwbfile.container_source is None
    other = {"hdf5": "zarr", "zarr": "hdf5"}[backend]
    path = create_nwbfile(nwbfile, target.with_name("other"), backend=other)
    assert read(path, "acquisition/lazy/data")[0].tolist() == VALUES.tolist()
    nwbfile.add_acquisition(pynwb.TimeSeries(name="more", data=OTHER, unit="a", rate=1.0))
    create_nwbfile(nwbfile, target, backend=backend)
    assert read(target, "acquisition/more/data")[0].tolist() == OTHER.tolist()


def test_an_object_of_another_file_is_refused_with_the_way_out(tmp_path):
    path = create_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb")
    with _reader(path) as io:
        nwbfile = io.read()
        with pytest.raises(
            NwbOphysError, match=r"The NWBFile belongs to the file .*a\.nwb.*repack\(\)"
        ):
            create_nwbfile(nwbfile, tmp_path / "b.nwb")
    assert _names(tmp_path) == ["a.nwb"]


def test_what_is_copied_for_appending_is_not_left_when_copying_fails(target, backend, monkeypatch):
    create_nwbfile(new_file(a=VALUES), target, backend=backend)
    before = snapshot(target.parent)
    monkeypatch.setattr(os, "copy_file_range", _full_disk, raising=False)
    monkeypatch.setattr(shutil, "copyfileobj", _full_disk)
    with pytest.raises(OutputError, match="No space left"):
        append_to_nwbfile(target, _add(OTHER))
    assert snapshot(target.parent) == before


@pytest.mark.parametrize("name", ["a.h5", "a", "a.nwb", "A.NWB", "a.zarr"])
def test_a_name_without_the_ending_of_nwb_comes_with_one_note(tmp_path, name):
    """Fault: a file of a name by which no program finds it was written without a word."""
    path = tmp_path / name
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with reserved(path), reserved(path):
            pass
        with reserved(path, append=True):
            pass
    notes = [str(each.message) for each in caught]
    expected = [f"The name of '{path}' does not end in .nwb"] if name in ("a.h5", "a") else []
    assert [note.partition(". ")[0] for note in notes] == expected
    assert not any("is written" in note for note in notes)  # not yet, and perhaps never


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("x" * 260 + ".nwb", "File name too long"),
        ("new/" + "x" * 260 + "/a.nwb", "File name too long"),
        ("file/a.nwb", "is a file, not a folder"),
        ("file/new/a.nwb", "is a file, not a folder"),
        ("movie.zarr/a.nwb", "which is a Zarr folder and would be damaged"),
        ("movie.zarr/new/a.nwb", "which is a Zarr folder and would be damaged"),
        ("new/a.nwb", None),
    ],
    ids=str,
)
def test_a_place_is_checked_before_its_folders_are_made(tmp_path, place, words):
    """Fault: plans and dry runs passed names and folders that the run refused later."""
    (tmp_path / "file").touch()
    (tmp_path / "movie.zarr").mkdir()
    (tmp_path / "movie.zarr" / ".zgroup").touch()
    if words is None:
        check_place(tmp_path / place, makes_folders=True)
        return
    with pytest.raises(OutputError, match=words):
        check_place(tmp_path / place, makes_folders=True)


def test_file_systems_that_cannot_flush_on_request(backend, tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "fdatasync", refuse, raising=False)
    target = tmp_path / "a.nwb"
    with pytest.warns(UserWarning, match="cannot put files on the disk on request"):
        create_nwbfile(new_file(a=Lazy(VALUES)), target, backend=backend)
    assert list(tmp_path.iterdir()) == [target]
