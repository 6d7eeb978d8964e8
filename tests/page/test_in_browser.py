"""The page in a real browser: from an empty start to a file, cancel, reload, two tabs, keyboard.

Screenshots are written to the folder that ``NWB_OPHYS_SCREENSHOTS`` names; those of the docs, in
``docs/images/page``, are the ones in its subfolder ``docs``.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nwb_ophys.page.roots import Roots
from nwb_ophys.page.server import served

from .recordings import FACTS, RECORDINGS, contents_of, copied, real_data, run, types_in

needs_data = pytest.mark.skipif(real_data() is None, reason="The real recordings are absent.")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def address(root):
    with served(Roots.of([root])) as address:
        yield address


@pytest.fixture(scope="module")
def window(chromium, address):
    """A window with the cookie and one tab, for all tests: a new one takes half a second."""
    context = chromium.new_context()
    context.set_default_timeout(30_000)  # a process starts, perhaps on a busy machine
    context.new_page().goto(address.url)
    yield context
    context.close()


@pytest.fixture
def context(window, address):
    """A window with one tab, in which no request leaves the page and no error is logged."""
    troubles: list[str] = []
    own = f"http://127.0.0.1:{address.port}/"
    listeners = {
        "console": lambda m: m.type == "error" and troubles.append(m.text),
        "weberror": lambda error: troubles.append(str(error.error)),
        "request": lambda r: _is_own(r.url, own) or troubles.append(r.url),
    }
    (page,) = window.pages or [window.new_page()]
    page.set_viewport_size({"width": 1180, "height": 860})
    page.emulate_media(color_scheme="light")
    for event, listener in listeners.items():
        window.on(event, listener)
    yield window
    for page in window.pages[1:]:
        page.close()
    for page in window.pages:
        page.unroute_all()
        page.evaluate("sessionStorage.clear()")
        page.goto("about:blank")  # which listens to no events
    for event, listener in listeners.items():
        window.remove_listener(event, listener)
    expected = "the server responded with a status of 422"  # a wrong value
    assert [each for each in troubles if expected not in each] == []


def _is_own(url: str, own: str) -> bool:
    return url.startswith((own, "data:"))


@pytest.fixture
def page(context, address):
    """A tab at the first step, with nothing chosen."""
    (page,) = context.pages
    page.goto(_url(address, "folder"))
    _free(page)
    page.evaluate(
        "fetch('/act/forget', {method: 'POST', body: '{}',"
        " headers: {'Content-Type': 'application/json'}})"
    )
    return page


def _until(page, expression: str, seconds: float = 30.0) -> None:
    """Wait until an expression is true; the page's policy forbids that it waits itself."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def _url(address, step: str) -> str:
    return f"http://127.0.0.1:{address.port}/{step}"


# A new page shows no work, and the page of a step is old, until the server has said how it is.
_VERSION_WITHOUT_WORK = """
() => new Promise((resolve) => {
  const states = new EventSource("/events");
  states.onmessage = (event) => {
    const state = JSON.parse(event.data);
    if (state.job !== null) return;
    states.close();
    resolve(state.version);
  };
})
"""


def _free(page) -> None:
    """Wait until no work is going on, and the page shows what came of it."""
    version = page.evaluate(_VERSION_WITHOUT_WORK)
    _until(page, f"!numUnsent && !waiting && lastJob === null && shown >= {version}")


def _picture(page, name: str, *, for_docs: bool = False, top: str = "header") -> None:
    folder = os.environ.get("NWB_OPHYS_SCREENSHOTS")
    if folder:
        Path(folder, "docs").mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder, f"{name}.png")), full_page=True)
        if for_docs:
            page.evaluate(f"document.querySelector('{top}').scrollIntoView()")
            page.screenshot(path=str(Path(folder, "docs", f"{name}.png")))


def _choose(page, folder: Path) -> None:
    page.get_by_label("Folder or file").fill(str(folder))
    page.get_by_role("button", name="Look what is in it").click()
    page.wait_for_url("**/contents")


