"""Read TIFF recordings of Bruker's Prairie View."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_index, check_stated_rate
from nwb_ophys.filetypes.files import require_file
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.reader import FilesIn, ManyTiffsReader
from nwb_ophys.formats.bruker.contents import Contents, Section, contents_of
from nwb_ophys.formats.bruker.layout import TIMES, PrairieLayout
from nwb_ophys.formats.bruker.lost_images import without_lost_images
from nwb_ophys.formats.bruker.names import plain_name
from nwb_ophys.formats.bruker.own_names import check_own_name
from nwb_ophys.formats.bruker.xml import FrameFile, PrairieRecording, read_prairie_xml
from nwb_ophys.listings import kept
from nwb_ophys.outside import named_elsewhere
from nwb_ophys.paths import names_of
from nwb_ophys.remote.paths import as_path
from nwb_ophys.timing import other_rate

TIFF_SUFFIXES = (".tif", ".tiff")


def open_prairie_recording(xml_path: Path, allow_truncated: bool = False) -> Contents:
    """Read the XML file of a recording and divide what it names into movies and line scans.

    Parameters
    ----------
    xml_path : pathlib.Path
    allow_truncated : bool
        Whether to end the recording before the first sample of which an image is lost.

    Raises
    ------
    SourceError
        When all images are missing, or files of other samples than the last.

    Warns
    -----
    UserWarning
        When the folder contains images of the recording that the XML file does not name.
    """
    require_file(xml_path, "the XML file of the recording")
    read, named = _read_once(xml_path)
    known = kept(_Known)
    if not allow_truncated and known.recording is read and known.contents is not None:
        return known.contents
    recording = read
    present = names_of(xml_path.parent)
    if not named <= present:
        recording = _match_file_case(recording, present)
        named = _file_names(recording)
    present |= {
        name for name in named_elsewhere(xml_path, named) if (xml_path.parent / name).is_file()
    }
    if allow_truncated:
        recording = without_lost_images(recording, present)
    contents = contents_of(recording, present, allow_truncated)
    others = _others(xml_path, present - named)
    if others:
        warnings.warn(
            f"'{xml_path}' names {len(named)} image files; {len(others)} more in its folder, such "
            f"as '{others[0]}', are not read.",
            UserWarning,
            stacklevel=2,
        )
    elif not allow_truncated and contents.is_complete:  # there was no warning to repeat
        known.recording, known.contents = read, contents
    return contents


@attrs.define
class _Known:
    """Contents of the recording that was opened last, which each channel and plane needs."""

    recording: PrairieRecording | None = None
    contents: Contents | None = None


def _others(xml_path: Path, names: Iterable[str]) -> list[str]:
    """Return the names of images of a recording that its XML file does not name."""
    start = f"{xml_path.stem}_Cycle"
    return sorted(
        name
        for name in names
        if name.startswith(start) and name.lower().endswith(TIFF_SUFFIXES) and "Source" not in name
    )


def _read_once(path: Path) -> tuple[PrairieRecording, frozenset[str]]:
    """Read an XML file and the names in it; cached, since each channel and plane needs it."""
    state = path.stat()
    return _read_cached(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _read_cached(path: Path, size: int, changed: int) -> tuple[PrairieRecording, frozenset[str]]:
    recording = read_prairie_xml(path)
    return recording, _file_names(recording)


def _file_names(recording: PrairieRecording) -> frozenset[str]:
    """Return the names of the files of all frames."""
    return frozenset(
        file.file_name
        for cycle in recording.cycles
        for frame in cycle.frames
        for file in frame.files
    )


def _match_file_case(recording: PrairieRecording, present: frozenset[str]) -> PrairieRecording:
    """Use the names in the folder for files whose letters changed when they were copied."""
    by_plain = {plain_name(name): name for name in present}

    def named(file: FrameFile) -> FrameFile:
        if file.file_name in present:
            return file
        found = by_plain.get(plain_name(file.file_name), file.file_name)
        return file._replace(file_name=found)

    cycles = []
    for cycle in recording.cycles:
        frames = (f._replace(files=tuple(map(named, f.files))) for f in cycle.frames)
        cycles.append(attrs.evolve(cycle, frames=tuple(frames)))
    return attrs.evolve(recording, cycles=tuple(cycles))


class BrukerTiffExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of a Prairie View recording.

    The XML file states the file, the page and the time of each frame. Times are in s after the
    first frame of the recording: of volumes the time of the first frame, of a plane the times of
    its frames. Times are not available if a frame lacks one or they do not ascend. Reads the XML
    file and the headers of two images when created; see `TiffFramesExtractor` for threads and
    closing.

    Parameters
    ----------
    xml_path : path
        The XML file in the folder of the images.
    channel_name : str, optional
        The channel to read; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    allow_truncated : bool
        Whether to read the samples before the first one that is incomplete in any channel, with a
        UserWarning. The headers of all images are read then.

    Attributes
    ----------
    recording : PrairieRecording
        What the XML file states of this position.
    layout : PrairieLayout
        Its channels, samples and planes.
    section_name : str
        Name of the position; empty if there is only one.
    channel_name : str
    channel : int
        Number of the channel, from 1.

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range.
    SourceNotFoundError, CorruptSourceError
        If a file is not there, is truncated or cannot be decoded.
    SourceError
        If images are missing or cycles do not go together.
    """

    extractor_name = "BrukerTiffExtractor"

    def __init__(
        self,
        xml_path: str | PathLike[str],
        channel_name: str | None = None,
        plane_index: int | None = None,
        position_index: int | None = None,
        allow_truncated: bool = False,
    ) -> None:
        path = as_path(xml_path)
        section = _section(path, position_index, allow_truncated)
        self.recording, self.layout = section.recording, section.layout
        self.section_name = section.name
        names = list(self.layout.channels.values())
        channel = index_of_name("channel_name", channel_name, names, path)
        self.channel, self.channel_name = list(self.layout.channels.items())[channel]
        num_planes = self.layout.num_planes
        if plane_index is not None:
            check_index("plane_index", plane_index, num_planes)
        planes = range(num_planes) if plane_index is None else [plane_index]
        files, frame_files, frame_pages = files_and_pages(self.layout, self.channel)
        names = list(files)
        reader = ManyTiffsReader(
            FilesIn(path.parent, names),
            list(files.values()),
            allow_truncated=allow_truncated,
            check=check_own_name,
        )
        if not section.name:  # other positions may have the other pages
            _warn_unused_pages(path, reader, list(files.values()))
        first = dict(zip(names, reader.first_pages.tolist(), strict=False))
        numbers = [first[name] + page for name, page in zip(frame_files, frame_pages, strict=True)]
        self._pages = np.array(numbers, np.int64).reshape(-1, num_planes)[:, list(planes)]
        times = self.layout.times()
        if times is None:
            _warn_of_times_not_used(path, self.layout)
        self._stated_times = times if plane_index is None else self.layout.times(plane_index)
        super().__init__(
            reader,
            # The rate of volumes, since bidirectional sweeps visit a plane at uneven intervals.
            sampling_frequency=_rate(self.recording, self.layout, times),
            num_samples=len(self._pages),
            num_planes=len(planes),
        )


