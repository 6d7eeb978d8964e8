"""Tests of shapes of HDF5 datasets that damage changed, against the values that are stored."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.hdf5.reader import Hdf5MovieExtractor, find_hdf5_movie
from nwb_ophys.storage.backends.hdf5_parts import check_complete

SHAPE = (6, 16, 12)


def _write(path, layout):
    values = np.arange(np.prod(SHAPE), dtype="i2").reshape(SHAPE)
    with h5py.File(path, "w") as file:
        if layout == "chunked":
            file.create_dataset("mov", data=values, chunks=(6, 16, 4))
        else:
            file["mov"] = values
        file["mov"].attrs["fr"] = 10.0


def _damage(path, shape):
    """Replace the shape in the header of the dataset, and its limits."""
    content = path.read_bytes()
    stated = struct.pack("<3Q", *SHAPE)
    assert stated in content
    path.write_bytes(content.replace(stated, struct.pack("<3Q", *shape)))


@pytest.mark.parametrize("layout", ["contiguous", "chunked"])
@pytest.mark.parametrize("shape", [(6, 16, 8), (4, 16, 12), (3, 16, 12), (6, 4, 12)])
def test_a_shape_that_damage_made_smaller(tmp_path, layout, shape):
    """Fault: the rows of a movie were read from other places, without a word."""
    path = tmp_path / "movie.h5"
    _write(path, layout)
    movie = find_hdf5_movie(path)
    with h5py.File(path) as file:
        check_complete(file["mov"], path)
    Hdf5MovieExtractor(movie).close()
    _damage(path, shape)
    if layout == "chunked" and shape != (6, 16, 8):
        return  # the chunks are as many as before: nothing in the file contradicts the shape
    for is_sparse in (False, True):
        with h5py.File(path) as file, pytest.raises(CorruptSourceError, match="shape is damaged"):
            check_complete(file["mov"], path, is_sparse=is_sparse)
    with pytest.raises(CorruptSourceError, match=r"'mov' in '.*movie\.h5'.*shape is damaged"):
        Hdf5MovieExtractor(find_hdf5_movie(path))


def test_datasets_that_were_made_smaller_by_a_program(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        values = np.ones((8, 4), "f4")
        data = file.create_dataset("a", data=values, chunks=(2, 4), maxshape=(None, 4))
        data.resize(3, axis=0)
        check_complete(data)
        for dtype in (h5py.string_dtype(), np.dtype("S3"), np.dtype("?"), np.dtype("c8")):
            texts = file.create_dataset(
                f"a{dtype.kind}", data=np.zeros(3, int).astype("S3").astype(dtype)
            )
            check_complete(texts)
