"""Tests of Ctrl-C and SIGTERM: both stop a write within a second and leave nothing behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from nwb_ophys import write_nwbfile
from nwb_ophys.storage.threads import Flag, Workers

from ..reliability.setting import rounds
from .conftest import VALUES, new_file, snapshot

_LONG_WRITE = """
import os, sys
print(os.getpid(), flush=True)
sys.path.insert(0, {folder!r})
import numpy as np
from hdmf.data_utils import GenericDataChunkIterator
from conftest import new_file
from nwb_ophys import write_nwbfile

NOISE = np.random.default_rng(0).poisson(60, (19, 512, 512)).astype(np.int16)

class Endless(GenericDataChunkIterator):
    reads_in_parallel = sys.argv[4] == "parallel"
    def _get_maxshape(self):
        return (19 * 10_000, 512, 512)
    def _get_dtype(self):
        return NOISE.dtype
    def _get_data(self, selection):
        frames = np.arange(selection[0].start, selection[0].stop) % 19
        return NOISE[frames].transpose(0, 2, 1)

def tell(progress):
    print(progress.frames, flush=True)

lazy = Endless(chunk_shape=(19, 512, 512), buffer_shape=(57, 512, 512))
write_nwbfile(
    new_file(a=lazy), sys.argv[1], backend=sys.argv[2], workers=int(sys.argv[3]), overwrite=True,
    progress=tell,
)
"""


@pytest.fixture
def on_disk(backend):
    """A target on a disk: in memory there is no room for the file that would be written."""
    suffix = "nwb" if backend == "hdf5" else "nwb.zarr"
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / f"session.{suffix}"


@pytest.mark.parametrize(
    ("workers", "reading"),
    rounds(
        [(0, "serial"), (2, "parallel")], list(itertools.product([0, 2], ["serial", "parallel"]))
    ),
)
def test_an_interrupt_stops_a_write_within_a_second(
    programs, tmp_path, on_disk, backend, workers, reading
):
    target = on_disk
    write_nwbfile(new_file(a=VALUES), target, backend=backend)
    before = snapshot(target.parent)
    script = tmp_path / "write.py"
    script.write_text(_LONG_WRITE.format(folder=str(Path(__file__).parent)))
    command = [programs / "python", script, target, backend, str(workers), reading]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        moments = []
        for _ in range(3):
            assert int(process.stdout.readline()) > 0
            moments.append(time.monotonic())
        os.kill(number, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        took = time.monotonic() - moments[-1]
    assert process.returncode == 128 + signal.SIGINT
    assert "KeyboardInterrupt" in errors
    # Less than one, where the machine is not busy with other tests; there blocks take longer, too.
    assert took < max(2.0, 20 * (moments[-1] - moments[0]) / 2)
    assert snapshot(target.parent) == before


_MANY = """
import faulthandler, os, random, signal, sys, threading, time
sys.path.insert(0, {tests!r})
import numpy as np
from hdmf.data_utils import GenericDataChunkIterator
from conftest import new_file
from nwb_ophys import write_nwbfile

VALUES = np.zeros((4000, 8, 8), np.int16)

class Short(GenericDataChunkIterator):
    reads_in_parallel = True
    def _get_maxshape(self):
        return VALUES.shape
    def _get_dtype(self):
        return VALUES.dtype
    def _get_data(self, selection):
        return VALUES[selection]

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def write():
    nwbfile = new_file(a=Short(chunk_shape=(40, 8, 8), buffer_shape=(40, 8, 8)))
    write_nwbfile(nwbfile, "a.nwb", backend=sys.argv[1], workers=2, overwrite=True)

write()  # Python itself does not survive an interrupt within an import
random.seed(0)
interrupted = 0
while interrupted < {count}:
    faulthandler.dump_traceback_later(60, exit=True)
    timer = threading.Timer(random.uniform(0.01, 0.1), interrupt)
    try:
        timer.start()
        write()
        timer.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        interrupted += 1
    left = [thread.name for thread in threading.enumerate() if "worker" in thread.name]
    assert not left, left
    assert set(os.listdir()) <= {{"a.nwb"}}, os.listdir()
print(interrupted)
"""


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
def test_an_interrupt_at_any_moment_leaves_no_thread_waiting(programs, tmp_path, backend):
    """A lock that an interrupt does not release would block a worker, and the program, forever."""
    script, folder = tmp_path / "write.py", tmp_path / "folder"
    script.write_text(_MANY.format(tests=str(Path(__file__).parent), count=rounds(40, 600)))
    folder.mkdir()
    done = subprocess.run(
        [programs / "python", script, backend],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=rounds(120, 1200),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == rounds(40, 600)


def test_an_interrupted_end_waits_for_the_threads():
    ended, has_begun, ends = [], threading.Event(), threading.Event()

    class Stop(Flag):
        def set(self):
            super().set()
            ends.set()

    def work(_):
        has_begun.set()
        ends.wait(60)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        ended.append(True)

    workers = Workers(1, work, Stop())
    workers.submit(None)
    assert has_begun.wait(60)
    with pytest.raises(KeyboardInterrupt):
        workers.close()
    assert ended


def test_one_thread_does_jobs_that_are_submitted_together_until_one_fails():
    done, stop = [], Flag()

    def work(job):
        if job == "wrong":
            raise OSError("refused")
        done.append((job, threading.get_ident()))

    with Workers(3, work, stop) as workers:
        workers.submit(*range(20))
        workers.submit("wrong", "beside")
        assert sorted(map(str, _ends_of(workers, 22))) == sorted(
            [*map(str, range(20)), "OSError('refused')", "beside"]
        )
        workers.close()
    jobs = [job for job, _ in done if job != "beside"]
    assert jobs == list(range(20))
    assert len({thread for job, thread in done if job != "beside"}) == 1


def _ends_of(workers, count):
    for _ in range(count):
        try:
            yield workers.next_done()
        except OSError as error:
            yield repr(error)


def test_threads_that_the_system_refuses_are_told_of(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with Workers(2, print, Flag()) as workers:
        workers.submit(None)
        with pytest.raises(RuntimeError, match="new thread"):
            workers.next_done()


def test_blosc_takes_no_lock_that_an_interrupt_could_leave_taken(tmp_path):
    """numcodecs takes the lock only in the main thread, unless ``use_threads`` is False."""
    seen = []
    before = numcodecs.blosc.use_threads
    write_nwbfile(
        new_file(a=np.ones((64, 64, 64), np.int16)),
        tmp_path / "a.nwb",
        backend="zarr",
        workers=0,
        progress=lambda _: seen.append(numcodecs.blosc.use_threads),
    )
    assert seen
    assert set(seen) == {False}
    assert numcodecs.blosc.use_threads is before
