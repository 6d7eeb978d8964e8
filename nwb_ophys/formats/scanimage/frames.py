"""Number, time and epoch that ScanImage states for each frame, and checks of their order.

Spellings: ``frameNumbers`` and ``frameTimestamps_sec`` since 2016, ``frameTimestamps`` in 5.1 and
2015, ``Frame Number`` and ``Frame Timestamp(s)`` in 5.0, ``Frame Tag`` in 4.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceError
from nwb_ophys.formats.scanimage.json_texts import as_lines
from nwb_ophys.metadata import possible_number
from nwb_ophys.timing import LONGEST_S, other_rate

FRAME_NUMBER = re.compile(r"^(?:frameNumbers|Frame Number|Frame Tag) = *(\d+)", re.MULTILINE)
TIMESTAMP = re.compile(
    r"^(?:frameTimestamps_sec|frameTimestamps|Frame Timestamp\(s\)) = *([-+.\deE]+)", re.MULTILINE
)
_TRIGGERS = re.compile(r"^(auxTrigger\d+|I2CData) = (?:\[[^\]\s]|\{[^}\s])", re.MULTILINE)
_EPOCH = re.compile(r"^(?:epoch|scanimage\.SI\d?\.acqStartTime) = \[([^\]\n]*)\]", re.MULTILINE)
_CLOCK = re.compile(
    r"^scanimage\.SI4\.triggerClockTimeFirst = "
    r"'(\d+)-(\d+)-(\d{4}) (\d+):(\d+):(\d+(?:\.\d+)?)'",
    re.MULTILINE,
)

_REPEATED = (
    "Several acquisitions were joined, or the header does not list all saved channels. Split the "
    'pages into one file per acquisition, or read the file as a plain TIFF stack: format="tiff" '
    "with the options num_channels and sampling_frequency."
)


@attrs.frozen
class FrameStatement:
    """Statements of a page about its frame.

    Attributes
    ----------
    number : int or None
    time : float or None
        In seconds.
    triggers : tuple of str
        Names of the inputs of other devices that have a value: ``auxTrigger0``, ``I2CData``.
    """

    number: int | None
    time: float | None
    triggers: tuple[str, ...] = ()


def frame_statement(description: bytes | str) -> FrameStatement:
    """Return what the description of a page states of its frame."""
    text = description if isinstance(description, str) else description.decode("utf-8", "replace")
    text = as_lines(text)
    number, time = FRAME_NUMBER.search(text), TIMESTAMP.search(text)
    seconds = possible_number(time[1], -LONGEST_S, LONGEST_S) if time else None
    triggers = tuple(_TRIGGERS.findall(text))
    return FrameStatement(int(number[1]) if number else None, seconds, triggers)


def parse_epoch(description: str) -> datetime | None:
    """Return the local date and time of timestamp 0 from the description of a page, or None."""
    description = as_lines(description)
    match = _EPOCH.search(description)
    parts: Sequence[str] = match[1].replace(",", " ").split() if match else []
    if len(parts) != 6:
        clock = _CLOCK.search(description)
        if clock is None:
            return None
        day_text, month_text, year_text, *rest = clock.groups()
        parts = (year_text, month_text, day_text, *rest)
    try:
        numbers = [float(part) for part in parts]
        year, month, day, hour, minute = (int(number) for number in numbers[:5])
        # Seconds may round to 60, which datetime refuses.
        return datetime(year, month, day, hour, minute) + timedelta(seconds=numbers[5])
    except (ValueError, OverflowError):  # also zeros, where the clock was not read
        return None


def check_count(
    path: Path, num_pages: int, first: int | None, last: int | None, channels: Sequence[int]
) -> None:
    """Check that a file has a number for each of its frames, from those of two pages.

    Parameters
    ----------
    path : Path
        The file.
    num_pages : int
        Number of its pages.
    first, last : int or None
        Frame numbers of its first and last page; None if they are not stated.
    channels : sequence of int
        Numbers of the saved channels.

    Raises
    ------
    SourceError
        If there are more frames than numbers, so that numbers repeat.
    """
    if first is None or last is None or (last - first + 1) * len(channels) >= num_pages:
        return
    listed = ", ".join(map(str, channels))
    raise SourceError(
        f"'{path}': its {num_pages} pages of the saved channels that its header lists ({listed}) "
        f"state the frame numbers {first} to {last}, so that numbers repeat. {_REPEATED}"
    )


def check_interleaved(path: Path, numbers: Sequence[int | None], channels: Sequence[int]) -> None:
    """Check that the first pages of a file are the channels of one frame.

    Parameters
    ----------
    path : Path
        The file.
    numbers : sequence of (int or None)
        Frame numbers of the first pages, as many as there are channels.
    channels : sequence of int
        Numbers of the saved channels.

    Raises
    ------
    SourceError
        If the pages are of several frames, so that they would be assigned to wrong channels.
    """
    if None in numbers or len(set(numbers)) <= 1:
        return
    listed, stated = ", ".join(map(str, channels)), ", ".join(map(str, numbers))
    raise SourceError(
        f"'{path}': its header lists the saved channels {listed}, but its first {len(numbers)} "
        f"pages are of the frames {stated}, not of one: the file has other channels than its "
        "header lists, such as one that was split off. Read it as a plain TIFF stack: "
        'format="tiff" with the options num_channels and sampling_frequency.'
    )


def check_order(
    path: Path,
    pages: npt.NDArray[np.int64],
    values: Sequence[float] | npt.NDArray[np.float64],
    noun: str,
    name: str = "",
) -> None:
    """Check that numbers or times of the pages of one channel increase.

    Parameters
    ----------
    path : Path
        The first file that has the pages.
    pages : numpy.ndarray of int64, shape (samples,)
        Numbers of the pages.
    values : sequence of float, shape (samples,)
        Number or time of each page.
    noun : str
        What the values are, such as ``"frame number"``.
    name : str
        Name of the values in the header, for the message.

    Raises
    ------
    SourceError
        If a value repeats or falls.
    """
    wrong = np.flatnonzero(np.diff(values) <= 0)
    if not len(wrong):
        return
    index = int(wrong[0])
    before, after = float(values[index]), float(values[index + 1])
    verb = "repeats" if before == after else "falls"
    source = f" ({name})" if name else ""
    raise SourceError(
        f"'{path}': the {noun} {verb} from {before:.10g} on page {pages[index]} to {after:.10g} on "
        f"page {pages[index + 1]}{source}, although both are of one channel. {_REPEATED}"
    )


def warn_of_triggers(
    path: Path, pages: Sequence[int], statements: Sequence[FrameStatement]
) -> None:
    """Warn of inputs of other devices that pages of a file state, which are not written.

    Parameters
    ----------
    path : Path
        The file.
    pages : sequence of int
        Numbers of the pages in the file.
    statements : sequence of FrameStatement
        What each of them states.
    """
    found = [(page, each) for page, each in zip(pages, statements, strict=True) if each.triggers]
    if found:
        names = ", ".join(sorted({name for _, each in found for name in each.triggers}))
        warnings.warn(
            f"'{path}': its frames state values of other devices ({names}), on page {found[0][0]} "
            "first, which are not written. To keep them, read them from the descriptions of the "
            "pages, and add them as a table with trials=TABLE (on the command line --trials).",
            UserWarning,
            stacklevel=4,
        )


def warn_of_line_scan(path: Path, stated: str) -> None:
    """Warn of a line scan, which is written as frames.

    Parameters
    ----------
    path : Path
    stated : str
        Property of the header that states it, with its value.
    """
    warnings.warn(
        f"'{path}' states a line scan ({stated}): rows of its frames are then times at one line, "
        "not places. They are written as frames; check them.",
        UserWarning,
        stacklevel=4,
    )


def warn_of_other_rate(path: Path, times: npt.NDArray[np.float64], rate: float) -> None:
    """Warn if the times of frames that follow each other evenly have another rate than the header.

    Parameters
    ----------
    path : Path
        The first file.
    times : numpy.ndarray of float64, shape (samples,)
        Times that the frames state, in seconds.
    rate : float
        Saved frames per second by the settings in the header, in Hz.
    """
    found = other_rate(times, rate)
    if found is not None:
        warnings.warn(
            f"'{path}': the times of its frames (frameTimestamps) give {found:.4g} Hz, "
            f"which is written, but its header states {rate:.4g} Hz (scanFrameRate over "
            "logAverageFactor). Check which of them is right.",
            UserWarning,
            stacklevel=3,
        )


def check_whole_volumes(
    path: Path, pages: npt.NDArray[np.int64], numbers: Sequence[int] | npt.NDArray[np.int64]
) -> None:
    """Check that no frames are missing within the volumes of a fast stack.

    Parameters
    ----------
    path : Path
        The file that has the pages.
    pages : numpy.ndarray of int64, shape (volumes,)
        Pages of one plane.
    numbers : sequence of int, shape (volumes,)
        Their frame numbers, which increase.

    Raises
    ------
    SourceError
        If the distance of two volumes is no multiple of that of the others.
    """
    steps = np.diff(numbers)
    if not len(steps):
        return
    wrong = np.flatnonzero(steps % steps.min())
    if not len(wrong):
        return
    index = int(wrong[0])
    raise SourceError(
        f"'{path}': the frame number of one plane rises by {steps.min()} from volume to volume, "
        f"but from {numbers[index]} on page {pages[index]} to {numbers[index + 1]} on page "
        f"{pages[index + 1]}; frames are missing within a volume, so that planes would be mixed "
        'up. Split the file there, or read it as a plain TIFF stack: format="tiff" with the '
        "options num_channels and sampling_frequency."
    )
