"""How each dataset of a file is stored: what the data and defaults say, and the user's edits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.compression import parse_compression

AS_GIVEN = "as given"
"""Compression of data whose wrapper states filters that are no preset; they are kept."""

DEFAULT_BUFFER_GB = 0.5
_EDITABLE = ("chunk_shape", "compression", "shuffle")
_GENERAL = ("backend", "compression", "chunk_mb", "buffer_gb")


def _shape(value: Any) -> tuple[int, ...]:
    whole = isinstance(value, (list, tuple)) and all(
        isinstance(size, (int, np.integer)) and not isinstance(size, bool) for size in value
    )
    if not whole:
        raise ArgumentError(f"A shape is {value!r}; it must be a list of integers.")
    return tuple(int(size) for size in value)


def _check_compression(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
    if value not in (None, AS_GIVEN):
        parse_compression(value)


def _check_chunks(dataset: DatasetConfiguration, _: Any, chunks: tuple[int, ...] | None) -> None:
    if chunks is None:
        return
    shape = chunks if dataset.shape is None else dataset.shape
    fits = all(1 <= chunk <= size for chunk, size in zip(chunks, shape, strict=False))
    if len(chunks) != len(shape) or not fits:
        raise ArgumentError(
            f"chunk_shape of '{dataset.location}' is {chunks}; it must have {len(shape)} sizes, "
            f"each from 1 to that of the dataset, {shape}."
        )


def _check_flag(dataset: DatasetConfiguration, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise ArgumentError(
            f"{field.name} of '{dataset.location}' is {value!r}; it must be true or false."
        )


def _check_positive(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < math.inf):
        raise ArgumentError(f"{field.name} is {value!r}; it must be a number above 0.")


def _dtype(value: Any) -> np.dtype[Any]:
    # YAML has no tuples, of which a record's fields are made.
    fields = [tuple(field) for field in value] if isinstance(value, list) else value
    try:
        return np.dtype(fields)
    except TypeError as error:
        raise ArgumentError(f"dtype is {value!r}; that is no dtype.") from error


_optional_shape = attrs.converters.optional(_shape)


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
        converter=attrs.converters.optional(_dtype),
        on_setattr=attrs.setters.frozen,
    )
    chunk_shape: tuple[int, ...] | None = attrs.field(
        default=None, converter=_optional_shape, validator=_check_chunks
    )
    compression: str | None = attrs.field(default=None, validator=_check_compression)
    shuffle: bool | None = attrs.field(default=None, validator=_check_flag)

    @property
    def num_bytes(self) -> int:
        """Size of the dataset before compression; 0 while its shape is not stated."""
        return _num_bytes(self.shape, self.dtype)

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk before compression; 0 while it is not stated."""
        return _num_bytes(self.chunk_shape, self.dtype)


