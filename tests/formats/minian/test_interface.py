"""Tests of a real recording of Minian, converted by the command line, against zarr and the csv."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import zarr
from pynwb import NWBHDF5IO, validate

from nwb_ophys import MinianSegmentationInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.testing import simulate_recording, write_minian

RECORDING = "minian/segmented_data_3units_100frames"
START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"


@pytest.fixture(scope="module")
def converted(data_folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("converted") / "minian.nwb"
    with pytest.raises(SystemExit) as exit_:
        main(["convert", str(data_folder / RECORDING), "-o", str(target), "--set", START])
    assert exit_.value.code == 0
    return target


def test_it_equals_the_raw_files(converted, data_folder):
    def raw(name, array=None):
        store = zarr.open(str(data_folder / RECORDING / f"{name}.zarr"), mode="r")
        return store[array or name][...]

    assert validate(path=str(converted)) == []
    with NWBHDF5IO(converted, "r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert table["image_mask"].data.dtype == raw("A").dtype
        np.testing.assert_array_equal(table["image_mask"][:].swapaxes(1, 2), raw("A"))
        np.testing.assert_array_equal(table.id[:], raw("A", "unit_id"))
        series = ophys["Fluorescence"].roi_response_series
        names = {"Denoised": "C", "Deconvolved": "S", "Baseline": "b0", "InitialDecay": "c0"}
        assert set(series) == {*names, "Background"}
        for name, store in names.items():
            np.testing.assert_array_equal(series[name].data[:], raw(store).T)
            assert series[name].rois.table is table
        background = series["Background"].rois.table
        np.testing.assert_array_equal(background["image_mask"][0].T, raw("b"))
        np.testing.assert_array_equal(series["Background"].data[:][:, 0], raw("f"))
        image = ophys["SegmentationImages"]["maximum_projection"]
        np.testing.assert_array_equal(image.data[:].T, raw("max_proj"))


def test_its_times_are_those_of_the_frames_that_were_kept(converted, data_folder):
    with (data_folder / RECORDING / "timeStamps.csv").open() as file:
        times = {int(r["Frame Number"]): int(r["Time Stamp (ms)"]) for r in csv.DictReader(file)}
    store = zarr.open(str(data_folder / RECORDING / "C.zarr"), mode="r")
    expected = [times[frame] / 1e3 for frame in store["frame"][...].tolist()]
    with NWBHDF5IO(converted, "r") as io:
        nwbfile = io.read()
        for series in nwbfile.processing["ophys"]["Fluorescence"].roi_response_series.values():
            np.testing.assert_allclose(series.timestamps[:], expected, rtol=0, atol=1e-12)
        assert nwbfile.session_id == "Ca_EEG3-4"
        assert nwbfile.subject.subject_id == "Ca_EEG3"


@pytest.mark.parametrize("rate", [0.0, -5.0, np.nan, np.inf, 1e9, 1e-9])
def test_a_rate_that_no_recording_has(tmp_path, rate):
    """Fault: it was taken, and the times of the file were written."""
    folder = write_minian(tmp_path, simulate_recording(num_samples=6, num_cells=2))
    with pytest.raises(SourceArgumentError, match=r"sampling_frequency is .*; it must be"):
        MinianSegmentationInterface(folder, sampling_frequency=rate)
