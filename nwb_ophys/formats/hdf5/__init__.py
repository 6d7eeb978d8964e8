"""Movies in HDF5 files."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="hdf5",
    kind="imaging",
    interface="interface:Hdf5ImagingInterface",
    recognised="an HDF5 file with a dataset 'mov', or one of 3 to 5 axes, at its root",
    suffixes=(".h5", ".hdf5", ".hdf"),
    file_suffixes=(".h5", ".hdf5", ".hdf"),
    sample="sample:write_sample",
)
