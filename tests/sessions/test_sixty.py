"""Sixty sessions of five formats: run by hand with ``pytest -m slow tests/sessions``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dask_cluster import Cluster

from nwb_ophys import run_sessions, sessions_of
from nwb_ophys.sessions import states_of

from .lab import make_lab

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def sixty(tmp_path: Path) -> Path:
    return make_lab(tmp_path)


def written(specification: Path) -> dict[str, int]:
    root = specification.parent / "dandi"
    return {
        path.relative_to(root).as_posix(): path.stat().st_ino
        for path in root.rglob("*.nwb")
        if not path.name.startswith(".")
    }


def start(specification: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "nwb_ophys", "batch", str(specification), *arguments]
    given = {**os.environ, **environment}
    return subprocess.Popen(command, env=given, stdout=subprocess.DEVNULL)


def test_three_fail_and_are_done_after_they_are_mended(sixty):
    raw = sixty.parent / "raw"
    cut = raw / "caiman" / "C2" / "day2" / "caiman.hdf5"
    page = sorted((raw / "bruker" / "B2" / "day1").rglob("*.tif"))[3]
    good = {path: path.read_bytes() for path in (cut, page, sixty)}
    cut.write_bytes(good[cut][:3000])
    page.write_bytes(good[page][:2000])
    text = sixty.read_text()
    whole = (
        "  - pattern: raw/tiff/{subject_id}/{session_id}\n    options: {sampling_frequency: 30}\n"
    )
    assert whole in text
    parts = (
        "  - {pattern: 'raw/tiff/{subject_id:T[1-5]}/{session_id}', "
        "options: {sampling_frequency: 30}}\n"
        "  - {pattern: 'raw/tiff/{subject_id:T6}/{session_id:day1}', "
        "options: {sampling_frequency: 30}}\n"
        "  - {pattern: 'raw/tiff/{subject_id:T6}/{session_id:day2}'}\n"
    )
    sixty.write_text(text.replace(whole, parts))
    assert start(sixty, "--jobs", "2").wait() == 3
    first = written(sixty)
    assert len(first) == 57
    for path, content in good.items():
        path.write_bytes(content)
    assert start(sixty).wait() == 0
    second = written(sixty)
    assert len(second) == 60
    assert {name: second[name] for name in first} == first


@pytest.mark.parametrize("number", [5, 25, 45])
def test_a_run_that_is_killed_goes_on(sixty, number):
    process = start(sixty, "--jobs", "2")
    while len(written(sixty)) < number:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2)  # its processes end by themselves
    first = written(sixty)
    assert number <= len(first) < 60
    assert start(sixty, "--jobs", "2").wait() == 0
    second = written(sixty)
    assert len(second) == 60
    assert {name: second[name] for name in first} == first


def test_the_workers_of_dask_one_of_them_killed(sixty, tmp_path):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    try:
        process = start(sixty, "--cluster", cluster.address)
        while len(written(sixty)) < 20:
            time.sleep(0.01)
        cluster.workers[0].kill()
        assert process.wait() == 0
    finally:
        cluster.close()
    assert len(written(sixty)) == 60


def test_eight_tasks_of_an_array(sixty):
    tasks = [
        start(
            sixty,
            SLURM_ARRAY_TASK_ID=str(index),
            SLURM_ARRAY_TASK_MIN="0",
            SLURM_ARRAY_TASK_MAX="7",
        )
        for index in range(8)
    ]
    assert [task.wait() for task in tasks] == [0] * 8
    assert len(written(sixty)) == 60
    assert {state.state for state in states_of(sessions_of(sixty))} == {"done"}
    assert run_sessions(sixty).exit_code == 0
