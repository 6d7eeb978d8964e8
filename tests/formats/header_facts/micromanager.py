"""Facts in the JSON texts of Micro-Manager, and in its OME-XML."""

from __future__ import annotations

import json
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import tifffile

from header_facts.places import JsonKey, changed, only
from header_facts.table import IMPOSSIBLE_JSON, Fact, Table, micrometres

STACK = "mm/session_MMStack_Pos0.ome.tif"
SUMMARY_POSITION = 32
DATES = ("wrong", "", "2022-99-99 99:99:99 +0200", 0, True, [], {}, None)


@attrs.frozen
class Summary:
    """Key of the summary after the header of the first TIFF file."""

    key: str

    def get(self, folder: Path) -> Any:
        """Return the value."""
        return json.loads(self._text(only(folder, STACK))).get(self.key)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value; the text keeps its length."""
        path = only(folder, STACK)
        text = self._text(path)
        content = changed(json.loads(text), (self.key,), value)
        if len(json.dumps(content)) > len(text):  # makes room; the program does not need it
            content.pop("PixelType", None)
        own = json.dumps(content).encode()
        assert len(own) <= len(text)
        data = path.read_bytes()
        begin = SUMMARY_POSITION + 8
        end = begin + len(text)
        path.write_bytes(data[:begin] + own.ljust(len(text)) + data[end:])

    @staticmethod
    def _text(path: Path) -> bytes:
        data = path.read_bytes()
        mark, length = struct.unpack_from("<II", data, SUMMARY_POSITION)
        assert mark == 2355492
        return data[SUMMARY_POSITION + 8 :][:length]


@attrs.frozen
class Frame:
    """Key of the JSON text of one frame, or of all frames."""

    key: str
    page: int | None = None

    def get(self, folder: Path) -> Any:
        """Return the value."""
        return json.loads(self._texts(folder)[self.page or 0]).get(self.key)

    def _texts(self, folder: Path) -> list[str]:
        return [text for _, texts in self._files(folder) for text in texts]

    @staticmethod
    def _files(folder: Path) -> list[tuple[Path, list[str]]]:
        found = []
        for path in sorted(folder.glob("mm/*.ome.tif")):
            with tifffile.TiffFile(path, is_mmstack=False, is_ome=False) as tiff:
                texts = [json.dumps(page.aspage().tags[51123].value) for page in tiff.pages]
            found.append((path, texts))
        return found

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value; a longer text goes to the end of the file."""
        number = 0
        for path, texts in self._files(folder):
            with tifffile.TiffFile(path, mode="r+", is_mmstack=False, is_ome=False) as tiff:
                pages = [page.aspage() for page in tiff.pages]
                for page, text in zip(pages, texts, strict=True):
                    if self.page in (None, number):
                        own = json.dumps(changed(json.loads(text), (self.key,), value))
                        page.tags[51123].overwrite(own.encode(), dtype=2)
                    number += 1


