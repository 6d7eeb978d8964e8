"""Tests of Inscopix: metadata in NWB's units, whole recordings, and the command line."""

from __future__ import annotations

import numpy as np
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys import InscopixConverter, InscopixImagingInterface, InscopixSegmentationInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import SourceError
from nwb_ophys.registry import detect
from nwb_ophys.testing import simulate_recording, write_inscopix, write_inscopix_cells

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
SESSION = {
    "name": "day 3",
    "personnel": {"name": "Doe, Jane"},
    "animal": {
        "id": "M7",
        "species": "Mus musculus",
        "sex": "f",
        "dob": "2023-01-02",
        "weight": 20,
    },
    "producer": {"version": "1.2.1"},
    "microscope": {
        "type": "NVista3",
        "serial": "FA-1",
        "exp": 20,
        "gain": 5.9,
        "led": {"exPower": 0.4, "ogPower": 0.2},
    },
    "idps": {"spatialDownsampling": 4},
}


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture
def movie(recording):
    return recording.movie.astype("uint16")


def test_what_the_header_states(tmp_path, movie):
    path = write_inscopix(
        tmp_path / "m.isxd", movie, start=1_700_000_000, utc_offset=-18000, properties=SESSION
    )
    found = InscopixImagingInterface(path).get_metadata()
    assert found["NWBFile"]["session_start_time"] == "2023-11-14T17:13:20-05:00"
    assert found["NWBFile"]["session_id"] == "day 3"
    assert found["NWBFile"]["experimenter"] == ["Doe, Jane"]
    assert found["Subject"].to_dict() == {
        "subject_id": "M7",
        "species": "Mus musculus",
        "sex": "F",
        "date_of_birth": "2023-01-02T00:00:00",
    }
    (device,) = found["Ophys"]["Device"]
    assert device["model"].to_dict() == {"name": "NVista3", "manufacturer": "Inscopix"}
    assert device["serial_number"] == "FA-1"
    (series,) = found["Ophys"]["OnePhotonSeries"]
    assert series["exposure_time"] == 0.02
    assert series["binning"] == 4
    assert series["intensity"] == 0.4
    assert "pmt_gain" not in series
    (plane,) = found["Ophys"]["ImagingPlane"]
    assert plane["imaging_rate"] == 30.0
    # pixelSize is that of the sensor's pixels, not of what they see.
    assert "grid_spacing" not in plane


def test_nothing_is_invented(tmp_path, movie, recording):
    for interface in (
        InscopixImagingInterface(write_inscopix(tmp_path / "m.isxd", movie)),
        InscopixSegmentationInterface(write_inscopix_cells(tmp_path / "c.isxd", recording)),
    ):
        found = interface.get_metadata()
        assert set(found["NWBFile"]) == {"session_description", "identifier"}
        assert "Subject" not in found
        assert found["Ophys"]["Device"][0].to_dict() == {"name": "Microscope"}


def test_a_form_that_was_not_filled_in_states_no_sex(data_folder):
    path = data_folder / "inscopix/movie_longer_than_3_min.isxd"
    found = InscopixImagingInterface(path).get_metadata()
    assert "Subject" not in found
    assert found["NWBFile"]["session_start_time"] == "2019-10-07T16:22:01.524186"
    (series,) = found["Ophys"]["OnePhotonSeries"]
    assert (series["exposure_time"], series["binning"], series["intensity"]) == (0.02, 12, 0.4)
    assert series["name"] == "OnePhotonSeriesEfocus370"


def test_what_a_cell_set_states(tmp_path, recording):
    properties = {"idps": {"cellset": {"method": "pca-ica", "units": "dF over noise"}}}
    path = write_inscopix_cells(tmp_path / "c.isxd", recording, properties=properties)
    ophys = InscopixSegmentationInterface(path).get_metadata()["Ophys"]
    (table,) = ophys["ImageSegmentation"]["plane_segmentations"]
    assert table["description"] == "Cells that Inscopix's software found with pca-ica."
    assert ophys["Fluorescence"]["PlaneSegmentation"]["raw"]["unit"] == "dF over noise"


def test_undecided_cells_are_neither(tmp_path, recording):
    statuses = ["rejected", "accepted", "undecided"]
    path = write_inscopix_cells(tmp_path / "c.isxd", recording, statuses=statuses)
    target = InscopixSegmentationInterface(path).run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(target, "r") as io:
        table = io.read().processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        assert list(table["Accepted"][:]) == [0, 1, 0]
        assert list(table["Rejected"][:]) == [1, 0, 0]
        assert list(table["cell_status"][:]) == statuses
        assert list(table["cell_name"][:]) == ["C0", "C1", "C2"]


def test_selected_cells_by_their_names(tmp_path, recording):
    interface = InscopixSegmentationInterface(write_inscopix_cells(tmp_path / "c.isxd", recording))
    target = interface.run_conversion(
        tmp_path / "a.nwb", metadata=START, roi_ids=["C2", "C0"], mask_type="pixel"
    )
    with NWBHDF5IO(target, "r") as io:
        module = io.read().processing["ophys"]
        table = module["ImageSegmentation"]["PlaneSegmentation"]
        traces = module["Fluorescence"]["RoiResponseSeries"].data[:]
        np.testing.assert_array_equal(traces, recording.fluorescence[:, [2, 0]])
        for row, cell in enumerate((2, 0)):
            drawn = np.zeros((24, 34))
            for x, y, weight in table["pixel_mask"][row]:
                drawn[int(y), int(x)] = weight
            expected = recording.image_masks()[cell].astype("float32")
            np.testing.assert_array_equal(drawn, expected)


