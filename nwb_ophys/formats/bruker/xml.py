"""Read the XML file of a Prairie View recording: frames, files, times and settings.

The root ``PVScan`` has a ``Sequence`` per cycle, a sequence has a ``Frame`` per image, and a frame
has a ``File`` per channel. Settings are in ``PVStateShard`` elements of the recording, a sequence
or a frame; later ones state only changes. Prairie View 5 writes ``PVStateValue`` with indexed
values, version 4 a flat ``Key`` per value, such as ``micronsPerPixel_XAxis``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import unreadable_file

Settings = dict[tuple[str, ...], str]
"""Values by key and indices, such as ``("positionCurrent", "ZAxis", "0")``."""

_FLAT_KEY = re.compile(r"(.+?)_(XAxis|YAxis|ZAxis|\d+)$")
_Z = ("positionCurrent", "ZAxis")


@attrs.frozen(kw_only=True)
class FrameFile:
    """File and page of the image of one channel of a frame."""

    channel: int
    channel_name: str
    file_name: str
    page: int | None


@attrs.frozen(kw_only=True)
class Frame:
    """One image of every channel.

    Attributes
    ----------
    index : int
        Number of the frame within the sequence.
    relative_time, absolute_time : float or None
        Time in s; the relative time counts from the start of the sequence or the recording.
    z : tuple of float
        Position of each device that moves the focus, in micrometres.
    files : tuple of FrameFile
    """

    index: int
    relative_time: float | None
    absolute_time: float | None
    z: tuple[float, ...]
    files: tuple[FrameFile, ...]


@attrs.frozen(kw_only=True)
class Cycle:
    """One ``Sequence`` element with its frames."""

    number: int
    type: str
    frames: tuple[Frame, ...]


@attrs.frozen(kw_only=True)
class PrairieRecording:
    """Content of the XML file.

    Attributes
    ----------
    path : pathlib.Path
    version, date, notes : str
        Texts as written in the file.
    settings, descriptions : Mapping
        Values at the first frame and their descriptions, by key and indices.
    cycles : tuple of Cycle
    """

    path: Path
    version: str
    date: str
    notes: str
    settings: Mapping[tuple[str, ...], str]
    descriptions: Mapping[tuple[str, ...], str]
    cycles: tuple[Cycle, ...]

    def number(self, *key: str) -> float | None:
        """Return a setting as a number; None if it is missing or not a number."""
        return _float(self.settings.get(key))

    def text(self, *key: str) -> str:
        """Return a setting as text; empty if it is missing."""
        return self.settings.get(key, "").strip()

    def indexed(self, name: str) -> dict[tuple[str, ...], str]:
        """Return the values of a setting by their indices."""
        return {key[1:]: value for key, value in self.settings.items() if key[0] == name}


def read_prairie_xml(path: Path) -> PrairieRecording:
    """Read the XML file of a recording.

    Parameters
    ----------
    path : pathlib.Path
        A file of Prairie View 4 or 5.

    Raises
    ------
    CorruptSourceError
        When it is truncated or not XML, or a frame lacks required attributes.
    SourceError
        When another program wrote it, or it has no frames.
    """
    parser = _Parser(path)
    try:
        # Frame by frame, since the file of a long recording has hundreds of MB.
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            parser.handle(event, element)
    except ElementTree.ParseError as error:
        raise unreadable_file(path, "an XML file", error) from error
    return parser.result()


class _Parser:
    """Builder of a recording from the events of the XML parser."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Any = None
        self.stack: list[str] = []
        self.common: Settings = {}
        self.of_cycle: Settings = {}
        self.first: Settings = {}
        self.descriptions: Settings = {}
        self.frames: list[Frame] = []
        self.cycles: list[Cycle] = []

    def handle(self, event: str, element: Any) -> None:
        if event == "start":
            self._start(element)
            return
        self.stack.pop()
        above = self.stack[-1] if self.stack else ""
        if element.tag == "PVStateShard" and above in ("PVScan", "Sequence"):
            kept = self.common if above == "PVScan" else self.of_cycle
            kept |= self._settings(element)
            element.clear()
        elif element.tag == "Frame":
            self._end_frame(element)
        elif element.tag == "Sequence":
            self._end_cycle(element)

    def _start(self, element: Any) -> None:
        if not self.stack:
            self.root = element
            if element.tag != "PVScan":
                raise SourceError(
                    f"'{self.path}' is not a recording of Prairie View: its root is "
                    f"<{element.tag}>, not <PVScan>. Give the XML file with the name of the folder."
                )
        self.stack.append(element.tag)

    def _end_frame(self, element: Any) -> None:
        own: Settings = {}
        for shard in element.iterfind("PVStateShard"):
            own |= self._settings(shard)
        everything = self.common | self.of_cycle | own
        if not self.first:
            self.first = everything
        self.frames.append(self._frame(element, everything))
        element.clear()

    def _end_cycle(self, element: Any) -> None:
        number = _int(element.get("cycle"), len(self.cycles) + 1)
        frames = tuple(sorted(self.frames, key=lambda frame: frame.index))
        kind = element.get("type", "")
        self.cycles.append(Cycle(number=number, type=kind, frames=frames))
        self.frames, self.of_cycle = [], {}
        element.clear()

    def _frame(self, element: Any, settings: Settings) -> Frame:
        files = tuple(self._file(file) for file in element.iterfind("File"))
        return Frame(
            index=_int(element.get("index"), len(self.frames) + 1),
            relative_time=_float(element.get("relativeTime")),
            absolute_time=_float(element.get("absoluteTime")),
            z=_positions(settings),
            files=tuple(sorted(files, key=lambda file: file.channel)),
        )

    def _file(self, element: Any) -> FrameFile:
        name, channel = element.get("filename"), _int(element.get("channel"), 0)
        if not name or not channel:
            raise CorruptSourceError(
                f"'{self.path}': a <File> of frame {len(self.frames) + 1} of cycle "
                f"{len(self.cycles) + 1} lacks its filename or channel; copy the file again."
            )
        return FrameFile(
            channel=channel,
            channel_name=(element.get("channelName") or f"Ch{channel}").strip(),
            file_name=name,
            page=_int(element.get("page"), 0) or None,
        )

    def _settings(self, shard: Any) -> Settings:
        found: Settings = {}
        for key, value, description in _values(shard):
            found[key] = value
            if description:
                self.descriptions.setdefault(key, description)
        return found

    def result(self) -> PrairieRecording:
        if not any(cycle.frames for cycle in self.cycles):
            raise SourceError(
                f"'{self.path}' has no frames: nothing was recorded, or the recording was aborted. "
                "Give the XML file of another recording."
            )
        return PrairieRecording(
            path=self.path,
            version=self.root.get("version", ""),
            date=self.root.get("date", ""),
            notes=self.root.get("notes", "").strip(),
            settings=self.first,
            descriptions=self.descriptions,
            cycles=tuple(cycle for cycle in self.cycles if cycle.frames),
        )


def _values(shard: Any) -> Any:
    """Yield key, value and description of each value of a ``PVStateShard``."""
    for element in shard:
        name = element.get("key", "")
        if element.tag == "Key":
            flat = _FLAT_KEY.match(name)
            yield (flat.groups() if flat else (name,)), element.get("value", ""), ""
            continue
        if element.get("value") is not None:
            yield (name,), element.get("value"), element.get("description", "")
        for value in element:
            key = (name, value.get("index", ""))
            if value.get("value") is not None:
                yield key, value.get("value"), value.get("description", "")
            for inner in value:
                where = (*key, inner.get("subindex", ""))
                yield where, inner.get("value", ""), inner.get("description", "")


def _positions(settings: Settings) -> tuple[float, ...]:
    """Return the positions along z; version 4 lists several devices in one text."""
    found = {key: value for key, value in settings.items() if key[:2] == _Z}
    texts = [part for key in sorted(found) for part in re.split(r"[,;]", found[key])]
    numbers = [_float(text) for text in texts]
    return tuple(number for number in numbers if number is not None)


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _int(text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        return default
