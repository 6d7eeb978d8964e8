"""Results of the trials of files, kept for the run."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from pathlib import Path

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.trial.server import CannotStartError, TrialProcess

SWITCH = "NWB_OPHYS_TRIAL"
"""Environment variable; ``0`` opens files without a trial."""

_Key = tuple[str, int, int, int, int]


class _Trials:
    """The trials of one run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.faults: dict[_Key, str | None] = {}
        self.process: TrialProcess | None = None
        self.is_possible = True

    def fault(self, path: Path, key: _Key) -> str | None:
        """Return how the library fails on a file; each file is tried once."""
        with self.lock:
            if key not in self.faults and self.is_possible:
                try:
                    self.faults[key] = self._try(path)
                except CannotStartError as error:
                    self.is_possible = False
                    _warn_of_no_trial(path, error)
            return self.faults.get(key)

    def _try(self, path: Path) -> str | None:
        if self.process is None or not self.process.is_usable:
            if self.process is not None:
                self.process.end()
            self.process = None
            self.process = TrialProcess()
        return self.process.fault(path)


_TRIALS = _Trials()


def _renew() -> None:
    """Begin again in a forked process, whose parent may hold the lock and owns the process."""
    global _TRIALS
    known = _TRIALS.faults
    _TRIALS = _Trials()
    _TRIALS.faults = dict(known)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def try_hdf5(path: str | Path) -> None:
    """Open an HDF5 file in another process, unless that was done before in this run.

    A file that is not HDF5 does no harm to the process. The environment variable
    ``NWB_OPHYS_TRIAL=0`` switches the trials off. If no process can be started, a warning says so,
    once.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    CorruptSourceError
        If the library of HDF5 crashes on the file or runs without end.
    """
    path = Path(path)
    fault = _fault(path)
    if fault is not None:
        raise CorruptSourceError(
            f"'{path}' is damaged: the HDF5 library {fault} when it opened the file, which was "
            "tried in another process. Copy the file again from where it was recorded."
        )


def is_tried_damaged(path: Path) -> bool:
    """Return whether the HDF5 library crashes on a file or runs without end.

    Parameters
    ----------
    path : pathlib.Path
    """
    return _fault(path) is not None


def was_found_damaged(path: Path) -> bool:
    """Return whether an earlier trial of this run found a file damaged; opens no file.

    Parameters
    ----------
    path : pathlib.Path
    """
    try:
        return _TRIALS.faults.get(_key(path, path.stat())) is not None
    except OSError:
        return False


def _fault(path: Path) -> str | None:
    if os.environ.get(SWITCH, "").strip().lower() in ("0", "false", "no", "off"):
        return None
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        return _TRIALS.fault(path, _key(path, found))
    except OSError:  # which the caller meets as well
        return None


def _key(path: Path, found: os.stat_result) -> _Key:
    """Return a key that is another one after a file has changed or was replaced."""
    state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return (os.path.realpath(path), *state)


def _warn_of_no_trial(path: Path, error: CannotStartError) -> None:
    warnings.warn(
        f"'{path}' is opened without a trial in another process, which cannot be started: {error} "
        f"A damaged HDF5 file could end this program without an error. {SWITCH}=0 hides this note.",
        UserWarning,
        stacklevel=5,
    )
