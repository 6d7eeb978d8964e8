"""Files that crash the HDF5 library, or make it run without end, end another process only."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError, NwbOphysError
from nwb_ophys.trial import (
    SWITCH,
    begin_trials,
    files,
    is_tried_damaged,
    server,
    try_hdf5,
    was_found_damaged,
)

_CRASHES = """
import os, signal, sys, time
print("ready", flush=True)
for line in sys.stdin:
    line = os.path.basename(line)
    if "crash" in line:
        os.kill(os.getpid(), signal.SIGSEGV)
    while "loop" in line:
        pass
    if "slow" in line:
        for _ in range(6):
            time.sleep(0.2)
            print(".", flush=True)
    print("[]", flush=True)
"""


@pytest.fixture(autouse=True)
def own_trials(monkeypatch):
    """Give each test a process of its own, and end it."""
    trials = files._Trials()
    monkeypatch.setattr(files, "_TRIALS", trials)
    yield trials
    if trials.process is not None:
        trials.process.end()


@pytest.fixture
def fragile(monkeypatch, tmp_path):
    """Let the names of files decide what the library does."""
    child = tmp_path / "child.py"
    child.write_text(_CRASHES)
    monkeypatch.setattr(server, "_CHILD", child)
    monkeypatch.setattr(server, "_CPU_SECONDS", 0.5)


def _hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["mov"] = np.zeros((4, 8, 9), "u2")
        file["mov"].attrs["fr"] = 10.0
        file["text"] = ["a", "b"]
        file["reference"] = np.array([file["mov"].ref], h5py.ref_dtype)
        file.create_dataset("chunks", data=np.zeros((40, 8)), chunks=(4, 8), compression="gzip")
    return path


def test_a_whole_file_passes(tmp_path):
    try_hdf5(_hdf5(tmp_path / "movie.h5"))


def test_each_file_is_tried_once(tmp_path, monkeypatch, own_trials):
    path = _hdf5(tmp_path / "movie.h5")
    tried = []
    monkeypatch.setattr(own_trials, "_try", lambda one: tried.append(one) or server.TrialResult())
    try_hdf5(path)
    try_hdf5(str(path))
    assert tried == [path]
    os.utime(path, (1, 1))
    try_hdf5(path)
    assert tried == [path, path]


@pytest.mark.parametrize(("name", "word"), [("crash", "crashed"), ("loop", "ran without end")])
def test_a_crash_and_a_loop_are_errors_with_the_name(name, word, tmp_path, fragile, own_trials):
    path = _hdf5(tmp_path / f"{name}.h5")
    with pytest.raises(CorruptSourceError, match=f"{name}.h5' is damaged: the HDF5 library {word}"):
        try_hdf5(path)
    assert is_tried_damaged(path)
    assert was_found_damaged(path)
    try_hdf5(_hdf5(tmp_path / "whole.h5"))  # by a new process
    assert own_trials.process.is_usable


def test_progress_prolongs_the_time(tmp_path, fragile, monkeypatch):
    monkeypatch.setattr(server, "_WAIT_SECONDS", 0.9)
    try_hdf5(_hdf5(tmp_path / "slow.h5"))


def test_no_zombie_is_left(tmp_path, fragile):
    for name in ("crash1", "crash2", "loop1"):
        assert is_tried_damaged(_hdf5(tmp_path / f"{name}.h5"))
    children = psutil.Process().children()
    assert not [child for child in children if child.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("suffix", [".h5", ".nwb"])
def test_opening_names_the_damage(suffix, tmp_path, fragile):
    path = _hdf5(tmp_path / f"crash{suffix}")
    with pytest.raises(NwbOphysError, match=f"crash{suffix}' is damaged: the HDF5 library"):
        nwb_ophys.open(path)


def test_a_folder_names_the_damaged_file(tmp_path, fragile):
    _hdf5(tmp_path / "crash.h5")
    _hdf5(tmp_path / "whole.h5")
    with pytest.warns(UserWarning, match=r"crash\.h5"):
        found = nwb_ophys.detect(tmp_path)
    assert [candidate.path.name for candidate in found] == ["whole.h5"]


def test_a_file_to_repack_or_to_append_to_is_tried(tmp_path, fragile):
    path = _hdf5(tmp_path / "crash.nwb")
    with pytest.raises(NwbOphysError, match=r"crash\.nwb' is damaged"):
        nwb_ophys.repack(path, tmp_path / "out.nwb")
    assert not (tmp_path / "out.nwb").exists()


def test_without_processes_a_warning_says_so_once(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(server.subprocess, "Popen", refuse)
    with pytest.warns(UserWarning, match="without a trial.*not permitted") as notes:
        list(map(try_hdf5, (_hdf5(tmp_path / "movie.h5"), _hdf5(tmp_path / "other.h5"))))
    assert len(notes) == 1


def test_the_switch_starts_no_process(tmp_path, monkeypatch, own_trials):
    monkeypatch.setenv(SWITCH, "0")
    try_hdf5(_hdf5(tmp_path / "movie.h5"))
    assert own_trials.process is None


def test_a_process_that_was_started_early_tries_the_first_file(tmp_path, own_trials):
    path = _hdf5(tmp_path / "whole.h5")
    begin_trials(tmp_path / "absent.h5")
    assert own_trials.process is None
    begin_trials(path)
    process = own_trials.process
    try_hdf5(path)
    assert own_trials.process is process
    assert process.is_usable


def test_several_threads_share_one_process(tmp_path, own_trials):
    paths = [_hdf5(tmp_path / f"movie{index}.h5") for index in range(8)]
    faults = []

    def run(path: Path) -> None:
        try:
            try_hdf5(path)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(own_trials.results) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_starts_its_own(tmp_path, own_trials):
    path, other = _hdf5(tmp_path / "movie.h5"), _hdf5(tmp_path / "other.h5")
    try_hdf5(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks of processes with threads
        number = os.fork()
    if number == 0:
        try:
            try_hdf5(other)
            process = files._TRIALS.process
            is_own = process is not None and process.owner == os.getpid()
            process.end()
            os._exit(0 if is_own else 1)
        finally:
            os._exit(2)
    assert os.waitpid(number, 0)[1] == 0
    assert own_trials.process.is_usable  # the parent's goes on
    try_hdf5(other)


def test_the_process_ends_with_the_program(tmp_path):
    path = _hdf5(tmp_path / "movie.h5")
    code = (
        "import sys; from nwb_ophys.trial import try_hdf5, files; try_hdf5(sys.argv[1]); "
        "print(files._TRIALS.process._process.pid)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert not run.stderr
    assert not psutil.pid_exists(int(run.stdout))


def test_the_folder_of_the_user_is_not_imported_from(tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    try_hdf5(_hdf5(tmp_path / "movie.h5"))


def test_a_member_with_a_name_that_cannot_be_opened_is_named(tmp_path):
    path = tmp_path / "lost.h5"
    with h5py.File(path, "w") as file:
        for name in ("C", "F_dff", "S"):
            file[f"estimates/{name}"] = np.arange(20.0)
        header = h5py.h5o.get_info(file["estimates/F_dff"].id).addr
    content = bytearray(path.read_bytes())
    content[header : header + 16] = bytes(16)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="lost.h5' is damaged: '/estimates/F_dff' in it cannot"):
        try_hdf5(path)
    try_hdf5(path)  # once in a run


_MEASURED = """
import runpy, sys
child = runpy.run_path(sys.argv[1])
child["_limit"]()
child["walk"](sys.argv[2], child["Progress"](lambda: None))
status = open("/proc/self/status").read()
# Of this program alone: the largest size in getrusage is that of the process it came from, too.
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_a_chunk_that_inflates_to_gigabytes_does_not_fill_the_memory(tmp_path):
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 << 24)) for _ in range(64)) + packer.flush()
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("mov", (4, 64, 64), "u2", chunks=(1, 64, 64), compression="gzip")
        file["mov"].id.write_direct_chunk((0, 0, 0), packed)
    command = [sys.executable, "-c", _MEASURED, str(server._CHILD), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(said.stdout) < 450
