"""Tests of pixel lists, which equal the dense masks of roiextractors and make none."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import attrs
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from roiextractors import (
    MinianSegmentationExtractor,
    SegmentationExtractor,
    Suite2pSegmentationExtractor,
)
from roiextractors.segmentationextractor import _ROIMasks, _RoiResponse
from roiextractors.testing import generate_dummy_segmentation_extractor

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.formats.caiman.reader import CaimanExtractor
from nwb_ophys.formats.suite2p.rois import MendedSuite2pExtractor
from nwb_ophys.rois import masks as image_masks
from nwb_ophys.rois import pixel_lists as ragged
from nwb_ophys.rois.centroids import centroids_of_pixels
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.views import BackgroundComponents, FirstSamples, SelectedRois
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p

RECORDING = simulate_recording(num_samples=8, num_cells=6)


class Native(SegmentationExtractor):
    """Return masks in the layout of roiextractors, (row, column[, plane], weight)."""

    def __init__(self, masks: Any, field: Any, names: Any = None, cells: Any = None) -> None:
        super().__init__()
        form = "nwb-pixel_mask" if len(field) == 2 else "nwb-voxel_mask"
        names = list(range(len(masks))) if names is None else list(names)
        self._roi_ids = names if cells is None else list(cells)
        ids = {name: index for index, name in enumerate(names)}
        self._roi_masks = _ROIMasks(list(masks), form, tuple(field), ids)
        self._roi_responses = [_RoiResponse("raw", np.zeros((4, len(ids))), list(ids))]
        self._field = tuple(field)

    def get_frame_shape(self) -> Any:
        return self._field

    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> None:
        return None


def image_masks_of(extractor: Any, ids: Any) -> Any:
    """Return the image masks of some ROIs."""
    return attrs.evolve(Rois.of(extractor), ids=ids).images


def pixel_masks_of(extractor: Any, ids: Any) -> Any:
    """Return the pixels of some ROIs."""
    return attrs.evolve(Rois.of(extractor), ids=ids).pixels


def stored_pixels(extractor: Any, ids: Any, form: Any) -> Any:
    """Return the pixels of some ROIs of an extractor that stores pixels."""
    return attrs.evolve(Rois.of(extractor), ids=ids).stored_pixels(form)


def dense_images(extractor: Any, ids: Any) -> np.ndarray:
    """Return the masks of the extractor itself, (ROIs, columns, rows[, planes])."""
    images = [np.asarray(extractor.get_roi_image_masks(roi_ids=[i])) for i in ids]
    return np.stack([np.swapaxes(np.squeeze(i, 2), 0, 1) for i in images])


def dense_centroid(image: np.ndarray) -> list[int]:
    return [int(np.median(axis)) for axis in np.nonzero(image == image.max())]


@st.composite
def natives(draw: Any, weights: Any = (0.0, 0.5, 1.0, -1.0, 1e-50)) -> Native:
    """Masks with repeated pixels, with zero and negative weights, and without pixels."""
    field = draw(st.lists(st.integers(1, 6), min_size=2, max_size=3))
    pixel = st.tuples(*(st.integers(0, n - 1) for n in field), st.sampled_from(weights))
    masks = draw(st.lists(st.lists(pixel, max_size=12), min_size=1, max_size=5))
    arrays = [np.array(mask, dtype=float).reshape(-1, len(field) + 1) for mask in masks]
    return Native(arrays, field)


@given(natives())
def test_images_of_pixels_are_those_of_the_extractor(extractor: Native) -> None:
    ids = extractor.get_roi_ids()
    masks = image_masks_of(extractor, ids)
    expected = dense_images(extractor, ids)
    assert masks.is_sparse
    assert (masks.shape, masks.dtype) == (expected.shape, expected.dtype)
    whole = masks.block([slice(None)] * expected.ndim)
    np.testing.assert_array_equal(whole, expected)
    assert np.count_nonzero(expected) == len(masks.sparse.pixels.weights)
    np.testing.assert_array_equal(masks.image(len(ids) - 1), expected[-1])
    assert masks.centroids().tolist() == [dense_centroid(image) for image in expected]


@given(natives(), st.data())
def test_blocks_of_images(extractor: Native, data: st.DataObject) -> None:
    masks = image_masks_of(extractor, extractor.get_roi_ids())
    bounds = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in masks.shape]
    selection = tuple(slice(*bound) for bound in bounds)
    expected = dense_images(extractor, extractor.get_roi_ids())[selection]
    np.testing.assert_array_equal(masks.block(selection), expected)


def pixel_centroid(mask: np.ndarray, field: Any) -> list[int]:
    """Return the expected pixels, mask by mask: x, y[, z], weight."""
    weights = mask[:, -1]
    if not len(mask) or not weights.max() > 0:
        return [(size - 1) // 2 for size in field]
    return [int(m) for m in np.median(mask[weights == weights.max()][:, :-1], axis=0)]


@given(natives(weights=(0.0, 0.5, 1.0, -1.0, np.nan)))
def test_pixels_are_those_of_the_extractor(extractor: Native) -> None:
    ids = extractor.get_roi_ids()
    masks = pixel_masks_of(extractor, ids)
    expected = [mask[:, [1, 0, *range(2, mask.shape[1])]] for mask in extractor._roi_masks.data]
    assert len(masks) == len(ids)
    for found, mask in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(found, mask)
    rows, columns, *planes = extractor.get_frame_shape()
    field = (columns, rows, *planes)
    centroids = centroids_of_pixels(masks, field)
    assert centroids.tolist() == [pixel_centroid(mask, field) for mask in expected]


def test_an_image_with_a_nan_has_the_middle_of_the_field() -> None:
    image = np.zeros((4, 7, 1))
    image[1, 2] = np.nan
    image[1, 3] = 5.0
    row, column = np.nonzero(image[..., 0])
    pixels = [np.column_stack([row, column, image[row, column, 0]])]
    for extractor in (ArraySegmentationExtractor(image, {}), Native(pixels, (4, 7))):
        assert image_masks_of(extractor, [0]).centroids().tolist() == [[3, 1]]


def test_the_middle_of_what_negative_pixels_leave() -> None:
    extractor = Native([np.array([[0, 0, -1.0], [0, 2, -2.0]])], (1, 6))
    masks = image_masks_of(extractor, [0])
    # Columns 1, 3, 4 and 5 are left: their median is 3.5, and below that of 1 and 4 is 2.5.
    assert masks.centroids().tolist() == [[3, 0]]
    assert centroids_of_pixels(pixel_masks_of(extractor, [0]), (6, 1)).tolist() == [[2, 0]]
    mask = np.array([[0, column, -1.0] for column in (0, 2, 3, 5)])
    assert image_masks_of(Native([mask], (1, 6)), [0]).centroids().tolist() == [[2, 0]]


def test_pixels_of_negative_weights_have_the_middle_of_the_field() -> None:
    masks = pixel_masks_of(Native([np.array([[3, 6, -1.0]])], (4, 7)), [0])
    assert centroids_of_pixels(masks, (7, 4)).tolist() == [[3, 1]]


def test_negative_masks_of_the_whole_field_and_of_a_part() -> None:
    row, column = (axis.ravel() for axis in np.indices((4, 6)))
    weights = -1.0 - (column != 5)
    whole = np.column_stack([row, column, weights])
    extractor = Native([whole, whole[column > 2], whole[:0]], (4, 6))
    images = dense_images(extractor, [0, 1, 2])
    found = image_masks_of(extractor, [0, 1, 2]).centroids().tolist()
    assert found == [dense_centroid(image) for image in images] == [[5, 1], [1, 1], [2, 1]]


@given(natives(), st.data())
def test_some_rois_in_any_order(extractor: Native, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.sampled_from(extractor.get_roi_ids()), min_size=1, max_size=7))
    found = stored_pixels(extractor, extractor.get_roi_ids(), "image").take(ids)
    for index, mask in zip(ids, found, strict=True):
        np.testing.assert_array_equal(mask[:, 0], extractor._roi_masks.data[index][:, 1])
    asked = stored_pixels(extractor, ids, "image")
    np.testing.assert_array_equal(asked.ends, found.ends)
    np.testing.assert_array_equal(asked.weights, found.weights)


def test_pixels_that_do_not_lie_in_the_field() -> None:
    for pixel, fault in (((1, 7, 1), "x = 7"), ((4, 0, 1), "y = 4"), ((-1, 0, 1), "negative")):
        with pytest.raises(SourceError, match=fault):
            image_masks_of(Native([np.array([pixel], float)], (4, 7)), [0])
        with pytest.raises(SourceError, match=fault):
            pixel_masks_of(Native([np.array([pixel], float)], (4, 7)), [0]).check_field()
    with pytest.raises(SourceError, match="3 coordinates"):
        image_masks_of(Native([np.ones((1, 4))], (4, 7)), [0])
    with pytest.raises(SourceError, match="overlap or have gaps"):
        PixelLists(
            coordinates=(np.zeros(2, np.int32),) * 2,
            weights=np.ones(2),
            ends=[2, 1, 2],
            field_shape=(3, 3),
            image_dtype=float,
        )


@pytest.mark.parametrize("place", [1.5, np.nan, np.inf])
def test_coordinates_that_are_no_whole_numbers(place: float) -> None:
    with pytest.raises(SourceError, match=f"has the coordinate {place:g}; coordinates must be"):
        pixel_masks_of(Native([np.array([[1, place, 1.0]])], (4, 7)), [0])


# --- sources ----------------------------------------------------------------------------------


def suite2p(folder: Any) -> Any:
    return MendedSuite2pExtractor(write_suite2p(folder / "s", RECORDING), "chan1", "plane0")


def caiman(folder: Any) -> Any:
    return CaimanExtractor(write_caiman(folder / "a.hdf5", RECORDING))


SOURCES = {
    "suite2p": suite2p,
    "caiman": caiman,
    "roiextractors": lambda folder: Suite2pSegmentationExtractor(
        write_suite2p(folder / "s", RECORDING), channel_name="chan1", plane_name="plane0"
    ),
    "pixel lists": lambda _: generate_dummy_segmentation_extractor(num_rois=6, mask_type="pixel"),
    "selected": lambda folder: SelectedRois(caiman(folder), [4, 1, 2]),
    "first samples": lambda folder: FirstSamples(suite2p(folder), 3),
    "background": lambda folder: BackgroundComponents(caiman(folder)),
    "selected background": lambda folder: SelectedRois(
        BackgroundComponents(caiman(folder)), ["background1"]
    ),
    "background of pixel lists": lambda _: BackgroundComponents(
        Native([np.ones((2, 3)), np.array([[1.0, 2, 0.5]])], (4, 7), [0, "background0"], [0])
    ),
    "slice in time": lambda folder: caiman(folder).slice_samples(1, 4),
    "slice of rois": lambda folder: caiman(folder).select_rois([1, 3]),
    "slice of pixel lists": lambda _: generate_dummy_segmentation_extractor(
        num_rois=6, mask_type="pixel"
    ).slice_samples(0, 5),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_pixels_are_read_as_such_and_say_the_same(name: str, tmp_path: Any) -> None:
    extractor = SOURCES[name](tmp_path)
    ids = list(extractor.get_roi_ids())[::-1]
    images = image_masks_of(extractor, ids)
    assert images.is_sparse
    expected = np.stack([np.asarray(extractor.get_roi_image_masks([i]))[..., 0].T for i in ids])
    assert images.dtype == expected.dtype
    np.testing.assert_array_equal(images.block([slice(None)] * 3), expected)
    assert images.centroids().tolist() == [dense_centroid(image) for image in expected]
    pixels = stored_pixels(extractor, ids, "pixel")
    for found, mask in zip(pixels, extractor.get_roi_pixel_masks(ids), strict=True):
        np.testing.assert_array_equal(found, mask[:, [1, 0, 2]])


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_pixels_are_never_asked_for_images(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = SOURCES[name](tmp_path)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a dense mask was asked for")

    monkeypatch.setattr(_ROIMasks, "get_roi_image_mask", refuse)
    monkeypatch.setattr(CaimanExtractor, "_images", refuse)
    ids = extractor.get_roi_ids()
    images = image_masks_of(extractor, ids)
    assert len(images.centroids()) == len(ids)
    assert len(list(images.nonzero_chunks(0, len(ids), (1, 8, 8)))) >= len(ids)
    assert len(pixel_masks_of(extractor, ids)) == len(ids)


def count_reads(extractor: Any) -> list[int]:
    """Record the number of masks in each request of images; requests of pixels fail."""
    reads: list[int] = []
    read = extractor.get_roi_image_masks
    extractor.get_roi_image_masks = lambda roi_ids: reads.append(len(roi_ids)) or read(roi_ids)
    return reads


def test_dense_sources_are_read_one_by_one() -> None:
    masks = np.zeros((5, 6, 4))
    masks[0], masks[1, 2] = 0.5, 1.0  # too many pixels for a list of them
    extractor = ArraySegmentationExtractor(masks, {})
    reads = count_reads(extractor)
    images = image_masks_of(extractor, [0, 1, 2, 3])
    assert not images.is_sparse
    assert stored_pixels(extractor, [0], "pixel") is None
    assert reads == [1]  # the shape of ROI 0, whose image is kept until the next is read
    assert images.centroids().tolist() == [[2, 1]] * 4
    np.testing.assert_array_equal(images.block((slice(1, 3), slice(2, 5), slice(0, 2))).sum(), 5)
    assert reads == [1] * 6
    assert not images.is_sparse
    with pytest.raises(TypeError, match="sparse"):
        images.nonzero_chunks(0, 4, (1, 2, 2))


def test_dense_images_of_few_pixels_are_read_once() -> None:
    masks = np.zeros((5, 6, 4))
    masks[1, 2], masks[3, 4, 1] = 1.0, np.nan
    extractor = ArraySegmentationExtractor(masks, {})
    reads = count_reads(extractor)
    rois = Rois.of(extractor)
    with pytest.raises(TypeError, match="sparse"):
        rois.images.nonzero_chunks(0, 4, (1, 2, 2))
    assert rois.image_centroids.tolist() == [[2, 1], [2, 2], [2, 1], [2, 1]]
    whole = rois.images.block([slice(None)] * 3)
    np.testing.assert_array_equal(whole, masks.transpose(2, 1, 0))
    assert len(list(rois.images.nonzero_chunks(0, 4, (1, 6, 5)))) == 4
    assert reads == [1] * 4


def test_dense_images_keep_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros((20, 20, 4), np.float32)
    array[3:5, 4] = 1.0
    for kept, is_sparse in ((8 * 12, True), (8 * 12 - 1, False)):
        monkeypatch.setattr(image_masks, "_KEPT_BYTES", kept)
        extractor = ArraySegmentationExtractor(array, {})
        count_reads(extractor)
        images = image_masks_of(extractor, [0, 1, 2, 3])
        assert images.centroids().tolist() == [[4, 3]] * 4
        assert images.is_sparse is is_sparse
        np.testing.assert_array_equal(images.image(2), array[..., 2].T)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [3, 1]])
def test_arrays_of_few_pixels_are_searched_for_them(order: Any, ids: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(ragged, "_BLOCK_BYTES", 500)  # several blocks
    random = np.random.default_rng(0)
    images = np.where(random.random((12, 9, 5)) < 0.05, random.random((12, 9, 5)), 0.0)
    images[:, :, 3] = 0.0
    images[4, 5, 1] = np.nan
    images = np.asarray(images, order=order)
    extractor = ArraySegmentationExtractor(images, {})
    masks = image_masks_of(extractor, ids)
    assert masks.is_sparse
    for position, roi in enumerate(ids):
        np.testing.assert_array_equal(masks.image(position), images[:, :, roi].T)
    found = stored_pixels(extractor, ids, "pixel")
    assert found is not None
    for pixels, expected in zip(found, extractor.get_roi_pixel_masks(ids), strict=True):
        np.testing.assert_array_equal(pixels[:, [1, 0, 2]], expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_many_pixels_stay_dense(order: Any) -> None:
    extractor = ArraySegmentationExtractor(np.ones((12, 9, 5), order=order), {})
    assert not image_masks_of(extractor, [0, 1]).is_sparse


def test_arrays_of_roiextractors_are_searched_too() -> None:
    extractor = generate_dummy_segmentation_extractor(num_rois=3)
    assert not image_masks_of(extractor, extractor.get_roi_ids()).is_sparse
    extractor._roi_masks.data = np.zeros(extractor._roi_masks.data.shape)
    assert image_masks_of(extractor, extractor.get_roi_ids()).is_sparse


@pytest.mark.parametrize("form", ["image", "pixel"])
@pytest.mark.parametrize("kind", ["native", "suite2p", "view"])
def test_a_method_that_was_replaced_has_the_last_word(kind: str, form: Any, tmp_path: Any) -> None:
    source = Native([np.ones((1, 3))], (4, 7)) if kind == "native" else suite2p(tmp_path)
    extractor = FirstSamples(source, 2) if kind == "view" else source
    assert stored_pixels(extractor, [0], form) is not None
    setattr(source, f"get_roi_{form}_masks", Mock(return_value=[]))
    assert stored_pixels(extractor, [0], form) is None


@pytest.mark.parametrize("form", ["image", "pixel"])
def test_a_method_of_a_subclass_has_the_last_word(form: Any, tmp_path: Any) -> None:
    folder = write_suite2p(tmp_path / "s", RECORDING)
    for base in (MendedSuite2pExtractor, Suite2pSegmentationExtractor):
        changed = type("Changed", (base,), {f"get_roi_{form}_masks": lambda *_, **__: []})
        extractor = changed(folder, channel_name="chan1", plane_name="plane0")
        assert stored_pixels(extractor, [0], form) is None


def test_rois_called_background_are_left_to_roiextractors() -> None:
    extractor = Native([np.ones((1, 3))] * 2, (4, 7), ["background0", "a"])
    assert stored_pixels(extractor, ["background0", "a"], "image") is None
    assert (
        len(attrs.evolve(Rois.of(extractor).background, ids=["background0"]).stored_pixels("image"))
        == 1
    )


# --- Minian -----------------------------------------------------------------------------------


def minian(folder: Any, footprints: Any) -> Any:
    """Write a folder like Minian, and open it."""
    num_cells, num_rows, num_columns = footprints.shape
    arrays = {
        "A": footprints,
        "C": np.ones((num_cells, 6)),
        "b": np.ones((num_rows, num_columns)),
        "f": np.ones(6),
        **{name: np.ones((num_cells, 6)) for name in ("b0", "S")},
        "max_proj": np.ones((num_rows, num_columns)),
    }
    root = zarr.open(str(folder), mode="w")
    for name, values in arrays.items():
        root.create_group(f"{name}.zarr").create_dataset(name, data=values)
    for name, size in (("unit_id", num_cells), ("height", num_rows), ("width", num_columns)):
        root["A.zarr"].create_dataset(name, data=np.arange(size))
    return MinianSegmentationExtractor(folder, sampling_frequency=10.0)


@pytest.mark.parametrize("block_bytes", [1, 16_000_000])
def test_footprints_of_minian(
    block_bytes: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ragged, "_BLOCK_BYTES", block_bytes)
    images = np.stack([image.astype(float) / 3 for image in RECORDING.image_masks()])
    images[3] = 0
    extractor = minian(tmp_path / "minian", images)
    for source in (extractor, extractor.slice_samples(0, 3)):
        masks = image_masks_of(source, [5, 3, 0])
        assert masks.is_sparse
        assert masks.dtype == np.float64
        expected = images[[5, 3, 0]].swapaxes(1, 2)
        np.testing.assert_array_equal(masks.block([slice(None)] * 3), expected)
        assert masks.centroids().tolist() == [dense_centroid(image) for image in expected]
        pixels = stored_pixels(source, [5, 3, 0], "pixel")
        for found, mask in zip(pixels, source.get_roi_pixel_masks([5, 3, 0]), strict=True):
            np.testing.assert_array_equal(found, mask[:, [1, 0, 2]])
    background = BackgroundComponents(extractor)
    assert stored_pixels(background, background.get_roi_ids(), "image") is None


# --- Suite2p and CaImAn -----------------------------------------------------------------------


def test_weights_of_suite2p_stay_in_their_precision(tmp_path: Any) -> None:
    extractor = suite2p(tmp_path)
    pixels = stored_pixels(extractor, [2, 0], "pixel")
    assert pixels.weights.dtype == np.float32
    for roi in extractor.stat:
        roi["lam"] = np.full(len(roi["lam"]), 0.1)
    extractor._roi_masks.data[:] = [
        np.column_stack([roi["ypix"], roi["xpix"], roi["lam"]]) for roi in extractor.stat
    ]
    assert set(stored_pixels(extractor, [1], "pixel").weights) == {0.1}
    images = image_masks_of(extractor, [1])
    assert images.image(0).max() == np.float32(0.1)


def test_zeros_that_caiman_stores_are_no_pixels(tmp_path: Any) -> None:
    path = write_caiman(tmp_path / "a.hdf5", RECORDING)
    with h5py.File(path, "r+") as file:
        matrix = file["estimates/A"]
        first, second = int(matrix["indptr"][2]), int(matrix["indptr"][3])
        matrix["data"][first] = 0.0
    extractor = CaimanExtractor(path)
    (found,) = pixel_masks_of(extractor, [2])
    assert len(found) == second - first - 1
    assert np.all(found[:, 2] != 0)


def test_places_of_caiman_beyond_the_field(tmp_path: Any) -> None:
    path = write_caiman(tmp_path / "a.hdf5", RECORDING)
    with h5py.File(path, "r+") as file:
        file["estimates/A/indices"][0] = -5
    with pytest.raises(CorruptSourceError, match=r"a\.hdf5"):
        CaimanExtractor(path)


# --- properties -------------------------------------------------------------------------------


def test_properties_of_many_rois_are_looked_up_by_id() -> None:
    """Searching a list would compare each id with all ids before it."""
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    names = [Name(f"roi {index}") for index in range(200)]
    extractor = ArraySegmentationExtractor(np.ones((2, 2, 200)), {}, roi_ids=names)
    extractor.set_property("size", np.arange(200)[::-1], names[::-1], description="in pixels")
    assert extractor.get_property("size", names[5:8]).tolist() == [5, 6, 7]
    view = SelectedRois(extractor, names[:20:-1])
    assert view.get_property("size", names[30:32]).tolist() == [30, 31]
    assert view.get_property_info("size").data.tolist() == list(range(199, 20, -1))
    assert view.get_property_info("size").description == "in pixels"
    assert compared < 10 * 200


def test_properties_that_do_not_fit() -> None:
    extractor = ArraySegmentationExtractor(np.ones((2, 2, 3)), {})
    for values, ids in (([1, 2], [0, 1]), ([1, 2, 3], [0, 1]), ([1, 2, 3], [0, 1, 3])):
        with pytest.raises(ValueError, match="'size'"):
            extractor.set_property("size", values, ids)
    extractor.set_property("size", [3, 1, 2], [2, 0, 1])
    assert extractor.get_property("size", [0, 1, 2]).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="7"):
        extractor.get_property("size", [7])
