"""Tests of what is written in Zarr format 3, read by hdmf-zarr, pynwb and plain Zarr."""

from __future__ import annotations

import json
import shutil
import warnings

import h5py
import hdmf_zarr
import numpy as np
import pynwb
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynwb import TimeSeries

from nwb_ophys import verify, write_nwbfile
from nwb_ophys.errors import ArgumentError, MissingPackageError
from nwb_ophys.storage import BackendConfiguration, append_to_nwbfile, create_nwbfile, repack
from nwb_ophys.storage.backends.zarr_places import array_folder

from .conftest import DATA, VALUES, in_chunks, new_file

DTYPES = (
    "u1",
    "i1",
    "u2",
    "i2",
    "u4",
    "i4",
    "u8",
    "i8",
    "f2",
    "f4",
    "f8",
    "?",
    ">i2",
    ">f4",
    ">f8",
)
PRESETS = ("gzip", "gzip:9", "zstd", "blosc", "lz4", "none")


@st.composite
def recordings(draw):
    """Values of any bit pattern, their chunks, and how they are stored."""
    number = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 70 if number < 3 else 13)) for _ in range(number))
    chunks = tuple(draw(st.integers(1, size)) for size in shape)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    raw = rng.integers(0, 2 if dtype.kind == "b" else 256, (*shape, dtype.itemsize))
    values = raw.astype("u1").view(dtype)[..., 0]
    if draw(st.booleans()):
        values[: max(shape[0] // 2, 1)] = 0
    if draw(st.booleans()):
        values = np.asfortranarray(values)
    return values, chunks, draw(st.sampled_from(PRESETS))


def same(found, values):
    """Return whether values are equal bit for bit, in either order of bytes."""
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    given = np.ascontiguousarray(np.asarray(found).astype(native.dtype, copy=False))
    return given.shape == native.shape and given.tobytes() == native.tobytes()


@given(st.lists(recordings(), min_size=1, max_size=6), st.sampled_from([0, 2]))
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
def test_values_are_those_of_hdf5_bit_for_bit(tmp_path, small_shards, found, workers):
    names = [f"series{number}" for number in range(len(found))]
    for backend, place in (("hdf5", "a.nwb"), ("zarr", "a.nwb.zarr")):
        nwbfile = new_file(
            **{
                name: in_chunks(values, chunks) if backend == "zarr" else values
                for name, (values, chunks, _) in zip(names, found, strict=True)
            }
        )
        how = BackendConfiguration.from_nwbfile(nwbfile, backend=backend)
        for name, (_, _, preset) in zip(names, found, strict=True):
            location = f"acquisition/{name}/data"
            if location in how.datasets:
                how[location].compression = preset
        write_nwbfile(
            *(nwbfile, tmp_path / place),
            backend=backend,
            configuration=how,
            overwrite=True,
            workers=workers,
            verify=True,
        )
    root = zarr.open_group(str(tmp_path / "a.nwb.zarr"), mode="r")
    with h5py.File(tmp_path / "a.nwb") as file:
        for name, (values, chunks, _) in zip(names, found, strict=True):
            array = root[f"acquisition/{name}/data"]
            assert array.chunks == chunks
            assert array.dtype == values.dtype.newbyteorder("=")
            assert same(array[...], values)
            assert same(file[f"acquisition/{name}/data"][()], values)


@pytest.mark.parametrize("compression", PRESETS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_preset_has_codecs_that_every_reader_of_zarr_has(
    tmp_path, small_shards, compression, shuffle
):
    path = tmp_path / "a.nwb.zarr"
    nwbfile = new_file(a=in_chunks(VALUES, (10, 12, 5)))
    how = BackendConfiguration.from_nwbfile(nwbfile, backend="zarr", compression=compression)
    how[DATA].shuffle = shuffle
    write_nwbfile(nwbfile, path, backend="zarr", configuration=how)
    array = zarr.open_group(str(path), mode="r")[DATA]
    assert np.array_equal(array[...], VALUES)
    header = json.loads((path / DATA / "zarr.json").read_text())
    (sharding,) = header["codecs"]
    names = [each["name"] for each in sharding["configuration"]["codecs"]]
    kind = compression.partition(":")[0]
    own = {"none": [], "lz4": ["numcodecs.lz4"]}.get(kind, [kind])
    shuffled = shuffle and kind not in ("none", "blosc")
    assert names == ["bytes", *["numcodecs.shuffle"] * shuffled, *own]


def test_every_reader_opens_it(store):
    with hdmf_zarr.NWBZarrIO(str(store), "r") as io:
        nwbfile = io.read()
        assert np.array_equal(nwbfile.acquisition["a"].data[:], VALUES)
        assert pynwb.validate(io=io) == []
    nwbfile = pynwb.read_nwb(str(store))
    assert np.array_equal(nwbfile.acquisition["a"].data[5:7], VALUES[5:7])
    assert nwbfile.acquisition["a"].rate == 1.0
    root = zarr.open_consolidated(str(store), mode="r")
    assert np.array_equal(root[DATA][...], VALUES)


def test_each_chunk_is_stored_even_of_fill_values(tmp_path, small_shards):
    """Zarr 3 leaves out chunks of fill values, which look like chunks that were lost."""
    path = tmp_path / "a.nwb.zarr"
    nwbfile = new_file(a=in_chunks(np.zeros((40, 12, 10), "u2"), (10, 12, 10)), b=np.zeros(3))
    nwbfile.acquisition["a"].fields["rate"] = 0.0
    create_nwbfile(nwbfile, path, backend="zarr")
    root = zarr.open_group(str(path), mode="r")
    shards = list((path / DATA / "c").rglob("0"))
    assert sum(each.stat().st_size > 100 for each in shards if each.is_file()) >= 2
    for _, array in root.members(max_depth=None):
        if isinstance(array, zarr.Array):
            folder = array_folder(array)
            assert any(each.is_file() for each in [folder / "c", *folder.glob("c/**/*")]), folder


def test_values_of_a_wrapper_are_kept(tmp_path):
    codecs = [zarr.codecs.GzipCodec(level=2)]
    filters = [zarr.codecs.TransposeCodec(order=(2, 1, 0))]
    own = hdmf_zarr.ZarrDataIO(
        VALUES, chunks=(10, 12, 5), shards=(20, 12, 10), compressors=codecs, filters=filters
    )
    path = tmp_path / "a.nwb.zarr"
    create_nwbfile(new_file(a=own), path, backend="zarr")
    array = zarr.open_group(str(path), mode="r")[DATA]
    assert (array.chunks, array.shards) == ((10, 12, 5), (20, 12, 10))
    assert array.filters[0].order == (2, 1, 0)
    assert array.compressors[0].level == 2
    assert np.array_equal(array[...], VALUES)
    misfit = hdmf_zarr.ZarrDataIO(VALUES, chunks=(10, 12, 5), shards=(20, 12, 10))
    how = BackendConfiguration.from_nwbfile(new_file(a=misfit), backend="zarr")
    how[DATA].chunk_shape = (7, 12, 10)
    with pytest.raises(ArgumentError, match="each must be a multiple of the chunk"):
        write_nwbfile(
            new_file(a=misfit), tmp_path / "b.nwb.zarr", backend="zarr", configuration=how
        )


def test_an_append_adds_to_the_store(store):
    more = TimeSeries(name="b", data=in_chunks(VALUES[::-1], (10, 12, 10)), unit="a", rate=1.0)
    append_to_nwbfile(store, lambda nwbfile: nwbfile.add_acquisition(more))
    nwbfile = pynwb.read_nwb(str(store))
    assert np.array_equal(nwbfile.acquisition["a"].data[:], VALUES)
    assert np.array_equal(nwbfile.acquisition["b"].data[:], VALUES[::-1])


def test_names_are_no_urls(tmp_path):
    """Fault: Zarr 3 takes a text for a URL, and wrote to a folder whose name ended before ``#``."""
    for name in ("ä µ #1?.nwb.zarr", "memory:x.nwb.zarr", "100 %41.nwb.zarr"):
        path = create_nwbfile(new_file(a=VALUES), tmp_path / name, backend="zarr")
        append_to_nwbfile(path, lambda nwbfile: nwbfile.add_lab_meta_data([]))
        assert np.array_equal(zarr.open_group(path, mode="r")[DATA][...], VALUES)
        assert verify(path).differences == ()
        repack(path, tmp_path / "b.nwb", overwrite=True)
        assert [each.name for each in tmp_path.iterdir() if each.name != "b.nwb"] == [name]
        shutil.rmtree(path)


def test_nothing_warns(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb.zarr", backend="zarr")


def test_a_format_that_is_not_installed(tmp_path):
    path = tmp_path / "a.nwb.zarr"
    with pytest.raises(
        MissingPackageError, match=r'writes Zarr format 3, not format 2.*"hdmf-zarr<0.14"'
    ):
        write_nwbfile(new_file(a=VALUES), path, backend="zarr", zarr_format=2)
    with pytest.raises(ArgumentError, match="but the backend is 'hdf5'"):
        write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb", zarr_format=3)
    assert list(tmp_path.iterdir()) == []
    write_nwbfile(new_file(a=VALUES), path, backend="zarr", zarr_format=3)
    assert (path / "zarr.json").is_file()


def test_arrays_of_other_stores_are_copied(tmp_path):
    """Fault: hdmf-zarr stored links to memory, and to wrong paths of stores on the disk."""
    other = zarr.open_array(tmp_path / "other.zarr", mode="w", shape=VALUES.shape, dtype="u2")
    other[...] = VALUES.astype("u2")
    for data in (other, zarr.array(VALUES.astype("u2"))):
        path = tmp_path / "a.nwb.zarr"
        create_nwbfile(new_file(a=data), path, backend="zarr", overwrite=True)
        array = zarr.open_group(str(path), mode="r")[DATA]
        assert np.array_equal(array[...], VALUES.astype("u2"))
