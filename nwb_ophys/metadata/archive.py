"""Findings of the DANDI archive on metadata, before anything is written.

``required`` is what makes the archive refuse a file: an error of ``dandi validate``, or of the
metadata that ``dandi upload`` extracts (dandi-cli 0.81, dandischema 0.14). ``dandi validate`` runs
the NWB Inspector (0.7.2) with its configuration ``dandi`` and counts findings of the importance
CRITICAL as errors. ``advised`` is the rest: lower findings of the Inspector, and values that the
archive shows, or that name the file. A comment beside each rule names its source.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.metadata.archive_optics import findings_of_optics
from nwb_ophys.metadata.archive_subjects import findings_of_identifier, findings_of_subject
from nwb_ophys.metadata.dandi_names import dandi_path, is_nameable
from nwb_ophys.metadata.datetimes import in_own_zone, parse_datetime
from nwb_ophys.metadata.findings import Finding, advised, is_no_description, required, stated_text
from nwb_ophys.metadata.subjects import archive_subject


def archive_findings(
    metadata: Mapping[str, Any], *, now: datetime.datetime | None = None
) -> list[Finding]:
    """Return what the DANDI archive requires or advises of metadata and does not find there.

    Parameters
    ----------
    metadata : Mapping
        Complete metadata, as it will be written; not changed. Values of wrong types have no
        findings here, because the check of types reports them.
    now : datetime.datetime, optional
        The current time, with a time zone; sessions in the future are refused.

    Returns
    -------
    list of Finding
        What is required comes first; within each importance in the order subject, session,
        devices and planes.
    """
    parts = (metadata.get("Subject"), metadata.get("NWBFile"))
    subject, session = (part if isinstance(part, Mapping) else {} for part in parts)
    forms = archive_subject(subject, "")
    found = [
        *findings_of_subject(forms),
        *_of_dates(session, forms.fields, now or datetime.datetime.now(datetime.timezone.utc)),
        *_of_session_id(session, forms.fields),
        *_of_missing(session),
        *_of_texts(session),
        *findings_of_optics(metadata.get("Ophys"), forms.fields.get("species")),
    ]
    return sorted(found, key=lambda finding: finding.importance != "required")


_START_KEY = "session_start_time"
_START = f"NWBFile.{_START_KEY}"
_EXAMPLE_START = "2024-05-17T14:30:00+02:00"
_OLDEST = datetime.datetime(1980, 1, 1, tzinfo=datetime.timezone.utc)


def _of_dates(
    session: Mapping[str, Any], subject: Mapping[str, Any], now: datetime.datetime
) -> Iterator[Finding]:
    start, birth = _moment(session, _START_KEY), _moment(subject, "date_of_birth")
    if session.get(_START_KEY) is None:
        # NWB requires it.
        message = "The start of the session is missing; give a date and time with its zone."
        yield required(_START, message, _EXAMPLE_START)
    if start is None:
        return
    shown_start = f"The session begins at {start.isoformat(' ')}"
    if start >= now:
        # Inspector, CRITICAL: check_session_start_time_future_date.
        yield required(_START, f"{shown_start}, in the future.", _EXAMPLE_START)
    if start <= _OLDEST:
        # Inspector, BEST_PRACTICE_SUGGESTION: check_session_start_time_old_date.
        message = f"{shown_start}, before 1980; check the date."
        yield advised(_START, message, _EXAMPLE_START)
    if birth is not None and birth > start:
        # dandi upload computes an age below zero from the two and stores it.
        message = f"The date of birth is {birth.date()}, after the session of {start.date()}."
        example = (start - datetime.timedelta(days=90)).date()
        yield advised("Subject.date_of_birth", message, example)


def _moment(fields: Mapping[str, Any], key: str) -> datetime.datetime | None:
    """Return a date and time with its zone; that of this computer where none is stated."""
    try:
        found = parse_datetime(fields.get(key), key)
        return found if found.tzinfo else in_own_zone(found)
    except (MetadataError, OverflowError, ValueError, OSError):
        return None  # the check of types reports it


def _of_session_id(session: Mapping[str, Any], subject: Mapping[str, Any]) -> Iterator[Finding]:
    key = "NWBFile.session_id"
    yield from findings_of_identifier(key, session.get("session_id"), "ses", "day1")
    if stated_text(session.get("session_id")) is None:
        # dandi organize names such files by their start.
        animal, start = stated_text(subject.get("subject_id")) or "", _moment(session, _START_KEY)
        named_by = "the start of the session"
        if start is not None:
            name = dandi_path(animal if is_nameable(animal) else "M7", None, start)
            named_by = name.stem.split("_")[1]
        yield advised(
            key, f"The session id is missing; DANDI names the file by {named_by}.", "day1"
        )


def _of_missing(session: Mapping[str, Any]) -> Iterator[Finding]:
    for name, (words, example) in _WANTED.items():
        value = session.get(name)
        if value is None or (isinstance(value, (str, list, tuple)) and not any(value)):
            yield advised(f"NWBFile.{name}", f"The {words} missing.", example)
    if is_no_description(session.get("session_description")):
        # dandi upload stores it as the description of the session.
        message = "The session has no description, which DANDI shows."
        yield advised("NWBFile.session_description", message, "Drifting gratings, day 1.")


# Inspector, BEST_PRACTICE_SUGGESTION: check_experimenter_exists, check_institution,
# check_keywords, check_experiment_description. "dandi ls" lists the lab with them.
_WANTED = {
    "experimenter": ("experimenter is", "Last, First"),
    "institution": ("institution is", "University of X"),
    "lab": ("lab is", "X lab"),
    "keywords": ("keywords are", "calcium imaging, visual cortex"),
    "experiment_description": (
        "description of the experiment is",
        "Responses to drifting gratings.",
    ),
}
# dandischema: NAME_PATTERN, which the Inspector takes over in check_experimenter_form
# (BEST_PRACTICE_SUGGESTION).
_NAME = re.compile(r"([\w\s\-.']+),\s+([\w\s\-.']+)")
# Inspector, BEST_PRACTICE_SUGGESTION: check_doi_publications.
_DOI_STARTS = ("doi:", "http://dx.doi.org/", "https://doi.org/")


def _of_texts(session: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings of lists of texts: names, keywords and publications."""
    stated = session.get("experimenter")
    names = _listed(stated.split(";") if isinstance(stated, str) else stated)
    names = [name.strip() for name in names if name.strip()]
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong:
        message = f"{', '.join(map(shown, wrong))} is not of the form 'Last, First' or "
        message += "'Last, First M.'" + _guess(names, wrong)
        yield advised("NWBFile.experimenter", message, _as_yaml(_rewritten(names)))
    keywords = session.get("keywords")
    if isinstance(keywords, (list, tuple)) and len(keywords) == 1:
        only = str(keywords[0])
        if re.search("[,;]", only):
            message = f"The keywords are one text, {shown(only)}; give one text for each."
            yield advised("NWBFile.keywords", message, only)
    papers = _listed(session.get("related_publications"))
    wrong = [paper for paper in papers if not paper.startswith(_DOI_STARTS)]
    if wrong:
        message = f"{', '.join(map(shown, wrong))} is not a DOI, such as {_EXAMPLE_DOI}."
        dois = [_doi(paper) for paper in papers]
        yield advised("NWBFile.related_publications", message, _as_yaml(dois))


