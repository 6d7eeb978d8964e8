import numpy as np
import pytest

from nwb_ophys.simulation.recording import mask_index
from nwb_ophys.testing import simulate_recording

SIZES = {"num_samples": 80, "num_rows": 40, "num_columns": 56, "num_cells": 5}


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(**SIZES)


@pytest.fixture(scope="module")
def volume():
    return simulate_recording(**SIZES, num_planes=3)


def test_shapes_and_types(recording):
    assert recording.movie.shape == (80, 40, 56)
    assert recording.movie.dtype == np.int16
    assert (recording.num_samples, recording.num_cells) == (80, 5)
    assert recording.field_shape == (40, 56)
    for traces in (recording.fluorescence, recording.neuropil, recording.calcium, recording.spikes):
        assert traces.shape == (80, 5)
    assert np.array_equal(recording.timestamps, np.arange(80) / 30.0)


def test_volume_shapes(volume):
    assert volume.movie.shape == (80, 40, 56, 3)
    assert all(pixels.shape[1] == 4 for pixels in volume.pixel_masks)
    assert volume.image_masks().shape == (5, 40, 56, 3)
    # The first cell reaches into the next plane, with half its weight.
    first = volume.image_masks()[0]
    assert np.array_equal(first[..., 1], first[..., 0] / 2)
    assert first[..., 0].max() == 1
    assert not first[..., 2].any()


@pytest.mark.parametrize("num_planes", [1, 2])
def test_same_seed_same_recording(num_planes):
    one, same, other = (
        simulate_recording(**SIZES, num_planes=num_planes, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(one.movie, same.movie)
    assert np.array_equal(one.fluorescence, same.fluorescence)
    assert not np.array_equal(one.movie, other.movie)


@pytest.mark.parametrize("name", ["recording", "volume"])
def test_no_pixel_belongs_to_two_cells(name, request):
    masks = request.getfixturevalue(name).image_masks()
    assert (np.count_nonzero(masks, axis=0) <= 1).all()
    assert (np.count_nonzero(masks.reshape(5, -1), axis=1) >= 16).all()


def test_cells_have_no_symmetry(recording):
    for pixels in recording.pixel_masks:
        row, column = mask_index(pixels)
        box = np.zeros((9, 9))
        box[row - row.min(), column - column.min()] = pixels[:, 2]
        box = box[: np.ptp(row) + 1, : np.ptp(column) + 1] > 0
        turned = [np.rot90(image, turns) for image in (box, box.T) for turns in range(4)]
        same = [image.shape == box.shape and bool((image == box).all()) for image in turned]
        assert same.count(True) == 1


def test_weights_are_exact_in_float32(recording):
    for pixels in recording.pixel_masks:
        weights = pixels[:, 2]
        assert np.array_equal(weights, weights.astype(np.float32))
        assert ((weights > 0) & (weights <= 1)).all()


def test_every_cell_spikes_and_its_calcium_decays(recording):
    assert (recording.spikes.sum(axis=0) >= 1).all()
    silent = recording.spikes[1:] == 0
    decayed = recording.calcium[:-1] * np.exp(-1 / (0.7 * 30.0))
    assert np.allclose(recording.calcium[1:][silent], decayed[silent])
    rise = recording.calcium[1:] - decayed
    assert np.allclose(rise, 300 * recording.spikes[1:])


@pytest.mark.parametrize("name", ["recording", "volume"])
def test_fluorescence_is_the_weighted_mean_of_the_movie(name, request):
    recording = request.getfixturevalue(name)
    masks = recording.image_masks().reshape(5, -1)
    movie = recording.movie.reshape(80, -1).astype(float)
    expected = movie @ masks.T / masks.sum(axis=1)
    assert np.allclose(recording.fluorescence, expected)


@pytest.mark.parametrize("name", ["recording", "volume"])
def test_cells_shine_and_neuropil_does_not(name, request):
    recording = request.getfixturevalue(name)
    for cell in range(5):
        calcium = recording.calcium[:, cell]
        assert np.corrcoef(calcium, recording.fluorescence[:, cell])[0, 1] > 0.9
        assert np.corrcoef(calcium, recording.neuropil[:, cell])[0, 1] < 0.7


def test_field_is_brighter_towards_larger_rows_and_columns(recording):
    image = recording.mean_image()
    assert image[30:].mean() > image[:10].mean() + 50
    assert image[:, 40:].mean() > image[:, :10].mean() + 20


def test_images(recording):
    assert np.allclose(recording.mean_image(), recording.movie.mean(axis=0))
    assert np.array_equal(recording.maximum_image(), recording.movie.max(axis=0))
    correlation = recording.correlation_image()
    below = np.corrcoef(recording.movie[:, 5, 7], recording.movie[:, 6, 7])[0, 1]
    right = np.corrcoef(recording.movie[:, 5, 7], recording.movie[:, 5, 8])[0, 1]
    assert correlation[5, 7] == pytest.approx((below + right) / 2)
    cells = recording.image_masks().any(axis=0)
    assert correlation[cells].mean() > correlation[~cells].mean() + 0.1


def test_correlation_of_a_still_movie_is_zero(recording):
    from attrs import evolve

    still = evolve(recording, movie=np.ones_like(recording.movie))
    assert not still.correlation_image().any()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32"])
def test_other_types(dtype):
    recording = simulate_recording(**SIZES, dtype=dtype)
    assert recording.movie.dtype == dtype
    assert recording.movie.min() >= 0
    assert 10 < recording.movie.mean() < np.iinfo(dtype).max / 2


def test_no_cells():
    recording = simulate_recording(num_samples=4, num_cells=0)
    assert recording.fluorescence.shape == (4, 0)
    assert recording.pixel_masks == []
    assert recording.image_masks().shape == (0, 48, 64)


def test_too_many_cells():
    with pytest.raises(ValueError, match="20 rows and 20 columns holds 2 cells"):
        simulate_recording(num_rows=20, num_columns=20, num_cells=3)


def test_only_integers():
    with pytest.raises(ValueError, match="float32, but counts are integers"):
        simulate_recording(dtype="float32")
