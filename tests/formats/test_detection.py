"""Each recording is of its own format, and of no other: every detector on every sample."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.errors import SourceNotFoundError, UnknownFormatError
from nwb_ophys.glance import Glance
from nwb_ophys.registry import detect, formats
from nwb_ophys.testing import SimulatedRecording, check_format

from .conftest import Sample, sample_of

_BRUKER = "NCCR32_2022_11_03_IntoTheVoid_t_series-005"
# What each real recording is; paths that are none of the formats' have none.
REAL = {
    "tiff/neurofinder_crop_101x256x256.tif": {"tiff"},
    "tiff/video-gcamp.tif": {"tiff"},
    "tiff/zebrafish_two_planes": {"tiff"},
    "scanimage/scanimage_20220923_noroi.tif": {"scanimage"},
    "scanimage/volumetric_two_channels_multi_file": {"scanimage"},
    "scanimage/volumetric_single_channel_single_file_no_flyback": {"scanimage"},
    "scanbox": set(),  # the .sbx file is absent
    "scanbox/sample.mat": set(),
    "scanimage_legacy/sample_scanimage_version_3_8.tiff": {"scanimage-legacy"},
    "scanimage_legacy": {"scanimage-legacy"},
    "femtonics/p29.mesc": {"femtonics"},
    "miniscope/C6-J588_Disc5": {"miniscope"},
    "miniscope/C6-J588_Disc5/15_03_28": {"miniscope"},
    "miniscope/C6-J588_Disc5/15_03_28/Miniscope": {"miniscope"},
    "miniscope/C6-J588_Disc5/15_03_28/BehavCam_2": set(),
    "suite2p/two_planes_two_channels": {"suite2p"},
    "suite2p/two_planes_two_channels/plane1": {"suite2p"},
    "suite2p/two_planes_two_channels/combined": set(),
    "suite2p/v1.1.0/suite2p": {"suite2p"},
    "caiman/caiman_analysis.hdf5": {"caiman"},
    "caiman/v1.12.1_neurofinder_crop.hdf5": {"caiman"},
    "extract/extract_public_output.mat": {"extract"},
    "minian/segmented_data_3units_100frames": {"minian"},
    "inscopix/movie_longer_than_3_min.isxd": {"inscopix"},
    "inscopix/cellset_series_part1.isxd": {"inscopix-cells"},
    "suite2p/v1.1.0/written_by_suite2p.nwb": {"nwb-segmentation"},
    f"bruker/{_BRUKER}": {"bruker"},
    f"bruker/{_BRUKER}/{_BRUKER}.xml": {"bruker"},
    "thor/20231018-002": {"thor"},
    "thor/20231018-002/Experiment.xml": {"thor"},
    "thor/20231018-002/ChanA_001_001_001_002.tif": {"thor"},
    "README.md": set(),
}


@pytest.mark.parametrize("path", REAL)
def test_real_recordings_are_of_their_own_format_alone(data_folder, path):
    glance = Glance(data_folder / path)
    claims = {row.name: row.load().matches(glance) for row in formats().values()}
    assert {name for name, evidence in claims.items() if evidence} == REAL[path]
    assert {each.format for each in detect(data_folder / path)} == REAL[path]


@pytest.mark.parametrize("name", sorted(formats()))
def test_a_sample_is_of_its_own_format_alone(name: str, sample: Sample) -> None:
    """Every detector on every sample."""
    evidence = formats()[name].load().matches(sample.path)
    is_own = name == sample.row.name
    if sample.row.name == "numpy-segmentation":
        # Arrays of ROIs are told by their names only; by itself such a file is one of an array.
        is_own = name == "numpy"
    assert (evidence is not None) == is_own


@pytest.mark.parametrize("name", sorted(formats()))
def test_every_format_keeps_the_contract(
    name: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    sample = sample_of(name, tmp_path, recording)
    check_format(sample.cls, sample.source, is_detected=name != "numpy-segmentation")


def test_a_folder_of_ten_thousand_files_is_looked_at_at_once(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"note_{number}.txt").touch()
    detect(tmp_path)  # imports the formats
    start = time.perf_counter()
    assert detect(tmp_path) == []
    # A machine that others use, too; a listing per format takes seconds.
    assert time.perf_counter() - start < 1


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    listed: list[Any] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    (tmp_path / "notes.txt").touch()
    detect(tmp_path)
    assert listed.count(tmp_path) == 1


def test_what_is_in_folders_is_found(tmp_path: Path, recording: SimulatedRecording) -> None:
    day = tmp_path / "mouse" / "day1"
    day.mkdir(parents=True)
    np.save(day / "movie.npy", recording.movie)
    (candidate,) = detect(tmp_path)
    assert candidate.format == "numpy"
    assert candidate.source == {"timeseries": day / "movie.npy"}
    movie = nwb_ophys.open(tmp_path, sampling_frequency=30.0)
    np.testing.assert_array_equal(movie.extractor.get_series(), recording.movie)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="absent"):
        detect(tmp_path / "absent")
    with pytest.raises(UnknownFormatError, match="No format recognises"):
        nwb_ophys.open(tmp_path)
