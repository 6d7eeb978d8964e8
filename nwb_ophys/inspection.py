"""Check NWB files with pynwb's validator and the NWB Inspector."""

from __future__ import annotations

import re
import warnings
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import (
    ArgumentError,
    CorruptSourceError,
    MissingPackageError,
    OutsideFolderError,
    SpecialFileError,
    counted,
    error_within,
    first_named,
    last_reason,
    not_found,
)
from nwb_ophys.metadata import refused_by_upload
from nwb_ophys.optional import require_package
from nwb_ophys.outside import reading_from, require_ordinary
from nwb_ophys.remote.paths import as_path
from nwb_ophys.storage import NO_BACKEND, backend_of_path
from nwb_ophys.storage.in_place import check_whole

_ERRORS = ("PYNWB_VALIDATION", "ERROR")

# The Inspector's ranking, most severe first.
_RANKS = (*_ERRORS, "CRITICAL", "BEST_PRACTICE_VIOLATION", "BEST_PRACTICE_SUGGESTION")

# Names of configurations of the Inspector.
_ARCHIVES = ("dandi",)

# Zarr format that the NWB Inspector 0.7 does not know, and what its checks say of it.
_UNKNOWN_FORMAT = 3
# Errors of HDF5 and Zarr when a check reads the first value of data without values.
_EMPTY = ("out of range for empty dimension", "out of bounds for dimension with length 0")
_FAILURE = f"Zarr format {_UNKNOWN_FORMAT}"
# What the Inspector states of a check that raised an error: the name, and the class of the error.
_FAILED_CHECK = re.compile(r"During evaluation of '(\w+)' - <class '([\w.]+)'>")
# Errors of checks that could not read the file, which is then damaged.
_OF_READING = {"OSError", "BlockingIOError", "PermissionError", "RuntimeError", "zlib.error"}
_MOST_NAMED = 5


@attrs.frozen(kw_only=True)
class Finding:
    """A finding of a check.

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
        """Return whether the file is invalid or unreadable; all other findings are advice."""
        return self.importance in _ERRORS


def inspect_file(
    path: str | Path, *, archive: str | None = None, allow_outside: Sequence[str | Path] = ()
) -> list[Finding]:
    """Check an NWB file with pynwb's validator and the NWB Inspector.

    Parameters
    ----------
    path : path-like
    archive : {"dandi"}, optional
        Archive whose configuration of the Inspector gives findings their importance. DANDI
        refuses files with findings that are errors or CRITICAL. Facts that pass its validation,
        but that its upload cannot read, are CRITICAL too.
    allow_outside : sequence of path-like
        Folders in which files may lie that the file names, beyond its own folder.

    Returns
    -------
    list of Finding
        Most severe first. One of them says so if some checks of the NWB Inspector cannot read a
        store of Zarr format 3, or fail themselves.

    Raises
    ------
    ArgumentError
        For another archive.
    SourceNotFoundError, CorruptSourceError
        When it does not exist, is not an NWB file, or is in the middle of a change in its place.
    MissingPackageError
        When the NWB Inspector is not installed.
    """
    if archive not in (None, *_ARCHIVES):
        allowed = " or ".join(map(repr, _ARCHIVES))
        raise ArgumentError(f"archive is {archive!r}; it must be {allowed}.")
    path = _checked(path)
    nwbinspector = require_package("nwbinspector", "inspect")
    with warnings.catch_warnings(), reading_from([path], allow_outside):
        warnings.simplefilter("ignore")
        findings, messages = _findings_and_messages(path, archive, nwbinspector)
    of_empty = [each for each in messages if any(text in each.message for text in _EMPTY)]
    messages = [each for each in messages if each not in of_empty]
    if of_empty:
        findings.append(_empty_finding(len(of_empty), nwbinspector.__version__, archive))
    failed = [each for each in messages if _has_failed(each)]
    messages = [each for each in messages if each not in failed]
    messages, unread = _without_failures(path, messages)
    if unread:
        findings.append(_unread_finding(unread, nwbinspector.__version__))
    if failed:
        findings.append(_failed_finding(failed, nwbinspector.__version__, archive))
    findings += [
        Finding(
            importance=message.importance.name,
            location=str(message.location or message.object_name or "/"),
            message=_last_line(message),
        )
        for message in messages
    ]
    return sorted(findings, key=lambda finding: _RANKS.index(finding.importance))


def validate_file(
    path: str | Path, *, archive: str | None = None, allow_outside: Sequence[str | Path] = ()
) -> list[Finding]:
    """Check an NWB file with pynwb's validator alone, without the NWB Inspector.

    Parameters
    ----------
    path, archive, allow_outside
        See :func:`inspect_file`.

    Returns
    -------
    list of Finding

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        See :func:`inspect_file`.
    """
    path = _checked(path)
    with warnings.catch_warnings(), reading_from([path], allow_outside):
        warnings.simplefilter("ignore")
        return _findings_and_messages(path, archive, None)[0]


def _checked(path: str | Path) -> Path:
    """Return the path of a file that exists and may be opened."""
    place = as_path(path)
    if not place.exists():
        raise not_found(place)
    require_ordinary(place)
    check_whole(place)
    return place


def _without_failures(path: Path, messages: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the messages of the Inspector, and apart those of its failures to read a format.

    Every other failure is one of the file.
    """
    storage = backend_of_path(path)
    if storage is None or storage.zarr_format != _UNKNOWN_FORMAT:
        return messages, []
    failures = [each for each in messages if _FAILURE in str(each.message)]
    return [each for each in messages if each not in failures], failures


