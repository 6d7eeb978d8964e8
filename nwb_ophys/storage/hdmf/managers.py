"""Managers of hdmf, which turn an ``NWBFile`` into builders."""

from __future__ import annotations

import functools
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


@functools.lru_cache(maxsize=1)
def _type_map(state: TypeMapState) -> TypeMap:
    import pynwb

    return pynwb.get_type_map()
