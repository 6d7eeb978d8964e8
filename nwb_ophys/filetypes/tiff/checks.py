"""Check that TIFF files are complete and can be decoded, before they are read."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError, counted, first_of
from nwb_ophys.filetypes.files import COPY_AGAIN, require_file
from nwb_ophys.filetypes.tiff.axes import StatedAxes, read_stated_axes
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.tiff.pages import UNCOMPRESSED, Integers
from nwb_ophys.filetypes.tiff.table import read_page_table
from nwb_ophys.filetypes.truncation import (
    NothingCompleteError,
    report_truncated,
    warn_of_later_files,
)
from nwb_ophys.listings import kept
from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import READ_AHEAD, as_path, opened_by_ranges, read_ahead


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


def inspect_tiff(
    path: str | PathLike[str], *, reads_axes: bool = True, allow_truncated: bool = False
) -> TiffSource:
    """Check a TIFF file and find its images, reading only its headers.

    Reads one directory of some hundred bytes per page, and decodes nothing.

    Parameters
    ----------
    path : str or Path
        The file.
    reads_axes : bool
        Whether to read the axes that the file states. False if the caller knows the page of each
        plane, since the description of a whole recording may have megabytes.
    allow_truncated : bool
        Whether to accept a truncated file, with a UserWarning; only its complete pages are read.

    Returns
    -------
    TiffSource
        Positions of the images, and the axes that the file states.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    CorruptSourceError
        If it is not a TIFF or is truncated; the message gives the number of complete pages, and
        names the option unless there is no such page.
    SourceError
        If pages differ in shape or dtype, or have several samples per pixel (RGB).
    MissingPackageError
        If it is compressed, and tifffile or the package for its compression is not installed.
    """
    file_path = as_path(path)
    if allow_truncated:  # with a warning, which is repeated
        return _inspected(file_path, reads_axes, allow_truncated)
    return kept(_inspected, file_path, reads_axes, allow_truncated)


def _inspected(file_path: Path, reads_axes: bool, allow_truncated: bool) -> TiffSource:
    require_file(file_path, "a TIFF file")
    table = read_page_table(file_path, only_frames=reads_axes)
    _check_samples(table)
    _check_codec(table)
    dtype = table.dtype
    if dtype is None:
        tifffile = require_package("tifffile", "tiff")
        with tifffile.TiffFile(opened_by_ranges(file_path)) as tiff:
            dtype = tiff.pages.first.dtype
    if dtype is None:
        raise SourceError(
            f"'{file_path}': numpy has no type for its pixels; convert it to 16 bits."
        )
    stated = read_stated_axes(table) if reads_axes else StatedAxes()
    table, stated = _expand_images(table, stated)
    if table.is_truncated:
        report_truncated(
            file_path,
            table.num_pages,
            max(stated.num_images, table.num_pages + table.num_lost),
            allow=allow_truncated,
            is_exact=not table.lost_directory
            or stated.num_images >= table.num_pages + table.num_lost,
            unit="pages",
            reason=table.loss,
        )
        table, stated = _cut_to_samples(table, stated)
    _warn_of_gaps(table)
    _warn_of_extra_pages(table)
    return TiffSource(table=table, stated=stated, dtype=dtype.newbyteorder("="))


_MOST_NAMED = 10


def _warn_of_gaps(table: PageTable) -> None:
    """Warn of pages whose pixels, or some of them, are not in the file."""
    empty, partly = table.empty_pages, table.pages_with_gaps
    number = len(empty) + len(partly)
    if not number:
        return
    none = [f"the pixels of {_named_pages(empty)}"] if len(empty) else []
    some = [f"some pixels of {_named_pages(partly)}"] if len(partly) else []
    warnings.warn(
        f"'{table.path}' lacks {' and '.join(none + some)} ({number} of {table.num_pages} pages, "
        "counted from 0). They are written as 0. Programs leave out pixels that are 0 to save "
        "space, but a full disk or a crash has the same result; look at these pages.",
        UserWarning,
        stacklevel=1,
    )


def _warn_of_extra_pages(table: PageTable) -> None:
    """Warn of thumbnails, overviews and masks, and of frames that state to be one."""
    if table.num_extra:
        warnings.warn(
            f"'{table.path}' has {counted(table.num_extra, 'page')} of another shape or type than "
            "its frames, marked as thumbnail, overview or mask (NewSubfileType tag); left out.",
            UserWarning,
            stacklevel=1,
        )
    if len(table.extra_frames):
        few = len(table.extra_frames) == 1
        warnings.warn(
            f"'{table.path}': {_named_pages(table.extra_frames)} (counted from 0) "
            f"{'is' if few else 'are'} marked as thumbnail, overview or mask (NewSubfileType tag), "
            f"but {'has' if few else 'have'} the shape of the frames, and {'is' if few else 'are'} "
            "read with them. Remove what is not a frame from the file.",
            UserWarning,
            stacklevel=1,
        )


def _named_pages(pages: Integers) -> str:
    return f"{'page' if len(pages) == 1 else 'pages'} {first_of(pages.tolist(), _MOST_NAMED)}"


def inspect_tiffs(
    paths: Iterable[str | PathLike[str]], *, reads_axes: bool = True, allow_truncated: bool = False
) -> list[TiffSource]:
    """Check the TIFF files of one recording, in order of time, up to a truncated one.

    Parameters
    ----------
    paths : iterable of paths
    reads_axes, allow_truncated
        As for :func:`inspect_tiff`. Files after a truncated one are left out, with a UserWarning.

    Raises
    ------
    SourceError
        As for :func:`inspect_tiff`.
    """
    files = [as_path(path) for path in paths]
    sources: list[TiffSource] = []
    for index, path in enumerate(files):
        if index % READ_AHEAD == 0:
            read_ahead(read_page_table, files[index : index + READ_AHEAD])
        source = inspect_later_tiff(
            path, reads_axes=reads_axes, allow_truncated=allow_truncated, is_first=not index
        )
        sources += [] if source is None else [source]
        if source is None or source.table.is_truncated:
            warn_of_later_files(path, files[index + 1 :])
            break
    return sources


def inspect_later_tiff(
    path: Path, *, reads_axes: bool = True, allow_truncated: bool = False, is_first: bool = False
) -> TiffSource | None:
    """Check a file of a recording of several files; return None if nothing in it is complete.

    Parameters
    ----------
    path : pathlib.Path
    reads_axes, allow_truncated
        As for :func:`inspect_tiff`.
    is_first : bool
        Whether no file is before it, so that there is nothing to convert without it.
    """
    try:
        return inspect_tiff(path, reads_axes=reads_axes, allow_truncated=allow_truncated)
    except NothingCompleteError as error:
        if is_first:
            raise
        reason = error.reason or f"it has {path.stat().st_size} bytes"
        report_truncated(path, 0, allow=allow_truncated, unit="pages", reason=reason)
        return None


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


def _check_codec(table: PageTable) -> None:
    """Raise MissingPackageError or SourceError unless an installed package decodes the pixels."""
    if table.compression == UNCOMPRESSED:
        return
    tifffile = require_package("tifffile", "tiff")
    if table.compression in tifffile.TIFF.DECOMPRESSORS:
        return
    require_package("imagecodecs", "tiff")
    try:
        name = tifffile.COMPRESSION(table.compression).name
    except ValueError:
        name = "unknown"
    raise SourceError(
        f"'{table.path}': neither tifffile nor imagecodecs supports its compression {name} (number "
        f"{table.compression}); save it again without compression."
    )


def _expand_images(table: PageTable, stated: StatedAxes) -> tuple[PageTable, StatedAxes]:
    """Return all images of a file that has a page directory only for the first one.

    ImageJ writes stacks of more than 4 GB with only the directory of the first image; the other
    images follow without gaps. tifffile does so with ``metadata={"truncate": True}``. A page that
    was saved from a stack may state the images of the stack, but holds only its own pixels.
    """
    if table.num_pages >= stated.num_images:
        return table, stated
    source = f"its {stated.kind} description states {stated.num_images} images"
    if table.is_truncated:
        return _before_lost_directories(table, stated), stated
    if table.num_pages > 1:
        lost = stated.num_images - table.num_pages
        return attrs.evolve(table, num_lost=lost, loss=source), stated
    if not table.is_direct or table.dtype is None:
        return table, StatedAxes()
    page_size = table.rows * table.columns * table.dtype.itemsize
    start = int(table.data_offsets[0])
    end = start + page_size * stated.num_images
    complete = min((table.file_size - start) // page_size, stated.num_images)
    ends_with_page = table.file_size <= start + page_size + 1  # files end at even positions
    if ends_with_page or start < table.first_directory < end:
        return table, StatedAxes()
    offsets = start + page_size * np.arange(complete, dtype=np.int64)
    table = attrs.evolve(table, data_offsets=offsets)
    if complete < stated.num_images:
        lost = stated.num_images - complete
        return attrs.evolve(table, num_lost=lost, loss=f"{source}, without gaps"), stated
    return table, stated


def _before_lost_directories(table: PageTable, stated: StatedAxes) -> PageTable:
    """Return the complete images of a truncated file that has lost all directories but the first.

    ImageJ and tifffile write all images without gaps, and then the other directories. The stated
    position of the second directory shows that the images lie before it.
    """
    if table.num_pages > 1 or not table.is_direct or table.dtype is None:
        return table
    page_size = table.rows * table.columns * table.dtype.itemsize
    start, number = int(table.data_offsets[0]), stated.num_images
    if table.lost_directory < start + number * page_size or table.first_directory > start:
        return table
    complete = min((table.file_size - start) // page_size, number)
    offsets = start + page_size * np.arange(complete, dtype=np.int64)
    return attrs.evolve(table, data_offsets=offsets, num_lost=number - complete)


def _cut_to_samples(table: PageTable, stated: StatedAxes) -> tuple[PageTable, StatedAxes]:
    """Return the pages of the complete samples of a truncated file, and their axes.

    Raises
    ------
    CorruptSourceError
        If the file states axes by which no sample is complete.
    """
    if stated.unclear or prod(stated.sizes) <= 1 or table.num_pages >= stated.num_images:
        return table, stated
    if not stated.axes:
        return table, attrs.evolve(stated, num_images=table.num_pages)
    pages_per_sample = prod(stated.sizes[1:])
    num_samples = table.num_pages // pages_per_sample
    if stated.axes[0] != "T" or not num_samples:
        raise CorruptSourceError(
            f"'{table.path}' is truncated: it states the axes {stated.axes} of sizes "
            f"{stated.sizes}, slowest first, but has {table.num_pages} complete pages, so no "
            f"sample has all its channels and planes. To repair it, {COPY_AGAIN}."
        )
    sizes = (num_samples, *stated.sizes[1:])
    kept = attrs.evolve(stated, sizes=sizes, num_images=prod(sizes))
    return table.head(prod(sizes)), kept


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
