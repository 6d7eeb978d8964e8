"""Samples of a planned dataset that are encoded, to learn its size in the file."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.compression import KEEP_FILTERS
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.planning import PlannedDataset


def configuration_to_encode(planned: PlannedDataset, storage: Backend) -> DatasetConfiguration:
    """Return the settings of a dataset with a compression that can be encoded here.

    Parameters
    ----------
    planned : PlannedDataset
    storage : Backend
    """
    if planned.configuration.compression != KEEP_FILTERS:
        return planned.configuration
    # The codecs of HDF5 and Zarr differ less from the default than from no compression.
    return attrs.evolve(planned.configuration, compression=storage.default_compression)


def has_any(values: NDArray[Any]) -> bool:
    """Return whether a value is not zero; records have no truth in NumPy, but bytes."""
    return bool(np.any(values.view("u1") if values.dtype.names else values))
