"""Formats whose files state no facts: arrays, and plain TIFF files."""

from __future__ import annotations

from header_facts.table import Table

TABLES = (
    *(Table(format=name, facts=()) for name in ("tiff", "numpy", "memmap", "numpy-segmentation")),
    Table(
        format="sima",
        facts=(),
        constant=(
            "ImageSegmentation.plane_segmentations.description",
            "Fluorescence.PlaneSegmentation.raw.description",
        ),
    ),
)
