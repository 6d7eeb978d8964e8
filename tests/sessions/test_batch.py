"""Batches are run, ended in the middle, and run again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from nwb_ophys import run_sessions, sessions_of
from nwb_ophys.cli import main
from nwb_ophys.cli.batch_display import summary_of
from nwb_ophys.sessions import plan_sessions, run_planned, selected
from nwb_ophys.sessions.states import DONE, SessionState

_PATIENCE = 120


def files(lab: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of each NWB file by its path."""
    root = lab.parent / "dandi"
    return {
        path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in root.rglob("*.nwb")
        if not path.name.startswith(".")
    }


def hidden(lab: Path) -> list[str]:
    """Return the names of hidden files that no finished run leaves."""
    names = [path.name for path in (lab.parent / "dandi").rglob("*")]
    return [name for name in names if name.startswith(".") and name != ".nwb-ophys-batch"]


def batch(*arguments: Any) -> int:
    """Run the command in this process, and return its exit code."""
    with pytest.raises(SystemExit) as end:
        main(["batch", *map(str, arguments)])
    return int(end.value.code or 0)


def damage(lab: Path) -> tuple[Path, bytes]:
    path = lab.parent / "raw" / "caiman" / "C1" / "day2" / "caiman.hdf5"
    before = path.read_bytes()
    path.write_bytes(before[:3000])
    return path, before


def test_a_damaged_session_stops_no_other_one_and_is_done_when_it_is_mended(lab, capsys):
    path, before = damage(lab)
    assert batch(lab, "--jobs", 2) == 3
    said = capsys.readouterr().out
    assert "10 sessions: 9 done, 1 failed." in said
    assert "C1/day2: No format recognises" in said
    first = files(lab)
    assert len(first) == 9
    assert "sub-T1/sub-T1_ses-day1_ophys.nwb" in first
    with h5py.File(lab.parent / "dandi" / "sub-T1" / "sub-T1_ses-day1_ophys.nwb") as file:
        assert file["general/subject/strain"][()] == b"C57BL/6J"
        assert file["general/session_id"][()] == b"day1"
    path.write_bytes(before)
    assert batch(lab) == 0
    assert "[1/1] done C1/day2" in capsys.readouterr().out
    second = files(lab)
    assert {name: second[name] for name in first} == first
    assert len(second) == 10
    assert hidden(lab) == []


def test_plans_and_states_before_and_after(lab, capsys):
    assert batch(lab, "--dry-run") == 0
    assert "10 sessions: 10 convert. Nothing was written." in capsys.readouterr().out
    assert not (lab.parent / "dandi").exists()
    assert batch(lab, "--only", "subject_id=S1", "--json") == 0
    states = json.loads(capsys.readouterr().out)
    assert [state["key"] for state in states] == ["S1/day1", "S1/day2"]
    assert batch(lab, "--status", "--json") == 0
    assert [state["state"] for state in json.loads(capsys.readouterr().out)].count("done") == 2
    assert batch(lab, "--dry-run", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert [each["run"] for each in planned].count("skip") == 2
    assert batch(lab, "--check", "--only", "key=T1/day1") == 0
    assert "options.sampling_frequency: 30  # lab-sessions.yaml, sessions[0]" in (
        capsys.readouterr().out
    )


def test_a_dry_run_ends_with_3_where_the_run_would(lab, capsys):
    """Fault: it ended with 0, so that a script went on."""
    session = sessions_of(lab)[0]
    output = Path(session.shown_output)
    output.parent.mkdir(parents=True)
    output.touch()
    only = ("--only", f"key={session.key}")
    assert batch(lab, "--dry-run", *only) == 3
    assert "would fail  new, but the file exists, which only --overwrite" in capsys.readouterr().out
    assert batch(lab, "--dry-run", "--json", *only) == 3
    assert json.loads(capsys.readouterr().out)[0]["would_fail"]
    assert batch(lab, "--dry-run", "--overwrite", *only) == 0
    assert "1 session: 1 convert. Nothing was written." in capsys.readouterr().out
    output.chmod(0o444)
    assert batch(lab, "--dry-run", "--overwrite", *only) == 3
    assert ", but the file is read-only, and is left as it is; " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.yaml"], "does not exist"),
        (["LAB", "--only", "sbject=1"], "names no field"),
        (["LAB", "--only", "subject_id=Z"], "No session matches"),
        (["LAB", "--only", "subject_id=S1", "--only", "subject_id=T1"], "states subject_id twice"),
        (["LAB", "--output", ""], "output is an empty text"),
        (["LAB", "--task", "9/8"], "from 1/8 to 8/8"),
        (["LAB", "--jobs", "0"], "--jobs"),
        (["LAB", "--check", "--status"], "exclude each other"),
        (["LAB", "--status", "--retry-failed"], "--retry-failed needs a run"),
        (["LAB", "--cluster", "tcp://127.0.0.1:1", "--jobs", "2"], "is for this machine"),
        ([], "SPECIFICATION"),
    ],
)
def test_mistakes_take_a_line_and_exit_code_2(lab, capsys, arguments, words):
    assert batch(*(lab if each == "LAB" else each for each in arguments)) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert words in said[0]


