"""Tests of debris: the next run removes and mentions it, and nothing else is removed."""

from __future__ import annotations

import os
import signal

import pytest

from nwb_ophys import write_nwbfile
from nwb_ophys.errors import SourceNotFoundError
from nwb_ophys.storage import append_to_nwbfile, atomic, remove_debris, reserved
from nwb_ophys.storage.debris import shown_size
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.locking import locked

from .conftest import VALUES, Lazy, new_file, read, snapshot

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def _killed_while_writing(target, backend, **options):
    """Write in a forked process that is killed at the second block."""
    child = os.fork()
    if child == 0:
        try:

            def kill(progress):
                os.kill(os.getpid(), signal.SIGKILL)

            data = new_file(a=Lazy(VALUES))
            write_nwbfile(data, target, backend=backend, progress=kill, workers=0, **options)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    return child


def _hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("act", ["write", "overwrite", "append"])
def test_the_next_run_removes_and_mentions_the_debris(target, backend, act):
    if act != "write":
        write_nwbfile(new_file(old=VALUES), target, backend=backend)
    child = _killed_while_writing(target, backend, overwrite=act == "overwrite" or act == "append")
    assert len(_hidden(target.parent)) == 2
    said = rf"killed \(process {child} on '.*'\) while it wrote '.*'; its incomplete file of [\d,]+"
    next_run = {
        "append": lambda: append_to_nwbfile(target, lambda nwbfile: None),
        "write": lambda: write_nwbfile(new_file(a=VALUES), target, backend=backend),
        "overwrite": lambda: write_nwbfile(
            new_file(a=VALUES), target, backend=backend, overwrite=True
        ),
    }[act]
    with pytest.warns(UserWarning, match=said) as caught:
        next_run()
    assert len(caught) == 1
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    name = "old" if act == "append" else "a"
    assert read(target, f"acquisition/{name}/data")[0].shape == VALUES.shape


def test_debris_of_another_backend_and_another_target(tmp_path):
    """The debris of a target is removed, whatever its backend was; other targets keep theirs."""
    for name, backend in (("a.nwb", "zarr"), ("b.nwb", "hdf5")):
        _killed_while_writing(tmp_path / name, backend)
    with pytest.warns(UserWarning, match=r"a\.nwb'; its incomplete file"):
        write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb")
    assert all(name.startswith(".b.nwb.") for name in _hidden(tmp_path))
    assert len(_hidden(tmp_path)) == 2


def test_a_folder_is_cleaned_of_everything_that_no_process_writes(tmp_path, backend):
    below = tmp_path / "day" / "mouse"
    below.mkdir(parents=True)
    write_nwbfile(new_file(a=VALUES), below / "whole.nwb.zarr", backend="zarr")
    before = snapshot(tmp_path)
    for folder, name in ((tmp_path, "a.nwb"), (below, "名" * 60 + ".nwb")):
        _killed_while_writing(folder / name, backend)
    during = snapshot(tmp_path)
    listed = remove_debris(tmp_path, dry_run=True)
    assert snapshot(tmp_path) == during
    done = remove_debris(tmp_path)
    assert sorted(each.path for each in listed) == sorted(each.path for each in done)
    assert all(each.is_removed and each.num_bytes > 0 for each in (*listed, *done))
    assert len(done) == 4
    assert snapshot(tmp_path) == before
    assert remove_debris(tmp_path) == []


def test_the_files_of_a_living_process_stay(tmp_path, backend):
    target, seen = tmp_path / "a.nwb", []

    def clean(_):
        for dry_run in (True, False):
            seen.append(remove_debris(tmp_path, dry_run=dry_run))

    write_nwbfile(new_file(a=Lazy(VALUES)), target, backend=backend, progress=clean, workers=0)
    assert len(seen) == 10
    for found in seen:
        assert len(found) == 2
        assert not any(each.is_removed for each in found)
        assert all(f"({os.getpid()})" in each.reason for each in found)
    assert read(target, "acquisition/a/data")[0].tolist() == VALUES.tolist()


