"""Read the chain of image file directories (IFDs) of a TIFF file into columns of numbers.

One pass reads each IFD once, as bytes; everything else is done for all pages at once in numpy,
which makes a complete check for truncation affordable on 100,000 pages. This module does not need
tifffile. Structure and tag numbers: TIFF 6.0 specification (Adobe, 1992) and the BigTIFF
extension (libtiff).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.truncation import NothingCompleteError, nothing_complete

Integers = npt.NDArray[np.int64]

MAXIMAL_TAGS = 4096  # an IFD that claims more tags is not an IFD

# Numbers of the tags that are read, from the TIFF 6.0 specification.
NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION = 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, IMAGE_DESCRIPTION, ORIENTATION = 262, 266, 270, 274
STRIP_OFFSETS, STRIP_BYTE_COUNTS, SAMPLES_PER_PIXEL, ROWS_PER_STRIP = 273, 279, 277, 278
PLANAR_CONFIGURATION, PREDICTOR, TILE_WIDTH, TILE_LENGTH = 284, 317, 322, 323
TILE_OFFSETS, TILE_BYTE_COUNTS, SAMPLE_FORMAT, IMAGE_DEPTH = 324, 325, 339, 32997

# Values that a reader must assume for missing tags (TIFF 6.0).
TAG_DEFAULTS = {
    NEW_SUBFILE_TYPE: 0,
    SUBFILE_TYPE: 0,
    IMAGE_WIDTH: 0,
    IMAGE_LENGTH: 0,
    BITS_PER_SAMPLE: 1,
    COMPRESSION: 1,
    PHOTOMETRIC: 0,
    FILL_ORDER: 1,
    ORIENTATION: 1,
    SAMPLES_PER_PIXEL: 1,
    ROWS_PER_STRIP: 2**32 - 1,
    PLANAR_CONFIGURATION: 1,
    PREDICTOR: 1,
    TILE_WIDTH: 0,
    TILE_LENGTH: 0,
    SAMPLE_FORMAT: 1,
    IMAGE_DEPTH: 1,
}
# Bytes per element of the TIFF data types 1 to 18; 0 for undefined types.
TYPE_SIZES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8], np.int64)

# Pages that differ in one of these cannot be frames of one recording.
SHAPE_TAGS = {
    IMAGE_LENGTH: "number of rows",
    IMAGE_WIDTH: "number of columns",
    BITS_PER_SAMPLE: "number of bits per pixel",
    SAMPLE_FORMAT: "number format (SampleFormat tag)",
    SAMPLES_PER_PIXEL: "number of samples per pixel",
    IMAGE_DEPTH: "image depth",
    COMPRESSION: "compression",
}
# Pages that differ in one of these are readable, but not in one block.
CODING_TAGS = (
    PHOTOMETRIC,
    FILL_ORDER,
    ROWS_PER_STRIP,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    TILE_WIDTH,
    TILE_LENGTH,
)
SEGMENT_TAGS = (STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS)
UNCOMPRESSED = 1


@attrs.frozen(kw_only=True)
class TiffStructure:
    """Byte order and integer sizes of a TIFF file, from its first bytes.

    Attributes
    ----------
    byte_order : str
        ``"<"`` or ``">"``.
    is_big : bool
        Whether the file is a BigTIFF, with 8-byte offsets.
    first_offset : int
        Position of the first IFD in bytes, 0 if there is none.
    """

    byte_order: str
    is_big: bool
    first_offset: int

    @property
    def count_format(self) -> struct.Struct:
        """Format of the number of tags at the start of an IFD."""
        return struct.Struct(self.byte_order + ("Q" if self.is_big else "H"))

    @property
    def offset_format(self) -> struct.Struct:
        """Format of the position of the next IFD."""
        return struct.Struct(self.byte_order + ("Q" if self.is_big else "I"))

    @property
    def tag_dtype(self) -> np.dtype[np.void]:
        """Record type of one tag."""
        order, word = self.byte_order, "u8" if self.is_big else "u4"
        return np.dtype(
            [
                ("code", order + "u2"),
                ("type", order + "u2"),
                ("count", order + word),
                ("value", order + word),
            ]
        )


@attrs.frozen(kw_only=True, eq=False)
class TagColumn:
    """One tag of all pages.

    Attributes
    ----------
    types, counts, values : numpy.ndarray of int64, shape (pages,)
        Data type, number of elements (0 if the page lacks the tag) and value: the element itself
        if it is single and fits into the IFD, else the file position of the elements.
    """

    types: Integers
    counts: Integers
    values: Integers


@attrs.frozen(kw_only=True, eq=False)
class DirectoryChain:
    """The IFDs of a file, as far as they can be read.

    Attributes
    ----------
    structure : TiffStructure
        Byte order and integer sizes of the file.
    num_pages : int
        Number of complete IFDs.
    problem : str
        Why the chain ends before its end marker; empty if it does not.
    is_cut : bool
        Whether it ends because the file does, and not because a directory is damaged.
    lost_directory : int
        Stated position of the directory at which it ends early; 0 if it does not.
    columns : dict of int to TagColumn
        The tags that are read, by number; tags that no page has are absent.
    tag_ends : numpy.ndarray of int64, shape (pages,)
        File position of the end of the last registered tag of each page, in bytes.
    """

    structure: TiffStructure
    num_pages: int
    problem: str
    is_cut: bool
    lost_directory: int
    columns: dict[int, TagColumn]
    tag_ends: Integers

    def scalars(self, code: int) -> Integers:
        """Return the value of one tag of every page, or its default; int64, shape (pages,)."""
        default = TAG_DEFAULTS[code]
        column = self.columns.get(code)
        if column is None:
            return np.full(self.num_pages, default, np.int64)
        # Colour images have several values, outside the IFD; they are refused later.
        return np.where(column.counts == 1, column.values, default)

    def select(self, is_selected: npt.NDArray[np.bool_]) -> DirectoryChain:
        """Return only some pages."""
        if is_selected.all():
            return self
        columns = {
            code: TagColumn(
                types=column.types[is_selected],
                counts=column.counts[is_selected],
                values=column.values[is_selected],
            )
            for code, column in self.columns.items()
        }
        return attrs.evolve(
            self,
            num_pages=int(is_selected.sum()),
            columns=columns,
            tag_ends=self.tag_ends[is_selected],
        )


# Byte order and version of TIFF and BigTIFF files.
_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_structure(file: BinaryIO, path: Path) -> TiffStructure:
    """Read the first bytes of a TIFF or BigTIFF file.

    Raises
    ------
    CorruptSourceError
        If the file is neither.
    """
    head = file.read(16)
    byte_order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    if byte_order and len(head) >= 8:
        (version,) = struct.unpack(byte_order + "H", head[2:4])
        if version == 42:
            (offset,) = struct.unpack(byte_order + "I", head[4:8])
            return TiffStructure(byte_order=byte_order, is_big=False, first_offset=offset)
        if version == 43 and len(head) == 16:
            (offset,) = struct.unpack(byte_order + "Q", head[8:16])
            return TiffStructure(byte_order=byte_order, is_big=True, first_offset=offset)
    if head[:4] in _MARKS:
        reason = f"it ends after {len(head)} bytes, within the header of a TIFF file"
        raise nothing_complete(path, "pages", reason)
    error = NothingCompleteError if len(head) < 8 else CorruptSourceError
    raise error(
        f"'{path}' is not a TIFF file: it begins with the bytes {head[:4].hex(' ') or '(none)'}, "
        "but a TIFF file begins with 49 49 2a 00, 4d 4d 00 2a, 49 49 2b 00 or 4d 4d 00 2b. Give a "
        "TIFF file."
    )


def read_chain(file: BinaryIO, path: Path, file_size: int) -> DirectoryChain:
    """Read every IFD of a TIFF file.

    Parameters
    ----------
    file : binary file
        The open file; unbuffered, since the reads are small and far apart.
    path : Path
        Path of the file, for messages.
    file_size : int
        Size of the file in bytes.

    Returns
    -------
    DirectoryChain
        The readable part; ``problem`` says why the chain ends early.

    Raises
    ------
    CorruptSourceError
        If the file is not a TIFF file.
    """
    structure = read_structure(file, path)
    blocks, problem, is_cut, lost = _read_directories(file, structure, file_size)
    sizes = np.array([len(block) for block in blocks], np.int64)
    columns: dict[int, TagColumn] = {}
    tag_ends = np.zeros(len(blocks), np.int64)
    # Pages with the same number of tags are parsed together: usually all, or all but the first.
    for size in np.unique(sizes):
        pages = np.flatnonzero(sizes == size)
        data = b"".join(blocks[page] for page in pages)
        tags = np.frombuffer(data, structure.tag_dtype).reshape(len(pages), -1)
        tag_ends[pages] = _tag_ends(tags)
        _collect_columns(tags, pages, len(blocks), structure, columns)
    return DirectoryChain(
        structure=structure,
        num_pages=len(blocks),
        problem=problem,
        is_cut=is_cut,
        lost_directory=lost,
        columns=columns,
        tag_ends=tag_ends,
    )


def _read_directories(
    file: BinaryIO, structure: TiffStructure, file_size: int
) -> tuple[list[bytes], str, bool, int]:
    """Return the tags of each page, why the chain breaks, whether the file ends there, and where.

    The last number is the position of the directory that could not be read, 0 if there is none.
    """
    count_format, offset_format = structure.count_format, structure.offset_format
    tag_size = structure.tag_dtype.itemsize
    frame_size = count_format.size + offset_format.size
    blocks: list[bytes] = []
    seen: set[int] = set()
    next_offset, block_size = structure.first_offset, 20 * tag_size + frame_size
    problem, is_cut = "", False
    while offset := next_offset:
        if offset in seen:
            problem = "was already read: the chain is circular"
            break
        seen.add(offset)
        if offset > file_size - count_format.size:
            problem, is_cut = f"lies beyond the end of the file, byte {file_size}", True
            break
        file.seek(offset)
        block = file.read(block_size)
        (num_tags,) = count_format.unpack_from(block)
        if not 0 < num_tags <= MAXIMAL_TAGS:
            # A directory that was not written yet when the program crashed is filled with zeros.
            problem, is_cut = f"claims to hold {num_tags} tags", num_tags == 0
            break
        # Most pages have as many tags as the page before, so that one read gets the whole IFD.
        block_size = num_tags * tag_size + frame_size
        if len(block) < block_size:
            block += file.read(block_size - len(block))
        if len(block) < block_size:
            problem, is_cut = f"is truncated at the end of the file, byte {file_size}", True
            break
        (next_offset,) = offset_format.unpack_from(block, block_size - offset_format.size)
        blocks.append(block[count_format.size : block_size - offset_format.size])
    where = f"the directory of page {len(blocks)}, at byte {offset}, " if problem else ""
    return blocks, where + problem, is_cut, offset if problem else 0


def _element_sizes(types: npt.NDArray[np.integer]) -> Integers:
    """Return the bytes per element of TIFF data types; 0 for unknown ones."""
    return np.where(types < len(TYPE_SIZES), TYPE_SIZES[np.minimum(types, 18)], 0)


def _tag_ends(tags: npt.NDArray[np.void]) -> Integers:
    """Return the end of the values stored outside each IFD; ``tags`` has shape (pages, tags)."""
    word = tags["value"].dtype.itemsize
    counts = np.minimum(tags["count"].astype(np.uint64), 2**40).astype(np.int64)
    sizes = counts * _element_sizes(tags["type"])
    ends = np.minimum(tags["value"].astype(np.uint64), 2**62).astype(np.int64) + sizes
    # Private tags (from 32768 on) are ignored, since some programs state wrong sizes for them.
    ends[(sizes <= word) | (tags["code"] >= 32768)] = 0
    largest: Integers = ends.max(axis=1)
    return largest


def _collect_columns(
    tags: npt.NDArray[np.void],
    pages: Integers,
    num_pages: int,
    structure: TiffStructure,
    columns: dict[int, TagColumn],
) -> None:
    """Enter the tags of some pages, of shape (pages, tags), into the columns of all pages."""
    codes = tags["code"]
    for code in (*TAG_DEFAULTS, *SEGMENT_TAGS, IMAGE_DESCRIPTION):
        matches = codes == code
        present = matches.any(axis=1)
        if not present.any():
            continue
        if code not in columns:
            empty = np.zeros((3, num_pages), np.int64)
            columns[code] = TagColumn(types=empty[0], counts=empty[1], values=empty[2])
        entries = tags[present, matches.argmax(axis=1)[present]]
        column, rows = columns[code], pages[present]
        column.types[rows] = entries["type"]
        column.counts[rows] = np.minimum(entries["count"].astype(np.uint64), 2**40).astype(np.int64)
        column.values[rows] = _inline_values(entries, structure)


def _inline_values(entries: npt.NDArray[np.void], structure: TiffStructure) -> Integers:
    """Return single elements as numbers; values are left-justified in their field."""
    values = entries["value"].astype(np.uint64)
    word = 8 * entries["value"].dtype.itemsize
    bits = np.minimum(8 * _element_sizes(entries["type"]), word)
    single = (entries["count"] == 1) & (bits > 0)
    spare = np.where(single, word - bits, 0).astype(np.uint64)
    if structure.byte_order == ">":
        values >>= spare
    else:
        values &= np.uint64(2**word - 1) >> spare
    # Positions from 2**63 on become negative, which the check of the file size refuses.
    return values.view(np.int64)
