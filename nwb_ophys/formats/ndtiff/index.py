"""Read the index of an NDTiff data set: the axes of every image, and the bytes of its pixels.

``NDTiff.index`` is a sequence of entries in the order in which the images were saved: the length
and the text of a JSON object of axes, the length and the text of a file name, and eight numbers of
four bytes (offset of the pixels, width, height, pixel type, compression, offset, length and
compression of the metadata). Micro-Manager reserves space for more entries, which it gives back
when it closes the data set. The TIFF files begin with a header of their own: the mark 483729 at
byte 8, the version, the mark 2355492, and the length and the text of the summary, a JSON object.
Source of the layout: https://github.com/micro-manager/NDTiffStorage.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.filetypes.files import COPY_AGAIN, read_small_file
from nwb_ophys.filetypes.frames.values import read_json
from nwb_ophys.filetypes.tiff.folders import first_heading
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.listings import kept
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe

NDTIFF_MARK, SUMMARY_MARK = 483729, 2355492
INDEX_NAME = "NDTiff.index"
FULL_RESOLUTION = "Full resolution"
POSITION_AXES = ("position", "row", "column")
AXES = ("time", "z", "channel", *POSITION_AXES)

_NUMBERS = struct.Struct("<I4iI2i")
_LENGTH = struct.Struct("<I")
_LONGEST_TEXT = 1 << 16
_LONGEST_INDEX = 1 << 28
# Bytes per pixel by pixel type: 8, 16, 10, 12, 14 and 11 bits. Type 2 is RGB.
_PIXEL_BYTES = {0: 1, 1: 2, 3: 2, 4: 2, 5: 2, 6: 2}
_RGB = 2

AxisValue = int | str
Position = tuple[tuple[str, AxisValue], ...]
"""Values of the axes of a position, such as ``(("row", 0), ("column", 1))``."""


@attrs.frozen(kw_only=True)
class NDTiffImage:
    """One image of a data set, as the index states it.

    Attributes
    ----------
    axes : mapping of str to int or str
    file_name : str
    offset, rows, columns, pixel_type : int
        Position of the pixels in bytes, shape in pixels, and number of the pixel type.
    metadata_offset, metadata_size : int
        Bytes of the metadata, a JSON object.
    """

    axes: Mapping[str, AxisValue]
    file_name: str
    offset: int
    rows: int
    columns: int
    pixel_type: int
    metadata_offset: int
    metadata_size: int

    @property
    def pixel_bytes(self) -> int:
        """Number of bytes per pixel."""
        return _PIXEL_BYTES[self.pixel_type]

    @property
    def end(self) -> int:
        """Position after the last byte of the pixels and the metadata."""
        return max(self.offset + self.size, self.metadata_offset + self.metadata_size)

    @property
    def size(self) -> int:
        """Number of bytes of the pixels."""
        return self.rows * self.columns * self.pixel_bytes

    @property
    def channel(self) -> AxisValue:
        """Value of the axis of channels; an empty text without that axis."""
        return self.axes.get("channel", "")

    @property
    def time(self) -> int:
        """Index on the axis of time; 0 without that axis."""
        return int(self.axes.get("time", 0))

    @property
    def position(self) -> Position:
        """Values of the axes of positions."""
        return tuple((axis, self.axes[axis]) for axis in POSITION_AXES if axis in self.axes)


@attrs.frozen(kw_only=True, eq=False)
class NDTiffDataset:
    """Images and summary of a data set.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the index.
    images : tuple of NDTiffImage
        In the order in which they were saved; of an image that was saved twice, the last one.
    summary : mapping of str to object
        Metadata of the acquisition.
    num_repeated : int
        Number of images that were saved again later.
    file_names : tuple of str
        Names of all TIFF files that the index names, truncated or not, by their first image.
    """

    folder: Path
    images: tuple[NDTiffImage, ...]
    summary: Mapping[str, Any]
    num_repeated: int = 0
    file_names: tuple[str, ...] = ()

    @property
    def index_path(self) -> Path:
        """Path of the index."""
        return self.folder / INDEX_NAME


def ndtiff_folder(path: Path) -> Path | None:
    """Return the folder with the index that a path belongs to, or None.

    Parameters
    ----------
    path : pathlib.Path
        A folder with an index, a folder of a pyramid with the folder ``Full resolution``, or a
        file in a folder with an index.
    """
    folders = (path, path / FULL_RESOLUTION) if path.is_dir() else (path.parent,)
    return next((folder for folder in folders if (folder / INDEX_NAME).is_file()), None)


def read_ndtiff(path: Path, allow_truncated: bool = False) -> NDTiffDataset:
    """Read and check the index of a data set, and its summary.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the data set, or a file in it.
    allow_truncated : bool
        Whether to leave out all images from the first time on of which an image is not complete,
        with a UserWarning for each truncated file.

    Raises
    ------
    SourceNotFoundError
        If the index, or a file that it names, is missing.
    CorruptSourceError
        If the index or a file is damaged or truncated.
    SourceError
        If the images have colours, compression or axes that are not read.
    """
    folder = ndtiff_folder(path)
    if folder is None:
        marked = first_heading(PathProbe(path), lambda each: each.extra_number == NDTIFF_MARK)
        where = path if marked is None or path.is_file() else f"{path}' with '{marked[0].name}"
        raise SourceNotFoundError(
            f"'{where}' has no {INDEX_NAME}, which states the channel, the plane and the time of "
            f"every image of an NDTiff data set. Copy the whole folder, with {INDEX_NAME}."
        )
    index = folder / INDEX_NAME
    entries = kept(_read_index, index)
    if not entries.is_closed:
        _warn_of_unclosed(index, entries.num_entries)
    if entries.is_cut:
        reason = f"it ends within entry {entries.num_entries}"
        report_truncated(
            index, entries.num_entries, allow=allow_truncated, unit="images", reason=reason
        )
    names = tuple(dict.fromkeys(image.file_name for image in entries.images))
    images = _complete_images(folder, entries.images, allow_truncated)
    return NDTiffDataset(
        folder=folder,
        images=images,
        summary=read_ndtiff_summary(folder / images[0].file_name) or {},
        num_repeated=entries.num_entries - len(entries.images),
        file_names=names,
    )


def read_ndtiff_summary(path: Path) -> dict[str, Any] | None:
    """Return the metadata of the acquisition from the header of a TIFF file; None without them."""
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(28)
            order = {b"II": "<", b"MM": ">"}.get(head[:2])
            if order is None or len(head) < 28:
                return None
            mark, _, *rest = struct.unpack(order + "5I", head[8:])
            # Version 3 has a minor version before the second mark.
            start = rest.index(SUMMARY_MARK) + 1 if SUMMARY_MARK in rest[:2] else 0
            if mark != NDTIFF_MARK or not start:
                return None
            file.seek(16 + 4 * start + 4)
            return read_json(file, rest[start])
    except (OSError, struct.error):
        return None


@attrs.frozen(kw_only=True)
class _Index:
    """Content of an index.

    Attributes
    ----------
    images : tuple of NDTiffImage
        In the order in which they were saved; of an image that was saved twice, the last one.
    num_entries : int
        Number of entries, also of images that were saved again later.
    is_closed : bool
        False if space for more entries follows.
    is_cut : bool
        Whether the index ends within an entry.
    """

    images: tuple[NDTiffImage, ...]
    num_entries: int
    is_closed: bool
    is_cut: bool


def _read_index(index: Path) -> _Index:
    """Read and check an index, which each channel and position of a recording needs."""
    check_file(index)
    data = read_small_file(index, "an index of NDTiff", _LONGEST_INDEX)
    end = len(data.rstrip(b"\0"))
    found: dict[tuple[tuple[str, AxisValue], ...], NDTiffImage] = {}
    position, number, is_cut = 0, 0, False
    while position < len(data) and not (number and position >= end):
        try:
            image, position = _entry(index, data, position)
        except struct.error as error:
            if not number:
                raise nothing_complete(index, "images") from error
            is_cut = True
            break
        except ValueError as error:
            raise CorruptSourceError(
                f"'{index}' is truncated or damaged: entry {number}, after {number} complete "
                f"entries, cannot be read ({str(error).rstrip('.')}). To repair it, {COPY_AGAIN}."
            ) from error
        found[tuple(sorted(image.axes.items()))] = image
        number += 1
    if not found:
        raise CorruptSourceError(f"'{index}' is empty; {COPY_AGAIN}.")
    images = tuple(found.values())
    _check_axes(index, images)
    is_closed = is_cut or position == len(data)
    return _Index(images=images, num_entries=number, is_closed=is_closed, is_cut=is_cut)


def _entry(index: Path, data: bytes, position: int) -> tuple[NDTiffImage, int]:
    """Return the image of the entry at a position of the index, and the position after it."""
    axes, position = _text(data, position)
    name, position = _text(data, position)
    numbers = _NUMBERS.unpack_from(data, position)
    image = _image(parse_source_json(axes), name, numbers)
    _check_pixels(index, image, numbers[4])
    return image, position + _NUMBERS.size


def _warn_of_unclosed(index: Path, number: int) -> None:
    """Warn of an index with space for more entries: its writer was ended before it closed it."""
    warnings.warn(
        f"'{index}' was not closed, so the recording may have been aborted; the {number} images "
        "that it lists are read.",
        UserWarning,
        stacklevel=1,
    )


def _text(data: bytes, position: int) -> tuple[str, int]:
    """Return the text at a position of the index, and the position after it.

    Raises
    ------
    struct.error
        If the data end before the text.
    """
    (length,) = _LENGTH.unpack_from(data, position)
    start = position + _LENGTH.size
    if length > _LONGEST_TEXT:
        raise ValueError(f"a text of {length} bytes does not fit into the file.")
    if length > len(data) - start:
        raise struct.error(f"a text of {length} bytes does not fit into the file.")
    return data[start : start + length].decode("utf-8"), start + length


def _image(axes: Any, name: str, numbers: tuple[int, ...]) -> NDTiffImage:
    """Return the image of an entry; raise ValueError if no image can be meant."""
    offset, columns, rows, pixel_type, _, place, size, packing = numbers
    is_known = isinstance(axes, dict) and all(type(value) in (int, str) for value in axes.values())
    if not is_known or Path(name).name != name or "\\" in name or min(rows, columns) < 1:
        raise ValueError(
            f"it states the axes {axes}, the file {name!r}, {rows} x {columns} pixels."
        )
    return NDTiffImage(
        axes=axes,
        file_name=name,
        offset=offset,
        rows=rows,
        columns=columns,
        pixel_type=pixel_type,
        metadata_offset=place,
        metadata_size=0 if packing else max(size, 0),
    )


def _check_pixels(index: Path, image: NDTiffImage, compression: int) -> None:
    """Raise SourceError unless the pixels of an image are uncompressed numbers."""
    where = f"'{index}': the image with the axes {dict(image.axes)}"
    if image.pixel_type == _RGB:
        raise SourceError(
            f"{where} is a colour image (RGB); a recording must have one number per pixel. Save "
            "each colour as a channel of its own."
        )
    if image.pixel_type not in _PIXEL_BYTES or compression:
        raise SourceError(
            f"{where} has the pixel type {image.pixel_type} and the compression {compression}; "
            "only uncompressed pixels of 8 to 16 bits are known. Save the data set again as TIFF "
            "files."
        )


def _check_axes(index: Path, images: tuple[NDTiffImage, ...]) -> None:
    """Raise SourceError if images differ in an axis that has no place in a movie."""
    values: dict[str, set[AxisValue]] = {}
    for image in images:
        for axis, value in image.axes.items():
            values.setdefault(axis, set()).add(value)
    for axis, own in values.items():
        if axis not in AXES and len(own) > 1:
            shown = ", ".join(sorted(map(str, own))[:5])
            raise SourceError(
                f"'{index}' has the axis '{axis}' with {len(own)} values ({shown}), which is not "
                f"known. A data set may have the axes {', '.join(AXES)}; save each value of "
                f"'{axis}' as a data set of its own."
            )
        if axis in ("time", "z") and any(isinstance(value, str) for value in own):
            raise SourceError(
                f"'{index}' numbers the axis '{axis}' with texts ({sorted(map(str, own))[0]}, …), "
                "which have no order; a movie needs integers."
            )


def _complete_images(
    folder: Path, images: tuple[NDTiffImage, ...], allow_truncated: bool
) -> tuple[NDTiffImage, ...]:
    """Return the images of the times of which all images are complete in their files.

    Raises if a file is missing; also if it ends before the pixels or metadata of an image, unless
    this is allowed.
    """
    names = dict.fromkeys(image.file_name for image in images)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise SourceNotFoundError(
            f"'{folder / INDEX_NAME}' names {len(names)} files, of which {len(missing)} are "
            f"missing: {', '.join(missing[:5])}. Copy the whole folder."
        )
    sizes = {name: (folder / name).stat().st_size for name in names}
    cut = [image for image in images if image.end > sizes[image.file_name]]
    if not cut:
        return images
    end = min(image.time for image in cut)
    complete = tuple(image for image in images if image.time < end)
    for name in dict.fromkeys(image.file_name for image in cut):
        own = [image for image in images if image.file_name == name]
        reason = f"{INDEX_NAME} lists images beyond its end, byte {sizes[name]}"
        if not complete:
            raise nothing_complete(folder / name, "samples", reason)
        num_complete = len(own) - sum(image.file_name == name for image in cut)
        report_truncated(
            folder / name,
            num_complete,
            len(own),
            allow=allow_truncated,
            unit="images",
            reason=reason,
        )
    return complete
