"""ROIs and traces of CNMF-E, and of CIAtah."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="cnmfe",
    kind="segmentation",
    interface="interface:CnmfeSegmentationInterface",
    recognised="a MATLAB file with CNMF-E's A, C and C_raw, or CIAtah's extractedImages of it",
    suffixes=(".mat",),
    file_suffixes=(".mat",),
    sample="sample:write_sample",
)
