"""Set single values in metadata by dotted keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nwb_ophys.errors import OptionError
from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.neuroconv_keys import without_neuroconv_keys
from nwb_ophys.metadata.value_texts import read_text


def set_in_metadata(metadata: DeepDict, key: str, value: Any, schema: Mapping[str, Any]) -> None:
    """Set one value in metadata by its dotted key.

    Parameters
    ----------
    metadata : DeepDict
        Metadata, changed in place.
    key : str
        Keys, and indices or names of the entries of lists, joined by dots, such as
        ``NWBFile.session_start_time`` or ``Ophys.ImagingPlane.0.location``. Without an index or
        name, as in ``Ophys.ImagingPlane.location``, the value is set in every entry of the list.
    value : object
        A text is read as YAML unless the schema asks for a text.
    schema : Mapping
        JSON schema of the metadata.

    Raises
    ------
    OptionError
        If the key does not exist, or the text is not valid YAML.
    """
    known = without_neuroconv_keys(schema) if "properties" in schema else schema
    _set(_Place(key=key, value=value), metadata, key.split("."), known)


@attrs.frozen(kw_only=True)
class _Place:
    """A dotted key and its value, for messages."""

    key: str
    value: Any

    def error(self, reason: str) -> OptionError:
        """Return the error that the key does not exist."""
        return OptionError(f"'{self.key}'{reason.rstrip('.')}.")

    def read(self, schema: Mapping[str, Any]) -> Any:
        """Return the value, of a text that which the schema asks for."""
        return read_text(self.value, schema) if isinstance(self.value, str) else self.value


def _set(given: _Place, place: Any, steps: list[str], schema: Mapping[str, Any]) -> None:
    if isinstance(place, list):
        _set_in_list(given, place, steps, schema)
        return
    step, *rest = steps
    if not isinstance(place, dict):
        if rest:
            raise given.error(f": '{step}' does not exist, because its parent has no keys.")
        raise given.error(f" leads to a {type(place).__name__}, which has no keys.")
    known = schema.get("properties", {})
    if step not in place and step not in known:
        found = _named(given, list(place.items()), steps)
        if found is None:
            below = [f"{name}.{step}" for name, each in known.items() if _has(each, step)]
            raise given.error(f" has {_no_such_key(step, sorted({*place, *known}), below)}")
        step, rest = found
    inner = _inner(schema, step)
    if not rest:
        place[step] = given.read(inner)
        return
    if place.get(step) is None:
        if inner.get("type") == "array":
            raise given.error(_not_there(step, sorted(place)))
        place[step] = DeepDict() if inner.get("type") == "object" else ""
    _set(given, place[step], rest, inner)


def _named(
    given: _Place, members: Sequence[tuple[Any, Any]], steps: list[str]
) -> tuple[Any, list[str]] | None:
    """Return the key of the member that the steps name, and the steps after its name, or None.

    A name may have dots.
    """
    for count in range(len(steps), 0, -1):
        name = ".".join(steps[:count])
        found = [key for key, each in members if key == name or _name_of(each) == name]
        if len(found) > 1:
            keys = ", ".join(map(str, found))
            raise given.error(f": '{name}' is the name of several entries; give one of {keys}")
        if found:
            return found[0], steps[count:]
    return None


def _name_of(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, dict) else None


def _set_in_list(
    given: _Place, entries: list[Any], steps: list[str], schema: Mapping[str, Any]
) -> None:
    """Set the value in the entry of an index or a name, or in all entries."""
    step, *rest = steps
    inner = _inner(schema, step)
    known = sorted({*inner.get("properties", {}), *_keys_of(entries)})
    if step in known and entries:
        for entry in entries:
            _set(given, entry, steps, inner)
        return
    named = _named(given, list(enumerate(entries)), steps)
    if step.isdigit() and int(step) < len(entries):
        if named is not None and named[0] != int(step):
            raise given.error(
                f": '{step}' is the index of one entry and the name of another one; give the index "
                f"{named[0]} for the latter."
            )
        named = int(step), rest
    if named is None:
        raise given.error(_not_an_entry(step, entries, known))
    index, rest = named
    if rest:
        _set(given, entries[index], rest, inner)
    else:
        entries[index] = given.read(inner)


def _not_an_entry(step: str, entries: list[Any], known: Sequence[str]) -> str:
    kind = "an index" if step.isdigit() else "an index or a name"
    reason = f": '{step}' is not {kind}; the list has length {len(entries)}, from 0"
    named = f": {_in_words(entries)}" if entries else ""
    keys = f", and its entries have {_no_such_key(step, known)}" if known else ""
    return f"{reason}{named}{keys if not step.isdigit() else ''}"


def _keys_of(entries: list[Any]) -> set[str]:
    return {key for entry in entries if isinstance(entry, dict) for key in entry}


def _in_words(entries: list[Any]) -> str:
    """Return the indices of a list, with the names of its entries."""
    names = [f" ('{e['name']}')" if isinstance(e, dict) and "name" in e else "" for e in entries]
    return ", ".join(f"{index}{name}" for index, name in enumerate(names)) or "none"


def _has(schema: Mapping[str, Any], key: str) -> bool:
    return key in schema.get("properties", {})


def _no_such_key(step: str, known: Sequence[str], below: Sequence[str] = ()) -> str:
    close = [*below, *difflib.get_close_matches(step, known, n=1)]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    there = f" The keys are {', '.join(known)}" if known else " There are no keys"
    return f"no key '{step}'.{hint}{there}"


def _not_there(step: str, present: Sequence[str]) -> str:
    hint = ""
    if step in ("OnePhotonSeries", "TwoPhotonSeries"):
        hint = f'; give photon_series_type="{step}" to write the movie as one'
    return f" names '{step}', which this recording does not have{hint}. It has {', '.join(present)}"


def _inner(schema: Mapping[str, Any], step: str) -> Mapping[str, Any]:
    known = schema.get("properties", {}).get(step)
    found = known or schema.get("items") or schema.get("additionalProperties") or {}
    return found if isinstance(found, Mapping) else {}
