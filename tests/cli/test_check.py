"""Tests of ``nwb-ophys check``."""

from __future__ import annotations

import json
import shlex

import pytest

from nwb_ophys.opening import check_metadata_for_archive, open_recording

RATE = ("--option", "sampling_frequency=30")
START = ("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00")
SUBJECT = (
    *("--set", "Subject.subject_id=M7", "--set", "Subject.species=mouse"),
    *("--set", "Subject.sex=female", "--set", "Subject.age=3 months"),
)


def test_the_cures_make_a_file_that_the_archive_accepts(run, raw):
    before = sorted(raw.rglob("*"))
    told = run("check", "movie.tif", "suite2p", *RATE)
    assert (told.code, told.err) == (1, "")
    assert told.out.splitlines()[-1] == "For the DANDI archive: 5 required, 8 advised."
    lines = told.out.splitlines()[:-1]
    assert lines[0].startswith("required  Subject.subject_id: The subject id is missing; ")
    cures = [word for line in lines[1::2] for word in shlex.split(line)]
    assert cures[:4] == ["--set", "Subject.subject_id=M7", "--set", "Subject.species=Mus musculus"]
    cured = run("check", "movie.tif", "suite2p", *RATE, *cures)
    # Further facts are advised of a subject that is there, and of one that is a mouse.
    assert [line.split(":")[0] for line in cured.out.splitlines()[::2]] == [
        "advised   Subject.description",
        "advised   Ophys.ImagingPlane.location",
        "For the DANDI archive",
    ]
    assert cured.code == 0
    assert sorted(raw.rglob("*")) == before
    made = run("convert", "movie.tif", "suite2p", "-o", "a.nwb", *RATE, *cures)
    assert made.code == 0, made
    assert run("inspect", "a.nwb", "--for", "dandi").code == 0


def test_options_and_metadata_are_those_of_convert(run, raw):
    (raw / "meta.yaml").write_text("Subject: {subject_id: M7, species: rat}\n")
    told = run("check", "suite2p", "--metadata", "meta.yaml", "--set", "Subject.sex=X", *START)
    assert "Subject.subject_id" not in told.out
    assert "required  Subject.sex: The sex is 'X'; write 'M' (male)" in told.out
    assert "NWBFile.session_start_time" not in told.out
    # What is written in another form is said, as in a conversion.
    assert "'rat'; it is written as 'Rattus norvegicus'" in told.err


def test_json(run, raw):
    told = run("check", "suite2p", "--json", *START, *SUBJECT)
    found = json.loads(told.out)
    assert (told.code, found["accepted"], found["paths"]) == (0, True, ["suite2p"])
    assert {"importance", "key", "message", "cure"} == set(found["findings"][0])
    told = run("check", "suite2p", "--json")
    assert (told.code, json.loads(told.out)["accepted"]) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], ["'absent'"]),
        (["movie.tif"], ["sampling_frequency"]),
        (["suite2p", "--set", "NWBFile.sesion_id=1"], ["Did you mean 'session_id'?"]),
        (["suite2p", "--set", "sex=F"], ["Did you mean 'Subject.sex'?"]),
        (["suite2p", "--set", "NWBFile.session_start_time=noon"], ["'noon'"]),
        (["suite2p", "--set", "Ophys.ImagingPlane.device=X", "--set", "Subject.sex=X"], ["'X', "]),
        (["suite2p", "--metadata", "absent.yaml"], ["'absent.yaml'"]),
        (["suite2p", "--format", "suite3p"], ["suite3p"]),
    ],
)
def test_mistakes(run, raw, arguments, words):
    told = run("check", *arguments)
    assert told.is_mistake(*words), told
    assert told.out == ""


def test_no_pixel_is_read(raw, monkeypatch):
    recording = open_recording([raw / "movie.tif"], options={"sampling_frequency": "30"})

    def refuse(*_, **__):
        raise AssertionError("pixels were read")

    for interface in recording.converter.interfaces.values():
        for method in ("get_series", "get_volume", "get_frames", "get_video"):
            if hasattr(type(interface.extractor), method):
                monkeypatch.setattr(type(interface.extractor), method, refuse)
    assert check_metadata_for_archive(recording.converter)
    recording.converter.close()


def test_metadata_of_the_caller_are_not_changed(raw):
    recording = open_recording([raw / "suite2p"])
    metadata = {"Subject": {"subject_id": "M7"}}
    findings = check_metadata_for_archive(recording.converter, metadata)
    assert [f.key for f in findings][:2] == ["Subject.species", "Subject.sex"]
    assert metadata == {"Subject": {"subject_id": "M7"}}
    recording.converter.close()
