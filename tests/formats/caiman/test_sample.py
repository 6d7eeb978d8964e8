import h5py
import numpy as np
import pytest
from roiextractors import CaimanSegmentationExtractor
from scipy.sparse import csc_matrix

from nwb_ophys.testing import simulate_recording, write_caiman


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(num_samples=40)


def read_masks(file):
    group = file["estimates/A"]
    matrix = csc_matrix(
        (group["data"][:], group["indices"][:], group["indptr"][:]), shape=group["shape"][:]
    )
    assert matrix.has_sorted_indices
    shape = (*file["estimates/dims"][:], -1)
    return np.moveaxis(matrix.toarray().reshape(shape, order="F"), -1, 0)


@pytest.mark.parametrize("num_planes", [1, 3])
def test_masks(tmp_path, num_planes):
    recording = simulate_recording(num_samples=10, num_planes=num_planes)
    path = write_caiman(tmp_path / "a.hdf5", recording)
    assert path == tmp_path / "a.hdf5"
    with h5py.File(path) as file:
        assert np.array_equal(read_masks(file), recording.image_masks())
        assert tuple(file["params/data/dims"][:]) == recording.field_shape
        assert np.array_equal(file["estimates/Cn"][:], recording.correlation_image())
        # The centre lies in the box of the cell.
        for center, pixels in zip(file["estimates/center"][:], recording.pixel_masks, strict=True):
            assert (center >= pixels[:, :-1].min(axis=0)).all()
            assert (center <= pixels[:, :-1].max(axis=0)).all()


def test_traces(tmp_path, recording):
    with h5py.File(write_caiman(str(tmp_path / "a.hdf5"), recording)) as file:
        estimates = file["estimates"]
        assert np.array_equal(estimates["C"][:].T, recording.calcium)
        assert np.array_equal(estimates["S"][:].T, recording.spikes)
        assert np.allclose((estimates["C"][:] + estimates["YrA"][:]).T, recording.fluorescence)
        fluorescence = recording.fluorescence.astype(float)
        baseline = np.percentile(fluorescence, 8, axis=0)
        assert np.allclose(estimates["F_dff"][:].T, fluorescence / baseline - 1)
        assert np.allclose(estimates["bl"][:].astype(float), baseline)
        assert estimates["bl"].dtype == "S32"
        assert np.allclose(estimates["g"][:], np.exp(-1 / 21))
        assert estimates["nr"][()] == 6
        assert file["params/data/fr"][()] == 30.0
        assert file["params/init/nb"][()] == 2


@pytest.mark.parametrize("num_components", [1, 2, 3])
def test_background(tmp_path, recording, num_components):
    path = write_caiman(tmp_path / "a.hdf5", recording, num_background_components=num_components)
    with h5py.File(path) as file:
        b, f = file["estimates/b"][:], file["estimates/f"][:]
    assert b.shape == (48 * 64, num_components)
    assert f.shape == (num_components, 40)
    assert np.allclose(np.linalg.norm(b, axis=0), 1)
    first = b[:, 0].reshape(48, 64, order="F")
    assert np.corrcoef(first.ravel(), recording.mean_image().ravel())[0, 1] == pytest.approx(1)
    assert np.linalg.matrix_rank(b) == num_components


def test_no_background(tmp_path, recording):
    path = write_caiman(tmp_path / "a.hdf5", recording, num_background_components=0)
    with h5py.File(path) as file:
        assert file["estimates/b"][()] == file["estimates/f"][()] == b"NoneType"
    extractor = CaimanSegmentationExtractor(path)
    assert extractor.get_traces_dict().get("background") is None
    assert extractor.get_num_rois() == 6


