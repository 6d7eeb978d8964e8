"""Forms made from JSON schemas: fields with labels, help, units, values and suggestions."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nwb_ophys.documents import DocumentError, parse_yaml
from nwb_ophys.errors import MetadataError, printable
from nwb_ophys.metadata.subjects import known_species
from nwb_ophys.opening import options_of
from nwb_ophys.page.option_paths import names_files
from nwb_ophys.page.wording import page_lines
from nwb_ophys.registry import FormatRow

# Fields that most laboratories fill in; the others of a group are below a fold.
_FIRST = {
    "NWBFile": (
        "session_start_time",
        "session_description",
        "session_id",
        "experimenter",
        "institution",
        "lab",
        "keywords",
        "experiment_description",
    ),
    "Subject": (
        *("subject_id", "species", "sex", "age", "date_of_birth"),
        *("strain", "genotype", "weight", "description"),
    ),
    "Device": ("name", "description", "manufacturer"),
    "ImagingPlane": (
        *("name", "location", "indicator", "excitation_lambda", "description"),
        *("emission_lambda", "device"),
    ),
    "TwoPhotonSeries": ("name", "description"),
    "OnePhotonSeries": ("name", "description"),
}
_TITLES = {
    "NWBFile": "Session",
    "Subject": "Subject",
    "Device": "Microscope",
    "ImagingPlane": "Imaging plane",
    "TwoPhotonSeries": "Two-photon movie",
    "OnePhotonSeries": "One-photon movie",
    "ImageSegmentation": "ROIs",
    "Fluorescence": "Fluorescence traces",
    "DfOverF": "ΔF/F traces",
    "SegmentationImages": "Summary images",
}
_LABELS = {
    "excitation_lambda": "Excitation wavelength",
    "emission_lambda": "Emission wavelength",
    "location": "Location in the brain",
    "lab": "Laboratory",
    "session_id": "Name of the session",
    "subject_id": "Name of the animal",
}
_UNIT = re.compile(r"\bin (nm|Hz|s|metres|mW|mW/mm\^2)\b")
_SUGGESTED = {
    "species": known_species(),
    "sex": ["M", "F", "U", "O"],
    "age__reference": ["birth", "gestational"],
    "indicator": [
        *("GCaMP6f", "GCaMP6s", "GCaMP6m", "jGCaMP7f", "jGCaMP7s", "jGCaMP8f", "jGCaMP8m"),
        *("jGCaMP8s", "XCaMP-G", "jRGECO1a", "RCaMP", "OGB-1", "ASAP3", "JEDI-2P", "tdTomato"),
    ],
}
_EXAMPLES = {
    "session_start_time": "2024-05-17T14:30:00+02:00",
    "date_of_birth": "2024-02-17",
    "age": "P90D",
    "weight": "0.025 kg",
    "experimenter": "Last, First",
    "strain": "C57BL/6J",
    "related_publications": "https://doi.org/10.1038/…",
}
# Settings for programs, and what --option stub= does better.
_NOT_ASKED = ("iterator_options", "stub_test", "stub_samples", "photon_series_index")
_LEFT_OUT = ("identifier",)
_KEYS = re.compile(r'^metadata((?:\["[^"\]]+"\]|\[\d+\])+)')
_STEP = re.compile(r"\[\"?([^\]\"]+)\"?\]")


def option_fields(rows: Sequence[FormatRow], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the fields for the source arguments and options of formats, the needed ones first.

    Parameters
    ----------
    rows : sequence of FormatRow
    given : Mapping of str to str
        Values by name.
    """
    fields: dict[str, dict[str, Any]] = {}
    for row in rows:
        for name, schema in options_of(row).items():
            if name not in fields and name not in _NOT_ASKED:
                fields[name] = _field(name, name, schema, None, given) | {
                    "needed": bool(schema.get("needed")),
                    "formats": [],
                    "is_path": names_files(name, schema),
                    "default": _as_text(schema.get("default")),
                }
            if name in fields:
                fields[name]["formats"].append(row.name)
    return sorted(fields.values(), key=lambda field: not field["needed"])


