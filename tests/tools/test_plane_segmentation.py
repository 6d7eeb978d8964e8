"""Tests of plane segmentations: names, ids, forms of masks, centroids, acceptance, properties."""

import itertools
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hypothesis import given, settings
from hypothesis import strategies as st
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ophys import ImageSegmentation, PlaneSegmentation
from roiextractors.testing import generate_dummy_segmentation_extractor

from nwb_ophys import tools
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.writers.run import write_nwbfile

MASKS = {"image_mask", "pixel_mask", "voxel_mask"}


def table_of(nwbfile: NWBFile, name: str = "PlaneSegmentation") -> PlaneSegmentation:
    return nwbfile.processing["ophys"]["ImageSegmentation"][name]


def add(extractor: Any, nwbfile: NWBFile, given: Any = None, **options: Any) -> PlaneSegmentation:
    tools.add_plane_segmentation(extractor, nwbfile, given, **options)
    return table_of(nwbfile)


def tuples(mask: Any) -> list[tuple[float, ...]]:
    return sorted(tuple(float(value) for value in pixel) for pixel in mask)


def is_gzipped(column: Any) -> bool:
    return isinstance(column.data, H5DataIO) and column.data.io_settings["compression"] == "gzip"


# --- the container and the table --------------------------------------------------------------


@pytest.mark.parametrize("given", [None, {}, {"Ophys": {}}])
def test_image_segmentation(given: Any, nwbfile: NWBFile) -> None:
    tools.add_image_segmentation(nwbfile, given)
    container = nwbfile.processing["ophys"]["ImageSegmentation"]
    assert type(container) is ImageSegmentation
    tools.add_image_segmentation(nwbfile, given)
    assert nwbfile.processing["ophys"]["ImageSegmentation"] is container
    assert len(nwbfile.processing["ophys"].data_interfaces) == 1


def test_image_segmentation_of_a_name(metadata: Any, nwbfile: NWBFile) -> None:
    tools.add_image_segmentation(nwbfile, metadata)
    assert list(nwbfile.processing["ophys"].data_interfaces) == ["Cells"]


