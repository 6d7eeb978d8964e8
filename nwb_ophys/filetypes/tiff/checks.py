"""Open TIFF files after checking that they are whole and that they can be decoded."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.filetypes.tiff.axes import StatedAxes, read_stated_axes
from nwb_ophys.filetypes.tiff.pages import UNCOMPRESSED
from nwb_ophys.filetypes.tiff.table import PageTable, read_page_table
from nwb_ophys.optional import require_package


@frozen(kw_only=True)
class TiffSource:
    """A TIFF file that has passed all checks.

    Attributes
    ----------
    table : PageTable
        Its images: as many as pages, or more where only the first image has a page directory.
    stated : StatedAxes
        What it states about its axes.
    dtype : numpy.dtype
        Type of a pixel in native byte order.
    """

    table: PageTable
    stated: StatedAxes
    dtype: np.dtype


def inspect_tiff(path: str | PathLike[str], *, reads_axes: bool = True) -> TiffSource:
    """Check a TIFF file and find its images, reading its headers only.

    Reads one directory of some hundred bytes per page, and decodes nothing.

    Parameters
    ----------
    path : str or Path
        The file.
    reads_axes : bool
        Whether to read what the file states of its axes. Not where another file says which page
        is which, and the description, of the whole recording, is of megabytes.

    Returns
    -------
    TiffSource
        Where the images are and what the file states about them.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    CorruptSourceError
        If it is not a TIFF or is truncated; the message gives the number of complete pages.
    SourceError
        If pages differ in shape or dtype, or have several samples per pixel (RGB).
    MissingPackageError
        If tifffile or the package for its compression is not installed.
    """
    file_path = Path(path)
    if not file_path.is_file():
        what = "is a folder, not a file" if file_path.is_dir() else "does not exist"
        raise SourceNotFoundError(f"the TIFF file {file_path} {what}; check the path")
    tifffile = require_package("tifffile", "tiff")
    table = read_page_table(file_path)
    _check_samples(table)
    _check_codec(table, tifffile.TIFF, tifffile.COMPRESSION)
    dtype = table.dtype
    if dtype is None:
        with tifffile.TiffFile(file_path) as tiff:
            dtype = tiff.pages.first.dtype
    if dtype is None:
        message = f"{file_path}: its pixels are of no type that numpy has; convert it to 16 bits"
        raise SourceError(message)
    stated = read_stated_axes(table) if reads_axes else StatedAxes()
    return TiffSource(
        table=_expand_images(table, stated), stated=stated, dtype=dtype.newbyteorder("=")
    )


def _check_samples(table: PageTable) -> None:
    """Raise SourceError unless every pixel is one number."""
    if table.samples_per_pixel != 1:
        message = (
            f"{table.path} has {table.samples_per_pixel} samples per pixel (a colour image, such "
            "as RGB); a recording has one. Save each channel as greyscale pages of its own"
        )
        raise SourceError(message)
    if table.depth != 1:
        message = (
            f"{table.path} has pages of {table.depth} planes each (ImageDepth tag); save each "
            "plane as a page of its own"
        )
        raise SourceError(message)


def _check_codec(table: PageTable, constants: object, names: type) -> None:
    """Raise MissingPackageError unless the pixels can be decoded by what is installed."""
    if table.compression == UNCOMPRESSED:
        return
    if table.compression in constants.DECOMPRESSORS:  # type: ignore[attr-defined]
        return
    require_package("imagecodecs", "tiff")
    try:
        name = names(table.compression).name
    except ValueError:
        name = "unknown"
    message = (
        f"{table.path}: its compression {name} (number {table.compression}) is supported by "
        "neither tifffile nor imagecodecs; save it again, uncompressed"
    )
    raise SourceError(message)


def _expand_images(table: PageTable, stated: StatedAxes) -> PageTable:
    """Return a table of all images of a file whose first page directory stands for all of them.

    ImageJ writes stacks of more than 4 GB with the directory of the first image only, the others
    following its pixels without a gap; tifffile does so with ``metadata={"truncate": True}``.
    """
    if table.num_pages >= stated.num_images:
        return table
    images = f"{table.path} states {stated.num_images} images in its {stated.kind} description"
    if table.num_pages > 1 or not table.is_direct or table.dtype is None:
        message = (
            f"{images}, but holds {table.num_pages} pages; it is truncated, or pages were "
            "removed from it"
        )
        raise CorruptSourceError(message)
    page_size = table.rows * table.columns * table.dtype.itemsize
    start = int(table.data_offsets[0])
    complete = (table.file_size - start) // page_size
    if complete < stated.num_images:
        message = (
            f"{images}, which follow each other from byte {start}, but is truncated: at "
            f"{table.file_size} bytes, {complete} of them are complete. Copy the file again"
        )
        raise CorruptSourceError(message)
    offsets = start + page_size * np.arange(stated.num_images, dtype=np.int64)
    return evolve(table, data_offsets=offsets)


def check_agreement(first: Any, other: Any, names: Iterable[str], advice: str) -> None:
    """Check that the headers of two files of one recording state the same.

    Parameters
    ----------
    first, other : object
        Headers with the attribute ``path``.
    names : iterable of str
        Attributes that must be equal.
    advice : str
        Sentence on what to do with the other file.

    Raises
    ------
    SourceError
        With the first attribute that differs, and its values.
    """
    for name in names:
        mine, theirs = getattr(first, name), getattr(other, name)
        if mine != theirs:
            raise SourceError(
                f"'{other.path}' has {name} {theirs}, '{first.path}' has {mine}; the files of one "
                f"recording must agree. {advice}"
            )
