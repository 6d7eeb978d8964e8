"""Specifications of neuroconv (version 0.10), whose sessions name interfaces and their sources.

A document with the key ``experiments`` is one. Values of the document, of an experiment and of a
session are merged; later ones win. Classes are those of this package by its names, and else those
of ``neuroconv.datainterfaces``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SpecificationError
from nwb_ophys.metadata import DeepDict
from nwb_ophys.metadata.fields import class_schema, field
from nwb_ophys.metadata.schema import faults_of
from nwb_ophys.sessions.keys import check_keys, faults_of_values
from nwb_ophys.sessions.outputs import distinct
from nwb_ophys.sessions.session import OUTPUTS, Session, leaves

KEY = "experiments"
_UPLOAD = "upload_to_dandiset"
_OF_PATHS = ("file_path", "folder_path", "file_paths", "folder_paths")


@attrs.frozen(kw_only=True)
class _Common:
    metadata: dict[str, Any] | None = field("Metadata in a form of neuroconv.", None)
    conversion_options: dict[str, Any] | None = field("Options of the conversion.", None)
    data_interfaces: dict[str, Any] | None = field(
        "Class of each stream by its name.",
        None,
        {"additionalProperties": {"type": "string"}},
    )


@attrs.frozen(kw_only=True)
class _Session(_Common):
    source_data: dict[str, Any] = field(
        "Source arguments of each stream.",
        schema={"additionalProperties": {"type": "object"}, "minProperties": 1},
    )
    nwbfile_name: str | None = field("Name of the file.", None)


@attrs.frozen(kw_only=True)
class _Experiment(_Common):
    sessions: Any = field(
        "Sessions of the experiment.",
        schema={"type": "array", "items": class_schema(_Session), "minItems": 1},
    )


@attrs.frozen(kw_only=True)
class _Document(_Common):
    experiments: dict[str, Any] = field(
        "Experiments by name.",
        schema={"additionalProperties": class_schema(_Experiment), "minProperties": 1},
    )


def is_of_neuroconv(stated: Mapping[str, Any]) -> bool:
    """Return whether a document is a specification of neuroconv."""
    return KEY in stated and "sessions" not in stated


def expand_neuroconv(
    stated: Mapping[str, Any], path: Path, folder: Path, output: Path
) -> list[Session]:
    """Return the sessions of a specification of neuroconv.

    Parameters
    ----------
    stated : Mapping
        The document.
    path : pathlib.Path
        Its file, for messages.
    folder : pathlib.Path
        Folder in which relative paths of sources begin.
    output : pathlib.Path
        Folder of the files. A session without a name gets that of the DANDI archive.

    Raises
    ------
    SpecificationError
        With a sentence for each wrong key, or each two sessions of one output.
    """
    if _UPLOAD in stated:
        raise SpecificationError(
            f"{path.name}: '{_UPLOAD}' is not done here, since an upload should follow a look at "
            "the files; remove the key, and upload the checked files with 'dandi upload'."
        )
    faults = faults_of(stated, class_schema(_Document), path.name)
    if faults:
        raise SpecificationError(*faults)
    found = []
    for name, experiment in stated[KEY].items():
        for index, session in enumerate(experiment["sessions"]):
            where = f"{path.name}, {KEY}.{name}.sessions[{index}]"
            found.append(_session([stated, experiment, session], where, folder, output))
    check_keys(found)
    return distinct(found)


def _session(layers: list[Mapping[str, Any]], where: str, folder: Path, output: Path) -> Session:
    """Return the session of the layers of a document, the last of which is its own."""
    own, metadata, classes = layers[-1], DeepDict(), dict[str, str]()
    for layer in layers:
        metadata.deep_update(layer.get("metadata") or {})
        classes |= layer.get("data_interfaces") or {}
    sources = {key: _with_paths(given, folder) for key, given in own["source_data"].items()}
    unknown = [key for key in sources if key not in classes]
    if unknown:
        raise SpecificationError(
            f"{where}: 'source_data' has the stream '{unknown[0]}', which 'data_interfaces' does "
            f"not name; it names {', '.join(map(repr, classes)) or 'none'}."
        )
    name = _name_of(own, where)
    ids = [
        str((metadata.get(section) or {}).get(key) or "")
        for section, key in (("Subject", "subject_id"), ("NWBFile", "session_id"))
    ]
    places = {key: f"{where}.metadata.{key}" for key, _ in leaves(metadata)}
    return Session(
        key=Path(name).stem if name else "/".join(filter(None, ids)) or where,
        paths=tuple(dict.fromkeys(_paths_in(sources))),
        streams={key: (classes[key], given) for key, given in sources.items()},
        options=_options(layers, tuple(sources), where),
        metadata=metadata.to_dict(),
        output=str(output if name is None else output / name),
        is_named_for_dandi=name is None,
        origins=dict.fromkeys(places, where),
        faults=tuple(faults_of_values(metadata, places)),
    )


def _name_of(own: Mapping[str, Any], where: str) -> str | None:
    """Return the name of the file of a session, with its ending; None if it states none."""
    name: str | None = own.get("nwbfile_name")
    if name is None:
        return None
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise SpecificationError(
            f"{where}: 'nwbfile_name' is '{name}', which leads out of the folder of the files; "
            "give a name in it."
        )
    return name if name.endswith(OUTPUTS) else f"{name}.nwb"


def _with_paths(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return source arguments whose relative paths begin in a folder."""

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(each) for each in value]
        return str(folder / os.fspath(value)) if isinstance(value, str) else value

    return {key: whole(value) if key in _OF_PATHS else value for key, value in given.items()}


def _paths_in(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for given in sources.values():
        for key in _OF_PATHS:
            value = given.get(key)
            yield from value if isinstance(value, list) else [value] if value else []


def _options(
    layers: list[Mapping[str, Any]], streams: tuple[str, ...], where: str
) -> dict[str, dict[str, Any]]:
    """Return the options of each stream: those of the document for all, and its own ones."""
    common: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {name: {} for name in streams}
    for layer in layers:
        for key, value in (layer.get("conversion_options") or {}).items():
            if key in own and isinstance(value, Mapping):
                own[key] |= value
            elif layer is layers[-1]:
                raise SpecificationError(
                    f"{where}: 'conversion_options' has '{key}', which is not a stream of the "
                    f"session; its streams are {', '.join(map(repr, streams))}."
                )
            else:
                common[key] = value
    return {name: {**common, **each} for name, each in own.items()}
