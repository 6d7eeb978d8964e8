"""Read NDTiff data sets: images in TIFF files, located by their index."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.frames.facts import FrameFacts
from nwb_ophys.filetypes.frames.grid import FrameGrid, frame_grid, rate_and_times
from nwb_ophys.filetypes.frames.values import acquisition_start, elapsed_ms, first_value, parse_json
from nwb_ophys.filetypes.ome.times import select_image
from nwb_ophys.filetypes.tiff.axes import StatedAxes
from nwb_ophys.filetypes.tiff.checks import TiffSource
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.tiff.pages import UNCOMPRESSED
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.formats.ndtiff.index import (
    NDTiffDataset,
    NDTiffImage,
    Position,
    read_ndtiff,
)
from nwb_ophys.outside import check_file
from nwb_ophys.paths import natural_order
from nwb_ophys.remote.paths import as_path

_LONGEST_METADATA = 1 << 24
_SHAPE = ("rows", "columns", "pixel_type")


class NDTiffExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel at one position of an NDTiff data set.

    Samples are in the order of the axis ``time`` and planes in the order of the axis ``z``, in
    whatever order the images were saved. The time of a sample is the ``ElapsedTime-ms`` of its
    earliest plane, in s since the start of the acquisition.

    Parameters
    ----------
    folder_path : path
        Folder of the data set, or a file in it.
    channel_name : str, optional
        The channel to read; needed if there are several.
    position_index : int, optional
        The position to read, from 0; needed if there are several.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    sampling_frequency : float, optional
        Samples per second in Hz; by default from the files.

    Attributes
    ----------
    summary : Mapping
        Metadata of the acquisition.
    frame : Mapping
        Metadata of the first image, without settings that differ in others.
    channel_name, position_name : str
    channel_names : list of str
    num_positions : int
    plane_positions : list of float or None
        Intended height of each plane in µm; None if not stated.

    Raises
    ------
    SourceArgumentError
        If an argument is missing or out of range; also if no rate is stated or given.
    SourceNotFoundError, CorruptSourceError, SourceError
        As for `read_ndtiff`; also if images differ in shape or type.
    """

    extractor_name = "NDTiffExtractor"

    def __init__(
        self,
        folder_path: str | PathLike[str],
        channel_name: str | None = None,
        position_index: int | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        data = read_ndtiff(as_path(folder_path), allow_truncated)
        self.summary = data.summary
        positions = ndtiff_positions(data)
        names = tuple(map(position_text, positions))
        index = select_image(data.index_path, names, position_index, "position_index")
        self.num_positions, self.position_name = len(positions), names[index]
        frames = ndtiff_frames(data, positions[index])
        self.channel_names = list(frames)
        channel = index_of_name("channel_name", channel_name, self.channel_names, data.folder)
        self.channel_name = self.channel_names[channel]
        grid = _grid(data, frames[self.channel_name], self.channel_name, self.position_name)
        grid = grid.of_plane(plane_index)
        images = grid.flat()
        reader, self._pages = _reader(data, images)
        self._pages = self._pages.reshape(grid.shape)
        first = [parse_json(text) for _, text in _metadata(data, images[: len(grid.planes)])]
        self.plane_positions = [_height(frame or {}) for frame in first]
        elapsed = np.full(len(images), np.nan)
        facts = FrameFacts(f"'{data.index_path}'")
        num_unwritten = 0
        for number, text in _metadata(data, images):
            elapsed[number] = elapsed_ms(text) / 1000
            facts.add_text(number, text)
            num_unwritten += bool(text) and not text.strip(b"\0")
        _warn_of_unwritten(data, num_unwritten)
        self.frame = facts.common_frame(first[0] or {})
        rate, self._stated_times = rate_and_times(
            data.index_path,
            self.summary,
            elapsed.reshape(grid.shape),
            sampling_frequency,
            grid.times,
        )
        super().__init__(
            reader,
            sampling_frequency=rate,
            num_samples=len(grid.times),
            num_planes=len(grid.planes),
        )

    @property
    def start(self) -> Any:
        """Start of the acquisition: a datetime, with a zone if one is stated, or None."""
        return acquisition_start(self.summary)


def ndtiff_positions(data: NDTiffDataset) -> list[Position]:
    """Return the positions of a data set, sorted by the values of their axes."""
    found = {image.position for image in data.images}
    return sorted(found, key=lambda position: [natural_order(str(part)) for part in position])


def position_text(position: Position) -> str:
    """Return the name of a position, such as ``Pos0`` or ``Row0 Column1``."""
    names = {"position": "Pos", "row": "Row", "column": "Column"}
    texts = [
        value if isinstance(value, str) else f"{names[axis]}{value}" for axis, value in position
    ]
    return " ".join(texts)


def ndtiff_frames(
    data: NDTiffDataset, position: Position
) -> dict[str, dict[tuple[int, int], NDTiffImage]]:
    """Return the images of each channel at a position by their indices of time and plane.

    Channels are sorted by the value of their axis.
    """
    found: dict[Any, dict[tuple[int, int], NDTiffImage]] = {}
    for image in data.images:
        if image.position == position:
            key = (image.time, int(image.axes.get("z", 0)))
            own = found.setdefault(image.channel, {})
            if key in own:
                raise CorruptSourceError(
                    f"'{data.index_path}': the images with the axes {dict(own[key].axes)} and "
                    f"{dict(image.axes)} are of one time and plane; an axis may be damaged. To "
                    f"repair it, {COPY_AGAIN}."
                )
            own[key] = image
    channels = sorted(found, key=lambda channel: natural_order(str(channel)))
    return {_channel_text(channel, data.summary): found[channel] for channel in channels}


def _channel_text(channel: int | str, summary: Mapping[str, Any]) -> str:
    """Return the name of a channel; one with a number has a name in the summary, or none."""
    names = summary.get("ChNames")
    if isinstance(channel, str):
        return channel
    if isinstance(names, list) and 0 <= channel < len(names) == len(set(map(str, names))):
        return str(names[channel])
    return f"Channel{channel}"


def _grid(
    data: NDTiffDataset, frames: Mapping[tuple[int, int], NDTiffImage], channel: str, position: str
) -> FrameGrid[NDTiffImage]:
    """Return the images of a channel at a position, sorted by time and plane."""
    words = [f"of channel {channel}"] * bool(channel) + [f"at {position}"] * bool(position)
    first_time = min(image.time for image in data.images)
    return frame_grid(data.index_path, "".join(f" {word}" for word in words), frames, first_time)


def _reader(
    data: NDTiffDataset, images: Sequence[NDTiffImage]
) -> tuple[TiffPageReader, npt.NDArray[np.int64]]:
    """Return a reader of the files of some images, and the page of each image."""
    first = images[0]
    for image in images:
        for name in _SHAPE:
            mine, theirs = getattr(first, name), getattr(image, name)
            if mine != theirs:
                raise SourceError(
                    f"'{data.index_path}': the image with the axes {dict(image.axes)} has {name} "
                    f"{theirs}, the one with the axes {dict(first.axes)} has {mine}; the images of "
                    "a movie must be alike. Save them as data sets of their own."
                )
    own: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        own.setdefault(image.file_name, []).append(index)
    sources, pages, count = [], np.empty(len(images), np.int64), 0
    for name, indices in own.items():
        offsets = np.array([images[index].offset for index in indices], np.int64)
        sources.append(_source(data.folder / name, first, offsets))
        pages[indices] = np.arange(count, count + len(indices))
        count += len(indices)
    return TiffPageReader(sources), pages


def _source(path: Path, image: NDTiffImage, offsets: npt.NDArray[np.int64]) -> TiffSource:
    """Return the images of a file at some offsets."""
    check_file(path)
    with path.open("rb") as file:
        order = ">" if file.read(2) == b"MM" else "<"
    nothing = np.zeros(len(offsets), np.int64)
    dtype = np.dtype(f"{order}u{image.pixel_bytes}")
    table = PageTable(
        path=path,
        file_size=path.stat().st_size,
        rows=image.rows,
        columns=image.columns,
        samples_per_pixel=1,
        depth=1,
        dtype=dtype,
        compression=UNCOMPRESSED,
        is_direct=True,
        is_uniform=True,
        data_offsets=offsets,
        description_offsets=nothing,
        description_sizes=nothing,
    )
    return TiffSource(table=table, stated=StatedAxes(), dtype=dtype.newbyteorder("="))


def _metadata(data: NDTiffDataset, images: Sequence[NDTiffImage]) -> Iterator[tuple[int, bytes]]:
    """Yield the index of each image, file by file, and the JSON text of its metadata."""
    for name in dict.fromkeys(image.file_name for image in images):
        with (data.folder / name).open("rb", buffering=0) as file:
            for number, image in enumerate(images):
                if image.file_name == name:
                    file.seek(image.metadata_offset)
                    yield number, file.read(min(image.metadata_size, _LONGEST_METADATA))


def _warn_of_unwritten(data: NDTiffDataset, number: int) -> None:
    """Warn of images whose metadata are zeros: space that was reserved and not filled."""
    if number:
        warnings.warn(
            f"'{data.index_path}' lists {number} images whose metadata in the TIFF files are "
            "zeros. The computer may have stopped before it stored them, so that their pixels are "
            "zeros as well; leave them out if so.",
            UserWarning,
            stacklevel=3,
        )


def _height(frame: Mapping[str, Any]) -> float | None:
    """Return the intended height of an image in µm; None if it is not stated."""
    height = first_value(frame, "ZPosition_um_Intended")
    return float(height) if isinstance(height, int | float) else None