def test_roiextractors_reads_it(tmp_path, recording):
    path = write_caiman(tmp_path / "a.hdf5", recording, accepted=[0, 3, 4])
    extractor = CaimanSegmentationExtractor(path)
    assert extractor.get_sampling_frequency() == 30.0
    assert tuple(extractor.get_frame_shape()) == (48, 64)
    ids = extractor.get_roi_ids()[:6]
    masks = np.moveaxis(extractor.get_roi_image_masks(roi_ids=ids), 2, 0)
    assert np.array_equal(masks, recording.image_masks())
    assert np.allclose(extractor.get_traces(name="raw"), recording.fluorescence)
    assert np.array_equal(extractor.get_traces(name="denoised"), recording.calcium)
    assert np.array_equal(extractor.get_traces(name="deconvolved"), recording.spikes)
    is_accepted = np.isin(np.arange(6), [0, 3, 4])
    assert np.array_equal(extractor.get_property("is_accepted", ids), is_accepted)
    assert np.array_equal(extractor.get_property("snr", ids) > 3, is_accepted)
    assert np.array_equal(extractor.get_property("r_values", ids) > 0.8, is_accepted)
    assert np.array_equal(extractor.get_property("cnn_preds", ids) > 0.5, is_accepted)
    assert np.array_equal(extractor.get_images_dict()["correlation"], recording.correlation_image())


def test_evaluation(tmp_path, recording):
    path = write_caiman(tmp_path / "a.hdf5", recording, accepted=[5, 1], cnn_predictions=False)
    with h5py.File(path) as file:
        estimates = file["estimates"]
        assert estimates["idx_components"][:].tolist() == [1, 5]
        assert estimates["idx_components_bad"][:].tolist() == [0, 2, 3, 4]
        assert len(set(estimates["SNR_comp"][:])) == len(set(estimates["r_values"][:])) == 6
        assert estimates["cnn_preds"].shape == (0,)


def test_none_accepted(tmp_path, recording):
    path = write_caiman(tmp_path / "a.hdf5", recording, accepted=[])
    with h5py.File(path) as file:
        assert file["estimates/idx_components"].shape == (0,)
        assert file["estimates/idx_components_bad"].shape == (6,)


def test_no_evaluation(tmp_path, recording):
    with h5py.File(write_caiman(tmp_path / "a.hdf5", recording)) as file:
        for name in ("idx_components", "idx_components_bad", "SNR_comp", "r_values", "cnn_preds"):
            assert file["estimates"][name][()] == b"NoneType"


def test_no_cells(tmp_path):
    recording = simulate_recording(num_samples=5, num_cells=0)
    with h5py.File(write_caiman(tmp_path / "a.hdf5", recording, accepted=[])) as file:
        assert file["estimates/A/shape"][:].tolist() == [48 * 64, 0]
        assert file["estimates/C"].shape == (0, 5)


@pytest.mark.parametrize("accepted", [[6], [-1]])
def test_no_such_cell(tmp_path, recording, accepted):
    with pytest.raises(ValueError, match="the cells are 0 to 5"):
        write_caiman(tmp_path / "a.hdf5", recording, accepted=accepted)


def test_an_existing_file_is_overwritten(tmp_path, recording):
    write_caiman(tmp_path / "a.hdf5", recording, accepted=[1])
    with h5py.File(write_caiman(tmp_path / "a.hdf5", recording)) as file:
        assert file["estimates/idx_components"][()] == b"NoneType"


@pytest.mark.parametrize("real", ["caiman_analysis.hdf5", "v1.12.1_neurofinder_crop.hdf5"])
def test_fields_are_those_of_real_files(tmp_path, data_folder, recording, real):
    path = write_caiman(tmp_path / "a.hdf5", recording, accepted=[1])
    with h5py.File(data_folder / "caiman" / real) as theirs, h5py.File(path) as ours:
        missing = set(theirs["estimates"]) - set(ours["estimates"])
        assert not missing
        for name in ("C", "F_dff", "S", "YrA", "b", "f", "A/data", "g"):
            their_values, our_values = theirs["estimates"][name], ours["estimates"][name]
            assert their_values.dtype == our_values.dtype
            assert their_values.ndim == our_values.ndim
        assert theirs["estimates/bl"].dtype == ours["estimates/bl"].dtype
        assert theirs["estimates/A/indices"].dtype == ours["estimates/A/indices"].dtype
