"""Facts in the struct of EXTRACT, which states no rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np

from header_facts.places import only
from header_facts.table import Fact, Table


@attrs.frozen
class Text:
    """Text in a MATLAB file of version 7.3, an array of codes."""

    item: str

    def get(self, folder: Path) -> Any:
        """Return the text."""
        with h5py.File(only(folder, "*.mat"), "r") as file:
            return "".join(map(chr, np.asarray(file[self.item]).ravel().tolist()))

    def put(self, folder: Path, value: Any) -> None:
        """Replace the text."""
        with h5py.File(only(folder, "*.mat"), "r+") as file:
            attributes = dict(file[self.item].attrs)
            del file[self.item]
            file[self.item] = np.array([[ord(letter)] for letter in value], np.uint16)
            file[self.item].attrs.update(attributes)


TABLES = (
    Table(
        format="extract",
        facts=(
            Fact(
                header="version",
                at=Text("output/info/version"),
                file="Table.description",
                possible=("1.2.3",),
                meant=lambda text: f"EXTRACT {text} ",
                within=True,
                impossible=(),
            ),
        ),
        constant=(
            "ImageSegmentation.plane_segmentations.description",
            "SegmentationImages.PlaneSegmentation.summary_image.description",
            "SegmentationImages.PlaneSegmentation.f_per_pixel.description",
            "SegmentationImages.PlaneSegmentation.max_image.description",
            "DfOverF.PlaneSegmentation.dff.description",
        ),
    ),
)
