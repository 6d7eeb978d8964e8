"""Iterator over blocks of line scans."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.dtypes import stored_dtype
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.extractors.lines import LineScanExtractor
from nwb_ophys.iterators.base import ArrayLike, check_positive


class LineScanDataChunkIterator(ArrayLike):
    """Blocks of a line scan: (lines, pixels).

    Parameters
    ----------
    extractor : LineScanExtractor
    **iterator_options
        ``buffer_gb``, ``buffer_shape``, ``chunk_mb``, ``chunk_shape``, ``display_progress``,
        ``progress_bar_options``, as hdmf's ``GenericDataChunkIterator`` takes them.
    """

    def __init__(self, extractor: LineScanExtractor, **iterator_options: Any) -> None:
        self.extractor = extractor
        self.reads_in_parallel = extractor.reads_in_parallel
        self.source_label = extractor_label(extractor)
        super().__init__(**iterator_options)

    def _get_default_chunk_shape(self, chunk_mb: float) -> tuple[int, ...]:
        """Return whole lines, as many as fit into ``chunk_mb``."""
        check_positive("chunk_mb", chunk_mb)
        num_lines, num_pixels = self._get_maxshape()
        line_bytes = num_pixels * self._get_dtype().itemsize
        return (min(max(int(chunk_mb * 1e6 // line_bytes), 1), num_lines), num_pixels)

    def _get_dtype(self) -> np.dtype[Any]:
        return stored_dtype(self.extractor.get_dtype(), self.source_label)

    def _get_maxshape(self) -> tuple[int, ...]:
        return (self.extractor.get_num_samples(), self.extractor.get_num_pixels())

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        start, stop, _ = selection[0].indices(self.maxshape[0])
        return self.as_stored(self.extractor.get_series(start, stop)[:, selection[1]])
