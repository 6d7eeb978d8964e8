"""Facts in the struct of CNMF-E."""

from __future__ import annotations

from header_facts.places import Hdf5Dataset
from header_facts.table import IMPOSSIBLE_NUMBERS, Fact, Table

TABLES = (
    Table(
        format="cnmfe",
        facts=(
            Fact(
                header="Fs",
                at=Hdf5Dataset("*.mat", "results/Fs", (0, 0)),
                file="Series.rate",
                possible=(12.5, 20.0),
                impossible=tuple(value for value in IMPOSSIBLE_NUMBERS if value is not None),
            ),
        ),
        constant=(
            "ImageSegmentation.plane_segmentations.description",
            "Fluorescence.PlaneSegmentation.raw.description",
            "Fluorescence.PlaneSegmentation.denoised.description",
            "Fluorescence.PlaneSegmentation.deconvolved.description",
            "SegmentationImages.PlaneSegmentation.correlation.description",
            "SegmentationImages.PlaneSegmentation.pnr.description",
        ),
    ),
)
