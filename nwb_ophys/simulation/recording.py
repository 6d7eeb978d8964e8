"""Simulated calcium-imaging recordings, small and deterministic, for writers of raw files.

The cells are L-shaped with unequal arms and graded weights, and the field is brighter towards
larger rows and columns, so that a mask, an image or a movie that is read transposed, flipped or
rotated differs from the correct one.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

#: Box reserved for one cell in pixels (rows, columns), with a margin of one pixel on each side.
_BOX_SHAPE = (10, 8)
#: Rate of spikes in Hz and decay time of the indicator in seconds, as of GCaMP6s in cortex.
_SPIKE_RATE = 0.5
_DECAY_TIME = 0.7
#: Mean intensity of the field, and rise of a cell at one spike, in counts of a 16-bit movie.
_BASELINE_COUNTS = 200.0
_SPIKE_COUNTS = 300.0
#: Share of the counts that an 8-bit movie can hold.
_EIGHT_BIT_SCALE = 1 / 16


@attrs.frozen(kw_only=True, eq=False)
class SimulatedRecording:
    """Movie together with the cells that it was simulated from.

    Attributes
    ----------
    movie : numpy.ndarray
        Counts, (samples, rows, columns), or (samples, rows, columns, planes) of a volume.
    pixel_masks : list of numpy.ndarray
        One float64 array per cell, (pixels, 3) of [row, column, weight], or (pixels, 4) of
        [row, column, plane, weight]. Weights lie in (0, 1] and are exact in float32. No pixel
        belongs to two cells.
    fluorescence : numpy.ndarray
        float32 (samples, cells): mean of the movie over the pixels of a cell, by weight; counts.
    neuropil : numpy.ndarray
        float32 (samples, cells): mean of the movie over the cell-free pixels around it; counts.
    calcium : numpy.ndarray
        float64 (samples, cells): noise-free rise of a cell over the baseline, counts at weight 1.
    spikes : numpy.ndarray
        float32 (samples, cells): number of spikes in each sample; every cell has one at least.
    sampling_frequency : float
        Samples (frames or volumes) per second, in Hz.
    timestamps : numpy.ndarray
        float64 (samples,): start of each sample in seconds.
    """

    movie: Array = attrs.field(repr=False)
    pixel_masks: list[Array] = attrs.field(repr=False)
    fluorescence: Array = attrs.field(repr=False)
    neuropil: Array = attrs.field(repr=False)
    calcium: Array = attrs.field(repr=False)
    spikes: Array = attrs.field(repr=False)
    sampling_frequency: float
    timestamps: Array = attrs.field(repr=False)

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return int(self.movie.shape[0])

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return len(self.pixel_masks)

    @property
    def field_shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, planes) of a volume."""
        return tuple(self.movie.shape[1:])

    def image_masks(self) -> Array:
        """Return the masks as images: float64 (cells, rows, columns) or with planes at the end."""
        images = np.zeros((self.num_cells, *self.field_shape))
        for image, pixels in zip(images, self.pixel_masks, strict=True):
            image[mask_index(pixels)] = pixels[:, -1]
        return images

    def mean_image(self) -> Array:
        """Return the mean of the movie over time: float32, (rows, columns) or with planes."""
        return self.movie.mean(axis=0, dtype=np.float64).astype(np.float32)

    def maximum_image(self) -> Array:
        """Return the maximum of the movie over time: float32, (rows, columns) or with planes."""
        return self.movie.max(axis=0).astype(np.float32)

    def correlation_image(self) -> Array:
        """Return the mean correlation of each pixel with its next row's and next column's pixel.

        Returns
        -------
        numpy.ndarray
            float64, (rows, columns) or with planes; between -1 and 1. The last row and column
            compare with the first ones.
        """
        movie = self.movie - self.movie.mean(axis=0, dtype=np.float64)
        # A pixel that never changes correlates with nothing; 1 avoids a division by zero.
        deviation = movie.std(axis=0)
        movie /= np.where(deviation > 0, deviation, 1)
        neighbours = np.roll(movie, -1, axis=1) + np.roll(movie, -1, axis=2)
        return np.asarray((movie * neighbours).mean(axis=0) / 2)


