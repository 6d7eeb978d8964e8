"""Changes of attributes and small datasets of an existing file, in its place.

A file is changed in a draft first, which is read again and checked. Then a journal is written
beside the file, from which it returns to its state before, and the bytes that differ are written.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from hdmf.build import Builder, BuildManager, DatasetBuilder, GroupBuilder, TypeMap

from nwb_ophys.errors import (
    MissingPackageError,
    NwbOphysError,
    OutputError,
    error_within,
    last_reason,
    not_found,
)
from nwb_ophys.home import with_home
from nwb_ophys.outside import require_ordinary
from nwb_ophys.remote.paths import as_path, require_disk
from nwb_ophys.storage.backends.base import Backend, Draft
from nwb_ophys.storage.backends.registry import NO_BACKEND, backend_of_path
from nwb_ophys.storage.disk_errors import disk_errors
from nwb_ophys.storage.files import closed_at_the_end, reserved
from nwb_ophys.storage.hdmf.internals import root_of
from nwb_ophys.storage.in_place import changed_in_place
from nwb_ophys.storage.read_only import check_changeable, check_not_annexed
from nwb_ophys.storage.record import (
    GROUP,
    REMOVED,
    Known,
    Provenance,
    Record,
    free_name,
    record_attributes,
    records_of,
)
from nwb_ophys.storage.stored_objects import StoredObject

if TYPE_CHECKING:
    from pynwb import NWBFile


@attrs.frozen(kw_only=True)
class StoredChange:
    """Change of one attribute, or of one small dataset.

    Attributes
    ----------
    location : str
        Path of the dataset, or of the object with the attribute; empty for the root.
    attribute : str or None
        Name of the attribute; None for the dataset itself.
    value : object
        The new value; None removes the attribute or dataset.
    dtype : str or None
        Dtype of the dataset by the name that hdmf has for it.
    attributes : mapping of str to object
        Attributes of the new dataset.
    """

    location: str
    attribute: str | None
    value: Any
    dtype: str | None = None
    attributes: Mapping[str, Any] = {}


@attrs.frozen(kw_only=True)
class NewGroup:
    """A group that is added to a file, with its attributes."""

    location: str
    attributes: Mapping[str, Any]


class FileDraft:
    """Draft of an existing file.

    Attributes
    ----------
    path : pathlib.Path
    storage : Backend
    is_accepted : bool
        Whether the changes are written when the block of :func:`drafted` ends.
    """

    def __init__(self, path: Path, storage: Backend, draft: Draft) -> None:
        self.path, self.storage, self._draft = path, storage, draft
        self.is_accepted = False
        self._types: TypeMap | None = None
        # hdmf knows a builder by its number, which a later one gets when it is freed.
        self._builders: list[Builder] = []

    def _opened(self, mode: str) -> Any:
        """Return the open IO object of the draft; the schemas of the file are loaded once."""
        manager = None if self._types is None else BuildManager(self._types)
        with _readable(self.path):
            io = self._draft.open(mode, manager)
        self._types = io.manager.type_map
        return io

    @contextmanager
    def reading(self) -> Iterator[tuple[Any, NWBFile]]:
        """Give the open IO object and the ``NWBFile`` of the draft.

        Raises
        ------
        OutputError
            If the file cannot be read as NWB.
        """
        io = self._opened("r")
        with closed_at_the_end(io, self.path):
            with _readable(self.path), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of fields that are not edited
                nwbfile = io.read()
            yield io, nwbfile

    def write(
        self, changes: Sequence[StoredChange], groups: Sequence[NewGroup], provenance: Provenance
    ) -> None:
        """Change the draft, and add a record of the changes.

        Parameters
        ----------
        changes : sequence of StoredChange
        groups : sequence of NewGroup
            Groups that are added first.
        provenance : Provenance

        Raises
        ------
        OutputError
            If a dataset has several names in the file.
        """
        io = self._opened("r+")
        with closed_at_the_end(io, self.path):
            root = root_of(io)
            places = {*(each.location for each in changes), *(each.location for each in groups)}
            before = _objects(self.storage, root, places)
            for group in groups:
                parent, name = _parent_of(root, group.location)
                self._add(io, parent, GroupBuilder(name, attributes=dict(group.attributes)))
            for change in sorted(changes, key=lambda each: each.attribute is not None):
                self._write(io, change)
            self._write_record(io, changes, before, places, provenance)

    def _write(self, io: Any, change: StoredChange) -> None:
        root = root_of(io)
        if change.attribute is not None:
            item = root[change.location] if change.location else root
            if change.value is None:
                del item.attrs[change.attribute]
            else:
                self.storage.write_attribute(item, change.attribute, change.value)
            return
        parent, name = _parent_of(root, change.location)
        if name in parent:
            self.storage.check_only_name(root, change.location)
            del parent[name]
        if change.value is not None:
            attributes = dict(change.attributes)
            builder = DatasetBuilder(name, change.value, attributes, dtype=change.dtype)
            self._add(io, parent, builder)

    def _add(self, io: Any, parent: Any, builder: Builder) -> None:
        self._builders.append(builder)
        write = io.write_group if isinstance(builder, GroupBuilder) else io.write_dataset
        write(parent, builder)

    def _write_record(
        self,
        io: Any,
        changes: Sequence[StoredChange],
        before: Mapping[str, str],
        places: set[str],
        provenance: Provenance,
    ) -> None:
        """Add a record with the hashes of what was changed.

        An object whose attributes were not those that an earlier record states keeps that
        difference.
        """
        root, storage = root_of(io), self.storage
        known = Known.of(records_of(root, storage).values())
        written = {each.location for each in changes if each.attribute is None}
        attributes, values = {}, {}
        for each in _each_object(storage, root, places):
            stated = known.attributes.get(each.path)
            is_intact = stated is None or each.path in written or stated == before.get(each.path)
            if is_intact:
                attributes[each.path] = each.attributes_hash()
            if each.path in written:
                values[each.path] = each.values_hash()
        contents = provenance.contents(storage)
        removed = sorted(each.location for each in changes if _is_removal(each))
        contents |= {REMOVED: removed} if removed else {}
        record = Record(contents=contents, datasets={}, values=values, attributes=attributes)
        if GROUP not in root:
            self._add(io, root, GroupBuilder(GROUP))
        name = free_name(set(root[GROUP]))
        attributes_of_record = record_attributes()
        builder = DatasetBuilder(name, record.to_text(), attributes_of_record, dtype="utf8")
        self._add(io, root[GROUP], builder)


def _is_removal(change: StoredChange) -> bool:
    return change.attribute is None and change.value is None


def _each_object(storage: Backend, root: Any, places: set[str]) -> Iterator[StoredObject]:
    return (each for each in storage.objects(root) if each.path in places)


def _objects(storage: Backend, root: Any, places: set[str]) -> dict[str, str]:
    """Return the hashes of the attributes of some objects by path."""
    return {each.path: each.attributes_hash() for each in _each_object(storage, root, places)}


def _parent_of(root: Any, location: str) -> tuple[Any, str]:
    """Return the open group in which an object lies, and its name there."""
    folder, _, name = location.rpartition("/")
    return (root[folder] if folder else root), name


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise an OutputError for whatever a backend and pynwb find wrong with a file."""
    try:
        yield
    except (NwbOphysError, MemoryError):
        raise
    except Exception as error:
        reason = last_reason(error_within(error) or error)
        raise OutputError(
            f"'{path}' cannot be read as an NWB file, and is left as it is: {reason}"
        ) from error


