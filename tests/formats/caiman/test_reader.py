"""Tests of CaImAn's output against the written data, and of errors that name the damage."""

from __future__ import annotations

from contextlib import nullcontext

import h5py
import numpy as np
import pytest
from edited_hdf5 import edit_hdf5
from roiextractors import CaimanSegmentationExtractor
from scipy.sparse import csc_matrix

import nwb_ophys
from nwb_ophys import CaimanSegmentationInterface
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.caiman.reader import CaimanExtractor
from nwb_ophys.testing import simulate_recording, write_caiman

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=7.5)


MODEL = ["trace_baseline", "trace_noise", "trace_g", "trace_c1", "trace_lam"]


def _write(folder, **options):
    return write_caiman(folder / "estimates.hdf5", RECORDING, **options)


def test_components_and_traces_are_those_that_were_written(tmp_path):
    extractor = CaimanExtractor(_write(tmp_path, accepted=[0, 2]))
    assert extractor.get_roi_ids() == [0, 1, 2, 3, 4]
    assert extractor.get_num_samples() == 20
    assert extractor.get_sampling_frequency() == 7.5
    assert tuple(extractor.get_frame_shape()) == RECORDING.field_shape
    traces = extractor.get_traces_dict()
    np.testing.assert_allclose(traces["raw"], RECORDING.fluorescence, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(traces["denoised"]), RECORDING.calcium)
    np.testing.assert_array_equal(np.asarray(traces["deconvolved"]), RECORDING.spikes)
    np.testing.assert_allclose(
        np.moveaxis(extractor.get_roi_image_masks([4, 1]), -1, 0), RECORDING.image_masks()[[4, 1]]
    )
    assert extractor.get_background_ids() == ["background0", "background1"]
    assert np.asarray(traces["background"]).shape == (20, 2)


def test_the_only_image_is_the_correlation_and_none_is_called_the_mean(tmp_path):
    images = CaimanExtractor(_write(tmp_path)).get_images_dict()
    assert list(images) == ["correlation"]
    np.testing.assert_array_equal(images["correlation"], RECORDING.correlation_image())


@pytest.mark.parametrize("accepted", [[], [3], [1, 4], [0, 1, 2, 3, 4]])
def test_acceptance_is_what_the_evaluation_found(tmp_path, accepted):
    extractor = CaimanExtractor(_write(tmp_path, accepted=accepted))
    flags = extractor.get_property("is_accepted", range(5))
    assert flags.dtype == bool
    assert np.flatnonzero(flags).tolist() == accepted
    quality = np.where(flags, 5.0, 1.0) + np.arange(5) / 5
    np.testing.assert_allclose(extractor.get_property("snr", range(5)), quality)
    assert extractor.get_property("r_values", [4]).shape == (1,)
    assert extractor.get_property("cnn_preds", [4]).shape == (1,)


def test_without_an_evaluation_nothing_is_said_of_acceptance(tmp_path):
    path = _write(tmp_path)
    assert CaimanExtractor(path).get_property_keys() == MODEL
    edit_hdf5(path, estimates__idx_components=None, estimates__idx_components_bad=None)
    assert CaimanExtractor(path).get_property_keys() == MODEL
    empty = np.zeros(0)
    edit_hdf5(path, estimates__idx_components=empty, estimates__idx_components_bad=empty)
    assert CaimanExtractor(path).get_property_keys() == MODEL


def test_only_one_of_the_lists_is_enough(tmp_path):
    path = _write(tmp_path, accepted=[1, 4])
    edit_hdf5(path, estimates__idx_components_bad=None)
    flags = CaimanExtractor(path).get_property("is_accepted", range(5))
    assert flags.tolist() == [False, True, False, False, True]


def test_an_evaluation_without_the_network_says_nothing_of_it(tmp_path):
    extractor = CaimanExtractor(_write(tmp_path, accepted=[1], cnn_predictions=False))
    assert extractor.get_property_keys() == ["is_accepted", "snr", "r_values", *MODEL]


def test_no_background_is_none(tmp_path):
    extractor = CaimanExtractor(_write(tmp_path, num_background_components=0))
    assert extractor.get_background_ids() == []
    assert extractor.get_traces_dict()["background"] is None


