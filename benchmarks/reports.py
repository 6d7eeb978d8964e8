"""Cost of the statistics of movies: ``python -m benchmarks.reports`` prints Markdown tables.

With and without statistics take turns within a process, in a different order in each round, one
process per line, so that both see the same machine. Ratios are ratios of medians. "Own" is the
processor time that threads spend in the statistics, as a share of that of the write without them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics as of_rounds
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import PeakMemory
from benchmarks.rounds import run_module
from benchmarks.session import new_nwbfile
from benchmarks.sources import BRIGHTNESS, dim_field, repeating_extractor

#: Frames of a block in memory, which movies repeat: 105 MB.
_BLOCK = 200
#: Frames of the movies: 126, 524, 1048 and 1992 MB.
_SHORT, _MIDDLE, _LONG, _LONGEST = 240, 1000, 2000, 3800
_BRIGHTNESS = {"dim": 1, "bright": BRIGHTNESS, "full": 10 * BRIGHTNESS}
_CHUNK = 19
_FILTERS = ("none", "gzip")


def writing(kind: str, count: int, workers: int, rounds: int, folder: Path) -> dict[str, float]:
    """Write a movie with and without gathering its statistics."""
    import nwb_ophys
    from nwb_ophys import tools
    from nwb_ophys.reports.gathering import StatisticsGatherer

    block = _movie(kind)
    spent: list[float] = []

    def write(observer: Any) -> None:
        nwbfile, target = new_nwbfile(), folder / "movie.nwb"
        tools.add_imaging(repeating_extractor(block, count), nwbfile)
        nwb_ophys.write_nwbfile(nwbfile, target, workers=workers, observer=observer, overwrite=True)
        if observer is not None:
            assert observer.statistics("acquisition/TwoPhotonSeries/data") is not None

    def gather() -> None:
        write(StatisticsGatherer())

    def gather_clocked() -> None:
        write(_clocked(StatisticsGatherer(), spent))

    found = _compared(lambda: write(None), gather, rounds)
    gather_clocked()
    return found | {"bytes": count * block[0].nbytes, "own": sum(spent) / found["processor"]}


def _clocked(gatherer: Any, spent: list[float]) -> Any:
    """Return a gatherer that notes the processor time of its own work."""
    for name in ("begin", "take", "statistics"):
        setattr(gatherer, name, _noting(getattr(gatherer, name), spent))
    return gatherer


def _noting(method: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def run(*given: Any) -> Any:
        start = time.thread_time()
        try:
            return method(*given)
        finally:
            spent.append(time.thread_time() - start)

    return run


def reading(place: str, count: int, workers: int, rounds: int, folder: Path) -> dict[str, float]:
    """Read the movie of a file with and without computing its statistics.

    The place is that of the file, ``memory`` or ``disk``, and its compression.
    """
    import h5py

    from nwb_ophys.reports.statistics import movie_statistics
    from nwb_ophys.storage import get_backend
    from nwb_ophys.storage.budget import Budget
    from nwb_ophys.storage.verification import BlockPass, Resources, run_passes

    path = folder / "movie.h5"
    medium, _, filters = place.partition(", ")
    _store(path, filters, count)
    resources = Resources(workers=workers, budget=Budget(200_000_000, "memory", "memory"))

    def read() -> None:
        with h5py.File(path) as file:
            source = get_backend("hdf5").checked_source(file["movie"])
            shape = (_CHUNK, *source.shape[1:])
            everything = BlockPass(
                location="movie", source=source, block_shape=shape, take=lambda *_: None
            )
            run_passes([everything], resources)

    def compute() -> None:
        with h5py.File(path) as file:
            assert movie_statistics(file["movie"], workers=workers).every == 1

    before = (lambda: _forget(path)) if medium == "disk" else (lambda: None)
    found = _compared(read, compute, rounds, before)
    path.unlink()
    return found | {"bytes": count * dim_field().size * 2}


def _forget(path: Path) -> None:
    """Take a file out of the system's memory, so that it is read from the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _movie(kind: str) -> NDArray[np.uint16]:
    random, field = np.random.default_rng(0), dim_field() * _BRIGHTNESS[kind]
    frames = (random.poisson(field).clip(0, 65535) for _ in range(_BLOCK))
    return np.stack([frame.astype(np.uint16) for frame in frames])


