"""Tests of appends in place: the file is as it was before after any error, kill and restoration."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import struct
import warnings
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest
import zarr
from pynwb import NWBHDF5IO, TimeSeries

from nwb_ophys import verify
from nwb_ophys.errors import ArgumentError, CorruptSourceError, DiskError, OutputError
from nwb_ophys.inspection import inspect_file
from nwb_ophys.storage import (
    WriteOptions,
    append_to_nwbfile,
    create_nwbfile,
    in_place,
    plan_repack,
    positioned_access,
    remove_debris,
    reserved,
    space,
)
from nwb_ophys.storage.guards import BLOCK, FORMAT, FileGuard, FolderGuard
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.locking import locked
from nwb_ophys.storage.undo import UndoLog, records

from .conftest import VALUES, Lazy, new_file, read, snapshot

IN_PLACE = WriteOptions(in_place=True, workers=0)
NOISE = np.random.default_rng(0).integers(0, 256, (1_000, 1_000)).astype("u1")
OTHER = np.arange(3_000, dtype=np.int32).reshape(150, 5, 4)


def _add(values=OTHER, name="added"):
    def fill(nwbfile):
        nwbfile.add_acquisition(TimeSeries(name=name, data=values, unit="a", rate=1.0))

    return fill


def _state(folder):
    """Return names, contents, times and modes of everything in a folder."""
    found = snapshot(folder)
    for name in found:
        status = (folder / name).stat()
        if not (folder / name).is_dir():
            found[name] = (found[name], status.st_mode, status.st_mtime_ns)
    return found


@pytest.fixture
def old(target, backend):
    """A file, and what is in its folder."""
    create_nwbfile(new_file(old=VALUES), target, backend=backend)
    return _state(target.parent)


def _forked(action):
    """Run an action in a process that kills itself; return whether it did."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def _kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(target, values=OTHER):
    """Append in a process that is killed when everything is written."""

    def act():
        in_place._complete = _kill
        append_to_nwbfile(target, _add(values), options=IN_PLACE)

    assert _forked(act)
    return HiddenNames.beside(target).undo


# --- the append ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_the_file_itself_is_changed_and_nothing_else_is_left(target, old, backend, workers):
    number = target.stat().st_ino
    options = WriteOptions(in_place=True, workers=workers, verify=True)
    append_to_nwbfile(target, _add(Lazy(OTHER)), options=options)
    assert target.stat().st_ino == number
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert (read(target, "acquisition/added/data")[0] == OTHER).all()
    assert (read(target, "acquisition/old/data")[0] == VALUES).all()
    assert not [each for each in inspect_file(target) if each.is_error]


def test_a_file_that_is_absent_is_written_as_any_new_one(target, backend):
    options = WriteOptions(in_place=True, append=True, backend=backend)
    from nwb_ophys.storage import target as target_of

    with target_of(target, options) as place:
        place.write(new_file(a=VALUES))
    assert (read(target, "acquisition/a/data")[0] == VALUES).all()


def test_the_changed_files_are_on_the_disk_before_the_journal_is_removed(
    target, old, synced, monkeypatch
):
    complete = in_place._complete
    seen = []

    def look(*given):
        files = [target] if target.is_file() else target.rglob("*")
        changed = [path for path in files if path.stat().st_mtime_ns > newest]
        seen.extend(path.stat().st_ino in synced for path in changed)
        complete(*given)

    newest = max(path.stat().st_mtime_ns for path in [target, *target.rglob("*")])
    monkeypatch.setattr(in_place, "_complete", look)
    append_to_nwbfile(target, _add(), options=IN_PLACE)
    assert len(seen) >= 1
    assert all(seen)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_restores_the_file(target, old, backend, error):
    for fails_at in (0, 60, 140):
        data = Lazy(OTHER, fails_at=fails_at, error=error("broken"))
        with pytest.raises(error if error is KeyboardInterrupt else Exception, match="broken"):
            append_to_nwbfile(target, _add(data), options=IN_PLACE)
        assert _state(target.parent) == old


def test_an_error_of_the_caller_restores_the_file(target, old):
    def fail(nwbfile):
        _add()(nwbfile)
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        append_to_nwbfile(target, fail, options=IN_PLACE)
    assert _state(target.parent) == old


