"""Masks as NWB orients them: x is the column, y the row."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.extractors.caiman import MendedCaimanExtractor
from nwb_ophys.extractors.masks import (
    ImageMasks,
    image_centroids,
    pixel_centroids,
    pixel_masks,
)
from nwb_ophys.extractors.suite2p import MendedSuite2pExtractor
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p

RECORDING = simulate_recording(num_samples=8, num_cells=4)
VOLUME = simulate_recording(num_samples=3, num_cells=4, num_planes=3)


def _arrays(recording):
    return ArraySegmentationExtractor(np.moveaxis(recording.image_masks(), 0, -1), {})


def _extractor(kind, folder):
    if kind == "suite2p":
        return MendedSuite2pExtractor(write_suite2p(folder, RECORDING), "chan1", "plane0")
    if kind == "caiman":
        return MendedCaimanExtractor(write_caiman(folder / "a.hdf5", RECORDING))
    return _arrays(RECORDING)


kinds = pytest.mark.parametrize("kind", ["arrays", "suite2p", "caiman"])


@kinds
def test_image_masks_are_columns_by_rows_in_the_order_asked_for(kind, tmp_path):
    extractor = _extractor(kind, tmp_path)
    masks = ImageMasks(extractor, [2, 0, 3])
    num_rows, num_columns = RECORDING.field_shape
    assert masks.shape == (3, num_columns, num_rows)
    for position, index in enumerate((2, 0, 3)):
        image = masks.image(position)
        assert image.dtype == masks.dtype
        np.testing.assert_allclose(image, RECORDING.image_masks()[index].T)


@kinds
def test_pixel_masks_are_x_y_weight(kind, tmp_path):
    extractor = _extractor(kind, tmp_path)
    for found, index in zip(pixel_masks(extractor, [3, 1]), (3, 1), strict=True):
        row, column, weight = RECORDING.pixel_masks[index].T
        expected = sorted(zip(column, row, weight, strict=True))
        np.testing.assert_allclose(sorted(map(tuple, found)), expected)


@kinds
def test_image_and_pixel_masks_have_the_same_centroids(kind, tmp_path):
    extractor = _extractor(kind, tmp_path)
    ids = [1, 3, 0, 2]
    by_image = image_centroids(ImageMasks(extractor, ids))
    field = RECORDING.field_shape[::-1]
    by_pixel = pixel_centroids(pixel_masks(extractor, ids), field)
    np.testing.assert_array_equal(by_image, by_pixel)
    for centroid, index in zip(by_image, ids, strict=True):
        pixels = RECORDING.pixel_masks[index]
        brightest = pixels[pixels[:, 2] == pixels[:, 2].max()]
        assert centroid.tolist() == [int(np.median(brightest[:, a])) for a in (1, 0)]


def test_masks_of_volumes_keep_their_planes():
    extractor = _arrays(VOLUME)
    masks = ImageMasks(extractor, [3, 1])
    rows, columns, planes = VOLUME.field_shape
    assert masks.shape == (2, columns, rows, planes)
    np.testing.assert_array_equal(masks.image(0), VOLUME.image_masks()[3].swapaxes(0, 1))
    (found,) = pixel_masks(extractor, [1])
    expected = VOLUME.pixel_masks[1][:, [1, 0, 2, 3]]
    np.testing.assert_allclose(sorted(map(tuple, found)), sorted(map(tuple, expected)))
    np.testing.assert_array_equal(
        image_centroids(masks),
        pixel_centroids(pixel_masks(extractor, [3, 1]), (columns, rows, planes)),
    )


@pytest.mark.parametrize("planes_last", [True, False])
@pytest.mark.parametrize("num_planes", [2, 3])
def test_the_axis_of_rois_is_found_before_or_behind_that_of_planes(planes_last, num_planes):
    images = np.random.default_rng(0).random((5, 4, 3, num_planes))

    class Stacked:
        def get_roi_image_masks(self, roi_ids):
            return np.stack([images[i] for i in roi_ids], axis=2 if planes_last else -1)

    masks = ImageMasks(Stacked(), [4, 2])
    assert masks.shape == (2, 3, 4, num_planes)
    np.testing.assert_array_equal(masks.image(1), images[2].swapaxes(0, 1))


def test_masks_without_weight_have_the_middle_of_the_field():
    empty = np.zeros((4, 7, 1))
    extractor = ArraySegmentationExtractor(empty, {})
    by_image = image_centroids(ImageMasks(extractor, [0]))
    by_pixel = pixel_centroids(pixel_masks(extractor, [0]), (7, 4))
    assert by_image.tolist() == by_pixel.tolist() == [[3, 1]]


def test_masks_of_truth_values_and_of_integers_are_masks():
    for dtype in (bool, np.uint8):
        image = np.zeros((4, 7, 1), dtype)
        image[1, 5], image[1, 6] = 1, 1
        extractor = ArraySegmentationExtractor(image, {})
        assert ImageMasks(extractor, [0]).dtype == dtype
        assert pixel_masks(extractor, [0])[0].tolist() == [[5, 1, 1], [6, 1, 1]]
        assert image_centroids(ImageMasks(extractor, [0])).tolist() == [[5, 1]]
