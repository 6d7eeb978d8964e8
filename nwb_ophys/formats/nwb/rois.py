"""Reader of ROIs in NWB files of any author: a table with its traces and summary images.

roiextractors reads only a table 'PlaneSegmentation' with image masks, and traces only in
'Fluorescence' and 'DfOverF' under its own names, whichever table they belong to.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import SegmentationExtractor
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.nwb.files import NwbObject, object_at
from nwb_ophys.formats.nwb.tables import (
    field_shape,
    is_of_suite2p,
    mask_name,
    pixels_of,
    properties_of,
    summary_images,
    warn_of_references,
)
from nwb_ophys.formats.nwb.traces import traces_of
from nwb_ophys.rois.pixel_lists import PixelLists, field_of
from nwb_ophys.rois.properties import FastPropertiesMixin, repeated_ids
from nwb_ophys.storage import check_complete
from nwb_ophys.storage.backends.hdf5_claims import check_stored


class NwbRoisExtractor(FastPropertiesMixin, SegmentationExtractor):  # type: ignore[misc]
    """The ROIs of a plane segmentation.

    Parameters
    ----------
    io : object
        The object that closes the file.
    nwbfile : pynwb.NWBFile
        The open file, HDF5 or Zarr.
    chosen : NwbObject
        The table.
    has_images : bool
        Whether the summary images are read with it: with the first table of a file.
    sampling_frequency : float, optional
        Samples per second of the traces in Hz; replaces their rates and timestamps in the file.

    Attributes
    ----------
    table : pynwb.ophys.PlaneSegmentation
    nwbfile : pynwb.NWBFile
    series : dict of str to pynwb.ophys.RoiResponseSeries
        By kind of trace.
    images : dict of str to pynwb.image.GrayscaleImage
        The summary images by name.

    Raises
    ------
    SourceError
        When the table cannot be read, or its traces and masks do not fit it.
    """

    extractor_name = "NwbRoisExtractor"

    def __init__(
        self,
        io: Any,
        nwbfile: Any,
        chosen: NwbObject,
        has_images: bool = True,
        sampling_frequency: float | None = None,
    ) -> None:
        super().__init__()
        self._io, self.nwbfile, self._given_rate = io, nwbfile, sampling_frequency
        try:
            self._read(object_at(self.nwbfile, chosen.path), has_images)
        except (SourceError, Warning):
            self.close()
            raise
        except Exception as error:  # a damaged table can raise anything
            self.close()
            raise CorruptSourceError(
                f"The table '{chosen.name}' of '{io.source}' cannot be read: {error}. The file may "
                "be damaged; check it with nwb-ophys inspect."
            ) from error

    def _read(self, table: Any, has_images: bool) -> None:
        self.table = table
        self._roi_ids = [int(roi_id) for roi_id in table.id[:]]
        repeated = repeated_ids(self._roi_ids)
        if repeated:
            warnings.warn(
                f"ROIs of '{table.name}' share ids: {repeated}; their positions are used instead.",
                UserWarning,
                stacklevel=3,
            )
            self._roi_ids = list(range(len(self._roi_ids)))
        self._mask = mask_name(table)
        for each in table.columns:
            check_complete(each.data, is_sparse=each.name == "image_mask")
        if is_of_suite2p(table):
            warnings.warn(
                f"'{self._io.source}' was written by Suite2p, which calls the row x: masks and "
                "images lie across the movie that it read, rows for columns. They are read as the "
                "file has them; convert the folder that Suite2p wrote where you have it.",
                UserWarning,
                stacklevel=5,
            )
        found = field_shape(self.nwbfile, table, self._mask)
        self._pixels = None
        if self._mask != "image_mask":
            self._pixels = pixels_of(table, self._mask, found)
            found = self._pixels.field_shape
        if found is None:
            raise ValueError("Its masks state no size of the image.")
        self._frame_shape = field_of(found)  # its own inverse
        self._traces, self.series, self._clock = traces_of(self.nwbfile, table, self._given_rate)
        has_weights = self._pixels is None or len(self._pixels.weights) > 0
        for key, (values, description) in properties_of(table, has_weights).items():
            self.set_property(key, values, self._roi_ids, description=description)
        warn_of_references(self.nwbfile, table)
        self.images = summary_images(self.nwbfile, table, self._frame_shape) if has_images else {}
        self._summary_images = {
            name: np.asarray(image.data[:]).T for name, image in self.images.items()
        }

    def get_frame_shape(self) -> tuple[int, ...]:
        """Return (rows, columns[, planes])."""
        return self._frame_shape

    def get_roi_ids(self) -> list[int]:
        """Return the ids that the file gives the ROIs."""
        return list(self._roi_ids)

    def get_num_rois(self) -> int:
        """Return the number of ROIs."""
        return len(self._roi_ids)

    def get_num_samples(self) -> int:
        """Return the number of samples of the traces; 0 when there are none."""
        return next((int(trace.shape[0]) for trace in self._traces.values()), 0)

    def get_sampling_frequency(self) -> float | None:
        """Return samples per second; None without traces, or where no rate above 0 is stated."""
        return None if self._clock is None else self._clock.rate

    @property
    def stated_rate(self) -> float | None:
        """The rate that the file states for the traces, which may be 0 or NaN."""
        rates = (one.rate for one in self.series.values())
        return next((float(rate) for rate in rates if rate is not None), None)

    @property
    def series_label(self) -> str:
        """Name of the traces in messages."""
        return f"the traces of '{self.table.name}'"

    def get_background_ids(self) -> list[Any]:
        """Return an empty list: background components have a table of their own."""
        return []

    def get_traces_dict(self) -> dict[str, Any]:
        """Return the traces by kind, (samples, ROIs), read when sliced."""
        return dict(self._traces)

    def get_roi_image_masks(self, roi_ids: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return masks, (rows, columns[, planes], ROIs)."""
        indices = self._indices(roi_ids)
        if self._pixels is None:
            column = check_stored(self.table[self._mask].data)
            found = np.array([np.asarray(column[index]) for index in indices])
            found = found.reshape(len(indices), *field_of(self._frame_shape))
            return np.moveaxis(np.swapaxes(found, 1, 2), 0, -1)
        images = np.zeros((*self._frame_shape, len(indices)), self._pixels.image_dtype)
        for position, index in enumerate(indices):
            x, y, *z, weight = self._pixels[index].T
            place = tuple(axis.astype(int) for axis in (y, x, *z))
            images[(*place, position)] = weight
        return images

    def get_roi_pixel_masks(self, roi_ids: Sequence[Any] | None = None) -> list[NDArray[Any]]:
        """Return per ROI its pixels: (row, column[, plane], weight)."""
        if self._pixels is None:
            ids = self._roi_ids if roi_ids is None else roi_ids
            images = (self.get_roi_image_masks([roi_id])[..., 0] for roi_id in ids)
            return [np.column_stack([*np.nonzero(m), m[np.nonzero(m)]]) for m in images]
        masks = (self._pixels[index].T for index in self._indices(roi_ids))
        return [np.column_stack([y, x, *rest]) for x, y, *rest in masks]

    def get_ragged_pixels(
        self, ids: Sequence[Any], of_background: bool = False
    ) -> PixelLists | None:
        """Return the pixels of ROIs where the file has lists of pixels."""
        if self._pixels is None or of_background:
            return None
        return self._pixels.take(self._indices(ids))

    def _indices(self, roi_ids: Sequence[Any] | None) -> list[int]:
        position = {roi_id: index for index, roi_id in enumerate(self._roi_ids)}
        return [position[roi_id] for roi_id in (self._roi_ids if roi_ids is None else roi_ids)]

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times in seconds where they do not follow from the rate alone."""
        times = None if self._clock is None else self._clock.times(self.get_num_samples())
        return None if times is None else times[start_sample:end_sample]

    def close(self) -> None:
        """Close the file."""
        if getattr(self, "_io", None) is not None:
            self._io.close()
            self._io = None

    def __del__(self) -> None:
        self.close()
