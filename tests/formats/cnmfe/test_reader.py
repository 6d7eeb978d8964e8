"""Tests of CNMF-E's output: the written data, mistakes of roiextractors, and damaged files.

No file that CNMF-E wrote is at hand: those here are written by the package.
"""

from __future__ import annotations

import gc

import h5py
import numpy as np
import pytest
import scipy.io
from edited_hdf5 import edit_hdf5
from pynwb import NWBHDF5IO
from roiextractors import CnmfeSegmentationExtractor
from scipy.sparse import csc_matrix

from nwb_ophys import CnmfeSegmentationInterface, ExtractSegmentationInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.formats.cnmfe.reader import CnmfeExtractor
from nwb_ophys.testing import simulate_recording, write_cnmfe

RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=7.5)
MASKS = np.moveaxis(RECORDING.image_masks(), 0, -1)


@pytest.fixture
def opened():
    """Opens extractors, and closes them at the end."""
    extractors = []

    def open_(path, *arguments):
        extractors.append(CnmfeExtractor(path, *arguments))
        return extractors[-1]

    yield open_
    for each in extractors:
        each.close()


FORMS = [
    {"matlab_version": matlab, "of_ciatah": of_ciatah, "sparse": sparse}
    for matlab in ("7.3", "5")
    for of_ciatah, sparse in ((False, True), (False, False), (True, False))
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_components_and_traces_are_those_that_were_written(tmp_path, opened, form):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, **form)
    assert "CNMF-E's" in CnmfeSegmentationInterface.matches(path)
    assert not ExtractSegmentationInterface.matches(path)
    extractor = opened(path)
    assert extractor.get_roi_ids() == [0, 1, 2, 3, 4]
    assert extractor.get_num_samples() == 20
    assert extractor.get_sampling_frequency() == 7.5
    assert extractor.get_frame_shape() == RECORDING.field_shape
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), MASKS)
    np.testing.assert_array_equal(extractor.get_roi_image_masks([3, 0]), MASKS[..., [3, 0]])
    traces = extractor.get_traces_dict()
    expected = {"raw": RECORDING.fluorescence, "denoised": RECORDING.calcium}
    expected["deconvolved"] = RECORDING.spikes
    if form["of_ciatah"]:
        expected = {"raw": RECORDING.fluorescence, "estimated": RECORDING.calcium}
    assert set(traces) == set(expected)
    for name, values in expected.items():
        trace = traces[name]
        assert trace.shape == (20, 5)
        np.testing.assert_array_equal(np.asarray(trace), values)
        np.testing.assert_array_equal(trace[3:9, 1:3], values[3:9, 1:3])
        np.testing.assert_array_equal(trace[2:17:3], values[2:17:3])
        np.testing.assert_array_equal(trace[4], values[4])
        assert trace[5:5].shape == (0, 5)
    images = extractor.get_images_dict()
    assert list(images) == (["correlation"] if form["of_ciatah"] else ["correlation", "pnr"])
    np.testing.assert_array_equal(images["correlation"], RECORDING.correlation_image())
    if not form["of_ciatah"]:
        assert extractor.get_property("cnmfe_id", [0, 4]).tolist() == [1, 5]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("num_cells", [0, 1])
def test_a_single_component_or_none(tmp_path, opened, form, num_cells):
    recording = simulate_recording(num_samples=20, num_cells=num_cells)
    extractor = opened(write_cnmfe(tmp_path / "a.mat", recording, **form))
    assert extractor.get_num_rois() == num_cells
    assert extractor.get_frame_shape() == recording.field_shape
    masks = np.moveaxis(recording.image_masks(), 0, -1)
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), masks)


