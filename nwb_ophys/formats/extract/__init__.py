"""ROIs and traces of EXTRACT."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="extract",
    kind="segmentation",
    interface="interface:ExtractSegmentationInterface",
    recognised="a MATLAB file with EXTRACT's spatial_weights and temporal_weights",
    suffixes=(".mat",),
    file_suffixes=(".mat",),
    sample="sample:write_sample",
)