def _section(path: Path, position_index: int | None, allow_truncated: bool) -> Section:
    """Return the position of the stage that is read, or raise if it has to be chosen."""
    contents = open_prairie_recording(path, allow_truncated)
    sections = contents.sections
    if not sections:
        types = ", ".join(f"'{scan.recording.cycles[0].type}'" for scan in contents.line_scans[:1])
        raise SourceError(
            f"'{path}' has no images, only line scans ({types}); open it with "
            "BrukerLineScanInterface or nwb_ophys.open()."
            if contents.line_scans
            else no_images(path, contents)
        )
    if position_index is None and len(sections) > 1:
        raise SourceArgumentError(
            f"'{path}' has images at {len(sections)} positions of the stage; choose one with "
            f"position_index, 0 to {len(sections) - 1}."
        )
    check_index("position_index", position_index or 0, len(sections))
    return sections[position_index or 0]


def no_images(path: Path, contents: Contents) -> str:
    """Return the message for a recording of which all sequences are left out."""
    types = ", ".join(f"'{kind}'" for kind in contents.left_out)
    return (
        f"'{path}' has only sequences of the type {types}: spot (point) scans, which have no "
        "images and are not read yet. Give the XML file of another recording."
    )


def files_and_pages(
    layout: PrairieLayout, channel: int
) -> tuple[dict[str, int], list[str], list[int]]:
    """Return the number of used pages of each file, and the file and the page of each frame.

    Parameters
    ----------
    layout : PrairieLayout
    channel : int
        Number of the channel, from 1.
    """
    file_of = {
        id(frame): file
        for frame in layout.whole.frames
        for file in frame.files
        if file.channel == channel
    }
    place_of = dict(zip(file_of, itertools.count(), strict=False))
    names = [file.file_name for file in file_of.values()]
    stated = [file.page or 1 for file in file_of.values()]
    order = dict.fromkeys(names)
    are_numbered = len(order) == len(names) or len(set(zip(names, stated, strict=True))) == len(
        names
    )
    # Frames without page numbers take the pages of a file in the order of the XML file, also those
    # of other positions.
    numbers = [page - 1 for page in stated] if are_numbered else _counted(names)
    places = [place_of[id(frame)] for frame in layout.frames]
    frame_names, pages = [names[place] for place in places], [numbers[place] for place in places]
    counts: dict[str, int] = {}
    for name, page in zip(frame_names, pages, strict=True):
        counts[name] = max(counts.get(name, 0), page + 1)
    # The files in the order of the XML file, in which an incomplete recording lacks the last ones.
    return {name: counts[name] for name in order if name in counts}, frame_names, pages


