"""States between two pieces of work: nothing is shown that belongs to a former request."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from nwb_ophys.page.app import _event
from nwb_ophys.page.worker import CANCELLED, WorkCancelled

from .conftest import movie
from .test_values import _opened


@pytest.fixture
def held(worker, monkeypatch):
    """Return a function that lets work wait, and one that lets it go on or be cancelled."""
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
    return gate


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


def test_a_cancel_while_the_file_is_checked_says_that_it_is_written(browser, root, process, worker):
    _opened(browser, movie(root / "M7"))
    browser.act("convert")
    while not (root / "M7.nwb").exists() or "Checking" not in browser.desk.work.job.stage:
        assert browser.desk.work.job is not None
    browser.act("cancel")
    work = browser.wait()
    assert work.ended == (
        f"Cancelled after the file was written: '{root / 'M7.nwb'}' is whole, but was not checked."
    )
    assert (root / "M7.nwb").exists()


def test_a_killed_conversion_names_the_command_that_cleans_up(browser, root, process, worker):
    _opened(browser, movie(root / "M7"))
    browser.act("convert")
    os.kill(worker._child.process.pid, signal.SIGKILL)
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
