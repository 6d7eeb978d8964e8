"""Reader of the movie that Suite2p registered: ``data.bin``, consecutive frames of int16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.filetypes.mapped import mapped_rows
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.formats.suite2p.folder import num_frames_of_traces, raw_file_names, read_ops
from nwb_ophys.outside import check_file
from nwb_ophys.remote.arrays import StoredRows
from nwb_ophys.remote.paths import as_path

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
    allow_truncated : bool
        Whether to read the complete frames of a truncated file, with a UserWarning. The movie of
        the other channel then has as many frames.
    is_trusted : bool
        Whether to load pickles of more than plain data.

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

    def __init__(
        self,
        folder_path: Path,
        channel_name: str,
        plane_name: str,
        allow_truncated: bool = False,
        is_trusted: bool = False,
    ) -> None:
        folder = as_path(folder_path) / plane_name
        self.folder_path = as_path(folder_path)
        self.channel_name = channel_name
        self.plane_name = plane_name
        ops = read_ops(folder, is_trusted=is_trusted)
        self.options = _with_frames(ops, folder / _FILES[channel_name])
        movie = _map(folder / _FILES[channel_name], self.options, allow_truncated)
        if allow_truncated:
            others = (folder / name for name in _FILES.values() if (folder / name).is_file())
            counts = {other: _count_frames(other, self.options) for other in others}
            shortest = min(counts, key=counts.__getitem__)
            if not counts[shortest]:
                raise nothing_complete(shortest)
            is_stored = isinstance(movie, StoredRows)
            movie = movie.head(counts[shortest]) if is_stored else movie[: counts[shortest]]
        super().__init__(movie, self.options["fs"])

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
        missing = [key for key in ("xoff", "yoff") if not _are_shifts(self.options.get(key))]
        if missing:
            raise SourceError(
                f"'{path}' has no {' and no '.join(missing)}: the movie was not registered. "
                "Write it as a series, with motion_correction=False."
            )
        offsets = [np.asarray(self.options[key]) for key in ("xoff", "yoff")]
        num_frames = int(self.options["nframes"])
        if any(len(offset) != num_frames for offset in offsets):
            raise CorruptSourceError(
                f"'{path}' has {len(offsets[0])} shifts in x and {len(offsets[1])} in y for "
                f"{num_frames} frames; it may be damaged."
            )
        return -np.column_stack(offsets)[: self.get_num_samples()]

    @property
    def is_registered(self) -> bool:
        """False if the settings have no shifts: Suite2p kept the movie as it was recorded."""
        return _are_shifts(self.options.get("xoff")) and _are_shifts(self.options.get("yoff"))

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
        num_frames = int(self.options["nframes"])
        if not files or len(counts) != len(files) or counts.sum() != num_frames:
            raise SourceError(
                f"'{self.folder_path / self.plane_name / 'ops.npy'}' names {len(files)} raw files "
                f"with {counts.sum():g} frames, not {num_frames}; give the name of the "
                "series that was registered as the option 'original', or write the movie as a "
                "series, with motion_correction=False."
            )
        starts = [int(start) for start in np.cumsum(counts) - counts]
        used = max(sum(start < self.get_num_samples() for start in starts), 1)
        return files[:used], starts[:used]


def _are_shifts(values: Any) -> bool:
    """Return whether a setting has shifts; without registration it is absent or empty."""
    return np.ndim(values) == 1 and np.size(values) > 0


def _with_frames(ops: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the settings with the number of frames of a movie.

    ``nframes`` of a former run, or none, gives way to the number of frames of the traces where the
    file has as many, and without ``nframes`` to the size of the file.
    """
    size = path.stat().st_size if path.is_file() else 0
    counted = num_frames_of_traces(path.parent)
    if counted is not None and size == counted * _frame_bytes(ops):
        return {**ops, "nframes": counted}
    if "nframes" in ops:
        return ops
    if size % max(_frame_bytes(ops), 1):
        raise CorruptSourceError(
            f"'{path}' has {size} bytes, which are no whole number of frames of {int(ops['Ly'])} x "
            f"{int(ops['Lx'])} pixels, and ops.npy does not state nframes. Copy the file again, or "
            "run Suite2p's registration again."
        )
    return {**ops, "nframes": size // max(_frame_bytes(ops), 1)}


def _frame_bytes(ops: dict[str, Any]) -> int:
    return int(ops["Ly"]) * int(ops["Lx"]) * _PIXEL.itemsize


def _count_frames(path: Path, ops: dict[str, Any]) -> int:
    """Return the number of complete frames of a file."""
    return path.stat().st_size // max(_frame_bytes(ops), 1)


def _map(path: Path, ops: dict[str, Any], allow_truncated: bool) -> Any:
    check_file(path)
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
    stated = f"ops.npy states {shape[0]} frames of {shape[1]} x {shape[2]} pixels, {needed} bytes"
    if found > needed:
        frames = found / max(_frame_bytes(ops), 1)
        raise CorruptSourceError(
            f"'{path}' has {found} bytes, which are {frames:.2f} frames; {stated}. The file "
            "belongs to another run; run Suite2p's registration again."
        )
    if found < needed:
        evidence = f"it has {found} bytes, and {stated}"
        count = _count_frames(path, ops)
        if not count:
            raise nothing_complete(path, reason=evidence)
        report_truncated(path, count, shape[0], allow=allow_truncated, reason=evidence)
        shape = (count, *shape[1:])
    if not needed:
        return np.zeros(shape, _PIXEL)
    return mapped_rows(path, _PIXEL, shape)
