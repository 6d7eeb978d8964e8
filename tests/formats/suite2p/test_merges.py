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
    assert list(rois.properties) == ["iscell_probability"]


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
