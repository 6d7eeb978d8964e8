"""List the series and ROI tables of NWB files of any origin, from their attributes alone.

Listing needs neither pynwb nor, for Zarr, any package: the attributes of a Zarr store are JSON.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import LOCKED, CorruptSourceError, SourceArgumentError, SourceError, counted
from nwb_ophys.filetypes.hdf5 import open_hdf5
from nwb_ophys.outside import check_file
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.hdf5_opening import is_hdf5
from nwb_ophys.storage.in_place import check_whole, interruption
from nwb_ophys.trial import is_tried_damaged, try_hdf5

Result = TypeVar("Result")

SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
TABLES = ("PlaneSegmentation",)
# Levels of groups to visit: acquisition, modules, and containers in modules.
_DEPTH = 4
SEARCHED_GROUPS = ("acquisition", "processing", "analysis", "stimulus", "scratch")
"""Groups of a file that hold its objects."""

_EXTERNAL = "external_file"
_CORE = "core"
_HEADERS = (".zgroup", ".zarray")
_MOST_LISTED = 5
MASKS = ("image_mask", "pixel_mask", "voxel_mask")
"""Columns of a table that hold masks, of which one is enough."""


@attrs.frozen
class NwbObject:
    """A series or a table of ROIs in a file.

    Attributes
    ----------
    path : str
        Path within the file, such as ``acquisition/TwoPhotonSeries``.
    kind : str
        Neurodata type, such as ``TwoPhotonSeries``.
    shape : tuple of int
        Shape of a movie, or (number of ROIs,) of a table.
    has_data : bool
        Whether the file contains the pixels of a movie, or the masks of a table.
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    has_data: bool

    @property
    def name(self) -> str:
        """Name of the object, the last part of its path."""
        return self.path.rpartition("/")[2]


def list_nwb(path: Path) -> tuple[NwbObject, ...] | None:
    """Return the series and tables of ROIs in an NWB file; None if it is not an NWB file.

    Reads no data.

    Parameters
    ----------
    path : pathlib.Path
        An HDF5 file, or the folder of a Zarr store.
    """
    return read_nwb(path, _list)


def read_nwb(path: Path, read: Callable[[Any], Result | None]) -> Result | None:
    """Return what a function reads from the root group of a file, HDF5 or Zarr.

    Parameters
    ----------
    path : pathlib.Path
    read : callable
        Takes the group, with the methods ``attributes``, ``groups`` and ``shape``.

    Returns
    -------
    object or None
        None if the file cannot be read.
    """
    try:
        if path.is_dir():
            root = next(
                (each for each in (_ZarrGroup(path), _Zarr3Group(path)) if each.is_group), None
            )
            return None if root is None else read(root)
        if not path.is_file() or not is_hdf5(path) or is_tried_damaged(path):
            return None
        with open_hdf5(path) as file:
            return read(_Hdf5Group(file))
    except (OSError, RuntimeError, KeyError, ValueError):
        return None


def list_external(path: Path) -> dict[str, list[str]]:
    """Return the external files of each series of an NWB file, by the path of the series.

    The names are empty where they cannot be read without another package, as in Zarr stores.
    """
    return read_nwb(path, _external_files) or {}


def nwb_refusal(path: Path) -> str | None:
    """Return why an NWB file has no movie and no ROIs to convert; None for other files."""
    reason, listed = interruption(path), list_nwb(path)
    if reason or listed is None or any(each.has_data for each in listed):
        return reason
    start = f"'{path}' is an NWB file"
    for series, files in list_external(path).items():
        name = series.rpartition("/")[2]
        named = f" ({', '.join(map(repr, files[:_MOST_LISTED]))})" if files else ""
        return (
            f"{start} without pixels: the frames of its series '{name}' are in an external file"
            f"{named}. Convert the external file instead."
        )
    for each in listed:
        if elsewhere := _linked_elsewhere(path, f"{each.path}/"):
            return elsewhere
        lacks = "no masks" if each.kind in TABLES else f"no pixels (shape {each.shape})"
        return f"{start}, but its {each.kind} '{each.name}' has {lacks}; give a file with them."
    for place, kind in read_nwb(path, _of_extensions) or ():
        return (
            f"{start} whose movies or ROIs are of the types of an extension, which are not read: "
            f"'{place}' is a {kind}. Write them with pynwb as TwoPhotonSeries, OnePhotonSeries or "
            "PlaneSegmentation."
        )
    return _linked_elsewhere(path) or (
        f"{start} without a TwoPhotonSeries, OnePhotonSeries or PlaneSegmentation; give a file "
        "that contains one of them."
    )


