"""Positions of the pages of one TIFF file."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np

from nwb_ophys.filetypes.tiff.pages import Integers

NO_PIXELS = -(1 << 62)
"""Position of the pixels of a page for which the file stores none; all of them are 0."""

_NO_PAGES = np.zeros(0, np.int64)


@attrs.frozen(kw_only=True, eq=False)
class PageTable:
    """The pages of one TIFF file: their common shape and the positions of their pixels.

    Attributes
    ----------
    path : Path
        The file.
    file_size : int
        Size of the file in bytes when it was read.
    rows, columns : int
        Shape of every page in pixels.
    samples_per_pixel, depth : int
        1 and 1 for images of one number per pixel.
    dtype : numpy.dtype or None
        Type of a pixel in the byte order of the file; None if numpy has no such type.
    compression : int
        Value of the Compression tag, 1 for none.
    is_direct : bool
        Whether the pixels of each page are uncompressed and contiguous.
    is_uniform : bool
        Whether all pages are encoded alike, so that a block can be decoded in one call.
    data_offsets : numpy.ndarray of int64, shape (pages,)
        File position of the first pixel of each page, in bytes; negative for `empty_pages`.
    description_offsets, description_sizes : numpy.ndarray of int64, shape (pages,)
        File position and size in bytes of the ImageDescription; size 0 if there is none.
    first_directory : int
        File position of the directory of the first page.
    lost_directory : int
        Stated position of the directory at which the chain of a truncated file ends; 0 if none.
    num_lost : int
        Smallest number of pages that the file lacks; these and all later pages are left out.
    loss : str
        Evidence that the file is truncated; empty if it is complete.
    empty_pages, pages_with_gaps : numpy.ndarray of int64
        Pages for which the file stores no pixels, and those of which strips or tiles are absent.
    num_extra : int
        Number of thumbnails, overviews and masks that are left out.
    directories : numpy.ndarray of int64
        Number of each page among all pages of the file; empty if none is left out.
    extra_frames : numpy.ndarray of int64
        Pages that state to be a thumbnail, an overview or a mask, but have the shape of the others.
    orientation : int
        Value of the Orientation tag of the first page; 1 for rows from the top and columns from the
        left.
    heading : bytes
        Beginning of the first ImageDescription.
    version : int
        Version of an object in a store from which the table was read; 0 for a file on a disk.
    """

    path: Path
    file_size: int
    rows: int
    columns: int
    samples_per_pixel: int
    depth: int
    dtype: np.dtype | None
    compression: int
    is_direct: bool
    is_uniform: bool
    data_offsets: Integers
    description_offsets: Integers
    description_sizes: Integers
    first_directory: int = 0
    lost_directory: int = 0
    num_lost: int = 0
    loss: str = ""
    empty_pages: Integers = _NO_PAGES
    pages_with_gaps: Integers = _NO_PAGES
    num_extra: int = 0
    directories: Integers = _NO_PAGES
    extra_frames: Integers = _NO_PAGES
    orientation: int = 1
    heading: bytes = attrs.field(default=b"", repr=False)
    version: int = 0

    @property
    def is_truncated(self) -> bool:
        """Return whether pages at the end are missing."""
        return bool(self.loss)

    @property
    def num_pages(self) -> int:
        """Number of pages."""
        return len(self.data_offsets)

    def in_file(self, pages: Integers) -> Integers:
        """Return the numbers of some pages among all pages of the file."""
        return self.directories[pages] if self.num_extra else pages

    def head(self, num_pages: int) -> PageTable:
        """Return the table of the first pages."""
        names = ("data_offsets", "description_offsets", "description_sizes")
        head = {name: getattr(self, name)[:num_pages] for name in names}
        for name in ("empty_pages", "pages_with_gaps", "extra_frames"):
            pages = getattr(self, name)
            head[name] = pages[pages < num_pages]
        return attrs.evolve(self, **head)

    def read_descriptions(self, pages: Integers) -> list[bytes]:
        """Return the ImageDescription of some pages, without reading the rest of them."""
        texts = []
        with self.path.open("rb", buffering=0) as file:
            for page in pages:
                file.seek(int(self.description_offsets[page]))
                texts.append(file.read(int(self.description_sizes[page])))
        return texts

    def read_description(self, page: int) -> str:
        """Return the ImageDescription of one page as text; negative pages count from the end."""
        (text,) = self.read_descriptions(np.array([page % self.num_pages], np.int64))
        return text.rstrip(b"\x00").decode("utf-8", errors="replace")
