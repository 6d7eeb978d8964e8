"""Tests of ``nwb-ophys formats``, ``metadata``, ``inspect``, ``demo`` and the help."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings

import h5py
import numpy as np
import nwbinspector
import pytest
from nwbinspector._nwb_inspection import run_checks
from pynwb import NWBHDF5IO, NWBFile

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.documents import dump_yaml, parse_yaml
from nwb_ophys.errors import ArgumentError
from nwb_ophys.inspection import inspect_file
from nwb_ophys.registry import formats

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
RATE = ("--option", "sampling_frequency=30")
SUBJECT = (
    *("--set", "Subject.subject_id=M7", "--set", "Subject.species=Mus musculus"),
    *("--set", "Subject.sex=F", "--set", "Subject.age=P90D"),
)


def test_as_a_module():
    command = [sys.executable, "-m", "nwb_ophys", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"version {nwb_ophys.__version__}\n")
    assert done.stderr == ""


def test_help_and_version(run):
    for arguments in ([], ["--help"], ["-h"]):
        told = run(*arguments)
        assert told.code == 0
        for command in (
            "check",
            "clean",
            "convert",
            "demo",
            "detect",
            "formats",
            "inspect",
            "metadata",
            "repack",
        ):
            assert f"  {command}" in told.out
    assert run("--version").out == f"nwb-ophys, version {nwb_ophys.__version__}\n"


@pytest.mark.parametrize(
    "command",
    ["check", "clean", "convert", "demo", "detect", "formats", "inspect", "metadata", "repack"],
)
def test_help_of_each_command(run, command):
    told = run(command, "--help")
    assert told.code == 0
    assert told.out.startswith(f"Usage: nwb-ophys {command}")
    assert "--debug" in told.out


def test_convert_offers_what_is_promised(run):
    told = run("convert", "--help").out
    for option in (
        *("-o", "--format", "--metadata", "--set", "--option", "--stub", "--overwrite"),
        *("--append", "--backend", "--no-progress"),
    ):
        assert option in told


def test_formats(run):
    told = run("formats")
    heading, *lines = told.out.splitlines()
    assert told.code == 0
    assert heading.split() == ["KIND", "NAME", "RECOGNISED", "EXTRA", "INSTALLED"]
    assert [line.split()[:2] for line in lines] == [
        [row.kind, name] for name, row in formats().items()
    ]


# --- metadata ---------------------------------------------------------------------------------


def test_metadata_to_edit_and_convert_with(run, raw):
    made = run("metadata", "movie.tif", "suite2p", "-o", "meta.yaml", *RATE)
    assert made.code == 0
    text = (raw / "meta.yaml").read_text()
    assert "session_start_time: null" in text
    document = parse_yaml(text)
    document["NWBFile"]["session_start_time"] = "2024-05-17T14:30:00+02:00"
    document["Ophys"]["ImagingPlane"][0]["location"] = "V1"
    document["Ophys"]["TwoPhotonSeries"][0]["name"] = "Movie"
    (raw / "meta.yaml").write_text(dump_yaml(document))
    done = run(
        *("convert", "movie.tif", "suite2p", "-o", "a.nwb", *RATE, "--metadata", "meta.yaml")
    )
    assert done.code == 0, done
    with NWBHDF5IO(raw / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.acquisition["Movie"].imaging_plane.location == "V1"


def test_metadata_to_the_terminal_are_yaml_alone(run, raw):
    told = run("metadata", "suite2p", "--set", START)
    assert told.code == 0
    document = parse_yaml(told.out)
    assert set(document) == {"NWBFile", "Ophys"}
    assert len(document["Ophys"]["ImageSegmentation"]["plane_segmentations"]) == 2
    assert "identifier" not in document["NWBFile"]


def test_metadata_are_not_overwritten_unasked(run, raw):
    (raw / "meta.yaml").write_text("mine")
    assert run("metadata", "suite2p", "-o", "meta.yaml").is_mistake("meta.yaml", "overwrite")
    assert (raw / "meta.yaml").read_text() == "mine"
    assert run("metadata", "suite2p", "-o", "meta.yaml", "--overwrite").code == 0
    assert (raw / "meta.yaml").read_text() != "mine"


# --- inspect ----------------------------------------------------------------------------------


def test_inspect_of_a_good_file(run, raw, backend):
    name = "a.nwb" if backend == "hdf5" else "a.nwb.zarr"
    assert (
        run(
            *("convert", "suite2p", "-o", name, "--set", START, *SUBJECT, "--backend", backend)
        ).code
        == 0
    )
    told = run("inspect", name)
    assert told.code == 0, told
    assert told.out.splitlines()[-1].startswith(f"{name}: 0 errors, ")


def test_inspect_of_a_file_without_a_subject(run, raw):
    assert run("convert", "suite2p", "-o", "a.nwb", "--set", START).code == 0
    told = run("inspect", "a.nwb")
    # It is listed first, but is advice: the file is valid.
    assert told.out.splitlines()[0].startswith("CRITICAL ")
    assert "Subject is missing" in told.out.splitlines()[0]
    assert told.out.splitlines()[-1].startswith("a.nwb: 0 errors, 1 critical, ")
    assert (told.code, told.err) == (0, "")


def test_inspect_for_the_archive(run, raw, backend):
    name = "a.nwb" if backend == "hdf5" else "a.nwb.zarr"
    # The configuration for DANDI makes the range an error; the species fails in its upload alone.
    faults = ("Subject.age=P3M/P3M", "Subject.species=Macaca fascicularis")
    others = ("Subject.subject_id=M7", "Subject.sex=F")
    edits = [word for fault in (START, *others, *faults) for word in ("--set", fault)]
    made = run("convert", "suite2p", "-o", name, "--backend", backend, *edits)
    assert made.code == 0
    told = run("inspect", name, "--for", "dandi")
    assert (told.code, told.out.splitlines()[-1]) == (1, "DANDI would refuse this file.")
    critical = [line for line in told.out.splitlines() if line.startswith("CRITICAL ")]
    assert len(critical) == 2, told
    assert "not strictly increasing" in told.out
    assert "upload does not know 'Macaca fascicularis'" in told.out


@pytest.mark.parametrize(("mask_type", "num_cells"), [(None, 3), ("image", 0)])
def test_inspect_of_a_table_without_masks_or_rois(run, tmp_path, monkeypatch, mask_type, num_cells):
    """Fault: such files, which are valid, had errors: those of the Inspector's own checks."""
    monkeypatch.chdir(tmp_path)
    masks, dff = np.ones((4, 5, num_cells)), np.ones((9, num_cells))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a table without rows
        rois = nwb_ophys.NumpySegmentationInterface(
            image_masks=masks, dff=dff, sampling_frequency=9.0
        )
        session = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
        rois.run_conversion("a.nwb", metadata=session, mask_type=mask_type)
    told = run("inspect", "a.nwb")
    assert told.code == 0
    assert "cannot read data without values, such as the columns of a table" in told.out
    assert "IndexError" not in told.out
    told = run("inspect", "a.nwb", "--for", "dandi")
    assert told.code == 1
    assert "The archive refuses such files: leave the table out, or write masks." in told.out
    assert "0 errors, " in told.out  # it is valid NWB


