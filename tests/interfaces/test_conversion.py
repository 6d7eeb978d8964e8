"""Tests of conversions: metadata is gathered once, with one target and one signature."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, TimeSeries
from pynwb.testing.mock.file import mock_NWBFile

from nwb_ophys import (
    BaseOphysInterface,
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
    TiffImagingInterface,
)
from nwb_ophys.errors import ArgumentError, MetadataError, OptionError, OutputError
from nwb_ophys.interfaces.conversion import Convertible
from nwb_ophys.metadata import DeepDict, FullMetadata
from nwb_ophys.paths import with_short_paths
from nwb_ophys.storage import WriteOptions, target
from nwb_ophys.testing import write_tiff

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
MOVIE = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5)


@pytest.fixture
def gathered(monkeypatch) -> Counter[str]:
    """Number of calls of ``get_metadata`` by interface."""
    counts: Counter[str] = Counter()
    for cls in (NumpyImagingInterface, NumpySegmentationInterface):

        def counting(self, right=cls.get_metadata, name=cls.__name__):
            counts[name] += 1
            return right(self)

        monkeypatch.setattr(cls, "get_metadata", counting)
    return counts


def movie() -> NumpyImagingInterface:
    return NumpyImagingInterface(MOVIE, 10.0)


def rois() -> NumpySegmentationInterface:
    masks = np.zeros((6, 5, 2), np.float32)
    masks[1, 1, 0] = masks[2, 3, 1] = 1
    return NumpySegmentationInterface(
        image_masks=masks, raw=np.ones((4, 2)), sampling_frequency=10.0
    )


ONCE = {"NumpyImagingInterface": 1, "NumpySegmentationInterface": 1}


@pytest.mark.parametrize("how", ["new", "overwrite", "append", "object", "create"])
def test_a_converter_asks_each_stream_for_its_metadata_once(tmp_path, gathered, how, backend):
    path = tmp_path / "a.nwb"
    if how in ("overwrite", "append"):
        alone = NumpyImagingInterface(MOVIE, 10.0)
        named = {"TwoPhotonSeries": [{"name": "First", "imaging_plane": "ImagingPlane"}]}
        alone.run_conversion(path, metadata={**START, "Ophys": named}, backend=backend)
    converter = OphysConverter({"movie": movie(), "rois": rois()})
    gathered.clear()
    if how == "create":
        converter.create_nwbfile(START)
    elif how == "object":
        converter.run_conversion(nwbfile=mock_NWBFile())
    else:
        options = {how: True} if how != "new" else {}
        converter.run_conversion(path, metadata=START, backend=backend, **options)
    assert gathered == ONCE


def test_a_stream_of_another_package_is_asked_once(tmp_path):
    calls = []

    class Foreign:
        def get_metadata(self):
            calls.append("metadata")
            return {"Behavior": {"lab": "own"}}

        def add_to_nwbfile(self, nwbfile, metadata, **options):
            assert metadata["Behavior"] == {"lab": "own"}

    converter = OphysConverter({"movie": movie(), "other": Foreign()})
    converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    assert calls == ["metadata"]


@pytest.mark.parametrize("make", [movie, rois])
def test_an_interface_gathers_its_metadata_once(tmp_path, gathered, make):
    interface = make()
    interface.run_conversion(tmp_path / "a.nwb", metadata=START)
    assert list(gathered.values()) == [1]


def test_an_interface_of_the_users_own_gathers_its_metadata_once(tmp_path):
    calls = []

    class Own(NumpyImagingInterface):
        def get_metadata(self):
            calls.append("metadata")
            return super().get_metadata()

        def add_to_nwbfile(self, nwbfile, metadata=None, **options):
            full = self.full_metadata(metadata)
            self.add_devices(nwbfile, full)
            return super().add_to_nwbfile(nwbfile, metadata, **options)

    OphysConverter({"own": Own(MOVIE, 10.0)}).run_conversion(tmp_path / "a.nwb", metadata=START)
    assert calls == ["metadata"]


def test_an_alignment_that_adds_to_the_default_gathers_nothing_again(tmp_path, gathered):
    class Aligned(OphysConverter):
        def temporally_align(self, metadata, conversion_options):
            super().temporally_align(metadata, conversion_options)
            self.interfaces["rois"].set_aligned_starting_time(2.0)

    converter = Aligned({"movie": movie(), "rois": rois()})
    converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    assert gathered == ONCE
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        traces = io.read().processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
        assert traces.starting_time == 2.0


def test_prepared_metadata_are_not_changed_by_what_is_written(tmp_path):
    interface = movie()
    prepared = interface.prepare(START, {"photon_series_type": "OnePhotonSeries"})
    before = prepared.metadata.to_dict()
    prepared.add_to(mock_NWBFile())
    assert prepared.metadata.to_dict() == before
    with pytest.raises(AttributeError):
        prepared.options = {}


def test_a_copy_of_full_metadata_is_filled_again():
    """The metadata may be edited, so that keys are missing."""
    interface = movie()
    full = interface.prepare(START).metadata
    assert isinstance(full, FullMetadata)
    assert interface.full_metadata(full) is full
    edited = full.copy()
    del edited["Ophys"]
    assert not isinstance(edited, FullMetadata)
    assert interface.full_metadata(edited)["Ophys"] == full["Ophys"]


def test_the_metadata_of_a_user_are_checked_also_when_they_come_from_a_conversion():
    interface = movie()
    full = interface.prepare(START).metadata
    full["Ophys"]["ImagingPlane"][0]["device"] = "Scope"
    with pytest.raises(MetadataError, match="no device"):
        interface.prepare(full)


# --- what subclasses override -------------------------------------------------------------------


def stimulus() -> TimeSeries:
    return TimeSeries(name="Stimulus", data=np.arange(5.0), unit="V", rate=1.0)


def test_a_converter_that_adds_more_is_heeded_and_gathers_once(tmp_path, gathered):
    class Rig(OphysConverter):
        def add_to_nwbfile(self, nwbfile, metadata=None, conversion_options=None):
            super().add_to_nwbfile(nwbfile, metadata, conversion_options)
            nwbfile.add_acquisition(stimulus())
            return nwbfile

    rig = Rig({"movie": movie(), "rois": rois()})
    rig.run_conversion(tmp_path / "a.nwb", metadata=START)
    assert gathered == ONCE
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert set(io.read().acquisition) == {"TwoPhotonSeries", "Stimulus"}
    assert "Stimulus" in rig.create_nwbfile(START).acquisition


def test_a_converter_with_metadata_of_its_own_is_heeded(tmp_path):
    class Rig(OphysConverter):
        def get_metadata(self):
            metadata = super().get_metadata()
            metadata["NWBFile"]["lab"] = "Ours"
            metadata["Rig"] = {"table": 2}
            return metadata

        def get_metadata_schema(self):
            schema = super().get_metadata_schema()
            schema["properties"]["Rig"] = {"type": "object"}
            return schema

    Rig({"movie": movie()}).run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert io.read().lab == "Ours"


def test_a_check_of_the_users_own_is_heeded(tmp_path):
    class OwnMovie(NumpyImagingInterface):
        def validate_metadata(self, metadata):
            raise MetadataError("no animal is stated")

    class OwnConverter(OphysConverter):
        validate_metadata = OwnMovie.validate_metadata

    for source in (OwnMovie(MOVIE, 10.0), OwnConverter({"movie": movie()})):
        with pytest.raises(MetadataError, match="no animal"):
            source.run_conversion(tmp_path / "a.nwb", metadata=START)
    assert not list(tmp_path.iterdir())


def test_full_metadata_of_the_users_own_is_heeded(tmp_path):
    class Own(NumpyImagingInterface):
        def full_metadata(self, metadata):
            full = super().full_metadata(metadata)
            full["NWBFile"]["lab"] = "Ours"
            return full

    Own(MOVIE, 10.0).run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert io.read().lab == "Ours"


def test_an_interface_that_wraps_others_leaves_their_metadata_to_them(tmp_path):
    class Both(BaseOphysInterface):
        @classmethod
        def open(cls, source):
            return movie().extractor

        def get_metadata(self):
            return DeepDict(START)

        def get_metadata_schema(self):
            return {"type": "object", "properties": {"NWBFile": {}}}

        def add_to_nwbfile(self, nwbfile, metadata=None, **options):
            movie().add_to_nwbfile(nwbfile, metadata)
            return OphysConverter({"rois": rois()}).add_to_nwbfile(nwbfile, metadata)

    Both().run_conversion(tmp_path / "a.nwb")
    OphysConverter({"both": Both()}).run_conversion(tmp_path / "b.nwb")
    for name in ("a.nwb", "b.nwb"):
        with NWBHDF5IO(tmp_path / name, "r") as io:
            nwbfile = io.read()
            assert "TwoPhotonSeries" in nwbfile.acquisition
            assert "Fluorescence" in nwbfile.processing["ophys"].data_interfaces


def test_run_conversion_is_written_once():
    implementations = {cls.run_conversion for cls in (BaseOphysInterface, OphysConverter)}
    assert implementations == {Convertible.run_conversion}
    names = list(inspect.signature(Convertible.run_conversion).parameters)
    assert names[1:4] == ["nwbfile_path", "nwbfile", "metadata"]
    assert "conversion_options" in names


def test_options_of_an_interface_are_given_by_name_or_as_a_mapping(tmp_path):
    movie().run_conversion(tmp_path / "a.nwb", metadata=START, stub=2)
    movie().run_conversion(tmp_path / "b.nwb", metadata=START, conversion_options={"stub": 2})
    for name in ("a.nwb", "b.nwb"):
        with NWBHDF5IO(tmp_path / name, "r") as io:
            assert io.read().acquisition["TwoPhotonSeries"].data.shape == (2, 5, 6)


def test_a_converter_answers_an_option_that_belongs_to_a_stream(tmp_path):
    converter = OphysConverter({"movie": movie()})
    with pytest.raises(OptionError, match=r"'stub'.*no such stream; streams: movie"):
        converter.run_conversion(tmp_path / "a.nwb", metadata=START, stub=2)
    assert not list(tmp_path.iterdir())


# --- the place to write to ----------------------------------------------------------------------


def test_a_target_to_which_nothing_is_written_is_an_error(tmp_path):
    path = tmp_path / "a.nwb"
    with pytest.raises(OutputError, match="Nothing was written"), target(path, WriteOptions()):
        pass
    movie().run_conversion(path, metadata=START)
    before = path.read_bytes()
    with (
        pytest.raises(OutputError, match="Nothing was written"),
        target(path, WriteOptions(append=True)),
    ):
        pass
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.nwb"]


def test_a_target_gives_the_content_of_the_file_that_is_appended_to(tmp_path, backend):
    path = tmp_path / "a.nwb"
    how = WriteOptions(backend=backend)
    with target(path, how) as place:
        assert place.nwbfile is None
        assert not path.exists()
        place.write(movie().create_nwbfile(START))
        assert not path.exists()
    assert path.exists()
    with target(path, WriteOptions(append=True)) as place:
        assert list(place.nwbfile.acquisition) == ["TwoPhotonSeries"]
        place.write(place.nwbfile)


def test_a_failure_between_the_target_and_the_write_leaves_nothing(tmp_path, backend):
    with pytest.raises(ZeroDivisionError), target(tmp_path / "a", WriteOptions(backend=backend)):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overwrite": True, "append": True}, "overwrite or append, not both"),
        ({"append": True, "backend": "zarr"}, "backend 'hdf5'.*cannot be appended to as 'zarr'"),
    ],
)
def test_contradicting_settings_are_refused_before_anything_is_read(tmp_path, options, message):
    path = movie().run_conversion(tmp_path / "a.nwb", metadata=START)
    with pytest.raises(ArgumentError, match=message), target(path, WriteOptions(**options)):
        raise AssertionError("the block is not entered")


@pytest.mark.parametrize("progress", [3, "yes", [print]])
def test_progress_of_another_type_is_refused(progress):
    with pytest.raises(ArgumentError, match=r"progress is .* must be a function"):
        WriteOptions(progress=progress)


def test_a_change_of_the_current_folder_does_not_change_the_files(tmp_path, monkeypatch):
    """In a loop over folders the files of each session have the same names."""
    movies = {}
    for value, name in enumerate(("monday", "tuesday")):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        write_tiff("movie.tif", np.full((4, 6, 5), value, np.uint16))
        given = ["movie.tif"] if value else "movie.tif"
        movies[name] = TiffImagingInterface(given, sampling_frequency=30.0)
        assert with_short_paths(f"'{Path('movie.tif').absolute()}'") == "'movie.tif'"
    written = movies["monday"].run_conversion("monday.nwb", metadata=START, workers=0)
    assert written == tmp_path / "tuesday" / "monday.nwb"
    with h5py.File(written) as file:
        assert not file["acquisition/TwoPhotonSeries/data"][:].any()
    assert movies["tuesday"].extractor.get_series().all()


def test_a_source_that_changes_while_it_is_read_is_named(tmp_path):
    """The values of before and after may both be in the file."""
    source, beside = tmp_path / "movie.npy", tmp_path / "movie.txt"
    np.save(source, MOVIE)
    beside.write_text("notes")

    def change(file):
        def follow(progress):
            file.touch()
            os.utime(file, (1e9, 1e9))

        return follow

    with NumpyImagingInterface(source, 10.0) as interface:
        given = {"metadata": START, "overwrite": True}
        with pytest.warns(UserWarning, match="changed while they were converted: 'movie.npy'"):
            interface.run_conversion(tmp_path / "a.nwb", progress=change(source), **given)
        interface.run_conversion(tmp_path / "a.nwb", progress=change(beside), **given)