@pytest.mark.filterwarnings("ignore:.*has 0 ROIs:UserWarning")
def test_no_components_are_none(tmp_path):
    path = write_caiman(tmp_path / "a.hdf5", simulate_recording(num_samples=20, num_cells=0))
    extractor = CaimanExtractor(path)
    assert extractor.get_num_rois() == 0
    # Fault: the background was taken for traces of the ROIs that there are not.
    assert extractor.get_background_ids() == ["background0", "background1"]
    nwbfile = CaimanSegmentationInterface(path).create_nwbfile(START)
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    assert {name: len(table.id) for name, table in tables.items()} == {
        "PlaneSegmentation": 0,
        "BackgroundPlaneSegmentation": 2,
    }
    assert CaimanSegmentationInterface(path).create_nwbfile(START, mask_type="pixel")


def test_raw_traces_are_added_up_when_they_are_sliced(tmp_path):
    """Fault: all traces were read, twice, when a file was opened."""
    path = _write(tmp_path)
    extractor = CaimanExtractor(path)
    raw = extractor.get_traces_dict()["raw"]
    assert not isinstance(raw, np.ndarray)
    with h5py.File(path) as file:
        expected = (file["estimates/C"][:] + file["estimates/YrA"][:]).T
    np.testing.assert_array_equal(raw[:], expected)
    np.testing.assert_array_equal(raw[3:7, 1:2], expected[3:7, 1:2])
    np.testing.assert_array_equal(np.asarray(raw), expected)


@pytest.mark.parametrize("name", ["caiman_analysis", "v1.12.1_neurofinder_crop"])
def test_real_output(data_folder, name):
    path = data_folder / "caiman" / f"{name}.hdf5"
    assert CaimanSegmentationInterface.matches(path)
    extractor = CaimanExtractor(path)
    with h5py.File(path) as file:
        estimates = file["estimates"]
        calcium = estimates["C"][:]
        parts = [estimates[f"A/{part}"][:] for part in ("data", "indices", "indptr")]
        masks = csc_matrix(tuple(parts), shape=estimates["A/shape"][:])
        accepted = estimates["idx_components"]
        accepted = accepted[:] if accepted.shape else None
    np.testing.assert_array_equal(extractor.get_traces_dict()["denoised"][:], calcium.T)
    last = len(calcium) - 1
    image = masks[:, [last]].toarray().reshape(extractor.get_frame_shape(), order="F")
    np.testing.assert_allclose(extractor.get_roi_image_masks([last])[..., 0], image, rtol=1e-6)
    if accepted is None:
        assert "is_accepted" not in extractor.get_property_keys()
    else:
        flags = extractor.get_property("is_accepted", range(last + 1))
        assert np.flatnonzero(flags).tolist() == sorted(accepted)


# --- damaged files ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    path = _write(tmp_path, accepted=[1])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert not CaimanSegmentationInterface.matches(path)
    with pytest.raises(CorruptSourceError) as caught:
        CaimanExtractor(path)
    assert f"'{path}'" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("decoded heap block address overflow"),
        UnicodeDecodeError("utf-8", b"\x97", 0, 1, "invalid start byte"),
    ],
)
def test_a_file_that_is_damaged_within_is_named(tmp_path, monkeypatch, error):
    """Fault: what HDF5 and h5py raise where they cannot follow a link was not caught."""
    path = _write(tmp_path)

    def fail(group, name):
        raise error

    monkeypatch.setattr(h5py.Group, "__contains__", fail)
    with pytest.raises(CorruptSourceError, match=f"'{path}' is not a whole HDF5 file"):
        CaimanExtractor(path)


# The first one to open the file says so, which may be detection.
@pytest.mark.filterwarnings("ignore:.* in it cannot be read and will be missing:UserWarning")
def test_a_name_that_is_damaged(tmp_path):
    """Fault: a UnicodeDecodeError of h5py's ended detection, and opening."""
    path = _write(tmp_path)
    content = path.read_bytes()
    assert content.count(b"estimates\0") == 1
    path.write_bytes(content.replace(b"estimates\0", b"esti\x97ates\0"))
    assert nwb_ophys.detect(path) == []
    with pytest.warns(
        UserWarning, match="No format with this ending recognises .*: empty, cut off"
    ):
        assert nwb_ophys.detect(path.parent) == []
    with pytest.raises(CorruptSourceError, match=f"'{path}'"):
        CaimanExtractor(path)


