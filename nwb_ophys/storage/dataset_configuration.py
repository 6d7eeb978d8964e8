"""How one dataset is stored."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.compression import parse_compression

AS_GIVEN = "as given"
"""Compression of data whose wrapper states filters that are no preset; they are kept."""


TABLE_HEADS = ("dataset", "shape", "dtype", "MB", "chunk", "chunk MB", "compression", "shuffle")
EDITABLE = ("chunk_shape", "compression", "shuffle")


def check_compression(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
    """Check the compression of an attrs field.

    Raises
    ------
    ArgumentError
        When it is neither a preset nor ``as given``.
    """
    if value not in (None, AS_GIVEN):
        parse_compression(value)


def _shape(value: Any) -> tuple[int, ...]:
    whole = isinstance(value, (list, tuple)) and all(
        isinstance(size, (int, np.integer)) and not isinstance(size, bool) for size in value
    )
    if not whole:
        raise ArgumentError(f"A shape is {value!r}; it must be a list of integers.")
    return tuple(int(size) for size in value)


def _check_chunks(dataset: DatasetConfiguration, _: Any, chunks: tuple[int, ...] | None) -> None:
    if chunks is None:
        return
    shape = chunks if dataset.shape is None else dataset.shape
    limits = shape if dataset.maxshape is None else dataset.maxshape
    fits = all(
        chunk >= 1 and (limit is None or chunk <= max(limit, size))
        for chunk, limit, size in zip(chunks, limits, shape, strict=False)
    )
    if len(chunks) != len(shape) or not fits:
        raise ArgumentError(
            f"chunk_shape of '{dataset.location}' is {chunks}; it must have {len(shape)} sizes, "
            f"each from 1 to that of the dataset, {shape}."
        )


def _optional_limits(value: Any) -> tuple[int | None, ...] | None:
    return None if value is None else tuple(value)


def _check_flag(dataset: DatasetConfiguration, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise ArgumentError(
            f"{field.name} of '{dataset.location}' is {value!r}; it must be true or false."
        )


def _optional_shape(value: Any) -> tuple[int, ...] | None:
    return None if value is None else _shape(value)


def _optional_dtype(value: Any) -> np.dtype[Any] | None:
    if value is None:
        return None
    try:
        # YAML has no tuples, of which a record's fields are made.
        fields = [tuple(field) for field in value] if isinstance(value, list) else value
        return np.dtype(fields)
    except (TypeError, ValueError, SyntaxError) as error:
        raise ArgumentError(f"dtype is {value!r}; that is no dtype.") from error


@attrs.define(kw_only=True)
class DatasetConfiguration:
    """How one dataset is stored. Its chunks, compression and shuffle can be set.

    None means: as the data have it, or as the whole file does.

    Attributes
    ----------
    location : str
        Its path in the file, such as ``acquisition/TwoPhotonSeries/data``.
    shape : tuple of int
    dtype : numpy.dtype
    maxshape : tuple of (int or None)
        How far the dataset may grow later, None for any length; stated only where it may.
    chunk_shape : tuple of int
    compression : str
        ``gzip``, ``gzip:1`` to ``gzip:9``, ``zstd``, ``blosc``, ``lz4`` or ``none``; or
        ``as given`` where the data are wrapped with filters that are none of these.
    shuffle : bool
        Whether bytes are shuffled before they are compressed.
    """

    location: str = attrs.field(on_setattr=attrs.setters.frozen)
    shape: tuple[int, ...] | None = attrs.field(
        default=None, converter=_optional_shape, on_setattr=attrs.setters.frozen
    )
    dtype: np.dtype[Any] | None = attrs.field(
        default=None,
        converter=_optional_dtype,
        on_setattr=attrs.setters.frozen,
    )
    maxshape: tuple[int | None, ...] | None = attrs.field(
        default=None,
        converter=_optional_limits,
        on_setattr=attrs.setters.frozen,
    )
    chunk_shape: tuple[int, ...] | None = attrs.field(
        default=None, converter=_optional_shape, validator=_check_chunks
    )
    compression: str | None = attrs.field(default=None, validator=check_compression)
    shuffle: bool | None = attrs.field(default=None, validator=_check_flag)

    @property
    def num_bytes(self) -> int:
        """Size of the dataset before compression; 0 while its shape is not stated."""
        return _num_bytes(self.shape, self.dtype)

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk before compression; 0 while it is not stated."""
        return _num_bytes(self.chunk_shape, self.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return what is stated, but the location, as plain lists and texts."""
        entry = {
            "shape": None if self.shape is None else list(self.shape),
            "dtype": None if self.dtype is None else _dtype_text(self.dtype),
            "maxshape": None if self.maxshape is None else list(self.maxshape),
            "chunk_shape": None if self.chunk_shape is None else list(self.chunk_shape),
            "compression": self.compression,
            "shuffle": self.shuffle,
        }
        return {key: value for key, value in entry.items() if value is not None}

    def table_row(self) -> tuple[str, ...]:
        """Return what :data:`TABLE_HEADS` names, as texts."""
        names = getattr(self.dtype, "names", None)
        return (
            self.location,
            " x ".join(map(str, self.shape or ())),
            f"({', '.join(names)})" if names else str(self.dtype or ""),
            f"{self.num_bytes / 1e6:.1f}",
            " x ".join(map(str, self.chunk_shape or ())),
            f"{self.chunk_bytes / 1e6:.2f}",
            self.compression or "",
            "" if self.shuffle is None else "yes" if self.shuffle else "no",
        )


def _num_bytes(shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> int:
    return 0 if shape is None or dtype is None else math.prod(shape) * dtype.itemsize


def _dtype_text(dtype: np.dtype[Any]) -> Any:
    if dtype.names is None:
        return dtype.name if dtype.isnative else dtype.str
    return [[name, dtype[name].str] for name in dtype.names]
