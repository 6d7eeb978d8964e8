"""Findings of the DANDI archive on the sessions of a batch, before they are converted."""

from __future__ import annotations

from collections.abc import Sequence

from nwb_ophys.metadata import Finding, archive_findings
from nwb_ophys.sessions.session import Session

# Facts that files of recordings state, too.
_IN_FILES = ("NWBFile.session_start_time", "Subject.subject_id")
_SECTIONS = ("NWBFile", "Subject")


def stated_findings(session: Session) -> list[Finding]:
    """Return the findings on what a specification states of a session, which is not opened.

    Facts that the files of the recording may state are not missed.

    Parameters
    ----------
    session : Session
    """
    metadata = {key: dict(session.metadata.get(key) or {}) for key in _SECTIONS}
    for key, text in session.edits.items():
        section, _, name = key.partition(".")
        if section in metadata and "." not in name:
            metadata[section][name] = text
    return [
        each
        for each in archive_findings(metadata)
        if each.key not in _IN_FILES or _is_stated(metadata, each.key)
    ]


def _is_stated(metadata: dict[str, dict[str, object]], key: str) -> bool:
    section, _, name = key.partition(".")
    return metadata[section].get(name) is not None


def check_session(session: Session) -> list[Finding]:
    """Return the findings on a session, whose recording is opened; no pixel is read.

    Parameters
    ----------
    session : Session

    Raises
    ------
    NwbOphysError
        When the recording cannot be converted.
    """
    # Imported here, since plans need nothing that opens recordings.
    from nwb_ophys.opening import check_recording
    from nwb_ophys.sessions.streams import open_session

    recording = open_session(session)
    try:
        return check_recording(recording, session.metadata, session.edits)
    finally:
        recording.converter.close()


def required_lines(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a line for each finding that the archive requires to be cured."""
    return tuple(
        f"{each.key}: {each.message}" for each in findings if each.importance == "required"
    )
