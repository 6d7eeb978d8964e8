"""Make an ``NWBFile`` with its subject, and its processing module ``ophys``."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from pynwb import NWBFile
from pynwb.file import Subject

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import (
    NO_SESSION_START,
    FullMetadata,
    archive_subject,
    faults_of_session,
    get_default_ophys_metadata,
    merge_metadata,
    models,
    parse_datetime,
    parse_model,
    with_zone,
)
from nwb_ophys.metadata.datetimes import in_own_zone, warn_of_future
from nwb_ophys.storage.hdmf import data_types  # noqa: F401 - registers

if TYPE_CHECKING:
    from pynwb.base import ProcessingModule

_NO_DESCRIPTION = get_default_ophys_metadata()["NWBFile"]["session_description"]
# The author of an object in memory had to state these, so that it keeps its own.
_OF_EVERY_OBJECT = ("session_description", "identifier")
# The identifier of a file is made for it; the user may have it from metadata of another conversion.
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def make_nwbfile(metadata: Mapping[str, Any] | None) -> NWBFile:
    """Make an ``NWBFile`` from ``metadata["NWBFile"]`` and ``metadata["Subject"]``.

    Parameters
    ----------
    metadata : Mapping or None
        Missing keys are filled with defaults, except ``session_start_time``.

    Raises
    ------
    MetadataError
        When the start of the session is missing or is not a date and time, or a key is wrong.
    """
    merged = merge_metadata({"NWBFile": get_default_ophys_metadata()["NWBFile"]}, metadata)
    session = parse_model(models.Session, merged["NWBFile"], 'metadata["NWBFile"]')
    faults = faults_of_session(merged["NWBFile"])
    if session.session_start_time is None:
        faults.append(NO_SESSION_START)
    if faults:
        raise MetadataError(*faults)
    fields = attrs.asdict(session, filter=_stated)
    for key in ("session_start_time", "timestamps_reference_time"):
        if key in fields:
            path = f'metadata["NWBFile"]["{key}"]'
            fields[key] = with_zone(parse_datetime(fields[key], path), path)
    start = fields["session_start_time"]
    warn_of_future(start, 'metadata["NWBFile"]["session_start_time"]')
    nwbfile = NWBFile(**fields)
    if merged.get("Subject"):
        nwbfile.subject = _make_subject(merged["Subject"])
    return nwbfile


def _make_subject(metadata: Mapping[str, Any]) -> Subject:
    parse_model(models.Subject, metadata, 'metadata["Subject"]')
    subject = archive_subject(metadata)
    if subject.faults:
        raise MetadataError(*subject.faults)
    for note in subject.notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    model = parse_model(models.Subject, subject.fields, 'metadata["Subject"]')
    fields = attrs.asdict(model, filter=_stated)
    if "date_of_birth" in fields:
        path = 'metadata["Subject"]["date_of_birth"]'
        fields["date_of_birth"] = with_zone(parse_datetime(fields["date_of_birth"], path), path)
    return Subject(**fields)


def _stated(_: attrs.Attribute[Any], value: Any) -> bool:
    return value is not None


def warn_of_other_session(nwbfile: NWBFile, metadata: Mapping[str, Any]) -> None:
    """Warn when a recording is added to a file whose session began at another time.

    The times of the recording count from its own start, which nobody can see in the file.
    """
    stated = (metadata.get("NWBFile") or {}).get("session_start_time")
    if stated is None:
        return
    path = 'metadata["NWBFile"]["session_start_time"]'
    start = in_own_zone(parse_datetime(stated, path))
    if start != nwbfile.session_start_time:
        warnings.warn(
            f"The recording states that it began at {start.isoformat(' ')}, but the session of the "
            f"file began at {nwbfile.session_start_time.isoformat(' ')}. The times are written as "
            "the recording counts them; align them with set_aligned_starting_time().",
            UserWarning,
            stacklevel=4,
        )


def state_session(nwbfile: NWBFile, metadata: FullMetadata) -> None:
    """Add the session fields and the subject of metadata to an ``NWBFile`` that has others already.

    Fields that the ``NWBFile`` lacks are added. The start of the session and defaults are not.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Changed.
    metadata : FullMetadata
        Complete metadata.

    Raises
    ------
    MetadataError
        When the user gave another value than the ``NWBFile`` has. Another value that the files of
        the recording state is left out, with a warning.
    """
    session = {
        key: value
        for key, value in (metadata.get("NWBFile") or {}).items()
        if key != "session_start_time" and not _is_made_by_us(key, value)
    }
    # A start is required, and a script beside its name.
    pair = ("source_script", "source_script_file_name")
    keys = ("session_start_time", *(pair if session.keys() & set(pair) else ()))
    required = {key: getattr(nwbfile, key) for key in keys}
    wanted = make_nwbfile({"NWBFile": {**required, **session}})
    for key in session:
        _state(nwbfile, key, getattr(wanted, key), metadata, "NWBFile")
    subject = {k: v for k, v in (metadata.get("Subject") or {}).items() if v is not None}
    if not subject:
        return
    animal = _make_subject(subject)
    if nwbfile.subject is None:
        nwbfile.subject = animal
        return
    for key in sorted(subject, reverse=True):  # age__reference before age, to which it belongs
        _state(nwbfile.subject, key, getattr(animal, key), metadata, "Subject")


def _is_made_by_us(key: str, value: Any) -> bool:
    if key == "identifier":
        return _UUID.fullmatch(str(value)) is not None
    return value is None or (key == "session_description" and value in ("", _NO_DESCRIPTION))


def _state(owner: Any, key: str, value: Any, metadata: FullMetadata, category: str) -> None:
    """Set a field of a session or subject, unless it has a value."""
    present = _present(owner, key)
    is_of_caller = key in _OF_EVERY_OBJECT and owner.container_source is None
    if _listed(present) == _listed(value) or (is_of_caller and present is not None):
        return
    path = f'metadata["{category}"]["{key}"]'
    if present is None:
        # The attribute of a field with a default cannot be set.
        owner.fields[key] = value
        owner.set_modified()
        return
    stated = (metadata.stated.get(category) or {}).get(key)
    given = metadata[category][key]
    if _listed(given) != _listed(stated):
        raise MetadataError(
            f"{path} is {_shown(value)}, but the file states {_shown(present)}, which is not "
            f"replaced; leave the key out, or write to another file."
        )
    warnings.warn(
        f"The recording states {_shown(value)} as {path}, but the file states {_shown(present)}. "
        "The file keeps its value; check that both are of one session and one subject.",
        UserWarning,
        stacklevel=5,
    )


def _present(owner: Any, key: str) -> Any:
    """Return the value that a session or subject has, or None where it has a default or none."""
    value = getattr(owner, key)
    if key == "age__reference" and owner.age is None:
        return None
    is_new = owner.container_source is None  # a file keeps the description that it has
    if key == "session_description" and is_new and value in ("", _NO_DESCRIPTION):
        return None
    return None if value is None or np.shape(value) == (0,) else value


def _listed(value: Any) -> Any:
    """Return a value in a form in which equal ones are equal, whatever holds them."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return value
    return np.asarray(value).astype(str).tolist()


