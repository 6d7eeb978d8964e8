"""Check what the DANDI archive will say of a recording before it is converted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import NO_SESSION_START, Finding, archive_findings, archive_subject
from nwb_ophys.opening.metadata_edits import edited_metadata
from nwb_ophys.opening.recordings import Recording


def check_recording(
    recording: Recording,
    metadata: str | Path | Mapping[str, Any] | None = None,
    edits: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Return what the DANDI archive requires or advises of a recording and does not find.

    Parameters
    ----------
    recording : Recording
        Of :func:`nwb_ophys.opening.open_recording`.
    metadata : path-like or Mapping, optional
        A YAML or JSON file of metadata, or the metadata themselves.
    edits : Mapping of str to str, optional
        Values by dotted keys, such as ``NWBFile.lab``.

    Returns
    -------
    list of Finding
        See :func:`check_metadata_for_archive`.
    """
    options = recording.conversion_options
    edited = edited_metadata(recording.converter, metadata, edits or {}, options)
    return check_metadata_for_archive(recording.converter, edited, options)


def check_metadata_for_archive(
    converter: OphysConverter,
    metadata: Mapping[str, Any] | None = None,
    conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """Return what the DANDI archive requires or advises of the metadata of a conversion.

    No pixel is read.

    Parameters
    ----------
    converter : OphysConverter
    metadata : Mapping, optional
        As for ``run_conversion``; filled with that of the streams and the defaults.
    conversion_options : Mapping, optional
        Options of each stream.

    Returns
    -------
    list of Finding
        What is required comes first. Values that the archive does not accept, and which a
        conversion refuses too, are among them.

    Raises
    ------
    MetadataError
        For every other error of the metadata, for which a conversion raises.

    Warns
    -----
    UserWarning
        For each fact of the subject that a conversion writes in another form.
    """
    full: Mapping[str, Any]
    try:
        full = converter.prepare(metadata, conversion_options).metadata
    except MetadataError as error:
        full = converter.complete_metadata(metadata, conversion_options)
        known = {NO_SESSION_START, *_forms(full)[1]}
        others = [fault for fault in error.args if fault not in known]
        if others:
            raise MetadataError(*others) from None
    for note in _forms(full)[0]:
        warnings.warn(note, UserWarning, stacklevel=2)
    return archive_findings(full)


def _forms(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the notes and the faults on the forms of the subject's facts."""
    subject = metadata.get("Subject")
    forms = archive_subject(subject if isinstance(subject, Mapping) else {})
    return forms.notes, forms.faults
