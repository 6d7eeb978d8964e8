"""Benchmark of chunk shapes: ``python -m benchmarks.chunks`` prints Markdown tables.

Traces and lists are written with several shapes of chunks, shuffled and deflated as this package
does, and read with h5py and over HTTP with remfile. Chunks lie in the file in their own order.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from benchmarks.http_server import BYTES_PER_SECOND, LATENCY_SECONDS, served
from nwb_ophys.storage.encoding import chunk_bytes
from nwb_ophys.storage.grid import default_chunk_shape

Shape = tuple[int, ...]
Read = Callable[[h5py.Dataset], Any]

_REPEATS = 10


def write(path: Path, values: NDArray[Any], chunks: Shape) -> None:
    """Write an array to the dataset ``values`` of a new file, chunk by chunk."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "values", values.shape, values.dtype, chunks=chunks, compression="gzip", shuffle=True
        )
        starts = [range(0, size, step) for size, step in zip(values.shape, chunks, strict=True)]
        for corner in itertools.product(*starts):
            chunk = np.zeros(chunks, values.dtype)
            part = values[tuple(slice(a, a + b) for a, b in zip(corner, chunks, strict=True))]
            chunk[tuple(slice(size) for size in part.shape)] = part
            planes = chunk_bytes(chunk, chunks, values.dtype, shuffle=True)
            dataset.id.write_direct_chunk(corner, isal_zlib.compress(planes, 1))


def measure(path: Path, read: Read) -> tuple[float, int, float, float]:
    """Return the processor time with h5py, and requests, MB and estimated time over HTTP."""
    used = time.process_time()
    for _ in range(_REPEATS):
        # The cache of chunks before HDF5 2.0; a larger chunk is decoded whenever it is read.
        with h5py.File(path, rdcc_nbytes=1 << 20) as file:
            read(file["values"])
    used = (time.process_time() - used) / _REPEATS

    import remfile

    with served(path.parent, delays=False) as (url, traffic):
        with h5py.File(remfile.File(f"{url}/{path.name}"), "r") as file:
            read(file["values"])
        seconds = traffic.requests * LATENCY_SECONDS + traffic.num_bytes / BYTES_PER_SECOND
        return used, traffic.requests, traffic.num_bytes / 1e6, seconds


def traces(num_samples: int, num_rois: int) -> tuple[str, NDArray[Any], list[Shape], list[Any]]:
    """Return traces, shapes of chunks, and what is read of them."""
    random = np.random.default_rng(0)
    values = random.gamma(4, 20, (num_samples, num_rois)).astype(np.float32)
    sizes = (0.125, 0.25, 0.5, 1.0, 2.0)
    shapes = [default_chunk_shape(values.shape, 4, size) for size in sizes]
    shapes += [(num_samples, max(125_000 // num_samples, 1)), (125_000 // num_rois, num_rois)]
    reads = [
        ("one ROI", lambda data: data[:, num_rois // 3]),
        ("one sample", lambda data: data[num_samples // 3]),
        ("all", lambda data: data[:]),
    ]
    return f"Traces, {num_samples:,} samples × {num_rois:,} ROIs", values, shapes, reads


def times(count: int) -> tuple[str, NDArray[Any], list[Shape], list[Any]]:
    """Return times, shapes of chunks, and what is read of them."""
    values = np.cumsum(np.random.default_rng(0).normal(1 / 30, 1e-3, count))
    reads = [
        ("one", lambda data: data[count // 3]),
        ("100 in turn", lambda data: [data[count // 3 + place] for place in range(100)]),
        ("all", lambda data: data[:]),
    ]
    return f"Times, {count:,} values", values, _of_one_axis(values), reads


def pixels(num_rois: int) -> tuple[str, NDArray[Any], list[Shape], list[Any]]:
    """Return pixel masks of 100 pixels, shapes of chunks, and what is read of them."""
    random, count = np.random.default_rng(0), 100
    values = np.zeros(num_rois * count, [("x", "u4"), ("y", "u4"), ("weight", "f4")])
    corners = random.integers(0, 500, (2, num_rois, 1))
    values["x"] = (corners[0] + np.arange(count) % 10).ravel()
    values["y"] = (corners[1] + np.arange(count) // 10).ravel()
    values["weight"] = random.random(len(values))
    first = num_rois // 3

    def some(data: h5py.Dataset) -> None:
        for roi in range(first, first + 100):
            data[roi * count : (roi + 1) * count]

    reads = [
        ("one ROI", lambda data: data[first * count : (first + 1) * count]),
        ("100 ROIs in turn", some),
        ("all", lambda data: data[:]),
    ]
    return f"Pixel masks of {num_rois:,} ROIs", values, _of_one_axis(values), reads


def _of_one_axis(values: NDArray[Any]) -> list[Shape]:
    return [(int(size * 1e6) // values.itemsize,) for size in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)]


def print_table(title: str, values: NDArray[Any], shapes: list[Shape], reads: list[Any]) -> None:
    """Print a table with a row for each shape of chunks."""
    heads = [
        f"{name}: {head}" for name, _ in reads for head in ("processor ms", "requests", "MB", "s")
    ]
    print(f"\n{title}\n\n| chunk | MB | file, MB | {' | '.join(heads)} |")
    print(f"|{'---|' * (len(heads) + 3)}")
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "values.h5"
            chunk = tuple(min(pair) for pair in zip(shape, values.shape, strict=True))
            write(path, values, chunk)
            cells = []
            for _, read in reads:
                used, requests, megabytes, seconds = measure(path, read)
                cells += [f"{used * 1e3:.3g}", f"{requests}", f"{megabytes:.1f}", f"{seconds:.2f}"]
            size = int(np.prod(chunk)) * values.itemsize / 1e6
            stored = path.stat().st_size / 1e6
            print(f"| {chunk} | {size:.3g} | {stored:.1f} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print_table(*traces(20_000, 500))
    print_table(*traces(60_000, 1000))
    print_table(*times(100_000))
    print_table(*times(1_000_000))
    print_table(*pixels(2000))
    print_table(*pixels(10_000))


if __name__ == "__main__":
    main()
