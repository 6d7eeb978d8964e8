"""Tests of the files and the output of ``nwb-ophys convert``."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pynwb
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys.storage import get_backend

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
RATE = ("--option", "sampling_frequency=30")


def _acquired(path: Path) -> dict[str, np.ndarray]:
    with NWBHDF5IO(path, "r") as io:
        found = io.read().acquisition.values()
        return {series.name: series.data[:].swapaxes(1, 2) for series in found}


def test_one_recording(run, raw, recording):
    done = run("convert", "movie.tif", "-o", "session.nwb", *RATE, "--set", START)
    assert (done.code, done.err) == (0, "")
    first, wrote, series, check = done.out.splitlines()
    assert first == f"{raw / 'session.nwb'}: tiff"
    assert wrote.startswith(f"Wrote {raw / 'session.nwb'} (")
    num_samples, num_rows, num_columns = recording.movie.shape
    size = f"{num_samples} frames of {num_columns} x {num_rows} (x, y) pixels"
    assert series == f"  TwoPhotonSeries: {size}, 30 Hz"
    assert check == f"Check it with: nwb-ophys inspect {raw / 'session.nwb'}"
    np.testing.assert_array_equal(
        _acquired(raw / "session.nwb")["TwoPhotonSeries"], recording.movie
    )


def test_the_next_command_can_be_copied_whatever_the_name(run, raw, recording):
    done = run("convert", "movie.tif", "-o", "day 1 [ü]'s.nwb", *RATE, "--set", START)
    *_, check = done.out.splitlines()
    words = shlex.split(check.partition("nwb-ophys ")[2])
    assert words == ["inspect", str(raw / "day 1 [ü]'s.nwb")]


def test_all_channels_and_planes_of_several_paths(run, raw, recording, backend):
    name = "session.nwb" if backend == "hdf5" else "session.nwb.zarr"
    done = run(
        *("convert", "si.tif", "suite2p", "caiman.hdf5", "-o", name),
        *("--set", START, "--backend", backend),
    )
    assert done.code == 0
    assert done.out.splitlines()[0].endswith(
        "scanimage Channel 1, scanimage Channel 2, suite2p plane0, suite2p plane1, caiman"
    )
    with get_backend(backend).open(raw / name, "r") as io:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        for channel in (1, 2):
            series = nwbfile.acquisition[f"TwoPhotonSeriesChannel{channel}"]
            movie = series.data[:].swapaxes(1, 2)
            np.testing.assert_array_equal(movie, recording.movie + channel - 1)
        tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
        assert len(tables) == 4
        assert list(nwbfile.devices) == ["Microscope"]


def test_formats_may_be_given(run, raw):
    done = run(
        *("convert", "si.tif", "--format", "tiff", "-o", "a.nwb", *RATE, "--set", START),
    )
    assert done.code == 0
    # As a plain TIFF its pages alternate between channels, and it has twice as many frames.
    assert _acquired(raw / "a.nwb")["TwoPhotonSeries"].shape[0] == 80


def test_stub_and_options(run, raw):
    done = run(
        *("convert", "suite2p/plane0", "-o", "a.nwb", "--set", START, "--stub", "7"),
        *("--option", "mask_type=pixel", "--option", "roi_ids=[2, 0]"),
    )
    assert done.code == 0
    with NWBHDF5IO(raw / "a.nwb", "r") as io:
        ophys = io.read().processing["ophys"]
        (table,) = ophys["ImageSegmentation"].plane_segmentations.values()
        assert "pixel_mask" in table.colnames
        assert list(table.id[:]) == [2, 0]
        for series in ophys["Fluorescence"].roi_response_series.values():
            assert series.data.shape == (7, 2)


def test_no_masks(run, raw):
    done = run(
        *("convert", "caiman.hdf5", "-o", "a.nwb", "--set", START, "--option", "mask_type=null")
    )
    assert done.code == 0
    with NWBHDF5IO(raw / "a.nwb", "r") as io:
        table = io.read().processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        assert "image_mask" not in table.colnames


def test_metadata_file_and_set(run, raw):
    (raw / "meta.yaml").write_text(
        "NWBFile:\n  session_start_time: 2024-05-17 14:30:00+02:00\n  lab: from the file\n"
        "  institution: of the file\nSubject: {subject_id: M7}\n"
    )
    done = run(
        *("convert", "movie.tif", "-o", "a.nwb", *RATE, "--metadata", "meta.yaml"),
        *("--set", "NWBFile.lab=from = the line"),
    )
    assert done.code == 0
    with NWBHDF5IO(raw / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time.isoformat() == "2024-05-17T14:30:00+02:00"
        assert (nwbfile.lab, nwbfile.institution) == ("from = the line", "of the file")
        assert nwbfile.subject.subject_id == "M7"


def test_overwrite_and_append(run, raw):
    base = ("convert", "movie.tif", "-o", "a.nwb", *RATE, "--set", START)
    assert run(*base).code == 0
    before = (raw / "a.nwb").read_bytes()
    again = run(*base)
    assert again.is_mistake("a.nwb", "already exists", "overwrite", "append")
    assert (raw / "a.nwb").read_bytes() == before
    assert run(*base, "--overwrite").code == 0
    added = run("convert", "caiman.hdf5", "-o", "a.nwb", "--append", "--set", START)
    assert added.code == 0
    with NWBHDF5IO(raw / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert list(nwbfile.acquisition) == ["TwoPhotonSeries"]
        assert "BackgroundPlaneSegmentation" in (
            nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
        )
    before = (raw / "a.nwb").read_bytes()
    twice = run("convert", "caiman.hdf5", "-o", "a.nwb", "--append", "--set", START)
    assert twice.is_mistake("PlaneSegmentation", "already")
    assert (raw / "a.nwb").read_bytes() == before
    assert not list(raw.glob(".*"))


def test_a_start_without_zone_is_noted(run, raw):
    """ScanImage writes no time zone: a note names the zone that is used."""
    done = run("convert", "si.tif", "-o", "a.nwb")
    assert done.code == 0
    (note,) = done.err.splitlines()
    assert note.startswith("Note: ")
    assert "time zone" in note


def test_as_a_program(raw, recording):
    """The installed command runs as users call it."""
    program = Path(sys.executable).parent / "nwb-ophys"
    done = subprocess.run(
        [program, "convert", "movie.npy", "-o", "a.nwb", *RATE, "--set", START],
        capture_output=True,
        text=True,
        cwd=raw,
    )
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(_acquired(raw / "a.nwb")["TwoPhotonSeries"], recording.movie)
    failed = subprocess.run(
        [program, "convert", "absent.tif", "-o", "b.nwb"], capture_output=True, text=True, cwd=raw
    )
    assert failed.returncode == 2
    assert failed.stderr == "Error: 'absent.tif' does not exist; check the path.\n"


@pytest.mark.parametrize(
    ("request_to_end", "code", "said"),
    [
        (signal.SIGINT, 130, "Interrupted. No incomplete file was left."),
        (signal.SIGTERM, 143, "Terminated. No incomplete file was left."),
    ],
)
def test_interrupted_it_leaves_nothing(raw, request_to_end, code, said):
    # 20 GB, of which a file system keeps none.
    shape = (500_000, 200, 200)
    np.lib.format.open_memmap(raw / "long.npy", mode="w+", dtype="uint8", shape=shape)
    program = Path(sys.executable).parent / "nwb-ophys"
    process = subprocess.Popen(
        [program, "convert", "long.npy", "-o", "a.nwb", *RATE, "--set", START],
        stderr=subprocess.PIPE,
        text=True,
        cwd=raw,
    )
    end = time.monotonic() + 30
    while not list(raw.glob("*.partial*")) + list(raw.glob(".*.partial*")):
        assert time.monotonic() < end, "it never began to write"
        assert process.poll() is None, "it was done before it could be interrupted"
        time.sleep(0.01)
    process.send_signal(request_to_end)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == code
    assert printed.strip().endswith(said)
    assert "Traceback" not in printed
    assert not (raw / "a.nwb").exists()
    assert not list(raw.glob(".*"))


# --- appending to a file that has planes and a session -----------------------------------------

SECOND = "Ophys.TwoPhotonSeries.0.name=Second"
LINK = "Ophys.TwoPhotonSeries.0.imaging_plane"


def _append(run, *settings):
    given = [word for value in (SECOND, *settings) for word in ("--set", value)]
    return run("convert", "movie.tif", "-o", "a.nwb", *RATE, "--append", *given)


@pytest.fixture
def described(run, raw):
    """A file whose movie has a described plane, and a subject."""
    settings = (START, "Ophys.ImagingPlane.0.location=VISp", "Subject.subject_id=M1")
    given = [word for value in settings for word in ("--set", value)]
    assert run("convert", "movie.tif", "-o", "a.nwb", *RATE, *given).code == 0
    return raw / "a.nwb"


@pytest.mark.parametrize(
    ("settings", "plane", "location"),
    [
        ((), "ImagingPlane2", "unknown"),
        (("Ophys.ImagingPlane.0.location=LM",), "ImagingPlane2", "LM"),
        (("Ophys.ImagingPlane.0.location=VISp",), "ImagingPlane", "VISp"),
        ((f"{LINK}=ImagingPlane",), "ImagingPlane", "VISp"),
        (("Ophys.ImagingPlane.0.name=Own", f"{LINK}=Own"), "Own", "unknown"),
    ],
)
def test_a_second_movie_states_its_own_plane(run, described, settings, plane, location):
    done = _append(run, *settings)
    assert (done.code, done.err) == (0, "")
    with NWBHDF5IO(described, "r") as io:
        acquisition = io.read().acquisition
        assert acquisition["TwoPhotonSeries"].imaging_plane.location == "VISp"
        found = acquisition["Second"].imaging_plane
        assert (found.name, found.location) == (plane, location)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ("Ophys.ImagingPlane.0.location=LM", f"{LINK}=ImagingPlane"),
            ('["location"]', "'LM'", "'VISp'", "leave out the link"),
        ),
        ((f"{LINK}=Nowhere",), ('["imaging_plane"]', "'Nowhere'", "'ImagingPlane'")),
        (("Subject.subject_id=M7",), ('["subject_id"]', "'M7'", "'M1'")),
    ],
)
def test_what_contradicts_the_file_is_refused(run, described, settings, words):
    before = described.read_bytes()
    assert _append(run, *settings).is_mistake(*words)
    assert described.read_bytes() == before


def test_rois_are_linked_to_a_plane_by_its_name(run, raw):
    base = ("convert", "movie.tif", "-o", "a.nwb", *RATE)
    named = ("--set", "Ophys.ImagingPlane.0.name=V1", "--set", f"{LINK}=V1")
    assert run(*base, "--set", START, *named).code == 0
    link = "Ophys.ImageSegmentation.plane_segmentations.imaging_plane=V1"
    assert run("convert", "caiman.hdf5", "-o", "a.nwb", "--append", "--set", link).code == 0
    with NWBHDF5IO(raw / "a.nwb", "r") as io:
        nwbfile = io.read()
        tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
        plane = nwbfile.acquisition["TwoPhotonSeries"].imaging_plane
        assert [table.imaging_plane is plane for table in tables.values()] == [True, True]
        assert list(nwbfile.imaging_planes) == ["V1"]
