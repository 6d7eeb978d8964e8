"""Tests of metadata on the command line: files, --set, subjects and options that change them."""

from __future__ import annotations

import os
import re

import pytest
from pynwb import NWBHDF5IO

from nwb_ophys.documents import parse_yaml

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
RATE = ("--option", "sampling_frequency=30")
ONE = ("--option", "photon_series_type=OnePhotonSeries")
MOVIE = ("convert", "movie.tif", "-o", "a.nwb", *RATE)


def _planes(path):
    with NWBHDF5IO(path, "r") as io:
        return {name: plane.location for name, plane in io.read().imaging_planes.items()}


def test_a_key_without_index_sets_every_entry_of_a_list(run, raw):
    assert run("convert", "suite2p", "-o", "a.nwb", "--set", START).code == 0
    names = list(_planes("a.nwb"))
    assert len(names) == 2
    every = ("--set", "Ophys.ImagingPlane.location=VISp")
    assert run("convert", "suite2p", "-o", "b.nwb", "--set", START, *every).code == 0
    assert _planes("b.nwb") == dict.fromkeys(names, "VISp")
    first = ("--set", "Ophys.ImagingPlane.0.location=LM")
    assert run("convert", "suite2p", "-o", "c.nwb", "--set", START, *every, *first).code == 0
    assert sorted(_planes("c.nwb").values()) == ["LM", "VISp"]
    light = ("--set", "Ophys.ImagingPlane.optical_channel.emission_lambda=520")
    assert run("convert", "suite2p", "-o", "d.nwb", "--set", START, *light).code == 0
    with NWBHDF5IO("d.nwb", "r") as io:
        for plane in io.read().imaging_planes.values():
            assert plane.optical_channel[0].emission_lambda == 520


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("Ophys.ImagingPlane.7.location", ["'7' is not an index", "0 ('ImagingPlane')"]),
        ("Ophys.ImagingPlane.lokation", ["'lokation'", "Did you mean 'location'", "indicator"]),
        ("Ophys.Planes.0.name", ["no key 'Planes'", "ImagingPlane"]),
        ("Ophys.OnePhotonSeries.0.name", ["TwoPhotonSeries", f"{ONE[0]} {ONE[1]}"]),
        ("NWBFile.lab.name", ["which has no keys"]),
    ],
)
def test_a_wrong_index_or_key_is_refused_with_those_that_exist(run, raw, key, words):
    told = run(*MOVIE, "--set", START, "--set", f"{key}=x")
    assert told.is_mistake(key, *words)
    assert not (raw / "a.nwb").exists()


def test_null_is_the_default(run, raw):
    (raw / "meta.yaml").write_text(
        "NWBFile: {lab: null}\n"
        "Ophys:\n"
        "  ImagingPlane:\n"
        "  - {name: ImagingPlane, device: null, location: null, indicator: GCaMP6s,\n"
        "     excitation_lambda: null, optical_channel: [{name: null, emission_lambda: null}]}\n"
    )
    (raw / "meta.json").write_text(
        '{"Subject": null, "Ophys": {"ImagingPlane": [{"name": null, "device": null, "location":'
        ' null, "indicator": null, "excitation_lambda": null, "optical_channel": null}]}}'
    )
    for name in ("meta.yaml", "meta.json"):
        arguments = ("--set", START, "--metadata", name, "--overwrite")
        assert run(*MOVIE, *arguments, "--set", "Ophys.ImagingPlane.indicator=null").code == 0
        assert _planes("a.nwb") == {"ImagingPlane": "unknown"}


def test_all_errors_of_a_file_are_reported_at_once(run, raw):
    (raw / "meta.yaml").write_text(
        "NWBFile: {lab: 7, labb: x, keywords: [1]}\n"
        "Subject: {sex: x, age: adult}\n"
        "Ophys: {Device: [{name: a/b}], ImagingPlane: [{name: P}]}\n"
    )
    told = run(*MOVIE, "--metadata", "meta.yaml")
    assert told.code == 2
    lines = told.err.splitlines()
    assert all(line.startswith("Error: metadata[") for line in lines)
    for word in (
        *('["lab"]', "'labb'", '["keywords"][0]', '["sex"]', '["age"]', "'a/b'", "lacks 'device'"),
        *('["TwoPhotonSeries"][0]["imaging_plane"]', "lacks 'session_start_time'"),
    ):
        assert sum(word in line for line in lines) == 1, word
    assert not (raw / "a.nwb").exists()


def test_an_option_that_changes_the_metadata_is_known_to_all_commands(run, raw):
    described = run("metadata", "movie.tif", *RATE, *ONE)
    document = parse_yaml(described.out)
    (series,) = document["Ophys"]["OnePhotonSeries"]
    assert series["description"] == "One-photon imaging movie."
    assert "wo-photon" not in described.out
    (raw / "meta.yaml").write_text(described.out)
    named = ("--set", "Ophys.OnePhotonSeries.0.name=Widefield", "--set", START)
    assert run(*MOVIE, *ONE, *named, "--metadata", "meta.yaml").code == 0
    with NWBHDF5IO("a.nwb", "r") as io:
        series = io.read().acquisition["Widefield"]
        assert type(series).__name__ == "OnePhotonSeries"
        assert series.description == "One-photon imaging movie."
    # A document that was made without the option serves as well.
    (raw / "two.yaml").write_text(run("metadata", "movie.tif", *RATE).out)
    arguments = ("--metadata", "two.yaml", "--set", START, "--overwrite")
    assert run(*MOVIE, *ONE, *arguments).code == 0
    with NWBHDF5IO("a.nwb", "r") as io:
        assert list(io.read().acquisition) == ["OnePhotonSeries"]


