"""Benchmark of mask columns and tiles: ``python -m benchmarks.masks`` prints a Markdown table.

Masks of cells of about 100 pixels in a field of 512 x 512, from pixel lists: the time and the
memory of the columns of the table, and of tiles of several sizes that are made, shuffled and
deflated.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from isal import isal_zlib
from roiextractors import SegmentationExtractor
from roiextractors.segmentationextractor import _ROIMasks

from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.rois.model import Rois
from nwb_ophys.writers.roi_columns import ColumnStorage, roi_columns

FIELD = (512, 512)
STORAGE = ColumnStorage(iterator_options=None, compression_options=None)


class RoiMaskList(SegmentationExtractor):
    """Segmentation of cells that are disks of 101 pixels."""

    def __init__(self, num_rois: int) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        row, column = np.mgrid[-6:7, -6:7]
        disc = np.argwhere(row**2 + column**2 <= 32)
        corners = random.integers(0, FIELD[0] - 13, (num_rois, 1, 2))
        weights = random.random((num_rois, len(disc), 1), dtype=np.float32)
        masks = list(np.concatenate([corners + disc, weights], axis=-1))
        self._roi_ids = list(range(num_rois))
        self._roi_masks = _ROIMasks(
            masks, "nwb-pixel_mask", FIELD, {index: index for index in self._roi_ids}
        )

    def get_frame_shape(self) -> tuple[int, int]:
        return FIELD

    def get_num_rois(self) -> int:
        return len(self._roi_ids)

    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> None:
        return None


def best(run: Callable[[], Any], rounds: int = 3) -> float:
    """Return the shortest time in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def peak(run: Callable[[], Any]) -> float:
    """Return the peak of the allocated memory in megabytes."""
    tracemalloc.start()
    run()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def encode(iterator: RoiImageMaskIterator, tile: int) -> tuple[int, int]:
    """Make, shuffle and deflate all tiles; return their number and their bytes."""
    num_tiles = num_bytes = 0
    for _, values in iterator.nonzero_chunks(0, len(iterator), (1, tile, tile)):
        shuffled = np.ascontiguousarray(values.reshape(-1, 1).view(np.uint8).T)
        num_bytes += len(isal_zlib.compress(shuffled, 1))
        num_tiles += 1
    return num_tiles, num_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rois", type=int, nargs="+", default=[1500, 10_000])
    num_rois = parser.parse_args().rois
    print("| ROIs | columns | seconds | MB |\n|---|---|---|---|")
    for count in num_rois:
        extractor = RoiMaskList(count)
        for form in ("image", "pixel"):

            def run(extractor: Any = extractor, form: str = form) -> Any:
                return roi_columns(Rois.of(extractor), form, True, True, STORAGE)

            print(f"| {count} | {form} | {best(run):.3f} | {peak(run):.0f} |")
    print("\n| ROIs | tile | seconds | tiles | MB deflated |\n|---|---|---|---|---|")
    for count in num_rois:
        extractor = RoiMaskList(count)
        iterator = RoiImageMaskIterator(Rois.of(extractor))
        for tile in (64, 128, 256):
            seconds = best(lambda tile=tile, iterator=iterator: encode(iterator, tile), 2)
            num_tiles, num_bytes = encode(iterator, tile)
            print(f"| {count} | {tile} | {seconds:.3f} | {num_tiles} | {num_bytes / 1e6:.1f} |")


if __name__ == "__main__":
    main()