@pytest.mark.parametrize("given", [None, {}, {"Ophys": {}}])
def test_defaults(given: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    table = add(segmentation, nwbfile, given)
    assert isinstance(table, PlaneSegmentation)
    assert table.name == "PlaneSegmentation"
    assert table.description
    assert table.imaging_plane is nwbfile.imaging_planes["ImagingPlane"]
    assert table.imaging_plane.device is nwbfile.devices["Microscope"]
    assert len(table) == 5
    assert set(table.colnames) == {
        "roi_name",
        "image_mask",
        "ROICentroids",
        "Accepted",
        "Rejected",
    }


def test_a_name_of_the_metadata(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_plane_segmentation(segmentation, nwbfile, metadata, plane_segmentation_name="Cells2")
    container = nwbfile.processing["ophys"]["Cells"]
    assert list(container.plane_segmentations) == ["Cells2"]
    assert container["Cells2"].description == "second"
    assert list(nwbfile.imaging_planes) == ["Plane2"]


def test_names_accumulate_and_the_same_again_is_a_no_op(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    for name in ("Cells1", "Cells2"):
        tools.add_plane_segmentation(segmentation, nwbfile, metadata, plane_segmentation_name=name)
    container = nwbfile.processing["ophys"]["Cells"]
    first = container["Cells1"]
    metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]["description"] = "changed"
    tools.add_plane_segmentation(segmentation, nwbfile, metadata, plane_segmentation_name="Cells1")
    assert list(container.plane_segmentations) == ["Cells1", "Cells2"]
    assert container["Cells1"] is first
    assert first.description == "first"


def test_a_name_that_is_not_in_the_metadata(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    with pytest.raises(ValueError, match="Missing") as caught:
        tools.add_plane_segmentation(
            segmentation, nwbfile, metadata, plane_segmentation_name="Missing"
        )
    assert "Cells1" in str(caught.value)
    assert len(nwbfile.processing) == 0


def test_deprecated_index(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    with pytest.warns(UserWarning, match="plane_segmentation_index") as caught:
        tools.add_plane_segmentation(segmentation, nwbfile, metadata, plane_segmentation_index=1)
    assert caught[0].filename == __file__
    assert list(nwbfile.processing["ophys"]["Cells"].plane_segmentations) == ["Cells2"]


# --- ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[3, 1, 2], list(np.array([7, 8, 10**12])), [0, 1, 2]])
def test_integer_ids(ids: Any, make_segmentation: Callable[..., Any], nwbfile: NWBFile) -> None:
    table = add(make_segmentation(np.ones((2, 3, 3)), roi_ids=ids), nwbfile)
    assert list(table.id[:]) == ids
    assert "roi_name" not in table.colnames


@pytest.mark.parametrize("ids", [["b", "a", "c"], ["2", "1", "0"], [1, "a", 2]])
def test_other_ids(
    ids: Any,
    make_segmentation: Callable[..., Any],
    nwbfile: NWBFile,
    round_trip: Callable[..., Any],
) -> None:
    add(make_segmentation(np.ones((2, 3, 3)), roi_ids=ids), nwbfile)
    names = [str(roi_id) for roi_id in ids]
    assert list(table_of(nwbfile)["roi_name"].data) == names
    look = lambda f: (list(table_of(f).id[:]), list(table_of(f)["roi_name"][:]))  # noqa: E731
    assert round_trip(nwbfile, look) == ([0, 1, 2], names)


# --- masks ------------------------------------------------------------------------------------


def test_image_masks_are_transposed(segmentation: Any, nwbfile: NWBFile, tmp_path: Any) -> None:
    column = add(segmentation, nwbfile)["image_mask"]
    expected = segmentation.get_roi_image_masks().T  # (rows, columns, ROIs) reversed
    assert expected.shape == (5, 9, 7)
    np.testing.assert_array_equal(np.asarray(column.data), expected)
    path = tmp_path / "masks.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        stored = file["processing/ophys/ImageSegmentation/PlaneSegmentation/image_mask"]
        assert stored.compression == "gzip"
        np.testing.assert_array_equal(stored[:], expected)


def test_lazy_columns_behave_as_arrays(segmentation: Any, nwbfile: NWBFile) -> None:
    column = add(segmentation, nwbfile)["image_mask"]
    expected = segmentation.get_roi_image_masks().T
    for data in (column.data, column.data.data):
        assert data.shape == (5, 9, 7)
        assert data.dtype == expected.dtype
        assert len(data) == 5
        for selection in (0, -1, slice(1, 3), (2, 4), (slice(0, 2), slice(1, 5), 3)):
            np.testing.assert_array_equal(data[selection], expected[selection])
        np.testing.assert_array_equal(np.asarray(data), expected)
    assert column.shape == (5, 9, 7)
    np.testing.assert_array_equal(column[1], expected[1])
    np.testing.assert_array_equal(table_of(nwbfile)["image_mask"][:], expected)
    assert len(table_of(nwbfile).to_dataframe()) == 5


# L shapes with unequal arms and graded weights: no symmetry can map them to themselves.
PLANTED = {
    2: [{(1, 4): 0.25, (2, 4): 0.5, (3, 4): 0.75, (3, 5): 1.0}, {(0, 0): 1.0, (0, 1): 0.5}],
    3: [
        {(1, 4, 0): 0.25, (2, 4, 0): 0.5, (3, 4, 0): 0.75, (3, 5, 1): 1.0},
        {(0, 0, 2): 1.0, (0, 1, 2): 0.5},
    ],
}
FIELD = {2: (5, 8), 3: (5, 8, 3)}


@pytest.mark.parametrize("source", ["image", "roiextractors"])
@pytest.mark.parametrize("num_axes", [2, 3])
def test_all_masks_say_the_pixels_of_the_movie(
    num_axes: int,
    source: str,
    make_movie: Callable[..., Any],
    make_segmentation: Callable[..., Any],
    new_file: Callable[[], NWBFile],
    tmp_path: Any,
) -> None:
    """Each mask lies on the bright pixels of a movie that is bright only in the ROIs."""
    field = FIELD[num_axes]
    masks = np.zeros((*field, 2), dtype=np.float32)
    movie = np.zeros((2, *field), dtype=np.float32)
    for roi, pixels in enumerate(PLANTED[num_axes]):
        for position, weight in pixels.items():
            masks[(*position, roi)] = weight
            movie[(roi, *position)] = weight
    extractor = make_segmentation(masks)
    if source == "roiextractors":
        extractor = native_extractor(masks)
    sparse = "pixel" if num_axes == 2 else "voxel"
    read = {}
    for mask_type in ("image", sparse):
        path = tmp_path / f"{mask_type}.nwb"
        nwbfile = new_file()
        tools.add_photon_series(make_movie(movie), nwbfile, None)
        add(extractor, nwbfile, mask_type=mask_type)
        with NWBHDF5IO(str(path), "w") as io:
            io.write(nwbfile)
        with NWBHDF5IO(str(path), "r") as io:
            found = io.read()
            data = found.acquisition["TwoPhotonSeries"].data[:]
            table = table_of(found)
            read[mask_type] = [table[f"{mask_type}_mask"][roi] for roi in range(2)]
            centroids = table["ROICentroids"][:]
        np.testing.assert_array_equal(centroids[0], [5, 3, 1][:num_axes])  # x, y[, z]
    for roi, planted in enumerate(PLANTED[num_axes]):
        np.testing.assert_array_equal(read["image"][roi], data[roi])
        for x, y, *z, weight in read[sparse][roi]:
            assert data[(roi, x, y, *z)] == weight
            assert planted[(y, x, *z)] == weight
        assert len(read[sparse][roi]) == len(planted)


def native_extractor(masks: np.ndarray) -> Any:
    """Return a segmentation of roiextractors itself, with its own layout of masks of volumes."""
    from roiextractors.segmentationextractor import SegmentationExtractor, _ROIMasks, _RoiResponse

    kind = "nwb-pixel_mask" if masks.ndim == 3 else "nwb-voxel_mask"
    data = [
        np.column_stack([*np.nonzero(mask), mask[np.nonzero(mask)]])
        for mask in np.moveaxis(masks, -1, 0)
    ]

    class Native(SegmentationExtractor):
        def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> None:
            return None

        def get_frame_shape(self) -> Any:
            return masks.shape[:-1]

    extractor = Native()
    ids = {roi: roi for roi in range(masks.shape[-1])}
    extractor._roi_masks = _ROIMasks(data, kind, masks.shape[:-1], ids)
    extractor._roi_responses = [_RoiResponse("raw", np.zeros((4, len(ids))), list(ids))]
    return extractor


def sparse_masks(num_columns: int) -> list[np.ndarray]:
    """Return masks of 1, 2, … 5 pixels: (row, column[, plane], weight), all values different."""
    starts = itertools.accumulate(range(5), lambda total, n: total + n * num_columns)
    return [
        np.arange(start, start + (n + 1) * num_columns, dtype=np.uint8).reshape(-1, num_columns)
        for n, start in enumerate(starts)
    ]


@pytest.mark.parametrize(("mask_type", "num_columns"), [("pixel", 3), ("voxel", 4)])
def test_masks_of_a_method_that_was_replaced(
    mask_type: str,
    num_columns: int,
    segmentation: Any,
    nwbfile: NWBFile,
    round_trip: Callable[..., Any],
) -> None:
    masks = sparse_masks(num_columns)
    segmentation.get_roi_pixel_masks = Mock(return_value=masks)
    table = add(segmentation, nwbfile, mask_type=mask_type)
    name = f"{mask_type}_mask"
    assert MASKS & set(table.colnames) == {name}
    expected = [sorted((r[1], r[0], *r[2:]) for r in mask.tolist()) for mask in masks]
    assert [tuples(table[name][roi]) for roi in range(5)] == expected
    read = round_trip(nwbfile, lambda f: [tuples(mask) for mask in table_of(f)[name][:]])
    assert read == expected


@pytest.mark.parametrize("mask_type", ["pixel", "voxel"])
def test_sparse_masks_in_memory_are_tuples_as_those_of_pynwb(
    mask_type: str, segmentation: Any, nwbfile: NWBFile
) -> None:
    masks = sparse_masks(3 if mask_type == "pixel" else 4)
    segmentation.get_roi_pixel_masks = lambda roi_ids=None: masks
    table = add(segmentation, nwbfile, mask_type=mask_type)
    column = table[f"{mask_type}_mask"]
    for index, mask in enumerate(masks):
        expected = [(row[1], row[0], *row[2:]) for row in mask.tolist()]
        assert column[index] == expected
        np.testing.assert_array_equal(column[index], expected)
    assert column[0:2] == [column[0], column[1]]
    assert column.target.data[0] == column[0][0]
    assert is_gzipped(column)
    assert is_gzipped(column.target)


@pytest.mark.parametrize("mask_type", ["image", "pixel", "voxel"])
def test_every_backend_takes_the_masks(
    mask_type: str, backend: str, segmentation: Any, nwbfile: NWBFile, tmp_path: Any
) -> None:
    masks = sparse_masks(4 if mask_type == "voxel" else 3)
    segmentation.get_roi_pixel_masks = lambda roi_ids=None: masks
    column = add(segmentation, nwbfile, mask_type=mask_type)[f"{mask_type}_mask"]
    suffix = ".nwb.zarr" if backend == "zarr" else ".nwb"
    path = write_nwbfile(nwbfile, tmp_path / f"table{suffix}", backend=backend)
    with opened(path) as io:
        found = table_of(io.read())[f"{mask_type}_mask"]
        for roi in range(5):
            if mask_type == "image":
                np.testing.assert_array_equal(found[roi], column[roi])
            else:
                assert tuples(found[roi]) == tuples(column[roi])


def test_stored_types_of_pixels(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile, tmp_path: Any
) -> None:
    masks = np.zeros((4, 300, 1), np.float32)
    masks[3, 299] = 0.5
    add(make_segmentation(masks), nwbfile, mask_type="pixel")
    path = tmp_path / "pixels.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        stored = file["processing/ophys/ImageSegmentation/PlaneSegmentation/pixel_mask"]
        assert stored.dtype == [("x", "<u4"), ("y", "<u4"), ("weight", "<f4")]
        assert stored[0].tolist() == (299, 3, 0.5)
        assert stored.compression == "gzip"


def test_weights_stay_exact_in_memory(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile
) -> None:
    masks = np.zeros((4, 5, 2))
    masks[1, 2] = 0.1
    table = add(make_segmentation(masks), nwbfile, mask_type="pixel")
    assert table["pixel_mask"][1] == [(2, 1, 0.1)]


@pytest.mark.parametrize(
    ("asked", "num_columns", "written"), [("voxel", 3, "pixel"), ("pixel", 4, "voxel")]
)
def test_the_kind_of_mask_that_fits_is_written_with_a_warning(
    asked: str, num_columns: int, written: str, segmentation: Any, nwbfile: NWBFile
) -> None:
    segmentation.get_roi_pixel_masks = Mock(return_value=sparse_masks(num_columns))
    with pytest.warns(UserWarning, match=written) as caught:
        table = add(segmentation, nwbfile, mask_type=asked)
    assert len(caught) == 1
    assert MASKS & set(table.colnames) == {f"{written}_mask"}
    assert len(table[f"{written}_mask"][4]) == 5


def test_voxels_of_a_planar_segmentation(segmentation: Any, nwbfile: NWBFile) -> None:
    with pytest.warns(UserWarning, match="pixel"):
        add(segmentation, nwbfile, mask_type="voxel")


@pytest.mark.parametrize("mask_type", ["images", "", True, 1])
def test_a_wrong_mask_type(mask_type: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    with pytest.raises(AssertionError, match="mask_type") as caught:
        add(segmentation, nwbfile, mask_type=mask_type)
    for allowed in ("image", "pixel", "voxel", "None"):
        assert allowed in str(caught.value)
    assert len(nwbfile.processing) == 0


def test_empty_masks_among_others(
    make_segmentation: Callable[..., Any],
    new_file: Callable[[], NWBFile],
    round_trip: Callable[..., Any],
) -> None:
    masks = np.zeros((4, 6, 3))
    masks[1, 2, 1] = 1.0
    for mask_type in ("image", "pixel"):
        nwbfile = new_file()
        table = add(make_segmentation(masks), nwbfile, mask_type=mask_type)
        nowhere = [np.nan, np.nan]  # an ROI without pixels has no centre
        np.testing.assert_array_equal(table["ROICentroids"].data, [nowhere, [2, 1], nowhere])
        assert round_trip(nwbfile, lambda f: len(table_of(f))) == 3
    assert [len(mask) for mask in table["pixel_mask"][:]] == [0, 1, 0]


def test_an_empty_voxel_mask(segmentation: Any, nwbfile: NWBFile) -> None:
    masks = sparse_masks(4)
    masks[2] = np.zeros((0, 4))
    segmentation.get_roi_pixel_masks = lambda roi_ids=None: masks
    table = add(segmentation, nwbfile, mask_type="voxel")
    assert table["voxel_mask"][2] == []
    assert table["ROICentroids"].data.shape == (5, 3)


def test_a_segmentation_without_rois(
    make_segmentation: Callable[..., Any],
    new_file: Callable[[], NWBFile],
    round_trip: Callable[..., Any],
) -> None:
    extractor = make_segmentation(np.zeros((4, 6, 0)), {})
    for mask_type in ("image", "pixel", None):
        nwbfile = new_file()
        assert len(add(extractor, nwbfile, mask_type=mask_type)) == 0
        assert round_trip(nwbfile, lambda f: len(table_of(f))) == 0


@pytest.mark.parametrize("num_planes", [None, 3])
def test_image_masks_of_a_method_that_gives_all_rois(
    num_planes: int | None, segmentation: Any, nwbfile: NWBFile
) -> None:
    """A method that replaces the extractor's own may ignore the requested ids."""
    shape = (7, 9, 5) if num_planes is None else (7, 9, num_planes, 5)
    masks = np.random.default_rng(1).random(shape)
    segmentation.get_roi_image_masks = Mock(return_value=masks)
    column = add(segmentation, nwbfile)["image_mask"]
    for roi in range(5):
        np.testing.assert_array_equal(column[roi], masks[..., roi].swapaxes(0, 1))


def test_masks_of_fewer_rois_than_asked_for_are_refused(
    segmentation: Any, new_file: Callable[[], NWBFile]
) -> None:
    segmentation.get_roi_pixel_masks = Mock(return_value=sparse_masks(3)[:4])
    with pytest.raises(ValueError, match="4"):
        add(segmentation, new_file(), mask_type="pixel")
    segmentation.get_roi_image_masks = Mock(return_value=np.ones((7, 9, 3)))
    with pytest.raises(ValueError, match="3"):
        add(segmentation, new_file())


# --- no masks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"include_roi_centroids": False}])
@pytest.mark.parametrize("ids", [None, ["a", "b"]])
@pytest.mark.parametrize("how", ["pynwb", "hdf5", "zarr"])
def test_no_masks(
    options: Any,
    ids: Any,
    how: str,
    make_segmentation: Callable[..., Any],
    nwbfile: NWBFile,
    tmp_path: Any,
) -> None:
    extractor = make_segmentation(np.ones((3, 4, 2)), roi_ids=ids)
    tools.add_fluorescence_traces(extractor, nwbfile, None)  # the table with masks, for traces
    given = {
        "Ophys": {
            "ImageSegmentation": {
                "plane_segmentations": [{"name": "Bare", "imaging_plane": "ImagingPlane"}]
            }
        }
    }
    tools.add_plane_segmentation(
        extractor, nwbfile, given, plane_segmentation_name="Bare", mask_type=None, **options
    )
    table = table_of(nwbfile, "Bare")
    assert isinstance(table, PlaneSegmentation)
    assert not MASKS & set(table.colnames)
    assert list(table.id[:]) == [0, 1]
    path = tmp_path / ("bare.nwb.zarr" if how == "zarr" else "bare.nwb")
    if how == "pynwb":
        with NWBHDF5IO(str(path), "w") as io:
            io.write(nwbfile)
    else:
        write_nwbfile(nwbfile, path, backend=how)
    with opened(path) as io:
        found = table_of(io.read(), "Bare")
        assert type(found) is PlaneSegmentation
        assert list(found.id[:]) == [0, 1]
        assert ("ROICentroids" in found.colnames) == (not options)
        assert ("roi_name" in found.colnames) == (ids is not None)
        for name in MASKS & set(found.colnames):
            assert [len(mask) for mask in found[name][:]] == [0, 0]


def opened(path: Any) -> Any:
    if path.suffix == ".zarr":
        from hdmf_zarr import NWBZarrIO

        return NWBZarrIO(str(path), "r")
    return NWBHDF5IO(str(path), "r")


def test_no_masks_in_both_of_two_files(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile, tmp_path: Any
) -> None:
    """The same segmentation can be written twice."""
    add(make_segmentation(np.ones((3, 4, 2))), nwbfile, mask_type=None)
    for name in ("first.nwb", "second.nwb"):
        write_nwbfile(nwbfile, tmp_path / name)
        with NWBHDF5IO(str(tmp_path / name), "r") as io:
            assert len(table_of(io.read())) == 2


# --- centroids --------------------------------------------------------------------------------


def test_centroids_are_medians_of_the_brightest_pixels_truncated(
    make_segmentation: Callable[..., Any], new_file: Callable[[], NWBFile]
) -> None:
    masks = np.zeros((6, 12, 3))
    masks[2, 3, 0] = masks[2, 4, 0] = 1.0  # columns 3 and 4: median 3.5
    masks[5, 11, 0] = 0.5
    masks[0, 1, 1] = masks[1, 1, 1] = masks[4, 10, 1] = 2.0  # medians: column 1, row 1
    masks[:, :, 2] = 1.0  # medians: column 5.5, row 2.5
    for mask_type in ("image", "pixel", None):
        table = add(make_segmentation(masks), new_file(), mask_type=mask_type)
        centroids = np.asarray(table["ROICentroids"].data)
        assert np.issubdtype(centroids.dtype, np.integer)
        np.testing.assert_array_equal(centroids, [[3, 2], [1, 1], [5, 2]])
        assert is_gzipped(table["ROICentroids"])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_centroids_of_images_and_pixels_are_the_same(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(data.draw(st.sampled_from([2, 3]))))
    values = st.lists(
        st.sampled_from([0.0, 0.5, 1.0]), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))
    )
    masks = np.stack(
        [np.array(data.draw(values)).reshape(shape) for _ in range(2)], axis=-1
    ).astype(np.float32)
    extractor = ArraySegmentationExtractor(masks, {"raw": np.ones((2, 2))}, 1.0)
    import datetime

    found = []
    for mask_type in ("image", "pixel" if len(shape) == 2 else "voxel"):
        start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
        nwbfile = NWBFile(session_description="s", identifier="i", session_start_time=start)
        found.append(np.asarray(add(extractor, nwbfile, mask_type=mask_type)["ROICentroids"].data))
    np.testing.assert_array_equal(found[0], found[1])
    for roi in range(2):
        if not masks[..., roi].any():  # an ROI without weights has no centre
            assert np.isnan(found[0][roi]).all()
            continue
        brightest = np.argwhere(masks[..., roi] == masks[..., roi].max())
        medians = np.median(brightest, axis=0)
        expected = [int(medians[1]), int(medians[0]), *(int(z) for z in medians[2:])]
        assert list(found[0][roi]) == expected


@pytest.mark.parametrize("mask_type", ["image", "pixel", None])
def test_centroids_off(mask_type: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    table = add(segmentation, nwbfile, include_roi_centroids=False, mask_type=mask_type)
    assert "ROICentroids" not in table.colnames
    assert "Accepted" in table.colnames


# --- acceptance and other properties ----------------------------------------------------------


@pytest.mark.parametrize("rejected", [[], ["roi_1", "roi_3"], [f"roi_{n}" for n in range(5)]])
def test_acceptance(rejected: list[str], nwbfile: NWBFile, round_trip: Callable[..., Any]) -> None:
    extractor = generate_dummy_segmentation_extractor(num_rois=5, rejected_list=rejected)
    table = add(extractor, nwbfile)
    expected = [int(f"roi_{n}" in rejected) for n in range(5)]
    assert list(table["Rejected"].data) == expected
    assert list(table["Accepted"].data) == [1 - value for value in expected]
    assert table["Accepted"].data.dtype.kind in "iu"
    assert is_gzipped(table["Accepted"])
    assert is_gzipped(table["Rejected"])
    assert not {"is_accepted", "is_rejected"} & set(table.colnames)
    assert list(round_trip(nwbfile, lambda f: table_of(f)["Rejected"][:])) == expected


def test_acceptance_of_suite2p(make_segmentation: Callable[..., Any], nwbfile: NWBFile) -> None:
    extractor = make_segmentation(np.ones((2, 3, 3)))
    extractor.set_property("iscell", np.array([1.0, 0.0, 1.0]), [0, 1, 2])
    table = add(extractor, nwbfile)
    assert list(table["Accepted"].data) == [1, 0, 1]
    assert list(table["Rejected"].data) == [0, 1, 0]
    assert "iscell" not in table.colnames


def test_only_rejection_is_stated(make_segmentation: Callable[..., Any], nwbfile: NWBFile) -> None:
    extractor = make_segmentation(np.ones((2, 3, 3)))
    extractor.set_property("is_rejected", np.array([True, False, False]), [0, 1, 2])
    table = add(extractor, nwbfile)
    assert list(table["Accepted"].data) == [0, 1, 1]
    assert list(table["Rejected"].data) == [1, 0, 0]


def test_acceptance_off(segmentation: Any, nwbfile: NWBFile) -> None:
    table = add(segmentation, nwbfile, include_roi_acceptance=False)
    assert set(table.colnames) == {"roi_name", "image_mask", "ROICentroids"}


def test_acceptance_that_is_not_stated(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile
) -> None:
    table = add(make_segmentation(np.ones((2, 3, 3))), nwbfile)
    assert not {"Accepted", "Rejected"} & set(table.colnames)


PROPERTIES = {
    "snr": np.array([1.5, 2.5, 3.5]),
    "count": np.array([3, 2, 1]),
    "flag": np.array([True, False, True]),
    "kind": np.array(["soma", "dendrite", "ä"]),
    "position": np.arange(6.0).reshape(3, 2),
}


def test_every_other_property_becomes_a_column(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    extractor = make_segmentation(np.ones((2, 3, 3)), roi_ids=["c", "a", "b"])
    for key, values in PROPERTIES.items():
        extractor.set_property(key, values, ["c", "a", "b"], description=f"the {key}")
    table = add(extractor, nwbfile)
    for key in PROPERTIES:
        assert table[key].description == f"the {key}"
        assert is_gzipped(table[key])

    def look(read: NWBFile) -> dict[str, Any]:
        return {key: np.asarray(table_of(read)[key][:]) for key in PROPERTIES}

    found = round_trip(nwbfile, look)
    for key, values in PROPERTIES.items():
        assert found[key].tolist() == values.tolist()


def test_a_property_of_the_name_of_another_column(
    make_segmentation: Callable[..., Any], nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    extractor = make_segmentation(np.ones((2, 3, 3)), accepted=[True, False, True])
    for key in ("id", "image_mask", "ROICentroids", "Accepted", "roi_name"):
        extractor.set_property(key, np.array([7, 8, 9]), [0, 1, 2])
    add(extractor, nwbfile)

    def look(read: NWBFile) -> Any:
        table = table_of(read)
        ours = ("roi_id", "roi_image_mask", "roi_ROICentroids", "roi_Accepted", "roi_name")
        assert [list(table[name][:]) for name in ours] == [[7, 8, 9]] * 5
        return list(table["Accepted"][:]), list(table.id[:]), table["image_mask"].shape

    assert round_trip(nwbfile, look) == ([1, 0, 1], [0, 1, 2], (3, 3, 2))


# --- storing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mask_type", ["image", "pixel"])
def test_gzip_on_every_column(mask_type: str, segmentation: Any, nwbfile: NWBFile) -> None:
    segmentation.set_property("snr", np.ones(5), segmentation.get_roi_ids())
    table = add(segmentation, nwbfile, mask_type=mask_type)
    assert len(table.columns) >= 6
    for column in table.columns:
        assert is_gzipped(column), column.name


@pytest.mark.parametrize("mask_type", ["image", "pixel"])
def test_compression_of_the_caller(
    mask_type: str, segmentation: Any, nwbfile: NWBFile, tmp_path: Any
) -> None:
    options = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    table = add(segmentation, nwbfile, mask_type=mask_type, compression_options=options)
    for column in table.columns:
        assert column.data.io_settings["compression_opts"] == 9
    assert options == {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    path = tmp_path / "table.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        group = file["processing/ophys/ImageSegmentation/PlaneSegmentation"]
        for name in (f"{mask_type}_mask", "ROICentroids", "Accepted"):
            assert (group[name].compression_opts, group[name].shuffle) == (9, True)


def test_no_compression_by_the_caller(segmentation: Any, nwbfile: NWBFile, tmp_path: Any) -> None:
    add(segmentation, nwbfile, compression_options={"compression": False})
    path = tmp_path / "table.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        group = file["processing/ophys/ImageSegmentation/PlaneSegmentation"]
        assert group["image_mask"].compression is None


def test_options_of_the_iterator(segmentation: Any, nwbfile: NWBFile, tmp_path: Any) -> None:
    options = {"chunk_shape": (2, 3, 7), "buffer_shape": (4, 9, 7)}
    table = add(segmentation, nwbfile, iterator_options=options)
    iterator = table["image_mask"].data.data
    assert iterator.chunk_shape == (2, 3, 7)
    assert iterator.buffer_shape == (4, 9, 7)
    path = tmp_path / "table.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        stored = file["processing/ophys/ImageSegmentation/PlaneSegmentation/image_mask"]
        assert stored.chunks == (2, 3, 7)
        np.testing.assert_array_equal(stored[:], segmentation.get_roi_image_masks().T)


@pytest.mark.parametrize(
    "options",
    [{"chunk_mb": 0.001}, {"buffer_gb": 1e-6}, {"buffer_shape": (2, 9, 7)}, {"buffer_gb": 1e-9}],
)
def test_sizes_for_the_iterator(options: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    column = add(segmentation, nwbfile, iterator_options=options)["image_mask"]
    whole = np.zeros((5, 9, 7))
    for block in column.data.data:
        whole[block.selection] = block.data
    np.testing.assert_array_equal(whole, segmentation.get_roi_image_masks().T)
