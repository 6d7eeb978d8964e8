"""Tests of masks in the orientation of NWB: x is the column, y the row."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from nwbinspector import inspect_nwbfile
from pynwb import NWBHDF5IO
from roiextractors import NumpySegmentationExtractor, SegmentationExtractor
from roiextractors.segmentationextractor import _ROIMasks

from nwb_ophys.errors import SourceError
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.formats.caiman.reader import CaimanExtractor
from nwb_ophys.formats.suite2p.rois import MendedSuite2pExtractor
from nwb_ophys.rois.centroids import centroids_of_pixels
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p
from nwb_ophys.tools import write_segmentation

RECORDING = simulate_recording(num_samples=8, num_cells=4)
VOLUME = simulate_recording(num_samples=3, num_cells=4, num_planes=3)


def image_masks_of(extractor, ids):
    """Return the image masks of some ROIs."""
    return attrs.evolve(Rois.of(extractor), ids=ids).images


def pixel_masks_of(extractor, ids):
    """Return the pixels of some ROIs."""
    return attrs.evolve(Rois.of(extractor), ids=ids).pixels


def _arrays(recording):
    return ArraySegmentationExtractor(np.moveaxis(recording.image_masks(), 0, -1), {})


def _extractor(kind, folder):
    if kind == "suite2p":
        return MendedSuite2pExtractor(write_suite2p(folder, RECORDING), "chan1", "plane0")
    if kind == "caiman":
        return CaimanExtractor(write_caiman(folder / "a.hdf5", RECORDING))
    return _arrays(RECORDING)


kinds = pytest.mark.parametrize("kind", ["arrays", "suite2p", "caiman"])


@kinds
def test_image_masks_are_columns_by_rows_in_the_order_asked_for(kind, tmp_path):
    extractor = _extractor(kind, tmp_path)
    masks = image_masks_of(extractor, [2, 0, 3])
    num_rows, num_columns = RECORDING.field_shape
    assert masks.shape == (3, num_columns, num_rows)
    for position, index in enumerate((2, 0, 3)):
        image = masks.image(position)
        assert image.dtype == masks.dtype
        np.testing.assert_allclose(image, RECORDING.image_masks()[index].T)


@kinds
def test_pixel_masks_are_x_y_weight(kind, tmp_path):
    extractor = _extractor(kind, tmp_path)
    for found, index in zip(pixel_masks_of(extractor, [3, 1]), (3, 1), strict=True):
        row, column, weight = RECORDING.pixel_masks[index].T
        expected = sorted(zip(column, row, weight, strict=True))
        np.testing.assert_allclose(sorted(map(tuple, found)), expected)


@kinds
def test_image_and_pixel_masks_have_the_same_centroids(kind, tmp_path):
    extractor = _extractor(kind, tmp_path)
    ids = [1, 3, 0, 2]
    by_image = image_masks_of(extractor, ids).centroids()
    field = RECORDING.field_shape[::-1]
    by_pixel = centroids_of_pixels(pixel_masks_of(extractor, ids), field)
    np.testing.assert_array_equal(by_image, by_pixel)
    for centroid, index in zip(by_image, ids, strict=True):
        pixels = RECORDING.pixel_masks[index]
        brightest = pixels[pixels[:, 2] == pixels[:, 2].max()]
        assert centroid.tolist() == [int(np.median(brightest[:, a])) for a in (1, 0)]


def test_masks_of_volumes_keep_their_planes():
    extractor = _arrays(VOLUME)
    masks = image_masks_of(extractor, [3, 1])
    rows, columns, planes = VOLUME.field_shape
    assert masks.shape == (2, columns, rows, planes)
    np.testing.assert_array_equal(masks.image(0), VOLUME.image_masks()[3].swapaxes(0, 1))
    (found,) = pixel_masks_of(extractor, [1])
    expected = VOLUME.pixel_masks[1][:, [1, 0, 2, 3]]
    np.testing.assert_allclose(sorted(map(tuple, found)), sorted(map(tuple, expected)))
    np.testing.assert_array_equal(
        masks.centroids(),
        centroids_of_pixels(pixel_masks_of(extractor, [3, 1]), (columns, rows, planes)),
    )


@pytest.mark.parametrize("planes_last", [True, False])
@pytest.mark.parametrize("num_planes", [2, 3])
def test_the_axis_of_rois_is_found_before_or_behind_that_of_planes(planes_last, num_planes):
    images = np.random.default_rng(0).random((5, 4, 3, num_planes))

    class Stacked:
        def get_roi_image_masks(self, roi_ids):
            return np.stack([images[i] for i in roi_ids], axis=2 if planes_last else -1)

    masks = Rois(extractor=Stacked(), ids=[4, 2]).images
    assert masks.shape == (2, 3, 4, num_planes)
    np.testing.assert_array_equal(masks.image(1), images[2].swapaxes(0, 1))


def test_masks_without_weight_have_the_middle_of_the_field():
    empty = np.zeros((4, 7, 1))
    extractor = ArraySegmentationExtractor(empty, {})
    by_image = image_masks_of(extractor, [0]).centroids()
    by_pixel = centroids_of_pixels(pixel_masks_of(extractor, [0]), (7, 4))
    assert by_image.tolist() == by_pixel.tolist() == [[3, 1]]


def test_masks_of_truth_values_and_of_integers_are_masks():
    for dtype in (bool, np.uint8):
        image = np.zeros((4, 7, 1), dtype)
        image[1, 5], image[1, 6] = 1, 1
        extractor = ArraySegmentationExtractor(image, {})
        assert image_masks_of(extractor, [0]).dtype == dtype
        assert pixel_masks_of(extractor, [0])[0].tolist() == [[5, 1, 1], [6, 1, 1]]
        assert image_masks_of(extractor, [0]).centroids().tolist() == [[5, 1]]


# --- dense masks of volumes: depth is no ROI ----------------------------------------------------


def _dense(num_rois, num_planes=3):
    """Return masks (rows, columns, planes, ROIs) of few pixels with different values."""
    random = np.random.default_rng(0)
    images = random.random((5, 4, num_planes, num_rois)).astype("float32")
    return np.where(images > 0.8, images, 0)


class _OfRoiextractors(SegmentationExtractor):
    """Return an extractor with dense masks of a volume in the layout of roiextractors."""

    def __init__(self, images):
        super().__init__()
        self._roi_ids = list(range(images.shape[-1]))
        ids = {roi: roi for roi in self._roi_ids}
        self._roi_masks = _ROIMasks(images, "nwb-image_mask", images.shape[:-1], ids)

    def get_frame_shape(self):
        return self._roi_masks.field_of_view_shape

    def get_native_timestamps(self, start_sample=None, end_sample=None):
        return None


@pytest.mark.parametrize("num_rois", [2, 3, 4])  # planes are 3
def test_dense_masks_of_volumes_are_taken_by_roi_not_by_plane(num_rois):
    images = _dense(num_rois)
    extractor = _OfRoiextractors(images)
    # The fault: what is asked for as ROI 1 is plane 1 of all ROIs.
    np.testing.assert_array_equal(
        extractor.get_roi_image_masks([1])[:, :, 0], images[:, :, 1, :num_rois]
    )
    masks = image_masks_of(extractor, list(range(num_rois)))
    assert masks.shape == (num_rois, 4, 5, 3)
    assert masks.dtype == np.dtype("float32")
    for roi, pixels in enumerate(pixel_masks_of(extractor, list(range(num_rois)))):
        image = images[..., roi]
        np.testing.assert_array_equal(masks.image(roi), image.swapaxes(0, 1))
        drawn = np.zeros_like(image)
        for x, y, z, weight in pixels:
            drawn[int(y), int(x), int(z)] = weight
        np.testing.assert_array_equal(drawn, image)


def test_planes_that_roiextractors_took_for_rois_are_an_error():
    extractor = NumpySegmentationExtractor(
        _dense(2), raw=np.zeros((6, 2)), sampling_frequency=30.0, movie_dims=(5, 4)
    )
    assert extractor.get_num_rois() == 3  # the planes of two ROIs
    for read in (image_masks_of, pixel_masks_of):
        with pytest.raises(SourceError, match=r"takes their 3 planes for ROIs\. Give masks of"):
            read(extractor, [0, 1, 2])


@pytest.mark.parametrize("num_rois", [2, 3])
def test_a_mask_of_a_volume_without_an_axis_of_rois(num_rois):
    images = _dense(num_rois)

    class Single:
        def get_frame_shape(self):
            return (5, 4, 3)

        def get_roi_image_masks(self, roi_ids):
            return images[..., roi_ids[0]]

    masks = Rois(extractor=Single(), ids=list(range(num_rois))).images
    assert masks.shape == (num_rois, 4, 5, 3)
    np.testing.assert_array_equal(masks.image(1), images[..., 1].swapaxes(0, 1))


# --- ROIs without a place -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["image", "pixel"])
def test_rois_without_weights_or_with_nan_have_no_centre(form):
    images = np.zeros((4, 7, 4))
    images[1, 5, 0] = 1.0
    images[2, 2, 2], images[2, 3, 2] = np.nan, 5.0
    images[3, 6, 3] = 0.5
    found = Rois.of(_segmentation(images)).centres(form)
    np.testing.assert_array_equal(found, [[5, 1], [np.nan] * 2, [np.nan] * 2, [6, 3]])


def _segmentation(images):
    return ArraySegmentationExtractor(images, {"raw": np.zeros((3, images.shape[-1]))})


def test_dense_images_without_weights_have_no_centre():
    images = np.random.default_rng(0).random((4, 7, 3)) + 0.1
    images[..., 1], images[0, 0, 2] = 0, np.nan
    found = Rois.of(_segmentation(images)).centres("image")
    assert np.isnan(found).any(axis=1).tolist() == [False, True, True]


def test_centres_are_integers_where_all_rois_have_one():
    for form in ("image", "pixel"):
        found = Rois.of(_arrays(RECORDING)).centres(form)
        assert found.dtype == np.int64
        assert found.tolist() == Rois.of(_arrays(RECORDING)).pixel_centroids.tolist()


@pytest.mark.parametrize("mask_type", ["image", "pixel"])
def test_a_roi_without_pixels_has_no_centre_in_the_file(tmp_path, mask_type):
    images = np.zeros((4, 7, 2))
    images[1, 5, 1] = 1.0
    path = tmp_path / "a.nwb"
    metadata = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    write_segmentation(
        _with_rate(images), path, metadata=metadata, mask_type=mask_type, verbose=False
    )
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        np.testing.assert_array_equal(table["ROICentroids"].data[:], [[np.nan] * 2, [5, 1]])
        assert "NaN" in table["ROICentroids"].description
    assert not [each for each in inspect_nwbfile(nwbfile_path=path) if "entroid" in str(each)]


def _with_rate(images):
    traces = {"raw": np.ones((3, images.shape[-1]))}
    return ArraySegmentationExtractor(images, traces, sampling_frequency=10.0)
