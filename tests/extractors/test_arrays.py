"""Tests of extractors of arrays and of ``.npy`` files."""

from __future__ import annotations

import h5py
import numpy as np
import pandas
import pytest
import zarr

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor
from nwb_ophys.filetypes.npy import load_npy

MOVIE = np.arange(10 * 4 * 3, dtype=np.uint16).reshape(10, 4, 3)
VOLUMES = np.arange(10 * 4 * 3 * 2, dtype=np.float32).reshape(10, 4, 3, 2)
MASKS = np.zeros((4, 3, 2), np.float32)
MASKS[1, 2, 0], MASKS[3, 0, 1], MASKS[3, 1, 1] = 0.5, 1, 2
TRACES = {"raw": np.arange(20.0).reshape(10, 2), "dff": np.ones((10, 2), np.float32)}


def test_a_movie_is_the_array():
    extractor = ArrayImagingExtractor(MOVIE, 15)
    assert extractor.get_image_shape() == (4, 3)
    assert extractor.get_sample_shape() == (4, 3)
    assert extractor.get_num_samples() == 10
    assert extractor.get_num_planes() == 1
    assert extractor.get_dtype() == np.uint16
    assert extractor.get_sampling_frequency() == 15.0
    assert extractor.get_native_timestamps() is None
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)
    np.testing.assert_array_equal(extractor.get_series(2, 5), MOVIE[2:5])
    np.testing.assert_array_equal(extractor.slice_samples(3, 6).get_series(1, 3), MOVIE[4:6])


def test_volumes_have_their_planes_last():
    extractor = ArrayImagingExtractor(VOLUMES, 2.0)
    assert extractor.is_volumetric
    assert extractor.get_sample_shape() == (4, 3, 2)
    assert extractor.get_volume_shape() == (4, 3, 2)
    assert extractor.get_num_planes() == 2
    np.testing.assert_array_equal(extractor.get_series(9, 10), VOLUMES[9:])


def test_stated_times_are_returned_and_sliced():
    times = np.array([0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1])
    movie = ArrayImagingExtractor(MOVIE, timestamps=times)
    np.testing.assert_array_equal(movie.get_native_timestamps(), times)
    np.testing.assert_array_equal(movie.get_native_timestamps(2, 5), times[2:5])
    assert movie.get_sampling_frequency() == pytest.approx(10.0)
    traces = ArraySegmentationExtractor(MASKS, TRACES, timestamps=list(times))
    np.testing.assert_array_equal(traces.get_native_timestamps(), times)
    assert traces.get_sampling_frequency() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "A sampling frequency, or the times"),
        ({"timestamps": [0.0, 1.0]}, r"shape \(2,\); it must be \(10,\)"),
        ({"timestamps": np.zeros(10)}, "do not ascend"),
    ],
)
def test_a_movie_without_fitting_times_is_an_error(arguments, message):
    with pytest.raises(SourceError, match=message):
        ArrayImagingExtractor(MOVIE, **arguments)


def test_background_components_have_masks_and_traces():
    background, traces = np.zeros((4, 3, 2)), np.arange(20.0).reshape(10, 2)
    background[0, :, 0], background[3, 2, 1] = 0.25, 4
    extractor = ArraySegmentationExtractor(
        MASKS, TRACES, 30.0, background_masks=background, background_traces=traces
    )
    assert extractor.get_background_ids() == ["background0", "background1"]
    assert extractor.get_roi_ids() == [0, 1]
    np.testing.assert_array_equal(extractor.get_background_image_masks(), background)
    one = extractor.get_background_image_masks(["background1"])
    np.testing.assert_array_equal(one, background[..., 1:])
    pixels = extractor.get_background_pixel_masks()
    assert pixels[0].tolist() == [[0, 0, 0.25], [0, 1, 0.25], [0, 2, 0.25]]
    assert pixels[1].tolist() == [[3, 2, 4]]
    np.testing.assert_array_equal(extractor.get_traces_dict()["background"], traces)
    lists = extractor.get_ragged_pixels(["background1"], of_background=True)
    assert lists is None or lists.counts.tolist() == [1]


