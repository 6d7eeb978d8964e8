"""Links between entries of metadata, which refer to each other by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.metadata.deepdict import DeepDict

SERIES = ("TwoPhotonSeries", "OnePhotonSeries", "LineScan", "Images")
"""Lists of what is recorded in an imaging plane."""

SEGMENTATIONS = "plane_segmentations"
_STEPS = {SEGMENTATIONS: ("Ophys", "ImageSegmentation", SEGMENTATIONS)}
BY_PLANE = ("Fluorescence", "DfOverF", "SegmentationImages")


def check_links(
    metadata: Mapping[str, Any],
    devices_there: Iterable[str] | None = None,
    planes_there: Iterable[str] = (),
) -> None:
    """Check that planes name devices, and series and segmentations name planes, that exist.

    Parameters
    ----------
    metadata : Mapping
        Complete metadata, valid against its schema.
    devices_there, planes_there : iterable of str, optional
        Names of the devices and planes of the file. Without the devices, an empty list of devices
        in the metadata means that the file has them.

    Raises
    ------
    MetadataError
        For the first link to a name that does not exist; the message lists the names that do.
    """
    for fault in faults_of_links(metadata, devices_there, planes_there):
        raise MetadataError(fault)


def faults_of_links(
    metadata: Mapping[str, Any],
    devices_there: Iterable[str] | None = None,
    planes_there: Iterable[str] = (),
) -> list[str]:
    """Return a sentence for each link to a name that does not exist; see :func:`check_links`."""
    ophys = metadata.get("Ophys")
    if not isinstance(ophys, Mapping):
        return []
    devices = _names(ophys.get("Device"), devices_there or ())
    planes = _names(ophys.get("ImagingPlane"), planes_there)
    faults: list[str] = []
    for path, entry in _entries(ophys, "ImagingPlane"):
        if devices or devices_there is not None:
            faults += _faults_of(path, entry, "device", devices, "device")
    for kind in (*SERIES, SEGMENTATIONS):
        for path, entry in _entries(ophys, kind):
            faults += _faults_of(path, entry, "imaging_plane", planes, "imaging plane")
    return faults


def _names(entries: Any, there: Iterable[str]) -> list[str]:
    # Devices may be pynwb objects, which have their name as an attribute.
    names = [
        entry.get("name") if isinstance(entry, Mapping) else getattr(entry, "name", None)
        for entry in (entries if isinstance(entries, list) else [])
    ]
    return list(dict.fromkeys([*(name for name in names if isinstance(name, str)), *there]))


def _entries(ophys: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    inner = '["ImageSegmentation"]' if kind == "plane_segmentations" else ""
    parent = ophys.get("ImageSegmentation") if inner else ophys
    entries = parent.get(kind) if isinstance(parent, Mapping) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, Mapping):
            yield f'metadata["Ophys"]{inner}["{kind}"][{index}]', entry


def _faults_of(
    path: str, entry: Mapping[str, Any], key: str, known: list[str], what: str
) -> Iterator[str]:
    if isinstance(entry.get(key), str) and entry[key] not in known:
        names = ", ".join(repr(name) for name in known) or "none"
        yield (
            f'{path}["{key}"] is {shown(entry[key])}, but no {what} has that name; {what}s: '
            f"{names}."
        )


def entries_of(metadata: Mapping[str, Any], category: str) -> list[Any]:
    """Return the entries of a category; an empty list where they are absent or not a list."""
    ophys = metadata.get("Ophys") or {}
    if category == SEGMENTATIONS:
        ophys = ophys.get("ImageSegmentation") or {}
    entries = ophys.get(category)
    return list(entries) if isinstance(entries, (list, tuple)) else []


def set_entries(metadata: DeepDict, category: str, entries: list[Any]) -> None:
    """Replace the entries of a category; an empty list removes the category."""
    ophys = metadata["Ophys"]
    parent = ophys["ImageSegmentation"] if category == SEGMENTATIONS else ophys
    if entries:
        parent[category] = entries
    else:
        parent.pop(category, None)


def path_of(category: str) -> str:
    """Return the path of a category in the metadata, for messages."""
    inner = '["ImageSegmentation"]' if category == SEGMENTATIONS else ""
    return f'metadata["Ophys"]{inner}["{category}"]'


def links_of_keys(keys: Iterable[str], metadata: Mapping[str, Any]) -> frozenset[tuple[str, int]]:
    """Return the entries whose link to an imaging plane has one of some dotted keys.

    Parameters
    ----------
    keys : iterable of str
        Such as ``Ophys.TwoPhotonSeries.0.imaging_plane``, also with a name in place of the index.
        A key without both means all entries.
    metadata : Mapping

    Returns
    -------
    frozenset of (str, int)
        Category and index of each entry.
    """
    given = set(keys)
    return frozenset(
        (category, index)
        for category in (*SERIES, SEGMENTATIONS)
        for index, entry in enumerate(entries_of(metadata, category))
        for stem in [".".join(_STEPS.get(category, ("Ophys", category)))]
        for name in [entry.get("name") if isinstance(entry, Mapping) else None]
        if given & {f"{stem}{each}.imaging_plane" for each in ("", f".{index}", f".{name}")}
    )


def described(entries: list[Any]) -> list[Any]:
    """Return the entries that are dictionaries with a name, not ready-made objects."""
    return [e for e in entries if isinstance(e, Mapping) and isinstance(e.get("name"), str)]