def test_other_files_are_named(tmp_path):
    text, other = tmp_path / "a.hdf5", tmp_path / "b.hdf5"
    text.write_text("no HDF5")
    with h5py.File(other, "w") as file:
        file["estimates/x"] = 1
    for path in (text, other, tmp_path / "absent.hdf5"):
        assert not CaimanSegmentationInterface.matches(path)
        with pytest.raises(CorruptSourceError, match=f"'{path}' is not"):
            CaimanExtractor(path)
    assert not CaimanSegmentationInterface.matches(tmp_path)
    with pytest.raises(CorruptSourceError, match=f"'{tmp_path}' is a folder; give the HDF5 file"):
        CaimanExtractor(tmp_path)


@pytest.mark.parametrize("num_cells", [3, 4])  # as many as planes, or not
def test_components_of_volumes(tmp_path, num_cells):
    """roiextractors has room for two axes only."""
    volume = simulate_recording(
        num_samples=12, num_rows=20, num_columns=34, num_planes=3, num_cells=num_cells
    )
    path = write_caiman(tmp_path / "a.hdf5", volume)
    with pytest.raises(ValueError, match="too many values"):
        CaimanSegmentationExtractor(path)
    extractor = CaimanExtractor(path)
    assert extractor.get_num_rois() == num_cells
    assert tuple(extractor.get_frame_shape()) == (20, 34, 3)
    assert extractor.get_num_planes() == 3
    masks = np.moveaxis(extractor.get_roi_image_masks(), -1, 0)
    np.testing.assert_array_equal(masks, volume.image_masks())
    for found, expected in zip(extractor.get_roi_pixel_masks(), volume.pixel_masks, strict=True):
        np.testing.assert_array_equal(sorted(map(tuple, found)), sorted(map(tuple, expected)))
    with h5py.File(path, "r") as file:
        footprints, image = file["estimates/b"][:].T, file["estimates/Cn"][:]
    background = np.moveaxis(extractor.get_background_image_masks(), -1, 0)
    expected = [b.reshape((20, 34, 3), order="F") for b in footprints]
    np.testing.assert_array_equal(background, expected)
    np.testing.assert_array_equal(extractor.get_images_dict()["correlation"], image)


@pytest.mark.parametrize("dims", [[3072], [2, 2, 768, 1], 3072])
def test_a_field_that_is_neither_plane_nor_volume(tmp_path, dims):
    path = _write(tmp_path)
    edit_hdf5(path, params__data__dims=dims)
    with pytest.raises(CorruptSourceError, match="params/data/dims must hold rows and columns"):
        CaimanExtractor(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"estimates__A__data": None}, "has no estimates/A/data"),
        (
            {"params__data__dims": None, "dims": None, "estimates__dims": "NoneType"},
            "has no params/data/dims, no dims, no estimates/dims",
        ),
        ({"params__data__fr": None}, "has no params/data/fr. Give sampling_frequency"),
        ({"params__data__fr": "NoneType"}, "cannot be read"),
        ({"estimates__A__indices": None}, "indices"),
        ({"estimates__A__shape": None}, "shape"),
        ({"estimates__A__data": np.ones(3)}, "cannot be read"),
        ({"estimates__A__shape": [3072, 4]}, "cannot be read"),
        ({"params__data__dims": [40, 64]}, "cannot be read"),
        (
            {"params__data__dims": [40, 64], "estimates__b": "NoneType"},
            r"A has 3072 pixels for a field of \(40, 64\)",
        ),
        ({"estimates__A": "NoneType"}, "has no estimates/A, or it is None"),
        ({"estimates__A": h5py.Empty("f8")}, "has no estimates/A, or it is None"),
        ({"estimates__A": np.ones((3071, 5))}, "A has 3071 pixels for a field of"),
        ({"estimates__A": np.ones((3, 3072, 5))}, "neither a sparse matrix nor an array"),
        ({"estimates__C": None, "estimates": None}, "has no estimates"),
    ],
    ids=str,
)
def test_what_is_wrong_within_a_file_is_named_with_its_path(tmp_path, values, message):
    path = _write(tmp_path, accepted=[1])
    edit_hdf5(path, **values)
    with pytest.raises(CorruptSourceError, match=message) as caught:
        CaimanExtractor(path)
    assert f"'{path}'" in str(caught.value)


# --- files that CaImAn itself loads -------------------------------------------------------------

NONE = (None, "NoneType", b"NoneType", h5py.Empty("f8"), h5py.Empty("S1"), np.zeros(0))


def _traces_of(path):
    """Return the traces by kind, read into memory."""
    extractor = CaimanExtractor(path)  # closes the file when it is deleted
    found = extractor.get_traces_dict()
    return {name: np.asarray(each) for name, each in found.items() if each is not None}


