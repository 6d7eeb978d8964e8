"""Many sessions in the page: listed, converted, cancelled; with the specification that does it."""

from __future__ import annotations

import html
import re
import time
from types import SimpleNamespace

import pytest

from nwb_ophys.cli import main
from nwb_ophys.formats import builtin_rows
from nwb_ophys.page import batches
from nwb_ophys.page.specifications import FIELDS
from nwb_ophys.sessions import sessions_of
from nwb_ophys.sessions.states import DONE, SessionState
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

BLANK = dict.fromkeys(FIELDS, "")


@pytest.fixture(autouse=True)
def _no_settings(tmp_path, monkeypatch):
    # A file of settings of whoever runs the tests has no effect.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _lab(root, num_sessions: int = 4, num_samples: int = 6):
    """Write sessions of two days per animal; the last one is damaged."""
    recording = simulate_recording(
        num_samples=num_samples, num_rows=24, num_columns=34, num_cells=3
    )
    (row,) = [row for row in builtin_rows() if row.name == "scanimage"]
    for index in range(num_sessions):
        place = root / "raw" / f"M{index // 2 + 1}" / f"day{index % 2 + 1}"
        place.mkdir(parents=True)
        if index < num_sessions - 1:
            write_sample(row, place, recording)
        else:
            (place / "movie.tif").write_bytes(b"II*\0 not a TIFF")
    subjects = ["participant_id\tspecies\tsex\tage"]
    subjects += [f"sub-M{index}\tMus musculus\tF\tP90D" for index in range(1, num_sessions)]
    (root / "participants.tsv").write_text("\n".join(subjects) + "\n")
    return {
        **BLANK,
        "pattern": f"{root}/raw/{{subject_id}}/{{session_id}}",
        "subjects": str(root / "participants.tsv"),
        "output": str(root / "nwb"),
    }


def test_sessions_are_listed_converted_and_skipped(browser, root):
    form = _lab(root)
    assert browser.act("plan_batch", **form).status_code == 200
    batch = browser.wait().batch
    assert list(batch["rows"]) == ["M1/day1", "M1/day2", "M2/day1", "M2/day2"]
    assert {row["act"] for row in batch["rows"].values()} == {"convert"}
    assert not (root / "nwb").exists()
    assert browser.act("run_batch").status_code == 200
    work = browser.wait()
    states = {key: row["state"] for key, row in work.batch["rows"].items()}
    assert list(states.values()) == ["done", "done", "done", "failed"]
    assert len(list((root / "nwb").rglob("*.nwb"))) == 3
    page = html.unescape(browser.get("/batch").text)
    assert "4 sessions: 3 done, 1 failed." in page
    assert work.batch["rows"]["M2/day2"]["why"] in page
    browser.act("plan_batch", **form)
    again = browser.wait().batch["rows"]
    assert [row["act"] for row in again.values()] == ["skip", "skip", "skip", "convert"]


