"""Tests of interfaces that do not depend on a format: options, names and mixins."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from roiextractors.testing import generate_dummy_imaging_extractor

from nwb_ophys import (
    CaimanSegmentationInterface,
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
    Suite2pSegmentationInterface,
)
from nwb_ophys.errors import ArgumentError, MetadataError, OptionError, SourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.interfaces import (
    BaseOphysInterface,
    DeviceWriter,
    ImageWriter,
    ImagingInterface,
    MaskWriter,
    MotionWriter,
    PlaneWriter,
    SegmentationInterface,
    SeriesWriter,
    TraceWriter,
)
from nwb_ophys.metadata import get_nwb_imaging_metadata, imaging_schema
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
MIXINS = (
    DeviceWriter,
    PlaneWriter,
    SeriesWriter,
    MotionWriter,
    MaskWriter,
    TraceWriter,
    ImageWriter,
)


@pytest.fixture(scope="module")
def recording() -> Any:
    return simulate_recording(num_samples=30, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture
def movie(recording) -> NumpyImagingInterface:
    return NumpyImagingInterface(recording.movie, 30.0)


@pytest.fixture
def rois(recording) -> NumpySegmentationInterface:
    return NumpySegmentationInterface(
        np.moveaxis(recording.image_masks(), 0, -1),
        raw=recording.fluorescence,
        mean_image=recording.mean_image(),
        sampling_frequency=30.0,
        accepted=[True, False, True],
    )


# --- mixins -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mixin", MIXINS)
def test_mixins_have_no_state_and_no_chain(mixin):
    assert mixin.__mro__ == (mixin, object)
    assert "__init__" not in vars(mixin)
    methods = [name for name in vars(mixin) if not name.startswith("_")]
    assert methods
    for name in methods:
        # `super` and instance attributes other than the extractor would show here.
        used = set(vars(mixin)[name].__code__.co_names)
        assert "super" not in used
        (home,) = [name for name in used if name.startswith("nwb_ophys.writers.")]
        writers = importlib.import_module(home)
        calls = [called for called in used if callable(getattr(writers, called, None))]
        assert len(calls) == 1, f"{name} makes the calls {calls}; it should make one"


def test_mixins_compose_into_an_interface_of_its_own(recording):
    """Interface, such as of a behaviour camera, with a device, a series and no segmentation."""

    class Simple(BaseOphysInterface, DeviceWriter, SeriesWriter):
        @classmethod
        def open(cls, source: Any) -> Any:
            return generate_dummy_imaging_extractor(num_samples=9, num_rows=4, num_columns=6)

        def get_metadata(self) -> Any:
            from nwb_ophys.metadata import DeepDict

            return DeepDict(get_nwb_imaging_metadata(self.extractor))

        def get_metadata_schema(self) -> Any:
            return imaging_schema()

        def add_to_nwbfile(self, nwbfile: NWBFile, metadata: Any = None, **options: Any) -> Any:
            self.parse_options(options)
            full = self.full_metadata(metadata)
            self.add_devices(nwbfile, full)
            return self.add_photon_series(nwbfile, full)

    nwbfile = Simple().create_nwbfile(START)
    assert nwbfile.acquisition["TwoPhotonSeries"].data.data.maxshape == (9, 6, 4)
    with pytest.raises(OptionError, match="its arguments: none"):
        Simple().create_nwbfile(START, stub=3)


def _base_of(rois: Any) -> type:
    """Return the base class of interfaces of one's own on the extractor of another one."""

    class OfRois(BaseOphysInterface, DeviceWriter, PlaneWriter):
        @classmethod
        def open(cls, source: Any) -> Any:
            return rois.extractor

        get_metadata = lambda self: rois.get_metadata()  # noqa: E731
        get_metadata_schema = lambda self: rois.get_metadata_schema()  # noqa: E731

    return OfRois


def test_traces_without_masks_or_images_are_read_again(tmp_path, rois, recording):
    class TracesOnly(_base_of(rois), TraceWriter):
        def add_to_nwbfile(self, nwbfile: NWBFile, metadata: Any = None, **options: Any) -> Any:
            return self.add_fluorescence_traces(nwbfile, self.full_metadata(metadata))

    path = TracesOnly().run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(path, "r") as io:
        series = io.read().processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
        np.testing.assert_array_equal(series.data[:], recording.fluorescence)
        assert len(series.rois.table.id) == recording.num_cells
        assert "image_mask" not in series.rois.table.colnames


