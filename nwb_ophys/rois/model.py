"""The ROIs of a segmentation as one object, which asks the extractor once for each of their parts.

roiextractors gives (rows, columns[, planes]) images and (row, column[, plane], weight) pixels; the
object gives both as NWB orients them: x is the column, y the row.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError, shown
from nwb_ophys.rois.centroids import centroids_of_pixels, have_centres, with_nan
from nwb_ophys.rois.masks import ImageMasks
from nwb_ophys.rois.pixel_lists import PixelLists, field_of
from nwb_ophys.rois.pixel_sources import Form, holds_pixels, read_pixels
from nwb_ophys.rois.properties import as_flags, repeated_ids, values_of
from nwb_ophys.rois.traces import TraceView, is_present

# Properties that state which ROIs were accepted: as a rule is_accepted, in Suite2p iscell.
_ACCEPTANCE = ("is_accepted", "iscell")
_REJECTION = "is_rejected"
_IDS = (str, int, np.integer)


class PartialSegmentation:
    """Base class of extractors whose ROIs, or background components, are those of another.

    Attributes
    ----------
    shows_background : bool
        Whether the ROIs are the background components of the other.
    """

    shows_background = False
    parent: Any


@attrs.frozen
class Property:
    """A property of ROIs.

    Attributes
    ----------
    description : str
    values : numpy.ndarray, shape (ROIs, …)
    """

    description: str
    values: NDArray[Any]


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Rois:
    """The ROIs of a segmentation: their masks, centroids, properties and traces.

    Each part is read when it is first used, and then kept. The object shows the extractor as it is
    at that time; make a new object after changing the extractor.

    Attributes
    ----------
    extractor : roiextractors.SegmentationExtractor
        The extractor that gives traces and times.
    ids : list
        Ids of the ROIs, in order.
    whole : Rois, optional
        The object that these ROIs are a part, or the background, of; its extractor gives masks.
    are_background : bool
        Whether the ROIs are background components of the extractor that gives masks.
    known_traces : dict of str to array-like, optional
        The traces, where they are not to be read from the extractor.
    """

    extractor: Any
    ids: list[Any] = attrs.field(converter=list)
    whole: Rois | None = None
    are_background: bool = False
    known_traces: dict[str, Any] | None = None

    @classmethod
    def of(cls, segmentation: Any) -> Rois:
        """Return the ROIs of a segmentation.

        Parameters
        ----------
        segmentation : roiextractors.SegmentationExtractor or Rois
            An object of this class is returned as it is.
        """
        if isinstance(segmentation, Rois):
            return segmentation
        if not isinstance(segmentation, PartialSegmentation):
            return cls(extractor=segmentation, ids=_ids_of(segmentation))
        ids = segmentation.get_roi_ids()  # type: ignore[attr-defined]
        whole = cls.of(segmentation.parent)
        if segmentation.shows_background:
            return attrs.evolve(whole.background, extractor=segmentation)
        are_background = whole.are_background
        return cls(extractor=segmentation, ids=ids, whole=whole, are_background=are_background)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def source(self) -> Any:
        """The extractor that gives masks and properties."""
        return self.extractor if self.whole is None else self.whole.source

    @functools.cached_property
    def frame_shape(self) -> tuple[int, ...]:
        """The shape of an image as roiextractors gives it, (rows, columns[, planes])."""
        return tuple(int(size) for size in self.source.get_frame_shape())

    @property
    def field_shape(self) -> tuple[int, ...]:
        """The shape of an image in NWB, (columns, rows[, planes])."""
        return field_of(self.frame_shape)

    # --- masks ------------------------------------------------------------------------------------

    @functools.cached_property
    def pixels(self) -> PixelLists:
        """The pixels of each ROI, a sequence of x, y[, z], weight.

        Raises
        ------
        SourceError
            When the number of masks differs from the number of ROIs.
        """
        found = self.stored_pixels("pixel")
        if found is None:
            found = PixelLists.from_masks(list(self._masks("pixel", self.ids)), self.frame_shape)
        if len(found) != len(self):
            raise SourceError(
                f"{type(self.source).__name__} gave {len(found)} pixel masks for {len(self)} ROIs."
            )
        return found

    @functools.cached_property
    def images(self) -> ImageMasks | None:
        """The image masks, read block by block; None without ROIs."""
        if not self.ids:
            return None
        return ImageMasks(len(self), self.stored_pixels("image"), self._twin().read_image)

    def _twin(self) -> Rois:
        """Return an equal object that keeps nothing yet.

        What this object keeps refers to the twin, because a circle of references would leave the
        files of the source open until Python collects it.
        """
        return attrs.evolve(self)

    @functools.cached_property
    def image_centroids(self) -> NDArray[np.int64] | None:
        """The centroid of each image mask, (x, y[, z]); None without ROIs.

        These are the medians over the pixels that equal the mask's maximum, truncated.
        """
        return None if self._image_centroids is None else self._image_centroids[0]

    @functools.cached_property
    def _image_centroids(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
        return None if self.images is None else self.images.centroids_and_placed()

    @functools.cached_property
    def pixel_centroids(self) -> NDArray[np.int64] | None:
        """The centroid of each pixel mask, equal to that of its image; None without ROIs."""
        return centroids_of_pixels(self.pixels, self.field_shape) if self.ids else None

    def centres(self, form: Form) -> NDArray[Any] | None:
        """Return the centroids of masks, NaN for ROIs without weights and with NaN among them.

        Parameters
        ----------
        form : {"image", "pixel"}

        Returns
        -------
        numpy.ndarray of int, or of float where some are NaN; None without ROIs
        """
        if form == "image":
            return None if self._image_centroids is None else with_nan(*self._image_centroids)
        centroids = self.pixel_centroids
        return None if centroids is None else with_nan(centroids, have_centres(self.pixels))

    def stored_pixels(self, form: Form) -> PixelLists | None:
        """Return the pixels that one form of masks consists of; None where the source has images.

        Parameters
        ----------
        form : {"image", "pixel"}
        """
        if not holds_pixels(self.source, form, self.are_background):
            return None
        return self._stored_pixels

    @functools.cached_property
    def _stored_pixels(self) -> PixelLists | None:
        return read_pixels(self.source, self.ids, self.are_background)

    def _masks(self, form: Form, ids: Sequence[Any]) -> Any:
        """Return masks as the source gives them."""
        if self.are_background:
            read = getattr(self.source, f"get_background_{form}_masks")
            return read(background_ids=list(ids))
        return getattr(self.source, f"get_roi_{form}_masks")(roi_ids=list(ids))

    def read_image(self, index: int) -> NDArray[Any]:
        """Return the image of one ROI, (columns, rows[, planes]).

        Raises
        ------
        SourceError
            When the source gives another number of masks, or of another shape than it states.
        """
        image = self._image_of(index)
        stated = self.field_shape if hasattr(self.source, "get_frame_shape") else ()
        # Some extractors state the rows and columns of volumes only.
        if len(stated) == image.ndim and image.shape != stated:
            rows, columns, *planes = image.swapaxes(0, 1).shape
            raise SourceError(
                f"{type(self.source).__name__} gave a mask of shape {(rows, columns, *planes)}, "
                f"where get_frame_shape() states {self.frame_shape}: (rows, columns[, planes])."
            )
        return image

    def _image_of(self, index: int) -> NDArray[Any]:
        masks = np.asarray(self._masks("image", [self.ids[index]]))
        if masks.ndim == 3 and masks.shape == self._volume():
            return np.swapaxes(masks, 0, 1)  # one mask alone, whose planes are not ROIs
        # Volumes come with the axis of ROIs before that of planes (roiextractors stacks masks on
        # axis 2) or, as documented, behind it; with a single ROI its length 1 shows which. An
        # extractor that gives all its ROIs whatever was requested is read by position.
        for count, position in ((1, 0), (len(self), index)):
            for axis in (2, -1) if masks.ndim == 4 else (-1,):
                if masks.shape[axis] == count:
                    return np.swapaxes(masks.take(position, axis=axis), 0, 1)
        raise SourceError(
            f"{type(self.source).__name__} gave masks of shape {masks.shape} for one ROI; the "
            "axis of ROIs must have length 1."
        )

    def _volume(self) -> tuple[int, ...]:
        """Return (rows, columns, planes); an empty tuple for a plane."""
        shape = self.frame_shape if hasattr(self.source, "get_frame_shape") else ()
        return shape if len(shape) == 3 else ()

    # --- properties -------------------------------------------------------------------------------

    @functools.cached_property
    def properties(self) -> dict[str, Property]:
        """The properties by key, without those that state acceptance and rejection."""
        keys = [key for key in self._keys if key not in (self._acceptance_key, _REJECTION)]
        return {key: self._property(key) for key in keys}

    @functools.cached_property
    def accepted(self) -> NDArray[np.bool_] | None:
        """Acceptance of each ROI; None where the source does not state it."""
        if self._acceptance_key is not None:
            return self._flags(self._acceptance_key)
        return ~self._flags(_REJECTION) if self._states_rejection else None

    @functools.cached_property
    def rejected(self) -> NDArray[np.bool_] | None:
        """Rejection of each ROI; None where the source does not state it."""
        if self._states_rejection:
            return self._flags(_REJECTION)
        return None if self.accepted is None else ~self.accepted

    @functools.cached_property
    def _keys(self) -> list[str]:
        if self.are_background:  # the properties are those of the ROIs
            return []
        return list(self.source.get_property_keys())

    @property
    def _acceptance_key(self) -> str | None:
        return next((key for key in _ACCEPTANCE if key in self._keys), None)

    @property
    def _states_rejection(self) -> bool:
        return _REJECTION in self._keys

    def _flags(self, key: str) -> NDArray[np.bool_]:
        what = f"The property '{key}' of {type(self.source).__name__}"
        return as_flags(self._property(key).values, what)

    def _property(self, key: str) -> Property:
        if self.whole is not None:
            all_rois = self.whole._property(key)
            return attrs.evolve(
                all_rois, values=values_of(all_rois.values, self.whole.ids, self.ids)
            )
        info = self.source.get_property_info(key)
        values = np.asarray(info.data)
        # get_property searches a list for every id, which takes seconds for thousands of ROIs.
        if len(values) != len(self):
            values = np.asarray(self.source.get_property(key, self.ids))
        return Property(info.description, values)

    # --- traces -----------------------------------------------------------------------------------

    @functools.cached_property
    def traces(self) -> dict[str, Any]:
        """The traces of the ROIs by kind, (samples, ROIs), with columns in the order of the ids.

        Traces that are None or empty, and those of background components, are left out.

        Raises
        ------
        SourceError
            When the number of columns of a trace differs from the number of ROIs.
        """
        if self.known_traces is not None:
            return self.known_traces
        found = self.present_traces
        return {
            name: self._in_order(name, data)
            for name, data in found.items()
            if name not in self.background_traces
        }

    @functools.cached_property
    def background_ids(self) -> list[Any]:
        """Ids of the background components, all different from the ids of the ROIs.

        roiextractors counts the neuropil traces of ROIs as background components where an extractor
        keeps no masks; those belong to their ROIs.
        """
        if self.are_background:
            return []
        known = (
            self.extractor.get_background_ids() if self.whole is None else self.whole.background_ids
        )
        cells = set(self.ids)
        return [component for component in known if component not in cells]

    @functools.cached_property
    def background_traces(self) -> dict[str, Any]:
        """The traces of background components by kind, with a column per component.

        Neuropil traces that belong to ROIs, one per ROI, are not among them.
        """
        if not self.background_ids:
            return {}
        return {
            name: data
            for name, data in self.present_traces.items()
            if self._is_background(name, data)
        }

    @functools.cached_property
    def background(self) -> Rois:
        """The background components as ROIs, with masks and traces but without properties."""
        return attrs.evolve(
            self,
            ids=self.background_ids,
            whole=self._twin(),
            are_background=True,
            known_traces=self.background_traces,
        )

    @functools.cached_property
    def present_traces(self) -> dict[str, Any]:
        """The traces of ROIs and of background components by kind, without None and empty ones.

        Raises
        ------
        SourceError
            When a trace has values, but other axes than (samples, ROIs).
        """
        found = self.extractor.get_traces_dict()
        present = {name: data for name, data in found.items() if is_present(data)}
        for name, data in found.items():
            axes = getattr(data, "shape", ())
            if name not in present and axes and 0 not in axes:
                raise SourceError(
                    f"The trace '{name}' of {type(self.extractor).__name__} has the shape "
                    f"{tuple(axes)}; it must be (samples, ROIs), with a column for each of "
                    f"{len(self)} ROIs."
                )
        return present

    @functools.cached_property
    def _trace_ids(self) -> dict[str, list[Any]]:
        """Return the ids of the columns by kind of trace, where the extractor states them."""
        responses = getattr(self.extractor, "_roi_responses", [])
        return {one.response_type: list(one.roi_ids) for one in responses}

    def _is_background(self, name: str, data: Any) -> bool:
        stated = self._trace_ids.get(name)
        if stated is None:
            return name == "background" and data.shape[1] == len(self.background_ids)
        return stated == self.background_ids

    def _in_order(self, name: str, data: Any) -> Any:
        if data.shape[1] != len(self):
            raise SourceError(
                f"The trace '{name}' of {type(self.extractor).__name__} has {data.shape[1]} "
                f"columns for {len(self)} ROIs; it cannot be assigned to them."
            )
        order = self._trace_ids.get(name, self.ids)
        if order != self.ids and set(order) == set(self.ids):
            return TraceView(data, [order.index(roi_id) for roi_id in self.ids])
        return data


def _is_id(value: Any) -> bool:
    return isinstance(value, _IDS) or (value is not None and not np.ndim(value))


def _ids_of(segmentation: Any) -> list[Any]:
    """Return the ids of the ROIs of a segmentation.

    Raises
    ------
    SourceError
        When they are no texts or numbers, or some are alike: traces and masks belong to ROIs by id.
    """
    given = segmentation.get_roi_ids()
    ids = list(given) if isinstance(given, Iterable) else None
    if ids is None or not all(map(_is_id, ids)):
        raise SourceError(
            f"{type(segmentation).__name__}.get_roi_ids() returned {shown(given)}; it must return "
            "a list of integers or texts, one for each ROI."
        )
    repeated = repeated_ids(ids)
    if repeated:
        raise SourceError(
            f"{type(segmentation).__name__}.get_roi_ids() returned the same id for several ROIs: "
            f"{repeated}. Give each ROI an id of its own."
        )
    return ids
