"""The page of a report: complete in itself, escaped, and there also for damaged files."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest
from tests_of_reports import write_session

from nwb_ophys import write_report
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    CorruptSourceError,
    MissingPackageError,
    NwbOphysError,
    OutputExistsError,
    SourceNotFoundError,
)
from nwb_ophys.reports import charts
from nwb_ophys.reports.report import gather_report

HOSTILE = """<script>alert(1)</script>"onload="alert(2)' </svg></title></style>&lt;{{ 7 * 7 }}"""
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; tags have to match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    path = write_report(made.path, tmp_path_factory.mktemp("page") / "report.html")
    return path.read_text("utf-8")


def test_the_page_states_the_numbers(page, made):
    text = Page(page).text
    assert "valid NWB" in text
    assert "ready for DANDI" in text
    assert "3 (0.0114 %)" in text  # saturated pixels
    assert "2 in 1 gap, unless these are pauses" in text
    assert "3 accepted, 2 rejected" in text
    assert "median 4, from 1 to 24 pixels" in text
    assert made.path.name in text


def test_the_page_loads_nothing(page):
    for tag, attributes in Page(page).elements:
        assert tag != "script"
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                assert value.startswith(("data:", "#")), (tag, name, value)
    assert not re.search(r"url\(|@import|<base|http-equiv=.refresh", page)


