"""Tests that every row of the registry passes: schemas, errors, stub, alignment, files."""

from __future__ import annotations

import copy
import gc
import inspect
import json
import pickle
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ophys import OnePhotonSeries, PlaneSegmentation, TwoPhotonSeries

from nwb_ophys.errors import (
    ArgumentError,
    MetadataError,
    OptionError,
    OutputExistsError,
    SourceArgumentError,
    SourceNotFoundError,
)
from nwb_ophys.interfaces import ImagingInterface, SegmentationInterface
from nwb_ophys.registry import detect
from nwb_ophys.testing.contract import check_schema


def _series(nwbfile: NWBFile) -> list[Any]:
    """Return all series over time: movies and traces."""
    found = list(nwbfile.acquisition.values())
    if "ophys" in nwbfile.processing:
        module = nwbfile.processing["ophys"].data_interfaces.values()
        found += [each for each in module if isinstance(each, (TwoPhotonSeries, OnePhotonSeries))]
    for name in ("Fluorescence", "DfOverF"):
        if "ophys" in nwbfile.processing and name in nwbfile.processing["ophys"].data_interfaces:
            found += nwbfile.processing["ophys"][name].roi_response_series.values()
    return found


def _times(series: Any) -> np.ndarray:
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:])
    return series.starting_time + np.arange(series.data.shape[0]) / series.rate


# --- schemas and metadata ---------------------------------------------------------------------


def test_is_an_interface_of_its_kind(sample):
    base = ImagingInterface if sample.is_imaging else SegmentationInterface
    assert issubclass(sample.cls, base)
    # Base, then kind, then format: no format subclasses a format.
    assert base in sample.cls.__bases__


def test_source_schema_is_valid_and_says_what_the_constructor_takes(sample):
    schema = sample.cls.get_source_schema()
    check_schema(schema)
    parameters = inspect.signature(sample.cls).parameters
    assert set(schema["properties"]) == set(parameters)
    required = {n for n, p in parameters.items() if p.default is inspect.Parameter.empty}
    assert set(schema["required"]) == required
    assert all(field["description"].endswith(".") for field in schema["properties"].values())
    assert not schema["additionalProperties"]


def test_source_arguments_may_be_given_by_position(sample):
    names = list(inspect.signature(sample.cls).parameters)
    given = [name for name in names if name in sample.source]
    if names[: len(given)] != given:
        given = given[:1]
    rest = {k: v for k, v in sample.source.items() if k not in given}
    interface = sample.cls(*(sample.source[name] for name in given), **rest)
    assert type(interface.source) is sample.cls.Source
    with pytest.raises(SourceArgumentError, match=f"'{given[0]}' is given twice"):
        sample.cls(sample.source[given[0]], **sample.source)


def test_options_schema_is_valid_and_its_defaults_conform(sample, interface):
    schema = interface.get_conversion_options_schema()
    check_schema(schema)
    defaults = {k: f["default"] for k, f in schema["properties"].items() if "default" in f}
    Draft202012Validator(schema).validate(defaults)
    pinned = {"stub", "iterator_options"} | (
        {"photon_series_type", "photon_series_index", "parent_container"}
        if sample.is_imaging
        else {
            "plane_segmentation_name",
            "mask_type",
            "include_roi_centroids",
            "include_roi_acceptance",
            "include_background",
            "roi_ids",
        }
    )
    assert pinned <= set(schema["properties"])


def test_metadata_conform_to_their_own_schema(interface):
    schema, found = interface.get_metadata_schema(), interface.get_metadata()
    check_schema(schema)
    interface.validate_metadata(found)
    # As plain JSON, for tools that know neither NumPy nor datetimes.
    document = json.loads(json.dumps(found.to_dict(), default=str))
    Draft202012Validator(schema).validate(document)