def test_the_saved_specification_has_the_same_sessions(browser, root, capsys):
    form = {**_lab(root), "options": "stub=3", "paths": "*.tif"}
    browser.act("plan_batch", **form)
    batch = browser.wait().batch
    assert browser.desk.work.errors == {}
    save = {"path": str(root / "lab.yaml"), "field": "save"}
    assert browser.act("save_batch", **save).json()["errors"] == {}
    assert "already exists" in browser.act("save_batch", **save).json()["errors"]["save"][0]
    sessions = sessions_of(root / "lab.yaml")
    assert [each.key for each in sessions] == list(batch["rows"])
    assert all(each.options == {"stub": 3} for each in sessions)
    shown = html.unescape(browser.get("/batch").text)
    command = f"nwb-ophys batch {root / 'lab.yaml'}"
    assert re.search(rf">{re.escape(command)} \\\s+--dry-run<", shown)
    with pytest.raises(SystemExit) as end:
        main(["batch", str(root / "lab.yaml"), "--dry-run"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(key in out for key in batch["rows"])
    form = {**BLANK, "specification": str(root / "lab.yaml")}
    browser.act("plan_batch", **form)
    assert list(browser.wait().batch["rows"]) == list(batch["rows"])


def test_a_cancelled_batch_leaves_no_half_file(browser, root, process):
    form = _lab(root, num_sessions=8, num_samples=3000)
    browser.act("plan_batch", **form)
    browser.wait()
    browser.act("run_batch")
    browser.wait_for(
        lambda work: any(row["state"] == "done" for row in work.batch["rows"].values())
    )
    browser.act("cancel")
    work = browser.wait()
    assert work.ended == "Cancelled. No incomplete file was left."
    files = [each for each in (root / "nwb").rglob("*") if each.is_file()]
    whole = [each for each in files if each.suffix == ".nwb"]
    assert 0 < len(whole) < 7
    assert {each.parent.name for each in files if each not in whole} <= {".nwb-ophys-batch"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pattern": ""}, "Give one of these"),
        ({"table": "sessions.tsv"}, "Give one of these"),
        ({"pattern": "/etc/{subject_id}"}, "lies outside"),
        ({"pattern": "raw/{subject_id}/../../../{session_id}"}, "'..' after its first field"),
        ({"pattern": "../{subject_id}"}, "lies outside"),
        ({"subjects": "/etc/passwd"}, "lies outside"),
        ({"metadata": "/etc/passwd"}, "lies outside"),
        ({"output": "/tmp/{subject_id}.nwb"}, "lies outside"),
        ({"output": ""}, "are missing"),
        ({"jobs": "many"}, "a number from 1 to 64"),
        ({"options": "stub"}, "must be KEY=VALUE"),
    ],
)
def test_wrong_forms_are_answered(browser, root, changes, message):
    form = {**_lab(root, 2), **changes}
    answer = browser.act("plan_batch", field="batch", **form)
    assert answer.status_code == 422
    assert message in answer.json()["errors"]["batch"][0]
    assert message in html.unescape(browser.get("/batch").text)


@pytest.mark.parametrize(
    "line",
    [
        "metadata: /etc/passwd",
        "subjects: ../../../../etc/passwd",
        "output: /tmp/elsewhere",
        "sessions: [{pattern: '/etc/{subject_id}'}]",
        "sessions: [{pattern: 'raw/{subject_id}/../../../{session_id}'}]",
        "sessions: [{paths: ['/etc/*.conf']}]",
        "sessions: [{paths: [raw], options: {movie_path: /etc/passwd}}]",
        "sessions: [{paths: [raw], trials: /etc/passwd}]",
        "sessions: [{paths: [raw], options: {allow_outside: '[/etc]'}}]",
        "sessions: [{paths: [raw], options: {raw: /etc/passwd.npy}}]",
        "sessions: [{paths: [raw], options: {raw: '\"/etc/passwd\"'}}]",
        "sessions: [{paths: [raw], options: {dff: [[/etc/passwd]]}}]",
        "sessions: [{paths: [raw], trials: 'trials.csv,descriptions_path=/etc/passwd'}]",
        "metadata: ~/lab.yaml",
        "subjects: ~/participants.tsv",
        "metadata: 'link{a}.yaml'",
        "sessions: [{table: ~/sessions.tsv}]",
        "experiments: {a: {sessions: [{source_data: {}}]}}",
    ],
)
def test_specifications_that_lead_outside_are_refused(browser, root, line, monkeypatch):
    _lab(root, 2)
    (root / "trials.csv").write_text("start_time,stop_time\n0,1\n")
    (root / "link{a}.yaml").symlink_to("/etc/passwd")
    monkeypatch.chdir(root)
    text = "output: nwb\nsessions: [{pattern: 'raw/{subject_id}/{session_id}'}]\n"
    key = line.partition(":")[0]
    kept = [each for each in text.splitlines() if not each.startswith(f"{key}:")]
    (root / "lab.yaml").write_text("\n".join([*kept, line]))
    browser.act("plan_batch", **{**BLANK, "specification": str(root / "lab.yaml")})
    work = browser.wait()
    assert "rows" not in work.batch
    assert "outside" in work.errors[""][0] or "neuroconv" in work.errors[""][0]
    assert "root:" not in work.errors[""][0]


@pytest.mark.parametrize(
    "line",
    [
        "sessions: [{paths: [raw], options: {movie_path: 5}}]",
        "sessions: [{paths: [raw], options: {shifts_path: null}}]",
        "sessions: [{pattern: 5}]",
        "metadata: 5",
        "subjects: [1]",
        "output: {a: 1}",
        "sessions: 5",
        "sessions: [5]",
        "sessions: [{paths: {a: 1}}]",
    ],
)
def test_values_of_another_type_are_answered_in_words(browser, root, line):
    _lab(root, 2)
    key = line.partition(":")[0]
    kept = [each for each in ("output: nwb", "sessions: [{paths: [raw]}]") if key not in each]
    (root / "lab.yaml").write_text("\n".join([*kept, line]))
    browser.act("plan_batch", **{**BLANK, "specification": str(root / "lab.yaml")})
    work = browser.wait()
    assert "rows" in work.batch or work.errors[""]
    assert not any("unexpected" in each for each in work.errors.get("", ()))


def test_a_wrong_form_keeps_what_was_typed(browser, root):
    form = {**_lab(root, 2), "jobs": "many", "options": "stub=3\nx"}
    assert browser.act("plan_batch", field="batch", **form).status_code == 422
    page = html.unescape(browser.get("/batch").text)
    for text in (form["pattern"], form["options"], 'value="many"'):
        assert text in page


def test_two_hundred_sessions_are_listed_quickly(browser, root):
    for index in range(200):
        place = root / "raw" / f"M{index}" / "day1"
        place.mkdir(parents=True)
        (place / "movie.tif").write_bytes(b"")
    form = {**BLANK, "pattern": "raw/{subject_id}/{session_id}", "output": "nwb"}
    began = time.monotonic()
    browser.act("plan_batch", **form)
    batch = browser.wait().batch
    page = browser.get("/batch").text
    assert time.monotonic() - began < 10
    assert len(batch["rows"]) == page.count('<th scope="row">') == 200


def test_a_session_that_ends_as_the_work_is_cancelled_is_shown(monkeypatch):
    """The interrupt comes while the others are looked at, before the session is reported."""
    session = SimpleNamespace(key="M1/day1")
    state = SessionState(key=session.key, state=DONE)
    reports = []

    def interrupt(waiting):
        raise KeyboardInterrupt

    def run(sessions, progress, **_):
        progress(state)

    monkeypatch.setattr(batches, "fractions_of", interrupt)
    monkeypatch.setattr(batches, "states_of", lambda left: [state for _ in left])
    monkeypatch.setattr(batches, "run_planned", run)
    planned = [SimpleNamespace(session=session, is_pending=True)]
    monkeypatch.setattr(batches, "planned_sessions", lambda *_: (planned, ""))
    with pytest.raises(KeyboardInterrupt):
        batches.run_batch(SimpleNamespace(report=reports.append), "", (), 1)
    assert [row["state"] for report in reports for row in report["rows"].values()] == [DONE]