def test_several_interfaces_of_ones_own_have_tables_of_their_own(rois, recording):
    """The names of their plane segmentations are not the default ones in a file with several."""

    class Own(_base_of(rois), MaskWriter, TraceWriter, ImageWriter):
        def add_to_nwbfile(self, nwbfile: NWBFile, metadata: Any = None, **options: Any) -> Any:
            full = self.full_metadata(metadata)
            self.add_plane_segmentation(nwbfile, full)
            self.add_fluorescence_traces(nwbfile, full)
            self.add_background(nwbfile, full)
            return self.add_summary_images(nwbfile, full)

    nwbfile = OphysConverter({"a": Own(), "b": Own()}).create_nwbfile(START)
    ophys = nwbfile.processing["ophys"]
    tables = ophys["ImageSegmentation"].plane_segmentations
    assert set(tables) == {"PlaneSegmentationA", "PlaneSegmentationB"}
    for name in "AB":
        series = ophys["Fluorescence"][f"RoiResponseSeries{name}"]
        assert series.rois.table is tables[f"PlaneSegmentation{name}"]


@pytest.mark.parametrize("mask_type", ["image", "pixel"])
def test_pixels_outside_the_field_are_refused(rois, mask_type):
    """In both forms, where an extractor of another author gives them."""

    class Other(type(rois.extractor)):
        def get_ragged_pixels(self, ids, of_background=False):
            mask = np.array([[24, 2, 1.0]])  # the field has 24 rows
            return PixelLists.from_masks([mask] * len(ids), self.get_frame_shape())

    rois.extractor.__class__ = Other
    with pytest.raises(SourceError, match="y = 24 lies outside the field"):
        rois.create_nwbfile(START, mask_type=mask_type)


def test_an_interface_without_open_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        ImagingInterface()


def test_with_extractor_leaves_the_interface_as_it_is(movie):
    other = generate_dummy_imaging_extractor(num_samples=3)
    changed = movie.with_extractor(other)
    assert changed.extractor is other
    assert movie.extractor.get_num_samples() == 30


def test_repr_shows_what_was_opened(tmp_path, recording):
    interface = CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", recording))
    assert "CaimanSegmentationInterface(" in repr(interface)
    assert "c.hdf5" in repr(interface)


# --- options of a movie -----------------------------------------------------------------------


def test_photon_series_index(movie):
    metadata = movie.get_metadata()
    (entry,) = metadata["Ophys"]["TwoPhotonSeries"]
    metadata["Ophys"]["TwoPhotonSeries"].append({**entry, "name": "Second", "comments": "mine"})
    metadata["NWBFile"] |= START["NWBFile"]
    nwbfile = movie.create_nwbfile(metadata, photon_series_index=1)
    assert list(nwbfile.acquisition) == ["Second"]
    assert nwbfile.acquisition["Second"].comments == "mine"
    for wrong in (2, -1):
        with pytest.raises(MetadataError, match="TwoPhotonSeries"):
            movie.create_nwbfile(metadata, photon_series_index=wrong)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("photon_series_type", "ThreePhotonSeries"),
        ("parent_container", "processing"),
        ("photon_series_index", "0"),
        ("iterator_options", {"buffer_gb": -1.0}),
        ("iterator_options", {"chunk_shape": [0, 1, 1]}),
        ("iterator_options", {"chunk_shape": "all"}),
        ("iterator_options", {"buffer_gb": 1.0, "buffer_shape": [1, 1, 1]}),
    ],
)
def test_wrong_choices(movie, option, value):
    with pytest.raises((OptionError, ArgumentError)) as caught:
        movie.create_nwbfile(START, **{option: value})
    assert option in str(caught.value) or "buffer_gb" in str(caught.value)


def test_kind_of_series_as_the_user_describes_it(movie):
    """A series that is described and requested as one kind keeps its description."""
    stated = [{"name": "Miniscope", "imaging_plane": "ImagingPlane", "power": 3.0}]
    metadata = START | {"Ophys": {"OnePhotonSeries": stated}}
    nwbfile = movie.create_nwbfile(metadata, photon_series_type="OnePhotonSeries")
    assert list(nwbfile.acquisition) == ["Miniscope"]
    assert nwbfile.acquisition["Miniscope"].power == 3.0