def test_metadata_are_made_anew_on_each_call(interface):
    found = interface.get_metadata()
    found["Ophys"]["Device"][0]["name"] = "Changed"
    found["Ophys"]["ImagingPlane"].clear()
    again = interface.get_metadata()
    assert again["Ophys"]["Device"][0]["name"] == "Microscope"
    assert len(again["Ophys"]["ImagingPlane"]) == 1


def test_every_link_in_the_metadata_leads_somewhere(sample, interface):
    ophys = interface.get_metadata()["Ophys"]
    devices = {entry["name"] for entry in ophys["Device"]}
    planes = {entry["name"] for entry in ophys["ImagingPlane"]}
    assert {entry["device"] for entry in ophys["ImagingPlane"]} <= devices
    if sample.is_imaging:
        assert {entry["imaging_plane"] for entry in ophys[sample.cls.photon_series_type]} <= planes
        return
    tables = ophys["ImageSegmentation"]["plane_segmentations"]
    assert {entry["imaging_plane"] for entry in tables} <= planes
    names = {entry["name"] for entry in tables}
    for container in ("Fluorescence", "DfOverF", "SegmentationImages"):
        assert set(ophys[container]) - {"name", "description"} <= names


# --- errors -----------------------------------------------------------------------------------


def test_wrong_source_arguments_are_named(sample):
    allowed = list(sample.cls.get_source_schema()["properties"])
    with pytest.raises(TypeError, match="has no argument 'bogus'") as caught:
        sample.cls(**sample.source, bogus=1)
    assert isinstance(caught.value, SourceArgumentError)
    assert all(name in str(caught.value) for name in allowed)
    first = sample.cls.get_source_schema()["required"][0]
    with pytest.raises(SourceArgumentError, match=f"needs the argument '{first}'"):
        sample.cls()
    if sample.row.name != "numpy-segmentation":
        with pytest.raises(SourceArgumentError):
            sample.cls(**sample.source | {first: 7})


def test_missing_source_is_named(sample, tmp_path):
    absent = tmp_path / "absent" / sample.path.name
    key = next(name for name, value in sample.source.items() if value is sample.path)
    with pytest.raises(FileNotFoundError) as caught:
        sample.cls(**sample.source | {key: absent})
    assert isinstance(caught.value, SourceNotFoundError)
    assert str(absent) in str(caught.value)


def test_unknown_option_names_the_allowed_ones(interface, tmp_path, metadata):
    target = tmp_path / "out" / "session.nwb"
    target.parent.mkdir()
    calls = (
        lambda: interface.create_nwbfile(metadata, bogus=1),
        lambda: interface.add_to_nwbfile(_empty(), metadata, bogus=1),
        lambda: interface.run_conversion(target, metadata=metadata, bogus=1),
    )
    for call in calls:
        with pytest.raises(TypeError, match="'bogus'") as caught:
            call()
        assert isinstance(caught.value, OptionError)
        allowed = interface.get_conversion_options_schema()["properties"]
        assert all(name in str(caught.value) for name in allowed)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("stub", 0, "at least 1"),
        ("stub", -3, "at least 1"),
        ("stub", True, "stub is True"),
        ("stub", 2.5, "stub is 2.5"),
        ("iterator_options", {"bufer_gb": 1.0}, "'buffer_gb'"),
        ("iterator_options", {"chunk_mb": "big"}, "chunk_mb"),
        ("iterator_options", [], "iterator_options"),
    ],
)
def test_ill_typed_options(interface, tmp_path, metadata, option, value, words):
    target = tmp_path / "out" / "session.nwb"
    target.parent.mkdir()
    with pytest.raises(OptionError) as caught:
        interface.run_conversion(target, metadata=metadata, **{option: value})
    assert words in str(caught.value)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"NWBFile": {"session_start_time": None}}, "session_start_time"),
        ({"NWBFile": {"session_start_time": "noon"}}, 'metadata["NWBFile"]["session_start_time"]'),
        ({"NWBFile": {"lab": 7}}, 'metadata["NWBFile"]["lab"]'),
        ({"NWBFile": {"sesion_id": "7"}}, "Did you mean 'session_id'"),
        ({"Subjects": {}}, "Did you mean 'Subject'"),
        ({"Ophys": {"Device": {"name": "Scope"}}}, 'metadata["Ophys"]["Device"]'),
        ({"Ophys": {"Devices": []}}, "Did you mean 'Device'"),
        ({"Ophys": {"ImagingPlane": []}}, 'metadata["Ophys"]["ImagingPlane"]'),
        ({"Ophys": {"Device": [{"name": "Scope"}]}}, "'Microscope'"),
    ],
)
def test_wrong_metadata_name_the_key_and_leave_nothing(
    interface, tmp_path, metadata, change, words
):
    target = tmp_path / "out" / "session.nwb"
    target.parent.mkdir()
    stated = interface.describe().get("NWBFile", {}).get("session_start_time")
    if stated is not None and words == "session_start_time":
        pytest.skip("the source states the start of the session itself")
    given = metadata | change
    before = copy.deepcopy(given)
    with pytest.raises(MetadataError) as caught:
        interface.run_conversion(target, metadata=given)
    assert words in str(caught.value)
    assert not list(target.parent.iterdir())
    assert given == before


