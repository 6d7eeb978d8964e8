"""Benchmark of batches: ``python -m benchmarks.batches`` prints Markdown.

Forty sessions with a movie of 52 MB, and forty of five formats in two sizes, are converted by
one job and by two in turns, each in a fresh process; plans and states of 10,000 sessions are made
from a table and from a pattern; and a file of 2 GB is edited.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from nwb_ophys import BackendConfiguration, NumpyImagingInterface
from nwb_ophys.formats import builtin_rows
from nwb_ophys.testing import SimulatedRecording, simulate_recording
from nwb_ophys.testing.samples import write_sample

_SESSIONS, _MANY, _GIGABYTES = 40, 10_000, 2
_FRAMES, _SIDE = 400, 256
_SMALL = ("tiff", "suite2p", "scanimage", "bruker", "caiman")
# Frames, rows and columns, and cells.
_TINY, _SHORT = (12, (24, 34), 3), (300, (128, 128), 50)
_START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
_HEAD = (
    "output: out\nmetadata: {NWBFile: {session_start_time: '2024-05-17T14:30:00+02:00'}, "
    "Subject: {species: Mus musculus}}\n"
)


def timed(*arguments: str | Path) -> tuple[float, float]:
    """Run the command; return its seconds and, with its processes, those of the processor."""
    before, began = os.times(), time.perf_counter()
    subprocess.run(_command(arguments), stdout=subprocess.DEVNULL, check=True)
    passed, after = time.perf_counter() - began, os.times()
    return passed, sum(after[2:4]) - sum(before[2:4])


def peak(*arguments: str | Path) -> float:
    """Run the command; return the largest sum of the memory that its processes have alone, in MB.

    Looking at the memory of a process holds it up, so that it is not timed meanwhile.
    """
    largest = [0]
    with subprocess.Popen(_command(arguments), stdout=subprocess.DEVNULL) as process:
        watch = threading.Thread(target=_watch, args=(process.pid, largest), daemon=True)
        watch.start()
        if process.wait():
            raise RuntimeError(f"{process.args} ends with {process.returncode}")
    return largest[0] / 1e6


def _command(arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "nwb_ophys", *map(str, arguments)]


def _watch(pid: int, largest: list[int]) -> None:
    parent = psutil.Process(pid)
    while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
        total = 0
        for each in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.Error):  # it has ended meanwhile
                total += each.memory_full_info().uss
        largest[0] = max(largest[0], total)
        time.sleep(0.1)


def jobs(folder: Path, rounds: int) -> None:
    """Print the times of one job and of two, for sessions with a movie of some size."""
    movie = np.random.default_rng(0).poisson(40, (_FRAMES, _SIDE, _SIDE)).astype(np.uint16)
    for index in range(_SESSIONS):
        place = folder / "raw" / f"M{index // 4}" / f"day{index % 4}"
        place.mkdir(parents=True)
        np.save(place / "movie.npy", movie)
    path = folder / "jobs.yaml"
    path.write_text(
        f"{_HEAD}options: {{sampling_frequency: 30}}\n"
        "sessions: [{pattern: 'raw/{subject_id}/{session_id}', paths: movie.npy}]\n"
    )
    print(f"{_SESSIONS} sessions of {movie.nbytes / 1e6:.0f} MB, medians of {rounds} rounds\n")
    _compare_jobs(path, rounds)


def small(folder: Path, rounds: int) -> None:
    """Print the times of one job and of two, for sessions of five formats in two sizes."""
    for name, (frames, (rows, columns), cells) in {"tiny": _TINY, "short": _SHORT}.items():
        recording = simulate_recording(frames, rows, columns, cells)
        path, size = _sessions_of_formats(folder / name, recording)
        print(
            f"{_SESSIONS} sessions of five formats, {frames} frames of {rows} × {columns} and "
            f"{cells} cells, {size / 1e6:.2f} MB each, medians of {rounds} rounds\n"
        )
        _compare_jobs(path, rounds)


def _sessions_of_formats(folder: Path, recording: SimulatedRecording) -> tuple[Path, float]:
    """Write sessions; return the path of their specification, and bytes per session."""
    entries = []
    for row in builtin_rows():
        if row.name not in _SMALL:
            continue
        first = folder / "raw" / row.name / "M0" / "day0"
        first.mkdir(parents=True)
        write_sample(row, first, recording)
        for index in range(1, _SESSIONS // len(_SMALL)):
            shutil.copytree(first, first.parents[1] / f"M{index // 2}" / f"day{index % 2}")
        entries.append(
            f"  - {{pattern: 'raw/{row.name}/{{subject_id}}/{{session_id}}', "
            f"output: '{row.name}/{{subject_id}}-{{session_id}}.nwb', "
            f"options: {{{'sampling_frequency: 30' if row.name == 'tiff' else ''}}}}}"
        )
    path = folder / "small.yaml"
    path.write_text(f"{_HEAD}sessions:\n" + "\n".join(entries))
    sizes = [each.stat().st_size for each in folder.rglob("*") if each.is_file()]
    return path, sum(sizes) / _SESSIONS


def _compare_jobs(path: Path, rounds: int) -> None:
    taken: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    sizes = {}
    for index in range(rounds + 1):
        for count, times in taken.items():
            for made in ("out", *_SMALL):
                shutil.rmtree(path.parent / made, ignore_errors=True)
            words = ("batch", path, "--jobs", str(count), "--buffer-gb", "0.4")
            if index < rounds:
                times.append(timed(*words))
            else:
                sizes[count] = peak(*words)
    print("| jobs | seconds | processor seconds | MB of all processes |\n|---|---|---|---|")
    medians = {}
    for count, times in taken.items():
        medians[count] = [statistics.median(column) for column in zip(*times, strict=True)]
        print(
            f"| {count} | {medians[count][0]:.1f} | {medians[count][1]:.1f} | {sizes[count]:.0f} |"
        )
    print(f"\nTwo jobs ÷ one: {medians[2][0] / medians[1][0]:.2f}\n")


def many(folder: Path, rounds: int) -> None:
    """Print the times of plans and states of many sessions."""
    lines = ["subject_id\tsession_id\tpath"]
    for index in range(_MANY):
        name = f"raw/M{index // 20}/day{index % 20}"
        (folder / name).mkdir(parents=True)
        (folder / name / "movie.tif").touch()
        lines.append(f"M{index // 20}\tday{index % 20}\t{name}")
    (folder / "sessions.tsv").write_text("\n".join(lines))
    entries = {
        "table": "{table: sessions.tsv}",
        "pattern": "{pattern: 'raw/{subject_id}/{session_id}', paths: ['*.tif']}",
    }
    print(f"{_MANY:,} sessions, medians of {rounds} rounds\n")
    print("| from a | command | seconds | processor seconds | MB |\n|---|---|---|---|---|")
    for name, entry in entries.items():
        path = folder / f"{name}.yaml"
        path.write_text(f"{_HEAD}sessions: [{entry}]\n")
        for flag in ("--dry-run", "--status"):
            times = [timed("batch", path, flag) for _ in range(rounds)]
            seconds, used = (statistics.median(each) for each in zip(*times, strict=True))
            size = peak("batch", path, flag)
            print(f"| {name} | {flag} | {seconds:.1f} | {used:.1f} | {size:.0f} |")
    print()


def edits(folder: Path, rounds: int) -> None:
    """Print the time of an edit of a large file."""
    path = folder / "large.nwb"
    frames = int(_GIGABYTES * 1e9) // (512 * 512 * 2)
    movie = np.lib.format.open_memmap(folder / "large.npy", "w+", np.uint16, (frames, 512, 512))
    block = np.random.default_rng(0).poisson(40, (50, 512, 512))
    for start in range(0, frames, 50):
        movie[start : start + 50] = block[: frames - start]
    plain = BackendConfiguration(backend="hdf5", compression="none")
    source = NumpyImagingInterface(folder / "large.npy", 30.0)
    source.run_conversion(path, metadata=_START, progress=False, configuration=plain)
    times = [timed("edit", path, "--set", f"NWBFile.lab=Lab {index}") for index in range(rounds)]
    seconds, used = (statistics.median(each) for each in zip(*times, strict=True))
    size = path.stat().st_size / 1e9
    print(
        f"Edit of a file of {size:.1f} GB, the whole command: {seconds:.2f} s, {used:.2f} s of the "
        "processor"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["jobs", "small", "many", "edits"])
    given = parser.parse_args()
    parts = {"jobs": jobs, "small": small, "many": many, "edits": edits}
    for name, part in parts.items():
        if given.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                part(Path(folder), given.rounds)


if __name__ == "__main__":
    main()
