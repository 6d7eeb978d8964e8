"""Tests of Inscopix's files against plain NumPy and Inscopix's own package isx.

The tests with ``isx`` are skipped where it cannot be installed, from Python 3.13 on.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.inscopix.header import read_isxd_header
from nwb_ophys.formats.inscopix.reader import InscopixCellsExtractor, InscopixMovieExtractor
from nwb_ophys.testing import simulate_recording, write_inscopix, write_inscopix_cells

# The package isx uses a function of datetime that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning"
)

MOVIE = "inscopix/movie_longer_than_3_min.isxd"
CELLS = "inscopix/cellset_series_part1.isxd"


@pytest.fixture(scope="module")
def recording() -> Any:
    return simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture
def isx() -> Any:
    """Inscopix's package, which the extra ``test`` brings where it can be installed."""
    if os.environ.get("CI") and sys.version_info < (3, 13):
        return importlib.import_module("isx")
    return pytest.importorskip("isx")


def frames(count: int = 6, dtype: str = "uint16") -> np.ndarray:
    """Frames that are wider than high, all pixels different."""
    return np.arange(count * 15).reshape(count, 3, 5).astype(dtype)


def edit(path: Path, **changes: Any) -> Path:
    """Change what the header of a file states, and leave its data."""
    header = read_isxd_header(path)
    text = json.dumps(header.content | changes).encode()
    data = path.read_bytes()[: header.data_bytes]
    path.write_bytes(data + text + b"\0" + len(text).to_bytes(8, "little"))
    return path


# --- the real files ---------------------------------------------------------------------------


def test_real_movie_is_what_the_file_holds(data_folder):
    expected = np.fromfile(data_folder / MOVIE, "<u2", 1248 * 33 * 29).reshape(1248, 33, 29)
    found = InscopixMovieExtractor(data_folder / MOVIE)
    np.testing.assert_array_equal(found.get_series(), expected)
    np.testing.assert_array_equal(found.get_series(700, 703), expected[700:703])
    assert found.get_image_shape() == (33, 29)
    assert found.get_dtype() == np.uint16
    assert found.get_sampling_frequency() == pytest.approx(1e6 / 179973)
    assert found.get_native_timestamps() is None


def test_real_movie_is_what_isx_reads(data_folder, isx):
    movie = isx.Movie.read(str(data_folder / MOVIE))
    found = InscopixMovieExtractor(data_folder / MOVIE)
    expected = np.array([movie.get_frame_data(index) for index in range(1248)])
    np.testing.assert_array_equal(found.get_series(), expected)
    assert found.header.start == movie.timing.start.to_datetime()
    assert found.get_sampling_frequency() == pytest.approx(1 / movie.timing.period.secs_float)


def test_real_cells_are_what_the_file_holds(data_folder):
    expected = np.fromfile(data_folder / CELLS, "<f4", 6 * 541).reshape(6, 541)
    found = InscopixCellsExtractor(data_folder / CELLS)
    masks = np.moveaxis(found.get_roi_image_masks(), -1, 0)
    np.testing.assert_array_equal(masks, expected[:, :441].reshape(6, 21, 21))
    np.testing.assert_array_equal(found.get_traces_dict()["raw"], expected[:, 441:].T)
    assert found.get_roi_ids() == ["C0", "C1", "C2", "C3", "C4", "C5"]
    assert set(found.get_property("cell_status", found.get_roi_ids())) == {"undecided"}
    assert "is_accepted" not in found.get_property_keys()


def test_real_cells_are_what_isx_reads(data_folder, isx):
    cells = isx.CellSet.read(str(data_folder / CELLS), read_only=True)
    found = InscopixCellsExtractor(data_folder / CELLS)
    traces = found.get_traces_dict()["raw"]
    for index, name in enumerate(found.get_roi_ids()):
        assert cells.get_cell_name(index) == name
        mask = found.get_roi_image_masks([name])[..., 0]
        np.testing.assert_array_equal(mask, cells.get_cell_image_data(index))
        np.testing.assert_array_equal(traces[:, index], cells.get_cell_trace_data(index))


# --- what roiextractors has wrong -------------------------------------------------------------


def test_fault_cell_sets_without_traces(tmp_path, recording):
    path = write_inscopix_cells(tmp_path / "cells.isxd", recording)
    traces = InscopixCellsExtractor(path).get_traces_dict()
    np.testing.assert_array_equal(traces["raw"], recording.fluorescence)


def test_fault_field_of_a_cell_set_lies_on_its_side(tmp_path, recording):
    found = InscopixCellsExtractor(write_inscopix_cells(tmp_path / "cells.isxd", recording))
    assert found.get_frame_shape() == (24, 34)
    masks = np.moveaxis(found.get_roi_image_masks(), -1, 0)
    np.testing.assert_array_equal(masks, recording.image_masks().astype("float32"))


