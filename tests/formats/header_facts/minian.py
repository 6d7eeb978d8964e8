"""Facts in the stores of Minian, and in the table of times beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from header_facts.places import TextLine, read_text, write_text
from header_facts.table import Fact, Table
from nwb_ophys.testing import write_minian

TIMES = "**/timeStamps.csv"


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    return {"folder_path": write_minian(folder / "recording" / "minian", recording)}


TABLES = (
    Table(format="minian-movie", facts=(), constant=("Series.description",)),
    Table(
        format="minian",
        sample=_sample,
        facts=(
            Fact(
                header="Time Stamp",
                at=TextLine(TIMES, r"(?P<before>^3,)(?P<value>[^,]*)", read_text, write_text),
                file="Series.time.3",
                possible=("105.5", "120"),
                meant=lambda text: float(text) / 1000,
                impossible=("nan", "inf", "1e300", "wrong", ""),
            ),
        ),
        constant=(
            "NWBFile.session_id",
            "Subject.subject_id",
            "ImageSegmentation.plane_segmentations.description",
            "Fluorescence.PlaneSegmentation.c0.description",
            "SegmentationImages.PlaneSegmentation.maximum_projection.description",
        ),
    ),
)
