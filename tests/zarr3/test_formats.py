"""Tests of both Zarr formats where hdmf-zarr writes format 3: options, copies, and kills."""

from __future__ import annotations

import json
import os
import signal
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import TimeSeries

import nwb_ophys
from nwb_ophys import write_nwbfile
from nwb_ophys.certification import verifying
from nwb_ophys.cli import main
from nwb_ophys.errors import ArgumentError, CorruptSourceError, MissingPackageError
from nwb_ophys.formats.nwb.sample import write_nwb
from nwb_ophys.inspection import inspect_file
from nwb_ophys.storage import (
    WriteOptions,
    append_to_nwbfile,
    backend_of_path,
    create_nwbfile,
    in_place,
    remove_debris,
    repack,
)
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.resuming import find_earlier

from .conftest import DATA, VALUES, in_chunks, new_file

OLD = "acquisition/plain/data"


def _ended(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in command])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return ended.value.code or 0, out + err


def _all_hashes(path):
    """Return the values of all datasets of a file, and the attributes of numbers and texts."""
    backend, found = backend_of_path(path), {}
    with backend.open_root(path) as root:
        for each in backend.objects(root):
            assert not each.error
            if each.path.startswith(("specifications", "scratch")) or not each.is_dataset:
                continue
            values = np.asarray(each.read(None))
            attributes = {name: _reference(value) for name, value in each.attributes.items()}
            found[each.path] = (each.shape, values.tolist(), attributes)
    return found


def _reference(value):
    """Return the reference in an attribute as the later format spells it."""
    return value["value"] if isinstance(value, dict) and "value" in value else value


# --- both formats -------------------------------------------------------------------------------


def test_a_store_of_format_2_is_read_and_repacked(format_2, tmp_path):
    old = _all_hashes(format_2)
    assert len(old) > 20
    values = np.arange(60 * 256).reshape(60, 16, 16) % 251
    assert np.array_equal(old[OLD][1], values)
    for name in ("new.nwb.zarr", "new.nwb"):
        repack(format_2, tmp_path / name)
    new = tmp_path / "new.nwb.zarr"
    assert json.loads((new / "zarr.json").read_text())["zarr_format"] == 3
    assert _all_hashes(new) == old
    with h5py.File(tmp_path / "new.nwb") as file:
        assert np.array_equal(file[OLD][()], values)
    repack(new, tmp_path / "again.nwb")
    again, first = _all_hashes(tmp_path / "again.nwb"), _all_hashes(tmp_path / "new.nwb")
    assert {name: each[:2] for name, each in again.items()} == {
        name: each[:2] for name, each in first.items()
    }


@pytest.mark.parametrize("name", ["format_2", "repacked"])
def test_stores_of_both_formats_agree_with_their_records(format_2, tmp_path, name):
    path = format_2
    if name == "repacked":
        path = repack(format_2, tmp_path / "new.nwb.zarr")
    report = verifying.verify(path)
    assert report.differences == ()


def test_a_store_of_format_2_is_converted_and_described(format_2, tmp_path, capsys):
    assert _ended(capsys, "detect", format_2)[0] == 0
    target = tmp_path / "b.nwb.zarr"
    code, text = _ended(capsys, "convert", format_2, "-o", target, "--no-progress")
    assert code == 0, text
    movie = zarr.open_group(str(target), mode="r")["acquisition/movie/data"]
    root = zarr.open_group(str(format_2), mode="r", use_consolidated=False)
    old = root["acquisition/movie/data"]
    assert np.array_equal(movie[...], old[...])


