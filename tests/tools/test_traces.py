"""Tests of traces: selection, containers, names and form of the data."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.common import DynamicTableRegion
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ophys import DfOverF, Fluorescence, RoiResponseSeries
from roiextractors.testing import generate_dummy_segmentation_extractor

from nwb_ophys import tools

FOUR = {
    ("Fluorescence", "RoiResponseSeries"): "raw",
    ("DfOverF", "RoiResponseSeries"): "dff",
    ("Fluorescence", "Neuropil"): "neuropil",
    ("Fluorescence", "Deconvolved"): "deconvolved",
}


def written(nwbfile: NWBFile) -> set[tuple[str, str]]:
    """Return (container, series) of all traces in a file."""
    if "ophys" not in nwbfile.processing:
        return set()
    return {
        (container.name, name)
        for container in nwbfile.processing["ophys"].data_interfaces.values()
        if isinstance(container, (Fluorescence, DfOverF))
        for name in container.roi_response_series
    }


@pytest.mark.parametrize("given", [None, {}, {"Ophys": {}}])
def test_defaults(
    given: Any, segmentation: Any, nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    tools.add_fluorescence_traces(segmentation, nwbfile, given)
    assert written(nwbfile) == set(FOUR)
    ophys = nwbfile.processing["ophys"]
    assert type(ophys["Fluorescence"]) is Fluorescence
    assert type(ophys["DfOverF"]) is DfOverF
    source = segmentation.get_traces_dict()
    for (container, name), trace in FOUR.items():
        series = ophys[container][name]
        assert type(series) is RoiResponseSeries
        assert series.unit == "n.a."
        assert series.description
        assert series.rois.table is ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert list(series.rois.data) == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(np.asarray(series.data.data), source[trace])

    def look(read: NWBFile) -> Any:
        return {
            key: (read.processing["ophys"][key[0]][key[1]].data[:], len(read_rois(read, key)))
            for key in FOUR
        }

    def read_rois(read: NWBFile, key: tuple[str, str]) -> Any:
        return read.processing["ophys"][key[0]][key[1]].rois[:]

    for key, (data, num_rois) in round_trip(nwbfile, look).items():
        assert data.shape == (12, 5)
        assert num_rois == 5
        np.testing.assert_array_equal(data, source[FOUR[key]])


def test_form_in_memory(segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_fluorescence_traces(segmentation, nwbfile, None)
    source = segmentation.get_traces_dict()
    for (container, name), trace in FOUR.items():
        data = nwbfile.processing["ophys"][container][name].data
        assert isinstance(data, H5DataIO)
        assert data.io_settings["compression"] == "gzip"
        assert isinstance(data.data, GenericDataChunkIterator)
        assert data.data.data is source[trace]
        assert data.shape == data.data.shape == (12, 5)
        np.testing.assert_array_equal(data.data[2:5, 1], source[trace][2:5, 1])


def test_options(segmentation: Any, nwbfile: NWBFile, tmp_path: Any) -> None:
    tools.add_fluorescence_traces(
        segmentation,
        nwbfile,
        None,
        iterator_options={"chunk_shape": (4, 5), "buffer_shape": (8, 5)},
        compression_options={"compression": "gzip", "compression_opts": 8},
    )
    data = nwbfile.processing["ophys"]["DfOverF"]["RoiResponseSeries"].data
    assert data.data.chunk_shape == (4, 5)
    assert data.data.buffer_shape == (8, 5)
    path = tmp_path / "traces.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        stored = file["processing/ophys/DfOverF/RoiResponseSeries/data"]
        assert stored.chunks == (4, 5)
        assert (stored.compression, stored.compression_opts) == ("gzip", 8)


@pytest.mark.parametrize("absent", [None, np.empty((12, 0)), np.empty((0, 5))])
def test_none_and_empty_traces_are_left_out(
    absent: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    traces = segmentation.get_traces_dict() | {"neuropil": absent, "dff": absent}
    segmentation.get_traces_dict = lambda: traces
    tools.add_fluorescence_traces(segmentation, nwbfile, None)
    assert written(nwbfile) == {
        ("Fluorescence", "RoiResponseSeries"),
        ("Fluorescence", "Deconvolved"),
    }
    assert "DfOverF" not in nwbfile.processing["ophys"].data_interfaces


def test_all_zero_traces_are_kept(segmentation: Any, nwbfile: NWBFile) -> None:
    traces = segmentation.get_traces_dict() | {"deconvolved": np.zeros((12, 5))}
    segmentation.get_traces_dict = lambda: traces
    tools.add_fluorescence_traces(segmentation, nwbfile, None)
    data = nwbfile.processing["ophys"]["Fluorescence"]["Deconvolved"].data
    np.testing.assert_array_equal(np.asarray(data.data), np.zeros((12, 5)))


@pytest.mark.parametrize(
    "traces", [{}, {"raw": None, "dff": None}, {"raw": np.empty((0, 5)), "dff": np.empty((12, 0))}]
)
def test_nothing_left_nothing_made(traces: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    segmentation.get_traces_dict = Mock(return_value=traces)
    assert tools.add_fluorescence_traces(segmentation, nwbfile, None) is nwbfile
    assert len(nwbfile.processing) == 0


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ({"has_dff_signal": True}, {("DfOverF", "RoiResponseSeries")}),
        ({"has_raw_signal": True}, {("Fluorescence", "RoiResponseSeries")}),
        ({"has_neuropil_signal": True}, {("Fluorescence", "Neuropil")}),
        ({"has_deconvolved_signal": True}, {("Fluorescence", "Deconvolved")}),
        ({}, set()),
    ],
)
def test_a_container_with_nothing_in_it_is_not_made(
    signals: Any, expected: Any, nwbfile: NWBFile
) -> None:
    kinds = ("raw", "dff", "neuropil", "deconvolved")
    none = {f"has_{kind}_signal": False for kind in kinds}
    extractor = generate_dummy_segmentation_extractor(**none | signals)
    tools.add_fluorescence_traces(extractor, nwbfile, None)
    assert written(nwbfile) == expected
    made = set(nwbfile.processing["ophys"].data_interfaces) if expected else set()
    assert made - {"ImageSegmentation"} == {container for container, _ in expected}


def test_names_and_fields_of_the_metadata(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    metadata["Ophys"]["Fluorescence"]["Cells1"]["raw"] |= {
        "comments": "c",
        "conversion": 2.0,
        "resolution": 0.5,
        "offset": 1.0,
    }
    tools.add_fluorescence_traces(segmentation, nwbfile, metadata, plane_segmentation_name="Cells1")
    assert written(nwbfile) == {
        ("Traces", "Raw"),
        ("Traces", "Neuropil"),
        ("Traces", "Deconvolved"),
        ("Changes", "Dff"),
    }
    series = nwbfile.processing["ophys"]["Traces"]["Raw"]
    assert (series.description, series.unit, series.comments) == ("d", "u", "c")
    assert (series.conversion, series.resolution, series.offset) == (2.0, 0.5, 1.0)
    assert series.rois.table is nwbfile.processing["ophys"]["Cells"]["Cells1"]


def test_a_trace_that_the_metadata_lack_gets_its_default_entry(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile
) -> None:
    traces = dict.fromkeys(("raw", "denoised", "something"), np.ones((4, 2)))
    extractor = make_segmentation(np.ones((2, 3, 2)), traces)
    tools.add_fluorescence_traces(extractor, nwbfile, None)
    assert written(nwbfile) == {
        ("Fluorescence", name) for name in ("RoiResponseSeries", "Denoised", "Something")
    }
    assert nwbfile.processing["ophys"]["Fluorescence"]["Something"].unit == "n.a."


def test_an_existing_series_is_left_as_it_is(segmentation: Any, nwbfile: NWBFile) -> None:
    given: Any = {
        "Ophys": {"Fluorescence": {"PlaneSegmentation": {"raw": {"description": "first"}}}}
    }
    tools.add_fluorescence_traces(segmentation, nwbfile, given)
    before = nwbfile.processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
    given["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["description"] = "second"
    tools.add_fluorescence_traces(segmentation, nwbfile, given)
    after = nwbfile.processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
    assert after is before
    assert after.description == "first"
    assert written(nwbfile) == set(FOUR)


def test_new_traces_join_an_existing_container(nwbfile: NWBFile) -> None:
    options = {"num_rois": 3, "num_rows": 4, "num_columns": 5}
    first = generate_dummy_segmentation_extractor(
        **options, has_dff_signal=False, has_neuropil_signal=False, has_deconvolved_signal=False
    )
    tools.add_fluorescence_traces(first, nwbfile, None)
    assert written(nwbfile) == {("Fluorescence", "RoiResponseSeries")}
    tools.add_fluorescence_traces(generate_dummy_segmentation_extractor(**options), nwbfile, None)
    assert written(nwbfile) == set(FOUR)


def test_two_planes_share_the_containers(
    metadata: Any, segmentation: Any, nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    second = generate_dummy_segmentation_extractor(num_rois=3, num_samples=12, seed=1)
    for extractor, name in ((segmentation, "Cells1"), (second, "Cells2")):
        tools.add_fluorescence_traces(extractor, nwbfile, metadata, plane_segmentation_name=name)
    interfaces = nwbfile.processing["ophys"].data_interfaces
    assert set(interfaces) == {"Cells", "Traces", "Changes"}
    assert set(interfaces["Changes"].roi_response_series) == {"Dff", "Dff2"}
    # Neuropil and deconvolved traces are not in the metadata: the second get names of their own.
    assert {"Raw", "Raw2"} < set(interfaces["Traces"].roi_response_series)
    assert len(interfaces["Traces"].roi_response_series) == 6

    def look(read: NWBFile) -> Any:
        found = read.processing["ophys"]
        traces = found["Traces"].roi_response_series.values()
        return sorted((s.rois.table.name, s.data.shape[1], len(s.rois)) for s in traces)

    assert round_trip(nwbfile, look) == 3 * [("Cells1", 5, 5)] + 3 * [("Cells2", 3, 3)]


def test_a_stated_name_of_another_plane_is_not_dropped(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    metadata["Ophys"]["Fluorescence"]["Cells2"]["raw"]["name"] = "Raw"
    tools.add_fluorescence_traces(segmentation, nwbfile, metadata, plane_segmentation_name="Cells1")
    with pytest.raises(ValueError, match="Raw"):
        tools.add_fluorescence_traces(
            segmentation, nwbfile, metadata, plane_segmentation_name="Cells2"
        )


def test_the_plane_segmentation_is_used_when_present(segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_plane_segmentation(segmentation, nwbfile, None, mask_type="pixel")
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
    tools.add_fluorescence_traces(segmentation, nwbfile, None)
    assert len(nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations) == 1
    series = nwbfile.processing["ophys"]["DfOverF"]["RoiResponseSeries"]
    assert series.rois.table is table


def test_a_name_that_is_not_in_the_metadata(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    with pytest.raises(ValueError, match="Missing"):
        tools.add_fluorescence_traces(
            segmentation, nwbfile, metadata, plane_segmentation_name="Missing"
        )
    assert len(nwbfile.processing) == 0


def test_traces_that_do_not_fit_the_rois(segmentation: Any, nwbfile: NWBFile) -> None:
    segmentation.get_traces_dict = lambda: {"raw": np.ones((12, 4))}
    with pytest.raises(ValueError, match="4"):
        tools.add_fluorescence_traces(segmentation, nwbfile, None)


def test_traces_of_other_rois_than_the_table_has(segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_plane_segmentation(segmentation, nwbfile, None)
    other = generate_dummy_segmentation_extractor(num_rois=3)
    with pytest.raises(ValueError, match="3"):
        tools.add_fluorescence_traces(other, nwbfile, None)


def test_deprecated_index(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    with pytest.warns(UserWarning, match="plane_index") as caught:
        tools.add_fluorescence_traces(segmentation, nwbfile, metadata, plane_index=1)
    assert caught[0].filename == __file__
    assert ("Traces", "Raw2") in written(nwbfile)


# --- the private functions --------------------------------------------------------------------


def test_region(segmentation: Any, nwbfile: NWBFile) -> None:
    region = tools._create_roi_table_region(segmentation, nwbfile, None)
    assert type(region) is DynamicTableRegion
    assert list(region.data) == [0, 1, 2, 3, 4]
    assert region.table is nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]


def test_region_of_a_plane(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    region = tools._create_roi_table_region(
        segmentation, nwbfile, metadata, plane_segmentation_name="Cells2"
    )
    assert region.table.name == "Cells2"
    with pytest.warns(UserWarning, match="plane_index"):
        region = tools._create_roi_table_region(segmentation, nwbfile, metadata, plane_index=0)
    assert region.table.name == "Cells1"


@pytest.mark.parametrize(
    ("name", "kind"), [("DfOverF", DfOverF), ("Fluorescence", Fluorescence), ("X", Fluorescence)]
)
def test_data_interface(name: str, kind: type, nwbfile: NWBFile) -> None:
    made = tools._get_segmentation_data_interface(nwbfile, name)
    assert type(made) is kind
    assert nwbfile.processing["ophys"][name] is made
    assert tools._get_segmentation_data_interface(nwbfile, data_interface_name=name) is made


# --- a whole segmentation ---------------------------------------------------------------------


def test_add_segmentation_adds_all(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    found = tools.add_segmentation(
        segmentation,
        nwbfile,
        metadata,
        plane_segmentation_name="Cells2",
        include_roi_centroids=False,
        include_roi_acceptance=False,
        mask_type="pixel",
        compression_options={"compression": "gzip", "compression_opts": 2},
    )
    assert found is nwbfile
    assert set(nwbfile.devices) == {"Scope1", "Scope2"}
    assert list(nwbfile.imaging_planes) == ["Plane2"]
    ophys = nwbfile.processing["ophys"]
    assert set(ophys.data_interfaces) == {"Cells", "Traces", "Changes", "Pictures"}
    table = ophys["Cells"]["Cells2"]
    assert set(table.colnames) == {"roi_name", "pixel_mask"}
    assert "average2" in ophys["Pictures"].images
    settings = ophys["Changes"]["Dff2"].data.io_settings
    assert settings["compression_opts"] == 2


def test_add_segmentation_of_two_planes(
    metadata: Any, segmentation: Any, nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    other = generate_dummy_segmentation_extractor(num_rois=2, num_samples=12, seed=3)
    for extractor, name in ((segmentation, "Cells1"), (other, "Cells2")):
        tools.add_segmentation(extractor, nwbfile, metadata, plane_segmentation_name=name)
    look = lambda f: [len(t) for t in f.processing["ophys"]["Cells"].plane_segmentations.values()]  # noqa: E731
    assert sorted(round_trip(nwbfile, look)) == [2, 5]


@pytest.mark.parametrize("again", [1, 2])
def test_add_segmentation_again_is_a_no_op(again: int, segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_segmentation(segmentation, nwbfile)
    before = {item.object_id for item in nwbfile.all_children()}
    for _ in range(again):
        tools.add_segmentation(segmentation, nwbfile)
    assert {item.object_id for item in nwbfile.all_children()} == before
