"""Tests of subjects: common forms become those of archives, and others are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from nwbinspector import run_checks
from nwbinspector.checks import (
    check_subject_age,
    check_subject_sex,
    check_subject_species_form,
    check_subject_weight,
)
from pynwb import NWBHDF5IO

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import archive_subject

START = {"session_start_time": "2024-05-17T14:30:00+02:00"}
MOVIE = np.zeros((3, 4, 5), "uint16")
LINK = "http://purl.obolibrary.org/obo/NCBITaxon_10090"

TURNED = [
    *[("age", given, "P3M") for given in ("3 months", "3 month", "3mo", "3 m", "3 Months old")],
    *[("age", given, "P90D") for given in ("90 days", "90d", "p90d", "90-day", "P90", "PND 90")],
    *[("age", given, "P12W") for given in ("12 weeks", "12w", "12wks", "12 weeks of age")],
    ("age", "P 90 D", "P90D"),
    ("age", "3-4 months", "P3M/P4M"),
    ("age", "8 to 12 weeks", "P8W/P12W"),
    ("age", "2 weeks/3 weeks", "P2W/P3W"),
    ("age", "1 year 2 months", "P1Y2M"),
    ("age", "3 months, 2 weeks", "P3M2W"),
    ("age", "1,5 months", "P1.5M"),
    *[("sex", given, "M") for given in ("male", "Male", "m", "MALE")],
    *[("sex", given, "F") for given in ("female", "Female", "f")],
    *[("sex", given, "U") for given in ("unknown", "u", "n/a")],
    ("sex", "other", "O"),
    *[("species", given, "Mus musculus") for given in ("mouse", "Mouse", "mus musculus", "mice")],
    ("species", "M. musculus", "Mus musculus"),
    ("species", "rat", "Rattus norvegicus"),
    ("species", "human", "Homo sapiens"),
    ("species", "zebrafish", "Danio rerio"),
    ("species", "Drosophila", "Drosophila melanogaster"),
    ("species", "marmoset", "Callithrix jacchus"),
    ("species", "rhesus macaque", "Macaca mulatta"),
    ("species", "https://purl.obolibrary.org/obo/NCBITaxon_10090", LINK),
    ("species", "NCBI:txid10090", LINK),
    *[("weight", given, "0.025 kg") for given in ("25 g", "25g", "25 grams", "25000 mg", "0.025")],
    ("weight", 0.025, "0.025 kg"),
    ("weight", np.float32(0.025), "0.025 kg"),
    ("weight", 25, "25 kg"),
    ("weight", 1e-6, "0.000001 kg"),
    ("date_of_birth", "2024/02/17", "2024-02-17"),
    ("date_of_birth", "20240217", "2024-02-17"),
    ("age__reference", "Gestational", "gestational"),
]
KEPT = [
    *[("age", given) for given in ("P90D", "P3M/P4M", "P10W/", "P1Y2M3DT4H")],
    *[("sex", given) for given in "MFUO"],
    *[("species", given) for given in ("Mus musculus", "Panthera leo", LINK)],
    *[("weight", given) for given in ("0.025 kg", "25.0 kg")],
    ("date_of_birth", "2024-02-17T00:00:00+02:00"),
]
REFUSED = {
    "age": ("adult", "90", "P", "/", "3 moons", "P4M/P3M", "12 weeks 3 months", "2-3"),
    "sex": ("x", "XX", "both"),
    "species": ("macaque", "lion", "wild mouse", "panthera leo"),
    "weight": ("25 lb", "heavy", "25,5 g", "-1 g", 0, -1, float("nan"), float("inf"), 10**400),
    "date_of_birth": ("17.02.2024", "02/17/2024", "2024-02-30", "spring"),
    "age__reference": ("conception",),
}


@pytest.mark.parametrize(("key", "given", "wanted"), TURNED)
def test_a_common_form_becomes_that_of_archives_and_is_noted(key, given, wanted):
    stated = {key: given}
    subject = archive_subject(stated)
    assert (subject.fields[key], subject.faults) == (wanted, ())
    (note,) = subject.notes
    assert f'metadata["Subject"]["{key}"] is ' in note
    assert repr(wanted) in note
    assert stated == {key: given}


@pytest.mark.parametrize(("key", "value"), KEPT)
def test_the_form_of_archives_is_kept_without_a_note(key, value):
    subject = archive_subject({key: value})
    assert (subject.fields, subject.notes, subject.faults) == ({key: value}, (), ())


@pytest.mark.parametrize(
    ("key", "given"), [(k, each) for k, all_ in REFUSED.items() for each in all_]
)
def test_other_forms_are_refused_with_the_form_wanted(key, given):
    (fault,) = archive_subject({key: given}).faults
    assert fault.startswith(f'metadata["Subject"]["{key}"] is ')
    assert "; write " in fault
    assert len(fault) < 500


@pytest.mark.parametrize("key", ["age", "species", "weight", "date_of_birth"])
def test_a_fact_that_is_stated_as_unknown_is_left_out(key):
    subject = archive_subject({key: "unknown"})
    assert (subject.fields, subject.faults) == ({}, ())
    assert "left out" in subject.notes[0]


def test_an_embryo_has_an_age_since_gestation():
    subject = archive_subject({"age": "E18.5"})
    assert subject.fields == {"age": "P18.5D", "age__reference": "gestational"}
    assert "age__reference 'gestational'" in subject.notes[0]
    assert archive_subject({"age": "E18", "age__reference": "birth"}).faults


def test_worms_have_sexes_of_their_own():
    for species in ("C. elegans", "Caenorhabditis elegans"):
        fields = archive_subject({"species": species, "sex": "hermaphrodite"}).fields
        assert fields == {"species": "Caenorhabditis elegans", "sex": "XX"}
    assert archive_subject({"species": "C. elegans", "sex": "F"}).faults


def test_a_number_without_unit_is_in_kilograms_and_the_note_says_so():
    (note,) = archive_subject({"weight": 25}).notes
    assert "NWB counts weights in kg" in note


def test_the_inspector_accepts_what_is_written(tmp_path):
    subject = {"subject_id": "M7", "age": "3 months", "sex": "male", "species": "mouse"}
    metadata = {"NWBFile": START, "Subject": {**subject, "weight": "25 g"}}
    interface = NumpyImagingInterface(MOVIE, 10.0)
    with pytest.warns(UserWarning, match="it is written as") as notes:
        interface.run_conversion(tmp_path / "a.nwb", metadata=metadata, progress=False)
    assert len(notes) == 4
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        nwbfile = io.read()
        written = nwbfile.subject
        found = (written.age, written.sex, written.species, written.weight)
        assert found == ("P3M", "M", "Mus musculus", "0.025 kg")
        checks = [
            *(check_subject_age, check_subject_sex),
            *(check_subject_species_form, check_subject_weight),
        ]
        assert list(run_checks(nwbfile, checks=checks)) == []


def test_all_faults_of_a_subject_are_reported_at_once(tmp_path):
    subject = {"age": "adult", "sex": "x", "species": "lion", "weight": "heavy", "genotype": 7}
    metadata = {"NWBFile": START, "Subject": subject}
    with pytest.raises(MetadataError) as raised:
        NumpyImagingInterface(MOVIE, 10.0).run_conversion(tmp_path / "a.nwb", metadata=metadata)
    for key in subject:
        assert len(re.findall(rf'\["{key}"\] is ', str(raised.value))) == 1
    assert not list(tmp_path.iterdir())
