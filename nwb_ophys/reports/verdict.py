"""Verdict on a file: its validity, the findings of the NWB Inspector, and the cure of each.

Findings of the Inspector and those of the package on the same field are one; the latter have cures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nwb_ophys.inspection import Finding
from nwb_ophys.metadata import Finding as ArchiveFinding
from nwb_ophys.metadata import archive_findings
from nwb_ophys.reports.inspecting import Inspected

IMPORTANCES = (
    *("ERROR", "PYNWB_VALIDATION", "CRITICAL", "REQUIRED", "BEST_PRACTICE_VIOLATION"),
    *("BEST_PRACTICE_SUGGESTION", "ADVISED"),
)
"""Importances of findings, highest first; REQUIRED and ADVISED are those of the DANDI archive."""

_ERRORS = ("ERROR", "PYNWB_VALIDATION")
_REFUSED = (*_ERRORS, "CRITICAL", "REQUIRED")


@attrs.frozen(kw_only=True)
class CuredFinding:
    """A finding.

    Attributes
    ----------
    importance : str
        One of ``IMPORTANCES``.
    location, message : str
    cure : str
        Options ``--set KEY=VALUE`` of ``nwb-ophys edit``, one per line; empty where none is known.
        The value is an example where the right one is not known.
    """

    importance: str
    location: str
    message: str
    cure: str = ""


@attrs.frozen(kw_only=True)
class Verdict:
    """The verdict on a file.

    Attributes
    ----------
    findings : tuple of CuredFinding
        Highest importance first.
    note : str
        Reason for which the file was not checked in full, as a sentence; empty if it was.
    is_valid : bool or None
        None if the file was not checked.
    is_accepted : bool or None
        Whether the DANDI archive would accept the file; None if it was not checked.
    """

    findings: tuple[CuredFinding, ...]
    note: str
    is_valid: bool | None
    is_accepted: bool | None


def verdict_of(metadata: Mapping[str, Any], checked: Inspected) -> Verdict:
    """Return the verdict on a file.

    Parameters
    ----------
    metadata : Mapping
        Metadata that the file states.
    checked : Inspected
    """
    cured = _joined(checked.findings or (), archive_findings(metadata))
    is_refused = any(each.importance in _REFUSED for each in cured)
    is_checked = checked.findings is not None
    return Verdict(
        findings=tuple(sorted(cured, key=lambda each: IMPORTANCES.index(each.importance))),
        note=checked.note,
        is_valid=not any(each.importance in _ERRORS for each in cured) if is_checked else None,
        is_accepted=not is_refused if is_checked or is_refused else None,
    )


def _joined(
    findings: Sequence[Finding], of_metadata: Sequence[ArchiveFinding]
) -> list[CuredFinding]:
    """Return the findings of the check with the cures of those on metadata, and the rest of these.

    A finding of the Inspector and one on metadata are the same if they are of the same field.
    """
    waiting: dict[str, list[ArchiveFinding]] = {}
    for each in of_metadata:
        waiting.setdefault(_generic(each.key), []).append(each)
    found = []
    for finding in findings:
        same = _taken(waiting, _key_of(finding))
        cure = "\n".join(each.cure for each in same)
        found.append(
            CuredFinding(
                importance=finding.importance,
                location=finding.location,
                message=finding.message,
                cure=cure,
            )
        )
    for same in waiting.values():
        found += [
            CuredFinding(
                importance="REQUIRED" if each.importance == "required" else "ADVISED",
                location=each.key,
                message=each.message,
                cure=each.cure,
            )
            for each in same
        ]
    return found


def _taken(waiting: dict[str, list[ArchiveFinding]], key: str) -> list[ArchiveFinding]:
    """Remove and return the findings on a field, or on all required fields of a part."""
    if key != "Subject":
        return waiting.pop(key, [])
    keys = [each for each in waiting if each.startswith("Subject.")]
    required = [k for k in keys if any(each.importance == "required" for each in waiting[k])]
    return [each for k in required for each in waiting.pop(k)]


def _generic(key: str) -> str:
    return re.sub(r"\.\d+", "", key)


# Texts of findings of the Inspector, and the field that each is of.
_FIELDS = (
    (r"^Subject is missing", "Subject"),
    (r"^Subject ID is missing|subject_id", "Subject.subject_id"),
    (r"[Ss]ubject.*species|[Ss]pecies", "Subject.species"),
    (r"[Ss]ubject.*sex|\bsex\b", "Subject.sex"),
    (r"[Ss]ubject.*\bage\b|date_of_birth|\bage\b", "Subject.age"),
    (r"^Experimenter is missing|experimenter", "NWBFile.experimenter"),
    (r"^Experiment description is missing", "NWBFile.experiment_description"),
    (r"^Metadata /general/(\w+) is missing", r"NWBFile.\1"),
)
_DESCRIPTION = re.compile(r"^Description .*missing|is missing a description|placeholder")


def _key_of(finding: Finding) -> str:
    """Return the key of the field of metadata that a finding is of; empty if it is not known."""
    if _DESCRIPTION.search(finding.message):
        parts = finding.location.strip("/").split("/")
        by_group = {"devices": "Ophys.Device", "optophysiology": "Ophys.ImagingPlane"}
        group = parts[1] if len(parts) > 2 else ""
        inner = ".optical_channel" if group == "optophysiology" and len(parts) > 3 else ""
        subject = "Subject.description" if parts[-1] == "subject" else ""
        return f"{by_group[group]}{inner}.description" if group in by_group else subject
    for pattern, key in _FIELDS:
        match = re.search(pattern, finding.message)
        if match:
            return match.expand(key)
    return ""
