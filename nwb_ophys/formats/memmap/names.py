"""Names of CaImAn's memory maps, which state the sizes and the order of the pixels."""

from __future__ import annotations

import math
import re
from pathlib import Path

import attrs
import numpy as np

# CaImAn stores a matrix of pixels times frames and flattens the images by columns. Its letter for
# the order of the matrix gives the order of the axes of the movie.
_CAIMAN_NAME = re.compile(
    r"_d1_(\d+)_d2_(\d+)_d3_(\d+)_order_([CF])_frames_(\d+)(?:_(\d*))?\.mmap$", re.IGNORECASE
)
_CAIMAN_ORDERS = {"F": "TZXY", "C": "ZXYT"}
CAIMAN_PIXEL = np.dtype("<f4")
"""Type of the pixels."""


@attrs.frozen(kw_only=True)
class MapLayout:
    """Sizes that the name of a memory map states.

    Attributes
    ----------
    path : pathlib.Path
    num_samples : int
    field : tuple of int
        (rows, columns[, planes]).
    """

    path: Path
    num_samples: int
    field: tuple[int, ...]


def caiman_layout(path: Path) -> tuple[str, tuple[int, ...]] | None:
    """Return the order and lengths of axes from the name of a CaImAn memory map; else None.

    Parameters
    ----------
    path : pathlib.Path
        For example ``memmap_d1_256_d2_128_d3_1_order_F_frames_101_.mmap``.
    """
    found = _CAIMAN_NAME.search(path.name)
    if found is None:
        return None
    order = _CAIMAN_ORDERS[found[4].upper()]
    # CaImAn reads a number after the last underscore in place of the number of frames.
    sizes = {"Y": found[1], "X": found[2], "Z": found[3], "T": found[6] or found[5]}
    return order, tuple(int(sizes[letter]) for letter in order)


def caiman_map(path: Path) -> MapLayout | None:
    """Return the sizes of a CaImAn memory map; None for other files."""
    stated = caiman_layout(path)
    if stated is None:
        return None
    sizes = dict(zip(*stated, strict=True))
    field = (sizes["Y"], sizes["X"]) + ((sizes["Z"],) if sizes["Z"] > 1 else ())
    return MapLayout(path=path, num_samples=sizes["T"], field=field)


def caiman_size(layout: tuple[str, tuple[int, ...]]) -> int:
    """Return the number of bytes of a CaImAn memory map, by what its name states."""
    return math.prod(layout[1]) * CAIMAN_PIXEL.itemsize
