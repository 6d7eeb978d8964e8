"""Tests that ``pynwb.validate`` finds faults although the tests prepare its schemas only once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pynwb
import pytest

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.storage import get_backend

START = "2024-05-17T14:30:00+02:00"


@pytest.fixture
def path(tmp_path: Path, backend: str) -> Path:
    interface = NumpyImagingInterface(np.zeros((3, 4, 5), "uint16"), 10.0)
    path = tmp_path / {"hdf5": "a.nwb", "zarr": "a.nwb.zarr"}[backend]
    metadata = {"NWBFile": {"session_start_time": START}}
    return interface.run_conversion(path, metadata=metadata, backend=backend, progress=False)


def _faults(path: Path, backend: str) -> list[list[str]]:
    """Return the faults of a file that is open, and of its path, which is for HDF5 only."""
    with get_backend(backend).open(path, "r") as io:
        found = [pynwb.validate(io=io)]
    if backend == "hdf5":
        found.append(pynwb.validate(path=path))
    return [sorted(map(str, each)) for each in found]


def test_a_fault_is_found_after_files_without_fault(path: Path, backend: str) -> None:
    import h5py
    import zarr

    assert not any(_faults(path, backend))
    with h5py.File(path, "r+") if backend == "hdf5" else zarr.open(str(path), mode="r+") as root:
        del root["session_description"]
    for faults in _faults(path, backend):
        assert [each for each in faults if "session_description" in each]