def converted(lab: Path, **settings: Any) -> Any:
    """Convert the two sessions of a subject in a thread of this process."""
    with ThreadPoolExecutor(1) as executor:
        return run_sessions(lab, executor, only={"subject_id": "S1"}, **settings)


def test_what_changed_is_converted_again_and_nothing_foreign_is_replaced(lab):
    assert converted(lab).exit_code == 0
    first = files(lab)
    path = lab.parent / "dandi" / "sub-S1" / "sub-S1_ses-day1_ophys.nwb"
    lab.write_text(lab.read_text() + "metadata2: {}\n")
    with pytest.raises(ValueError, match="metadata2"):
        converted(lab)
    text = lab.read_text().replace("metadata2: {}\n", "compression: gzip:9\n")
    lab.write_text(text)
    (path.parent / "own.txt").write_text("of the user")
    with path.open("ab") as file:
        file.write(b"\0")  # somebody changed it
    changed = path.stat().st_mtime_ns
    result = converted(lab)
    (failed,) = result.failed
    assert "no run of this batch wrote it as it is now" in failed.reason
    assert path.stat().st_mtime_ns == changed
    other = "sub-S1/sub-S1_ses-day2_ophys.nwb"
    assert files(lab)[other] != first[other]
    assert converted(lab, overwrite=True).exit_code == 0


def test_a_file_that_has_another_name_now_is_noted(lab):
    lab.write_text(
        lab.read_text().replace("suite2p/{subject_id}/{session_id}", "suite2p/{subject_id}/day1")
    )
    (first,) = converted(lab).states
    metadata = lab.parent / "lab.yaml"
    metadata.write_text(metadata.read_text().replace("14:30", "15:30"))
    (second,) = converted(lab).states
    assert Path(first.output).exists()
    assert second.output != first.output
    assert any(f"An earlier run wrote '{first.output}'" in note for note in second.warnings)


def test_no_session_replaces_the_file_of_another_one_by_overwriting(lab):
    # Both sessions of the subject have the start of the lab's metadata, and no id.
    lab.write_text(
        lab.read_text().replace("suite2p/{subject_id}/{session_id}", "suite2p/{subject_id}/{day}")
    )
    for _ in range(2):  # in one run, and in the next one
        result = converted(lab, overwrite=True)
        (failed,) = result.failed
        assert "is the file of the session 'S1/day1' ('" in failed.reason


def test_a_file_of_another_recording_is_not_replaced_unless_that_was_moved(lab):
    assert converted(lab).exit_code == 0
    before = files(lab)
    raw = lab.parent / "raw"
    shutil.copytree(raw / "suite2p", raw / "suite2p2")
    lab.write_text(lab.read_text().replace("raw/suite2p", "raw/suite2p2"))
    for _ in range(2):
        assert [each.reason.count("is another recording") for each in converted(lab).failed] == [
            1,
            1,
        ]
    assert files(lab) == before
    shutil.rmtree(raw / "suite2p")  # the recordings were moved
    assert converted(lab).exit_code == 0


def test_any_executor_converts_and_tasks_share_the_sessions(lab):
    sessions = sessions_of(lab)
    parts = [selected(sessions, task=f"{index}/3") for index in (1, 2, 3)]
    assert sorted(each.key for part in parts for each in part) == sorted(
        each.key for each in sessions
    )
    with ThreadPoolExecutor(2) as executor:
        result = run_sessions(parts[0], executor, task="1/1")
    assert [state.state for state in result.states] == ["done"] * len(parts[0])
    assert len(files(lab)) == len(parts[0])


