"""Tests of the option accepted_only in every segmentation format, and of views of accepted ROIs."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from nwb_ophys import (
    NumpySegmentationInterface,
    OphysConverter,
    Suite2pConverter,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
)
from nwb_ophys.errors import OptionError
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.registry import formats
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.views import AcceptedRois, FirstSamples, SelectedRois
from nwb_ophys.storage import get_backend
from nwb_ophys.testing import write_caiman, write_suite2p, write_tiff
from nwb_ophys.testing.samples import write_sample
from nwb_ophys.tools import add_segmentation, get_nwb_segmentation_metadata

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
SEGMENTATIONS = sorted(name for name, row in formats().items() if row.kind == "segmentation")
# Formats whose sample states acceptance, with one rejected ROI.
STATING = {"caiman", "extract", "inscopix-cells", "suite2p"}


def _sample(name, folder, recording):
    """Open the sample of a format."""
    folder.mkdir()
    row = formats()[name]
    return row.load()(**write_sample(row, folder, recording))


@contextmanager
def reading(path, backend):
    with get_backend(backend).open(path, "r") as io:
        yield io.read()


def _path(folder, backend):
    return folder / ("rois.nwb" if backend == "hdf5" else "rois.nwb.zarr")


def _table(nwbfile, name="PlaneSegmentation"):
    return nwbfile.processing["ophys"]["ImageSegmentation"][name]


def _traces(nwbfile, table):
    containers = nwbfile.processing["ophys"].data_interfaces
    return [
        series
        for name in ("Fluorescence", "DfOverF")
        if name in containers
        for series in containers[name].roi_response_series.values()
        if series.rois.table is table
    ]


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_only_accepted_rois_are_written_or_the_option_is_refused(
    name, tmp_path, recording, backend
):
    interface = _sample(name, tmp_path / "source", recording)
    extractor, path = interface.extractor, _path(tmp_path, backend)
    rois = Rois.of(extractor)
    assert (rois.accepted is not None) == (name in STATING)
    if rois.accepted is None:
        with pytest.raises(OptionError, match=r"accepted_only: .* does not state which of its 3"):
            interface.run_conversion(path, metadata=START, backend=backend, accepted_only=True)
        assert not path.exists()
        return
    with pytest.warns(UserWarning, match="2 of 3 ROIs are accepted; only these are written"):
        interface.run_conversion(path, metadata=START, backend=backend, accepted_only=True, stub=7)
    kept = [roi_id for roi_id, flag in zip(rois.ids, rois.accepted, strict=True) if flag]
    with reading(path, backend) as nwbfile:
        table = _table(nwbfile)
        names = table["roi_name"].data[:] if "roi_name" in table.colnames else table.id[:]
        assert list(names) == kept
        assert list(table["Accepted"].data[:]) == [1, 1]
        assert list(table["Rejected"].data[:]) == [0, 0]
        masks = np.moveaxis(extractor.get_roi_image_masks(roi_ids=kept), -1, 0).swapaxes(1, 2)
        np.testing.assert_array_equal(table["image_mask"].data[:], masks)
        assert {len(table[name]) for name in table.colnames} == {2}
        found = _traces(nwbfile, table)
        columns = [rois.ids.index(roi_id) for roi_id in kept]
        expected = [np.asarray(data)[:7, columns] for data in rois.traces.values()]
        assert len(found) == len(expected) > 0
        for values in expected:
            assert any(np.array_equal(series.data[:], values) for series in found)
        for series in found:
            assert list(series.rois.data[:]) == [0, 1]


def test_the_refusal_names_the_source(tmp_path, recording):
    np.save(tmp_path / "masks.npy", np.moveaxis(recording.image_masks(), 0, -1))
    interface = NumpySegmentationInterface(
        image_masks=tmp_path / "masks.npy", raw=recording.fluorescence, sampling_frequency=30.0
    )
    with pytest.raises(OptionError, match=r"accepted_only: '.*masks\.npy' does not state which"):
        interface.create_nwbfile(START, accepted_only=True)


def _arrays(recording: Any, **given: Any) -> ArraySegmentationExtractor:
    return ArraySegmentationExtractor(
        np.moveaxis(recording.image_masks(), 0, -1),
        {"raw": recording.fluorescence},
        sampling_frequency=30.0,
        **given,
    )


def test_it_is_combined_with_roi_ids_in_their_order(recording):
    interface = NumpySegmentationInterface(
        image_masks=np.moveaxis(recording.image_masks(), 0, -1),
        raw=recording.fluorescence,
        sampling_frequency=30.0,
        roi_ids=["x", "y", "z"],
        accepted=[True, False, True],
    )
    with pytest.warns(UserWarning, match="2 of 3 ROIs are accepted"):
        nwbfile = interface.create_nwbfile(START, accepted_only=True, roi_ids=["z", "y", "x"])
    table = _table(nwbfile)
    assert list(table["roi_name"].data) == ["z", "x"]
    (series,) = _traces(nwbfile, table)
    np.testing.assert_array_equal(series.data[:], recording.fluorescence[:, [2, 0]])


def test_an_roi_that_is_neither_accepted_nor_rejected_is_left_out(recording):
    extractor = _arrays(recording, accepted=[True, False, False])
    extractor.set_property("is_rejected", [False, False, True], [0, 1, 2])
    assert AcceptedRois(extractor).get_roi_ids() == [0]


def test_the_background_stays(tmp_path, recording, backend):
    file = write_caiman(tmp_path / "c.hdf5", recording, accepted=[1])
    interface = formats()["caiman"].load()(file)
    path = _path(tmp_path, backend)
    with pytest.warns(UserWarning, match="1 of 3 ROIs"):
        interface.run_conversion(path, metadata=START, backend=backend, accepted_only=True)
    with reading(path, backend) as nwbfile:
        assert list(_table(nwbfile).id[:]) == [1]
        assert len(_table(nwbfile, "BackgroundPlaneSegmentation")) == len(
            interface.extractor.get_background_ids()
        )
        assert len(_traces(nwbfile, _table(nwbfile, "BackgroundPlaneSegmentation"))) > 0


def test_no_accepted_roi_at_all_is_a_table_without_rows(tmp_path, recording, backend):
    folder = write_suite2p(tmp_path, recording, iscell=[[False] * 3])
    path = _path(tmp_path, backend)
    with pytest.warns(UserWarning, match="0 of 3 ROIs are accepted"):
        Suite2pSegmentationInterface(folder).run_conversion(
            path, metadata=START, backend=backend, accepted_only=True
        )
    with reading(path, backend) as nwbfile:
        assert len(_table(nwbfile)) == 0
        assert _traces(nwbfile, _table(nwbfile)) == []


def test_in_a_converter_each_stream_has_the_option(tmp_path, recording, backend):
    flags = [[True, False, True], [False, True, False]]
    folder = write_suite2p(tmp_path, [recording, recording], iscell=flags)
    converter = Suite2pConverter(folder)
    options = {name: {"accepted_only": True} for name in converter.interfaces}
    path = _path(tmp_path, backend)
    with pytest.warns(UserWarning, match="ROIs are accepted") as notes:
        converter.run_conversion(path, metadata=START, backend=backend, conversion_options=options)
    assert [str(note.message).split(" ROIs")[0].split(": ")[1] for note in notes] == [
        "2 of 3",
        "1 of 3",
    ]
    assert "plane0" in str(notes[0].message)
    with reading(path, backend) as nwbfile:
        tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations.values()
        assert [list(table.id[:]) for table in tables] == [[0, 2], [1]]


def test_beside_a_movie_in_one_file(tmp_path, recording):
    folder = write_suite2p(tmp_path, recording, iscell=[[True, True, False]])
    movie = write_tiff(tmp_path / "movie.tif", recording.movie)
    rate = recording.sampling_frequency
    converter = OphysConverter(
        {
            "Movie": TiffImagingInterface(movie, sampling_frequency=rate),
            "Rois": Suite2pSegmentationInterface(folder),
        }
    )
    with pytest.warns(UserWarning, match="2 of 3 ROIs"):
        nwbfile = converter.create_nwbfile(START, {"Rois": {"accepted_only": True}})
    assert list(_table(nwbfile).id[:]) == [0, 1]


def test_the_view_is_taken_by_the_functions(recording):
    extractor = _arrays(recording, accepted=[False, True, True])
    view = AcceptedRois(FirstSamples(extractor, 5))
    metadata = get_nwb_segmentation_metadata(view)
    interface = NumpySegmentationInterface(
        image_masks=np.zeros((2, 2, 1)), raw=np.zeros((3, 1)), sampling_frequency=1.0
    )
    nwbfile = interface.create_nwbfile(START)
    metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]["name"] = "Accepted"
    metadata["Ophys"]["Fluorescence"] = {
        "name": "Fluorescence",
        "Accepted": {"raw": {"name": "OfAccepted", "description": "Traces.", "unit": "n.a."}},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add_segmentation(view, nwbfile, metadata, plane_segmentation_name="Accepted")
    table = _table(nwbfile, "Accepted")
    assert list(table.id[:]) == [1, 2]
    (series,) = _traces(nwbfile, table)
    np.testing.assert_array_equal(series.data[:], recording.fluorescence[:5, 1:])


class _Counting:
    """Traces that count the samples read from them."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape, self.dtype, self.ndim = values, values.shape, values.dtype, 2
        self.read = 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, selection: Any) -> Any:
        found = self.values[selection]
        self.read += len(found)
        return found


