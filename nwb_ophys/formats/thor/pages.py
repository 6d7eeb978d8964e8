"""Find the page of each frame in the files of ThorImage: image files, or one raw file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError, counted
from nwb_ophys.filetypes.tiff.axes import StatedAxes
from nwb_ophys.filetypes.tiff.checks import (
    TiffSource,
    inspect_later_tiff,
    inspect_tiff,
    inspect_tiffs,
)
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import ManyTiffsReader, TiffPageReader
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.formats.thor.xml import NAME, ThorExperiment

Images = dict[tuple[int, int], str]
"""Names of the files of a channel by (time, plane)."""

# Channels that Thorlabs' boards record if several are enabled.
_ALL_CHANNELS = ("ChanA", "ChanB", "ChanC", "ChanD")


# --- images -----------------------------------------------------------------------------------


def open_images(
    folder: Path,
    experiment: ThorExperiment,
    channels: Mapping[str, Images],
    channel: str,
    allow_truncated: bool = False,
) -> tuple[TiffPageReader, Integers]:
    """Return the reader of one channel, and its pages of shape (samples, planes).

    Parameters
    ----------
    folder : pathlib.Path
    experiment : ThorExperiment
    channels : mapping of str to dict
        Names of the files of each channel, by (time, plane).
    channel : str
        The channel to read.
    allow_truncated : bool
        Whether to read only what is complete in all channels.
    """
    images, limit = channels[channel], None
    if allow_truncated:
        channels, limit = complete_images(folder, channels)
        images = channels[channel]
    times, planes = _complete_volumes(folder, images)
    paths = [folder / images[time, plane] for time in times for plane in planes]
    first = inspect_tiff(paths[0], reads_axes=False, allow_truncated=allow_truncated)
    pages_of_one = first.table.num_pages
    if pages_of_one > 1 and len(planes) > 1:
        raise SourceError(
            f"'{paths[0]}' has {pages_of_one} pages, although each plane has its own file, so the "
            "order of the pages is unknown. Save the images with one page per file."
        )
    if pages_of_one > 1:
        reader = TiffPageReader(
            inspect_tiffs(paths, reads_axes=False, allow_truncated=allow_truncated)
        )
    else:
        reader = ManyTiffsReader(paths, [1] * len(paths))
    # The files of a fast sweep, or a file of all frames, may be numbered along time only.
    if len(planes) == 1 and (experiment.is_streaming or pages_of_one > 1):
        number = reader.num_pages if limit is None else min(limit, reader.num_pages)
        _warn_of_more_images(experiment, number, experiment.num_frames, folder)
        return reader, _split_volumes(experiment, number, folder, allow_truncated)
    _check_planes(experiment, len(times), len(planes), folder)
    volume = max(len(planes), experiment.num_planes)
    _check_number(experiment, len(paths), volume, folder, allow_truncated)
    size = experiment.num_planes + experiment.num_flyback
    stated = experiment.num_frames // size * volume
    _warn_of_more_images(experiment, len(paths), stated, folder)
    pages = np.arange(len(paths), dtype=np.int64).reshape(len(times), len(planes))
    return reader, pages[:, : experiment.num_planes]


def complete_images(
    folder: Path, channels: Mapping[str, Images]
) -> tuple[dict[str, Images], int | None]:
    """Return the files before the first time at which a file of any channel is not complete.

    Reads the headers of all files.

    Returns
    -------
    dict of str to dict
        Names of the files of each channel, by (time, plane).
    int or None
        Smallest number of complete pages of a channel, if a truncated file has several pages.
    """
    limits = []
    end: tuple[int, int] | None = None
    for images in channels.values():
        number = 0
        for place in sorted(images):
            if end is not None and place >= end:
                break
            source = inspect_later_tiff(
                folder / images[place],
                reads_axes=False,
                allow_truncated=True,
                is_first=place == min(images),
            )
            if source is None:
                end = place
                break
            number += source.table.num_pages
            if source.table.is_truncated:
                limits.append(number)
                break
    if end is None:
        return dict(channels), min(limits) if limits else None
    kept = {
        name: {place: file for place, file in images.items() if place[0] < end[0]}
        for name, images in channels.items()
    }
    first = min(min(images) for images in channels.values())
    if not all(kept.values()):
        raise nothing_complete(folder / next(iter(channels.values()))[first], "volumes")
    return kept, min(limits) if limits else None


def _complete_volumes(folder: Path, images: Images) -> tuple[list[int], list[int]]:
    """Return the numbers of the times and of the planes, without an incomplete last volume."""
    planes = sorted({plane for _, plane in images})
    times = sorted({time for time, _ in images})
    wanted = [(time, plane) for time in times for plane in planes]
    absent = [place for place in wanted if place not in images]
    if times[0] > 1:  # ThorImage counts from 1
        raise SourceError(
            f"'{folder}': the first file of a channel is '{images[min(images)]}', of time "
            f"{times[0]}, so that the files before it are missing. Copy the folder again."
        )
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
        f"'{experiment.path}' states volumes of {counted(stated, 'plane')}, but "
        f"the images in '{folder}' have {num_planes}, so the rate is unknown. "
        "Correct ZStage (enable, steps) and Streaming (enable, zFastEnable) in a copy of the XML "
        "file."
    )


def _check_number(
    experiment: ThorExperiment,
    found: int,
    planes_per_volume: int,
    where: Path,
    allow_truncated: bool,
) -> None:
    """Warn of a recording that was stopped; refuse a complete one that lacks frames."""
    volume = experiment.num_planes + experiment.num_flyback
    stated = experiment.num_frames // volume * planes_per_volume
    if not stated or found >= stated:
        return
    message = f"'{experiment.path}' states {stated} frames, but '{where}' has {found} of a channel"
    if experiment.text("ExperimentStatus", "value").lower() == "complete":
        reason = f"'{experiment.path}' states {stated} frames, and that all were recorded"
        report_truncated(where, found, stated, allow=allow_truncated, reason=reason)
        return
    warnings.warn(f"{message}: it was stopped.", UserWarning, stacklevel=4)


def _warn_of_more_images(experiment: ThorExperiment, found: int, stated: int, folder: Path) -> None:
    """Warn of more images than stated: a longer recording may have left some in the folder."""
    if 0 < stated < found:
        warnings.warn(
            f"'{experiment.path}' states {counted(stated, 'frame')}, but '{folder}' has {found} of "
            "a channel, which are all read. The last ones may be of an earlier recording in this "
            "folder; move those away.",
            UserWarning,
            stacklevel=4,
        )


def _split_volumes(
    experiment: ThorExperiment,
    number: int,
    path: Path,
    allow_truncated: bool,
    is_reported: bool = False,
) -> Integers:
    """Return the pages of whole volumes without the flyback, of shape (samples, planes)."""
    size = experiment.num_planes + experiment.num_flyback
    num_samples, rest = divmod(number, size)
    if not num_samples:
        raise CorruptSourceError(
            f"'{path}' has {number} frames, but a volume has {experiment.num_planes} planes and "
            f"{experiment.num_flyback} flyback frames; no complete volume was recorded."
        )
    if not is_reported:
        _check_number(experiment, number, size, path, allow_truncated)
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
    path: Path, experiment: ThorExperiment, channel: str, allow_truncated: bool = False
) -> tuple[TiffPageReader, Integers]:
    """Return the reader of a raw file, and the pages of a channel, of shape (samples, planes)."""
    rows, columns = experiment.image_shape
    if rows < 1 or columns < 1:
        sizes = "width and height of the Camera" if experiment.is_of_camera else "pixelX and pixelY"
        raise SourceError(
            f"'{experiment.path}' states no {sizes}, without which the frames of '{path.name}' "
            "have no shape; add them to a copy of the file."
        )
    size = path.stat().st_size
    number, rest = divmod(size, rows * columns * 2)
    names = _raw_channels(experiment, number)
    count, left = divmod(number, len(names))
    evidence = (
        f"its {size} bytes are not a multiple of {len(names)} channels of {rows} x {columns} "
        f"pixels of 16 bits; or it does not belong to {NAME}"
    )
    if not count:
        raise nothing_complete(path, reason=evidence)
    if rest or left:
        report_truncated(path, count, experiment.num_frames, allow=allow_truncated, reason=evidence)
    frames = _split_volumes(experiment, count, path, allow_truncated, bool(rest or left))
    _warn_of_more_frames(experiment, count, path, names)
    reader = TiffPageReader([_raw_source(path, size, rows, columns, number)])
    return reader, frames * len(names) + names.index(channel)


def _warn_of_more_frames(
    experiment: ThorExperiment, count: int, path: Path, names: list[str]
) -> None:
    """Warn of more frames than stated: then the file has other channels or larger frames."""
    stated = experiment.num_frames
    if not 0 < stated < count:
        return
    planes = experiment.count("LSM", "NumberOfPlanes")
    several = f" It also states {planes} planes in each frame (NumberOfPlanes)." * (planes > 1)
    warnings.warn(
        f"'{experiment.path}' states {stated} frames, but '{path}' has {count}, if it has the "
        f"channels {', '.join(names)} and frames of {experiment.image_shape[0]} rows. "
        f"Check whether its frames and channels are divided rightly.{several}",
        UserWarning,
        stacklevel=4,
    )


def _raw_channels(experiment: ThorExperiment, num_pages: int) -> list[str]:
    """Return the channels of a raw file in order: the enabled ones, or all of the board."""
    names = experiment.channel_names
    if not names:
        raise SourceError(f"'{experiment.path}' names no channel (Wavelength); add it there.")
    only_enabled = experiment.text("RawData", "onlyEnabledChannels")
    everything = list(_ALL_CHANNELS)
    if only_enabled == "1" or not set(names) <= set(everything):
        return names
    stated = experiment.num_frames
    if len(names) == 1 and num_pages != stated * len(everything):
        return names  # a single channel is saved alone
    # Boards of two channels save a third one with them.
    is_stopped = experiment.text("ExperimentStatus", "value").lower() == "stopped"
    three = everything[:3]
    if num_pages == stated * 3 > 0 and set(names) <= set(three) and not is_stopped:
        return three
    # Before version 4 it is not stated, and the size of the file decides.
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
