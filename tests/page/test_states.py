"""States between two pieces of work: nothing is shown that belongs to a former request."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
from long_check import serve

from nwb_ophys.page import worker as workers
from nwb_ophys.page.app import _event
from nwb_ophys.page.worker import CANCELLED, WorkCancelled

from .conftest import movie
from .recordings import copied, real_data
from .test_values import _opened

needs_data = pytest.mark.skipif(real_data() is None, reason="The real recordings are absent.")


@pytest.fixture
def held(worker, monkeypatch):
    """Let work with one of ``names`` wait until they are taken away, or it is cancelled."""
    inner, gate = worker.run, {}

    async def run(name, arguments, report):
        if gate.get("names") and name in gate["names"]:
            while gate["names"]:
                await asyncio.sleep(0.01)
            if gate.get("is_cancelled"):
                raise WorkCancelled(CANCELLED)
        return await inner(name, arguments, report)

    monkeypatch.setattr(worker, "run", run)
    monkeypatch.setattr(
        worker, "cancel", lambda: gate.update(names=(), is_cancelled=True), raising=False
    )
    yield gate
    gate["names"] = ()


def test_unticking_everything_while_it_is_opened_leaves_nothing(browser, root, held):
    browser.choose(movie(root / "M7"))
    held["names"] = ("survey",)
    browser.act("option", key="sampling_frequency", value="30")
    assert browser.act("tick", index=0, is_ticked=False).status_code == 200
    held["names"] = ()
    work = browser.wait()
    assert work.survey is None
    assert "Streams of the file" not in browser.get("/contents").text


def test_after_a_cancelled_opening_nothing_of_the_former_request_is_shown(browser, root, held):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("survey",)
    browser.act("option", key="sampling_frequency", value="20")
    browser.act("cancel")
    work = browser.wait()
    assert work.survey["metadata"] is None
    page = browser.get("/contents").text
    assert "30 Hz" not in page
    assert 'name="sampling_frequency"' in page
    assert browser.act("convert").status_code == 422
    held["is_cancelled"] = False
    assert 'data-act="reopen"' in page
    browser.act("reopen")
    assert "20 Hz" in browser.wait().survey["streams"][0]["facts"]
    assert 'data-act="reopen"' not in browser.get("/contents").text


@pytest.fixture
def long_check(process, monkeypatch):
    """Let the process check a file until it is interrupted."""
    monkeypatch.setattr(workers, "_serve", serve)
    process.cancel()  # the next work has a new process
    yield
    process.cancel()


def test_a_cancel_while_the_file_is_checked_says_that_it_is_written(browser, root, long_check):
    _opened(browser, movie(root / "M7"))
    browser.act("convert")
    browser.wait_for(lambda work: work.job is None or "Checking" in work.job.stage)
    browser.act("cancel")
    work = browser.wait()
    assert work.ended == (
        f"Cancelled after the file was written: '{root / 'M7.nwb'}' is whole, but was not checked."
    )
    assert (root / "M7.nwb").exists()


def test_a_killed_conversion_names_the_command_that_cleans_up(browser, root, kill_at_work):
    _opened(browser, movie(root / "M7"))
    kill_at_work()
    browser.act("convert")
    assert "nwb-ophys clean" in browser.wait().errors[""][0]


def test_failed_work_is_not_announced_as_done(browser, root):
    (root / "notes").mkdir()
    work = browser.choose(root / "notes")
    stated = json.loads(json.dumps(_event(work, 1)))
    assert stated["errors"] == list(work.errors[""])
    assert "No format recognises" in stated["errors"][0]


def test_notes_of_former_work_are_not_shown(browser, root, held):
    _opened(browser, movie(root / "M7"))
    browser.desk.store.change(notes={"plan": ("an old note",)})
    held["names"] = ("plan",)
    browser.act("plan")
    browser.act("cancel")
    assert browser.wait().ended == CANCELLED
    assert "an old note" not in browser.get("/convert").text


def _two_channels(browser, root):
    """Choose a movie of two channels of which the second one is left out; return their names."""
    shutil.copytree(real_data() / "scanimage/volumetric_two_channels_multi_file", root / "M7")
    first, second = (each["name"] for each in browser.choose(root / "M7").survey["streams"])
    browser.act("stream", name=second, is_ticked=False)
    browser.wait()
    return first, second


@needs_data
def test_a_stream_stays_left_out_when_an_option_changes(browser, root):
    first, second = _two_channels(browser, root)
    browser.act("option", key="photon_series_type", value="OnePhotonSeries")
    work = browser.wait()
    assert work.request.leave_out == (second,)
    assert work.survey["metadata"] is not None
    # An option that takes the stream away says so, and the stream can be ticked again.
    browser.act("option", key="channel_name", value=first.partition(" ")[2])
    work = browser.wait()
    assert work.survey["metadata"] is None
    assert any(second in line for lines in work.survey["faults"].values() for line in lines)
    assert [each["name"] for each in work.survey["streams"]] == [second]
    assert "Go on to the metadata" not in browser.get("/contents").text
    browser.act("stream", name=second, is_ticked=True)
    assert browser.wait().survey["metadata"] is not None


@needs_data
def test_options_that_no_ticked_recording_has_are_left_out_and_named(browser, root):
    work = browser.choose(copied("scanimage and suite2p", root))
    (index,) = [i for i, part in enumerate(work.parts) if part.format == "suite2p"]
    browser.act("option", key="mask_type", value="pixel")
    browser.act("option", key="photon_series_type", value="TwoPhotonSeries")
    browser.wait()
    browser.act("tick", index=index, is_ticked=False)
    work = browser.wait()
    assert work.survey["faults"] == {}
    assert work.request.options == {"photon_series_type": "TwoPhotonSeries"}
    assert "The option mask_type=pixel is left out" in browser.get("/contents").text


@pytest.mark.parametrize("has_rate", [True, False])
def test_a_conversion_waits_for_what_was_just_changed(browser, root, held, has_rate):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("survey",)
    rate = "20" if has_rate else ""
    browser.act("option", key="sampling_frequency", value=rate)
    assert browser.act("convert").status_code == 200
    held["names"] = ()
    work = browser.wait()
    assert (root / "M7.nwb").exists() == has_rate
    assert (work.result is not None) == has_rate
    if not has_rate:
        assert "cannot be opened yet" in work.errors[""][0]


def test_nothing_takes_the_place_of_a_conversion_that_waits(browser, root, held):
    """Fault: an act of another tab did, and the file was never written, without a word."""
    _opened(browser, movie(root / "M7"))
    held["names"] = ("survey",)
    browser.act("option", key="sampling_frequency", value="20")
    assert browser.act("convert", key="first").status_code == 200
    for act in ("plan", "look", "convert"):
        answer = browser.act(act, key="second")
        assert answer.status_code == 422
        assert "A conversion waits until the recording is open" in answer.text
    held["names"] = ()
    assert browser.wait().result["key"] == "first"
    assert (root / "M7.nwb").exists()


def test_a_conversion_does_not_follow_an_opening_that_was_cancelled(browser, root, held):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("survey",)
    browser.act("option", key="sampling_frequency", value="20")
    browser.act("convert")
    browser.act("cancel")
    browser.wait()
    held["is_cancelled"] = False
    browser.act("reopen")
    assert browser.wait().result is None
    assert not (root / "M7.nwb").exists()


def test_a_refused_text_stays_in_its_field_and_nothing_is_converted_without_it(browser, root):
    _opened(browser, movie(root / "M7"))
    for field, act, page in (
        ("output", "target", "convert"),
        ("allow_outside", "option", "contents"),
    ):
        typed = str(root / "absent" / "<b>.txt")
        key = {"output": typed} if act == "target" else {"key": field, "value": typed}
        answer = browser.act(act, field=field, **key)
        assert (answer.status_code, answer.json()["is_kept"]) == (422, True)
        browser.act("target", verify=True)  # an error of another field lasts
        browser.wait()
        text = browser.get(f"/{page}").text
        control = text.partition(f'name="{field}"')[2].partition('<div class="help"')[0]
        assert "absent/&lt;b&gt;.txt" in control
        assert 'class="fault"' in text
        for other in ("plan", "convert"):
            (line,) = browser.act(other).json()["errors"][""]
            assert line.startswith(f"Correct the field '{field}' first. ")
        good = {"output": str(root / "b.nwb")} if act == "target" else {"key": field, "value": ""}
        assert browser.act(act, field=field, **good).status_code == 200
        browser.wait()
        assert "&lt;b&gt;" not in browser.get(f"/{page}").text
    browser.act("convert")
    assert browser.wait().result["path"] == str(root / "b.nwb")


def test_what_is_changed_while_a_plan_is_made_is_in_the_plan(browser, root, held):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("plan",)
    browser.act("plan")
    other = str(root / "b.nwb")
    assert browser.act("target", output=other, field="output").status_code == 200
    assert browser.act("option", key="sampling_frequency", value="20").status_code == 200
    held["names"] = ()
    work = browser.wait()
    assert work.request.output == other
    assert "20 Hz" in work.survey["streams"][0]["facts"]
    assert work.plan is not None


def test_what_is_changed_while_a_file_is_written_is_kept_for_the_next(browser, root, held):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("convert",)
    browser.act("convert", key="of a tab")
    lab = "Lab of <b>mice</b>"
    given = {"key": "NWBFile.lab", "value": lab, "control": "text"}
    assert browser.act("setting", **given).status_code == 200
    page = browser.get("/metadata").text
    assert "Lab of &lt;b&gt;mice&lt;/b&gt;" in page
    assert "for the next file" in page
    held["names"] = ()
    work = browser.wait()
    assert "NWBFile.lab" not in work.result["request"].settings
    assert "NWBFile.lab" in work.request.settings
    assert work.typed == {}
    assert lab in work.survey["metadata"]["document"]
    assert _event(work, 1)["written"] == "of a tab"


def test_a_cancelled_conversion_is_said_although_the_recording_is_opened_again(browser, root, held):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("convert",)
    browser.act("convert")
    browser.act("setting", key="NWBFile.lab", value="Lab", control="text")
    browser.act("cancel")
    work = browser.wait()
    assert work.ended == CANCELLED
    assert "Lab" in work.survey["metadata"]["document"]


def test_progress_is_no_change_of_what_a_step_shows(browser, root, held):
    _opened(browser, movie(root / "M7"))
    held["names"] = ("plan",)
    store = browser.desk.store
    before = store.shown_version
    browser.act("plan")
    begun = store.shown_version
    browser.desk._report({"fraction": 0.5, "detail": "half"})
    assert before < begun == store.shown_version < store.version
    browser.desk._report({"stage": "another"})
    assert store.shown_version == store.version


def test_the_summary_of_a_former_run_is_not_shown(browser, root, held):
    batch = {"stated": str(root / "lab.yaml"), "jobs": 1, "rows": {}, "summary": "3 done."}
    browser.desk.store.change(batch=batch)
    held["names"] = ("run_batch",)
    browser.act("run_batch")
    browser.act("cancel")
    assert "summary" not in browser.wait().batch