def test_the_document_has_what_archives_want_as_comments(run, raw):
    text = run("metadata", "movie.tif", *RATE).out
    wanted = ("session_id", "experimenter", "institution", "lab", "keywords")
    for key in (*wanted, "experiment_description", "subject_id", "species", "sex", "age", "weight"):
        assert f"# {key}: " in text or f"#   {key}: " in text, key
    assert set(parse_yaml(text)) == {"NWBFile", "Ophys"}
    assert list(parse_yaml(text)["NWBFile"]) == ["session_start_time", "session_description"]
    # With all comments filled in, it can be converted.
    keys = text[text.index("NWBFile:") :]
    (raw / "meta.yaml").write_text(re.sub(r"^(\s*)# ", r"\1", keys, flags=re.MULTILINE))
    told = run(*MOVIE, "--metadata", "meta.yaml", "--set", START)
    assert told.code == 0, told
    with NWBHDF5IO("a.nwb", "r") as io:
        nwbfile = io.read()
        assert (nwbfile.subject.subject_id, nwbfile.subject.weight) == ("M7", "0.025 kg")
        assert list(nwbfile.keywords) == ["calcium imaging", "visual cortex"]


def test_a_stated_subject_is_described_in_the_form_that_is_written(run, raw):
    told = run("metadata", "movie.tif", *RATE, "--set", "Subject.species=mouse")
    assert parse_yaml(told.out)["Subject"] == {"species": "Mus musculus"}
    assert "# subject_id: " in told.out
    assert "Note: " in told.err


def test_a_note_per_turned_field(run, raw):
    given = {"age": "3 months", "sex": "male", "species": "mouse", "weight": "25"}
    settings = [part for key in given for part in ("--set", f"Subject.{key}={given[key]}")]
    told = run(*MOVIE, "--set", START, *settings)
    assert told.code == 0
    notes = [line for line in told.err.splitlines() if line.startswith("Note: ")]
    assert len(notes) == 4
    for key in given:
        assert sum(f'metadata["Subject"]["{key}"] is ' in note for note in notes) == 1


# --- outputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["convert", "repack", "overwrite"])
def test_an_output_that_is_a_folder_is_refused_as_one(run, raw, command):
    (raw / "results").mkdir()
    assert run(*MOVIE, "--set", START).code == 0
    for name in ("results", "results/", "new/"):
        arguments = ("repack", "a.nwb", "-o", name)
        if command != "repack":
            arguments = ("convert", "movie.tif", "-o", name, *RATE, "--set", START)
        told = run(*arguments, *(["--overwrite"] if command == "overwrite" else []))
        assert told.is_mistake(name.rstrip("/"), "is a folder", f"{name.rstrip('/')}/session.nwb")
    assert not list((raw / "results").iterdir())
    assert not (raw / "new").exists()


def test_a_place_that_cannot_be_written_is_named(run, raw, monkeypatch):
    (raw / "file").write_text("text")
    to_file = ("convert", "movie.tif", "-o", "file/a.nwb", *RATE, "--set", START)
    assert run(*to_file).is_mistake("file' is a file, not a folder")
    to_none = ("convert", "movie.tif", "-o", "none/a.nwb", *RATE, "--set", START)
    assert run(*to_none).is_mistake("none' does not exist; make it first")
    assert run("demo", "file").is_mistake("file' is a file, not a folder")
    assert run("demo", "file/demo").is_mistake("file' is a file, not a folder")
    assert run("metadata", "suite2p", "-o", "suite2p").is_mistake("'suite2p' is a folder")
    told = run("metadata", "suite2p", "-o", "absent/")
    assert told.is_mistake("'absent/' is a folder, which does not exist", "absent/metadata.yaml")
    told = run("report", "any.nwb", "-o", "absent/")
    assert told.is_mistake("'absent/' is a folder, which does not exist", "absent/report.html")
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK | os.X_OK)
    assert run(*MOVIE, "--set", START).is_mistake("does not allow new files")
    assert run("demo", "demo").is_mistake("does not allow new files")


def test_the_dictionary_form_is_written_and_read(run, raw):
    edits = ("--set", START, "--set", "Ophys.ImagingPlane.location=VISp")
    made = run("metadata", "movie.tif", *RATE, *edits, "--style", "neuroconv", "-o", "meta.yaml")
    assert made.code == 0
    document = (raw / "meta.yaml").read_text()
    assert "metadata_key" in document
    found = parse_yaml(document)
    assert list(found) == ["NWBFile", "Devices", "Ophys"]
    assert found["Ophys"]["ImagingPlanes"]["ImagingPlane"]["location"] == "VISp"
    assert run(*MOVIE, "--metadata", "meta.yaml").code == 0
    assert _planes("a.nwb") == {"ImagingPlane": "VISp"}
    (raw / "wrong.yaml").write_text(document.replace("location:", "locaton:"))
    told = run("convert", "movie.tif", "-o", "b.nwb", *RATE, "--metadata", "wrong.yaml")
    assert told.is_mistake("unknown key 'locaton'", "Did you mean 'location'")
    assert run("metadata", "movie.tif", "--style", "toml").is_mistake("'toml' is not one of")