@pytest.mark.parametrize("shape", [(10,), (10, 4), (10, 4, 3, 2, 1)])
def test_an_array_of_other_axes_is_no_movie(shape):
    with pytest.raises(SourceError, match="time, rows, columns"):
        ArrayImagingExtractor(np.zeros(shape), 1.0)
    with pytest.raises(SourceError, match=r"rows, columns\[, planes\], ROIs"):
        ArraySegmentationExtractor(np.zeros(shape), {})


def test_a_segmentation_is_the_arrays():
    extractor = ArraySegmentationExtractor(
        MASKS, TRACES, 30.0, roi_ids=["x", 7], images={"mean": MOVIE[0]}, accepted=[0, 1]
    )
    assert extractor.get_frame_shape() == (4, 3)
    assert extractor.get_roi_ids() == ["x", 7]
    assert extractor.get_num_rois() == 2
    assert extractor.get_num_samples() == 10
    assert extractor.get_sampling_frequency() == 30.0
    assert extractor.get_background_ids() == []
    np.testing.assert_array_equal(extractor.get_roi_image_masks(), MASKS)
    np.testing.assert_array_equal(extractor.get_roi_image_masks([7, "x"]), MASKS[..., ::-1])
    np.testing.assert_array_equal(extractor.get_images_dict()["mean"], MOVIE[0])
    first, second = extractor.get_roi_pixel_masks()
    assert first.tolist() == [[1, 2, 0.5]]
    assert second.tolist() == [[3, 0, 1], [3, 1, 2]]
    assert extractor.get_roi_pixel_masks([7])[0].tolist() == second.tolist()
    assert extractor.get_property("is_accepted", [7, "x"][:1]).tolist() == [True]


def test_masks_of_volumes_have_their_plane():
    masks = np.zeros((4, 3, 2, 1))
    masks[1, 2, 1, 0] = 3
    extractor = ArraySegmentationExtractor(masks, {})
    assert extractor.get_frame_shape() == (4, 3, 2)
    assert extractor.get_roi_pixel_masks()[0].tolist() == [[1, 2, 1, 3]]
    assert extractor.get_roi_ids() == [0]
    assert extractor.get_num_samples() == 0
    assert extractor.get_sampling_frequency() is None


@pytest.mark.parametrize("kind", [np.ndarray.tolist, pandas.DataFrame, zarr.array])
def test_traces_in_other_containers(kind):
    extractor = ArraySegmentationExtractor(MASKS, {"raw": kind(TRACES["raw"])}, 30.0)
    np.testing.assert_array_equal(extractor.get_traces_dict()["raw"][:], TRACES["raw"])


