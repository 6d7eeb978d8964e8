"""Results of the trials of files, kept for the run."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nwb_ophys.errors import CorruptSourceError, first_named
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.trial.server import CannotStartError, TrialProcess, TrialResult

SWITCH = "NWB_OPHYS_TRIAL"
"""Environment variable; ``0`` opens files without a trial."""

_MOST_SHOWN = 5
_Key = tuple[str, int, int, int, int]


class _Trials:
    """The trials of one run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.results: dict[_Key, TrialResult] = {}
        self.process: TrialProcess | None = None
        self.is_possible = True
        self.inherited: _Trials | None = None

    def result(self, path: Path, key: _Key) -> TrialResult:
        """Return how the library fares with a file; each file is tried once."""
        with self.lock:
            if key in self.results:
                return self.results[key]
            try:
                found = self._try(path) if self.is_possible else TrialResult()
            except CannotStartError as error:
                self.is_possible, found = False, TrialResult()
                _warn_of_no_trial(path, error)
            self.results[key] = found
        if found.lost:
            _warn_of_lost(path, found.lost)
        return found

    def _try(self, path: Path) -> TrialResult:
        return self.started().result(path)

    def started(self) -> TrialProcess:
        """Return the process, which is started unless it runs."""
        if self.process is None or not self.process.is_usable:
            if self.process is not None:
                self.process.end()
            self.process = None
            self.process = TrialProcess()
        return self.process


_TRIALS = _Trials()


def _renew() -> None:
    """Begin again in a forked process, whose parent may hold the lock and owns the process."""
    global _TRIALS
    inherited = _TRIALS
    _TRIALS = _Trials()
    _TRIALS.results = dict(inherited.results)
    _TRIALS.inherited = inherited  # kept, since a process that is let go of unended is a warning


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def begin_trials(path: str | Path) -> None:
    """Start the process that will open a file on trial, so that it starts beside other work.

    Parameters
    ----------
    path : path-like
    """
    path = as_path(path)
    if _is_switched_off() or isinstance(path, RemotePath) or not path.is_file():
        return
    with _TRIALS.lock, suppress(CannotStartError):  # which the first trial says
        _TRIALS.started()


def _is_switched_off() -> bool:
    return os.environ.get(SWITCH, "").strip().lower() in ("0", "false", "no", "off")


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

    Warns
    -----
    UserWarning
        When members of the file cannot be opened; names them.
    """
    path = as_path(path)
    fault = _result(path).fault
    if fault:
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
    return bool(_result(path).fault)


def was_found_damaged(path: Path) -> bool:
    """Return whether an earlier trial of this run found a file damaged; opens no file.

    Parameters
    ----------
    path : pathlib.Path
    """
    try:
        found = _TRIALS.results.get(_key(path, path.stat()))
    except OSError:
        return False
    return found is not None and bool(found.fault)


def _result(path: Path) -> TrialResult:
    if _is_switched_off():
        return TrialResult()
    if isinstance(path, RemotePath):  # another process would read it a second time
        return TrialResult()
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return TrialResult()
        return _TRIALS.result(path, _key(path, found))
    except OSError:  # which the caller meets as well
        return TrialResult()


def _key(path: Path, found: os.stat_result) -> _Key:
    """Return a key that is another one after a file has changed or was replaced."""
    state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return (os.path.realpath(path), *state)


def _warn_of_lost(path: Path, lost: Sequence[str]) -> None:
    shown = first_named(lost, _MOST_SHOWN)
    warnings.warn(
        f"'{path}' is damaged: {shown} in it cannot be read and will be missing. Copy the "
        "file again from where it was recorded.",
        UserWarning,
        stacklevel=5,
    )


def _warn_of_no_trial(path: Path, error: CannotStartError) -> None:
    warnings.warn(
        f"'{path}' is opened without a trial in another process, which cannot be started: {error} "
        f"A damaged HDF5 file could end this program without an error. {SWITCH}=0 hides this note.",
        UserWarning,
        stacklevel=5,
    )
