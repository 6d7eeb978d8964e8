"""The record of a write in its file: versions, command, sources, notes, and hashes of everything.

It is a text of JSON in ``scratch``, of the type ``ScratchData``, which NWB has for data of a single
program; validators accept it. The file keeps one record for each time that it was written to.
``general/source_script`` has the command and the versions for human readers.
"""

from __future__ import annotations

import datetime
import functools
import platform
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import printable
from nwb_ophys.storage.backends.base import Backend, package_versions
from nwb_ophys.storage.hashes import ALGORITHM, DatasetHash, digest, hexadecimal
from nwb_ophys.storage.sources import unwrapped
from nwb_ophys.storage.stored_objects import (
    Inventory,
    StoredObject,
    ValueHash,
    canonical,
    plain,
)
from nwb_ophys.storage.verification import not_as_stored

GROUP = "scratch"
NAME = "nwb_ophys_record"
SOURCE_SCRIPT = "general/source_script"
FORMAT = "nwb_ophys record 1"
REMOVED = "removed"
"""Key of the paths that a record states of what was removed from the file."""
_NOTES = (
    "Record by nwb_ophys of how this file was written: versions, command, source files, notes and "
    "hashes, as JSON. 'nwb-ophys verify' compares the file with it."
)
_PACKAGES = ("nwb-ophys", "pynwb", "hdmf", "numpy", "roiextractors")
_CHECK = "hash_of_this_record"


@functools.cache
def versions(backend: Backend) -> dict[str, str]:
    """Return the versions of Python and of the packages that write a file."""
    of_all = {"python": platform.python_version(), **package_versions(_PACKAGES)}
    return {**of_all, **backend.versions()}


def is_record(location: str) -> bool:
    """Return whether a path in a file is that of a record."""
    return location.startswith(f"{GROUP}/{NAME}")


@attrs.frozen(kw_only=True)
class Record:
    """Record of one write.

    Attributes
    ----------
    contents : Mapping
        Everything but the hashes, as plain data.
    datasets : mapping of str to DatasetHash
        Hashes of the datasets that were written block by block.
    values : mapping of str to str
        Hashes of the other datasets.
    attributes : mapping of str to str
        Hashes of the attributes of groups and datasets.
    """

    contents: Mapping[str, Any]
    datasets: Mapping[str, DatasetHash]
    values: Mapping[str, str]
    attributes: Mapping[str, str]

    def to_text(self) -> str:
        """Return the record as text, with its own hash."""
        own = {
            **plain(self.contents),
            "format": FORMAT,
            "hashes": {
                "algorithm": ALGORITHM,
                "datasets": {name: each.to_dict() for name, each in self.datasets.items()},
                "values": dict(self.values),
                "attributes": dict(self.attributes),
            },
        }
        return canonical({**own, _CHECK: hexadecimal(digest(_encoded(own)))})

    @classmethod
    def from_text(cls, text: str) -> Record:
        """Return the record in a text.

        Raises
        ------
        ValueError
            If the text is damaged, or a record of a later version.
        """
        contents = parse_source_json(text)
        if not isinstance(contents, dict) or contents.get("format") != FORMAT:
            raise ValueError(f"It is not a '{FORMAT}'.")
        check = contents.pop(_CHECK, None)
        # Other spellings of the same contents are damage, too.
        if canonical({**contents, _CHECK: check}) != text:
            raise ValueError("Its text was changed.")
        if hexadecimal(digest(_encoded(contents))) != check:
            raise ValueError("Its own hash differs.")
        hashes = contents.pop("hashes")
        return cls(
            contents=contents,
            datasets={n: DatasetHash.from_dict(each) for n, each in hashes["datasets"].items()},
            values=dict(hashes["values"]),
            attributes=dict(hashes["attributes"]),
        )


def _encoded(contents: Any) -> bytes:
    return canonical(contents).encode("utf-8", "surrogatepass")