def _warned(path, *messages):
    """Return the extractor of a file about which it warns, and check the warnings."""
    with pytest.warns(UserWarning, match=f"^'{path}'") as caught:
        extractor = CaimanExtractor(path)
    text = " ".join(str(each.message) for each in caught)
    for message in messages:
        assert message in text
    return extractor


def _shapes(value):
    """Return an id of a test: names of datasets and shapes of their values."""
    if not isinstance(value, dict):
        return "-"
    return " ".join(f"{name}{np.shape(each)}" for name, each in value.items())


ALL = {"raw", "dff", "denoised", "deconvolved", "background"}


@pytest.mark.parametrize(
    ("values", "lost", "message"),
    [
        ({"F_dff": np.ones((8, 20))}, {"dff"}, "F_dff is of 8 components, the masks of 5"),
        ({"F_dff": np.ones((2, 20))}, {"dff"}, "F_dff is of 2 components, the masks of 5"),
        ({"S": np.ones((8, 20))}, {"deconvolved"}, "S is of 8 components, the masks of 5"),
        ({"S": np.ones((5, 19))}, {"deconvolved"}, "S has 19 samples, most traces 20"),
        ({"YrA": np.ones((1, 20))}, {"raw"}, "YrA is of 1 components, the masks of 5"),
        ({"YrA": np.ones((5, 40))}, {"raw"}, "YrA has 40 samples, most traces 20"),
        ({"C": np.ones((4, 20))}, {"raw", "denoised"}, "C is of 4 components, the masks"),
        ({"C": np.ones((5, 21))}, {"raw", "denoised"}, "C has 21 samples, most traces 20"),
        ({"f": np.ones((2, 21))}, {"background"}, "f has 21 samples, most traces 20"),
        ({"f": np.ones((3, 20))}, {"background"}, "3 components, the background's footprints of 2"),
    ],
    ids=_shapes,
)
def test_traces_of_other_components_or_frames_are_left_out(tmp_path, values, lost, message):
    """Fault: after a merge by hand, F_dff of the former components made the file damaged."""
    path = _write(tmp_path)
    whole = _traces_of(path)
    edit_hdf5(path, **{f"estimates__{name}": value for name, value in values.items()})
    extractor = _warned(path, message, "These traces are left out; compute them again in CaImAn")
    found = {n: each for n, each in extractor.get_traces_dict().items() if each is not None}
    assert set(found) == ALL - lost
    for name, trace in found.items():
        np.testing.assert_array_equal(np.asarray(trace), whole[name])
    assert extractor.get_num_samples() == 20
    with pytest.warns(UserWarning, match=message):
        nwbfile = CaimanSegmentationInterface(path).create_nwbfile(START)
    assert "Fluorescence" in nwbfile.processing["ophys"].data_interfaces


def test_masks_without_any_trace(tmp_path):
    path = _write(tmp_path)
    edit_hdf5(
        path, **{f"estimates__{name}": np.ones((7, 20)) for name in ("C", "YrA", "S", "F_dff")}
    )
    edit_hdf5(path, estimates__f=None)
    extractor = _warned(path, "C is of 7 components", "S is of 7 components")
    assert extractor.get_num_rois() == 5
    assert extractor.get_num_samples() == 0


def test_residuals_under_their_other_name(tmp_path):
    path = _write(tmp_path)
    edit_hdf5(path, estimates__YrA="NoneType")
    np.testing.assert_allclose(_traces_of(path)["raw"], RECORDING.fluorescence, rtol=1e-6)
    edit_hdf5(path, estimates__R="NoneType")
    assert set(_traces_of(path)) == ALL - {"raw"}


@pytest.mark.parametrize("value", NONE, ids=str)
@pytest.mark.parametrize("name", ["C", "YrA", "S", "F_dff", "Cn", "f"])
def test_what_is_none_is_absent(tmp_path, name, value):
    path = _write(tmp_path, accepted=[1])
    edit_hdf5(path, **{f"estimates__{name}": value, "estimates__R": None})
    lost = {"C": {"raw", "denoised"}, "YrA": {"raw"}, "S": {"deconvolved"}, "F_dff": {"dff"}}
    lost |= {"f": {"background"}}
    extractor = CaimanExtractor(path)
    found = {kind for kind, each in extractor.get_traces_dict().items() if each is not None}
    assert found == ALL - lost.get(name, set())
    assert list(extractor.get_images_dict()) == ([] if name == "Cn" else ["correlation"])
    assert len(extractor.get_background_ids()) == 2