def test_fault_the_empty_range_is_the_whole_movie(tmp_path):
    found = InscopixMovieExtractor(write_inscopix(tmp_path / "m.isxd", frames()))
    for first, last in ((0, 0), (3, 3), (6, 6), (6, None)):
        assert found.get_series(first, last).shape == (0, 3, 5)
    assert found.get_series(4).shape == (2, 3, 5)


def test_fault_start_that_is_not_stated_is_1970(tmp_path):
    assert (
        InscopixMovieExtractor(write_inscopix(tmp_path / "m.isxd", frames())).header.start is None
    )


def test_fault_dropped_frames_are_blank_ones(tmp_path):
    missing = {"dropped": [1], "cropped": ["3 - 4"], "blank": [7]}
    path = write_inscopix(tmp_path / "m.isxd", frames(), sampling_frequency=20.0, missing=missing)
    with pytest.warns(UserWarning, match="4 of 10 frames were dropped.* the other 6"):
        found = InscopixMovieExtractor(path)
    np.testing.assert_array_equal(found.get_series(), frames())
    np.testing.assert_allclose(found.get_native_timestamps(), np.array([0, 2, 5, 6, 8, 9]) / 20)
    np.testing.assert_allclose(found.get_native_timestamps(1, 3), np.array([2, 5]) / 20)


def test_fault_a_movie_that_is_cut_off_shows_its_header_as_pixels(tmp_path):
    path = write_inscopix(tmp_path / "m.isxd", frames(4))
    path.write_bytes(path.read_bytes()[20:])
    with pytest.raises(CorruptSourceError, match=r"has 100 bytes of data, but 4 frames.* 120"):
        InscopixMovieExtractor(path)


# --- written files against isx ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint16", "float32", "uint8"])
@pytest.mark.parametrize("margins", [False, True])
def test_movies_of_every_kind(tmp_path, isx, dtype, margins):
    movie = frames(6, dtype)
    path = write_inscopix(tmp_path / "m.isxd", movie, margins=margins)
    found = InscopixMovieExtractor(path)
    np.testing.assert_array_equal(found.get_series(), movie)
    assert found.get_dtype() == dtype
    own = isx.Movie.read(str(path))
    assert own.data_type == np.dtype(dtype).type
    read = np.array([own.get_frame_data(index) for index in range(6)])
    np.testing.assert_array_equal(read, movie)


@pytest.mark.parametrize("margins", [False, True])
def test_isx_takes_the_same_frames_for_missing(tmp_path, isx, margins):
    missing = {"dropped": [1], "cropped": ["3 - 4"], "blank": [7]}
    path = write_inscopix(tmp_path / "m.isxd", frames() + 1, missing=missing, margins=margins)
    own = isx.Movie.read(str(path))
    with pytest.warns(UserWarning, match="4 of 10"):
        found = InscopixMovieExtractor(path)
    read = np.array([own.get_frame_data(index) for index in range(10)])
    valid = found.header.valid_samples
    np.testing.assert_array_equal(read[valid], found.get_series())
    assert not np.delete(read, valid, axis=0).any()


def test_movie_that_isx_writes(tmp_path, isx):
    timing = isx.Timing(
        num_samples=7, period=isx.Duration.from_msecs(50), dropped=[2], cropped=[[4, 5]]
    )
    path = str(tmp_path / "m.isxd")
    movie = isx.Movie.write(path, timing, isx.Spacing(num_pixels=(3, 5)), np.uint16)
    for frame, index in zip(frames(4), (0, 1, 3, 6), strict=True):
        movie.set_frame_data(index, frame)
    movie.flush()
    with pytest.warns(UserWarning, match="3 of 7"):
        found = InscopixMovieExtractor(Path(path))
    np.testing.assert_array_equal(found.get_series(), frames(4))
    np.testing.assert_allclose(found.get_native_timestamps(), [0, 0.05, 0.15, 0.3])


def test_cells_that_isx_writes(tmp_path, isx):
    path = str(tmp_path / "c.isxd")
    timing = isx.Timing(num_samples=7, period=isx.Duration.from_msecs(50), dropped=[2])
    cells = isx.CellSet.write(path, timing, isx.Spacing(num_pixels=(3, 5)))
    masks, traces = frames(3, "float32"), np.arange(21, dtype="float32").reshape(3, 7)
    for index in range(3):
        cells.set_cell_data(index, masks[index], traces[index], f"N{index}")
    for index, status in enumerate(("accepted", "undecided", "rejected")):
        cells.set_cell_status(index, status)
    cells.flush()
    found = InscopixCellsExtractor(Path(path))
    ids = ["N0", "N1", "N2"]
    assert found.get_roi_ids() == ids
    np.testing.assert_array_equal(np.moveaxis(found.get_roi_image_masks(), -1, 0), masks)
    # A dropped sample has no value.
    traces[:, 2] = np.nan
    np.testing.assert_array_equal(found.get_traces_dict()["raw"], traces.T)
    assert list(found.get_property("is_accepted", ids)) == [True, False, False]
    assert list(found.get_property("is_rejected", ids)) == [False, False, True]


