"""Read the XML file of a Prairie View recording: frames, files, times and settings.

The root ``PVScan`` has a ``Sequence`` per cycle, a sequence has a ``Frame`` per image, and a frame
has a ``File`` per channel. Settings are in ``PVStateShard`` elements of the recording, a sequence
or a frame; later ones state only changes. Prairie View 5 writes ``PVStateValue`` with indexed
values, version 4 a flat ``Key`` per value, such as ``micronsPerPixel_XAxis``.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, NamedTuple

import attrs

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.xml import (
    Repeated,
    Shape,
    XmlError,
    XmlLimitError,
    iterate_repeated,
    iterate_xml,
    read_xml,
)
from nwb_ophys.memory import collection_paused

Settings = dict[tuple[str, ...], str]
"""Values by key and indices, such as ``("positionCurrent", "ZAxis", "0")``."""

FACTS = frozenset(
    (
        "activeMode",
        "bitDepth",
        "dwellTime",
        "framePeriod",
        "laserPower",
        "laserWavelength",
        "micronsPerPixel",
        "objectiveLens",
        "objectiveLensMag",
        "objectiveLensNA",
        "opticalZoom",
        "pmtGain",
        "rastersPerFrame",
        "scanLinePeriod",
    )
)
"""Keys of the settings that the metadata state, and that may change from frame to frame."""

_FLAT_KEY = re.compile(r"(.+?)_(XAxis|YAxis|ZAxis|\d+)$")
_Z = ("positionCurrent", "ZAxis")


# Frames and their files are tuples, which are made several times as fast as other objects: a long
# recording has a hundred thousand of each.


class FrameFile(NamedTuple):
    """File and page of the image of one channel of a frame.

    Attributes
    ----------
    channel : int
    channel_name, file_name : str
    page : int or None
    source : str
        Name of the image on which the line of a line scan was drawn; empty if there is none.
    """

    channel: int
    channel_name: str
    file_name: str
    page: int | None
    source: str


class Frame(NamedTuple):
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
    stage : tuple of float or None
        Position of the stage along x and y, in micrometres.
    facts : Mapping
        Settings of ``FACTS`` at this frame.
    """

    index: int  # type: ignore[assignment]  # instead of the method of tuples
    relative_time: float | None
    absolute_time: float | None
    z: tuple[float, ...]
    files: tuple[FrameFile, ...]
    stage: tuple[float, float] | None
    facts: Mapping[tuple[str, ...], str]


@attrs.frozen(kw_only=True)
class Cycle:
    """One ``Sequence`` element with its frames.

    Attributes
    ----------
    number : int
    type : str
    frames : tuple of Frame
    line : str
        Definition of the scanned line as the file states it; empty if there is none.
    is_bidirectional : bool
        Whether every other volume was swept backwards (``bidirectionalZ``).
    settings : Mapping
        Values at the first frame of a line scan, and of a cycle after one of another kind; empty
        for other cycles, which have those of the cycle before.
    """

    number: int
    type: str
    frames: tuple[Frame, ...]
    line: str = ""
    is_bidirectional: bool = False
    settings: Mapping[tuple[str, ...], str] = attrs.field(factory=dict)

    @property
    def kind(self) -> str:
        """``line`` or ``point`` scan, ``volume`` or ``frames``, by the type of the sequence."""
        words = self.type.lower().replace(" ", "").replace("_", "").replace("-", "")
        if "linescan" in words:
            return "line"
        if "point" in words and "markpoint" not in words:
            return "point"
        return "volume" if _is_volume(words, self.frames) else "frames"


# Types of cycles whose frames are a time series, even if the focus moves within a cycle.
_TIME_SERIES_TYPES = ("timed", "brightness", "single")


def _is_volume(words: str, frames: Sequence[Frame]) -> bool:
    """Return whether the frames of a cycle are planes, by its type or by distinct positions."""
    if "zseries" in words:
        return True
    if any(word in words for word in _TIME_SERIES_TYPES):
        return False
    positions = [frame.z for frame in frames]
    return len(positions) > 1 and all(positions) and len(set(positions)) == len(positions)


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
        """Return a setting as a finite number; None if it is missing or something else."""
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

    def parse(file: IO[bytes]) -> PrairieRecording:
        try:
            return _parsed(path, iterate_repeated(file, "Frame", within="Sequence", first="File"))
        except XmlLimitError:
            raise
        except XmlError:  # parsed once more as a whole, so that the message names the right line
            file.seek(0)
            return _parsed(path, iterate_xml(file))

    return read_xml(path, parse)


