"""Measurements behind docs/scaling.md: ``python -m benchmarks.scaling`` prints Markdown tables.

Each line is measured in a process of its own. Chunks of a few hundred bytes show what the engine
and the store need for a chunk, whatever its size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import PeakMemory
from benchmarks.ours import write_movie
from benchmarks.rounds import run_module
from benchmarks.session import new_nwbfile
from benchmarks.sources import FIELD_SHAPE, dim_field, movie_extractor, repeating_extractor

#: Frames of a block of the movie in memory, and of the movie: 150 MB and 1 GB.
_BLOCK, _NUM_FRAMES = 285, 1995
_TINY_FIELD = (16, 16)
_TINY_BYTES = 512
#: Encoded chunks, as of a movie of 10 MB in 4.
_STORED_BYTES, _NUM_STORED = 4_000_000, 250
WORKERS = (0, 1, 2)
TINY = {"hdf5": (10_000, 100_000), "zarr": (10_000, 30_000)}


def large_chunks(backend: str, workers: int, count: int, folder: Path) -> dict[str, float]:
    """Write a movie of `count` frames in chunks of 10 MB."""
    block = _noise(_BLOCK)
    run = write_movie(repeating_extractor(block, count), folder / "movie", backend, workers)
    return _measured(run) | {"bytes": count * block[0].nbytes}


def tiny_chunks(backend: str, workers: int, count: int, folder: Path) -> dict[str, float]:
    """Write a movie of `count` chunks of one frame of 512 bytes."""
    import nwb_ophys
    from nwb_ophys import tools
    from nwb_ophys.storage import BackendConfiguration

    movie = np.random.default_rng(0).poisson(60, (count, *_TINY_FIELD)).astype(np.int16)
    nwbfile = new_nwbfile()
    tools.add_imaging(movie_extractor(movie), nwbfile)
    configuration = BackendConfiguration.from_nwbfile(nwbfile, backend=backend)
    configuration["acquisition/TwoPhotonSeries/data"].chunk_shape = (1, *_TINY_FIELD)
    target = folder / "movie"
    return _measured(
        lambda: nwb_ophys.write_nwbfile(
            nwbfile, target, backend=backend, configuration=configuration, workers=workers
        )
    )


def store_alone(backend: str, size: int, count: int, folder: Path) -> dict[str, float]:
    """Store `count` encoded chunks of a size, without anything else."""
    chunk = bytes(size)
    if backend == "zarr":

        def run() -> None:
            for number in range(count):
                (folder / f"{number}.0.0").write_bytes(chunk)

        return _measured(run)

    from nwb_ophys.storage.backends.hdf5_files import open_for_writing

    def commit() -> None:
        with open_for_writing(folder / "a.h5", "w") as file:
            data = file.create_dataset("a", (count, size, 1), "u1", chunks=(1, size, 1))
            for number in range(count):
                data.id.write_direct_chunk((number, 0, 0), chunk)

    return _measured(commit)


def encoded(compression: str, folder: Path) -> dict[str, float]:
    """Encode chunks of 10 MB as HDF5 stores them."""
    from nwb_ophys.storage import DatasetConfiguration, get_backend

    chunk = _noise(19)
    how = DatasetConfiguration(
        location="data",
        shape=chunk.shape,
        dtype=chunk.dtype,
        chunk_shape=chunk.shape,
        compression=compression,
        shuffle=True,
    )
    storage = get_backend("hdf5")
    storage.encoded_size(how, chunk)  # imports the codec
    sizes: list[int] = []
    found = _measured(lambda: sizes.extend(storage.encoded_size(how, chunk) for _ in range(5)))
    return found | {"bytes": 5 * chunk.nbytes, "stored": sum(sizes)}


def read_tiff(compression: str, folder: Path) -> dict[str, float]:
    """Read a TIFF file in blocks of 10 MB, in one thread."""
    import tifffile

    import nwb_ophys

    path, block = folder / "movie.tif", _noise(_BLOCK)
    codec = None if compression == "none" else compression
    tifffile.imwrite(path, block, photometric="minisblack", compression=codec)
    extractor = nwb_ophys.open(path, sampling_frequency=30.0).extractor
    buffer = np.array(extractor.get_series(0, 19))

    def run() -> None:
        for start in range(19, _BLOCK, 19):
            series = extractor.get_series(start, start + 19)
            np.copyto(buffer[: len(series)], series)  # it may be a view of the file

    found = _measured(run)
    return found | {"bytes": block[19:].nbytes}


def index_of(count: int, folder: Path) -> dict[str, float]:
    """Return the bytes of a file beside its chunks, of which there are `count`."""
    store_alone("hdf5", _TINY_BYTES, count, folder)
    size = (folder / "a.h5").stat().st_size
    return {"bytes": size - count * _TINY_BYTES}


def _noise(count: int) -> NDArray[np.int16]:
    random = np.random.default_rng(0)
    return np.stack([random.poisson(dim_field()).astype(np.int16) for _ in range(count)])


def _measured(run: Callable[[], Any]) -> dict[str, float]:
    with PeakMemory() as memory:
        start, used = time.perf_counter(), time.process_time()
        run()
        seconds, used = time.perf_counter() - start, time.process_time() - used
    return {"seconds": seconds, "processor": used, "above": memory.own_above}


_CASES: dict[str, Callable[..., dict[str, float]]] = {
    "large": large_chunks,
    "tiny": tiny_chunks,
    "alone": store_alone,
    "encode": lambda compression, _, __, folder: encoded(compression, folder),
    "read": lambda compression, _, __, folder: read_tiff(compression, folder),
    "index": lambda _, __, count, folder: index_of(count, folder),
}


def _in_process(folder: str | None, *arguments: Any) -> dict[str, float]:
    words = [str(argument) for argument in arguments]
    place = ["--folder", folder] if folder else []
    found: dict[str, float] = json.loads(
        run_module("benchmarks.scaling", *place, "--case", *words).splitlines()[-1]
    )
    return found


def _print_tables(folder: str | None) -> None:
    megabytes = int(np.prod(FIELD_SHAPE)) * 2 * _NUM_FRAMES / 1e6
    print(f"Movie of {megabytes:,.0f} MB, chunks of 10 MB\n")
    print("| backend | workers | s | MB/s | processor s | MB per processor s | above, MB |")
    print("|---|---|---|---|---|---|---|")
    for backend in TINY:
        for workers in WORKERS:
            found = _in_process(folder, "large", backend, workers, _NUM_FRAMES)
            seconds, used = found["seconds"], found["processor"]
            cells = (f"{seconds:.2f}", f"{megabytes / seconds:.0f}", f"{used:.2f}")
            rest = (f"{megabytes / used:.0f}", f"{found['above'] / 1e6:.0f}")
            print(f"| {backend} | {workers} | {' | '.join((*cells, *rest))} |", flush=True)
    print("\nChunks of 512 bytes\n")
    print("| backend | chunks | workers | s | chunks/s | processor µs per chunk | above, MB |")
    print("|---|---|---|---|---|---|---|")
    for backend, counts in TINY.items():
        for count in counts:
            for workers in WORKERS:
                _print_tiny(
                    backend, count, workers, _in_process(folder, "tiny", backend, workers, count)
                )
            found = _in_process(folder, "alone", backend, _TINY_BYTES, count)
            _print_tiny(backend, count, "store alone", found)
    _print_rates(folder)


def _print_rates(folder: str | None) -> None:
    """Print the tables of single steps."""
    print("\nEncoded chunks of 4 MB, stored by one thread\n")
    print("| backend | s | MB/s | processor s | MB per processor s |\n|---|---|---|---|---|")
    for backend in TINY:
        found = _in_process(folder, "alone", backend, _STORED_BYTES, _NUM_STORED)
        stored = _NUM_STORED * _STORED_BYTES / 1e6
        seconds, used = found["seconds"], found["processor"]
        cells = (
            f"{seconds:.2f}",
            f"{stored / seconds:,.0f}",
            f"{used:.2f}",
            f"{stored / used:,.0f}",
        )
        print(f"| {backend} | {' | '.join(cells)} |", flush=True)

    print("\nChunks of 10 MB, encoded for HDF5\n")
    print("| compression | MB per processor s | size |\n|---|---|---|")
    for compression in ("gzip", "gzip:9", "zstd", "blosc", "lz4"):
        found = _in_process(folder, "encode", compression, 0, 0)
        rate = found["bytes"] / found["processor"] / 1e6
        print(
            f"| {compression} | {rate:,.0f} | {found['stored'] / found['bytes']:.3f} |", flush=True
        )
    print("\nTIFF files, read in one thread\n")
    print("| compression | MB per processor s |\n|---|---|")
    for compression in ("none", "lzw", "zlib"):
        found = _in_process(folder, "read", compression, 0, 0)
        print(f"| {compression} | {found['bytes'] / found['processor'] / 1e6:,.0f} |", flush=True)
    index = _in_process(folder, "index", "hdf5", 0, 20_000)["bytes"]
    print(f"\nIndex of HDF5: {index / 20_000:.0f} bytes per chunk")


def _print_tiny(backend: str, count: int, how: Any, found: dict[str, float]) -> None:
    seconds, used = found["seconds"], found["processor"] / count * 1e6
    cells = (f"{seconds:.2f}", f"{count / seconds:,.0f}", f"{used:.0f}")
    print(
        f"| {backend} | {count:,} | {how} | {' | '.join(cells)} | {found['above'] / 1e6:.0f} |",
        flush=True,
    )


def main() -> None:
    """Print the tables, or measure one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="folder for temporary files")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case is None:
        _print_tables(given.folder)
        return
    name, backend, number, count = given.case
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = _CASES[name](backend, int(number), int(count), Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
