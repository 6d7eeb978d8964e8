"""Facts in the parameters of CaImAn."""

from __future__ import annotations

from header_facts.places import Hdf5Dataset
from header_facts.table import IMPOSSIBLE_NUMBERS, Fact, Table

TABLES = (
    Table(
        format="caiman",
        facts=(
            Fact(
                header="fr",
                at=Hdf5Dataset("*.hdf5", "params/data/fr"),
                file="Series.rate",
                possible=(12.5, 20),
                impossible=(*IMPOSSIBLE_NUMBERS, "wrong", "NoneType"),
            ),
        ),
        constant=("ImageSegmentation.plane_segmentations.description",),
    ),
)