def _start(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f %z")


def _facts(summary: Any, frame: Any) -> tuple[Fact, ...]:
    """Return the facts that both ways of saving share, with their places."""
    return (
        Fact(header="StartTime", at=summary("StartTime"), file="NWBFile.session_start_time",
             possible=("2021-03-06 14:03:04.500 -0500",), meant=_start, impossible=DATES),
        Fact(header="MicroManagerVersion", at=summary("MicroManagerVersion"),
             file="Device.description", possible=("1.4.9",), meant=str, within=True,
             impossible=()),
        Fact(header="Camera", at=frame("Camera"), file="Device.description", possible=("Zyla",),
             meant=lambda text: f"camera {text}", within=True, impossible=()),
        Fact(header="Exposure-ms", at=frame("Exposure-ms"), file="Series.exposure_time",
             possible=(12.5, "20"), meant=lambda value: float(value) / 1000,
             impossible=IMPOSSIBLE_JSON),
        Fact(header="Binning", at=frame("Binning"), file="Series.binning",
             possible=("4", 1, "8x8"), meant=lambda value: int(str(value).split("x")[0]),
             impossible=(0, -3, 1e300, "wrong", "1x2", "", None, [], {}, True, 1.5)),
        *(
            Fact(header="PixelSizeUm", at=frame("PixelSizeUm"),
                 file=f"ImagingPlane.grid_spacing.{axis}", possible=(0.75, "1.5"),
                 meant=micrometres, elsewhere=True, impossible=IMPOSSIBLE_JSON)
            for axis in (0, 1)
        ),
    )  # fmt: skip


TIMES = (
    Fact(header="ElapsedTime-ms", at=Frame("ElapsedTime-ms", 5), file="Series.time.5",
         possible=(175.5, 300.0), meant=lambda value: float(value) / 1000, elsewhere=True,
         impossible=(0, -3, 1e300, None)),
)  # fmt: skip


def _untimed(folder: Path, recording: Any) -> dict[str, Any]:
    from nwb_ophys.testing import write_micromanager

    movie = recording.movie.astype("uint16")
    write_micromanager(folder / "mm", movie, with_elapsed=False, pixel_size_um=0)
    Summary("PixelSize_um").put(folder, 0.65)
    return {"folder_path": folder / "mm"}


SUMMARY = (
    Fact(header="Interval_ms", at=Summary("Interval_ms"), file="Series.rate",
         possible=(50, 12.5), meant=lambda value: 1000 / float(value),
         impossible=(0, -3, 1e300, "x", "", None, [], {})),
    Fact(header="Interval_ms", at=Summary("Interval_ms"), file="ImagingPlane.imaging_rate",
         possible=(50,), meant=lambda value: 1000 / float(value), impossible=()),
    Fact(header="PixelSize_um", at=Summary("PixelSize_um"), file="ImagingPlane.grid_spacing.0",
         possible=(0.75,), meant=micrometres, impossible=(0, -3, 1e300, "x", "", None, [], {})),
)  # fmt: skip


def _separate(folder: Path, recording: Any) -> dict[str, Any]:
    """Write separate image files with ``metadata.txt`` as version 1.4 does."""
    (folder / "mm").mkdir()
    content: dict[str, Any] = {
        "Summary": {"MicroManagerVersion": "1.4.22", "ChNames": ["GFP"], "Frames": 6,
                    "StartTime": "2022-04-07 15:04:05.678 +0200", "Prefix": "a"}
    }  # fmt: skip
    for time, image in enumerate(recording.movie.astype(np.uint16)):
        name = f"img_{time:09d}_GFP_000.tif"
        tifffile.imwrite(folder / "mm" / name, image)
        content[f"FrameKey-{time}-0-0"] = {
            "FileName": name,
            "ElapsedTime-ms": time * 1000 / 30,
            "Camera": "Andor",
            "Exposure-ms": 10,
            "Binning": "2",
            "PixelSizeUm": 0.65,
        }
    (folder / "mm" / "metadata.txt").write_text(json.dumps(content))
    return {"folder_path": folder / "mm"}


@attrs.frozen
class EveryFrame:
    """Key of all frames in ``metadata.txt``; a value of some frames only is not a fact."""

    key: str

    def _places(self) -> list[JsonKey]:
        return [_in_text(f"FrameKey-{time}-0-0")(self.key) for time in range(6)]

    def get(self, folder: Path) -> Any:
        """Return the value of the first frame."""
        return self._places()[0].get(folder)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value of all frames."""
        for place in self._places():
            place.put(folder, value)


def _in_text(*keys: str) -> Any:
    return lambda key: JsonKey("mm/metadata.txt", (*keys, key))


SEPARATE = (
    *_facts(_in_text("Summary"), EveryFrame),
    Fact(header="ElapsedTime-ms", at=_in_text("FrameKey-5-0-0")("ElapsedTime-ms"),
         file="Series.time.5", possible=(175.5, "300"), meant=lambda value: float(value) / 1000,
         impossible=IMPOSSIBLE_JSON),
)  # fmt: skip


TABLES = (
    Table(
        format="micromanager",
        facts=(*_facts(Summary, Frame), *TIMES),
        constant=("OpticalChannel.name",),
    ),
    Table(format="micromanager", variant="interval", facts=SUMMARY, sample=_untimed),
    Table(format="micromanager", variant="separate files", facts=SEPARATE, sample=_separate),
)
