"""Add the only sample of a recording as images, one per plane; they are read on writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.dtypes import stored_dtype
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators import SliceableDataChunkIterator, read_series
from nwb_ophys.writers.compression import compressed
from nwb_ophys.writers.images import add_images

if TYPE_CHECKING:
    from pynwb import NWBFile


def add_stills(
    imaging: Any, nwbfile: NWBFile, metadata: Mapping[str, Any], num_planes: int | None = None
) -> NWBFile:
    """Add a single image, or an image per plane of a z-stack, to the acquisition.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
        A movie with one sample.
    nwbfile : pynwb.NWBFile
    metadata : Mapping
        Complete metadata; ``metadata["Ophys"]["Images"][0]`` describes the container.
    num_planes : int, optional
        Number of planes to write, from the first; all by default.

    Returns
    -------
    pynwb.NWBFile
        The same file.
    """
    rows, columns, *planes = (int(size) for size in imaging.get_sample_shape())
    indices = range(planes[0])[:num_planes] if planes else [None]
    images = {
        "Image" if index is None else f"Plane{index}": compressed(
            SliceableDataChunkIterator(_Image(imaging, (columns, rows, *planes), index))
        )
        for index in indices
    }
    return add_images(nwbfile, metadata, images)


class _Image:
    """One plane of a recording as (columns, rows), which is read when it is sliced."""

    def __init__(self, imaging: Any, field: tuple[int, ...], plane: int | None) -> None:
        self._imaging, self._field, self._plane = imaging, field, plane
        self.shape = field[:2]
        self.dtype = stored_dtype(imaging.get_dtype(), extractor_label(imaging))

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        planes = slice(None) if self._plane is None else slice(self._plane, self._plane + 1)
        pixels = read_series(self._imaging, 0, 1, self._field, planes)
        return np.swapaxes(pixels[0, :, :, 0] if len(self._field) == 3 else pixels[0], 0, 1)[
            selection
        ]
