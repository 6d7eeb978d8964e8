"""Tables of ROIs in NWB files: masks, properties and the field that they lie in."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, first_of
from nwb_ophys.rois.pixel_lists import PixelLists, field_of
from nwb_ophys.storage import check_complete
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.writers.roi_columns import CENTROIDS, OWN_CENTROIDS

_MASKS = ("image_mask", "pixel_mask", "voxel_mask")
# Columns that become properties of another name.
_ACCEPTANCE = {
    "accepted": "is_accepted",
    "is_accepted": "is_accepted",
    "rejected": "is_rejected",
    "is_rejected": "is_rejected",
}
# Columns with the result of a classifier, which state acceptance where no other column does.
_CLASSIFIED = ("iscell", "is_cell")
_MOST_LISTED = 5
# Properties that state acceptance, which columns of such a name need not do.
_PROPERTIES = {"is_accepted", "is_rejected", "iscell"}


def mask_name(table: Any) -> str:
    """Return the form of a table's masks; the first of several, which are equivalent."""
    return next(name for name in _MASKS if name in table.colnames)


# Descriptions that NeuroConv gives to its own columns, beside which pynwb's stand for masks.
_OF_NEUROCONV = {
    "roi_name": "The unique identifier for each ROI.",
    "ROICentroids": "The x, y, (z) centroids of each ROI.",
}
_OF_PYNWB = {
    "pixel_mask": "Pixel masks for each ROI",
    "voxel_mask": "Voxel masks for each ROI",
}


def has_rows_as_x(descriptions: Mapping[str, str], mask: str) -> bool:
    """Return whether NeuroConv wrote the lists of pixels of a table: their x is the row.

    Its movies, image masks and summary images have the column as x.

    Parameters
    ----------
    descriptions : mapping of str to str
        Those of the columns of the table.
    mask : str
        The form of the masks.
    """
    is_its_own = any(descriptions.get(name) == text for name, text in _OF_NEUROCONV.items())
    return is_its_own and descriptions.get(mask, "") == _OF_PYNWB.get(mask)


def is_of_suite2p(table: Any) -> bool:
    """Return whether Suite2p itself wrote a table: lists of pixels in which x is the row."""
    is_its_own = table.description == "suite2p output" and "iscell" in table.colnames
    return is_its_own and "image_mask" not in table.colnames


def field_shape(nwbfile: Any, table: Any, mask: str) -> tuple[int, ...] | None:
    """Return the field, (columns, rows[, planes]), of the image masks or a series on the plane.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    table : pynwb.ophys.PlaneSegmentation
    mask : str
        The form of the table's masks.
    """
    if mask == "image_mask":
        return tuple(int(size) for size in table[mask].data.shape[1:])
    num_axes = 3 if mask == "voxel_mask" else 2
    plane = table.imaging_plane
    on_plane = [o for o in nwbfile.objects.values() if getattr(o, "imaging_plane", None) is plane]
    shapes: list[Any] = []
    for series in [*(table.reference_images or ()), *on_plane]:
        shapes.append(np.shape(getattr(series, "data", ()))[1:])
        dimension = getattr(series, "dimension", None)
        shapes.append(() if dimension is None else np.ravel(dimension))
    images = {np.shape(image.data) for image in _gray_images(nwbfile).values()}
    # If all images have one size, they show one field.
    shapes += images if len(images) == 1 else ()
    whole = (shape for shape in shapes if len(shape) == num_axes and all(shape))
    return next((tuple(int(size) for size in shape) for shape in whole), None)


def pixels_of(table: Any, mask: str, field: tuple[int, ...] | None) -> PixelLists:
    """Return the pixels of all ROIs: x is the column, y the row.

    Parameters
    ----------
    table : pynwb.ophys.PlaneSegmentation
    mask : {"pixel_mask", "voxel_mask"}
    field : tuple of int or None
        (columns, rows[, planes]); None for a field as large as the masks need, with a warning.

    Raises
    ------
    CorruptSourceError
        When pixels lie beyond the field, or do not follow one another.
    """
    index = table[mask]
    ends, target = np.asarray(check_stored(index.data)[:], dtype=np.int64), index.target.data
    check_stored(getattr(target, "dataset", target))  # hdmf wraps records
    names = ("x", "y", "z")[: 3 if mask == "voxel_mask" else 2]
    columns = _columns(target, names)
    if len(ends) != len(table.id) or (len(ends) and ends[-1] != len(columns[-1])):
        raise CorruptSourceError(
            f"'{table.name}' has {len(ends)} lists of {len(columns[-1])} pixels for "
            f"{len(table.id)} ROIs, the last of which ends at {ends[-1] if len(ends) else 0}."
        )
    for axis, column in zip(names, columns, strict=False):
        odd = column[column != np.floor(column)] if column.dtype.kind == "f" else column[:0]
        if len(odd):
            raise CorruptSourceError(
                f"'{table.name}' has a pixel at {axis} = {odd[0]:g}; coordinates of pixels must be "
                "whole numbers, from 0."
            )
    coordinates = tuple(column.astype(np.int32) for column in columns[:-1])
    coordinates = _columns_as_x(table, mask, coordinates, field)
    needed = tuple(int(axis.max()) + 1 if len(axis) else 1 for axis in coordinates)
    if field is None:
        field = needed
        warnings.warn(
            f"The file does not state how large the field of '{table.name}' is; it is taken to be "
            f"{needed} ({', '.join(names)}) pixels, as its masks need.",
            UserWarning,
            stacklevel=5,
        )
    elif any(size > limit for size, limit in zip(needed, field, strict=True)):
        coordinates = _swapped(table, coordinates, needed, field)
    return PixelLists(
        coordinates=coordinates,
        weights=columns[-1],
        ends=ends,
        field_shape=field,
        image_dtype=columns[-1].dtype if columns[-1].dtype.kind == "f" else np.float32,
    )


