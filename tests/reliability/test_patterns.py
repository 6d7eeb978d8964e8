"""Patterns and parsers of headers take a time that grows with the length of a text, not faster."""

from __future__ import annotations

import time

import pytest

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.ome import files as ome_files
from nwb_ophys.formats.bruker import interface as bruker
from nwb_ophys.formats.bruker import own_names
from nwb_ophys.formats.miniscope.times import stated_rate
from nwb_ophys.formats.scanimage import frames, generations
from nwb_ophys.formats.scanimage.text import HeaderProperties
from nwb_ophys.formats.thor import interface as thor
from nwb_ophys.metadata.subjects import archive_subject

LENGTH = 200_000
SECONDS = 2.0

TEXTS = {
    "spaces in a property": (generations.PROPERTY.findall, "SI.a = 1" + " " * LENGTH + "x"),
    "a name without end": (generations.OWN_LINE.search, "scanimage." + "a" * LENGTH),
    "beginnings of a time": (frames._EPOCH.findall, "epoch = [\n" * (LENGTH // 10)),
    "beginnings of a file": (bruker._IMAGE.findall, b"<File " * (LENGTH // 6)),
    "beginnings of a mark": (bruker._MARK.findall, b"<PVScan " * (LENGTH // 8)),
    "beginnings of a sequence": (bruker._LINE_SCAN.findall, b"<Sequence " * (LENGTH // 10)),
    "beginnings of a version": (thor._VERSION.findall, b"<Software " * (LENGTH // 10)),
    "beginnings of OME": (own_names._OWN.findall, b"<OME " * (LENGTH // 5)),
    "beginnings of a list": (own_names._LISTED_IN.findall, b"<BinaryOnly " * (LENGTH // 12)),
    "beginnings of a UUID": (ome_files.OWN_UUID.findall, "<OME " * (LENGTH // 5)),
    "spaces in a rate": (lambda text: stated_rate({"frameRate": text}), "1" + " " * LENGTH + "x"),
    "an age": (lambda text: archive_subject({"age": text}, ""), "1" * LENGTH),
    "spaces in an age": (lambda text: archive_subject({"age": text}, ""), "p" + " " * LENGTH + "x"),
    "a weight": (lambda text: archive_subject({"weight": text}, ""), "1" * LENGTH + "x"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_long_text_is_searched_once(name):
    """Fault: these took minutes, and hours for the longest texts that are read."""
    search, text = TEXTS[name]
    start = time.process_time()
    search(text)
    assert time.process_time() - start < SECONDS


def test_a_long_value_of_a_header_is_refused(tmp_path):
    """Its parser takes a time that grows with the square of the length."""
    header = "SI.hChannels.channelSave = [" + "1;" * LENGTH + "]\nSI.hChannels.other = [1;2]   \n"
    properties = HeaderProperties(tmp_path / "a.tif", header)
    with pytest.raises(CorruptSourceError, match=r"400002 characters for SI\.hChannels\.chan"):
        properties.value("hChannels.channelSave")
    assert properties.value("hChannels.other") == [[1], [2]]


def test_a_long_text_of_a_subject_is_refused_with_its_length():
    found = archive_subject({"age": "9" * 501}, "metadata")
    assert "more than 500 characters" in found.faults[0]
