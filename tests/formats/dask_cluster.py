"""A scheduler of Dask and some workers, as programs of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed


class Cluster:
    """A scheduler and workers of one thread each, as programs of their own."""

    def __init__(self, folder: Path, num_workers: int = 2) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.workers, self._num_workers = folder, [], num_workers
        paths = [str(folder), *(each for each in sys.path if each)]
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        }
        port = self.address.rpartition(":")[2]
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", port)
        self.complete()

    def _start(self, program: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=self._environment, cwd="/", stdout=log, stderr=log)

    def complete(self) -> None:
        """Start workers until there are as many as at first."""
        self.workers = [each for each in self.workers if each.poll() is None]
        while len(self.workers) < self._num_workers:
            scratch = str(self.folder / f"worker-{time.monotonic_ns()}")
            given = ("--nthreads", "1", "--no-nanny", "--local-directory", scratch)
            self.workers.append(self._start("dask_worker", self.address, *given))
        with distributed.Client(self.address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(self._num_workers, timeout=30)

    def close(self) -> None:
        for each in (*self.workers, self.scheduler):
            each.kill()
            each.wait()
