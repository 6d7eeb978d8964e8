"""Cases h and i: what users read from a file, with h5py and over HTTP.

neuroconv and nwb_ophys have written the same contents with their defaults, and the same code reads
both files.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
from attrs import frozen

from benchmarks.http_server import BYTES_PER_SECOND, LATENCY_SECONDS, served
from benchmarks.model import Comparison, Contender, Job, Setup, quantity_of
from benchmarks.readable import NAMES, WRITERS, Place, make_files, place_of
from benchmarks.sources import read_through

#: Part that is read with the reader of this package.
_OWN = "own"
#: Frames that it reads at once, those of a chunk.
_FRAMES = 19

_WITH_H5PY = (
    "neuroconv and nwb_ophys have written the same contents with their defaults: a movie of 570 "
    "frames, 500 ROIs with image masks and a trace of 20,000 samples; in another file a movie with "
    "50 times as many photons, whose low bytes are noise of 7.8 bits; and in a third pixel masks "
    "of 2,000 ROIs, and a movie of 1,000,000 times. Opening the file with h5py and reading "
    "are timed; places are random, the same for both. The file is in the system's memory. The "
    "processor time is that of all threads. Memory is not sampled, which would hold the reading up."
)
_OVER_HTTP = (
    "The files are those of reading with h5py, on a server on the same machine whose answers "
    f"begin after {LATENCY_SECONDS * 1e3:.0f} ms and have {BYTES_PER_SECOND / 1e6:.0f} MB/s. "
    "remfile and h5py open the file, and read once; requests and bytes are those of the whole, and "
    "do not depend on the machine."
)

Read = Callable[[h5py.File, Place, np.random.Generator], Any]


def _movie(file: h5py.File, place: Place, _: np.random.Generator) -> None:
    movie = file[place.movie]
    step = movie.chunks[0]
    for start in range(0, len(movie), step):
        movie[start : start + step]


def _frame(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    movie = file[place.movie]
    movie[random.integers(len(movie))]


def _pixel(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    movie = file[place.movie]
    column, row = (random.integers(size) for size in movie.shape[1:])
    movie[:, column, row]


def _region(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    movie = file[place.movie]
    column, row = (random.integers(size - 64) for size in movie.shape[1:])
    movie[:, column : column + 64, row : row + 64]


def _image_mask(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    masks = file[place.masks]
    masks[random.integers(len(masks))]


def _all_image_masks(file: h5py.File, place: Place, _: np.random.Generator) -> None:
    masks = file[place.masks]
    for start in range(0, len(masks), 135):  # the length of neuroconv's chunks
        masks[start : start + 135]


def _pixel_mask(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    index = file[f"{place.pixels}_index"]
    roi = random.integers(1, len(index))
    start, stop = index[roi - 1 : roi + 1]
    file[place.pixels][int(start) : int(stop)]


def _all_lists(file: h5py.File, place: Place, _: np.random.Generator) -> None:
    file[f"{place.pixels}_index"][:]
    file[place.pixels][:]


def _trace(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    traces = file[place.traces]
    traces[:, random.integers(traces.shape[1])]


def _moment(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    traces = file[place.traces]
    traces[random.integers(len(traces))]


def _all_traces(file: h5py.File, place: Place, _: np.random.Generator) -> None:
    file[place.traces][:]


def _times(file: h5py.File, place: Place, _: np.random.Generator) -> None:
    file[place.times][:]


def _one_time(file: h5py.File, place: Place, random: np.random.Generator) -> None:
    times = file[place.times]
    times[random.integers(len(times))]


def _pynwb(file: h5py.File, place: Place, _: np.random.Generator) -> None:
    """Read the file with pynwb, and the first sample of its first series."""
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(file=file, mode="r", load_namespaces=True) as io:
        (series,) = io.read().acquisition.values()
        series.data[0]


@frozen(kw_only=True)
class Access:
    """Something that users read.

    Attributes
    ----------
    title : str
    read : callable
        Called with an open file, the place of its datasets, and a generator of random numbers.
    name : str
        Name of the file that has it.
    times : int
        Number of times that it is read with h5py, each at another place; 0 where it is not.
    is_remote : bool
        Whether it is read over HTTP.
    """

    title: str
    read: Read
    name: str = "recording"
    times: int = 1
    is_remote: bool = True


ACCESSES = {
    "open": Access(title="Reading with pynwb, and the first frame", read=_pynwb, times=5),
    "movie": Access(title="Whole movie", read=_movie, is_remote=False),
    "bright": Access(title="Whole bright movie", read=_movie, name="bright", is_remote=False),
    "frame": Access(title="One frame", read=_frame, times=20),
    "pixel": Access(title="One pixel over time", read=_pixel),
    "region": Access(title="64 × 64 pixels over time", read=_region, is_remote=False),
    "mask": Access(title="Image mask of one ROI", read=_image_mask, times=5),
    "masks": Access(title="Image masks of all ROIs", read=_all_image_masks),
    "list": Access(title="Pixel mask of one ROI", read=_pixel_mask, name="lists", times=50),
    "lists": Access(title="Pixel masks of all ROIs", read=_all_lists, name="lists", times=20),
    "trace": Access(title="Trace of one ROI", read=_trace, times=10),
    "moment": Access(title="Traces of all ROIs at one sample", read=_moment, times=10),
    "traces": Access(title="Traces of all ROIs", read=_all_traces, times=3),
    "time": Access(title="One timestamp", read=_one_time, name="lists", times=30),
    "times": Access(title="All timestamps", read=_times, name="lists", times=10),
}


def _prepare(writer: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        import pynwb  # noqa: F401

        import nwb_ophys

        places = _places(setup, writer)
        local = {name: access for name, access in ACCESSES.items() if access.times}

        def run() -> dict[str, float]:
            found: dict[str, float] = {}
            for part, access in local.items():
                place, random = places[access.name], np.random.default_rng(0)
                with _timed(found, part):
                    for _ in range(access.times):
                        with h5py.File(place.path) as file:
                            access.read(file, place, random)
            with _timed(found, _OWN):
                _read_movie(nwb_ophys.NwbImagingInterface(places["recording"].path))
            return found

        return Job(run=run)

    return prepare


def _prepare_remote(writer: str) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        import pynwb  # noqa: F401
        import remfile

        places = _places(setup, writer)
        remote = {name: access for name, access in ACCESSES.items() if access.is_remote}

        def run() -> dict[str, float]:
            found: dict[str, float] = {}
            for part, access in remote.items():
                place = places[access.name]
                with served(setup.sources) as (url, traffic), _timed(found, part):
                    opened = remfile.File(f"{url}/{place.path.name}")
                    with h5py.File(opened, "r") as file:
                        access.read(file, place, np.random.default_rng(0))
                del found[quantity_of(part, "processor_seconds")]  # the server's as well
                found[quantity_of(part, "requests")] = traffic.requests
                found[quantity_of(part, "transferred")] = traffic.num_bytes
            return found

        return Job(run=run)

    return prepare


def _places(setup: Setup, writer: str) -> dict[str, Place]:
    """Return the files of a writer, which are then in the system's memory."""
    places = {name: place_of(setup.sources, writer, name) for name in NAMES}
    for place in places.values():
        read_through(place.path)
    return places


