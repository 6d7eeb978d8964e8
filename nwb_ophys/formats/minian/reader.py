"""Reader of Minian's output: a folder of Zarr stores, one for each variable.

roiextractors' own reader is not used. It renumbers the ROIs but gives their labels as ids, so that
masks of units with gaps in their labels are not found; orders traces by the files, not by the
labels; gives the background's trace to the cell where there is one cell; refuses folders without
background, without timeStamps.csv, and without a ``.zgroup``, which Minian does not write; drops
frames that have no timestamp; and leaves out ``c0``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import SegmentationExtractor
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.minian.times import sample_times
from nwb_ophys.formats.minian.zarr_variables import ZarrVariable, open_zarr_variable
from nwb_ophys.remote.paths import as_path
from nwb_ophys.rois.pixel_lists import PixelLists, field_of
from nwb_ophys.rois.properties import FastPropertiesMixin, repeated_ids
from nwb_ophys.rois.traces import Response, TraceView


def unit_labels(variable: ZarrVariable) -> list[int]:
    """Return the labels of the units of a variable; their positions where it has no labels.

    Raises
    ------
    CorruptSourceError
        When the labels are repeated, or their number differs from the number of units.
    """
    num_units = variable.shape[0] if variable.name == "A" else variable.shape[1]
    labels = variable.coordinate("unit_id")
    if labels is None:
        return list(range(num_units))
    repeated = repeated_ids(labels.tolist()) if labels.ndim else ""
    if labels.shape != (num_units,) or repeated:
        raise CorruptSourceError(
            f"'{variable.store}' has {num_units} units, but its unit_id are "
            f"{labels.tolist()[:10] if labels.ndim else labels.item()}"
            f"{f', with repeated ones: {repeated}' if repeated else ''}; each must have its own."
        )
    return [int(label) for label in labels]


def labels_by_hand(
    variables: Sequence[tuple[ZarrVariable, list[int]]], unit_ids: Sequence[int]
) -> NDArray[np.int64] | None:
    """Return the label that a user gave each unit in Minian; None where there are no labels.

    Labels that do not fit the units, or differ between the variables, are left out with a warning.

    Parameters
    ----------
    variables : sequence of (ZarrVariable, list of int)
        The variables, each with its ``unit_id``.
    unit_ids : sequence of int
        The units, in the order of the result.
    """
    found: NDArray[np.int64] | None = None
    for variable, own_ids in variables:
        labels = variable.coordinate("unit_labels")
        if labels is None:
            continue
        fault = _fault_of_labels(labels, len(own_ids))
        if fault is None:
            of_unit = dict(zip(own_ids, np.asarray(labels).astype(np.int64), strict=True))
            ordered = np.array([of_unit[unit] for unit in unit_ids], dtype=np.int64)
            found = ordered if found is None else found
            if np.array_equal(found, ordered):
                continue
            fault = "differ from those of the other variables"
        warnings.warn(
            f"The unit_labels of '{variable.store}' {fault}; no label is read, so that no unit is "
            "accepted or rejected. Save the labels again in Minian to have them.",
            UserWarning,
            stacklevel=5,
        )
        return None
    return found


def _fault_of_labels(labels: NDArray[Any], num_units: int) -> str | None:
    if labels.shape != (num_units,):
        return f"have the shape {labels.shape} for {num_units} units"
    is_number = labels.dtype.kind in "iuf" and bool(np.all(np.equal(np.mod(labels, 1), 0)))
    return None if is_number else "are not whole numbers"


def frame_numbers(variable: ZarrVariable) -> NDArray[Any] | None:
    """Return the number of each sample's frame in the recorded movie; None where not stated.

    Raises
    ------
    CorruptSourceError
        When the numbers are repeated, or their count differs from the number of samples.
    """
    frames = variable.coordinate("frame")
    if frames is None:
        return None
    if frames.shape != variable.shape[:1] or len(np.unique(frames)) != len(frames):
        raise CorruptSourceError(
            f"'{variable.store}' has {variable.shape[0]} samples, but its coordinate 'frame' has "
            f"{frames.size} values, {len(np.unique(frames))} of them different."
        )
    return frames


def check_frames(
    variable: ZarrVariable, own: NDArray[Any] | None, frames: NDArray[Any] | None, num_samples: int
) -> None:
    """Check that a trace has the same frames as the others.

    Raises
    ------
    CorruptSourceError
    """
    if variable.shape[0] != num_samples:
        raise CorruptSourceError(
            f"'{variable.store}' has {variable.shape[0]} samples, the other traces {num_samples}; "
            "they must be of the same frames."
        )
    if own is not None and frames is not None and not np.array_equal(own, frames):
        raise CorruptSourceError(f"'{variable.store}' is of other frames than the other traces.")


# Bytes of dense footprints that are searched for pixels at a time.
_BLOCK_BYTES = 64_000_000

# Kinds of traces by the names of Minian's variables.
_TRACES = {"C": "denoised", "S": "deconvolved", "b0": "baseline", "c0": "c0"}
_FIELD = ("height", "width")


class MinianExtractor(FastPropertiesMixin, SegmentationExtractor):  # type: ignore[misc]
    """Units, their traces and the background that Minian found.

    Parameters
    ----------
    folder_path : pathlib.Path
        The folder that holds ``A.zarr``, ``C.zarr`` and others.
    sampling_frequency : float, optional
        Samples of the traces per second; required without a table of timestamps.
    timestamps_path : pathlib.Path, optional
        The table of timestamps; by default ``timeStamps.csv`` in the folder or its parent.

    Raises
    ------
    CorruptSourceError
        When a store or table is damaged or does not fit the others.
    SourceError
        When neither a table nor an argument states the times of the samples.
    """

    extractor_name = "MinianExtractor"

    def __init__(
        self,
        folder_path: Path,
        sampling_frequency: float | None = None,
        timestamps_path: Path | None = None,
    ) -> None:
        super().__init__()
        self.folder_path = as_path(folder_path)
        footprints = self._open("A", ("unit_id", *_FIELD))
        if footprints is None:
            raise CorruptSourceError(
                f"'{folder_path}' is not a folder of Minian: it has no A.zarr. Give the folder in "
                "which Minian saved A.zarr, C.zarr and others."
            )
        self._footprints = footprints
        self._sampling_frequency = sampling_frequency
        self._unit_ids = unit_labels(footprints)
        self._labelled = [(footprints, self._unit_ids)]
        self._traces, frames = self._open_traces()
        self._set_labels()
        self._open_background(frames)
        image = self._open("max_proj", _FIELD)
        if image is not None:
            self._check_field(image)
            image.check_complete()
            self._summary_images["maximum_projection"] = image[:]
        self._native_times = sample_times(
            self.folder_path, frames, self.get_num_samples(), sampling_frequency, timestamps_path
        )

    def _open(
        self, name: str, dimensions: Sequence[str], saved: Sequence[str] | None = None
    ) -> ZarrVariable | None:
        return open_zarr_variable(self.folder_path / f"{name}.zarr", dimensions, saved)

    def _check_field(self, variable: ZarrVariable) -> None:
        if variable.shape[-2:] != self.get_frame_shape():
            raise CorruptSourceError(
                f"'{variable.store}' is of {variable.shape[-2:]} pixels, A.zarr of "
                f"{self.get_frame_shape()}; they must be of the same field."
            )

    def _open_traces(self) -> tuple[dict[str, TraceView], NDArray[Any] | None]:
        """Return the traces, with columns in the order of the units, and the frames' numbers."""
        traces: dict[str, TraceView] = {}
        frames: NDArray[Any] | None = None
        for name, kind in _TRACES.items():
            variable = self._open(name, ("frame", "unit_id"), saved=("unit_id", "frame"))
            if variable is None:
                continue
            own_frames = frame_numbers(variable)
            if traces:
                check_frames(variable, own_frames, frames, len(next(iter(traces.values()))))
            else:
                frames = own_frames
            variable.check_complete()
            traces[kind] = TraceView(variable, self._columns(variable))
            self._labelled.append((variable, unit_labels(variable)))
        if not traces:
            raise CorruptSourceError(
                f"'{self.folder_path}' has footprints in A.zarr, but no traces in "
                f"{' or '.join(f'{name}.zarr' for name in _TRACES)}; the folder is incomplete."
            )
        self._roi_responses = [
            Response(kind, trace, list(self._unit_ids)) for kind, trace in traces.items()
        ]
        return traces, frames

    def _set_labels(self) -> None:
        """Set the curation by hand as properties: the labels, and which units were kept."""
        labels = labels_by_hand(self._labelled, self._unit_ids)
        if labels is None or not len(labels):
            return
        what = (
            "Label that the user gave the unit in Minian: -1 for a discarded unit; units with the "
            "same label were merged, they are one cell."
        )
        self.set_property("unit_labels", labels, self._unit_ids, description=what)
        kept = "Whether the unit was not discarded by the user in Minian."
        self.set_property("is_accepted", labels != -1, self._unit_ids, description=kept)

    def _columns(self, variable: ZarrVariable) -> list[int]:
        """Return the column of each unit's trace, found by label rather than by order."""
        labels = unit_labels(variable)
        position = {label: index for index, label in enumerate(labels)}
        if set(labels) != set(self._unit_ids):
            odd = sorted(set(labels) ^ set(self._unit_ids))
            raise CorruptSourceError(
                f"'{variable.store}' has {len(labels)} units, A.zarr {len(self._unit_ids)}; "
                f"in one of them only are the unit_id {odd[:10]}."
            )
        return [position[label] for label in self._unit_ids]

    def _open_background(self, frames: NDArray[Any] | None) -> None:
        """Open the single background component, whose footprint or trace may be missing."""
        self._background = self._open("b", _FIELD)
        trace = self._open("f", ("frame",))
        if self._background is not None:
            self._check_field(self._background)
            self._background.check_complete()
        self._background_ids = [] if self._background is trace is None else ["background0"]
        if trace is None:
            return
        check_frames(trace, frame_numbers(trace), frames, self.get_num_samples())
        trace.check_complete()
        if self._background is None:
            warnings.warn(
                f"'{self.folder_path}' has the background's trace in f.zarr, but no b.zarr: the "
                "footprint of the background is written empty.",
                UserWarning,
                stacklevel=4,
            )
        values = trace[:][:, np.newaxis]
        self._roi_responses.append(Response("background", values, list(self._background_ids)))

    # --- what the files hold --------------------------------------------------------------------

    def get_frame_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        rows, columns = self._footprints.shape[1:]
        return rows, columns

    def field_coordinates(self) -> dict[str, NDArray[Any] | None]:
        """Return the positions of rows, ``height``, and columns, ``width``, in the movie."""
        return {name: self._footprints.coordinate(name) for name in _FIELD}

    def stated_text(self, name: str) -> str | None:
        """Return a text stored with the units, such as ``animal``; None where it is absent."""
        value = self._footprints.coordinate(name)
        return str(value.item()) or None if value is not None and value.size == 1 else None

    def get_roi_ids(self) -> list[int]:
        """Return Minian's labels of the units, ``unit_id``."""
        return list(self._unit_ids)

    def get_num_rois(self) -> int:
        """Return the number of units."""
        return len(self._unit_ids)

    def get_background_ids(self) -> list[str]:
        """Return ``background0`` where there is a background, else an empty list."""
        return list(self._background_ids)

    def get_num_background_components(self) -> int:
        """Return 1 where there is a background, else 0."""
        return len(self._background_ids)

    def get_num_samples(self) -> int:
        """Return the number of samples of the traces."""
        return len(next(iter(self._traces.values())))

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times that the table of timestamps states, in seconds; None without one."""
        if self._native_times is None:
            return None
        return self._native_times[start_sample:end_sample]

    # --- footprints -----------------------------------------------------------------------------

    @cached_property
    def _pixels(self) -> PixelLists:
        """The pixels of all units, found a block of units at a time."""
        num_units, rows, columns = self._footprints.shape
        parts: list[tuple[NDArray[Any], ...]] = []
        per_unit = max(rows * columns * self._footprints.dtype.itemsize, 1)
        chunk = self._footprints.chunks[0]
        step = max(_BLOCK_BYTES // per_unit // chunk, 1) * chunk
        for start in range(0, num_units, step):
            block = self._footprints[start : start + step]
            unit, row, column = np.nonzero(block)
            weights = block[unit, row, column]
            parts.append((unit + start, row.astype(np.int32), column.astype(np.int32), weights))
        nothing = [np.zeros(0, kind) for kind in (np.intp, np.int32, np.int32)]
        parts.append((*nothing, np.zeros(0, self._footprints.dtype)))
        joined: list[NDArray[Any]] = [np.concatenate(each) for each in zip(*parts, strict=True)]
        units, y, x, weights_of_all = joined
        counts = np.bincount(units, minlength=num_units)
        self._check_numbers(units[~np.isfinite(weights_of_all)])
        self._warn_of_empty_units(counts)
        self._warn_of_partial_units(counts, (units, y, x))
        return PixelLists(
            coordinates=(x, y),
            weights=weights_of_all,
            ends=np.cumsum(counts, dtype=np.int64),
            field_shape=field_of((rows, columns)),
            image_dtype=self._footprints.dtype,
        )

    def _check_numbers(self, units: NDArray[Any]) -> None:
        """Raise if units have pixels that are not numbers: the fill value of absent chunks."""
        if len(units):
            ids = [self._unit_ids[index] for index in np.unique(units)]
            missing, total = self._footprints.num_missing_chunks()
            raise CorruptSourceError(
                f"'{self._footprints.store}' has pixels that are not numbers in {len(ids)} units "
                f"(unit_id {ids[:10]}), and {missing} of its {total} chunks have no file; copy the "
                "folder again."
            )

    def _warn_of_empty_units(self, counts: NDArray[Any]) -> None:
        empty = [self._unit_ids[index] for index in np.flatnonzero(counts == 0)]
        missing, total = self._footprints.num_missing_chunks()
        if empty:
            warnings.warn(
                f"{len(empty)} of {len(counts)} units in '{self._footprints.store}' have no pixel "
                f"(unit_id {empty[:10]}), and {missing} of its {total} chunks have no file; the "
                "folder may be incomplete.",
                UserWarning,
                stacklevel=4,
            )

    def _warn_of_partial_units(
        self, counts: NDArray[Any], pixels: tuple[NDArray[Any], ...]
    ) -> None:
        """Warn of units with pixels some of whose chunks have no file, if zeros have files."""
        absent = self._footprints.parts_of_absent_chunks()
        if not absent:
            return
        sizes, shape = self._footprints.chunks, self._footprints.shape
        tiles = np.unique([axis // size for axis, size in zip(pixels, sizes, strict=True)], axis=1)
        num_parts, *per_part = (-(-n // size) for n, size in zip(shape, sizes, strict=True))
        filled = np.bincount(tiles[0], minlength=num_parts)
        whole = np.setdiff1d(np.arange(num_parts), absent)
        stores_zeros = bool((filled[whole] < np.prod(per_part)).any())
        lost = [i for i in np.flatnonzero(counts) if i // sizes[0] in absent]
        if stores_zeros and lost:
            ids = [self._unit_ids[index] for index in lost]
            warnings.warn(
                f"'{self._footprints.store}' lacks the files of some chunks of {len(ids)} units "
                f"(unit_id {ids[:10]}), although it has files of zeros: parts of their footprints "
                "may be missing. Copy the folder again.",
                UserWarning,
                stacklevel=4,
            )

    def _indices(self, roi_ids: Sequence[Any] | None) -> list[int]:
        position = {label: index for index, label in enumerate(self._unit_ids)}
        ids = self._unit_ids if roi_ids is None else roi_ids
        unknown = [each for each in ids if each not in position]
        if unknown:
            raise SourceError(
                f"'{self.folder_path}' has no units {unknown[:10]}; unit_id are "
                f"{self._unit_ids[:10]}{', …' if len(self._unit_ids) > 10 else ''}."
            )
        return [position[each] for each in ids]

    def get_ragged_pixels(
        self, ids: Sequence[Any], of_background: bool = False
    ) -> PixelLists | None:
        """Return the pixels of units; None for the background, an image that fills the field."""
        return None if of_background else self._pixels.take(self._indices(ids))

    def get_roi_image_masks(self, roi_ids: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return footprints, (rows, columns, units), in Minian's precision."""
        chosen = self._pixels.take(self._indices(roi_ids))
        images = np.zeros((*self.get_frame_shape(), len(chosen)), self._footprints.dtype)
        column, row = chosen.coordinates
        images[row, column, np.repeat(np.arange(len(chosen)), chosen.counts)] = chosen.weights
        return images

    def get_roi_pixel_masks(self, roi_ids: Sequence[Any] | None = None) -> list[NDArray[Any]]:
        """Return the pixels of each unit: (row, column, weight)."""
        return [mask[:, [1, 0, 2]] for mask in self._pixels.take(self._indices(roi_ids))]

    def get_background_image_masks(self, background_ids: Any = None) -> NDArray[Any]:
        """Return the footprint of the background, (rows, columns, components)."""
        ids = self._background_ids if background_ids is None else list(background_ids)
        if self._background is None or not ids:
            return np.zeros((*self.get_frame_shape(), len(ids)))
        return np.repeat(self._background[:][..., np.newaxis], len(ids), axis=2)

    def get_background_pixel_masks(self, background_ids: Any = None) -> list[NDArray[Any]]:
        """Return the non-zero pixels of the background: (row, column, weight)."""
        images = np.moveaxis(self.get_background_image_masks(background_ids), -1, 0)
        return [np.column_stack([*np.nonzero(each), each[np.nonzero(each)]]) for each in images]
