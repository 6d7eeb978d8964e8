"""Hashes of values depend on the values alone, not on the order of writing or on the file."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from nwb_ophys import BackendConfiguration, DatasetConfiguration, repack, write_nwbfile
from nwb_ophys.storage import backend_of_path
from nwb_ophys.storage.backends.hdf5_objects import hdf5_objects
from nwb_ophys.storage.checksums import fletcher32
from nwb_ophys.storage.grid import grid, whole
from nwb_ophys.storage.hashes import BlockDigests, BlockGrid, DatasetHash, digest
from nwb_ophys.storage.record import Known, records_of
from nwb_ophys.storage.stored_objects import plain

from .conftest import Lazy, new_file, read

VALUES = np.random.default_rng(0).integers(0, 4_000, (50, 30, 20)).astype(np.int16)
LOCATION = "acquisition/a/data"


def hashed(values, block_shape, *, is_shuffled=False, order=1):
    """Return the hash of values whose blocks are noted in an order."""
    blocks = BlockGrid.of(values.shape, block_shape, values.dtype, is_shuffled=is_shuffled)
    digests = BlockDigests(blocks)
    for cell in list(grid(whole(values.shape), block_shape))[::order]:
        digests.note(tuple(step.start for step in cell), blocks.digest_of(values[cell]))
    return digests.hash(group_size=1)


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("block_shape", [(10, 30, 20), (7, 11, 20), (60, 30, 20), (1, 1, 1)])
def test_the_hash_does_not_depend_on_order_of_blocks_memory_and_bytes(block_shape, is_shuffled):
    first = hashed(VALUES, block_shape, is_shuffled=is_shuffled)
    for same in (VALUES.astype(">i2"), np.asfortranarray(VALUES)):
        assert hashed(same, block_shape, is_shuffled=is_shuffled, order=-1) == first
    other = VALUES.copy()
    other[-1, -1, -1] ^= 1
    assert hashed(other, block_shape, is_shuffled=is_shuffled).total != first.total


def test_a_block_that_is_not_noted_counts_as_zeros():
    zeros = np.zeros_like(VALUES)
    blocks = BlockGrid.of(VALUES.shape, (7, 30, 20), VALUES.dtype, is_shuffled=True)
    assert BlockDigests(blocks).hash(1) == hashed(zeros, (7, 30, 20), is_shuffled=True)


def test_the_differing_blocks_are_located():
    other = VALUES.copy()
    other[[8, 45], 0, 0] += 1
    differing = hashed(VALUES, (5, 30, 20)).differing(hashed(other, (5, 30, 20)))
    assert [group[0][0].start for group in differing] == [5, 45]


def test_a_hash_is_the_same_as_plain_data():
    stated = hashed(VALUES, (7, 11, 20), is_shuffled=True)
    assert DatasetHash.from_dict(stated.to_dict()) == stated
    for key, wrong in (("blocks", "AAAA"), ("shape", [50, 30, -1]), ("dtype", "O"), ("shape", 3)):
        with pytest.raises((ValueError, TypeError)):
            DatasetHash.from_dict({**stated.to_dict(), key: wrong})


def test_many_small_blocks_share_stored_hashes():
    blocks = BlockGrid.of((10_000_000, 4), (1, 4), np.dtype("f4"), is_shuffled=True)
    assert -(-len(blocks) // blocks.default_group_size) < 100


def known(path):
    backend = backend_of_path(path)
    with backend.open_root(path) as root:
        return Known.of(records_of(root, backend).values())


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("codec", ["gzip", "none", "lz4", "zstd", "blosc"])
def test_the_hashes_of_writing_are_those_of_the_values(target, backend, codec, workers):
    configuration = BackendConfiguration(backend=backend, compression=codec)
    lazy = Lazy(VALUES, chunk_shape=(8, 30, 20), buffer_shape=(16, 30, 20))
    write_nwbfile(
        new_file(a=lazy), target, backend=backend, configuration=configuration, workers=workers
    )
    stated = known(target).datasets[LOCATION]
    again = hashed(VALUES, (8, 30, 20), is_shuffled=stated.grid.is_shuffled)
    assert stated.groups == grouped(again, stated.group_size)


def grouped(one, size):
    """Return the hashes of groups of blocks."""
    if size == 1:
        return one.groups
    step = size * 16
    parts = (one.groups[start : start + step] for start in range(0, len(one.groups), step))
    return b"".join(digest(part) for part in parts)


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd", "blosc"])
def test_hdf5_has_a_checksum_where_the_compression_has_none(tmp_path, codec):
    configuration = BackendConfiguration(
        datasets={
            LOCATION: DatasetConfiguration(
                location=LOCATION, compression=codec, chunk_shape=(7, 11, 13)
            )
        }
    )
    path = write_nwbfile(new_file(a=Lazy(VALUES)), tmp_path / "a.nwb", configuration=configuration)
    with h5py.File(path) as file:
        assert file[LOCATION].fletcher32
        np.testing.assert_array_equal(file[LOCATION][...], VALUES)  # HDF5 checks the checksums
    copy = repack(path, tmp_path / "b.nwb", verify=True)
    np.testing.assert_array_equal(read(copy, LOCATION)[0], VALUES)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 511, 512, 513, 65_535, 65_536, 131_079])
@pytest.mark.parametrize("kind", ["noise", "zeros", "ones"])
def test_fletcher_is_that_of_hdf5(tmp_path, size, kind):
    values = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    values = {"noise": values, "zeros": values * 0, "ones": values * 0 + 255}[kind]
    if not size:
        assert fletcher32(values) == bytes(4)
        return
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("a", data=values, chunks=(size,), fletcher32=True)
        file.flush()
        assert dataset.id.read_direct_chunk((0,))[1][-4:] == fletcher32(values)


def test_attributes_of_hdf5_are_those_that_h5py_reads(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        written = file.attrs
        written.update({"text": "µm", "empty": "", "one": 3, "several": ["a", "b"]})
        written.create("ascii", "q", dtype=h5py.string_dtype("ascii"))
        written.create("fixed", np.bytes_("yy"), dtype=h5py.string_dtype("utf-8", 5))
        written.create("undecodable", b"\xff", dtype=h5py.string_dtype())
        written.create("in a list", ["x"], dtype=h5py.string_dtype())
        written.create("without values", h5py.Empty(h5py.string_dtype()))
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(h5py.h5t.VARIABLE)
        h5py.h5a.create(file.id, b"never written", kind, h5py.h5s.create(h5py.h5s.SCALAR))
        (found,) = hdf5_objects(file)
        expected = {name: plain(written[name]) for name in written}
    assert found.attributes == {**expected, "without values": {"empty": True}}


def test_a_name_of_an_attribute_that_is_not_utf8(tmp_path):
    """Fault: hashing raised a TypeError, as names of two kinds cannot be sorted."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["a"] = 1
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file.id, b"caf\xe9", h5py.h5t.NATIVE_INT32, scalar)
        (found,) = hdf5_objects(file)
        assert set(found.attributes) == {"a", "caf\udce9"}
        before = found.attributes_hash()
        h5py.h5a.open(file.id, b"caf\xe9").write(np.array(4, "i4"))
        (changed,) = hdf5_objects(file)
    assert changed.attributes_hash() != before