@pytest.mark.parametrize(
    ("error", "is_of_file"), [(KeyError("unit"), False), (OSError("cannot read"), True)]
)
def test_inspect_of_a_file_on_which_a_check_fails(run, raw, monkeypatch, error, is_of_file):
    """Fault: a fault of the Inspector made the file invalid."""
    assert run("convert", "suite2p", "-o", "a.nwb", "--set", START, *SUBJECT).code == 0

    def check_unit(nwbfile):
        raise error

    def inspect(nwbfile, config=None):
        check_unit.neurodata_type = NWBFile
        return run_checks(nwbfile, [check_unit])

    monkeypatch.setattr(nwbinspector, "inspect_nwbfile_object", inspect)
    told = run("inspect", "a.nwb", "--json")
    (finding,) = json.loads(told.out)["findings"]
    assert told.code == is_of_file
    assert (finding["importance"] == "ERROR") is is_of_file
    if not is_of_file:
        assert "1 check of the NWB Inspector" in finding["message"]
        assert "failed and could not be made: 'check_unit' (KeyError: 'unit')" in finding["message"]
    told = run("inspect", "a.nwb", "--json", "--for", "dandi")
    assert (told.code, json.loads(told.out)["valid"]) == (1, not is_of_file)
    assert is_of_file or "'dandi upload' refuses the file for it" in told.out


def test_inspect_as_json(run, raw):
    assert run("convert", "suite2p", "-o", "a.nwb", "--set", START).code == 0
    told = run("inspect", "a.nwb", "--json")
    found = json.loads(told.out)
    assert (told.code, found["valid"], found["archive"]) == (0, True, None)
    assert found["findings"][0] == {
        "importance": "CRITICAL",
        "location": "/",
        "message": "Subject is missing.",
    }
    told = run("inspect", "a.nwb", "--json", "--for", "dandi")
    assert (told.code, json.loads(told.out)["refused"]) == (1, True)


