"""Metadata of every frame of a channel: its time, and its indices along the axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.frames.facts import FrameFacts
from nwb_ophys.filetypes.tiff.checks import TiffSource
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.micromanager.tags import FrameTags

_KEYS = ("ElapsedTime-ms", "FrameIndex", "ChannelIndex", "SliceIndex")
_NUMBER = rb'"%s"\s*:\s*"?(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)'
_PATTERNS = tuple(re.compile(_NUMBER % key.encode()) for key in _KEYS)


@attrs.frozen(kw_only=True, eq=False)
class FrameRecords:
    """Metadata of the frames of one channel; NaN where not stated.

    Attributes
    ----------
    first : Mapping
        Metadata of the first frame without settings that differ in others; empty if it has none.
    times : numpy.ndarray of float64, shape (samples, planes)
        Seconds since the start of the acquisition.
    frames, channels, slices : numpy.ndarray of float64, shape (samples, planes)
        Index of each frame along the three axes.
    is_stated : numpy.ndarray of bool, shape (samples, planes)
        Whether a frame has any metadata.
    """

    first: Mapping[str, Any]
    times: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float64]
    channels: npt.NDArray[np.float64]
    slices: npt.NDArray[np.float64]
    is_stated: npt.NDArray[np.bool_]

    @property
    def num_recorded(self) -> int:
        """Number of samples, without blank ones at the end.

        When an acquisition is stopped within a sample, Micro-Manager fills the rest with blank
        frames without metadata.
        """
        is_whole = self.is_stated.all(axis=1)
        return int(np.flatnonzero(is_whole)[-1]) + 1 if is_whole.any() else len(self.is_stated)

    def cut(self, num_samples: int) -> FrameRecords:
        """Return the records of the first samples."""
        names = ("times", "frames", "channels", "slices", "is_stated")
        return attrs.evolve(self, **{name: getattr(self, name)[:num_samples] for name in names})

    def check_order(self, path: Path) -> None:
        """Raise CorruptSourceError if the indices of the frames contradict the OME-XML."""
        wrong = {
            "ChannelIndex": (self.channels != self.channels.flat[0]).any(),
            "SliceIndex": bool((self.slices != self.slices[0]).any())
            or len(set(self.slices[0].tolist())) < self.slices.shape[1],
            "FrameIndex": (self.frames != self.frames[:, :1]).any()
            or (np.diff(self.frames[:, 0]) <= 0).any(),
        }
        tables = (self.channels, self.slices, self.frames)
        for (name, is_wrong), table in zip(wrong.items(), tables, strict=True):
            if is_wrong and not np.isnan(table).any():
                raise CorruptSourceError(
                    f"'{path}': its OME-XML and the tags of its pages contradict each other: the "
                    f"{name} of the pages of a channel states another order than the OME-XML. The "
                    "file was modified or is damaged; read it as a plain TIFF stack."
                )


def read_frames(
    reader: TiffPageReader, sources: Sequence[TiffSource], pages: Integers
) -> FrameRecords:
    """Read the metadata of frames.

    Parameters
    ----------
    reader : TiffPageReader
    sources : sequence of TiffSource
        The files of the reader.
    pages : numpy.ndarray of int64, shape (samples, planes)
        Pages of the frames.

    Raises
    ------
    CorruptSourceError
        If the metadata of the first frame are damaged.
    """
    files, local = reader.locate(pages.reshape(-1))
    values = np.full((len(_KEYS), files.size), np.nan)
    is_stated = np.zeros(files.shape, bool)
    first: Mapping[str, Any] = {}
    facts = FrameFacts(f"'{sources[0].table.path}'")
    for file in np.unique(files).tolist():
        table = sources[file].table
        tags = FrameTags(table.path, table.num_pages)
        is_here = files == file
        texts = tags.texts(local[is_here])
        is_stated[is_here] = [text.startswith(b"{") for text in texts]
        for number, text in zip(np.flatnonzero(is_here).tolist(), texts, strict=True):
            facts.add_text(number, text)
        values[:, is_here] = [[_number(p, text) for text in texts] for p in _PATTERNS]
        if file == files[0]:
            first = tags.frame(int(local[0]))
    times, frames, channels, slices = values.reshape(len(_KEYS), *pages.shape)
    return FrameRecords(
        first=facts.common_frame(first),
        times=times / 1000,
        frames=frames,
        channels=channels,
        slices=slices,
        is_stated=is_stated.reshape(pages.shape),
    )


def _number(pattern: re.Pattern[bytes], text: bytes) -> float:
    match = pattern.search(text)
    return float(match[1]) if match else np.nan
