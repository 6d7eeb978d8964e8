"""Check of a file by pynwb and the NWB Inspector, at the same time as the rest of a report.

Both compute in Python, so that a thread would gain nothing: on Linux a forked process checks the
file, which has all modules already. A file that crashes its library ends that process alone.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import MissingPackageError, NwbOphysError, as_sentence
from nwb_ophys.inspection import Finding, inspect_file, validate_file
from nwb_ophys.trial import SWITCH

_ARCHIVE = "dandi"
# Threads that hold nothing which a forked process needs.
_HARMLESS = "nwb_ophys trial"


@attrs.frozen(kw_only=True)
class Inspected:
    """The outcome of a check.

    Attributes
    ----------
    findings : tuple of Finding or None
        None if the file was not checked.
    note : str
        What was not checked, and why, as a sentence; empty if everything was.
    """

    findings: tuple[Finding, ...] | None
    note: str = ""


def inspected(path: str | Path, allow_outside: Sequence[str | Path] = ()) -> Inspected:
    """Check a file with the rules of the DANDI archive, in this process.

    Parameters
    ----------
    path : path-like
    allow_outside : sequence of path-like
        Folders in which files may lie that the file names, beyond its own folder.
    """
    try:
        found = inspect_file(path, archive=_ARCHIVE, allow_outside=allow_outside)
        return Inspected(findings=tuple(found))
    except MissingPackageError as error:
        note = f"Only pynwb's validator checked the file. {as_sentence(error)}"
    except NwbOphysError as error:
        return Inspected(findings=None, note=as_sentence(error))
    try:
        found = validate_file(path, archive=_ARCHIVE, allow_outside=allow_outside)
        return Inspected(findings=tuple(found), note=note)
    except NwbOphysError as error:
        return Inspected(findings=None, note=as_sentence(error))


class Inspection:
    """A check that has begun; without a process of its own, it waits until the result is asked for.

    Parameters
    ----------
    path : pathlib.Path
    allow_outside : sequence of path-like
        See :func:`inspected`.
    """

    def __init__(self, path: Path, allow_outside: Sequence[str | Path] = ()) -> None:
        self._path, self._allowed = path, tuple(allow_outside)
        self._process: Any = None
        if sys.platform == "linux" and _is_alone():
            self._fork()

    def _fork(self) -> None:
        importlib.import_module("pynwb")  # both processes need it
        context = multiprocessing.get_context("fork")
        self._answer, other = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_answer, args=(other, self._path, self._allowed), daemon=True
        )
        with warnings.catch_warnings():
            # Newer versions of Python warn of threads of numerical libraries, too.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self._process.start()
            except OSError:  # no memory, or no further process is allowed
                self._process = None
        other.close()

    def result(self) -> Inspected:
        """Return the outcome; waits for it."""
        if self._process is None:
            return inspected(self._path, self._allowed)
        try:
            found: Inspected = self._answer.recv()
        except EOFError:
            self._process.join()
            note = f"The check of the file ended without an answer ({self._process.exitcode})."
            return Inspected(findings=None, note=note)
        return found

    def end(self) -> None:
        """End the process of the check, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._answer.close()


def _is_alone() -> bool:
    """Return whether the process runs no thread that may hold a lock."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    return all(each.name == _HARMLESS for each in others)


def _answer(pipe: Any, path: Path, allow_outside: Sequence[str | Path]) -> None:
    """Check a file in the forked process, and send the outcome."""
    os.environ[SWITCH] = "0"  # this process is the trial
    gc.disable()  # it ends soon
    try:
        pipe.send(inspected(path, allow_outside))
    finally:
        pipe.close()
