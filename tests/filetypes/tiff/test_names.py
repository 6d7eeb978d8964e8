"""Tests of the names of image files: which differ in one counter, and what their tokens mean."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.filetypes.tiff.names import is_projection, named_series


def _groups(*names: str) -> list[list[str]]:
    return [[path.name for path in each.paths] for each in named_series(map(Path, names))]


@pytest.mark.parametrize(
    "names",
    [
        ["rec_1.tif", "rec_2.tif", "rec_10.tif", "rec_11.tif"],
        ["time001.tif", "time002.tif"],
        ["img (1).tif", "img (2).tif"],
        ["run1_t001.tif", "run1_t002.tif"],
        ["20240517_a_1.tif", "20240517_a_2.tif"],
        ["240517_1.tif", "240517_2.tif"],
        ["2024-05-17_14-30-00_1.tif", "2024-05-17_14-30-00_2.tif"],
        ["2024-05-17_00-00-01.tif", "2024-05-17_00-00-02.tif"],
        ["20240517_00_01_01.tif", "20240517_00_01_02.tif"],
        ["240517_000001.tif", "240517_010000.tif"],
        ["20240517_000959.tif", "20240517_001000.tif"],
        ["img_010131.tif", "img_010132.tif"],
        ["20210304_01_00_01.tif", "20210304_01_00_02.tif", "20210304_01_00_03.tif"],
        ["20210304_01_00_58.tif", "20210304_01_00_60.tif", "20210304_01_00_75.tif"],
        ["20210304_01_00_01.tif", "20210304_01_00_02.tif", "20210304_01_00_04.tif"],
        ["20210304_010001.tif", "20210304_010002.tif"],
        ["a_20210304010001.tif", "a_20210304010002.tif"],
        ["fov1_ch1_001.tif", "fov1_ch1_002.tif"],
        ["IMG_7.TIF", "img_8.tif"],
    ],
)
def test_names_that_differ_in_one_counter_are_one_series(names: list[str]) -> None:
    assert _groups(*reversed(names)) == [names]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["fov1_ch1.tif", "fov1_ch2.tif"], ["fov1 ch1", "fov1 ch2"]),
        (["a_chan0.tif", "a_chan1.tif"], ["chan0", "chan1"]),
        (["C1-a.tif", "C2-a.tif"], ["C1", "C2"]),
        (["x_channel001.tif", "x_channel002.tif"], ["channel001", "channel002"]),
        (["x_green.tif", "x_red.tif"], ["green", "red"]),
        (["Green_1.tif", "Red_1.tif"], ["Green", "Red"]),
        (["a_z01.tif", "a_z02.tif"], ["z01", "z02"]),
        (["plane1.tif", "plane2.tif"], ["plane1", "plane2"]),
        (["a-pos2.tif", "a-pos3.tif"], ["pos2", "pos3"]),
    ],
)
def test_tokens_make_streams_of_one_family(names: list[str], labels: list[str]) -> None:
    series = named_series(map(Path, names))
    assert [each.label for each in series] == labels
    assert len({each.family for each in series}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["mouseA.tif", "mouseB.tif"],
        ["mouse1.tif", "mouse2.tif"],
        ["mouse1_001.tif", "mouse2_001.tif"],
        ["20240517_1.tif", "20240518_1.tif"],
        ["2024-05-17.tif", "2024-05-18.tif"],
        ["m1_240517.tif", "m1_240518.tif"],
        ["m1_170524.tif", "m1_180524.tif"],
        ["m1_05172024.tif", "m1_05182024.tif"],
        ["m1_20240517143022.tif", "m1_20240517150101.tif"],
        ["m1_20240517_143022.tif", "m1_20240517_150101.tif"],
        ["m1_2024-05-17_14-30-00.tif", "m1_2024-05-17_14-31-00.tif"],
        ["m1_2024-05-17 14.30.07.tif", "m1_2024-05-17 14.30.09.tif"],
        ["m1_20210304_01_00_01.tif", "m1_20210304_01_00_31.tif"],
        ["m1_20210304_01_00_01.tif", "m1_20210304_01_00_02.tif", "m1_20210304_02_00_01.tif"],
        ["m1_2024-05-17_14-30-00_1.tif", "m1_2024-05-17_14-31-00_1.tif"],
        ["m1_2024-05-17_00-10-00.tif", "m1_2024-05-17_00-20-00.tif"],
        ["m1_2024-05-17T143022.tif", "m1_2024-05-17T150101.tif"],
        ["240517_143022.tif", "240517_150101.tif"],
        ["run1_240517.tif", "run2_240518.tif"],
        ["day1.tif", "day2.tif"],
        ["rec.tif", "rec_1.tif"],
        ["a_1_1.tif", "a_1_2.tif", "a_2_1.tif"],
        ["rec_1.tif", "rec_2.tiff"],
        ["sub-01_ses-1.tif", "sub-01_ses-2.tif"],
    ],
)
def test_other_names_are_of_other_families(names: list[str]) -> None:
    assert len({each.family for each in named_series(map(Path, names))}) > 1


def test_channels_and_times_are_told_apart() -> None:
    names = [f"img_channel{c:03d}_position000_time{t:09d}_z000.tif" for c in (0, 1) for t in (0, 1)]
    assert _groups(*names, "img_channel001_position000_time000000002_z000.tif") == [
        names[:2],
        [*names[2:], "img_channel001_position000_time000000002_z000.tif"],
    ]


@pytest.mark.parametrize(
    ("numbers", "gap"),
    [((1, 2, 3), None), ((1, 2, 5), (2, 5)), ((10, 20, 30), None), ((0, 10, 30), (10, 30))],
)
def test_gaps_in_the_counter(numbers: tuple[int, ...], gap: tuple[int, int] | None) -> None:
    (series,) = named_series(Path(f"a_{number}.tif") for number in numbers)
    assert series.gap == gap


@pytest.mark.parametrize(
    "name",
    ["MAX_img.tif", "AVG_mouse.tif", "z_MAX_mouse.tif", "std_x.tif", "a-8bit-Reference.tif"],
)
def test_projections(name: str) -> None:
    assert is_projection(Path(name))


@pytest.mark.parametrize("name", ["movie.tif", "max1.tif", "climax_1.tif", "assume_1.tif"])
def test_names_that_are_no_projections(name: str) -> None:
    assert not is_projection(Path(name))


_NAME = st.from_regex(r"[a-c]{1,2}(_ch[12])?(_z[12])?_[0-9]{1,3}(_[0-9])?\.tif", fullmatch=True)


@given(st.lists(_NAME, min_size=1, max_size=12, unique=True), st.randoms())
def test_each_file_is_in_one_series_whatever_the_order(
    names: list[str], chance: random.Random
) -> None:
    shuffled = list(names)
    chance.shuffle(shuffled)
    series = named_series(map(Path, names))
    assert series == named_series(map(Path, shuffled))
    assert sorted(path.name for each in series for path in each.paths) == sorted(names)
    for each in series:
        assert list(each.numbers) == sorted(each.numbers)
        if len(each.paths) > 1:
            assert len(set(each.numbers)) == len(each.paths)


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["a_0.tif", "a_00.tif"], [["a_0.tif"], ["a_00.tif"]]),
        (
            ["a_1.tif", "a_01.tif", "a_2.tif", "a_02.tif", "a_10.tif"],
            [["a_1.tif", "a_2.tif", "a_10.tif"], ["a_01.tif", "a_02.tif"]],
        ),
        (["a_08.tif", "a_09.tif", "a_10.tif"], [["a_08.tif", "a_09.tif", "a_10.tif"]]),
    ],
)
def test_numbers_that_differ_in_their_zeros_alone_are_of_two_series(names, series) -> None:
    """Fault: two files of the same number were one movie, in no order that the names state."""
    found = [[path.name for path in each.paths] for each in named_series(map(Path, names))]
    assert sorted(found) == sorted(series)
