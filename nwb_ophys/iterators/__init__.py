"""Lazy views of movies, traces and masks, which hdmf or the storage engine reads by blocks.

Each is a ``GenericDataChunkIterator`` of hdmf: it states its full shape, dtype and chunks, gives
any block, and reads nothing before a block is requested. It can also be indexed like an array.
"""

from nwb_ophys.iterators.arrays import SliceableDataChunkIterator
from nwb_ophys.iterators.lines import LineScanDataChunkIterator
from nwb_ophys.iterators.masks import RoiImageMaskIterator
from nwb_ophys.iterators.movies import ImagingExtractorDataChunkIterator, read_series

__all__ = [
    "ImagingExtractorDataChunkIterator",
    "LineScanDataChunkIterator",
    "RoiImageMaskIterator",
    "SliceableDataChunkIterator",
    "read_series",
]
