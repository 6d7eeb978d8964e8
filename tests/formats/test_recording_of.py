"""Files of recordings of several files name the recording that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import formats
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import sample_writers

MOVIE = np.random.default_rng(1).integers(0, 200, (5, 20, 24)).astype("u2")


def write(name: str, *arguments: Any, **options: Any) -> None:
    sample_writers()[f"write_{name}"](*arguments, **options)


def write_movie_of_suite2p(folder: Path) -> None:
    recording = simulate_recording(num_samples=5, num_rows=24, num_columns=34, num_cells=2)
    write("suite2p", folder, recording, second_channel=True, movie=True)


@pytest.mark.parametrize(
    ("name", "writer", "expected"),
    [
        (
            "scanbox",
            lambda folder: write("scanbox", folder / "a.sbx", MOVIE),
            {"a.sbx": "a.sbx", "a.mat": "a.sbx"},
        ),
        (
            "thor",
            lambda folder: write("thor", folder / "t", MOVIE, raw=True),
            {"t/Experiment.xml": "t", "t/Image_001_001.raw": "t"},
        ),
        (
            "thor",
            lambda folder: write("thor", folder / "t", MOVIE[:2]),
            {
                "t/Experiment.xml": "t",
                "t/ChanA_001_001_001_001.tif": "t",
                "t/ChanA_001_001_001_002.tif": "t",
            },
        ),
        (
            "miniscope",
            lambda folder: write("miniscope", folder / "m", MOVIE.astype("u1")),
            {
                "m/metaData.json": "m",
                "m/Miniscope/0.avi": "m/Miniscope",
                "m/Miniscope/timeStamps.csv": "m/Miniscope",
                "m/Miniscope/metaData.json": "m/Miniscope",
            },
        ),
        (
            "suite2p-movie",
            write_movie_of_suite2p,
            {
                f"suite2p/plane0/{name}": "suite2p"
                for name in (
                    *("data.bin", "data_chan2.bin", "F.npy", "F_chan2.npy", "Fneu.npy"),
                    *("Fneu_chan2.npy", "iscell.npy", "ops.npy", "redcell.npy", "spks.npy"),
                    "stat.npy",
                )
            },
        ),
    ],
)
def test_files_and_their_recordings(
    tmp_path: Path, name: str, writer: Callable[[Path], None], expected: dict[str, str]
) -> None:
    writer(tmp_path)
    (tmp_path / "other.mat").write_bytes(b"MATLAB 5.0")
    (tmp_path / "notes.txt").write_text("notes")
    cls = formats()[name].load()
    found = {path: cls.recording_of(PathProbe(path)) for path in tmp_path.rglob("*")}
    named = {
        path.relative_to(tmp_path).as_posix(): recording.relative_to(tmp_path).as_posix()
        for path, recording in found.items()
        if recording is not None
    }
    assert named == expected
