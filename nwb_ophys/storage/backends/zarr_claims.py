"""Comparison of the size that a Zarr array claims with the bytes of its chunks, and its codecs.

A decoder asks for the memory that the header of a compressed chunk states, or inflates a chunk
to its end, whatever the shape of a chunk is. The codec for pickles runs any code; some versions of
numcodecs decode it, so it is refused by its name, before Zarr makes the codec.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import CorruptSourceError, SourceError, UnsafePickleError, as_sentence
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.blosc_chunks import fault_of_stored
from nwb_ophys.storage.backends.inflated import (
    DEFLATE_DENSEST,
    DEFLATED,
    HEADER_BYTES,
    IN_HEADER,
    MEASURES,
    Measure,
    zstd_size,
)
from nwb_ophys.storage.backends.zarr_places import (
    ABSENT,
    ShardLayout,
    StoredChunk,
    array_folder,
    read_index,
    shown,
)

_LARGE = 1 << 26
_LARGE_CHUNK, _DENSEST_CHUNK = 1 << 27, 200
_MANY_CHUNKS, _MOST_ABSENT = 100_000, 10_000
_MOST_ITEM = 1 << 16
_MOST_INFLATED = 1 << 26
_SHARDING = "sharding_indexed"


@attrs.frozen(kw_only=True)
class _Claims:
    """Header of an array of format 2 or 3.

    Attributes
    ----------
    shape, chunks : tuple of int
    itemsize : int
    codecs : tuple of str
        Names of the codecs, in the order in which they decode a chunk.
    base : pathlib.Path
        Folder of the chunks.
    separator : str
    decoders : tuple of dict
        Settings of the codecs, in the same order; empty for format 3.
    layout : ShardLayout or None
        Shards of the array; their chunks are those of ``chunks``.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    itemsize: int
    codecs: tuple[str, ...]
    base: Path
    separator: str
    decoders: tuple[dict[str, Any], ...] = ()
    layout: ShardLayout | None = None

    @property
    def chunk_bytes(self) -> int:
        """Size of a decoded chunk."""
        return math.prod(self.chunks) * self.itemsize


def _read_claims(folder: Path) -> _Claims | None:
    """Return the header of an array; None where the folder holds none."""
    if (folder / ".zarray").is_file():
        return _claims_of_format_2(folder, parse_source_json(read_limited(folder / ".zarray")))
    if (folder / "zarr.json").is_file():
        header = parse_source_json(read_limited(folder / "zarr.json"))
        return _claims_of_format_3(folder, header) if header.get("node_type") == "array" else None
    return None


def _claims_of_format_2(folder: Path, header: dict[str, Any]) -> _Claims:
    used = [header.get("compressor"), *reversed(header.get("filters") or ())]
    decoders = tuple(dict(each) for each in used if each is not None)
    return _Claims(
        shape=tuple(int(size) for size in header["shape"]),
        chunks=tuple(int(size) for size in header["chunks"]),
        itemsize=_itemsize(header["dtype"]),
        codecs=tuple(str(each["id"]) for each in decoders),
        base=folder,
        separator=str(header.get("dimension_separator", ".")),
        decoders=decoders,
    )


def _claims_of_format_3(folder: Path, header: dict[str, Any]) -> _Claims:
    codecs = list(header.get("codecs", ()))
    keys = header.get("chunk_key_encoding", {})
    is_old = keys.get("name") == "v2"
    separator = keys.get("configuration", {}).get("separator", "." if is_old else "/")
    shape, grid = (
        _sizes(header["shape"]),
        _sizes(_configuration(header["chunk_grid"])["chunk_shape"]),
    )
    layout = None
    if any(each["name"] == _SHARDING for each in codecs):
        codecs, layout = _sharded(codecs, shape, grid)
    return _Claims(
        shape=shape,
        chunks=grid if layout is None else layout.chunks,
        itemsize=_itemsize_of_format_3(header["data_type"]),
        codecs=tuple(str(each["name"]).removeprefix("numcodecs.") for each in reversed(codecs)),
        base=folder if is_old else folder / "c",
        separator=str(separator),
        layout=layout,
    )


