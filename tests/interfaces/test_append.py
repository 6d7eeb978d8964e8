"""Tests of the session and the subject of a file to which a recording is appended."""

from __future__ import annotations

import datetime
import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
from pynwb.testing.mock.file import mock_NWBFile

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import MetadataError
from nwb_ophys.storage import get_backend

START = {"session_start_time": "2024-05-17T14:30:00+02:00"}
QUIET = {"progress": False, "workers": 0}

SESSION = {
    "session_id": ("s1", "s2"),
    "experimenter": (["Last, First", "Other, Name"], ["Third, Name"]),
    "experiment_description": ("gratings", "darkness"),
    "institution": ("Here", "There"),
    "lab": ("Ours", "Theirs"),
    "keywords": (["vision", "mouse"], ["vision"]),
    "related_publications": (["doi:1"], ["doi:2"]),
    "notes": ("good", "bad"),
    "pharmacology": ("none", "some"),
    "protocol": ("1", "2"),
    "slices": ("a", "b"),
    "was_generated_by": ([["a", "1"]], [["b", "1"]]),
    "data_collection": ("a", "b"),
    "surgery": ("a", "b"),
    "virus": ("a", "b"),
    "stimulus_notes": ("a", "b"),
}
SUBJECT = {
    "subject_id": ("M1", "M7"),
    "species": ("Mus musculus", "Rattus norvegicus"),
    "sex": ("F", "M"),
    "age": ("P90D", "P91D"),
    "date_of_birth": ("2024-01-01T00:00:00+01:00", "2024-01-02T00:00:00+01:00"),
    "description": ("a", "b"),
    "genotype": ("a", "b"),
    "strain": ("a", "b"),
    "weight": ("0.025 kg", "0.03 kg"),
}
ALL = [("NWBFile", key) for key in SESSION] + [("Subject", key) for key in SUBJECT]
VALUES = {"NWBFile": SESSION, "Subject": SUBJECT}


def movie() -> NumpyImagingInterface:
    return NumpyImagingInterface(np.arange(120, dtype=np.uint16).reshape(4, 6, 5), 10.0)


def given(name: str, category: str = "", **values: Any) -> dict[str, Any]:
    """Return the metadata that a user gives: the name of the series, and session or subject."""
    series = [{"name": name, "imaging_plane": "ImagingPlane"}]
    return {"Ophys": {"TwoPhotonSeries": series}, **({category: values} if category else {})}


def write(path: Path, backend: str, category: str = "", **values: Any) -> None:
    metadata = given("First", category, **values)
    metadata["NWBFile"] = {**metadata.get("NWBFile", {}), **START}
    movie().run_conversion(path, metadata=metadata, backend=backend, **QUIET)


def append(path: Path, name: str, category: str = "", **values: Any) -> None:
    movie().run_conversion(path, metadata=given(name, category, **values), append=True, **QUIET)


