"""Tests of the folders in which the files of a recording may lie, and of special files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import attrs
import pytest

from nwb_ophys.errors import OutputError, OutsideFolderError, SpecialFileError
from nwb_ophys.outside import (
    Reach,
    check_file,
    check_links_in,
    check_output,
    current_reach,
    is_special,
    leads_back,
    leads_out,
    links_leading_out,
    named_elsewhere,
    named_file,
    reach_of,
    reading_from,
    reading_within_reach,
    remedy,
    require_ordinary,
    within_reach,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a recording, another recording beside it, and a private folder."""
    for name in ("recording/raw", "recording-2", "private"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("recording/a.tif", "recording/raw/b.tif", "recording-2/c.tif", "private/key"):
        (tmp_path / name).write_text(name)
    return tmp_path


# --- the reach of a recording -------------------------------------------------------------------


def test_a_reach_holds_its_folders_and_what_lies_in_them(place):
    reach = Reach((str(place / "recording"),))
    assert reach.holds(place / "recording")
    assert reach.holds(place / "recording/raw/b.tif")
    assert reach.holds(place / "recording/absent.tif")
    assert reach.holds(place / "recording/raw/../a.tif")
    assert not reach.holds(place)
    # A name that begins alike is another folder.
    assert not reach.holds(place / "recording-2/c.tif")
    assert not reach.holds(place / "recording/../private/key")
    assert not reach.holds(place / "recording/raw/../../private/key")


def test_the_root_holds_everything():
    assert Reach(("/",)).holds("/etc/passwd")


def test_allowed_folders_are_held_as_well(place):
    reach = Reach((str(place / "recording"),), (str(place / "private"), "/nowhere"))
    assert reach.holds(place / "private/key")
    assert not reach.holds(place / "recording-2/c.tif")


def test_links_are_resolved_before_the_folders_are_compared(place):
    (place / "recording/in").symlink_to("raw")
    (place / "recording/out").symlink_to("../private")
    reach = reach_of([place / "recording"])
    assert reach.holds(place / "recording/in/b.tif")
    assert not reach.holds(place / "recording/out/key")
    # ``..`` after a link is that of the folder to which it leads.
    assert not reach.holds(f"{place}/recording/out/../a.tif")


@pytest.mark.parametrize("path", ["recording", "recording/a.tif", "recording/absent.tif"])
def test_the_folder_of_a_path_is_its_reach(place, path):
    assert reach_of([place / path]).folders[0] == str(place / "recording")


def test_a_given_link_has_two_folders(place):
    (place / "link.tif").symlink_to("private/key")
    assert reach_of([place / "link.tif"]).folders == (str(place), str(place / "private"))
    (place / "folder").symlink_to("recording")
    assert reach_of([place / "folder"]).folders == (str(place / "recording"),)


def test_relative_paths_are_those_of_the_working_folder(place, monkeypatch):
    monkeypatch.chdir(place / "recording/raw")
    assert reach_of(["b.tif"]).folders == (str(place / "recording/raw"),)
    assert reach_of([".."]).folders == (str(place / "recording"),)


@pytest.mark.parametrize(
    ("target", "is_held"),
    [
        ("recording/.git/annex/objects/ab/key", True),
        ("recording/.git/annex/other/key", False),
        ("private/.git/annex/objects/ab/key", False),
    ],
)
def test_links_of_a_data_set_into_its_own_annex(place, target, is_held):
    (place / target).parent.mkdir(parents=True)
    (place / target).write_text("data")
    link = place / "recording/raw/link.tif"
    link.symlink_to(place / target)
    assert Reach((str(place / "recording/raw"),)).holds(link) is is_held


# --- the reach of a block -----------------------------------------------------------------------


def test_a_block_reads_from_its_folders_and_ends(place):
    assert current_reach() is None
    with reading_from([place / "recording"]) as reach:
        assert current_reach() is reach
        assert reach == Reach((str(place / "recording"),))
    assert current_reach() is None
    with pytest.raises(KeyError), reading_from([place]):
        raise KeyError
    assert current_reach() is None


def test_several_folders_are_allowed_relative_and_from_home(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "private"))
    with reading_from(["recording"], ["recording-2", "~", "recording/../recording-2"]) as reach:
        assert reach.allowed == (str(place / "recording-2"), str(place / "private"))


