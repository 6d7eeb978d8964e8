"""Facts in TIFF files that ImageJ saved."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import tifffile

from header_facts.places import only
from header_facts.table import Fact, Table

FILE = "*.tif"
METRES = {"um": 1e-6, "micron": 1e-6, "\\u00B5m": 1e-6, "mm": 1e-3, "nm": 1e-9, "cm": 1e-2,
          "inch": 0.0254}  # fmt: skip


@attrs.frozen
class ImageJ:
    """Pixels per unit along an axis, or the distance of planes; with the unit."""

    key: str

    def _read(self, folder: Path) -> tuple[Any, dict[str, Any]]:
        with tifffile.TiffFile(only(folder, FILE)) as tiff:
            tags = tiff.pages[0].tags
            found = dict(tiff.imagej_metadata or {})
            stated = {
                "x": Fraction(*tags["XResolution"].value),
                "y": Fraction(*tags["YResolution"].value),
                "unit": found.get("unit"),
                "spacing": found.get("spacing"),
            }
            return tiff.asarray(), stated

    def get(self, folder: Path) -> Any:
        """Return the value and its unit."""
        stated = self._read(folder)[1]
        return float(stated[self.key]), stated["unit"]

    def put(self, folder: Path, value: Any) -> None:
        """Write the file again with another value, and another unit if one is given."""
        pixels, stated = self._read(folder)
        number, unit = value if isinstance(value, tuple) else (value, stated["unit"])
        stated |= {self.key: number, "unit": unit}
        more = {key: stated[key] for key in ("unit", "spacing") if stated[key] is not None}
        _write(only(folder, FILE), pixels, (stated["x"], stated["y"]), more)


def _write(path: Path, pixels: Any, resolution: Any, more: dict[str, Any]) -> None:
    values = [max(float(each), 0.0) for each in resolution]
    metadata = {**more, "axes": "TZYX"}
    tifffile.imwrite(path, pixels, imagej=True, resolution=values, metadata=metadata)


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    volumes = recording.movie.astype(np.uint16).reshape(3, 2, 24, 34)
    _write(folder / "m.tif", volumes, (2.0, 4.0), {"unit": "um", "spacing": 5.0})
    return {"file_path": folder / "m.tif", "sampling_frequency": 30.0}


def _size(value: Any) -> float:
    return METRES[value[1]] / value[0]


def _spacing(value: Any) -> float:
    return METRES[value[1]] * value[0]


FACTS = (
    Fact(header="XResolution", at=ImageJ("x"), file="ImagingPlane.grid_spacing.0",
         possible=((4.0, "um"), (2.5, "micron"), (2.0, "\\u00B5m"), (2000.0, "mm"), (0.002, "nm"),
                   (20000.0, "cm"), (50800.0, "inch")), meant=_size,
         impossible=(0.0, 1e-9, (2.0, "pixel"), (2.0, ""), (2.0, None), (2.0, "wrong"))),
    Fact(header="YResolution", at=ImageJ("y"), file="ImagingPlane.grid_spacing.1",
         possible=((8.0, "um"),), meant=_size, impossible=(0.0,)),
    Fact(header="spacing", at=ImageJ("spacing"), file="ImagingPlane.grid_spacing.2",
         possible=((7.5, "um"), (0.0075, "mm")), meant=_spacing,
         impossible=(0.0, -3.0, float("nan"), float("inf"), 1e300, "wrong", None)),
)  # fmt: skip

TABLES = (Table(format="tiff", facts=FACTS, sample=_sample),)
