"""Tests of the columns by which authors of NWB files state which ROIs were accepted."""

from __future__ import annotations

import numpy as np
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys import NwbSegmentationInterface
from nwb_ophys.errors import OptionError
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_nwb

RECORDING = simulate_recording(num_samples=20, num_cells=4)


def _interface(folder, **columns):
    path = write_nwb(folder / "rois.nwb", recording=RECORDING)
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        (table,) = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations.values()
        for name, values in columns.items():
            table.add_column(name, f"{name} of an author.", data=np.asarray(values))
        io.write(nwbfile)
    return NwbSegmentationInterface(path)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float64])
@pytest.mark.parametrize("name", ["Accepted", "accepted", "is_accepted", "iscell", "is_cell"])
def test_a_column_of_flags(tmp_path, name, dtype):
    interface = _interface(tmp_path, **{name: np.array([1, 0, 0, 1], dtype)})
    rois = Rois.of(interface.extractor)
    assert rois.accepted.tolist() == [True, False, False, True]
    assert rois.rejected.tolist() == [False, True, True, False]
    assert name not in rois.properties
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    with pytest.warns(UserWarning, match="2 of 4 ROIs are accepted"):
        nwbfile = interface.create_nwbfile(start, accepted_only=True)
    (table,) = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations.values()
    assert list(table.id[:]) == [rois.ids[0], rois.ids[3]]


def test_undecided_rois_are_neither(tmp_path):
    rois = Rois.of(_interface(tmp_path, accepted=[1, 0, 0, 1], rejected=[0, 0, 1, 0]).extractor)
    assert rois.accepted.tolist() == [True, False, False, True]
    assert rois.rejected.tolist() == [False, False, True, False]


def test_acceptance_stands_above_a_classifier(tmp_path):
    rois = Rois.of(_interface(tmp_path, iscell=[1, 1, 0, 1], Accepted=[0, 1, 0, 1]).extractor)
    assert rois.accepted.tolist() == [False, True, False, True]
    assert rois.properties["iscell"].values.tolist() == [1, 1, 0, 1]


def test_where_nobody_has_decided_nothing_is_stated(tmp_path):
    interface = _interface(tmp_path, accepted=[False] * 4, rejected=[False] * 4)
    rois = Rois.of(interface.extractor)
    assert rois.accepted is None
    assert rois.properties["accepted"].values.tolist() == [0, 0, 0, 0]
    with pytest.raises(OptionError, match=r"accepted_only: '.*rois\.nwb' does not state which"):
        interface.create_nwbfile(accepted_only=True)


def test_numbers_that_are_no_flags_are_no_acceptance(tmp_path):
    rois = Rois.of(_interface(tmp_path, iscell=[0.1, 0.9, 0.0, 1.0]).extractor)
    assert rois.accepted is None
    assert rois.properties["roi_iscell"].values.tolist() == [0.1, 0.9, 0.0, 1.0]


@pytest.mark.parametrize(
    "columns",
    [
        {"is_accepted": [0, 2, 1, 3]},
        {"is_accepted": [0, 0, 1, 0], "Accepted": [1, 0, 0, 1]},
        {"is_accepted": [0, 0, 0, 0], "is_rejected": [0, 0, 0, 0]},
        {"is_rejected": ["no", "yes", "", "no"]},
    ],
)
def test_columns_named_like_a_property_are_no_acceptance(tmp_path, columns):
    rois = Rois.of(_interface(tmp_path, **columns).extractor)
    assert rois.accepted is rois.rejected is None
    for name, values in columns.items():
        key = f"roi_{name}" if name.startswith("is_") else name
        assert rois.properties[key].values.tolist() == values
