"""Changes of the metadata of a file: from dotted keys to values that are stored."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs
from hdmf.build import ObjectMapper
from hdmf.build.warnings import DtypeConversionWarning

from nwb_ophys.editing.contents import Contents, Owner, Steps
from nwb_ophys.editing.fields import FieldPlace, plain
from nwb_ophys.errors import MetadataError, OptionError, shown
from nwb_ophys.metadata import (
    DeepDict,
    archive_subject,
    class_schema,
    faults_of,
    file_schema,
    parse_datetime,
)
from nwb_ophys.metadata.datetimes import warn_of_future, with_zone
from nwb_ophys.metadata.limits import VECTORS, faults_of_vectors
from nwb_ophys.metadata.setting import set_in_metadata

_START, _REFERENCE = "session_start_time", "timestamps_reference_time"
_OBJECTS, _EXAMPLE = "an object or a group of objects", "Ophys.ImagingPlane.0.location"


@attrs.frozen(kw_only=True)
class FieldChange:
    """Change of one field.

    Attributes
    ----------
    steps : tuple
        Keys and indices of the field in the metadata.
    owner : Owner
        Object with the field.
    old, new : object
        Values in the metadata; None where there is none.
    stored : object
        The new value as it is stored.
    dtype : str or None
        Dtype of a new dataset by hdmf's name.
    """

    steps: Steps
    owner: Owner
    old: Any
    new: Any
    stored: Any = None
    dtype: str | None = None

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(map(str, self.steps))

    @property
    def place(self) -> FieldPlace:
        """Place in which the field is stored."""
        return self.owner.places[self.steps[-1]]


def changes_of(contents: Contents, edits: Mapping[str, Any]) -> list[FieldChange]:
    """Return the changes that some edits make to the metadata of a file.

    Parameters
    ----------
    contents : Contents
    edits : Mapping of str to object
        New values by dotted keys; texts are read as on the command line, and None removes a field.

    Returns
    -------
    list of FieldChange
        None for a field that has the value already.

    Raises
    ------
    OptionError
        If a key does not exist, or is of data or of an object as a whole.
    MetadataError
        If a value is wrong, or a field is required and would be removed.
    """
    metadata = _edited(contents, edits)
    _turn_subject(contents.metadata, metadata)
    _move_reference(contents.metadata, metadata, edits)
    found = [
        FieldChange(steps=steps, owner=_owner_of(contents, steps), old=old, new=new)
        for steps, old, new in differences(contents.metadata, metadata)
    ]
    faults = [fault for change in found for fault in _faults_of(change)]
    faults += _faults_together(found)
    faults += _faults_of_lengths(metadata, found)
    if faults:
        raise MetadataError(*dict.fromkeys(faults))
    return [_with_stored(change) for change in found]


def _edited(contents: Contents, edits: Mapping[str, Any]) -> DeepDict:
    metadata, schema = copy.deepcopy(contents.metadata), file_schema()
    ophys = schema["properties"]["Ophys"]["properties"]
    for key, value in edits.items():
        first, _, rest = key.partition(".")
        kind = rest.partition(".")[0]
        if first == "Ophys" and kind in ophys and kind not in metadata["Ophys"]:
            there = ", ".join(metadata["Ophys"]) or "nothing of Ophys"
            raise OptionError(f"'{key}' names '{kind}', which the file lacks; it has {there}.")
        before = _objects_in(metadata, contents)
        set_in_metadata(metadata, key, value, schema)
        after = _objects_in(metadata, contents)
        if any(after.get(steps) is not each for steps, each in before.items()):
            raise OptionError(
                f"'{key}' is {_OBJECTS}, of which only single fields are edited; give the key of a "
                f"field, such as {_EXAMPLE}."
            )
    return metadata


def _objects_in(metadata: DeepDict, contents: Contents) -> dict[Steps, Any]:
    """Return the dictionaries of the objects of a file by their keys in its metadata."""
    found = {}
    for steps in contents.owners:
        place: Any = metadata
        with suppress(KeyError, IndexError, TypeError):
            for step in steps:
                place = place[step]
            found[steps] = place
    return found


def differences(old: Any, new: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any, Any]]:
    """Yield the keys, the old and the new value of each field that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), (*steps, key))
    elif _is_list_of_objects(old) and _is_list_of_objects(new) and len(old) == len(new):
        for index, (first, second) in enumerate(zip(old, new, strict=True)):
            yield from differences(first, second, (*steps, index))
    elif old is None and isinstance(new, Mapping):
        yield from differences({}, new, steps)
    elif not _is_same(old, new):
        yield steps, old, new


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value)


def _is_same(old: Any, new: Any) -> bool:
    """Return whether two values are equal; NaN is equal to itself, and true is not 1."""
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        return len(old) == len(new) and all(map(_is_same, old, new))
    numbers = (int, float)
    if isinstance(old, numbers) and isinstance(new, numbers) and not isinstance(new, bool):
        return old == new or (old != old and new != new)
    return type(old) is type(new) and bool(old == new)


