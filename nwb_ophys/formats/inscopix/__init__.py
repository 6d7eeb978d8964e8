"""Movies and cell sets of Inscopix (``.isxd``)."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMATS = (
    Format(
        name="inscopix",
        kind="imaging",
        interface="interface:InscopixImagingInterface",
        converter="InscopixConverter",
        recognised=".isxd files with a movie of an Inscopix miniscope",
        suffixes=(".isxd",),
        file_suffixes=(".isxd",),
        sample="sample:write_sample",
    ),
    Format(
        name="inscopix-cells",
        kind="segmentation",
        interface="interface:InscopixSegmentationInterface",
        converter="InscopixConverter",
        recognised=".isxd files with a cell set of Inscopix",
        suffixes=(".isxd",),
        file_suffixes=(".isxd",),
        sample="sample:write_cells_sample",
    ),
)
