"""Pages in a real browser without a network: nothing is requested, nothing is cut off.

Screenshots are written to the folder that ``NWB_OPHYS_SCREENSHOTS`` names. Nothing is asserted of
them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import pytest
from tests_of_reports import write_session

from nwb_ophys import write_report
from nwb_ophys.cli import main
from nwb_ophys.reports import write_index

# Elements that reach beyond the window, and texts of charts that reach beyond their chart.
CUT_OFF = """() => {
  const found = [];
  const width = document.documentElement.clientWidth;
  for (const each of document.body.querySelectorAll("*")) {
    const box = each.getBoundingClientRect();
    if (!box.width || each.closest("svg") && each.tagName !== "text") continue;
    const frame = each.tagName === "text" ? each.ownerSVGElement.getBoundingClientRect()
      : {left: 0, right: width, top: -Infinity, bottom: Infinity};
    const isOut = box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1.5 || box.bottom > frame.bottom + 1.5;
    const style = getComputedStyle(each);
    const isClipped = style.overflow !== "visible" && each.tagName !== "svg"
      && each.scrollWidth > each.clientWidth + 1;
    const text = each.textContent.slice(0, 60);
    if (isOut || isClipped) found.push([each.tagName, text, box.left, box.right]);
  }
  return found;
}"""
REAL = (
    "suite2p/v1.1.0/written_by_suite2p.nwb",
    "caiman/v1.12.1_neurofinder_crop.hdf5",
    "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005",
)
LONG = "A_name_without_a_place_at_which_it_could_be_broken_" * 3


@pytest.fixture(scope="module")
def pages(tmp_path_factory, made):
    """Pages by name: of a careful author, of one with long names, of real recordings, an index."""
    folder = tmp_path_factory.mktemp("pages")
    found = {
        "careful": write_report(made.path, folder / "careful.html"),
        "long": write_report(_with_long_names(folder / f"{LONG[:90]}.nwb")),
    }
    data = Path(os.environ.get("NWB_OPHYS_TEST_DATA", "../shared/data"))
    for place in REAL if data.is_dir() else ():
        name = Path(place).stem
        path = data / place
        if path.suffix != ".nwb":
            path = _converted(path, folder / f"{name}.nwb")
        found[name] = write_report(path, folder / f"{name}.html")
    shutil.copy(made.path, folder / "session.nwb")
    (folder / "broken.nwb").write_text("nothing")
    return {**found, "index": write_index(folder, folder / "index")[0]}


def _with_long_names(path):
    made = write_session(path, LONG)
    with h5py.File(made.path, "r+") as file:
        file["acquisition"].move("Movie", LONG)
        file["processing/ophys/Fluorescence"].move("raw", LONG)
        file["processing/ophys/ImageSegmentation"].move("BackgroundCells", LONG)
        file["general/devices"].move("Scope", LONG)
    return made.path


def _converted(path, target):
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    with pytest.raises(SystemExit) as end:
        main(["convert", str(path), "-o", str(target), "--set", start])
    assert end.value.code == 0
    return target


@pytest.fixture
def visit(chromium):
    """Return a function that opens a page, and check that it had no trouble when the test ends."""
    contexts, troubles = [], []

    def open_page(path, *, width=1280, colours="light", script=True):
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=colours,
            java_script_enabled=script,
            offline=True,
        )
        contexts.append(context)
        own = path.as_uri()
        context.on("console", lambda each: troubles.append(each.text))
        context.on("weberror", lambda each: troubles.append(str(each.error)))
        context.on(
            "request",
            lambda each: (
                each.url == own or each.url.startswith("data:") or troubles.append(each.url)
            ),
        )
        page = context.new_page()
        page.goto(own)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def _keep(page, name):
    folder = os.environ.get("NWB_OPHYS_SCREENSHOTS")
    if folder:
        place = Path(folder) / "reports"
        place.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=place / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_nothing_is_cut_off_and_nothing_is_requested(pages, visit, width, colours):
    for name, path in pages.items():
        page = visit(path, width=width, colours=colours)
        assert page.evaluate(CUT_OFF) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        _keep(page, f"{name}_{width}_{colours}")


def test_a_page_prints_in_whole(pages, visit):
    page = visit(pages["careful"], colours="dark")
    page.emulate_media(media="print")
    colours = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colours == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
    _keep(page, "careful_print")


def test_contrast_of_texts_is_enough(pages, visit):
    for colours in ("light", "dark"):
        page = visit(pages["careful"], colours=colours)
        ratios = page.evaluate(CONTRASTS)
        assert ratios
        assert min(ratios.values()) >= 4.5, ratios


CONTRASTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratios = {};
  const texts = "p, td, th, dd, dt, h1, h2, h3, pre, figcaption, a, .tag, .badge, .unknown, .note";
  for (const each of document.querySelectorAll(texts)) {
    let below = each;
    while (parse(getComputedStyle(below).backgroundColor)[3] === 0) below = below.parentElement;
    const [a, b] = [light(parse(getComputedStyle(each).color)),
                    light(parse(getComputedStyle(below).backgroundColor))];
    const name = each.tagName + "." + each.className;
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    ratios[name] = Math.min(ratio, ratios[name] ?? 99);
  }
  return ratios;
}"""


def test_the_index_is_sorted_by_its_columns_and_readable_without_script(pages, visit):
    page = visit(pages["index"])
    names = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[1].textContent)"
    before = page.evaluate(names)
    sizes = page.get_by_role("button", name="size")
    sizes.click()
    values = (
        "[...document.querySelectorAll('tbody tr')].map(row => Number(row.cells[7].dataset.value))"
    )
    assert page.evaluate(values) == sorted(page.evaluate(values))
    sizes.click()
    assert page.evaluate(values) == sorted(page.evaluate(values), reverse=True)
    page.get_by_role("button", name="session").click()
    assert page.evaluate(names) == sorted(before, key=str.lower)
    plain = visit(pages["index"], script=False)
    assert plain.locator("tbody tr").count() == len(before)
    assert plain.get_by_role("button").count() == 0


def test_an_id_shows_on_hover(pages, visit):
    page = visit(pages["careful"])
    titles = page.locator(".outlines path title").all_text_contents()
    assert "2: 1 pixels" in titles
