"""The process of the page: cancels that come early, late, or to work that does not stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time

import pytest

from nwb_ophys.page import worker as workers
from nwb_ophys.page.worker import CANCELLED, KILLED, WorkCancelled, Worker

from .conftest import movie


@pytest.fixture
def fresh():
    worker = Worker()
    yield worker
    worker.end()


def _detect(worker, folder):
    return worker.run("detect", {"path": str(folder)}, lambda _: None)


def test_a_cancel_before_the_process_runs_is_not_lost(fresh, tmp_path):
    async def cancelled():
        task = asyncio.create_task(_detect(fresh, movie(tmp_path / "M7")))
        await asyncio.sleep(0)  # the work has begun, and its process is being started
        fresh.cancel()
        await task

    with pytest.raises(WorkCancelled, match=CANCELLED):
        asyncio.run(cancelled())
    assert asyncio.run(_detect(fresh, tmp_path / "M7")).value["recordings"]


def test_a_cancel_after_the_end_does_not_touch_the_next_work(fresh, tmp_path):
    folder = movie(tmp_path / "M7")
    for _ in range(2):
        assert asyncio.run(_detect(fresh, folder)).value["recordings"]
        fresh.cancel()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that stops a process.")
def test_work_that_does_not_stop_is_killed(fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "SECONDS_TO_STOP", 0.5)
    folder, has_work, received = movie(tmp_path / "M7"), threading.Event(), workers._received

    def receive(*given):
        has_work.set()
        return received(*given)

    async def cancelled():
        await _detect(fresh, folder)
        os.kill(fresh._child.process.pid, signal.SIGSTOP)  # as if a disk did not answer
        monkeypatch.setattr(workers, "_received", receive)
        task = asyncio.create_task(_detect(fresh, folder))
        assert await asyncio.to_thread(has_work.wait, 60)
        began = time.monotonic()
        fresh.cancel()
        with pytest.raises(WorkCancelled, match="was killed") as error:
            await task
        assert str(error.value) == KILLED
        assert time.monotonic() - began < 15

    asyncio.run(cancelled())
    assert asyncio.run(_detect(fresh, folder)).value["recordings"]
