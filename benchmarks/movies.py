"""Cases a and b: a movie in memory to HDF5 and to Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.ours import write_movie
from benchmarks.peers import neuroconv_write_movie, pynwb_write_movie
from benchmarks.roofline import encode_movie
from benchmarks.sources import load_bright, load_noise, make_bright, make_noise, movie_extractor

#: Numbers of workers that are measured besides the default, all cores.
WORKERS = (0, 1, 2)

_TIMED = (
    "The movie is an array in memory and in an `NWBFile` already. Only writing is timed: choice of "
    "chunks, transposition, compression, file. The roofline only transposes, shuffles bytes and "
    "deflates (ISA-L, level 1) chunks of 10 MB in memory, and writes nothing; its size is the size "
    "of the deflated chunks. Without `workers=`, nwb_ophys uses all cores."
)


def _prepared(
    make: Callable[..., Callable[[], Any]],
    *arguments: Any,
    load: Callable[[Path], NDArray[Any]] = load_noise,
) -> Callable[[Setup], Job]:
    """Return the preparation of a job that writes an extractor over a movie."""

    def prepare(setup: Setup) -> Job:
        movie = load(setup.sources)
        run = make(movie_extractor(movie), setup.target, *arguments)
        return Job(run=run, num_bytes=movie.nbytes)

    return prepare


def _pynwb(setup: Setup) -> Job:
    movie = load_noise(setup.sources)
    return Job(run=pynwb_write_movie(movie, setup.target), num_bytes=movie.nbytes)


def _roofline(threads: int) -> Contender:
    def prepare(setup: Setup) -> Job:
        movie = load_noise(setup.sources)
        return Job(run=encode_movie(movie, threads), num_bytes=movie.nbytes)

    name = f"roofline, {threads} thread{'s' * (threads > 1)}"
    return Contender(name=name, prepare=prepare)


def movie_comparisons() -> list[Comparison]:
    """Return the comparisons of cases a and b."""
    to_hdf5 = [
        Contender(name="neuroconv", prepare=_prepared(neuroconv_write_movie, "hdf5")),
        Contender(name="pynwb, gzip", prepare=_pynwb),
        *(
            Contender(
                name=f"nwb_ophys, workers={workers}",
                prepare=_prepared(write_movie, "hdf5", workers),
            )
            for workers in WORKERS
        ),
        Contender(name="nwb_ophys", prepare=_prepared(write_movie, "hdf5")),
        _roofline(1),
        _roofline(2),
    ]
    blosc = _prepared(neuroconv_write_movie, "zarr", ["blosc"])
    to_zarr = [
        Contender(name="neuroconv", prepare=_prepared(neuroconv_write_movie, "zarr")),
        Contender(name="neuroconv, Blosc", prepare=blosc),
        Contender(name="nwb_ophys", prepare=_prepared(write_movie, "zarr")),
    ]
    bright = [
        Contender(
            name="neuroconv", prepare=_prepared(neuroconv_write_movie, "hdf5", load=load_bright)
        ),
        Contender(name="nwb_ophys", prepare=_prepared(write_movie, "hdf5", load=load_bright)),
    ]
    return [
        Comparison(
            key="a-bright-hdf5",
            title="Bright movie of 512 × 512 pixels, int16 with noise of 7.8 bits, to HDF5",
            timed=_TIMED.partition(" The roofline")[0],
            contenders=bright,
            make_sources=make_bright,
        ),
        *(
            Comparison(
                key=key,
                title=f"Movie of 512 × 512 pixels, int16 with photon noise, to {backend}",
                timed=_TIMED if key.startswith("a") else _TIMED.partition(" The roofline")[0],
                contenders=contenders,
                make_sources=make_noise,
            )
            for key, backend, contenders in (
                ("a-movie-hdf5", "HDF5", to_hdf5),
                ("b-movie-zarr", "Zarr", to_zarr),
            )
        ),
    ]
