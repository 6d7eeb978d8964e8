"""NWB files that lack what they list."""

from __future__ import annotations

import h5py
import pytest

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.nwb.sample import write_segmentation_sample
from nwb_ophys.simulation.recording import simulate_recording


def test_a_column_that_the_table_lists_and_lacks_is_named(tmp_path):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    with h5py.File(path, "r+") as file:
        table = next(iter(file["processing/ophys/ImageSegmentation"].values()))
        table.attrs["colnames"] = [*table.attrs["colnames"], "quality"]
    with pytest.raises(CorruptSourceError, match=r"\.nwb' is damaged: its table .*'quality'"):
        nwb_ophys.open(path, format="nwb-segmentation")
