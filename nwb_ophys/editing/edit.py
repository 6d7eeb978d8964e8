"""Change of the metadata of an existing file, in its place."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.editing.changes import FieldChange, changes_of, differences, is_final
from nwb_ophys.editing.contents import Contents, contents_of
from nwb_ophys.errors import ArgumentError, MetadataError, OutputError, counted, shown
from nwb_ophys.inspection import validation_findings
from nwb_ophys.metadata import parse_datetime
from nwb_ophys.metadata.dandi_names import dandi_path, modalities_of
from nwb_ophys.remote.shortening import Shortener
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.command import present_command
from nwb_ophys.storage.editing import FileDraft, NewGroup, StoredChange, drafted
from nwb_ophys.storage.record import Provenance

if TYPE_CHECKING:
    from pynwb import NWBFile

_MOST_NAMED = 3
# The fields by which the archive names a file.
_OF_NAME = ("Subject.subject_id", "NWBFile.session_id", "NWBFile.session_start_time")


@attrs.frozen(kw_only=True)
class EditedField:
    """A field that was changed.

    Attributes
    ----------
    key : str
        Dotted key, with the indices of the entries of lists.
    location : str
        Path in the file of the dataset, or of the object with the attribute.
    attribute : str or None
        Name of the attribute; None for a dataset.
    old, new : object
        Values before and after; None where the field was not there.
    """

    key: str
    location: str
    attribute: str | None
    old: Any
    new: Any

    def __str__(self) -> str:
        place = self.location or "/"
        where = place if self.attribute is None else f"{place}, attribute {self.attribute}"
        if self.old is None:
            return f"{self.key}: added, {shown(self.new)} ({where})"
        if self.new is None:
            return f"{self.key}: removed, was {shown(self.old)} ({where})"
        return f"{self.key}: {shown(self.old)} is now {shown(self.new)} ({where})"


@attrs.frozen(kw_only=True)
class EditReport:
    """Changes of a file.

    Attributes
    ----------
    path : pathlib.Path
    fields : tuple of EditedField
        The changed fields; none if the file had all values already, and so is as it was.
    archive_name : str or None
        Name that the DANDI archive has for the file, if that has changed. The file keeps its own.
    """

    path: Path
    fields: tuple[EditedField, ...]
    archive_name: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        if not self.fields:
            yield f"{self.path}: nothing to change; the file has these values."
            return
        yield f"{self.path}: {counted(len(self.fields), 'field')} changed"
        yield from (f"  {field}" for field in self.fields)
        if self.archive_name is not None:
            yield f"Name in the DANDI archive: {self.archive_name} (the file is not renamed)"


def edit_metadata(path: str | Path, changes: Mapping[str, Any]) -> EditReport:
    """Change metadata of an existing NWB file in its place, without rewriting it.

    Every change is made, or none. The new file is checked before it is written. A journal beside
    the file undoes a change that was killed, with the next edit or append, or with
    ``nwb-ophys clean``. The file gets a record of the changes.

    Parameters
    ----------
    path : path-like
        A file of any author and backend; for Zarr, of the format that the installed packages write.
    changes : Mapping of str to object
        New values by dotted keys as ``nwb-ophys convert --set`` has them, such as
        ``{"Subject.sex": "F", "Ophys.ImagingPlane.0.location": "VISp"}``. An entry of a list has
        an index, in the order of the paths in the file, or its name. A text is read as on the
        command line. None removes a field that NWB does not require.

    Returns
    -------
    EditReport

    Raises
    ------
    OptionError
        If a key does not exist, or is of data.
    MetadataError
        If a value is wrong.
    OutputError
        If the file cannot be read or written, is read-only, a symbolic link, open in another
        program, or would not be valid any more.
    """
    if not isinstance(changes, Mapping):
        raise ArgumentError(
            f"changes is {shown(changes)}; it must be a dictionary of values by the key, such as "
            "{'Subject.sex': 'F'}."
        )
    validators: dict[str, Any] = {}
    with drafted(path) as draft:
        with draft.reading() as (io, nwbfile):
            before = contents_of(nwbfile, io.manager)
            found = [each for each in changes_of(before, changes) if is_final(each)]
            faults = validation_findings(io, validators) if found else []
        if not found:
            return EditReport(path=draft.path, fields=())
        fields = tuple(map(_edited, found))
        groups = {each.owner.location: _new_group(each) for each in found}
        stored = {each.place.key: _stored(each) for each in found}
        draft.write(
            list(stored.values()),
            [group for group in groups.values() if group is not None],
            _EditProvenance(draft.path, fields),
        )
        with draft.reading() as (io, nwbfile):
            _check_contents(draft, before, contents_of(nwbfile, io.manager), found)
            findings = validation_findings(io, validators)
            _check_valid(draft, {str(each) for each in faults}, findings)
            is_renamed = any(each.key in _OF_NAME for each in found)
            name = archive_name(nwbfile, draft.storage) if is_renamed else None
        draft.is_accepted = True
    return EditReport(path=draft.path, fields=fields, archive_name=name)


def _edited(change: FieldChange) -> EditedField:
    place = change.place
    return EditedField(
        key=change.key,
        location=place.location,
        attribute=place.attribute,
        old=change.old,
        new=change.new,
    )


def _new_group(change: FieldChange) -> NewGroup | None:
    owner = change.owner
    if owner.container is not None:
        return None
    return NewGroup(location=owner.location, attributes=owner.new_attributes)


def _stored(change: FieldChange) -> StoredChange:
    place = change.place
    return StoredChange(
        location=place.location,
        attribute=place.attribute,
        value=change.stored,
        dtype=change.dtype,
        attributes=place.attributes() if place.attribute is None else {},
    )


def _check_contents(
    draft: FileDraft, before: Contents, after: Contents, changes: Sequence[FieldChange]
) -> None:
    """Check that a draft has the new values, and is the same otherwise.

    Raises
    ------
    OutputError
        If it is not.
    """
    wanted = {each.steps: each.new for each in changes}
    replaced = {each.place.location for each in changes if each.place.attribute is None}
    found = {steps: new for steps, _, new in differences(before.metadata, after.metadata)}
    missing = [steps for steps in wanted if steps not in found]
    wrong = [
        steps
        for steps, new in found.items()
        if (
            list(differences(wanted[steps], new))
            if steps in wanted
            else not _follows(steps, before, after, replaced, wanted)
        )
    ]
    if missing or wrong:
        keys = ", ".join(".".join(map(str, steps)) for steps in [*missing, *wrong][:_MOST_NAMED])
        raise OutputError(
            f"'{draft.path}' would read otherwise than requested for {keys}; it is left as it is."
        )


def _follows(
    steps: tuple[Any, ...],
    before: Contents,
    after: Contents,
    replaced: set[str],
    wanted: Mapping[tuple[Any, ...], Any],
) -> bool:
    """Return whether a difference follows from another one: it is of the same dataset or place."""
    for contents in (before, after):
        owner = contents.owners.get(steps[:-1])
        place = None if owner is None else owner.places.get(steps[-1])
        if place is not None and place.location in replaced and place.attribute is not None:
            return True
        same = (contents.owners[each[:-1]].places[each[-1]].key for each in wanted)
        if place is not None and place.key in same:
            return True
    return False


def _check_valid(draft: FileDraft, before: set[str], findings: Sequence[Any]) -> None:
    """Check that a draft has no error of pynwb's validator that the file did not have.

    Raises
    ------
    OutputError
        If it has.
    """
    new = [each for each in findings if str(each) not in before]
    if new:
        named = "; ".join(each.message for each in new[:_MOST_NAMED])
        raise OutputError(
            f"'{draft.path}' would not be valid NWB any more, and is left as it is: {named}."
        )


def archive_name(nwbfile: NWBFile, storage: Backend) -> str | None:
    """Return the path of an open file in a dandiset, or None without a subject id.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    storage : Backend
    """
    start = nwbfile.session_start_time
    start = start if isinstance(start, datetime.datetime) else parse_datetime(start, "")
    subject = None if nwbfile.subject is None else nwbfile.subject.subject_id
    try:
        return str(
            dandi_path(
                subject,
                nwbfile.session_id,
                start,
                modalities_of(nwbfile.all_children()),
                storage.suffix,
            )
        )
    except MetadataError:  # there is no such name
        return None


class _EditProvenance(Provenance):
    """Provenance of an edit: the command, and each field with its old and new value.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    fields : sequence of EditedField
    """

    def __init__(self, path: Path, fields: Sequence[EditedField]) -> None:
        super().__init__("edit")
        self._shortener, self._fields = Shortener([path]), fields

    def contents(self, backend: Backend) -> dict[str, Any]:
        """Return everything but the hashes as plain data."""
        command = [self._shortener.argument(each) for each in present_command()]
        found = {
            **super().contents(backend),
            "changes": [
                {key: _finite(value) for key, value in attrs.asdict(field).items()}
                for field in self._fields
            ],
        }
        return found | ({"command": ["nwb-ophys", *command]} if command else {})


def _finite(value: Any) -> Any:
    """Return a value for JSON, which has no infinite numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
