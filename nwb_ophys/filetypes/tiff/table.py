"""Locate the pixels of each page of a TIFF file, up to the end of a truncated file."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.tiff import pages as tag
from nwb_ophys.filetypes.tiff.kept_tables import KeptTables, Patterns, fingerprint
from nwb_ophys.filetypes.tiff.page_table import NO_PIXELS, PageTable
from nwb_ophys.filetypes.tiff.pages import (
    DirectoryChain,
    Integers,
    TagColumn,
    TiffStructure,
    read_chain,
)
from nwb_ophys.filetypes.truncation import nothing_complete
from nwb_ophys.filetypes.xml import MAX_TREE_BYTES
from nwb_ophys.outside import check_file
from nwb_ophys.remote.paths import RemotePath

NUMBER_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_HEADING_BYTES = 1024


# Strips without a position or bytes: none of a page, the last ones, others, and all of them. Those
# of a damaged page have a position but no bytes, or bytes but no position.
_WHOLE, _ENDS_EARLY, _HAS_GAPS, _EMPTY, _DAMAGED = range(5)
_MOST_SEGMENTS = 1 << 22
_MOST_PIXELS = 1 << 30


@attrs.frozen(eq=False)
class _Segments:
    """Positions of the strips or tiles of each page; arrays of int64, shape (pages,)."""

    starts: Integers
    sizes: Integers
    ends: Integers
    in_one_piece: np.ndarray
    """Return whether a page's strips follow each other in the file; bool, shape (pages,)."""
    gaps: np.ndarray
    """Extent of what the file does not hold of each page, one of the numbers below."""

    def head(self, num_pages: int) -> _Segments:
        """Return the positions of the first pages."""
        return _Segments(*(each[:num_pages] for each in attrs.astuple(self, recurse=False)))


def read_page_table(path: Path, *, only_frames: bool = False) -> PageTable:
    """Read the page directories of a TIFF file, up to the first page that is not complete.

    Parameters
    ----------
    path : Path
        An existing file.
    only_frames : bool
        Whether to leave out thumbnails, overviews and masks of another shape than the frames. False
        if the caller knows pages by their number in the file.

    Returns
    -------
    PageTable
        The shape and position of every page; ``loss`` is not empty if pages are missing.

    Raises
    ------
    CorruptSourceError
        If it is not a TIFF file, if a directory is damaged, or if no page is complete.
    SourceError
        If pages differ in shape, dtype or compression; the message names the first such page.
    """
    check_file(path)
    with path.open("rb", buffering=0) as file:
        state = path.stat() if isinstance(path, RemotePath) else os.fstat(file.fileno())
        head = file.read(16)
        head = head[:8] if head[2:4] in _CLASSIC else head

        def read_at(size: int, position: int) -> bytes:
            file.seek(position)
            return file.read(size)

        known = _PATTERNS.find(path, head, state.st_size, read_at)
        version = state.st_ino if isinstance(path, RemotePath) else 0
        if known is not None:
            return attrs.evolve(known, version=version) if version else known
        identity = fingerprint(path, state, only_frames)
        kept = _KEPT.get(identity)
        if kept is not None:
            return kept if kept.path == path else attrs.evolve(kept, path=path)
        file.seek(0)
        table, places = _read_table(file, path, state.st_size, only_frames)
        table = attrs.evolve(table, version=version)
        _KEPT.keep(identity, table)
        _PATTERNS.add(table, head, places, read_at)
        return table


_CLASSIC = (b"\x2a\x00", b"\x00\x2a")
_KEPT = KeptTables()
_PATTERNS = Patterns()


def _read_table(
    file: BinaryIO, path: Path, file_size: int, only_frames: bool
) -> tuple[PageTable, list[tuple[int, int]]]:
    """Return the table of a file, and number and position of the bytes that a page is read from."""
    chain = read_chain(file, path, file_size)
    has_one_page = chain.num_pages == 1
    is_extra = _are_extra(chain)
    is_other = _differ_in_shape(chain, is_extra) if only_frames else np.zeros_like(is_extra)
    chain = chain.select(~is_other)
    scalars = {code: chain.scalars(code) for code in (*tag.SHAPE_TAGS, *tag.CODING_TAGS)}
    page_sizes = _page_sizes(scalars)
    segments = _read_segments(file, chain, page_sizes, file_size)
    description = chain.columns.get(tag.IMAGE_DESCRIPTION, None)
    places = _description_places(path, description, chain, file_size)
    heading = _read_heading(file, places)
    table = _checked_table(path, file_size, chain, scalars, page_sizes, segments, places, heading)
    table = attrs.evolve(
        table,
        num_extra=int(is_other.sum()),
        directories=np.flatnonzero(~is_other) if is_other.any() else table.directories,
        extra_frames=np.flatnonzero(is_extra[~is_other][: table.num_pages]),
        orientation=int(chain.scalars(tag.ORIENTATION)[0]),
    )
    return table, _places_read(file, chain) if has_one_page else []


