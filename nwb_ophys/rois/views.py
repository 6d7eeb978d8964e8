"""Views of a segmentation: its first samples, selected ROIs, or its background as ROIs.

roiextractors has such views too, but gives selected ROIs the properties of the first ROIs, drops
the background of a selection, and slices only traces that are kept in a private list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import SegmentationExtractor
from nwb_ophys.errors import OptionError
from nwb_ophys.rois.model import PartialSegmentation, Rois
from nwb_ophys.rois.properties import repeated_ids, values_of
from nwb_ophys.rois.traces import Response, TraceView


class _View(PartialSegmentation, SegmentationExtractor):  # type: ignore[misc]
    """A segmentation that takes everything from another; subclasses replace a part."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent

    def get_roi_ids(self) -> list[Any]:
        """Return the ids of the ROIs."""
        return list(self.parent.get_roi_ids())

    def get_num_rois(self) -> int:
        """Return the number of ROIs of the view."""
        return len(self.get_roi_ids())

    def get_background_ids(self) -> list[Any]:
        """Return the ids of the background components."""
        return list(Rois.of(self.parent).background_ids)

    def get_num_background_components(self) -> int:
        """Return the number of background components of the view."""
        return len(self.get_background_ids())

    def get_frame_shape(self) -> tuple[int, ...]:
        """Return (rows, columns[, planes])."""
        return tuple(self.parent.get_frame_shape())

    def get_roi_image_masks(self, roi_ids: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return image masks of the ROIs of the view, or of the requested ones."""
        ids = self.get_roi_ids() if roi_ids is None else list(roi_ids)
        return self.parent.get_roi_image_masks(roi_ids=ids)  # type: ignore[no-any-return]

    def get_roi_pixel_masks(self, roi_ids: Sequence[Any] | None = None) -> list[NDArray[Any]]:
        """Return pixel masks of the ROIs of the view, or of the requested ones."""
        ids = self.get_roi_ids() if roi_ids is None else list(roi_ids)
        return list(self.parent.get_roi_pixel_masks(roi_ids=ids))

    def get_background_image_masks(self, background_ids: Any = None) -> NDArray[Any]:
        """Return image masks of background components."""
        return self.parent.get_background_image_masks(  # type: ignore[no-any-return]
            background_ids=background_ids
        )

    def get_background_pixel_masks(self, background_ids: Any = None) -> list[NDArray[Any]]:
        """Return pixel masks of background components."""
        return list(self.parent.get_background_pixel_masks(background_ids=background_ids))

    def get_images_dict(self) -> dict[str, Any]:
        """Return the summary images."""
        return dict(self.parent.get_images_dict())

    def get_property_keys(self) -> list[str]:
        """Return the names of the properties of ROIs."""
        return list(self.parent.get_property_keys())

    def get_property(self, key: str, ids: Sequence[Any]) -> NDArray[Any]:
        """Return a property of the requested ROIs."""
        return values_of(self.parent.get_property_info(key).data, self.parent.get_roi_ids(), ids)

    def get_property_info(self, key: str) -> Any:
        """Return a property of the ROIs of the view, with its description."""
        info = self.parent.get_property_info(key)
        return dataclasses.replace(info, data=self.get_property(key, self.get_roi_ids()))

    def get_num_planes(self) -> int:
        """Return the number of planes."""
        return int(self.parent.get_num_planes())

    def get_num_samples(self) -> int:
        """Return the number of samples of the traces."""
        return int(self.parent.get_num_samples())

    def get_sampling_frequency(self) -> float:
        """Return samples per second."""
        return self.parent.get_sampling_frequency()  # type: ignore[no-any-return]

    def has_time_vector(self) -> bool:
        """Return whether times were set."""
        return self._times is not None or bool(self.parent.has_time_vector())

    def get_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64]:
        """Return the times of the samples, in seconds."""
        times = self.parent.get_timestamps() if self._times is None else self._times
        return np.asarray(times)[: self.get_num_samples()][start_sample:end_sample]

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the source's own times, in seconds, or None."""
        times = self.parent.get_native_timestamps()
        return None if times is None else times[: self.get_num_samples()][start_sample:end_sample]


class FirstSamples(_View):
    """A segmentation with the first samples of the traces of another.

    Parameters
    ----------
    parent : roiextractors.SegmentationExtractor
    num_samples : int
        Number of samples; all samples where there are fewer.
    """

    extractor_name = "FirstSamples"

    def __init__(self, parent: Any, num_samples: int) -> None:
        super().__init__(parent)
        self._num_samples = min(num_samples, int(parent.get_num_samples()))
        self._roi_responses = [
            attrs.evolve(one, data=TraceView(one.data, num_samples=self._num_samples))
            for one in _responses(Rois.of(parent))
        ]

    def get_num_samples(self) -> int:
        """Return the number of samples of the view."""
        return self._num_samples


def _responses(rois: Rois) -> list[Response]:
    """Return the traces of ROIs and of background components, each with the ids of its columns."""
    background = {
        name: (data, rois.background_ids) for name, data in rois.background_traces.items()
    }
    traces = {name: (data, rois.ids) for name, data in rois.traces.items()} | background
    return [Response(name, data, list(ids)) for name, (data, ids) in traces.items()]


class SelectedRois(_View):
    """Selected ROIs of a segmentation, in the given order, with its whole background.

    Parameters
    ----------
    parent : roiextractors.SegmentationExtractor
    roi_ids : sequence of int or str
        Ids of the ROIs.

    Raises
    ------
    OptionError
        When an id is unknown or repeated, or the list is empty.
    """

    extractor_name = "SelectedRois"

    def __init__(self, parent: Any, roi_ids: Sequence[Any]) -> None:
        known = Rois.of(parent).ids
        missing = sorted(set(roi_ids) - set(known), key=list(roi_ids).index)
        repeated = repeated_ids(roi_ids)
        if missing or repeated or not len(roi_ids):
            shown = ", ".join(map(repr, known[:10])) + (", …" if len(known) > 10 else "")
            fault = f"{missing} are not among them" if missing else "give each id once"
            fault += f", not {repeated}" if repeated and not missing else ""
            fault += "" if missing else ", at least one"
            raise OptionError(f"roi_ids: {fault}; the {len(known)} ROIs are {shown}.")
        self._select(parent, roi_ids)

    def _select(self, parent: Any, roi_ids: Sequence[Any]) -> None:
        """Set the ids of the view, and its traces with the columns of these ROIs."""
        _View.__init__(self, parent)
        rois = Rois.of(parent)
        known = rois.ids
        position = {roi_id: index for index, roi_id in enumerate(known)}
        self._selected = list(roi_ids)
        columns = [position[roi_id] for roi_id in roi_ids]
        self._roi_responses = [
            Response(one.response_type, TraceView(one.data, columns), self._selected)
            if one.roi_ids == known
            else one
            for one in _responses(rois)
        ]

    def get_roi_ids(self) -> list[Any]:
        """Return the selected ids."""
        return list(self._selected)


class AcceptedRois(SelectedRois):
    """The accepted ROIs of a segmentation, in its order and with its whole background.

    An ROI that is neither accepted nor rejected is left out. Masks and traces are read from the
    segmentation when they are written.

    Parameters
    ----------
    parent : roiextractors.SegmentationExtractor
    name : str, optional
        Name of the source in the error, such as its path in quotes.

    Raises
    ------
    OptionError
        When the segmentation does not state which ROIs were accepted.
    """

    extractor_name = "AcceptedRois"

    def __init__(self, parent: Any, name: str | None = None) -> None:
        rois = Rois.of(parent)
        if rois.accepted is None:
            raise OptionError(
                f"accepted_only: {name or type(rois.source).__name__} does not state which of its "
                f"{len(rois)} ROIs were accepted. Leave the option out to write all of them, or "
                "select some with roi_ids."
            )
        self._select(parent, [i for i, kept in zip(rois.ids, rois.accepted, strict=True) if kept])


class BackgroundComponents(_View):
    """The background components of a segmentation as ROIs, with their traces and masks.

    Parameters
    ----------
    parent : roiextractors.SegmentationExtractor
    """

    extractor_name = "BackgroundComponents"
    shows_background = True

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._roi_responses = _responses(Rois.of(parent).background)

    def get_roi_ids(self) -> list[Any]:
        """Return the ids of the components."""
        return list(Rois.of(self.parent).background_ids)

    def get_roi_image_masks(self, roi_ids: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return image masks of the components."""
        ids = self.get_roi_ids() if roi_ids is None else list(roi_ids)
        masks = self.parent.get_background_image_masks(background_ids=ids)
        return masks  # type: ignore[no-any-return]

    def get_roi_pixel_masks(self, roi_ids: Sequence[Any] | None = None) -> list[NDArray[Any]]:
        """Return pixel masks of the components."""
        ids = self.get_roi_ids() if roi_ids is None else list(roi_ids)
        return list(self.parent.get_background_pixel_masks(background_ids=ids))

    def get_background_ids(self) -> list[Any]:
        """Return an empty list: a background has no background."""
        return []

    def get_images_dict(self) -> dict[str, Any]:
        """Return an empty dictionary: images belong to the ROIs."""
        return {}

    def get_property_keys(self) -> list[str]:
        """Return an empty list: the parent's properties belong to its ROIs."""
        return []


class WithTimes(_View):
    """A segmentation with other times of its samples.

    Parameters
    ----------
    parent : roiextractors.SegmentationExtractor
    times : numpy.ndarray of float, shape (samples,)
        In seconds.
    sampling_frequency : float or None
        Rate that reproduces the times; None where no rate does.
    """

    extractor_name = "WithTimes"

    def __init__(
        self, parent: Any, times: NDArray[np.float64], sampling_frequency: float | None
    ) -> None:
        super().__init__(parent)
        self._times = times
        self._rate = sampling_frequency
        self._roi_responses = _responses(Rois.of(parent))

    def get_sampling_frequency(self) -> float | None:  # type: ignore[override]
        """Return samples per second, or None."""
        return self._rate