def test_an_interrupt_while_the_file_is_restored_arrives_afterwards(target, old, monkeypatch):
    restore, interrupts = in_place.restore_target, [1, 2]

    def interrupted(*given):
        if interrupts:
            interrupts.pop()
            raise KeyboardInterrupt
        restore(*given)

    monkeypatch.setattr(in_place, "restore_target", interrupted)
    with pytest.raises(KeyboardInterrupt):
        append_to_nwbfile(target, _add(Lazy(OTHER, 60, ValueError("a"))), options=IN_PLACE)
    assert interrupts == []
    assert _state(target.parent) == old


def test_a_child_after_a_fork_does_not_undo_what_its_parent_writes(target, old):
    def fork(progress):
        child = os.fork()
        if child == 0:
            raise SystemExit(3)
        os.waitpid(child, 0)

    parent = os.getpid()
    try:
        append_to_nwbfile(target, _add(Lazy(OTHER)), options=attrs.evolve(IN_PLACE, progress=fork))
    finally:
        if os.getpid() != parent:
            os._exit(0)
    assert (read(target, "acquisition/added/data")[0] == OTHER).all()


def test_a_full_disk_while_the_journal_is_written_restores_the_file(target, old, monkeypatch):
    sync, said = UndoLog.sync, []
    for number in itertools.count():
        left = [number]

        def full(self, left=left):
            if left[0] == 0:
                raise OSError(28, "No space left on device")
            left[0] -= 1
            sync(self)

        monkeypatch.setattr(UndoLog, "sync", full)
        try:
            append_to_nwbfile(target, _add(), options=IN_PLACE)
        except DiskError as error:
            said.append(str(error))
        else:
            break
        assert _state(target.parent) == old
    assert len(said) >= 2
    assert all("cannot be written: No space left on device" in each for each in said)


# --- kills --------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
class TestKills:
    """Kills at each change, and what finds them afterwards."""

    def test_at_each_change(self, target, old, backend, monkeypatch):
        owner, name = (positioned_access, "write_at") if backend == "hdf5" else (os, "replace")
        original = getattr(owner, name)
        for number in (0, 1, 5, 12):
            left = [number]

            def act(left=left):
                def killing(*given):
                    if left[0] == 0:
                        _kill()
                    left[0] -= 1
                    return original(*given)

                setattr(owner, name, killing)
                append_to_nwbfile(target, _add(Lazy(OTHER)), options=IN_PLACE)

            if not _forked(act):
                break
            has_journal = HiddenNames.beside(target).undo.exists()
            found = [each.restored for each in remove_debris(target.parent)]
            assert (target in found) == has_journal
            assert _state(target.parent) == old

    def test_the_next_writer_restores_it_and_says_so(self, target, old):
        _killed(target)
        assert _state(target.parent) != old
        said = r"killed \(process \d+ on '.*'\) while it wrote '.*'; its change in place was undone"
        with pytest.warns(UserWarning, match=said) as caught, reserved(target, append=True):
            now = _state(target.parent)
        assert len(caught) == 1
        assert {name: state for name, state in now.items() if not name.endswith(".lock")} == old
        append_to_nwbfile(target, _add(), options=IN_PLACE)
        assert (read(target, "acquisition/added/data")[0] == OTHER).all()

    def test_cleaning_lists_and_restores_it(self, target, old):
        journal = _killed(target)
        for dry_run in (True, False):
            found = remove_debris(target.parent, dry_run=dry_run)
            (undone,) = [each for each in found if each.path == journal]
            assert (undone.restored, undone.is_removed) == (target, False)
        assert _state(target.parent) == old

    def test_readers_say_what_to_do(self, target, old):
        _killed(target)
        reason = in_place.interruption(target)
        assert reason == (
            f"'{target}' is in the middle of a change in its place that was killed; restore the "
            f"file of before with: nwb-ophys clean '{target.parent}'"
        )
        with pytest.raises(CorruptSourceError, match="in the middle of a change in its place"):
            in_place.check_whole(target)
        for read_it in (inspect_file, verify, plan_repack):
            with pytest.raises(CorruptSourceError, match="in the middle of a change in its place"):
                read_it(target)
        with locked(target):
            assert "being changed in its place by another thread" in in_place.interruption(target)
        remove_debris(target.parent)
        assert in_place.interruption(target) is None

    def test_a_restoration_that_is_killed_is_repeated(self, target, old, backend):
        journal = _killed(target)
        steps = ("write_ranges", "remove_undo")
        if backend == "zarr":
            steps = ("_remove", "_restore_part", "flush_names", "remove_undo")
        for step in steps:
            for number in (0, 2):
                left = [number]

                def act(step=step, left=left, journal=journal):
                    original = getattr(in_place, step)

                    def killing(*given):
                        if left[0] == 0:
                            _kill()
                        left[0] -= 1
                        original(*given)

                    setattr(in_place, step, killing)
                    in_place.restore_target(target, journal)

                _forked(act)
                if not journal.exists():
                    remove_debris(target.parent)
                    journal = _killed(target)
        in_place.restore_target(target, journal)
        HiddenNames.beside(target).lock.unlink()
        assert _state(target.parent) == old

    def test_a_file_that_was_moved_with_its_journal_is_restored(self, target, old, tmp_path):
        _killed(target)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for path in [each for each in target.parent.iterdir() if each != elsewhere]:
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, elsewhere / path.name)
        remove_debris(elsewhere)
        assert snapshot(elsewhere) == {
            name: state[0] if isinstance(state, tuple) else state for name, state in old.items()
        }


