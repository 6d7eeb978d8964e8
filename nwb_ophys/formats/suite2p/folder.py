"""What is in a folder of Suite2p's: planes, channels, and the settings of each plane."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.npy import load_npy
from nwb_ophys.paths import PathProbe

ROI_FILES = ("ops.npy", "stat.npy")
"""Without them a plane has no ROIs."""

MOVIE_FILES = ("ops.npy", "data.bin")
"""Without them a plane has no registered movie."""

# What is known of a plane only from its settings: Hz, and the size of the movie.
_NUMBERS = ("fs", "nframes", "Ly", "Lx")

_SECOND_CHANNEL: dict[tuple[str, ...], str] = {
    ROI_FILES: "F_chan2.npy",
    MOVIE_FILES: "data_chan2.bin",
}


def find_suite2p_folder(
    path: Path | PathProbe, files: tuple[str, ...] = ROI_FILES
) -> tuple[Path, str | None]:
    """Return the folder that holds the planes, and a plane if the path is that of one.

    Parameters
    ----------
    path : pathlib.Path or PathProbe
        The ``suite2p`` folder, the folder that holds it, or the folder of a plane.
    files : tuple of str
        What a plane must have.

    Raises
    ------
    SourceError
        When it is none of these.
    """
    probe = PathProbe.of(path)
    resolved = probe.path.resolve()
    if set(files) <= probe.file_names and re.fullmatch(r"plane\d+", resolved.name):
        return resolved.parent, resolved.name
    for folder in (probe, probe.within("suite2p")):
        if plane_names(folder, files):
            return folder.path, None
    raise SourceError(
        f"'{probe.path}' is no Suite2p folder: it has no folder plane0 with "
        f"{' and '.join(files)}. Give the folder 'suite2p' that Suite2p wrote."
    )


def plane_names(folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES) -> list[str]:
    """Return the names of the planes in a ``suite2p`` folder that have some files, in their order.

    ``combined`` is Suite2p's own by-product, not a plane.
    """
    return [
        each.path.name
        for each in PathProbe.of(folder).folders()
        if re.fullmatch(r"plane\d+", each.path.name) and set(files) <= each.file_names
    ]


def channel_names(folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES) -> list[str]:
    """Return ``chan1``, and ``chan2`` where any plane has traces, or a movie, of a second channel.

    ``chan1`` is what Suite2p calls the functional channel, whichever was recorded first.
    """
    probe, second = PathProbe.of(folder), _SECOND_CHANNEL[files]
    planes = [probe.within(plane) for plane in plane_names(probe, files)]
    return ["chan1", "chan2"] if any(second in p.file_names for p in planes) else ["chan1"]


def planes_without_second_channel(
    folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES
) -> list[str]:
    """Return the planes that have no file of a second channel, which others may have."""
    probe, second = PathProbe.of(folder), _SECOND_CHANNEL[files]
    names = plane_names(probe, files)
    return [name for name in names if second not in probe.within(name).file_names]


def planes_left_out(folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES) -> list[str]:
    """Return the folders of planes that lack one of the files, which others have."""
    probe = PathProbe.of(folder)
    folders = [each.path.name for each in probe.folders()]
    read = plane_names(probe, files)
    return [name for name in folders if re.fullmatch(r"plane\d+", name) and name not in read]


def channel_in_words(channel: str, ops: dict[str, Any]) -> str:
    """Return the name of a channel and, where there are two, which one of the recording it is.

    What Suite2p calls the first is the functional one, whichever was recorded first.
    """
    functional = ops.get("functional_chan", 1)
    if ops.get("nchannels", 1) != 2 or functional not in (1, 2):
        return channel
    recorded = functional if channel == "chan1" else 3 - functional
    return f"{channel} (channel {recorded} of the recording)"


def part_of(folder: Path, channel: str, plane: str) -> str:
    """Return the channel and the plane, each where there are several of ROIs or of movies.

    So that the movie and the ROIs of a plane are of one name.
    """
    probe, kinds = PathProbe(folder), (ROI_FILES, MOVIE_FILES)
    planes = {name for files in kinds for name in plane_names(probe, files)}
    channels = {name for files in kinds for name in channel_names(probe, files)}
    return f"{channel if len(channels) > 1 else ''} {plane if len(planes) > 1 else ''}".strip()


def read_ops(folder: Path) -> dict[str, Any]:
    """Return the settings of a plane, from its ``ops.npy``.

    Raises
    ------
    CorruptSourceError
        When the file is damaged, or lacks the size or the rate of the movie.
    """
    path = folder / "ops.npy"
    data = load_npy(path, allow_pickle=True)
    check_ops(path, data)
    return data.item()  # type: ignore[no-any-return]


def check_ops(path: Path, data: NDArray[Any]) -> None:
    """Raise a CorruptSourceError unless the content of ``ops.npy`` is whole."""
    ops = data.item() if data.dtype == object and data.ndim == 0 else None
    if not isinstance(ops, dict):
        raise CorruptSourceError(f"'{path}' holds no settings of Suite2p; it may be damaged.")
    missing = [key for key in _NUMBERS if key not in ops]
    if missing:
        raise CorruptSourceError(f"'{path}' lacks {', '.join(missing)}; it is not complete.")
    for key in _NUMBERS:
        value = np.asarray(ops[key])
        is_number = value.ndim == 0 and value.dtype.kind in "iuf"
        if not is_number or not 0 <= value < np.inf or (key != "nframes" and not value):
            raise CorruptSourceError(
                f"'{path}' states {key} = {ops[key]!r}; it must be a number above 0. Correct it, "
                "or run Suite2p again."
            )


def placed(name: str, image: NDArray[Any], ops: dict[str, Any]) -> NDArray[Any]:
    """Return an image at its place in the whole field, to a part of which Suite2p cuts some.

    Where registration has moved frames beyond the edge, ``yrange`` and ``xrange`` say which rows
    and columns are left. The rest of the field is 0.

    Raises
    ------
    ValueError
        When it is neither of the size of the field nor of that of the part.
    """
    field = (int(ops["Ly"]), int(ops["Lx"]))
    if image.shape == field:
        return image
    if "yrange" not in ops or "xrange" not in ops:
        raise ValueError(
            f"the {name} image has the shape {image.shape} in a field of {field}, and ops.npy "
            "has no yrange and xrange, which say where it lies"
        )
    (top, bottom), (left, right) = ops["yrange"], ops["xrange"]
    if image.shape != (bottom - top, right - left):
        raise ValueError(
            f"the {name} image has the shape {image.shape}; it must be that of the field, {field}, "
            f"or of what is left of it after registration, {(bottom - top, right - left)}"
        )
    whole = np.zeros(field, image.dtype)
    whole[top:bottom, left:right] = image
    return whole
