"""Tests of deflate blocks without matches: valid, and as short as a code allows."""

from __future__ import annotations

import math
import os
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from nwb_ophys.storage import literals

BLOCK = 1 << 15
LAST = b"\x01\x00\x00\xff\xff"
pytestmark = pytest.mark.skipif(
    not literals.are_compiled() and not os.environ.get("CI"), reason="no compiler was there"
)


def _blocks(data):
    memory = bytearray(literals.most_bytes(len(data)))
    return bytes(memory[: literals.encode_into(data, memory)])


def _check(data):
    """Return the blocks of some bytes, after readers that share no code have read them."""
    data = bytes(data)
    blocks = _blocks(data)
    for make in (zlib.decompressobj, isal_zlib.decompressobj):
        reader = make(-15)
        assert reader.decompress(blocks + LAST) == data
        assert reader.eof
        assert not reader.unused_data
    whole = b"\x78\x01" + blocks + LAST + zlib.adler32(data).to_bytes(4, "big")
    assert imagecodecs.deflate_decode(whole, out=len(data)) == data  # libdeflate
    return blocks


def _distributions(random):
    """Return bytes of every kind of distribution, from one value to all of them."""
    fibonacci = [1, 1]
    while sum(fibonacci) < BLOCK - 100:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    return {
        "one value": np.full(100_000, 7),
        "one byte": np.array([200]),
        "two values": random.integers(0, 2, 50_000),
        "all values, equally often": np.resize(np.arange(256), 2 * BLOCK),
        "random": random.integers(0, 256, 70_001),
        "photons": random.poisson(60, BLOCK + 1),
        "the deepest tree": np.repeat(np.arange(len(fibonacci)), fibonacci),
        "a rare value": np.append(np.zeros(BLOCK - 1), 255),
        "each of 256 once, and one often": np.append(np.arange(256), np.zeros(BLOCK - 256)),
        "geometric": np.minimum(random.geometric(0.3, 40_000), 255),
        "powers": (1.04 ** random.integers(0, 141, 60_000)).astype(int),
        "bytes far apart": random.choice([0, 128, 255], 9_999, p=[0.001, 0.9, 0.099]),
        "another brightness in each block": random.poisson(
            np.repeat([5, 60, 120, 20, 5], BLOCK), 5 * BLOCK
        ),
    }


_DISTRIBUTIONS = _distributions(np.random.default_rng(2))


@pytest.mark.parametrize("values", _DISTRIBUTIONS.values(), ids=_DISTRIBUTIONS)
def test_readers_return_the_bytes(values):
    _check(values.astype(np.uint8))


@given(st.binary(max_size=600) | st.lists(st.sampled_from([0, 1, 9]), max_size=99).map(bytes))
def test_any_bytes(data):
    _check(data)


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=256),
    st.integers(0, 2**32 - 1),
    st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1]),
)
def test_any_shares_of_the_values(exponents, seed, size):
    """Shares that differ by powers of two ask for codes that are longer than allowed."""
    shares = 3.0 ** np.array(exponents)
    random = np.random.default_rng(seed)
    _check(random.choice(len(shares), size, p=shares / shares.sum()).astype(np.uint8))


@pytest.mark.parametrize("name", ["photons", "geometric", "random"])
def test_a_block_is_as_short_as_its_entropy_allows(name):
    """A code of whole bits takes at most 3 % more than the entropy here, and 100 bytes to tell."""
    data = _DISTRIBUTIONS[name].astype(np.uint8)[:BLOCK]
    counts = np.bincount(data)
    shares = counts[counts > 0] / data.size
    entropy = -float(shares @ np.log2(shares)) / 8 * data.size
    assert len(_blocks(data)) <= math.ceil(1.03 * entropy) + 100


def test_memory_suffices_for_whatever_grows_most():
    random = np.random.default_rng(3)
    for size in (0, 1, 8, 255, BLOCK, 3 * BLOCK + 1):
        for values in (random.integers(0, 256, size), np.arange(size)):
            data = values.astype(np.uint8)
            most = literals.most_bytes(size)
            memory = bytearray(most + 64)
            memory[most:] = b"\xa5" * 64
            written = literals.encode_into(data, memoryview(memory)[:most])
            assert written + 8 <= most
            assert memory[most:] == b"\xa5" * 64


def test_too_little_memory_is_refused():
    with pytest.raises(ValueError, match="memory is smaller"):
        literals.encode_into(bytes(1000), bytearray(literals.most_bytes(1000) - 1))
    with pytest.raises(TypeError):
        literals.encode_into(bytes(10), bytes(2000))  # read-only
    with pytest.raises(ValueError, match="size"):
        literals.most_bytes(-1)
    with pytest.raises((OverflowError, ValueError)):
        literals.most_bytes(1 << 70)


def test_only_contiguous_bytes_are_taken():
    data = np.zeros((100, 2), np.uint8)[:, 0]
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        literals.encode_into(data, bytearray(literals.most_bytes(100)))