def mask_index(pixels: Array) -> tuple[Any, ...]:
    """Return the integer coordinates of a pixel mask, one array per axis, to index an image."""
    return tuple(pixels[:, :-1].astype(int).T)


def simulate_recording(
    num_samples: int = 100,
    num_rows: int = 48,
    num_columns: int = 64,
    num_cells: int = 6,
    num_planes: int = 1,
    sampling_frequency: float = 30.0,
    seed: int = 0,
    dtype: DTypeLike = "int16",
) -> SimulatedRecording:
    """Simulate a movie of spiking cells and the traces of the cells.

    Parameters
    ----------
    num_samples : int
        Number of frames, or of volumes when there are several planes.
    num_rows, num_columns : int
        Field of view in pixels. Every cell needs a box of 10 rows by 8 columns.
    num_cells : int
        Number of cells.
    num_planes : int
        Number of planes. With several planes, each cell extends into the next plane, if there is
        one, with half the weight.
    sampling_frequency : float
        Samples per second, in Hz.
    seed : int
        Seed of the random numbers; the same seed gives the same recording.
    dtype : numpy.dtype
        Integer type of the counts; with 8 bits the counts are 16 times smaller.

    Returns
    -------
    SimulatedRecording

    Raises
    ------
    ValueError
        If the cells do not fit into the field, or if the dtype is not an integer type.
    """
    if np.dtype(dtype).kind not in "iu":
        raise ValueError(f"dtype is {np.dtype(dtype)}, but counts are integers, e.g. 'int16'.")
    random = np.random.default_rng(seed)
    field_shape = (
        (num_rows, num_columns) if num_planes == 1 else (num_rows, num_columns, num_planes)
    )
    pixel_masks = _place_cells(random, field_shape, num_cells)
    spikes = _draw_spikes(random, num_samples, num_cells, sampling_frequency)
    scale = _EIGHT_BIT_SCALE if np.dtype(dtype).itemsize == 1 else 1.0
    calcium = _SPIKE_COUNTS * scale * _decay(spikes, sampling_frequency)
    movie = _render(random, field_shape, pixel_masks, calcium, _BASELINE_COUNTS * scale, dtype)
    return SimulatedRecording(
        movie=movie,
        pixel_masks=pixel_masks,
        fluorescence=_weighted_means(movie, pixel_masks),
        neuropil=_weighted_means(movie, _surrounds(pixel_masks, field_shape)),
        calcium=calcium,
        spikes=spikes.astype(np.float32),
        sampling_frequency=float(sampling_frequency),
        timestamps=np.arange(num_samples) / sampling_frequency,
    )


def _place_cells(
    random: np.random.Generator, field_shape: tuple[int, ...], num_cells: int
) -> list[Array]:
    """Draw the pixel masks of cells, each in a box of its own of a grid over the field."""
    rows = range(1, field_shape[0] - _BOX_SHAPE[0] + 1, _BOX_SHAPE[0])
    columns = range(1, field_shape[1] - _BOX_SHAPE[1] + 1, _BOX_SHAPE[1])
    corners = [(row, column) for row in rows for column in columns]
    if num_cells > len(corners):
        raise ValueError(
            f"num_cells is {num_cells}, but a field of {field_shape[0]} rows and "
            f"{field_shape[1]} columns holds {len(corners)} cells at most."
        )
    chosen = random.permutation(len(corners))[:num_cells]
    return [
        _draw_cell(random, corners[corner], field_shape[2:], index)
        for index, corner in enumerate(chosen)
    ]


