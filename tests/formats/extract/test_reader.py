"""Tests of EXTRACT's output: the written data, mistakes of roiextractors, and damaged files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io
from edited_hdf5 import edit_hdf5
from roiextractors.extractors.schnitzerextractor import (
    LegacyExtractSegmentationExtractor,
    NewExtractSegmentationExtractor,
)

from nwb_ophys import ExtractSegmentationInterface
from nwb_ophys.errors import CorruptSourceError, MissingPackageError, SourceArgumentError
from nwb_ophys.filetypes.matlab.variables import StoredArray
from nwb_ophys.formats.extract.reader import ExtractExtractor
from nwb_ophys.testing import simulate_recording, write_extract

RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=7.5)
BASELINE = np.percentile(RECORDING.fluorescence, 8, axis=0)
DFF = (RECORDING.fluorescence / BASELINE - 1).astype(np.float32)
MASKS = np.moveaxis(RECORDING.image_masks(), 0, -1)


@pytest.fixture
def opened():
    """Opens extractors, and closes them at the end."""
    extractors = []

    def open_(path, rate=7.5, **options):
        extractors.append(ExtractExtractor(path, rate, **options))
        return extractors[-1]

    yield open_
    for each in extractors:
        each.close()


FORMS = [
    {"version": version, "matlab_version": matlab, "sparse": sparse}
    for version in ("1.1.0", "0.5.0")
    for matlab in ("7.3", "5")
    for sparse in (False, True)
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_cells_and_traces_are_those_that_were_written(tmp_path, opened, form):
    path = write_extract(tmp_path / "a.mat", RECORDING, bad=[1], **form)
    assert "EXTRACT's" in ExtractSegmentationInterface.matches(path)
    extractor = opened(path)
    assert extractor.get_roi_ids() == [0, 1, 2, 3, 4]
    assert extractor.get_num_rois() == 5
    assert extractor.get_num_samples() == 20
    assert extractor.get_sampling_frequency() == 7.5
    assert extractor.get_frame_shape() == RECORDING.field_shape
    assert extractor.version == form["version"]
    assert extractor.trace_option == "nonneg"
    (traces,) = extractor.get_traces_dict().values()
    np.testing.assert_array_equal(np.asarray(traces), DFF)
    np.testing.assert_array_equal(traces[3:9, 1:3], DFF[3:9, 1:3])
    np.testing.assert_array_equal(traces[4], DFF[4])
    assert traces[5:5].shape == (0, 5)
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), MASKS)
    np.testing.assert_array_equal(extractor.get_roi_image_masks([4, 1]), MASKS[..., [4, 1]])
    row, column, weight = extractor.get_roi_pixel_masks([2])[0].T
    image = np.zeros(RECORDING.field_shape)
    image[row.astype(int), column.astype(int)] = weight
    np.testing.assert_array_equal(image, MASKS[..., 2])
    images = extractor.get_images_dict()
    assert list(images) == ["summary_image", "f_per_pixel", "max_image"]
    np.testing.assert_array_equal(images["f_per_pixel"], RECORDING.mean_image())
    accepted = extractor.get_property("is_accepted", [0, 1, 2, 3, 4])
    assert accepted.tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("num_cells", [0, 1])
def test_a_single_cell_or_none(tmp_path, opened, form, num_cells):
    """MATLAB drops the last axis of the weights of a single cell."""
    recording = simulate_recording(num_samples=20, num_cells=num_cells)
    extractor = opened(write_extract(tmp_path / "a.mat", recording, **form))
    assert extractor.get_num_rois() == num_cells
    assert extractor.get_frame_shape() == recording.field_shape
    masks = np.moveaxis(recording.image_masks(), 0, -1)
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), masks)


def test_weights_are_searched_in_slabs(tmp_path, opened, monkeypatch):
    """Whatever the chunks are, and however little is read at a time."""
    monkeypatch.setattr("nwb_ophys.filetypes.matlab.rois._SLAB_BYTES", 1)
    path = write_extract(tmp_path / "a.mat", RECORDING)
    for chunks in ((5, 64, 7), (1, 64, 48), (2, 5, 48), None):
        edit_hdf5(path, output__spatial_weights=None)
        with h5py.File(path, "r+") as file:
            file.create_dataset("output/spatial_weights", data=MASKS.T, chunks=chunks)
        extractor = opened(path)
        np.testing.assert_array_equal(extractor.get_roi_image_masks(), MASKS)
        extractor.close()


@pytest.mark.parametrize("chunks", [None, (2, 100), (1, 3072), (5, 7)])
def test_flat_weights_are_searched_in_slabs(tmp_path, opened, monkeypatch, chunks):
    """Dense (pixels, cells) are never in memory as a whole."""
    monkeypatch.setattr("nwb_ophys.filetypes.matlab.rois._SLAB_BYTES", 4000)
    path = write_extract(tmp_path / "a.mat", RECORDING)
    flat = MASKS.reshape(-1, 5, order="F").T
    edit_hdf5(path, output__spatial_weights=None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("output/spatial_weights", data=flat, chunks=chunks)
    sizes = []
    read = StoredArray.__getitem__
    monkeypatch.setattr(
        StoredArray, "__getitem__", lambda *args: (sizes.append(np.size(p := read(*args))), p)[1]
    )
    extractor = opened(path)
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), MASKS)
    assert max(sizes) < flat.size


def test_real_output(data_folder, opened):
    path = data_folder / "extract" / "extract_public_output.mat"
    evidence = ExtractSegmentationInterface.matches(path)
    assert "spatial_weights (50 x 50 x 20), temporal_weights (2000 x 20) in 'output'" in evidence
    extractor = opened(path, 20.0)
    with h5py.File(path) as file:
        weights, traces = file["output/spatial_weights"][:], file["output/temporal_weights"][:]
        images = {
            "summary_image": file["output/info/summary_image"][:].T,
            "f_per_pixel": file["output/info/F_per_pixel"][:].T,
            "max_image": file["output/info/max_image"][:].T,
        }
    assert list(extractor.get_traces_dict()) == ["dff"]
    np.testing.assert_array_equal(np.asarray(extractor.get_traces_dict()["dff"]), traces.T)
    masks = extractor.get_roi_image_masks()
    assert masks.dtype == np.float32
    np.testing.assert_array_equal(masks, weights.T)
    found = extractor.get_images_dict()
    assert set(found) == set(images)
    for name, image in images.items():
        np.testing.assert_array_equal(found[name], image)
    assert (extractor.version, extractor.trace_option) == ("1.1.0", "raw")
    assert extractor.get_property("is_accepted", extractor.get_roi_ids()).all()


def test_the_writer_writes_the_fields_of_real_output(data_folder, tmp_path):
    ours = write_extract(tmp_path / "a.mat", RECORDING)
    with h5py.File(data_folder / "extract" / "extract_public_output.mat") as real:
        with h5py.File(ours) as file:
            assert file.userblock_size == real.userblock_size
            written = []
            file.visititems(lambda name, item: written.append((name, item)))
            for name, item in written:
                assert real[name].attrs["MATLAB_class"] == item.attrs["MATLAB_class"], name
                if isinstance(item, h5py.Dataset):
                    assert real[name].dtype == item.dtype, name
                    assert real[name].ndim == item.ndim, name
        assert real.filename.endswith(".mat")
    header = (data_folder / "extract" / "extract_public_output.mat").read_bytes()[:128]
    assert ours.read_bytes()[116:128] == header[116:128]


# --- what roiextractors makes of it wrongly -----------------------------------------------------


def test_masks_of_old_versions_are_not_transposed(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING, version="0.5.0")
    # The fault: a field of 64 x 48 pixels, for a movie of 48 x 64.
    theirs = LegacyExtractSegmentationExtractor(path)
    assert theirs.get_frame_shape() == RECORDING.field_shape[::-1]
    assert opened(path).get_frame_shape() == RECORDING.field_shape
    np.testing.assert_array_equal(opened(path).get_roi_image_masks(), MASKS)


def test_cells_first_is_a_form_of_old_versions(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING, version="0.5.0")
    edit_hdf5(path, extractAnalysisOutput__filters=np.moveaxis(MASKS, -1, 0).T)
    np.testing.assert_array_equal(opened(path).get_roi_image_masks(), MASKS)


def test_the_rate_of_old_versions_is_that_of_the_user(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING, version="0.5.0")
    # The fault: samples by the seconds that the analysis took.
    theirs = LegacyExtractSegmentationExtractor(path)
    assert theirs.get_sampling_frequency() == pytest.approx(20 / 45.4)
    assert opened(path, 12.5).get_sampling_frequency() == 12.5


def test_sparse_weights_are_read(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING, sparse=True)
    with pytest.raises(TypeError, match=r"h5py\._hl\.group\.Group"):  # the fault
        NewExtractSegmentationExtractor(path, 7.5)
    np.testing.assert_array_equal(opened(path).get_roi_image_masks(), MASKS)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({}, "dff"),
        ({"skip_dff": True}, "raw"),
        ({"preprocess": False}, "raw"),
        ({"preprocess": False, "skip_dff": True}, "raw"),
    ],
)
def test_traces_are_dff_only_where_extract_normalised_the_movie(tmp_path, opened, config, kind):
    path = write_extract(tmp_path / "a.mat", RECORDING, config=config)
    (found,) = opened(path).get_traces_dict()
    assert found == kind
    if config == {"skip_dff": True}:  # the fault
        theirs = NewExtractSegmentationExtractor(path, 7.5)
        assert theirs.get_traces_dict()["dff"] is not None
        theirs.close()


def test_a_cell_without_a_mask_is_not_called_rejected(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING)
    empty = MASKS.copy()
    empty[..., 3] = 0
    edit_hdf5(path, output__spatial_weights=empty.T, output__info__cellcheck=None)
    extractor = opened(path)
    assert extractor.get_property_keys() == []
    assert extractor.get_num_rois() == 5
    assert len(extractor.get_roi_pixel_masks([3])[0]) == 0


def test_version_5_is_read_as_scipy_reads_it(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING, matlab_version="5")
    with pytest.raises(OSError):  # noqa: PT011  the fault
        NewExtractSegmentationExtractor(path, 7.5)
    output = scipy.io.loadmat(path)["output"][0, 0]
    extractor = opened(path)
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), output["spatial_weights"])
    np.testing.assert_array_equal(extractor.get_traces_dict()["dff"][:], output["temporal_weights"])


# --- arguments, metadata ------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_must_be_a_number_above_0(tmp_path, rate):
    path = write_extract(tmp_path / "a.mat", RECORDING)
    with pytest.raises(SourceArgumentError, match=r"sampling_frequency is .*above 0, in samples"):
        ExtractExtractor(path, rate)


@pytest.mark.parametrize("matlab_version", ["7.3", "5"])
def test_several_outputs_are_streams(tmp_path, matlab_version):
    from nwb_ophys.simulation.matlab import write_matlab

    weights, traces = MASKS.astype(np.float32), DFF
    one = {"spatial_weights": weights, "temporal_weights": traces}
    two = {"spatial_weights": weights[..., :2], "temporal_weights": traces[:, :2]}
    path = write_matlab(tmp_path / "a.mat", {"first": one, "second": two}, matlab_version)
    with pytest.raises(SourceArgumentError, match=r"choose one .*'first', 'second'"):
        ExtractExtractor(path, 7.5)
    with pytest.raises(SourceArgumentError, match=r"no struct 'third'.*'first', 'second'"):
        ExtractExtractor(path, 7.5, "third")
    streams = ExtractSegmentationInterface.streams(path, sampling_frequency=7.5)
    assert list(streams) == ["first", "second"]
    counts = {}
    for name, source in streams.items():
        interface = ExtractSegmentationInterface(**source)
        counts[name] = interface.extractor.get_num_rois()
        assert interface.part() == name
        interface.extractor.close()
    assert counts == {"first": 5, "second": 2}


@pytest.mark.parametrize("matlab_version", ["7.3", "5"])
def test_fields_saved_as_variables(tmp_path, opened, matlab_version):
    """As ``save(name, '-struct', 'output')`` does."""
    from nwb_ophys.simulation.matlab import write_matlab

    values = {"spatial_weights": MASKS, "temporal_weights": DFF, "info": {"version": "1.0.0"}}
    path = write_matlab(tmp_path / "a.mat", values, matlab_version)
    assert "in it" in ExtractSegmentationInterface.matches(path)
    assert opened(path).version == "1.0.0"


def test_what_the_file_states_is_described(tmp_path):
    for config, container in (({}, "DfOverF"), ({"skip_dff": True}, "Fluorescence")):
        path = write_extract(tmp_path / "a.mat", RECORDING, config=config)
        interface = ExtractSegmentationInterface(path, sampling_frequency=7.5)
        ophys = interface.get_metadata()["Ophys"]
        (cells,) = ophys["ImageSegmentation"]["plane_segmentations"]
        assert cells["description"] == "Cells that EXTRACT 1.1.0 found."
        (trace,) = (e for e in ophys[container]["PlaneSegmentation"].values())
        assert trace["description"].endswith("by EXTRACT 1.1.0, trace_output_option 'nonneg'.")
        images = ophys["SegmentationImages"]["PlaneSegmentation"]
        assert "Baseline fluorescence" in images["f_per_pixel"]["description"]
        interface.extractor.close()


def test_an_image_of_another_shape_is_left_out_with_a_warning(tmp_path, opened):
    path = write_extract(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, output__info__max_image=np.ones((32, 24)))
    with pytest.warns(UserWarning, match=r"info/max_image has \(24, 32\) pixels.*\(48, 64\)"):
        extractor = opened(path)
    assert list(extractor.get_images_dict()) == ["summary_image", "f_per_pixel"]


# --- damaged files ------------------------------------------------------------------------------


@pytest.mark.parametrize("matlab_version", ["7.3", "5"])
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_named(tmp_path, matlab_version, share):
    path = write_extract(tmp_path / "a.mat", RECORDING, matlab_version=matlab_version)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    ExtractSegmentationInterface.matches(path)  # raises nothing
    with pytest.raises(CorruptSourceError, match=f"'{path}'"):
        ExtractExtractor(path, 7.5)


def test_other_files_are_named(tmp_path):
    text, other = tmp_path / "a.mat", tmp_path / "b.mat"
    text.write_text("no MATLAB file")
    with h5py.File(other, "w") as file:
        file["output/x"] = 1
    for path in (text, other, tmp_path / "absent.mat", tmp_path):
        assert not ExtractSegmentationInterface.matches(path)
        with pytest.raises(CorruptSourceError, match=f"'{path}' is not"):
            ExtractExtractor(path, 7.5)
    with pytest.raises(CorruptSourceError, match="'output' must have spatial_weights"):
        ExtractExtractor(other, 7.5, "output")


def test_an_object_that_only_matlab_reads_is_named(tmp_path):
    path = write_extract(tmp_path / "a.mat", RECORDING)
    with h5py.File(path, "r+") as file:
        del file["output/spatial_weights"]
        file["output/spatial_weights"] = np.zeros((1, 6), np.uint32)
        file["output/spatial_weights"].attrs["MATLAB_class"] = np.bytes_("ndSparse")
        file["output/spatial_weights"].attrs["MATLAB_object_decode"] = np.int32(3)
    with pytest.raises(CorruptSourceError, match="class ndSparse, which only MATLAB can read"):
        ExtractExtractor(path, 7.5)


def test_scipy_is_asked_for_only_by_old_files(tmp_path, opened, monkeypatch):
    def absent(name, extra):
        raise MissingPackageError(f"{name} {extra}")

    monkeypatch.setattr("nwb_ophys.filetypes.matlab.variables.require_package", absent)
    opened(write_extract(tmp_path / "a.mat", RECORDING))
    path = write_extract(tmp_path / "b.mat", RECORDING, matlab_version="5")
    assert ExtractSegmentationInterface.matches(path)
    with pytest.raises(MissingPackageError, match=r"scipy\.io extract"):
        ExtractExtractor(path, 7.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output__spatial_weights": None}, "is not EXTRACT's output"),
        ({"output__temporal_weights": None}, "is not EXTRACT's output"),
        ({"output__spatial_weights": np.ones((4, 64, 48))}, "they share no number of ROIs"),
        ({"output__temporal_weights": np.ones((4, 20))}, "they share no number of ROIs"),
        ({"output__temporal_weights": np.ones(20)}, "not an array of numbers"),
        ({"output__temporal_weights": "text"}, "not an array"),
        ({"output__spatial_weights": np.ones((5, 2, 64, 48))}, r"must be \(rows, columns, ROIs\)"),
        ({"output__spatial_weights": np.ones((5, 100))}, "the field has"),
    ],
    ids=str,
)
def test_what_is_wrong_within_a_file_is_named_with_its_path(tmp_path, values, message):
    path = write_extract(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, **values)
    with pytest.raises(CorruptSourceError, match=message) as caught:
        ExtractExtractor(path, 7.5)
    assert f"'{path}'" in str(caught.value)


def test_a_sparse_matrix_without_any_image_has_no_field(tmp_path):
    path = write_extract(tmp_path / "a.mat", RECORDING, sparse=True)
    edit_hdf5(path, output__info=None)
    with pytest.raises(CorruptSourceError, match="how many rows and columns the field has"):
        ExtractExtractor(path, 7.5)


@pytest.mark.parametrize(
    "place",
    ["info", "info/summary_image", "info/max_image", "info/cellcheck/is_bad", "config/preprocess"],
)
def test_what_extract_always_writes_is_missed(tmp_path, place):
    path = write_extract(tmp_path / "a.mat", RECORDING, bad=[1])
    ExtractSegmentationInterface(path, sampling_frequency=7.5)
    # Damage may turn a field into a link that leads nowhere.
    for other in (None, h5py.SoftLink("/nowhere")):
        with h5py.File(path, "r+") as file:
            file["output"].pop(place, None)
            if other is not None:
                file["output"][place] = other
        with pytest.warns(UserWarning, match=f"has no {place}.*, which EXTRACT normally writes"):
            ExtractSegmentationInterface(path, sampling_frequency=7.5)


def test_metrics_of_each_cell_are_columns(tmp_path, opened):
    path = write_extract(tmp_path / "e.mat", RECORDING)
    metrics = np.arange(15.0).reshape(5, 3)
    with h5py.File(path, "r+") as file:
        file["output/info/cellcheck/metrics"] = metrics
        file["output/info/cellcheck/is_attr_bad"] = np.zeros((4, 2))
    with pytest.warns(UserWarning, match="cellcheck.is_attr_bad is of 4 cells, the masks of 5"):
        extractor = opened(path)
    np.testing.assert_array_equal(extractor.get_property("cellcheck_metrics", range(5)), metrics)
    assert "cellcheck_is_attr_bad" not in extractor.get_property_keys()


def test_arrays_that_others_added_are_named(tmp_path):
    """Fault: they were left out without a word."""
    path = write_extract(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, output__my_labels=np.ones((5, 1)))
    with pytest.warns(UserWarning, match="also has 'my_labels', which is not read from the output"):
        ExtractSegmentationInterface(path, sampling_frequency=7.5)
