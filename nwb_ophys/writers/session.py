"""The NWBFile itself, with its subject, and its processing module for ophys."""

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
    get_default_ophys_metadata,
    merge_metadata,
    models,
    parse_datetime,
    parse_model,
)


def make_nwbfile(metadata: Mapping[str, Any] | None) -> NWBFile:
    """Make an empty NWBFile from ``metadata["NWBFile"]`` and ``metadata["Subject"]``.

    Parameters
    ----------
    metadata : Mapping or None
        What it lacks is filled with defaults, except ``session_start_time``.

    Raises
    ------
    MetadataError
        When the start of the session is missing or no date and time, or a key is wrong.
    """
    merged = merge_metadata({"NWBFile": get_default_ophys_metadata()["NWBFile"]}, metadata)
    session = parse_model(models.Session, merged["NWBFile"], 'metadata["NWBFile"]')
    if session.session_start_time is None:
        raise MetadataError(
            "metadata[\"NWBFile\"] lacks 'session_start_time', which NWB requires and the source "
            "does not state; give a date and time such as '2024-05-17T14:30:00+02:00', on the "
            "command line with --set NWBFile.session_start_time=2024-05-17T14:30:00+02:00."
        )
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
    subject = parse_model(models.Subject, metadata, 'metadata["Subject"]')
    fields = attrs.asdict(subject, filter=_stated)
    if "date_of_birth" in fields:
        path = 'metadata["Subject"]["date_of_birth"]'
        fields["date_of_birth"] = _with_zone(parse_datetime(fields["date_of_birth"], path), path)
    return Subject(**fields)


def _stated(_: attrs.Attribute[Any], value: Any) -> bool:
    return value is not None


def _with_zone(when: datetime.datetime, path: str) -> datetime.datetime:
    """Return a datetime with a time zone, by default that of this computer: NWB requires one."""
    if when.tzinfo is not None:
        return when
    local = when.astimezone()
    warnings.warn(
        f"{path} is {when.isoformat(' ')} without a time zone; that of this computer is "
        f"written: {local.isoformat(' ')}. Give it with its zone to be sure.",
        UserWarning,
        stacklevel=2,
    )
    return local


def warn_of_other_session(nwbfile: NWBFile, metadata: Mapping[str, Any]) -> None:
    """Warn when a recording that joins a file began at another time than the file's session.

    Its times count from its own start, and nobody could tell from the file.
    """
    stated = (metadata.get("NWBFile") or {}).get("session_start_time")
    if stated is None:
        return
    path = 'metadata["NWBFile"]["session_start_time"]'
    start = parse_datetime(stated, path).astimezone()
    if start != nwbfile.session_start_time:
        warnings.warn(
            f"The recording states that it began at {start.isoformat(' ')}, the file's session at "
            f"{nwbfile.session_start_time.isoformat(' ')}. Its times are written as its own "
            "source counts them; align them with set_aligned_starting_time().",
            UserWarning,
            stacklevel=3,
        )


def ophys_module(nwbfile: NWBFile) -> ProcessingModule:
    """Return the processing module ``ophys``, made where absent."""
    if "ophys" in nwbfile.processing:
        return nwbfile.processing["ophys"]
    return nwbfile.create_processing_module(
        name="ophys", description="Optical physiology: processed imaging data."
    )