def _put(page, key: str, value: str) -> None:
    """Fill in a field and leave it by the keyboard."""
    field = page.locator(f'[name="{key}"]')
    field.fill(value)
    field.press("Tab")


def _step(page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    page.wait_for_selector(f'nav a[aria-current]:has-text("{name}")')
    page.wait_for_load_state()  # before, no script hears a button


def _go_to_convert(page) -> None:
    """Fill in the start of the session, without which nothing is converted."""
    _step(page, "Metadata")
    _put(page, "NWBFile.session_start_time", "2024-05-17T14:30:00+02:00")
    page.wait_for_selector("text=changed")
    _step(page, "Convert")


def _fill_in(page) -> None:
    _step(page, "Metadata")
    page.wait_for_selector("#verdict")
    for key, value in FACTS.items():
        _put(page, key, value)
    page.wait_for_selector("#verdict.good")


# The others take as long and show the same; pytest -m slow tests/page runs them.
_QUICK = ("scanimage and suite2p", "plain tiff")


@needs_data
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in _QUICK else pytest.mark.slow) for name in RECORDINGS],
)
def test_from_an_empty_start_to_a_valid_file(page, tmp_path, root, name):
    recording = RECORDINGS[name]
    place = root / re.sub(r"\W", "-", name)
    place.mkdir()
    folder = copied(name, place)
    _choose(page, folder)
    page.wait_for_selector("table.parts")
    for each in recording.unticked:
        page.get_by_label(re.compile(f"Put {re.escape(each)}")).uncheck()
    for key, value in recording.options.items():
        assert "needs" in page.locator(f'[id="e-{key}"]').inner_text()
        _picture(page, "rate", for_docs=True)
        _put(page, key, value)
    page.wait_for_selector(".streams")
    shown = name == "scanimage and suite2p"
    if shown:
        _picture(page, "contents", for_docs=True)
        page.get_by_role("link", name="Look at it").click()
        page.wait_for_url("**/look")
        page.get_by_role("button", name="Show the first samples").click()
        frame = page.frame_locator("iframe")
        frame.locator("svg, img").first.wait_for()
        _picture(page, "look-movie")
        frame.locator("#rois h2").first.evaluate("each => each.scrollIntoView()")
        _picture(page, "look", for_docs=True, top=".pictures")
    _fill_in(page)
    if shown:
        _picture(page, "metadata", for_docs=True)
    _step(page, "Convert")
    if shown:
        page.get_by_role("button", name="Plan").click()
        page.wait_for_selector("text=Estimate")
        _picture(page, "convert", for_docs=True)
    page.get_by_role("button", name="Convert", exact=True).click()
    page.wait_for_url("**/result")
    assert "valid, and the DANDI archive would accept" in page.inner_text("#verdict")
    page.frame_locator("iframe").locator("h1").wait_for()
    if shown:
        _picture(page, "result", for_docs=True)
    assert set(recording.streams) <= types_in(place / "M7.nwb")
    command = page.get_by_label("Command that converts", exact=True).inner_text()
    again = {str(place / "M7.nwb"): str(place / "again.nwb")}
    assert run(command, **again) == 0
    assert contents_of(place / "again.nwb") == contents_of(place / "M7.nwb")


def test_a_folder_that_is_nothing(page, root):
    folder = root / "nothing"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("nothing")
    _choose(page, folder)
    page.wait_for_selector(".problem")
    assert "No format recognises" in page.inner_text("main")
    page.get_by_role("link", name="Choose another one").click()
    page.wait_for_url("**/folder")


def _movie(folder: Path, num_frames: int = 20, size: int = 32) -> Path:
    folder.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 2**12, (num_frames, size, size), dtype="uint16")
    tifffile.imwrite(folder / "movie.tif", frames, photometric="minisblack")
    return folder


def _open(page, folder: Path) -> None:
    """Choose a movie and fill in its rate."""
    _choose(page, folder)
    page.wait_for_selector('[name="sampling_frequency"]')
    _put(page, "sampling_frequency", "30")
    page.wait_for_selector(".streams")


