"""Tests of the final check by which EXTRACT accepts cells."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from nwb_ophys.formats.extract.reader import ExtractExtractor
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_extract

RECORDING = simulate_recording(num_samples=20, num_cells=5)


@pytest.mark.parametrize("matlab_version", ["5", "7.3"])
def test_flags_are_acceptance(tmp_path, matlab_version):
    path = tmp_path / "a.mat"
    write_extract(path, RECORDING, bad=[1, 4], matlab_version=matlab_version)
    extractor = ExtractExtractor(path, 30.0)
    rois = Rois.of(extractor)
    assert rois.accepted.tolist() == [True, False, True, True, False]
    assert "is_bad" not in rois.properties
    extractor.close()


def test_flags_of_more_kinds_are_a_column_too(tmp_path):
    path = write_extract(tmp_path / "a.mat", RECORDING)
    with h5py.File(path, "r+") as file:
        file["output/info/cellcheck/is_bad"][...] = np.array([[0], [2], [1], [0], [-1]]).reshape(
            file["output/info/cellcheck/is_bad"].shape
        )
    extractor = ExtractExtractor(path, 30.0)
    rois = Rois.of(extractor)
    assert rois.accepted.tolist() == [True, False, False, True, False]
    assert rois.properties["is_bad"].values.tolist() == [0, 2, 1, 0, -1]
    extractor.close()


def test_flags_of_other_cells_are_left_out_with_a_note(tmp_path):
    path = write_extract(tmp_path / "a.mat", RECORDING, bad=[1])
    with h5py.File(path, "r+") as file:
        del file["output/info/cellcheck/is_bad"]
        file["output/info/cellcheck/is_bad"] = np.zeros((1, 7))
    with pytest.warns(UserWarning, match="is_bad has 7 flags for 5 cells; it is left out"):
        extractor = ExtractExtractor(path, 30.0)
    assert Rois.of(extractor).accepted is None
    extractor.close()
