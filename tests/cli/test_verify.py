"""``nwb-ophys verify``: its lines and exit codes."""

from __future__ import annotations

import json

import h5py

START = ("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00")
MOVIE = ("movie.tif", "--option", "sampling_frequency=30", *START)


def test_equal_different_and_mistaken(run, raw):
    assert run("convert", *MOVIE, "-o", "a.nwb").code == 0
    done = run("verify", "a.nwb")
    assert (done.code, done.err) == (0, "")
    assert done.out.strip().endswith("compared with their hashes: all equal.")
    with h5py.File("a.nwb", "r+") as file:
        file["acquisition/TwoPhotonSeries/data"][3, 2, 1] += 1
    done = run("verify", "a.nwb")
    assert done.code == 1
    assert "differs: 'acquisition/TwoPhotonSeries/data': frames" in done.out
    assert run("verify", "absent.nwb").is_mistake("does not exist")
    assert run("verify", "movie.tif").is_mistake("movie.tif")
    assert run("verify", "a.nwb", "absent").is_mistake("does not exist")


def test_the_last_line_answers_for_the_sources(run, raw):
    assert run("convert", *MOVIE, "-o", "a.nwb", "--hash-sources").code == 0
    done = run("verify", "a.nwb", "movie.tif")
    assert done.code == 0, done.out
    assert done.out.splitlines()[-1].startswith("May the source files be deleted? Yes: ")
    done = run("verify", "a.nwb", ".")
    assert done.code == 1
    assert "the conversion did not read" in done.out.splitlines()[-1]


def test_the_command_is_in_the_record(run, raw):
    assert run("convert", str(raw / "movie.tif"), *MOVIE[1:], "-o", str(raw / "a.nwb")).code == 0
    with h5py.File("a.nwb") as file:
        record = json.loads(file["scratch/nwb_ophys_record"].asstr()[()])
        script = file["general/source_script"].asstr()[()]
    expected = ["nwb-ophys", "convert", *MOVIE, "-o", "a.nwb"]
    assert record["command"] == expected
    assert script.endswith(" ".join(expected))


def test_names_from_the_file_are_printed_with_control_characters_escaped(run, raw):
    assert run("convert", *MOVIE, "-o", "a.nwb").code == 0
    with h5py.File("a.nwb", "r+") as file:
        file["analysis/\x1b[31mred"] = [1, 2]
    done = run("verify", "a.nwb")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "not written by nwb_ophys: 1 dataset" in done.out
