"""An NWB file of any author as groups and datasets by path, read without pynwb.

pynwb needs a second to be imported, and refuses a file of which one object is damaged. A report is
made of what can be read.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import (
    CorruptSourceError,
    MissingPackageError,
    OutsideFolderError,
    as_sentence,
)
from nwb_ophys.outside import reading_from
from nwb_ophys.reports.places import existing
from nwb_ophys.storage import NO_BACKEND, backend_of_path, check_complete
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.sources import Source
from nwb_ophys.storage.stored_objects import StoredObject, plain, reason_of

# Values that are read whole: texts, columns of tables, timestamps.
_MOST_VALUES = 20_000_000
_OWN_FILE = ("", ".")
_MOST_LINKS = 10
_COLUMN_NAMES = "colnames"


@attrs.frozen(kw_only=True, eq=False)
class StoredFile:
    """An open NWB file.

    Attributes
    ----------
    path : pathlib.Path
    storage : Backend
    root : object
        Open root group.
    objects : mapping of str to StoredObject
        Groups and datasets by path, without a slash at the beginning.
    members : mapping of str to dict of str to str
        Paths of the members of each group by name; links are followed within the file.
    outside : mapping of str to str
        Targets of the links that lead to other files, by the path of the link. They are not
        followed.
    """

    path: Path
    storage: Backend
    root: Any
    objects: Mapping[str, StoredObject]
    members: Mapping[str, Mapping[str, str]]
    outside: Mapping[str, str]

    def of_kind(self, *kinds: str) -> Iterator[str]:
        """Yield the paths of the groups and datasets of some neurodata types."""
        for path in self.objects:
            if self.kind(path) in kinds:
                yield path

    def kind(self, path: str) -> str:
        """Return the neurodata type of an object; empty if it states none."""
        return str(self.attribute(path, "neurodata_type") or "")

    def attribute(self, path: str, name: str) -> Any:
        """Return an attribute as plain data; None if it is absent.

        Some programs store a text or a number as an array of one; only names of columns are a list.
        """
        found = self.objects.get(path)
        value = None if found is None else found.attributes.get(name)
        if isinstance(value, list) and len(value) == 1 and name != _COLUMN_NAMES:
            return value[0]
        return value

    def member(self, path: str, name: str) -> str | None:
        """Return the path of a member of a group; None if there is none."""
        return self.members.get(path, {}).get(name)

    def required(self, path: str, name: str) -> str:
        """Return the path of a member that a group must have.

        Raises
        ------
        CorruptSourceError
            If it is absent, or lies in another file.
        """
        found = self.member(path, name)
        if found is None:
            target = self.outside.get(f"{path}/{name}")
            state = f"is a link to '{target}', which is not followed" if target else "is absent"
            raise CorruptSourceError(f"Its '{name}' {state}.")
        return found

    def referenced(self, path: str, name: str) -> str | None:
        """Return the path of the object to which an attribute refers; None without one."""
        value = self.attribute(path, name)
        if isinstance(value, Mapping) and isinstance(value.get("value"), Mapping):
            value = value["value"]  # as some versions of a backend wrap references
        target = value.get("reference") if isinstance(value, Mapping) else None
        return str(target).strip("/") if isinstance(target, str) else None

    def is_dataset(self, path: str | None) -> bool:
        """Return whether a path is that of a dataset with values."""
        return path is not None and path in self.objects and self.objects[path].is_dataset

    def shape(self, path: str | None) -> tuple[int, ...] | None:
        """Return the shape of a dataset; None if there is none."""
        if path is None or not self.is_dataset(path):
            return None
        return tuple(int(size) for size in self.objects[path].shape or ())

    def value(self, path: str | None) -> Any:
        """Return the values of a dataset as plain data or an array of numbers; None without one.

        Raises
        ------
        CorruptSourceError
            If it has more values than are read whole.
        """
        if path is None or not self.is_dataset(path):
            return None
        found = self.objects[path]
        shape = self.shape(path) or ()
        if math.prod(shape) > _MOST_VALUES:
            raise CorruptSourceError(f"'{path}' has {math.prod(shape)} values, too many to read.")
        assert found.read is not None
        values = found.read(None)
        if isinstance(values, np.ndarray) and values.dtype.kind in "biufc" and values.shape:
            return values
        return plain(values[()] if isinstance(values, np.ndarray) and not values.shape else values)

    def member_value(self, path: str, name: str) -> Any:
        """Return the values of a dataset in a group; None if there is none."""
        return self.value(self.member(path, name))

    def lacking(self, path: str) -> str:
        """Return the parts of a dataset that were never written, as a sentence; empty if none are.

        Readers get fill values in their place.
        """
        try:
            check_complete(self.root[path])
        except CorruptSourceError as error:
            return str(error)
        return ""

    def source(self, path: str) -> Source:
        """Return a dataset as a source, whose chunks are checked before they are decoded."""
        return self.storage.checked_source(self.root[path])


@contextmanager
def opened(path: str | Path, allow_outside: Sequence[str | Path] = ()) -> Iterator[StoredFile]:
    """Open an NWB file of any backend for reading.

    Parameters
    ----------
    path : path-like
    allow_outside : sequence of path-like
        Folders in which files may lie that the file names, beyond its own folder.

    Raises
    ------
    SourceNotFoundError
        If it does not exist.
    CorruptSourceError
        If it is not an NWB file, or cannot be opened.
    MissingPackageError
        If a package that reads it is not installed.
    """
    place = existing(path)
    with reading_from([place], allow_outside):
        storage = backend_of_path(place)
        if storage is None:
            raise CorruptSourceError(
                f"'{path}' is not an NWB file: it is {NO_BACKEND}. Give an NWB file."
            )
        with _root_of(storage, place) as root:
            try:
                found = _listed(place, storage, root)
            except CorruptSourceError:
                raise
            except Exception as error:  # of the backend, about a damaged file
                raise CorruptSourceError(
                    f"'{path}' cannot be read: {as_sentence(reason_of(error))}"
                ) from error
            yield found


@contextmanager
def _root_of(storage: Backend, path: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the report names what cannot be read
        try:
            manager = storage.open_root(path)
            root = manager.__enter__()
        except (MissingPackageError, CorruptSourceError, OutsideFolderError):
            raise
        except Exception as error:  # of the backend, about a damaged file
            raise CorruptSourceError(
                f"'{path}' cannot be read: {as_sentence(reason_of(error))}"
            ) from error
        try:
            yield root
        finally:
            manager.__exit__(None, None, None)


def _listed(path: Path, storage: Backend, root: Any) -> StoredFile:
    objects = {each.path: each for each in storage.objects(root)}
    if "" in objects and objects[""].error:
        raise CorruptSourceError(
            f"'{path}' is damaged: its root cannot be read ({objects[''].error}). Copy the file "
            "again from where it was recorded."
        )
    if "nwb_version" in objects:  # version 2 states it as an attribute
        raise CorruptSourceError(
            f"'{path}' is an NWB file of version 1, which pynwb does not read either. Give a file "
            "of NWB 2."
        )
    if "" not in objects or objects[""].attributes.get("neurodata_type") != "NWBFile":
        raise CorruptSourceError(
            f"'{path}' is {storage.file_kind}, but not an NWB file: its root does not state the "
            "type NWBFile. Give an NWB file."
        )
    members: dict[str, dict[str, str]] = {each: {} for each in objects}
    for each in objects:
        if each:
            parent, _, name = each.rpartition("/")
            members.setdefault(parent, {})[name] = each
    outside: dict[str, str] = {}
    for group, found in objects.items():
        members[group].update(found.further_names)
        for name, target in found.links.items():
            own = _within(target, objects)
            if own is None:
                outside[f"{group}/{name}".strip("/")] = target
            else:
                members[group][name] = own
    return StoredFile(
        path=path,
        storage=storage,
        root=root,
        objects=objects,
        members=_followed(members, objects),
        outside=outside,
    )


def _within(target: str, objects: Mapping[str, StoredObject]) -> str | None:
    """Return the path of a link in its own file; None for a link to another file."""
    source, colon, place = target.partition(":")
    if not colon or target.strip("/") in objects:  # names of objects may hold colons
        return target
    return place if source in _OWN_FILE else None


def _followed(
    members: Mapping[str, Mapping[str, str]], objects: Mapping[str, StoredObject]
) -> dict[str, dict[str, str]]:
    """Return members whose links lead to objects; links to links are followed, lost ones left."""
    found: dict[str, dict[str, str]] = {}
    for group, named in members.items():
        found[group] = {}
        for name, target in named.items():
            place = _resolved(target, group, members, objects)
            if place is not None:
                found[group][name] = place
    return found


def _resolved(
    target: str,
    group: str,
    members: Mapping[str, Mapping[str, str]],
    objects: Mapping[str, StoredObject],
) -> str | None:
    """Return the path of the object to which a link leads, perhaps through other links."""
    for _ in range(_MOST_LINKS):
        place = target.strip("/")
        if place in objects:
            return place
        if not target.startswith("/") and f"{group}/{place}" in objects:
            return f"{group}/{place}"
        parent, _, name = place.rpartition("/")
        following = members.get(parent, {}).get(name)
        if following is None or following == target:
            return None
        target = following
    return None
