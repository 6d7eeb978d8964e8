"""Stored chunks are read and written by one thread at a time, whatever the version of h5py."""

import re
import threading
from pathlib import Path

import h5py
from h5py._objects import phil

import nwb_ophys
from nwb_ophys.storage.backends.hdf5_direct import read_chunk, write_chunk


class _Identifier:
    """Notes whether another thread can enter h5py during a call."""

    def __init__(self):
        self.is_alone = []

    def _note(self):
        entered = []

        def enter():
            if phil.acquire(blocking=False):
                phil.release()
                entered.append(True)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        self.is_alone.append(not entered)

    def read_direct_chunk(self, corner):
        self._note()
        return 0, b"bytes"

    def write_direct_chunk(self, corner, encoded):
        self._note()


class _Dataset:
    def __init__(self):
        self.id = _Identifier()


def test_no_other_thread_is_in_h5py_meanwhile():
    dataset = _Dataset()
    assert read_chunk(dataset, (0,)) == (0, b"bytes")
    write_chunk(dataset, (0,), b"bytes")
    assert dataset.id.is_alone == [True, True]


def test_chunks_are_stored_as_given(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("a", (4, 2), "u1", chunks=(2, 2))
        write_chunk(made, (2, 0), bytes([1, 2, 3, 4]))
        assert made[:].tolist() == [[0, 0], [0, 0], [1, 2], [3, 4]]
        assert read_chunk(made, (2, 0)) == (0, bytes([1, 2, 3, 4]))


def test_no_other_module_reads_or_writes_stored_chunks():
    package = Path(nwb_ophys.__file__).parent
    users = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"\.(read|write)_direct_chunk\(", path.read_text(encoding="utf-8"))
    ]
    assert users == ["hdf5_direct.py"]
