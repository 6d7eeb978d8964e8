"""Make an ``NWBFile`` with its subject, and its processing module ``ophys``."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping
from typing import Any

import attrs
from pynwb import NWBFile
from pynwb.base import ProcessingModule
from pynwb.file import Subject

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import (
    NO_SESSION_START,
    archive_subject,
    faults_of_session,
    get_default_ophys_metadata,
    merge_metadata,
    models,
    parse_datetime,
    parse_model,
)


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
            fields[key] = _with_zone(parse_datetime(fields[key], path), path)
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
        fields["date_of_birth"] = _with_zone(parse_datetime(fields["date_of_birth"], path), path)
    return Subject(**fields)


def _stated(_: attrs.Attribute[Any], value: Any) -> bool:
    return value is not None


def _with_zone(given: datetime.datetime, path: str) -> datetime.datetime:
    """Add the time zone of this computer where a date and time has none; NWB requires one."""
    if given.tzinfo is not None:
        return given
    local = given.astimezone()
    warnings.warn(
        f"{path} is {given.isoformat(' ')} without a time zone; it is written with the zone of "
        f"this computer: {local.isoformat(' ')}. State the zone to be sure.",
        UserWarning,
        stacklevel=2,
    )
    return local


def warn_of_other_session(nwbfile: NWBFile, metadata: Mapping[str, Any]) -> None:
    """Warn when a recording is added to a file whose session began at another time.

    The times of the recording count from its own start, which nobody can see in the file.
    """
    stated = (metadata.get("NWBFile") or {}).get("session_start_time")
    if stated is None:
        return
    path = 'metadata["NWBFile"]["session_start_time"]'
    start = parse_datetime(stated, path).astimezone()
    if start != nwbfile.session_start_time:
        warnings.warn(
            f"The recording states that it began at {start.isoformat(' ')}, but the session of the "
            f"file began at {nwbfile.session_start_time.isoformat(' ')}. The times are written as "
            "the recording counts them; align them with set_aligned_starting_time().",
            UserWarning,
            stacklevel=4,
        )


def ophys_module(nwbfile: NWBFile) -> ProcessingModule:
    """Return the processing module ``ophys``; create it where it is missing."""
    if "ophys" in nwbfile.processing:
        return nwbfile.processing["ophys"]
    return nwbfile.create_processing_module(
        name="ophys", description="Optical physiology: processed imaging data."
    )


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
