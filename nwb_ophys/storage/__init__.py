"""Putting an ``NWBFile`` on the disk, and adding to one that is there.

The room knows backends and nothing of planes or ROIs. A file appears under its name only when it
is whole; whatever goes wrong, nothing new is left behind and what was there stays as it was.
"""

from nwb_ophys.storage.backends.registry import (
    BACKENDS,
    BackendName,
    backend_of_name,
    backend_of_path,
    get_backend,
)
from nwb_ophys.storage.configuration import BackendConfiguration, DatasetConfiguration
from nwb_ophys.storage.files import (
    Target,
    append_to_nwbfile,
    check_target,
    create_nwbfile,
    target,
)
from nwb_ophys.storage.planning import plan_nwbfile as plan_nwbfile
from nwb_ophys.storage.progress import ProgressBar, WriteProgress
from nwb_ophys.storage.repack import backend_for_repack, plan_repack, repack
from nwb_ophys.storage.write import WriteOptions

__all__ = [
    "BACKENDS",
    "BackendConfiguration",
    "BackendName",
    "DatasetConfiguration",
    "ProgressBar",
    "Target",
    "WriteOptions",
    "WriteProgress",
    "append_to_nwbfile",
    "backend_for_repack",
    "backend_of_name",
    "backend_of_path",
    "check_target",
    "create_nwbfile",
    "get_backend",
    "plan_nwbfile",
    "plan_repack",
    "repack",
    "target",
]