def test_traces_of_the_view_are_read_when_sliced_and_only_there(recording):
    traces = _Counting(recording.fluorescence)
    extractor = _arrays(recording, accepted=[True, False, True])
    extractor._traces = {"raw": traces}
    view = AcceptedRois(extractor)
    (found,) = Rois.of(view).traces.values()
    assert found.shape == (40, 2)
    assert traces.read == 0
    np.testing.assert_array_equal(found[3:6], recording.fluorescence[3:6, [0, 2]])
    assert traces.read == 3


def test_a_view_of_a_view_has_the_flags_of_its_rois(recording):
    extractor = _arrays(recording, accepted=[True, False, True])
    assert AcceptedRois(SelectedRois(extractor, [1, 2])).get_roi_ids() == [2]
    assert SelectedRois(AcceptedRois(extractor), [2]).get_roi_ids() == [2]
    with pytest.raises(OptionError, match="does not state"):
        AcceptedRois(_arrays(recording))


@pytest.mark.parametrize("mask_type", ["pixel", None])
def test_every_form_of_masks(tmp_path, recording, backend, mask_type):
    folder = write_suite2p(tmp_path, recording, iscell=[[True, False, True]])
    path = _path(tmp_path, backend)
    with pytest.warns(UserWarning, match="2 of 3 ROIs"):
        Suite2pSegmentationInterface(folder).run_conversion(
            path, metadata=START, backend=backend, accepted_only=True, mask_type=mask_type
        )
    with reading(path, backend) as nwbfile:
        table = _table(nwbfile)
        assert list(table.id[:]) == [0, 2]
        if mask_type == "pixel":
            for row, source in ((0, 0), (1, 2)):
                found = [(y, x) for x, y, _ in table["pixel_mask"][row]]
                assert found == [tuple(p[:2].astype(int)) for p in recording.pixel_masks[source]]
