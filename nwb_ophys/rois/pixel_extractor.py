"""Base class of extractors whose ROIs are lists of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import SegmentationExtractor
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.properties import FastPropertiesMixin


class PixelRois(FastPropertiesMixin, SegmentationExtractor):  # type: ignore[misc]
    """ROIs of one plane as lists of pixels, with their traces; images are made on request.

    Parameters
    ----------
    pixels : PixelLists
        Pixels of each ROI.
    traces : mapping of str to array-like, shape (samples, ROIs)
        Traces by kind: ``raw``, ``dff``, …; read when they are sliced.
    sampling_frequency : float or None
        Samples per second.
    images : mapping of str to numpy.ndarray, shape (rows, columns)
        Summary images.
    background : PixelLists, optional
        Pixels of each background component. Their ids are ``background0``, …, and the kind of
        their traces is ``background``.
    """

    extractor_name = "PixelRois"

    # The file that the traces are read from, to be closed.
    _file: Any = None

    def __init__(
        self,
        pixels: PixelLists,
        traces: Mapping[str, Any],
        sampling_frequency: float | None,
        images: Mapping[str, NDArray[Any]],
        background: PixelLists | None = None,
    ) -> None:
        super().__init__()
        self._background = pixels.take([]) if background is None else background
        self._pixels = pixels
        self._traces = dict(traces)
        self._sampling_frequency = None if sampling_frequency is None else float(sampling_frequency)
        self._summary_images = dict(images)
        self._roi_ids = list(range(len(pixels)))

    def get_frame_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        columns, rows = self._pixels.field_shape
        return (rows, columns)

    def get_num_rois(self) -> int:
        """Return the number of ROIs."""
        return len(self._pixels)

    def get_num_samples(self) -> int:
        """Return the number of samples of the traces."""
        return next((int(trace.shape[0]) for trace in self._traces.values()), 0)

    def get_traces_dict(self) -> dict[str, Any]:
        """Return the traces by kind."""
        return dict(self._traces)

    def get_background_ids(self) -> list[str]:
        """Return the ids of the background components: ``background0``, …"""
        return [f"background{index}" for index in range(len(self._background))]

    def get_roi_image_masks(self, roi_ids: Sequence[int] | None = None) -> NDArray[Any]:
        """Return masks, (rows, columns, ROIs), in the precision of the source."""
        return self._images(self._of(roi_ids))

    def get_background_image_masks(self, background_ids: Any = None) -> NDArray[Any]:
        """Return masks of background components, (rows, columns, components)."""
        return self._images(self._of_background(background_ids))

    def _images(self, pixels: PixelLists) -> NDArray[Any]:
        images = np.zeros((*self.get_frame_shape(), len(pixels)), pixels.image_dtype)
        column, row = pixels.coordinates
        images[row, column, np.repeat(np.arange(len(pixels)), pixels.counts)] = pixels.weights
        return images

    def get_roi_pixel_masks(self, roi_ids: Sequence[int] | None = None) -> list[NDArray[Any]]:
        """Return (row, column, weight) of the pixels of each ROI."""
        return [mask[:, [1, 0, 2]] for mask in self._of(roi_ids)]

    def get_background_pixel_masks(self, background_ids: Any = None) -> list[NDArray[Any]]:
        """Return (row, column, weight) of the pixels of each background component."""
        return [mask[:, [1, 0, 2]] for mask in self._of_background(background_ids)]

    def get_ragged_pixels(self, ids: Sequence[Any], of_background: bool = False) -> PixelLists:
        """Return the pixels of ROIs, or of background components."""
        return self._of_background(ids) if of_background else self._of(ids)

    def _of_background(self, ids: Any) -> PixelLists:
        known = self.get_background_ids()
        return self._background.take(
            [known.index(each) for each in (known if ids is None else ids)]
        )

    def _of(self, roi_ids: Sequence[int] | None) -> PixelLists:
        if roi_ids is None:
            return self._pixels
        unknown = [roi_id for roi_id in roi_ids if roi_id not in range(len(self._pixels))]
        if unknown:
            raise ValueError(f"There are no ROIs {unknown[:10]} among {len(self._pixels)} ROIs.")
        return self._pixels.take(list(roi_ids))

    def close(self) -> None:
        """Close the file that the traces are read from."""
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        self.close()

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return None: the times follow from a constant rate."""
        return None
