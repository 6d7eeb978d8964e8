"""Reader of CaImAn's output, which corrects the reader of roiextractors.

That reader cannot read volumes; holds all traces in memory; reads an evaluation that accepted no
component as one that accepted all; calls the sum of the background's footprints the movie's mean;
rounds masks to float32; and does not name damaged files in errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from roiextractors import CaimanSegmentationExtractor
from roiextractors.segmentationextractor import _ROIMasks

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.rois.pixel_lists import PixelLists, RoiMaskList, field_of
from nwb_ophys.rois.properties import FastPropertiesMixin
from nwb_ophys.rois.traces import SummedTraces

_PARTS = ("estimates/A/data", "params/data/dims", "params/data/fr")
# Places of the field, (rows, columns[, planes]), in the order in which they are asked.
_DIMS = ("params/data/dims", "dims", "estimates/dims")


# Traces that may be of other components than the masks, and can be left out.
_RECOMPUTED = ("F_dff", "S")


class CaimanExtractor(FastPropertiesMixin, CaimanSegmentationExtractor):  # type: ignore[misc]
    """Components, traces and background of a file that CaImAn saved.

    Parameters
    ----------
    file_path : pathlib.Path

    Raises
    ------
    CorruptSourceError
        When CaImAn did not save the file, or it is damaged.
    """

    extractor_name = "CaimanExtractor"

    def __init__(self, file_path: Path) -> None:
        _check(Path(file_path))
        self._left_out: list[str] = []
        try:
            super().__init__(file_path)
            self._check_counts()
            self._mend_acceptance()
            self._num_planes = int((*self.get_frame_shape(), 1)[2])
        except Exception as error:  # a damaged file can raise anything
            self.__del__()
            if isinstance(error, CorruptSourceError):
                raise
            raise CorruptSourceError(
                f"'{file_path}' cannot be read as CaImAn's output: {error}. It may be damaged."
            ) from error
        if self._left_out:
            warnings.warn(
                f"'{file_path}': {'; '.join(self._left_out)}. These traces are left out; compute "
                "them again in CaImAn to have them.",
                UserWarning,
                stacklevel=2,
            )

    def _check_counts(self) -> None:
        """Check that masks and traces have the same components, samples and field."""
        masks, pixels = int(self._estimates["A/shape"][1]), int(self._estimates["A/shape"][0])
        field = tuple(map(int, self.get_frame_shape()))
        self.get_sampling_frequency()  # raises where it is not a number
        faults = {f"A has {pixels} pixels for a field of {field}": pixels != np.prod(field)}
        for response in self._roi_responses:
            of_background = response.response_type == "background"
            samples, components = response.data.shape
            faults |= {
                f"the {response.response_type} traces are of {components} components, the masks of "
                f"{masks}": not of_background and components != masks,
                f"the {response.response_type} traces have {samples} samples, the first ones "
                f"{self.get_num_samples()}": masks > 0 and samples != self.get_num_samples(),
            }
        for name, image in self._summary_images.items():
            faults[f"the {name} image has the shape {image.shape}"] = image.shape != field
        fault = next((what for what, is_wrong in faults.items() if is_wrong), None)
        if fault is not None:
            raise CorruptSourceError(
                f"'{self.file_path}' is damaged or incomplete: {fault} in its estimates."
            )

    def _mend_acceptance(self) -> None:
        """Keep acceptance only where CaImAn evaluated components."""
        roi_ids = self.get_roi_ids()
        rejected = self._indices("idx_components_bad")
        accepted = self._indices("idx_components")
        if not any(indices is not None and len(indices) for indices in (accepted, rejected)):
            self._properties.pop("is_accepted", None)
            return
        flags = np.zeros(len(roi_ids), dtype=bool)
        flags[accepted if accepted is not None else []] = True
        description = "Whether CaImAn's evaluation accepted the component."
        self.set_property("is_accepted", flags, roi_ids, description=description)

    def _indices(self, name: str) -> Any:
        """Return indices of components; None where CaImAn wrote a placeholder."""
        dataset = self._estimates.get(name)
        if dataset is None or dataset.ndim != 1:
            return None
        return dataset[:].astype(int)

    def get_frame_shape(self) -> tuple[int, ...]:
        """Return (rows, columns[, planes])."""
        dims = _stated_dims(self._dataset_file)  # present, since the file was checked
        return () if dims is None else tuple(int(size) for size in dims)

    def _raw_trace_extractor_read(self) -> SummedTraces | None:
        """Return the sum of the denoised traces and their residuals, computed when sliced."""
        parts = [self._trace_extractor_read(name) for name in ("C", "YrA")]
        return None if any(part is None for part in parts) else SummedTraces(*parts)

    def _trace_extractor_read(self, field: str) -> Any:
        """Return a trace, (samples, components), or None where it is absent or of others.

        After components were merged or removed by hand, traces that CaImAn did not compute again
        are still those of the former components.
        """
        stored, count = self._estimates.get(field), int(self._estimates["A/shape"][1])
        is_matrix = isinstance(stored, h5py.Dataset) and stored.ndim == 2
        if field in _RECOMPUTED and is_matrix and stored.shape[0] != count:
            self._left_out.append(
                f"{field} is of {stored.shape[0]} components, the masks of {count}"
            )
            return None
        return super()._trace_extractor_read(field)

    def _summary_image_read(self) -> None:
        """Return None: the background's footprints are not the mean of the movie."""

    def _create_roi_masks(self) -> _ROIMasks | None:
        """Return the footprints of components and of the background from CaImAn's matrices.

        The matrices are sparse by column, and number the pixels of the field column by column,
        those of a volume plane by plane.
        """
        from scipy.sparse import csc_matrix

        parts = [self._estimates[f"A/{part}"] for part in ("data", "indices", "indptr")]
        if not all(part.ndim for part in parts):
            return None
        # roiextractors treats a matrix without weights as absent, and so drops the background.
        values = tuple(part[:] for part in parts)
        cells = csc_matrix(values, shape=tuple(self._estimates["A/shape"][:]))
        dense = self._background(cells)
        component, place = np.nonzero(dense)
        kept = cells.data != 0
        places = np.concatenate([cells.indices[kept], place])
        counts = np.bincount(component, minlength=len(dense))
        ends = np.append(0, np.cumsum(kept))[cells.indptr[1:]]
        frame_shape = tuple(map(int, self.get_frame_shape()))
        rows, columns, *planes = np.unravel_index(places, frame_shape, order="F")
        pixels = PixelLists(
            coordinates=tuple(axis.astype(np.int32) for axis in (columns, rows, *planes)),
            weights=np.concatenate([cells.data[kept], dense[component, place]]),
            ends=np.append(ends, np.count_nonzero(kept) + np.cumsum(counts)),
            field_shape=field_of(frame_shape),
            image_dtype=cells.dtype,
        )
        ids = list(range(cells.shape[1])) if self._roi_ids is None else list(self._roi_ids)
        ids += [f"background{index}" for index in range(len(dense))]
        id_map = {roi_id: index for index, roi_id in enumerate(ids)}
        form = "nwb-voxel_mask" if planes else "nwb-pixel_mask"
        return _ROIMasks(RoiMaskList(pixels), form, frame_shape, id_map)

    def _background(self, cells: Any) -> NDArray[Any]:
        """Return the footprints of the background, (components, pixels).

        CaImAn stores them as an array, or as a sparse matrix like that of the components.
        """
        stored = self._estimates.get("b")
        if isinstance(stored, h5py.Group):
            parts = tuple(stored[part][:] for part in ("data", "indices", "indptr"))
            return type(cells)(parts, shape=tuple(stored["shape"][:])).toarray().T  # type: ignore[no-any-return]
        is_absent = stored is None or self._is_scalar_dataset(stored)
        dense = np.zeros((cells.shape[0], 0), cells.dtype) if is_absent else stored[()]
        return np.asarray(dense).reshape(len(dense), -1).T

    def get_ragged_pixels(self, ids: Sequence[Any], of_background: bool = False) -> PixelLists:
        """Return the pixels of components, in the precision that CaImAn wrote."""
        indices = [self._roi_masks.roi_id_map[component] for component in ids]
        return self._roi_masks.data.pixels.take(indices)  # type: ignore[no-any-return]

    def get_roi_image_masks(self, roi_ids: Any = None) -> NDArray[Any]:
        """Return masks, (rows, columns[, planes], components), in the precision of CaImAn.

        roiextractors rounds them to float32.
        """
        return self._images(self.get_roi_ids() if roi_ids is None else roi_ids)

    def get_background_image_masks(self, background_ids: Any = None) -> NDArray[Any]:
        """Return masks of background components, (rows, columns[, planes], components)."""
        return self._images(self.get_background_ids() if background_ids is None else background_ids)

    def _images(self, ids: Any) -> NDArray[Any]:
        images = np.zeros((*self.get_frame_shape(), len(ids)), self._estimates["A/data"].dtype)
        for position, component in enumerate(ids):
            *axes, weights = self._roi_masks.get_roi_pixel_mask(component).T
            images[(*(axis.astype(int) for axis in axes), position)] = weights
        return images

    def __del__(self) -> None:
        if getattr(self, "_dataset_file", None) is not None:
            self._dataset_file.close()


def _stated_dims(file: h5py.File) -> NDArray[Any] | None:
    """Return the field from the first place with numbers; CaImAn writes None in others."""
    for place in _DIMS:
        stored = file.get(place)
        if isinstance(stored, h5py.Dataset) and stored.dtype.kind in "iuf":
            return np.asarray(stored[()]) if stored.shape in ((2,), (3,)) else None
    return None


def _check(path: Path) -> None:
    if path.is_dir():
        raise CorruptSourceError(f"'{path}' is a folder; give the HDF5 file that CaImAn saved.")
    try:
        with h5py.File(path, "r") as file:
            missing = [part for part in _PARTS if part not in file]
            if missing:
                raise CorruptSourceError(
                    f"'{path}' is not CaImAn's output: it has no {missing[0]}. Give the HDF5 file "
                    "that CaImAn's save() wrote."
                )
            if _stated_dims(file) is None:
                raise CorruptSourceError(
                    f"'{path}' does not state the field: params/data/dims must hold rows and "
                    "columns, and planes if there are several."
                )
    except (OSError, RuntimeError, KeyError, UnicodeError) as error:
        raise CorruptSourceError(f"'{path}' is not a whole HDF5 file: {error}.") from error
