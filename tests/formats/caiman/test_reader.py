"""Tests of CaImAn's output against the written data, and of errors that name the damage."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from roiextractors import CaimanSegmentationExtractor
from scipy.sparse import csc_matrix

import nwb_ophys
from nwb_ophys import CaimanSegmentationInterface
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.caiman.reader import CaimanExtractor
from nwb_ophys.testing import simulate_recording, write_caiman

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=7.5)


def _write(folder, **options):
    return write_caiman(folder / "estimates.hdf5", RECORDING, **options)


def _edit(path, **values):
    """Replace datasets; None takes them out."""
    with h5py.File(path, "r+") as file:
        for name, value in values.items():
            name = name.replace("__", "/")
            if name in file:
                del file[name]
            if value is not None:
                file[name] = value


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
    assert CaimanExtractor(path).get_property_keys() == []
    _edit(path, estimates__idx_components=None, estimates__idx_components_bad=None)
    assert CaimanExtractor(path).get_property_keys() == []
    empty = np.zeros(0)
    _edit(path, estimates__idx_components=empty, estimates__idx_components_bad=empty)
    assert CaimanExtractor(path).get_property_keys() == []


def test_only_one_of_the_lists_is_enough(tmp_path):
    path = _write(tmp_path, accepted=[1, 4])
    _edit(path, estimates__idx_components_bad=None)
    flags = CaimanExtractor(path).get_property("is_accepted", range(5))
    assert flags.tolist() == [False, True, False, False, True]


def test_an_evaluation_without_the_network_says_nothing_of_it(tmp_path):
    extractor = CaimanExtractor(_write(tmp_path, accepted=[1], cnn_predictions=False))
    assert extractor.get_property_keys() == ["is_accepted", "snr", "r_values"]


def test_no_background_is_none(tmp_path):
    extractor = CaimanExtractor(_write(tmp_path, num_background_components=0))
    assert extractor.get_background_ids() == []
    assert extractor.get_traces_dict()["background"] is None


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
    extractor.__del__()
    with h5py.File(path, "a") as file:
        del file["estimates/YrA"]
        file["estimates/YrA"] = np.zeros((1, 7))
    with pytest.raises(CorruptSourceError, match=r"traces of shapes .* cannot be added"):
        CaimanExtractor(path)


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


def test_a_name_that_is_damaged(tmp_path):
    """Fault: a UnicodeDecodeError of h5py's ended detection, and opening."""
    path = _write(tmp_path)
    content = path.read_bytes()
    assert content.count(b"estimates\0") == 1
    path.write_bytes(content.replace(b"estimates\0", b"esti\x97ates\0"))
    assert nwb_ophys.detect(path) == []
    with pytest.warns(UserWarning, match="No format with this ending recognises .*: cut off"):
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
    _edit(path, params__data__dims=dims)
    with pytest.raises(CorruptSourceError, match="params/data/dims must hold rows and columns"):
        CaimanExtractor(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"estimates__A__data": None}, "has no estimates/A/data"),
        ({"params__data__dims": None}, "has no params/data/dims"),
        ({"params__data__fr": None}, "has no params/data/fr"),
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
        ({"estimates__C": np.ones((4, 20))}, "cannot be read|components"),
        (
            {"estimates__C": np.ones((4, 20)), "estimates__YrA": np.ones((4, 20))},
            "raw traces are of 4 components, the masks of 5",
        ),
        ({"estimates__S": np.ones((5, 19))}, "deconvolved traces have 19 samples"),
        ({"estimates__f": np.ones((2, 21))}, "background traces have 21 samples"),
        ({"estimates__Cn": np.ones((64, 48))}, "correlation image has the shape"),
        ({"estimates__idx_components": [7]}, "cannot be read"),
        ({"estimates__idx_components": ["x"]}, "cannot be read"),
        ({"estimates__C": None, "estimates": None}, "has no estimates"),
    ],
    ids=str,
)
def test_what_is_wrong_within_a_file_is_named_with_its_path(tmp_path, values, message):
    path = _write(tmp_path, accepted=[1])
    _edit(path, **values)
    with pytest.raises(CorruptSourceError, match=message) as caught:
        CaimanExtractor(path)
    assert f"'{path}'" in str(caught.value)


# --- files that CaImAn itself loads -------------------------------------------------------------


@pytest.mark.parametrize("field", ["F_dff", "S"])
def test_traces_of_former_components_are_left_out(tmp_path, field):
    """Fault: after a merge by hand, F_dff of the former components made the file damaged."""
    path = _write(tmp_path)
    whole = {
        name for name, each in CaimanExtractor(path).get_traces_dict().items() if each is not None
    }
    with h5py.File(path) as file:
        traces = file[f"estimates/{field}"][()]
    _edit(path, **{f"estimates__{field}": np.vstack([traces, traces[:3]])})
    words = f"{field} is of {len(traces) + 3} components, the masks of {len(traces)}. These traces"
    with pytest.warns(UserWarning, match=words):
        extractor = CaimanExtractor(path)
    found = {name for name, each in extractor.get_traces_dict().items() if each is not None}
    assert found == whole - {"dff" if field == "F_dff" else "deconvolved"}


def test_a_background_in_a_sparse_matrix(tmp_path):
    path = _write(tmp_path)
    with h5py.File(path, "a") as file:
        dense = file["estimates/b"][()]
        sparse = csc_matrix(dense)
        del file["estimates/b"]
        for name in ("data", "indices", "indptr"):
            file[f"estimates/b/{name}"] = getattr(sparse, name)
        file["estimates/b/shape"] = sparse.shape
    extractor = CaimanExtractor(path)
    images = extractor.get_background_image_masks()
    expected = dense.reshape(*extractor.get_frame_shape(), -1, order="F")
    np.testing.assert_array_equal(images, expected.astype(images.dtype))


@pytest.mark.parametrize("place", ["dims", "estimates/dims"])
def test_the_field_is_stated_elsewhere(tmp_path, place):
    path = _write(tmp_path)
    with h5py.File(path, "a") as file:
        dims = file["params/data/dims"][()]
        for each in ("params/data/dims", "dims", "estimates/dims"):
            if each in file:
                del file[each]
        file["params/data/dims"] = b"NoneType"
        file[place] = dims
    assert CaimanExtractor(path).get_frame_shape() == tuple(dims)
