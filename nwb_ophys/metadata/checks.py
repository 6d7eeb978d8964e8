"""The check of complete metadata, which reports all errors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.metadata.duplicates import faults_of_duplicates
from nwb_ophys.metadata.limits import faults_of_vectors
from nwb_ophys.metadata.links import described, entries_of, faults_of_links
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
    if isinstance(session, Mapping) and not joins_file:
        faults += faults_of_session(session)
    faults += _faults_of_containers(metadata.get("Ophys"))
    faults += _faults_of_units(metadata)
    faults += _faults_of_lengths(metadata)
    if not joins_file:
        faults += faults_of_links(metadata)
    if not faults:
        faults = faults_of_duplicates(metadata)
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
    """Return a sentence for each field of the session that NWB stores only with another one."""
    path = 'metadata["NWBFile"]'
    pair = ("source_script", "source_script_file_name")
    return [
        f'{path}["{key}"] is given, but NWB stores a script together with its file name; give '
        f'{path}["{other}"] too, or leave both out.'
        for key, other in (pair, pair[::-1])
        if session.get(key) is not None and session.get(other) is None
    ]


_CONTAINERS = ("ImageSegmentation", "Fluorescence", "DfOverF", "SegmentationImages")


def _faults_of_containers(ophys: Any) -> Iterator[str]:
    """Yield a sentence for each container that has the name of another one."""
    users: dict[Any, str] = {}
    for key in _CONTAINERS:
        container = ophys.get(key) if isinstance(ophys, Mapping) else None
        name = container.get("name", key) if isinstance(container, Mapping) else None
        if isinstance(name, str) and users.setdefault(name, key) != key:
            yield (
                f'metadata["Ophys"]["{key}"]["name"] is {shown(name)}, the name of '
                f'metadata["Ophys"]["{users[name]}"]; give each container a name of its own.'
            )


def _faults_of_lengths(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each length of a plane or a series that no microscope has."""
    for kind in ("ImagingPlane", "TwoPhotonSeries", "OnePhotonSeries"):
        for index, entry in enumerate(described(entries_of(metadata, kind))):
            yield from faults_of_vectors(entry, f'metadata["Ophys"]["{kind}"][{index}]')


def _faults_of_units(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each unit of a plane that NWB stores only with its values."""
    for index, plane in enumerate(described(entries_of(metadata, "ImagingPlane"))):
        for key in ("origin_coords", "grid_spacing"):
            unit = plane.get(f"{key}_unit")
            # Files that were read by pynwb state metres for values that are not there.
            if isinstance(unit, str) and unit != "meters" and plane.get(key) is None:
                path = f'metadata["Ophys"]["ImagingPlane"][{index}]'
                yield (
                    f'{path}["{key}_unit"] is {shown(unit)}, but NWB stores a unit with its '
                    f'values; give {path}["{key}"] too, or leave the unit out.'
                )
