"""States of sessions, and what a run does with a session in each."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest

from nwb_ophys.errors import OutputError
from nwb_ophys.sessions import Session, SessionState
from nwb_ophys.sessions.running import run_session
from nwb_ophys.sessions.session import Share
from nwb_ophys.sessions.states import (
    decided,
    output_identity,
    read_state,
    settings_fingerprint,
    sources_fingerprint,
    state_path,
    write_state,
)
from nwb_ophys.storage.hidden_names import HiddenNames


@pytest.fixture
def session(tmp_path: Path) -> Session:
    raw = tmp_path / "raw"
    (raw / "inner").mkdir(parents=True)
    (raw / "a.tif").write_bytes(b"1")
    (raw / "inner" / "b.tif").write_bytes(b"2")
    output = tmp_path / "out" / "a.nwb"
    output.parent.mkdir()
    return Session(key="M1/ä day", paths=(str(raw),), output=str(output))


def done(session: Session) -> SessionState:
    Path(session.output).write_bytes(b"file")
    return SessionState(
        key=session.key,
        state="done",
        settings=settings_fingerprint(session),
        sources=sources_fingerprint(session),
        output=session.output,
        written=output_identity(session.output),
    )


def test_a_state_is_read_as_it_was_written(session):
    path, state = state_path(session), attrs.evolve(done(session), warnings=("a", "ß\n"))
    write_state(path, state)
    assert read_state(path, session.key) == state
    assert path.parent.parent == Path(session.output).parent
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"program": "other", "format": 1}', "\0\xff"),
        *(
            json.dumps({"program": "nwb_ophys", "format": 1, "key": "a", "state": "done"} | wrong)
            for wrong in (
                {"state": "over"},
                {"output": 5},
                {"output": None},
                {"seconds": "x"},
                {"written": "ab"},
                {"warnings": [1]},
            )
        ),
    ],
)
def test_a_damaged_state_is_that_of_a_new_session(session, text):
    path = state_path(session)
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    assert read_state(path, session.key) == SessionState(key=session.key)


def test_a_state_of_a_newer_version_is_neither_taken_nor_replaced(session):
    path = state_path(session)
    path.parent.mkdir()
    text = json.dumps({"program": "nwb_ophys", "format": 2, "states": {"what": "is new"}})
    path.write_text(text)
    state = read_state(path, session.key)
    assert (state.state, "newer version" in state.reason) == ("failed", True)
    with pytest.raises(OutputError, match=r"newer version of nwb_ophys; use that version, or"):
        run_session(session, Share())
    assert path.read_text() == text


def test_a_file_that_no_run_wrote_is_named_before_a_run(session):
    new = SessionState(key=session.key)
    assert decided(session, new).why == "new"
    Path(session.output).write_bytes(b"of someone else")
    assert decided(session, new).why == (
        "new, but the file exists, which only --overwrite replaces"
    )


def test_a_clock_that_is_set_back_makes_no_negative_time(session, monkeypatch):
    times = iter([1e9, *[0.0] * 99])
    monkeypatch.setattr("nwb_ophys.sessions.running.time.time", lambda: next(times))
    state = run_session(session, Share())
    assert (state.state, state.started) == ("failed", 1e9)
    assert 0 <= state.seconds < 60


def test_a_file_in_place_of_the_folder_of_outputs_is_named_in_a_plain_line(session, tmp_path):
    (tmp_path / "file").touch()
    wrong = attrs.evolve(session, output=str(tmp_path / "file"), is_named_for_dandi=True)
    with pytest.raises(OutputError, match=r"file' cannot be written: Not a directory\."):
        run_session(wrong, Share())


def test_names_of_states_differ_where_keys_differ_in_marks_only(session):
    paths = {state_path(attrs.evolve(session, key=key)) for key in ("a/b", "a-b", "a b", "../a/b")}
    assert len(paths) == 4
    assert len({path.parent for path in paths}) == 1


def test_done_and_unchanged_is_skipped(session):
    assert decided(session, done(session)).act == "skip"


def _touch(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000))


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: (raw / "inner" / "b.tif").write_bytes(b"22"),
        lambda raw: _touch(raw / "inner" / "b.tif"),
        lambda raw: (raw / "c.tif").touch(),
        lambda raw: (raw / "a.tif").unlink(),
        lambda raw: (raw / "a.tif").rename(raw / "d.tif"),
    ],
)
def test_a_change_of_the_sources_is_seen(session, change):
    state = done(session)
    change(Path(session.paths[0]))
    assert decided(session, state) == attrs.evolve(
        decided(session, state), act="convert", why="source files changed"
    )


@pytest.mark.parametrize("name", ["a.nwb", "a.zarr"])
def test_outputs_in_the_folder_of_the_recording_are_no_change_of_it(session, name):
    raw = Path(session.paths[0])
    own = attrs.evolve(session, output=str(raw / name))
    before = sources_fingerprint(own)
    state = attrs.evolve(done(own), sources=before)
    write_state(state_path(own), state)
    HiddenNames.beside(raw / name).lock.touch()
    for other in ("sub-M1_ophys.nwb", "sub-M1_ophys.nwb.html"):
        (raw / "inner" / other).touch()
    assert decided(own, state).act == "skip"


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"sampling_frequency": 30}},
        {"metadata": {"NWBFile": {"lab": "x"}}},
        {"edits": {"NWBFile.lab": "x"}},
        {"settings": {"backend": "zarr"}},
        {"formats": ("tiff",)},
    ],
)
def test_a_change_of_the_settings_is_seen(session, change):
    found = decided(attrs.evolve(session, **change), done(session))
    assert (found.act, found.why) == ("convert", "settings changed")


def test_where_a_value_is_stated_is_no_setting(session):
    moved = attrs.evolve(session, origins={"options.a": "line 3"}, fields={"rig": "A"})
    assert decided(moved, done(session)).act == "skip"


def test_keys_of_a_later_version_change_no_fingerprint(session):
    @attrs.frozen(kw_only=True)
    class Later(Session):
        more: tuple[str, ...] = ()

    given = {each.name: getattr(session, each.name) for each in attrs.fields(Session)}
    assert settings_fingerprint(Later(**given)) == settings_fingerprint(session)
    assert settings_fingerprint(Later(**given, more=("a",))) != settings_fingerprint(session)


def test_an_output_that_is_gone_is_written_again(session):
    state = done(session)
    Path(session.output).unlink()
    assert decided(session, state).act == "convert"


def test_a_run_that_ended_after_the_file_was_whole_is_kept(session):
    whole = done(session)
    running = attrs.evolve(whole, state="running", before=None)
    assert decided(session, running).act == "keep"
    # The file of an earlier run is still there.
    assert decided(session, attrs.evolve(running, before=whole.written)).act == "convert"
    # The sources changed while it was written, or since.
    Path(session.paths[0], "new.tif").touch()
    assert decided(session, running).act == "convert"


def test_what_a_killed_process_wrote_of_a_state_is_removed(lab):
    from nwb_ophys.sessions import sessions_of

    session = next(each for each in sessions_of(lab) if each.key == "S1/day1")
    path = state_path(session)
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.4711.partial").write_text("{")
    (path.parent / ".other.json.4711.partial").write_text("{")
    assert run_session(session, Share()).state == "done"
    left = sorted(each.name for each in path.parent.iterdir() if "partial" in each.name)
    assert left == [".other.json.4711.partial"]


@pytest.mark.parametrize("end", ["interrupted", "failed", "killed"])
def test_a_file_that_is_whole_when_its_run_ends_early_is_known_as_its_own(lab, end, monkeypatch):
    from nwb_ophys.converter import OphysConverter
    from nwb_ophys.sessions import sessions_of

    session = next(each for each in sessions_of(lab) if each.key == "S1/day1")
    convert = OphysConverter.run_conversion
    errors = {"interrupted": KeyboardInterrupt, "failed": OSError("late"), "killed": SystemExit}

    def late(*arguments, **settings):
        convert(*arguments, **settings)
        raise errors[end]

    monkeypatch.setattr(OphysConverter, "run_conversion", late)
    if end == "killed":
        monkeypatch.setattr("nwb_ophys.sessions.running._Run.end", lambda *_: None)
    if end == "failed":
        assert run_session(session, Share()).state == "failed"
    else:
        with pytest.raises(errors[end]):
            run_session(session, Share())
    monkeypatch.undo()
    path = state_path(session)
    before = output_identity(read_state(path, session.key).output)
    changed = attrs.evolve(session, settings={"compression": "gzip:9"})
    act = {"interrupted": "skip", "failed": "convert", "killed": "keep"}[end]
    assert decided(session, read_state(path, session.key)).act == act
    state = run_session(changed, Share())
    assert (state.state, state.reason) == ("done", "")
    assert output_identity(state.output) != before


def test_a_session_that_is_interrupted_before_its_file_has_a_name_waits(lab, monkeypatch):
    from nwb_ophys.sessions import sessions_of

    session = next(each for each in sessions_of(lab) if each.key == "S1/day1")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nwb_ophys.sessions.running.open_session", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_session(session, Share())
    state = read_state(state_path(session), session.key)
    assert (state.state, state.written, state.num_bytes) == ("waiting", None, 0)
    assert output_identity("") is None


def test_what_a_killed_process_left_running_waits(session):
    from nwb_ophys.sessions.batch import plan_sessions, states_of
    from nwb_ophys.sessions.states import states_in
    from nwb_ophys.storage.locking import locked

    path = state_path(session)
    write_state(path, attrs.evolve(done(session), state="running", before=None, fraction=0.5))
    (shown,) = states_of([session])
    assert (shown.state, shown.reason) == ("waiting", "It was interrupted.")
    assert states_in(path.parent) == [shown]
    (planned,) = plan_sessions([session])
    assert (planned.state, planned.decision.act) == (shown, "keep")
    with locked(path):
        (shown,) = states_of([session])
        assert shown.state == "running"
        assert f"({os.getpid()})" in shown.reason
