"""The backends: how each opens a file, wraps its data, and looks on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from nwb_ophys.errors import ArgumentError, MissingPackageError

BackendName = Literal["hdf5", "zarr"]


class Backend(Protocol):
    """What the storage room needs of a backend."""

    name: str
    suffix: str

    def open(self, path: Path, mode: str) -> Any:
        """Return a pynwb IO object; ``mode`` is ``w``, ``r`` or ``r+``."""

    def wrap(self, original: Any, data: Any) -> Any:
        """Return data as this backend takes them, stored as their original wrapper says."""

    def is_mine(self, path: Path) -> bool:
        """Whether what is at the path is of this backend."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file."""


class Hdf5Backend:
    """One HDF5 file, through pynwb."""

    name = "hdf5"
    suffix = ".nwb"

    def open(self, path: Path, mode: str) -> Any:
        """Return a ``pynwb.NWBHDF5IO``."""
        from pynwb import NWBHDF5IO

        return NWBHDF5IO(str(path), mode=mode)

    def wrap(self, original: Any, data: Any) -> Any:
        """Return data in an ``H5DataIO`` with the settings of the original one."""
        from hdmf.backends.hdf5.h5_utils import H5DataIO

        return _rewrapped(original, data) if isinstance(original, H5DataIO) else data

    def is_mine(self, path: Path) -> bool:
        """Whether the path is a file with HDF5's signature."""
        import h5py

        return path.is_file() and bool(h5py.is_hdf5(path))

    def copy(self, source: Path, target: Path) -> None:
        """Copy the file."""
        shutil.copyfile(source, target)


class ZarrBackend:
    """A Zarr folder, through hdmf-zarr."""

    name = "zarr"
    suffix = ".nwb.zarr"

    def open(self, path: Path, mode: str) -> Any:
        """Return an ``hdmf_zarr.NWBZarrIO``."""
        return _hdmf_zarr().NWBZarrIO(str(path), mode=mode)

    def wrap(self, original: Any, data: Any) -> Any:
        """Return data in a ``ZarrDataIO``: the original's settings, or its chunks if of HDF5."""
        from hdmf.backends.hdf5.h5_utils import H5DataIO

        storing = _hdmf_zarr().ZarrDataIO
        if isinstance(original, storing):
            return _rewrapped(original, data)
        if not isinstance(original, H5DataIO):
            return data
        chunks = original.io_settings.get("chunks")
        return data if chunks is None else storing(data=data, chunks=chunks)

    def is_mine(self, path: Path) -> bool:
        """Whether the path is a folder that holds a Zarr group."""
        return (path / ".zgroup").is_file() or (path / "zarr.json").is_file()

    def copy(self, source: Path, target: Path) -> None:
        """Copy the folder."""
        shutil.copytree(source, target)


def _rewrapped(original: Any, data: Any) -> Any:
    """Return other data in a wrapper with the settings of the original one."""
    if data is original.data:
        return original
    wrapper = type(original)(data=data)
    # Given to the constructor, they would be warned of a second time.
    wrapper.io_settings.update(original.io_settings)
    return wrapper


def _hdmf_zarr() -> Any:
    try:
        import hdmf_zarr
    except ImportError as error:
        raise MissingPackageError(
            'The backend "zarr" needs the package hdmf-zarr: pip install "nwb-ophys[zarr]".'
        ) from error
    return hdmf_zarr


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {backend.name: backend for backend in (Hdf5Backend(), ZarrBackend())}
)


def get_backend(name: str) -> Backend:
    """Return the backend of a name.

    Raises
    ------
    ArgumentError
        Naming those there are.
    """
    if name not in BACKENDS:
        known = ", ".join(repr(known) for known in BACKENDS)
        raise ArgumentError(f"backend is {name!r}; it must be one of {known}.")
    if name == "zarr":
        _hdmf_zarr()
    return BACKENDS[name]


def backend_of_path(path: Path) -> Backend | None:
    """Return the backend of what is at a path, or None when it is of none."""
    return next((backend for backend in BACKENDS.values() if backend.is_mine(path)), None)
