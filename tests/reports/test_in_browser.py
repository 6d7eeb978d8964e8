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
from in_browser import LOOKS, check_nothing_is_cut_off, keep
from tests_of_reports import write_mocks, write_session

from nwb_ophys import write_report
from nwb_ophys.cli import main
from nwb_ophys.reports import write_index

REAL = (
    "suite2p/v1.1.0/written_by_suite2p.nwb",
    "caiman/v1.12.1_neurofinder_crop.hdf5",
    "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005",
)
LONG = "A_name_without_a_place_at_which_it_could_be_broken_" * 3


@pytest.fixture(scope="module")
def pages(tmp_path_factory, made):
    """Pages by name: of several authors, of real recordings, and an index."""
    folder = tmp_path_factory.mktemp("pages")
    found = {
        "careful": write_report(made.path, folder / "careful.html"),
        "long": write_report(_with_long_names(folder / f"{LONG[:90]}.nwb")),
        "mocks": write_report(write_mocks(folder / "mocks.nwb")),
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


def test_nothing_is_cut_off_and_nothing_is_requested(pages, visit):
    for name, path in pages.items():
        check_nothing_is_cut_off(visit, path, name, LOOKS)


def test_a_page_prints_in_whole(pages, visit):
    page = visit(pages["careful"], colours="dark")
    page.emulate_media(media="print")
    colours = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colours == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
    keep(page, "careful_print")


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
    assert "2: 1 pixel" in titles
