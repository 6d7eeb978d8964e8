"""Schemas that a file stores beside its data.

hdmf makes their texts again for each file, even if the file has them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from hdmf.spec import NamespaceCatalog

_MARK = ".specloc"  # attribute of the root
_FOLDER = "specifications"


def store_in_hdf5(root: h5py.Group, catalog: NamespaceCatalog) -> None:
    """Store the schemas of a catalog that an HDF5 file does not have, where hdmf stores them.

    Parameters
    ----------
    root : h5py.Group
    catalog : hdmf.spec.NamespaceCatalog
    """
    if _MARK not in root.attrs:
        root.attrs[_MARK] = root.require_group(_FOLDER).ref
    for name, group in _new_groups(root, catalog):
        for part, text in _texts(catalog, name).items():
            group.create_dataset(part, data=text, dtype=h5py.string_dtype())


def store_in_zarr(root: Any, catalog: NamespaceCatalog) -> None:
    """Store the schemas of a catalog that a store of Zarr format 2 does not have.

    Parameters
    ----------
    root : zarr.Group
    catalog : hdmf.spec.NamespaceCatalog
    """
    if _MARK not in root.attrs:
        root.require_group(_FOLDER)
        root.attrs[_MARK] = _FOLDER
    for name, group in _new_groups(root, catalog):
        for key, content in _files(catalog, name).items():
            group.store[f"{group.path}/{key}"] = content


def versions_in_hdf5(root: h5py.Group) -> dict[str, list[str]]:
    """Return the versions of each namespace whose schema a file stores; none if it is unreadable.

    Parameters
    ----------
    root : h5py.Group
    """
    try:
        stored = root[root.attrs[_MARK]]
        return {name: list(stored[name]) for name in stored}
    except Exception:  # whoever reads the schemas says what is wrong
        return {}


def versions_in_zarr(store: Path) -> dict[str, list[str]]:
    """Return the same for a store of Zarr format 2 on a disk.

    Parameters
    ----------
    store : pathlib.Path
    """
    try:
        attributes = parse_source_json(read_limited(store / ".zattrs"))
        if attributes.get(_MARK) != _FOLDER:
            return {}
        folders = [each for each in (store / _FOLDER).iterdir() if each.is_dir()]
        return {
            each.name: [part.name for part in each.iterdir() if part.is_dir()] for each in folders
        }
    except Exception:
        return {}


def _new_groups(root: Any, catalog: NamespaceCatalog) -> Iterator[tuple[str, Any]]:
    """Yield the namespaces of a catalog that a file does not have, each with a new group for it."""
    stored = root[root.attrs[_MARK]]
    for name in catalog.namespaces:
        place = f"{name}/{catalog.get_namespace(name).version}"
        if place not in stored:
            yield name, stored.create_group(place)


# A catalog never replaces a namespace. Those of files are dropped soon.
@functools.lru_cache(maxsize=16)
def _texts(catalog: NamespaceCatalog, namespace: str) -> Mapping[str, str]:
    """Return the text of each part of the schema of a namespace, by the name of the part."""
    from hdmf.spec.write import SpecWriter

    texts: dict[str, str] = {}

    class Texts(SpecWriter):  # type: ignore[misc]
        """Writer that keeps the texts."""

        def write_spec(self, spec: Any, path: str) -> None:
            """Keep the types of a part."""
            texts[path] = json.dumps(spec, separators=(",", ":"))

        def write_namespace(self, namespace: Any, path: str) -> None:
            """Keep the list of parts."""
            self.write_spec({"namespaces": [namespace]}, path)

    _export(catalog, namespace, Texts())
    return texts


@functools.lru_cache(maxsize=16)
def _files(catalog: NamespaceCatalog, namespace: str) -> Mapping[str, bytes]:
    """Return the files that hdmf-zarr writes into the group of a namespace, by their keys."""
    zarr = require_package("zarr", "zarr")
    kept = zarr.KVStore({})
    writer = require_package("hdmf_zarr.utils", "zarr").ZarrSpecWriter(zarr.group(kept))
    _export(catalog, namespace, writer)
    return {key: bytes(content) for key, content in kept.items()}


def _export(catalog: NamespaceCatalog, namespace: str, writer: Any) -> None:
    from hdmf.backends.utils import NamespaceToBuilderHelper

    made = NamespaceToBuilderHelper.convert_namespace(catalog, namespace)
    made.export("namespace", writer=writer)
