"""Appends in place that are killed, interrupted or refused: the file is as it was before."""

from __future__ import annotations

import datetime
import hashlib
import os
import random
import shutil
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from nwb_ophys.inspection import inspect_file
from nwb_ophys.storage import (
    BackendConfiguration,
    WriteOptions,
    append_to_nwbfile,
    create_nwbfile,
    in_place,
    remove_debris,
)
from nwb_ophys.storage.hidden_names import HiddenNames

from .killing import killed_after
from .processes import SETTINGS, at_call, hidden, number_of_calls, run, series_of, write_movie
from .setting import rounds

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    # Python warns of a fork while other threads run; those of numerical libraries do not matter.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

NAMES = {"hdf5": "session.nwb", "zarr": "session.nwb.zarr"}
MOVIE = np.random.default_rng(0).integers(0, 60_000, (500, 64, 64)).astype("u2")  # 4 MB
START = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)


def _options(backend):
    configuration = BackendConfiguration(backend=backend, chunk_mb=0.02)
    return WriteOptions(in_place=True, configuration=configuration, workers=2)


def _append(target, backend):
    def fill(nwbfile):
        for number in range(3):
            series = TimeSeries(name=f"new{number}", data=MOVIE, unit="a", rate=1.0)
            nwbfile.add_acquisition(series)

    append_to_nwbfile(target, fill, options=_options(backend))


def _state(folder: Path) -> dict[str, object]:
    """Return the contents of all files in a folder, and the folders in it."""
    return {
        str(path.relative_to(folder)): path.is_dir() or hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
    }


def _write_old(target, backend, writer):
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=START)
    nwbfile.add_acquisition(TimeSeries(name="old", data=MOVIE[:100], unit="a", rate=1.0))
    if writer == "nwb_ophys":
        create_nwbfile(nwbfile, target, backend=backend)
        return
    hdmf_zarr = pytest.importorskip("hdmf_zarr")
    io_class = NWBHDF5IO if backend == "hdf5" else hdmf_zarr.NWBZarrIO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with io_class(str(target), mode="w") as io:
            io.write(nwbfile)


@pytest.mark.parametrize("writer", ["nwb_ophys", "the package of the backend"])
def test_kills_at_random_moments_lose_nothing(tmp_path, backend, writer):
    """The restoration is killed too."""
    chance = random.Random(f"{backend} {writer}")
    whole, folder = tmp_path / "whole", tmp_path / "work"
    whole.mkdir()
    _write_old(whole / NAMES[backend], backend, writer)
    before = _state(whole)
    shutil.copytree(whole, folder)
    target = folder / NAMES[backend]
    _append(target, backend)  # imports what the killed processes need
    assert not [each for each in inspect_file(target) if each.is_error]
    duration, num_journals, num_halves = 0.0, 0, 0
    for number in range(rounds(3, 40)):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        if not duration:
            started = time.monotonic()
            _append(target, backend)
            duration = time.monotonic() - started
            continue
        killed_after(lambda: _append(target, backend), duration * chance.uniform(0.2, 1.0))
        journal = HiddenNames.beside(target).undo
        if not journal.exists():  # killed before or after the changes
            remove_debris(folder)
            assert hidden(folder) == []
            continue
        num_journals += 1
        assert "in the middle of a change in its place" in str(in_place.interruption(target))
        for _ in range(3):
            killed_after(lambda: remove_debris(folder), chance.uniform(0, 0.02))
            num_halves += journal.exists()
        if number % 2:
            remove_debris(folder)
        else:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "An earlier run was killed")
                with pytest.raises(RuntimeError, match="mine"):
                    append_to_nwbfile(target, _fail)
        assert _state(folder) == before
    print(f"{backend} {writer}: {num_journals} restored; {num_halves} restorations did not end")


def _fail(nwbfile):
    raise RuntimeError("mine")


# --- the command line ---------------------------------------------------------------------------

