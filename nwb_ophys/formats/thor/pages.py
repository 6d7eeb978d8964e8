"""Find the page of each frame in the files of ThorImage: image files, or one raw file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.tiff.axes import StatedAxes
from nwb_ophys.filetypes.tiff.checks import TiffSource, inspect_tiff
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import ManyTiffsReader, TiffPageReader
from nwb_ophys.filetypes.tiff.table import PageTable
from nwb_ophys.formats.thor.xml import NAME, ThorExperiment

# Channels that Thorlabs' boards record, enabled or not.
_ALL_CHANNELS = ("ChanA", "ChanB", "ChanC", "ChanD")


# --- images -----------------------------------------------------------------------------------


def open_images(
    folder: Path, experiment: ThorExperiment, images: dict[tuple[int, int], str]
) -> tuple[TiffPageReader, Integers]:
    """Return the reader of one channel, and its pages of shape (samples, planes)."""
    times, planes = _complete_volumes(folder, images)
    paths = [folder / images[time, plane] for time in times for plane in planes]
    pages_of_one = inspect_tiff(paths[0], reads_axes=False).table.num_pages
    if pages_of_one > 1 and len(planes) > 1:
        raise SourceError(
            f"'{paths[0]}' has {pages_of_one} pages, although each plane has its own file, so the "
            "order of the pages is unknown. Save the images with one page per file."
        )
    if pages_of_one > 1:
        reader = TiffPageReader([inspect_tiff(path, reads_axes=False) for path in paths])
    else:
        reader = ManyTiffsReader(paths, [1] * len(paths))
    # The files of a fast sweep, or a file of all frames, may be numbered along time only.
    if len(planes) == 1 and (experiment.is_streaming or pages_of_one > 1):
        return reader, _split_volumes(experiment, reader.num_pages, folder)
    _check_planes(experiment, len(times), len(planes), folder)
    _check_number(experiment, len(paths), max(len(planes), experiment.num_planes), folder)
    pages = np.arange(len(paths), dtype=np.int64).reshape(len(times), len(planes))
    return reader, pages[:, : experiment.num_planes]


def _complete_volumes(
    folder: Path, images: dict[tuple[int, int], str]
) -> tuple[list[int], list[int]]:
    """Return the numbers of the times and of the planes, without an incomplete last volume."""
    planes = sorted({plane for _, plane in images})
    times = sorted({time for time, _ in images})
    wanted = [(time, plane) for time in times for plane in planes]
    absent = [place for place in wanted if place not in images]
    # Planes of the last volume are missing if the recording was stopped.
    last = [place for place in absent if place[0] == times[-1]]
    gaps = times[-1] - times[0] + 1 != len(times) or planes != list(
        range(planes[0], planes[-1] + 1)
    )
    if gaps or len(last) < len(absent):
        raise SourceError(
            f"'{folder}': files are missing between '{images[min(images)]}' and plane {planes[-1]} "
            f"of time {times[-1]}; {len(images)} files are there. Copy the folder again."
        )
    if absent:
        times = times[:-1]
        warnings.warn(
            f"'{folder}': the last of {len(times) + 1} volumes is left out, since {len(absent)} of "
            f"its {len(planes)} planes are missing.",
            UserWarning,
            stacklevel=4,
        )
    return times, planes


def _check_planes(
    experiment: ThorExperiment, num_times: int, num_planes: int, folder: Path
) -> None:
    """Raise unless there are as many planes as stated, since the rate depends on them."""
    stated = experiment.num_planes
    stopped = num_times == 1 and num_planes < stated
    if num_planes in (stated, stated + experiment.num_flyback) or stopped:
        return
    raise SourceError(
        f"'{experiment.path}' states volumes of {stated} plane{'' if stated == 1 else 's'}, but "
        f"the images in '{folder}' have {num_planes}, so the rate is unknown. "
        "Correct ZStage (enable, steps) and Streaming (enable, zFastEnable) in a copy of the XML "
        "file."
    )


def _check_number(
    experiment: ThorExperiment, found: int, planes_per_volume: int, where: Path
) -> None:
    """Warn of a recording that was stopped; raise if a complete recording lacks frames."""
    volume = experiment.num_planes + experiment.num_flyback
    stated = experiment.num_frames // volume * planes_per_volume
    if not stated or found >= stated:
        return
    message = f"'{experiment.path}' states {stated} frames, but '{where}' has {found} of a channel"
    if experiment.text("ExperimentStatus", "value").lower() == "complete":
        raise SourceError(f"{message}, although it is complete. Copy the recording again.")
    warnings.warn(f"{message}: it was stopped.", UserWarning, stacklevel=4)


def _split_volumes(experiment: ThorExperiment, number: int, path: Path) -> Integers:
    """Return the pages of whole volumes without the flyback, of shape (samples, planes)."""
    size = experiment.num_planes + experiment.num_flyback
    num_samples, rest = divmod(number, size)
    if not num_samples:
        raise CorruptSourceError(
            f"'{path}' has {number} frames, but a volume has {experiment.num_planes} planes and "
            f"{experiment.num_flyback} flyback frames; no complete volume was recorded."
        )
    _check_number(experiment, number, size, path)
    if rest:
        warnings.warn(
            f"'{path}': the last {rest} of {number} frames are left out, since a complete volume "
            f"has {size} frames.",
            UserWarning,
            stacklevel=4,
        )
    pages = np.arange(num_samples * size, dtype=np.int64).reshape(num_samples, size)
    return pages[:, : experiment.num_planes]


# --- raw files --------------------------------------------------------------------------------


def open_raw(
    path: Path, experiment: ThorExperiment, channel: str
) -> tuple[TiffPageReader, Integers]:
    """Return the reader of a raw file, and the pages of a channel, of shape (samples, planes)."""
    rows, columns = experiment.count("LSM", "pixelY"), experiment.count("LSM", "pixelX")
    if rows < 1 or columns < 1:
        raise SourceError(f"'{experiment.path}' states no pixelX and pixelY; add them there.")
    size = path.stat().st_size
    number, rest = divmod(size, rows * columns * 2)
    names = _raw_channels(experiment, number)
    if rest or number % len(names):
        raise CorruptSourceError(
            f"'{path}' has {size} bytes, which is not a multiple of {len(names)} channels of "
            f"{rows} x {columns} pixels of 16 bits; it is truncated, or does not belong to {NAME}. "
            "Copy both again."
        )
    frames = _split_volumes(experiment, number // len(names), path)
    reader = TiffPageReader([_raw_source(path, size, rows, columns, number)])
    return reader, frames * len(names) + names.index(channel)


def _raw_channels(experiment: ThorExperiment, num_pages: int) -> list[str]:
    """Return the channels of a raw file in order: the enabled ones, or all of the board."""
    names = experiment.channel_names
    if not names:
        raise SourceError(f"'{experiment.path}' names no channel (Wavelength); add it there.")
    only_enabled = experiment.text("RawData", "onlyEnabledChannels")
    everything = list(_ALL_CHANNELS)
    if only_enabled == "1" or not set(names) <= set(everything):
        return names
    # Before version 4 it is not stated, and the size of the file decides.
    stated = experiment.num_frames
    fits_all = 0 < num_pages <= stated * len(everything) and num_pages % len(everything) == 0
    fits_named = not stated or num_pages <= stated * len(names)
    if only_enabled == "0" or (
        fits_all and (not fits_named or num_pages == stated * len(everything))
    ):
        return everything
    if fits_all and num_pages != stated * len(names) and names != everything:
        warnings.warn(
            f"'{experiment.path}' does not state whether the raw file of the stopped recording "
            f"has all four channels; it is read with the channels {', '.join(names)}. If this is "
            'wrong, add <RawData onlyEnabledChannels="0" /> to a copy of the XML file.',
            UserWarning,
            stacklevel=4,
        )
    return names


def _raw_source(path: Path, size: int, rows: int, columns: int, number: int) -> TiffSource:
    """Return a raw file as a file of uncompressed pages."""
    nothing = np.zeros(number, np.int64)
    table = PageTable(
        path=path,
        file_size=size,
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        depth=1,
        dtype=np.dtype("<u2"),
        compression=1,
        is_direct=True,
        is_uniform=True,
        data_offsets=np.arange(number, dtype=np.int64) * (rows * columns * 2),
        description_offsets=nothing,
        description_sizes=nothing,
    )
    return TiffSource(table=table, stated=StatedAxes(), dtype=np.dtype(np.uint16))
