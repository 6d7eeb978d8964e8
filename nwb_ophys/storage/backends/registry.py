"""The backends there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.hdf5 import Hdf5Backend
from nwb_ophys.storage.backends.zarr import ZarrBackend, hdmf_zarr

BackendName = Literal["hdf5", "zarr"]

DEFAULT_BACKEND = "hdf5"

BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {backend.name: backend for backend in (Hdf5Backend(), ZarrBackend())}
)


def get_backend(name: str) -> Backend:
    """Return the backend of a name.

    Raises
    ------
    ArgumentError
        Naming those there are.
    MissingPackageError
        When its package is not installed.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        known = ", ".join(repr(known) for known in BACKENDS)
        raise ArgumentError(f"backend is {name!r}; it must be one of {known}.")
    if name == "zarr":
        hdmf_zarr()
    return BACKENDS[name]


def backend_of_path(path: Path) -> Backend | None:
    """Return the backend of what is at a path, or None when it is of none."""
    return next((backend for backend in BACKENDS.values() if backend.recognises(path)), None)


def backend_of_name(path: str | Path) -> str | None:
    """Return ``zarr`` for a path whose name says so; None for any other."""
    return "zarr" if str(path).rstrip("/\\").endswith(".zarr") else None