@contextmanager
def _timed(found: dict[str, float], part: str) -> Iterator[None]:
    """Measure the block."""
    gc.collect()
    start, used = time.perf_counter(), time.process_time()
    yield
    found[quantity_of(part, "seconds")] = time.perf_counter() - start
    found[quantity_of(part, "processor_seconds")] = time.process_time() - used


def _read_movie(interface: Any) -> None:
    """Read a movie as this package does when it converts NWB files."""
    count = interface.extractor.get_num_samples()
    for start in range(0, count, _FRAMES):
        interface.extractor.get_series(start, min(start + _FRAMES, count))


def _times_of(access: Access) -> str:
    return access.title + (f", {access.times} times" if access.times > 1 else "")


def reading_comparisons() -> list[Comparison]:
    """Return the comparisons of cases h and i."""
    local = {name: _times_of(access) for name, access in ACCESSES.items() if access.times}
    remote = {name: access.title for name, access in ACCESSES.items() if access.is_remote}
    own = {_OWN: "Whole movie, with the reader of nwb_ophys"}
    return [
        Comparison(
            key="h-reading",
            title="Files with the same contents, read with h5py",
            timed=_WITH_H5PY,
            contenders=[Contender(name=each, prepare=_prepare(each)) for each in WRITERS],
            make_sources=make_files,
            parts=local | own,
        ),
        Comparison(
            key="i-reading",
            title="Files with the same contents, read over HTTP with remfile and h5py",
            timed=_OVER_HTTP,
            contenders=[
                Contender(name=each, prepare=_prepare_remote(each), max_rounds=3)
                for each in WRITERS
            ],
            make_sources=make_files,
            parts=remote,
        ),
    ]
