"""Read line scans of Prairie View: images whose rows are one line of pixels at successive times."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.lines import LineScanExtractor
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.tiff.reader import ManyTiffsReader
from nwb_ophys.formats.bruker.contents import LineScan
from nwb_ophys.formats.bruker.layout import TIMES
from nwb_ophys.formats.bruker.own_names import check_not_listed, check_own_name
from nwb_ophys.formats.bruker.reader import files_and_pages, open_prairie_recording
from nwb_ophys.remote.paths import as_path

# Lines of successive images follow each other if the gap differs from a line by less than this.
_MOST_JITTER = 0.5
_MOST_DIFFERENCE = 0.01


class BrukerLineScanExtractor(LineScanExtractor):
    """Lines of one channel of a line scan, over all images in which the line was scanned.

    Times are in s after the first frame of the recording. The XML file states the start of each
    image and the period of a line; images that follow each other without a gap are joined.

    Parameters
    ----------
    xml_path : path
        The XML file in the folder of the images.
    line_scan_index : int, optional
        The line, from 0; needed if there are several.
    channel_name : str, optional
        The channel; needed if there are several.

    Attributes
    ----------
    line_scan : LineScan
    channel_name : str
    channel : int
        Number of the channel, from 1.

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range.
    SourceError
        If images are missing, or the period of a line is not stated.
    """

    def __init__(
        self,
        xml_path: str | PathLike[str],
        line_scan_index: int | None = None,
        channel_name: str | None = None,
    ) -> None:
        self.file_path = as_path(xml_path)
        self.line_scan = _choose(self.file_path, line_scan_index)
        names = list(self.line_scan.layout.channels.values())
        channel = index_of_name("channel_name", channel_name, names, self.file_path)
        self.channel, self.channel_name = list(self.line_scan.layout.channels.items())[channel]
        files, names, pages = files_and_pages(self.line_scan.layout, self.channel)
        folder = self.file_path.parent
        self._reader = ManyTiffsReader(
            [folder / name for name in files], list(files.values()), check=check_own_name
        )
        first = dict(zip(files, self._reader.first_pages.tolist(), strict=False))
        self._pages = [first[name] + page for name, page in zip(names, pages, strict=True)]
        _check_pixels(self.line_scan, self._reader)
        self._period = _line_period(self.line_scan, self._reader.rows)
        self._kept: tuple[int, npt.NDArray[Any]] | None = None

    def read_lines(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the lines from ``start`` to before ``stop``, of shape (lines, pixels)."""
        rows = self._reader.rows
        parts = [np.empty((0, self._reader.columns), self._reader.dtype)]
        for index in range(start // rows, -(-stop // rows)):
            own = slice(max(start - index * rows, 0), min(stop - index * rows, rows))
            parts.append(self._image(index)[own])
        return np.concatenate(parts)

    def _image(self, index: int) -> npt.NDArray[Any]:
        """Return an image; the last one is kept, since blocks of lines read it in parts."""
        if self._kept is None or self._kept[0] != index:
            page = np.array([self._pages[index]], np.int64)
            self._kept = (index, self._reader.read(page)[0])
        return self._kept[1]

    def get_num_samples(self) -> int:
        """Return the number of lines."""
        return len(self._pages) * self._reader.rows

    def get_num_pixels(self) -> int:
        """Return the number of pixels of a line."""
        return self._reader.columns

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel, in native byte order."""
        return self._reader.dtype

    def get_sampling_frequency(self) -> float:
        """Return the lines per second, in Hz."""
        return round(1 / self._period, 9)

    def get_native_timestamps(self) -> npt.NDArray[np.float64] | None:
        """Return the start of each line in s after the first frame of the recording."""
        lines = np.arange(self._reader.rows) * self._period
        starts = self._starts
        if _are_contiguous(starts, len(lines) * self._period, self._period):
            return starts[0] + np.arange(self.get_num_samples()) * self._period
        return (starts[:, np.newaxis] + lines).reshape(-1)

    @functools.cached_property
    def _starts(self) -> npt.NDArray[np.float64]:
        """Start of each image in seconds."""
        times = self.line_scan.layout.times()
        if times is not None:
            return times
        duration = self._reader.rows * self._period
        if len(self._pages) > 1:
            warnings.warn(
                f"'{self.file_path}' does not state when its {len(self._pages)} line scans began "
                f"({' and '.join(TIMES)} are missing or do not ascend). They are written as if "
                "they followed each other without gaps.",
                UserWarning,
                stacklevel=2,
            )
        return np.arange(len(self._pages), dtype=np.float64) * duration

    @functools.cached_property
    def _images(self) -> dict[str, npt.NDArray[Any]]:
        found: dict[str, npt.NDArray[Any]] = {}
        missing = []
        for name in self._source_names():
            path = self.file_path.parent / name
            if path.is_file():
                check_not_listed(path)
                pixels = ManyTiffsReader([path], [1]).read(np.zeros(1, np.int64))[0]
                found[path.stem.removeprefix(self.file_path.stem).strip("-_") or path.stem] = pixels
            else:
                missing.append(name)
        if missing:
            warnings.warn(
                f"'{self.file_path}' names the image '{missing[0]}' on which the line was drawn, "
                "but it is not in the folder; the line scan is written without it.",
                UserWarning,
                stacklevel=2,
            )
        return found

    def _source_names(self) -> list[str]:
        files = [
            file
            for frame in self.line_scan.layout.frames
            for file in frame.files
            if file.channel == self.channel
        ]
        return list(dict.fromkeys(file.source for file in files if file.source))

    def source_images(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the images on which the line was drawn by name, (rows, columns)."""
        return self._images

    def close(self) -> None:
        """Close the files; reading afterwards raises SourceError."""
        self._reader.close()

    def __del__(self) -> None:
        # There is no reader if __init__ raised.
        if "_reader" in self.__dict__:
            self._reader.close()


def _choose(path: Path, line_scan_index: int | None) -> LineScan:
    found = open_prairie_recording(path).line_scans
    if not found:
        raise SourceError(f"'{path}' has no line scans; open it with BrukerImagingInterface.")
    if line_scan_index is None and len(found) > 1:
        raise SourceArgumentError(
            f"'{path}' has scans of {len(found)} lines; choose one with line_scan_index, 0 to "
            f"{len(found) - 1}."
        )
    check_index("line_scan_index", line_scan_index or 0, len(found))
    return found[line_scan_index or 0]


def _check_pixels(scan: LineScan, reader: ManyTiffsReader) -> None:
    """Warn if the images have another number of pixels than the lines of the scan."""
    stated = scan.recording.number("pixelsPerLine")
    if stated and stated != reader.columns:
        warnings.warn(
            f"'{reader.paths[0]}' has {reader.columns} pixels per line, but "
            f"'{scan.recording.path.name}' states {stated:g}; the image may be another one of the "
            "recording, under a wrong name.",
            UserWarning,
            stacklevel=4,
        )


def _line_period(line_scan: LineScan, num_lines: int) -> float:
    """Return the seconds from one line to the next.

    The duration of the image states it for exactly these lines. A real line scan (Prairie View 5.4)
    has three times as long a ``scanLinePeriod``.
    """
    recording = line_scan.recording
    stated = recording.number("scanLinePeriod") or recording.number("scanlinePeriod")
    whole = recording.number("framePeriod")
    is_of_lines = whole and recording.number("linesPerFrame") == num_lines
    by_frame = whole / num_lines if whole and is_of_lines else None
    found = by_frame or stated
    if not found or found <= 0:
        raise SourceError(
            f"'{recording.path}' states neither the framePeriod of its line scan nor a "
            "scanLinePeriod, so the rate is unknown; correct a copy of the XML file, and give that "
            "copy."
        )
    if stated and abs(stated / found - 1) > _MOST_DIFFERENCE:
        warnings.warn(
            f"'{recording.path}': the line scan has a framePeriod of {found:.6g} s per line, but a "
            f"scanLinePeriod of {stated:.6g} s. The framePeriod is used, which gives "
            f"{1 / found:.6g} lines per second; a rate in the metadata of the series replaces it.",
            UserWarning,
            stacklevel=2,
        )
    return found


def _are_contiguous(starts: npt.NDArray[np.float64], duration: float, period: float) -> bool:
    """Return whether each image begins where the one before ends."""
    gaps = np.diff(starts) - duration
    return bool((np.abs(gaps) < _MOST_JITTER * period).all())