def test_a_block_within_a_block_adds_its_folders(place):
    with reading_from([place / "recording"], [place / "private"]):
        with reading_from([place / "recording/raw"]) as inner:
            assert inner.folders == (str(place / "recording"), str(place / "recording/raw"))
            assert inner.allowed == (str(place / "private"),)
        assert current_reach() == Reach((str(place / "recording"),), (str(place / "private"),))


def test_a_path_found_within_a_block_must_lie_in_it(place):
    link = place / "recording/link.tif"
    link.symlink_to("../private/key")
    with reading_from([link]):  # which the user gave
        pass
    with reading_from([place / "recording"]):
        with pytest.raises(OutsideFolderError), reading_from([link]):
            pass
        with within_reach(None), reading_from([link]):
            pass


def test_a_method_reads_from_where_its_object_was_opened(place):
    @attrs.define
    class Reader:
        _reach: Reach | None

        @reading_within_reach
        def read(self):
            """Return the reach."""
            return current_reach()

    reach = reach_of([place])
    assert Reader(reach).read() is reach
    assert Reader(None).read() is None
    assert current_reach() is None
    assert Reader.read.__doc__ == "Return the reach."


# --- files that are opened ----------------------------------------------------------------------


def test_ordinary_files_pass(place):
    with reading_from([place / "recording"]):
        for path in ("recording/a.tif", "recording/raw", "recording/absent", "private/key"):
            check_file(place / path)
        check_file("a\0b")  # not the name of a file
        check_file("x" * 5000)


def test_links_must_lead_into_the_folders(place):
    link = place / "recording/link"
    link.symlink_to("../private/key")
    check_file(link)  # outside of a recording
    with reading_from([place / "recording"]):
        with pytest.raises(OutsideFolderError, match=r"link' is a link to '.*private/key', which"):
            check_file(link)
        (place / "recording/chain").symlink_to("link")
        with pytest.raises(OutsideFolderError, match=r"chain' is a link to '.*private/key'"):
            check_file(place / "recording/chain")
    with reading_from([place / "recording"], [place / "private"]):
        check_file(link)


def test_links_without_a_target_and_in_a_circle_are_absent_files(place):
    (place / "recording/absent").symlink_to("../private/absent")
    (place / "recording/circle").symlink_to("circle")
    with reading_from([place / "recording"]):
        check_file(place / "recording/absent")
        check_file(place / "recording/circle")


@pytest.fixture(params=["pipe", "socket", "device", "link to a pipe", "link to a device"])
def special(request, tmp_path, monkeypatch):
    """Return the path of a file that is never opened."""
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = tmp_path / "special"
    if "pipe" in request.param:
        os.mkfifo(tmp_path / "pipe")
    if request.param == "pipe":
        path = tmp_path / "pipe"
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("special")
    elif request.param == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("pipe" if "pipe" in request.param else "/dev/zero")
    return path


def test_special_files_are_refused(special):
    assert is_special(special)
    for check in (check_file, require_ordinary):
        with pytest.raises(SpecialFileError, match=r"which is not opened; give a file\.$"):
            check(special)
    with pytest.raises(OutputError, match=r"not a file; give the name of a file\.$"):
        check_output(special)
    with pytest.raises((SpecialFileError, OutsideFolderError)):
        named_file(special.parent / "a.xml", special.name)


@pytest.mark.parametrize("path", ["recording", "recording/a.tif", "absent", "a\0b", "x" * 5000])
def test_all_other_paths_are_not_special(place, path):
    assert not is_special(place / path)
    require_ordinary(place / path)
    check_output(place / path)


# --- names in files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b.tif", "raw/b.tif", "raw/../a.tif", "../recording/a.tif", "."])
def test_names_within_the_folder(place, name):
    found = named_file(place / "recording/a.xml", name)
    assert found == place / "recording" / name


@pytest.mark.parametrize("name", ["..\\private\\key", "C:\\data\\a.tif", "\\\\host\\share\\a.tif"])
def test_names_of_windows_are_those_of_files_in_the_folder(place, name):
    """Here a backslash is a character like others, so that such a name leads nowhere."""
    assert named_file(place / "recording/a.xml", name).parent == place / "recording"
    assert named_elsewhere(place / "recording/a.xml", [name]) == []


