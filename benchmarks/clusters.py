"""Case j: a movie to Zarr by the workers of a Dask cluster on this machine."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.session import METADATA
from benchmarks.sources import SAMPLING_FREQUENCY, load_noise, make_noise, read_through

#: Numbers of workers that are compared.
WORKERS = (1, 2)
#: Frames of the conversion before the timed one: two blocks and more per worker.
_WARM_UP = 64

_SOURCE = "long.npy"
#: A cluster is for long movies: the benchmark's movie, repeated to 4.2 GB at full scale.
_REPEATS = 4


def _start(folder: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    atexit.register(process.wait)
    atexit.register(process.kill)  # called first
    return process


def start_cluster(workers: int) -> str:
    """Start a scheduler and workers of one thread each, until this process ends.

    Returns
    -------
    str
        Address of the scheduler.
    """
    import distributed

    folder = Path(tempfile.mkdtemp(prefix="benchmarks-cluster-"))
    atexit.register(lambda: subprocess.run(["rm", "-rf", str(folder)], check=False))
    os.environ["PYTHONPATH"] = os.pathsep.join(each for each in sys.path if each)
    file = folder / "scheduler.json"
    _start(folder, "dask_scheduler", "--host", "127.0.0.1", "--port", "0", *_file(file))
    for _ in range(workers):
        _start(folder, "dask_worker", "--nthreads", "1", "--no-nanny", *_file(file))
    with distributed.Client(scheduler_file=str(file), timeout=60) as client:
        client.wait_for_workers(workers, timeout=60)
        return str(client.scheduler.address)


def _file(path: Path) -> tuple[str, str]:
    return "--scheduler-file", str(path)


def _make_long(folder: Path, scale: float) -> None:
    make_noise(folder, scale)
    if (folder / _SOURCE).exists():
        return
    movie = load_noise(folder)
    shape = (_REPEATS * len(movie), *movie.shape[1:])
    repeated = np.lib.format.open_memmap(folder / _SOURCE, "w+", dtype=movie.dtype, shape=shape)
    for start in range(0, len(repeated), len(movie)):
        repeated[start : start + len(movie)] = movie
    repeated.flush()


def _prepared(workers: int | None) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        import nwb_ophys

        read_through(setup.sources / _SOURCE)
        cluster = None if workers is None else start_cluster(workers)

        def convert(target: Path, **options: Any) -> None:
            given = (setup.sources / _SOURCE, SAMPLING_FREQUENCY)
            with nwb_ophys.NumpyImagingInterface(*given) as interface:
                interface.run_conversion(
                    target,
                    metadata=METADATA,
                    backend="zarr",
                    cluster=cluster,
                    workers=1 if workers is None else None,
                    progress=False,
                    **options,
                )

        convert(setup.target.with_name("warm-up.nwb.zarr"), overwrite=True, stub=_WARM_UP)
        num_bytes = (setup.sources / _SOURCE).stat().st_size
        return Job(run=lambda: convert(setup.target), num_bytes=num_bytes)

    return prepare


def cluster_comparisons() -> list[Comparison]:
    """Return the comparison of case j."""
    contenders = [
        Contender(name="nwb_ophys, workers=1, no cluster", prepare=_prepared(None)),
        *(
            Contender(
                name=f"nwb_ophys, {workers} worker{'s' * (workers > 1)} of a cluster",
                prepare=_prepared(workers),
            )
            for workers in WORKERS
        ),
    ]
    return [
        Comparison(
            key="j-cluster",
            title="Movie of 4.2 GB, int16 with photon noise, to Zarr by a cluster",
            timed=(
                "The movie is a `.npy` file, the cluster a scheduler and workers of one thread "
                "each on the same machine, which have written another file before, so that their "
                "imports are not timed. Timed are opening, the conversion and its end with "
                "`run_conversion`. Memory is that of the client alone."
            ),
            contenders=contenders,
            make_sources=_make_long,
        )
    ]
