"""A note on streams that may be sections of a recording, and are all written from 0 s."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.opening import open_recording

MOVIE = np.zeros((4, 6, 8), np.float32)


def written(folder, *names):
    for name in names:
        if name.endswith(".npy"):
            np.save(folder / name, MOVIE)
        elif name.endswith(".h5"):
            with h5py.File(folder / name, "w") as file:
                file["mov"] = MOVIE
        else:
            MOVIE.reshape(4, -1).T.astype("f4").T.tofile(folder / name)
    return folder


def notes(folder, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_recording(folder, options={"sampling_frequency": 10.0}, **options)
    return [str(each.message) for each in caught if "count" in str(each.message)]


MAPS = [f"Yr{i:04d}_d1_6_d2_8_d3_1_order_F_frames_4_.mmap" for i in range(3)]


@pytest.mark.parametrize("names", [MAPS, ["a1.npy", "a2.npy"], ["s_09.h5", "s_10.h5", "other.h5"]])
def test_numbered_files_without_a_start_are_named(tmp_path, names):
    (note,) = notes(written(tmp_path, *names))
    assert "the times of each are counted from 0 s" in note
    assert note.count("'") == 2 * sum("other" not in name for name in names)
    assert f"--times {names[-1 if 'other' not in names[-1] else 1].rsplit('.', 1)[0]}=FILE" in note


@pytest.mark.parametrize(
    "names", [["plane0.npy", "plane1.npy"], ["a_ch1.h5", "a_ch2.h5"], ["a.npy", "b.npy"]]
)
def test_planes_channels_and_other_names_are_not(tmp_path, names):
    assert notes(written(tmp_path, *names)) == []


def test_times_that_are_given_make_the_note_needless(tmp_path):
    assert notes(written(tmp_path, *MAPS), has_times=True) == []


def test_open_gives_the_note_too(tmp_path):
    folder = written(tmp_path, "a1.npy", "a2.npy")
    np.save(folder / "a2.npy", MOVIE + 1)
    with pytest.warns(UserWarning, match="counted from 0 s"):
        nwb_ophys.open(folder, sampling_frequency=10.0)


@pytest.mark.parametrize(
    ("folders", "is_named"),
    [
        (["rec0", "rec1"], True),
        (["m1/day1", "m1/day2", "m2/day1"], True),
        (["plane0/rec1", "plane1/rec2"], True),
        (["raw", "corrected"], False),
        (["plane0", "plane1"], False),
        (["ch1/plane0", "ch1/plane1", "ch2/plane0"], False),
    ],
)
def test_movies_in_numbered_folders_are_named(tmp_path, folders, is_named):
    for index, folder in enumerate(folders):
        (tmp_path / folder).mkdir(parents=True)
        for part in (1, 2):  # joined
            movie = np.full((5, 6, 7), 2 * index + part, "u2")
            tifffile.imwrite(tmp_path / folder / f"movie_{part}.tif", movie)
    found = notes(tmp_path)
    assert len(found) == is_named
    if is_named:
        assert found[0].partition(": ")[0].count("'") == 2 * len(folders)
        assert "the names of the files or folders differ in " in found[0]