@pytest.mark.parametrize("value", NONE, ids=str)
@pytest.mark.parametrize("trace", NONE[:4], ids=str)
def test_no_background_in_any_form(tmp_path, value, trace):
    path = _write(tmp_path)
    edit_hdf5(path, estimates__b=value, estimates__f=trace)
    extractor = CaimanExtractor(path)
    assert extractor.get_background_ids() == []
    assert extractor.get_background_image_masks().shape == (*RECORDING.field_shape, 0)
    is_lost = value is None or trace is None  # CaImAn writes both, if only as None
    expected = (
        pytest.warns(UserWarning, match="has no estimates/[bf]") if is_lost else nullcontext()
    )
    with expected:
        interface = CaimanSegmentationInterface(path)
    tables = interface.create_nwbfile(START).processing["ophys"]
    assert list(tables["ImageSegmentation"].plane_segmentations) == ["PlaneSegmentation"]


@pytest.mark.parametrize(
    "name", ["C", "S", "F_dff", "f", "SNR_comp", "r_values", "cnn_preds", "idx_components"]
)
def test_what_caiman_always_writes_is_missed(tmp_path, name):
    path = _write(tmp_path, accepted=[1])
    CaimanSegmentationInterface(path)
    edit_hdf5(path, **{f"estimates__{name}": None})
    with pytest.warns(UserWarning, match=f"has no estimates/{name}, which CaImAn normally writes"):
        CaimanSegmentationInterface(path)
    # Damage may turn a dataset into a link that leads nowhere, or into a type.
    for other in (h5py.SoftLink("/nowhere"), np.dtype("f8")):
        edit_hdf5(path, **{f"estimates__{name}": other})
        with pytest.raises(CorruptSourceError, match=f"member 'estimates/{name}' cannot be opened"):
            CaimanSegmentationInterface(path)


def test_a_file_of_another_program_misses_nothing(tmp_path):
    path = _write(tmp_path)
    with h5py.File(path, "r+") as file:
        for name in set(file["estimates"]) - {"A", "C", "b", "f"}:
            del file["estimates"][name]
    CaimanSegmentationInterface(path)


def test_a_trace_of_a_background_that_is_not_there(tmp_path):
    path = _write(tmp_path)
    edit_hdf5(path, estimates__b="NoneType")
    extractor = _warned(path, "f is of 2 components, the background's footprints of 0")
    assert extractor.get_traces_dict()["background"] is None


def _as_sparse(path, name, matrix):
    """Replace a dataset by the group that CaImAn writes for a sparse matrix."""
    with h5py.File(path, "a") as file:
        del file[f"estimates/{name}"]
        for part in ("data", "indices", "indptr"):
            file[f"estimates/{name}/{part}"] = getattr(matrix, part)
        file[f"estimates/{name}/shape"] = matrix.shape


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_background_in_a_sparse_matrix(tmp_path, dtype):
    path = _write(tmp_path)
    with h5py.File(path) as file:
        dense = file["estimates/b"][()].astype(dtype)
    dense[dense < np.median(dense)] = 0
    _as_sparse(path, "b", csc_matrix(dense))
    extractor = CaimanExtractor(path)
    images = extractor.get_background_image_masks()
    expected = dense.reshape(*extractor.get_frame_shape(), -1, order="F")
    np.testing.assert_array_equal(images, expected.astype(images.dtype))


@pytest.mark.parametrize("shape", [(3072,), (3072, 1)])
def test_a_background_of_one_component(tmp_path, shape):
    path = _write(tmp_path, num_background_components=1)
    with h5py.File(path) as file:
        footprint, trace = file["estimates/b"][:, 0], file["estimates/f"][0]
    edit_hdf5(path, estimates__b=footprint.reshape(shape), estimates__f=trace)
    extractor = CaimanExtractor(path)
    expected = footprint.reshape(RECORDING.field_shape, order="F")
    np.testing.assert_array_equal(extractor.get_background_image_masks()[..., 0], expected)
    background = np.asarray(extractor.get_traces_dict()["background"])
    np.testing.assert_array_equal(background, trace[:, None])