def test_the_matrices_are_as_scipy_reads_them(tmp_path, opened):
    """Both versions hold the same sparse matrices, read by other means."""
    old = write_cnmfe(tmp_path / "5.mat", RECORDING, matlab_version="5")
    results = scipy.io.loadmat(old)["results"][0, 0]
    with h5py.File(write_cnmfe(tmp_path / "73.mat", RECORDING)) as file:
        group = file["results/A"]
        parts = tuple(group[part][:] for part in ("data", "ir", "jc"))
        matrix = csc_matrix(parts, shape=(int(group.attrs["MATLAB_sparse"]), 5))
    np.testing.assert_array_equal(matrix.toarray(), results["A"].toarray())
    extractor = opened(tmp_path / "73.mat")
    dense = matrix.toarray().reshape(*RECORDING.field_shape, 5, order="F")
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), dense)
    spikes = extractor.get_traces_dict()["deconvolved"]
    np.testing.assert_array_equal(spikes[:], results["S"].toarray().T)


def test_a_file_converts_whole_by_the_command_line(tmp_path):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    target = tmp_path / "a.nwb"
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(path), "-o", str(target), "--set", start])
    assert ended.value.code == 0
    with NWBHDF5IO(target, "r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert table.description == "Components that CNMF-E found."
        np.testing.assert_array_equal(table["image_mask"][:], MASKS.T)
        found = ophys["Fluorescence"].roi_response_series
        assert set(found) == {"RoiResponseSeries", "Denoised", "Deconvolved"}
        np.testing.assert_array_equal(found["RoiResponseSeries"].data[:], RECORDING.fluorescence)
        np.testing.assert_array_equal(found["Denoised"].data[:], RECORDING.calcium)
        np.testing.assert_array_equal(found["Deconvolved"].data[:], RECORDING.spikes)
        assert {series.rate for series in found.values()} == {7.5}
        images = ophys["SegmentationImages"].images
        np.testing.assert_array_equal(
            images["correlation"].data[:], RECORDING.correlation_image().T
        )


# --- what roiextractors makes of it wrongly -----------------------------------------------------


def test_masks_and_images_are_not_transposed(tmp_path, opened):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, of_ciatah=True)
    theirs = CnmfeSegmentationExtractor(path)
    # The fault: a field of 64 x 48 pixels, for a movie of 48 x 64.
    assert theirs.get_frame_shape() == RECORDING.field_shape[::-1]
    assert theirs.get_images_dict()["correlation"].shape == RECORDING.field_shape[::-1]
    assert opened(path).get_frame_shape() == RECORDING.field_shape
    np.testing.assert_array_equal(opened(path).get_roi_image_masks(), MASKS)


def test_the_rate_is_not_that_of_the_analysis(tmp_path, opened):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, of_ciatah=True)
    theirs = CnmfeSegmentationExtractor(path)
    # The fault: samples by the seconds that the analysis took.
    assert theirs.get_sampling_frequency() == pytest.approx(20 / 45.4)
    assert opened(path).get_sampling_frequency() == 7.5


def test_the_first_variable_need_not_be_the_output(tmp_path, opened):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, of_ciatah=True)
    edit_hdf5(path, a_note=np.ones((1, 1)))
    with pytest.raises((KeyError, ValueError)):  # the fault
        CnmfeSegmentationExtractor(path)
    np.testing.assert_array_equal(opened(path).get_roi_image_masks(), MASKS)


# Their reader also fails when it is collected, having opened no file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("matlab_version", ["7.3", "5"])
def test_the_output_of_cnmfe_itself_is_read(tmp_path, opened, matlab_version):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, matlab_version=matlab_version)
    with pytest.raises((KeyError, OSError)):  # the fault
        CnmfeSegmentationExtractor(path)
    gc.collect()
    np.testing.assert_array_equal(opened(path).get_roi_image_masks(), MASKS)


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("of_ciatah", [False, True])
def test_a_rate_that_is_not_stated_is_asked_for(tmp_path, opened, of_ciatah):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, of_ciatah=of_ciatah, states_rate=False)
    with pytest.raises(
        SourceArgumentError, match=r"states no frame rate \(Fs\).*duration of the analysis"
    ):
        CnmfeExtractor(path)
    assert opened(path, 12.5).get_sampling_frequency() == 12.5