def test_cells_that_we_write(tmp_path, isx, recording):
    statuses = ["rejected", "accepted", "undecided"]
    path = write_inscopix_cells(tmp_path / "c.isxd", recording, statuses=statuses)
    cells = isx.CellSet.read(str(path), read_only=True)
    assert [cells.get_cell_status(index) for index in range(3)] == statuses
    for index, mask in enumerate(recording.image_masks()):
        np.testing.assert_array_equal(cells.get_cell_image_data(index), mask.astype("float32"))
        trace = cells.get_cell_trace_data(index)
        np.testing.assert_array_equal(trace, recording.fluorescence[:, index])


@pytest.mark.parametrize("offset", [0, -18000, 19800])
def test_start_is_that_of_isx(tmp_path, isx, offset):
    path = write_inscopix(tmp_path / "m.isxd", frames(), start=1_700_000_000.25, utc_offset=offset)
    found = InscopixMovieExtractor(path).header.start
    assert found.replace(tzinfo=None) == isx.Movie.read(str(path)).timing.start.to_datetime()


def test_zone_of_the_start(tmp_path):
    local = write_inscopix(tmp_path / "m.isxd", frames(), start=1_700_000_000)
    # A clock in local time says an offset of 0: no zone is stated.
    assert InscopixMovieExtractor(local).header.start == datetime(2023, 11, 14, 22, 13, 20)
    zoned = write_inscopix(tmp_path / "z.isxd", frames(), start=1_700_000_000, utc_offset=-18000)
    zone = timezone(timedelta(hours=-5))
    expected = datetime(2023, 11, 14, 17, 13, 20, tzinfo=zone)
    found = InscopixMovieExtractor(zoned).header.start
    assert (found, found.utcoffset()) == (expected, timedelta(hours=-5))


# --- lazy, parallel ---------------------------------------------------------------------------


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    path = write_inscopix(tmp_path / "m.isxd", frames())
    found = InscopixMovieExtractor(path)
    with path.open("r+b") as file:
        file.write(b"\xff\xff")
    assert found.get_series(0, 1)[0, 0, 0] == 65535
    assert found.reads_in_parallel
    assert isinstance(found.get_series(), np.memmap)


def test_movie_without_frames(tmp_path):
    path = write_inscopix(tmp_path / "m.isxd", frames(0))
    assert InscopixMovieExtractor(path).get_series().shape == (0, 3, 5)


def test_cell_set_without_cells(tmp_path):
    none = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=0)
    found = InscopixCellsExtractor(write_inscopix_cells(tmp_path / "c.isxd", none))
    assert (found.get_num_rois(), found.get_frame_shape()) == (0, (24, 34))


def test_names_that_several_cells_share(tmp_path, recording):
    path = write_inscopix_cells(tmp_path / "c.isxd", recording)
    found = InscopixCellsExtractor(edit(path, CellNames=["A", "A", "B"]))
    assert found.get_roi_ids() == [0, 1, 2]
    assert list(found.get_property("cell_name", [0, 1, 2])) == ["A", "A", "B"]


@pytest.mark.parametrize(
    ("unit", "kind"),
    [("dF over noise", "raw"), ("dF/F", "dff"), ("dF over F", "dff"), (None, "raw")],
)
def test_kind_of_traces(tmp_path, recording, unit, kind):
    properties = {"idps": {"cellset": {"units": unit}}}
    path = write_inscopix_cells(tmp_path / "c.isxd", recording, properties=properties)
    assert list(InscopixCellsExtractor(path).get_traces_dict()) == [kind]


# --- several planes and colours ---------------------------------------------------------------

PLANES = {"microscope": {"multiplane": {"enabled": True, "activePlanes": 3}}}
COLOURS = {"microscope": {"dualColor": {"enabled": True, "mode": "multiplexing"}}}


@pytest.mark.parametrize(("properties", "words"), [(PLANES, "3 planes"), (COLOURS, "two colours")])
def test_frames_that_may_alternate_are_told_of(tmp_path, properties, words):
    path = write_inscopix(tmp_path / "m.isxd", frames(), properties=properties)
    with pytest.warns(UserWarning, match=words):
        InscopixMovieExtractor(path)