def _draw_cell(
    random: np.random.Generator, corner: tuple[int, int], planes: tuple[int, ...], index: int
) -> Array:
    """Return the pixel mask of an L: a long arm down the rows, a short one along the columns."""
    height, width = int(random.integers(6, 9)), int(random.integers(4, 6))
    image = np.zeros((height, width))
    image[:, :2] = 1
    image[-2:, :] = 1
    row, column = np.nonzero(image)
    # Multiples of 1/64 are exact in float32, the type of weights in some formats.
    weight = 1 - (2 * row + 3 * column) / 64
    pixels = np.column_stack([row + corner[0], column + corner[1], weight])
    if not planes:
        return pixels
    first = index % planes[0]
    layers = [(plane, 0.5 ** (plane - first)) for plane in range(first, min(first + 2, planes[0]))]
    return np.concatenate(
        [np.insert(pixels * [1, 1, share], 2, plane, axis=1) for plane, share in layers]
    )


def _draw_spikes(
    random: np.random.Generator, num_samples: int, num_cells: int, sampling_frequency: float
) -> Array:
    """Draw spike counts (samples, cells), with at least one spike for each cell."""
    spikes = random.poisson(_SPIKE_RATE / sampling_frequency, (num_samples, num_cells))
    first = random.integers(0, max(num_samples // 2, 1), num_cells)
    spikes[first, np.arange(num_cells)] += 1
    return spikes


def _decay(spikes: Array, sampling_frequency: float) -> Array:
    """Return the calcium (samples, cells) after spikes: a rise by 1, then exponential decay."""
    calcium = spikes.astype(np.float64)
    kept = np.exp(-1 / (_DECAY_TIME * sampling_frequency))
    for sample in range(1, len(calcium)):
        calcium[sample] += kept * calcium[sample - 1]
    return calcium


def _render(
    random: np.random.Generator,
    field_shape: tuple[int, ...],
    pixel_masks: list[Array],
    calcium: Array,
    baseline: float,
    dtype: DTypeLike,
) -> Array:
    """Return the movie in counts: baseline, slow neuropil and cells, with photon noise."""
    axes = np.meshgrid(*(np.linspace(0, 1, size) for size in field_shape), indexing="ij")
    image = baseline * (0.5 + 0.6 * axes[0] + 0.3 * axes[1] + 0.2 * sum(axes[2:]))
    samples = np.arange(len(calcium))
    # A tenth of the baseline, in three slow waves over the recording.
    neuropil = 1 + 0.1 * np.sin(6 * np.pi * samples / max(len(samples), 1))
    expected = image[np.newaxis] * neuropil.reshape(-1, *(1,) * image.ndim)
    for pixels, trace in zip(pixel_masks, calcium.T, strict=True):
        expected[(slice(None), *mask_index(pixels))] += trace[:, np.newaxis] * pixels[:, -1]
    return random.poisson(expected).clip(max=np.iinfo(dtype).max).astype(dtype)


def _surrounds(pixel_masks: list[Array], field_shape: tuple[int, ...]) -> list[Array]:
    """Return a mask, of weight 1, of the pixels around each cell that belong to no cell."""
    free = np.ones(field_shape, dtype=bool)
    for pixels in pixel_masks:
        free[mask_index(pixels)] = False
    surrounds = []
    for pixels in pixel_masks:
        row, column, *plane = mask_index(pixels)
        near = np.zeros(field_shape, dtype=bool)
        near[row.min() - 1 : row.max() + 2, column.min() - 1 : column.max() + 2] = True
        if plane:
            near[..., np.setdiff1d(np.arange(field_shape[2]), plane[0])] = False
        around = np.argwhere(near & free)
        surrounds.append(np.column_stack([around, np.ones(len(around))]))
    return surrounds


def _weighted_means(movie: Array, pixel_masks: list[Array]) -> Array:
    """Return the mean of the movie over each mask, by weight: float32 (samples, masks)."""
    means = np.empty((len(movie), len(pixel_masks)), dtype=np.float32)
    for index, pixels in enumerate(pixel_masks):
        values = movie[(slice(None), *mask_index(pixels))]
        means[:, index] = np.average(values, axis=1, weights=pixels[:, -1])
    return means