def test_a_store_of_format_2_without_a_part_is_refused(format_2, tmp_path):
    (format_2 / "identifier/0").write_bytes(b"damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CorruptSourceError, match="identifier' cannot be opened"):
            repack(format_2, tmp_path / "b.nwb")
    assert not (tmp_path / "b.nwb").exists()


def test_a_store_of_format_2_is_not_appended_to(format_2, capsys, tmp_path):
    before = {each: each.read_bytes() for each in format_2.rglob("*") if each.is_file()}
    with pytest.raises(MissingPackageError, match="writes Zarr format 3, not format 2"):
        append_to_nwbfile(format_2, lambda nwbfile: None)
    source = write_nwb(tmp_path / "source.nwb", np.ones((4, 6, 5), "u2"))
    command = ("convert", source, "-o", format_2, "--append")
    code, text = _ended(capsys, *command, "--no-progress")
    assert (code, "writes Zarr format 3, not format 2" in text) == (2, True)
    code, text = _ended(capsys, *command, "--zarr-format", "3")
    assert (code, "is of Zarr format 2, in which it is appended to" in text) == (2, True)
    assert before == {each: each.read_bytes() for each in format_2.rglob("*") if each.is_file()}


def test_a_store_of_format_2_is_replaced(format_2):
    create_nwbfile(new_file(a=VALUES), format_2, backend="zarr", overwrite=True)
    assert not (format_2 / ".zgroup").exists()
    assert np.array_equal(zarr.open_group(str(format_2), mode="r")[DATA][...], VALUES)


def test_the_option(tmp_path, capsys):
    source = write_nwb(tmp_path / "source.nwb", np.ones((4, 6, 5), "u2"))
    target = tmp_path / "b.nwb.zarr"
    for command in ("convert", "repack"):
        before = target.exists()
        code, text = _ended(capsys, command, source, "-o", target, "--zarr-format", "2")
        assert (code, "writes Zarr format 3, not format 2" in text) == (2, True)
        plan = ("--plan", "--zarr-format", "2")
        assert _ended(capsys, command, source, "-o", target, *plan)[0] == 2
        code, text = _ended(capsys, command, source, "-o", tmp_path / "b.nwb", "--zarr-format", "3")
        assert (code, "but the backend is 'hdf5'" in text) == (2, True)
        assert target.exists() == before
        given = ("--zarr-format", "3", "--no-progress", "--overwrite")
        code, text = _ended(capsys, command, source, "-o", target, *given)
        assert code == 0, text
        assert (target / "zarr.json").is_file()
    with pytest.raises(ArgumentError, match="must be 2 or 3"):
        write_nwbfile(new_file(a=VALUES), target, backend="zarr", zarr_format=4, overwrite=True)


def test_an_inspection_says_what_the_inspector_cannot_read(store):
    findings = inspect_file(store)
    assert not any(each.is_error for each in findings)
    (said,) = [each.message for each in findings if "does not know Zarr format 3" in each.message]
    assert "Repack the file to HDF5" in said
    (store / "identifier/zarr.json").unlink()
    assert any(each.is_error for each in inspect_file(store))


def test_no_table_is_read_one_row_at_a_time(format_2, tmp_path, monkeypatch):
    """Fault: hdmf iterates over records, each of which Zarr 3 took milliseconds to read."""
    import hdmf_zarr.utils

    reads, read = [], hdmf_zarr.utils.HDMFZarrArray.__getitem__

    def counting(self, key):
        reads.append(self.path)
        return read(self, key)

    monkeypatch.setattr(hdmf_zarr.utils.HDMFZarrArray, "__getitem__", counting)
    new = repack(format_2, tmp_path / "new.nwb.zarr")
    place = "processing/ophys/ImageSegmentation/rois/pixel_mask"
    assert zarr.open_group(new, mode="r")[place].shape == (9000,)
    assert 0 < reads.count(place) < 20
    reads.clear()
    repack(new, tmp_path / "new.nwb")
    assert reads.count(place) < 20


# --- kills --------------------------------------------------------------------------------------


class Lazy(GenericDataChunkIterator):
    """Iterator over the values, which can end the process at a frame."""

    def __init__(self, ends_at=None, how=None):
        self.ends_at, self.how, self.reads = ends_at, how, 0
        super().__init__(buffer_shape=(10, 12, 10), chunk_shape=(10, 12, 5))

    def _get_maxshape(self):
        return VALUES.shape

    def _get_dtype(self):
        return VALUES.dtype

    def _get_data(self, selection):
        self.reads += 1
        if self.ends_at is not None and selection[0].start >= self.ends_at:
            self.how()
        return VALUES[selection]


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _forked(act):
    """Run in a process of its own, and return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _interrupt():
    raise KeyboardInterrupt


def _facts():
    return {"the source": "the same"}


def _write(path, lazy, *, resume=True):
    how = WriteOptions(workers=0, resume=resume, source_facts=_facts, backend="zarr")
    nwbfile = new_file(a=lazy)
    nwbfile.fields["identifier"] = "i"
    create_nwbfile(nwbfile, path, backend="zarr", options=how)


def test_a_write_that_was_interrupted_is_resumed(tmp_path, small_shards):
    path = tmp_path / "a.nwb.zarr"
    with pytest.raises(KeyboardInterrupt):
        _write(path, Lazy(60, _interrupt))
    ((earlier,), _) = find_earlier(path)
    assert (earlier.partial / DATA / "c/0/0/0").is_file()
    rest = Lazy()
    _write(path, rest)
    assert rest.reads <= 5
    array = zarr.open_group(str(path), mode="r")[DATA]
    assert np.array_equal(array[...], VALUES)
    nwb_ophys.storage.check_complete(array)
    assert verifying.verify(path).differences == ()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_chunks_that_changed_meanwhile_are_written_again(tmp_path, small_shards):
    path = tmp_path / "a.nwb.zarr"
    with pytest.raises(KeyboardInterrupt):
        _write(path, Lazy(60, _interrupt))
    ((earlier,), _) = find_earlier(path)
    shard = earlier.partial / DATA / "c/1/0/0"
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    _write(path, Lazy())
    assert np.array_equal(zarr.open_group(str(path), mode="r")[DATA][...], VALUES)
    assert verifying.verify(path).differences == ()


def test_what_a_killed_write_left_is_removed(tmp_path, small_shards):
    path = tmp_path / "a.nwb.zarr"
    assert _forked(lambda: _write(path, Lazy(60, _kill), resume=False))
    (left,) = [each for each in tmp_path.iterdir() if each.is_dir()]
    torn = left / f"acquisition/zarr.{'0' * 32}.partial"  # as Zarr names unfinished headers
    torn.write_bytes(b"{")
    found = remove_debris(tmp_path)
    assert any(each.is_removed for each in found)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_kept(tmp_path, small_shards):
    path = tmp_path / "a.nwb.zarr"
    assert _forked(lambda: _write(path, Lazy(60, _kill), resume=False))
    (left,) = [each for each in tmp_path.iterdir() if each.is_dir()]
    (left / "notes.txt").write_text("mine")
    remove_debris(tmp_path)
    assert (left / "notes.txt").is_file()


def _add(nwbfile):
    more = in_chunks(VALUES[::-1], (10, 12, 10))
    nwbfile.add_acquisition(TimeSeries(name="b", data=more, unit="a", rate=1.0))


def _state(folder):
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in sorted(Path(folder).rglob("*"))
        if each.is_file()
    }


IN_PLACE = WriteOptions(in_place=True, workers=0)


def test_an_append_in_place(store):
    append_to_nwbfile(store, _add, options=IN_PLACE)
    root = zarr.open_group(str(store), mode="r")
    assert np.array_equal(root["acquisition/b/data"][...], VALUES[::-1])
    assert verifying.verify(store).differences == ()
    assert [each.name for each in store.parent.iterdir()] == [store.name]


@pytest.mark.parametrize("number", [0, 1, 7, 30, None])
def test_an_append_in_place_that_is_killed_is_undone(store, monkeypatch, number):
    before, left, replace = _state(store), [number], os.replace

    def killing(*given):
        if left[0] == 0:
            _kill()
        left[0] -= 1
        return replace(*given)

    def act():
        if number is None:
            in_place._complete = lambda *given: _kill()
        else:
            os.replace = killing
        append_to_nwbfile(store, _add, options=IN_PLACE)

    assert _forked(act)
    if number != 0:
        assert HiddenNames.beside(store).undo.exists()
        with pytest.raises(CorruptSourceError, match="in the middle of a change in its place"):
            repack(store, store.with_name("b.nwb"))
    remove_debris(store.parent)
    assert _state(store) == before


def test_an_error_in_an_append_in_place_is_undone(store):
    before = _state(store)

    def fail(nwbfile):
        _add(nwbfile)
        lazy = Lazy(50, lambda: 1 / 0)
        nwbfile.add_acquisition(TimeSeries(name="c", data=lazy, unit="a", rate=1.0))

    with pytest.raises(ZeroDivisionError):
        append_to_nwbfile(store, fail, options=IN_PLACE)
    assert _state(store.parent) == {f"{store.name}/{name}": each for name, each in before.items()}
