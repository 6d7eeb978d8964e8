"""Pure functions on the grid of chunks of a dataset, and on the blocks that are read at once."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

_CHUNK_MB = 4.0
# HDF5 before 2.0 caches chunks of up to 1 MiB. A larger chunk is decoded again for each value that
# is read alone, and for the pixels of each ROI.
_LIST_CHUNK_MB = 1.0

Shape = tuple[int, ...]
Selection = tuple[slice, ...]


def default_chunk_shape(shape: Shape, itemsize: int, chunk_mb: float | None = None) -> Shape:
    """Return chunks of at most ``chunk_mb`` for data that propose none.

    Parameters
    ----------
    shape : tuple of int
    itemsize : int
        Bytes per value.
    chunk_mb : float, optional
        Size in units of 1e6 bytes; 1 for data of one axis and 4 for others by default.

    Returns
    -------
    tuple of int
        Data of one axis are cut into parts of equal length. A table of two axes is cut by the same
        factor along both, so that a row and a column take equally long to read. With more axes,
        entries of the first axis stay whole where they fit.
    """
    if chunk_mb is None:
        chunk_mb = _LIST_CHUNK_MB if len(shape) == 1 else _CHUNK_MB
    values = max(int(chunk_mb * 1e6 // itemsize), 1)
    if len(shape) == 1:
        num_chunks = max(math.ceil(shape[0] / values), 1)
        return (math.ceil(shape[0] / num_chunks),)
    if len(shape) == 2:
        factor = min(math.sqrt(values / max(math.prod(shape), 1)), 1.0)
        rows = min(max(int(shape[0] * factor), 1), shape[0])
        columns = min(max(values // rows, 1), max(int(shape[1] * factor), 1), shape[1])
        # A single column may have more rows than the factor leaves.
        return (min(rows, max(values // columns, 1)), columns)
    chunk = list(shape)
    for axis in range(len(shape)):
        others = math.prod(chunk[:axis]) * math.prod(chunk[axis + 1 :])
        chunk[axis] = min(max(values // others, 1), shape[axis])
        if others <= values:
            break
    return tuple(chunk)


def tile_shape(field: Shape, itemsize: int, chunk_mb: float) -> Shape:
    """Return a tile of a field of two axes, as nearly square as fits into ``chunk_mb``."""
    values = max(int(chunk_mb * 1e6 // itemsize), 1)
    first = min(field[0], math.isqrt(values))
    second = min(field[1], values // first)
    return (min(field[0], values // second), second)


def block_shape(
    shape: Shape, chunk: Shape, largest: Shape | None, max_values: int, cut_first: int = 0
) -> Shape:
    """Return the shape of the blocks in which data are read: whole chunks along each axis.

    Parameters
    ----------
    shape, chunk : tuple of int
        Shape of the dataset, and of its chunks.
    largest : tuple of int or None
        The block that the data propose; exceeded only to hold one whole chunk.
    max_values : int
        Largest number of values in a block; exceeded only to hold one whole chunk.
    cut_first : int
        The axis that is cut before the others, along which values lie farthest apart in the source.
    """
    proposed = [_up(*axis) for axis in zip(shape, chunk, strict=True)]
    if largest is not None:
        proposed = list(largest)
    block = [
        min(max(size // step, 1) * step, _up(total, step))
        for size, step, total in zip(proposed, chunk, shape, strict=True)
    ]
    for axis in sorted(range(len(chunk)), key=lambda axis: axis != cut_first):
        step = chunk[axis]
        others = math.prod(block[:axis]) * math.prod(block[axis + 1 :])
        if others * block[axis] > max_values:
            block[axis] = max(max_values // (others * step), 1) * step
    return tuple(block)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def grid(bounds: Selection, step: Shape) -> Iterator[Selection]:
    """Yield the cells of a grid within bounds, in C order, clipped at the upper edges."""
    axes = [range(bound.start, bound.stop, size) for bound, size in zip(bounds, step, strict=True)]
    for corner in itertools.product(*axes):
        yield tuple(
            slice(start, min(start + size, bound.stop))
            for start, size, bound in zip(corner, step, bounds, strict=True)
        )


def grid_shape(shape: Shape, step: Shape) -> Shape:
    """Return the number of cells of a grid along each axis."""
    return tuple(-(-size // cell) for size, cell in zip(shape, step, strict=True))


def spread_corners(shape: Shape, step: Shape, most: int) -> Iterator[Shape]:
    """Yield the corners of up to ``most`` different cells of a grid, in random order.

    The cells in C order are divided into parts of equal length, and each part gives one of its
    cells: at random, since steps of one length might meet one place of all frames. The cells and
    their order are the same in each call.
    """
    counts = grid_shape(shape, step)
    total = math.prod(counts)
    number = min(total, most)
    places = random.Random(0)  # noqa: S311
    for part in places.sample(range(number), number):
        index = places.randrange(part * total // number, (part + 1) * total // number)
        corner = []
        for count, cell in zip(reversed(counts), reversed(step), strict=True):
            index, position = divmod(index, count)
            corner.append(position * cell)
        yield tuple(reversed(corner))


def cell_at(corner: Shape, size: Shape, shape: Shape) -> Selection:
    """Return the selection of a cell by its lowest index, clipped at the edges of a dataset."""
    return tuple(
        slice(start, min(start + step, total))
        for start, step, total in zip(corner, size, shape, strict=True)
    )


def shape_of(selection: Selection) -> Shape:
    """Return the shape of a selection."""
    return tuple(step.stop - step.start for step in selection)


def inside(cell: Selection) -> Selection:
    """Return the selection of a clipped cell within the whole cell."""
    return tuple(slice(0, size) for size in shape_of(cell))


def whole(shape: Shape) -> Selection:
    """Return the selection of a whole dataset."""
    return tuple(slice(0, size) for size in shape)


def size_of(selection: Selection) -> int:
    """Return the number of values in a selection."""
    return math.prod(shape_of(selection))
