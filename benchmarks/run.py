"""One measurement in a separate process: ``python -m benchmarks.run KEY CONTENDER …``.

The last line of the output is the result as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.comparisons import find_comparison
from benchmarks.memory import PeakMemory, peak_of_process
from benchmarks.model import Job, Setup


def measure(job: Job, target: Path, *, watches_memory: bool = True) -> dict[str, Any]:
    """Run a job and return its time, memory and file size.

    Parameters
    ----------
    job : Job
    target : pathlib.Path
        The file that the job writes, if any.
    watches_memory : bool
        Whether memory is sampled while the job runs, by a thread whose time counts as well; without
        it there is none of the quantities of memory.

    Returns
    -------
    dict
        ``seconds`` until the job returns; ``processor_seconds`` of all threads meanwhile;
        ``seconds_on_disk`` until the operating system has also written everything to the disk;
        ``peak`` and ``above``, resident memory in bytes, in total and above the level before;
        ``own_above``, the latter without mapped files; ``peak_of_process``, since its start;
        ``size`` of the result and ``num_bytes`` of the source; and the quantities that the job
        itself returns, which replace these.
    """
    gc.collect()
    os.sync()  # so that earlier files are not written to the disk meanwhile
    memory = PeakMemory() if watches_memory else None
    with memory or nullcontext():
        start, used = time.perf_counter(), time.process_time()
        given = job.run()
        seconds, used = time.perf_counter() - start, time.process_time() - used
    os.sync()
    return {
        "seconds": seconds,
        "processor_seconds": used,
        "seconds_on_disk": time.perf_counter() - start,
        **(_quantities_of(memory) if memory else {}),
        "size": size_of(target) if target.exists() else given if isinstance(given, int) else None,
        "num_bytes": job.num_bytes,
        **(given if isinstance(given, dict) else {}),
    }


def _quantities_of(memory: PeakMemory) -> dict[str, Any]:
    return {
        "peak": memory.peak,
        "above": memory.peak - memory.level,
        "own_above": memory.own_above,
        "peak_of_process": peak_of_process(),
    }


def size_of(path: Path) -> int:
    """Return the bytes of a file, or the sum over the files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def main() -> None:
    """Make the sources of a comparison, or measure one of its contenders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("key")
    parser.add_argument(
        "contender",
        nargs="?",
        help="name of the contender to measure; without it, make the sources",
    )
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--target", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    comparison = find_comparison(given.key)
    if given.contender is None:
        if comparison.make_sources is not None:
            comparison.make_sources(given.sources, given.scale)
        return
    prepare = comparison.contender(given.contender).prepare
    assert prepare is not None
    job = prepare(Setup(sources=given.sources, target=given.target, scale=given.scale))
    try:
        # The tables of parts have no memory.
        result = measure(job, given.target, watches_memory=not comparison.parts)
    finally:
        remove(given.target)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
