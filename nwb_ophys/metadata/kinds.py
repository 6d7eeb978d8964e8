"""Metadata of a movie as the type of series that is requested, and of several streams likewise."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import models
from nwb_ophys.metadata.composition import Composition
from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.defaults import series_description
from nwb_ophys.metadata.links import SEGMENTATIONS, SERIES, entries_of, set_entries
from nwb_ophys.metadata.merging import merge_metadata

_KINDS = ("TwoPhotonSeries", "OnePhotonSeries")


def as_kind(metadata: Any, kind: str) -> Any:
    """Rename the series of metadata to a type, where the metadata has only the other type.

    Default names and descriptions become those of the type. Fields that the type lacks are left
    out with a warning.

    Parameters
    ----------
    metadata : Mapping
        Complete or not; not changed.
    kind : {"TwoPhotonSeries", "OnePhotonSeries"}
    """
    ophys = metadata.get("Ophys") if isinstance(metadata, Mapping) else None
    (other,) = (each for each in _KINDS if each != kind)
    if not isinstance(ophys, Mapping) or kind in ophys or other not in ophys:
        return metadata
    changed = DeepDict(metadata)
    entries = changed["Ophys"].pop(other)
    if isinstance(entries, list):
        entries = [entry_as(entry, other, kind) for entry in entries]
    changed["Ophys"][kind] = entries
    return changed


def check_kind(metadata: Any, kind: str) -> None:
    """Raise MetadataError where metadata describes only a series of the other type."""
    if as_kind(metadata, kind) is not metadata:
        (other,) = (each for each in _KINDS if each != kind)
        raise MetadataError(_not_written(other, kind))


def faults_of_kinds(metadata: Mapping[str, Any], composition: Composition) -> list[str]:
    """Return a sentence for each type of series in the metadata that no stream writes."""
    claimed = {kind: any(claims[kind] for claims in composition.claims.values()) for kind in _KINDS}
    return [
        _not_written(kind, other)
        for kind, other in zip(_KINDS, reversed(_KINDS), strict=True)
        if entries_of(metadata, kind) and not claimed[kind] and claimed[other]
    ]


def _not_written(kind: str, other: str) -> str:
    return (
        f'metadata["Ophys"]["{kind}"] describes a series that is not written, because the movie is '
        f'a {other}; describe that, or give photon_series_type="{kind}".'
    )


def entry_as(entry: Any, other: str, kind: str) -> Any:
    """Return the entry of a series of one type as one of the other type; see :func:`as_kind`."""
    if not isinstance(entry, Mapping):
        return entry
    known = {field.name for field in attrs.fields(getattr(models, kind))}
    of_other = {field.name for field in attrs.fields(getattr(models, other))}
    lacking = [key for key in entry if key in of_other - known and entry[key] is not None]
    if lacking:
        name = entry.get("name", other)
        warnings.warn(
            f"{', '.join(lacking)} of the series '{name}' is left out, because a {kind} of NWB has "
            f"no such field; write the movie as a {other} to keep it.",
            UserWarning,
            stacklevel=5,
        )
    changed = {key: value for key, value in entry.items() if key not in lacking}
    if isinstance(entry.get("name"), str):
        changed["name"] = entry["name"].replace(other, kind)
    if entry.get("description") == series_description(other):
        changed["description"] = series_description(kind)
    return changed


def adapt_lists(
    metadata: Mapping[str, Any],
    before: Composition,
    after: Composition,
    adapters: Mapping[str, Callable[[DeepDict], Any]],
) -> Mapping[str, Any]:
    """Adapt metadata of several streams, made without conversion options, to the options.

    Parameters
    ----------
    metadata : Mapping
        The user's metadata; not changed.
    before, after : Composition
        The metadata of all streams without and with the options.
    adapters : Mapping of str to callable
        For each stream the function that adapts its own metadata to its options.

    Returns
    -------
    Mapping
        The same metadata where its lists fit the options already, or fit neither.
    """
    if fits(metadata, after) or not fits(metadata, before):
        return metadata
    full = merge_metadata(before.metadata, metadata)
    views = {
        stream: adapt(before.project(full, stream)) if (adapt := adapters.get(stream)) else {}
        for stream in after.claims
    }
    adapted = DeepDict(metadata)
    for category in (*SERIES, SEGMENTATIONS):
        found = []
        for stream, claims in after.claims.items():
            # Entries beyond those that the options ask for, such as the background, come last.
            found += entries_of(views[stream], category)[: len(claims[category])]
        if entries_of(metadata, category) or found:
            set_entries(adapted, category, found)
    return adapted


def fits(metadata: Mapping[str, Any], composition: Composition) -> bool:
    """Return whether each list of metadata has as many entries as the streams have."""
    ophys = metadata.get("Ophys")
    if not isinstance(ophys, Mapping):
        return True
    for category in (*SERIES, SEGMENTATIONS):
        parent = ophys.get("ImageSegmentation") if category == SEGMENTATIONS else ophys
        entries = parent.get(category) if isinstance(parent, Mapping) else None
        claimed = sum(len(claims[category]) for claims in composition.claims.values())
        if isinstance(entries, list) and len(entries) != claimed:
            return False
    return True
