"""Masks of every form are read as the pixels whose weight is not 0."""

from __future__ import annotations

import datetime

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.ophys import ImageSegmentation

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.reports import masks as masks_module
from nwb_ophys.reports.masks import read_pixels
from nwb_ophys.reports.segmentation import gather_segmentation
from nwb_ophys.reports.stored_file import opened

TABLE = "processing/ophys/ImageSegmentation/Cells"
FIELD = (13, 9)


def images(num_rois=6, field=FIELD, seed=0):
    """Return masks, (ROIs, columns, rows[, planes]), one of which is empty."""
    rng = np.random.default_rng(seed)
    found = rng.random((num_rois, *field)).astype(np.float32)
    found[found < 0.8] = 0
    found[2] = 0
    return found


def write(path, found, form):
    nwbfile = pynwb.NWBFile(
        session_description="x",
        identifier="x",
        session_start_time=datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
    )
    plane = nwbfile.create_imaging_plane(
        name="Plane",
        optical_channel=pynwb.ophys.OpticalChannel(
            name="a", description="b", emission_lambda=500.0
        ),
        description="x",
        device=nwbfile.create_device(name="Scope"),
        excitation_lambda=900.0,
        indicator="x",
        location="x",
    )
    segmentation = ImageSegmentation()
    nwbfile.create_processing_module("ophys", "x").add(segmentation)
    table = segmentation.create_plane_segmentation("x", plane, "Cells")
    for mask in found:
        if form == "image_mask":
            table.add_roi(image_mask=mask)
            continue
        places = np.nonzero(mask)
        rows = [(*map(int, place), float(mask[place])) for place in zip(*places, strict=True)]
        # NWB stores no empty list of pixels; a weight of 0 is the same.
        table.add_roi(**{form: rows or [(*(0 for _ in mask.shape), 0.0)]})
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def dense(pixels):
    """Return the masks of pixel lists, (ROIs, columns, rows[, planes])."""
    lists = pixels.lists
    found = np.zeros((len(lists.ends), *lists.field_shape), np.float32)
    for roi, (start, stop) in enumerate(zip([0, *lists.ends[:-1]], lists.ends, strict=True)):
        found[(roi, *(axis[start:stop] for axis in lists.coordinates))] = lists.weights[start:stop]
    return found


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ("image_mask", FIELD),
        ("pixel_mask", FIELD),
        ("image_mask", (7, 5, 4)),
        ("voxel_mask", (7, 5, 4)),
    ],
)
def test_every_form_is_read(tmp_path, form, field):
    found = images(field=field)
    path = write(tmp_path / "a.nwb", found, form)
    with opened(path) as file:
        pixels = read_pixels(file, TABLE, field)
    assert pixels.form == form
    np.testing.assert_array_equal(dense(pixels), found)


def store_in_tiles(path, values, part):
    """Store masks in tiles of 10 by 10 pixels; those outside of a part are not stored."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[f"{TABLE}/image_mask"].attrs)
        del file[f"{TABLE}/image_mask"]
        dataset = file.create_dataset(
            f"{TABLE}/image_mask", values.shape, "f4", chunks=(1, 10, 10), compression="gzip"
        )
        dataset.attrs.update(attributes)
        dataset[part] = values[part]


def test_of_masks_that_are_mostly_not_stored_only_stored_tiles_are_read(tmp_path):
    found = images(40, (20, 30))
    part = (slice(None), slice(0, 10), slice(20, 30))
    path = write(tmp_path / "a.nwb", found, "image_mask")
    store_in_tiles(path, found, part)
    expected = np.zeros_like(found)
    expected[part] = found[part]
    with opened(path) as file:
        assert file.source(f"{TABLE}/image_mask").is_sparse
        np.testing.assert_array_equal(dense(read_pixels(file, TABLE)), expected)


def test_images_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    found = images(40, (20, 30))
    path = write(tmp_path / "a.nwb", found, "image_mask")
    monkeypatch.setattr(masks_module, "_BLOCK_BYTES", 3 * 20 * 30 * 4)
    with opened(path) as file:
        np.testing.assert_array_equal(dense(read_pixels(file, TABLE)), found)


def test_of_very_many_dense_images_every_nth_is_read(tmp_path, monkeypatch):
    found = images(10)
    path = write(tmp_path / "a.nwb", found, "image_mask")
    monkeypatch.setattr(masks_module, "_MOST_IMAGE_BYTES", found.nbytes // 2)
    with opened(path) as file:
        pixels = read_pixels(file, TABLE)
    assert pixels.every == 2
    np.testing.assert_array_equal(dense(pixels)[::2], found[::2])
    assert not dense(pixels)[1::2].any()


def test_an_index_that_does_not_fit_is_an_error(tmp_path):
    path = write(tmp_path / "a.nwb", images(), "pixel_mask")
    with h5py.File(path, "r+") as file:
        file[f"{TABLE}/pixel_mask_index"][-1] += 5
    with opened(path) as file, pytest.raises(CorruptSourceError, match="index ends at"):
        read_pixels(file, TABLE)


def test_sizes_count_each_pixel_once(tmp_path):
    path = write(tmp_path / "a.nwb", images(), "pixel_mask")
    with h5py.File(path, "r+") as file:  # the first pixel of the first ROI twice
        rows = file[f"{TABLE}/pixel_mask"][:]
        rows[1] = rows[0]
        file[f"{TABLE}/pixel_mask"][:] = rows
    with opened(path) as file:
        table = gather_segmentation(file, TABLE, ())
    expected = [(mask != 0).sum() for mask in images()]
    assert table.sizes.tolist() == [expected[0] - 1, *expected[1:]]


def test_volumes_have_the_outlines_of_each_plane(tmp_path):
    found = images(field=(7, 5, 4))
    path = write(tmp_path / "a.nwb", found, "voxel_mask")
    with opened(path) as file:
        table = gather_segmentation(file, TABLE, ())
    assert [each.plane for each in table.outlines] == [0, 1, 2, 3]
    for outlines in table.outlines:
        for mask, loops in zip(found, outlines.loops, strict=True):
            area = sum(_area(loop) for loop in loops)
            assert area == (mask[:, :, outlines.plane] != 0).sum()


def _area(loop):
    pairs = zip(loop, [*loop[1:], loop[0]], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2
