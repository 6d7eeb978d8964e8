"""Tests of shards that are filled chunk by chunk, in any order and by several runs."""

from __future__ import annotations

import itertools
import math
import random
import threading

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.storage.backends.zarr_places import (
    ABSENT,
    ShardLayout,
    read_index,
    read_sound_index,
)
from nwb_ophys.storage.backends.zarr_shards import SHARD_BYTES, ShardFiles, shard_shape

LAYOUT = ShardLayout(shape=(13, 10), chunks=(2, 3), shards=(6, 6), is_index_first=True)
CORNERS = [(row, column) for row in range(0, 13, 2) for column in range(0, 10, 3)]


def encoded(corner):
    return bytes([corner[0], corner[1]]) * (corner[0] + 3)


def check(folder, layout=LAYOUT):
    """Check that each chunk of the array is in its shard, and no other."""
    for number in layout.every_shard():
        index = read_sound_index(folder.joinpath("c", *map(str, number)), layout)
        inside = layout.positions_in(number)
        assert (index[inside] != ABSENT).all()
        others = np.delete(index, inside, axis=0)
        assert (others == ABSENT).all()
        used = sorted((int(start), int(start + size)) for start, size in index[inside])
        assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(used))
        assert used[0][0] >= layout.index_bytes


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 300)), min_size=1, max_size=4),
    st.sampled_from([1, 2, 4, 8]),
)
def test_shards_are_runs_of_chunks_of_at_most_128_mb(axes, itemsize):
    shape = tuple(size for size, _ in axes)
    chunks = tuple(min(chunk, size) for size, chunk in axes)
    shards = shard_shape(shape, chunks, itemsize)
    counts = [shard // chunk for shard, chunk in zip(shards, chunks, strict=True)]
    totals = [-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True)]
    assert all(shard % chunk == 0 for shard, chunk in zip(shards, chunks, strict=True))
    assert all(1 <= count <= total for count, total in zip(counts, totals, strict=True))
    size, number = math.prod(shards) * itemsize, math.prod(counts)
    assert number == 1 or (size <= SHARD_BYTES and number <= 4096)
    # Chunks that follow each other in C order: whole axes, then a part of one, then single chunks.
    partial = [at for at, (n, total) in enumerate(zip(counts, totals, strict=True)) if n < total]
    assert all(counts[at] == 1 for at in partial[:-1])
    if partial and all(total * number > 0 for total in totals):
        at = partial[-1]
        per_step = math.prod(counts[at + 1 :])
        more = math.prod(chunks) * itemsize * per_step * (counts[at] + 1)
        assert more > SHARD_BYTES or per_step * (counts[at] + 1) > 4096


def test_a_movie_has_shards_of_about_128_mb():
    shards = shard_shape((100_000, 512, 512), (8, 512, 512), 2)
    assert shards == (240, 512, 512)
    assert 64e6 < math.prod(shards) * 2 <= 128e6


@pytest.mark.parametrize("seed", range(3))
def test_chunks_in_any_order_by_several_threads(tmp_path, seed):
    files = ShardFiles(tmp_path, LAYOUT)
    corners = CORNERS.copy()
    random.Random(seed).shuffle(corners)
    parts = [corners[first::4] for first in range(4)]
    done = []

    def fill(part):
        done.extend(filter(None, (files.put(each, encoded(each)) for each in part)))

    threads = [threading.Thread(target=fill, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(tmp_path)
    assert sorted(done) == sorted(
        tmp_path.joinpath("c", *map(str, n)) for n in LAYOUT.every_shard()
    )
    assert not files._open  # so that memory does not grow with the array
    again = ShardFiles(tmp_path, LAYOUT)
    assert all(again.read(each) == encoded(each) for each in CORNERS)


@pytest.mark.parametrize("number", [0, 1, 7, len(CORNERS) - 1])
def test_a_later_run_adds_the_chunks_that_are_absent(tmp_path, number):
    first = ShardFiles(tmp_path, LAYOUT)
    for each in CORNERS[:number]:
        first.put(each, encoded(each))
    # The first run was killed before its indices had their checksums.
    second = ShardFiles(tmp_path, LAYOUT)
    assert [second.read(each) for each in CORNERS] == [
        encoded(each) if at < number else None for at, each in enumerate(CORNERS)
    ]
    for each in CORNERS[number:]:
        second.put(each, encoded(each))
    second.finish()
    check(tmp_path)


def test_a_chunk_that_is_stored_again_takes_its_place(tmp_path):
    files = ShardFiles(tmp_path, LAYOUT)
    place = tmp_path / "c/0/0"
    for each in CORNERS[:2]:
        files.put(each, b"12345")
    size = place.stat().st_size
    files.put(CORNERS[0], b"54321")
    assert place.stat().st_size == size
    files.put(CORNERS[0], b"123456")
    assert place.stat().st_size == size + 6
    assert files.read(CORNERS[0]) == b"123456"
    assert files.read(CORNERS[1]) == b"12345"


def test_absent_chunks_and_absent_shards_are_not_stored(tmp_path):
    files = ShardFiles(tmp_path, LAYOUT)
    files.put(CORNERS[0], b"12345")
    files.finish()
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["0"]
    index = read_sound_index(tmp_path / "c/0/0", LAYOUT)
    assert (index != ABSENT).any(axis=1).sum() == 1
    assert files.read(CORNERS[5]) is None


@pytest.mark.parametrize("length", [0, 20, LAYOUT.index_bytes + 1])
def test_a_torn_shard_is_filled_again(tmp_path, length):
    """A failure of the power may leave a shard that is shorter than its index states."""
    first = ShardFiles(tmp_path, LAYOUT)
    for each in CORNERS:
        first.put(each, encoded(each))
    place = tmp_path / "c/0/0"
    with place.open("r+b") as file:
        file.truncate(length)
    second = ShardFiles(tmp_path, LAYOUT)
    assert second.read((0, 0)) is None
    for each in CORNERS:
        if second.read(each) is None:
            second.put(each, encoded(each))
    second.finish()
    check(tmp_path)


def test_a_guard_is_called_before_a_shard_is_made(tmp_path):
    said = []
    files = ShardFiles(tmp_path, LAYOUT, lambda name: said.append((name, _files(tmp_path))))
    for each in CORNERS:
        files.put(each, encoded(each))
    names = [name for name, _ in said]
    assert names == [f"c/{row}/{column}" for row in range(3) for column in range(2)]
    assert all(name not in before for name, before in said)


def _files(folder):
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize("is_first", [True, False])
def test_indices_of_zarr_are_read(tmp_path, is_first):
    location = "start" if is_first else "end"
    array = zarr.create_array(
        str(tmp_path / "a"),
        shape=(13, 10),
        chunks=(2, 3),
        shards={"shape": (6, 6), "index_location": location},
        dtype="u2",
        config={"write_empty_chunks": True},
    )
    array[...] = 5
    layout = ShardLayout(shape=(13, 10), chunks=(2, 3), shards=(6, 6), is_index_first=is_first)
    for number in layout.every_shard():
        file = tmp_path / "a/c" / "/".join(map(str, number))
        index = read_sound_index(file, layout)
        assert (index[layout.positions_in(number)] != ABSENT).all()
        content = file.read_bytes()
        at = 0 if is_first else len(content) - layout.index_bytes
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ValueError, match=r"another checksum|beyond its end"):
            read_sound_index(file, layout)
        file.write_bytes(content[:10])
        with pytest.raises(ValueError, match="has 10 bytes, fewer than its index of 100"):
            read_index(file, layout)
