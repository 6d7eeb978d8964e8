"""OME-TIFF recordings of one file or several, with channels, planes and positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nwb_ophys.optional import require_package
from nwb_ophys.simulation.ome_xml import (
    OmePlan,
    as_images,
    binary_only,
    frame_of,
    ome_xml,
    order_pages,
    uuids,
)

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_ome_tiff"]

_SUFFIXES = (".ome.tif", ".ome.tiff")


def write_ome_tiff(
    path: str | Path,
    channels: Array | Mapping[str, Array] | Sequence[Mapping[str, Array]],
    *,
    sampling_frequency: float | None = 30.0,
    num_files: int = 1,
    dimension_order: str = "XYCZT",
    delta_t: Sequence[float] | Array | None = None,
    delta_t_unit: str = "s",
    exposure: float | None = None,
    pixels: Mapping[str, str] | None = None,
    channel_settings: Mapping[str, Mapping[str, str]] | None = None,
    instrument: str = "",
    session_start_time: datetime | None = None,
    is_binary_only: bool = False,
    compression: str | None = None,
    stem: str = "recording",
) -> list[Path]:
    """Write a recording as OME-TIFF.

    Parameters
    ----------
    path : str or pathlib.Path
        File that ends in .ome.tif or .ome.tiff; or a folder, created if it does not exist.
    channels : numpy.ndarray, mapping or sequence of mappings
        Movie of each channel by its name, (samples, rows, columns) or (samples, rows, columns,
        planes); a sequence has one mapping per image (position). A single array is the channel
        "Green".
    sampling_frequency : float or None
        Samples per second in Hz, written as ``TimeIncrement``; None leaves it out.
    num_files : int
        Number of files; the pages are distributed evenly.
    dimension_order : str
        X, Y, then C, Z and T in the order in which pages vary, fastest first.
    delta_t : array-like, optional
        Time of each sample, or (samples, planes) of each plane, in ``delta_t_unit``.
    delta_t_unit : str
        Unit of the times.
    exposure : float, optional
        Exposure time in seconds.
    pixels : mapping of str to str, optional
        Further attributes of ``Pixels``, such as ``PhysicalSizeX``.
    channel_settings : mapping of str to mapping, optional
        Further attributes of channels by channel name; ``Gain`` and ``Binning`` are written as
        settings of the detector.
    instrument : str
        XML inside ``Instrument``.
    session_start_time : datetime.datetime, optional
        Written as ``AcquisitionDate``.
    is_binary_only : bool
        Whether all files except the first refer to its XML instead of repeating it.
    compression : str, optional
        Compression by the name that tifffile uses.
    stem : str
        Beginning of the file names, when `path` is a folder.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    ValueError
        If options contradict each other.
    MissingPackageError
        If tifffile is not installed.
    """
    tifffile = require_package("tifffile", "ome-tiff")
    images = as_images(channels)
    folder, names = _names(Path(path), stem, num_files)
    attributes = dict(pixels or {})
    if sampling_frequency is not None:
        attributes["TimeIncrement"] = repr(1 / sampling_frequency)
    plan = OmePlan(
        images=images,
        image_names=[f"Position {index}" for index in range(len(images))],
        files=names,
        uuids=uuids(num_files),
        pages=order_pages(images, dimension_order, num_files),
        dimension_order=dimension_order,
        pixels=attributes,
        channels=channel_settings or {},
        delta_t=None if delta_t is None else np.asarray(delta_t),
        delta_t_unit=delta_t_unit,
        exposure=exposure,
        acquired=session_start_time,
        instrument=instrument,
    )
    for number, name in enumerate(names):
        is_short = is_binary_only and number > 0
        text: str | None = binary_only(plan, number) if is_short else ome_xml(plan, number)
        with tifffile.TiffWriter(folder / name) as writer:
            for page in plan.pages:
                if page[4] == number:
                    frame, options = frame_of(images, page), {"metadata": None}
                    described = None if text is None else text.encode()
                    writer.write(frame, description=described, compression=compression, **options)
                    text = None
    return [folder / name for name in names]


def _names(path: Path, stem: str, num_files: int) -> tuple[Path, list[str]]:
    if path.name.lower().endswith(_SUFFIXES):
        if num_files > 1:
            raise ValueError(f"'{path}' is one file; give a folder to write several.")
        return path.parent, [path.name]
    path.mkdir(parents=True, exist_ok=True)
    if num_files == 1:
        return path, [f"{stem}.ome.tif"]
    return path, [f"{stem}_{number}.ome.tif" for number in range(num_files)]


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write an OME-TIFF file; return the source arguments."""
    (path,) = write_ome_tiff(folder / "movie.ome.tif", recording.movie)
    return {"file_path": path}
