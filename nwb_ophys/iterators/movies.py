"""Iterator over blocks of movies, read from imaging extractors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import is_known
from nwb_ophys.dtypes import stored_dtype, without_mask
from nwb_ophys.errors import ArgumentError, SourceError, shown
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.extractors.pool import ExtractorPool
from nwb_ophys.iterators.base import ArrayLike, check_pair, check_positive, within
from nwb_ophys.memory import read_unshared

PLANES = "get_planes"
"""Method of extractors that read some planes of volumes without the others."""

_DEFAULT_CHUNK_MB = 10.0
_DEFAULT_BUFFER_GB = 1.0


class ImagingExtractorDataChunkIterator(ArrayLike):
    """Blocks of a movie as NWB stores it: (frames, columns, rows[, planes]).

    Parameters
    ----------
    imaging_extractor : roiextractors.ImagingExtractor
        The movie, (frames, rows, columns[, planes]).
    buffer_gb : float, optional
        Size of a block in units of 1e9 bytes; 1.0 unless ``buffer_shape`` is given.
    buffer_shape : tuple of int, optional
        Shape of a block instead.
    chunk_mb : float, optional
        Size of a chunk in units of 1e6 bytes; 10.0 unless ``chunk_shape`` is given.
    chunk_shape : tuple of int, optional
        Shape of a chunk instead.
    display_progress : bool
        Whether to show a tqdm bar over the blocks.
    progress_bar_options : dict, optional
        Arguments for that bar.

    Raises
    ------
    AssertionError
        When both of a pair are given, a size is not positive, or a chunk exceeds the block.
    """

    def __init__(
        self,
        imaging_extractor: Any,
        buffer_gb: float | None = None,
        buffer_shape: tuple[int, ...] | None = None,
        chunk_mb: float | None = None,
        chunk_shape: tuple[int, ...] | None = None,
        display_progress: bool = False,
        progress_bar_options: dict[str, Any] | None = None,
    ) -> None:
        self.imaging_extractor = imaging_extractor
        self._pool = ExtractorPool(imaging_extractor)
        self.reads_in_parallel, self.owns_blocks = self._pool.in_parallel, True
        self.source_label = extractor_label(imaging_extractor)
        self._maxshape, self._dtype = self._get_maxshape(), self._get_dtype()
        check_pair("buffer_gb", buffer_gb, "buffer_shape", buffer_shape)
        check_pair("chunk_mb", chunk_mb, "chunk_shape", chunk_shape)
        if chunk_mb is not None and buffer_gb is not None and chunk_mb * 1e6 > buffer_gb * 1e9:
            raise ArgumentError(f"chunk_mb {chunk_mb} is larger than buffer_gb {buffer_gb}.")
        if chunk_shape is None:
            chunk_shape = self._get_default_chunk_shape(chunk_mb or _DEFAULT_CHUNK_MB)
            if chunk_mb is None and buffer_shape is not None:
                chunk_shape = within(chunk_shape, buffer_shape)
        if buffer_shape is None:
            buffer_shape = self._get_scaled_buffer_shape(
                buffer_gb or _DEFAULT_BUFFER_GB, chunk_shape
            )
        super().__init__(
            buffer_shape=tuple(buffer_shape),
            chunk_shape=tuple(chunk_shape),
            display_progress=display_progress,
            progress_bar_options=progress_bar_options,
        )

    def _get_default_chunk_shape(self, chunk_mb: float) -> tuple[int, ...]:
        """Return whole frames of one plane, as many as fit into ``chunk_mb``."""
        check_positive("chunk_mb", chunk_mb)
        num_frames, columns, rows, *planes = self._get_maxshape()
        frame_bytes = columns * rows * self._get_dtype().itemsize
        frames = min(max(int(chunk_mb * 1e6 // frame_bytes), 1), num_frames)
        return (frames, columns, rows, *(1 for _ in planes))

    def _get_scaled_buffer_shape(
        self, buffer_gb: float, chunk_shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the whole field over a multiple of the chunk's frames, within ``buffer_gb``."""
        check_positive("buffer_gb", buffer_gb)
        if min(chunk_shape) <= 0:
            raise ArgumentError(f"chunk_shape {chunk_shape} must be positive along every axis.")
        num_frames, *field = self._get_maxshape()
        frame_bytes = math.prod(field) * self._get_dtype().itemsize
        chunks = max(int(buffer_gb * 1e9 // (frame_bytes * chunk_shape[0])), 1)
        return (min(chunks * chunk_shape[0], num_frames), *field)

    def _get_dtype(self) -> np.dtype[Any]:
        stated = self.imaging_extractor.get_dtype()
        try:
            dtype = None if stated is None else np.dtype(stated)  # None would become float64
        except TypeError:
            dtype = None
        if dtype is None:
            raise SourceError(
                f"get_dtype() of {self.source_label} returned {shown(stated)}; it must return the "
                "dtype of the pixels, such as numpy.dtype('uint16')."
            )
        return stored_dtype(dtype, self.source_label)

    def _get_maxshape(self) -> tuple[int, ...]:
        rows, columns, *planes = self.imaging_extractor.get_sample_shape()
        if 0 in (rows, columns, *planes):
            raise SourceError(
                f"{self.source_label} has frames without pixels: their shape is "
                f"{(rows, columns, *planes)}, (rows, columns[, planes])."
            )
        sizes = (self.imaging_extractor.get_num_samples(), columns, rows, *planes)
        return tuple(int(size) for size in sizes)

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        start, stop, _ = selection[0].indices(self.maxshape[0])
        field, planes = self.maxshape[1:], slice(None)
        if len(field) == 3:
            planes = slice(*selection[3].indices(field[2]))
        axes = (0, 2, 1, 3)[: len(field) + 1]

        def read() -> NDArray[Any]:
            series = read_series(extractor, start, stop, field, planes)
            return self.as_stored(series.transpose(axes)[(slice(None), *selection[1:3])])

        with self._pool.borrow() as extractor:
            is_safe = self._pool.is_shared or is_known(extractor)
            return read() if is_safe else read_unshared(read)


def read_series(
    extractor: Any,
    start: int,
    stop: int,
    nwb_field: Sequence[int],
    planes: slice = slice(None),
) -> NDArray[Any]:
    """Read samples from an extractor and check their shape.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor
        With a method ``get_planes(start_sample, end_sample, planes)``, only some planes of its
        volumes are read; otherwise whole volumes, of which the other planes are dropped.
    start, stop : int
        The samples, ``stop`` exclusive.
    nwb_field : sequence of int
        (columns, rows[, planes]).
    planes : slice
        The planes of volumes to read; all by default.

    Returns
    -------
    numpy.ndarray, shape (samples, rows, columns[, planes])

    Raises
    ------
    SourceError
        When the shape differs from the stated one, which would shift or lose frames silently.
    """
    columns, rows, *depth = nwb_field
    chosen = [range(*planes.indices(depth[0]))] if depth else []
    # Look at the class, since a mock has any attribute it is asked for.
    reads_planes = bool(depth) and len(chosen[0]) < depth[0] and hasattr(type(extractor), PLANES)
    depth = [len(each) for each in chosen] if reads_planes else depth
    expected = (stop - start, rows, columns, *depth)
    try:
        if reads_planes:
            given = extractor.get_planes(start, stop, planes)
        else:
            given = extractor.get_series(start_sample=start, end_sample=stop)
    except StopIteration as error:  # hdmf would end the data there
        raise SourceError(
            f"{extractor_label(extractor)} ended within frames {start} to {stop}."
        ) from error
    series = without_mask(given, extractor_label(extractor))
    if series.shape != expected and start + 1 == stop and series.size == math.prod(expected):
        series = series.reshape(expected)  # some readers drop the axis of a single sample
    if series.shape != expected:
        what = f"get_series({start}, {stop})"
        raise SourceError(
            f"{extractor_label(extractor)} gave an array of shape {series.shape} for samples "
            f"{start} to {stop}, where its own counts say {expected}: the samples that were asked "
            f"for, rows, columns[, planes]. The source may be incomplete, or {what} wrong."
        )
    return series[..., planes] if depth and not reads_planes else series