def test_an_array_of_slurm_or_aws_states_the_task(lab, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    for name, value in (("MIN", "1"), ("MAX", "9"), ("STEP", "2")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert batch(lab, "--dry-run", "--json") == 0
    keys = [each["key"] for each in json.loads(capsys.readouterr().out)]
    assert keys == [each.key for each in sessions_of(lab)[2::5]]
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "1")
    assert batch(lab, "--dry-run") == 2  # it does not say how many there are
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_SIZE", "2")
    capsys.readouterr()
    assert batch(lab, "--dry-run", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_a_process_that_is_killed_fails_its_session_alone(lab, monkeypatch):
    from nwb_ophys.sessions import processes

    given = processes._Worker.give

    def give(worker, session, share):
        given(worker, session, share)
        if session.key == "S1/day1":
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(processes._Worker, "give", give)
    result = run_planned(plan_sessions(selected(sessions_of(lab), {"subject_id": "S1"})), jobs=2)
    (failed,) = result.failed
    assert failed.key == "S1/day1"
    assert "ended with SIGKILL" in failed.reason
    monkeypatch.undo()
    assert converted(lab).exit_code == 0


def test_a_session_whose_process_ends_just_after_it_is_done(lab):
    """Fault: it failed where the process ended after the look at what it had sent."""
    from nwb_ophys.sessions import processes

    session = sessions_of(lab)[0]
    done = SessionState(key=session.key, state=DONE)
    sent: list[SessionState] = []

    def poll():
        has_sent = bool(sent)
        sent.append(done)  # and the process ends
        return has_sent

    worker = object.__new__(processes._Worker)
    worker._has_begun, worker.session = True, session
    worker._child = SimpleNamespace(
        pipe=SimpleNamespace(poll=poll, recv=sent.pop),
        process=SimpleNamespace(is_alive=lambda: not sent, exitcode=-9, join=lambda seconds: None),
    )
    assert worker.taken() is None
    assert worker.taken() is done


def test_a_script_whose_calls_each_process_would_repeat_is_told_so(lab):
    script = lab.parent / "convert.py"
    script.write_text(f"import nwb_ophys\nnwb_ophys.run_sessions({str(lab)!r}, jobs=2)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "below the line: if __name__ == '__main__':" in done.stderr
    assert files(lab) == {}


_SIGNALLED = """
import os, runpy, signal, sys
from nwb_ophys.sessions import processes

collected, ended = processes._collected, []

def counted(worker):
    state = collected(worker)
    ended.extend([] if state is None else [state])
    if state is not None and len(ended) == {count}:
        {send}
    return state

if __name__ == "__main__":
    processes._collected = counted
    sys.argv[1:] = ["batch", {lab!r}, "--jobs", "2"]
    runpy.run_module("nwb_ophys", run_name="__main__")
"""


def _signalled_batch(lab: Path, count: int, send: str) -> subprocess.Popen:
    """Start a batch in a group of its own that sends a signal when some sessions have ended."""
    script = lab.parent / "batch.py"
    script.write_text(_SIGNALLED.format(lab=str(lab), count=count, send=send))
    return subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_a_batch_that_is_killed_goes_on_and_converts_nothing_twice(lab):
    process = _signalled_batch(lab, 3, "os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate(timeout=_PATIENCE)
    assert process.returncode == -signal.SIGKILL
    # The processes of a killed parent end by themselves.
    until = time.monotonic() + _PATIENCE
    while _orphans(lab) and time.monotonic() < until:
        time.sleep(0.1)
    first = files(lab)
    assert 3 <= len(first) < 10
    with ThreadPoolExecutor(2) as executor:
        assert run_sessions(lab, executor).exit_code == 0
    second = files(lab)
    assert {name: second[name] for name in first} == first
    assert len(second) == 10
    assert hidden(lab) == []


def _orphans(lab: Path) -> bool:
    locks = list((lab.parent / "dandi").rglob(".*lock*"))
    from nwb_ophys.storage.locking import current_holder

    return any(current_holder(path) for path in locks)


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
def test_ctrl_c_leaves_whole_files_and_sessions_that_wait(lab, capsys):
    process = _signalled_batch(lab, 1, "os.killpg(0, signal.SIGINT)")
    _, said = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert hidden(lab) == []
    assert batch(lab, "--status", "--json") == 0
    states = {state["state"] for state in json.loads(capsys.readouterr().out)}
    assert states == {"done", "waiting"}


def test_findings_of_the_archive_before_and_after(lab, capsys):
    lines = (lab.parent / "participants.tsv").read_text().splitlines()
    ids = [line.partition("\t")[0] for line in lines]
    (lab.parent / "participants.tsv").write_text(
        "\n".join(["participant_id\tsex", *(f"{each}\tF" for each in ids[1:])])
    )
    assert batch(lab, "--dry-run", "--only", "subject_id=S1") == 0
    said = capsys.readouterr().out
    assert "required Subject.species: " in said
    assert "(all sessions)" in said
    with pytest.raises(SystemExit) as end:
        main(["check", str(lab), "--json"])
    assert end.value.code == 1
    checked = {each["key"]: each for each in json.loads(capsys.readouterr().out)}
    assert not checked["S1/day1"]["accepted"]
    keys = {finding["key"] for finding in checked["S1/day1"]["findings"]}
    assert {"Subject.species", "Subject.age"} <= keys
    result = converted(lab)
    (state, _) = result.states
    assert any(line.startswith("Subject.species: ") for line in state.findings)
    # Of hundreds of sessions each lack is said once.
    lines = summary_of(result, lab).splitlines()
    assert [line for line in lines if "Subject.species" in line] == [
        f"  {next(t for t in state.findings if t.startswith('Subject.species: '))} (all sessions)"
    ]


def test_times_and_trials_lie_within_the_match(lab):
    folder = lab.parent / "raw" / "tiff" / "T1"
    for session, step in (("day1", 0.1), ("day2", 0.2)):
        times = "\n".join(["time (s)", *(f"{1 + step * index**1.1:.6f}" for index in range(12))])
        (folder / session / f"clock-{session}.csv").write_text(times)
        (folder / session / "trials.csv").write_text("start_time,stop_time,side\n1.5,1.8,left\n")
    lab.write_text(
        "output: dandi\nmetadata: lab.yaml\nsessions:\n"
        "  - pattern: raw/tiff/{subject_id}/{session_id}\n    paths: movie.tif\n"
        "    times: 'clock-{session_id}.csv'\n    trials: 'tri*.csv'\n"
    )
    with ThreadPoolExecutor(1) as executor:
        result = run_sessions(lab, executor)
    assert [state.reason for state in result.states] == ["", ""]
    with h5py.File(result.states[1].output) as file:
        (series,) = (each for each in file["acquisition"].values() if "timestamps" in each)
        assert series["timestamps"][:3].tolist() == pytest.approx(
            [1.0, 1.2, 1 + 0.2 * 2**1.1], abs=1e-5
        )
        assert file["intervals/trials/side"][0] == b"left"
    (folder / "day2" / "trials.csv").write_text("start_time,stop_time\n1.5,1.9\n")
    planned = plan_sessions(sessions_of(lab))
    assert [(each.decision.act, each.decision.why) for each in planned] == [
        ("skip", "done"),
        ("convert", "source files changed"),
    ]
    (folder / "day1" / "trials2.csv").write_text("start_time,stop_time\n1.5,1.9\n")
    (fault,) = sessions_of(lab)[0].faults
    assert "trials: 2 files match 'tri*.csv'" in fault
    assert plan_sessions(sessions_of(lab))[0].would_fail(overwrite=True)


def test_each_fault_of_a_specification_takes_a_line(lab, capsys):
    lab.write_text("outptu: a\nsessions: [{patern: b}]\n")
    assert batch(lab) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 2
    assert all(line.startswith("Error: lab-sessions.yaml") for line in said)


def test_a_session_that_another_process_converts_has_not_failed(lab, capsys):
    from nwb_ophys.sessions import sessions_of
    from nwb_ophys.sessions.states import state_path
    from nwb_ophys.storage.locking import locked

    path = state_path(next(each for each in sessions_of(lab) if each.key == "S1/day1"))
    path.parent.mkdir(parents=True)
    program = [sys.executable, "-m", "nwb_ophys", "batch", str(lab)]
    program += ["--only", "subject_id=S1", "--jobs", "2"]
    with locked(path):
        ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert "2 sessions: 1 done, 1 running." in ended.stdout
    assert f"S1/day1: It is being converted by process {os.getpid()}" in ended.stdout
    assert "failed" not in ended.stdout.lower()
    assert not path.exists()
    assert batch(lab, "--only", "subject_id=S1", "--only", "session_id=day1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 session: 1 done."