def _parsed(path: Path, events: Iterable[tuple[str, Any]]) -> PrairieRecording:
    parser = _Parser(path)
    with collection_paused():  # it would go over all frames again and again, and find nothing
        # Frame by frame, since the file of a long recording has hundreds of MB.
        for event, element in events:
            parser.handle(event, element)
    return parser.result()


@attrs.frozen
class _State:
    """Settings of a frame as far as they are kept: depths, position of the stage, facts."""

    z: tuple[float, ...]
    stage: tuple[float, float] | None
    facts: Settings

    @classmethod
    def of(cls, settings: Settings) -> _State:
        """Return the state of all settings of a frame."""
        facts = {key: value for key, value in settings.items() if key[0] in FACTS}
        return cls(_positions(settings), _stage(settings), facts)


_Texts = tuple[str | None, ...]
# Attributes of a frame and of a file.
_OF_FRAME = ("index", "relativeTime", "absoluteTime")
_OF_FILE = ("channel", "channelName", "filename", "page", "source")


def _files(
    channel: _Texts, stated: _Texts, name: _Texts, page: _Texts, source: _Texts
) -> list[FrameFile] | None:
    """Return files of a column of texts each; None if a file lacks its name or channel."""
    numbers = _ints(channel)
    if numbers is None or not all(numbers) or not all(name):
        return None
    return list(
        map(
            FrameFile,  # type: ignore[arg-type]  # every name is a text here
            numbers,
            map(_channel_name, stated, numbers),
            name,
            [_int(text, 0) or None for text in page],
            [text or "" for text in source],
        )
    )


def _channel_name(stated: str | None, number: int) -> str:
    return sys.intern(stated.strip()) if stated else f"Ch{number}"


def _in_order(by_channel: Sequence[Sequence[FrameFile]]) -> Iterator[tuple[FrameFile, ...]]:
    """Yield the files of each frame in the order of their channels."""
    if len(by_channel) == 1:
        yield from zip(*by_channel, strict=True)
        return
    for files in zip(*by_channel, strict=True):
        yield tuple(sorted(files, key=attrgetter("channel")))


def _ints(texts: _Texts) -> list[int] | None:
    """Return a column of integers; None if one is missing or something else."""
    try:
        return list(map(int, texts))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _floats(texts: _Texts) -> list[float | None]:
    """Return a column of finite numbers, with None for other texts."""
    try:
        numbers = list(map(float, texts))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return list(map(_float, texts))
    return numbers if all(map(math.isfinite, numbers)) else list(map(_float, texts))  # type: ignore[return-value]