def test_a_given_rate_stands_above_the_stated_one_and_is_told_of(tmp_path, opened):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    with pytest.warns(UserWarning, match=r"states 7\.5 Hz \(Fs\); the given 12\.5 Hz are used"):
        assert opened(path, 12.5).get_sampling_frequency() == 12.5
    assert opened(path, 7.5).get_sampling_frequency() == 7.5
    with pytest.raises(SourceArgumentError, match="above 0"):
        CnmfeExtractor(path, -1.0)


def test_dff_of_the_components_is_read_and_that_of_others_left_out(tmp_path, opened):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, results__C_df=RECORDING.calcium / 2)
    extractor = opened(path)
    np.testing.assert_array_equal(extractor.get_traces_dict()["dff"][:], RECORDING.calcium / 2)
    extractor.close()
    edit_hdf5(path, results__C_df=np.ones((20, 4)))
    with pytest.warns(
        UserWarning, match=r"C_df has the shape \(4, 20\), which does not fit 5 components"
    ):
        assert "dff" not in opened(path).get_traces_dict()


def test_normalised_traces_with_those_of_the_background(tmp_path, opened):
    """Fault: dff with a row of the background was left out whole, and S_df without a word."""
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    behind = np.column_stack([RECORDING.calcium / 2, np.ones(20)])
    edit_hdf5(path, results__C_df=behind, results__S_df=RECORDING.spikes / 3)
    with pytest.warns(UserWarning, match=r"C_df has the shape \(6, 20\), its rows behind those of"):
        traces = opened(path).get_traces_dict()
    np.testing.assert_array_equal(traces["dff"][:], RECORDING.calcium / 2)
    np.testing.assert_array_equal(traces["deconvolved_df"][:], RECORDING.spikes / 3)


@pytest.mark.parametrize("form", ["struct", "variables", "beside"])
def test_arrays_that_others_added_are_named(tmp_path, form):
    """Fault: they were left out without a word."""
    struct = {
        "A": RECORDING.image_masks().reshape(5, -1).T,
        "C": RECORDING.calcium.T,
        "C_raw": RECORDING.fluorescence.T,
        "Cn": RECORDING.correlation_image(),
        "Fs": 7.5,
        "P": {"sn": 1.0},
    }
    added = {"quality": np.arange(5.0), "layer": np.array(list("abcde"), object), "note": "x"}
    contents = struct | added
    if form != "variables":
        contents = {"results": struct | (added if form == "struct" else {})}
    contents |= added if form == "beside" else {}
    scipy.io.savemat(tmp_path / "a.mat", contents)
    with pytest.warns(UserWarning, match="a.mat' also has 'quality', 'layer', which are not read"):
        CnmfeSegmentationInterface(tmp_path / "a.mat")


def test_the_field_is_that_of_the_image_where_no_option_says_it(tmp_path, opened):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, results__options=None)
    extractor = opened(path)
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), MASKS)
    extractor.close()
    edit_hdf5(path, results__Cn=None, results__PNR=None)
    with pytest.raises(CorruptSourceError, match="how many rows and columns"):
        CnmfeExtractor(path)


# --- damaged files ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS[::3], ids=str)
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_named(tmp_path, form, share):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, **form)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    CnmfeSegmentationInterface.matches(path)  # raises nothing
    with pytest.raises(CorruptSourceError, match=f"'{path}'"):
        CnmfeExtractor(path)


def test_other_files_are_named(tmp_path):
    text, other = tmp_path / "a.mat", tmp_path / "b.mat"
    text.write_text("no MATLAB file")
    scipy.io.savemat(other, {"results": {"A": np.ones((3, 3)), "C": np.ones((3, 9))}})
    for path in (text, other, tmp_path / "absent.mat", tmp_path):
        assert not CnmfeSegmentationInterface.matches(path)
        with pytest.raises(CorruptSourceError, match=f"'{path}' is not"):
            CnmfeExtractor(path, 7.5)


