"""The rows of backends: names, suffixes, and the class that implements each backend.

A row is data. The module of a backend, and with it h5py or Zarr, is imported when that backend is
first used, so that the command line lists the names at no cost.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from nwb_ophys.errors import ArgumentError

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
    implementation : str
        ``module:class``, the module in this folder.
    """

    name: str
    suffix: str
    own_suffixes: tuple[str, ...] = ()
    file_kind: str
    implementation: str


ROWS = (
    BackendRow(
        name="hdf5", suffix=".nwb", file_kind="an HDF5 file", implementation="hdf5:Hdf5Backend"
    ),
    BackendRow(
        name="zarr",
        suffix=".nwb.zarr",
        own_suffixes=(".zarr",),
        file_kind="a Zarr folder",
        implementation="zarr:ZarrBackend",
    ),
)

DEFAULT_BACKEND = ROWS[0].name
"""Name of the backend of a new file for which neither the user nor the path names one."""

NWB_SUFFIXES = tuple(suffix for row in ROWS for suffix in (row.suffix, *row.own_suffixes))
"""Suffixes of the NWB files and stores of all backends."""

NO_BACKEND = f"neither {' nor '.join(row.file_kind for row in ROWS)}"
"""Description of a file that no backend recognises, for messages."""

_ROWS_BY_NAME = {row.name: row for row in ROWS}


@functools.cache
def _backend(name: str) -> Backend:
    row = _ROWS_BY_NAME[name]
    module, _, class_name = row.implementation.partition(":")
    implementation = importlib.import_module(f"{__package__}.{module}")
    backend: Backend = getattr(implementation, class_name)(row)
    return backend


class _Backends(Mapping[str, "Backend"]):
    """The backends by name; a backend is imported when it is first asked for."""

    def __getitem__(self, name: str) -> Backend:
        return _backend(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_ROWS_BY_NAME)

    def __len__(self) -> int:
        return len(_ROWS_BY_NAME)


BACKENDS: Mapping[str, Backend] = _Backends()


def get_backend(name: str) -> Backend:
    """Return the backend of a name.

    Raises
    ------
    ArgumentError
        If no backend has that name; the message lists the names.
    MissingPackageError
        If the package of the backend is not installed.
    """
    if not isinstance(name, str) or name not in _ROWS_BY_NAME:
        known = ", ".join(repr(known) for known in BACKENDS)
        raise ArgumentError(f"backend is {name!r}; it must be one of {known}.")
    backend = BACKENDS[name]
    backend.require()
    return backend


def backend_of_path(path: Path) -> Backend | None:
    """Return the backend that recognises a file or folder, or None."""
    return next((backend for backend in BACKENDS.values() if backend.recognises(path)), None)


def backend_of_name(path: str | Path) -> str | None:
    """Return the name of the backend to which the suffix of a path belongs alone, or None."""
    text = str(path).rstrip("/\\")
    return next((row.name for row in ROWS if text.endswith(row.own_suffixes)), None)