def _shown(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return f"'{value.isoformat(' ')}'"
    return repr(_listed(value))


def ophys_module(nwbfile: NWBFile) -> ProcessingModule:
    """Return the processing module ``ophys``; create it where it is missing."""
    if "ophys" in nwbfile.processing:
        return nwbfile.processing["ophys"]
    return nwbfile.create_processing_module(
        name="ophys", description="Optical physiology: processed imaging data."
    )


def ophys_container(nwbfile: NWBFile, kind: type, name: str, **fields: Any) -> Any:
    """Return a container of the processing module ``ophys``; create it where it is missing.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    kind : type
        The pynwb class of the container.
    name : str
    **fields
        Further fields of a new container.

    Raises
    ------
    MetadataError
        When the module has an object of another type with this name.
    """
    module = ophys_module(nwbfile)
    if name not in module.data_interfaces:
        module.add(kind(name=name, **fields))
    found = module.data_interfaces[name]
    if not isinstance(found, kind):
        raise MetadataError(
            f"The name '{name}' of the {kind.__name__} belongs to a {type(found).__name__} in "
            "'processing/ophys'; give one of the two another name in the metadata."
        )
    return found


def check_name_is_free(nwbfile: NWBFile, name: str, parent_container: str) -> None:
    """Raise where a container already has an object of a name.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    name : str
    parent_container : {"acquisition", "processing/ophys"}

    Raises
    ------
    MetadataError
    """
    if parent_container == "acquisition":
        taken = name in nwbfile.acquisition
    else:
        taken = (
            "ophys" in nwbfile.processing and name in nwbfile.processing["ophys"].data_interfaces
        )
    if taken:
        raise MetadataError(
            f"'{parent_container}' already has an object '{name}'; give the series another name in "
            "the metadata."
        )