def test_the_page_has_every_outline_with_its_id(page, made):
    titles = re.findall(r"<path d=\"[^\"]+\"><title>([^<]+)</title>", page)
    cells = ["0: 20 pixels", "1: 24 pixels", "2: 1 pixel", "3: 4 pixels", "4: 2 pixels"]
    assert sorted(titles) == sorted([*cells, "0: 2 pixels"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    made = write_session(folder / "a<b>'&c.nwb", HOSTILE)
    with h5py.File(made.path, "r+") as file:
        name = HOSTILE.replace("/", "|")
        file["acquisition"].move("Movie", name)
        file["processing/ophys/ImageSegmentation"].move("Cells", f"{name}2")
        file["processing/ophys/Fluorescence"].move("raw", name)
        file["general/devices"].move("Scope", name)
        file["general/optophysiology/Plane"].move("Green", name)
    return made


def test_hostile_texts_are_shown_and_never_run(hostile, tmp_path):
    text = write_report(hostile.path, tmp_path / "a.html").read_text("utf-8")
    page = Page(text)  # the tags match, so that no text ended an element
    elements = {tag for tag, _ in page.elements}
    assert "script" not in elements
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert " ".join(HOSTILE.split()) in page.text
    shown = page.text.replace(str(hostile.path.parent), "")  # whose runs have numbers
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|\b49\b", shown)


def test_a_page_that_exists_is_kept_unless_it_may_be_replaced(made, tmp_path):
    page = tmp_path / "a.html"
    page.write_text("mine")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        write_report(made.path, page)
    assert page.read_text() == "mine"
    write_report(made.path, page, overwrite=True)
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_the_page_lies_beside_its_file_by_default(tmp_path):
    made = write_session(tmp_path / "b.nwb")
    assert write_report(made.path) == tmp_path / "b.nwb.html"


@pytest.mark.parametrize("kind", ["absent", "text", "hdf5", "cut"])
def test_a_file_that_is_no_nwb_file_is_an_error(kind, tmp_path, made):
    path = tmp_path / "a.nwb"
    if kind == "text":
        path.write_text("nothing")
    elif kind == "hdf5":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    elif kind == "cut":
        path.write_bytes(made.path.read_bytes()[:5000])
    error = SourceNotFoundError if kind == "absent" else CorruptSourceError
    with pytest.raises(error):
        write_report(path, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


@pytest.fixture
def damaged(tmp_path):
    """Return a function that damages a file and returns its report and page."""

    def damage(change):
        made = write_session(tmp_path / "damaged.nwb")
        with h5py.File(made.path, "r+") as file:
            change(file)
        page = write_report(made.path, tmp_path / "a.html")
        return gather_report(made.path), Page(page.read_text("utf-8")).text

    return damage


def test_a_damaged_chunk_of_a_movie_leaves_the_rest_of_the_page(damaged):
    def change(file):
        data = file["acquisition/Movie/data"]
        data.id.write_direct_chunk((7, 0, 0), b"not deflated", 0)

    report, text = damaged(change)
    assert "is not whole" in report.movies[0].statistics.reason
    assert "is not whole" in text
    assert "3 accepted, 2 rejected" in text


def test_masks_beyond_their_index_leave_the_rest_of_the_page(damaged):
    def change(file):
        file["processing/ophys/ImageSegmentation/Cells/pixel_mask_index"][-1] += 9

    report, text = damaged(change)
    assert "index ends at" in report.tables[0].pixels.reason
    assert "masks cannot be shown" in text
    assert "Mean of 61 frames" in text


def test_objects_that_are_absent_leave_the_rest_of_the_page(damaged):
    def change(file):
        for path in (
            "general/subject",
            "general/optophysiology/Plane/device",
            "processing/ophys/ImageSegmentation/Cells/id",
            "processing/ophys/Fluorescence/raw/starting_time",
        ):
            del file[path]

    _, text = damaged(change)
    assert "not valid NWB" in text
    assert "Mean of 61 frames" in text


def test_a_link_to_another_file_is_named_and_not_followed(damaged, tmp_path):
    other = tmp_path / "elsewhere" / "other.nwb"
    other.parent.mkdir()
    with h5py.File(other, "w") as file:
        file["data"] = np.full((5, 4, 3), 7, np.uint8)

    def change(file):
        del file["acquisition/Movie/data"]
        file["acquisition/Movie/data"] = h5py.ExternalLink(str(other), "/data")

    report, text = damaged(change)
    assert "is not followed" in report.movies[0].reason
    assert report.outside == (("acquisition/Movie/data", f"{other}:/data"),)
    assert "not followed" in text


def test_frames_in_external_files_are_named_and_not_read(tmp_path):
    made = write_session(tmp_path / "a.nwb")
    with h5py.File(made.path, "r+") as file:
        series = file["acquisition/Movie"]
        del series["data"], series["timestamps"]
        series["starting_time"] = 0.0
        series["starting_time"].attrs.update({"rate": 30.0, "unit": "seconds"})
        series.create_dataset("data", shape=(0, 0, 0), dtype="u2").attrs["unit"] = "n.a."
        series.create_dataset("external_file", data=["/etc/passwd"], dtype=h5py.string_dtype())
        series["external_file"].attrs["starting_frame"] = [0]
    text = Page(write_report(made.path).read_text("utf-8")).text
    assert "in 1 other file, which the report does not read: /etc/passwd" in text
    assert "frames not stated" in " ".join(text.split())
    assert "0 × 0" not in text
    assert "0 frames" not in text  # with which no trace disagrees
    with h5py.File(made.path, "r+") as file:
        file["acquisition/Movie/num_samples"] = np.uint32(1234)
    text = Page(write_report(made.path, overwrite=True).read_text("utf-8")).text
    assert "frames 1 234" in " ".join(text.split())


def test_a_group_with_an_unknown_type_and_strange_shapes_is_no_obstacle(damaged):
    def change(file):
        group = file["acquisition"].create_group("Odd")
        group.attrs.update({"neurodata_type": "OddImageSeries", "namespace": "odd"})
        group["data"] = np.array([[["a"]]], dtype=h5py.string_dtype())
        group["timestamps"] = np.array([np.nan])
        file["acquisition/Empty"] = h5py.Empty("f4")

    report, text = damaged(change)
    assert len(report.movies) == 2
    assert "Mean of 61 frames" in text


def test_without_its_packages_the_error_names_the_extra(made, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingPackageError, match=r"nwb-ophys\[report\]"):
        write_report(made.path, tmp_path / "a.html")


def test_without_the_inspector_the_page_says_so(made, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "nwbinspector", None)
    text = Page(write_report(made.path, tmp_path / "a.html").read_text("utf-8")).text
    assert "Only pynwb's validator checked the file" in text
    assert "nwb-ophys[inspect]" in text
    assert "valid NWB" in text


@pytest.fixture
def recording(tmp_path):
    """A movie large enough for the engine, which frames of several chunks have."""
    movie = np.random.default_rng(0).integers(0, 900, (300, 30, 20)).astype(np.uint16)
    np.save(tmp_path / "movie.npy", movie)  # (frames, rows, columns)
    return tmp_path / "movie.npy", movie


OPTIONS = (
    *("--option", "sampling_frequency=10"),
    *("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"),
)


def test_statistics_of_a_write_are_those_of_the_file(recording, tmp_path, monkeypatch):
    from nwb_ophys.cli import main
    from nwb_ophys.reports import report, series

    reports = []
    monkeypatch.setattr(series, "movie_statistics", None)  # the movie is not read
    gather = report.gather_report
    monkeypatch.setattr(
        report, "gather_report", lambda *a, **k: reports.append(gather(*a, **k)) or reports[0]
    )
    path, movie = recording
    with pytest.raises(SystemExit) as end:
        main(["convert", str(path), "-o", str(tmp_path / "a.nwb"), *OPTIONS, "--report"])
    assert end.value.code == 0
    (found,) = reports[0].movies
    expected = movie.transpose(0, 2, 1)
    np.testing.assert_allclose(found.statistics.mean, expected.mean(axis=0), rtol=1e-6)
    assert "Mean of 300 frames" in (tmp_path / "a.nwb.html").read_text("utf-8")


def test_convert_checks_the_page_before_it_converts(recording, tmp_path, capsys):
    from nwb_ophys.cli import main

    path, _ = recording
    (tmp_path / "a.html").write_text("mine")
    command = ["convert", str(path), "-o", str(tmp_path / "a.nwb"), *OPTIONS]
    for more, message in (
        (["--report", str(tmp_path / "a.html")], "already exists"),
        (["--report", str(tmp_path / "none" / "a.html")], "none"),
        (["--report", "--plan"], "--plan"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*command, *more])
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "a.nwb").exists()
    assert (tmp_path / "a.html").read_text() == "mine"


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, arguments)])
    return end.value.code