def test_a_wrong_value_is_answered_beside_its_field(page, root):
    _open(page, _movie(root / "wrong" / "M7"))
    _step(page, "Metadata")
    field = page.locator('[name="NWBFile.session_start_time"]')
    field.fill("yesterday")
    field.press("Tab")
    page.wait_for_selector('[name="NWBFile.session_start_time"][aria-invalid="true"]')
    described = field.get_attribute("aria-describedby").split()[-1]
    assert "ISO 8601" in page.locator(f'[id="{described}"]').inner_text()
    # The focus went on to the next field and stays there while the page changes.
    assert page.evaluate("document.activeElement.name") == "NWBFile.session_description"
    _put(page, "NWBFile.session_start_time", "2024-05-17T14:30:00+02:00")
    page.wait_for_selector('[name="NWBFile.session_start_time"]:not([aria-invalid])')


@pytest.mark.parametrize("milliseconds", [30, 400])
def test_a_press_after_a_field_is_heard_however_long_it_takes(page, root, milliseconds):
    _open(page, _movie(root / f"press-{milliseconds}" / "M7"))
    _go_to_convert(page)
    page.set_viewport_size({"width": 1180, "height": 1400})

    def press(element: str, output: str) -> None:
        page.locator("#f-output").fill(str(root / output))
        _free(page)  # the press before changed the page
        box = page.evaluate(f"document.querySelector('{element}').getBoundingClientRect().toJSON()")
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()  # the field is left, and the step is shown again
        page.wait_for_timeout(milliseconds)
        page.mouse.up()

    press("#f-overwrite", f"a{milliseconds}.nwb")
    _until(page, "document.querySelector('#f-overwrite').checked")
    _free(page)
    press("#convert", f"b{milliseconds}.nwb")
    page.wait_for_url("**/result")
    assert (root / f"b{milliseconds}.nwb").is_file()


def test_a_refused_text_stays_in_its_field(page, root):
    _open(page, _movie(root / "refused" / "M7"))
    _go_to_convert(page)
    _put(page, "output", "a.txt")
    page.wait_for_selector("#e-output .fault")
    page.locator("#f-verify").click()
    _until(page, "document.querySelector('#f-verify').checked")
    _free(page)
    page.reload()
    assert page.locator("#f-output").input_value() == "a.txt"
    page.get_by_role("button", name="Convert", exact=True).click()
    page.wait_for_selector("main > .problem:has-text('Correct the field')")
    _put(page, "output", str(root / "refused.nwb"))
    page.wait_for_selector("#e-output .fault", state="detached")
    page.get_by_role("button", name="Convert", exact=True).click()
    page.wait_for_url("**/result")
    assert (root / "refused.nwb").is_file()


def test_an_error_during_the_press_does_not_keep_from_the_result(page, root):
    _open(page, _movie(root / "held" / "M7"))
    _go_to_convert(page)
    box = page.locator("#convert").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate(
        "fetch('/act/tick', {method: 'POST', body: '{\"index\": 99}',"
        " headers: {'Content-Type': 'application/json'}}).then(() => 0)"
    )
    page.wait_for_timeout(200)  # the event of this error waits for the end of the press
    page.mouse.up()
    page.reload()  # which takes nothing back
    page.wait_for_url("**/result")


def test_a_link_is_followed_with_what_was_typed_before(page, root):
    _open(page, _movie(root / "link" / "M7"))
    _step(page, "Metadata")
    page.route("**/act/setting", lambda route: (time.sleep(0.3), route.continue_()))
    page.locator('[name="NWBFile.lab"]').fill("Lab of mice")
    _step(page, "Look")
    _free(page)
    _step(page, "Metadata")
    assert page.locator('[name="NWBFile.lab"]').input_value() == "Lab of mice"


