"""Tests of what may go into one file: recordings of one session of one subject."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import attrs
import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.errors import SourceError
from nwb_ophys.opening import open_recording
from nwb_ophys.testing import (
    simulate_recording,
    write_scanimage,
    write_scanimage_legacy,
    write_suite2p,
    write_tiff,
)

RATE = {"sampling_frequency": 30.0}
MOVIE = np.random.default_rng(0).integers(0, 900, (8, 20, 24)).astype("i2")
START = datetime(2024, 5, 17, 14)


def _scan(path: Path, start: datetime) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (found,) = write_scanimage(path, MOVIE, session_start_time=start)
    return found


def test_recordings_of_other_days_are_refused(tmp_path: Path) -> None:
    """Fault: two days were streams of one file, with a note."""
    paths = [_scan(tmp_path / f"{k}" / "a.tif", START + timedelta(days=2 * k)) for k in range(2)]
    words = "began more than a day apart: .*2024-05-17 14:00.*2024-05-19 14:00.*--all-in-one"
    with pytest.raises(SourceError, match=words):
        open_recording(paths)
    with pytest.raises(SourceError, match="more than a day apart"):
        nwb_ophys.open(tmp_path)
    assert len(open_recording(paths, all_in_one=True).converter.interfaces) == 2
    assert len(nwb_ophys.open(tmp_path, all_in_one=True).interfaces) == 2


def test_recordings_of_other_days_in_one_folder_are_refused(tmp_path: Path) -> None:
    """Fault: only recordings in folders of their own were compared."""
    for k in range(2):
        _scan(tmp_path / f"m_0000{k}.tif", START + timedelta(days=2 * k))
    words = (
        r"began more than a day apart: .*m_00000\.tif' \(2024-05-17 14:00\); .*m_00001\.tif' "
        r"\(2024-05-19 14:00\)\..* convert .*m_00000\.tif -o m_00000\.nwb; "
    )
    with pytest.raises(SourceError, match=words):
        nwb_ophys.open(tmp_path)
    assert len(nwb_ophys.open(tmp_path, all_in_one=True).interfaces) == 2
    nwb_ophys.open(tmp_path / "m_00000.tif").close()


def test_formats_in_one_folder_are_named_by_their_files(tmp_path: Path) -> None:
    """Fault: the folder was named once, and the command converted it as before."""
    _scan(tmp_path / "new.tif", START)
    write_scanimage_legacy(tmp_path / "old.tif", MOVIE.astype("u2"))
    words = r"new\.tif' \(2024-05-17 14:00\); .*old\.tif' \(2017-10-09 16:57\)\."
    with pytest.raises(SourceError, match=words):
        nwb_ophys.open(tmp_path)


def test_a_clock_that_was_not_set_is_of_no_day(tmp_path: Path) -> None:
    _scan(tmp_path / "a" / "a.tif", START)
    _scan(tmp_path / "b" / "b.tif", datetime(1601, 1, 1, 0, 0, 25))
    assert len(nwb_ophys.open(tmp_path).interfaces) == 2


def test_recordings_of_one_day_go_together(tmp_path: Path) -> None:
    paths = [_scan(tmp_path / f"{k}" / "a.tif", START + timedelta(hours=k)) for k in range(2)]
    assert list(open_recording(paths).converter.interfaces) == ["0", "1"]


def test_folders_with_a_movie_and_its_rois_each_are_refused(tmp_path: Path) -> None:
    recording = simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)
    for index, name in enumerate(("mouse1", "mouse2")):
        (tmp_path / name).mkdir()
        write_tiff(tmp_path / name / "movie.tif", recording.movie + index)
        write_suite2p(tmp_path / name, attrs.evolve(recording, movie=recording.movie + index))
    words = r"each hold a movie with its ROIs: .*mouse1' \(mouse1\); .*mouse2' \(mouse2\)"
    with pytest.raises(SourceError, match=words):
        nwb_ophys.open(tmp_path, **RATE)
    inner = [tmp_path / n / each for n in ("mouse1", "mouse2") for each in ("movie.tif", "suite2p")]
    with pytest.raises(
        SourceError, match=r"convert .*mouse1 -o mouse1\.nwb; .*mouse2 -o mouse2\.nwb"
    ):
        open_recording(inner, options=RATE)
    opened = nwb_ophys.open(tmp_path / "mouse1", **RATE)
    assert sorted(opened.interfaces) == ["suite2p", "tiff"]


def test_movies_and_rois_in_folders_of_their_own_are_one_session(tmp_path: Path) -> None:
    recording = simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)
    for name in ("raw", "analysis"):
        (tmp_path / name).mkdir()
    write_tiff(tmp_path / "raw" / "movie.tif", recording.movie)
    write_suite2p(tmp_path / "analysis", recording)
    assert sorted(nwb_ophys.open(tmp_path, **RATE).interfaces) == ["suite2p", "tiff"]
