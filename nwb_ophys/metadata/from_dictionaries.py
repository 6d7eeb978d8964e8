"""Metadata in the dictionary form, read into the list form."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.deepdict import DeepDict, FullMetadata
from nwb_ophys.metadata.defaults import default_entry
from nwb_ophys.metadata.dictionary_form import (
    CONTAINER_OF_DFF,
    DEVICE_KEY,
    DEVICES,
    IMAGES,
    LINKS,
    MODEL_KEY,
    MODELS,
    MOVIES,
    OPHYS_KEYS,
    PLANE_KEY,
    PLANES,
    TABLES,
    TOP_KEYS,
    TRACES,
    dictionary_schema,
    has_dictionary_form,
    path_of_key,
)
from nwb_ophys.metadata.dictionary_owners import LISTS, Division, divide, names_in_lists
from nwb_ophys.metadata.kinds import entry_as
from nwb_ophys.metadata.links import SEGMENTATIONS, SERIES, entries_of, path_of, set_entries
from nwb_ophys.metadata.merging import without_none
from nwb_ophys.metadata.schema import faults_of

_CONTAINERS = ("ImageSegmentation", "Fluorescence", CONTAINER_OF_DFF, IMAGES)


def to_lists(metadata: Any, stated: Mapping[str, Any], *, among_others: bool = False) -> Any:
    """Return metadata in the list form, if it has the dictionary form.

    An entry belongs to the entry of the recording whose name is its key or its name. A plane or
    device with another name belongs to the one to which the recording links in its place. A single
    movie or plane segmentation that is left belongs to the single one that is left. What an entry
    does not give is what the recording states.

    Parameters
    ----------
    metadata : Mapping or None
        The user's metadata; not changed. Metadata in the list form is returned as it is.
    stated : Mapping
        The metadata without the user's. Its own dictionaries are those of interfaces of other
        packages, which read them.
    among_others : bool
        Whether the metadata is that of a converter of another package, in which movies and plane
        segmentations whose keys are not names of the recording belong to other interfaces.

    Raises
    ------
    MetadataError
        With a sentence for each unknown key or link, and where both forms describe the same.
    """
    is_given = has_dictionary_form(metadata) and isinstance(metadata.get("Ophys", {}), Mapping)
    if not is_given or isinstance(metadata, FullMetadata):
        return metadata
    _check_dictionaries(metadata)
    division = divide(metadata, stated, among_others=among_others)
    faults = faults_of(without_none(division.as_metadata()), dictionary_schema())
    faults += _faults_of_both(metadata, division)
    if faults:
        raise MetadataError(*faults)
    movies = _of_the_present_type(division.own[MOVIES], stated)
    division = attrs.evolve(division, own={**division.own, MOVIES: movies})
    result = _Reader(division=division, stated=DeepDict(stated)).lists(DeepDict(metadata))
    result.links = getattr(metadata, "links", result.links)
    result.implied_links = getattr(metadata, "implied_links", result.implied_links)
    return result


def without_dictionaries(metadata: DeepDict) -> None:
    """Remove the keys that only the dictionary form has, in place."""
    for category in (*TOP_KEYS, *OPHYS_KEYS):
        parent = metadata if category in TOP_KEYS else metadata.get("Ophys")
        if isinstance(parent, DeepDict):
            parent.pop(category, None)


def _check_dictionaries(metadata: Mapping[str, Any]) -> None:
    for key in (*TOP_KEYS, *OPHYS_KEYS, *_CONTAINERS):
        value = (metadata if key in TOP_KEYS else metadata.get("Ophys", {})).get(key)
        if value is not None and not isinstance(value, Mapping):
            lists = " or ".join(map(repr, LISTS.get(key, ())))
            hint = f" Did you mean {lists}, which is a list?" if lists else ""
            raise MetadataError(
                f"{path_of_key(key)} is a {type(value).__name__}; it must be a dictionary.{hint}"
            )


def _faults_of_both(metadata: Mapping[str, Any], division: Division) -> list[str]:
    """Return a sentence for each category that both forms describe."""
    return [
        f"{path_of_key(category)} and {path_of(name)} describe the same, one in the dictionary "
        "form and one in the list form; give one of them."
        for category, lists in {**LISTS, MODELS: LISTS[DEVICES]}.items()
        for name in lists
        if division.own[category] and _is_given(metadata, name)
    ]


def _is_given(metadata: Mapping[str, Any], name: str) -> bool:
    """Return whether metadata has a list, of whatever type its value is."""
    parent = metadata.get("Ophys") or {}
    if name == SEGMENTATIONS:
        parent = parent.get("ImageSegmentation") or {}
    return parent.get(name) is not None


def _of_the_present_type(
    own: Mapping[str, Any], stated: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return movies in which those with a name of the other type of series have the present one.

    As in the list form, metadata that was made without the option is adapted to it.
    """
    kinds = [kind for kind in LISTS[MOVIES] if entries_of(stated, kind)]
    if len(kinds) != 1:
        return dict(own)
    (kind,), (other,) = kinds, [each for each in LISTS[MOVIES] if each not in kinds]
    result = {}
    for key, entry in own.items():
        is_other = other in str(key) or other in str(entry.get("name"))
        present = str(key).replace(other, kind) if is_other else key
        result[key if present in own else present] = (
            entry_as(entry, other, kind) if is_other else entry
        )
    return result


