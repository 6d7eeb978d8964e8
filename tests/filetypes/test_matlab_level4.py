"""MATLAB files of version 4, and truncated ones of versions 4 and 5."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.matlab.structs import matlab_refusal, read_matlab_outline
from nwb_ophys.filetypes.matlab.variables import MatlabFile
from nwb_ophys.filetypes.vectors import opened_vector
from nwb_ophys.paths import PathProbe

TIMES = np.arange(20) / 30
VALUES = {
    "times": TIMES,
    "note": "abc",
    "frames": np.arange(6, dtype="i2").reshape(2, 3),
    "both": np.array([[1 + 2j]]),
    "sparse": scipy.sparse.random(30, 40, 0.1, "csc"),
}


def swapped(path):
    """Write the times as a computer with the other order of bytes does."""
    head = struct.pack(">5i", 1000, 1, len(TIMES), 0, 6)
    path.write_bytes(head + b"times\0" + TIMES.astype(">f8").tobytes())


@pytest.mark.parametrize("order", ["<", ">"])
def test_times_of_version_4_are_read(tmp_path, order):
    """Fault: the file was said to be not whole."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, VALUES, format="4")
    if order == ">":
        swapped(path)
    with opened_vector(path, "times") as vector:
        np.testing.assert_array_equal(vector.values[:], TIMES)
    outline = read_matlab_outline(path)
    assert outline[""]["times"] == (1, 20)
    if order == "<":
        assert list(outline[""]) == list(VALUES)
        file = MatlabFile(path, "cnmfe")
        assert file.variables.text("note") == "abc"
        np.testing.assert_array_equal(file.variables.get("frames"), VALUES["frames"])


def test_a_sparse_matrix_of_version_4_takes_no_memory(tmp_path):
    """SciPy asks for memory by the number of columns that the last row of values states."""
    path = tmp_path / "a.mat"
    table = np.array([[1, 1, 5.0], [10, 2**40, 0]])
    head = struct.pack("<5i", 2, 2, 3, 0, 2)
    path.write_bytes(head + b"A\0" + table.tobytes(order="F"))
    assert MatlabFile(path, "cnmfe").variables.get("A") is None


@pytest.mark.parametrize("version", ["4", "5"])
def test_truncated_files_are_named(tmp_path, version):
    whole, path = tmp_path / "whole.mat", tmp_path / "a.mat"
    scipy.io.savemat(whole, {"times": TIMES, "other": np.eye(3)}, format=version)
    content = whole.read_bytes()
    for size in (30, 100, 127, 150, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(CorruptSourceError) as raised, opened_vector(path, "times"):
            pass
        assert str(raised.value).startswith(f"'{path}' is not a whole MATLAB file: ")
        assert str(raised.value).endswith("; copy it again from where it was recorded.")
        if version == "4":
            assert read_matlab_outline(path) is None
            assert "is not a whole MATLAB file" in matlab_refusal(PathProbe(path))


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"x" * 200, b"\1\0\0\0" * 40])
def test_other_files_are_no_matlab_files(tmp_path, content):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(CorruptSourceError, match=r"is not a MATLAB file: .* give another file\.$"):
        MatlabFile(path, "cnmfe")
