"""Truncated recordings by the command line: the refusal names the option, the note the frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_ophys.testing.samples import sample_writers

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
MOVIE = np.random.default_rng(2).integers(1, 3000, (8, 20, 24)).astype("u2")


def scanbox(folder: Path) -> Path:
    return sample_writers()["write_scanbox"](folder / "m_000_001.sbx", MOVIE)


def memmap(folder: Path) -> Path:
    return sample_writers()["write_memmap"](folder, MOVIE.astype("f4"))


def array(folder: Path) -> Path:
    np.save(folder / "m.npy", MOVIE)
    return folder / "m.npy"


def images(folder: Path) -> Path:
    return sample_writers()["write_tiff"](folder / "m.tif", MOVIE)


@pytest.mark.parametrize("write", [scanbox, memmap, array, images])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_without_its_end(tmp_path: Path, run: Any, write: Any, is_folder: bool) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    path = write(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    out = tmp_path / "a.nwb"
    rate = [] if write is scanbox else ["--option", "sampling_frequency=30"]
    words = ["convert", str(folder if is_folder else path), "-o", str(out), "--set", START, *rate]
    refused = run(*words)
    assert refused.code == 2
    assert path.name in refused.err
    assert "--option allow_truncated=true" in refused.err
    assert not out.exists()
    done = run(*words, "--option", "allow_truncated=true")
    assert done.code == 0, done.err
    assert f"{path.name}' is truncated" in done.err
    with h5py.File(out) as file:
        (series,) = file["acquisition"].values()
        data = series["data"][:].transpose(0, 2, 1)
    assert 4 <= len(data) <= 6
    np.testing.assert_array_equal(data, MOVIE[: len(data)])
