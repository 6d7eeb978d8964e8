"""Merges that a user made in Suite2p's window: columns, and which ROIs are accepted."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys import Suite2pSegmentationInterface
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_suite2p

RECORDING = simulate_recording(num_samples=20, num_cells=5)
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def _write(folder, merges, iscell=None):
    """Write a plane of five ROIs and merged ones; `merges` are (imerge, inmerge) of all ROIs."""
    plane = write_suite2p(folder, RECORDING) / "plane0"
    stat = np.load(plane / "stat.npy", allow_pickle=True)
    sources = [*range(5), *(own[0] for own, _ in merges[5:])]
    merged = np.empty(len(merges), dtype=object)
    for index, (source, (parts, into)) in enumerate(zip(sources, merges, strict=True)):
        merged[index] = dict(stat[source])
        for key, value in (("imerge", parts), ("inmerge", into)):
            if value is not None:
                merged[index][key] = value
    np.save(plane / "stat.npy", merged)
    for name in ("F", "Fneu", "spks", "iscell"):
        np.save(plane / f"{name}.npy", np.load(plane / f"{name}.npy")[sources])
    if iscell is not None:
        flags = np.column_stack([iscell, np.full(len(iscell), 0.5)])
        np.save(plane / "iscell.npy", flags)
    return plane.parent


def _rois(folder):
    return Rois.of(Suite2pSegmentationInterface(folder).extractor)


@pytest.mark.parametrize("none", [0, -1, None])
@pytest.mark.parametrize("kind", [list, np.array])
def test_parts_of_a_merge_are_not_accepted(tmp_path, none, kind):
    rois = _rois(_write(tmp_path, [(None, 5), (None, 5), *[(None, none)] * 3, (kind([0, 1]), -1)]))
    assert rois.ids == [0, 1, 2, 3, 4, 5]
    assert rois.accepted.tolist() == [False, False, True, True, True, True]
    assert rois.rejected.tolist() == [True, True, False, False, False, False]
    assert rois.properties["imerge"].values.tolist() == [""] * 5 + ["0, 1"]
    kept = -1 if none is None else none
    assert rois.properties["inmerge"].values.tolist() == [5, 5, kept, kept, kept, -1]
    assert rois.properties["iscell"].values.tolist() == [1] * 6


def test_what_is_no_cell_is_not_accepted_either(tmp_path):
    merges = [(None, 5), (None, 5), *[(None, 0)] * 3, ([0, 1], -1)]
    rois = _rois(_write(tmp_path, merges, iscell=[1, 1, 0, 1, 1, 0]))
    assert rois.accepted.tolist() == [False, False, False, True, True, False]


def test_merges_before_the_plane_was_loaded_again_show_in_imerge_only(tmp_path):
    """Suite2p sets inmerge of all ROIs to 0 when it loads a plane."""
    rois = _rois(_write(tmp_path, [([], 0)] * 5 + [([3, 1], 0)]))
    assert rois.accepted.tolist() == [True, False, True, False, True, True]


def test_a_merge_that_was_merged_again_is_replaced(tmp_path):
    merges = [(None, 6), (None, 6), (None, 6), (None, 0), (None, 0), ([0, 1], -1), ([0, 1, 2], -1)]
    rois = _rois(_write(tmp_path, merges))
    assert rois.accepted.tolist() == [False, False, False, True, True, False, True]


@pytest.mark.parametrize("value", [99, [99], [], "text", [np.nan], None])
def test_indices_of_rois_that_there_are_not(tmp_path, value):
    into = value if np.ndim(value) == 0 else -1
    parts = value if np.ndim(value) == 1 else None
    rois = _rois(_write(tmp_path, [(None, into), *[(parts, 0)] * 4]))
    assert rois.accepted.tolist() == [True] * 5


def test_without_merges_there_is_no_column(tmp_path):
    rois = _rois(_write(tmp_path, [([], 0)] * 5))
    assert "iscell_probability" in rois.properties
    assert not {"imerge", "inmerge", "iscell"} & set(rois.properties)


def test_without_flags_only_the_columns_are_written(tmp_path):
    folder = _write(tmp_path, [(None, 5), (None, 5), *[(None, 0)] * 3, ([0, 1], -1)])
    (folder / "plane0" / "iscell.npy").unlink()
    rois = _rois(folder)
    assert rois.accepted is None
    assert "imerge" in rois.properties


def test_only_the_merged_roi_is_written(tmp_path):
    folder = _write(tmp_path, [(None, 5), (None, 5), *[(None, -1)] * 3, ([0, 1], -1)])
    interface = Suite2pSegmentationInterface(folder)
    with pytest.warns(UserWarning, match="4 of 6 ROIs are accepted"):
        nwbfile = interface.create_nwbfile(START, accepted_only=True)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
    assert list(table.id[:]) == [2, 3, 4, 5]
    assert list(table["imerge"].data[:]) == ["", "", "", "0, 1"]
    assert list(table["iscell"].data[:]) == [1, 1, 1, 1]


def _draw_by_hand(plane, count):
    """Put ROIs in front of those of a plane, as Suite2p's window does with ROIs drawn by hand."""
    stat = np.load(plane / "stat.npy", allow_pickle=True)
    drawn = [{**dict(stat[0]), "manual": 1, "imerge": [], "inmerge": 0} for _ in range(count)]
    joined = np.empty(count + len(stat), dtype=object)
    joined[:] = [*drawn, *stat]
    np.save(plane / "stat.npy", joined)
    for name in ("F", "Fneu", "spks", "iscell"):
        values = np.load(plane / f"{name}.npy")
        np.save(plane / f"{name}.npy", np.concatenate([values[:1]] * count + [values]))


