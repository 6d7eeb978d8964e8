"""Lazy views of movies, traces and masks, of which hdmf or the storage engine takes blocks.

All are hdmf ``GenericDataChunkIterator`` s: they know their full shape, dtype and chunks, give any
block of themselves, and read nothing until asked. They can also be indexed like an array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hdmf.data_utils import GenericDataChunkIterator
from numpy.typing import NDArray

from nwb_ophys.errors import ArgumentError, SourceError

_DEFAULT_CHUNK_MB = 10.0
_DEFAULT_BUFFER_GB = 1.0


class _ArrayLike(GenericDataChunkIterator):  # type: ignore[misc]
    """An iterator that can be indexed and converted like the array it stands for."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ArgumentError:
            raise
        except AssertionError as error:  # hdmf's word on sizes that do not fit each other
            raise ArgumentError(str(error)) from error

    @property
    def shape(self) -> tuple[int, ...]:
        """The full shape, the same as ``maxshape``."""
        return tuple(self.maxshape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.maxshape)

    def __len__(self) -> int:
        return int(self.maxshape[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Data that are read on use cannot become an array without a copy.")
        whole = self._get_data(tuple(slice(0, size) for size in self.maxshape))
        return np.asarray(whole, dtype=dtype)

    def __getitem__(self, selection: Any) -> Any:
        first = selection[0] if isinstance(selection, tuple) else selection
        rest = selection[1:] if isinstance(selection, tuple) else ()
        whole = tuple(slice(0, size) for size in self.maxshape[1:])
        if isinstance(first, (int, np.integer)):
            index = range(len(self))[first]
            block = self._get_data((slice(index, index + 1), *whole))[0]
            return block[rest] if rest else block
        if isinstance(first, slice) and first.step in (None, 1):
            start, stop, _ = first.indices(len(self))
            block = self._get_data((slice(start, max(start, stop)), *whole))
            return block[(slice(None), *rest)]
        return np.asarray(self)[selection]


class ImagingExtractorDataChunkIterator(_ArrayLike):
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
        Show a tqdm bar over the blocks.
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
        self._maxshape, self._dtype = self._get_maxshape(), self._get_dtype()
        _check_pair("buffer_gb", buffer_gb, "buffer_shape", buffer_shape)
        _check_pair("chunk_mb", chunk_mb, "chunk_shape", chunk_shape)
        if chunk_mb is not None and buffer_gb is not None and chunk_mb * 1e6 > buffer_gb * 1e9:
            raise ArgumentError(f"chunk_mb {chunk_mb} is larger than buffer_gb {buffer_gb}.")
        if chunk_shape is None:
            chunk_shape = self._get_default_chunk_shape(chunk_mb or _DEFAULT_CHUNK_MB)
            if chunk_mb is None and buffer_shape is not None:
                chunk_shape = _within(chunk_shape, buffer_shape)
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
        _check_positive("chunk_mb", chunk_mb)
        num_frames, columns, rows, *planes = self._get_maxshape()
        frame_bytes = columns * rows * self._get_dtype().itemsize
        frames = min(max(int(chunk_mb * 1e6 // frame_bytes), 1), num_frames)
        return (frames, columns, rows, *(1 for _ in planes))

    def _get_scaled_buffer_shape(
        self, buffer_gb: float, chunk_shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the whole field over a multiple of the chunk's frames, within ``buffer_gb``."""
        _check_positive("buffer_gb", buffer_gb)
        if min(chunk_shape) <= 0:
            raise ArgumentError(f"chunk_shape {chunk_shape} must be positive along every axis.")
        num_frames, *field = self._get_maxshape()
        frame_bytes = math.prod(field) * self._get_dtype().itemsize
        chunks = max(int(buffer_gb * 1e9 // (frame_bytes * chunk_shape[0])), 1)
        return (min(chunks * chunk_shape[0], num_frames), *field)

    def _get_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.imaging_extractor.get_dtype())

    def _get_maxshape(self) -> tuple[int, ...]:
        rows, columns, *planes = self.imaging_extractor.get_sample_shape()
        sizes = (self.imaging_extractor.get_num_samples(), columns, rows, *planes)
        return tuple(int(size) for size in sizes)

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        start, stop, _ = selection[0].indices(self.maxshape[0])
        series = read_series(self.imaging_extractor, start, stop, self.maxshape[1:])
        axes = (0, 2, 1, 3)[: series.ndim]
        return series.transpose(axes)[(slice(None), *selection[1:])]


def read_series(extractor: Any, start: int, stop: int, nwb_field: Sequence[int]) -> NDArray[Any]:
    """Read samples from an extractor and check that it gave what it promised.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor
    start, stop : int
        The samples, ``stop`` exclusive.
    nwb_field : sequence of int
        (columns, rows[, planes]).

    Returns
    -------
    numpy.ndarray, shape (samples, rows, columns[, planes])

    Raises
    ------
    SourceError
        When the shape is not the one promised, which would shift or lose frames without a word.
    """
    columns, rows, *planes = nwb_field
    expected = (stop - start, rows, columns, *planes)
    try:
        series = np.asarray(extractor.get_series(start_sample=start, end_sample=stop))
    except StopIteration as error:  # hdmf would take it for the end of the data
        raise SourceError(f"{_label(extractor)} ended within frames {start} to {stop}.") from error
    if series.shape != expected and start + 1 == stop and series.size == math.prod(expected):
        series = series.reshape(expected)  # some readers drop the axis of a single sample
    if series.shape != expected:
        raise SourceError(
            f"{_label(extractor)} gave an array of shape {series.shape} for samples {start} to "
            f"{stop}, where its own counts say {expected}; the source may be incomplete."
        )
    return series


def _label(extractor: Any) -> str:
    path = getattr(extractor, "file_path", None) or getattr(extractor, "folder_path", None)
    return f"{type(extractor).__name__}" + (f" of '{path}'" if path else "")


class SliceableDataChunkIterator(_ArrayLike):
    """Blocks of anything that can be sliced: an array, a memory map, an HDF5 dataset, a lazy view.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and slicing along each axis; kept as ``data``.
    **iterator_options
        ``buffer_gb``, ``buffer_shape``, ``chunk_mb``, ``chunk_shape``, ``display_progress``,
        ``progress_bar_options``, as hdmf's ``GenericDataChunkIterator`` takes them.
    """

    def __init__(self, data: Any, **iterator_options: Any) -> None:
        self.data = data
        super().__init__(**iterator_options)

    def _get_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.data.dtype)

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.data.shape)

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        return np.asarray(self.data[selection])


class RoiImageMaskIterator(_ArrayLike):
    """Blocks of the image masks of ROIs: (ROIs, columns, rows[, planes]), read ROI by ROI.

    Parameters
    ----------
    masks : object
        With ``shape`` (ROIs, columns, rows[, planes]), ``dtype``, and ``image(index)`` that gives
        the mask of one ROI in that orientation.
    **iterator_options
        As for :class:`SliceableDataChunkIterator`; a chunk is one ROI unless given.
    """

    def __init__(self, masks: Any, **iterator_options: Any) -> None:
        self.masks = masks
        if not {"chunk_shape", "chunk_mb"} & iterator_options.keys():
            iterator_options["chunk_shape"] = (1, *masks.shape[1:])
        if not {"buffer_shape", "buffer_gb"} & iterator_options.keys():
            iterator_options["buffer_shape"] = self._default_buffer(iterator_options)
        super().__init__(**iterator_options)

    def _default_buffer(self, options: dict[str, Any]) -> tuple[int, ...]:
        """Return whole masks, about 64 MB of them."""
        num_rois, *field = self.masks.shape
        step = options["chunk_shape"][0] if "chunk_shape" in options else num_rois
        mask_bytes = math.prod(field) * np.dtype(self.masks.dtype).itemsize
        chunks = max(int(64e6 // (mask_bytes * step)), 1)
        return (min(chunks * step, num_rois), *field)

    def _get_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.masks.dtype)

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(self.masks.shape)

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        start, stop, _ = selection[0].indices(self.maxshape[0])
        block = np.empty((stop - start, *self.maxshape[1:]), dtype=self.masks.dtype)
        for position, index in enumerate(range(start, stop)):
            block[position] = self.masks.image(index)
        return block[(slice(None), *selection[1:])]


def _check_pair(size_name: str, size: Any, shape_name: str, shape: Any) -> None:
    if size is not None and shape is not None:
        raise ArgumentError(f"Give '{size_name}' or '{shape_name}', not both.")
    if size is not None:
        _check_positive(size_name, size)
    if shape is not None and min(shape) <= 0:
        raise ArgumentError(f"{shape_name} {tuple(shape)} must be positive along every axis.")


def _check_positive(name: str, size: float) -> None:
    if not size > 0:
        raise ArgumentError(f"{name} must be greater than zero, not {size}.")


def _within(chunk_shape: tuple[int, ...], buffer_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shrink a default chunk until a given buffer holds a whole number of it along each axis."""
    return tuple(
        next(size for size in range(min(chunk, buffer), 0, -1) if buffer % size == 0)
        for chunk, buffer in zip(chunk_shape, buffer_shape, strict=True)
    )