def _linked_elsewhere(path: Path, within: str = "") -> str | None:
    """Return why a file is refused whose objects are links to other files; None without links.

    Parameters
    ----------
    path : pathlib.Path
    within : str
        Beginning of the paths in the file that are looked at.
    """
    found = read_nwb(path, _links_to_files) or []
    links = [link for link in found if link[0].startswith(within)]
    if not links:
        return None
    name, file, place = links[0]
    more = f" ({counted(len(links) - 1, 'more link')} to other files)" if len(links) > 1 else ""
    # Programs write the separators of their system.
    where = (path if path.is_dir() else path.parent) / file.replace("\\", "/")
    is_there = isinstance(path, RemotePath) or where.exists()
    return (
        f"'{path}' is an NWB file without a movie or ROIs of its own: '{name}' is a link to "
        f"'{place.strip('/')}' of '{file}'{more}. "
        + (
            f"Convert '{os.path.normpath(where)}' instead."
            if is_there
            else f"That file is absent; copy it to '{os.path.normpath(where)}', and convert it."
        )
    )


def _links_to_files(root: Any) -> list[tuple[str, str, str]]:
    """Return the path of each link to another file, the name of that file and the path in it."""
    found: list[tuple[str, str, str]] = []
    pending = [(name, group) for name, group in root.groups() if name in SEARCHED_GROUPS]
    while pending:
        path, group = pending.pop(0)
        found += [(f"{path}/{name}", *target) for name, target in group.targets_in_files()]
        if path.count("/") < _DEPTH:
            pending += [(f"{path}/{name}", child) for name, child in group.groups()]
    return found


def _of_extensions(root: Any) -> list[tuple[str, str]]:
    """Return the path and the type of each object of an extension with frames or masks."""
    found: list[tuple[str, str]] = []
    pending = [(name, group) for name, group in root.groups() if name in SEARCHED_GROUPS]
    while pending:
        path, group = pending.pop(0)
        attributes = group.attributes()
        is_own = str(attributes.get("namespace", _CORE)).startswith((_CORE, "hdmf"))
        if not is_own and (has_pixels(group) or has_masks(group)):
            found.append((path, f"{attributes.get('neurodata_type')} of {attributes['namespace']}"))
        elif path.count("/") < _DEPTH:
            pending += [(f"{path}/{name}", child) for name, child in group.groups()]
    return found


def _unreadable(path: Path) -> SourceError:
    """Return the error for a file that is no whole NWB file, or that another program writes."""
    from nwb_ophys.storage.backends.hdf5_files import is_being_written

    if path.is_file() and is_being_written(path):
        return SourceError(f"'{path}' cannot be read: {LOCKED}.")
    return CorruptSourceError(
        f"'{path}' is not a complete NWB file; it may be truncated or of another format. Check "
        "the path, or copy the file again."
    )


def choose(path: Path, kinds: tuple[str, ...], requested: str | None, argument: str) -> NwbObject:
    """Return the requested object of a file, by its name or its path in the file.

    Parameters
    ----------
    path : pathlib.Path
    kinds : tuple of str
        Types of objects to choose from.
    requested : str or None
        Name or path of the object; may be None if there is only one.
    argument : str
        Name of the caller's argument, for messages.

    Raises
    ------
    CorruptSourceError
        When the file is not an NWB file.
    SourceArgumentError
        When there is no such object, or several and no name is given; lists the names.
    SourceError
        When the file does not contain its pixels or masks.
    """
    check_whole(path)
    try_hdf5(path)
    listed = list_nwb(path)
    if listed is None:
        raise _unreadable(path)
    found = [each for each in listed if each.kind in kinds]
    if not found and (elsewhere := _linked_elsewhere(path)):
        raise SourceError(elsewhere)
    names = [each.name for each in found]
    matching = [each for each in found if requested in (None, each.name, each.path)]
    if requested is None and len(matching) > 1:  # of which one alone may hold data
        matching = [each for each in found if each.has_data] or matching
    if len(matching) != 1:
        shown = [each.path if names.count(each.name) > 1 else each.name for each in found]
        fault = "has several" if matching or requested is None else f"has no '{requested}'"
        raise SourceArgumentError(
            f"'{path}' {fault}; choose one with {argument}: {', '.join(shown) or 'there is none'}."
        )
    (chosen,) = matching
    if not chosen.has_data:
        if chosen.kind in TABLES:
            raise SourceError(
                f"The {chosen.kind} '{chosen.name}' of '{path}' has no masks for its "
                f"{sum(chosen.shape)} ROIs; give a file with masks."
            )
        raise SourceError(
            f"The {chosen.kind} '{chosen.name}' of '{path}' has no pixels (shape {chosen.shape}); "
            "if it names an external file with the pixels, convert that file."
        )
    return chosen


