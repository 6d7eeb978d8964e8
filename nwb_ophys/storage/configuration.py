"""How each dataset of a file is stored: what the data and defaults say, and the user's edits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import ArgumentError, SourceNotFoundError
from nwb_ophys.storage.compression import parse_compression

KEEP_FILTERS = "as given"
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
    if value not in (None, KEEP_FILTERS):
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


DEFAULT_BUFFER_GB = 0.5
_GENERAL = ("backend", "compression", "chunk_mb", "buffer_gb")


def _check_positive(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if value is None and field.default is None:
        return
    if not (is_number and 0 < value < math.inf):
        raise ArgumentError(f"{field.name} is {value!r}; it must be a number above 0.")


def _set_everywhere(
    configuration: BackendConfiguration, field: attrs.Attribute[Any], value: Any
) -> Any:
    """Let a general setting that is set later hold for all datasets, whatever they stated."""
    for dataset in configuration.datasets.values():
        if field.name == "compression":
            dataset.compression = value
        else:
            dataset.chunk_shape = None
    return value


_HOLDS_FOR_ALL = [attrs.setters.validate, _set_everywhere]


@attrs.define(kw_only=True)
class BackendConfiguration:
    """How the datasets of a file are stored.

    Attributes
    ----------
    backend : {"hdf5", "zarr"}
    compression : str, optional
        Of all datasets whose own entry states none; what the wrapper of the data says, or the
        default of the backend, when not given. When it is set later, it holds for all datasets.
    chunk_mb : float, optional
        Size of chunks, in units of 1e6 bytes, of all datasets whose own entry states none; what
        the data propose when not given. When it is set later, it holds for all datasets.
    buffer_gb : float
        Size of all that is read ahead and being encoded at any time, in units of 1e9 bytes.
    datasets : dict of str to DatasetConfiguration
        By location.

    Examples
    --------
    >>> configuration = BackendConfiguration.from_nwbfile(nwbfile)
    >>> print(configuration)
    >>> configuration["acquisition/TwoPhotonSeries/data"].compression = "gzip:9"
    >>> write_nwbfile(nwbfile, "session.nwb", configuration=configuration)
    """

    backend: str = "hdf5"
    compression: str | None = attrs.field(
        default=None, validator=check_compression, on_setattr=_HOLDS_FOR_ALL
    )
    chunk_mb: float | None = attrs.field(
        default=None, validator=_check_positive, on_setattr=_HOLDS_FOR_ALL
    )
    buffer_gb: float = attrs.field(default=DEFAULT_BUFFER_GB, validator=_check_positive)
    datasets: dict[str, DatasetConfiguration] = attrs.field(factory=dict)

    @classmethod
    def from_nwbfile(
        cls,
        nwbfile: Any,
        backend: str = "hdf5",
        *,
        compression: str | None = None,
        chunk_mb: float | None = None,
        buffer_gb: float = DEFAULT_BUFFER_GB,
    ) -> BackendConfiguration:
        """Return how an ``NWBFile`` would be stored, dataset by dataset, to look at and to edit.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
            It is the same afterwards. Datasets of a few bytes are not listed; they are stored as
            pynwb does.
        backend, compression, chunk_mb, buffer_gb
            See the class.
        """
        from nwb_ophys.storage.planning import plan_nwbfile

        general = cls(
            backend=backend, compression=compression, chunk_mb=chunk_mb, buffer_gb=buffer_gb
        )
        return plan_nwbfile(nwbfile, general)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BackendConfiguration:
        """Return the configuration that :meth:`to_dict` gave; what is left out is not stated.

        Raises
        ------
        ArgumentError
            For a key or a value that is not known.
        """
        _check_keys(document, (*_GENERAL, "datasets"), "The configuration")
        datasets = document.get("datasets")
        datasets = {} if datasets is None else datasets
        _check_keys(datasets, None, "datasets")
        found = {}
        for location, entry in datasets.items():
            name = str(location).strip("/")
            found[name] = _dataset(name, {} if entry is None else entry)
        general = {key: document[key] for key in _GENERAL if document.get(key) is not None}
        return cls(**general, datasets=found)

    @classmethod
    def from_yaml(cls, path: str | Path, *, default_backend: str = "hdf5") -> BackendConfiguration:
        """Return the configuration that a YAML file states, as :meth:`to_yaml` writes it.

        Parameters
        ----------
        path : path-like
        default_backend : {"hdf5", "zarr"}
            The backend when the file does not state one.

        Raises
        ------
        SourceNotFoundError
            When the file does not exist.
        ArgumentError
            When the file is not valid YAML, gives a key twice, or has an unknown key or value.
        """
        document = _read_yaml(path)
        try:
            configuration = cls.from_dict({} if document is None else document)
        except ArgumentError as error:
            raise ArgumentError(f"'{path}': {error}") from None
        is_stated = document is not None and document.get("backend") is not None
        return configuration if is_stated else attrs.evolve(configuration, backend=default_backend)

    def __getitem__(self, location: str) -> DatasetConfiguration:
        name = location.strip("/")
        if name not in self.datasets:
            known = ", ".join(self.datasets) or "none"
            raise KeyError(f"No dataset '{location}' is configured; there are: {known}.")
        return self.datasets[name]

    def __iter__(self) -> Iterator[DatasetConfiguration]:
        return iter(self.datasets.values())

    def __str__(self) -> str:
        """Return a table with sizes."""
        rows = [TABLE_HEADS, *(dataset.table_row() for dataset in self)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(TABLE_HEADS))]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain lists and dictionaries, as YAML and JSON hold them."""
        general = {key: getattr(self, key) for key in _GENERAL}
        stated = {key: value for key, value in general.items() if value is not None}
        return {**stated, "datasets": {each.location: each.to_dict() for each in self}}

    def to_yaml(self) -> str:
        """Return the configuration as YAML to edit, below the table of datasets as a comment."""
        from nwb_ophys.documents import dump_yaml

        table = "".join(f"# {line}\n" for line in str(self).splitlines())
        return table + dump_yaml(self.to_dict())


def _dataset(location: str, entry: Any) -> DatasetConfiguration:
    _check_keys(entry, ("shape", "dtype", "maxshape", *EDITABLE), f"The entry of '{location}'")
    try:
        return DatasetConfiguration(location=location, **entry)
    except ArgumentError as error:
        told = str(error)
        told = told if location in told else f"The entry of '{location}': {told}"
        raise ArgumentError(told) from None


def _read_yaml(path: str | Path) -> Any:
    from nwb_ophys.documents import DocumentError, read_document

    file = Path(path).expanduser()
    if not file.is_file():
        raise SourceNotFoundError(f"'{path}' is not a file; check the path of the configuration.")
    try:
        return read_document(file)
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"The configuration file '{path}' is not valid: it is not a text in UTF-8 ({error}); "
            "give a YAML file, such as --plan prints."
        ) from None
    except DocumentError as error:
        raise ArgumentError(f"The configuration file '{path}' is not valid: {error}.") from None


def _check_keys(entry: Any, allowed: tuple[str, ...] | None, what: str) -> None:
    if not isinstance(entry, Mapping):
        raise ArgumentError(f"{what} is {entry!r}; it must be a dictionary.")
    unknown = [key for key in entry if allowed is not None and key not in allowed]
    if unknown:
        raise ArgumentError(f"{what} has no key '{unknown[0]}'; keys: {', '.join(allowed or ())}.")
