import numpy as np
import pytest
from roiextractors import Suite2pSegmentationExtractor
from scipy.stats import skew

from nwb_ophys.testing import simulate_recording, write_suite2p

CROP = ((1, 47), (0, 60))


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(num_samples=40)


@pytest.fixture(scope="module")
def other():
    return simulate_recording(num_samples=40, num_cells=4, seed=1)


def load(plane_folder, name):
    values = np.load(plane_folder / f"{name}.npy", allow_pickle=True)
    return values.item() if values.shape == () else values


def test_files_of_one_plane(tmp_path, recording):
    folder = write_suite2p(tmp_path, recording)
    assert folder == tmp_path / "suite2p"
    assert [path.name for path in folder.iterdir()] == ["plane0"]
    plane = folder / "plane0"
    names = ["F.npy", "Fneu.npy", "iscell.npy", "ops.npy", "spks.npy", "stat.npy"]
    assert sorted(path.name for path in plane.iterdir()) == names
    for name, traces in (
        ("F", recording.fluorescence),
        ("Fneu", recording.neuropil),
        ("spks", recording.spikes),
    ):
        assert load(plane, name).dtype == np.float32
        assert np.array_equal(load(plane, name), traces.T)
    assert np.array_equal(load(plane, "iscell"), [[1, 0.9]] * 6)


def test_pixels(tmp_path, recording):
    stat = load(write_suite2p(tmp_path, recording) / "plane0", "stat")
    assert stat.dtype == object
    traces = (recording.fluorescence - 0.7 * recording.neuropil).T
    for roi, pixels, trace in zip(stat, recording.pixel_masks, traces, strict=True):
        assert np.array_equal(np.column_stack([roi["ypix"], roi["xpix"], roi["lam"]]), pixels)
        assert roi["npix"] == len(pixels) == len(roi["overlap"])
        assert roi["med"] in np.column_stack([roi["ypix"], roi["xpix"]]).tolist()
        assert 2 < roi["radius"] < 8
        assert 1 <= roi["aspect_ratio"] < 2
        assert roi["std"] == pytest.approx(trace.std(), rel=1e-4)
        assert roi["skew"] == pytest.approx(skew(trace), rel=1e-3)
    assert np.mean([roi["npix_norm"] for roi in stat]) == pytest.approx(1)


def test_ops(tmp_path, recording):
    ops = load(write_suite2p(tmp_path, recording) / "plane0", "ops")
    assert (ops["fs"], ops["nframes"], ops["Ly"], ops["Lx"]) == (30.0, 40, 48, 64)
    assert (ops["nplanes"], ops["nchannels"]) == (1, 1)
    assert (ops["yrange"], ops["xrange"]) == ([0, 48], [0, 64])
    assert np.array_equal(ops["meanImg"], recording.mean_image())
    assert np.array_equal(ops["Vcorr"], recording.correlation_image())
    assert np.array_equal(ops["max_proj"], recording.maximum_image())
    assert "meanImg_chan2" not in ops


def test_crop(tmp_path, recording):
    ops = load(write_suite2p(tmp_path, recording, crop=CROP) / "plane0", "ops")
    assert (ops["yrange"], ops["xrange"]) == ([1, 47], [0, 60])
    assert (ops["Lyc"], ops["Lxc"]) == (46, 60)
    assert ops["meanImg"].shape == (48, 64)
    assert np.array_equal(ops["Vcorr"], recording.correlation_image()[1:47, :60])
    assert np.array_equal(ops["max_proj"], recording.maximum_image()[1:47, :60])


def test_planes_and_cells(tmp_path, recording, other):
    iscell = [[True, False, True, True, False, True], [False, True, True, True]]
    folder = write_suite2p(tmp_path, [recording, other], iscell=iscell)
    for index, plane in enumerate([recording, other]):
        extractor = Suite2pSegmentationExtractor(folder, plane_name=f"plane{index}")
        assert extractor.get_num_rois() == plane.num_cells
        assert extractor.get_sampling_frequency() == 30.0
        assert extractor.get_frame_shape() == (48, 64)
        for name, traces in (
            ("raw", plane.fluorescence),
            ("neuropil", plane.neuropil),
            ("deconvolved", plane.spikes),
        ):
            assert np.array_equal(extractor.get_traces(name=name), traces)
        assert np.array_equal(
            extractor.get_property("iscell", extractor.get_roi_ids()), iscell[index]
        )
        for pixels, expected in zip(
            extractor.get_roi_pixel_masks(), plane.pixel_masks, strict=True
        ):
            assert np.array_equal(pixels, expected)
        masks = np.moveaxis(extractor.get_roi_image_masks(), 2, 0)
        assert np.array_equal(masks, plane.image_masks())
        images = extractor.get_images_dict()
        assert np.array_equal(images["mean"], plane.mean_image())
        assert np.array_equal(images["correlation"], plane.correlation_image())


