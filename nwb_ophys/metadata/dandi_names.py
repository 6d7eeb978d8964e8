"""Names of NWB files in the DANDI archive, as ``dandi organize`` gives them (dandi-cli 0.81)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from nwb_ophys.errors import MetadataError

# Names are made of the parts key-value, joined by "_"; these characters would be read as marks.
_NOT_IN_A_VALUE = re.compile(r"""[_*\\/<>:|"'?%@;,.\s]""")
_LONGEST = 200
_SUBJECT, _SESSION = 'metadata["Subject"]["subject_id"]', 'metadata["NWBFile"]["session_id"]'
# Modules of pynwb whose types do not tell what was measured.
_GENERAL = frozenset({"base", "core", "device", "file", "misc", "epoch"})


def dandi_path(
    subject_id: str | None,
    session_id: str | None = None,
    start: datetime.datetime | None = None,
    modalities: Sequence[str] = ("ophys",),
    suffix: str = ".nwb",
) -> PurePosixPath:
    """Return the path of a file in a dandiset, such as ``sub-M7/sub-M7_ses-1_ophys.nwb``.

    Parameters
    ----------
    subject_id : str or None
    session_id : str, optional
    start : datetime.datetime, optional
        Start of the session, by which the file is named if it has no session id.
    modalities : sequence of str
        Kinds of measurements; see :func:`modalities_of`.
    suffix : str
        ``.nwb`` for HDF5, ``.nwb.zarr`` for Zarr.

    Raises
    ------
    MetadataError
        When there is no subject id, or a value has no character that a name may have.
    """
    if not subject_id:
        raise MetadataError(
            f"{_SUBJECT} is missing, by which DANDI names files; give it, such as 'M7'."
        )
    subject = _value(_SUBJECT, subject_id)
    name = f"sub-{subject}"
    if session_id:
        name += f"_ses-{_value(_SESSION, session_id)}"
    elif start is not None:
        is_day = (start.hour, start.minute, start.second) == (0, 0, 0)
        name += f"_ses-{start:%Y%m%d}" if is_day else f"_ses-{start:%Y%m%dT%H%M%S}"
    if modalities:
        name += "_" + "+".join(sorted(set(modalities)))
    return PurePosixPath(f"sub-{subject}", name + suffix)


def _value(where: str, text: str) -> str:
    found = _NOT_IN_A_VALUE.sub("-", str(text))
    if not found.strip("-") or len(found) > _LONGEST:
        raise MetadataError(
            f"{where} is {str(text)[:_LONGEST]!r}, by which no file can be named; give letters and "
            f"digits, at most {_LONGEST}."
        )
    return found


def modalities_of(objects: Iterable[Any]) -> tuple[str, ...]:
    """Return the kinds of measurements that objects of an NWB file are of, such as ``ophys``.

    Parameters
    ----------
    objects : iterable of hdmf.Container
        Such as ``nwbfile.all_children()``. Their types are of pynwb or of extensions of its types.

    Returns
    -------
    tuple of str
        Sorted, each once.
    """
    found = set()
    for each in objects:
        # Images are datasets of a file, which the archive's program does not look at.
        if _is_dataset(each):
            continue
        package, _, module = type(each).__module__.partition(".")
        if package == "pynwb" and module and "." not in module:
            found.add(module)
    return tuple(sorted(found - _GENERAL))


def _is_dataset(each: Any) -> bool:
    return any(cls.__name__ == "NWBData" for cls in type(each).__mro__)
