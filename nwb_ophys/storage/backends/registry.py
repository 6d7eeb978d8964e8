"""The rows of backends: names, suffixes, and the class that implements each backend.

A row is data. The module of a backend, and with it h5py or Zarr, is imported when that backend is
first used, so that the command line lists the names at no cost.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import ArgumentError, MissingPackageError
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.zarr_installed import written_format

if TYPE_CHECKING:
    from nwb_ophys.storage.backends.base import Backend

BackendName = str
"""Name of a backend, one of ``BACKENDS``."""


@attrs.frozen(kw_only=True)
class BackendRow:
    """The row of a backend.

    Attributes
    ----------
    name : str
        Name by which users choose the backend.
    suffix : str
        Suffix of the NWB files that the backend writes.
    own_suffixes : tuple of str
        Suffixes that no other backend uses; a path with one of them names this backend.
    file_kind : str
        Noun phrase for a file of the backend, for messages.
    is_folder : bool
        Whether the files of the backend are folders.
    package : str
        Import name of the package whose objects the open datasets of the backend are.
    implementation : str
        ``module:class``, the module in this folder.
    headers : tuple of str
        Names of files by which a folder is known to be of the backend, or a part of one.
    zarr_format : int, optional
        Format of the stores of the backend. Backends that differ in it alone share their name; the
        installed packages write one of the formats.
    """

    name: str
    suffix: str
    own_suffixes: tuple[str, ...] = ()
    file_kind: str
    is_folder: bool
    package: str
    implementation: str
    headers: tuple[str, ...] = ()
    zarr_format: int | None = None


ROWS = (
    BackendRow(
        name="hdf5",
        suffix=".nwb",
        file_kind="an HDF5 file",
        is_folder=False,
        package="h5py",
        implementation="hdf5:Hdf5Backend",
    ),
    BackendRow(
        name="zarr",
        suffix=".nwb.zarr",
        own_suffixes=(".zarr",),
        file_kind="a Zarr folder",
        is_folder=True,
        package="zarr",
        implementation="zarr:ZarrBackend",
        headers=(".zgroup", ".zarray"),
        zarr_format=2,
    ),
    BackendRow(
        name="zarr",
        suffix=".nwb.zarr",
        own_suffixes=(".zarr",),
        file_kind="a Zarr folder",
        is_folder=True,
        package="zarr",
        implementation="zarr3:Zarr3Backend",
        headers=("zarr.json",),
        zarr_format=3,
    ),
)

DEFAULT_BACKEND = ROWS[0].name
"""Name of the backend of a new file for which neither the user nor the path names one."""

NWB_SUFFIXES = tuple(
    dict.fromkeys(suffix for row in ROWS for suffix in (row.suffix, *row.own_suffixes))
)
"""Suffixes of the NWB files and stores of all backends."""

NO_BACKEND = f"neither {' nor '.join(dict.fromkeys(row.file_kind for row in ROWS))}"
"""Description of a file that no backend recognises, for messages."""

_NAMES = tuple(dict.fromkeys(row.name for row in ROWS))


@functools.cache
def _backend(row: BackendRow) -> Backend:
    module, _, class_name = row.implementation.partition(":")
    implementation = importlib.import_module(f"{__package__}.{module}")
    backend: Backend = getattr(implementation, class_name)(row)
    return backend


def _row_of(name: str, zarr_format: int | None = None) -> BackendRow:
    """Return the row of a name; of several formats, that which the installed packages write.

    Raises
    ------
    KeyError
        If no backend has that name.
    """
    rows = [row for row in ROWS if row.name == name]
    if not rows:
        raise KeyError(name)
    if len(rows) == 1:  # what is installed is not asked, which takes milliseconds
        return rows[0]
    wanted = zarr_format or written_format()
    return next((row for row in rows if row.zarr_format == wanted), rows[0])


def all_backends() -> Iterator[Backend]:
    """Yield the backends of all rows, those that cannot write here as well."""
    return map(_backend, ROWS)


class _Backends(Mapping[str, "Backend"]):
    """The backends by name; a backend is imported when it is first asked for."""

    def __getitem__(self, name: str) -> Backend:
        return _backend(_row_of(name))

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


BACKENDS: Mapping[str, Backend] = _Backends()


def get_backend(name: str, zarr_format: int | None = None) -> Backend:
    """Return the backend of a name, which the installed packages can write.

    Parameters
    ----------
    name : str
    zarr_format : {2, 3}, optional
        The format to insist on; by default that which the installed packages write.

    Raises
    ------
    ArgumentError
        If no backend has that name or format; the message lists the names.
    MissingPackageError
        If the package of the backend is not installed, or writes another format.
    """
    if not isinstance(name, str) or name not in _NAMES:
        known = ", ".join(repr(known) for known in BACKENDS)
        raise ArgumentError(f"backend is {name!r}; it must be one of {known}.")
    backend = _backend(_row_of(name, zarr_format))
    check_format(backend, zarr_format)
    backend.require()
    return backend


def check_format(backend: Backend, zarr_format: Any) -> None:
    """Check that a backend has the format on which the user insists.

    Raises
    ------
    ArgumentError
        If it has another one, or none.
    """
    if zarr_format is None:
        return
    formats = [row.zarr_format for row in ROWS if row.zarr_format is not None]
    if zarr_format not in formats or isinstance(zarr_format, bool):
        listed = " or ".join(map(str, formats))
        raise ArgumentError(f"zarr_format is {zarr_format!r}; it must be {listed}.")
    if backend.zarr_format is None:
        raise ArgumentError(
            f"Zarr format {zarr_format} was requested, but the backend is '{backend.name}'; choose "
            f"the backend '{_name_of(zarr_format)}', or leave out the format."
        )


def check_appendable(stored: Backend, path: str | Path, zarr_format: Any) -> None:
    """Check that the installed packages can append to a file, and in the format of the user.

    Parameters
    ----------
    stored : Backend
        Backend of the file.
    path : path-like
    zarr_format : {2, 3}, optional
        The format to insist on.

    Raises
    ------
    ArgumentError
        If the file is of another format.
    MissingPackageError
        If the installed packages only read the file.
    """
    check_format(stored, zarr_format)
    if zarr_format not in (None, stored.zarr_format):
        raise ArgumentError(
            f"'{path}' is of Zarr format {stored.zarr_format}, in which it is appended to; repack "
            f"it to have it in format {zarr_format}."
        )
    try:
        stored.require()
    except MissingPackageError as error:
        raise MissingPackageError(f"'{path}' cannot be appended to: {error}") from None


def _name_of(zarr_format: int) -> str:
    return next(row.name for row in ROWS if row.zarr_format == zarr_format)


def suffix_of(name: str) -> str:
    """Return the suffix of the files that a backend writes, without importing it.

    Raises
    ------
    KeyError
        If no backend has that name.
    """
    return _row_of(name).suffix


def backend_of_path(path: Path) -> Backend | None:
    """Return the backend that recognises a file or folder, or None."""
    rows: tuple[BackendRow, ...] = ROWS
    if not isinstance(path, RemotePath):  # of which the backends ask the store themselves
        is_folder = path.is_dir()
        rows = tuple(row for row in ROWS if row.is_folder == is_folder)
    return next((found for found in map(_backend, rows) if found.recognises(path)), None)


def kind_of_folder(folder: Path) -> str | None:
    """Return the noun phrase for a folder that is of a backend, or a part of one; else None.

    No backend is imported.
    """
    rows = (row for row in ROWS if any((folder / name).is_file() for name in row.headers))
    return next((row.file_kind for row in rows), None)


def backend_of_data(data: Any) -> Backend | None:
    """Return the backend of which data are an open dataset, or None for other data.

    Parameters
    ----------
    data : object
        Not in the wrapper of a backend.
    """
    packages = {each.__module__.partition(".")[0] for each in type(data).__mro__}
    asked = (_backend(row) for row in ROWS if row.package in packages)
    return next((found for found in asked if found.holds(data)), None)


def backend_of_name(path: str | Path) -> str | None:
    """Return the name of the backend to which the suffix of a path belongs alone, or None."""
    text = str(path).rstrip("/\\")
    return next((row.name for row in ROWS if text.endswith(row.own_suffixes)), None)