def test_hidden_tabs_leave_their_connections_to_others(page, context, address):
    page.wait_for_load_state()
    for index in range(7):  # browsers open six connections
        tab = page if index == 0 else context.new_page()
        tab.goto(_url(address, "folder"))
        tab.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'));"
        )
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    _until(page, "events !== null && events.readyState === 1")


def test_a_reload_and_a_new_tab_show_the_same(page, context, address, root):
    _open(page, _movie(root / "reload" / "M7"))
    _step(page, "Metadata")
    _put(page, "Subject.subject_id", "M7")
    page.wait_for_selector("text=changed")
    page.reload()
    assert page.locator('[name="Subject.subject_id"]').input_value() == "M7"
    other = context.new_page()
    other.goto(_url(address, "metadata"))
    assert other.locator('[name="Subject.subject_id"]').input_value() == "M7"
    # A change in one tab reaches the other, which keeps the text that is being written there.
    page.locator('[name="NWBFile.lab"]').press_sequentially("half a na")
    _put(other, "Subject.species", "Mus musculus")
    species = "document.querySelector('[name=\"Subject.species\"]').value"
    _until(page, f"{species} === 'Mus musculus'")
    assert page.locator('[name="NWBFile.lab"]').input_value() == "half a na"
    assert page.evaluate("document.activeElement.name") == "NWBFile.lab"
    other.close()


def test_the_work_goes_on_while_no_tab_is_open(page, context, address, root):
    folder = _movie(root / "closed" / "M7", num_frames=300, size=128)
    _open(page, folder)
    _go_to_convert(page)
    page.get_by_role("button", name="Convert", exact=True).click()
    page.wait_for_selector("#work:not([hidden])")
    later = context.new_page()
    page.close()
    later.goto(_url(address, "result"))
    later.wait_for_selector("#verdict")
    assert (folder.parent / "M7.nwb").is_file()


@pytest.fixture(scope="module")
def long_movie(tmp_path_factory):
    """Return a function that puts a movie into a new folder, whose conversion takes seconds."""
    source = _movie(tmp_path_factory.mktemp("long") / "M7", num_frames=3000, size=160)

    def put(folder: Path) -> Path:
        folder.mkdir(parents=True)
        os.link(source / "movie.tif", folder / "movie.tif")
        return folder

    return put


def test_cancel_leaves_nothing_midway(page, root, long_movie):
    folder = long_movie(root / "cancel" / "M7")
    _open(page, folder)
    _go_to_convert(page)
    page.get_by_label("Compression").select_option("gzip:9")
    _free(page)
    page.get_by_role("button", name="Convert", exact=True).click()
    _until(page, "document.getElementById('bar').value > 0.02")
    page.reload()  # midway
    _until(page, "document.getElementById('bar').value > 0.03")
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    assert "Writing" in page.inner_text("#status")
    _picture(page, "progress")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector("#ended")
    assert "Cancelled. No incomplete file was left." in page.inner_text("main")
    assert [each.name for each in folder.parent.iterdir()] == ["M7"]


def test_the_focus_is_not_lost(page, root, long_movie):
    folder = long_movie(root / "focus" / "M7")
    _open(page, folder)
    page.get_by_role("link", name="Look at it").click()
    page.wait_for_url("**/look")  # and until its script hears a button
    page.get_by_role("button", name="Show the first samples").press("Enter")
    page.wait_for_selector("iframe")
    assert page.evaluate("document.activeElement.textContent") == "Look again"
    _go_to_convert(page)
    page.get_by_label("Compression").select_option("gzip:9")
    _free(page)
    page.get_by_role("button", name="Convert", exact=True).press("Enter")
    _until(page, "document.getElementById('bar').value > 0.02")
    page.get_by_role("button", name="Cancel").press("Enter")
    page.wait_for_selector("#ended")
    _free(page)
    assert page.evaluate("document.activeElement.id") == "main"


def test_failed_work_is_heard_as_an_error(page, root):
    _open(page, _movie(root / "heard" / "M7"))
    (root / "heard" / "M7.nwb").write_bytes(b"of someone else")
    _go_to_convert(page)
    page.get_by_role("button", name="Convert", exact=True).click()
    page.wait_for_selector(".problem")
    _until(page, "document.getElementById('status').textContent.startsWith('Error: ')", 5)


