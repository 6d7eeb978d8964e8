"""Tests of the bytes of chunks, in any order of memory, against NumPy's plain copies."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.storage import transposition
from nwb_ophys.storage.encoding import Scratch, chunk_bytes, unshuffled

SHAPES = [
    (3, 200, 400),
    (2, 333, 129),
    (1, 1501, 353),
    (1, 9, 9_000),
    (4, 65, 33),
    (2, 6, 5000),
    (2, 5000, 6),
]
ORDERS = {
    "in order": lambda values: values,
    "transposed": lambda values: np.swapaxes(values, 1, 2),
    "every second": lambda values: values[:, ::2],
    "part of a frame": lambda values: np.swapaxes(values[:, 5:, 3:-2], 1, 2),
}


@pytest.fixture(params=["numpy", "compiled"])
def transposer(request, monkeypatch):
    """Both ways to transpose."""
    if request.param == "numpy":
        monkeypatch.setattr(transposition, "_compiled", None)
    elif not transposition.is_compiled() and not os.environ.get("CI"):
        pytest.skip("no compiler was there")


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


@given(
    dtype=st.sampled_from(["u1", "i2", ">u2", "f4", "i8", "c16"]),
    columns=st.integers(1, 150),
    rows=st.integers(1, 150),
    corner=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    is_flipped=st.booleans(),
    is_whole=st.booleans(),
)
def test_a_frame_of_any_size_is_transposed_into_its_place_and_nowhere_else(
    dtype, columns, rows, corner, is_flipped, is_whole
):
    if not transposition.is_compiled() and not os.environ.get("CI"):
        pytest.skip("no compiler was there")
    dtype = np.dtype(dtype)
    shape = (corner[0] + rows + 3, corner[1] + columns + 5)
    raw = np.random.default_rng(0).integers(0, 256, (*shape, dtype.itemsize)).astype(np.uint8)
    image = raw.view(dtype)[..., 0][corner[0] :, corner[1] :][:rows, :columns]
    frame = (image[::-1] if is_flipped else image).T
    is_whole = is_whole and dtype.itemsize <= 2
    num_planes = 1 if is_whole else dtype.itemsize
    unit = np.dtype(f"V{dtype.itemsize}") if is_whole else np.dtype("V1")
    # A frame of a chunk lies between others.
    memory = np.full((num_planes, 3, columns, rows), b"\xa5" * unit.itemsize, unit)
    transposition.transpose(frame, memory[:, 1])
    plain = np.ascontiguousarray(frame).view(np.uint8).reshape(-1, num_planes, unit.itemsize)
    expected = np.swapaxes(plain, 0, 1).tobytes()
    assert memory[:, 1].tobytes() == expected
    assert set(memory[:, ::2].tobytes()) == {0xA5}


@pytest.mark.parametrize(
    ("frame", "planes"),
    [
        (np.zeros((8, 9), "V2"), np.zeros((2, 8, 9), np.uint8)),  # contiguous along its rows
        (np.zeros((9, 8), "V2").T, np.zeros((1, 8, 9), np.uint8)),
        (np.zeros((9, 8), "V2").T, np.zeros((2, 9, 8), np.uint8)),
        (np.zeros((9, 8), "V4").T, np.zeros((1, 8, 9), np.uint32)),
        (np.zeros((9, 8), "V2").T, np.zeros((8, 9, 2), np.uint8).transpose(2, 0, 1)),
        (np.zeros((9, 8, 1), "V2").T, np.zeros((2, 8, 9), np.uint8)),
    ],
)
def test_what_does_not_fit_is_refused(frame, planes):
    if not transposition.is_compiled() and not os.environ.get("CI"):
        pytest.skip("no compiler was there")
    with pytest.raises(ValueError, match="do not fit"):
        transposition._compiled.transpose_into(frame, planes)
    assert not planes.any()


@given(
    size=st.sampled_from([2, 4, 8]),
    count=st.integers(0, 300) | st.just(70_001),
    start=st.integers(0, 20),
)
def test_bytes_of_values_are_split_into_their_planes_and_nowhere_else(size, count, start):
    if not transposition.is_compiled() and not os.environ.get("CI"):
        pytest.skip("no compiler was there")
    raw = np.random.default_rng(count).integers(0, 256, (count, size)).astype(np.uint8)
    memory = np.full((size, start + count + 3), 0xA5, np.uint8)
    transposition._compiled.split_into(raw.reshape(-1), memory[:, start : start + count])
    assert memory[:, start : start + count].tobytes() == raw.T.tobytes()
    assert set(memory[:, :start].tobytes() + memory[:, start + count :].tobytes()) == {0xA5}


@pytest.mark.parametrize(
    ("values", "planes"),
    [
        (np.zeros(30, np.uint8), np.zeros((4, 8), np.uint8)),
        (np.zeros(24, np.uint8), np.zeros((3, 8), np.uint8)),
        (np.zeros(32, np.uint8), np.zeros((8, 4), np.uint8).T),
        (np.zeros(32, np.uint8), np.zeros((2, 8), np.uint16)),
        (np.zeros(32, np.uint8), np.zeros(32, np.uint8)),
    ],
)
def test_values_and_planes_that_do_not_fit_are_refused(values, planes):
    if not transposition.is_compiled() and not os.environ.get("CI"):
        pytest.skip("no compiler was there")
    with pytest.raises(ValueError, match="do not fit"):
        transposition._compiled.split_into(values, planes)
