"""Blocks of single planes read those planes alone, so that a conversion reads each page once."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.iterators import ImagingExtractorDataChunkIterator
from nwb_ophys.testing import write_bruker, write_ome_tiff, write_scanimage

START = "2024-05-17T14:03:21+00:00"


def _volumes(num_samples, num_planes):
    rng = np.random.default_rng(4)
    return rng.integers(0, 900, (num_samples, 8, 9, num_planes)).astype("uint16")


@pytest.fixture
def pages_read(monkeypatch):
    """Count how often each page of each reader is read."""
    counts = collections.Counter()
    read = TiffPageReader.read

    def counted(self, pages):
        counts.update((id(self), page) for page in pages.tolist())
        return read(self, pages)

    monkeypatch.setattr(TiffPageReader, "read", counted)
    return counts


WRITERS = {
    "bruker": lambda path, movie: write_bruker(path / "Z-1", movie),
    "scanimage": lambda path, movie: write_scanimage(path / "z.tif", movie.astype("int16"))[0],
    "ome-tiff": lambda path, movie: write_ome_tiff(path / "z.ome.tif", movie)[0],
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_conversion_reads_each_page_once(tmp_path, monkeypatch, pages_read, name, workers):
    """Fault: each block of one plane reads all planes of its volumes."""
    monkeypatch.setattr("nwb_ophys.storage.engine._LARGEST_BLOCK", 2000)
    movie = _volumes(12, 6)
    path = WRITERS[name](tmp_path, movie)
    interface = nwb_ophys.open(path)
    pages_read.clear()
    interface.run_conversion(
        tmp_path / "a.nwb",
        metadata={"NWBFile": {"session_start_time": START}},
        iterator_options={"chunk_shape": (4, 9, 8, 1)},
        workers=workers,
        progress=False,
    )
    assert set(pages_read.values()) == {1}
    assert len(pages_read) == 12 * 6
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        (series,) = io.read().acquisition.values()
        np.testing.assert_array_equal(np.swapaxes(series.data[:], 1, 2), movie)


def test_a_selection_of_planes_is_that_of_the_array():
    movie = _volumes(7, 5)
    iterator = ImagingExtractorDataChunkIterator(ArrayImagingExtractor(movie, 5.0))
    selection = (slice(2, 6), slice(1, 9), slice(0, 3), slice(1, 4))
    expected = movie.transpose(0, 2, 1, 3)[selection]
    np.testing.assert_array_equal(iterator._get_data(selection), expected)


def test_an_extractor_that_reads_only_whole_volumes():
    movie = _volumes(7, 5)

    class Plain:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            if name == "get_planes":
                raise AttributeError(name)
            return getattr(self._inner, name)

    iterator = ImagingExtractorDataChunkIterator(Plain(ArrayImagingExtractor(movie, 5.0)))
    selection = (slice(2, 6), slice(0, 9), slice(0, 8), slice(1, 2))
    expected = movie.transpose(0, 2, 1, 3)[selection]
    np.testing.assert_array_equal(iterator._get_data(selection), expected)
