"""Tests of the bytes of chunks, in any order of memory, against NumPy's plain copies."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys.storage import encoding
from nwb_ophys.storage.encoding import Scratch, chunk_bytes, unshuffled

SHAPES = [(3, 200, 400), (2, 333, 129), (1, 1501, 703), (1, 9, 9_000)]
ORDERS = {
    "in order": lambda values: values,
    "transposed": lambda values: np.swapaxes(values, 1, 2),
    "every second": lambda values: values[:, ::2],
    "part of a frame": lambda values: np.swapaxes(values[:, 5:, 3:-2], 1, 2),
}


@pytest.fixture(params=["numpy", "opencv"])
def transposer(request, monkeypatch):
    """Both ways to transpose."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
    else:
        monkeypatch.setattr(encoding, "_opencv", lambda: None)
    monkeypatch.setattr(encoding, "_WORTH_IMPORTING", 0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", ">u2", "u4", "f4", "f8", "c16", "?"])
def test_bytes_are_those_of_a_plain_copy(dtype, shape, order, transposer):
    random = np.random.default_rng(0)
    values = ORDERS[order](random.integers(0, 1 << 15, shape).astype(dtype))
    plain = np.ascontiguousarray(values)
    size = values.dtype.itemsize
    scratch = Scratch()
    for reused in (None, scratch, scratch):
        found = chunk_bytes(values, values.shape, values.dtype, shuffle=False, scratch=reused)
        assert found.tobytes() == plain.tobytes()
        found = chunk_bytes(values, values.shape, values.dtype, shuffle=True, scratch=reused)
        assert found.tobytes() == plain.view(np.uint8).reshape(-1, size).T.tobytes()
    assert unshuffled(found.tobytes(), size).tobytes() == plain.tobytes()


@pytest.mark.parametrize("itemsize", [1, 2, 3, 4, 8, 12])
@pytest.mark.parametrize("count", [0, 1, 7, 70_001])
def test_unshuffling_reverses_a_shuffle(itemsize, count):
    raw = np.random.default_rng(0).integers(0, 256, (count, itemsize)).astype(np.uint8)
    assert unshuffled(raw.T.tobytes(), itemsize).tobytes() == raw.tobytes()


@pytest.mark.parametrize("is_imported", [False, True])
def test_opencv_is_imported_when_it_pays_or_used_if_it_is_there(monkeypatch, is_imported):
    module = object()
    monkeypatch.setattr(encoding, "_opencv", lambda: module)
    monkeypatch.setattr(encoding.sys, "modules", {"cv2": None} if is_imported else {})
    assert Scratch(10_000_000_000).opencv is module
    assert Scratch(300_000_000).opencv is (module if is_imported else None)


def test_without_opencv(monkeypatch):
    def absent(name):
        raise ImportError(name)

    encoding._opencv.cache_clear()
    monkeypatch.setattr(encoding.importlib, "import_module", absent)
    try:
        assert encoding._opencv() is None
    finally:
        encoding._opencv.cache_clear()