def test_the_object_neuron_is_named(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file["neuron"] = np.zeros((1, 6), np.uint32)
        file["neuron"].attrs["MATLAB_class"] = np.bytes_("Sources2D")
        file["neuron"].attrs["MATLAB_object_decode"] = np.int32(3)
    assert not CnmfeSegmentationInterface.matches(path)
    for name in (None, "neuron"):
        with pytest.raises(
            CorruptSourceError, match="'neuron' is an object of the class Sources2D"
        ):
            CnmfeExtractor(path, 7.5, name)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"results__A": None}, "is not CNMF-E's output"),
        ({"results__A__jc": None}, "cannot be read"),
        ({"results__A__ir": None}, "cannot be read"),
        ({"results__A__jc": np.array([0, 3, 2, 5, 7, 9], np.uint64)}, "cannot be read"),
        ({"results__A__ir": np.full(3, 10**6, np.uint64)}, "cannot be read"),
        ({"results__C": np.ones((20, 4))}, "they share no number of ROIs"),
        ({"results__C_raw": np.ones((19, 5))}, "the traces differ in length"),
        ({"results__C_raw": np.ones((20, 4))}, r"C_raw has the shape \(4, 20\)"),
        ({"results__options__d1": np.ones((1, 1)) * 47}, r"the field has \(47, 64\) pixels"),
    ],
    ids=str,
)
def test_what_is_wrong_within_a_file_is_named_with_its_path(tmp_path, values, message):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, **values)
    with pytest.raises(CorruptSourceError, match=message) as caught:
        CnmfeExtractor(path)
    assert f"'{path}'" in str(caught.value)


def test_a_pixel_out_of_the_field_is_named(tmp_path):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    with h5py.File(path, "r+") as file:
        file["results/A/ir"][-1] = 10**6
    with pytest.raises(CorruptSourceError, match="lies outside the field"):
        CnmfeExtractor(path)


@pytest.mark.parametrize(
    ("part", "place", "value", "words"),
    [
        ("S/jc", 3, 0, "do not fit the bounds of its"),
        ("S/jc", -1, 10**6, "do not fit the bounds of its"),
        ("A/jc", 2, 10**6, "do not fit the bounds of its 5 columns"),
        ("S/ir", 0, 5, "a value beyond its 5 ROIs"),
        ("S/ir", 0, 2**64 - 1, "a value beyond its 5 ROIs"),
    ],
)
def test_damaged_sparse_matrices_are_refused_when_they_are_opened(
    tmp_path, part, place, value, words
):
    """Fault: errors of NumPy while traces were written, or values in the wrong ROI."""
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    with h5py.File(path, "r+") as file:
        file[f"results/{part}"][place] = value
    with pytest.raises(CorruptSourceError, match=words):
        CnmfeExtractor(path)


@pytest.mark.parametrize("tags", [[0, 0, 0, 0, 0], [0, 3, 0, 8, 0]])
def test_tags_are_a_column_and_no_acceptance(tmp_path, opened, tags):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    edit_hdf5(path, results__tags=np.array([tags], np.uint16))
    extractor = opened(path)
    assert "is_accepted" not in extractor.get_property_keys()
    if any(tags):
        assert extractor.get_property("cnmfe_tags", range(5)).tolist() == tags
    else:
        assert "cnmfe_tags" not in extractor.get_property_keys()


@pytest.mark.parametrize("name", ["S", "Cn", "PNR", "ids"])
def test_what_cnmfe_always_writes_is_missed(tmp_path, name):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING)
    CnmfeSegmentationInterface(path)
    with h5py.File(path, "r+") as file:
        del file["results"][name]
    with pytest.warns(UserWarning, match=f"has no {name}, which CNMF-E normally writes"):
        CnmfeSegmentationInterface(path)


# --- background and range of frames -------------------------------------------------------------

PIXELS = int(np.prod(RECORDING.field_shape))
MODEL = {
    "b": np.linspace(0.1, 1, 2 * PIXELS).reshape(PIXELS, 2),
    "f": np.arange(40.0).reshape(2, 20),
    "b0": np.arange(PIXELS, dtype=float)[:, None],
}


