"""Findings for the DANDI archive, against the NWB Inspector and dandi-cli (see conftest.py)."""

from __future__ import annotations

import copy
import datetime
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nwbinspector
import pynwb
import pytest
from attrs import frozen
from pynwb.device import Device
from pynwb.file import Subject
from pynwb.ophys import ImagingPlane, OpticalChannel

from nwb_ophys.metadata import DeepDict, Finding, archive_findings, imaging_schema
from nwb_ophys.opening import set_in_metadata

NOW = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
LINK = "http://purl.obolibrary.org/obo/NCBITaxon_"
GOOD: dict[str, Any] = {
    "NWBFile": {
        "session_description": "Drifting gratings, day 1.",
        "identifier": "a",
        "session_start_time": "2024-05-17T14:30:00+02:00",
        "session_id": "day1",
        "experimenter": ["Doe, Jane", "Roe, Richard J."],
        "institution": "University of X",
        "lab": "X lab",
        "keywords": ["calcium imaging", "vision"],
        "experiment_description": "Responses to gratings.",
        "related_publications": ["https://doi.org/10.1234/abc"],
    },
    "Subject": {
        "subject_id": "M7",
        "species": "Mus musculus",
        "sex": "F",
        "age": "P90D",
        "weight": "0.025 kg",
        "description": "Trained on a wheel.",
    },
    "Ophys": {
        "Device": [
            {
                "name": "Microscope",
                "description": "Two-photon microscope.",
                "model": {"name": "Two", "manufacturer": "X", "description": "Resonant."},
            }
        ],
        "ImagingPlane": [
            {
                "name": "ImagingPlane",
                "description": "Layer 2/3.",
                "excitation_lambda": 920.0,
                "indicator": "GCaMP6f",
                "location": "VISp",
                "device": "Microscope",
                "optical_channel": [
                    {"name": "Green", "description": "Green.", "emission_lambda": 520.0}
                ],
            }
        ],
    },
}
PLANE, CHANNEL = "Ophys.ImagingPlane", "Ophys.ImagingPlane.optical_channel"
UPLOAD = "upload"


@frozen
class Fault:
    """Edits that make good metadata wrong, and what is said of them."""

    edits: dict[str, Any]
    key: str
    importance: str
    source: str | None
    """Check of the Inspector, ``UPLOAD`` of dandi-cli, or None for other rules."""


def _required(key: str, value: Any, source: str | None) -> Fault:
    return Fault({key: value}, key, "required", source)


def _advised(key: str, value: Any, source: str | None) -> Fault:
    return Fault({key: value}, key, "advised", source)