def _store(path: Path, filters: str, count: int) -> None:
    import h5py

    block = _movie("dim")
    given: dict[str, Any] = {}
    if filters == "gzip":
        given = {"chunks": (_CHUNK, *block.shape[1:]), "compression": 1, "shuffle": True}
    with h5py.File(path, "w") as file:
        data = file.create_dataset("movie", (count, *block.shape[1:]), block.dtype, **given)
        for start in range(0, count, _BLOCK):
            data[start : start + _BLOCK] = block[: count - start]


def _compared(
    without: Callable[[], None],
    with_statistics: Callable[[], None],
    rounds: int,
    before: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return medians of both, and their ratios; the first round of each is not counted."""
    without()
    with PeakMemory() as memory:
        without()
    peak = memory.own_above
    with PeakMemory() as memory:
        with_statistics()
    contenders = (without, with_statistics)
    found: tuple[list[tuple[float, float]], ...] = ([], [])
    for number in range(rounds):
        for index in (0, 1) if number % 2 else (1, 0):
            before()
            found[index].append(_measured(contenders[index]))
    seconds, used = (
        [of_rounds.median(each[part] for each in times) for times in found] for part in (0, 1)
    )
    return {
        "seconds": seconds[0],
        "with": seconds[1],
        "ratio": seconds[1] / seconds[0],
        "processor": used[0],
        "processor ratio": used[1] / used[0],
        "memory": memory.own_above - peak,
        "load": os.getloadavg()[0],
    }


def _measured(run: Callable[[], None]) -> tuple[float, float]:
    gc.collect()
    start, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - used


_CASES = {"writing": writing, "reading": reading}


def _print_lines(case: str, lines: list[tuple[str, int, int]], rounds: int, place: Any) -> None:
    print(
        "| movie | MB | workers | without, s | with, s | time | processor time | own | memory, MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, count, workers in lines:
        given = [case, kind, str(count), str(workers), str(rounds)]
        words = ["--folder", place] if place else []
        found = json.loads(
            run_module("benchmarks.reports", *words, "--case", *given).splitlines()[-1]
        )
        times = f"{found['seconds']:.2f} | {found['with']:.2f}"
        ratios = f"{100 * found['ratio']:.0f} % | {100 * found['processor ratio']:.0f} %"
        size, memory = found["bytes"] / 1e6, found["memory"] / 1e6
        own = f"{100 * found['own']:.1f} %" if "own" in found else ""
        print(
            f"| {kind} | {size:,.0f} | {workers} | {times} | {ratios} | {own} | {memory:.0f} |",
            flush=True,
        )


def main() -> None:
    """Print the tables, or measure one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="folder for temporary files")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case is not None:
        name, kind, *numbers = given.case
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            print(json.dumps(_CASES[name](kind, *map(int, numbers), Path(folder))))
        return
    print("Writing with statistics, as a share of the time without\n")
    lines = [(kind, _MIDDLE, workers) for kind in _BRIGHTNESS for workers in (1, 2)]
    _print_lines(
        "writing", [("dim", _SHORT, 2), *lines, ("dim", _LONG, 2)], given.rounds, given.folder
    )
    print("\nReading with statistics, as a share of the time of reading alone\n")
    places = [f"{medium}, {filters}" for medium in ("memory", "disk") for filters in _FILTERS]
    files = [(place, _LONGEST, workers) for place in places for workers in (1, 2)]
    _print_lines("reading", files, given.rounds, given.folder)
    print(f"\nLoad of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
