"""Reader of SIMA's ROIs and signals in a ``.sima`` folder, without SIMA.

The reader of roiextractors 0.10 is not used: it fails on every folder, since it requests the field
before the masks exist. It also needs SIMA, which does not run on current versions of Python;
replaces the user's pickles, and loads them with all the code that they name; reads signals of shape
(ROIs, frames) as (frames, ROIs); reads only the first channel, label and sequence; and pairs
signals with the ROIs of another file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import SegmentationExtractor
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.sima.folder import TRACES, SimaFolder, SimaPart
from nwb_ophys.formats.sima.rois import roi_pixels
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.properties import FastPropertiesMixin
from nwb_ophys.rois.traces import Response

_IMAGES = {"time_averages": "mean", "time_std": "std", "time_kurtosis": "kurtosis"}


class SimaExtractor(FastPropertiesMixin, SegmentationExtractor):  # type: ignore[misc]
    """One set of ROIs in a folder of SIMA, with the signals that SIMA extracted for them.

    Parameters
    ----------
    folder : SimaFolder
    part : SimaPart
        The ROIs and signals to read.
    sampling_frequency : float, optional
        Frames per second, which SIMA does not save.

    Raises
    ------
    CorruptSourceError
        When ROIs and signals do not fit.
    """

    extractor_name = "SimaExtractor"

    def __init__(
        self, folder: SimaFolder, part: SimaPart, sampling_frequency: float | None = None
    ) -> None:
        super().__init__()
        self.folder, self.part = folder, part
        self._sampling_frequency = sampling_frequency
        rois = folder.rois_of(part)
        self._field = folder.field_of(rois)
        self._pixels: PixelLists = roi_pixels(rois, self._field, folder.path)
        self._ids = list(range(len(rois)))
        if part.signals_label is not None:
            self._open_signals(str(part.channel_name), part.signals_label)
        self._open_images()
        self._set_texts(rois)

    @property
    def file(self) -> Path:
        """The file that holds the ROIs."""
        if self.part.roi_label is not None:
            return self.folder.path / "rois.pkl"
        channel = self.folder.channel_index(str(self.part.channel_name))
        return self.folder.path / self.folder.signals_file(channel)

    def _open_signals(self, channel: str, label: str) -> None:
        entry = self.folder.signals[channel][label]
        if self.part.sequence is not None:
            warnings.warn(
                f"'{self.folder.path}' has {len(entry['raw'])} sequences, but does not state when "
                f"each began. Sequence {self.part.sequence} begins at 0 s unless you align it.",
                UserWarning,
                stacklevel=4,
            )
        for name, kind in TRACES.items():
            if entry.get(name) is None:
                continue
            signals = np.asarray(entry[name][self.part.sequence or 0])
            expected = (len(self._ids), self.get_num_samples() or signals.shape[-1])
            if signals.shape != expected:
                raise CorruptSourceError(
                    f"'{self.file}': the signals '{name}' under '{label}' have the shape "
                    f"{signals.shape}; with {len(self._ids)} ROIs it must be {expected} (ROIs, "
                    "frames)."
                )
            self._roi_responses.append(Response(kind, signals.T, list(self._ids)))

    def _open_images(self) -> None:
        channel = self.part.channel_name
        names = self.folder.channel_names
        if channel is None and len(names) > 1:
            return  # the ROIs do not state their channel
        index = 0 if channel is None else self.folder.channel_index(channel)
        images = {kind: self.folder.image(name, index) for name, kind in _IMAGES.items()}
        if images["mean"] is None and channel is not None:
            entry = self.folder.signals[channel][str(self.part.signals_label)]
            images["mean"] = entry.get("mean_frame")
        for kind, image in images.items():
            if image is None:
                continue
            planes = np.asarray(image)
            planes = planes[np.newaxis] if planes.ndim == 2 else planes
            if planes.shape != self._field:
                raise CorruptSourceError(
                    f"'{self.folder.path}': the {kind} image has the shape {planes.shape}; it must "
                    f"be {self._field} (planes, rows, columns)."
                )
            for number, plane in enumerate(planes):
                name = kind if len(planes) == 1 else f"{kind}_plane{number}"
                self._summary_images[name] = plane

    def _set_texts(self, rois: Sequence[Mapping[str, Any]]) -> None:
        """Set the names and tags that the user gave ROIs in SIMA as properties."""
        for key, what in (("id", "Id"), ("label", "Label"), ("tags", "Tags")):
            values = [_as_text(roi.get(key)) for roi in rois]
            if any(values):
                description = f"{what} of the ROI in SIMA."
                self.set_property(f"sima_{key}", values, self._ids, description=description)

    # --- what the files hold --------------------------------------------------------------------

    def get_frame_shape(self) -> tuple[int, ...]:
        """Return (rows, columns), or (rows, columns, planes) of a volume."""
        planes, rows, columns = self._field
        return (rows, columns, planes) if planes > 1 else (rows, columns)

    def get_num_planes(self) -> int:
        """Return the number of planes."""
        return self._field[0]

    def get_roi_ids(self) -> list[int]:
        """Return the positions of the ROIs."""
        return list(self._ids)

    def get_num_rois(self) -> int:
        """Return the number of ROIs."""
        return len(self._ids)

    def get_background_ids(self) -> list[Any]:
        """Return an empty list: SIMA has no background components."""
        return []

    def get_num_background_components(self) -> int:
        """Return 0."""
        return 0

    def get_num_samples(self) -> int:
        """Return the number of frames of the signals; 0 where there are none."""
        return next((int(each.data.shape[0]) for each in self._roi_responses), 0)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> None:
        """Return None: SIMA saves no times."""

    def _indices(self, roi_ids: Sequence[Any] | None) -> list[int]:
        ids = self._ids if roi_ids is None else list(roi_ids)
        unknown = [each for each in ids if each not in range(len(self._ids))]
        if unknown:
            raise SourceError(
                f"'{self.file}' has no ROIs {unknown[:10]}; there are {len(self._ids)}, from 0."
            )
        return ids

    def get_ragged_pixels(self, ids: Sequence[Any], of_background: bool = False) -> PixelLists:
        """Return the pixels of ROIs."""
        return self._pixels.take(self._indices(ids))

    def get_roi_image_masks(self, roi_ids: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return masks, (rows, columns[, planes], ROIs)."""
        chosen = self._pixels.take(self._indices(roi_ids))
        images = np.zeros((*self.get_frame_shape(), len(chosen)), chosen.image_dtype)
        column, row, *plane = chosen.coordinates
        index: tuple[Any, ...] = (row, column, *plane)
        images[(*index, np.repeat(np.arange(len(chosen)), chosen.counts))] = chosen.weights
        return images

    def get_roi_pixel_masks(self, roi_ids: Sequence[Any] | None = None) -> list[NDArray[Any]]:
        """Return the pixels of each ROI: (row, column[, plane], weight)."""
        chosen = self._pixels.take(self._indices(roi_ids))
        return [mask[:, [1, 0, *range(2, mask.shape[1])]] for mask in chosen]


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    is_several = isinstance(value, (set, frozenset, list, tuple))
    return ", ".join(sorted(map(str, value))) if is_several else str(value)