@pytest.mark.parametrize(
    "values",
    [
        {"estimates__b": np.ones((100, 2))},
        {"estimates__b": None, "estimates__b__data": np.ones(2)},
    ],
    ids=["of another field", "without indices"],
)
def test_a_background_that_does_not_fit_is_left_out(tmp_path, values):
    path = _write(tmp_path)
    edit_hdf5(path, **values)
    extractor = _warned(path, "This is left out.", "f is of 2 components")
    assert extractor.get_num_rois() == 5
    assert extractor.get_background_ids() == []


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i4", "u1", "?"])
def test_components_in_a_dense_matrix(tmp_path, dtype, monkeypatch):
    monkeypatch.setattr("nwb_ophys.formats.caiman.estimates._BLOCK_BYTES", 1000)
    path = _write(tmp_path)
    with h5py.File(path) as file:
        group = file["estimates/A"]
        parts = tuple(group[part][:] for part in ("data", "indices", "indptr"))
        dense = (csc_matrix(parts, shape=group["shape"][:]).toarray() * 10).astype(dtype)
    edit_hdf5(path, estimates__A=dense)
    masks = CaimanExtractor(path).get_roi_image_masks()
    np.testing.assert_array_equal(masks, dense.reshape(*RECORDING.field_shape, -1, order="F"))


def test_components_in_float32_keep_their_precision(tmp_path):
    path = _write(tmp_path)
    with h5py.File(path) as file:
        data = file["estimates/A/data"][:].astype(np.float32)
    edit_hdf5(path, estimates__A__data=data)
    assert CaimanExtractor(path).get_roi_image_masks().dtype == np.float32


@pytest.mark.parametrize("place", ["params/data/dims", "dims", "estimates/dims"])
@pytest.mark.parametrize("elsewhere", [None, b"NoneType", h5py.Empty("i8")], ids=str)
def test_the_field_is_stated_in_one_place(tmp_path, place, elsewhere):
    path = _write(tmp_path)
    places = ("params/data/dims", "dims", "estimates/dims")
    others = {each.replace("/", "__"): elsewhere for each in places if each != place}
    edit_hdf5(path, **others)
    assert CaimanExtractor(path).get_frame_shape() == RECORDING.field_shape
    edit_hdf5(path, **{place.replace("/", "__"): np.array(RECORDING.field_shape, "f8")})
    assert CaimanExtractor(path).get_frame_shape() == RECORDING.field_shape


@pytest.mark.parametrize("value", [*NONE, "unknown", 0, np.nan, -1.0], ids=str)
def test_the_rate_can_be_given(tmp_path, value):
    path = _write(tmp_path)
    edit_hdf5(path, params__data__fr=value)
    with pytest.raises(CorruptSourceError, match=r"Give sampling_frequency, in samples") as caught:
        CaimanSegmentationInterface(path)
    assert f"'{path}'" in str(caught.value)
    interface = CaimanSegmentationInterface(path, sampling_frequency=12.5)
    assert interface.extractor.get_sampling_frequency() == 12.5
    nwbfile = interface.create_nwbfile(START)
    assert nwbfile.processing["ophys"]["Fluorescence"]["RoiResponseSeries"].rate == 12.5


@pytest.mark.parametrize("value", [15, np.float32(15), np.array([15.0]), "15"], ids=repr)
def test_the_rate_in_other_types(tmp_path, value):
    path = _write(tmp_path)
    edit_hdf5(path, params__data__fr=value)
    assert CaimanExtractor(path).get_sampling_frequency() == 15
    with pytest.warns(
        UserWarning, match=r"states 15 Hz \(params/data/fr\); the given 10 Hz are used"
    ):
        assert CaimanExtractor(path, 10).get_sampling_frequency() == 10


def test_the_rate_in_an_attribute(tmp_path):
    path = _write(tmp_path)
    edit_hdf5(path, params__data__fr=None)
    with h5py.File(path, "a") as file:
        file["params/data"].attrs["fr"] = 15.0
    assert CaimanExtractor(path).get_sampling_frequency() == 15


def test_names_of_the_movie(tmp_path):
    path = _write(tmp_path)
    assert CaimanSegmentationInterface.movie_files(path) == ["recording.tif"]
    edit_hdf5(path, params__data__fnames=np.array([b"/a/b_1.tif", b"C:\\data\\b_2.tif"]))
    assert CaimanSegmentationInterface.movie_files(path) == ["b_1.tif", "b_2.tif"]
    for value in NONE:
        edit_hdf5(path, params__data__fnames=value)
        assert CaimanSegmentationInterface.movie_files(path) == []
    path.write_bytes(path.read_bytes()[:2000])
    assert CaimanSegmentationInterface.movie_files(path) == ()