# --- journals of other files, and damaged ones --------------------------------------------------


def _other(target, backend):
    """Put another file in the place of the target."""
    (shutil.rmtree if target.is_dir() else os.unlink)(target)
    create_nwbfile(new_file(other=OTHER), target.with_name("x" + target.name), backend=backend)
    target.with_name("x" + target.name).rename(target)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
class TestJournals:
    """A journal changes its own file only."""

    def test_that_of_another_file(self, target, old, backend):
        journal = _killed(target)
        _other(target, backend)
        before = _state(target.parent)
        with pytest.raises(OutputError, match=r"restored from .* the journal of another file\. "):
            append_to_nwbfile(target, _add(), options=IN_PLACE)
        (found,) = [each for each in remove_debris(target.parent) if each.path == journal]
        assert (found.restored, found.reason) == (None, "it is the journal of another file")
        assert {k: v for k, v in before.items() if "lock" not in k} == _state(target.parent)
        assert in_place.interruption(target) is None
        assert not [each for each in inspect_file(target) if each.is_error]

    def test_that_of_a_file_that_is_gone(self, target, old, backend):
        journal = _killed(target)
        (shutil.rmtree if target.is_dir() else os.unlink)(target)
        (found,) = [each for each in remove_debris(target.parent) if each.path == journal]
        assert found.reason == f"there is no '{target}'"
        with pytest.raises(OutputError, match="remove the journal if you do not need the file"):
            create_nwbfile(new_file(a=VALUES), target, backend=backend)

    def test_a_good_copy_in_its_place_stays_as_it_is(self, target, old, tmp_path):
        copy = tmp_path / "copies" / target.name
        copy.parent.mkdir()
        (shutil.copytree if target.is_dir() else shutil.copy2)(target, copy)
        _killed(target)
        (shutil.rmtree if target.is_dir() else os.unlink)(target)
        copy.rename(target)
        copy.parent.rmdir()
        remove_debris(target.parent)
        assert _state(target.parent) == old

    def test_a_torn_last_record_is_left_out(self, target, old):
        journal = _killed(target)
        with journal.open("ab") as file:
            file.write(struct.pack("<4sIQQ", b"UNDO", 10, 10**6, 0) + b"{}")
        remove_debris(target.parent)
        assert _state(target.parent) == old

    @pytest.mark.parametrize("share", [0.0, 0.01, 1.0])
    def test_a_damaged_one_restores_nothing(self, target, old, share):
        journal = _killed(target)
        contents = bytearray(journal.read_bytes())
        before_last = contents.rindex(b"UNDO")  # the last record counts as torn
        contents[min(int(before_last * share) + 40, before_last - 1)] ^= 1
        journal.write_bytes(contents)
        before = _state(target.parent)
        found = remove_debris(target.parent)
        assert [each.reason for each in found if each.path == journal] == ["it is damaged"]
        assert {k: v for k, v in before.items() if "lock" not in k} == _state(target.parent)

    def test_nothing_outside_of_a_folder_is_written(self, tmp_path):
        """A journal may come with the folder of a stranger."""
        folder, outside = tmp_path / "a.nwb.zarr", tmp_path / "outside"
        folder.mkdir()
        (folder / ".zgroup").write_text("{}")
        outside.mkdir()
        (outside / "mine").write_text("mine")
        (folder / "link").symlink_to(outside)
        journal = HiddenNames.beside(folder).undo
        for head in ({"new": "../outside/mine"}, {"new": "link/mine"}, {"new": str(outside)}):
            guard = FolderGuard(folder, journal)
            guard._log.add(head)
            guard._log.sync()
            guard.end()
            with pytest.raises(OutputError, match="the journal of another file"):
                in_place.restore_target(folder, journal)
            assert (outside / "mine").read_text() == "mine"

    def test_a_link_that_it_restores_leads_nowhere(self, tmp_path):
        folder, outside = tmp_path / "a.nwb.zarr", tmp_path / "outside"
        folder.mkdir()
        outside.mkdir()
        journal = HiddenNames.beside(folder).undo
        guard = FolderGuard(folder, journal)
        guard._log.add({"link": "a", "to": str(outside)})
        guard._log.add({"file": "a/theirs", "mode": 0o600, "time": 0}, b"theirs")
        guard._log.sync()
        guard.end()
        with pytest.raises(OutputError, match="'a/theirs' leads out of"):
            in_place.restore_target(folder, journal)
        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize("head", [[], {"format": 1}, {"size": 10**15}, {"samples": 3}, {}])
    def test_any_other_contents_are_damage(self, tmp_path, head):
        path, journal = tmp_path / "a.nwb", HiddenNames.beside(tmp_path / "a.nwb").undo
        path.write_bytes(b"contents")
        good = {"format": FORMAT, "is_folder": False, "size": 8, "time": 0, "samples": []}
        log = UndoLog(journal)
        log.add(good | head if head else head)
        log.place()
        log.close()
        with pytest.raises(OutputError, match="cannot be restored from"):
            in_place.restore_target(path, journal)
        assert path.read_bytes() == b"contents"

    def test_a_link_is_no_journal(self, tmp_path, target, old):
        journal = _killed(target)
        journal.rename(tmp_path / "elsewhere")
        journal.symlink_to(tmp_path / "elsewhere")
        assert in_place.misfit(target, journal) == "it is no regular file"


