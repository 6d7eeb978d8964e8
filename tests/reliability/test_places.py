"""Files of one recording in each other's place, where their contents state the right one."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.errors import NwbOphysError
from nwb_ophys.formats.scanimage.sample import write_scanimage
from nwb_ophys.testing import write_micromanager, write_ndtiff, write_ome_tiff

MOVIE = np.arange(12 * 16 * 16, dtype=np.uint16).reshape(12, 16, 16)

WRITERS: dict[str, Callable[[Path], object]] = {
    "ome-tiff": lambda folder: write_ome_tiff(folder, MOVIE, num_files=3),
    "micromanager": lambda folder: write_micromanager(folder, MOVIE, num_files=3),
    "ndtiff": lambda folder: write_ndtiff(folder, MOVIE, num_files=3),
    "scanimage": lambda folder: write_scanimage(folder, MOVIE.astype(np.int16), frames_per_file=4),
}


@pytest.fixture(params=list(WRITERS))
def recording(request, tmp_path) -> Iterator[Path]:
    folder = tmp_path / "recording"
    folder.mkdir()
    WRITERS[request.param](folder)
    assert len(_files(folder)) == 3
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.tif"))


def _read(path: Path) -> tuple[str, np.ndarray | None]:
    """Return the error or the notes of opening a recording, and the frames of its first movie."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            opened = nwb_ophys.open(path)
            movies = list(getattr(opened, "interfaces", {"": opened}).values())
            frames = movies[0].extractor.get_series()
        except NwbOphysError as error:
            return str(error), None
    return " ".join(str(each.message) for each in caught), np.squeeze(frames)


def _check(folder: Path) -> None:
    """Check that a recording is refused by the name of a file, or read in its right order."""
    for path in (folder, *_files(folder)):
        said, frames = _read(path)
        if frames is None:
            assert folder.name in said, said
            continue
        if said and len(frames) < len(MOVIE):
            continue
        np.testing.assert_array_equal(frames, MOVIE)


def test_a_whole_recording_is_read(recording):
    said, frames = _read(recording)
    assert not said
    np.testing.assert_array_equal(frames, MOVIE)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (0, 2)])
def test_two_files_that_were_swapped(recording, tmp_path, one, other):
    first, second = _files(recording)[one], _files(recording)[other]
    shutil.move(first, tmp_path / "away")
    shutil.move(second, first)
    shutil.move(tmp_path / "away", second)
    _check(recording)


@pytest.mark.parametrize(("one", "other"), list(permutations(range(3), 2)))
def test_a_file_copied_over_another(recording, one, other):
    shutil.copyfile(_files(recording)[one], _files(recording)[other])
    _check(recording)


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("name", ["first", "last"])
def test_a_file_that_was_renamed(recording, which, name):
    path = _files(recording)[which]
    suffix = path.name[path.name.index(".") :]
    path.rename(path.with_name({"first": "a", "last": "z"}[name] + suffix))
    _check(recording)


@pytest.mark.parametrize("which", range(3))
def test_a_file_that_was_lost(recording, which):
    _files(recording)[which].unlink()
    for path in (recording, *_files(recording)):
        said, frames = _read(path)
        assert said
        assert frames is None or len(frames) < len(MOVIE)