def _merge(plane, parts, inmerge):
    """Give the last ROI of a plane the pixels of its parts, as a merge does."""
    stat = np.load(plane / "stat.npy", allow_pickle=True)
    pixels = [np.column_stack([stat[i]["ypix"], stat[i]["xpix"]]) for i in parts]
    y, x = np.unique(np.concatenate(pixels), axis=0).T
    lam = np.ones(len(y), np.float32)
    stat[-1].update(ypix=y, xpix=x, lam=lam, imerge=np.array(parts), inmerge=-1)
    for part in parts:
        stat[part]["inmerge"] = inmerge
    np.save(plane / "stat.npy", stat)


@pytest.mark.parametrize("inmerge", [0, 5])
def test_rois_drawn_by_hand_move_the_merges_before(tmp_path, inmerge):
    folder = _write(tmp_path, [(None, 0)] * 5 + [([1, 3], 0)])
    _merge(folder / "plane0", [1, 3], inmerge)
    _draw_by_hand(folder / "plane0", 2)
    rois = _rois(folder)
    assert rois.accepted.tolist() == [True, True, True, False, True, False, True, True]
    assert rois.properties["imerge"].values.tolist() == [""] * 7 + ["3, 5"]
    into = 7 if inmerge else 0
    assert rois.properties["inmerge"].values.tolist() == [0, 0, 0, into, 0, into, 0, -1]


def test_a_merge_of_rois_drawn_by_hand_is_kept(tmp_path):
    folder = _write(tmp_path, [(None, 0)] * 5 + [([1, 3], 0)])
    stat = np.load(folder / "plane0" / "stat.npy", allow_pickle=True)
    stat[0]["manual"] = 1
    np.save(folder / "plane0" / "stat.npy", stat)
    _merge(folder / "plane0", [0, 3], 5)
    rois = _rois(folder)
    assert rois.accepted.tolist() == [False, True, True, False, True, True]


def test_a_merge_whose_parts_are_not_found_is_left_out_with_a_note(tmp_path):
    folder = _write(tmp_path, [(None, 0)] * 5 + [([1, 3], 0)])
    _draw_by_hand(folder / "plane0", 1)
    with pytest.warns(UserWarning, match="the merges of the ROIs 6 name ROIs whose pixels"):
        rois = _rois(folder)
    assert rois.accepted.tolist() == [True] * 7
