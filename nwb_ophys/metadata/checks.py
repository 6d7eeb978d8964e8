"""The check of complete metadata, which reports all errors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.links import faults_of_links
from nwb_ophys.metadata.schema import faults_of
from nwb_ophys.metadata.subjects import archive_subject

NO_SESSION_START = (
    "metadata[\"NWBFile\"] lacks 'session_start_time', which NWB requires and the source does not "
    "state; give a date and time: "
    'metadata["NWBFile"]["session_start_time"]="2024-05-17T14:30:00+02:00".'
)


def check_metadata(
    metadata: Mapping[str, Any],
    schema: Mapping[str, Any],
    *,
    joins_file: bool = False,
    also: Sequence[str] = (),
) -> None:
    """Check complete metadata against its schema, its links and the forms of archives.

    Parameters
    ----------
    metadata : Mapping
    schema : Mapping
        JSON schema of the metadata.
    joins_file : bool
        Whether the metadata may link to devices and planes that only an existing file has.
    also : sequence of str
        Errors that the caller has found.

    Raises
    ------
    MetadataError
        With a sentence for each error.
    """
    faults = [*faults_of(metadata, schema), *also]
    subject = metadata.get("Subject")
    if isinstance(subject, Mapping):
        faults += archive_subject(subject).faults
    session = metadata.get("NWBFile")
    if isinstance(session, Mapping):
        faults += faults_of_session(session)
    if not joins_file:
        faults += faults_of_links(metadata)
    if faults:
        raise MetadataError(*faults)


@contextmanager
def start_reported(metadata: Mapping[str, Any]) -> Iterator[None]:
    """Add a missing start of the session to the errors of a check, before a new file is made.

    Parameters
    ----------
    metadata : Mapping
        Complete metadata. Where it has no other error, the writer reports the missing start.
    """
    try:
        yield
    except MetadataError as error:
        session = metadata.get("NWBFile")
        if isinstance(session, Mapping) and session.get("session_start_time") is None:
            raise MetadataError(*error.args, NO_SESSION_START) from None
        raise


def faults_of_session(session: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each field of the session that needs another one."""
    if session.get("source_script_file_name") is not None and session.get("source_script") is None:
        path = 'metadata["NWBFile"]'
        return [
            f'{path}["source_script_file_name"] is given, but NWB stores it with the script '
            f'itself; give {path}["source_script"] too, or leave the name out.'
        ]
    return []
