"""Tests of what a conversion says: the files that were joined, and the contents of the file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from nwb_ophys.opening import joined_files, open_recording, summarise_file
from nwb_ophys.testing import (
    simulate_recording,
    write_bruker,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

MOVIE = np.random.default_rng(0).integers(0, 200, (6, 16, 18)).astype("i2")
START = {"NWBFile": {"session_start_time": "2024-05-17T14:00:00+02:00"}}


def _lines(*paths: Path, **options: object) -> list[str]:
    return list(joined_files(open_recording(paths, options=options)))


def test_files_of_two_channels_are_listed_once_in_order(tmp_path: Path) -> None:
    write_scanimage(tmp_path / "in", {1: MOVIE, 2: MOVIE + 1}, frames_per_file=4)
    assert _lines(tmp_path / "in") == [
        "scanimage Channel 1, scanimage Channel 2: joined 2 files in this order: "
        "'recording_00001_00001.tif' (4 frames), 'recording_00001_00002.tif' (2 frames)"
    ]


def test_many_files_are_not_all_listed(tmp_path: Path) -> None:
    for number in range(1, 13):
        write_tiff(tmp_path / f"f_{number}.tif", MOVIE[:2] if number < 12 else MOVIE[:1])
    assert _lines(tmp_path, sampling_frequency=30.0) == [
        "tiff: joined 12 files in this order: 'f_1.tif', 'f_2.tif', … 'f_12.tif', "
        "2 frames in the first, 1 frame in the last"
    ]


def test_files_of_a_folder_with_a_companion_file(tmp_path: Path) -> None:
    write_bruker(tmp_path / "TS", MOVIE.astype("u2"))
    (line,) = _lines(tmp_path / "TS")
    assert line.startswith("bruker: joined 6 files in this order: 'TS_Cycle00001_Ch2_000001.ome")
    assert line.count("(1 frame)") == 6


def test_files_of_one_name_are_told_apart_by_their_folders(data_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (line,) = _lines(data_folder / "miniscope" / "C6-J588_Disc5")
    assert line.startswith("miniscope: joined 3 files in this order: '15_03_28/Miniscope/0.avi' (5")


def test_a_single_file_is_not_mentioned(tmp_path: Path) -> None:
    write_scanimage(tmp_path / "a.tif", MOVIE)
    assert _lines(tmp_path / "a.tif") == []


@pytest.mark.parametrize("name", ["a.nwb", "a.nwb.zarr"])
def test_the_summary_states_what_is_in_the_file(tmp_path: Path, name: str) -> None:
    recording = simulate_recording(num_samples=10, num_rows=24, num_columns=34, num_cells=3)
    write_tiff(tmp_path / "movie.tif", recording.movie)
    write_suite2p(tmp_path, recording)
    paths = [tmp_path / "movie.tif", tmp_path / "suite2p"]
    opened = open_recording(paths, options={"sampling_frequency": 30.0})
    opened.converter.run_conversion(tmp_path / name, metadata=START, progress=False)
    first, *lines = summarise_file(tmp_path / name).splitlines()
    assert first.startswith(f"Wrote {tmp_path / name} (0.")
    assert lines[0] == "  TwoPhotonSeries: 10 frames of 34 x 24 (x, y) pixels, 30 Hz"
    assert lines[1].startswith("  PlaneSegmentation: 3 ROIs (")
    assert "  RoiResponseSeries: 10 samples of 3 ROIs, 30 Hz" in lines


def test_a_file_that_cannot_be_listed_was_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.nwb").write_bytes(b"written")

    def fail(path: Path) -> list[str]:
        raise KeyError("an extension that is not installed")

    monkeypatch.setattr("nwb_ophys.opening.summary._contents", fail)
    assert "its contents cannot be listed" in summarise_file(tmp_path / "a.nwb")


def test_many_planes_of_a_z_stack_are_not_all_listed(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", MOVIE[:1, ..., None] + np.arange(30, dtype="i2"))
    with pytest.warns(UserWarning, match="a single z-stack"):
        recording = open_recording([tmp_path / "a.tif"], options={"num_planes": 30})
    written = recording.converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    recording.converter.close()
    (line,) = (each for each in summarise_file(written).splitlines() if "ZStack" in each)
    assert line.strip().startswith("ZStack: 30 images (Plane0, Plane1, Plane2, Plane3")
    assert line.endswith("Plane19 and 10 more)")