_EXAMPLE_DOI = "https://doi.org/10.1038/s41586-000-0000-0"


def _doi(paper: str) -> str:
    found = re.search(r"10\.\d{4,9}/\S+", paper)
    return f"https://doi.org/{found[0]}" if found else _EXAMPLE_DOI


def _listed(value: Any) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [each for each in value if isinstance(each, str)]
    return [value] if isinstance(value, str) and value else []


def _guess(names: list[str], wrong: list[str]) -> str:
    """Return the end of the sentence on names: what they may be, in words."""
    if any(re.search(r"[;&]|\band\b", name) for name in wrong):
        return "; give a list of one text for each person."
    if len(names) == 2 and wrong == names and not any(re.search(r"[\s,]", n) for n in names):
        return "; a list of two is two persons, so that one name needs quotes."
    return "."


def _rewritten(names: list[str]) -> list[str]:
    """Return names in the archive's form as far as they show which part is the last name."""
    if len(names) == 2 and not any(re.search(r"[\s,]", name) for name in names):
        return [", ".join(names)]
    parts = [
        each.strip() for name in names for each in re.split(r"\s*[;&]\s*|\s+and\s+", name) if each
    ]
    return [re.sub(r",\s*", ", ", each) if "," in each else _in_order(each) for each in parts]


def _in_order(name: str) -> str:
    *first, last = name.split() or ["First", "Last"]
    return f"{last}, {' '.join(first) or 'First'}"


def _as_yaml(texts: list[str]) -> str:
    """Return texts as one text, or as a YAML list of several."""
    if len(texts) == 1:
        return texts[0]
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"
