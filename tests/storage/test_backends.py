"""Tests of the rows of backends and the names of storage; no other file names a backend."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hdmf.data_utils import DataIO

import nwb_ophys
from nwb_ophys import storage
from nwb_ophys.errors import ArgumentError, MissingPackageError
from nwb_ophys.storage import BACKENDS, DEFAULT_BACKEND, backend_of_name, get_backend
from nwb_ophys.storage.backends.base import Backend, WrapperSettings
from nwb_ophys.storage.backends.registry import (
    NO_BACKEND,
    NWB_SUFFIXES,
    ROWS,
    all_backends,
    written_format,
)

STORAGE = Path(nwb_ophys.__file__).parent / "storage"
BACKEND_WORDS = re.compile(r"h5py|zarr|H5DataIO|[\"']hdf5[\"']", re.IGNORECASE)


def test_rows_are_the_backends():
    assert list(BACKENDS) == ["hdf5", "zarr"]
    assert [(row.name, row.zarr_format) for row in ROWS] == [
        ("hdf5", None),
        ("zarr", 2),
        ("zarr", 3),
    ]
    assert len(BACKENDS) == 2
    assert DEFAULT_BACKEND == "hdf5"
    assert tuple(row.suffix for row in ROWS) == (".nwb", ".nwb.zarr", ".nwb.zarr")
    assert NWB_SUFFIXES == (".nwb", ".nwb.zarr", ".zarr")
    assert NO_BACKEND == "neither an HDF5 file nor a Zarr folder"


def test_each_row_has_a_backend():
    found = list(all_backends())
    modules = ["hdf5", "zarr", "zarr3"]
    for row, backend, module in zip(ROWS, found, modules, strict=True):
        assert isinstance(backend, Backend)
        assert (backend.name, backend.suffix) == (row.name, row.suffix)
        assert backend.zarr_format == row.zarr_format
        assert type(backend).__module__ == f"nwb_ophys.storage.backends.{module}"
    assert get_backend("hdf5") is BACKENDS["hdf5"] is found[0]
    assert get_backend("zarr") is BACKENDS["zarr"] is found[written_format() - 1]


def test_the_installed_packages_write_one_format():
    here = written_format()
    assert get_backend("zarr", here) is get_backend("zarr")
    said = rf"writes Zarr format {here}, not format {5 - here}\. Install another version: pip"
    with pytest.raises(MissingPackageError, match=said):
        get_backend("zarr", 5 - here)
    with pytest.raises(ArgumentError, match="zarr_format is 4; it must be 2 or 3"):
        get_backend("zarr", 4)
    with pytest.raises(ArgumentError, match="format 3 was requested, but the backend is 'hdf5'"):
        get_backend("hdf5", 3)


def test_unknown_names():
    with pytest.raises(KeyError):
        BACKENDS["hdf4"]
    with pytest.raises(ArgumentError, match="must be one of 'hdf5', 'zarr'"):
        get_backend("hdf4")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.nwb", None),
        ("a.nwb.zarr", "zarr"),
        ("a.zarr/", "zarr"),
        (Path("a.zarr"), "zarr"),
        ("zarr", None),
        ("a.h5", None),
    ],
)
def test_suffixes_that_name_a_backend(path, name):
    assert backend_of_name(path) == name


def test_the_rows_import_no_package_of_a_backend():
    code = (
        "import sys; from nwb_ophys.storage import BACKENDS, DEFAULT_BACKEND; list(BACKENDS);"
        "print(sorted({'h5py', 'zarr', 'hdmf', 'pynwb', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrapper_of_no_backend_states_nothing(backend):
    class Plain(DataIO):
        pass

    assert get_backend(backend).wrapper_settings(Plain([1, 2])) == WrapperSettings()
    assert get_backend(backend).wrapper_settings([1, 2]) == WrapperSettings()


def test_a_backend_without_copies_refuses_them(tmp_path):
    zarr = get_backend("zarr")
    assert not zarr.copies_datasets
    with pytest.raises(NotImplementedError):
        zarr.create(tmp_path / "a")
    with pytest.raises(NotImplementedError):
        zarr.copy_except(None, None, {})


def code_of(path):
    """Return the lines of a file without docstrings and comments."""
    text = re.sub(r'"""(?s:.*?)"""', "", path.read_text(encoding="utf-8"))
    return [line.split("#")[0] for line in text.splitlines()]


def test_no_other_file_of_storage_names_a_backend():
    rooms = ("backends", "hdmf")
    files = [p for p in STORAGE.rglob("*.py") if p.relative_to(STORAGE).parts[0] not in rooms]
    assert len(files) > 10
    for path in files:
        # The argument of users, which is handed down to the rows.
        lines = [line.replace("zarr_format", "") for line in code_of(path)]
        found = [line for line in lines if BACKEND_WORDS.search(line)]
        assert not found, f"{path.name}: {found}"


def test_backends_do_not_know_each_other():
    modules = [row.implementation.partition(":")[0] for row in ROWS]
    for row, module in zip(ROWS, modules, strict=True):
        text = (STORAGE / "backends" / f"{module}.py").read_text(encoding="utf-8")
        assert not any(f"backends.{other} import" in text for other in modules)
        assert not any(f'"{other.name}"' in text for other in ROWS if other.name != row.name)


def test_public_names():
    assert storage.__all__ == sorted(storage.__all__, key=lambda name: (not name.isupper(), name))
    assert dir(storage) == sorted(storage.__all__)
    for name in storage.__all__:
        assert getattr(storage, name) is not None
    with pytest.raises(AttributeError, match=r"'nwb_ophys\.storage' has no attribute 'bogus'"):
        storage.bogus  # noqa: B018


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("former", "name"), [("plan_of", "plan_nwbfile"), ("configuration_of_file", "plan_repack")]
)
def test_names_of_version_0_1(former, name):
    assert getattr(storage, former) is getattr(storage, name)


def test_repack_is_the_function_after_every_import():
    import nwb_ophys.storage.repacking

    assert callable(storage.repack)
    assert storage.repack is nwb_ophys.repack
