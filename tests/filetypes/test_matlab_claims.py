"""Tests that the sizes of variables in MATLAB 5 files are compared with the bytes of the file."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.matlab.claims import check_level5


@pytest.mark.parametrize("is_compressed", [True, False])
def test_files_of_scipy_pass(tmp_path, is_compressed):
    cells = np.empty((2, 3), object)
    cells[:] = [[np.arange(1000.0), "text", [[1]]], [np.zeros((0, 3)), {"a": 1, "b": "x"}, 5]]
    path = tmp_path / "a.mat"
    values = {
        "cells": cells,
        "numbers": np.arange(12, dtype="u1").reshape(3, 4),
        "bits": np.array([[True, False]]),
        "complex": np.array([[1 + 2j]]),
        "text": "µ €",
        "nothing": np.zeros((0, 0)),
        "nested": {"a": {"b": {"c": np.arange(3)}}, "list": cells},
        "sparse": scipy.sparse.random(30, 40, 0.1, "csc"),
        "records": np.array([(1, 2.5), (3, 4.5)], [("x", "i4"), ("y", "f8")]),
    }
    scipy.io.savemat(path, values, do_compression=is_compressed)
    check_level5(path)
    check_level5(path, ["nested"])


def _element(shape, num_bytes, kind=6, body=b""):
    inner = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<IIii", 5, 8, *shape)
    inner += struct.pack("<II", 1, 1) + b"a".ljust(8, b"\0") + body
    if kind == 6:
        inner += struct.pack("<II", 9, num_bytes) + bytes(64)
    return struct.pack("<II", 14, len(inner) + num_bytes) + inner


CLAIMS = {
    "numbers": _element((30_000, 30_000), 64),
    "cells": _element((2**20, 2**10), 0, kind=1),
    "structs": _element(
        (2**20, 2**10), 0, kind=2,
        body=struct.pack("<HHi", 5, 4, 8) + struct.pack("<II", 1, 8) + b"field\0\0\0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("element", CLAIMS.values(), ids=CLAIMS)
@pytest.mark.parametrize("is_compressed", [True, False])
def test_claims_are_refused(tmp_path, element, is_compressed):
    if is_compressed:
        packed = zlib.compress(element)
        element = struct.pack("<II", 15, len(packed)) + packed
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + struct.pack("<H2s", 0x0100, b"IM") + element)
    with pytest.raises(CorruptSourceError, match=r"a\.mat' is damaged: its variable 'a' claims"):
        check_level5(path)
    check_level5(path, ["another"])
