"""Values of every kind are written as they are shown, and the shown commands write the same."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from importlib import resources

import h5py
import pytest

from nwb_ophys.page.request import in_a_shell
from nwb_ophys.page.wording import CONTROLS, page_note

from .conftest import movie
from .recordings import contents_of, run_batch


def _opened(browser, folder):
    """Choose a movie and fill in what it needs."""
    browser.choose(folder)
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    return browser.wait()


def _field(work, key):
    groups = work.survey["metadata"]["groups"]
    (found,) = [f for g in groups for f in (*g["first"], *g["more"]) if f["key"] == key]
    return found


@pytest.mark.parametrize(
    "text", ["first line\nsecond: line", 'it\'s $HOME `x` "y"\n# no comment', "1e3\n007"]
)
def test_texts_of_several_lines_keep_them(browser, root, text):
    _opened(browser, movie(root / "M7"))
    browser.act("setting", key="NWBFile.notes", value=text, control="text")
    work = browser.wait()
    assert _field(work, "NWBFile.notes")["value"] == text
    shown = re.search(
        r"<textarea id=\"f-NWBFile.notes\"[^>]*>\n?(.*?)</textarea>",
        browser.get("/metadata").text,
        re.S,
    )
    assert html.unescape(shown[1]) == text
    # The form sends what it shows.
    browser.act("setting", key="NWBFile.notes", value=html.unescape(shown[1]), control="long")
    browser.wait()
    browser.act("convert")
    assert browser.wait().errors == {}
    with h5py.File(root / "M7.nwb") as file:
        assert file["general/notes"].asstr()[()] == text


_ODD = ["M7 'x' \"y\"", "$HOME `id` $(id)", "a\\nb", "two\nlines", "-x", "tab\tand\x1b[31m"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no bash.")
@pytest.mark.parametrize("odd", [*_ODD, os.fsdecode(b"day\xff1")])
def test_a_shell_reads_the_shown_command_as_it_is_meant(odd):
    words = ["nwb-ophys", "convert", f"/data/{odd}", "--set", f"NWBFile.lab={odd}", "--verify"]
    shown = html.unescape(in_a_shell(words)).encode().decode()  # a page is in UTF-8
    script = f"nwb-ophys() {{ printf '%s\\0' nwb-ophys \"$@\"; }}\n{shown}\n"
    script = script.replace("nwb-ophys()", "shown()").replace(shown, f"shown {shown[9:]}")
    found = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert [os.fsdecode(each) for each in found.split(b"\0")[:-1]] == words


@pytest.mark.parametrize("name", ["M7 [left]", "M*", "M?", "{M7}"])
def test_the_shown_specification_takes_names_as_they_are(browser, root, name, capsys):
    folder = movie(root / name / "day")
    movie(root / "M8" / "day")  # which a pattern would match, too
    browser.choose(folder)
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    browser.act("target", output=str(root / "day.nwb"))
    browser.wait()
    browser.act("convert")
    work = browser.wait()
    written = contents_of(root / "day.nwb")
    (root / "day.nwb").unlink()
    (root / "lab.yaml").write_text(work.survey["metadata"]["specification"])
    assert run_batch(root / "lab.yaml") == 0
    assert contents_of(root / "day.nwb") == written
    capsys.readouterr()


def test_the_command_of_a_result_is_the_one_that_made_it(browser, root):
    _opened(browser, movie(root / "M7"))
    browser.act("setting", key="NWBFile.lab", value="first lab")
    browser.wait()
    browser.act("convert")
    assert browser.wait().result["is_valid"]
    browser.act("setting", key="NWBFile.lab", value="second lab")
    browser.act("target", output=str(root / "other.nwb"))
    browser.wait()
    page = html.unescape(browser.get("/result").text)
    assert "first lab" in page
    assert "second lab" not in page
    assert "other.nwb" not in page


@pytest.mark.parametrize(
    ("message", "of_one", "of_many"),
    [
        (
            "use overwrite=True to replace it.",
            'use "Replace the file if it exists" to replace it.',
            "use --overwrite (on the command line) to replace it.",
        ),
        (
            "append with in_place=True (--in-place).",
            *["append with --in-place (on the command line)."] * 2,
        ),
        ("give num_planes in the options.", *["give num_planes in the options."] * 2),
        (
            "the rate with sampling_frequency (on the command line --option sampling_frequency=3)",
            *["the rate with sampling_frequency (sampling_frequency=3)"] * 2,
        ),
        ('give metadata["NWBFile"]["lab"]="A lab".', *["give NWBFile.lab=A lab."] * 2),
        (
            "a file with times (on the command line --times FILE).",
            'a file with times ("Times of the frames").',
            "a file with times (times:).",
        ),
        ("choose with files=A (--option files='a*.tif').", *["choose with files='a*.tif'."] * 2),
        ("Start 'nwb-ophys gui' with --root FOLDER.",) * 3,
    ],
)
def test_messages_name_what_the_page_has(message, of_one, of_many):
    """Fault: the page advised flags of commands, such as --overwrite, which it does not have."""
    assert page_note(message) == of_one
    assert page_note(message, has_controls=False) == of_many


def test_messages_name_controls_as_the_templates_do():
    templates = resources.files("nwb_ophys.page") / "templates"
    shown = "".join(each.read_text(encoding="utf-8") for each in templates.iterdir())
    assert [label for label in CONTROLS.values() if label.strip('"') not in shown] == []
