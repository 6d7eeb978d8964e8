"""Movies and ROIs in NWB files of any author."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMATS = (
    Format(
        name="nwb",
        kind="imaging",
        interface="imaging:NwbImagingInterface",
        recognised="an NWB file, HDF5 or Zarr, with one- or two-photon series",
        suffixes=(".nwb", ".h5", ".hdf5"),
        sample="sample:write_sample",
    ),
    Format(
        name="nwb-segmentation",
        kind="segmentation",
        interface="segmentation:NwbSegmentationInterface",
        recognised="an NWB file, HDF5 or Zarr, with plane segmentations",
        suffixes=(".nwb", ".h5", ".hdf5"),
        sample="sample:write_segmentation_sample",
    ),
)
