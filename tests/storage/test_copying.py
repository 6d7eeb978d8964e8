"""Tests of copies for appending: shared blocks, copies of the kernel, and plain copies."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from nwb_ophys.storage import copying
from nwb_ophys.storage.copying import copy_file, copy_folder

CONTENT = os.urandom(3_000_000)


def _error(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="FICLONE is a call of Linux")
def test_blocks_are_shared_where_the_file_system_can(source, tmp_path, monkeypatch):
    import fcntl

    calls = []

    def share(copy, request, original):
        calls.append((request, Path(f"/proc/self/fd/{original}").readlink()))
        os.pwrite(copy, CONTENT, 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", share)
    monkeypatch.setattr(os, "copy_file_range", _error(errno.EIO))
    copy_file(source, tmp_path / "copy")
    assert calls == [(0x40049409, source)]
    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize("number", sorted(copying._UNSUPPORTED))
@pytest.mark.skipif(sys.platform != "linux", reason="FICLONE is a call of Linux")
def test_it_is_copied_elsewhere(number, source, tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(fcntl, "ioctl", _error(number))
    copy_file(source, tmp_path / "by kernel")
    monkeypatch.setattr(os, "copy_file_range", _error(number))
    copy_file(source, tmp_path / "by us")
    for name in ("by kernel", "by us"):
        assert (tmp_path / name).read_bytes() == CONTENT


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="a call of Linux")
def test_a_copy_of_the_kernel_that_stops_midway_is_made_again(source, tmp_path, monkeypatch):
    copied = os.copy_file_range
    left = [1]

    def stop(original, copy, count, *places):
        left[0] -= 1
        return copied(original, copy, 1_000_000, *places) if left[0] >= 0 else 0

    monkeypatch.setattr(os, "copy_file_range", stop)
    copy_file(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_full_disk_is_an_error(source, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "copy_file_range", _error(errno.ENOSPC), raising=False)
    monkeypatch.setattr(copying.shutil, "copyfileobj", _error(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        copy_file(source, tmp_path / "copy")


def test_an_empty_file_and_a_folder(source, tmp_path):
    folder = tmp_path / "store" / "inner"
    folder.mkdir(parents=True)
    (folder / "empty").touch()
    (folder / "full").write_bytes(CONTENT)
    copy_folder(tmp_path / "store", tmp_path / "copy")
    assert (tmp_path / "copy/inner/empty").read_bytes() == b""
    assert (tmp_path / "copy/inner/full").read_bytes() == CONTENT
