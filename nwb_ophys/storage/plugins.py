"""HDF5 filters that are not part of the HDF5 library, and come with ``hdf5plugin``."""

from __future__ import annotations

import importlib
from contextlib import suppress

import h5py

from nwb_ophys.errors import MissingPackageError


def load_plugins() -> None:
    """Have HDF5 know the filters of ``hdf5plugin``, where it is installed."""
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")


def check_filters(dataset: h5py.Dataset) -> None:
    """Check that a dataset can be decoded here.

    Raises
    ------
    MissingPackageError
        Naming the dataset and the filter that is missing.
    """
    filters = dataset.id.get_create_plist()
    for number in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            kind = name.decode(errors="replace") or "no name"
            raise MissingPackageError(
                f"'{dataset.name.strip('/')}' of '{dataset.file.filename}' is compressed with the "
                f"HDF5 filter {code} ({kind}), which is not installed here; most of them come with "
                'pip install "nwb-ophys[compression]".'
            )
