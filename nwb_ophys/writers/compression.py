"""The one place where writers say how data are to be stored.

The functional API hands its callers data wrapped for HDF5, so that plain pynwb compresses them;
the storage room unwraps them for whichever backend it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator

from nwb_ophys.storage.hdmf.internals import settings_of


def compressed(data: Any, compression_options: Mapping[str, Any] | None = None) -> Any:
    """Wrap data with compression.

    Parameters
    ----------
    data : array-like or hdmf iterator
    compression_options : mapping, optional
        Arguments of ``H5DataIO``; gzip when not given.

    Returns
    -------
    H5DataIO
        Or the data as they are where they hold nothing: HDF5 cannot chunk, and so not compress,
        an empty dataset.
    """
    lazy = isinstance(data, (GenericDataChunkIterator, DataChunkIterator))
    if not lazy and np.size(data) == 0:
        return data
    options = dict(compression_options or {"compression": "gzip"})
    wrapper = H5DataIO(data=data, **options)
    if options.get("compression", "gzip") in (None, False):
        settings_of(wrapper)["compression"] = None  # H5DataIO forgets that none was asked for
    return wrapper
