"""Rates that NWB files state wrongly or not at all, and traces that lie across."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_ophys import NwbImagingInterface, NwbSegmentationInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, MetadataError
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import write_nwb

_MOVIE = np.arange(12 * 20 * 24, dtype="u2").reshape(12, 20, 24)
_SERIES = "acquisition/TwoPhotonSeries"


def _set_rate(file: h5py.File, series: str, rate: float | None) -> None:
    if rate is None:
        del file[series]["starting_time"].attrs["rate"]
    else:
        file[series]["starting_time"].attrs["rate"] = rate


def _without_times(file: h5py.File, series: str) -> None:
    del file[series]["starting_time"]


def _timestamps(file: h5py.File, series: str, times: Any) -> None:
    del file[series]["starting_time"]
    file[series]["timestamps"] = times
    file[series]["timestamps"].attrs["interval"] = 1
    file[series]["timestamps"].attrs["unit"] = "seconds"


FAULTS = {
    "0": lambda file, series: _set_rate(file, series, 0.0),
    "-3": lambda file, series: _set_rate(file, series, -3.0),
    "nan": lambda file, series: _set_rate(file, series, np.nan),
    "inf": lambda file, series: _set_rate(file, series, np.inf),
    "rate absent": lambda file, series: _set_rate(file, series, None),
    "times absent": _without_times,
    "timestamps of NaN": lambda file, series: _timestamps(file, series, np.full(12, np.nan)),
    "timestamps of 0": lambda file, series: _timestamps(file, series, np.zeros(12)),
}


def _written(path: Path) -> tuple[float, float]:
    with h5py.File(path) as file:
        start = file[_SERIES]["starting_time"]
        np.testing.assert_array_equal(np.swapaxes(file[_SERIES]["data"][()], 1, 2), _MOVIE)
        return float(start.attrs["rate"]), float(start[()])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_rate_that_cannot_be_right_is_asked_for(tmp_path, capsys, fault):
    path = write_nwb(tmp_path / "a.nwb", _MOVIE)
    with h5py.File(path, "a") as file:
        FAULTS[fault](file, _SERIES)
    command = ["convert", str(path), "-o", str(tmp_path / "o.nwb")]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    for word in ("a.nwb'", "'TwoPhotonSeries'", "--option sampling_frequency=30"):
        assert word in message
    assert "--set Ophys.TwoPhotonSeries.0.rate=30" in message
    assert not (tmp_path / "o.nwb").exists()
    for way in (
        ["--option", "sampling_frequency=25"],
        ["--set", "Ophys.TwoPhotonSeries.0.rate=25"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*command, *way, "--overwrite"])
        assert ended.value.code == 0
        assert _written(tmp_path / "o.nwb") == (25.0, 0.0)


@pytest.mark.parametrize("given", [{"sampling_frequency": 25.0}, {}])
def test_the_start_of_the_series_holds_with_a_given_rate(tmp_path, given):
    path = write_nwb(tmp_path / "a.nwb", _MOVIE)
    with h5py.File(path, "a") as file:
        _set_rate(file, _SERIES, np.nan)
        file[_SERIES]["starting_time"][()] = 5.5
    interface = NwbImagingInterface(path, **given)
    metadata = interface.get_metadata()
    if not given:
        metadata["Ophys"]["TwoPhotonSeries"][0]["rate"] = 25.0
    interface.run_conversion(tmp_path / "o.nwb", metadata=metadata, progress=False)
    assert _written(tmp_path / "o.nwb") == (25.0, 5.5)


def test_a_given_rate_replaces_a_stated_one_and_timestamps(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", _MOVIE)
    with h5py.File(path, "a") as file:
        _timestamps(file, _SERIES, 2 + np.arange(12) ** 2)
    interface = NwbImagingInterface(path, sampling_frequency=4.0)
    interface.run_conversion(tmp_path / "o.nwb", progress=False)
    assert _written(tmp_path / "o.nwb") == (4.0, 2.0)


def test_the_rate_of_a_plane_that_cannot_be_right_is_not_stated(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", _MOVIE, sampling_frequency=30.0)
    with h5py.File(path, "a") as file:
        plane = next(iter(file["general/optophysiology"].values()))
        plane["imaging_rate"][()] = np.nan
    (entry,) = NwbImagingInterface(path).get_metadata()["Ophys"]["ImagingPlane"]
    assert "imaging_rate" not in entry


def _segmented(folder: Path) -> tuple[Path, Any, str]:
    recording = simulate_recording(30, num_rows=24, num_columns=32, num_cells=5)
    path = write_nwb(folder / "r.nwb", recording=recording)
    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        series = next(
            name for name in names if file[name].attrs.get("neurodata_type") == "RoiResponseSeries"
        )
        return path, file[series]["data"][()], series


def _traces(path: Path, **source: Any) -> Any:
    interface = NwbSegmentationInterface(path, **source)
    return np.array(interface.extractor.get_traces_dict()["raw"])


@pytest.mark.parametrize("fault", ["nan", "0", "times absent"])
def test_traces_without_a_rate_are_read_when_it_is_given(tmp_path, fault):
    path, traces, series = _segmented(tmp_path)
    with h5py.File(path, "a") as file:
        FAULTS[fault](file, series)
    interface = NwbSegmentationInterface(path)
    with pytest.raises(MetadataError, match=r"r\.nwb' states .* --option sampling_frequency=30"):
        interface.run_conversion(tmp_path / "o.nwb", progress=False)
    interface = NwbSegmentationInterface(path, sampling_frequency=12.5)
    interface.run_conversion(tmp_path / "o.nwb", progress=False)
    with h5py.File(tmp_path / "o.nwb") as file:
        written = file["processing/ophys/Fluorescence/RoiResponseSeries"]
        assert written["starting_time"].attrs["rate"] == 12.5
        np.testing.assert_array_equal(written["data"][()], traces)


def _replace(path: Path, series: str, traces: Any) -> None:
    with h5py.File(path, "a") as file:
        attributes = dict(file[series]["data"].attrs)
        del file[series]["data"]
        file[series]["data"] = traces
        file[series]["data"].attrs.update(attributes)


def test_traces_that_fit_only_across_are_turned_with_a_note(tmp_path):
    path, traces, series = _segmented(tmp_path)
    _replace(path, series, traces.T)
    with pytest.warns(UserWarning, match=r"lie across: their shape \(5, 30\) fits 5 ROIs only"):
        np.testing.assert_array_equal(_traces(path), traces)
    with pytest.warns(UserWarning, match="lie across"):
        interface = NwbSegmentationInterface(path)
    interface.run_conversion(tmp_path / "o.nwb", progress=False)
    with h5py.File(tmp_path / "o.nwb") as file:
        written = file["processing/ophys/Fluorescence/RoiResponseSeries/data"]
        np.testing.assert_array_equal(written[()], traces)


def test_square_traces_have_the_documented_axes(tmp_path):
    path, traces, series = _segmented(tmp_path)
    _replace(path, series, traces[:5])
    np.testing.assert_array_equal(_traces(path), traces[:5])


def test_traces_that_do_not_fit_are_refused_with_their_shape(tmp_path):
    path, traces, series = _segmented(tmp_path)
    _replace(path, series, traces[:, :4])
    with pytest.raises(CorruptSourceError, match=r"shape \(30, 4\) for 5 ROIs"):
        _traces(path)


def test_the_number_of_timestamps_decides_too(tmp_path):
    path, traces, series = _segmented(tmp_path)
    _replace(path, series, traces.T)
    with h5py.File(path, "a") as file:
        _timestamps(file, series, np.arange(30) ** 1.5)
    with pytest.warns(UserWarning, match="lie across"):
        np.testing.assert_array_equal(_traces(path), traces)
    with h5py.File(path, "a") as file:
        del file[series]["timestamps"]
        file[series]["timestamps"] = np.arange(29) ** 1.5
    with pytest.raises(CorruptSourceError, match=r"\(5, 30\) for 5 ROIs and 29 samples"):
        _traces(path)