def test_dropped_frames_leave_their_gap_in_time(tmp_path, movie):
    path = write_inscopix(tmp_path / "m.isxd", movie, missing={"dropped": [3, 4]})
    with pytest.warns(UserWarning, match="2 of 14 frames"):
        interface = InscopixImagingInterface(path)
    target = interface.run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(target, "r") as io:
        (series,) = io.read().acquisition.values()
        np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), movie)
        times = np.delete(np.arange(14), [3, 4]) / 30
        np.testing.assert_allclose(series.timestamps[:], times)


def test_everything_in_a_folder(tmp_path, movie, recording):
    folder = tmp_path / "session"
    folder.mkdir()
    for channel, shift in (("green", 0), ("red", 7)):
        properties = {"idps": {"channel": channel}}
        write_inscopix(folder / f"{channel}.isxd", movie + np.uint16(shift), properties=properties)
    write_inscopix_cells(folder / "cells.isxd", recording, properties={"idps": {"channel": "red"}})
    assert [each.format for each in detect(folder)] == ["inscopix-cells", "inscopix", "inscopix"]
    target = InscopixConverter(folder).run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        assert set(nwbfile.acquisition) == {"OnePhotonSeriesGreen", "OnePhotonSeriesRed"}
        for name, shift in (("Green", 0), ("Red", 7)):
            series = nwbfile.acquisition[f"OnePhotonSeries{name}"]
            np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), movie + shift)
            assert series.imaging_plane.optical_channel[0].name == name
        (table,) = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations.values()
        assert table.imaging_plane.name == "ImagingPlaneRed"
        assert len(nwbfile.devices) == 1


def _movies_of_a_day(tmp_path, movie, offsets=(7200, 7200)):
    folder = tmp_path / "day"
    folder.mkdir()
    for seconds, offset in zip((0, 600), offsets, strict=True):
        start = 1_700_000_000 + seconds
        write_inscopix(folder / f"m{seconds}.isxd", movie, start=start, utc_offset=offset)
    return folder


def _starting_times(target):
    with NWBHDF5IO(target, "r") as io:
        return [series.starting_time for series in io.read().acquisition.values()]


def test_movies_of_different_starts_are_on_one_clock(tmp_path, movie):
    """Both counted from 0, though the second began ten minutes later."""
    folder = _movies_of_a_day(tmp_path, movie)
    converter = InscopixConverter(folder)
    for name in ("a.nwb", "b.nwb"):  # as often as it is called
        with pytest.warns(UserWarning, match="[Tt]he times of each count from it"):
            target = converter.run_conversion(tmp_path / name)
        assert _starting_times(target) == [0.0, pytest.approx(600)]
    with NWBHDF5IO(target, "r") as io:
        assert io.read().session_start_time.timestamp() == 1_700_000_000
    # The first samples keep their times.
    options = {name: {"stub": 5} for name in converter.interfaces}
    with pytest.warns(UserWarning, match="different session starts"):
        nwbfile = converter.create_nwbfile(conversion_options=options)
    assert [each.starting_time for each in nwbfile.acquisition.values()] == [0, 600]


def test_movies_of_different_starts_by_the_command_line(tmp_path, movie, capsys):
    folder, target = _movies_of_a_day(tmp_path, movie), tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as exit_:
        main(["convert", str(folder), "-o", str(target), "--no-progress"])
    assert exit_.value.code == 0
    assert capsys.readouterr().err.count("different session starts") == 1
    assert _starting_times(target) == [0.0, pytest.approx(600)]


def test_times_that_were_set_stay(tmp_path, movie):
    converter = InscopixConverter(_movies_of_a_day(tmp_path, movie))
    converter.interfaces["m600"].set_aligned_starting_time(590.5)
    with pytest.warns(UserWarning, match="different session starts"):
        target = converter.run_conversion(tmp_path / "a.nwb")
    assert _starting_times(target) == [0.0, pytest.approx(590.5)]


def test_starts_without_and_with_a_zone_are_not_compared(tmp_path, movie):
    converter = InscopixConverter(_movies_of_a_day(tmp_path, movie, (7200, 0)))
    with pytest.warns(UserWarning, match="not all have a time zone"):
        target = converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    assert _starting_times(target) == [0.0, 0.0]


def test_a_folder_of_others_is_no_recording(tmp_path):
    (tmp_path / "notes.isxd").write_text("this is no recording")
    with (
        pytest.warns(UserWarning, match="No format with this ending recognises '.*notes.isxd'"),
        pytest.raises(SourceError, match=r"InscopixConverter reads; it looks for: \.isxd"),
    ):
        InscopixConverter(tmp_path)


def test_real_recordings_by_the_command_line(data_folder, tmp_path):
    target = tmp_path / "a.nwb"
    stated = "NWBFile.session_start_time=2019-10-07T16:22:01-07:00"
    arguments = ["convert", str(data_folder / "inscopix"), "-o", str(target), "--set", stated]
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 0
    movie = np.fromfile(
        data_folder / "inscopix/movie_longer_than_3_min.isxd", "<u2", 1248 * 33 * 29
    ).reshape(1248, 33, 29)
    cells = np.fromfile(data_folder / "inscopix/cellset_series_part1.isxd", "<f4", 6 * 541)
    cells = cells.reshape(6, 541)
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        (series,) = nwbfile.acquisition.values()
        np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), movie)
        assert series.rate == pytest.approx(1e6 / 179973)
        module = nwbfile.processing["ophys"]
        (table,) = module["ImageSegmentation"].plane_segmentations.values()
        masks = np.swapaxes(table["image_mask"][:], 1, 2)
        np.testing.assert_array_equal(masks, cells[:, :441].reshape(6, 21, 21))
        (traces,) = module["Fluorescence"].roi_response_series.values()
        np.testing.assert_array_equal(traces.data[:], cells[:, 441:].T)
        assert (traces.rate, traces.unit) == (10.0, "dF over noise")
