"""Formats whose files state no facts, such as arrays."""

from __future__ import annotations

from header_facts.table import Table

TABLES = (
    *(Table(format=name, facts=()) for name in ("numpy", "memmap", "numpy-segmentation")),
    Table(
        format="sima",
        facts=(),
        constant=(
            "ImageSegmentation.plane_segmentations.description",
            "Fluorescence.PlaneSegmentation.raw.description",
        ),
    ),
)
