"""Tests of free memory and usable cores of the machine and of the control groups of Linux."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from nwb_ophys import memory
from nwb_ophys.memory import available_memory, read_unshared, usable_cores


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Machine with 8,000 free bytes and six cores, and a function that defines a control group."""
    monkeypatch.setattr(memory, "_CGROUP_ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_PROCESS_CGROUPS", tmp_path / "self")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8000))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)

    def state(folder: str, **files: str) -> None:
        path = tmp_path / "cgroup" / folder
        path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (path / name.replace("__", ".")).write_text(text)

    state.of_process = lambda text: Path(tmp_path / "self").write_text(text)
    return state


def test_without_groups_the_machine_decides(groups):
    assert available_memory() == 8000


def test_the_second_version_as_a_container_sees_it(groups):
    groups.of_process("0::/\n")
    stat = "anon 2500\ninactive_file 300\nactive_file 200\n"
    groups("", memory__max="4000\n", memory__current="3000\n", memory__stat=stat)
    assert available_memory() == 4000 - (3000 - 500)


def test_the_narrowest_of_nested_groups_counts(groups):
    groups.of_process("0::/slurm/job_7\n")
    groups("", memory__stat="")
    groups("slurm", memory__max="2000", memory__current="1500", memory__stat="")
    groups("slurm/job_7", memory__max="max", memory__current="100", memory__stat="")
    assert available_memory() == 500


def test_the_first_version(groups):
    groups.of_process("7:cpu:/\n4:memory:/job\n0::/\n")
    stat = "inactive_file 1\ntotal_inactive_file 100\n"
    files = {"memory__limit_in_bytes": "1000", "memory__usage_in_bytes": "700"}
    groups("memory/job", **files, memory__stat=stat)
    assert available_memory() == 400


def test_the_first_version_in_a_container_that_sees_its_group_as_the_root(groups):
    groups.of_process("4:memory:/docker/0a1b\n")
    files = {"memory__limit_in_bytes": "1000", "memory__usage_in_bytes": "1100"}
    groups("memory", **files, memory__stat="")
    assert available_memory() == 0


def test_a_group_without_a_limit(groups):
    groups.of_process("0::/\n")
    groups("", memory__max="max", memory__current="100", memory__stat="")
    assert available_memory() == 8000


def test_without_groups_all_cores_of_the_process_are_usable(groups):
    assert usable_cores() == 6


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("max 100000", 6),
        ("900000 100000", 6),
        ("", 6),
    ],
)
def test_the_quota_of_a_container_limits_the_cores(groups, quota, cores):
    groups.of_process("0::/\n")
    groups("", cpu__max=f"{quota}\n")
    assert usable_cores() == cores


def test_the_smallest_quota_of_nested_groups_counts(groups):
    groups.of_process("0::/slurm/job_7\n")
    groups("slurm", cpu__max="300000 100000\n")
    groups("slurm/job_7", cpu__max="max 100000\n")
    assert usable_cores() == 3


@pytest.mark.parametrize(("quota", "cores"), [("400000", 4), ("-1", 6), ("0", 6)])
def test_a_quota_of_the_first_version(groups, quota, cores):
    groups.of_process("7:cpu,cpuacct:/job\n4:memory:/job\n0::/\n")
    groups("cpu/job", cpu__cfs_quota_us=f"{quota}\n", cpu__cfs_period_us="100000\n")
    assert usable_cores() == cores


def test_where_the_system_has_no_affinity_all_cores_count(groups, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_writes_use_as_many_threads_as_the_quota_grants(groups):
    from nwb_ophys.storage import WriteOptions

    groups.of_process("0::/\n")
    groups("", cpu__max="200000 100000\n")
    assert WriteOptions().num_workers == 2
    assert WriteOptions(workers=5).num_workers == 5


@pytest.mark.parametrize(("backend", "more"), [("hdf5", 0), ("zarr", 1)])
def test_one_more_thread_where_threads_wait_for_the_disk(backend, more):
    from nwb_ophys.storage import WriteOptions
    from nwb_ophys.storage.backends.registry import get_backend

    storage = get_backend(backend)
    assert WriteOptions().num_workers_for(storage) == usable_cores() + more
    assert WriteOptions(workers=5).num_workers_for(storage) == 5
    assert WriteOptions(workers=0).num_workers_for(storage) == 0


_HELD = np.arange(6)
_VIEW = np.arange(12)[::2]


@pytest.mark.parametrize(
    ("read", "is_copied"),
    [
        (lambda: np.arange(6), False),
        (lambda: np.arange(12).reshape(3, 4).T[1:], False),
        (lambda: [1, 2, 3], False),
        (lambda: np.frombuffer(bytes(range(8)), np.uint8), False),
        (lambda: _HELD, True),
        (lambda: _HELD[1:].reshape(5, 1), True),
        (lambda: _VIEW, True),
        (lambda: np.frombuffer(bytearray(8), np.uint8), True),
        (lambda: np.asarray(memoryview(_HELD)), True),
    ],
)
def test_memory_that_a_reader_may_fill_again_is_copied(read, is_copied):
    before = []

    def remembered():
        found = read()
        if isinstance(found, np.ndarray):
            before.append(found.__array_interface__["data"][0])
        return found

    found = read_unshared(remembered)
    np.testing.assert_array_equal(found, read())
    if before:
        assert (found.__array_interface__["data"][0] != before[0]) == is_copied


_THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
from nwb_ophys.memory import share_freed_memory

if sys.argv[1] == "shared":
    share_freed_memory()
allocate = ctypes.CDLL(None).malloc  # which lets other threads run
allocate.restype = ctypes.c_void_p
together = threading.Barrier(6)

def work():
    together.wait()
    allocate(10_000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(6)]
for each in threads:
    each.start()
for each in threads:
    each.join()
ctypes.CDLL(None).malloc_info(0, ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stdout"))
ctypes.CDLL(None).fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the allocator of glibc")
def test_threads_share_the_memory_that_they_free():
    """Without it each thread has an arena of its own."""
    counts = {}
    for how in ("shared", "apart"):
        command = [sys.executable, "-c", _THREADS_THAT_ALLOCATE, how]
        said = subprocess.run(command, capture_output=True, check=True).stdout
        counts[how] = said.count(b"<heap nr=")
    assert counts["shared"] <= 2 < counts["apart"]