def _with(path, **values):
    """Write the struct of CNMF-E with further fields, in a file of version 5."""
    write_cnmfe(path, RECORDING, matlab_version="5")
    struct = scipy.io.loadmat(path)["results"][0, 0]
    fields = {name: struct[name] for name in struct.dtype.names}
    scipy.io.savemat(path, {"results": {**fields, **values}})
    return path


def test_background_components_are_read_and_the_baseline_is_an_image(tmp_path, opened):
    extractor = opened(_with(tmp_path / "a.mat", **MODEL))
    rows, columns = RECORDING.field_shape
    ids = ["background0", "background1"]
    assert extractor.get_background_ids() == ids
    masks = extractor.get_background_image_masks()
    np.testing.assert_array_equal(masks.reshape(PIXELS, 2, order="F"), MODEL["b"])
    np.testing.assert_array_equal(extractor.get_traces_dict()["background"], MODEL["f"].T)
    baseline = extractor.get_images_dict()["baseline"]
    np.testing.assert_array_equal(baseline, MODEL["b0"].reshape(rows, columns, order="F"))
    extractor.close()
    rois = CnmfeSegmentationInterface(tmp_path / "a.mat")
    metadata = rois.get_metadata()
    metadata["NWBFile"]["session_start_time"] = "2024-05-17T14:30:00+02:00"
    path = rois.run_conversion(tmp_path / "a.nwb", metadata=metadata, progress=False)
    with NWBHDF5IO(path) as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["BackgroundPlaneSegmentation"]
        assert list(table["roi_name"][:]) == ids
        np.testing.assert_array_equal(ophys["Fluorescence"]["Background"].data, MODEL["f"].T)
        assert "baseline" in ophys["SegmentationImages"].images


def test_parts_of_the_background_that_are_not_read_are_named(tmp_path, opened):
    cells = np.empty((2, 2), dtype=object)
    cells[:] = [[np.ones((2, 2))] * 2] * 2
    path = _with(tmp_path / "a.mat", W=csc_matrix(np.eye(4)), b=cells, f=cells, b0=MODEL["b0"])
    with pytest.warns(UserWarning, match="b, f, W, of CNMF-E's model of .* are left out"):
        extractor = opened(path)
    assert extractor.get_background_ids() == []
    assert "baseline" in extractor.get_images_dict()


def test_frames_of_a_part_of_the_movie_have_their_times(tmp_path, opened):
    path = _with(tmp_path / "a.mat", frame_range=np.array([[31.0, 50.0]]))
    with pytest.warns(UserWarning, match="analysed the frames 31 to 50 of its movie"):
        extractor = opened(path)
    np.testing.assert_allclose(extractor.get_timestamps(), (30 + np.arange(20)) / 7.5)
    for others in ([[1.0, 20.0]], [[31.0, 40.0]], [[]], [[np.nan, np.nan]]):
        extractor = opened(_with(tmp_path / "b.mat", frame_range=np.array(others)))
        assert extractor.get_native_timestamps() is None


def test_the_files_of_several_movies_are_named(tmp_path, opened):
    files = np.array([r"C:\data\one.tif", "/data/two.tif"], dtype=object)
    extractor = opened(_with(tmp_path / "a.mat", file=files))
    assert [path[-7:] for path in extractor.movie_paths] == ["one.tif", "two.tif"]
    extractor.close()
    made = CnmfeSegmentationInterface(tmp_path / "a.mat").made_from()
    assert made.files == ("one.tif", "two.tif")


def test_numbers_of_other_components_are_named(tmp_path, opened):
    for values, fault in (
        ({"ids": np.arange(4.0)}, "ids are of 4 components, the masks of 5; they are left out"),
        ({"tags": np.arange(5) / 2}, "tags have values that are no whole numbers"),
    ):
        with pytest.warns(UserWarning, match=fault):
            extractor = opened(_with(tmp_path / "a.mat", **values))
        assert "cnmfe_tags" not in extractor.get_property_keys()
        extractor.close()