@attrs.define(kw_only=True)
class BackendConfiguration:
    """How the datasets of a file are stored.

    Attributes
    ----------
    backend : {"hdf5", "zarr"}
    compression : str, optional
        Of all datasets whose own entry states none; the default of the backend when not given.
    chunk_mb : float, optional
        Size of chunks, in units of 1e6 bytes, of all datasets whose own entry states none; what
        the data propose when not given.
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
    compression: str | None = attrs.field(default=None, validator=_check_compression)
    chunk_mb: float | None = attrs.field(default=None, validator=_check_positive)
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
        from nwb_ophys.storage.planning import configuration_of

        general = cls(
            backend=backend, compression=compression, chunk_mb=chunk_mb, buffer_gb=buffer_gb
        )
        return configuration_of(nwbfile, general)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BackendConfiguration:
        """Return the configuration that :meth:`to_dict` gave; what is left out is not stated.

        Raises
        ------
        ArgumentError
            For a key or a value that is not known.
        """
        _check_keys(document, (*_GENERAL, "datasets"), "The configuration")
        datasets = document.get("datasets") or {}
        _check_keys(datasets, None, "datasets")
        found = {}
        for location, entry in datasets.items():
            name = str(location).strip("/")
            _check_keys(entry or {}, ("shape", "dtype", *_EDITABLE), f"The entry of '{name}'")
            found[name] = DatasetConfiguration(location=name, **(entry or {}))
        general = {key: document[key] for key in _GENERAL if document.get(key) is not None}
        return cls(**general, datasets=found)

    @classmethod
    def from_yaml(cls, path: str | Path) -> BackendConfiguration:
        """Return the configuration of a YAML file, such as :meth:`to_yaml` gives.

        Raises
        ------
        ArgumentError
            When it is no YAML, or has a key or a value that is not known.
        """
        import yaml

        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ArgumentError(f"'{path}' is no YAML: {error}") from error
        try:
            return cls.from_dict({} if document is None else document)
        except ArgumentError as error:
            raise ArgumentError(f"'{path}': {error}") from None

    def __getitem__(self, location: str) -> DatasetConfiguration:
        name = location.strip("/")
        if name not in self.datasets:
            known = ", ".join(self.datasets) or "none"
            raise KeyError(f"No dataset '{location}' is configured; there are: {known}.")
        return self.datasets[name]

    def __iter__(self) -> Iterator[DatasetConfiguration]:
        return iter(self.datasets.values())

    def __len__(self) -> int:
        return len(self.datasets)

    def __str__(self) -> str:
        """Return a table with sizes."""
        heads = ("dataset", "shape", "dtype", "MB", "chunk", "chunk MB", "compression", "shuffle")
        rows = [heads, *(_table_row(dataset) for dataset in self)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain lists and dictionaries, as YAML and JSON hold them."""
        general = {key: getattr(self, key) for key in _GENERAL}
        stated = {key: value for key, value in general.items() if value is not None}
        return {**stated, "datasets": {each.location: _entry(each) for each in self}}

    def to_yaml(self) -> str:
        """Return it as YAML to edit, below the table."""
        import yaml

        table = "".join(f"# {line}\n" for line in str(self).splitlines())
        return table + yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None)


def _num_bytes(shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> int:
    return 0 if shape is None or dtype is None else math.prod(shape) * dtype.itemsize


def _check_keys(entry: Any, allowed: tuple[str, ...] | None, what: str) -> None:
    if not isinstance(entry, Mapping):
        raise ArgumentError(f"{what} is {entry!r}; it must be a dictionary.")
    unknown = [key for key in entry if allowed is not None and key not in allowed]
    if unknown:
        raise ArgumentError(f"{what} has no key '{unknown[0]}'; keys: {', '.join(allowed or ())}.")


def _dtype_text(dtype: np.dtype[Any]) -> Any:
    if dtype.names is None:
        return dtype.name if dtype.isnative else dtype.str
    return [[name, dtype[name].str] for name in dtype.names]


def _entry(dataset: DatasetConfiguration) -> dict[str, Any]:
    entry = {
        "shape": None if dataset.shape is None else list(dataset.shape),
        "dtype": None if dataset.dtype is None else _dtype_text(dataset.dtype),
        "chunk_shape": None if dataset.chunk_shape is None else list(dataset.chunk_shape),
        "compression": dataset.compression,
        "shuffle": dataset.shuffle,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _table_row(dataset: DatasetConfiguration) -> tuple[str, ...]:
    def sizes(shape: tuple[int, ...] | None) -> str:
        return "" if shape is None else " x ".join(map(str, shape))

    names = getattr(dataset.dtype, "names", None)
    return (
        dataset.location,
        sizes(dataset.shape),
        f"({', '.join(names)})" if names else str(dataset.dtype or ""),
        f"{dataset.num_bytes / 1e6:.1f}",
        sizes(dataset.chunk_shape),
        f"{dataset.chunk_bytes / 1e6:.2f}",
        dataset.compression or "",
        {True: "yes", False: "no", None: ""}[dataset.shuffle],
    )
