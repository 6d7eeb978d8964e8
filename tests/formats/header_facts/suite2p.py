"""Facts in the settings of Suite2p."""

from __future__ import annotations

import numpy as np

from header_facts.places import NumpyKey
from header_facts.table import IMPOSSIBLE_NUMBERS, Fact, Table

FACTS = (
    Fact(header="fs", at=NumpyKey("suite2p/plane0/ops.npy", "fs"), file="Series.rate",
         possible=(12.5, 20, np.float32(7.5)),
         impossible=(*IMPOSSIBLE_NUMBERS, "wrong", [30.0, 31.0], True)),
)  # fmt: skip

TABLES = (
    Table(format="suite2p-movie", facts=FACTS, constant=("Series.description",)),
    Table(
        format="suite2p",
        facts=FACTS,
        constant=(
            "ImageSegmentation.plane_segmentations.description",
            "SegmentationImages.PlaneSegmentation.enhanced.description",
            "SegmentationImages.PlaneSegmentation.maximum.description",
            "SegmentationImages.PlaneSegmentation.correlation.description",
        ),
    ),
)
