"""Tests of the curation by hand that Minian saves: ``unit_labels``."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys import MinianSegmentationInterface
from nwb_ophys.formats.minian.reader import MinianExtractor
from nwb_ophys.formats.minian.sample import write_zarr_array
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_minian

RECORDING = simulate_recording(num_samples=20, num_cells=6)
IDS = [3, 4, 9, 12, 40, 41]
LABELS = [3, -1, 9, 9, -1, 41]
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def _write(folder, labels=LABELS, stores="ACS", ids=IDS):
    path = write_minian(folder / "minian", RECORDING, unit_ids=ids)
    for store in stores:
        values = np.asarray(labels)
        write_zarr_array(path / f"{store}.zarr/unit_labels", values, [len(values)], ["unit_id"])
    return path


@pytest.mark.parametrize("stores", ["A", "C", "ACS"])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_labels_are_a_column_and_minus_one_is_not_accepted(tmp_path, stores, dtype):
    rois = Rois.of(MinianExtractor(_write(tmp_path, np.array(LABELS, dtype), stores)))
    assert rois.ids == IDS
    assert rois.properties["unit_labels"].values.tolist() == LABELS
    assert rois.properties["unit_labels"].values.dtype == np.int64
    assert "-1 for a discarded unit" in rois.properties["unit_labels"].description
    assert rois.accepted.tolist() == [True, False, True, True, False, True]
    assert rois.rejected.tolist() == [False, True, False, False, True, False]


def test_labels_belong_to_units_not_to_positions(tmp_path):
    path = _write(tmp_path, stores="")
    write_zarr_array(path / "C.zarr/unit_id", np.array(IDS[::-1]), [6], ["unit_id"])
    write_zarr_array(path / "C.zarr/unit_labels", np.array(LABELS[::-1]), [6], ["unit_id"])
    write_zarr_array(path / "A.zarr/unit_labels", np.array(LABELS), [6], ["unit_id"])
    rois = Rois.of(MinianExtractor(path))
    assert rois.properties["unit_labels"].values.tolist() == LABELS


def test_without_labels_nothing_is_said_of_acceptance(tmp_path):
    rois = Rois.of(MinianExtractor(_write(tmp_path, stores="")))
    assert rois.accepted is None
    assert "unit_labels" not in rois.properties


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:4], r"A.zarr' have the shape \(4,\) for 6 units"),
        ([0.5, *LABELS[1:]], "A.zarr' are not whole numbers"),
        ([np.nan, *LABELS[1:]], "A.zarr' are not whole numbers"),
    ],
)
def test_labels_that_do_not_fit_are_left_out_with_a_note(tmp_path, labels, words):
    path = _write(tmp_path, labels)
    with pytest.warns(UserWarning, match=words):
        rois = Rois.of(MinianExtractor(path))
    assert rois.accepted is None
    assert len(rois) == 6


def test_labels_that_differ_between_variables_are_left_out_with_a_note(tmp_path):
    path = _write(tmp_path, stores="A")
    others = np.array([-1, *LABELS[1:]])
    write_zarr_array(path / "S.zarr/unit_labels", others, [6], ["unit_id"])
    with pytest.warns(UserWarning, match=r"S\.zarr' differ from those of the other variables"):
        assert Rois.of(MinianExtractor(path)).accepted is None


def test_only_kept_units_are_written(tmp_path):
    interface = MinianSegmentationInterface(_write(tmp_path))
    with pytest.warns(UserWarning, match="4 of 6 ROIs are accepted"):
        nwbfile = interface.create_nwbfile(START, accepted_only=True, stub=5)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
    assert list(table.id[:]) == [3, 9, 12, 41]
    assert list(table["unit_labels"].data[:]) == [3, 9, 9, 41]
    series = nwbfile.processing["ophys"]["Fluorescence"]["Denoised"]
    np.testing.assert_array_equal(series.data[:], RECORDING.calcium[:5, [0, 2, 3, 5]])