def _owner_of(contents: Contents, steps: Steps) -> Owner:
    """Return the object with a field.

    Raises
    ------
    OptionError
        If the field cannot be edited; says why.
    """
    key = ".".join(map(str, steps))
    owner, name = contents.owners.get(steps[:-1]), steps[-1]
    if name == "name":
        raise OptionError(
            f"'{key}' is the name of an object, by which others refer to it; it is not edited."
        )
    if owner is None:
        raise OptionError(
            f"'{key}' is {_OBJECTS}, of which only single fields are edited; give the key of a "
            f"field, such as {_EXAMPLE}."
        )
    place = owner.places.get(name)
    if place is None:
        raise OptionError(f"'{key}' has no place in the schema with which the file was written.")
    if place.obstacle:
        raise OptionError(f"'{key}' {place.obstacle}.")
    return owner


# --- values -------------------------------------------------------------------------------------


def _turn_subject(old: Mapping[str, Any], new: DeepDict) -> None:
    """Turn the edited facts of a subject into the forms of archives; the others stay."""
    subject = new.get("Subject") or {}
    edited = [steps[-1] for steps, *_ in differences(old.get("Subject"), subject)]
    turned = archive_subject(subject, keys=edited)
    if turned.faults:
        raise MetadataError(*turned.faults)
    for note in turned.notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    if edited:
        new["Subject"] = DeepDict(turned.fields)


def _move_reference(old: Mapping[str, Any], new: DeepDict, edits: Mapping[str, Any]) -> None:
    """Let time zero of the timestamps follow the start of the session, where it was the start."""
    before, after = old["NWBFile"], new["NWBFile"]
    if f"NWBFile.{_REFERENCE}" in edits or before.get(_REFERENCE) != before.get(_START):
        return
    with suppress(MetadataError):  # the check of the start says what is wrong with it
        parse_datetime(after.get(_START), "")
        after[_REFERENCE] = after[_START]


def _path_of(steps: Steps) -> str:
    """Return the keys of a field as messages have them."""
    quoted = (f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in steps)
    return f"metadata{''.join(quoted)}"


def _faults_of(change: FieldChange) -> Iterator[str]:
    """Yield a sentence for each error of the new value."""
    path, place = _path_of(change.steps), change.place
    if change.new is None:
        if place.is_required and place.attribute is None:
            yield f"{path} is required by NWB, and is not removed; give another value."
        elif place.is_required:
            yield f"{path} is stored with other values, and is not removed; give another value."
        return
    schema = class_schema(change.owner.model)["properties"][change.steps[-1]]
    yield from faults_of(change.new, schema, path)
    if change.new == "":
        yield f"{path} is an empty text; give a text, or null to remove the field."
    if place.spec.shape is None and isinstance(change.new, (list, tuple)) and len(change.new) != 1:
        yield f"{path} is {shown(change.new)}; the schema of the file has one value for it."


def _faults_of_lengths(metadata: Any, changes: Sequence[FieldChange]) -> Iterator[str]:
    """Yield a sentence for each length that no microscope has, once it or its unit is changed."""
    for change in changes:
        if str(change.steps[-1]).removesuffix("_unit") in VECTORS:
            entry = metadata
            for step in change.steps[:-1]:
                entry = entry[step]
            yield from faults_of_vectors(entry, _path_of(change.steps[:-1]))


def _faults_together(changes: Sequence[FieldChange]) -> Iterator[str]:
    """Yield a sentence for each change that another one, or the lack of one, contradicts."""
    by_place: dict[tuple[str, str | None], FieldChange] = {}
    new = {each.place.location for each in changes if each.place.attribute is None}
    for change in changes:
        other = by_place.setdefault(change.place.key, change)
        if not _is_same(other.new, change.new):
            yield (
                f"{_path_of(other.steps)} and {_path_of(change.steps)} are stored in one place, "
                "and have two values; give one of them."
            )
        place = change.place
        if place.attribute is not None and place.holder is None and not _is_added(change, new):
            yield (
                f"{_path_of(change.steps)} is stored with '{place.location}', which the file "
                "lacks; give that too, or leave this out."
            )


def _is_added(change: FieldChange, new: set[str]) -> bool:
    """Return whether the object with an attribute is added by another change."""
    is_of_object = change.place.location == change.owner.location
    return change.place.location in new or (is_of_object and change.owner.container is None)


def _with_stored(change: FieldChange) -> FieldChange:
    """Return a change with the value that is stored, of the type that pynwb would store."""
    if change.new is None:
        return change
    place, value = change.place, change.new
    field = attrs.fields_dict(change.owner.model)[change.steps[-1]]
    if callable(field.converter):
        value = field.converter(value)
    if place.spec.dtype == "isodatetime":
        path = _path_of(change.steps)
        moment = with_zone(parse_datetime(value, path), path)
        if change.steps[-1] == _START:  # timestamps may count from another moment
            warn_of_future(moment, path)
        value = moment.isoformat()
    if place.spec.shape is None and isinstance(value, list):
        value = value[0] if len(value) == 1 else value
    if isinstance(value, str):
        return attrs.evolve(change, stored=value, new=value, dtype="utf8")
    with warnings.catch_warnings():
        # An integer that is not negative becomes an unsigned one, which has the same value.
        warnings.simplefilter("ignore", DtypeConversionWarning)
        stored, dtype = ObjectMapper.convert_dtype(place.spec, value)
    if place.spec.dtype == "text":
        dtype = "utf8"
    return attrs.evolve(change, stored=stored, new=plain(value), dtype=dtype)


def is_final(change: FieldChange) -> bool:
    """Return whether a change is one, once its value has the form in which it is stored."""
    return not _is_same(change.old, change.new)