def test_iterator_options_reach_the_file(tmp_path, movie):
    import h5py

    shape = (7, 34, 12)
    path = movie.run_conversion(
        tmp_path / "a.nwb", metadata=START, iterator_options={"chunk_shape": shape}
    )
    with h5py.File(path, "r") as file:
        assert file["acquisition/TwoPhotonSeries/data"].chunks == shape


# --- options of a segmentation ----------------------------------------------------------------


def _table(nwbfile: NWBFile, name: str = "PlaneSegmentation") -> Any:
    return nwbfile.processing["ophys"]["ImageSegmentation"][name]


def test_columns_that_are_asked_for(rois):
    table = _table(rois.create_nwbfile(START))
    assert {"image_mask", "ROICentroids", "Accepted", "Rejected"} <= set(table.colnames)
    assert list(table["Accepted"].data.data) == [1, 0, 1]
    assert list(table["Rejected"].data.data) == [0, 1, 0]
    bare = _table(
        rois.create_nwbfile(
            START, include_roi_centroids=False, include_roi_acceptance=False, mask_type=None
        )
    )
    assert not {"image_mask", "ROICentroids", "Accepted", "Rejected"} & set(bare.colnames)
    assert len(bare.id) == 3


def test_mask_type_none_is_in_the_schema(rois):
    schema = rois.get_conversion_options_schema()["properties"]["mask_type"]
    assert schema["enum"] == ["image", "pixel", "voxel", None]
    assert schema["default"] == "image"
    with pytest.raises(OptionError, match="mask_type"):
        rois.create_nwbfile(START, mask_type="pixels")


@pytest.mark.parametrize("wrong", [[], [0, 0], [7], ["a"]])
def test_roi_ids_that_are_not_there(rois, wrong):
    with pytest.raises(OptionError, match="roi_ids"):
        rois.create_nwbfile(START, roi_ids=wrong)


def test_text_ids(recording):
    interface = NumpySegmentationInterface(
        np.moveaxis(recording.image_masks(), 0, -1),
        raw=recording.fluorescence,
        sampling_frequency=30.0,
        roi_ids=["x", "y", "z"],
    )
    nwbfile = interface.create_nwbfile(START, roi_ids=["z", "x"])
    assert list(_table(nwbfile)["roi_name"].data) == ["z", "x"]
    series = nwbfile.processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
    np.testing.assert_array_equal(np.asarray(series.data.data), recording.fluorescence[:, [2, 0]])


def test_plane_segmentation_name_chooses_the_entry(rois):
    metadata = rois.get_metadata()
    (entry,) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"].append(
        {**entry, "name": "Manual", "description": "Drawn by hand."}
    )
    metadata["NWBFile"] |= START["NWBFile"]
    nwbfile = rois.create_nwbfile(metadata, plane_segmentation_name="Manual")
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    assert {name: table.description for name, table in tables.items()} == {
        "Manual": "Drawn by hand."
    }
    with pytest.raises(MetadataError, match="'Nowhere'"):
        rois.create_nwbfile(metadata, plane_segmentation_name="Nowhere")


def test_segmentations_of_one_name_are_not_taken_for_one(rois, recording):
    """The second must not be dropped silently, nor its traces written to the first one's ROIs."""
    nwbfile = rois.create_nwbfile(START)
    other = NumpySegmentationInterface(
        np.moveaxis(recording.image_masks()[::-1], 0, -1),
        raw=recording.fluorescence[:, ::-1],
        sampling_frequency=30.0,
    )
    with pytest.raises(MetadataError, match="already has a plane segmentation 'PlaneSeg"):
        other.add_to_nwbfile(nwbfile, START)
    assert len(nwbfile.processing["ophys"]["Fluorescence"].roi_response_series) == 1