def test_masks_in_other_containers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for masks in (MASKS.tolist(), zarr.array(MASKS), file.create_dataset("a", data=MASKS)):
            extractor = ArraySegmentationExtractor(masks, {}, background_masks=masks)
            for ids, places in ((None, [0, 1]), ([1, 0], [1, 0]), ([1], [1]), ([], [])):
                found = extractor.get_roi_image_masks(ids)
                np.testing.assert_array_equal(found, MASKS[..., places])
            background = extractor.get_background_image_masks(["background1", "background0"])
            np.testing.assert_array_equal(background, MASKS[..., [1, 0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"roi_ids": [1]}, "2 masks and 1 ROI ids"),
        ({"roi_ids": [1, 1]}, "one unique id"),
        ({"roi_ids": [1, 1]}, r"2 masks and 2 ROI ids, among them repeated ones: 1 \(2 times\)"),
        ({"traces": {"raw": np.zeros((10, 3))}}, r"'raw' has the shape \(10, 3\); .* 2 ROIs"),
        ({"traces": {"dff": np.zeros(2)}}, r"'dff' has the shape \(2,\)"),
        ({"traces": {"raw": np.zeros((9, 2)), "dff": TRACES["dff"]}}, r"in length: \[9, 10\]"),
        ({"accepted": [True]}, "accepted has 1 flags for 2 ROIs"),
        ({"accepted": [1, np.nan]}, r"accepted must be 0 or 1 .*; it holds nan\."),
        ({"accepted": [2, -1]}, "it holds 2, -1"),
        ({"traces": {"raw": None}}, "'raw' must be an array of numbers; it is NoneType"),
        ({"traces": {"raw": [["a"]]}}, "'raw' must be an array of numbers; it is list"),
        ({"traces": {"raw": [[1, 2], [3]]}}, "'raw' must be an array of numbers; it is list"),
        (
            {"traces": {"raw": np.ma.masked_equal(np.arange(20).reshape(10, 2), 3)}},
            "'raw' has masked values, which NWB cannot store",
        ),
        ({"accepted": ["yes", "no"]}, "it holds 'yes', 'no'"),
        ({"accepted": np.array([True, None])}, "it holds True, None"),
        ({"timestamps": [0.0]}, r"\(1,\); it must be \(10,\): .* 10 samples of the traces"),
        ({"background_masks": np.zeros((3, 4, 1))}, r"background masks .*\(4, 3\)"),
        ({"background_traces": np.zeros((10, 1))}, "0 background masks"),
        (
            {"background_masks": np.zeros((4, 3, 1)), "background_traces": np.zeros((9, 1))},
            r"\(9, 1\); it must be \(10, 1\)",
        ),
        (
            {"background_masks": np.zeros((4, 3, 1)), "roi_ids": ["background0", 1]},
            "'background0' is that of a background component",
        ),
        (
            {"images": {"mean": np.zeros((3, 4))}},
            r"image 'mean' has the shape \(3, 4\); .*\(4, 3\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_together_are_an_error(arguments, message):
    with pytest.raises(SourceError, match=message):
        ArraySegmentationExtractor(**{"image_masks": MASKS, "traces": TRACES, **arguments})


# --- .npy files ---------------------------------------------------------------------------------


def test_numbers_are_mapped_and_not_loaded(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, MOVIE)
    loaded = load_npy(path)
    assert isinstance(loaded, np.memmap)
    assert not loaded.flags.writeable
    np.testing.assert_array_equal(loaded, MOVIE)


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.float64(3.5), np.asfortranarray(MOVIE)])
def test_odd_arrays_are_read_too(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(load_npy(tmp_path / "a.npy"), array)


def test_objects_are_read_only_where_they_are_expected(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array({"a": 1}, dtype=object), allow_pickle=True)
    assert load_npy(path, allow_pickle=True).item() == {"a": 1}
    with pytest.raises(CorruptSourceError, match=r"a\.npy' cannot be read as a \.npy file"):
        load_npy(path)


@pytest.mark.parametrize("allow_pickle", [False, True])
@pytest.mark.parametrize("content", [MOVIE, {"a": np.arange(100)}], ids=["numbers", "objects"])
def test_a_damaged_file_is_named(tmp_path, content, allow_pickle):
    whole = tmp_path / "whole.npy"
    np.save(whole, content, allow_pickle=True)
    data = whole.read_bytes()
    path = tmp_path / "damaged.npy"
    for damaged in (b"", data[:3], data[:9], data[:60], data[:-1], data[: len(data) // 2 + 40]):
        path.write_bytes(damaged)
        with pytest.raises(CorruptSourceError, match=r"damaged\.npy' cannot be read"):
            load_npy(path, allow_pickle=allow_pickle)


def test_an_absent_file_is_named(tmp_path):
    path = tmp_path / "absent.npy"
    with pytest.raises(SourceNotFoundError, match=f"'{path}' does not exist"):
        load_npy(path)


def test_a_folder_is_no_npy_file(tmp_path):
    with pytest.raises(CorruptSourceError, match="is a folder"):
        load_npy(tmp_path)


def test_masked_arrays_are_refused():
    movie = np.ma.masked_equal(MOVIE, 7)
    with pytest.raises(SourceArgumentError, match="timeseries has masked values"):
        NumpyImagingInterface(movie, 30.0)
    assert NumpyImagingInterface(np.ma.array(MOVIE), 30.0).extractor.get_num_samples() == 10


def test_planes_before_rows_cause_a_warning(tmp_path):
    """Fault: planes of (time, planes, rows, columns) were silently read as rows."""
    movie = np.arange(4 * 3 * 6 * 7, dtype="uint16").reshape(4, 3, 6, 7)
    np.save(tmp_path / "movie.npy", movie)
    for source in (movie, tmp_path / "movie.npy"):
        with pytest.warns(UserWarning, match=r"read as .*: 7 planes of 3 x 6 pixels. If"):
            NumpyImagingInterface(source, sampling_frequency=10.0)
    found = NumpyImagingInterface(np.moveaxis(movie, 1, 3), sampling_frequency=10.0)
    assert found.extractor.get_num_planes() == 3
