"""Tests of several streams in one file: shared objects, separate objects, and nothing lost."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pynwb
import pytest
from jsonschema import Draft202012Validator

from nwb_ophys import (
    CaimanSegmentationInterface,
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
    ScanImageImagingInterface,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
)
from nwb_ophys.errors import (
    MetadataError,
    OptionError,
    OutputExistsError,
    SourceArgumentError,
)
from nwb_ophys.storage import get_backend
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


@pytest.fixture(scope="module")
def first() -> SimulatedRecording:
    return simulate_recording(num_samples=40, num_rows=24, num_columns=34, num_cells=3, seed=1)


@pytest.fixture(scope="module")
def second() -> SimulatedRecording:
    return simulate_recording(num_samples=50, num_rows=34, num_columns=28, num_cells=4, seed=2)


def _movie(recording: SimulatedRecording) -> NumpyImagingInterface:
    return NumpyImagingInterface(recording.movie, recording.sampling_frequency)


def _rois(recording: SimulatedRecording) -> NumpySegmentationInterface:
    return NumpySegmentationInterface(
        np.moveaxis(recording.image_masks(), 0, -1),
        raw=recording.fluorescence,
        dff=recording.calcium,
        mean_image=recording.mean_image(),
        sampling_frequency=recording.sampling_frequency,
    )


def _movies_of(nwbfile: Any) -> dict[str, Any]:
    return {s.name: np.asarray(s.data[:]).swapaxes(1, 2) for s in nwbfile.acquisition.values()}


def _ophys(nwbfile: Any) -> Any:
    return nwbfile.processing["ophys"]


def _write(converter: OphysConverter, folder: Path, backend: str, **options: Any) -> Path:
    name = "session.nwb" if backend == "hdf5" else "session.nwb.zarr"
    options.setdefault("metadata", START)
    return converter.run_conversion(folder / name, backend=backend, **options)


# --- sharing and separating -------------------------------------------------------------------


def test_movie_and_its_rois_share_device_and_plane(tmp_path, backend, first):
    converter = OphysConverter({"movie": _movie(first), "rois": _rois(first)})
    path = _write(converter, tmp_path, backend)
    with get_backend(backend).open(path, "r") as io:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        assert list(nwbfile.devices) == ["Microscope"]
        assert list(nwbfile.imaging_planes) == ["ImagingPlane"]
        series = nwbfile.acquisition["TwoPhotonSeries"]
        table = _ophys(nwbfile)["ImageSegmentation"]["PlaneSegmentation"]
        assert series.imaging_plane is table.imaging_plane
        np.testing.assert_array_equal(_movies_of(nwbfile)["TwoPhotonSeries"], first.movie)


@pytest.mark.parametrize("order", [1, -1])
def test_colliding_names_are_kept_apart_and_nothing_is_lost(tmp_path, first, second, order):
    """Two movies and two segmentations with the same names are all written, in any order."""
    streams = [
        ("left", _movie(first)),
        ("right", _movie(second)),
        ("cells of left", _rois(first)),
        ("cells of right", _rois(second)),
    ]
    converter = OphysConverter(dict(streams[::order]))
    path = _write(converter, tmp_path, "hdf5")
    with get_backend("hdf5").open(path, "r") as io:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        movies = _movies_of(nwbfile)
        np.testing.assert_array_equal(movies["TwoPhotonSeriesLeft"], first.movie)
        np.testing.assert_array_equal(movies["TwoPhotonSeriesRight"], second.movie)
        planes = {s.imaging_plane.name for s in nwbfile.acquisition.values()}
        assert len(planes) == 2
        ophys = _ophys(nwbfile)
        for suffix, recording in (("Left", first), ("Right", second)):
            table = ophys["ImageSegmentation"][f"PlaneSegmentation{suffix}"]
            masks = table["image_mask"][:].swapaxes(1, 2)
            np.testing.assert_array_equal(masks, recording.image_masks())
            for container, expected in (
                ("Fluorescence", recording.fluorescence),
                ("DfOverF", recording.calcium),
            ):
                series = ophys[container][f"RoiResponseSeries{suffix}"]
                np.testing.assert_array_equal(series.data[:], expected)
                assert series.rois.table is table
            image = ophys["SegmentationImages"][f"mean{suffix}"]
            np.testing.assert_array_equal(image.data[:].T, recording.mean_image())


@pytest.mark.parametrize(
    "names", [("a", "A"), ("a b", "ab"), ("x-1", "x 1"), ("é", "è"), ("_", "-")]
)
def test_names_that_make_the_same_suffix(tmp_path, first, second, names):
    converter = OphysConverter(dict(zip(names, (_movie(first), _movie(second)), strict=True)))
    path = _write(converter, tmp_path, "hdf5")
    with get_backend("hdf5").open(path, "r") as io:
        found = sorted(movie.shape for movie in _movies_of(io.read()).values())
    assert found == sorted([first.movie.shape, second.movie.shape])


def test_every_kind_of_segmentation_beside_the_movie(tmp_path, backend, first):
    (scanimage,) = write_scanimage(tmp_path / "si.tif", first.movie)
    converter = OphysConverter(
        {
            "movie": ScanImageImagingInterface(scanimage),
            "suite2p": Suite2pSegmentationInterface(write_suite2p(tmp_path, first)),
            "caiman": CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", first)),
            "arrays": _rois(first),
        }
    )
    path = _write(converter, tmp_path, backend)
    with get_backend(backend).open(path, "r") as io:
        nwbfile = io.read()
        ophys = _ophys(nwbfile)
        tables = ophys["ImageSegmentation"].plane_segmentations
        assert len(tables) == 4
        assert {table.imaging_plane.name for table in tables.values()} == {"ImagingPlane"}
        used: dict[str, int] = {}
        for container in ("Fluorescence", "DfOverF"):
            for series in ophys[container].roi_response_series.values():
                assert series.data.shape[1] == len(series.rois.table.id)
                used[series.rois.table.name] = used.get(series.rois.table.name, 0) + 1
        # Suite2p: raw, neuropil, deconvolved. CaImAn: raw, dff, denoised, deconvolved. Arrays: 2.
        assert sorted(used.values()) == [1, 2, 3, 4]
        assert len(ophys["SegmentationImages"].images) == 4 + 1 + 1


def test_streams_that_differ_in_the_device(first, second, monkeypatch):
    streams = {"one": _movie(first), "other": _movie(second)}
    for name, interface in streams.items():
        stated = {"Ophys": {"Device": [{"description": f"Scope {name}"}]}}
        monkeypatch.setattr(interface, "describe", lambda stated=stated: stated)
    nwbfile = OphysConverter(streams).create_nwbfile(START)
    descriptions = {device.description for device in nwbfile.devices.values()}
    assert descriptions == {"Scope one", "Scope other"}
    for series in nwbfile.acquisition.values():
        name = "one" if series.data.data.maxshape[0] == len(first.movie) else "other"
        assert series.imaging_plane.device.description == f"Scope {name}"


# --- metadata ---------------------------------------------------------------------------------


def test_schema_is_valid_and_the_metadata_conform(first):
    converter = OphysConverter({"movie": _movie(first), "rois": _rois(first)})
    schema = converter.get_metadata_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(converter.get_metadata().to_dict())
    options = converter.get_conversion_options_schema()
    Draft202012Validator.check_schema(options)
    assert set(options["properties"]) == {"movie", "rois"}


def test_what_is_edited_is_written(first, second):
    converter = OphysConverter({"a": _movie(first), "b": _movie(second), "rois": _rois(first)})
    metadata = converter.get_metadata()
    metadata["NWBFile"] |= START["NWBFile"] | {"lab": "Mine"}
    metadata["Subject"]["subject_id"] = "M7"
    metadata["Ophys"]["Device"][0]["name"] = "Scope"
    for index, plane in enumerate(metadata["Ophys"]["ImagingPlane"]):
        plane |= {"device": "Scope", "location": f"area {index}", "name": f"Plane{index}"}
    for index, series in enumerate(metadata["Ophys"]["TwoPhotonSeries"]):
        series |= {"name": f"Movie{index}", "imaging_plane": f"Plane{index}"}
    table = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]
    table |= {"description": "Drawn by hand.", "imaging_plane": "Plane0"}
    given = copy.deepcopy(metadata)
    nwbfile = converter.create_nwbfile(metadata)
    assert metadata == given
    assert (nwbfile.lab, nwbfile.subject.subject_id) == ("Mine", "M7")
    assert list(nwbfile.devices) == ["Scope"]
    assert nwbfile.acquisition["Movie0"].data.data.maxshape[0] == len(first.movie)
    assert nwbfile.acquisition["Movie1"].data.data.maxshape[0] == len(second.movie)
    assert nwbfile.acquisition["Movie1"].imaging_plane.location == "area 1"
    (found,) = _ophys(nwbfile)["ImageSegmentation"].plane_segmentations.values()
    assert found.description == "Drawn by hand."
    assert found.imaging_plane.name == "Plane0"


def test_an_entry_taken_out_is_an_error(first, second, tmp_path):
    converter = OphysConverter({"a": _movie(first), "b": _movie(second)})
    metadata = converter.get_metadata()
    metadata["NWBFile"] |= START["NWBFile"]
    metadata["Ophys"]["TwoPhotonSeries"].pop()
    with pytest.raises(MetadataError, match="keep their entries"):
        converter.run_conversion(tmp_path / "x.nwb", metadata=metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"NWBFle": {}}, "Did you mean 'NWBFile'"),
        ({"Ophys": {"Fluoresence": {}}}, "Did you mean 'Fluorescence'"),
        ({"Ophys": {"Device": "Scope"}}, 'metadata["Ophys"]["Device"]'),
        ({"Ophys": {"TwoPhotonSeries": [{"name": 3}]}}, '["TwoPhotonSeries"][0]'),
        (None, "session_start_time"),
    ],
)
def test_wrong_metadata_leave_nothing(first, tmp_path, change, words):
    converter = OphysConverter({"movie": _movie(first), "rois": _rois(first)})
    metadata = None if change is None else START | change
    with pytest.raises(MetadataError) as caught:
        converter.run_conversion(tmp_path / "x.nwb", metadata=metadata)
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_streams_of_different_starts_are_told(first, tmp_path):
    from datetime import datetime

    for name, hour in (("a.tif", 14), ("b.tif", 12)):
        start = datetime(2024, 5, 17, hour, 3, 21)
        write_scanimage(tmp_path / name, first.movie, session_start_time=start)
    converter = OphysConverter(
        {name: ScanImageImagingInterface(tmp_path / f"{name}.tif") for name in "ab"}
    )
    with pytest.warns(UserWarning, match="different session starts"):
        metadata = converter.get_metadata()
    assert "12:03:21" in str(metadata["NWBFile"]["session_start_time"])


# --- options, errors, subclasses --------------------------------------------------------------


def test_options_go_to_their_stream(first):
    converter = OphysConverter({"movie": _movie(first), "rois": _rois(first)})
    nwbfile = converter.create_nwbfile(
        START, conversion_options={"rois": {"mask_type": "pixel"}, "movie": {"stub": 3}}
    )
    assert nwbfile.acquisition["TwoPhotonSeries"].data.data.maxshape[0] == 3
    ophys = _ophys(nwbfile)
    assert "pixel_mask" in ophys["ImageSegmentation"]["PlaneSegmentation"].colnames
    assert ophys["Fluorescence"]["RoiResponseSeries"].data.data.maxshape[0] == 40


def test_wrong_options(first, tmp_path):
    converter = OphysConverter({"movie": _movie(first)})
    for options, words in (({"film": {}}, "streams: movie"), ({"movie": {"mask_type": 1}}, "stub")):
        with pytest.raises(OptionError, match=words):
            converter.run_conversion(tmp_path / "x.nwb", metadata=START, conversion_options=options)
    assert not list(tmp_path.iterdir())


def test_wrong_streams(first):
    with pytest.raises(SourceArgumentError, match="at least one stream"):
        OphysConverter({})
    with pytest.raises(
        SourceArgumentError, match="'movie' is a ndarray, which has no get_metadata"
    ):
        OphysConverter({"movie": first.movie})
    with pytest.raises(SourceArgumentError, match="no stream 'film'"):
        OphysConverter({"movie": _movie(first)}, film={"file_path": "a.tif"})


class Rig(OphysConverter):
    streams: ClassVar = {"movie": TiffImagingInterface, "rois": Suite2pSegmentationInterface}


def test_subclass_with_streams(first, tmp_path, backend):
    schema = Rig.get_source_schema()
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {"movie", "rois"}
    tiff = write_tiff(tmp_path / "a.tif", first.movie)
    folder = write_suite2p(tmp_path, first)
    rig = Rig(movie={"file_path": tiff, "sampling_frequency": 30.0}, rois={"folder_path": folder})
    path = _write(rig, tmp_path, backend)
    with get_backend(backend).open(path, "r") as io:
        np.testing.assert_array_equal(_movies_of(io.read())["TwoPhotonSeries"], first.movie)
    with pytest.raises(SourceArgumentError, match="streams: movie, rois"):
        Rig(film={"file_path": tiff})
    with pytest.raises(SourceArgumentError, match="needs sampling_frequency"):
        Rig(movie={"file_path": tiff})
    # Not all of its streams need be there.
    assert list(Rig(rois={"folder_path": folder}).interfaces) == ["rois"]


def test_temporal_alignment_comes_before_writing(first, tmp_path):
    seen: list[Any] = []

    class Aligned(OphysConverter):
        def temporally_align(self, metadata: Any, conversion_options: Any) -> None:
            seen.append((metadata["NWBFile"]["lab"], dict(conversion_options)))
            self.interfaces["rois"].set_aligned_starting_time(5.0)

    converter = Aligned({"movie": _movie(first), "rois": _rois(first)})
    options = {"movie": {"stub": 2}}
    given = {"NWBFile": START["NWBFile"] | {"lab": "Mine"}}
    nwbfile = converter.create_nwbfile(given, options)
    assert seen == [("Mine", options)]
    assert nwbfile.acquisition["TwoPhotonSeries"].starting_time == 0.0
    assert _ophys(nwbfile)["Fluorescence"]["RoiResponseSeries"].starting_time == 5.0


def test_existing_file_and_append(first, second, tmp_path, backend):
    path = _write(OphysConverter({"movie": _movie(first)}), tmp_path, backend)
    rois = OphysConverter({"rois": _rois(first)})
    with pytest.raises(OutputExistsError):
        _write(rois, tmp_path, backend)
    _write(rois, tmp_path, backend, append=True)
    with get_backend(backend).open(path, "r") as io:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        np.testing.assert_array_equal(_movies_of(nwbfile)["TwoPhotonSeries"], first.movie)
        table = _ophys(nwbfile)["ImageSegmentation"]["PlaneSegmentation"]
        np.testing.assert_array_equal(table["image_mask"][:].swapaxes(1, 2), first.image_masks())
    # Other ROIs under the same names are an error, not a silent nothing.
    with pytest.raises(MetadataError, match="'PlaneSegmentation'"):
        _write(OphysConverter({"rois": _rois(second)}), tmp_path, backend, append=True)


def test_failure_of_one_stream_leaves_nothing(first, tmp_path):
    broken = _movie(first)

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("the disk is gone")

    broken.extractor.get_series = fail
    converter = OphysConverter({"rois": _rois(first), "movie": broken})
    with pytest.raises(OSError, match="the disk is gone"):
        converter.run_conversion(tmp_path / "x.nwb", metadata=START)
    assert not list(tmp_path.iterdir())


# --- converters within converters ---------------------------------------------------------------


class _Started(NumpyImagingInterface):
    """Movie that began 10 s after the session."""

    seconds = 31

    def describe(self) -> Any:
        return {"NWBFile": {"session_start_time": f"2024-05-17T14:30:{self.seconds}+02:00"}}


class _StartedFirst(_Started):
    seconds = 21


def test_options_of_a_converter_within_another_are_those_of_its_streams(first, second):
    inner = OphysConverter({"movie": _movie(first), "rois": _rois(first)})
    outer = OphysConverter({"rig": inner, "other": _movie(second)})
    one_photon = {"stub": 5, "photon_series_type": "OnePhotonSeries"}
    options = {"rig": {"movie": one_photon, "rois": {"mask_type": "pixel"}}, "other": None}
    metadata = outer.get_metadata()  # made without the options
    metadata["NWBFile"].update(START["NWBFile"])
    metadata["Ophys"]["TwoPhotonSeries"][1]["description"] = "Of the other camera."
    nwbfile = outer.create_nwbfile(metadata, conversion_options=options)
    sizes = {s.name: (s.neurodata_type, len(s.data)) for s in nwbfile.acquisition.values()}
    assert sizes["OnePhotonSeriesRig"] == ("OnePhotonSeries", 5)
    assert sizes["TwoPhotonSeriesOther"] == ("TwoPhotonSeries", 50)
    assert nwbfile.acquisition["TwoPhotonSeriesOther"].description == "Of the other camera."
    assert "pixel_mask" in _ophys(nwbfile)["ImageSegmentation"]["PlaneSegmentation"].colnames


def test_types_of_two_movies_within_a_converter_stay_with_them(first, second):
    inner = OphysConverter({"a": _movie(first), "b": _movie(second)})
    outer = OphysConverter({"rig": inner})
    metadata = outer.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    options = {"rig": {"a": {"photon_series_type": "OnePhotonSeries"}}}
    nwbfile = outer.create_nwbfile(metadata, conversion_options=options)
    assert {name: len(s.data) for name, s in nwbfile.acquisition.items()} == {
        "OnePhotonSeriesA": 40,
        "TwoPhotonSeriesB": 50,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rig": {"bogus": {}}}, "no such stream; streams: movie"),
        ({"rig": {"movie": {"bogus": 1}}}, "no argument 'bogus'"),
        ({"rig": 5}, r"conversion_options\['rig'\] is 5; it must be a dictionary"),
    ],
)
def test_wrong_options_of_a_converter_within_another(first, options, message):
    outer = OphysConverter({"rig": OphysConverter({"movie": _movie(first)})})
    with pytest.raises(OptionError, match=message):
        outer.create_nwbfile(START, conversion_options=options)


@pytest.mark.filterwarnings("ignore:The streams state different session starts")
def test_a_converter_within_another_counts_from_the_start_of_the_session(first, second):
    late = _Started(second.movie, 30.0)
    outer = OphysConverter(
        {"a": _StartedFirst(first.movie, 30.0), "rig": OphysConverter({"b": late})}
    )
    nwbfile = outer.create_nwbfile()
    starts = {series.name: series.starting_time for series in nwbfile.acquisition.values()}
    assert starts == {"TwoPhotonSeriesA": 0.0, "TwoPhotonSeriesRig": 10.0}


@pytest.mark.filterwarnings("ignore:The streams state different session starts")
def test_streams_count_from_their_own_start_again_in_a_file_of_their_own(first, second):
    late = _Started(second.movie, 30.0)
    inner = OphysConverter({"b": late})
    first_movie = _StartedFirst(first.movie, 30.0)
    for stream in (late, inner):
        OphysConverter({"a": first_movie, "b": stream}).create_nwbfile()
        assert late.get_timestamps()[0] == 10.0
        for alone in (late, inner):
            series = alone.create_nwbfile().acquisition["TwoPhotonSeries"]
            assert series.starting_time == 0.0
