"""ROIs and traces of Minian, and movies that it registered."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMATS = (
    Format(
        name="minian-movie",
        kind="imaging",
        interface="movie_interface:MinianImagingInterface",
        recognised="a folder with Minian's Y_fm_chk.zarr, the registered movie",
        suffixes=(".zarr",),
        sample="sample:write_movie_sample",
    ),
    Format(
        name="minian",
        kind="segmentation",
        interface="interface:MinianSegmentationInterface",
        recognised="a folder with Minian's A.zarr and C.zarr",
        suffixes=(".zarr",),
        sample="sample:write_sample",
    ),
)