FAULTS = {
    "no id": _required("Subject.subject_id", None, "check_subject_id_exists"),
    "id /": _required("Subject.subject_id", "M/7", "check_subject_id_no_slashes"),
    "id _": _advised("Subject.subject_id", "M_7", None),
    "no species": _required("Subject.species", None, "check_subject_species_exists"),
    "one word": _required("Subject.species", "rodent", "check_subject_species_form"),
    "three words": _required(
        "Subject.species", "Canis lupus familiaris", "check_subject_species_form"
    ),
    "not in DANDI": _required("Subject.species", "Macaca fascicularis", UPLOAD),
    "read as mouse": _advised("Subject.species", "Mus spretus", None),
    "no sex": _required("Subject.sex", None, "check_subject_sex"),
    "sex": _required("Subject.sex", "both", "check_subject_sex"),
    "no age": _required("Subject.age", None, "check_subject_age"),
    "age": _required("Subject.age", "adult", "check_subject_age"),
    "equal": _required("Subject.age", "P3M/P3M", "check_subject_proper_age_range"),
    "equal ages": _required("Subject.age", "P12W/P84D", "check_subject_proper_age_range"),
    "fraction": _required("Subject.age", "P1.5Y2M", UPLOAD),
    "units": _required("Subject.age", "P3M/P100D", UPLOAD),
    "weight": _required("Subject.weight", "25 stones", "check_subject_weight"),
    "no description": _advised("Subject.description", None, "check_description"),
    "future": _required(
        "NWBFile.session_start_time",
        "2095-01-01T00:00:00+00:00",
        "check_session_start_time_future_date",
    ),
    "old": _advised(
        "NWBFile.session_start_time",
        "1979-01-01T00:00:00+00:00",
        "check_session_start_time_old_date",
    ),
    "unborn": _advised("Subject.date_of_birth", "2024-06-01T00:00:00+02:00", None),
    "session /": _required("NWBFile.session_id", "2024/1", "check_session_id_no_slashes"),
    "session .": _advised("NWBFile.session_id", "1.2", None),
    "no session": _advised("NWBFile.session_id", None, None),
    "no one": _advised("NWBFile.experimenter", None, "check_experimenter_exists"),
    "first last": _advised("NWBFile.experimenter", ["Jane Doe"], "check_experimenter_form"),
    "two words": _advised("NWBFile.experimenter", ["Doe", "Jane"], "check_experimenter_form"),
    "two people": _advised(
        "NWBFile.experimenter", ["Doe, Jane; Roe, Rick"], "check_experimenter_form"
    ),
    "no institution": _advised("NWBFile.institution", None, "check_institution"),
    "no lab": _advised("NWBFile.lab", None, None),
    "no keywords": _advised("NWBFile.keywords", None, "check_keywords"),
    "one keyword": _advised("NWBFile.keywords", ["imaging, vision"], None),
    "no experiment": _advised(
        "NWBFile.experiment_description", None, "check_experiment_description"
    ),
    "placeholder": _advised("NWBFile.session_description", "no description", None),
    "paper": _advised("NWBFile.related_publications", ["10.1234/abc"], "check_doi_publications"),
    "device": _advised("Ophys.Device.description", None, "check_description"),
    "model": Fault(
        {"Ophys.Device.model.description": None},
        "Ophys.Device.0.model.description",
        "advised",
        "check_description",
    ),
    "plane": _advised(f"{PLANE}.description", "Placeholder.", "check_description"),
    "channel": _advised(f"{CHANNEL}.description", " ", "check_description"),
    "excitation": _advised(f"{PLANE}.excitation_lambda", 0.92, "check_excitation_lambda_in_nm"),
    "metres": _advised(f"{PLANE}.excitation_lambda", 9.2e-7, "check_excitation_lambda_in_nm"),
    "too long": _advised(f"{PLANE}.excitation_lambda", 5200.0, None),
    "emission": _advised(f"{CHANNEL}.emission_lambda", 0.52, "check_emission_lambda_in_nm"),
    "place": _advised(f"{PLANE}.location", "V1", "check_imaging_plane_location_allen_ccf"),
    "no place": _advised(f"{PLANE}.location", "unknown", "check_imaging_plane_location_allen_ccf"),
}
# Forms that differ from the archive's until they are written.
NO_FAULTS: dict[str, dict[str, Any]] = {
    "good": {},
    "link": {"Subject.species": f"{LINK}10090"},
    "born": {"Subject.age": None, "Subject.date_of_birth": "2024-02-17T00:00:00+01:00"},
    "range": {"Subject.age": "P90D/P4M"},
    "name of area": {f"{PLANE}.location": "Primary visual area, layer 2/3"},
    "rat": {"Subject.species": "Rattus norvegicus", f"{PLANE}.location": "V1"},
    "unknown wavelengths": {
        f"{PLANE}.excitation_lambda": float("nan"),
        f"{CHANNEL}.emission_lambda": float("nan"),
    },
    "worm with a link": {"Subject.species": f"{LINK}6239", "Subject.sex": "O"},
}


def _edited(edits: dict[str, Any]) -> dict[str, Any]:
    metadata = copy.deepcopy(GOOD)
    for key, value in edits.items():
        entry: Any = metadata
        *steps, last = key.split(".")
        for step in steps:
            entry = entry[step][0] if isinstance(entry[step], list) else entry[step]
        entry[last] = value
    return metadata


def _stated(fields: dict[str, Any]) -> dict[str, Any]:
    stated = {key: value for key, value in fields.items() if value is not None}
    for key in ("session_start_time", "date_of_birth"):
        if key in stated:
            stated[key] = datetime.datetime.fromisoformat(stated[key])
    return stated