@pytest.mark.parametrize("make", ["text", "folder", "link", "pipe"])
def test_what_merely_has_the_name_stays(tmp_path, make):
    target = tmp_path / "a.nwb"
    path = HiddenNames.beside(target).partial(".nwb")
    if make == "text":
        path.write_text("notes on mouse 7")
    elif make == "folder":
        path.mkdir()
        (path / "movie.tif").write_bytes(b"II*\0")
    elif make == "link":
        (tmp_path / "other.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
        path.symlink_to(tmp_path / "other.h5")
    else:
        os.mkfifo(path)
    names = _hidden(tmp_path)
    write_nwbfile(new_file(a=VALUES), target)
    assert _hidden(tmp_path) == names
    (found,) = remove_debris(tmp_path)
    assert not found.is_removed
    assert "contents are not those" in found.reason
    assert _hidden(tmp_path) == names


def test_other_hidden_files_are_not_even_listed(tmp_path):
    for name in (".notes", ".a.nwb.lock", ".a.nwb.12345678.partial.nwb", "a.partial", ".#a.nwb"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    before = snapshot(tmp_path)
    assert remove_debris(tmp_path) == []
    assert snapshot(tmp_path) == before


def test_the_former_folder_returns_if_its_successor_did_not_come(tmp_path, monkeypatch):
    """Without an exchange by the system, the target is absent between two renames."""
    target = tmp_path / "a.nwb.zarr"
    write_nwbfile(new_file(old=VALUES), target, backend="zarr")
    child = os.fork()
    if child == 0:
        try:
            atomic._renameat2 = lambda: None
            atomic.Path.rename = _killed_after(atomic.Path.rename)
            write_nwbfile(new_file(a=VALUES), target, backend="zarr", overwrite=True)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert not target.exists()
    assert any(name.endswith(".replaced") for name in _hidden(tmp_path))
    with pytest.warns(UserWarning, match="and the former file is in its place again") as caught:
        append_to_nwbfile(target, lambda nwbfile: None)
    assert len(caught) == 1
    assert read(target, "acquisition/old/data")[0].tolist() == VALUES.tolist()
    assert _hidden(tmp_path) == []


def _killed_after(rename):
    def replacement(*arguments):
        rename(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return replacement


def test_a_former_folder_beside_its_successor_is_never_removed(tmp_path):
    target = tmp_path / "a.nwb.zarr"
    aside = HiddenNames.beside(target).replaced()
    write_nwbfile(new_file(old=VALUES), target, backend="zarr")
    target.rename(aside)
    write_nwbfile(new_file(a=VALUES), tmp_path / "b", backend="zarr").rename(target)
    write_nwbfile(new_file(a=VALUES), target, backend="zarr", overwrite=True)
    (found,) = remove_debris(tmp_path)
    assert (found.path, found.is_removed, found.restored) == (aside, False, None)
    assert found.reason == f"it holds the former contents of '{target}'"
    target.rename(tmp_path / "moved")
    (found,) = remove_debris(tmp_path)
    assert found.restored == target
    assert read(target, "acquisition/old/data")[0].tolist() == VALUES.tolist()


def test_an_incomplete_file_with_a_journal_stays_when_the_next_run_begins(tmp_path, backend):
    target = tmp_path / "a.nwb"
    _killed_while_writing(target, backend)
    (partial,) = (path for path in tmp_path.iterdir() if ".partial" in path.name)
    journal = tmp_path / f"{partial.name.partition('.partial')[0]}.resume"
    journal.write_text("{}")
    with pytest.warns(UserWarning, match="its incomplete file can be resumed"), reserved(target):
        assert partial.exists()
    assert partial.exists()
    assert all(each.is_removed for each in remove_debris(tmp_path))
    assert _hidden(tmp_path) == []


def test_a_lock_that_was_left_is_cleaned(tmp_path):
    with locked(tmp_path / "a.nwb") as lock:
        text = lock.path.read_bytes()
    lock.path.write_bytes(text)
    (found,) = remove_debris(tmp_path)
    assert (found.path, found.is_removed) == (lock.path, True)
    assert _hidden(tmp_path) == []


def test_a_copy_that_was_killed_before_the_header_of_an_array_is_debris(tmp_path):
    target = tmp_path / "a.nwb.zarr"
    write_nwbfile(new_file(a=VALUES), target, backend="zarr")
    partial = HiddenNames.beside(target).partial(".nwb.zarr")
    (partial / "acquisition/a/data").mkdir(parents=True)
    (partial / "acquisition/a/data/0.0.0").write_bytes(b"begun")
    with (
        pytest.warns(UserWarning, match="An earlier run was killed"),
        reserved(target, append=True),
    ):
        assert not partial.exists()


def test_only_a_folder_can_be_cleaned(tmp_path):
    (tmp_path / "a.nwb").touch()
    for path in (tmp_path / "absent", tmp_path / "a.nwb"):
        with pytest.raises(SourceNotFoundError, match="is not a folder; give a folder to clean"):
            remove_debris(path)


def test_sizes_are_short():
    assert [shown_size(n) for n in (0, 12_345, 2_500_000)] == ["0 bytes", "12,345 bytes", "2.5 MB"]
