"""Contents of a Prairie View recording: movies and images by position of the stage, line scans."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs

from nwb_ophys.formats.bruker.layout import TIMES, Everything, PrairieLayout, arrange
from nwb_ophys.formats.bruker.xml import Cycle, Frame, PrairieRecording

# A stage states slightly different coordinates each time that it returns to a position.
_SAME_POSITION_UM = 1.0


@attrs.frozen
class _Place:
    """Where a cycle was recorded: the stage, and the lowest and the highest of its planes."""

    stage: Sequence[float]
    lowest: Sequence[float]
    highest: Sequence[float]
    num_planes: int

    def is_same(self, other: _Place) -> bool:
        """Return whether two places are one; volumes that lack planes may begin elsewhere."""
        if not _is_near(self.stage, other.stage):
            return False
        if self.num_planes == other.num_planes:
            return _is_near(self.lowest, other.lowest)
        return len(self.lowest) == len(other.lowest) and all(
            low <= high + _SAME_POSITION_UM
            for low, high in zip(
                (*self.lowest, *other.lowest), (*other.highest, *self.highest), strict=True
            )
        )


@attrs.frozen(kw_only=True, eq=False)
class Section:
    """Frames of one position of the stage.

    Attributes
    ----------
    recording : PrairieRecording
        The recording with the frames of this position only.
    layout : PrairieLayout
    name : str
        Name of the position, such as ``Position1``; empty if there is only one.
    """

    recording: PrairieRecording
    layout: PrairieLayout
    name: str

    @property
    def is_movie(self) -> bool:
        """Return whether there are several samples; a single image or z-stack is no movie."""
        return self.layout.num_samples > 1


@attrs.frozen(kw_only=True, eq=False)
class LineScan:
    """Cycles in which the same line was scanned.

    Attributes
    ----------
    recording : PrairieRecording
        The recording with these cycles only.
    layout : PrairieLayout
        Its images, whose rows are the lines, each as a sample of one frame.
    name : str
        Name of the line, such as ``Line1``; empty if there is only one.
    """

    recording: PrairieRecording
    layout: PrairieLayout
    name: str

    @property
    def definition(self) -> str:
        """Definition of the line in words; empty if the file does not state it."""
        return self.recording.cycles[0].line


@attrs.frozen(kw_only=True, eq=False)
class Contents:
    """All that a recording holds.

    Attributes
    ----------
    sections : list of Section
    line_scans : list of LineScan
    left_out : list of str
        Types of the sequences that are not read, such as spot scans.
    """

    sections: list[Section]
    line_scans: list[LineScan]
    left_out: list[str]

    @property
    def is_complete(self) -> bool:
        """Whether no sample was left out."""
        return all(part.layout.is_complete for part in (*self.sections, *self.line_scans))


def contents_of(
    recording: PrairieRecording, present: frozenset[str], allow_truncated: bool = False
) -> Contents:
    """Divide a recording by the types of its sequences and by the positions of the stage.

    Parameters
    ----------
    recording : PrairieRecording
    present : frozenset of str
        Names of the files in the folder.
    allow_truncated : bool
        Whether to leave out all samples from the first incomplete one on, with a UserWarning.
    """
    by_position = _positions([c for c in recording.cycles if c.kind in ("volume", "frames")])
    by_line = _lines([cycle for cycle in recording.cycles if cycle.kind == "line"])
    whole = Everything(
        frames=[frame for cycle in recording.cycles for frame in cycle.frames],
        zeros=_zeros(recording, is_divided=len(by_position) + len(by_line) > 1),
    )
    sections = []
    for number, cycles in enumerate(by_position):
        settings = next((c.settings for c in cycles if c.settings), recording.settings)
        own = attrs.evolve(recording, cycles=tuple(cycles), settings=settings)
        name = f"Position{number}" if len(by_position) > 1 else ""
        layout = arrange(own, present, whole, allow_truncated)
        sections.append(Section(recording=own, layout=layout, name=name))
    line_scans = []
    for number, cycles in enumerate(by_line):
        own = attrs.evolve(recording, cycles=tuple(cycles), settings=cycles[0].settings)
        name = f"Line{number}" if len(by_line) > 1 else ""
        layout = arrange(own, present, whole, allow_truncated)
        line_scans.append(LineScan(recording=own, layout=layout, name=name))
    points = dict.fromkeys(cycle.type for cycle in recording.cycles if cycle.kind == "point")
    return Contents(sections=sections, line_scans=line_scans, left_out=list(points))


def _zeros(recording: PrairieRecording, is_divided: bool) -> dict[str, float]:
    """Return the earliest time of a recording for each kind of time that can be compared."""
    found = {}
    for name in TIMES:
        times = [[getattr(f, name) for f in cycle.frames] for cycle in recording.cycles]
        stated = [[time for time in own if time is not None] for own in times]
        starts = [min(own) for own in stated if own]
        # Relative times that restart with each cycle do not tell when a position was visited.
        restarts = any(later <= earlier for earlier, later in itertools.pairwise(starts))
        if starts and not (is_divided and restarts):
            found[name] = min(starts)
    return found


def _positions(cycles: Sequence[Cycle]) -> list[list[Cycle]]:
    """Return the cycles of each position, each with its own frames only."""
    last_places: list[_Place] = []
    found: list[list[Cycle]] = []
    for cycle in filter(lambda each: each.frames, cycles):
        frames: dict[int, list[Frame]] = {}
        lowest, highest, number = _depths(cycle)  # once, since a cycle may have 100,000 frames
        # The planes of a volume belong together, wherever the stage drifts to.
        is_volume, stage, index = cycle.kind == "volume", cycle.frames[0].stage, -1
        for frame in cycle.frames:
            if index < 0 or not (is_volume or frame.stage == stage):
                stage = frame.stage
                index = _index_of(_Place(stage or (), lowest, highest, number), last_places)
            frames.setdefault(index, []).append(frame)
        for index, own in frames.items():
            if index == len(found):
                found.append([])
            found[index].append(attrs.evolve(cycle, frames=tuple(own)))
    return found


def _depths(cycle: Cycle) -> tuple[Sequence[float], Sequence[float], int]:
    """Return the lowest and the highest depth, and the number of depths, of a cycle.

    The focus may move within a time series, of which only the first depth counts.
    """
    depths = [frame.z for frame in cycle.frames]
    if cycle.kind != "volume":
        return depths[0], depths[0], 1
    return min(depths), max(depths), len(depths)


def _index_of(place: _Place, last_places: list[_Place]) -> int:
    """Return the index of a position; a new one is added, and a known one follows slow drift."""
    for index, other in enumerate(last_places):
        if place.is_same(other):
            last_places[index] = place
            return index
    last_places.append(place)
    return len(last_places) - 1


def _is_near(first: Sequence[float], second: Sequence[float]) -> bool:
    return len(first) == len(second) and all(
        abs(one - other) < _SAME_POSITION_UM for one, other in zip(first, second, strict=True)
    )


def _lines(cycles: Sequence[Cycle]) -> list[list[Cycle]]:
    """Return the cycles of each line; images of another size are a line of their own."""
    found: dict[tuple[str, ...], list[Cycle]] = {}
    for cycle in cycles:
        sizes = (cycle.settings.get((key,), "") for key in ("pixelsPerLine", "linesPerFrame"))
        place = str(cycle.frames[0].stage)
        found.setdefault((cycle.line, place, *sizes), []).append(cycle)
    return list(found.values())
