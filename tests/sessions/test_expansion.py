"""Specifications become sessions, whose values are merged from all that state them."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from nwb_ophys.documents import parse_yaml
from nwb_ophys.errors import SpecificationError
from nwb_ophys.paths import plain_path
from nwb_ophys.sessions import outputs, sessions_of, specification_schema
from nwb_ophys.sessions.specification import DEFAULTS_FILE, parse_specification
from nwb_ophys.sessions.states import settings_fingerprint, sources_fingerprint


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the settings of the user lie in a folder of the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "nwb-ophys" / DEFAULTS_FILE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for subject in ("M1", "M2"):
        for session in ("a", "b"):
            place = tmp_path / "raw" / subject / session
            place.mkdir(parents=True)
            (place / "movie.tif").touch()
    return tmp_path


def sessions(folder: Path, text: str):
    path = folder / "lab.yaml"
    path.write_text(text)
    return sessions_of(path)


def by_key(found):
    return {each.key: each for each in found}


PATTERN = "sessions: [{pattern: 'raw/{subject_id}/{session_id}'}]\n"


def test_each_match_is_a_session_with_a_name_of_dandi(folder):
    found = by_key(sessions(folder, "output: dandi\n" + PATTERN))
    assert list(found) == ["M1/a", "M1/b", "M2/a", "M2/b"]
    first = found["M1/a"]
    assert first.paths == (str(folder / "raw/M1/a"),)
    assert first.stated("Subject", "subject_id") == "M1"
    assert first.stated("NWBFile", "session_id") == "a"
    assert Path(first.shown_output) == folder / "dandi/sub-M1/sub-M1_ses-a_ophys.nwb"


def test_paths_within_a_match_and_templates_of_outputs(folder):
    text = (
        "output: 'files/{subject_id}-{session_id}.nwb'\n"
        "sessions:\n"
        "  - pattern: raw/{subject_id}/{session_id}\n"
        "    paths: ['*.tif', 'absent-{session_id}']\n"
    )
    first = by_key(sessions(folder, text))["M1/a"]
    assert first.paths == (str(folder / "raw/M1/a/movie.tif"),)
    assert Path(first.output) == folder / "files/M1-a.nwb"
    (fault,) = first.faults
    assert "absent-a' does not exist" in fault


def test_later_layers_win_and_each_value_says_where_it_is_from(folder, own_settings):
    own_settings.parent.mkdir(parents=True)
    own_settings.write_text("metadata: {NWBFile: {lab: user, institution: user, notes: user}}")
    (folder / DEFAULTS_FILE).write_text("metadata: {NWBFile: {lab: defaults, institution: X}}")
    (folder / "meta.yaml").write_text("{NWBFile: {lab: file}, Subject: {species: mouse, sex: U}}")
    (folder / "participants.tsv").write_text("participant_id\tsex\tstrain\nsub-M1\tF\tBL6\n")
    text = (
        "output: out\nmetadata: meta.yaml\nsubjects: participants.tsv\n"
        "options: {stub_samples: 3, sampling_frequency: 30}\n"
        "sessions:\n"
        "  - pattern: raw/{subject_id}/{session_id:a}\n"
        "  - pattern: raw/{subject_id}/{session_id:b}\n"
        "    metadata: {Subject: {strain: own}}\n"
        "    options: {sampling_frequency: 7.5}\n"
    )
    with pytest.warns(UserWarning, match="no row of 'M2'"):
        found = by_key(sessions(folder, text))
    first, second, other = found["M1/a"], found["M1/b"], found["M2/a"]
    assert first.metadata["NWBFile"] == {"lab": "file", "institution": "X", "notes": "user"}
    assert first.stated("Subject", "sex") == "F"
    assert (first.stated("Subject", "strain"), second.stated("Subject", "strain")) == (
        "BL6",
        "own",
    )
    assert other.stated("Subject", "sex") == "U"
    assert second.options == {"stub_samples": 3, "sampling_frequency": 7.5}
    origins = second.origins
    assert origins["Subject.sex"] == "participants.tsv, line 2, sex"
    assert origins["Subject.strain"] == "lab.yaml, sessions[1].metadata.Subject.strain"
    assert origins["NWBFile.lab"] == "meta.yaml, NWBFile.lab"
    assert origins["options.stub_samples"] == "lab.yaml, options.stub_samples"


def test_a_table_states_paths_options_settings_and_metadata(folder):
    (folder / "sessions.csv").write_text(
        "subject_id,session_id,path,Subject.sex,options.sampling_frequency,backend,rig,"
        "Ophys.ImagingPlane.location\n"
        "M1,a,raw/M1/a; raw/M1/b,F,30,zarr,A,VISp\n"
        "M2,b,raw/M2/c,,7.5,,B,\n"
    )
    text = "output: 'out/{rig}-{subject_id}.nwb.zarr'\nsessions: [{table: sessions.csv}]\n"
    found = by_key(sessions(folder, text))
    first, second = found["M1/a"], found["M2/b"]
    assert first.paths == (str(folder / "raw/M1/a"), str(folder / "raw/M1/b"))
    assert first.options == {"sampling_frequency": "30"}
    assert first.settings == {"backend": "zarr"}
    assert first.edits["Ophys.ImagingPlane.location"] == "VISp"
    assert Path(first.output).name == "A-M1.nwb.zarr"
    assert "Subject.sex" not in second.edits
    assert "raw/M2/c' does not exist" in second.faults[0]


def test_columns_that_are_not_written_are_named(folder):
    (folder / "s.csv").write_text("subject_id,session_id,path,comment\nM1,a,raw/M1/a,x\n")
    with pytest.warns(UserWarning, match="'comment'"):
        sessions(folder, "output: out\nsessions: [{table: s.csv}]\n")


def test_a_single_session(folder):
    text = "output: out\nsessions: [{paths: raw/M1/a, subject_id: M1, session_id: '1'}]\n"
    (only,) = sessions(folder, text)
    assert (only.key, only.paths) == ("M1/1", (str(folder / "raw/M1/a"),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("output: o\n", "lacks 'sessions'"),
        ("output: o\nsessions: []\n", "sessions"),
        ("outptu: o\n" + PATTERN, "unknown key 'outptu'. Did you mean 'output'"),
        ("output: o\nsessions: [{pattern: a, table: b}]\n", "both 'pattern' and 'table'"),
        ("output: o\nsessions: [{options: {}}]\n", "needs one of"),
        ("output: o\nsessions: [{pattern: 'a', subject_id: M}]\n", "only a single session has"),
        ("output: o\nsessions: [{pattern: 'rwa/{a}'}]\n", "nothing matches"),
        ("output: o.nwb\n" + PATTERN, "would be the file of two sessions"),
        ("output: o\nmetadata: {NWBFile: {labb: x}}\n" + PATTERN, "Did you mean 'NWBFile.lab'"),
        ("output: o\nmetadata: 7\n" + PATTERN, "metadata"),
        ("output: o\nbackend: hdf\n" + PATTERN, "one of 'hdf5', 'zarr'"),
        (PATTERN, "no 'output'"),
        ("- a\n", "no dictionary"),
        ("output: [\n", "not valid"),
    ],
)
def test_wrong_specifications_are_refused_with_the_key(folder, text, words):
    with pytest.raises(SpecificationError) as error:
        sessions(folder, text)
    assert words in str(error.value)


@pytest.mark.parametrize("is_ignored", [False, True])
def test_outputs_that_differ_in_case_are_one_file_where_the_disk_ignores_it(
    is_ignored, folder, monkeypatch
):
    """The second session would replace the file of the first, or be refused because of it."""
    monkeypatch.setattr(outputs, "ignores_case", lambda _: is_ignored)
    (folder / "s.csv").write_text("subject_id,session_id,path\nm1,a,raw/M1/a\nM1,a,raw/M1/b\n")
    text = "output: 'out/{subject_id}.nwb'\nsessions: [{table: s.csv}]\n"
    if not is_ignored:
        assert len(sessions(folder, text)) == 2
        return
    with pytest.raises(SpecificationError, match="would be the file of two sessions: 'm1/a'"):
        sessions(folder, text)


@pytest.mark.parametrize("output", ["raw", "{subject_id}/nwb", "raw/{subject_id}_{session_id}.nwb"])
def test_outputs_among_the_recordings_are_no_sessions(folder, output):
    (folder / "raw/sub-M1").mkdir()
    for name in ("M1_a.nwb", "sub-M1/sub-M1_ses-a_ophys.nwb", "sub-M1/sub-M1_ses-a_ophys.nwb.html"):
        (folder / "raw" / name).touch()
    text = f"output: '{output}'\n" + PATTERN
    expected = ["M1/a", "M1/b", "M2/a", "M2/b"]
    if "nwb" in output.split("/"):  # elsewhere NWB files may be recordings
        expected += ["sub-M1/sub-M1_ses-a_ophys.nwb", "sub-M1/sub-M1_ses-a_ophys.nwb.html"]
        with pytest.warns(UserWarning, match="matches folders only"):
            found = sessions(folder, text)
    else:
        found = sessions(folder, text)
    assert [each.key for each in found] == expected


@pytest.mark.parametrize("output", ["raw/out", "raw/out/{subject_id}.nwb"])
def test_the_folder_of_the_outputs_is_no_session(folder, output):
    (folder / "raw/out/sub-M1").mkdir(parents=True)
    (folder / "raw/out/sub-M1/sub-M1_ophys.nwb").touch()
    text = f"output: '{output}'\nsessions:\n- pattern: raw/{{subject_id}}\n"
    assert [each.key for each in sessions(folder, text)] == ["M1", "M2"]
    # The folder of a recording may hold its own output, and be of NWB alone.
    (folder / "raw/out/sub-M1/movie.tif").touch()
    assert [each.key for each in sessions(folder, text)] == ["M1", "M2", "out"]
    (folder / "raw/out/sub-M1/movie.tif").unlink()
    text = text.replace(output, "raw/{subject_id}")
    assert [each.key for each in sessions(folder, text)] == ["M1", "M2", "out"]


def test_names_of_a_lab_with_brackets(folder):
    name = "M1=x, [ex]"
    place = folder / "raw" / name / "a"
    place.mkdir(parents=True)
    for file in (f"a {name}.tif", f"{name}.csv", "trials [1].csv"):
        (place / file).touch()
    text = (
        "output: dandi\npaths: '*{subject_id}.tif'\n"
        "times: '{subject_id}.csv,unit=s'\ntrials: 'trials [1].csv'\n"
    )
    (found,) = (each for each in sessions(folder, text + PATTERN) if each.key == f"{name}/a")
    assert found.paths == (str(place / f"a {name}.tif"),)
    assert found.clocks["times"] == [{"unit": "s", "file": str(place / f"{name}.csv")}]
    assert found.clocks["trials"] == {"file": str(place / "trials [1].csv")}
    assert found.faults == ()


def test_two_sessions_of_the_same_ids_are_refused_with_both_paths(folder):
    text = (
        "output: out\nmetadata: {Subject: {subject_id: M}}\n"
        "sessions: [{pattern: 'raw/*/{session_id}'}]\n"
    )
    with pytest.raises(SpecificationError) as error:
        sessions(folder, text)
    assert str(folder / "raw/M1/a") in str(error.value)
    assert str(folder / "raw/M2/a") in str(error.value)


def test_the_schema_is_valid_and_accepts_what_is_read():
    schema = specification_schema()
    Draft202012Validator.check_schema(schema)
    text = "output: dandi\nsessions: [{pattern: 'raw/{subject_id}'}, {table: a.tsv}]\n"
    Draft202012Validator(schema).validate(parse_yaml(text))
    assert not Draft202012Validator(schema).is_valid(
        {"output": "dandi", "sessions": [{"patern": "a"}]}
    )
    assert parse_specification(parse_yaml(text), "a").sessions[1].table == "a.tsv"


def test_sessions_that_convert_the_same_recording_are_named(folder):
    (folder / "raw" / "M3").symlink_to(folder / "raw" / "M1")
    (folder / "more.tsv").write_text("subject_id\tsession_id\tpath\nM2\tc\traw/M2/a/movie.tif\n")
    text = "output: dandi\n" + PATTERN.replace("]", ", {table: more.tsv}]")
    with pytest.warns(UserWarning, match="same recording") as caught:
        assert len(sessions(folder, text)) == 7
    said = sorted(str(each.message) for each in caught)
    assert [each.partition(" convert")[0] for each in said] == [
        "The sessions 'M1/a', 'M3/a'",
        "The sessions 'M1/b', 'M3/b'",
        "The sessions 'M2/a', 'M2/c'",
    ]
    assert said[2].endswith(
        f"'{folder / 'raw/M2/a'}'. If that is not intended, leave it out of one of them."
    )


def test_parts_of_one_recording_are_sessions_of_their_own(folder):
    (folder / "parts.tsv").write_text(
        "subject_id\tsession_id\tpath\toptions.unit\nM1\t1\traw/M1/a\t1\nM1\t2\traw/M1/a\t2\n"
    )
    assert len(sessions(folder, "output: dandi\nsessions: [{table: parts.tsv}]")) == 2


def test_files_beside_the_folders_of_sessions_are_named(folder):
    for name in ("notes.txt", "list.txt"):
        (folder / "raw" / "M1" / name).touch()
    with pytest.warns(UserWarning, match=r"'.*M1/list\.txt' and 1 more, and each is a session"):
        assert len(sessions(folder, "output: dandi\n" + PATTERN)) == 6
    of_folders = PATTERN.replace("{session_id}", "{session_id}/")
    assert len(sessions(folder, "output: dandi\n" + of_folders)) == 4


def test_columns_with_other_words_for_those_of_sessions_are_named(folder):
    (folder / "s.csv").write_text("Animal,Session ID,path,Weather\nM1,1,raw/M1/a,fine\n")
    with pytest.warns(UserWarning, match="no file gets") as caught:
        sessions(folder, "output: dandi\nsessions: [{table: s.csv}]")
    (said,) = (str(each.message) for each in caught)
    assert "'Animal', 'Session ID', 'Weather'. Did you mean 'subject_id' for 'Animal', " in said
    assert "'session_id' for 'Session ID'? To write" in said


@pytest.mark.parametrize("column", ["subject_id", "Subject.subject_id"])
@pytest.mark.parametrize(
    ("value", "name"), [("..", "--"), ("../../x", "..-..-x"), ("a\\b", "a-b"), ("/x", "-x")]
)
def test_values_of_a_name_lead_to_no_other_folder(folder, column, value, name):
    (folder / "a.tsv").write_text(f"{column}\tsession_id\tpath\n{value}\tday1\traw/M1/a\n")
    text = "output: 'out/{subject_id}/{session_id}.nwb'\nsessions: [{table: a.tsv}]\n"
    (found,) = sessions(folder, text)
    assert Path(found.output) == folder / f"out/{name}/day1.nwb"


def test_values_that_nwb_does_not_store_are_faults_of_the_plan(folder):
    text = "output: o\nmetadata: {NWBFile: {lab: no, notes: null}, Subject: {sex: F, strain: 6}}\n"
    first = sessions(folder, text + PATTERN)[0]
    lab, strain = first.faults
    assert lab.startswith("lab.yaml, metadata.NWBFile.lab is False (bool); it must be a text.")
    assert strain.startswith("lab.yaml, metadata.Subject.strain is 6 (int)")


def test_a_value_that_a_table_replaces_is_no_fault(folder):
    (folder / "participants.tsv").write_text("participant_id\tstrain\nM1\tBL6\nM2\tBL6\n")
    text = "output: o\nsubjects: participants.tsv\nmetadata: {Subject: {strain: 6}}\n"
    assert not any(each.faults for each in sessions(folder, text + PATTERN))


def test_a_specification_named_from_another_folder_has_the_same_sessions(folder, monkeypatch):
    (folder / "lab.yaml").write_text("output: raw/nwb\n" + PATTERN)
    (folder / "elsewhere").mkdir()
    results = folder / "raw/nwb/sub-M1"
    results.mkdir(parents=True)
    (results / "sub-M1_ses-a_ophys.nwb").touch()
    direct = sessions_of(folder / "lab.yaml")
    monkeypatch.chdir(folder / "elsewhere")
    other = sessions_of("../lab.yaml", data_folder=folder / "elsewhere" / "..")
    assert [each.key for each in other] == ["M1/a", "M1/b", "M2/a", "M2/b"]
    for first, second in zip(direct, other, strict=True):
        assert settings_fingerprint(first) == settings_fingerprint(second)
        assert sources_fingerprint(first) == sources_fingerprint(second)


def test_outputs_are_no_sessions_of_a_pattern_that_leads_up(folder):
    inner = folder / "notes"
    inner.mkdir()
    results = folder / "raw/nwb/sub-M1"
    results.mkdir(parents=True)
    (results / "sub-M1_ses-a_ophys.nwb").touch()
    text = "output: ../raw/nwb\nsessions: [{pattern: '../raw/{subject_id}/{session_id}'}]\n"
    found = sessions(inner, text)
    assert [each.key for each in found] == ["M1/a", "M1/b", "M2/a", "M2/b"]
    assert found[0].paths == (str(folder / "raw/M1/a"),)


def test_the_folder_above_a_link_is_that_of_its_target(folder):
    (folder / "far" / "inner").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "far" / "inner")
    assert plain_path(folder / "link" / ".." / "x") == folder / "far" / "x"
    assert plain_path(folder / "far" / "inner" / ".." / "x") == folder / "far" / "x"


def test_an_output_that_cannot_be_written_is_a_fault_of_its_session(folder):
    """Fault: a dry run announced the conversion, which failed."""
    (folder / "file").touch()
    text = "output: 'file/{subject_id}-{session_id}.nwb'\n" + PATTERN
    assert {each.faults for each in sessions(folder, text)} == {
        (f"'{folder / 'file'}' is a file, not a folder; choose another path.",)
    }
    text = "output: '" + "x" * 250 + "{subject_id}-{session_id}.nwb'\n" + PATTERN
    assert all("File name too long" in each.faults[0] for each in sessions(folder, text))


def test_an_empty_section_states_nothing(folder):
    """Fault: an empty section was "a field ''" that does not exist."""
    (folder / "a.yaml").write_text("NWBFile: {lab: X}\nOphys: {ImagingPlane: [{location: V1}]}\n")
    pattern = "  - pattern: 'raw/{subject_id}/{session_id}'\n"
    text = f"output: dandi\nmetadata: a.yaml\nsessions:\n{pattern}    metadata:"
    first = sessions(folder, f"{text} {{NWBFile: , Subject: ~, Ophys: {{ImagingPlane: }}}}\n")[0]
    assert first.stated("NWBFile", "lab") == "X"
    assert first.metadata["Ophys"]["ImagingPlane"] == [{"location": "V1"}]
    with pytest.raises(SpecificationError, match="NWBFile must be a dictionary with fields"):
        sessions(folder, f"{text} {{NWBFile: hello}}\n")
    with pytest.raises(SpecificationError, match="has no value; it must be a dictionary or a text"):
        sessions(folder, f"{text}\n")
