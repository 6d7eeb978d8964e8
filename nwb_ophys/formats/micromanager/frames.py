"""What Micro-Manager states of every frame of a channel: when it was taken, and which one it is."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.tiff.checks import TiffSource
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.micromanager.tags import FrameTags

_KEYS = ("ElapsedTime-ms", "FrameIndex", "ChannelIndex", "SliceIndex")
_NUMBER = rb'"%s"\s*:\s*"?(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)'
_PATTERNS = tuple(re.compile(_NUMBER % key.encode()) for key in _KEYS)


@frozen(kw_only=True, eq=False)
class FrameStatements:
    """What is stated of the frames of one channel; NaN where it is not.

    Attributes
    ----------
    first : Mapping
        All that is stated of the first frame; empty where nothing is.
    times : numpy.ndarray of float64, shape (samples, planes)
        Seconds since the start of the acquisition.
    frames, channels, slices : numpy.ndarray of float64, shape (samples, planes)
        The number of each frame along the three axes.
    is_stated : numpy.ndarray of bool, shape (samples, planes)
        Whether anything is stated.
    """

    first: Mapping[str, Any]
    times: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float64]
    channels: npt.NDArray[np.float64]
    slices: npt.NDArray[np.float64]
    is_stated: npt.NDArray[np.bool_]

    @property
    def num_recorded(self) -> int:
        """Number of samples without those at the end that are filled up with blank frames.

        Micro-Manager does so where an acquisition is stopped within a sample, and states nothing of
        these frames.
        """
        is_whole = self.is_stated.all(axis=1)
        return int(np.flatnonzero(is_whole)[-1]) + 1 if is_whole.any() else len(self.is_stated)

    def cut(self, num_samples: int) -> "FrameStatements":
        """Return what is stated of the first samples."""
        names = ("times", "frames", "channels", "slices", "is_stated")
        return evolve(self, **{name: getattr(self, name)[:num_samples] for name in names})

    def check_order(self, path: Path) -> None:
        """Raise CorruptSourceError where frames state to be others than the OME-XML says."""
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
                message = (
                    f"{path}: its OME-XML and the tags of its pages contradict each other: the "
                    f"pages of a channel that the OME-XML puts one after the other state another "
                    f"order by their {name}. The file was changed, or is damaged; read it as a "
                    "plain TIFF stack"
                )
                raise CorruptSourceError(message)


def read_frames(
    reader: TiffPageReader, sources: Sequence[TiffSource], pages: Integers
) -> FrameStatements:
    """Read what is stated of frames.

    Parameters
    ----------
    reader : TiffPageReader
    sources : sequence of TiffSource
        Its files.
    pages : numpy.ndarray of int64, shape (samples, planes)
        Their pages.

    Raises
    ------
    CorruptSourceError
        If what is stated of the first frame is damaged.
    """
    files, local = reader.locate(pages.reshape(-1))
    values = np.full((len(_KEYS), files.size), np.nan)
    is_stated = np.zeros(files.shape, bool)
    first: Mapping[str, Any] = {}
    for file in np.unique(files).tolist():
        tags = FrameTags(sources[file].table.path)
        is_here = files == file
        texts = tags.texts(local[is_here])
        is_stated[is_here] = [text.startswith(b"{") for text in texts]
        values[:, is_here] = [[_number(p, text) for text in texts] for p in _PATTERNS]
        if file == files[0]:
            first = tags.frame(int(local[0]))
    times, frames, channels, slices = values.reshape(len(_KEYS), *pages.shape)
    return FrameStatements(
        first=first,
        times=times / 1000,
        frames=frames,
        channels=channels,
        slices=slices,
        is_stated=is_stated.reshape(pages.shape),
    )


def _number(pattern: re.Pattern[bytes], text: bytes) -> float:
    match = pattern.search(text)
    return float(match[1]) if match else np.nan