def _nwbfile(metadata: dict[str, Any]) -> pynwb.NWBFile:
    """Return a file with all values as they are, faults included."""
    nwbfile = pynwb.NWBFile(**_stated(metadata["NWBFile"]))
    nwbfile.subject = Subject(**_stated(metadata["Subject"]))
    (fields,), (plane,) = metadata["Ophys"]["Device"], metadata["Ophys"]["ImagingPlane"]
    model = nwbfile.create_device_model(**_stated(fields["model"]))
    device = nwbfile.add_device(Device(**_stated(fields | {"model": model})))
    channels = [OpticalChannel(**channel) for channel in plane["optical_channel"]]
    rest = {"device": device, "optical_channel": channels}
    nwbfile.add_imaging_plane(ImagingPlane(**(plane | rest)))
    return nwbfile


def _inspected(metadata: dict[str, Any]) -> set[tuple[str, str]]:
    """Return check and importance of what the Inspector says with DANDI's configuration."""
    messages = nwbinspector.inspect_nwbfile_object(
        _nwbfile(metadata), config=nwbinspector.load_config("dandi")
    )
    return {
        (m.check_function_name, "required" if m.importance.name == "CRITICAL" else "advised")
        for m in messages
    }


def _findings(edits: dict[str, Any]) -> list[Finding]:
    return archive_findings(_edited(edits), now=NOW)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_one_finding_and_the_inspector_agrees(name: str) -> None:
    fault = FAULTS[name]
    (finding,) = _findings(fault.edits)
    assert (finding.key, finding.importance) == (fault.key, fault.importance)
    assert finding.message.endswith((".", "?"))
    is_of_inspector = fault.source not in (None, UPLOAD)
    expected = {(fault.source, fault.importance)} if is_of_inspector else set()
    assert _inspected(_edited(fault.edits)) == expected


@pytest.mark.parametrize("name", NO_FAULTS)
def test_good_metadata_have_no_findings(name: str) -> None:
    assert _findings(NO_FAULTS[name]) == []
    assert _inspected(_edited(NO_FAULTS[name])) == set()


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "one word"])
def test_the_cure_is_one_option_of_a_shell_and_cures(name: str) -> None:
    (finding,) = _findings(FAULTS[name].edits)
    option, text = shlex.split(finding.cure)
    key, _, value = text.partition("=")
    assert option == "--set"
    metadata = DeepDict(_edited(FAULTS[name].edits))
    set_in_metadata(metadata, key, value, imaging_schema("TwoPhotonSeries"))
    assert archive_findings(metadata, now=NOW) == []


def test_a_species_that_is_not_known_gets_no_invented_number() -> None:
    (finding,) = _findings({"Subject.species": "Octopus bimaculoides"})
    assert finding.cure == f"--set Subject.species={LINK}NUMBER"


def test_the_worm_has_one_form_that_validation_and_upload_accept() -> None:
    findings = _findings({"Subject.species": "C. elegans", "Subject.sex": "hermaphrodite"})
    cures = {finding.key: finding.cure.partition("=")[2] for finding in findings}
    assert cures == {"Subject.species": f"{LINK}6239", "Subject.sex": "O"}
    assert _findings(cures) == []


def test_nothing_stated_is_all_missing_and_metadata_stay_as_they_are() -> None:
    metadata = DeepDict()
    findings = archive_findings(metadata)
    required = [finding.key for finding in findings if finding.importance == "required"]
    assert required == [
        *("Subject.subject_id", "Subject.species", "Subject.sex", "Subject.age"),
        "NWBFile.session_start_time",
    ]
    assert metadata == {}


@pytest.mark.parametrize("wrong", [None, 3, "x", [], {"ImagingPlane": [3]}])
def test_wrong_types_are_left_to_the_check_of_types(wrong: Any) -> None:
    archive_findings({"NWBFile": wrong, "Subject": wrong, "Ophys": wrong})


