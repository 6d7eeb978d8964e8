"""Tests of ``nwb-ophys clean``: it lists what it removes, and leaves everything else."""

from __future__ import annotations

import os
import signal

import h5py
import pytest

from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.locking import locked

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@pytest.fixture
def killed(raw):
    """What a killed process left: a lock and an incomplete file of 2048 bytes."""
    child = os.fork()
    if child == 0:
        with locked(raw / "a.nwb") as lock:
            h5py.File(lock.names.partial(".nwb"), "w", userblock_size=512).close()
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    os.waitpid(child, 0)
    names = HiddenNames.beside(raw / "a.nwb")
    (partial,) = raw.glob(".a.nwb.*.partial.nwb")
    partial.write_bytes(b"\x89HDF\r\n\x1a\n".ljust(123_456, b"\0"))
    return names.lock, partial


def test_it_lists_and_removes(run, raw, killed):
    lock, partial = killed
    before = sorted(raw.iterdir())
    listed = run("clean", raw, "--dry-run")
    assert (listed.code, listed.err) == (0, "")
    assert f"Would remove '{partial}', 0.1 MB\n" in listed.out
    assert listed.out.splitlines()[-1].startswith(f"'{raw}': 2 files would be removed, 0.1 MB")
    assert sorted(raw.iterdir()) == before
    done = run("clean", raw)
    assert (done.code, done.err) == (0, "")
    assert f"Removed '{partial}', 0.1 MB\n" in done.out
    assert f"Removed '{lock}', " in done.out
    assert not list(raw.glob(".*"))
    assert set(before) - set(raw.iterdir()) == set(killed)
    assert run("clean", raw).out == f"'{raw}': 0 files removed, 0 bytes.\n"


def test_it_leaves_what_a_process_writes(run, raw):
    with locked(raw / "a.nwb") as lock:
        told = run("clean", raw)
        assert lock.path.exists()
    assert told.code == 0
    assert f"Left '{lock.path}', " in told.out
    assert f"another thread of this process ({os.getpid()})" in told.out
    assert told.out.endswith(f"'{raw}': 0 files removed, 0 bytes.\n")


def test_only_a_folder_can_be_cleaned(run, raw):
    assert run("clean", raw / "absent").is_mistake("is not a folder; give a folder to clean.")


def test_the_next_conversion_says_what_it_removed(run, raw, killed):
    arguments = ("movie.npy", "-o", "a.nwb", "--option", "sampling_frequency=30")
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    done = run("convert", *arguments, "--set", start)
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert line.startswith("Note: An earlier run was killed (process ")
    assert line.endswith("while it wrote 'a.nwb'; its incomplete file of 0.1 MB was removed.")
    assert not list(raw.glob(".*"))


def test_a_conversion_to_a_file_that_is_being_written_is_refused(run, raw, monkeypatch):
    monkeypatch.setattr("nwb_ophys.opening.open_recording", lambda *_, **__: pytest.fail("opened"))
    pid = _holding(raw / "a.nwb")
    try:
        for command in (("convert", "movie.npy"), ("repack", "movie.npy")):
            told = run(*command, "-o", "a.nwb")
            assert told.is_mistake(f"'a.nwb' is being written by process {pid} on '")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _holding(target):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(target):
            os.write(writes, b"x")
            signal.pause()
        os._exit(1)
    assert os.read(reads, 1) == b"x"
    os.close(reads)
    os.close(writes)
    return child
