"""Tests of extractors for several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import attrs
import h5py
import numpy as np
import pytest

from nwb_ophys import ImagingInterface, argument
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.extractors.pool import ExtractorPool
from nwb_ophys.iterators import ImagingExtractorDataChunkIterator


class OneHead:
    """File with one position, which two threads at once would both move."""

    opened = 0

    def __init__(self, path: Path) -> None:
        type(self).opened += 1
        self.movie = np.load(path, mmap_mode="r")
        self.shape, self.dtype, self.ndim = self.movie.shape, self.movie.dtype, self.movie.ndim
        self.reading = threading.Lock()

    def __getitem__(self, selection):
        assert self.reading.acquire(blocking=False), "two threads read at once"
        try:
            threading.Event().wait(0.002)
            return np.array(self.movie[selection])
        finally:
            self.reading.release()


class OneHeadInterface(ImagingInterface):
    """Interface for files with one position."""

    @attrs.frozen(kw_only=True)
    class Source:
        file_path: Path = argument("The file.")

    @classmethod
    def open(cls, source):
        return ArrayImagingExtractor(OneHead(source.file_path), 30.0)


class ReopenedInterface(OneHeadInterface):
    opens_again = True


@pytest.mark.parametrize("cls", [OneHeadInterface, ReopenedInterface])
def test_no_extractor_is_read_by_two_threads_at_once(tmp_path, cls):
    movie = np.random.default_rng(0).integers(0, 99, (400, 40, 50)).astype("u2")
    np.save(tmp_path / "movie.npy", movie)
    OneHead.opened = 0
    interface = cls(tmp_path / "movie.npy")
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    path = interface.run_conversion(
        tmp_path / "a.nwb",
        metadata=start,
        workers=4,
        iterator_options={"chunk_shape": (5, 50, 40), "buffer_shape": (5, 50, 40)},
    )
    with h5py.File(path) as file:
        written = file["acquisition/TwoPhotonSeries/data"][:]
    np.testing.assert_array_equal(written, movie.swapaxes(1, 2))
    assert 1 < OneHead.opened <= 4 if cls.opens_again else OneHead.opened == 1


def test_each_thread_is_lent_one_of_its_own():
    extractor = Mock(spec=["open_again"])
    extractor.open_again = lambda: Mock(spec=[])
    readers = ExtractorPool(extractor)
    assert readers.in_parallel
    barrier = threading.Barrier(3)

    def lend(_):
        with readers.borrow() as lent:
            barrier.wait(10)
            return lent

    with ThreadPoolExecutor(3) as pool:
        assert len(set(map(id, pool.map(lend, range(3))))) == 3
    with readers.borrow() as first, readers.borrow() as second:
        assert first is not second


def test_what_is_not_known_to_be_safe_is_not_shared(tmp_path):
    movie = np.zeros((5, 4, 3), "u2")
    np.save(tmp_path / "movie.npy", movie)
    assert ImagingExtractorDataChunkIterator(ArrayImagingExtractor(movie, 1.0)).reads_in_parallel
    other = ArrayImagingExtractor(OneHead(tmp_path / "movie.npy"), 1.0)
    assert not ImagingExtractorDataChunkIterator(other).reads_in_parallel
    assert not ExtractorPool(Mock()).in_parallel
