"""Movies without frames, and segmentations without ROIs or samples."""

from __future__ import annotations

import warnings
from typing import Any

import attrs

from nwb_ophys.errors import SourceError, counted, first_named
from nwb_ophys.interfaces.made_from import paths_of

_MOST_LISTED = 5
_NOTHING = (
    "Nothing was recorded, or the file was not copied to its end; leave it out, or give another "
    "file."
)


def refuse_no_frames(interface: Any) -> None:
    """Raise where a movie has no samples, or samples without pixels.

    Parameters
    ----------
    interface : ImagingInterface

    Raises
    ------
    SourceError
        With the file, the part of it that was chosen, and the shape.
    """
    extractor = interface.extractor
    shape = (extractor.get_num_samples(), *extractor.get_sample_shape())
    shape = tuple(int(size) for size in shape)
    if 0 not in shape:
        return
    if hasattr(extractor, "close"):
        extractor.close()
    lacks = "no frames" if shape[0] == 0 else "frames without pixels"
    axes = "(frames, rows, columns, planes)" if len(shape) == 4 else "(frames, rows, columns)"
    raise SourceError(
        f"The movie of {_name_of(interface)} has {lacks}: its shape is {shape}, {axes}. {_NOTHING}"
    )


def empty_array(what: str, shape: tuple[int, ...]) -> str | None:
    """Return why an array with the axes of a movie and an axis of 0 is not read; None for others.

    Parameters
    ----------
    what : str
        Name of the array and path of its file.
    shape : tuple of int
        A movie has at least three axes.
    """
    if len(shape) < 3 or 0 not in shape:
        return None
    lacks = "no frames" if shape[0] == 0 else "no pixels"
    return f"{what} has the shape {shape}: an axis of 0, so it has {lacks}. {_NOTHING}"


def note_no_rois(interface: Any) -> None:
    """Warn where a segmentation has no ROIs, or traces without samples.

    Programs write such files when they find no cells, so that the rest of a recording can still be
    converted.

    Parameters
    ----------
    interface : SegmentationInterface
    """
    extractor = interface.extractor
    num_rois = len(extractor.get_roi_ids())
    if not num_rois:
        _warn(f"The segmentation of {_name_of(interface)} has 0 ROIs; its table has no rows.")
        return
    shapes = {
        name: tuple(data.shape)
        for name, data in extractor.get_traces_dict().items()
        if getattr(data, "shape", (1,))[0] == 0
    }
    if shapes:
        _warn(
            f"Traces of {_name_of(interface)} have 0 samples and are not written, for "
            f"{counted(num_rois, 'ROI')}: {first_named(list(shapes), _MOST_LISTED)}."
        )


def _name_of(interface: Any) -> str:
    """Return the path of an interface with the dataset, series or part that was chosen in it."""
    paths, source = paths_of(interface), interface.source
    fields = attrs.fields(type(source)) if attrs.has(type(source)) else ()
    chosen = {each.name: getattr(source, each.name) for each in fields if _is_name(each.name)}
    named = [f"{name} '{value}'" for name, value in chosen.items() if isinstance(value, str)]
    named = named or [part for part in (interface.part(),) if part]
    path = f"'{paths[0]}'" if paths else type(interface).__name__
    return path + (f" ({', '.join(named)})" if named else "")


def _is_name(field: str) -> bool:
    return field.endswith("_name")


def _warn(note: str) -> None:
    warnings.warn(note, UserWarning, stacklevel=5)
