"""Lazy views of movies, traces and masks, of which hdmf or the storage engine takes blocks.

All are hdmf ``GenericDataChunkIterator`` s: they know their full shape, dtype and chunks, give any
block of themselves, and read nothing until asked. They can also be indexed like an array.
"""

from nwb_ophys.iterators.arrays import SliceableDataChunkIterator
from nwb_ophys.iterators.masks import RoiImageMaskIterator
from nwb_ophys.iterators.movies import ImagingExtractorDataChunkIterator, read_series

__all__ = [
    "ImagingExtractorDataChunkIterator",
    "RoiImageMaskIterator",
    "SliceableDataChunkIterator",
    "read_series",
]
