"""Trial of HDF5 files: each foreign file is first opened in another process.

A damaged HDF5 file can crash the library of HDF5 or make it run for ever, and with it the whole
program. :func:`try_hdf5` opens a file in a small process of its own before this process does. One
such process serves a whole run; it starts with the first file and again after a crash.
"""

from __future__ import annotations

from nwb_ophys.trial.files import (
    SWITCH,
    begin_trials,
    is_tried_damaged,
    try_hdf5,
    was_found_damaged,
)

__all__ = ["SWITCH", "begin_trials", "is_tried_damaged", "try_hdf5", "was_found_damaged"]
