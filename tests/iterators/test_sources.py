"""Tests of the label and the thread safety that iterators state for their sources."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from roiextractors import NumpyImagingExtractor
from roiextractors.testing import generate_dummy_imaging_extractor

from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.formats.suite2p.rois import MendedSuite2pExtractor
from nwb_ophys.formats.tiff.reader import TiffStackExtractor
from nwb_ophys.iterators import (
    ImagingExtractorDataChunkIterator,
    RoiImageMaskIterator,
    SliceableDataChunkIterator,
)
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.views import SelectedRois
from nwb_ophys.storage.hdmf.iterators import IteratorSource
from nwb_ophys.testing import simulate_recording, write_suite2p, write_tiff

RECORDING = simulate_recording(num_samples=8, num_cells=4)


def test_movies(tmp_path: Any) -> None:
    path = tmp_path / "movie.tif"
    write_tiff(path, RECORDING.movie)
    with TiffStackExtractor(path, 10.0) as extractor:
        iterator = ImagingExtractorDataChunkIterator(extractor)
        assert iterator.reads_in_parallel is True
        assert iterator.source_label == f"TiffStackExtractor of '{path}'"
        extractor.file_paths = [path, path, path]
        found = ImagingExtractorDataChunkIterator(extractor).source_label
        assert found == f"TiffStackExtractor of '{path}' and 2 more"
    iterator = ImagingExtractorDataChunkIterator(ArrayImagingExtractor(np.zeros((4, 3, 2)), 1.0))
    assert iterator.reads_in_parallel is True
    assert iterator.source_label == "ArrayImagingExtractor"
    iterator = ImagingExtractorDataChunkIterator(generate_dummy_imaging_extractor())
    assert iterator.reads_in_parallel is False


def test_blocks_of_arrays_in_roiextractors_are_not_copied() -> None:
    """Only readers of authors may fill the memory of a block again."""
    movie = np.zeros((40, 6, 5, 1), np.int16)
    extractor = NumpyImagingExtractor(movie, 10.0)
    source = IteratorSource(ImagingExtractorDataChunkIterator(extractor))
    selection = (slice(10, 20), slice(0, 5), slice(0, 6))
    assert np.shares_memory(source.read(selection), movie)

    class Own(NumpyImagingExtractor):  # type: ignore[misc]
        """Extractor of an author."""

    own = IteratorSource(ImagingExtractorDataChunkIterator(Own(movie, 10.0)))
    assert not np.shares_memory(own.read(selection), movie)


def test_masks(tmp_path: Any) -> None:
    folder = write_suite2p(tmp_path / "suite2p", RECORDING)
    extractor = SelectedRois(MendedSuite2pExtractor(folder, "chan1", "plane0"), [2])
    iterator = RoiImageMaskIterator(Rois.of(extractor))
    assert iterator.source_label == f"SelectedRois of '{folder}'"
    assert iterator.reads_in_parallel is True


def test_arrays(tmp_path: Any) -> None:
    path = tmp_path / "traces.npy"
    np.save(path, np.ones((4, 2)))
    for data, label in (
        (np.load(path, mmap_mode="r"), f"'{path}'"),
        (np.load(path, mmap_mode="r")[1:], f"'{path}'"),
        (np.ones((4, 2)), "an array in memory"),
    ):
        iterator = SliceableDataChunkIterator(data)
        assert iterator.reads_in_parallel is True
        assert iterator.source_label == label
    with h5py.File(tmp_path / "traces.h5", "w") as file:
        iterator = SliceableDataChunkIterator(file.create_dataset("data", data=np.ones((4, 2))))
        assert iterator.reads_in_parallel is False
        assert iterator.source_label == f"'{tmp_path / 'traces.h5'}'"


@pytest.mark.parametrize("threads", [4])
def test_our_movies_are_read_by_several_threads(threads: int, tmp_path: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "movie.tif"
    write_tiff(path, RECORDING.movie)
    with TiffStackExtractor(path, 10.0) as extractor, ThreadPoolExecutor(threads) as pool:
        iterator = ImagingExtractorDataChunkIterator(extractor)
        whole = np.asarray(iterator)
        frames = list(pool.map(lambda index: iterator[index % 8], range(80)))
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, whole[index % 8])