def test_inspect_names_the_archives_that_it_knows(run, raw):
    assert run("inspect", "a.nwb", "--for", "zenodo").is_mistake("'zenodo'", "'dandi'")
    with pytest.raises(ArgumentError, match="'zenodo'; it must be 'dandi'"):
        inspect_file(raw / "a.nwb", archive="zenodo")


def test_inspect_of_an_invalid_file(run, raw):
    assert run("convert", "suite2p", "-o", "a.nwb", "--set", START, *SUBJECT).code == 0
    with h5py.File(raw / "a.nwb", "r+") as file:
        del file["session_description"]
    told = run("inspect", "a.nwb")
    assert told.code == 1
    assert "session_description" in told.out
    assert "Traceback" not in told.out + told.err


def test_inspect_of_hdf5_that_is_no_nwb_file(run, raw):
    told = run("inspect", "caiman.hdf5")
    assert told.code == 1
    assert told.out.startswith("ERROR ")
    assert "cannot be read as NWB" in told.out
    assert told.err == ""


# --- demo -------------------------------------------------------------------------------------


def test_demo(run, tmp_path, monkeypatch):
    from nwb_ophys.cli import demo_recording

    monkeypatch.chdir(tmp_path)
    told = run("demo")
    assert (told.code, told.err) == (0, ""), told
    folder = tmp_path / "nwb-ophys-demo"
    found = sorted(path.name for path in folder.iterdir())
    assert found == sorted([*demo_recording._RAW, "session.nwb"])
    with NWBHDF5IO(folder / "session.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.acquisition["TwoPhotonSeries"].data.shape == (300, 128, 96)
    checked = run("inspect", folder / "session.nwb")
    assert checked.code == 0, checked
    # The command that it shows does the same.
    shown = told.out[told.out.index("nwb-ophys convert") :].split("\n\n")[0]
    assert _command_gives_the_same(run, shown)


def _command_gives_the_same(run, shown: str) -> bool:
    import shlex

    _, *arguments = shlex.split(shown.replace("\\\n", " "))
    target = arguments[arguments.index("-o") + 1]
    movies = []
    for name in (target, "again.nwb"):
        if name != target:
            arguments[arguments.index("-o") + 1] = name
            assert run(*arguments).code == 0
        with NWBHDF5IO(name, "r") as io:
            nwbfile = io.read()
            movies.append((nwbfile.acquisition["TwoPhotonSeries"].data[:], nwbfile.subject.age))
    return np.array_equal(movies[0][0], movies[1][0]) and movies[0][1] == movies[1][1]


@pytest.fixture(scope="module")
def written_demo(tmp_path_factory):
    """A demo that is copied, not changed."""
    folder = tmp_path_factory.mktemp("written") / "demo"
    with pytest.raises(SystemExit) as ended:
        main(["demo", str(folder)])
    assert not ended.value.code
    return folder


def test_demo_replaces_only_what_is_its_own(run, tmp_path, written_demo):
    folder = tmp_path / "demo"
    shutil.copytree(written_demo, folder)
    assert run("demo", folder).is_mistake("not empty", "--overwrite")
    (folder / "mine.txt").write_text("precious")
    assert run("demo", folder, "--overwrite").code == 0
    assert (folder / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("name", ["scan_00001.tif", "suite2p/plane0/F.npy", "session.nwb"])
def test_demo_never_replaces_files_of_a_user(run, tmp_path, name):
    """Fault: the demo deleted a Suite2p folder of the user."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    told = run("demo", tmp_path, "--overwrite")
    assert told.is_mistake("It is left as it is")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("step", ["write_scanimage", "write_suite2p", "open_recording"])
def test_a_demo_that_fails_leaves_the_former_one(run, tmp_path, monkeypatch, step, written_demo):
    """Fault: the former raw files were deleted before the new ones were written."""
    from nwb_ophys.cli import demo_recording

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    shutil.copytree(written_demo, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(demo_recording, step, fail)
        assert run("demo", tmp_path, "--overwrite").is_mistake("No space left on device")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    assert run("demo", tmp_path, "--overwrite").code == 0
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(before)


def test_an_interrupted_demo_leaves_nothing(run, tmp_path, monkeypatch):
    from nwb_ophys.cli import demo_recording

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_recording, "open_recording", interrupt)
    told = run("demo", tmp_path / "demo")
    assert (told.code, told.err) == (130, "Interrupted. No incomplete file was left.\n")
    assert list(tmp_path.iterdir()) == []
