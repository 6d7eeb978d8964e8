"""A page on temporary roots, for requests without a server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("starlette")

with warnings.catch_warnings():
    # Later versions of Starlette prefer a successor of httpx.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from nwb_ophys.page import worker as workers
from nwb_ophys.page.app import make_app
from nwb_ophys.page.desk import Desk
from nwb_ophys.page.roots import Roots
from nwb_ophys.page.worker import Done, Worker, WorkFailed, doer

TOKEN, PORT = "a-token-of-the-tests", 4711
ORIGIN = f"http://127.0.0.1:{PORT}"


def movie(folder: Path, num_frames: int = 20, size: int = 32) -> Path:
    """Write a movie into a new folder, and return it."""
    folder.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 2**12, (num_frames, size, size), dtype="uint16")
    tifffile.imwrite(folder / "movie.tif", frames, photometric="minisblack")
    return folder


class Browser:
    """A client of the page with its cookie, as a browser would be."""

    def __init__(self, client: TestClient, desk: Desk) -> None:
        self.client, self.desk = client, desk

    def get(self, path: str, **options):
        return self.client.get(path, **options)

    def act(self, name: str, /, **values):
        return self.client.post(f"/act/{name}", json=values, headers={"Origin": ORIGIN})

    def wait(self, seconds: float = 60.0):
        """Wait until the work has ended, and return its state."""
        return self.wait_for(lambda work: work.job is None, seconds)

    def wait_for(self, is_reached, seconds: float = 60.0):
        """Wait until a function of the state is true, and return that state.

        The state is asked for in the event loop, as requests are: another thread would see the
        moment between a piece of work and the one that waits for it.
        """
        end = time.monotonic() + seconds
        while not is_reached(work := self.client.portal.call(self._work)):
            assert time.monotonic() < end, work.job
            time.sleep(0.02)
        return work

    async def _work(self):
        return self.desk.work

    def choose(self, path):
        assert self.act("choose", path=str(path)).status_code == 200
        return self.wait()


@pytest.fixture(scope="module")
def process():
    """One process for all tests of a module that need one, which is started once."""
    shared = Worker()
    yield shared
    shared.end()


class _Inline:
    """Does the work in a thread of the tests, which is faster than a process."""

    def start(self) -> None:
        pass

    def end(self) -> None:
        pass

    async def run(self, name, arguments, report):
        loop = asyncio.get_running_loop()
        do = doer(lambda value: loop.call_soon_threadsafe(report, value))
        kind, value, notes = await asyncio.to_thread(do, name, arguments)
        if kind == "failed":
            raise WorkFailed(*value)
        return Done(value=value, notes=notes)


@pytest.fixture
def worker(request):
    """What does the work: a thread, or a process for a test with the fixture ``process``."""
    return request.getfixturevalue("process") if "process" in request.fixturenames else _Inline()


@pytest.fixture
def kill_at_work(process, monkeypatch):
    """Return a function that lets the process be killed when it has got its next work."""
    received = workers._received

    def kill(child, report):
        monkeypatch.setattr(workers, "_received", received)
        child.process.kill()
        return received(child, report)

    def arm() -> None:
        # It does not end the work before.
        os.kill(process._child.process.pid, signal.SIGSTOP)
        monkeypatch.setattr(workers, "_received", kill)

    return arm


class _Lasting:
    """The shared process, which the end of one page does not end."""

    def __init__(self, shared: Worker) -> None:
        self._shared = shared

    def __getattr__(self, name):
        return getattr(self._shared, name)

    def end(self) -> None:
        pass


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def make_browser(worker):
    """Return a function that opens a page on a root."""
    opened = []

    def make(root: Path, folder: Path | None = None) -> Browser:
        desk = Desk(Roots.of([root]), _Lasting(worker), folder)
        app = make_app(desk, token=TOKEN, port=PORT)
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        client.__enter__()
        opened.append(client)
        assert client.get(f"/?token={TOKEN}").status_code == 303
        return Browser(client, desk)

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def browser(make_browser, root):
    return make_browser(root)