# --- guards -------------------------------------------------------------------------------------


def test_bytes_are_secured_once_and_only_those_that_were_there(tmp_path):
    path, journal = tmp_path / "a", tmp_path / "journal"
    path.write_bytes(bytes(range(256)) * 1_000)
    guard = FileGuard(path, journal)
    for start, stop in ((10, 20), (15, 30), (256_000, 300_000), (BLOCK, BLOCK + 1)):
        guard.before_change(start, stop)
    found = [head["ranges"] for head, _ in records(journal) if "ranges" in head]
    assert found == [[[0, BLOCK]], [[BLOCK, 2 * BLOCK]]]
    guard.end()
    with pytest.raises(OSError, match="canceled"):
        guard.before_change(10, 20)


def test_what_is_in_a_new_folder_takes_no_record(tmp_path):
    folder, journal = tmp_path / "a", tmp_path / "journal"
    folder.mkdir()
    guard = FolderGuard(folder, journal)
    guard.before_change("new/array/0.0")
    (folder / "new" / "array").mkdir(parents=True)
    for number in range(100):
        guard.before_change(f"new/array/{number}.0")
    assert [head for head, _ in records(journal)][1:] == [{"new": "new"}]
    guard.end()


def test_removed_and_renamed_parts_of_a_store_return(tmp_path):
    from nwb_ophys.storage.backends.zarr_guarded import guarded_store

    folder = tmp_path / "a.nwb.zarr"
    root = zarr.open_group(str(folder), mode="w")
    for name in ("kept", "removed", "renamed"):
        root.create_dataset(f"group/{name}", data=np.arange(10), chunks=(5,))
    before = _state(tmp_path)
    journal = HiddenNames.beside(folder).undo
    guard = FolderGuard(folder, journal)
    root = zarr.open_group(guarded_store(folder, guard), mode="r+")
    root["group/kept"][2] = 7
    root["group/kept"].append(np.arange(3))
    root["group"].attrs["a"] = 1
    del root["group/removed"]
    root.create_dataset("group/removed", data=np.arange(3))
    root.move("group/renamed", "group/deep/other")
    (folder / "group" / "kept" / f"0.{'0' * 32}.partial").write_text("torn")
    guard.end()
    in_place.restore_target(folder, journal)
    assert _state(tmp_path) == before


# --- what is refused ----------------------------------------------------------------------------