@attrs.define(kw_only=True)
class _Reader:
    """One reading: the entries of the recording, updated with those of the dictionaries.

    Attributes
    ----------
    division : Division
    stated : DeepDict
        A copy of the metadata without the user's.
    faults : list of str
    places : dict
        By category and key the index of the entry of the recording; beyond its entries, that of a
        further one.
    """

    division: Division
    stated: DeepDict
    faults: list[str] = attrs.field(factory=list)
    places: dict[str, dict[str, int]] = attrs.field(factory=dict)

    def lists(self, result: DeepDict) -> DeepDict:
        """Return metadata with lists in place of our dictionaries."""
        without_dictionaries(result)
        for container in _CONTAINERS:
            if result["Ophys"].get(container, result) is None:
                del result["Ophys"][container]
        for category, others in self.division.others.items():
            if others:
                (result if category in TOP_KEYS else result["Ophys"])[category] = others
        found = {category: self._updated(category) for category in (MOVIES, TABLES)}
        planes = self._updated(PLANES, self._in_place(PLANES, found, PLANE_KEY))
        devices = self._updated(DEVICES, self._in_place(DEVICES, {PLANES: planes}, DEVICE_KEY))
        names = {PLANES: self._names(PLANES, planes), DEVICES: self._names(DEVICES, devices)}
        for category, entries in {**found, PLANES: planes}.items():
            self._link(category, entries, names[LINKS[category].target])
        for category, entries in found.items():
            self._leave_links_open(category, entries)
        self._add_models(devices)
        self._add_members(result["Ophys"], self._names(TABLES, found[TABLES]))
        if self.faults:
            raise MetadataError(*self.faults)
        lists = self._by_list({**found, PLANES: planes, DEVICES: devices}, names[PLANES])
        for name, entries in lists.items():
            is_changed = entries != entries_of(self.stated, name)
            is_own = name == "ImagingPlane" and self.division.own[PLANES]
            if (is_changed or is_own) and not _is_given(result, name):
                set_entries(result, name, entries)
        return result

    # --- entries ----------------------------------------------------------------------------------

    def _before(self, category: str) -> list[Any]:
        """Return the entries of the recording."""
        return [each for name in LISTS[category] for each in entries_of(self.stated, name)]

    def _updated(
        self, category: str, in_place: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """Return all entries, updated with those of a dictionary, and find their places."""
        own, before = self.division.own[category], self._before(category)
        places = _matches(own, names_in_lists(self.stated, category))
        entries = [dict(each) for each in before]
        for key, given in own.items():
            index = places.get(key)
            if index is None and in_place is None:
                index = self._only_place(category, own, places)
                if index is None:
                    continue
            elif index is None:
                index = self._further_place(key, in_place or {}, places, entries)
            if index == len(entries):
                entries.append(self._further_entry(category, key, in_place or {}))
            places[key] = index
            entries[index] |= given
        self.places[category] = places
        return entries

    def _only_place(
        self, category: str, own: Mapping[str, Any], places: Mapping[str, int]
    ) -> int | None:
        """Return the place of the single entry without one, or add a fault."""
        names = names_in_lists(self.stated, category)
        left = [key for key in own if key not in places]
        free = [index for index in range(len(names)) if index not in places.values()]
        if len(left) == len(free) == 1:
            return free[0]
        known = ", ".join(f"'{name}'" for name in names) or "none"
        fault = f"{path_of_key(category)} has {', '.join(map(repr, left))}, "
        fault += f"but the names of the recording are: {known}.{_hint(left[0], names)}"
        if fault not in self.faults:
            self.faults.append(f"{fault} Use these names as the keys.")
        return None

    def _further_place(
        self, key: str, in_place: Mapping[str, int], places: Mapping[str, int], entries: list[Any]
    ) -> int:
        index = in_place.get(key, len(entries))
        return len(entries) if index in places.values() else index

    def _further_entry(
        self, category: str, key: str, in_place: Mapping[str, int]
    ) -> dict[str, Any]:
        """Return what an entry has that the recording does not have, before it is updated."""
        before = self._before(category)
        if key in in_place:
            return {**before[in_place[key]], "name": key}
        linked = [
            each.get(LINKS[one].key)
            for one in LINKS
            if LINKS[one].target == category
            for each in self.division.own[one].values()
        ]
        if key not in linked:
            names = ", ".join(map(repr, names_in_lists(self.stated, category))) or "none"
            warnings.warn(
                f"{path_of_key(category, key)} is written as a further entry, because nothing "
                f"links to it, and the names of the recording are: {names}.",
                UserWarning,
                stacklevel=2,
            )
        if category != PLANES:
            return {"name": key}
        devices = names_in_lists(self.stated, DEVICES)
        device = devices[0] if len(devices) == 1 else None
        return {**default_entry("ImagingPlane"), "name": key, "device": device}

    # --- links ------------------------------------------------------------------------------------

    def _in_place(
        self, category: str, linking: Mapping[str, Sequence[Any]], link_key: str
    ) -> dict[str, int]:
        """Return the entry of the recording to which it links in place of each key."""
        names = names_in_lists(self.stated, category)
        found: dict[str, set[int]] = {}
        for each in linking:
            field, before = LINKS[each].field, self._before(each)
            for key, index in self.places[each].items():
                link = self.division.own[each].get(key, {}).get(link_key)
                former = before[index].get(field) if index < len(before) else None
                if isinstance(link, str) and former in names:
                    found.setdefault(link, set()).add(names.index(former))
        return {key: indices.pop() for key, indices in found.items() if len(indices) == 1}

    def _names(self, category: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Return the present name of each entry by its former name, and by its key."""
        former = names_in_lists(self.stated, category)
        names = dict(zip(former, (str(each["name"]) for each in entries), strict=False))
        places = self.places[category]
        return names | {key: str(entries[index]["name"]) for key, index in places.items()}

    def _link(self, category: str, entries: list[dict[str, Any]], names: Mapping[str, str]) -> None:
        """Replace the keys to which entries link by names, and former names by present ones."""
        link = LINKS[category]
        keys = {index: key for key, index in self.places[category].items()}
        for index, entry in enumerate(entries):
            given = entry.pop(link.key, None)
            if given is None:
                former = names_in_lists(self.stated, link.target)
                if entry.get(link.field) in former:
                    entry[link.field] = names[entry[link.field]]
            elif given in names:
                entry[link.field] = names[given]
            else:
                self.faults.append(_no_such_key(category, keys[index], link, given, names))

    def _add_models(self, devices: list[dict[str, Any]]) -> None:
        """Put the models into the devices that link to them."""
        device_models, link = self.division.own[MODELS], LINKS[DEVICES]
        keys = {index: key for key, index in self.places[DEVICES].items()}
        used = set()
        for index, device in enumerate(devices):
            given = device.pop(MODEL_KEY, None)
            device.pop("type", None)
            if given in device_models:
                used.add(given)
                fields = {"name": given} | dict(device_models[given])
                device["model"] = {k: v for k, v in fields.items() if k != "type"}
            elif given is not None:
                self.faults.append(_no_such_key(DEVICES, keys[index], link, given, device_models))
        self.faults += [
            f"{path_of_key(MODELS, key)} would not be written, because no device has the "
            f"{MODEL_KEY} '{key}'; give it to a device."
            for key in device_models
            if key not in used
        ]

    # --- traces and images ------------------------------------------------------------------------

    def _add_members(self, ophys: DeepDict, tables: Mapping[str, str]) -> None:
        """Add the traces and images of each table under its present name."""
        former = {tables[name]: name for name in names_in_lists(self.stated, TABLES)}
        for key, members in self.division.own[TRACES].items():
            if key not in tables:
                names = ", ".join(map(repr, tables)) or "none"
                self.faults.append(
                    f"{path_of_key(TRACES)} has '{key}', but no plane segmentation has that key; "
                    f"keys: {names}.{_hint(key, tables)}"
                )
                continue
            for kind, entry in members.items():
                container = CONTAINER_OF_DFF if kind == "dff" else "Fluorescence"
                self._add_member(ophys[container][tables[key]], (container, key, kind), entry)
        for key, images in self.division.own[IMAGES].items():
            if key not in tables:
                continue  # its table has a fault
            ophys[IMAGES].pop(key, None)
            ophys[IMAGES][tables[key]].deep_update(images)
        for container in ("Fluorescence", CONTAINER_OF_DFF, IMAGES):
            before = self.stated["Ophys"].get(container) or {}
            for name, old in former.items():
                if name != old and isinstance(before.get(old), Mapping):
                    given = ophys[container][name].copy()
                    ophys[container][name] = DeepDict(before[old])
                    ophys[container][name].deep_update(given)

    def _add_member(self, members: DeepDict, steps: tuple[str, str, str], entry: Any) -> None:
        container, key, kind = steps
        if kind in members:
            self.faults.append(
                f'{path_of_key(TRACES, key, kind)} and metadata["Ophys"]["{container}"] describe '
                "the same, one in the dictionary form and one in the list form; give one of them."
            )
        members[kind] = entry

    # --- the result -------------------------------------------------------------------------------

    def _leave_links_open(self, category: str, entries: list[dict[str, Any]]) -> None:
        """Remove the links of movies or tables that the user has not given.

        In a file that is appended to, a given link may mean a plane of the file.
        """
        own, before = self.division.own[category], self._before(category)
        linked = {i for key, i in self.places[category].items() if own[key].get(PLANE_KEY)}
        names = names_in_lists(self.stated, category)
        for index, entry in enumerate(entries if own else ()):
            is_same = entry.get("imaging_plane") == before[index].get("imaging_plane")
            name = entry.get("name")
            if index not in linked and is_same and (name == names[index] or name not in names):
                entry["imaging_plane"] = None  # the default is that of the recording

    def _by_list(
        self, found: Mapping[str, list[Any]], planes: Mapping[str, str]
    ) -> dict[str, list[Any]]:
        """Return the entries by the name of their list, with the lists without a dictionary."""
        link = LINKS[MOVIES].field
        lists = {
            name: [
                {**each, link: planes.get(each.get(link), each.get(link))}
                for each in entries_of(self.stated, name)
            ]
            for name in SERIES
            if name not in LISTS[MOVIES]
        }
        rest = found[MOVIES]
        for name in LISTS[MOVIES]:
            count = len(entries_of(self.stated, name))
            lists[name], rest = rest[:count], rest[count:]
        return lists | {LISTS[each][0]: found[each] for each in (TABLES, PLANES, DEVICES)}


def _matches(own: Mapping[str, Any], names: Sequence[Any]) -> dict[str, int]:
    """Return the index of the name that each entry has as its key, or else as its name."""
    found = {key: names.index(key) for key in own if key in names}
    for key, entry in own.items():
        name = entry.get("name")
        if key not in found and name in names and names.index(name) not in found.values():
            found[key] = names.index(name)
    return found


def _no_such_key(category: str, key: str, link: Any, given: Any, known: Iterable[str]) -> str:
    names = ", ".join(map(repr, known)) or "none"
    return (
        f"{path_of_key(category, key, link.key)} is {given!r}, but {path_of_key(link.target)} has "
        f"no such key; keys: {names}.{_hint(given, known)}"
    )


def _hint(key: Any, known: Iterable[Any]) -> str:
    close = difflib.get_close_matches(str(key), [str(each) for each in known], n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
