"""Check that TIFF files are complete and can be decoded, before they are read."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import COPY_AGAIN, require_file
from nwb_ophys.filetypes.tiff.axes import StatedAxes, read_stated_axes
from nwb_ophys.filetypes.tiff.pages import UNCOMPRESSED
from nwb_ophys.filetypes.tiff.table import PageTable, read_page_table
from nwb_ophys.optional import require_package


@attrs.frozen(kw_only=True)
class TiffSource:
    """A TIFF file that has passed all checks.

    Attributes
    ----------
    table : PageTable
        The images: one per page, or more if only the first image has a page directory.
    stated : StatedAxes
        The axes that the file states.
    dtype : numpy.dtype
        Type of a pixel in native byte order.
    """

    table: PageTable
    stated: StatedAxes
    dtype: np.dtype


def inspect_tiff(path: str | PathLike[str], *, reads_axes: bool = True) -> TiffSource:
    """Check a TIFF file and find its images, reading only its headers.

    Reads one directory of some hundred bytes per page, and decodes nothing.

    Parameters
    ----------
    path : str or Path
        The file.
    reads_axes : bool
        Whether to read the axes that the file states. False if the caller knows the page of each
        plane, since the description of a whole recording may have megabytes.

    Returns
    -------
    TiffSource
        Positions of the images, and the axes that the file states.

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
    require_file(file_path, "a TIFF file")
    tifffile = require_package("tifffile", "tiff")
    table = read_page_table(file_path)
    _check_samples(table)
    _check_codec(table, tifffile.TIFF, tifffile.COMPRESSION)
    dtype = table.dtype
    if dtype is None:
        with tifffile.TiffFile(file_path) as tiff:
            dtype = tiff.pages.first.dtype
    if dtype is None:
        raise SourceError(
            f"'{file_path}': numpy has no type for its pixels; convert it to 16 bits."
        )
    stated = read_stated_axes(table) if reads_axes else StatedAxes()
    return TiffSource(
        table=_expand_images(table, stated), stated=stated, dtype=dtype.newbyteorder("=")
    )


def _check_samples(table: PageTable) -> None:
    """Raise SourceError unless every pixel is one number."""
    if table.samples_per_pixel != 1:
        raise SourceError(
            f"'{table.path}' has {table.samples_per_pixel} samples per pixel (a colour image, such "
            "as RGB); a recording must have one. Save each channel as separate greyscale pages."
        )
    if table.depth != 1:
        raise SourceError(
            f"'{table.path}' has {table.depth} planes per page (ImageDepth tag); save each plane "
            "as a separate page."
        )


def _check_codec(table: PageTable, constants: object, names: type) -> None:
    """Raise MissingPackageError or SourceError unless an installed package decodes the pixels."""
    if table.compression == UNCOMPRESSED:
        return
    if table.compression in constants.DECOMPRESSORS:  # type: ignore[attr-defined]
        return
    require_package("imagecodecs", "tiff")
    try:
        name = names(table.compression).name
    except ValueError:
        name = "unknown"
    raise SourceError(
        f"'{table.path}': neither tifffile nor imagecodecs supports its compression {name} (number "
        f"{table.compression}); save it again without compression."
    )


def _expand_images(table: PageTable, stated: StatedAxes) -> PageTable:
    """Return a table of all images of a file that has a page directory only for the first one.

    ImageJ writes stacks of more than 4 GB with only the directory of the first image; the other
    images follow without gaps. tifffile does so with ``metadata={"truncate": True}``.
    """
    if table.num_pages >= stated.num_images:
        return table
    images = f"'{table.path}' states {stated.num_images} images in its {stated.kind} description"
    if table.num_pages > 1 or not table.is_direct or table.dtype is None:
        raise CorruptSourceError(
            f"{images}, but has {table.num_pages} pages; it is truncated, or pages were removed "
            f"from it. Try to {COPY_AGAIN}."
        )
    page_size = table.rows * table.columns * table.dtype.itemsize
    start = int(table.data_offsets[0])
    complete = (table.file_size - start) // page_size
    if complete < stated.num_images:
        raise CorruptSourceError(
            f"{images}, without gaps from byte {start}, but is truncated: its {table.file_size} "
            f"bytes hold {complete} complete images. To repair it, {COPY_AGAIN}."
        )
    offsets = start + page_size * np.arange(stated.num_images, dtype=np.int64)
    return attrs.evolve(table, data_offsets=offsets)


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