def fields_of(path: Path, backend: str) -> dict[tuple[str, str], Any]:
    """Return the fields of the session and of the subject of a valid file."""
    with get_backend(backend).open(path, "r") as io:
        assert pynwb.validate(io=io) == []
        nwbfile = io.read()
        owners = {"NWBFile": nwbfile, "Subject": nwbfile.subject}
        found = {(owner, key): getattr(owners[owner], key, None) for owner, key in ALL}
        return {where: _plain(value) for where, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value
    return value if isinstance(value, str) else np.asarray(value).astype(str).tolist()


def expected(key: str, value: Any) -> Any:
    return datetime.datetime.fromisoformat(value) if key == "date_of_birth" else value


def fingerprint(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def path(tmp_path, backend) -> Path:
    return tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")


@pytest.mark.parametrize("has_subject", [False, True])
def test_fields_that_the_file_lacks_are_written(path, backend, has_subject):
    if has_subject:
        write(path, backend, "Subject", subject_id="M1")
    else:
        write(path, backend)
    metadata = given("Second", "NWBFile", **{key: one for key, (one, _) in SESSION.items()})
    metadata["Subject"] = {key: one for key, (one, _) in SUBJECT.items()}
    movie().run_conversion(path, metadata=metadata, append=True, **QUIET)
    wanted = {(owner, key): expected(key, VALUES[owner][key][0]) for owner, key in ALL}
    assert fields_of(path, backend) == wanted
    # The same once more is no conflict.
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Third"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        movie().run_conversion(path, metadata=metadata, append=True, **QUIET)
    assert fields_of(path, backend) == wanted


def test_another_value_is_refused_with_both(path, backend):
    metadata = given("First", "NWBFile", **{key: one for key, (one, _) in SESSION.items()}, **START)
    metadata["Subject"] = {key: one for key, (one, _) in SUBJECT.items()}
    movie().run_conversion(path, metadata=metadata, backend=backend, **QUIET)
    before = fingerprint(path)
    for owner, key in ALL:
        one, two = VALUES[owner][key]
        with pytest.raises(MetadataError) as caught:
            append(path, "Second", owner, **{key: two})
        if key == "date_of_birth":
            one, two = (value.replace("T", " ") for value in (one, two))
        assert str(caught.value) == (
            f'metadata["{owner}"]["{key}"] is {two!r}, but the file states {one!r}, which is not '
            "replaced; leave the key out, or write to another file."
        )
        assert fingerprint(path) == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_is_not_given_is_kept(path, backend):
    write(path, backend, "NWBFile", session_description="A session.", identifier="mine", lab="L")
    append(path, "Second")
    metadata = movie().get_metadata()  # with an identifier and a description of its own
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Third"
    movie().run_conversion(path, metadata=metadata, append=True, **QUIET)
    with get_backend(backend).open(path, "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_description == "A session."
        assert (nwbfile.identifier, nwbfile.lab, nwbfile.subject) == ("mine", "L", None)
        assert set(nwbfile.acquisition) == {"First", "Second", "Third"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("session_description", "Another session."),
        ("identifier", "theirs"),
        ("timestamps_reference_time", "2024-05-17T15:00:00+02:00"),
    ],
)
def test_what_every_file_has_is_not_replaced(path, backend, key, value):
    write(path, backend)
    with pytest.raises(MetadataError, match=rf'\["{key}"\] is .*which is not replaced'):
        append(path, "Second", "NWBFile", **{key: value})


def test_the_reference_of_an_age_that_is_written(path, backend):
    write(path, backend, "Subject", subject_id="M1")
    append(path, "Second", "Subject", age="P10D", age__reference="gestational")
    with get_backend(backend).open(path, "r") as io:
        subject = io.read().subject
        assert (subject.age, subject.age__reference) == ("P10D", "gestational")
    with pytest.raises(
        MetadataError, match=r'"age__reference"\] is \'birth\', but the file states'
    ):
        append(path, "Third", "Subject", age__reference="birth")


def test_another_animal_in_the_files_of_the_recording_is_said(path, backend, monkeypatch):
    """The user did not give it, and may know that both names mean one animal."""
    write(path, backend, "Subject", subject_id="M1")
    stated = {"Subject": {"subject_id": "mouse 1", "sex": "F"}, "NWBFile": {"notes": "new"}}
    monkeypatch.setattr(NumpyImagingInterface, "describe", lambda self: stated)
    with pytest.warns(UserWarning, match="The recording states") as caught:
        append(path, "Second")
    (message,) = [str(each.message) for each in caught if each.category is UserWarning]
    assert message == (
        'The recording states \'mouse 1\' as metadata["Subject"]["subject_id"], but the file '
        "states 'M1'. The file keeps its value; check that both are of one session and one subject."
    )
    found = fields_of(path, backend)
    assert found["Subject", "subject_id"] == "M1"
    assert (found["Subject", "sex"], found["NWBFile", "notes"]) == ("F", "new")


def test_an_object_of_the_users_own_gets_the_fields_that_it_lacks():
    nwbfile = mock_NWBFile(session_description="no description", lab="Ours")
    values = {"session_description": "A session.", "institution": "Here"}
    metadata = given("First", "NWBFile", **values)
    metadata["Subject"] = {"subject_id": "M7"}
    movie().run_conversion(nwbfile=nwbfile, metadata=metadata)
    assert (nwbfile.session_description, nwbfile.institution) == ("A session.", "Here")
    assert nwbfile.subject.subject_id == "M7"
    with pytest.raises(MetadataError, match=r'"lab"\] is \'Theirs\', but the file states \'Ours\''):
        movie().run_conversion(nwbfile=nwbfile, metadata=given("Second", "NWBFile", lab="Theirs"))
    assert list(nwbfile.acquisition) == ["First"]


def test_an_object_keeps_the_description_and_identifier_of_its_author():
    nwbfile = mock_NWBFile(session_description="of another", identifier="another")
    values = {"session_description": "A session.", "identifier": "mine"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        movie().run_conversion(nwbfile=nwbfile, metadata=given("First", "NWBFile", **values))
    assert (nwbfile.session_description, nwbfile.identifier) == ("of another", "another")
