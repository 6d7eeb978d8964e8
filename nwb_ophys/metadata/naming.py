"""Names of the parts of a recording, such as its channels and planes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.links import SERIES

_WORD = re.compile(r"[A-Za-z0-9]+")


def with_suffix(metadata: DeepDict, suffix: str) -> DeepDict:
    """Append a suffix to all names but those of devices, and update the links between them.

    Parameters
    ----------
    metadata : DeepDict
        Default metadata of one interface; changed and returned.
    suffix : str
        Any text, of which letters and digits are used.
    """
    end = camel_case(suffix)
    ophys = metadata["Ophys"]
    if not end:
        return metadata
    for plane in ophys["ImagingPlane"]:
        plane["name"] += end
    for kind in SERIES:
        for series in ophys.get(kind, []):
            series["name"] += end
            series["imaging_plane"] += end
    for segmentation in (ophys.get("ImageSegmentation") or {}).get("plane_segmentations", []):
        segmentation["imaging_plane"] += end
        for container in ("Fluorescence", "DfOverF", "SegmentationImages"):
            _rename_members(ophys[container], segmentation["name"], end)
        segmentation["name"] += end
    return metadata


def _rename_members(container: dict[str, Any], plane: str, end: str) -> None:
    members = container.pop(plane, None)
    if isinstance(members, Mapping):
        container[plane + end] = {
            key: {**member, "name": member["name"] + end} for key, member in members.items()
        }


def camel_case(words: str) -> str:
    """Return a text as a suffix for names: ``plane_0`` becomes ``Plane0``."""
    return "".join(word[:1].upper() + word[1:] for word in _WORD.findall(words))


def distinct_suffixes(streams: Sequence[str], name: str) -> dict[str, str]:
    """Return for each stream what tells it apart from the others, as a suffix of a name.

    Words that all streams share at their beginning or end are left out, and so is what the name
    ends with already. A number keeps the word before it.

    Parameters
    ----------
    streams : sequence of str
        Names of the streams that have something of the same name.
    name : str
        The name that they share.
    """
    words = {stream: _WORD.findall(stream) for stream in streams}
    front = _num_shared(list(words.values()))
    back = _num_shared([own[front:][::-1] for own in words.values()])
    found = {}
    for stream, own in words.items():
        start, end = front, len(own) - back
        while 0 < start < end and own[start].isdigit():
            start -= 1
        suffix = camel_case(" ".join(own[start:end])) or camel_case(stream)
        found[stream] = suffix.removesuffix(_shared_end(name, suffix)) or suffix
    return found


def _num_shared(lists: Sequence[Sequence[str]]) -> int:
    """Return the number of first items that are equal in all lists; 0 for a single list."""
    if len(lists) < 2:
        return 0
    pairs = (len(set(items)) == 1 for items in zip(*lists, strict=False))
    return sum(1 for _ in itertools.takewhile(bool, pairs))


def _shared_end(name: str, suffix: str) -> str:
    """Return the longest end of a name, beginning with a capital, that a suffix ends with."""
    ends = (name[index:] for index, letter in enumerate(name) if letter.isupper())
    return next((end for end in ends if suffix.endswith(end)), "")


def unused_name(name: str, suffix: str, taken: set[str]) -> str:
    """Return an unused name with a suffix, numbered where needed, and mark it as used.

    Parameters
    ----------
    name, suffix : str
    taken : set of str
        The names in use; changed.
    """
    candidates = itertools.chain(
        [name + suffix], (f"{name}{suffix}{number}" for number in itertools.count(2))
    )
    found = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(found)
    return found


def numbered_name(name: str, taken: Collection[str]) -> str:
    """Return a name with the first number, from 2, that makes it unused.

    Parameters
    ----------
    name : str
    taken : collection of str
        The names in use.
    """
    stem = numbered_stem(name)
    return next(new for number in itertools.count(2) if (new := f"{stem}{number}") not in taken)


def numbered_stem(name: str) -> str:
    """Return a name as it is before a number: with an underscore where it ends with a digit."""
    return f"{name}_" if name[-1:].isdigit() else name
