"""Pixels of the ROIs in a table, read from masks of any form in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.nwb.tables import has_rows_as_x
from nwb_ophys.reports.stored_file import StoredFile
from nwb_ophys.rois.pixel_lists import PixelLists

FORMS = ("image_mask", "pixel_mask", "voxel_mask")
"""Columns with masks; the first that a table has is read, since they are equivalent."""

_BLOCK_BYTES = 1 << 24
# Lists of pixels take 16 bytes for each; images are read where their masks are at most so large.
_MOST_PIXELS = 10_000_000
_MOST_IMAGE_BYTES = 1 << 32
_MOST_FIELD = 1 << 26
_INDEX = "_index"
_OF_NEUROCONV = (
    "NeuroConv wrote the pixels in '{}' with the row as x, but not movies and images: they are "
    "shown with x and y exchanged."
)
_WORDS = (1, 2, 4, 8)


@attrs.frozen(kw_only=True, eq=False)
class RoiPixels:
    """The pixels of the ROIs of a table.

    Attributes
    ----------
    form : str
        Column that was read.
    lists : PixelLists
        Pixels whose weight is neither 0 nor NaN; x is the column, y the row.
    every : int
        The masks of every n-th ROI were read; 1 for all. The others have no pixels in the lists.
    note : str
        What is odd about the coordinates, as a sentence; empty if nothing is.
    """

    form: str
    lists: PixelLists
    every: int = 1
    note: str = ""

    @classmethod
    def of_lists(cls, lists: PixelLists, form: str) -> RoiPixels:
        """Return the pixels in lists whose weight is not 0."""
        own = _nonzero(lists.coordinates, lists.weights, lists.ends, lists.field_shape)
        return cls(form=form, lists=own)


def form_of(file: StoredFile, table: str) -> str | None:
    """Return the form of the masks of a table; None if it has none."""
    return next((each for each in FORMS if file.is_dataset(file.member(table, each))), None)


def read_pixels(
    file: StoredFile, table: str, field: Sequence[int] | None = None
) -> RoiPixels | None:
    """Return the pixels of all ROIs of a table; None for a table without masks.

    Parameters
    ----------
    file : StoredFile
    table : str
        Path of the table.
    field : sequence of int, optional
        (columns, rows[, planes]) of the movie on the same plane, for masks that do not state it.

    Raises
    ------
    CorruptSourceError
        If the masks do not fit their index, or have too many pixels.
    """
    form = form_of(file, table)
    if form is None:
        return None
    path = file.member(table, form)
    assert path is not None
    if form == "image_mask":
        found = _from_images(file, path)
        return attrs.evolve(found, note=_of_another_size(path, found.lists.field_shape, field))
    return _from_lists(file, table, path, form, field)


def _from_lists(
    file: StoredFile, table: str, path: str, form: str, field: Sequence[int] | None
) -> RoiPixels:
    index = file.member_value(table, f"{form}{_INDEX}")
    if index is None:
        raise CorruptSourceError(f"'{path}' has no index, so that its pixels belong to no ROI.")
    ends = np.atleast_1d(np.asarray(index, dtype=np.int64))
    shape = file.shape(path) or (0,)
    if shape[0] > _MOST_PIXELS:
        raise CorruptSourceError(f"'{path}' has {shape[0]} pixels, too many to be shown.")
    if len(ends) and (ends[-1] != shape[0] or (np.diff(ends, prepend=0) < 0).any()):
        raise CorruptSourceError(
            f"'{path}' has {shape[0]} pixels, but its index ends at {ends[-1]}."
        )
    names = ("x", "y", "z")[: 3 if form == "voxel_mask" else 2]
    *given, weights = _columns(file, path, names)
    axes = _checked(path, given)
    x, y, *rest = axes
    turned, noted = _placed(path, (y, x, *rest), field)
    members = file.members.get(table, {}).items()
    described = {name: str(file.attribute(place, "description")) for name, place in members}
    if has_rows_as_x(described, form) and not noted:
        axes, note = turned, _OF_NEUROCONV.format(path)
    else:
        axes, note = _placed(path, axes, field)
    return RoiPixels(form=form, lists=_nonzero(axes, weights, ends, field), note=note)


def _checked(path: str, axes: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int32], ...]:
    """Return coordinates as integers, if they lie in a field that can be shown."""
    ends = [(axis.min(), axis.max()) for axis in axes if len(axis)]
    lowest = min((low for low, _ in ends), default=0)
    sizes = [float(high) + 1 for _, high in ends]
    if not lowest >= 0:
        raise CorruptSourceError(f"A pixel in '{path}' has the coordinate {lowest}, below 0.")
    if not max(math.prod(sizes[:2]), *sizes, 0) <= _MOST_FIELD:
        field = " × ".join(f"{size:g}" for size in sizes)
        raise CorruptSourceError(f"The pixels in '{path}' need a field of {field}, too large.")
    return tuple(axis.astype(np.int32) for axis in axes)


def _placed(
    path: str, axes: tuple[NDArray[np.int32], ...], field: Sequence[int] | None
) -> tuple[tuple[NDArray[np.int32], ...], str]:
    """Return the coordinates, x and y exchanged if only that fits the field, and a note on it."""
    if field is None or not len(axes[0]):
        return axes, ""
    x, y, *rest = axes
    columns, rows = int(x.max()) + 1, int(y.max()) + 1
    if columns <= field[0] and rows <= field[1]:
        return axes, ""
    size = f"{field[0]} × {field[1]}"
    if rows <= field[0] and columns <= field[1]:
        note = f"The pixels in '{path}' fit the field of {size} (x, y) only with x and y exchanged"
        return (y, x, *rest), f"{note}; they are shown so."
    return axes, (
        f"The pixels in '{path}' reach {columns} × {rows}, beyond the field of {size} (x, y)."
    )


def _columns(file: StoredFile, path: str, names: Sequence[str]) -> list[NDArray[Any]]:
    """Return the coordinates and weights of records, or of rows of numbers."""
    read = file.objects[path].read
    assert read is not None
    values = np.asarray(read(None))
    if values.dtype.names:
        return [np.ascontiguousarray(values[name]) for name in (*names, "weight")]
    rows: list[Any] = [
        [row[name] for name in (*names, "weight")] if isinstance(row, dict) else list(row)
        for row in values
    ]
    return list(np.array(rows, dtype=np.float64).reshape(-1, len(names) + 1).T)


def _of_another_size(path: str, own: Sequence[int], field: Sequence[int] | None) -> str:
    """Return a note on images that do not have the size of the field, for instance binned ones."""
    if field is None or all(a == b for a, b in zip(own, field, strict=False)):
        return ""
    sizes = (" × ".join(map(str, shape)) for shape in (own, field))
    return "The masks in '{}' have {} pixels (x, y), but the field {}.".format(path, *sizes)


def _nonzero(
    axes: tuple[NDArray[np.int32], ...],
    weights: NDArray[Any],
    ends: NDArray[np.int64],
    field: Sequence[int] | None,
) -> PixelLists:
    """Return lists without the pixels whose weight is 0; the field holds all pixels."""
    kept = (weights != 0) & ~np.isnan(weights)
    if not kept.all():
        axes, weights = tuple(axis[kept] for axis in axes), weights[kept]
        ends = np.concatenate([[0], np.cumsum(kept)])[ends]
    needed = [int(axis.max()) + 1 if len(axis) else 1 for axis in axes]
    if field is None or len(field) < len(axes):
        field = needed
    return PixelLists(
        coordinates=axes,
        weights=weights,
        ends=ends,
        field_shape=tuple(map(max, needed, field)),
        image_dtype=weights.dtype,
    )


def _from_images(file: StoredFile, path: str) -> RoiPixels:
    source = file.source(path)
    num_rois, *field = source.shape
    if len(field) not in (2, 3):
        raise CorruptSourceError(f"'{path}' has {len(source.shape)} axes; it must have 3 or 4.")
    if 0 in field:
        raise CorruptSourceError(f"The masks in '{path}' have no pixels: their shape is {field}.")
    of_one = max(math.prod(field) * source.dtype.itemsize, 1)
    every = 1 if source.is_sparse else max(-(-num_rois * of_one // _MOST_IMAGE_BYTES), 1)
    blocks = _stored_tiles(source) if source.is_sparse else _whole_images(source, of_one, every)
    found: list[tuple[NDArray[Any], ...]] = []
    num_pixels = 0
    # Several threads would wait for each other: most tiles are small.
    for corner, values in blocks:
        places = _nonzero_places(values)
        if values.dtype.kind == "f":  # outside of an ROI, some programs write NaN
            is_number = ~np.isnan(values[places])
            places = tuple(axis[is_number] for axis in places)
        num_pixels += len(places[0])
        if num_pixels > _MOST_PIXELS:
            raise CorruptSourceError(
                f"The masks in '{path}' have more than {_MOST_PIXELS} pixels, too many to be shown."
            )
        found.append(
            (*(axis + first for axis, first in zip(places, corner, strict=True)), values[places])
        )
    empty = (*(np.zeros(0, np.int64) for _ in source.shape), np.zeros(0, source.dtype))
    roi, *axes, weights = (np.concatenate(each) for each in zip(*(found or [empty]), strict=True))
    order = np.argsort(roi, kind="stable")
    lists = PixelLists(
        coordinates=tuple(axis[order].astype(np.int32) for axis in axes),
        weights=weights[order],
        ends=np.cumsum(np.bincount(roi, minlength=num_rois)),
        field_shape=tuple(field),
        image_dtype=source.dtype,
    )
    return RoiPixels(form="image_mask", lists=lists, every=every)


def _nonzero_places(values: NDArray[Any]) -> tuple[NDArray[np.intp], ...]:
    """Return the indices of the values that are not 0, of which most are.

    NumPy finds the used part of the last axis five times as fast as single values.
    """
    if values.dtype.itemsize not in _WORDS:
        return np.nonzero(values)
    bits = values.reshape(-1, values.shape[-1]).view(f"u{values.dtype.itemsize}")
    used = np.flatnonzero(np.bitwise_or.reduce(bits, axis=0))
    *places, last = np.nonzero(values[..., used])
    return (*places, used[last])


def _stored_tiles(source: Any) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Yield the corner and the values of the chunks that are stored; all others are zeros."""
    yield from source.nonzero_chunks(0, source.shape[0], source.chunk_shape, False)


def _whole_images(
    source: Any, of_one: int, every: int
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Yield the number and the masks of some ROIs at a time."""
    num_rois = source.shape[0]
    rest = (slice(None),) * (len(source.shape) - 1)
    corner = (0,) * len(rest)
    step = 1 if every > 1 else max(_BLOCK_BYTES // of_one, 1)
    for first in range(0, num_rois, step * every):
        stop = min(first + step, num_rois)
        yield (first, *corner), np.asarray(source.read((slice(first, stop), *rest)))
