"""Find the files of a ScanImage recording and check that they continue each other.

File names: ``<stem>_<acquisition>_<file>.tif`` if ScanImage starts a new file after a number of
frames, else ``<stem>_<acquisition>.tif``, numbered from 1 with at least five digits. The names of
files with one channel each end with ``_chn1``, ``_chn2`` and so on.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.tiff.checks import (
    TiffSource,
    inspect_later_tiff,
    inspect_tiff,
    inspect_tiffs,
)
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.truncation import warn_of_later_files
from nwb_ophys.formats.scanimage.frames import frame_statement, parse_epoch
from nwb_ophys.formats.scanimage.header import CHANNEL_IN_NAME, ScanImageMetadata
from nwb_ophys.formats.scanimage.json_texts import as_lines

NUMBERED_FILE = re.compile(
    rf"(?P<prefix>.+_)(?P<number>\d+)(?P<channel>{CHANNEL_IN_NAME.replace('(', '(?:')})?"
)
NUMBERED_ACQUISITION = re.compile(r".+_\d+_")
_GOES_ON = re.compile(r"^endOfAcquisition = 0\s*$", re.MULTILINE)
GIVE_FILES = "To read only some files, give file_paths"


@attrs.frozen(kw_only=True)
class RecordedFile:
    """A file of a recording and the frames that it states.

    Attributes
    ----------
    source : TiffSource
        The checked file.
    first_frame, last_frame : int or None
        ScanImage's numbers of its first and last frame, from 1; None if not stated.
    epoch : datetime or None
        Date and time of timestamp 0 of the recording.
    goes_on : bool
        Whether its last frame states that it is not the last one of the acquisition.
    """

    source: TiffSource
    first_frame: int | None
    last_frame: int | None
    epoch: datetime | None
    goes_on: bool = False

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.source.table.path

    def first_numbers(self, metadata: ScanImageMetadata) -> list[int | None]:
        """Return the frame numbers of the pages of the first frame, one for each saved channel."""
        number = min(len(metadata.channel_numbers), self.source.table.num_pages)
        texts = (self.source.table.read_description(page) for page in range(number))
        return [frame_statement(text).number for text in texts]

    @property
    def frames(self) -> str:
        """Name and frames of the file, for messages."""
        return f"'{self.path.name}' (frames {self.first_frame} to {self.last_frame})"


def inspect_recorded_file(path: Path, allow_truncated: bool = False) -> RecordedFile:
    """Check one file and read the descriptions of its first and last page."""
    return _recorded(inspect_tiff(path, allow_truncated=allow_truncated))


def inspect_recorded_files(paths: Sequence[Path], allow_truncated: bool) -> list[RecordedFile]:
    """Check the files of a recording in order of time, up to a truncated one."""
    return [_recorded(source) for source in inspect_tiffs(paths, allow_truncated=allow_truncated)]


def _recorded(source: TiffSource) -> RecordedFile:
    texts = [source.table.read_description(page) for page in (0, -1)]
    first, last = (frame_statement(text).number for text in texts)
    return RecordedFile(
        source=source,
        first_frame=first,
        last_frame=last,
        epoch=parse_epoch(texts[0]),
        goes_on=_GOES_ON.search(as_lines(texts[1])) is not None,
    )


def _warn_of_lost_files(files: Sequence[RecordedFile], metadata: ScanImageMetadata) -> None:
    """Warn of files that a divided grab must have before or after those that were found."""
    first, last = files[0], files[-1]
    if not _is_divided_grab(metadata):
        return
    lost = []
    if first.first_frame is not None and first.first_frame > metadata.average_factor:
        lost.append(f"'{first.path}' begins with frame {first.first_frame}: earlier files")
    num_frames = last.source.table.num_pages // max(len(metadata.channel_numbers), 1)
    is_full = num_frames >= metadata.frames_per_file and not last.source.table.is_truncated
    if last.goes_on and is_full:
        lost.append(f"'{last.path}' has all of its {num_frames} frames, but goes on: later files")
    for each in lost:
        warnings.warn(
            f"{each} of this recording are missing, or have other names, and are left out. Copy "
            "them into its folder with the names that ScanImage gave them.",
            UserWarning,
            stacklevel=4,
        )


def continues(before: RecordedFile, after: RecordedFile, metadata: ScanImageMetadata) -> bool:
    """Return whether one file begins with the frame after the last frame of the other."""
    if before.epoch != after.epoch:
        return False
    if before.last_frame is None or after.first_frame is None:
        return True
    # Averaged frames and unsaved flyback frames leave gaps between the numbers.
    largest_step = metadata.average_factor + metadata.num_flyback_frames
    return 1 <= after.first_frame - before.last_frame <= largest_step


def find_recording(
    path: Path, metadata: ScanImageMetadata, allow_truncated: bool = False
) -> list[RecordedFile]:
    """Find all files of the recording that a file belongs to.

    Parameters
    ----------
    path : Path
        Any file of the recording.
    metadata : ScanImageMetadata
        Metadata from its header, which state whether ScanImage wrote several files.
    allow_truncated : bool
        Whether a file may be truncated; the files after it are left out, with a UserWarning.

    Returns
    -------
    list of RecordedFile
        The files in the order of time. Files with other names or of other acquisitions in the
        same folder are ignored.

    Raises
    ------
    SourceError
        If a file is missing in front or in the middle, or if a file does not continue the one
        before it.
    """
    given = inspect_recorded_file(path, allow_truncated)
    siblings = _numbered_siblings(path, metadata)
    if not siblings:
        _warn_of_lost_files([given], metadata)
        return [given]
    number = _file_number(path)
    # Names identify the files of one grab; in other modes a file may be a separate recording,
    # which then has its own epoch.
    is_grab = _is_divided_grab(metadata)
    files = _follow(given, siblings, number, -1, is_grab, metadata, allow_truncated)[::-1]
    files += _follow(given, siblings, number, 1, is_grab, metadata, allow_truncated)[1:]
    files = _up_to_truncated(files, metadata)
    first = files[0]
    if first.first_frame is not None and first.first_frame > metadata.average_factor:
        raise SourceError(
            f"'{first.path}' begins with frame {first.first_frame}: earlier files of this "
            f"recording are missing in '{path.parent}'. Copy them there. {GIVE_FILES}."
        )
    _warn_of_lost_files(files, metadata)
    return files


def check_given_files(files: Sequence[RecordedFile], metadata: ScanImageMetadata) -> None:
    """Check files that the caller chose; they need not continue each other.

    Raises
    ------
    SourceError
        If files of one recording are out of order, or if frames in the middle of a volume are
        missing between two files, so that planes would be mixed up.
    """
    pages_per_cycle = metadata.frames_per_cycle * len(metadata.channel_numbers)
    num_pages = 0
    for before, after in pairwise(files):
        num_pages += before.source.table.num_pages
        if continues(before, after, metadata):
            continue
        numbers = (before.last_frame, after.first_frame)
        is_one_recording = before.epoch == after.epoch and None not in numbers
        if is_one_recording and before.last_frame >= after.first_frame:  # type: ignore[operator]
            raise SourceError(f"{_not_continued(before, after)}. Give file_paths in order of time.")
        if num_pages % pages_per_cycle:
            raise SourceError(
                f"{_not_continued(before, after)}, and its first page would be page "
                f"{num_pages % pages_per_cycle} of {pages_per_cycle} of a volume that begins in "
                "the file before it, so planes would be mixed up. Give the files in between as "
                "well."
            )


def check_volume_start(first: RecordedFile, metadata: ScanImageMetadata) -> None:
    """Raise SourceError if the first file of a recording begins in the middle of a volume."""
    if metadata.average_factor > 1 or metadata.stack_mode == "slow" or first.first_frame is None:
        return  # frame numbers do not count saved frames in these cases
    # ScanImage 4 may count from 0.
    offset = max(first.first_frame - 1, 0) % metadata.frames_per_cycle
    if offset:
        raise SourceError(
            f"'{first.path}' begins with frame {first.first_frame}, which is frame {offset + 1} of "
            f"{metadata.frames_per_cycle} of a volume; read it together with the file before it."
        )


def _is_divided_grab(metadata: ScanImageMetadata) -> bool:
    """Return whether ScanImage started a new file after a number of frames."""
    return metadata.acquisition_state == "grab" and metadata.frames_per_file != float("inf")


def _file_number(path: Path) -> int:
    """Return the number at the end of a file name."""
    match = NUMBERED_FILE.fullmatch(path.stem)
    assert match is not None  # only called for numbered files
    return int(match["number"])


def _numbered_siblings(path: Path, metadata: ScanImageMetadata) -> dict[int, Path]:
    """Return the files in the same folder whose names mark them as parts of the recording."""
    match = NUMBERED_FILE.fullmatch(path.stem)
    if match is None:
        return {}  # renamed by the user
    if _is_divided_grab(metadata):
        if not NUMBERED_ACQUISITION.fullmatch(match["prefix"]):
            return {}
    elif metadata.acquisition_state != "loop" and not (
        metadata.stack_mode == "slow" and metadata.is_volumetric
    ):
        return {}
    siblings = {}
    for sibling in path.parent.iterdir():
        other = NUMBERED_FILE.fullmatch(sibling.stem)
        if other is None or sibling.suffix != path.suffix:
            continue
        if any(other[part] != match[part] for part in ("prefix", "channel")):
            continue
        # Numbers are padded with zeros to a fixed width: 00001 is neither 1 nor 0000001.
        width = min(len(match["number"]), 5)
        if other["number"] == f"{int(other['number']):0{width}d}" and sibling.is_file():
            siblings[int(other["number"])] = sibling
    siblings[int(match["number"])] = path
    return siblings


def _follow(
    given: RecordedFile,
    siblings: dict[int, Path],
    number: int,
    step: int,
    is_grab: bool,
    metadata: ScanImageMetadata,
    allow_truncated: bool,
) -> list[RecordedFile]:
    """Return the given file and the files after it (step 1) or before it (step -1) in time.

    A truncated file ends the recording, so that no file after it is read.
    """
    files = [given]
    if step > 0 and given.source.table.is_truncated:
        return files
    remaining = sorted((n for n in siblings if (n - number) * step > 0), reverse=step < 0)
    for expected, found_number in enumerate(remaining, start=1):
        source = inspect_later_tiff(siblings[found_number], allow_truncated=allow_truncated)
        if source is None:
            break
        found = _recorded(source)
        if not is_grab and (given.epoch is None or found.epoch != given.epoch):
            break
        if found_number != number + step * expected:
            name = given.path.with_name(_renumbered(given.path, number + step * expected))
            raise SourceError(
                f"'{name}' is missing, although {found.frames} belongs to the same recording as "
                f"{given.frames}. Copy the missing file. {GIVE_FILES}."
            )
        before, after = (files[-1], found) if step > 0 else (found, files[-1])
        is_cut = before.source.table.is_truncated
        if not is_cut and not continues(before, after, metadata):
            raise SourceError(
                f"{_not_continued(before, after)}; frames are missing, or a file is left from "
                f"another recording with the same name. {GIVE_FILES}."
            )
        files.append(found)
        if step > 0 and found.source.table.is_truncated:
            break
    return files


def _up_to_truncated(files: list[RecordedFile], metadata: ScanImageMetadata) -> list[RecordedFile]:
    """Return the files up to the first truncated one; warn of the files after it."""
    cut = next((i for i, file in enumerate(files) if file.source.table.is_truncated), None)
    kept = files if cut is None else files[: cut + 1]
    warn_of_later_files(kept[-1].path, files_after(kept[-1], metadata))
    return kept


def files_after(last: RecordedFile, metadata: ScanImageMetadata) -> list[Path]:
    """Return the files of a recording that follow its last readable file, in order.

    Parameters
    ----------
    last : RecordedFile
        The last file that :func:`find_recording` returned.
    metadata : ScanImageMetadata
    """
    siblings = _numbered_siblings(last.path, metadata)
    if not siblings:
        return []
    is_grab = _is_divided_grab(metadata)
    number = _file_number(last.path)
    found = []
    for later in sorted(each for each in siblings if each > number):
        path = siblings[later]
        is_other = last.epoch is None or last.epoch != _epoch(path)
        if not is_grab and path.stat().st_size and is_other:
            break
        found.append(path)
    return found


def _epoch(path: Path) -> datetime | None:
    heading = read_tiff_heading(path)
    return parse_epoch(heading.description) if heading else None


def _renumbered(path: Path, number: int) -> str:
    """Return the name of the file with another number."""
    match = NUMBERED_FILE.fullmatch(path.stem)
    assert match is not None  # only called for numbered files
    numbered = f"{match['prefix']}{number:0{len(match['number'])}d}"
    return f"{numbered}{match['channel'] or ''}{path.suffix}"


def _not_continued(before: RecordedFile, after: RecordedFile) -> str:
    """Return the message that one file does not continue another."""
    epochs = "" if before.epoch == after.epoch else f", recorded at {after.epoch}"
    return (
        f"'{after.path}' (frames {after.first_frame} to {after.last_frame}{epochs}) does not "
        f"continue {before.frames}"
    )