def _columns_as_x(
    table: Any, mask: str, coordinates: tuple[NDArray[Any], ...], field: tuple[int, ...] | None
) -> tuple[NDArray[Any], ...]:
    """Return coordinates in which x is the column, also for lists of NeuroConv, with a note."""
    x, y, *rest = coordinates
    turned = (y, x, *rest)
    fits = field is None or all(
        not len(axis) or axis.max() < size for axis, size in zip(turned, field, strict=True)
    )
    descriptions = {column.name: str(column.description) for column in table.columns}
    if not has_rows_as_x(descriptions, mask) or not fits:
        return coordinates
    warnings.warn(
        f"'{table.name}' was written by NeuroConv, which calls the row x in lists of pixels, but "
        "not in movies and images. Its masks are read with x and y exchanged, as they lie on the "
        "movie.",
        UserWarning,
        stacklevel=6,
    )
    return turned


def _columns(target: Any, names: Sequence[str]) -> list[NDArray[Any]]:
    """Return the coordinates and the weights of a compound dataset, or a list of tuples."""
    whole = target[:]
    if isinstance(whole, np.ndarray) and whole.dtype.names:
        return [np.ascontiguousarray(whole[name]) for name in (*names, "weight")]
    rows = np.array([tuple(row) for row in whole], dtype=float).reshape(-1, len(names) + 1)
    return [*rows[:, :-1].T, rows[:, -1].astype(np.float32)]


def _swapped(table: Any, coordinates: Any, needed: Any, field: Any) -> Any:
    """Return x and y exchanged, where only that fits the field."""
    x, y, *rest = coordinates
    if needed[1] <= field[0] and needed[0] <= field[1] and tuple(needed[2:]) <= tuple(field[2:]):
        warnings.warn(
            f"The masks of '{table.name}' fit the field of {field} (x, y) pixels only with x and y "
            "in each other's place; they are read so.",
            UserWarning,
            stacklevel=6,
        )
        return (y, x, *rest)
    raise CorruptSourceError(
        f"The masks of '{table.name}' reach {needed} (x, y) pixels, beyond the field of {field}."
    )


def properties_of(table: Any, has_weights: bool = True) -> dict[str, tuple[NDArray[Any], str]]:
    """Return values and description of the columns other than masks, by name of the property.

    Centroids are left out where this package computed them of masks, from which they follow.

    Parameters
    ----------
    table : pynwb.ophys.PlaneSegmentation
    has_weights : bool
        False for lists of pixels that are all empty, as of a file that was written without masks.
    """
    found: dict[str, tuple[NDArray[Any], str]] = {}
    left_out = []
    for name in table.colnames:
        if name in _MASKS:
            continue
        column = table[name]
        is_own = str(getattr(column, "description", "")).startswith(OWN_CENTROIDS)
        if name == CENTROIDS and is_own and has_weights:
            continue
        data = check_stored(column.data)
        is_plain = type(column).__name__ in ("VectorData", "EnumData") and not _refers(data)
        if not is_plain:
            left_out.append(name)
            continue
        values = np.asarray(data[:])
        if type(column).__name__ == "EnumData":
            values = _names_of(column, values)
        if values.dtype.kind == "O":
            values = np.array([_text(value) for value in values])
        if name == "iscell" and values.ndim == 2 and values.shape[1] == 2:  # Suite2p's own export
            found["iscell"] = (values[:, 0], "Whether the ROI is a cell.")
            found["iscell_probability"] = (values[:, 1], "Probability that the ROI is a cell.")
            continue
        found[name] = (values, column.description)
    if left_out:
        warnings.warn(
            f"The columns {', '.join(left_out)} of '{table.name}' are lists or references, and are "
            "left out.",
            UserWarning,
            stacklevel=4,
        )
    return with_acceptance(found)


