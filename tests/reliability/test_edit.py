"""Edits of metadata that are killed: the file is the old one or the new one, whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import warnings

import pytest

from nwb_ophys import edit_metadata, verify
from nwb_ophys.inspection import inspect_file
from nwb_ophys.storage import append_to_nwbfile, in_place, positioned_access, remove_debris
from nwb_ophys.storage.backends import zarr_drafts
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.undo import UndoLog

from .killing import killed_after
from .processes import SETTINGS, hidden, run, write_movie
from .setting import rounds
from .test_in_place import NAMES, _fail, _state, _write_old

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    # Python warns of a fork while other threads run; those of numerical libraries do not matter.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

EDITS = {
    "Subject.subject_id": "M7",
    "Subject.sex": "F",
    "NWBFile.session_description": "A longer description than that of before. " * 20,
    "NWBFile.keywords": ["a", "b"],
}
# Functions at whose calls an edit is killed, and whether before or after the call.
_STEPS = [
    (UndoLog, "place", False),
    (UndoLog, "place", True),
    (UndoLog, "sync", True),
    (in_place, "remove_undo", False),
    (in_place, "remove_undo", True),
]
STEPS = {
    "hdf5": [
        *_STEPS,
        (positioned_access, "write_at", False),
        (positioned_access, "write_at", True),
    ],
    "zarr": [*_STEPS, (zarr_drafts, "_write", False), (zarr_drafts, "_write", True)],
}


def _killing(step, number):
    """Have this process killed at a call of a function, after some other calls of it."""
    owner, name, is_after = step
    original, left = getattr(owner, name), [number]

    def counted(*given, **options):
        left[0] -= 1
        if left[0] < 0 and not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*given, **options)
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)


def _edit(target):
    edit_metadata(target, EDITS)


def _recover(target, number):
    """Restore a file in one of the ways that the messages name."""
    if number % 3 == 0:
        remove_debris(target.parent)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "An earlier run was killed")
        if number % 3 == 1:
            edit_metadata(target, {"NWBFile.session_description": "d"})
        else:
            with pytest.raises(RuntimeError, match="mine"):
                append_to_nwbfile(target, _fail)


@pytest.mark.parametrize("writer", ["nwb_ophys", "the package of the backend"])
def test_kills_leave_the_old_file_or_the_new_one(tmp_path, backend, writer):
    chance = random.Random(f"{backend} {writer}")
    whole, folder = tmp_path / "whole", tmp_path / "work"
    whole.mkdir()
    _write_old(whole / NAMES[backend], backend, writer)
    before = _state(whole)
    shutil.copytree(whole, folder)
    target = folder / NAMES[backend]
    started = time.monotonic()
    _edit(target)
    duration = time.monotonic() - started
    assert not [each for each in inspect_file(target) if each.is_error]
    outcomes = {"old": 0, "restored": 0, "new": 0}
    for number in range(rounds(4, 30)):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        if number % 5 == 4:
            killed_after(lambda: _edit(target), duration * chance.uniform(0.2, 1.0))
        else:
            step = STEPS[backend][chance.randrange(len(STEPS[backend]))]
            _run_to_its_end(lambda step=step: _edit(target), step, chance.randrange(4))
        outcomes[_outcome(target, before, number)] += 1
    print(f"{backend} {writer}: {outcomes}")


def _run_to_its_end(function, step, number):
    """Call a function in a child process, which is killed at a step or ends."""
    pid = os.fork()
    if pid == 0:
        try:
            warnings.simplefilter("ignore")
            _killing(step, number)
            function()
        finally:
            os._exit(1)
    os.waitpid(pid, 0)


def _outcome(target, before, number):
    """Return what became of a file, after the check that it is whole or can be restored."""
    has_journal = os.path.lexists(HiddenNames.beside(target).undo)
    if has_journal:
        assert "in the middle of a change in its place" in str(in_place.interruption(target))
        with pytest.raises(ValueError, match="restore the file"):
            verify(target)
        _recover(target, number)
        assert _state(target.parent) == before
        return "restored"
    remove_debris(target.parent)
    assert hidden(target.parent) == []
    if _state(target.parent) == before:
        return "old"
    assert edit_metadata(target, EDITS).fields == ()
    assert verify(target).is_equal
    assert not [each for each in inspect_file(target) if each.is_error]
    return "new"


def test_the_command_line_restores_what_a_killed_edit_left(tmp_path, backend):
    folder, name = tmp_path / "work", NAMES[backend]
    folder.mkdir()
    write_movie(folder)
    assert run(folder, "convert", "movie.npy", *SETTINGS, "-o", name).code == 0
    before = _state(folder)
    command = ("edit", name, "--set", "Subject.sex=F", "--set", "Subject.subject_id=M7")
    killed = run(folder, *command, hook=lambda: _killing((in_place, "remove_undo", False), 0))
    assert killed.code == -signal.SIGKILL
    assert _state(folder) != before
    for again in (("inspect", name), ("verify", name)):
        ended = run(folder, *again)
        assert ended.code == 2
        assert "in the middle of a change in its place that was killed; restore" in ended.err
    done = run(folder, *command)
    assert done.code == 0
    said, *lines = done.err.splitlines()
    assert said.endswith("its change in place was undone, and the file is as it was before.")
    assert lines == []
    assert "Subject.sex: added, 'F' (general/subject/sex)" in done.out
    assert "Name in the DANDI archive: sub-M7/sub-M7_ses-20240517T143000_" in done.out
    assert hidden(folder) == []
    assert run(folder, "verify", name).code == 0
