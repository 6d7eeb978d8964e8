"""Cost of the statistics of movies: ``python -m benchmarks.reports`` prints Markdown tables.

With and without statistics take turns within a process, one process per line, so that both see the
same machine. Ratios are medians over the pairs.
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


def writing(kind: str, count: int, workers: int, rounds: int, folder: Path) -> dict[str, float]:
    """Write a movie with and without gathering its statistics."""
    import nwb_ophys
    from nwb_ophys import tools
    from nwb_ophys.reports.gathering import StatisticsGatherer

    block = _movie(kind)

    def write(observer: Any) -> None:
        nwbfile, target = new_nwbfile(), folder / "movie.nwb"
        tools.add_imaging(repeating_extractor(block, count), nwbfile)
        nwb_ophys.write_nwbfile(nwbfile, target, workers=workers, observer=observer)
        if observer is not None:
            assert observer.statistics("acquisition/TwoPhotonSeries/data") is not None
        target.unlink()

    return _compared(lambda: write(None), lambda: write(StatisticsGatherer()), rounds) | {
        "bytes": count * block[0].nbytes
    }


def reading(filters: str, count: int, workers: int, rounds: int, folder: Path) -> dict[str, float]:
    """Read the movie of a file with and without computing its statistics."""
    import h5py

    from nwb_ophys.reports.statistics import movie_statistics
    from nwb_ophys.storage import get_backend
    from nwb_ophys.storage.budget import Budget
    from nwb_ophys.storage.verification import BlockPass, Resources, run_passes

    path = folder / "movie.h5"
    _store(path, filters, count)
    with h5py.File(path) as file:
        movie = file["movie"]
        source = get_backend("hdf5").checked_source(movie)
        shape = (_CHUNK, *movie.shape[1:])
        resources = Resources(workers=workers, budget=Budget(200_000_000, "memory", "memory"))

        def read() -> None:
            everything = BlockPass(
                location="movie", source=source, block_shape=shape, take=lambda *_: None
            )
            run_passes([everything], resources)

        def compute() -> None:
            assert movie_statistics(movie, workers=workers).every == 1

        found = _compared(read, compute, rounds)
    path.unlink()
    return found | {"bytes": count * int(np.prod(shape[1:])) * 2}


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
    without: Callable[[], None], with_statistics: Callable[[], None], rounds: int
) -> dict[str, float]:
    """Return medians of both, and of their ratios; the first round of each is not counted."""
    without()
    with PeakMemory() as memory:
        without()
    peak = memory.own_above
    with PeakMemory() as memory:
        with_statistics()
    pairs = [(_measured(without), _measured(with_statistics)) for _ in range(rounds)]
    seconds, used = ([(first[part], second[part]) for first, second in pairs] for part in (0, 1))
    return {
        "seconds": of_rounds.median(first for first, _ in seconds),
        "with": of_rounds.median(second for _, second in seconds),
        "ratio": of_rounds.median(second / first for first, second in seconds),
        "processor ratio": of_rounds.median(second / first for first, second in used),
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
    print("| movie | MB | workers | without, s | with, s | time | processor time | memory, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, count, workers in lines:
        given = [case, kind, str(count), str(workers), str(rounds)]
        words = ["--folder", place] if place else []
        found = json.loads(
            run_module("benchmarks.reports", *words, "--case", *given).splitlines()[-1]
        )
        times = f"{found['seconds']:.2f} | {found['with']:.2f}"
        ratios = f"{100 * found['ratio']:.0f} % | {100 * found['processor ratio']:.0f} %"
        size, memory = found["bytes"] / 1e6, found["memory"] / 1e6
        print(
            f"| {kind} | {size:,.0f} | {workers} | {times} | {ratios} | {memory:.0f} |", flush=True
        )


def main() -> None:
    """Print the tables, or measure one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="folder for temporary files")
    parser.add_argument("--rounds", type=int, default=5)
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
    files = [(filters, _LONGEST, workers) for filters in ("none", "gzip") for workers in (1, 2)]
    _print_lines("reading", files, given.rounds, given.folder)
    print(f"\nLoad of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