@pytest.mark.parametrize(
    "name", ["../private/key", "raw/../../private/key", "/etc/passwd", "../recording-2/c.tif", ".."]
)
def test_names_that_lead_out(place, name):
    with pytest.raises(OutsideFolderError) as caught:
        named_file(place / "recording/a.xml", name, of="'mov'")
    assert str(caught.value).startswith(
        f"'mov' in '{place}/recording/a.xml' names '{name}', which lies outside of the folder "
        f"'{place}/recording', and is not read. If it belongs to the recording, give allow_outside="
    )
    with pytest.raises(OutsideFolderError, match=f"^'{place}/recording/a.xml' names "):
        named_file(place / "recording/a.xml", name)
    with pytest.raises(OutsideFolderError):
        named_elsewhere(place / "recording/a.xml", ["a.tif", name])


def test_names_from_home_and_of_variables_are_no_more_than_names(place):
    for name in ("~/key", "$HOME/key", "%USERPROFILE%", "http://host/a.tif", "file:///etc/passwd"):
        assert named_file(place / "recording/a.xml", name) == place / "recording" / name


def test_the_block_decides_where_names_may_lead(place):
    with reading_from([place / "recording"], [place / "private", place / "recording-2"]):
        named_file(place / "recording/a.xml", "../private/key")
        named_file(place / "recording/a.xml", "../recording-2/c.tif")
        with pytest.raises(OutsideFolderError):
            named_file(place / "recording/a.xml", "../other/key")


def test_a_name_may_lie_elsewhere_than_beside_its_file(place):
    inside = place / "recording/raw/b.tif"
    assert named_file(place / "recording/a.xml", "x", place=inside) == inside
    with pytest.raises(OutsideFolderError, match="names 'x'"):
        named_file(place / "recording/a.xml", "x", place=place / "private/key")


def test_names_with_folders_are_returned(place):
    names = ["a.tif", "raw/b.tif", "./a.tif", "raw"]
    assert named_elsewhere(place / "recording/a.xml", names) == ["raw/b.tif", "./a.tif"]


def test_the_remedy_names_a_folder(place):
    (place / "link").symlink_to("private/key")
    for path in ("private/key", "private", "private/absent", "link"):
        folder = place / "private"
        assert remedy(place / path) == (
            f"give allow_outside='{folder}' (on the command line --option allow_outside={folder})"
        )


# --- links in folders ---------------------------------------------------------------------------


def test_links_in_a_folder_that_lead_out_of_it(place):
    recording = place / "recording"
    check_links_in(recording)
    (recording / "in").symlink_to("raw/b.tif")
    (recording / "back").symlink_to("..")
    (recording / "raw/back").symlink_to(recording)
    (recording / "absent").symlink_to("../private/absent")
    (recording / ".hidden").symlink_to("../private/key")
    check_links_in(recording)
    (recording / "raw/out").symlink_to("../../private/key")
    (recording / "out").symlink_to("../private")
    assert list(links_leading_out(recording)) == [recording / "out", recording / "raw/out"]
    assert list(links_leading_out(recording, depth=0)) == [recording / "out"]
    with pytest.raises(OutsideFolderError, match=r"out' is a link to '.*private', which lies"):
        check_links_in(recording)
    with reading_from([recording], [place / "private"]):
        check_links_in(recording)


def test_stores_are_searched_in_full(place):
    store = place / "recording/a.zarr"
    deep = store / "b/c/d/e/f"
    deep.mkdir(parents=True)
    (store / ".zgroup").write_text("{}")
    (deep / "0.0").symlink_to(place / "private/key")
    assert list(links_leading_out(place / "recording")) == [deep / "0.0"]
    assert list(links_leading_out(place / "recording", in_stores=False)) == []
    (deep / ".zarray").symlink_to(place / "private/key")
    assert list(links_leading_out(store)) == [deep / ".zarray", deep / "0.0"]
    os.mkfifo(deep / ".zattrs")
    with pytest.raises(SpecialFileError, match="zattrs"):
        list(links_leading_out(store))


def test_a_folder_that_cannot_be_listed_holds_no_links(place):
    assert list(links_leading_out(place / "absent")) == []


def test_links_that_lead_out_or_back(place):
    recording, reach = place / "recording", reach_of([place / "recording"])
    for name, target, is_out, is_back in (
        ("in", "raw", False, False),
        ("out", "../private", True, False),
        ("back", "..", False, True),
        ("self", ".", False, True),
        ("absent", "nothing", False, False),
        ("circle", "circle", False, False),
    ):
        link = recording / name
        link.symlink_to(target)
        assert leads_out(link, reach) is is_out
        assert leads_back(link) is is_back
    assert not leads_back(recording)