def test_metadata_that_are_no_dictionary(interface, tmp_path):
    for wrong in ("metadata.yaml", [("NWBFile", {})], 3):
        with pytest.raises(MetadataError, match="must be a dictionary"):
            interface.run_conversion(tmp_path / "x.nwb", metadata=wrong)
    assert not (tmp_path / "x.nwb").exists()


# --- files ------------------------------------------------------------------------------------


def _empty(hour: int = 12) -> NWBFile:
    """Return a file of another author; by default its session starts as in the metadata."""
    return NWBFile("of another", "id", datetime(2024, 5, 17, hour, 30, tzinfo=timezone.utc))


def test_existing_file_is_left_alone(interface, tmp_path, metadata):
    target = tmp_path / "session.nwb"
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError) as caught:
        interface.run_conversion(target, metadata=metadata)
    assert isinstance(caught.value, OutputExistsError)
    assert str(target) in str(caught.value)
    assert target.read_bytes() == b"precious"


def test_overwrite_and_append(sample, tmp_path, metadata, backend):
    interface = sample.open()
    target = tmp_path / ("session.nwb" if backend == "hdf5" else "session.nwb.zarr")
    for overwrite in (False, True):
        written = interface.run_conversion(
            target, metadata=metadata, backend=backend, overwrite=overwrite
        )
        assert written == target
    # The same once more has names that are taken: an error, and the file is what it was.
    before = _fingerprint(target)
    with pytest.raises(MetadataError, match=r"already has an? .*; give"):
        interface.run_conversion(target, metadata=metadata, append=True)
    assert _fingerprint(target) == before
    with pytest.raises(ArgumentError, match="not both"):
        interface.run_conversion(target, metadata=metadata, append=True, overwrite=True)
    assert list(tmp_path.iterdir()) == [target]


def _fingerprint(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file): file.read_bytes() for file in files}


def test_object_in_memory(sample, tmp_path, metadata):
    interface = sample.open()
    nwbfile = _empty()
    assert interface.run_conversion(nwbfile=nwbfile, metadata=metadata) is nwbfile
    assert interface.add_to_nwbfile(other := _empty(), metadata) is other
    assert _series(nwbfile)
    assert nwbfile.session_description == "of another"
    with pytest.raises(ArgumentError, match="nwbfile_path"):
        interface.run_conversion(metadata=metadata)
    written = interface.run_conversion(tmp_path / "both.nwb", nwbfile=_empty(), metadata=metadata)
    with NWBHDF5IO(written, "r") as io:
        read = io.read()
        assert read.session_description == "of another"
        assert {s.name for s in _series(read)} == {s.name for s in _series(nwbfile)}