def object_at(nwbfile: Any, path: str) -> Any:
    """Return the object at a path of a file."""
    first, *parts = path.split("/")
    found: Any = getattr(nwbfile, first)
    for part in parts:
        if first == "stimulus" and part in ("presentation", "templates"):
            found = nwbfile.stimulus if part == "presentation" else nwbfile.stimulus_template
        else:
            found = found[part]
    return found


def _list(root: Any) -> tuple[NwbObject, ...] | None:
    if root.attributes().get("neurodata_type") != "NWBFile":
        return None
    found: list[NwbObject] = []
    for name, group in root.groups():
        if name in SEARCHED_GROUPS:
            _visit(group, name, found, _DEPTH)
    return tuple(found)


def _external_files(root: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    pending = [(name, group) for name, group in root.groups() if name in SEARCHED_GROUPS]
    while pending:
        path, group = pending.pop(0)
        if group.shape(_EXTERNAL) not in (None, (0,)):
            found[path] = group.texts(_EXTERNAL)
        elif path.count("/") < _DEPTH:
            pending += [(f"{path}/{name}", child) for name, child in group.groups()]
    return found


def has_pixels(series: Any) -> bool:
    """Return whether a group of a series contains frames."""
    shape = series.shape("data") or ()
    return len(shape) in (3, 4) and 0 not in shape


def lacks_frames(series: Any) -> bool:
    """Return whether a group of a series has lost its frames: neither pixels nor names of files."""
    return not {"data", _EXTERNAL} & ({*series.names()} - {*series.broken_links()})


def has_masks(table: Any) -> bool:
    """Return whether a group of a table of ROIs contains masks."""
    return any(table.shape(mask) is not None for mask in MASKS)


def _visit(group: Any, prefix: str, found: list[NwbObject], depth: int) -> None:
    for name, child in group.groups():
        path, kind = f"{prefix}/{name}", child.attributes().get("neurodata_type")
        if kind in SERIES:
            found.append(NwbObject(path, kind, child.shape("data") or (), has_pixels(child)))
        elif kind in TABLES:
            found.append(NwbObject(path, kind, child.shape("id") or (), has_masks(child)))
        elif depth > 1:
            _visit(child, path, found, depth - 1)


@attrs.frozen
class _Attributes(Mapping[str, Any]):
    """The attributes of a group; texts of a fixed length, which h5py reads as bytes, are texts."""

    stored: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return text_of(self.stored[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)


def text_of(value: Any) -> Any:
    """Return bytes as a text, and other values as they are."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


# h5py is imported where a file is open, since detection imports this module.
@attrs.frozen
class _Hdf5Group:
    group: Any

    @property
    def is_group(self) -> bool:
        """Return whether the object is a group, and no dataset."""
        import h5py

        return isinstance(self.group, h5py.Group)

    @property
    def identity(self) -> Any:
        """Number that tells the objects of a file apart, whichever link leads to them."""
        import h5py

        return h5py.h5o.get_info(self.group.id).addr

    def attributes(self) -> Mapping[str, Any]:
        return _Attributes(self.group.attrs)

    def groups(self) -> Iterator[tuple[str, _Hdf5Group]]:
        import h5py

        for name in self.group:
            if _is_hard(self.group, name) and isinstance(child := self.group[name], h5py.Group):
                yield name, _Hdf5Group(child)

    def members(self) -> Iterator[tuple[str, _Hdf5Group]]:
        """Yield the groups and datasets within, as groups of attributes."""
        for name in self.group:
            if _is_hard(self.group, name):
                yield name, _Hdf5Group(self.group[name])

    def names(self) -> list[str]:
        """Return the names of all members, links included."""
        return list(self.group)

    def broken_links(self) -> list[str]:
        """Return the names of links whose target is absent."""
        is_hard = {name: _is_hard(self.group, name) for name in self.group}
        return [name for name, own in is_hard.items() if not own and self._target(name) is None]

    def links_to_files(self) -> list[tuple[str, str | None]]:
        """Return the names and types of the objects that are links to other files."""
        import h5py

        targets = {
            name: self._target(name)
            for name in self.group
            if isinstance(self.group.get(name, getlink=True), h5py.ExternalLink)
        }
        return [
            (name, _Attributes(target.attrs).get("neurodata_type"))
            for name, target in targets.items()
            if target is not None
        ]

    def targets_in_files(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield the name of each link to another file, the name of that file and the path in it."""
        import h5py

        for name in self.group:
            link = self.group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield name, (link.filename, link.path)

    def _target(self, name: str) -> Any:
        try:
            return self.group.get(name)
        except (OSError, RuntimeError, ValueError):
            return None

    def shape(self, name: str) -> tuple[int, ...] | None:
        import h5py

        child = self.group.get(name)
        return tuple(child.shape or ()) if isinstance(child, h5py.Dataset) else None

    def texts(self, name: str) -> list[str]:
        return [str(text) for text in self.group[name].asstr()[:].ravel()]


def _is_hard(group: Any, name: str) -> bool:
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink)


@attrs.frozen
class _ZarrGroup:
    """A group of a Zarr store, or an array, of format 2."""

    folder: Path

    @property
    def is_group(self) -> bool:
        """Return whether the object is a group, and no array."""
        return (self.folder / ".zgroup").is_file()

    @property
    def has_header(self) -> bool:
        """Return whether the folder is that of a group or an array."""
        return any((self.folder / name).is_file() for name in _HEADERS)

    @property
    def identity(self) -> Any:
        """Value that tells the objects of a store apart, whichever link leads to them."""
        if isinstance(self.folder, RemotePath):
            return str(self.folder)  # without links
        status = self.folder.stat()
        return status.st_dev, status.st_ino

    def attributes(self) -> Mapping[str, Any]:
        return _json(self.folder / ".zattrs")

    def groups(self) -> Iterator[tuple[str, _ZarrGroup]]:
        for child in sorted(self.folder.iterdir()):
            group = attrs.evolve(self, folder=child)
            if group.is_group:
                yield child.name, group

    def members(self) -> Iterator[tuple[str, _ZarrGroup | None]]:
        """Yield the groups and arrays within; None where a folder has lost its header."""
        for child in sorted(self.folder.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                member = attrs.evolve(self, folder=child)
                yield child.name, member if member.has_header else None

    def links(self) -> Iterator[Mapping[str, Any]]:
        """Yield the links within."""
        yield from self.attributes().get("zarr_link", ())

    def names(self) -> list[str]:
        """Return the names of all members, links included."""
        return [name for name, _ in self.members()] + [str(e.get("name")) for e in self.links()]

    def broken_links(self) -> list[str]:
        """Return no names: a store with a link without a target cannot be opened."""
        return []

    def links_to_files(self) -> list[tuple[str, str | None]]:
        """Return the names of the objects that are links to other stores."""
        return [(str(e.get("name")), None) for e in self.links() if e.get("source") != "."]

    def targets_in_files(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield the name of each link to another store, its path and the path in it."""
        for link in self.links():
            if link.get("source") != ".":
                target = str(link.get("source")), str(link.get("path"))
                yield str(link.get("name")), target

    def shape(self, name: str) -> tuple[int, ...] | None:
        array = _json(self.folder / name / ".zarray")
        return tuple(array["shape"]) if "shape" in array else None

    def texts(self, name: str) -> list[str]:
        return []  # encoded by a package that detection does not import


@attrs.frozen
class _Zarr3Group(_ZarrGroup):
    """The same of format 3, whose headers hold the attributes."""

    @property
    def is_group(self) -> bool:
        """Return whether the object is a group, and no array."""
        return self._header().get("node_type") == "group"

    @property
    def has_header(self) -> bool:
        """Return whether the folder is that of a group or an array."""
        return (self.folder / "zarr.json").is_file()

    def attributes(self) -> Mapping[str, Any]:
        found = self._header().get("attributes")
        return found if isinstance(found, dict) else {}

    def links(self) -> Iterator[Mapping[str, Any]]:
        """Yield the links within."""
        yield from self.attributes().get("_LINKS", ())

    def shape(self, name: str) -> tuple[int, ...] | None:
        array = _json(self.folder / name / "zarr.json")
        return tuple(array["shape"]) if "shape" in array else None

    def _header(self) -> Mapping[str, Any]:
        return _json(self.folder / "zarr.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        check_file(path)
        found = parse_source_json(read_limited(path))
    except OSError:
        return {}
    return found if isinstance(found, dict) else {}


def unique_names(found: Sequence[NwbObject]) -> list[str]:
    """Return the name of each object, or its path where several have the name."""
    names = [each.name for each in found]
    return [each.name if names.count(each.name) == 1 else each.path for each in found]
