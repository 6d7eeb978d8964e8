"""Run with ``python -m benchmarks``; prints a Markdown table.

A TIFF stack to NWB with everybody's defaults: 512 x 512 int16 frames with photon noise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

Converter = Callable[[Path, Path], None]

SESSION = {"NWBFile": {"session_start_time": datetime(2024, 5, 17, tzinfo=timezone.utc)}}


def make_movie(num_frames: int) -> np.ndarray:
    """Return dim cells on a dark field, with photon noise."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:512, :512]
    field = 60 + 40 * np.sin(rows / 23) * np.cos(columns / 31)
    return random.poisson(field, (num_frames, 512, 512)).astype(np.int16)


def ours(source: Path, target: Path) -> None:
    from nwb_ophys.formats import TiffImagingInterface

    interface = TiffImagingInterface(source, 30.0)
    interface.run_conversion(target, metadata=SESSION, progress=False)


def neuroconv(source: Path, target: Path) -> None:
    from neuroconv.datainterfaces import TiffImagingInterface

    interface = TiffImagingInterface(file_path=str(source), sampling_frequency=30.0)
    metadata = interface.get_metadata()
    metadata["NWBFile"].update(SESSION["NWBFile"])
    interface.run_conversion(nwbfile_path=str(target), metadata=metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    movie = make_movie(given.frames)
    contenders: dict[str, Callable[[Path, Path], None]] = {
        "nwb_ophys": ours,
        "neuroconv": neuroconv,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "movie.tif"
        from nwb_ophys.testing import write_tiff

        write_tiff(source, movie)
        for _ in range(given.rounds):
            for name, convert in contenders.items():
                target = Path(folder) / f"{name}.nwb"
                target.unlink(missing_ok=True)
                start = time.perf_counter()
                convert(source, target)
                seconds[name].append(time.perf_counter() - start)
                sizes[name] = target.stat().st_size
    print(f"TIFF to HDF5, {movie.nbytes / 1e6:.0f} MB, medians of {given.rounds} rounds\n")
    print("| converter | seconds | MB/s | file, MB |\n|---|---|---|---|")
    for name, times in seconds.items():
        median = statistics.median(times)
        rate = movie.nbytes / 1e6 / median
        print(f"| {name} | {median:.2f} | {rate:.0f} | {sizes[name] / 1e6:.1f} |")


if __name__ == "__main__":
    main()
