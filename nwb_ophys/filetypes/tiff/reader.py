"""Read blocks of pages from one or several TIFF files, from several threads at once."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import COPY_AGAIN, check_not_shortened, closed_file
from nwb_ophys.filetypes.tiff.checks import TiffSource, inspect_later_tiff
from nwb_ophys.filetypes.tiff.embedded import check_embedded_sizes
from nwb_ophys.filetypes.tiff.lzw import LZW, lzw_decoder
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.truncation import nothing_complete
from nwb_ophys.memory import release_map
from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import RemotePath, opened_by_ranges
from nwb_ophys.remote.reading import LARGE_AT_ONCE, fetched_together, read_range, run_all

# A recording of thousands of files must not use up the file handles of the process (often 1024).
MAXIMAL_OPEN_FILES = 64
# The index of a file, and the frames of a block that are read from it.
_Part = tuple[int, slice]
# Page tables of files take some hundred bytes each; recordings have up to 100,000 files.
_MAX_CACHED_TABLES = 1024


def check_alike(first: TiffSource, other: TiffSource) -> None:
    """Raise SourceError unless the pages of two files are of one shape and dtype."""
    shape, own = ((source.table.rows, source.table.columns) for source in (first, other))
    if own != shape or other.dtype != first.dtype:
        message = (
            f"{other.table.path} has pages of shape {own} and dtype {other.dtype}, "
            f"{first.table.path} of shape {shape} and dtype {first.dtype}; the files of one "
            "recording must be alike. Leave it out"
        )
        raise SourceError(message)


_ORIENTATIONS = {
    1: "not turned",
    2: "mirrored left to right",
    3: "rotated by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored, with rows and columns exchanged",
    6: "rotated by 90 degrees clockwise",
    7: "mirrored and rotated by 180 degrees, with rows and columns exchanged",
    8: "rotated by 90 degrees counterclockwise",
}
"""Turns after which pages appear upright, by the value of the Orientation tag."""


def warn_of_orientation(table: PageTable) -> None:
    """Warn if a file states that its pages are to be shown turned or mirrored.

    Values that the standard does not have say nothing.
    """
    turn = _ORIENTATIONS.get(table.orientation)
    if turn is not None and table.orientation != 1:
        warnings.warn(
            f"'{table.path}' states that its pages are to be shown {turn} (Orientation tag "
            f"{table.orientation}). Its pixels are written as they are stored, as tifffile reads "
            "them; ROIs found in turned images have other coordinates.",
            UserWarning,
            stacklevel=1,
        )


class TiffPageReader:
    """Read pages by their number, counted over several TIFF files of one shape.

    Uncompressed pages are copied from a memory map of the file, without a lock; others are
    decoded by tifffile, one block at a time. `read` may be called from several threads at once;
    each thread has its own open file.

    Parameters
    ----------
    sources : sequence of TiffSource
        The checked files in the order of their pages.

    Attributes
    ----------
    rows, columns : int
        Shape of a page in pixels.
    dtype : numpy.dtype
        Type of a pixel, in native byte order.
    first_pages : numpy.ndarray of int64, shape (files + 1,)
        Number of the first page of each file, followed by the number of all pages.

    Raises
    ------
    SourceError
        If the files differ in shape or dtype; the message names the first such file.
    """

    def __init__(self, sources: Sequence[TiffSource]) -> None:
        for source in sources:
            check_alike(sources[0], source)
            if source.table.orientation != sources[0].table.orientation:
                warn_of_orientation(source.table)
        self._begin(tuple(sources), [source.table.num_pages for source in sources])

    def _begin(self, sources: Sequence[TiffSource], num_pages: Sequence[int]) -> None:
        """Set up the reader from the first file and the number of pages of each file."""
        first = sources[0]
        warn_of_orientation(first.table)
        self.sources = sources
        self.rows, self.columns, self.dtype = first.table.rows, first.table.columns, first.dtype
        counts = np.array(num_pages, np.int64)
        self.first_pages: Integers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._lock = Lock()
        self._is_closed = False
        self._maps = _OpenMaps(self._open_map)
        self._tiffs = _LentFiles(self._open_tiff)

    @property
    def paths(self) -> list[Path]:
        """Paths of all files, in the order of their pages."""
        return [source.table.path for source in self.sources]

    @property
    def num_pages(self) -> int:
        """Number of pages of all files."""
        return int(self.first_pages[-1])

    def locate(self, pages: Integers) -> tuple[Integers, Integers]:
        """Return the file index of each page, and its index within that file; both int64."""
        files = (np.searchsorted(self.first_pages, pages, side="right") - 1).astype(np.int64)
        return files, pages - self.first_pages[files]

    def read(self, pages: Integers) -> npt.NDArray[Any]:
        """Read some pages.

        Parameters
        ----------
        pages : numpy.ndarray of int64, shape (pages,)
            Numbers of the pages over all files, in any order.

        Returns
        -------
        numpy.ndarray of `dtype`, shape (pages, rows, columns)
            A copy, which the caller may modify and which remains valid after `close`.

        Raises
        ------
        CorruptSourceError
            If a page cannot be decoded, or a file has been shortened since it was opened.
        """
        out = np.empty((len(pages), self.rows, self.columns), self.dtype)
        files, local = self.locate(pages)
        bounds = np.flatnonzero(np.diff(files)) + 1
        starts = [0, *bounds.tolist()] if len(pages) else []
        stops = [*bounds.tolist(), len(pages)]
        parts = [(int(files[at]), slice(at, stop)) for at, stop in zip(starts, stops, strict=False)]
        for paths, group in self._groups(parts):
            with fetched_together(paths):
                for file, part in group:
                    self._read_of(file, local[part], out[part])
        return out

    def _read_of(self, file: int, pages: Integers, out: npt.NDArray[Any]) -> None:
        """Read pages of one file into ``out``, of shape (pages, rows, columns)."""
        table = self.sources[file].table
        read = self._copy_direct if table.is_direct else self._decode
        is_stored = table.data_offsets[pages] >= 0
        if is_stored.all():
            read(file, pages, out)
            return
        out[~is_stored] = 0
        found = np.empty((int(is_stored.sum()), *out.shape[1:]), out.dtype)
        if len(found):
            read(file, pages[is_stored], found)
        out[is_stored] = found

    def _path(self, file: int) -> Path:
        return self.sources[file].table.path

    def _groups(self, parts: list[_Part]) -> Iterator[tuple[list[RemotePath], list[_Part]]]:
        """Yield small objects of stores that are requested together, with what is read in them.

        Files on a disk and large objects come without paths.
        """
        if len(parts) < 2 or not isinstance(self._path(parts[0][0]), RemotePath):
            yield [], parts
            return
        group: dict[RemotePath, None] = {}
        begin, total = 0, 0
        for index, (file, _) in enumerate(parts):
            path = self._path(file)
            assert isinstance(path, RemotePath)  # the files of a recording lie in one place
            size = path.stat().st_size
            is_small = size <= _SMALL_BYTES
            if begin < index and not (is_small and group and total + size <= _GROUP_BYTES):
                yield list(group), parts[begin:index]
                group, begin, total = {}, index, 0
            if is_small:
                group[path] = None
                total += size
        yield list(group), parts[begin:]

    def _copy_direct(self, file: int, pages: Integers, out: npt.NDArray[Any]) -> None:
        """Copy uncompressed pages from a memory map into ``out``, of shape (pages, ...)."""
        table = self.sources[file].table
        if isinstance(table.path, RemotePath):
            self._copy_ranges(table.path, table, pages, out)
            return
        with self._lock:
            pixels = self._maps.get(file)
        offsets = table.data_offsets[pages]
        steps = np.diff(offsets)
        dtype = table.dtype
        assert dtype is not None  # a table is direct only with a dtype
        strides = (self.columns * dtype.itemsize, dtype.itemsize)
        # Pages at equal distances form one strided array, even with directories between them.
        is_regular = len(steps) > 0 and steps[0] > 0 and bool((steps == steps[0]).all())
        if is_regular:
            view: npt.NDArray[Any] = np.ndarray(
                out.shape, dtype, pixels.data, int(offsets[0]), (int(steps[0]), *strides)
            )
            out[...] = view
        else:
            for index, offset in enumerate(offsets.tolist()):
                out[index] = np.ndarray(out.shape[1:], dtype, pixels.data, offset, strides)
        release_map(pixels)

    def _copy_ranges(
        self, path: RemotePath, table: PageTable, pages: Integers, out: npt.NDArray[Any]
    ) -> None:
        """Copy uncompressed pages of an object in a store, of which near ones are one request."""
        self._check_open()
        dtype = table.dtype
        assert dtype is not None  # a table is direct only with a dtype
        size = self.rows * self.columns * dtype.itemsize
        offsets = table.data_offsets[pages].tolist()

        def copy(part: tuple[int, int]) -> None:
            start = offsets[part[0]]
            data = read_range(path, start, offsets[part[1] - 1] + size, table.version)
            for index in range(*part):
                values = np.frombuffer(data, np.uint8, size, offsets[index] - start)
                out[index] = values.view(dtype).reshape(out.shape[1:])

        run_all(copy, list(_near_ranges(offsets, size)), LARGE_AT_ONCE)

    def _decode(self, file: int, pages: Integers, out: npt.NDArray[Any]) -> None:
        """Decode pages with tifffile into ``out``, of shape (pages, rows, columns)."""
        table = self.sources[file].table
        pages = table.in_file(pages)
        with self._tiffs.lend(file) as tiff:
            try:
                check_embedded_sizes(tiff, pages, table.compression)
                if table.is_uniform and not table.num_extra:
                    _decode_alike(tiff, pages, table.compression, out)
                else:
                    for index, page in enumerate(pages.tolist()):
                        out[index] = tiff.pages.get(page, aspage=True).asarray()
            except MemoryError:
                raise
            # The errors of the codecs have no common base class.
            except Exception as error:
                why = str(error).rstrip(".")
                raise CorruptSourceError(
                    f"'{table.path}': pages {pages[0]} to {pages[-1]} cannot be decoded ({why}); "
                    f"the file is damaged. To repair it, {COPY_AGAIN}."
                ) from error

    def _open_map(self, file: int) -> npt.NDArray[np.uint8]:
        """Map a file into memory, read-only."""
        self._check_open()
        table = self.sources[file].table
        pixels = np.memmap(table.path, np.uint8, mode="r")
        check_not_shortened(table.path, table.file_size)
        return pixels

    def _open_tiff(self, file: int) -> Any:
        """Open a file with tifffile."""
        self._check_open()
        table = self.sources[file].table
        source = opened_by_ranges(table.path, table.version)
        return require_package("tifffile", "tiff").TiffFile(source)

    def _check_open(self) -> None:
        if self._is_closed:
            raise closed_file(self.sources[0].table.path)

    def close(self) -> None:
        """Close all files; may be called more than once, but not while `read` runs."""
        with self._lock:
            self._is_closed = True
            self._maps.close()
        self._tiffs.close()


def _decode_alike(tiff: Any, pages: Integers, compression: int, out: npt.NDArray[Any]) -> None:
    """Decode pages that are all encoded alike."""
    left = list(range(len(pages)))
    decode = lzw_decoder(tiff) if compression == LZW else None
    if decode is not None:
        left = [at for at in left if not _put(decode(tiff.pages.get(int(pages[at]))), out[at])]
    if left:
        found = tiff.asarray(key=pages[left].tolist())
        out[left] = found.reshape(len(left), *out.shape[1:])


def _put(found: npt.NDArray[Any] | None, out: npt.NDArray[Any]) -> bool:
    """Copy a page; return whether it has the shape and dtype of the page table."""
    if found is None or found.shape != out.shape or found.dtype != out.dtype:
        return False
    out[...] = found
    return True


# Pages of a store with no more bytes between them are read together, up to this size.
_NEAR_BYTES = 1 << 16
_MOST_BYTES = 1 << 24
# Objects of up to this size are requested as a whole, several together.
_SMALL_BYTES, _GROUP_BYTES = 1 << 22, 1 << 26


def _near_ranges(offsets: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Yield first and last index, plus one, of pages that are read in one request."""
    first = 0
    for index in range(1, len(offsets) + 1):
        is_near = index < len(offsets) and (
            0 <= offsets[index] - offsets[index - 1] - size <= _NEAR_BYTES
            and offsets[index] + size - offsets[first] <= _MOST_BYTES
        )
        if not is_near:
            yield first, index
            first = index


