"""Whether an NWB file is valid, and what the field's inspector says of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import CorruptSourceError, MissingPackageError, SourceNotFoundError
from nwb_ophys.storage import NO_BACKEND, backend_of_path

_ERRORS = ("PYNWB_VALIDATION", "ERROR")

# As the Inspector ranks them, the gravest first.
_RANKS = (*_ERRORS, "CRITICAL", "BEST_PRACTICE_VIOLATION", "BEST_PRACTICE_SUGGESTION")


@attrs.frozen(kw_only=True)
class Finding:
    """Something that a check found.

    Attributes
    ----------
    importance : str
        ``PYNWB_VALIDATION``, or one of the NWB Inspector's: ``CRITICAL``,
        ``BEST_PRACTICE_VIOLATION``, ``BEST_PRACTICE_SUGGESTION``, ``ERROR``.
    location : str
        Where in the file.
    message : str
    """

    importance: str
    location: str
    message: str

    @property
    def is_error(self) -> bool:
        """Whether the file is not valid NWB, or cannot be read; all else is advice."""
        return self.importance in _ERRORS


def inspect_file(path: str | Path) -> list[Finding]:
    """Check an NWB file with pynwb's validator and the NWB Inspector.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Finding
        The gravest first.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        When it is not there, or no NWB file.
    MissingPackageError
        When the NWB Inspector is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise SourceNotFoundError(f"'{path}' does not exist; check the path.")
    try:
        import nwbinspector
    except ImportError as error:
        raise MissingPackageError(
            'Inspecting needs the NWB Inspector: pip install "nwb-ophys[inspect]".'
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        findings = _validate(path)
        if any(finding.importance == "ERROR" for finding in findings):
            return findings
        messages = list(nwbinspector.inspect_nwbfile(nwbfile_path=str(path), skip_validate=True))
    findings += [
        Finding(
            importance=message.importance.name,
            location=str(message.location or message.object_name or "/"),
            message=_last_line(message),
        )
        for message in messages
    ]
    return sorted(findings, key=lambda finding: _RANKS.index(finding.importance))


def _validate(path: Path) -> list[Finding]:
    """Return what pynwb's validator says; the Inspector's own call of it knows only HDF5."""
    storage = backend_of_path(path)
    if storage is None:
        raise CorruptSourceError(f"'{path}' is not an NWB file: it is {NO_BACKEND}.")
    try:
        with storage.open(path, "r") as io:
            io.read()
            errors = _validation_errors(io)
    except Exception as error:  # whatever pynwb stumbles over in a file that is no NWB
        return [_trouble("ERROR", f"It cannot be read as NWB: {error}")]
    return errors


def _validation_errors(io: Any) -> list[Finding]:
    import pynwb

    try:
        errors = pynwb.validate(io=io)
    except Exception as error:  # it looks at the first element of datasets that have none
        return [_trouble("CRITICAL", f"It can be read, but pynwb's validator failed: {error}")]
    return [
        Finding(importance="PYNWB_VALIDATION", location=str(error.location), message=str(error))
        for error in errors
    ]


def _trouble(importance: str, message: str) -> Finding:
    return Finding(importance=importance, location="/", message=" ".join(message.split()))


def _last_line(message: Any) -> str:
    """Return a message in one line; of a traceback, which an unreadable file gives, its end."""
    text = str(message.message).strip()
    if text.startswith("Traceback"):
        text = text.splitlines()[-1]
    return " ".join(text.split())
