"""Sources of the conversions: a movie with photon noise, and extractors over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows and columns of every movie here.
FIELD_SHAPE = (512, 512)
#: Frames of the movie at full scale: 1.05 GB.
NUM_FRAMES = 2000
SAMPLING_FREQUENCY = 30.0

#: Frames of the bright movie at full scale, 314 MB, and its photons per photon of the other.
NUM_BRIGHT, BRIGHTNESS = 600, 50

_NAME, _BRIGHT = "noise.npy", "bright.npy"
_BATCH = 50


def num_frames(scale: float, full: int = NUM_FRAMES) -> int:
    """Return the number of frames at a scale, at least two."""
    return max(2, round(full * scale))


def make_noise(folder: Path, scale: float) -> None:
    """Write the movie to ``noise.npy``: dim cells on a dark field, with photon noise."""
    _make_movie(folder / _NAME, dim_field(), num_frames(scale))


def make_bright(folder: Path, scale: float) -> None:
    """Write a movie to ``bright.npy`` whose photon noise fills 7.8 bits of the low bytes."""
    _make_movie(folder / _BRIGHT, BRIGHTNESS * dim_field(), num_frames(scale, NUM_BRIGHT))


def _make_movie(path: Path, field: NDArray[np.float64], count: int) -> None:
    if path.exists():
        return
    random = np.random.default_rng(0)
    shape = (count, *FIELD_SHAPE)
    movie = np.lib.format.open_memmap(path, "w+", dtype=np.int16, shape=shape)
    for start in range(0, shape[0], _BATCH):
        size = min(_BATCH, shape[0] - start)
        movie[start : start + size] = random.poisson(field, (size, *FIELD_SHAPE))
    movie.flush()


def dim_field() -> NDArray[np.float64]:
    """Return the mean number of photons of each pixel: dim cells on a dark field."""
    rows, columns = np.mgrid[: FIELD_SHAPE[0], : FIELD_SHAPE[1]]
    return 60 + 40 * np.sin(rows / 23) * np.cos(columns / 31)


def load_noise(folder: Path, count: int | None = None) -> NDArray[np.int16]:
    """Return the first `count` frames of the movie, or all of them, as an array in memory."""
    # Not a memory map, so that reading the file is not timed.
    return np.array(np.load(folder / _NAME, mmap_mode="r")[:count])


def load_bright(folder: Path) -> NDArray[np.int16]:
    """Return the bright movie as an array in memory."""
    return np.load(folder / _BRIGHT)  # type: ignore[no-any-return]


def movie_extractor(movie: NDArray[Any]) -> Any:
    """Return the extractor of an array that all contenders write."""
    from roiextractors.extractors.numpyextractors.numpyextractors import NumpyImagingExtractor

    # Its last axis is the channel.
    return NumpyImagingExtractor(movie[..., np.newaxis], SAMPLING_FREQUENCY)


def repeating_extractor(block: NDArray[Any], count: int) -> Any:
    """Return an extractor of `count` frames at almost no cost: it repeats one block."""
    from roiextractors import ImagingExtractor

    class RepeatingImagingExtractor(ImagingExtractor):  # type: ignore[misc]
        extractor_name = "RepeatingImagingExtractor"

        def get_image_shape(self) -> tuple[int, ...]:
            return block.shape[1:]

        def get_num_samples(self) -> int:
            return count

        def get_sampling_frequency(self) -> float:
            return SAMPLING_FREQUENCY

        def get_channel_names(self) -> list[str]:
            return ["channel"]

        def get_dtype(self) -> np.dtype[Any]:
            return block.dtype

        def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> None:
            return None

        def get_series(self, start_sample: Any = None, end_sample: Any = None) -> NDArray[Any]:
            start, stop, _ = slice(start_sample, end_sample).indices(count)
            first = start % len(block)
            if first + stop - start <= len(block):
                return block[first : first + stop - start]
            return np.take(block, np.arange(start, stop) % len(block), axis=0)

    return RepeatingImagingExtractor()


def read_through(path: Path) -> None:
    """Read a file once, so that it is in the cache of the operating system."""
    for piece in _pieces(path):
        del piece


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 24):
            yield piece
