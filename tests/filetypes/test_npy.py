"""Tests of arrays in ``.npy`` files whose header is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys.filetypes.npy import load_npy, load_npy_movie


def test_bytes_behind_the_array_are_mentioned(tmp_path):
    """Fault: a shape that damage made smaller was read without a word."""
    np.save(tmp_path / "a.npy", np.arange(72.0).reshape(12, 6))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(12, 6)", b"(10, 6)"))
    for load in (load_npy, load_npy_movie):
        with pytest.warns(UserWarning, match=r"a\.npy' has .* the 96 bytes behind it are"):
            assert load(tmp_path / "a.npy").shape == (10, 6)
