"""Plain multi-page TIFF stacks and ImageJ hyperstacks, one page per frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_tiff"]


def write_tiff(
    path: str | Path,
    movie: Array,
    *,
    compression: str | None = None,
    bigtiff: bool = False,
    imagej: bool = False,
    photometric: str = "minisblack",
    sampling_frequency: float | None = None,
) -> Path:
    """Write a movie as a TIFF stack, one page per frame.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; an existing one is overwritten.
    movie : numpy.ndarray
        (samples, rows, columns), or (samples, rows, columns, planes). Pages are written sample by
        sample, plane by plane.
    compression : str, optional
        Compression by the name that tifffile uses, such as "zlib" or "lzw"; none by default.
    bigtiff : bool
        Whether to write 64-bit offsets (BigTIFF), as acquisition programs do beyond 4 GB.
    imagej : bool
        Whether to write an ImageJ hyperstack, whose description states frames and slices.
        ImageJ supports only uint8, uint16 and float32.
    photometric : {"minisblack", "miniswhite"}
        Whether the smallest value is black or white. The values themselves do not change.
    sampling_frequency : float, optional
        Frames (volumes) per second in Hz, stated in the description of an ImageJ hyperstack. A
        plain TIFF file has no place for it.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the movie has another number of axes, or if options contradict each other.
    MissingPackageError
        If tifffile is not installed.
    """
    tifffile = require_package("tifffile", "tiff")
    path, movie = Path(path), np.asarray(movie)
    if movie.ndim not in (3, 4):
        raise ValueError(
            f"movie has {movie.ndim} axes, but a stack has 3 (samples, rows, columns) "
            "or 4 (samples, rows, columns, planes)."
        )
    volumes = np.moveaxis(movie.reshape(*movie.shape[:3], -1), 3, 1)
    if imagej:
        if bigtiff or compression is not None:
            raise ValueError("ImageJ reads neither BigTIFF nor compression; leave them out.")
        metadata: dict[str, str | float] = {"axes": "TZYX"}
        if sampling_frequency is not None:
            metadata |= {"finterval": 1 / sampling_frequency, "fps": sampling_frequency}
        tifffile.imwrite(path, volumes, imagej=True, photometric=photometric, metadata=metadata)
        return path
    if sampling_frequency is not None:
        raise ValueError("sampling_frequency has no place in a plain TIFF file; use imagej=True.")
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        for frame in volumes.reshape(-1, *movie.shape[1:3]):
            # metadata=None: other programs do not write tifffile's description of the shape.
            writer.write(frame, photometric=photometric, compression=compression, metadata=None)
    return path


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a plain TIFF file; return the source arguments."""
    path = write_tiff(folder / "movie.tif", recording.movie)
    return {"file_path": path, "sampling_frequency": 30.0}