# Bits of the tag of images that are reduced, or a mask; value of the older tag of reduced images.
_REDUCED_OR_MASK, _OLD_REDUCED = 0b101, 2


def _are_extra(chain: DirectoryChain) -> npt.NDArray[np.bool_]:
    """Return which pages state to be a reduced image or a mask of another page."""
    is_extra = (chain.scalars(tag.NEW_SUBFILE_TYPE) & _REDUCED_OR_MASK) != 0
    is_extra |= chain.scalars(tag.SUBFILE_TYPE) == _OLD_REDUCED
    # Where all pages state it, it distinguishes none.
    return is_extra & (not is_extra.all())


def _differ_in_shape(
    chain: DirectoryChain, is_extra: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which of the extra pages have another shape or type than the first other page."""
    if not is_extra.any():
        return is_extra
    first = int(np.argmin(is_extra))
    shapes = np.stack([chain.scalars(code) for code in tag.SHAPE_TAGS])
    return is_extra & (shapes != shapes[:, first : first + 1]).any(axis=0)


def _places_read(file: BinaryIO, chain: DirectoryChain) -> list[tuple[int, int]]:
    """Return number and position of the bytes on which the table of a file of one page depends."""
    structure = chain.structure
    file.seek(structure.first_offset)
    (num_tags,) = structure.count_format.unpack(file.read(structure.count_format.size))
    frame = structure.count_format.size + structure.offset_format.size
    found = [(frame + num_tags * structure.tag_dtype.itemsize, structure.first_offset)]
    for code in tag.SEGMENT_TAGS:
        column = chain.columns.get(code)
        if column is not None and column.counts[0] > 1:
            size = int(column.counts[0] * tag.TYPE_SIZES[min(int(column.types[0]), 18)])
            if size > structure.offset_format.size:
                found.append((size, int(column.values[0])))
    return found


def _checked_table(
    path: Path,
    file_size: int,
    chain: DirectoryChain,
    scalars: dict[int, Integers],
    page_sizes: Integers,
    segments: _Segments,
    places: tuple[Integers, Integers],
    heading: bytes,
) -> PageTable:
    """Return the table of the complete pages."""
    num_complete, loss = _complete_pages(path, file_size, chain, segments, page_sizes)
    gaps = segments.gaps[:num_complete]
    num_lost = max(chain.num_pages + bool(chain.problem) - num_complete, 0)
    scalars = {code: values[:num_complete] for code, values in scalars.items()}
    segments = segments.head(num_complete)
    for code, name in tag.SHAPE_TAGS.items():
        _check_equal(path, scalars[code], name)
    first = {code: int(values[0]) for code, values in scalars.items()}
    dtype = _pixel_dtype(first, chain.structure)
    _check_claim(path, first, segments)
    _check_shared(path, segments, file_size)
    return PageTable(
        path=path,
        file_size=file_size,
        rows=first[tag.IMAGE_LENGTH],
        columns=first[tag.IMAGE_WIDTH],
        samples_per_pixel=first[tag.SAMPLES_PER_PIXEL],
        depth=first[tag.IMAGE_DEPTH],
        dtype=dtype,
        compression=first[tag.COMPRESSION],
        is_direct=dtype is not None and _is_direct(first, scalars, segments),
        is_uniform=all(bool((scalars[code] == first[code]).all()) for code in tag.CODING_TAGS),
        data_offsets=segments.starts,
        description_offsets=places[0][:num_complete],
        description_sizes=places[1][:num_complete],
        first_directory=chain.structure.first_offset,
        lost_directory=chain.lost_directory,
        num_lost=num_lost,
        loss=loss,
        empty_pages=np.flatnonzero(gaps == _EMPTY),
        pages_with_gaps=np.flatnonzero((gaps == _ENDS_EARLY) | (gaps == _HAS_GAPS)),
        heading=heading,
    )


# Bytes of pixels that a byte of compressed data can hold at most.
_LZW, _PACKBITS, _DEFLATE, _OLD_DEFLATE = 5, 32773, 8, 32946
_MOST_DENSE = {_LZW: 2800, _PACKBITS: 128, _DEFLATE: 1100, _OLD_DEFLATE: 1100}
_DENSEST = 40_000
_LARGE_PAGE = 1 << 26
_SLACK = 1 << 20


def _check_claim(path: Path, first: dict[int, int], segments: _Segments) -> None:
    """Refuse pages or tiles that are far larger than the file has bytes for, or share its bytes."""
    bits = first[tag.BITS_PER_SAMPLE] * first[tag.SAMPLES_PER_PIXEL]
    rows, columns = first[tag.IMAGE_LENGTH], first[tag.IMAGE_WIDTH]
    claimed = rows * columns * bits // 8
    if not 0 < rows <= _MOST_PIXELS or not 0 < columns <= _MOST_PIXELS:
        raise CorruptSourceError(
            f"'{path}' is damaged: its pages claim to have {rows} rows and {columns} columns. To "
            f"repair it, {COPY_AGAIN}."
        )
    is_whole = segments.gaps == _WHOLE
    stored = int(segments.sizes[is_whole].min() if is_whole.any() else segments.sizes.max())
    held = stored * _MOST_DENSE.get(first[tag.COMPRESSION], _DENSEST)
    if claimed > max(held, _LARGE_PAGE):
        raise CorruptSourceError(
            f"'{path}' is damaged: its pages claim to have {rows} rows and {columns} columns "
            f"({claimed} bytes), but the file holds {stored} bytes of a page. To repair it, "
            f"{COPY_AGAIN}."
        )
    tile = (first[tag.TILE_LENGTH], first[tag.TILE_WIDTH])
    if tile[0] * tile[1] * bits // 8 > max(4 * claimed, _LARGE_PAGE):
        raise CorruptSourceError(
            f"'{path}' is damaged: its tiles claim to have {tile[0]} rows and {tile[1]} columns, "
            f"but a page has {rows} and {columns}. To repair it, {COPY_AGAIN}."
        )


def _check_shared(path: Path, segments: _Segments, file_size: int) -> None:
    """Refuse pages whose pixels take up far more bytes than the file has."""
    claimed = int(segments.sizes.sum(dtype=np.float64))
    if claimed > 2 * file_size + _SLACK:
        raise CorruptSourceError(
            f"'{path}' is damaged: its {len(segments.sizes)} pages claim {claimed} bytes of pixels "
            f"in all, but the file has {file_size} bytes. To repair it, {COPY_AGAIN}."
        )


def _read_heading(file: BinaryIO, places: tuple[Integers, Integers]) -> bytes:
    """Return the beginning of the first description while the file is open."""
    offsets, sizes = places
    if not len(offsets) or not sizes[0]:
        return b""
    file.seek(int(offsets[0]))
    return file.read(min(int(sizes[0]), _HEADING_BYTES))


def _is_direct(first: dict[int, int], scalars: dict[int, Integers], segments: _Segments) -> bool:
    """Return whether pixels of a known type lie in the file as they are in memory."""
    return (
        first[tag.COMPRESSION] == tag.UNCOMPRESSED
        and first[tag.SAMPLES_PER_PIXEL] == first[tag.IMAGE_DEPTH] == 1
        and bool(segments.in_one_piece.all())
        and bool((scalars[tag.FILL_ORDER] == 1).all())
        and bool((scalars[tag.PREDICTOR] == 1).all())
    )


def _page_sizes(scalars: dict[int, Integers]) -> Integers:
    """Return the bytes of the pixels of each page if uncompressed, else 0."""
    bits = scalars[tag.IMAGE_WIDTH] * scalars[tag.BITS_PER_SAMPLE] * scalars[tag.SAMPLES_PER_PIXEL]
    sizes: Integers = (bits + 7) // 8 * scalars[tag.IMAGE_LENGTH] * scalars[tag.IMAGE_DEPTH]
    # The size of compressed pixels varies, and tiles are padded.
    plain = (scalars[tag.COMPRESSION] == tag.UNCOMPRESSED) & (scalars[tag.TILE_WIDTH] == 0)
    return np.where(plain, sizes, 0)


def _read_segments(
    file: BinaryIO, chain: DirectoryChain, page_sizes: Integers, file_size: int
) -> _Segments:
    """Find the strips or tiles of all pages; vectorised for pages with only one."""
    absent = _absent_column(chain.num_pages)
    is_tiled = tag.TILE_OFFSETS in chain.columns
    offsets = chain.columns.get(tag.TILE_OFFSETS if is_tiled else tag.STRIP_OFFSETS, absent)
    counts = chain.columns.get(tag.TILE_BYTE_COUNTS if is_tiled else tag.STRIP_BYTE_COUNTS, absent)
    _check_num_segments(file, offsets, counts, file_size)
    starts = offsets.values.copy()
    sizes = np.where(counts.counts == 1, counts.values, 0)
    in_one_piece = (offsets.counts == 1) & (not is_tiled)
    # A single uncompressed strip holds the whole page. The stated size is ignored, since ImageJ
    # and others omit it or write a wrong one.
    sizes = np.where(in_one_piece & (page_sizes > 0), page_sizes, sizes)
    ends = starts + sizes
    gaps = _gaps_of_single_strips(offsets, counts, page_sizes)
    for page in np.flatnonzero(offsets.counts > 1).tolist():
        pieces = _read_array(file, chain.structure, offsets, page, file_size)
        lengths = _read_array(file, chain.structure, counts, page, file_size)
        if not 0 < len(pieces) == len(lengths):
            ends[page] = -1
            continue
        gaps[page] = _extent_of_gaps(pieces, lengths)
        starts[page], sizes[page] = pieces[0], lengths.sum()
        ends[page] = -1 if pieces.min() < 0 else (pieces + lengths).max()
        is_gapless = bool((pieces[1:] == pieces[:-1] + lengths[:-1]).all())
        in_one_piece[page] = is_gapless and not is_tiled and sizes[page] == page_sizes[page]
    ends[(offsets.counts == 0) | (starts < 0)] = -1
    is_empty = gaps == _EMPTY
    starts[is_empty], sizes[is_empty], ends[is_empty] = NO_PIXELS, 0, 0
    in_one_piece |= is_empty & (not is_tiled)
    return _Segments(starts=starts, sizes=sizes, ends=ends, in_one_piece=in_one_piece, gaps=gaps)


def _gaps_of_single_strips(offsets: TagColumn, counts: TagColumn, page_sizes: Integers) -> Integers:
    """Return the extent of what is not stored of pages with one strip or tile.

    The number of bytes of an uncompressed strip is not needed, and may be absent.
    """
    is_single = offsets.counts == 1
    has_bytes = (counts.counts == 1) & (counts.values != 0)
    is_empty = is_single & (offsets.values == 0) & ~has_bytes
    has_no_place = is_single & (offsets.values == 0) & has_bytes
    has_no_bytes = is_single & (offsets.values != 0) & ~has_bytes & (page_sizes == 0)
    gaps = np.where(is_empty, _EMPTY, _WHOLE)
    return np.where(has_no_place | has_no_bytes, _DAMAGED, gaps).astype(np.int64)


def _extent_of_gaps(pieces: Integers, lengths: Integers) -> int:
    """Return the extent of what is not stored of a page with several strips or tiles."""
    is_absent = pieces == 0
    if not is_absent.any() and lengths.all():
        return _WHOLE
    if ((lengths == 0) != is_absent).any():
        return _DAMAGED
    if is_absent.all():
        return _EMPTY
    first = int(np.argmax(is_absent))
    return _ENDS_EARLY if is_absent[first:].all() else _HAS_GAPS


def _check_num_segments(
    file: BinaryIO, offsets: TagColumn, counts: TagColumn, file_size: int
) -> None:
    """Refuse more strips or tiles than the file has bytes for their positions."""
    stated = np.maximum(offsets.counts, counts.counts)
    stated = np.where(stated > 1, stated, 0)
    # Each position has two bytes or more, and so has each size.
    too_many = (stated > _MOST_SEGMENTS) | (np.cumsum(stated) * 4 > file_size)
    if too_many.any():
        page = int(np.argmax(too_many))
        raise CorruptSourceError(
            f"'{file.name}' is damaged: page {page} claims to have {int(stated[page])} strips or "
            f"tiles, but the file has {file_size} bytes. To repair it, {COPY_AGAIN}."
        )


def _absent_column(num_pages: int) -> TagColumn:
    """Return the column of a tag that no page has."""
    zeros = np.zeros(num_pages, np.int64)
    return TagColumn(types=zeros, counts=zeros, values=zeros)


def _read_array(
    file: BinaryIO, structure: TiffStructure, column: TagColumn, page: int, file_size: int
) -> Integers:
    """Read the elements of a tag of one page; empty if they lie beyond the end of the file."""
    count, kind = int(column.counts[page]), int(column.types[page])
    value, word = int(column.values[page]), 8 if structure.is_big else 4
    size = int(tag.TYPE_SIZES[kind]) if kind < len(tag.TYPE_SIZES) else 0
    if size not in (1, 2, 4, 8) or count == 0:
        return np.zeros(0, np.int64)
    if count == 1:
        return np.array([value], np.int64)
    if count * size <= word:
        data = struct.pack(structure.byte_order + "q", value)
        data = data[:word] if structure.byte_order == "<" else data[-word:]
    elif 0 < value <= file_size - count * size:
        file.seek(value)
        data = file.read(count * size)
    else:
        return np.zeros(0, np.int64)
    numbers = np.frombuffer(data, f"{structure.byte_order}u{size}", count)
    return numbers.astype(np.uint64).view(np.int64)


def _complete_pages(
    path: Path, file_size: int, chain: DirectoryChain, segments: _Segments, page_sizes: Integers
) -> tuple[int, str]:
    """Return the number of complete pages before the first incomplete one, and what is lost.

    Raises
    ------
    CorruptSourceError
        If a directory is damaged, or if the file has no complete page.
    """
    is_complete = (segments.ends >= 0) & (segments.ends <= file_size)
    is_complete &= chain.tag_ends <= file_size
    is_whole = (segments.gaps == _WHOLE) & (segments.sizes >= page_sizes) & (segments.sizes > 0)
    is_complete &= is_whole | ((segments.gaps != _WHOLE) & (segments.gaps != _DAMAGED))
    found = chain.num_pages if is_complete.all() else int(np.argmin(is_complete))
    ends_early = bool(chain.problem) or found < chain.num_pages
    count = _without_unwritten_end(segments.gaps[:found], ends_early=ends_early)
    problem = chain.problem
    if not problem and not chain.num_pages:
        problem = "it holds no page"
    if not problem and count < found:
        problem = f"it has a place for the pixels of page {count}, but not all of them were stored"
    if not problem and count < chain.num_pages:
        problem = (
            f"the pixels or tags of page {count} are missing or lie beyond the end of the file, "
            f"byte {file_size}"
        )
    if chain.problem and not chain.is_cut:
        raise CorruptSourceError(
            f"'{path}' is damaged: {problem}; {count} pages are complete. To repair it, "
            f"{COPY_AGAIN}."
        )
    if problem and not count:
        raise nothing_complete(path, "pages", problem)
    return count, problem


def _without_unwritten_end(gaps: Integers, *, ends_early: bool) -> int:
    """Return the number of pages before those at the end whose pixels were not written any more.

    Pixels without a position and bytes are 0 for libtiff, GDAL and tifffile. Programs that leave
    out what is 0 leave gaps anywhere, also of all pixels of the last pages. Evidence for a program
    that was stopped is a file that ends early, or whole pages, a part of one, and none.
    """
    is_stored = np.flatnonzero(gaps != _EMPTY)
    count = int(is_stored[-1]) + 1 if len(is_stored) else 0
    if count > 1 and gaps[count - 1] == _ENDS_EARLY and not gaps[: count - 1].any():
        return count - 1
    return len(gaps) if count and not ends_early else count


def _check_equal(path: Path, values: Integers, name: str) -> None:
    """Raise SourceError naming the first page whose value differs from the value of page 0."""
    if (values == values[0]).all():
        return
    page = int(np.argmax(values != values[0]))
    raise SourceError(
        f"'{path}': the {name} is {values[page]} on page {page} and {values[0]} on page 0; the "
        "pages of a recording must have one shape, dtype and compression. Split the file."
    )


def _description_places(
    path: Path, column: TagColumn | None, chain: DirectoryChain, file_size: int
) -> tuple[Integers, Integers]:
    """Return file positions and sizes of the ImageDescriptions."""
    if column is None:
        return np.zeros(chain.num_pages, np.int64), np.zeros(chain.num_pages, np.int64)
    # Texts that fit into the IFD itself are too short to be useful.
    is_external = column.counts > (8 if chain.structure.is_big else 4)
    is_external &= (column.values > 0) & (column.values <= file_size - column.counts)
    sizes = np.where(is_external, column.counts, 0)
    if (sizes > MAX_TREE_BYTES).any():
        page = int(np.argmax(sizes))
        raise CorruptSourceError(
            f"'{path}' is damaged: page {page} claims a description of {sizes[page]} bytes, "
            f"but at most {MAX_TREE_BYTES >> 20} MB are read. To repair it, {COPY_AGAIN}."
        )
    return np.where(is_external, column.values, 0), sizes


def _pixel_dtype(first: dict[int, int], structure: TiffStructure) -> np.dtype | None:
    """Return the numpy type of a pixel in the file's byte order, or None if it has none."""
    bits, kind = first[tag.BITS_PER_SAMPLE], NUMBER_KINDS.get(first[tag.SAMPLE_FORMAT], "")
    if not kind or bits not in (8, 16, 32, 64) or (kind == "f" and bits == 8):
        return None
    return np.dtype(f"{structure.byte_order}{kind}{bits // 8}")
