"""Reader of the movie that Suite2p registered: ``data.bin``, consecutive frames of int16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.formats.suite2p.folder import raw_file_names, read_ops

_FILES = {"chan1": "data.bin", "chan2": "data_chan2.bin"}
_PIXEL = np.dtype("<i2")


class Suite2pMovieExtractor(ArrayImagingExtractor):
    """The registered movie of one plane and channel of a ``suite2p`` folder.

    The file is mapped to memory, so that frames are read on request.

    Parameters
    ----------
    folder_path : pathlib.Path
        The folder that holds the planes.
    channel_name : {"chan1", "chan2"}
    plane_name : str
        Such as ``plane0``.

    Attributes
    ----------
    options : dict
        The settings of the plane.

    Raises
    ------
    SourceError
        When the file of the movie is absent.
    CorruptSourceError
        When the file does not have the size that ``ops.npy`` states.
    """

    extractor_name = "Suite2pMovieExtractor"

    def __init__(self, folder_path: Path, channel_name: str, plane_name: str) -> None:
        folder = Path(folder_path) / plane_name
        self.folder_path = Path(folder_path)
        self.channel_name = channel_name
        self.plane_name = plane_name
        self.options = read_ops(folder)
        super().__init__(_map(folder / _FILES[channel_name], self.options), self.options["fs"])

    def get_shifts(self) -> NDArray[Any]:
        """Return the shift of each frame in pixels, (samples, 2): x and y.

        Suite2p's ``xoff`` and ``yoff`` are the opposite: where the frame was found.

        Raises
        ------
        SourceError
            When the plane was not registered.
        CorruptSourceError
            When the number of shifts differs from the number of frames.
        """
        path = self.folder_path / self.plane_name / "ops.npy"
        missing = [key for key in ("xoff", "yoff") if np.ndim(self.options.get(key, 0)) != 1]
        if missing:
            raise SourceError(
                f"'{path}' has no {' and no '.join(missing)}: the movie was not registered. "
                "Write it as a series, with motion_correction=False."
            )
        offsets = [np.asarray(self.options[key]) for key in ("xoff", "yoff")]
        if any(len(offset) != self.get_num_samples() for offset in offsets):
            raise CorruptSourceError(
                f"'{path}' has {len(offsets[0])} shifts in x and {len(offsets[1])} in y for "
                f"{self.get_num_samples()} frames; it may be damaged."
            )
        return -np.column_stack(offsets)

    @property
    def has_block_shifts(self) -> bool:
        """True if blocks of each frame were also shifted separately."""
        return np.ndim(self.options.get("xoff1", 0)) == 2

    def get_original_files(self) -> tuple[list[str], list[int]]:
        """Return the names of the files that Suite2p read, and the first frame of each.

        Folders are left out: they belong to the computer on which Suite2p ran.

        Raises
        ------
        SourceError
            When ``ops.npy`` does not name them.
        """
        files = raw_file_names(self.options)
        counts = np.atleast_1d(np.asarray(self.options.get("frames_per_file", ())))
        if not files or len(counts) != len(files) or counts.sum() != self.get_num_samples():
            raise SourceError(
                f"'{self.folder_path / self.plane_name / 'ops.npy'}' names {len(files)} raw files "
                f"with {counts.sum():g} frames, not {self.get_num_samples()}; give the name of the "
                "series that was registered as the option 'original', or write the movie as a "
                "series, with motion_correction=False."
            )
        return files, [int(start) for start in np.cumsum(counts) - counts]


def _map(path: Path, ops: dict[str, Any]) -> NDArray[Any]:
    if not path.is_file():
        raise SourceError(
            f"'{path}' is absent. Suite2p deletes or moves its movies by its settings; ops.npy "
            f"names '{ops.get('reg_file')}'. Put the file back, or read the ROIs only."
        )
    try:
        shape = tuple(int(ops[key]) for key in ("nframes", "Ly", "Lx"))
    except (TypeError, ValueError) as error:
        raise CorruptSourceError(
            f"'{path.with_name('ops.npy')}' does not state the size of the movie: {error}."
        ) from error
    needed, found = int(np.prod(shape)) * _PIXEL.itemsize, path.stat().st_size
    if found != needed:
        frame = max(shape[1] * shape[2] * _PIXEL.itemsize, 1)
        raise CorruptSourceError(
            f"'{path}' has {found} bytes, which are {found / frame:.2f} frames; ops.npy states "
            f"{shape[0]} frames of {shape[1]} x {shape[2]} pixels, {needed} bytes. The file is cut "
            "off, or belongs to another run; run Suite2p's registration again."
        )
    if not needed:
        return np.zeros(shape, _PIXEL)
    return np.memmap(path, _PIXEL, "r", shape=shape)