def test_second_channel(tmp_path, recording, other):
    folder = write_suite2p(tmp_path, [recording, other], second_channel=True)
    assert Suite2pSegmentationExtractor.get_available_channels(folder) == ["chan1", "chan2"]
    plane = folder / "plane0"
    label = np.array([60, 0, 60, 0, 60, 0])
    expected = label + 0.1 * recording.fluorescence
    assert np.allclose(load(plane, "F_chan2").T, expected)
    assert np.allclose(load(plane, "Fneu_chan2").T, 0.1 * recording.neuropil)
    assert load(plane, "F_chan2").dtype == load(plane, "Fneu_chan2").dtype == np.float32
    assert np.array_equal(load(plane, "redcell"), [[1, 0.8], [0, 0.2]] * 3)
    ops = load(plane, "ops")
    assert (ops["nplanes"], ops["nchannels"]) == (2, 2)
    excess = ops["meanImg_chan2"] - 0.1 * recording.mean_image()
    assert np.allclose(excess, 60 * recording.image_masks()[::2].sum(axis=0), atol=1e-3)
    extractor = Suite2pSegmentationExtractor(folder, channel_name="chan2", plane_name="plane0")
    assert np.allclose(extractor.get_traces(name="raw"), expected)
    assert np.array_equal(extractor.get_images_dict()["mean"], ops["meanImg_chan2"])


def test_no_cells(tmp_path):
    plane = write_suite2p(tmp_path, simulate_recording(num_samples=5, num_cells=0)) / "plane0"
    assert load(plane, "F").shape == (0, 5)
    assert load(plane, "iscell").shape == (0, 2)
    assert load(plane, "stat").shape == (0,)


def test_a_volume_is_not_a_plane(tmp_path):
    volume = simulate_recording(num_samples=5, num_planes=2)
    with pytest.raises(ValueError, match="one recording per plane"):
        write_suite2p(tmp_path, volume)


@pytest.mark.parametrize("iscell", [[], [[True]], [[True] * 6, [True] * 6]])
def test_iscell_of_another_length(tmp_path, recording, iscell):
    with pytest.raises(ValueError, match=r"the planes have \[6\] cells"):
        write_suite2p(tmp_path, recording, iscell=iscell)


def test_a_cell_reaches_out_of_the_crop(tmp_path, recording):
    with pytest.raises(ValueError, match="a cell extends beyond it"):
        write_suite2p(tmp_path, recording, crop=((0, 48), (20, 30)))
    assert not list(tmp_path.iterdir())


def test_movie(tmp_path, recording, other):
    offsets = np.arange(80).reshape(40, 2)
    planes = [recording, simulate_recording(num_samples=40, dtype="uint16", num_cells=4)]
    folder = write_suite2p(tmp_path, planes, movie=True, rois=False, offsets=offsets)
    for index, plane in enumerate(planes):
        names = ["data.bin", "ops.npy"]
        assert sorted(path.name for path in (folder / f"plane{index}").iterdir()) == names
        raw = np.fromfile(folder / f"plane{index}" / "data.bin", "<i2").reshape(40, 48, 64)
        # What has 16 bits without a sign does not fit into 15: Suite2p halves it.
        assert np.array_equal(raw, plane.movie // (1 + index))
        ops = load(folder / f"plane{index}", "ops")
        assert np.array_equal(ops["yoff"], offsets[:, 0])
        assert np.array_equal(ops["xoff"], offsets[:, 1])
        assert sum(ops["frames_per_file"]) == 40


def test_movie_of_a_second_channel(tmp_path, recording):
    plane = write_suite2p(tmp_path, recording, movie=True, second_channel=True) / "plane0"
    raw = np.fromfile(plane / "data_chan2.bin", "<i2").reshape(40, 48, 64)
    np.testing.assert_allclose(raw.mean(axis=0), load(plane, "ops")["meanImg_chan2"], atol=1)
