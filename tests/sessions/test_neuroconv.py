"""Specifications of neuroconv run as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest

from nwb_ophys.documents import dump_yaml
from nwb_ophys.errors import ArgumentError, SpecificationError
from nwb_ophys.sessions import run_sessions, sessions_of
from nwb_ophys.sessions.running import run_session
from nwb_ophys.sessions.session import Share

# neuroconv warns of the list form of metadata, and its own dependencies of other things.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def document(written_lab: Path) -> dict[str, Any]:
    """Return a specification in the shape of the example in neuroconv's documentation."""
    raw = written_lab / "raw"
    (scan,) = (raw / "scanimage/I1/day1").glob("*.tif")
    return {
        "metadata": {"NWBFile": {"lab": "My Lab", "institution": "My Institution"}},
        "conversion_options": {"stub_test": True},
        "data_interfaces": {
            "movie": "ScanImageImagingInterface",
            "rois": "Suite2pSegmentationInterface",
            # The name of a class that both packages have, with an argument of theirs alone.
            "tiff": "TiffImagingInterface",
            "trials": "CsvTimeIntervalsInterface",
        },
        "experiments": {
            "ymaze": {
                "metadata": {"NWBFile": {"session_description": "A maze.", "lab": "Maze"}},
                "sessions": [
                    {
                        "nwbfile_name": "first",
                        "source_data": {
                            "movie": {"file_path": str(scan.relative_to(raw))},
                            "rois": {
                                "folder_path": "suite2p/S1/day1/suite2p",
                                "plane_name": "plane0",
                            },
                        },
                        "metadata": {
                            "NWBFile": {"session_start_time": "2020-10-09T21:19:09+00:00"},
                            "Subject": {"subject_id": "Mouse1"},
                        },
                        "conversion_options": {"rois": {"stub_test": False}},
                    },
                    {
                        "source_data": {"trials": {"file_path": "trials.csv"}},
                        "metadata": {
                            "NWBFile": {
                                "session_start_time": "2020-10-10T21:19:09+00:00",
                                "session_id": "b",
                            },
                            "Subject": {"subject_id": "Mouse2"},
                        },
                        "conversion_options": {"trials": {"column_descriptions": {"a": "x"}}},
                    },
                ],
            }
        },
    }


def expanded(document: dict[str, Any], written_lab: Path, folder: Path) -> list[Any]:
    path = folder / "specification.yaml"
    path.write_text(dump_yaml(document))
    return sessions_of(path, data_folder=written_lab / "raw", output=folder / "out")


def test_our_classes_are_found_by_their_names(document, written_lab, tmp_path):
    first, second = expanded(document, written_lab, tmp_path)
    state = run_session(first, Share())
    assert state.reason == ""
    with h5py.File(tmp_path / "out" / "first.nwb") as file:
        assert file["general/lab"][()] == b"Maze"
        assert file["general/institution"][()] == b"My Institution"
        assert file["general/subject/subject_id"][()] == b"Mouse1"
        assert "TwoPhotonSeries" in file["acquisition"]
        assert "ImageSegmentation" in file["processing/ophys"]
        # Written by this package, whose record is in the file.
        assert "nwb_ophys_record" in file["scratch"]
    assert second.is_named_for_dandi
    assert run_session(first, Share()) == state


def test_classes_of_neuroconv_are_found_by_their_names(document, written_lab, tmp_path):
    (tmp_path / "trials.csv").write_text("start_time,stop_time,a\n0.5,1.5,2\n2.5,3.5,4\n")
    session = document["experiments"]["ymaze"]["sessions"][1]
    session["source_data"]["trials"]["file_path"] = str(tmp_path / "trials.csv")
    document["conversion_options"] = {}
    session["conversion_options"] = {}
    _, second = expanded(document, written_lab, tmp_path)
    state = run_session(second, Share())
    assert state.reason == ""
    with h5py.File(state.output) as file:
        assert Path(state.output).parent.name == "sub-Mouse2"
        assert file["intervals/trials/start_time"][()].tolist() == [0.5, 2.5]


def test_sessions_of_one_subject_without_ids_have_keys_of_their_own(
    document, written_lab, tmp_path
):
    first, second = document["experiments"]["ymaze"]["sessions"]
    for session in (first, second):
        session.pop("nwbfile_name", None)
        session["metadata"]["Subject"]["subject_id"] = "M1"
        session["metadata"]["NWBFile"].pop("session_id", None)
    found = expanded(document, written_lab, tmp_path)
    assert len({each.key for each in found}) == 2
    with pytest.raises(ArgumentError, match="Several sessions have the key 'M1 "):
        run_sessions([*found, found[0]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: d["experiments"]["ymaze"]["sessions"][1].update(nwbfile_name="first.nwb"),
            "first.nwb' would be the file of two sessions",
        ),
        (
            lambda d: d["experiments"]["ymaze"]["sessions"][0].update(nwbfile_name="../../a"),
            "'../../a', which leads out of the folder of the files",
        ),
        (
            lambda d: d["experiments"]["ymaze"]["sessions"][0].update(nwbfile_name="/a/b.nwb"),
            "'/a/b.nwb', which leads out of the folder of the files",
        ),
        (lambda d: d.update(upload_to_dandiset="200560"), "dandi upload"),
        (lambda d: d["data_interfaces"].pop("movie"), "'data_interfaces' does not name"),
        (lambda d: d.update(experimets={}), "Did you mean 'experiments'"),
        (lambda d: d["metadata"]["NWBFile"].update(labb="x"), "Did you mean 'NWBFile.lab'"),
        (lambda d: d["experiments"]["ymaze"].pop("sessions"), "lacks 'sessions'"),
        (
            lambda d: d["experiments"]["ymaze"]["sessions"][0]["conversion_options"].update(
                roi={"stub_test": True}
            ),
            "'roi', which is not a stream",
        ),
    ],
)
def test_wrong_documents_are_refused(document, written_lab, tmp_path, change, words):
    change(document)
    with pytest.raises(SpecificationError, match=words):
        expanded(document, written_lab, tmp_path)


def test_values_that_nwb_does_not_store_are_faults_of_the_plan(document, written_lab, tmp_path):
    document["metadata"]["NWBFile"]["institution"] = 7
    for session in expanded(document, written_lab, tmp_path):
        (fault,) = session.faults
        assert ".metadata.NWBFile.institution is 7 (int); it must be a text." in fault


def test_a_class_that_neither_package_has_fails_its_session(document, written_lab, tmp_path):
    document["data_interfaces"]["movie"] = "NoInterface"
    first, _ = expanded(document, written_lab, tmp_path)
    assert "Neither this package nor neuroconv has an interface 'NoInterface'" in (
        run_session(first, Share()).reason
    )


def test_an_argument_that_neither_class_knows_is_named_in_a_line(document, written_lab, tmp_path):
    source = document["experiments"]["ymaze"]["sessions"][0]["source_data"]["movie"]
    source["file_pth"] = source.pop("file_path")
    first, _ = expanded(document, written_lab, tmp_path)
    reason = run_session(first, Share()).reason
    assert "file_pth" in reason
    assert "\n" not in reason
    assert "Did you mean" in reason or "file_path" in reason