def _sharded(
    codecs: list[dict[str, Any]], shape: tuple[int, ...], grid: tuple[int, ...]
) -> tuple[list[dict[str, Any]], ShardLayout]:
    """Return the codecs of the chunks in shards, and the layout of the shards."""
    stated = _configuration(codecs[0])
    inner, index = stated["codecs"], stated.get("index_codecs", ())
    chunks, names = _sizes(stated["chunk_shape"]), [str(each["name"]) for each in index]
    if len(codecs) > 1 or any(each["name"] == _SHARDING for each in inner):
        raise ValueError("its shards are encoded by further codecs, or lie within shards.")
    if names and names != ["bytes", "crc32c"]:
        raise ValueError(f"the indices of its shards are encoded by {', '.join(names)}.")
    fits = len(grid) == len(chunks) == len(shape) and min((*chunks, *grid), default=1) > 0
    if not fits or any(size % step for size, step in zip(grid, chunks, strict=True)):
        raise ValueError(f"its shards of the shape {list(grid)} do not hold chunks of {chunks}.")
    is_first = stated.get("index_location", "end") == "start"
    return list(inner), ShardLayout(
        shape=shape, chunks=chunks, shards=grid, is_index_first=is_first
    )


def _configuration(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part["configuration"]
    return found


def _sizes(given: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in given)


def _itemsize_of_format_3(dtype: Any) -> int:
    """Return the number of bytes of a value, whose type is a name or has settings."""
    if isinstance(dtype, dict):
        stated = dtype.get("configuration", {})
        fields = stated.get("fields")
        if fields is not None:
            kinds = (e["data_type"] if isinstance(e, dict) else e[1] for e in fields)
            return sum(map(_itemsize_of_format_3, kinds))
        return max(int(stated.get("length_bytes", 8)), 1)
    return max(int("".join(each for each in str(dtype) if each.isdigit()) or 8) // 8, 1)


def _itemsize(dtype: Any) -> int:
    return int("".join(each for each in str(dtype) if each.isdigit()) or 1)


def layout_of(folder: Path) -> ShardLayout | None:
    """Return the layout of the shards of an array in a folder; None for one without shards."""
    claims = _read_claims(folder)
    return None if claims is None else claims.layout


def check_header(folder: Path) -> None:
    """Check the shape, the chunks, the type and the codecs in the header of an array.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array.

    Raises
    ------
    UnsafePickleError
        When its values are pickles.
    ValueError
        With the claim, and the size of the largest chunk in the folder.
    """
    claims = _read_claims(folder)
    if claims is not None:
        _check_all(folder, claims, chunks=False)


def _check_codecs(folder: Path, claims: _Claims) -> None:
    if "pickle" in claims.codecs:
        raise UnsafePickleError(
            f"'{folder}' holds pickles (codec 'pickle'), which can run any code, and is not read. "
            "If you trust its author, write the store again with another codec, such as JSON."
        )
    inflating = [each for each in claims.codecs if each in MEASURES]
    # Chunks of format 3 are not decoded here, which the sizes of a second codec need.
    if len(inflating) > 1 and not claims.decoders:
        raise ValueError(
            f"its chunks are compressed by several codecs ({', '.join(claims.codecs)})."
        )
    for name in _MANIFOLD.intersection(claims.codecs):
        raise ValueError(f"its codec '{name}' inflates chunks to any size.")


def _check_claims(folder: Path, claims: _Claims) -> None:
    shape, chunks = list(claims.shape), list(claims.chunks)
    if min(shape, default=0) < 0 or min(chunks, default=1) < 1 or claims.itemsize > _MOST_ITEM:
        raise ValueError(
            f"it claims the shape {shape} in chunks of {chunks}, {claims.itemsize} bytes each."
        )
    claimed = claims.chunk_bytes
    if claimed > _LARGE_CHUNK:
        some = itertools.islice(_stored(folder, claims), 100)
        stored = max((each.size for each in some), default=0)
        if claimed > stored * _DENSEST_CHUNK:
            raise ValueError(
                f"it claims chunks of the shape {chunks} ({claimed} bytes), but the largest has "
                f"{stored} bytes."
            )
    number = math.prod(-(-size // step) for size, step in zip(shape, chunks, strict=True))
    if number <= _MANY_CHUNKS:
        return
    present = sum(1 for _ in _stored(folder, claims))
    # Zarr lists all chunks; a writer may leave out some of them, but not nearly all.
    if number > _MOST_ABSENT * (present + 10):
        raise ValueError(f"it claims {number} chunks, but the folder has {present} of them.")


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of chunks or shards; that of an array without axes has no number."""
    found = (each for each in folder.rglob("*") if each.name[:1].isdigit() or each.name == "c")
    return (each for each in found if each.is_file())


def _stored(folder: Path, claims: _Claims) -> Iterator[StoredChunk]:
    """Yield the chunks that are stored, those in shards by the indices of the shards."""
    for file in _files(folder):
        if claims.layout is None:
            yield StoredChunk.of_file(file)
            continue
        index, _ = read_index(file, claims.layout)
        for position, (start, size) in enumerate(index.tolist()):
            if start != ABSENT or size != ABSENT:
                yield StoredChunk(file, start, size, f"{position} of {shown(file)}")


def check_array_claims(folder: Path, *, chunks: bool = True) -> None:
    """Check the header of an array and the size to which each of its chunks inflates.

    Chunks whose size is known only after they were inflated are checked up to a total of 64 MB.
    The copies of headers in a ``.zmetadata`` of the folder, which Zarr reads in their place, are
    checked as well.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of an array or a group.
    chunks : bool
        Whether the chunks are checked as well as the headers.

    Raises
    ------
    CorruptSourceError
        Names the array; an UnsafePickleError where its values are pickles.
    """
    _check_own(folder, chunks)
    for name, header in _consolidated(folder).items():
        with opening_array(folder / name):
            is_later = header.get("zarr_format") == 3
            read = _claims_of_format_3 if is_later else _claims_of_format_2
            claims = read(folder / name, header)
            if claims != _read_claims(folder / name):
                _check_codecs(folder / name, claims)
                _check_own(folder / name, chunks)
                _check_all(folder / name, claims, chunks)


def _check_own(folder: Path, chunks: bool) -> None:
    with opening_array(folder):
        claims = _read_claims(folder)
        if claims is not None:
            _check_all(folder, claims, chunks)


@contextmanager
def opening_array(folder: Path) -> Iterator[None]:
    """Name the array in errors that a damaged header leads to.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array.

    Raises
    ------
    CorruptSourceError
        Errors of the sources themselves pass.
    """
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # a damaged header can raise anything
        raise CorruptSourceError(
            f"'{folder}' cannot be opened as a Zarr array: {as_sentence(error)} It may be damaged."
        ) from error


def _consolidated(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the copies of headers of arrays in a folder, by the names of the arrays."""
    with opening_array(folder):
        if (folder / ".zmetadata").is_file():
            copies = parse_source_json(read_limited(folder / ".zmetadata"))["metadata"]
            return {
                name.removesuffix(".zarray").rstrip("/"): header
                for name, header in copies.items()
                if name.endswith(".zarray")
            }
        if not (folder / "zarr.json").is_file():
            return {}
        header = parse_source_json(read_limited(folder / "zarr.json"))
        copies = (header.get("consolidated_metadata") or {}).get("metadata", {})
        return {
            name: header for name, header in copies.items() if header.get("node_type") == "array"
        }


def _check_all(folder: Path, claims: _Claims, chunks: bool) -> None:
    _check_codecs(folder, claims)
    _check_claims(folder, claims)
    measure = _measure_of(claims)
    if measure is None or not chunks:
        return
    num_bytes = 0
    for chunk in _stored(folder, claims):
        _check_chunk(chunk, measure, claims)
        is_inflated = measure not in IN_HEADER or len(claims.codecs) > 1
        num_bytes += chunk.size * is_inflated
        if num_bytes > _MOST_INFLATED:
            return


def check_chunks(folder: Path, array: Any, selection: tuple[Any, ...]) -> None:
    """Check that the chunks of a selection do not inflate to more than their shape.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array.
    array : zarr.Array
    selection : tuple of int or slice

    Raises
    ------
    ValueError
        With the name of the chunk.
    """
    claims = _read_claims(folder)
    measure = None if claims is None else _measure_of(claims)
    if claims is None or measure is None:
        return
    indices: dict[Path, list[list[int]]] = {}
    for place in itertools.product(*_chunk_numbers(array, selection)):
        chunk = _chunk_at(place, claims, indices)
        if chunk is not None:
            _check_chunk(chunk, measure, claims)


def _chunk_at(
    place: tuple[int, ...], claims: _Claims, indices: dict[Path, list[list[int]]]
) -> StoredChunk | None:
    """Return the chunk with a number along each axis, if it is stored; keep indices of shards."""
    if claims.layout is None:
        files = (claims.base / each.join(map(str, place)) for each in (claims.separator, "."))
        return next((StoredChunk.of_file(each) for each in files if each.is_file()), None)
    shard, position = claims.layout.place_of(place)
    file = claims.base / claims.separator.join(map(str, shard))
    if file not in indices:
        indices[file] = read_index(file, claims.layout)[0].tolist() if file.is_file() else []
    if not indices[file] or indices[file][position] == [ABSENT, ABSENT]:
        return None
    start, size = indices[file][position]
    return StoredChunk(file, start, size, f"{position} of {shown(file)}")


@attrs.frozen
class _Content:
    """An encoded chunk in memory."""

    data: bytes
    name: str

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, most: int | None = None) -> bytes:
        return self.data[:most]


@attrs.frozen
class ChunkCheck:
    """Check of encoded chunks of an array, which does not read them itself.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the array.
    """

    folder: Path
    _claims: _Claims

    @classmethod
    def of(cls, folder: Path) -> ChunkCheck | None:
        """Return the check of the array in a folder; None where the folder holds none."""
        claims = _read_claims(folder)
        return None if claims is None else cls(folder, claims)

    @property
    def layout(self) -> ShardLayout | None:
        """Shards of the array."""
        return self._claims.layout

    def check(self, data: bytes, name: str) -> None:
        """Check that an encoded chunk does not inflate to more than its shape.

        Raises
        ------
        ValueError
            With the name of the chunk.
        """
        measure = _measure_of(self._claims)
        if measure is not None:
            _check_chunk(_Content(data, name), measure, self._claims)


def check_chunks_of(array: Any, selection: tuple[Any, ...] | None = None) -> None:
    """Check the chunks of an open array of a store in a folder, or those of a selection.

    Those of a store in an object store are checked when they are fetched.

    Raises
    ------
    ValueError
        With the name of the chunk.
    """
    folder = array_folder(array)
    if folder is not None and not isinstance(folder, RemotePath):
        everything = (slice(None),) * len(array.shape)
        check_chunks(folder, array, selection or everything)


def _measure_of(claims: _Claims) -> Measure | None:
    return next((MEASURES[each] for each in claims.codecs if each in MEASURES), None)


def _check_chunk(chunk: StoredChunk | _Content, measure: Measure, claims: _Claims) -> None:
    is_blosc = claims.codecs[:1] == ("blosc",)
    fault = fault_of_stored(chunk.read, chunk.size) if is_blosc else ""
    if fault:
        raise ValueError(f"the chunk '{chunk.name}' {fault}.")
    is_single = sum(each in MEASURES for each in claims.codecs) == 1
    if is_single and (claims.codecs[0] in MEASURES or not claims.decoders):
        most = max(claims.chunk_bytes, _LARGE)
        _compare(chunk, measure(_content(chunk, measure, most), most), claims)
    else:
        _check_stages(chunk, claims)


def _check_stages(chunk: StoredChunk | _Content, claims: _Claims) -> None:
    """Decode a chunk codec by codec, and measure what each makes of it before it does."""
    from numcodecs import get_codec

    data = chunk.read()
    for stated in claims.decoders:
        measure = MEASURES.get(str(stated["id"]))
        if measure is not None:
            _compare(chunk, measure(data, max(claims.chunk_bytes, _LARGE)), claims)
        decoded = get_codec(dict(stated)).decode(data)
        if decoded is None or getattr(decoded, "dtype", None) == np.dtype(object):
            return  # texts and the like, which no codec inflates further
        data = bytes(memoryview(decoded).cast("B"))


def _compare(chunk: StoredChunk | _Content, size: int | None, claims: _Claims) -> None:
    if size is not None and size > max(claims.chunk_bytes, _LARGE):
        raise ValueError(
            f"the chunk '{chunk.name}' inflates to more than the {claims.chunk_bytes} bytes of its "
            "shape."
        )


def _content(chunk: StoredChunk | _Content, measure: Measure, most: int) -> bytes:
    """Return the bytes of a chunk that are measured; none where it is too small to be a bomb."""
    head = chunk.read(HEADER_BYTES)
    states_size = measure is zstd_size and len(head) > 4 and head[4] & 0xE0
    if measure in IN_HEADER or states_size:
        return head
    is_small = measure in DEFLATED and chunk.size * DEFLATE_DENSEST <= most
    return b"" if is_small else chunk.read()


def _chunk_numbers(array: Any, selection: tuple[Any, ...]) -> Iterator[range]:
    for size, step, part in zip(array.shape, array.chunks, selection, strict=True):
        if isinstance(part, slice):
            start, stop, _ = part.indices(size)
        else:
            start = int(part) % max(size, 1)
            stop = start + 1
        yield range(start // step, -(-stop // step))


# Codecs whose parameters choose the size of what a byte becomes; no program for microscopy uses it.
_MANIFOLD = frozenset({"categorize"})
