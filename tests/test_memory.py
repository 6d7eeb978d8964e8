"""Available memory: of the machine, and of the control groups of Linux."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from nwb_ophys import memory
from nwb_ophys.memory import available_memory


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine with 8,000 bytes free, and a function that states a control group."""
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS_OF_PROCESS", tmp_path / "self")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8000))

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