def test_the_command_writes_pages(made, tmp_path, capsys):
    assert run(made.path, "-o", tmp_path / "a.html") == 0
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'a.html'}\n"
    assert run(made.path, "-o", tmp_path / "a.html") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(made.path, made.path, "-o", tmp_path / "b.html") == 2
    assert "is not a folder" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(made.path, other)
    assert run(made.path, other / made.path.name, "-o", tmp_path, "--overwrite") == 2
    assert "Several files have the page" in capsys.readouterr().err
    assert not (tmp_path / f"{made.path.name}.html").exists()
    (tmp_path / "broken.nwb").write_text("nothing")
    assert run(tmp_path / "broken.nwb") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.filterwarnings("ignore::UserWarning")  # of members that cannot be opened
@pytest.mark.parametrize("seed", range(6))
def test_random_damage_gives_a_page_or_an_error_in_words(seed, tmp_path, made):
    rng = np.random.default_rng(seed)
    content = np.frombuffer(made.path.read_bytes(), np.uint8).copy()
    places = rng.integers(0, len(content), 40)
    content[places] = rng.integers(0, 256, len(places))
    path = tmp_path / "damaged.nwb"
    path.write_bytes(content.tobytes())
    with suppress(NwbOphysError):
        Page(write_report(path).read_text("utf-8"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_root_is_an_error_in_words(tmp_path, made):
    path = tmp_path / "damaged.nwb"
    path.write_bytes(made.path.read_bytes().replace(b"TREE", b"XXXX", 1))
    with pytest.raises(CorruptSourceError, match=r"damaged\.nwb"):
        write_report(path)


def test_labels_of_large_numbers_have_room():
    short = charts.line_chart([0, 1], [3.0, 4.0], "a", "b", "c")
    long = charts.line_chart([0, 1], [64479.31, 64479.87], "a", "b", "c")
    starts = [float(re.search(r'class="axis" d="M([\d.]+)', each)[1]) for each in (short, long)]
    assert starts[1] > starts[0] + 20
