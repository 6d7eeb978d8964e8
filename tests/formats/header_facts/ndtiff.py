"""Facts in the JSON texts of NDTiff data sets."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from header_facts.places import changed, only
from header_facts.table import Fact, Table, micrometres
from nwb_ophys.testing import write_ndtiff

FILE = "nd/session_NDTiffStack.tif"
IMPOSSIBLE = (0, -3, 1e300, "wrong", "", None, [], {}, True)
SPARE = "x" * 80


@attrs.frozen
class JsonText:
    """Key of the JSON texts in the file that have a mark, which keep their lengths."""

    key: str
    mark: str
    index: int | None = None

    def _texts(self, data: bytes) -> list[Any]:
        return list(re.finditer(rb"\{[^{}]*\"spare_" + self.mark.encode() + rb"\"[^{}]*\}", data))

    def get(self, folder: Path) -> Any:
        """Return the value in the first text, or in the text of an index."""
        texts = self._texts(only(folder, FILE).read_bytes())
        return json.loads(texts[self.index or 0][0]).get(self.key)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value; a text without meaning shrinks to make room."""
        path = only(folder, FILE)
        data = bytearray(path.read_bytes())
        for number, match in enumerate(self._texts(bytes(data))):
            if self.index in (None, number):
                content = changed(json.loads(match[0]), (self.key,), value)
                content[f"spare_{self.mark}"] = ""
                own = json.dumps(content).encode().ljust(len(match[0]))
                assert len(own) == len(match[0])
                data[match.start() : match.end()] = own
        path.write_bytes(bytes(data))


def _frame(key: str, index: int | None = None) -> JsonText:
    return JsonText(key, "f", index)


def _summary(key: str) -> JsonText:
    return JsonText(key, "s")


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    frame = {"Exposure": 10, "Core-Camera": "Andor", "Andor-Binning": "2", "PixelSizeUm": 0.65,
             "spare_f": SPARE}  # fmt: skip
    summary = {"StartTime": "2022-04-07 15:04:05.678 +0200", "MicroManagerVersion": "2.0.3",
               "spare_s": SPARE}  # fmt: skip
    movie = recording.movie.astype("uint16")
    path = write_ndtiff(folder / "nd", {"GFP": movie}, frame=frame, summary=summary)
    return {"folder_path": path}


def _untimed(folder: Path, recording: Any) -> dict[str, Any]:
    frame = {"ZPosition_um_Intended": 5.0, "spare_f": SPARE, "PixelSizeUm": 0.65}
    summary = {"Interval_ms": 40.0, "z-step_um": 5.0, "spare_s": SPARE}
    movie = recording.movie.astype("uint16").reshape(3, 2, 24, 34).transpose(0, 2, 3, 1)
    path = write_ndtiff(
        folder / "nd", {"GFP": movie}, frame=frame, summary=summary, sampling_frequency=None
    )
    return {"folder_path": path}


FACTS = (
    Fact(header="StartTime", at=_summary("StartTime"), file="NWBFile.session_start_time",
         possible=("2021-03-06 14:03:04.500 -0500",),
         meant=lambda text: datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f %z"),
         impossible=("wrong", "", "2022-99-99 99:99:99 +0200", 0, True, [], None)),
    Fact(header="MicroManagerVersion", at=_summary("MicroManagerVersion"),
         file="Device.description", possible=("2.1",), meant=str, within=True, impossible=()),
    Fact(header="Core-Camera", at=_frame("Core-Camera"), file="Device.description", possible=(),
         meant=lambda text: f"camera {text}", within=True, impossible=()),
    Fact(header="Exposure", at=_frame("Exposure"), file="Series.exposure_time",
         possible=(12.5, "20"), meant=lambda value: float(value) / 1000, impossible=IMPOSSIBLE),
    Fact(header="Andor-Binning", at=_frame("Andor-Binning"), file="Series.binning",
         possible=("4", "1x1"), meant=lambda value: int(str(value).split("x")[0]),
         impossible=("0", "-3", "wrong", "1x2", "", None, True)),
    *(
        Fact(header="PixelSizeUm", at=_frame("PixelSizeUm"),
             file=f"ImagingPlane.grid_spacing.{axis}", possible=(0.75,), meant=micrometres,
             impossible=IMPOSSIBLE)
        for axis in (0, 1)
    ),
    Fact(header="ElapsedTime-ms", at=_frame("ElapsedTime-ms", 5), file="Series.time.5",
         possible=(175.5, 300.0), meant=lambda value: float(value) / 1000,
         impossible=(0, -3, 1e300, None)),
)  # fmt: skip

INTERVAL = (
    Fact(header="Interval_ms", at=_summary("Interval_ms"), file="Series.rate", possible=(50, 12.5),
         meant=lambda value: 1000 / float(value), impossible=IMPOSSIBLE[:-1]),
    Fact(header="Interval_ms", at=_summary("Interval_ms"), file="ImagingPlane.imaging_rate",
         possible=(50,), meant=lambda value: 1000 / float(value), impossible=()),
    Fact(header="z-step_um", at=_summary("z-step_um"), file="ImagingPlane.grid_spacing.2",
         possible=(7.5,), meant=micrometres, impossible=IMPOSSIBLE),
)  # fmt: skip

TABLES = (
    Table(format="ndtiff", facts=FACTS, sample=_sample, constant=("OpticalChannel.name",)),
    Table(format="ndtiff", variant="interval", facts=INTERVAL, sample=_untimed),
)