def _counted(names: Iterable[str]) -> list[int]:
    """Return how often each name came before."""
    counts: dict[str, int] = {}
    numbers = []
    for name in names:
        numbers.append(counts.get(name, 0))
        counts[name] = numbers[-1] + 1
    return numbers


def _warn_unused_pages(path: Path, reader: ManyTiffsReader, counts: list[int]) -> None:
    """Warn if the first or the last file has pages without a frame."""
    for index in {0, len(counts) - 1}:
        table = reader.sources[index].table
        if table.num_pages > counts[index]:
            warnings.warn(
                f"'{table.path}' has {table.num_pages} pages, but only the first {counts[index]} "
                f"are read; '{path.name}' names no other complete frame.",
                UserWarning,
                stacklevel=3,
            )
            return


def _warn_of_times_not_used(path: Path, layout: PrairieLayout) -> None:
    """Warn of times of all frames that are not used, as they do not ascend or restart."""
    frames = layout.frames
    for name in TIMES:
        if len(frames) > 1 and all(getattr(each, name) is not None for each in frames):
            warnings.warn(
                f"'{path}': the times of its frames ({name.replace('_time', 'Time')}) do not "
                "ascend in the recording, so that they are not written; the frames are spaced "
                "evenly by the settings (framePeriod).",
                UserWarning,
                stacklevel=3,
            )
            return


def _rate(
    recording: PrairieRecording, layout: PrairieLayout, times: npt.NDArray[np.float64] | None
) -> float:
    """Return the samples per second: volumes if there are several planes, else frames.

    Warns of frames that follow each other faster than the scanner makes them by the settings.
    Slower ones are usual: of volumes with a flyback, and of sequences with pauses.
    """
    if times is not None and len(times) > 1:
        steps = np.diff(times)
        typical = float(np.median(steps))
        # If there are gaps between bursts, the typical step gives the rate within a burst.
        is_regular = bool((np.abs(steps - typical) < 0.1 * typical).all())
        rate = round(1 / (float(steps.mean()) if is_regular else typical), 9)
        period = recording.number("framePeriod") or 0.0
        fastest = 1 / (period * layout.num_planes) if period > 0 else np.inf
        if (other_rate(times, fastest) or 0.0) > fastest:
            warnings.warn(
                f"'{recording.path}': the times of its frames give {rate:.4g} Hz, which is "
                f"written, but its settings allow {fastest:.4g} Hz at most (framePeriod). Check "
                "which of them is right.",
                UserWarning,
                stacklevel=3,
            )
        return rate
    return _planned_rate(recording, layout)


def _planned_rate(recording: PrairieRecording, layout: PrairieLayout) -> float:
    """Return the samples per second by the settings, for a recording without times."""
    period = recording.number("framePeriod")
    if not period or period <= 0:
        raise SourceError(
            f"'{recording.path}' states neither the times of frames nor framePeriod, so the rate "
            "is unknown; correct a copy of the XML file, and give that copy."
        )
    averaged, text = recording.number("rastersPerFrame"), recording.text("rastersPerFrame")
    if text and (averaged is None or averaged < 1):
        raise SourceError(
            f"'{recording.path}' states rastersPerFrame = {text!r}; it must be a number of at "
            "least 1. Correct it in a copy of the file."
        )
    rate = 1 / (period * layout.num_planes * (averaged or 1))
    return check_stated_rate(recording.path, rate, "framePeriod with rastersPerFrame")


def settings_text(recording: PrairieRecording, name: str) -> list[Any]:
    """Return ``description: value`` for each indexed value of a setting."""
    return [
        f"{recording.descriptions.get((name, *index), ' '.join(index))}: {value}"
        for index, value in recording.indexed(name).items()
    ]
