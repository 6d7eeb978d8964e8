"""Folders of Suite2p: ROIs, traces and registered movies."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMATS = (
    Format(
        name="suite2p-movie",
        kind="imaging",
        interface="interface:Suite2pImagingInterface",
        converter="Suite2pConverter",
        recognised="a folder with plane0, plane1, … of Suite2p's ops.npy and movie data.bin",
        suffixes=(".npy", ".bin"),
        # Registered frames as TIFF files, which are in data.bin, too.
        derived_folders=("reg_tif", "reg_tif_chan2"),
        sample="sample:write_movie_sample",
    ),
    Format(
        name="suite2p",
        kind="segmentation",
        interface="interface:Suite2pSegmentationInterface",
        converter="Suite2pConverter",
        recognised="a folder with plane0, plane1, … of Suite2p's ops.npy and stat.npy",
        suffixes=(".npy",),
        sample="sample:write_sample",
    ),
)