def now() -> str:
    """Return the time to the second, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def declare_record(root: GroupBuilder, script: str | None) -> str:
    """Add an empty record to the builders of a file that is about to be written.

    Parameters
    ----------
    root : hdmf.build.GroupBuilder
    script : str, optional
        Text of ``general/source_script`` of a file that has none.

    Returns
    -------
    str
        Path of the record in the file.
    """
    scratch = root.groups.get(GROUP)
    if scratch is None:
        scratch = GroupBuilder(GROUP)
        root.set_group(scratch)
    name = free_name({*scratch.groups, *scratch.datasets, *scratch.links})
    scratch.set_dataset(DatasetBuilder(name, "", attributes=record_attributes()))
    general = root.groups.get("general")
    if script is not None and general is not None and "source_script" not in general.datasets:
        general.set_dataset(
            DatasetBuilder("source_script", script, attributes={"file_name": "nwb-ophys"})
        )
    return f"{GROUP}/{name}"


def free_name(taken: set[str]) -> str:
    """Return the name of a further record."""
    number = 1
    while (name := NAME if number == 1 else f"{NAME}_{number}") in taken:
        number += 1
    return name


def record_attributes() -> dict[str, str]:
    """Return the attributes that make a dataset a ``ScratchData``."""
    return {
        "namespace": "core",
        "neurodata_type": "ScratchData",
        "object_id": str(uuid.uuid4()),
        "notes": _NOTES,
    }


def records_of(root: Any, storage: Backend) -> dict[str, Record | str]:
    """Return the records of an open file by path, oldest first; the reason for a damaged one.

    Parameters
    ----------
    root : object
        Open root group.
    storage : Backend
    """
    found: dict[str, Record | str] = {}
    for location in _locations(root):
        try:
            found[location] = Record.from_text(storage.read_text(root, location))
        except Exception as error:  # whatever the library or the contents raise
            found[location] = " ".join(str(error).split()) or type(error).__name__
    return found


def _locations(root: Any) -> Iterator[str]:
    if GROUP not in root:
        return
    names = [name for name in root[GROUP] if is_record(f"{GROUP}/{name}")]
    yield from sorted((f"{GROUP}/{name}" for name in names), key=lambda each: (len(each), each))


def expected_values(data: Any, stored: Any) -> str | None:
    """Return the hash of data that hdmf writes, or None for data other than numbers and texts.

    Parameters
    ----------
    data : object
        The data of a builder.
    stored : StoredObject
        The dataset that was written.
    """
    values = unwrapped(data)
    if isinstance(values, str) and stored.shape == ():
        hashing = ValueHash((), stored.dtype)
        hashing.add(values)
        return hashing.hexdigest()
    if not isinstance(values, (np.ndarray, np.generic, list, tuple, int, float)):
        return None
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" or stored.dtype.kind not in "biuf":
            return None
        cast = array.astype(stored.dtype).reshape(stored.shape)
    except (ValueError, TypeError, OverflowError):
        return None
    hashing = ValueHash(stored.shape, stored.dtype)
    hashing.add(cast)
    return hashing.hexdigest()


class Provenance:
    """Origin of what is written: the call, the sources and the notes, for the record.

    Parameters
    ----------
    action : str
        ``write``, ``append`` or ``repack``.
    """

    def __init__(self, action: str = "write") -> None:
        self.action = action

    def script(self, backend: Backend) -> str:
        """Return the text of ``general/source_script``: command and versions."""
        lines = [f"# {name} {version}" for name, version in versions(backend).items()]
        # Names of files may have bytes that are not UTF-8, which no file in HDF5 can hold.
        return "\n".join(map(printable, ["# Written by nwb_ophys.", *lines, *self.calls()]))

    def calls(self) -> Iterable[str]:
        """Return the command line, or the calls in Python, that made the file."""
        return ()

    def contents(self, backend: Backend) -> dict[str, Any]:
        """Return everything but the hashes as plain data; called when the data are written."""
        return {"action": self.action, "written": now(), "versions": versions(backend)}


@attrs.frozen(kw_only=True)
class Known:
    """Hashes that the records of a file state; those of later records replace earlier ones."""

    datasets: dict[str, DatasetHash]
    values: dict[str, str]
    attributes: dict[str, str]

    @classmethod
    def of(cls, records: Iterable[Record | str]) -> Known:
        """Return the hashes of records, oldest first; damaged ones are left out."""
        known = cls(datasets={}, values={}, attributes={})
        for record in records:
            if isinstance(record, str):
                continue
            for location in record.contents.get(REMOVED, ()):
                for stated in (known.datasets, known.values, known.attributes):
                    stated.pop(location, None)  # type: ignore[attr-defined]
            for location in record.datasets:
                known.values.pop(location, None)
            for location in record.values:
                known.datasets.pop(location, None)
            known.datasets.update(record.datasets)
            known.values.update(record.values)
            known.attributes.update(record.attributes)
        return known


class Recorder:
    """Writer of the record of one write.

    Parameters
    ----------
    storage : Backend
    provenance : Provenance
    root : object
        Open root group of the file before the write.
    checks : bool
        Whether what hdmf wrote is read back and compared with its data.
    """

    def __init__(
        self, storage: Backend, provenance: Provenance, root: Any, *, checks: bool = False
    ) -> None:
        self._storage, self._provenance, self._checks = storage, provenance, checks
        self._before = Inventory.of(storage.objects(root))
        self._location = ""

    def declare(self, root: GroupBuilder) -> None:
        """Add an empty record to the builders of the file, which hdmf writes."""
        self._location = declare_record(root, self._script())

    def _script(self) -> str | None:
        return self._provenance.script(self._storage)

    def write(self, root: Any, hashes: Mapping[str, DatasetHash], given: Mapping[str, Any]) -> None:
        """Hash what hdmf wrote, and write the record.

        Parameters
        ----------
        root : object
            Open root group.
        hashes : mapping of str to DatasetHash
            Hashes of the datasets that the engine filled.
        given : mapping of str to object
            Data of the other datasets, by location.
        """
        record = self._record(root, hashes, given)
        self._storage.write_text(root, self._location, record.to_text())

    def _record(
        self, root: Any, hashes: Mapping[str, DatasetHash], given: Mapping[str, Any]
    ) -> Record:
        values, attributes = {}, {}
        for each in self._storage.objects(root):
            if is_record(each.path):
                continue
            own = each.attributes_hash()
            if self._before.attributes.get(each.path) != own:
                attributes[each.path] = own
            if each.shape is None or each.path in hashes:
                continue
            if self._before.shapes.get(each.path) != each.shape:
                values[each.path] = self._hash_of(each, given.get(each.path))
        contents = self._provenance.contents(self._storage)
        if self._before.shapes:
            contents["action"] = "append"
        return Record(contents=contents, datasets=hashes, values=values, attributes=attributes)

    def _hash_of(self, stored: StoredObject, given: Any) -> str:
        """Return the hash of the data that hdmf wrote, or of what is stored for other data.

        Raises
        ------
        OutputError
            If both were compared and differ.
        """
        expected = expected_values(given, stored)
        if expected is None:
            return stored.values_hash()
        if self._checks and stored.values_hash() != expected:
            raise not_as_stored(stored.path)
        return expected


class CopyRecorder(Recorder):
    """Writer of the record of a copy of a file, which has the records of the original, too.

    The record states what they do not, and the hashes of objects that the copy stores in another
    way. A difference between the original and its records stays a difference of the copy.

    Parameters
    ----------
    storage : Backend
        Backend of the copy.
    provenance : Provenance
    root : object
        Open root group of the empty copy.
    origin : callable
        Return the objects of the original.
    """

    def __init__(
        self,
        storage: Backend,
        provenance: Provenance,
        root: Any,
        origin: Callable[[], Iterable[StoredObject]],
    ) -> None:
        super().__init__(storage, provenance, root)
        self._origin = origin

    def _script(self) -> None:
        """Return no script: that of the original stays."""
        return None

    def create(self, root: Any, hashes: Mapping[str, DatasetHash]) -> None:
        """Write a record to a file that hdmf has not written."""
        location = f"{GROUP}/{free_name(set(root.get(GROUP, ())))}"
        record = self._record(root, hashes, {})
        if record.values or record.attributes or record.datasets:  # else the old records state all
            self._storage.create_text(root, location, record.to_text(), record_attributes())

    def _record(
        self, root: Any, hashes: Mapping[str, DatasetHash], given: Mapping[str, Any]
    ) -> Record:
        known = Known.of(records_of(root, self._storage).values())
        before = {each.path: each for each in self._origin()} if known.attributes else {}
        values, attributes = {}, {}
        for each in self._storage.objects(root):
            if is_record(each.path):
                continue
            own, old = each.attributes_hash(), before.get(each.path)
            stated = known.attributes.get(each.path)
            if stated is None or (stated != own and old and old.attributes_hash() == stated):
                attributes[each.path] = own
            if each.shape is None or each.path in hashes or each.path in known.datasets:
                continue
            own, stated = each.values_hash(), known.values.get(each.path)
            if stated is None or (stated != own and _is_intact(old, stated)):
                values[each.path] = own
        new = {n: each for n, each in hashes.items() if n not in {*known.datasets, *known.values}}
        contents = self._provenance.contents(self._storage)
        return Record(contents=contents, datasets=new, values=values, attributes=attributes)


def _is_intact(original: StoredObject | None, stated: str) -> bool:
    return original is not None and original.is_dataset and original.values_hash() == stated