def test_a_file_with_virtual_datasets_is_refused(tmp_path):
    create_nwbfile(new_file(a=np.arange(20)), tmp_path / "parts.nwb")
    path = tmp_path / "a.nwb"
    create_nwbfile(new_file(a=np.arange(20)), path)
    with h5py.File(path, "a") as file:
        attributes = dict(file["acquisition/a/data"].attrs)
        del file["acquisition/a/data"]
        layout = h5py.VirtualLayout((20,), "i8")
        layout[:] = h5py.VirtualSource("parts.nwb", "/acquisition/a/data", (20,))
        file["acquisition/a"].create_virtual_dataset("data", layout).attrs.update(attributes)
    before = _state(tmp_path)
    with pytest.raises(OutputError, match=r"has virtual datasets, .* leave out in_place=True"):
        append_to_nwbfile(path, _add(), options=IN_PLACE)
    assert _state(tmp_path) == before


def test_a_file_of_pynwb_with_an_external_link_is_appended_to(tmp_path):
    create_nwbfile(new_file(a=np.arange(20)), tmp_path / "parts.nwb")
    path = tmp_path / "a.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(new_file(a=np.arange(20)))
    with h5py.File(path, "a") as file:
        del file["acquisition/a/data"]
        file["acquisition/a/data"] = h5py.ExternalLink("parts.nwb", "/acquisition/a/data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hdmf calls the link broken, which stays as it is
        append_to_nwbfile(path, _add(), options=IN_PLACE)
    with h5py.File(path) as file:
        assert file["acquisition/a/data"].shape == (20,)
        assert (file["acquisition/added/data"][:] == OTHER).all()


def test_a_file_that_a_reader_has_open_is_refused(tmp_path):
    path = tmp_path / "a.nwb"
    create_nwbfile(new_file(a=VALUES), path)
    before = path.read_bytes()
    with h5py.File(path), pytest.raises(OutputError, match="is open, here or in another program"):
        append_to_nwbfile(path, _add(), options=IN_PLACE)
    assert path.read_bytes() == before
    opened = []

    def look(progress):
        with pytest.raises(OSError, match="lock"):
            h5py.File(path)
        opened.append(1)

    append_to_nwbfile(path, _add(Lazy(OTHER)), options=attrs.evolve(IN_PLACE, progress=look))
    assert opened


def test_other_names_of_the_file_are_mentioned(tmp_path):
    path = tmp_path / "a.nwb"
    create_nwbfile(new_file(a=VALUES), path)
    os.link(path, tmp_path / "backup.nwb")
    with pytest.warns(UserWarning, match=r"has other names on the disk \(hard links\)"):
        append_to_nwbfile(path, _add(), options=IN_PLACE)


def test_it_is_refused_without_append_and_with_resume(target, old):
    with pytest.raises(ArgumentError, match="in_place=True is given without append=True"):
        create_nwbfile(new_file(a=VALUES), target, options=IN_PLACE)
    with pytest.raises(ArgumentError, match="in_place=True and resume=True"):
        append_to_nwbfile(target, _add(), options=WriteOptions(in_place=True, resume=True))
    assert _state(target.parent) == old


def test_another_file_is_not_written_over_the_one_that_is_appended_to(target, old):
    from nwb_ophys.storage import target as target_of

    options = WriteOptions(in_place=True, append=True)
    with pytest.raises(OutputError, match="add to the NWBFile read from it"):  # noqa: SIM117
        with target_of(target, options) as place:
            place.write(new_file(b=VALUES))
    assert _state(target.parent) == old


# --- space --------------------------------------------------------------------------------------


def test_the_space_of_a_copy_is_not_needed(target, old, monkeypatch):
    size = space.size_of(target)
    monkeypatch.setattr(space, "free_space", lambda folder: size - 1)
    monkeypatch.setattr(space, "_may_share_blocks", lambda folder: False)
    with pytest.raises(DiskError, match=r"append with in_place=True \(--in-place\), or use"):
        append_to_nwbfile(target, _add())
    with pytest.raises(DiskError, match="needs about"):
        append_to_nwbfile(target, _add(NOISE), options=IN_PLACE)
    monkeypatch.setattr(space, "free_space", lambda folder: size + 100_000)
    append_to_nwbfile(target, _add(), options=IN_PLACE)
    assert json.dumps(sorted(Path(target.parent).iterdir()), default=str).count("nwb") == 1