class ManyTiffsReader(TiffPageReader):
    """Read pages by their number, counted over files whose numbers of pages are known.

    The headers of the first file and of the last, which a crash may truncate, are read when the
    reader is created; the headers of the other files are read together with their pages.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        The files in the order of their pages.
    num_pages : sequence of int
        Number of pages of each file that are counted.
    allow_truncated : bool
        Whether files may be truncated after these pages.
    check : callable, optional
        Takes each file before its pages are read, and raises if it is not the one of its name.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        num_pages: Sequence[int],
        *,
        allow_truncated: bool = False,
        check: Callable[[TiffSource], None] | None = None,
    ) -> None:
        sources = _LazySources(paths, num_pages, allow_truncated, check)
        sources[len(sources) - 1]
        self._paths = paths
        self._begin(sources, num_pages)

    @property
    def paths(self) -> list[Path]:
        """Paths of all files; none is opened for them."""
        return list(self._paths)

    def _path(self, file: int) -> Path:
        return self._paths[file]


class FilesIn(Sequence[Path]):
    """Paths of files in one folder, made when they are asked for: a path takes 300 bytes.

    Parameters
    ----------
    folder : pathlib.Path
    names : sequence of str
        Names of the files, or their paths relative to the folder.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> FilesIn: ...
    def __getitem__(self, index: int | slice) -> Path | FilesIn:
        if isinstance(index, slice):
            return FilesIn(self._folder, self._names[index])
        return self._folder / self._names[index]


