"""Objects of NWB files that a conversion does not copy, named in one note."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nwb_ophys.errors import first_of
from nwb_ophys.formats.nwb.files import (
    SERIES,
    TABLES,
    has_masks,
    has_pixels,
    lacks_frames,
    list_nwb,
    read_nwb,
)

# Groups that hold objects, and types of containers whose objects are looked at one by one.
_PLACES = ("acquisition", "stimulus", "processing", "analysis", "scratch", "intervals")
_OPENED = {None, "ProcessingModule", "ImageSegmentation", "Fluorescence", "DfOverF"}
_TRACES, _IMAGES = "RoiResponseSeries", "Images"
# Members of containers of images that are no images.
_NO_IMAGES = {None, "ImageReferences"}
_TABLES_OF_GENERAL = (
    ("extracellular_ephys", "electrodes"),
    ("intracellular_ephys", ""),
    ("optogenetics", ""),
)
# Numbers that say something of each sample of a series.
_CONTROL = "control"
_MOST_LISTED = 8


def warn_of_left_out(path: Path) -> None:
    """Warn of trials, electrodes, other series and the like, which are not copied.

    Parameters
    ----------
    path : pathlib.Path
        An NWB file.
    """
    listed = list_nwb(path) or ()
    num_tables = sum(each.kind in TABLES and each.has_data for each in listed)
    found = read_nwb(path, lambda root: list(_left_out(root, num_tables))) or []
    if not found:
        return
    warnings.warn(
        f"'{path}' also contains {first_of(found, _MOST_LISTED)}. Only movies, ROIs, session and "
        "subject are copied; add the others to the new file with pynwb.",
        UserWarning,
        stacklevel=6,
    )


def warn_of_images(path: Path, table: str) -> None:
    """Warn of gray images in modules, which are written with another table than the chosen one.

    Parameters
    ----------
    path : pathlib.Path
        An NWB file.
    table : str
        Name of that table.
    """
    found = read_nwb(path, lambda root: list(_gray_images(root))) or []
    if found:
        warnings.warn(
            f"'{path}' also contains {first_of(found, _MOST_LISTED)}. These images are written "
            f"with the table '{table}', and are left out without it.",
            UserWarning,
            stacklevel=3,
        )


def _gray_images(root: Any) -> Iterator[str]:
    place = "processing"
    for module, group in dict(root.groups())[place].groups():
        for name, container in group.groups():
            if container.attributes().get("neurodata_type") == _IMAGES:
                for image, member in container.members():
                    kind = member and member.attributes().get("neurodata_type")
                    if kind == "GrayscaleImage":
                        yield f"{place}/{module}/{name}/{image}"


def _left_out(root: Any, num_tables: int) -> Iterator[str]:
    groups = dict(root.groups())
    for name in _PLACES:
        if name in groups:
            yield from _objects(groups[name], name, num_tables)
    if "units" in groups:
        yield "units"
    general = dict(groups["general"].groups()) if "general" in groups else {}
    for name, table in _TABLES_OF_GENERAL:
        own = dict(general[name].groups()) if name in general else {}
        if (table in own) if table else own:
            yield table or name


def _objects(group: Any, prefix: str, num_tables: int) -> Iterator[str]:
    for name, child in group.groups():
        path, kind = f"{prefix}/{name}", child.attributes().get("neurodata_type")
        is_copied = (
            # Frames that damage took away are named by another note.
            (kind in SERIES and (has_pixels(child) or lacks_frames(child)))
            or (kind in TABLES and has_masks(child))
            or (kind == _TRACES and num_tables > 0)
        )
        if kind in _OPENED:
            yield from _objects(child, path, num_tables)
        elif kind == _IMAGES:
            yield from _images(child, path, num_tables)
        elif not is_copied:
            yield path
        elif child.shape(_CONTROL) is not None:
            yield f"{path}/{_CONTROL}"


def _images(group: Any, path: str, num_tables: int) -> Iterator[str]:
    """Yield the images of a container that are not written with ROIs, or the container for all.

    Gray images in modules may show the field of ROIs; the reader of the table names those that do
    not.
    """
    members = {
        name: kind
        for name, member in group.members()
        if member is not None
        and (kind := member.attributes().get("neurodata_type")) not in _NO_IMAGES
    }
    are_of_rois = num_tables > 0 and path.startswith("processing/")
    found = [name for name, kind in members.items() if not are_of_rois or kind != "GrayscaleImage"]
    if len(found) == len(members):
        yield from [path] if found else []
    else:
        yield from (f"{path}/{name}" for name in found)