ADD = (
    *("convert", "movie.npy", "--append", "--in-place", *SETTINGS, "--workers", "2"),
    *("--set", "Ophys.TwoPhotonSeries.0.name=Second", "-o"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    write_movie(folder)
    return folder


def test_a_signal_at_any_call_undoes_the_append(folder, backend):
    name = NAMES[backend]
    assert run(folder, "convert", "movie.npy", *SETTINGS, "-o", name).code == 0
    target, whole = folder / name, folder.parent / "whole"
    (shutil.copytree if target.is_dir() else shutil.copy2)(target, whole)
    before = _state(folder)
    total = number_of_calls(folder, *ADD, name)
    chance = random.Random(backend)
    words = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}
    num_restored = 0
    for part in range(count := rounds(2, 60)):
        number, word = list(words.items())[part % 2]
        (shutil.rmtree if target.is_dir() else os.unlink)(target)
        (shutil.copytree if whole.is_dir() else shutil.copy2)(whole, target)
        call = 30 + int((part + chance.random()) * (total - 30) / count)
        ended = run(folder, *ADD, name, hook=at_call(call, number))
        if ended.code == 0 and call > total * 0.95:  # runs differ a little
            continue
        assert ended.code == 128 + number, ended
        assert hidden(folder) == [], ended
        if ended.err == f"{word}. '{target}' is complete.\n":
            assert series_of(target) == {"TwoPhotonSeries", "Second"}
            continue
        assert ended.err == f"{word}. No incomplete file was left.\n"
        assert _state(folder) == before
        num_restored += 1
    print(f"{backend}: {num_restored} of {count} undone")


def test_the_next_run_undoes_what_a_killed_one_left(folder, backend):
    name = NAMES[backend]
    assert run(folder, "convert", "movie.npy", *SETTINGS, "-o", name).code == 0
    before = _state(folder)

    def kill_at_the_end():
        in_place._complete = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    def killed():
        ended = run(folder, *ADD, name, hook=kill_at_the_end)
        assert ended.code == -signal.SIGKILL
        assert _state(folder) != before

    target = folder / name
    killed()
    line = f"'{target}' is in the middle of a change in its place that was killed; restore"
    for command in (
        ("inspect", name),
        ("verify", name),
        ("metadata", name),
        ("convert", name, "-o", "x.nwb"),
        ("repack", name, "-o", "x.nwb"),
    ):
        ended = run(folder, *command)
        assert ended.code != 0
        assert line.replace(f"{folder}/", "") in (ended.out + ended.err).replace(f"{folder}/", "")
        assert len(ended.err.splitlines()) <= 2
    done = run(folder, "clean", ".")
    assert done.code == 0
    assert f"Restored '{name}' from '" in done.out
    assert _state(folder) == before
    killed()
    done = run(folder, *ADD, name)
    assert done.code == 0
    (said,) = [each for each in done.err.splitlines() if "killed" in each]
    assert said.endswith("its change in place was undone, and the file is as it was before.")
    assert series_of(target) == {"TwoPhotonSeries", "Second"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--in-place",), "--in-place is given without --append"),
        (("--in-place", "--append", "--resume"), "--in-place and --resume are given"),
        (("--in-place", "--overwrite"), "--in-place is given without --append"),
    ],
)
def test_flags_that_do_not_go_together(folder, flags, words):
    ended = run(folder, "convert", "movie.npy", *SETTINGS, "-o", "a.nwb", *flags)
    assert ended.code == 2
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert not (folder / "a.nwb").exists()


def test_a_file_is_not_appended_to_from_itself_in_place(folder, backend):
    name = NAMES[backend]
    assert run(folder, "convert", "movie.npy", *SETTINGS, "-o", name).code == 0
    before = _state(folder)
    renamed = ("--set", "Ophys.TwoPhotonSeries.0.name=Again")
    again = ("convert", name, "-o", name, "--append", "--no-progress", *renamed)
    ended = run(folder, *again, "--in-place")
    assert ended.code == 2, ended
    assert "is read from" in ended.err
    assert "leave out --in-place" in ended.err
    assert _state(folder) == before
    assert run(folder, *again).code == 0
