"""The command ``nwb-ophys edit``."""

from __future__ import annotations

import pytest
from pynwb import NWBHDF5IO

SETTINGS = (
    *("--option", "sampling_frequency=30", "--set"),
    "NWBFile.session_start_time=2024-05-17T14:30:00+02:00",
)


@pytest.fixture
def session(run, raw):
    assert run("convert", "movie.tif", "-o", "a.nwb", *SETTINGS).code == 0
    return raw / "a.nwb"


def test_changes_are_listed_and_the_new_name_is_offered(run, session):
    name = "Ophys.ImagingPlane.ImagingPlane.location=VISp"
    done = run("edit", "a.nwb", "--set", "Subject.subject_id=M7", "--set", name)
    assert done.code == 0
    first, *lines = done.out.splitlines()
    assert first == "a.nwb: 2 fields changed"  # the path as it was given
    place = "general/optophysiology/ImagingPlane/location"
    assert lines == [
        f"  Ophys.ImagingPlane.0.location: 'unknown' is now 'VISp' ({place})",
        "  Subject.subject_id: added, 'M7' (general/subject/subject_id)",
        "Name in the DANDI archive: sub-M7/sub-M7_ses-20240517T143000_ophys.nwb (the file is not "
        "renamed)",
    ]
    with NWBHDF5IO(session, "r") as io:
        assert io.read().subject.subject_id == "M7"
    assert run("verify", "a.nwb").code == 0
    again = run("edit", "a.nwb", "--set", "Subject.subject_id=M7")
    assert (again.code, again.out) == (
        0,
        "a.nwb: nothing to change; the file has these values.\n",
    )
    removed = run("edit", "a.nwb", "--set", "Subject.subject_id=null")
    assert "Subject.subject_id: removed, was 'M7'" in removed.out


def test_mistakes_take_one_line(run, session):
    before = session.read_bytes()
    for words, *arguments in (
        ("give --set KEY=VALUE", "a.nwb"),
        ("it must be KEY=VALUE", "a.nwb", "--set", "Subject.sex"),
        ("Did you mean 'sex'", "a.nwb", "--set", "Subject.sxe=F"),
        ("write 'M' (male)", "a.nwb", "--set", "Subject.sex=blue"),
        ("does not exist", "b.nwb", "--set", "Subject.sex=F"),
        ("edit changes files on a disk only", "s3://b/a.nwb", "--set", "Subject.sex=F"),
    ):
        assert run("edit", *arguments).is_mistake(words), words
    assert session.read_bytes() == before


def test_convert_takes_names_of_entries(run, raw):
    name = "Ophys.ImagingPlane.ImagingPlane.location=VISp"
    assert run("convert", "movie.tif", "-o", "a.nwb", *SETTINGS, "--set", name).code == 0
    with NWBHDF5IO("a.nwb", "r") as io:
        assert io.read().imaging_planes["ImagingPlane"].location == "VISp"


def test_a_file_that_another_program_writes_is_said_to_be_open(run, session):
    fcntl = pytest.importorskip("fcntl")  # HDF5 locks what it writes in the same way
    with session.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for command in (
            ("edit", "a.nwb", "--set", "Subject.sex=F"),
            ("verify", "a.nwb"),
            ("repack", "a.nwb", "-o", "b.nwb"),
            ("report", "a.nwb"),
            ("detect", "a.nwb"),
            ("convert", "a.nwb", "-o", "b.nwb"),
        ):
            done = run(*command)
            assert done.is_mistake("t is open for writing in another program; close it"), command
            assert done.err.endswith("run this again.\n"), command
        found = run("inspect", "a.nwb")
    assert found.code == 1
    assert "cannot be read as NWB: It is open for writing in another program;" in found.out


def test_repack_says_the_size_that_a_file_had(run, session):
    size = f"{session.stat().st_size / 1e6:.1f}"
    session.with_name("link.nwb").symlink_to(session)
    for path, output in (("link.nwb", "b.nwb"), ("a.nwb", "a.nwb")):
        with session.open("ab") as file:  # what lies behind the file is not copied
            file.write(bytes(2_000_000))
        had = f"from {session.stat().st_size / 1e6:.1f} MB"
        done = run("repack", path, "-o", output, "--overwrite")
        assert done.out.endswith(f"{size} MB, {had}\n"), path
