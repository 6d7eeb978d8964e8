"""Comparison of the parts that an extractor reads with the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

_NUM_THREADS = 4
_ROUNDS = 5


def check_blocks(extractor: Any) -> None:
    """Read parts of a movie, also by several threads at once where the extractor allows it.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor

    Raises
    ------
    AssertionError
        If a part differs from the same samples of the whole.
    """
    num_samples = int(extractor.get_num_samples())
    whole = np.array(extractor.get_series(0, num_samples))
    middle = num_samples // 2
    parts = [(0, 1), (middle, num_samples), (num_samples - 1, num_samples), (0, middle + 1)]

    def read(part: tuple[int, int]) -> Any:
        return np.asarray(extractor.get_series(start_sample=part[0], end_sample=part[1]))

    for start, stop in parts:
        assert _are_equal(read((start, stop)), whole[start:stop]), (
            f"get_series({start}, {stop}) returns other pixels than samples {start} to {stop} of "
            f"get_series(0, {num_samples})."
        )
    if getattr(extractor, "reads_in_parallel", False) is not True:
        return
    asked = parts * _ROUNDS
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        found = list(pool.map(read, asked))
    same = all(
        _are_equal(block, whole[start:stop])
        for block, (start, stop) in zip(found, asked, strict=True)
    )
    assert same, (
        "reads_in_parallel is true, but get_series() returns other pixels when several threads "
        "call it at once, or changes arrays that it returned before; leave reads_in_parallel out."
    )


def _are_equal(block: Any, expected: Any) -> bool:
    """Return whether a block has certain pixels; one sample may lack the axis of samples."""
    if len(expected) == 1 and block.size == expected.size:
        block = block.reshape(expected.shape)
    return np.array_equal(block, expected, equal_nan=expected.dtype.kind == "f")


def check_pixel_masks(extractor: Any) -> None:
    """Compare the pixel masks of ROIs with their image masks.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor

    Raises
    ------
    AssertionError
        If they show other pixels or weights.
    """
    for roi_id in extractor.get_roi_ids():
        image = np.squeeze(np.asarray(extractor.get_roi_image_masks(roi_ids=[roi_id])))
        (pixels,) = (np.asarray(each) for each in extractor.get_roi_pixel_masks(roi_ids=[roi_id]))
        what = f"the pixel mask of ROI {roi_id!r}"
        assert pixels.shape == (len(pixels), image.ndim + 1), (
            f"{what} has the shape {pixels.shape}; it must be (pixels, {image.ndim + 1}): row, "
            "column[, plane] and weight of each pixel."
        )
        places = tuple(pixels[:, :-1].astype(int).T)
        inside = all((axis < size).all() for axis, size in zip(places, image.shape, strict=True))
        assert inside, f"{what} has pixels outside of the field {image.shape}."
        listed = np.zeros(image.shape)
        listed[places] = pixels[:, -1]
        assert np.allclose(listed, image), (
            f"{what} shows other pixels than its image mask: get_roi_pixel_masks() must return "
            "(row, column[, plane], weight), get_roi_image_masks() (rows, columns[, planes], ROIs)."
        )