def warn_of_references(nwbfile: Any, table: Any) -> None:
    """Warn of the series that a table names as those its ROIs were made from.

    Those that lie elsewhere in the file are copied as movies, but the new table does not name them.
    Those that lie in the table itself are not copied.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    table : pynwb.ophys.PlaneSegmentation
    """
    series = list(table.reference_images or ())
    inner = [f"'{table.name}/{each.name}'" for each in series if each.parent is table]
    named = [f"'{each.name}'" for each in series if each.parent is not table]
    said = []
    if inner:
        said.append(
            f"holds the reference images {first_of(inner, _MOST_LISTED)}, which are left out"
        )
    if named:
        said.append(
            f"names the reference images {first_of(named, _MOST_LISTED)}, which its copy does not"
        )
    if said:
        warnings.warn(
            f"'{table.name}' of '{nwbfile.container_source}' {', and '.join(said)}. Add them to "
            "the new table with pynwb.",
            UserWarning,
            stacklevel=4,
        )


def _names_of(column: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Return the elements of a column of choices, which stores their positions."""
    names = np.asarray(check_stored(column.elements.data)[:])
    if len(values) and not 0 <= values.min() <= values.max() < len(names):
        raise CorruptSourceError(
            f"The column '{column.name}' has the value {values.max()}, of {len(names)} elements."
        )
    return names[values.astype(np.int64)]


def with_acceptance(
    columns: dict[str, tuple[NDArray[Any], str]],
) -> dict[str, tuple[NDArray[Any], str]]:
    """Return columns with those of acceptance under the names of such properties.

    Acceptance and rejection of other authors may be spelled in small letters. Where neither flags
    any ROI, nobody has decided, and they remain plain columns, as does ``iscell`` beside them.
    """
    stating = {
        name: _ACCEPTANCE[name.lower()]
        for name, (values, _) in columns.items()
        if name.lower() in _ACCEPTANCE and _are_flags(values)
    }
    is_undecided = len(set(stating.values())) == 2 and not any(
        np.any(columns[name][0]) for name in stating
    )
    if is_undecided or len(set(stating.values())) < len(stating):
        stating = {}
    if not stating:
        classified = [name for name in _CLASSIFIED if name in columns]
        stating = {name: "is_accepted" for name in classified[:1] if _are_flags(columns[name][0])}
    names = {name: stating.get(name, name) for name in columns}
    for name in _PROPERTIES & names.keys() - stating.keys():
        if name != "iscell" or not _are_flags(columns[name][0]):
            names[name] = f"roi_{name}"  # of another meaning, or undecided: no acceptance
    return {
        names[name]: (values.astype(bool) if name in stating else values, description)
        for name, (values, description) in columns.items()
    }


def _are_flags(values: NDArray[Any]) -> bool:
    """Return whether there is one flag for each ROI: 0 or 1, or a truth value."""
    is_number = values.ndim == 1 and values.dtype.kind in "biuf"
    return is_number and bool(np.isin(values, (0, 1)).all())


def _refers(data: Any) -> bool:
    first = data[0] if len(data) else 0
    return not isinstance(first, (str, bytes, bool, int, float, np.generic, np.ndarray))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def summary_images(nwbfile: Any, table: Any, frame_shape: Sequence[int]) -> dict[str, Any]:
    """Return the gray images in processing modules that show the field of a table.

    They do so if they have its size, and all tables of the file lie in one plane. Warns of others.
    """
    found, others = {}, []
    tables = [each for each in nwbfile.objects.values() if type(each) is type(table)]
    is_one_plane = len({id(each.imaging_plane) for each in tables}) == 1
    for name, image in _gray_images(nwbfile).items():
        if is_one_plane and tuple(np.shape(image.data))[::-1] == tuple(frame_shape):
            check_complete(image.data)
            found[name] = image
        else:
            others.append(f"'{image.parent.name}/{image.name}'")
    if others:
        reason = "are not stated to show one of the imaging planes of the ROIs"
        if is_one_plane:
            size = f"{field_of(tuple(frame_shape))} (x, y) pixels"
            reason = f"are not of the size of the field of '{table.name}', {size}"
        warnings.warn(
            f"'{nwbfile.container_source}' also contains the images "
            f"{first_of(others, _MOST_LISTED)}, which {reason}, and are left out.",
            UserWarning,
            stacklevel=5,
        )
    return found


def _gray_images(nwbfile: Any) -> dict[str, Any]:
    """Return the gray images by name; those of a name that is taken with that of the container."""
    found: dict[str, Any] = {}
    for module in nwbfile.processing.values():
        for container in module.data_interfaces.values():
            for name, image in getattr(container, "images", {}).items():
                if type(image).__name__ == "GrayscaleImage":
                    whole = f"{container.name}_{name}"
                    key = next((k for k in (name, whole) if k not in found), None)
                    found[key or f"{module.name}_{whole}"] = image
    return found
