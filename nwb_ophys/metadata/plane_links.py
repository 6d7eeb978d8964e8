"""Imaging planes of ROIs and of processed movies: the plane of their movie, or one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.defaults import get_default_ophys_metadata
from nwb_ophys.metadata.links import SEGMENTATIONS, SERIES, described, entries_of, set_entries
from nwb_ophys.metadata.naming import camel_case, unused_name
from nwb_ophys.metadata.sharing import compatible, drop_unused_default_device, is_described, united

_PLANES = "ImagingPlane"


def plane_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the name of the plane to which a stream's first series or segmentation links."""
    for category in (*SERIES, SEGMENTATIONS):
        for entry in described(entries_of(metadata, category)):
            if isinstance(entry.get("imaging_plane"), str):
                return str(entry["imaging_plane"])
    return None


def is_described_plane(metadata: Mapping[str, Any], name: str) -> bool:
    """Return whether the entry of a plane states more than names, links and defaults."""
    entries = [e for e in described(entries_of(metadata, _PLANES)) if e["name"] == name]
    default = get_default_ophys_metadata()["Ophys"][_PLANES][0]
    return any(is_described(entry, default) for entry in entries)


def link_background(metadata: Mapping[str, Any], before: str | None) -> None:
    """Link the background of a stream to the plane that the user chose for its ROIs.

    Parameters
    ----------
    metadata : Mapping
        The metadata of one stream; changed.
    before : str or None
        Name of the plane before the choice of the user; links to other planes are kept.
    """
    entries = described(entries_of(metadata, SEGMENTATIONS))
    for entry in entries[1:]:
        is_background = entry["name"].startswith("Background")
        if is_background and entry.get("imaging_plane") == before:
            entry["imaging_plane"] = entries[0].get("imaging_plane")


def set_planes_apart(local: Mapping[str, DeepDict], movies: Mapping[str, str | None]) -> None:
    """Give the planes of some streams names that no other stream uses.

    Streams whose planes have the same name may otherwise be united.

    Parameters
    ----------
    local : Mapping of str to DeepDict
        The metadata of each stream by its name; changed.
    movies : Mapping of str to str or None
        The streams, each with the movie whose plane it lies in, or None.
    """
    for stream in movies:
        others = {
            entry["name"]
            for other, metadata in local.items()
            if other != stream
            for entry in described(entries_of(metadata, _PLANES))
        }
        for entry in described(entries_of(local[stream], _PLANES)):
            old = entry["name"]
            if old in others:
                _link(local[stream], old, unused_name(old, camel_case(stream) or "Own", others))


def unite_with_movies(local: Mapping[str, DeepDict], movies: Mapping[str, str | None]) -> None:
    """Link streams to the planes of their movies, where the facts of both planes agree.

    Parameters
    ----------
    local, movies
        See :func:`set_planes_apart`.
    """
    default = get_default_ophys_metadata()["Ophys"][_PLANES][0]
    for stream, movie in movies.items():
        own, target = plane_of(local[stream]), None if movie is None else plane_of(local[movie])
        if movie is None or own is None or target is None or own == target:
            continue
        mine, theirs = _entry(local[stream], own), _entry(local[movie], target)
        if mine is None or theirs is None:
            continue
        mine = {**mine, "name": theirs["name"], "device": theirs.get("device")}
        if not compatible(theirs, mine, default):
            continue
        whole = united(theirs, mine, default)
        _link(local[stream], own, target)
        for metadata in local.values():
            entries = [
                whole if described([e]) and e["name"] == target else e
                for e in entries_of(metadata, _PLANES)
            ]
            if entries:
                set_entries(metadata, _PLANES, entries)
    drop_unused_default_device(local)


def _entry(metadata: DeepDict, name: str) -> Mapping[str, Any] | None:
    planes = described(entries_of(metadata, _PLANES))
    return next((plane for plane in planes if plane["name"] == name), None)


def _link(metadata: DeepDict, old: str, new: str) -> None:
    """Rename a plane in the metadata of one stream, with the links to it."""
    for plane in described(entries_of(metadata, _PLANES)):
        if plane["name"] == old:
            plane["name"] = new
    for category in (*SERIES, SEGMENTATIONS):
        for entry in described(entries_of(metadata, category)):
            if entry.get("imaging_plane") == old:
                entry["imaging_plane"] = new