def test_a_wrong_form_of_sessions_stays_as_it_was_typed(page, address, root):
    page.goto(_url(address, "batch"))
    texts = {
        "Pattern of the folders": "raw/{subject_id}",
        "Options": "stub=3\nstub",
        "Folder or": "nwb",
    }
    for label, text in texts.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="List the sessions").click()
    page.wait_for_selector(".problem")
    page.wait_for_timeout(300)  # the events that follow change nothing, either
    for _ in range(2):
        for label, text in texts.items():
            assert page.get_by_label(label).input_value() == text
        page.reload()


def test_two_hundred_sessions_in_the_table(page, address, root):
    place = root / "many"
    first = _movie(place / "raw" / "M000" / "day1", 4, 8)
    for index in range(1, 200):
        shutil.copytree(first, place / "raw" / f"M{index:03}" / "day1")
    page.goto(_url(address, "batch"))
    page.get_by_label("Pattern of the folders").fill(f"{place}/raw/{{subject_id}}/{{session_id}}")
    page.get_by_label("Options").fill("sampling_frequency=30")
    page.get_by_label("Folder or names").fill(str(place / "nwb"))
    page.get_by_label("Metadata file").fill(str(_metadata_file(place)))
    page.get_by_role("button", name="List the sessions").click()
    page.wait_for_selector("text=Sessions (200)")
    assert page.locator("tbody tr").count() == 200
    page.get_by_role("button", name="Convert what is not done").click()
    _until(page, "document.querySelectorAll('.mark.done').length >= 3")
    _picture(page, "sessions", for_docs=True, top="#sessions")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector("#ended")
    done = page.locator(".mark.done").count()
    assert done == len(list((place / "nwb").rglob("*.nwb"))) >= 3


def _metadata_file(folder: Path) -> Path:
    path = folder / "lab.yaml"
    path.write_text('NWBFile:\n  session_start_time: "2024-05-17T14:30:00+02:00"\n')
    return path


def test_the_keyboard_alone_is_enough(page, root):
    folder = _movie(root / "keyboard" / "M7")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the step"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "path"
    page.keyboard.press("Control+A")
    page.keyboard.type(str(folder))
    page.keyboard.press("Enter")
    page.wait_for_url("**/contents")
    page.wait_for_selector('[name="sampling_frequency"]')


# --- accessibility ------------------------------------------------------------------------------

_STEPS = ("folder", "contents", "look", "metadata", "convert", "result", "batch")


@pytest.fixture(scope="module")
def axe() -> str:
    package = pytest.importorskip("axe_playwright_python")
    return Path(package.__file__).with_name("axe.min.js").read_text("utf-8")


def test_the_steps_are_accessible(page, address, root, axe):
    _open(page, _movie(root / "axe" / "M7"))
    _step(page, "Metadata")
    _put(page, "NWBFile.session_start_time", "yesterday")  # an error is on the page, too
    page.wait_for_selector(".fault")
    found = []
    for scheme, step in itertools.product(("light", "dark"), _STEPS):
        page.emulate_media(color_scheme=scheme)
        page.goto(_url(address, step))
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            _picture(page, f"{scheme}-{width}-{step}")
            # No text is cut off, and nothing moves sideways.
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (step, width)
        page.evaluate(axe)
        found += [(step, scheme, each) for each in _violations(page)]
    assert found == []
    page.evaluate("document.querySelector('main').append(new Image())")
    assert [rule for rule, _ in _violations(page)] == ["image-alt"]


def _violations(page) -> list[tuple[str, list[str]]]:
    """Return the rules of axe-core that a page violates, with the elements."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    return page.evaluate(
        "tags => axe.run(document, {runOnly: tags}).then(found => found.violations.map("
        "each => [each.id, each.nodes.map(node => node.html).slice(0, 3)]))",
        tags,
    )
