"""Storage of an ``NWBFile`` on the disk: new files, additions to existing ones, and copies.

The room knows backends and nothing of planes or ROIs. A file appears under its name only when it
is complete; after an error nothing new is left behind, and an existing file is unchanged. The
names below are imported on first use, so that the rows of ``backends.registry`` stay cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nwb_ophys.errors import shown_size
    from nwb_ophys.storage.backends.registry import (
        BACKENDS,
        DEFAULT_BACKEND,
        NO_BACKEND,
        BackendName,
        backend_of_name,
        backend_of_path,
        get_backend,
    )
    from nwb_ophys.storage.completeness import check_complete
    from nwb_ophys.storage.configuration import DatasetConfiguration
    from nwb_ophys.storage.debris import Debris, remove_debris, size_of
    from nwb_ophys.storage.estimating import WriteEstimate, estimate_nwbfile
    from nwb_ophys.storage.files import (
        Target,
        append_to_nwbfile,
        check_target,
        create_nwbfile,
        final_path,
        reserved,
        target,
    )
    from nwb_ophys.storage.places import check_folder, check_place
    from nwb_ophys.storage.planning import BackendConfiguration, plan_nwbfile
    from nwb_ophys.storage.planning import plan_nwbfile as plan_of
    from nwb_ophys.storage.progress import ProgressBar, WriteProgress
    from nwb_ophys.storage.repacking import backend_for_repack, plan_repack, repack
    from nwb_ophys.storage.repacking import plan_repack as configuration_of_file
    from nwb_ophys.storage.write import WriteOptions

__all__ = [
    "BACKENDS",
    "DEFAULT_BACKEND",
    "NO_BACKEND",
    "BackendConfiguration",
    "BackendName",
    "DatasetConfiguration",
    "Debris",
    "ProgressBar",
    "Target",
    "WriteEstimate",
    "WriteOptions",
    "WriteProgress",
    "append_to_nwbfile",
    "backend_for_repack",
    "backend_of_name",
    "backend_of_path",
    "check_complete",
    "check_folder",
    "check_place",
    "check_target",
    "configuration_of_file",
    "create_nwbfile",
    "estimate_nwbfile",
    "final_path",
    "get_backend",
    "plan_nwbfile",
    "plan_of",
    "plan_repack",
    "remove_debris",
    "repack",
    "reserved",
    "shown_size",
    "size_of",
    "target",
]

_MODULES = {
    "backends.registry": (
        *("BACKENDS", "DEFAULT_BACKEND", "NO_BACKEND", "BackendName"),
        *("backend_of_name", "backend_of_path", "get_backend"),
    ),
    "completeness": ("check_complete",),
    "configuration": ("DatasetConfiguration",),
    "debris": ("Debris", "remove_debris", "shown_size", "size_of"),
    "estimating": ("WriteEstimate", "estimate_nwbfile"),
    "files": (
        *("Target", "append_to_nwbfile", "check_target"),
        *("create_nwbfile", "final_path", "reserved", "target"),
    ),
    "places": ("check_folder", "check_place"),
    "planning": ("BackendConfiguration", "plan_nwbfile"),
    "progress": ("ProgressBar", "WriteProgress"),
    "repacking": ("backend_for_repack", "plan_repack", "repack"),
    "write": ("WriteOptions",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
# Names of version 0.1.
_FORMER_NAMES = {"plan_of": "plan_nwbfile", "configuration_of_file": "plan_repack"}


def __getattr__(name: str) -> Any:
    present = _FORMER_NAMES.get(name, name)
    if present not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[present]}"), present)


def __dir__() -> list[str]:
    return __all__
