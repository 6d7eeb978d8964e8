"""Objects of NWB files that damage has taken away, or whose type or members it has taken away."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import first_of
from nwb_ophys.formats.nwb.files import SEARCHED_GROUPS, SERIES, TABLES, lacks_frames, read_nwb
from nwb_ophys.formats.nwb.recorded import differences

# Containers that NWB requires to have members, and all containers whose members have a type.
_FILLED = {"ImageSegmentation", "Fluorescence", "DfOverF", "Images"}
_OPENED = {"ProcessingModule", *_FILLED}
# Objects in other files that are read with the file.
_FOLLOWED = {"Images", "GrayscaleImage"}
_WITH_UNIT = {*SERIES, "RoiResponseSeries"}
_TOP = {*SEARCHED_GROUPS} - {"stimulus"}
# Groups with facts of the recording that have a type.
_TYPED_FACTS = re.compile(
    r"general/(subject|devices/(?!models$)[^/]+|devices/models/[^/]+|optophysiology/[^/]+(/[^/]+)?)"
)
# Groups that each NWB file has, be they empty.
_REQUIRED_GROUPS = ("acquisition", "processing")
# The first version of NWB whose data state an offset.
_WITH_OFFSETS = (2, 5)
_MOST_LISTED = 5


def warn_of_lost(path: Path) -> None:
    """Warn of objects without a type, of absent members, and of differences from the record.

    Parameters
    ----------
    path : pathlib.Path
        An NWB file.
    """
    found = read_nwb(path, _Structure.of) or _Structure()
    absent, changed = differences(path)
    _warn(
        f"'{path}' has",
        [f"'{place}'" for place in found.untyped],
        "which cannot be read: damage has taken away their type or header. " + _WITHOUT,
    )
    _warn(
        f"'{path}' lacks",
        found.lacking,
        "which NWB requires or all its writers state: damage may have taken them away. " + _WITHOUT,
    )
    _warn(
        f"'{path}' has",
        [f"'{place}'" for place in found.elsewhere],
        "which are links to objects in other files, and are not copied. Convert those files, too.",
    )
    _warn(
        f"'{path}' has the links",
        [f"'{place}'" for place in found.broken],
        "whose targets are absent: damage may have taken them away. " + _WITHOUT,
    )
    _warn(
        f"'{path}' has no",
        [f"'{place}'" for place in absent if not _is_within(place, found.untyped)],
        "although the record of its conversion states them: they were removed. " + _WITHOUT,
    )
    _warn(
        f"'{path}' has other attributes, links or values than the record of its conversion states "
        "in",
        [f"'{place or '/'}'" for place in changed if not _is_within(place, found.untyped)],
        "and they are converted as they are. List the differences with nwb-ophys verify; copy the "
        "file again if nobody changed it.",
    )


_WITHOUT = "The conversion goes on without them; copy the file again if you can."


def _warn(start: str, listed: list[str], end: str) -> None:
    if listed:
        shown = first_of(listed, _MOST_LISTED)
        warnings.warn(f"{start} {shown}, {end}", UserWarning, stacklevel=7)


def _is_within(place: str, others: list[str]) -> bool:
    return any(place == other or place.startswith(f"{other}/") for other in others)


@attrs.frozen
class _Structure:
    """Faults in the structure of a file.

    Attributes
    ----------
    untyped : list of str
        Places of the members of containers that have no type.
    lacking : list of str
        Members that NWB requires and the file lacks, in words.
    broken : list of str
        Places of links whose target is absent.
    elsewhere : list of str
        Places of objects that are links to other files.
    """

    untyped: list[str] = attrs.field(factory=list)
    lacking: list[str] = attrs.field(factory=list)
    broken: list[str] = attrs.field(factory=list)
    elsewhere: list[str] = attrs.field(factory=list)
    _has_offsets: bool = False
    _seen: set[Any] = attrs.field(factory=set)

    @classmethod
    def of(cls, root: Any) -> _Structure:
        """Return the faults of a file."""
        version = re.match(r"(\d+)\.(\d+)", str(root.attributes().get("nwb_version", "")))
        found = cls(
            has_offsets=version is not None and (*map(int, version.groups()),) >= _WITH_OFFSETS
        )
        members = dict(root.members())
        found.lacking.extend(
            f"the group '{each}'" for each in _REQUIRED_GROUPS if each not in members
        )
        for name in (*SEARCHED_GROUPS, "general"):
            if name in members:
                found._visit(members[name], name)
        return found

    def _visit(self, group: Any, place: str) -> None:
        """Add the faults of a group and of all within; a group is visited once."""
        if group is None:  # a folder without a header
            self.untyped.append(place)
            return
        if group.identity in self._seen:
            return
        self._seen.add(group.identity)
        self.broken.extend(f"{place}/{name}" for name in group.broken_links())
        has_types = place in _TOP or group.attributes().get("neurodata_type") in _OPENED
        if has_types:
            linked = (name for name, kind in group.links_to_files() if kind not in _FOLLOWED)
            self.elsewhere.extend(f"{place}/{name}" for name in linked)
        for name, member in group.members():
            inner = f"{place}/{name}"
            if member is None:
                self.untyped.append(inner)
                continue
            must_have_type = has_types or (member.is_group and _TYPED_FACTS.fullmatch(inner))
            if must_have_type and not _has_type(member.attributes()):
                self.untyped.append(inner)
                continue
            if has_types:
                self._add_lacking(member, inner)
            if member.is_group:
                self._visit(member, inner)

    def _add_lacking(self, member: Any, place: str) -> None:
        kind = member.attributes()["neurodata_type"]
        absent = [*_absent_members(member, kind)]
        absent += _absent_attributes(member, kind, self._has_offsets)
        self.lacking.extend(f"{each} of '{place}'" for each in absent)


def _has_type(stated: Any) -> bool:
    return bool(stated.get("neurodata_type")) and "namespace" in stated


def _absent_members(group: Any, kind: str) -> Iterator[str]:
    """Yield the members that a group of a type must have and lacks, in words."""
    if kind in _FILLED and not group.names():
        yield "the members"
    if kind in TABLES and "id" not in group.names():
        yield "the ids"
    if kind in TABLES and "colnames" not in group.attributes():
        yield "the attribute 'colnames'"
    if kind in SERIES and lacks_frames(group):
        yield "the data"
    # Movies without times are refused; traces may have those of a movie.
    if kind == "RoiResponseSeries" and not _has_times(group):
        yield "the rate or the timestamps"


def _has_times(series: Any) -> bool:
    """Return whether a group of a series states a rate or timestamps."""
    start = dict(series.members()).get("starting_time")
    has_rate = start is not None and "rate" in start.attributes()
    return has_rate or "timestamps" in {*series.names()} - {*series.broken_links()}


def _absent_attributes(group: Any, kind: str, has_offsets: bool) -> Iterator[str]:
    """Yield the attributes that a series must have, or that all writers write with others it has.

    Where a writer states the scale of data, it states all of it, defaults included.
    """
    data = dict(group.members()).get("data") if kind in _WITH_UNIT else None
    if data is None:
        return
    stated = {*data.attributes()}
    scale = {"conversion", "resolution"} | ({"offset"} if has_offsets else set())
    absent = {"unit"} - stated
    if len(scale - stated) == 1 and scale & stated:
        absent |= scale - stated
    yield from (f"the attribute '{name}' of 'data'" for name in sorted(absent))
    if "comments" in group.attributes() and "description" not in group.attributes():
        yield "the attribute 'description'"