def _unread_finding(failures: list[Any], version: str) -> Finding:
    return Finding(
        importance="BEST_PRACTICE_SUGGESTION",
        location="/",
        message=f"The NWB Inspector {version} does not know Zarr format {_UNKNOWN_FORMAT}: "
        f"{len(failures)} of its checks failed ({_last_line(failures[0])}). Repack the file to "
        "HDF5 to have it checked in full.",
    )


def _empty_finding(number: int, version: str, archive: str | None) -> Finding:
    """Return the finding on checks that fail on data without values, which NWB allows.

    An archive runs the same checks.
    """
    message = (
        f"{counted(number, 'check')} of the NWB Inspector {version} cannot read data without "
        "values, such as the columns of a table without ROIs or without masks."
    )
    if archive is None:
        message += " The file is valid in this."
        return Finding(importance="BEST_PRACTICE_SUGGESTION", location="/", message=message)
    message += " The archive refuses such files: leave the table out, or write masks."
    return Finding(importance="CRITICAL", location="/", message=message)


def _has_failed(message: Any) -> bool:
    """Return whether a message is that of a check which raised an error that is not of the file."""
    match = _FAILED_CHECK.match(str(message.check_function_name))
    is_of_format = _FAILURE in str(message.message)
    return match is not None and match[2] not in _OF_READING and not is_of_format


def _failed_finding(failed: list[Any], version: str, archive: str | None) -> Finding:
    """Return the finding on checks that fail themselves.

    ``dandi validate`` counts them as errors, and ``dandi upload`` refuses files with errors.
    """
    stated = (_FAILED_CHECK.match(str(each.check_function_name)) for each in failed)
    names = list(dict.fromkeys(match[1] for match in stated if match is not None))
    message = (
        f"{counted(len(failed), 'check')} of the NWB Inspector {version} failed and could not be "
        f"made: {first_named(names, _MOST_NAMED)} ({_last_line(failed[0])})."
    )
    if archive is None:
        message += " This is a fault of the Inspector, and not of the file."
        return Finding(importance="BEST_PRACTICE_SUGGESTION", location="/", message=message)
    message += (
        " That is a fault of the Inspector, but 'dandi upload' refuses the file for it; try the "
        "newest version of the Inspector."
    )
    return Finding(importance="CRITICAL", location="/", message=message)


def _findings_and_messages(
    path: Path, archive: str | None, inspector: Any
) -> tuple[list[Finding], list[Any]]:
    """Return the findings of pynwb's validator, and the messages of the NWB Inspector.

    The Inspector would open the file again, run the validator on HDF5 files only, and open objects
    in an object store without our checks. Findings of an archive's upload, which it does not have,
    are added.
    """
    storage = backend_of_path(path)
    if storage is None:
        raise CorruptSourceError(
            f"'{path}' is not an NWB file: it is {NO_BACKEND}. Give an NWB file."
        )
    try:
        with storage.open(path, "r") as io:
            nwbfile = io.read()
            findings = validation_findings(io)
            if archive and nwbfile.subject is not None:
                findings += _upload_findings(nwbfile.subject)
            if inspector is None:
                return findings, []
            config = None if archive is None else inspector.load_config(archive)
            return findings, list(inspector.inspect_nwbfile_object(nwbfile, config=config))
    except (OutsideFolderError, SpecialFileError, MissingPackageError):
        raise
    except Exception as error:  # pynwb raises errors of many types for files that are not NWB
        reason = last_reason(error_within(error) or error)
        return [_root_finding("ERROR", f"The file cannot be read as NWB: {reason}")], []


def _upload_findings(subject: Any) -> list[Finding]:
    facts = {key: getattr(subject, key) for key in ("species", "sex", "age", "date_of_birth")}
    return [
        Finding(importance="CRITICAL", location="/general/subject", message=finding.message)
        for finding in refused_by_upload(facts)
        if finding.importance == "required"
    ]


def validation_findings(
    io: Any, validators: MutableMapping[str, Any] | None = None
) -> list[Finding]:
    """Return the findings of pynwb's validator for an open file.

    Parameters
    ----------
    io : hdmf.backends.io.HDMFIO
        With the schemas that the file was opened with. ``pynwb.validate`` would load them again,
        which takes longer than the validation.
    validators : MutableMapping, optional
        Validators by namespace, which are made here and used again when the same file is validated
        with the same schemas: making one takes longer than using it.
    """
    from pynwb import validation

    catalog, errors = io.manager.namespace_catalog, []
    kept = {} if validators is None else validators
    try:
        for name in _to_validate(catalog):
            if name not in kept:
                kept[name] = validation.ValidatorMap(catalog.get_namespace(name))
            errors += kept[name].validate(io.read_builder())
    except Exception as error:  # the validator fails on empty datasets
        message = f"The file can be read, but pynwb's validator failed: {error}"
        return [_root_finding("CRITICAL", message)]
    return [
        Finding(importance="PYNWB_VALIDATION", location=str(error.location), message=str(error))
        for error in errors
    ]


def _to_validate(catalog: Any) -> list[str]:
    """Return the namespaces that no other one includes, as pynwb validates them."""
    names = set(catalog.namespaces)
    included = {
        part["namespace"]
        for name in names
        for part in catalog.get_namespace(name).schema
        if "namespace" in part
    }
    return sorted(names - included - {"hdmf-experimental"})


def _root_finding(importance: str, message: str) -> Finding:
    return Finding(importance=importance, location="/", message=" ".join(message.split()))


def _last_line(message: Any) -> str:
    """Return a message in one line; of a traceback, only the last line."""
    text = str(message.message).strip()
    if text.startswith("Traceback"):
        text = text.splitlines()[-1]
    return " ".join(text.split())