@contextmanager
def drafted(path: str | Path) -> Iterator[FileDraft]:
    """Offer a draft of an existing file, and write it in its place when the block ends.

    The file is written only if the draft was accepted. After any error, and after a kill, it is as
    it was before; a kill is undone by the next call, or by ``nwb-ophys clean``.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    FileDraft

    Raises
    ------
    SourceNotFoundError, OutputError
        When the file does not exist, is no NWB file, is read-only or a symbolic link, cannot be
        read, or is open in another program.
    MissingPackageError
        When the installed packages only read the file.
    """
    given = as_path(path)
    require_disk(given, "edit changes files on a disk only")
    place = with_home(given)
    _check_given(place)
    with reserved(place, append=True) as target:
        storage = _backend_of(target)
        with _readable(target):
            draft = storage.draft(target)
        with closing(draft), disk_errors(target):
            offered = FileDraft(target, storage, draft)
            yield offered
            if offered.is_accepted:
                with changed_in_place(target) as guard, disk_errors(target):
                    draft.commit(guard)


def _check_given(path: Path) -> None:
    """Check that a path is that of a file or folder that may be changed."""
    check_not_annexed(path)
    if path.is_symlink():
        raise OutputError(
            f"'{path}' is a symbolic link, and is left as it is; give the file that it leads to, "
            f"'{os.path.realpath(path)}'."
        )
    if not path.exists():
        raise not_found(path)
    require_ordinary(path)
    check_changeable(path)


def _backend_of(path: Path) -> Backend:
    storage = backend_of_path(path)
    if storage is None:
        raise OutputError(f"'{path}' is {NO_BACKEND}; give an NWB file.")
    try:
        storage.require()
    except MissingPackageError as error:
        raise MissingPackageError(f"'{path}' cannot be changed: {error}") from None
    return storage
