"""Shares of a NAS: this user sets no permissions and no times, and open files are not replaced.

And file systems that programs of users make (FUSE), which give files other numbers after a while.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pynwb import TimeSeries

from nwb_ophys import edit_metadata, repack, write_nwbfile
from nwb_ophys.storage import WriteOptions, append_to_nwbfile
from nwb_ophys.storage.text_files import kind_with, write_text

from .conftest import VALUES, new_file, read

A, B = "acquisition/a/data", "acquisition/b/data"


def _add(nwbfile):
    nwbfile.add_acquisition(TimeSeries(name="b", data=VALUES + 1, unit="a", rate=1.0))


@pytest.fixture
def written(target, backend):
    """A file that was written before."""
    return write_nwbfile(new_file(a=VALUES), target, backend=backend)


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def refused(request, monkeypatch):
    """Refuse to set permissions and times, as CIFS does if the share belongs to another user."""

    def refuse(path, *_, **__):
        raise OSError(request.param, os.strerror(request.param), path)

    for name in ("chmod", "utime"):
        monkeypatch.setattr(os, name, refuse)


def test_a_file_is_replaced(written, backend, refused):
    """Fault: the conversion ended with "Operation not permitted" when everything was written."""
    write_nwbfile(new_file(a=VALUES + 1), written, backend=backend, overwrite=True)
    assert np.array_equal(read(written, A)[0], VALUES + 1)


def test_a_file_is_appended_to_in_a_copy(written, refused):
    append_to_nwbfile(written, _add)
    assert np.array_equal(read(written, B)[0], VALUES + 1)


def test_a_file_is_edited(written, refused):
    assert edit_metadata(written, {"NWBFile.lab": "Lab of mice"}).fields


def test_a_file_that_is_changed_in_its_place_returns_to_its_state_before(written, refused):
    """Fault: the file could not be read any more, since its time could not be set."""

    def fail(nwbfile):
        _add(nwbfile)
        nwbfile.add_acquisition(TimeSeries(name="c", data=[object()], unit="a", rate=1.0))

    with pytest.raises(Exception, match="c"):
        append_to_nwbfile(written, fail, options=WriteOptions(in_place=True))
    assert np.array_equal(read(written, A)[0], VALUES)
    assert list(written.parent.iterdir()) == [written]


@pytest.fixture
def shared(monkeypatch):
    """Refuse to replace a file that is open, as SMB does."""
    renamed = os.replace

    def replace(source, target, **options):
        opened = []
        for handle in os.listdir("/proc/self/fd"):  # noqa: PTH208
            with suppress(OSError):
                opened.append(os.path.samestat(os.fstat(int(handle)), Path(target).stat()))
        if any(opened):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        renamed(source, target, **options)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists open files in /proc.")
@pytest.mark.parametrize("act", ["overwrite", "append", "repack", "export"])
def test_a_file_is_closed_before_it_is_replaced(tmp_path, shared, act):
    """Fault: replacing a file on a share ended with "Permission denied" after all was written."""
    path = write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb")
    if act == "overwrite":
        write_nwbfile(new_file(a=VALUES, b=VALUES + 1), path, overwrite=True)
    elif act == "append":
        append_to_nwbfile(path, _add)
    elif act == "repack":
        repack(path, path, overwrite=True)
    else:
        zarr = repack(path, tmp_path / "a.nwb.zarr")
        repack(zarr, path, backend="hdf5", overwrite=True)
    assert np.array_equal(read(path, A)[0], VALUES)


@pytest.fixture
def renumbered(monkeypatch):
    """Give each file and folder another number whenever it is looked at, unless it is open."""
    looked = os.stat
    numbers = itertools.count(1 << 40)

    def stat_again(path, **options):
        found = looked(path, **options)
        handles = os.listdir("/proc/self/fd")  # noqa: PTH208
        is_open = False
        for handle in handles:
            with suppress(OSError):
                is_open = is_open or os.path.samestat(os.fstat(int(handle)), found)
        number = found.st_ino if is_open else next(numbers)
        times = {name: getattr(found, name) for name in ("st_atime_ns", "st_mtime_ns")}
        return os.stat_result((found[0], number, *found[2:]), times)

    monkeypatch.setattr(os, "stat", stat_again)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists open files in /proc.")
def test_numbers_of_files_and_folders_may_change(written, backend, renumbered):
    """Fault: the file, or its folder, was said to be replaced when all was written."""
    write_nwbfile(new_file(a=VALUES + 1), written, backend=backend, overwrite=True)
    assert np.array_equal(read(written, A)[0], VALUES + 1)


def test_a_text_is_replaced(tmp_path, refused):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n")
    write_text(path, "a: 2\n", replaces=kind_with("a document", "^a:"))
    assert path.read_text() == "a: 2\n"


def test_permissions_that_are_lost_are_named(tmp_path, monkeypatch):
    path = write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb")
    path.chmod(0o600)

    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.warns(UserWarning, match=r"permissions of '.*/a\.nwb' could not be kept"):
        write_nwbfile(new_file(a=VALUES + 1), path, overwrite=True)
    assert np.array_equal(read(path, A)[0], VALUES + 1)


def test_permissions_are_kept(written):
    mode = 0o750 if written.is_dir() else 0o640
    written.chmod(mode)
    append_to_nwbfile(written, _add)
    assert stat.S_IMODE(written.stat().st_mode) == mode