def groups_of(
    base: Mapping[str, Any],
    edited: Mapping[str, Any],
    schema: Mapping[str, Any],
    settings: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the form of metadata as groups of fields.

    Parameters
    ----------
    base, edited : Mapping
        Complete metadata without and with the settings.
    schema : Mapping
        JSON schema of the metadata.
    settings : Mapping of str to str
        Texts that the user gave by dotted keys.

    Returns
    -------
    list of dict
        With ``title``, ``first`` (the usual fields) and ``more`` (the others).
    """
    groups = []
    for kind in ("NWBFile", "Subject"):
        part = schema["properties"][kind]
        fields = list(_leaves(kind, part, edited.get(kind) or {}, base.get(kind) or {}, settings))
        groups.append(_group(_TITLES[kind], kind, fields))
    ophys = schema["properties"]["Ophys"]["properties"]
    for kind, value in edited["Ophys"].items():
        known, before = ophys.get(kind, {}), base["Ophys"].get(kind)
        if isinstance(value, list):
            groups += _of_entries(kind, known, value, before, settings)
        elif isinstance(value, Mapping):
            fields = list(_leaves(f"Ophys.{kind}", known, value, before or {}, settings))
            groups.append(_group(_TITLES.get(kind, kind), kind, fields))
    return groups


def _of_entries(
    kind: str, schema: Mapping[str, Any], entries: Any, before: Any, settings: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a group for each entry of a list, such as the imaging planes."""
    for index, entry in enumerate(entries):
        key = f"Ophys.{kind}.{index}"
        own = before[index] if before and index < len(before) else {}
        fields = list(_leaves(key, schema.get("items", {}), entry, own, settings))
        name = str(entry.get("name", ""))
        title = f"{_TITLES.get(kind, kind)} {index + 1}" if len(entries) > 1 else _TITLES.get(kind)
        yield _group(f"{title or kind} — {printable(name)}", kind, fields)


def _group(title: str, kind: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    usual = _FIRST.get(kind, ())
    first = [f for name in usual for f in fields if f["name"] == name]
    more = [field for field in fields if field not in first]
    return {"title": title, "id": re.sub(r"\W+", "-", title), "first": first, "more": more}


def _leaves(
    key: str, schema: Mapping[str, Any], value: Any, base: Any, settings: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a field for each value in nested metadata, and for each that may be added."""
    known = schema.get("properties", {})
    for name in dict.fromkeys([*known, *value]):
        if name in _LEFT_OUT:
            continue
        inner = known.get(name) or schema.get("additionalProperties")
        inner = inner if isinstance(inner, Mapping) else {}
        own, before = value.get(name), base.get(name) if isinstance(base, Mapping) else None
        path = f"{key}.{name}"
        if isinstance(own, list) and own and all(isinstance(each, Mapping) for each in own):
            for index, each in enumerate(own):
                old = before[index] if isinstance(before, list) and index < len(before) else {}
                yield from _leaves(f"{path}.{index}", inner.get("items", {}), each, old, settings)
        elif isinstance(own, Mapping):
            yield from _leaves(path, inner, own, before or {}, settings)
        elif _is_leaf(inner):
            yield _field(path, name, inner, before if own is None else own, settings)


def _is_leaf(schema: Mapping[str, Any]) -> bool:
    """Return whether a value is one text, number or list of them."""
    kinds = _kinds(schema)
    items = schema.get("items", {})
    is_nested = bool(items.get("properties")) or items.get("type") == "array"
    return bool(kinds) and "object" not in kinds and not is_nested


def _kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = schema.get("type") or [each.get("type") for each in schema.get("anyOf", ())]
    return (kinds,) if isinstance(kinds, str) else tuple(filter(None, kinds))


def _field(
    key: str, name: str, schema: Mapping[str, Any], value: Any, settings: Mapping[str, str]
) -> dict[str, Any]:
    description = str(schema.get("description") or "").replace("``", "")
    unit = _UNIT.search(description)
    kind = _control(schema)
    text = _as_text(value, kind)
    if key in settings:
        text = _shown_setting(settings[key], kind)
    if kind == "text" and "\n" in text:  # a line of input would lose the ends of its lines
        kind = "long"
    return {
        "key": key,
        "name": name,
        "label": _label(key, name),
        "help": description,
        "unit": unit[1] if unit else "",
        "control": kind,
        "choices": [str(each) for each in schema.get("enum", ()) if each is not None],
        "suggestions": _SUGGESTED.get(name, []),
        "is_place": name == "location",
        "example": _EXAMPLES.get(name, ""),
        "value": text if kind in ("lines", "long") else printable(text),
        "is_set": key in settings,
    }


def _label(key: str, name: str) -> str:
    """Return a label in words, with the part of an entry to which a nested field belongs."""
    label = _LABELS.get(name) or _in_words(name)
    outer = [step for step in key.split(".")[:-1] if not step.isdigit()]
    depth = 2 if key.startswith("Ophys.") else 1
    nested = [_in_words(step) for step in outer[depth:]]
    return ": ".join([*nested, label]) if nested else label


def _in_words(name: str) -> str:
    return printable(name).replace("__", " ").replace("_", " ").capitalize()


def _control(schema: Mapping[str, Any]) -> str:
    """Return the kind of control: text, number, choice, boolean, lines or vector."""
    kinds = _kinds(schema)
    if schema.get("enum"):
        return "choice"
    if "boolean" in kinds:
        return "boolean"
    if "array" in kinds:
        is_numeric = schema.get("items", {}).get("type") in ("number", "integer")
        return "vector" if is_numeric else "lines"
    if "string" in kinds:
        return "text"
    return "number" if kinds else "text"


def _as_text(value: Any, kind: str = "text") -> str:
    """Return a value as the text in its control."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return ""  # unknown
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        separator = "\n" if kind == "lines" else ", "
        return separator.join(map(str, value))
    return str(value)


def _shown_setting(text: str, kind: str) -> str:
    """Return a setting as the text in its control, see :func:`nwb_ophys.page.values.setting_of`."""
    if kind in ("lines", "vector") and text.startswith("["):
        try:
            return _as_text(parse_yaml(text), kind)
        except DocumentError:
            return text
    return text


def faults_by_key(error: MetadataError) -> dict[str, list[str]]:
    """Return the faults of metadata by the dotted key that each names; others have an empty key.

    Parameters
    ----------
    error : MetadataError
    """
    faults: dict[str, list[str]] = {}
    for fault, line in zip(error.args, page_lines(error) or [], strict=True):
        found = _KEYS.match(str(fault))
        key = ".".join(_STEP.findall(found[1])) if found else ""
        faults.setdefault(key, []).append(line)
    return faults


def mark(
    groups: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, str]],
    faults: Mapping[str, Sequence[str]],
) -> dict[str, list[Any]]:
    """Put findings and faults beside the fields that they name.

    Parameters
    ----------
    groups : sequence of dict
        Of :func:`groups_of`; fields get the keys ``findings`` and ``faults``.
    findings : sequence of dict
    faults : Mapping of str to sequence of str

    Returns
    -------
    dict
        The ``findings`` and ``faults`` that name no field.
    """
    left_findings = {id(each) for each in findings}
    left_faults = set(faults)
    for field in (field for group in groups for field in (*group["first"], *group["more"])):
        whole = field["key"]
        short = ".".join(step for step in whole.split(".") if not step.isdigit())
        own = [each for each in findings if each["key"] in (whole, short)]
        keys = [key for key in faults if key in (whole, short)]
        field["findings"], field["faults"] = own, [line for key in keys for line in faults[key]]
        left_findings -= {id(each) for each in own}
        left_faults -= set(keys)
    return {
        "findings": [each for each in findings if id(each) in left_findings],
        "faults": [line for key in faults if key in left_faults for line in faults[key]],
    }


def merged(first: Mapping[str, list[str]], second: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the faults of two dictionaries, each once.

    Parameters
    ----------
    first, second : Mapping of str to list of str
    """
    keys = dict.fromkeys([*first, *second])
    return {key: list(dict.fromkeys([*first.get(key, ()), *second.get(key, ())])) for key in keys}


def attributed(
    lines: Sequence[str], names: Sequence[str], files: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return lines of an error by the field that each names first; others have an empty key.

    Parameters
    ----------
    lines : sequence of str
    names : sequence of str
        Keys of the fields of the form.
    files : Mapping of str to sequence of str
        Names of files by the key of the field in which they are given.
    """
    faults: dict[str, list[str]] = {}
    for line in lines:
        of_file = [key for key, own in files.items() if any(each and each in line for each in own)]
        if of_file:
            faults.setdefault(of_file[0], []).append(line)
            continue
        places = {name: _position(name, line) for name in names}
        named = [name for name, place in places.items() if place >= 0]
        key = min(named, key=lambda name: places[name], default="")
        faults.setdefault(key, []).append(line)
    return faults


def _position(name: str, line: str) -> int:
    pattern = rf"(?<![\w.'/]){re.escape(name)}(?![\w'/])"
    if "_" not in name:  # a word such as 'stub' is a name where its value is stated
        pattern = rf"(?:^|: |\boption '){re.escape(name)}'? is "
    found = re.search(pattern, line)
    return -1 if found is None else found.start()
