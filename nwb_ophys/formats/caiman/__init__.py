"""ROIs and traces of CaImAn."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="caiman",
    kind="segmentation",
    interface="interface:CaimanSegmentationInterface",
    recognised="an HDF5 file with CaImAn's estimates and params",
    suffixes=(".hdf5", ".h5"),
    file_suffixes=(".hdf5", ".h5"),
    sample="sample:write_sample",
)