@pytest.mark.parametrize(
    "properties",
    [
        PLANES | {"idps": {"efocus": 370}},
        COLOURS | {"idps": {"channel": "green"}},
        {"microscope": {"multiplane": {"enabled": False, "activePlanes": 3}}},
    ],
)
def test_one_plane_and_colour_of_several(tmp_path, properties):
    InscopixMovieExtractor(write_inscopix(tmp_path / "m.isxd", frames(), properties=properties))


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 8, 9, 50, 10_000])
def test_files_that_are_cut_off(tmp_path, recording, cut):
    for write, given, cls in (
        (write_inscopix, frames(), InscopixMovieExtractor),
        (write_inscopix_cells, recording, InscopixCellsExtractor),
    ):
        path = write(tmp_path / "x.isxd", given)
        path.write_bytes(path.read_bytes()[:-cut])
        with pytest.raises(CorruptSourceError, match=r"x\.isxd' lacks the header"):
            cls(path)


@pytest.mark.parametrize(
    "content", [b"", b"no recording", b"\0" * 100, b"{}\0" + b"\2" + b"\0" * 7]
)
def test_files_that_are_no_isxd(tmp_path, content):
    path = tmp_path / "x.isxd"
    path.write_bytes(content)
    assert read_isxd_header(path) is None
    with pytest.raises(CorruptSourceError, match="lacks the header"):
        InscopixMovieExtractor(path)


def test_files_of_the_other_kind(tmp_path, recording):
    movie = write_inscopix(tmp_path / "m.isxd", frames())
    cells = write_inscopix_cells(tmp_path / "c.isxd", recording)
    with pytest.raises(CorruptSourceError, match="is a movie, not a cell set; open it as inscopix"):
        InscopixCellsExtractor(movie)
    with pytest.raises(CorruptSourceError, match="open it as inscopix-cells"):
        InscopixMovieExtractor(cells)
    with pytest.raises(CorruptSourceError, match="is a single image of Inscopix; only movies"):
        InscopixMovieExtractor(edit(movie, type=4))
    with pytest.raises(CorruptSourceError, match="is a folder"):
        InscopixMovieExtractor(tmp_path)


TIMES = {"numTimes": 6, "period": {"num": 1, "den": 20}, "start": {}}
SIZE = {"numPixels": {"x": 5, "y": 3}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataType": 7}, "pixels of type 7"),
        ({"timingInfo": {}}, "or invalid times"),
        ({"timingInfo": [1]}, "lacks the header"),
        (
            {"timingInfo": TIMES | {"period": {"num": 1, "den": 0}}},
            "states the period {'num': 1, 'den': 0}; it",
        ),
        (
            {"timingInfo": TIMES | {"period": {"num": 0, "den": 1}}},
            "states the period {'num': 0, 'den': 1}; it",
        ),
        ({"timingInfo": TIMES | {"cropped": ["three"]}}, "or invalid times"),
        ({"timingInfo": TIMES | {"numTimes": 7}}, "180 bytes of data, but 7 frames"),
        ({"spacingInfo": {"numPixels": {"x": 5}}}, "an invalid size"),
        ({"spacingInfo": {"numPixels": {"x": 5, "y": 0}}}, "an invalid size"),
        ({"hasFrameHeaderFooter": True}, "180 bytes of data"),
    ],
)
def test_movies_that_state_what_they_do_not_hold(tmp_path, changes, words):
    path = edit(write_inscopix(tmp_path / "m.isxd", frames()), **changes)
    with pytest.raises(CorruptSourceError, match=words):
        InscopixMovieExtractor(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataType": "double"}, "type 'double'"),
        ({"CellNames": ["A"]}, "bytes of data, but 1 cells"),
        ({"CellNames": None}, "has no CellNames"),
        ({"CellStatuses": [0, 1]}, "2 CellStatuses for 3 cells"),
        ({"CellStatuses": [0, 1, 5]}, "statuses"),
    ],
)
def test_cell_sets_that_state_what_they_do_not_hold(tmp_path, recording, changes, words):
    path = edit(write_inscopix_cells(tmp_path / "c.isxd", recording), **changes)
    with pytest.raises(CorruptSourceError, match=words):
        InscopixCellsExtractor(path)


def test_activity_is_a_column_and_matches_are_named(tmp_path, recording):
    path = edit(write_inscopix_cells(tmp_path / "c.isxd", recording), CellActivity=[True, False, 1])
    extractor = InscopixCellsExtractor(path)
    active = extractor.get_property("cell_active", extractor.get_roi_ids())
    assert active.tolist() == [True, False, True]
    path = edit(write_inscopix_cells(tmp_path / "c.isxd", recording), Matches=[0, 2, 1])
    with pytest.warns(UserWarning, match=r"longitudinal registration \(Matches\), which are left"):
        extractor = InscopixCellsExtractor(path)
    assert "cell_active" not in extractor.get_property_keys()
