"""Keys and values of the session and the subject, checked before any session is converted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nwb_ophys.errors import SpecificationError
from nwb_ophys.metadata import models
from nwb_ophys.metadata.schema import faults_of, session_schemas
from nwb_ophys.sessions.session import Session

SECTIONS = {
    **{each.name: "Subject" for each in attrs.fields(models.Subject)},
    **{each.name: "NWBFile" for each in attrs.fields(models.Session)},
}
"""Sections of the metadata by the names of their fields."""

_FIELDS: Mapping[str, Mapping[str, Any]] = {
    section: schema["properties"] for section, schema in session_schemas().items()
}


def check_keys(sessions: Sequence[Session]) -> None:
    """Refuse unknown fields of the session and the subject, before any session is converted.

    Raises
    ------
    SpecificationError
        With the place of each.
    """
    faults: dict[str, None] = {}
    for key, where in {k: w for each in sessions for k, w in each.origins.items()}.items():
        section, _, name = key.partition(".")
        known = [each for each, own in SECTIONS.items() if own == section]
        if known and not name:
            faults[f"{where} must be a dictionary with fields such as {known[0]}."] = None
        elif known and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean '{section}.{close[0]}'?" if close else ""
            allowed = ", ".join(sorted(known))
            faults[f"{where}: {section} has no field '{name}'.{hint} Allowed: {allowed}."] = None
    if faults:
        raise SpecificationError(*faults)


def faults_of_values(
    metadata: Mapping[str, Any], origins: Mapping[str, str], replaced: Mapping[str, str] = {}
) -> list[str]:
    """Return a sentence for each value of the session and the subject that NWB does not store.

    Parameters
    ----------
    metadata : Mapping
    origins : Mapping of str to str
        Where each value is stated, by dotted keys.
    replaced : Mapping of str to str
        Texts by the keys of the values that they replace.
    """
    faults = []
    for section, fields in _FIELDS.items():
        given = metadata.get(section)
        for key, value in given.items() if isinstance(given, Mapping) else ():
            name = f"{section}.{key}"
            if value is not None and key in fields and name not in replaced:
                faults += faults_of(value, fields[key], origins.get(name, name))
    return faults
