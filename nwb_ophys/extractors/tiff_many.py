"""Read pages of thousands of TIFF files, whose headers are read when their pixels are."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.extractors.tiff_files import TiffSource, inspect_tiff
from nwb_ophys.extractors.tiff_reader import TiffPageReader, check_alike

# Some hundred bytes each, in place of all those of a recording of 100,000 files.
_HEADERS_KEPT = 1024


class _LazySources(Sequence[TiffSource]):
    """Files that are checked when they are asked for; from several threads at once."""

    def __init__(self, paths: Sequence[Path], num_pages: Sequence[int]) -> None:
        self._paths = paths
        self._num_pages = num_pages
        self._first = self._checked(0)
        self._inspect = functools.lru_cache(_HEADERS_KEPT)(self._checked)

    def _checked(self, index: int) -> TiffSource:
        path, expected = self._paths[index], self._num_pages[index]
        source = inspect_tiff(path, reads_axes=False)
        if source.table.num_pages < expected:
            message = (
                f"{path} has {source.table.num_pages} pages, but the recording's header names "
                f"{expected} of it; copy the file again from where it was recorded"
            )
            raise CorruptSourceError(message)
        if index:
            check_alike(self._first, source)
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


class ManyTiffsReader(TiffPageReader):
    """Read pages by their number counted over files whose numbers of pages are known.

    The headers of the first and of the last file, which is the one that a crash cuts off, are read
    when it is made, those of the others when their pages are.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        The files in the order of their pages.
    num_pages : sequence of int
        How many pages of each are counted.
    """

    def __init__(self, paths: Sequence[Path], num_pages: Sequence[int]) -> None:
        sources = _LazySources(paths, num_pages)
        sources[len(sources) - 1]
        self._begin(sources, num_pages)
