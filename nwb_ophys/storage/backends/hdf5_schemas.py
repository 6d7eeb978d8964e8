"""Schemas that an HDF5 file stores beside its data.

hdmf makes their texts again for each file, even if the file has them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import h5py

if TYPE_CHECKING:
    from hdmf.spec import NamespaceCatalog

_PLACE = ".specloc"  # attribute of the root


def store_schemas(root: h5py.Group, catalog: NamespaceCatalog) -> None:
    """Store the schemas of a catalog that a file does not have, where hdmf stores them.

    Parameters
    ----------
    root : h5py.Group
    catalog : hdmf.spec.NamespaceCatalog
    """
    if _PLACE not in root.attrs:
        root.attrs[_PLACE] = root.require_group("specifications").ref
    stored = root[root.attrs[_PLACE]]
    for name in catalog.namespaces:
        place = f"{name}/{catalog.get_namespace(name).version}"
        if place not in stored:
            group = stored.create_group(place)
            for part, text in _texts(catalog, name).items():
                group.create_dataset(part, data=text, dtype=h5py.string_dtype())


# A catalog never replaces a namespace. Those of files are dropped soon.
@functools.lru_cache(maxsize=16)
def _texts(catalog: NamespaceCatalog, namespace: str) -> Mapping[str, str]:
    """Return the text of each part of the schema of a namespace, by the name of the part."""
    from hdmf.backends.utils import NamespaceToBuilderHelper
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

    made = NamespaceToBuilderHelper.convert_namespace(catalog, namespace)
    made.export("namespace", writer=Texts())
    return texts
