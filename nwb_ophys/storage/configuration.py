"""Settings by which the datasets of a file are stored, as a user edits them and as YAML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.errors import ArgumentError, SourceNotFoundError, aligned
from nwb_ophys.home import with_home
from nwb_ophys.html_tables import html_table
from nwb_ophys.outside import require_ordinary
from nwb_ophys.storage.backends.registry import DEFAULT_BACKEND
from nwb_ophys.storage.compression import KEEP_FILTERS, parse_compression

if TYPE_CHECKING:
    from typing_extensions import Self

TABLE_HEADS = ("dataset", "shape", "dtype", "MB", "chunk", "chunk MB", "compression", "shuffle")
EDITABLE = ("chunk_shape", "compression", "shuffle")


def check_compression(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
    """Check the compression of an attrs field.

    Raises
    ------
    ArgumentError
        If the value is neither a preset nor ``as given``.
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
        raise ArgumentError(f"dtype is {value!r}; it must be a NumPy dtype.") from error


@attrs.define(kw_only=True)
class DatasetConfiguration:
    """Settings by which one dataset is stored; chunks, compression and shuffle can be changed.

    A setting that is None follows the data, or the settings of the whole file.

    Attributes
    ----------
    location : str
        Path in the file, such as ``acquisition/TwoPhotonSeries/data``.
    shape : tuple of int
    dtype : numpy.dtype
    maxshape : tuple of (int or None)
        Limits to which the dataset may grow later, None for no limit; stated only for a dataset
        that may grow.
    chunk_shape : tuple of int
    compression : str
        ``gzip``, ``gzip:1`` to ``gzip:9``, ``zstd``, ``blosc``, ``lz4`` or ``none``; or
        ``as given`` if the data come wrapped with other filters.
    shuffle : bool
        Whether bytes are shuffled before compression.
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
        """Size of the dataset before compression; 0 while the shape is not stated."""
        return _num_bytes(self.shape, self.dtype)

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk before compression; 0 while the shape of chunks is not stated."""
        return _num_bytes(self.chunk_shape, self.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return the stated settings, without the location, as plain lists and texts."""
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
        """Return the texts of a row below :data:`TABLE_HEADS`."""
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
    configuration: FileConfiguration, field: attrs.Attribute[Any], value: Any
) -> Any:
    """Apply a general setting that is set later to all datasets, whatever they stated."""
    for dataset in configuration.datasets.values():
        if field.name == "compression":
            dataset.compression = value
        else:
            dataset.chunk_shape = None
    return value


_HOLDS_FOR_ALL = [attrs.setters.validate, _set_everywhere]


@attrs.define(kw_only=True)
class FileConfiguration:
    """Settings of a file and of its datasets, to and from dictionaries and YAML.

    The public class is :class:`nwb_ophys.storage.BackendConfiguration`, which adds the plan of an
    ``NWBFile``; it describes the attributes.
    """

    backend: str = DEFAULT_BACKEND
    compression: str | None = attrs.field(
        default=None, validator=check_compression, on_setattr=_HOLDS_FOR_ALL
    )
    chunk_mb: float | None = attrs.field(
        default=None, validator=_check_positive, on_setattr=_HOLDS_FOR_ALL
    )
    buffer_gb: float = attrs.field(default=DEFAULT_BUFFER_GB, validator=_check_positive)
    datasets: dict[str, DatasetConfiguration] = attrs.field(factory=dict)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the configuration of a dictionary such as :meth:`to_dict` returns.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value is not allowed.
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
    def from_yaml(cls, path: str | Path, *, default_backend: str = DEFAULT_BACKEND) -> Self:
        """Return the configuration of a YAML file such as :meth:`to_yaml` returns.

        Parameters
        ----------
        path : path-like
        default_backend : str
            Name of the backend if the file states none.

        Raises
        ------
        SourceNotFoundError
            If the file does not exist.
        ArgumentError
            If the file is not valid YAML, gives a key twice, or has an unknown key or value.
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
        """Return a table of the datasets with their sizes."""
        return aligned([TABLE_HEADS, *(dataset.table_row() for dataset in self)])

    def _repr_html_(self) -> str:
        rows = [dataset.table_row() for dataset in self]
        return html_table(f"{type(self).__name__}, backend {self.backend}", rows, TABLE_HEADS)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain lists and dictionaries, for YAML and JSON."""
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
        text = str(error)
        named = text if location in text else f"The entry of '{location}': {text}"
        raise ArgumentError(named) from None


def _read_yaml(path: str | Path) -> Any:
    from nwb_ophys.documents import DocumentError, read_document

    file = with_home(Path(path))
    require_ordinary(file)
    if not file.is_file():
        raise SourceNotFoundError(f"'{path}' is not a file; check the path of the configuration.")
    try:
        return read_document(file)
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"The configuration file '{path}' is not a text in UTF-8; give a YAML file, such as "
            "--plan prints."
        ) from error
    except DocumentError as error:
        raise ArgumentError(f"The configuration file '{path}' is not valid: {error}.") from None


def _check_keys(entry: Any, allowed: tuple[str, ...] | None, what: str) -> None:
    if not isinstance(entry, Mapping):
        raise ArgumentError(f"{what} is {entry!r}; it must be a dictionary.")
    unknown = [key for key in entry if allowed is not None and key not in allowed]
    if unknown:
        raise ArgumentError(f"{what} has no key '{unknown[0]}'; keys: {', '.join(allowed or ())}.")
