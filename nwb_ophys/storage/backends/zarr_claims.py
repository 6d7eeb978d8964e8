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
from nwb_ophys.errors import CorruptSourceError, SourceError, UnsafePickleError
from nwb_ophys.storage.backends.blosc_chunks import fault_of_file
from nwb_ophys.storage.backends.inflated import (
    DEFLATE_DENSEST,
    DEFLATED,
    HEADER_BYTES,
    IN_HEADER,
    MEASURES,
    Measure,
    zstd_size,
)

_LARGE = 1 << 26
_LARGE_CHUNK, _DENSEST_CHUNK = 1 << 27, 200
_MANY_CHUNKS, _MOST_ABSENT = 100_000, 10_000
_MOST_ITEM = 1 << 16
_MOST_INFLATED = 1 << 26


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
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    itemsize: int
    codecs: tuple[str, ...]
    base: Path
    separator: str
    decoders: tuple[dict[str, Any], ...] = ()

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
    codecs = [str(each["name"]) for each in header.get("codecs", ())]
    keys = header.get("chunk_key_encoding", {})
    is_old = keys.get("name") == "v2"
    separator = keys.get("configuration", {}).get("separator", "." if is_old else "/")
    grid = header["chunk_grid"]["configuration"]["chunk_shape"]
    bits = "".join(each for each in str(header["data_type"]) if each.isdigit())
    return _Claims(
        shape=tuple(int(size) for size in header["shape"]),
        chunks=tuple(int(size) for size in grid),
        itemsize=max(int(bits or 8) // 8, 1),
        codecs=tuple(each.removeprefix("numcodecs.") for each in reversed(codecs)),
        base=folder if is_old else folder / "c",
        separator=str(separator),
    )


def _itemsize(dtype: Any) -> int:
    return int("".join(each for each in str(dtype) if each.isdigit()) or 1)


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
        stored = max(
            (each.stat().st_size for each in itertools.islice(_files(folder), 100)), default=0
        )
        if claimed > stored * _DENSEST_CHUNK:
            raise ValueError(
                f"it claims chunks of the shape {chunks} ({claimed} bytes), but the largest has "
                f"{stored} bytes."
            )
    number = math.prod(-(-size // step) for size, step in zip(shape, chunks, strict=True))
    if number <= _MANY_CHUNKS:
        return
    present = sum(1 for _ in _files(folder))
    # Zarr lists all chunks; a writer may leave out some of them, but not nearly all.
    if number > _MOST_ABSENT * (present + 10):
        raise ValueError(f"it claims {number} chunks, but the folder has {present} of them.")


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in folder.rglob("*") if each.name[:1].isdigit() and each.is_file())


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
            claims = _claims_of_format_2(folder / name, header)
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
            f"'{folder}' cannot be opened as a Zarr array: {error!r}. It may be damaged."
        ) from error


def _consolidated(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the headers of arrays in a ``.zmetadata``, by the names of the arrays."""
    path = folder / ".zmetadata"
    if not path.is_file():
        return {}
    with opening_array(folder):
        headers = parse_source_json(read_limited(path))["metadata"]
        return {
            name.removesuffix(".zarray").rstrip("/"): header
            for name, header in headers.items()
            if name.endswith(".zarray")
        }


def _check_all(folder: Path, claims: _Claims, chunks: bool) -> None:
    _check_codecs(folder, claims)
    _check_claims(folder, claims)
    measure = _measure_of(claims)
    if measure is None or not chunks:
        return
    num_bytes = 0
    for chunk in _files(folder):
        _check_chunk(chunk, measure, claims)
        is_inflated = measure not in IN_HEADER or len(claims.codecs) > 1
        num_bytes += chunk.stat().st_size * is_inflated
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
    for place in itertools.product(*_chunk_numbers(array, selection)):
        for separator in (claims.separator, "."):
            chunk = claims.base / separator.join(map(str, place))
            if chunk.is_file():
                _check_chunk(chunk, measure, claims)
                break


def check_chunks_of(array: Any, selection: tuple[Any, ...] | None = None) -> None:
    """Check the chunks of an open array of a store in a folder, or those of a selection.

    Raises
    ------
    ValueError
        With the name of the chunk.
    """
    root = getattr(array.chunk_store, "path", None)
    if root is not None:
        everything = (slice(None),) * len(array.shape)
        check_chunks(Path(str(root), array.path), array, selection or everything)


def _measure_of(claims: _Claims) -> Measure | None:
    return next((MEASURES[each] for each in claims.codecs if each in MEASURES), None)


def _check_chunk(chunk: Path, measure: Measure, claims: _Claims) -> None:
    fault = fault_of_file(chunk) if claims.codecs[:1] == ("blosc",) else ""
    if fault:
        raise ValueError(f"the chunk '{chunk.name}' {fault}.")
    is_single = sum(each in MEASURES for each in claims.codecs) == 1
    if is_single and (claims.codecs[0] in MEASURES or not claims.decoders):
        most = max(claims.chunk_bytes, _LARGE)
        _compare(chunk, measure(_content(chunk, measure, most), most), claims)
    else:
        _check_stages(chunk, claims)


def _check_stages(chunk: Path, claims: _Claims) -> None:
    """Decode a chunk codec by codec, and measure what each makes of it before it does."""
    from numcodecs import get_codec

    data = chunk.read_bytes()
    for stated in claims.decoders:
        measure = MEASURES.get(str(stated["id"]))
        if measure is not None:
            _compare(chunk, measure(data, max(claims.chunk_bytes, _LARGE)), claims)
        decoded = get_codec(dict(stated)).decode(data)
        if decoded is None or getattr(decoded, "dtype", None) == np.dtype(object):
            return  # texts and the like, which no codec inflates further
        data = bytes(memoryview(decoded).cast("B"))


def _compare(chunk: Path, size: int | None, claims: _Claims) -> None:
    if size is not None and size > max(claims.chunk_bytes, _LARGE):
        raise ValueError(
            f"the chunk '{chunk.name}' inflates to more than the {claims.chunk_bytes} bytes of its "
            "shape."
        )


def _content(chunk: Path, measure: Measure, most: int) -> bytes:
    """Return the bytes of a chunk that are measured; none where it is too small to be a bomb."""
    with chunk.open("rb") as file:
        head = file.read(HEADER_BYTES)
        states_size = measure is zstd_size and len(head) > 4 and head[4] & 0xE0
        if measure in IN_HEADER or states_size:
            return head
        size = chunk.stat().st_size
        return (
            b"" if measure in DEFLATED and size * DEFLATE_DENSEST <= most else (head + file.read())
        )


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