class _Parser:
    """Builder of a recording from the events of the XML parser."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Any = None
        self.stack: list[str] = []
        self.common: Settings = {}
        self.of_cycle: Settings = {}
        self.first: Settings = {}
        self.first_of_cycle: Settings = {}
        self.facts: Settings = {}
        self.line = ""
        self.descriptions: Settings = {}
        self.frames: list[Frame] = []
        self.cycles: list[Cycle] = []
        self.own: Settings = {}
        self.known: dict[bytes, Settings] = {}
        self.states: dict[bytes, _State] = {}

    def handle(self, event: str, element: Any) -> None:
        if event == "repeated":
            self._repeat_frames(element)
            return
        if event == "rest":
            self.known[element] = self.own
            return
        if event == "start":
            self._start(element)
            return
        self.stack.pop()
        above = self.stack[-1] if self.stack else ""
        if element.tag == "PVStateShard" and above in ("PVScan", "Sequence"):
            kept = self.common if above == "PVScan" else self.of_cycle
            if changed := self._settings(element):
                kept |= changed
                self.states.clear()
            element.clear()
        elif element.tag == "PVLinescanDefinition":
            self.line = _line_text(element)
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
        self.own = own
        self.first = self.first or everything
        self.first_of_cycle = self.first_of_cycle or everything
        files = [tuple(map(file.get, _OF_FILE)) for file in element.iterfind("File")]
        self._add_frame(tuple(map(element.get, _OF_FRAME)), files, _State.of(everything))
        element.clear()

    def _repeat_frames(self, frames: Iterable[Repeated]) -> None:
        """Add frames, each with the settings of one that was parsed before."""
        for shape, group in itertools.groupby(frames, key=attrgetter("shape")):
            self._add_alike(shape, list(group))

    def _add_alike(self, shape: Shape, frames: Sequence[Repeated]) -> None:
        """Add frames with the same attributes, of which each column is converted at once."""
        columns = list(zip(*(frame.values for frame in frames), strict=True))
        absent = (None,) * len(frames)
        own, *files = (
            [columns[places[name]] if name in places else absent for name in names]
            for places, names in (
                (shape.attributes, _OF_FRAME),
                *((places, _OF_FILE) for places in shape.children),
            )
        )
        states = list(map(self._state_after, (frame.rest for frame in frames)))
        by_channel = [found for texts in files if (found := _files(*texts)) is not None]
        if len(by_channel) < len(files):
            texts = zip(
                zip(*own, strict=True),
                zip(*(zip(*file, strict=True) for file in files), strict=True),
                states,
                strict=True,
            )
            for each in texts:
                self._add_frame(*each)
            return
        index, relative, absolute = own
        first = len(self.frames) + 1
        self.frames += map(
            Frame,
            _ints(index) or [_int(text, first + i) for i, text in enumerate(index)],
            _floats(relative),
            _floats(absolute),
            [state.z for state in states],
            _in_order(by_channel),
            [state.stage for state in states],
            list(map(self._shared_facts, states)),
        )

    def _state_after(self, rest: bytes) -> _State:
        """Return the state of a frame that has the settings of one that was parsed before."""
        state = self.states.get(rest)
        if state is None or not self.first_of_cycle:
            everything = self.common | self.of_cycle | self.known[rest]
            self.first_of_cycle = self.first_of_cycle or everything
            if state is None:
                state = self.states[rest] = _State.of(everything)
        return state

    def _end_cycle(self, element: Any) -> None:
        number = _int(element.get("cycle"), len(self.cycles) + 1)
        frames = tuple(sorted(self.frames, key=attrgetter("index")))
        cycle = Cycle(
            number=number,
            type=element.get("type", ""),
            frames=frames,
            line=self.line,
            is_bidirectional=element.get("bidirectionalZ", "").strip().lower() == "true",
        )
        if cycle.kind == "line" or not self.cycles or self.cycles[-1].kind != cycle.kind:
            cycle = attrs.evolve(cycle, settings=self.first_of_cycle)
        self.cycles.append(cycle)
        if self.of_cycle:
            self.states.clear()
        self.frames, self.of_cycle, self.first_of_cycle, self.line = [], {}, {}, ""
        element.clear()

    def _add_frame(self, texts: _Texts, files: Sequence[_Texts], state: _State) -> None:
        """Add a frame with the texts of ``_OF_FRAME`` and, for each file, of ``_OF_FILE``."""
        index, relative, absolute = texts
        own = [self._file(*of_file) for of_file in files]
        if len(own) > 1:
            own.sort(key=attrgetter("channel"))
        self.frames.append(
            Frame(
                _int(index, len(self.frames) + 1),
                _float(relative),
                _float(absolute),
                state.z,
                tuple(own),
                state.stage,
                self._shared_facts(state),
            )
        )

    def _shared_facts(self, state: _State) -> Settings:
        """Return the facts of the next frame; frames with the same facts share one dictionary."""
        if state.facts is not self.facts and state.facts != self.facts:
            self.facts = state.facts
        return self.facts

    def _file(
        self,
        channel: str | None,
        stated: str | None,
        name: str | None,
        page: str | None,
        source: str | None,
    ) -> FrameFile:
        number = _int(channel, 0)
        if not name or not number:
            raise CorruptSourceError(
                f"'{self.path}': a <File> of frame {len(self.frames) + 1} of cycle "
                f"{len(self.cycles) + 1} lacks its filename or channel; copy the file again."
            )
        label = _channel_name(stated, number)
        return FrameFile(number, label, name, _int(page, 0) or None, source or "")

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


def _stage(settings: Settings) -> tuple[float, float] | None:
    """Return the position of the stage along x and y; None if it is not stated."""
    x, y = (_stage_axis(settings, axis) for axis in ("XAxis", "YAxis"))
    return None if x is None or y is None else (x, y)


def _stage_axis(settings: Settings, axis: str) -> float | None:
    subindexed = settings.get(("positionCurrent", axis, "0"))
    return _float(settings.get(("positionCurrent", axis)) if subindexed is None else subindexed)


def _line_text(definition: Any) -> str:
    """Return the definition of a line in words: its mode, and coordinates as the file has them."""
    inner = [element for element in definition if element.attrib]
    # Elements with PV in their names repeat the coordinates as fractions of the image.
    in_pixels = [element for element in inner if not element.tag.startswith("PV")]
    parts = [_attributes(definition)]
    parts += [f"{element.tag} {_attributes(element)}" for element in in_pixels or inner]
    return "; ".join(part for part in parts if part)


def _attributes(element: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in element.attrib.items())


def _float(text: str | None) -> float | None:
    """Return a finite number, also one with a decimal comma; None for other texts."""
    try:
        number = math.nan if text is None else float(text.replace(",", ".", 1))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _int(text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        return default
