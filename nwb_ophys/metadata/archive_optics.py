"""Findings of the DANDI archive on devices, imaging planes and optical channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from nwb_ophys.errors import shown
from nwb_ophys.metadata.brain_areas import is_term, suggested_terms
from nwb_ophys.metadata.findings import Finding, advised, is_no_description


def findings_of_optics(ophys: Any, species: Any) -> Iterator[Finding]:
    """Yield the findings of devices, imaging planes and their optical channels.

    Parameters
    ----------
    ophys : Any
        ``metadata["Ophys"]``.
    species : Any
        Species of the subject in the archive's form, or None.
    """
    ophys = ophys if isinstance(ophys, Mapping) else {}
    devices, planes = _entries(ophys, "Device"), _entries(ophys, "ImagingPlane")
    channels = [
        (f"{steps}.{inner}", channel)
        for steps, plane in planes
        for inner, channel in _entries(plane, "optical_channel")
    ]
    models = [
        (f"{steps}.model", device["model"])
        for steps, device in devices
        if isinstance(device.get("model"), Mapping)
    ]
    # Inspector, BEST_PRACTICE_SUGGESTION: check_description.
    for entries, noun, example in (
        (devices, "device", "Two-photon microscope with a resonant scanner."),
        (models, "model of the device", "Two-photon microscope."),
        (planes, "imaging plane", "Layer 2/3, 200 um below the pia."),
        (channels, "optical channel", "Green channel."),
    ):
        said = partial(_of_description, noun=noun, example=example)
        yield from _of_entries(entries, "description", said)
    # Inspector, BEST_PRACTICE_VIOLATION: check_excitation_lambda_in_nm and
    # check_emission_lambda_in_nm for less than 10 nm; the limits here are those of light.
    yield from _of_entries(planes, "excitation_lambda", partial(_of_wavelength, example=920))
    yield from _of_entries(channels, "emission_lambda", partial(_of_wavelength, example=520))
    if species in _MICE:
        yield from _of_entries(planes, "location", _of_location)


# Inspector: MOUSE_SPECIES_VALUES, in the forms that are written.
_MICE = ("Mus musculus", "http://purl.obolibrary.org/obo/NCBITaxon_10090")


def _entries(owner: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the entries of a list, each with its dotted key."""
    found = owner.get(key)
    if not isinstance(found, (list, tuple)):
        return []
    prefix = f"Ophys.{key}" if key != "optical_channel" else key
    return [(f"{prefix}.{i}", each) for i, each in enumerate(found) if isinstance(each, Mapping)]


_Says = Callable[[Any], "tuple[str, Any] | None"]


def _of_entries(
    entries: list[tuple[str, Mapping[str, Any]]], field: str, said: _Says
) -> Iterator[Finding]:
    """Yield a finding for each value of a field; one for all entries where it is the same in all.

    Models are named one by one: a key without numbers would give a model to devices without one.

    Parameters
    ----------
    entries : list of (str, Mapping)
        Entries by dotted key.
    field : str
    said : callable
        Returns message and example for a value, or None.
    """
    values = [each.get(field) for _, each in entries]
    # NaN does not equal itself.
    if len({repr(value) for value in values}) == 1 and not entries[0][0].endswith(".model"):
        entries = [(re.sub(r"\.\d+", "", entries[0][0]), entries[0][1])]
    for steps, entry in entries:
        found = said(entry.get(field))
        if found is not None:
            yield advised(f"{steps}.{field}", *found)


def _of_description(value: Any, noun: str, example: str) -> tuple[str, Any] | None:
    return (f"The {noun} has no description.", example) if is_no_description(value) else None


_SHORTEST, _LONGEST = 300.0, 1800.0
_UNITS = {"µm": 1e3, "m": 1e9, "Å": 0.1}


def _of_wavelength(value: Any, example: float) -> tuple[str, Any] | None:
    is_number = hasattr(value, "__float__") and not isinstance(value, (str, bool))
    number = float(value) if is_number else float("nan")
    if number != number or _SHORTEST <= number <= _LONGEST:  # NaN marks an unknown wavelength
        return None
    limits = f"outside of {_SHORTEST:g} to {_LONGEST:g} nm"
    message = f"The wavelength is {number:g} nm, {limits}"
    for unit, factor in _UNITS.items():
        if _SHORTEST <= round(number * factor, 6) <= _LONGEST:
            nanometres = f"{number * factor:.6g}"
            return f"{message}; if it is {number:g} {unit}, give {nanometres}.", nanometres
    return f"{message}.", example


def _of_location(value: Any) -> tuple[str, Any] | None:
    # Inspector, BEST_PRACTICE_VIOLATION: check_imaging_plane_location_allen_ccf.
    if not isinstance(value, str) or is_term(value):
        return None
    if value.strip().lower() in ("", "unknown"):
        message = "The location is not stated; give a term of the Allen Mouse Brain CCF"
        return f"{message}, such as VISp or 'Primary visual area'.", "VISp"
    terms = suggested_terms(value)
    message = f"{shown(value)} is not a term of the Allen Mouse Brain CCF"
    if not terms:
        return f"{message}, such as VISp or 'Primary visual area'.", "VISp"
    guesses = " or ".join(f"{acronym}: {name}" for acronym, name in terms)
    return f"{message}; did you mean {guesses}?", terms[0][0]