def test_two_segmentations_by_name_keep_all(rois, recording):
    """The traces and images of the second are written, too, although its names are defaults."""
    nwbfile = rois.create_nwbfile(START)
    entry = {"name": "Second", "imaging_plane": "ImagingPlane", "description": "Later."}
    metadata = START | {"Ophys": {"ImageSegmentation": {"plane_segmentations": [entry]}}}
    other = NumpySegmentationInterface(
        np.moveaxis(recording.image_masks(), 0, -1),
        raw=recording.neuropil,
        mean_image=recording.maximum_image(),
        sampling_frequency=30.0,
    )
    other.add_to_nwbfile(nwbfile, metadata)
    ophys = nwbfile.processing["ophys"]
    tables = [s.rois.table.name for s in ophys["Fluorescence"].roi_response_series.values()]
    assert sorted(tables) == ["PlaneSegmentation", "Second"]
    assert len(ophys["SegmentationImages"].images) == 2


def test_shapes_are_no_iterator_options_of_masks_and_traces_together(rois, tmp_path):
    """Masks have three axes and traces two: one shape cannot apply to both."""
    with pytest.raises(OptionError, match="chunk_shape"):
        rois.create_nwbfile(START, iterator_options={"chunk_shape": [1, 10, 10]})
    rois.run_conversion(tmp_path / "a.nwb", metadata=START, iterator_options={"chunk_mb": 0.001})


def test_stub_leaves_the_background_with_its_traces(tmp_path, recording):
    interface = CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", recording))
    nwbfile = interface.create_nwbfile(START, stub=4, roi_ids=[1])
    traces = nwbfile.processing["ophys"]["Fluorescence"].roi_response_series
    shapes = {name: series.data.data.maxshape for name, series in traces.items()}
    assert shapes["Background"] == (4, 2)
    assert shapes["RoiResponseSeries"] == (4, 1)


def test_a_plane_of_several_states_which_it_is(tmp_path, recording):
    folder = write_suite2p(tmp_path, [recording, recording])
    metadata = Suite2pSegmentationInterface(folder, plane_name="plane1").get_metadata()
    (entry,) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    assert entry["name"] == "PlaneSegmentationPlane1"
    assert entry["imaging_plane"] == "ImagingPlanePlane1"
    with pytest.raises(TypeError, match="several planes; choose one with plane_name: plane0"):
        Suite2pSegmentationInterface(folder)


def test_names_of_version_0_1_in_a_format_of_another_package_are_heeded():
    with pytest.warns(DeprecationWarning, match="is now called") as caught:

        class Former(NumpyImagingInterface):
            is_found_in_folders = False
            on_request = "former_movie"
            options_on_request = {"stub": 3}  # noqa: RUF012

            def follow_session(self, delay):
                self.delay = delay

    assert {str(each.message).partition(" is now called ")[2] for each in caught} == {
        "searched_in_folders; rename it.",
        "request_option; rename it.",
        "request_defaults; rename it.",
        "shift_to_session_start; rename it.",
    }
    assert (Former.searched_in_folders, Former.request_option) == (False, "former_movie")
    assert Former.request_defaults == {"stub": 3}
    interface = Former(np.zeros((4, 6, 5), np.uint16), 10.0)
    interface.shift_to_session_start(2.0)
    assert interface.delay == 2.0


@pytest.mark.parametrize(
    ("opened", "what"), [(None, r"nothing \(None\)"), (np.zeros((3, 4, 5)), "a ndarray")]
)
def test_an_open_that_returns_no_extractor_is_named(opened, what):
    """An author of a format who forgets to return, or to wrap an array, is told so at once."""
    for base, kind in ((ImagingInterface, "Imaging"), (SegmentationInterface, "Segmentation")):
        cls = type("Rig", (base,), {"open": classmethod(lambda cls, source: opened)})
        message = (
            rf"open\(\) of Rig returned {what}; it must return an {kind}Extractor.*Array{kind}"
        )
        with pytest.raises(ArgumentError, match=message):
            cls()


def test_a_description_that_is_no_dictionary_is_named():
    pixels = ArrayImagingExtractor(np.zeros((3, 4, 5)), 10.0)
    parts = {"open": classmethod(lambda cls, source: pixels), "describe": lambda self: None}
    rig = type("Rig", (ImagingInterface,), parts)()
    with pytest.raises(MetadataError, match=r"describe\(\) of Rig returned a NoneType; it must"):
        rig.get_metadata()