# --- evaluation and curation ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"idx_components": [7]}, "idx_components names the component 7, the masks are of 5"),
        ({"idx_components": [-1]}, "idx_components names the component -1, the masks are of 5"),
        ({"idx_components": [0.5]}, "idx_components has values that are no whole numbers"),
        ({"idx_components": [0, np.nan]}, "idx_components has values that are no whole numbers"),
        ({"idx_components": [1, 0, 1, 0, 0]}, "idx_components names a component twice"),
        ({"idx_components_bad": [5]}, "so that idx_components may be of other components as well"),
        ({"SNR_comp": np.ones(8)}, "SNR_comp is of 8 components, the masks of 5"),
        ({"r_values": np.ones(2)}, "r_values is of 2 components, the masks of 5"),
        ({"cnn_preds": np.ones(4)}, "cnn_preds is of 4 components, the masks of 5"),
        ({"Cn": np.ones((64, 48))}, "the image Cn has the shape (64, 48), the field (48, 64)"),
        ({"W/data": np.ones(3)}, "W holds the weights of the background's ring model"),
        ({"b0": np.ones(7)}, "b0 has 7 pixels, the field 3072"),
        ({"idx_components_bad": [0, 1, 3]}, "both name the component 1, which count as accepted"),
        ({"discarded_components/C": 1}, "discarded_components holds components that a selection"),
        (
            {"SNR_comp": np.full(5, b"high"), "Cn": np.ones((48, 64), complex)},
            "SNR_comp, Cn hold other values than real numbers",
        ),
    ],
    ids=_shapes,
)
def test_other_values_that_do_not_fit_are_left_out(tmp_path, values, message):
    path = _write(tmp_path, accepted=[1])
    edit_hdf5(path, estimates__discarded_components=None, estimates__W=None)
    edit_hdf5(path, **{f"estimates__{name}": value for name, value in values.items()})
    extractor = _warned(path, message, "This is left out.")
    assert set(_traces_in(extractor)) == ALL


def _traces_in(extractor):
    return [name for name, each in extractor.get_traces_dict().items() if each is not None]


def test_decisions_by_hand_win_over_the_evaluation(tmp_path):
    path = _write(tmp_path, accepted=[0, 1])
    edit_hdf5(path, estimates__accepted_list=[1, 3], estimates__rejected_list=[0])
    extractor = CaimanExtractor(path)
    assert extractor.get_property("is_accepted", range(5)).tolist() == [0, 1, 0, 1, 0]
    assert "is_rejected" not in extractor.get_property_keys()
    words = ["rejected", "accepted", "unassigned", "accepted", "unassigned"]
    assert extractor.get_property("curation", range(5)).tolist() == words


def test_decisions_by_hand_without_an_evaluation(tmp_path):
    path = _write(tmp_path)
    edit_hdf5(
        path, estimates__accepted_list=np.array([1.0, 3.0]), estimates__rejected_list=np.zeros(0)
    )
    edit_hdf5(path, estimates__rejected_list=np.array([4]))
    nwbfile = CaimanSegmentationInterface(path).create_nwbfile(START)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
    assert table["Accepted"].data[:].tolist() == [0, 1, 0, 1, 0]
    assert table["Rejected"].data[:].tolist() == [0, 0, 0, 0, 1]
    words = ["unassigned", "accepted", "unassigned", "accepted", "rejected"]
    assert list(table["curation"].data) == words


def test_a_list_of_other_components_makes_the_other_one_doubtful(tmp_path):
    """Lists that count from 1 show it in one of the two only."""
    path = _write(tmp_path, accepted=[0, 1])
    edit_hdf5(path, estimates__idx_components=[1, 2], estimates__idx_components_bad=[3, 4, 5])
    extractor = _warned(path, "idx_components_bad names the component 5, the masks are of 5")
    assert "is_accepted" not in extractor.get_property_keys()


def test_components_in_neither_list_of_the_evaluation_are_undecided(tmp_path):
    """Components that a person added are in neither list."""
    path = _write(tmp_path, accepted=[0, 1])
    edit_hdf5(path, estimates__idx_components_bad=[2, 3])
    extractor = CaimanExtractor(path)
    assert extractor.get_property("is_accepted", range(5)).tolist() == [1, 1, 0, 0, 0]
    assert extractor.get_property("is_rejected", range(5)).tolist() == [0, 0, 1, 1, 0]