class _OpenMaps:
    """The most recently used memory maps, up to a fixed number; the caller holds a lock."""

    def __init__(self, open_map: Callable[[int], npt.NDArray[np.uint8]]) -> None:
        self._open_map = open_map
        self._maps: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()

    def get(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the memory map of the file with this index."""
        if index in self._maps:
            self._maps.move_to_end(index)
            return self._maps[index]
        while len(self._maps) >= MAXIMAL_OPEN_FILES:
            self._maps.popitem(last=False)
        self._maps[index] = self._open_map(index)
        return self._maps[index]

    def close(self) -> None:
        """Release all maps."""
        self._maps.clear()


class _LentFiles:
    """Files opened with tifffile, each lent to one thread at a time; idle files stay open."""

    def __init__(self, open_file: Callable[[int], Any]) -> None:
        self._open_file = open_file
        self._idle: OrderedDict[int, list[Any]] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def lend(self, index: int) -> Iterator[Any]:
        """Lend the file with this index; open it once more if all open ones are lent."""
        with self._lock:
            kept = self._idle.get(index)
            tiff = kept.pop() if kept else None
        if tiff is None:
            tiff = self._open_file(index)
        try:
            yield tiff
        finally:
            self._keep(index, tiff)

    def _keep(self, index: int, tiff: Any) -> None:
        with self._lock:
            self._idle.setdefault(index, []).append(tiff)
            self._idle.move_to_end(index)
            while sum(map(len, self._idle.values())) > MAXIMAL_OPEN_FILES:
                _, oldest = self._idle.popitem(last=False)
                for idle in oldest:
                    idle.close()

    def close(self) -> None:
        """Close all files that are not lent."""
        with self._lock:
            for idle in self._idle.values():
                for tiff in idle:
                    tiff.close()
            self._idle.clear()


class _LazySources(Sequence[TiffSource]):
    """Files that are checked on access; may be used from several threads at once."""

    def __init__(
        self,
        paths: Sequence[Path],
        num_pages: Sequence[int],
        allow_truncated: bool,
        check: Callable[[TiffSource], None] | None,
    ) -> None:
        self._check = check
        self._allow_truncated = allow_truncated
        self._paths = paths
        self._num_pages = num_pages
        self._first = self._checked(0)
        self._inspect = functools.lru_cache(_MAX_CACHED_TABLES)(self._checked)

    def _checked(self, index: int) -> TiffSource:
        path, expected = self._paths[index], self._num_pages[index]
        source = inspect_later_tiff(
            path, reads_axes=False, allow_truncated=self._allow_truncated, is_first=not index
        )
        if source is None:
            raise nothing_complete(path, "pages")
        if source.table.num_pages < expected:
            raise CorruptSourceError(
                f"'{path}' has {source.table.num_pages} pages, but the header of the recording "
                f"refers to {expected}; {COPY_AGAIN}."
            )
        if index:
            check_alike(self._first, source)
            if source.table.orientation != self._first.table.orientation:
                warn_of_orientation(source.table)
        if self._check is not None:
            self._check(source)
        return source

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> TiffSource: ...
    @overload
    def __getitem__(self, index: slice) -> list[TiffSource]: ...
    def __getitem__(self, index: int | slice) -> TiffSource | list[TiffSource]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._first if index == 0 else self._inspect(range(len(self))[index])