def test_common_forms_are_not_faults_because_they_are_written_in_another_form() -> None:
    forms = {"species": "mouse", "sex": "female", "age": "3 months", "weight": "25 g"}
    assert _findings({f"Subject.{key}": value for key, value in forms.items()}) == []


def test_a_value_of_all_planes_is_named_once_and_others_by_index() -> None:
    metadata = _edited({f"{PLANE}.location": "V1"})
    planes = metadata["Ophys"]["ImagingPlane"]
    planes += [planes[0] | {"name": "B"}, planes[0] | {"name": "C"}]
    assert [each.key for each in archive_findings(metadata)] == [f"{PLANE}.location"]
    planes[1]["location"] = "M2"
    findings = {each.key: each.cure for each in archive_findings(metadata)}
    assert findings == {
        f"{PLANE}.{index}.location": f"--set {PLANE}.{index}.location={term}"
        for index, term in enumerate(["VISp", "MOs", "VISp"])
    }


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({f"{PLANE}.location": "V1"}, "did you mean VISp: Primary visual area?"),
        ({f"{PLANE}.excitation_lambda": 0.92}, "if it is 0.92 µm, give 920."),
        ({f"{PLANE}.excitation_lambda": 9.2e-7}, "if it is 9.2e-07 m, give 920."),
        ({"NWBFile.session_id": None}, "names the file by ses-20240517T143000."),
        ({"Subject.subject_id": "M_7"}, "the name of the file has sub-M-7."),
        ({"NWBFile.experimenter": ["Doe", "Jane"]}, "one name needs quotes."),
    ],
)
def test_messages(edits: dict[str, Any], words: str) -> None:
    (finding,) = _findings(edits)
    assert finding.message.endswith(words)


# --- dandi-cli ----------------------------------------------------------------------------------


WORM = {"Subject.species": "Caenorhabditis elegans", "Subject.sex": "XX"}
EDITS = {name: fault.edits for name, fault in FAULTS.items()} | NO_FAULTS | {"worm": WORM}


def _path_in_dandiset(name: str) -> Path:
    subject = f"sub-{list(EDITS).index(name)}"
    return Path(subject, f"{subject}_ophys.nwb")


@pytest.fixture(scope="module")
def dandiset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a file for each fault and for each good set of metadata."""
    root = tmp_path_factory.mktemp("dandiset")
    (root / "dandiset.yaml").write_text("identifier: DANDI:000000\nname: x\ndescription: x\n")
    for name, edits in EDITS.items():
        path = root / _path_in_dandiset(name)
        path.parent.mkdir()
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(_nwbfile(_edited(edits)))
    return root


def test_dandi_validate_refuses_what_is_required(dandi: Callable[..., str], dandiset: Path) -> None:
    output = dandi("validate", "--format", "json", dandiset)
    results = json.loads(output[output.index("[") :])
    refused: dict[str, set[str]] = {}
    for each in results:
        if each["severity"] == "ERROR" and each["id"].startswith(("NWBI", "pynwb")):
            refused.setdefault(Path(each["path"]).name, set()).add(each["id"])
    expected = {
        _path_in_dandiset(name).name: {f"NWBI.{fault.source}"}
        for name, fault in FAULTS.items()
        if fault.importance == "required" and fault.source != UPLOAD
    }
    assert refused == expected


READ = """
import json, sys
from dandi.metadata.nwb import nwb2asset

failed = {}
for path in sys.argv[1:]:
    try:
        nwb2asset(path)
    except Exception as error:
        failed[path] = str(error)
print(json.dumps(failed))
"""


def test_dandi_upload_reads_only_what_is_not_required(
    dandi: Callable[..., str], dandiset: Path
) -> None:
    accepted = {name for name, fault in FAULTS.items() if fault.importance == "advised"}
    of_upload = {name for name, fault in FAULTS.items() if fault.source == UPLOAD} | {"worm"}
    paths = {
        str(dandiset / _path_in_dandiset(name)): name
        for name in accepted | of_upload | set(NO_FAULTS)
    }
    failed = json.loads(dandi("-c", READ, *paths, python=True).splitlines()[-1])
    assert {paths[path] for path in failed} == of_upload, failed
