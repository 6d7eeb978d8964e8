"""Managers of hdmf, which turn an ``NWBFile`` into builders."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nwb_ophys.storage.hdmf.internals import TypeMapState, state_of

if TYPE_CHECKING:
    from hdmf.build import BuildManager, TypeMap


def make_manager() -> BuildManager:
    """Return a new manager for the types of NWB, and of all extensions that are loaded.

    Its map of types is shared by all of these managers until another extension is loaded. Unlike
    ``pynwb.get_manager``, this makes the mappings of types to objects once, not for each file.
    """
    import pynwb
    from hdmf.build import BuildManager

    return BuildManager(_type_map(state_of(pynwb.get_type_map(copy=False))))


def manager_for(stored: Mapping[str, Sequence[str]]) -> BuildManager | None:
    """Return a new manager for a file, or None if hdmf must load schemas of the file.

    It loads those of namespaces that are not loaded yet, into a map of types for this file alone.

    Parameters
    ----------
    stored : Mapping
        Versions of each namespace whose schema the file stores.
    """
    manager = make_manager()
    catalog = manager.namespace_catalog
    known = {name: [catalog.get_namespace(name).version] for name in catalog.namespaces}
    is_known = all(known.get(name) == list(versions) for name, versions in stored.items())
    return manager if stored and is_known else None


@functools.lru_cache(maxsize=1)
def _type_map(state: TypeMapState) -> TypeMap:
    import pynwb

    return pynwb.get_type_map()
