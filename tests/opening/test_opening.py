"""Tests of opening paths, with options as texts, as one converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.errors import (
    ArgumentError,
    OptionError,
    OutputError,
    OutputExistsError,
    SourceArgumentError,
    SourceNotFoundError,
    UnknownFormatError,
)
from nwb_ophys.metadata import DeepDict, load_metadata
from nwb_ophys.opening import (
    describe_recording,
    edited_metadata,
    open_recording,
    set_in_metadata,
    write_metadata,
)
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

START = "2024-05-17T14:30:00+02:00"


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)


def _streams(*paths: Path, **arguments: Any) -> list[str]:
    return list(open_recording(paths, **arguments).converter.interfaces)


# --- everything in a path ---------------------------------------------------------------------


def test_both_channels_and_all_planes(tmp_path, recording):
    write_scanimage(
        tmp_path / "si.tif", {1: recording.movie, 3: recording.movie + 1}, channel_names={3: "red"}
    )
    folder = write_suite2p(tmp_path, [recording, recording], second_channel=True)
    assert _streams(tmp_path / "si.tif") == ["scanimage Channel 1", "scanimage red"]
    assert _streams(folder) == [
        "suite2p chan1 plane0",
        "suite2p chan2 plane0",
        "suite2p chan1 plane1",
        "suite2p chan2 plane1",
    ]
    assert _streams(folder / "plane1") == ["suite2p chan1", "suite2p chan2"]
    assert _streams(folder, options={"plane_name": "plane1", "channel_name": "chan2"}) == [
        "suite2p"
    ]


def test_streams_that_are_left_out(tmp_path, recording):
    write_tiff(tmp_path / "movie.tif", recording.movie)
    write_suite2p(tmp_path, recording)
    rate = {"sampling_frequency": 30}
    whole = open_recording([tmp_path], options=rate)
    assert set(whole.converter.interfaces) == {"tiff", "suite2p"}
    rest = open_recording([tmp_path], options=rate, leave_out=["suite2p"])
    assert set(rest.converter.interfaces) == set(rest.conversion_options) == {"tiff"}
    with pytest.raises(OptionError, match=r"no stream 'suite'.* The streams are 'tiff', 'suite2p'"):
        open_recording([tmp_path], options=rate, leave_out=["suite"])
    with pytest.raises(OptionError, match="All streams are left out"):
        open_recording([tmp_path], options=rate, leave_out=["tiff", "suite2p"])


def test_channels_of_a_tiff(tmp_path, recording):
    pages = np.repeat(recording.movie, 2, axis=0)
    pages[1::2] += 1
    path = write_tiff(tmp_path / "a.tif", pages)
    options = {"sampling_frequency": "30", "num_channels": "2"}
    opened = open_recording([path], options=options)
    assert list(opened.converter.interfaces) == ["tiff channel0", "tiff channel1"]
    metadata = edited_metadata(opened.converter, None, {"NWBFile.session_start_time": START})
    nwbfile = opened.converter.create_nwbfile(metadata)
    movies = [np.asarray(s.data.data) for s in nwbfile.acquisition.values()]
    for channel, movie in enumerate(movies):
        np.testing.assert_array_equal(movie.swapaxes(1, 2), recording.movie + channel)


def test_several_recordings_in_a_folder(tmp_path, recording):
    for index, name in enumerate(("morning", "evening")):
        write_scanimage(tmp_path / f"{name}.tif", recording.movie + index)
    assert sorted(_streams(tmp_path)) == ["scanimage evening", "scanimage morning"]


def test_folder_with_a_movie_and_its_rois(tmp_path, recording):
    """A path stands for all its contents: a movie does not hide the ROIs."""
    write_scanimage(tmp_path / "si.tif", recording.movie)
    write_suite2p(tmp_path, recording)
    assert _streams(tmp_path) == ["scanimage", "suite2p"]
    # Asked for one of them, that alone.
    assert _streams(tmp_path, format_names=["suite2p"]) == ["suite2p"]


def test_several_paths_of_one_format_are_called_by_their_names(tmp_path, recording):
    one = write_caiman(tmp_path / "one.hdf5", recording)
    other = write_caiman(tmp_path / "other.hdf5", recording)
    assert _streams(one, other) == ["one", "other"]
    (tmp_path / "again").mkdir()
    same = write_caiman(tmp_path / "again" / "one.hdf5", recording)
    assert _streams(one, same) == ["one", "again one"]


def test_recordings_of_several_days_are_called_by_the_days(tmp_path, recording):
    """Fault: names were 'session1' and 'session1 #2', of ROIs 'PlaneSegmentationSession12'."""
    for day in ("day1", "day2"):
        write_suite2p(tmp_path / "mouse7" / day / "session1", recording)
    assert _streams(tmp_path) == ["day1", "day2"]
    converter = nwb_ophys.open(tmp_path)
    segmentation = converter.get_metadata()["Ophys"]["ImageSegmentation"]
    names = [each["name"] for each in segmentation["plane_segmentations"]]
    assert names == ["PlaneSegmentationDay1", "PlaneSegmentationDay2"]


def test_a_path_given_twice_is_opened_once(tmp_path, recording):
    """Fault: the same recording was written as many times as its path was given."""
    one = write_caiman(tmp_path / "one.hdf5", recording)
    assert _streams(one, one) == ["caiman"]
    assert _streams(one, tmp_path) == ["caiman"]


def test_rois_of_several_analyses_in_a_folder(tmp_path, recording):
    """Fault: the ROIs of CaImAn were left out beside those of Suite2p."""
    write_tiff(tmp_path / "movie.tif", recording.movie)
    write_suite2p(tmp_path, recording)
    write_caiman(tmp_path / "caiman.hdf5", recording)
    opened = nwb_ophys.open(tmp_path, sampling_frequency=30.0)
    assert sorted(opened.interfaces) == ["caiman", "suite2p", "tiff"]


def test_messages_speak_to_python_users_too(tmp_path, recording):
    """Fault: the messages named only options of the command line."""
    path = write_tiff(tmp_path / "a.tif", recording.movie)
    with pytest.raises(SourceArgumentError, match=r"as sampling_frequency=\.\.\., on the command"):
        nwb_ophys.open(path)
    (tmp_path / "b.tif").write_text("text")
    with pytest.raises(UnknownFormatError, match=r"name the format \(format=, on the command"):
        nwb_ophys.open(tmp_path / "b.tif")


def test_several_paths_share_the_plane(tmp_path, recording):
    movie = write_tiff(tmp_path / "movie.tif", recording.movie)
    rois = write_caiman(tmp_path / "c.hdf5", recording)
    opened = open_recording([movie, rois], options={"sampling_frequency": "30"})
    assert list(opened.converter.interfaces) == ["tiff", "caiman"]
    assert len(opened.converter.get_metadata()["Ophys"]["ImagingPlane"]) == 1


# --- options as text --------------------------------------------------------------------------


def test_options_are_read_as_their_schema_says(tmp_path, recording):
    movie = write_tiff(tmp_path / "movie.tif", recording.movie)
    rois = write_suite2p(tmp_path, recording)
    opened = open_recording(
        [movie, rois],
        options={
            "sampling_frequency": "3e1",
            "stub": "5",
            "mask_type": "pixel",
            "include_roi_centroids": "false",
            "roi_ids": "[2, 0]",
            "iterator_options": "{buffer_gb: 0.5}",
        },
    )
    assert opened.converter.interfaces["tiff"].source.sampling_frequency == 30.0
    assert opened.conversion_options == {
        "tiff": {"stub": 5, "iterator_options": {"buffer_gb": 0.5}},
        "suite2p": {
            "stub": 5,
            "iterator_options": {"buffer_gb": 0.5},
            "mask_type": "pixel",
            "include_roi_centroids": False,
            "roi_ids": [2, 0],
        },
    }


@pytest.mark.parametrize("text", ["null", "~"])
def test_no_mask_is_a_choice(tmp_path, recording, text):
    opened = open_recording([write_suite2p(tmp_path, recording)], options={"mask_type": text})
    assert opened.conversion_options == {"suite2p": {"mask_type": None}}
    metadata = {"NWBFile": {"session_start_time": START}}
    nwbfile = opened.converter.create_nwbfile(metadata, opened.conversion_options)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
    assert "image_mask" not in table.colnames


@pytest.mark.parametrize("value", ["fast", "true", "[1]", "1 Hz"])
def test_ill_typed_option(tmp_path, recording, value):
    path = write_tiff(tmp_path / "a.tif", recording.movie)
    with pytest.raises(SourceArgumentError, match="sampling_frequency"):
        open_recording([path], options={"sampling_frequency": value})


def test_option_that_nobody_knows(tmp_path, recording):
    path = write_tiff(tmp_path / "a.tif", recording.movie)
    with pytest.raises(OptionError, match="no option 'rate'") as caught:
        open_recording([path], options={"rate": "30"})
    assert "sampling_frequency" in str(caught.value)
    assert "mask_type" not in str(caught.value)


def test_the_path_itself_is_no_option(tmp_path, recording):
    folder = write_suite2p(tmp_path, recording)
    with pytest.raises(OptionError, match="no option 'folder_path'"):
        open_recording([folder], options={"folder_path": "elsewhere"})


def test_missing_argument_names_the_option(tmp_path, recording):
    path = write_tiff(tmp_path / "a.tif", recording.movie)
    with pytest.raises(SourceArgumentError, match="--option sampling_frequency=VALUE"):
        open_recording([path])


# --- formats ----------------------------------------------------------------------------------


def test_formats_for_paths(tmp_path, recording):
    (path,) = write_scanimage(tmp_path / "si.tif", recording.movie)
    tiff = write_tiff(tmp_path / "a.tif", recording.movie)
    options = {"sampling_frequency": "30"}
    assert _streams(path, tiff, format_names=["tiff"], options=options) == ["si", "a"]
    assert _streams(path, tiff, format_names=["scanimage", "tiff"], options=options) == [
        "scanimage",
        "tiff",
    ]
    with pytest.raises(OptionError, match="2 formats are given for 1 paths"):
        open_recording([path], ["tiff", "tiff"])
    with pytest.raises(UnknownFormatError, match="Did you mean 'scanimage'"):
        open_recording([path], ["scanimag"])


def test_missing_and_unknown_paths(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"absent\.tif"):
        open_recording([tmp_path / "absent.tif"])
    with pytest.raises(UnknownFormatError, match="No format recognises") as caught:
        open_recording([tmp_path])
    assert f"'{tmp_path}', which is an empty folder" in str(caught.value)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(UnknownFormatError, match=r"which contains 1 \.txt file") as caught:
        open_recording([tmp_path])
    assert "'nwb-ophys formats' lists" in str(caught.value)


# --- metadata as text -------------------------------------------------------------------------


def test_values_by_dotted_keys(tmp_path, recording):
    converter = open_recording([write_suite2p(tmp_path, recording)]).converter
    edits = {
        "NWBFile.session_start_time": START,
        "NWBFile.keywords": "[imaging, V1]",
        "NWBFile.session_id": "007",
        "Subject.subject_id": "12",
        "Ophys.ImagingPlane.0.excitation_lambda": "9.2e2",
        "Ophys.ImagingPlane.0.indicator": "true",
        "Ophys.ImagingPlane.0.optical_channel.0.emission_lambda": "525",
        "Ophys.ImagingPlane.0.grid_spacing": "[1.0e-6, 2.0e-6]",
    }
    metadata = edited_metadata(converter, None, edits)
    nwbfile = converter.create_nwbfile(metadata)
    plane = nwbfile.imaging_planes["ImagingPlane"]
    # Texts stay texts, numbers become numbers, as the schema has them.
    assert nwbfile.session_id == "007"
    assert nwbfile.subject.subject_id == "12"
    assert plane.indicator == "true"
    assert plane.excitation_lambda == 920.0
    assert plane.optical_channel[0].emission_lambda == 525.0
    assert list(plane.grid_spacing) == [1e-6, 2e-6]
    assert list(nwbfile.keywords) == ["imaging", "V1"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("Ophys.Device.1.name", "'1' is not an index; the list has length 1, from 0"),
        ("Ophys.Device.first.name", "'first' is not an index or a name; the list has length 1"),
        ("Ophys.Device.-1.name", "'-1' is not an index or a name; the list has length 1"),
        ("Ophys.Device.0.name.first", "which has no keys"),
        ("Ophys.Device.0.name.first.second", "'first' does not exist, because its parent has no"),
        ("Ophys.Device.9", "'9' is not an index; the list has length 1"),
    ],
)
def test_keys_that_lead_nowhere(tmp_path, recording, key, words):
    converter = open_recording([write_suite2p(tmp_path, recording)]).converter
    with pytest.raises(OptionError, match=words) as caught:
        edited_metadata(converter, None, {key: "x"})
    assert key in str(caught.value)


def test_an_entry_of_a_list_can_be_set_whole():
    metadata = DeepDict({"NWBFile": {"keywords": ["a", "b"]}})
    set_in_metadata(metadata, "NWBFile.keywords.1", "c", {})
    assert metadata["NWBFile"]["keywords"] == ["a", "c"]


def test_the_document_reads_back_as_the_same(tmp_path, recording):
    movie = write_tiff(tmp_path / "movie.tif", recording.movie)
    rois = write_caiman(tmp_path / "c.hdf5", recording)
    opened = open_recording([movie, rois], options={"sampling_frequency": "30"})
    edits = {"NWBFile.session_start_time": START, "NWBFile.lab": "Ours: the best # really"}
    metadata = edited_metadata(opened.converter, None, edits)
    path = tmp_path / "meta.yaml"
    write_metadata(path, describe_recording(opened.converter, metadata))
    read = load_metadata(path)
    expected = metadata.to_dict()
    expected["NWBFile"].pop("identifier")
    np.testing.assert_equal(read.to_dict(), expected)
    text = path.read_text()
    assert "identifier" not in text
    assert "# Excitation wavelength in nm; NaN when unknown." in text
    # And what it describes can be written with it as it is.
    again = edited_metadata(opened.converter, path, {})
    assert opened.converter.create_nwbfile(again).lab == "Ours: the best # really"
    with pytest.raises(OutputExistsError):
        write_metadata(path, "")
    assert path.read_text() == text


def test_the_start_is_asked_for_in_the_document(tmp_path, recording):
    converter = open_recording([write_suite2p(tmp_path, recording)]).converter
    document = describe_recording(converter, converter.get_metadata())
    assert "\n  session_start_time: null  # Start of the session" in document


def test_a_text_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    """Fault: two processes that made the same file lost the edits of one."""
    path = tmp_path / "a.yaml"
    write = Path.write_text

    def write_late(self, text, **options):
        write(path, "mine")
        return write(self, text, **options)

    monkeypatch.setattr(Path, "write_text", write_late)
    with pytest.raises(OutputExistsError, match="already exists; use overwrite=True"):
        write_metadata(path, "theirs")
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "absent" / "a.yaml"
    with pytest.raises(OutputError, match=r"a\.yaml' cannot be written: No such file or directory"):
        write_metadata(path, "text")


@pytest.mark.parametrize("path", ["", " ", None, 5, ["a.tif"], b"a.tif"])
def test_what_is_no_path_is_not_the_current_folder(path):
    with pytest.raises(ArgumentError, match="The path is"):
        nwb_ophys.open(path)
    with pytest.raises(ArgumentError, match="The path is"):
        open_recording([path])