def test_object_of_another_session_is_told(sample, metadata):
    with pytest.warns(UserWarning, match="set_aligned_starting_time"):
        sample.open().run_conversion(nwbfile=_empty(hour=7), metadata=metadata)


def test_failure_while_writing_leaves_nothing(sample, tmp_path, metadata):
    target = tmp_path / "out" / "session.nwb"
    target.parent.mkdir()

    def fail(progress: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample.open().run_conversion(target, metadata=metadata, progress=fail)
    assert not list(target.parent.iterdir())


def test_progress_is_told(sample, tmp_path, metadata):
    told: list[Any] = []
    sample.open().run_conversion(tmp_path / "a.nwb", metadata=metadata, progress=told.append)
    assert told[-1].num_bytes == told[-1].total_bytes > 0
    assert [t.num_bytes for t in told] == sorted(t.num_bytes for t in told)


# --- stub and time ----------------------------------------------------------------------------


def test_stub(sample, metadata):
    interface = sample.open()
    whole = interface.create_nwbfile(metadata)
    part = interface.create_nwbfile(metadata, stub=7)
    assert [s.name for s in _series(part)] == [s.name for s in _series(whole)]
    for short, full in zip(_series(part), _series(whole), strict=True):
        assert short.data.data.maxshape == (7, *full.data.data.maxshape[1:])
        np.testing.assert_array_equal(np.asarray(short.data.data), np.asarray(full.data.data)[:7])
        np.testing.assert_allclose(_times(short), _times(full)[:7], atol=1e-6)
    # No ROI is lost, and the interface itself is whole as before.
    for table in [o for o in whole.objects.values() if isinstance(o, PlaneSegmentation)]:
        (same,) = [o for o in part.objects.values() if o.name == table.name]
        assert len(same.id) == len(table.id)
    assert len(interface.get_timestamps()) == sample.recording.num_samples
    more = interface.create_nwbfile(metadata, stub=10**9)
    assert _series(more)[0].data.data.maxshape[0] == sample.recording.num_samples


def test_original_timestamps(sample, interface):
    found = interface.get_original_timestamps()
    # ScanImage writes its times with nine digits.
    np.testing.assert_allclose(found, sample.recording.timestamps, atol=1e-6)


def test_aligned_timestamps_are_written_exactly(sample, tmp_path, metadata):
    interface = sample.open()
    original = interface.get_original_timestamps()
    irregular = original + 0.01 * np.random.default_rng(0).random(original.size) + 100.0
    interface.set_aligned_timestamps(irregular)
    np.testing.assert_array_equal(interface.get_timestamps(), irregular)
    np.testing.assert_array_equal(interface.get_original_timestamps(), original)
    path = interface.run_conversion(tmp_path / "session.nwb", metadata=metadata)
    with NWBHDF5IO(path, "r") as io:
        read = _series(io.read())
        assert read
        for series in read:
            np.testing.assert_array_equal(series.timestamps[:], irregular)
            assert series.rate is None


def test_starting_time_replaces_the_shift_before_it(sample, metadata):
    interface = sample.open()
    original = interface.get_original_timestamps()
    interface.set_aligned_starting_time(12.5)
    interface.set_aligned_starting_time(2.25)
    np.testing.assert_allclose(interface.get_timestamps(), original + 2.25, atol=1e-9)
    for series in _series(interface.create_nwbfile(metadata)):
        assert series.rate == pytest.approx(30.0, rel=1e-5)
        assert series.starting_time == pytest.approx(original[0] + 2.25)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_starting_time_that_is_no_time(sample, wrong):
    interface = sample.open()
    with pytest.raises(MetadataError, match="finite number of s"):
        interface.set_aligned_starting_time(wrong)
    np.testing.assert_array_equal(interface.get_timestamps(), interface.get_original_timestamps())


def test_interpolation_carries_on_beyond_the_moments(sample):
    interface = sample.open()
    original = interface.get_original_timestamps()
    # The session's clock runs twice as fast and began ten seconds earlier.
    interface.align_by_interpolation([0.2, 0.9], [10.4, 11.8])
    np.testing.assert_allclose(interface.get_timestamps(), 10.0 + 2.0 * original, atol=1e-9)


@pytest.mark.parametrize("wrong", [[0.0], np.zeros((40, 1)), []])
def test_timestamps_of_another_number(sample, wrong):
    interface = sample.open()
    with pytest.raises(MetadataError, match="40 timestamps"):
        interface.set_aligned_timestamps(wrong)
    np.testing.assert_allclose(interface.get_timestamps(), interface.get_original_timestamps())


def test_stub_of_aligned_times(sample, metadata):
    interface = sample.open()
    irregular = np.cumsum(np.random.default_rng(1).random(sample.recording.num_samples))
    interface.set_aligned_timestamps(irregular)
    for series in _series(interface.create_nwbfile(metadata, stub=5)):
        np.testing.assert_array_equal(np.asarray(series.timestamps.data), irregular[:5])


# --- detection --------------------------------------------------------------------------------


def test_own_path_is_recognised_first(sample):
    candidates = detect(sample.path)
    if sample.row.name == "numpy-segmentation":
        assert all(found.row.name != sample.row.name for found in candidates)
        return
    assert candidates[0].row == sample.row
    assert candidates[0].evidence
    assert [found.row.name for found in candidates] == [sample.row.name]


@pytest.mark.parametrize("name", ["empty.tif", "text.tif", "empty.hdf5", "text.npy", "notes.txt"])
def test_other_files_are_not_recognised(sample, tmp_path, name):
    path = tmp_path / name
    path.write_text("" if name.startswith("empty") else "this is no recording")
    assert sample.cls.matches(path) is None
    assert sample.cls.matches(tmp_path / "absent") is None
    assert detect(path) == []


def test_streams_open_by_themselves(sample):
    if sample.row.name == "numpy-segmentation":
        pytest.skip("arrays by name are no path")
    others = {k: v for k, v in sample.source.items() if v is not sample.path}
    streams = sample.cls.streams(sample.path, **others)
    assert list(streams) == [""]
    opened = sample.cls(**streams[""])
    assert opened.extractor.get_num_samples() == sample.recording.num_samples
    assert opened.part() == ""


def test_what_is_in_memory_can_be_written_when_the_interface_is_gone(sample, tmp_path):
    """Fault: nothing kept the extractor of pixel lists alive, which closed its file of traces."""
    forms = (
        [{}] if sample.is_imaging else [{"mask_type": form} for form in ("image", "pixel", None)]
    )
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    for number, options in enumerate(forms):
        nwbfile = sample.open().create_nwbfile(start, **options)
        gc.collect()
        with NWBHDF5IO(tmp_path / f"{number}.nwb", "w") as io:
            io.write(nwbfile)
        with NWBHDF5IO(tmp_path / f"{number}.nwb", "r") as io:
            assert all(len(series.data) for series in _series(io.read()))


def test_an_interface_travels_to_another_process(sample, tmp_path):
    """Pickled, it opens its files again and is converted to the same."""
    with sample.open() as interface:
        sent = pickle.dumps(interface)
        metadata = interface.get_metadata()
        expected = interface.extractor.get_num_samples(), interface.extractor.get_frame_shape()
        opens_again = hasattr(interface.extractor, "open_again")
    with pickle.loads(sent) as other:
        assert (other.extractor.get_num_samples(), other.extractor.get_frame_shape()) == expected
        assert hasattr(other.extractor, "open_again") == opens_again  # threads read it as well
        assert other.source == interface.source or sample.row.name.startswith("numpy")
        assert other.get_metadata().to_dict().keys() == metadata.to_dict().keys()
        start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
        other.run_conversion(tmp_path / "out.nwb", metadata=start, progress=False)