def test_the_baseline_of_the_ring_model_is_an_image(tmp_path):
    path = _write(tmp_path)
    rows, columns = RECORDING.field_shape
    values = np.arange(rows * columns, dtype=float)
    edit_hdf5(path, estimates__b0=values)
    interface = CaimanSegmentationInterface(path)
    found = interface.extractor.get_images_dict()["baseline"]
    np.testing.assert_array_equal(found, values.reshape(rows, columns, order="F"))
    nwbfile = interface.create_nwbfile(START)
    image = nwbfile.processing["ophys"]["SegmentationImages"]["baseline"]
    assert image.description.startswith("Constant baseline of each pixel")


def test_predictions_in_a_column(tmp_path):
    path = _write(tmp_path, accepted=[1])
    values = np.linspace(0, 1, 5)
    edit_hdf5(path, estimates__cnn_preds=values[:, None])
    np.testing.assert_array_equal(CaimanExtractor(path).get_property("cnn_preds", range(5)), values)


def test_arrays_that_others_added_are_named(tmp_path):
    """Fault: they were left out without a word."""
    path = _write(tmp_path)
    edit_hdf5(
        path,
        estimates__my_events=np.ones((5, 20)),
        estimates__noisyC=np.ones((7, 20)),  # of CaImAn's online algorithm
        estimates__setting=np.ones(2),
    )
    with pytest.warns(UserWarning, match="also has 'estimates/my_events', which is not read from"):
        CaimanSegmentationInterface(path)


def test_the_model_of_each_trace_is_read(data_folder, tmp_path):
    """Fault: it was left out; CaImAn stores numbers of a list as texts."""
    for path in (data_folder / "caiman/caiman_analysis.hdf5", _write(tmp_path)):
        extractor = CaimanExtractor(path)
        ids = extractor.get_roi_ids()
        with h5py.File(path) as file:
            for key, name in zip(MODEL, ("bl", "neurons_sn", "g", "c1", "lam"), strict=True):
                stored = file[f"estimates/{name}"][()].astype(float).reshape(len(ids))
                assert extractor.get_property(key, ids).tolist() == stored.tolist()


def test_the_model_of_some_traces_alone(tmp_path):
    texts = np.array([b"1.5", b"None", b"-2", b"0", b"1e3"], "S32")
    second = np.arange(10.0).reshape(5, 2)
    path = _write(tmp_path)
    edit_hdf5(path, estimates__bl=texts, estimates__g=second, estimates__c1=None)
    edit_hdf5(path, estimates__lam=np.array([b"a"] * 5), estimates__neurons_sn=np.ones(4))
    with pytest.warns(UserWarning, match="neurons_sn is of 4 components.*; lam hold other values"):
        extractor = CaimanExtractor(path)
    assert extractor.get_property_keys() == ["trace_baseline", "trace_g"]
    found = extractor.get_property("trace_baseline", range(5))
    np.testing.assert_array_equal(found, [1.5, np.nan, -2, 0, 1000])
    np.testing.assert_array_equal(extractor.get_property("trace_g", range(5)), second)


def test_eccentricities_are_a_column_and_shifts_are_named(tmp_path):
    """Fault: both were left out without a word."""
    path = _write(tmp_path)
    edit_hdf5(path, estimates__ecc=np.arange(5.0), estimates__shifts=np.ones((20, 2)))
    with pytest.warns(UserWarning, match="shifts holds those of CaImAn's motion correction"):
        extractor = CaimanExtractor(path)
    assert extractor.get_property("eccentricity", [4, 0]).tolist() == [4.0, 0.0]


def test_a_pixel_that_a_column_names_twice_has_the_sum(tmp_path):
    """Fault: images had one of both weights, lists of pixels both."""
    path = _write(tmp_path, accepted=[0])
    with h5py.File(path, "a") as file:
        matrix = {name: file[f"estimates/A/{name}"][()] for name in ("data", "indices", "indptr")}
        matrix["indices"] = np.insert(matrix["indices"], 0, matrix["indices"][0])
        matrix["data"] = np.insert(matrix["data"], 0, 0.25)
        matrix["indptr"][1:] += 1
        for name, values in matrix.items():
            del file[f"estimates/A/{name}"]
            file[f"estimates/A/{name}"] = values
    extractor = CaimanExtractor(path)
    (pixels,), images = extractor.get_roi_pixel_masks([0]), extractor.get_roi_image_masks([0])
    assert len({(row, column) for row, column, _ in pixels}) == len(pixels)
    assert images.sum() == pytest.approx(RECORDING.image_masks()[0].sum() + 0.25, rel=1e-6)
