"""Tests of the space that a file needs, compared with the free space before it is written."""

from __future__ import annotations

import datetime
import errno
import os
import shutil
from collections import namedtuple
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries

from nwb_ophys.cli.failures import with_flags
from nwb_ophys.errors import DiskError
from nwb_ophys.storage import (
    BackendConfiguration,
    WriteOptions,
    append_to_nwbfile,
    create_nwbfile,
    repack,
    size_of,
    space,
)
from nwb_ophys.storage.disk_errors import disk_error
from nwb_ophys.writers import run

NOISE = np.random.default_rng(0).integers(0, 65_536, (200, 100, 50)).astype("u2")  # 2 MB
EVEN = np.full_like(NOISE, 7)
SUFFIX = {"hdf5": ".nwb", "zarr": ".nwb.zarr"}
Usage = namedtuple("Usage", "total used free")
BACKENDS = pytest.mark.parametrize("backend", list(SUFFIX))
COMPRESSIONS = pytest.mark.parametrize("compression", ["gzip", "gzip:9", "zstd", "blosc", "lz4"])


class Counted(GenericDataChunkIterator):
    """Iterator that counts the values that are read."""

    def __init__(self, values, **settings):
        self.values, self.num_read = values, 0
        super().__init__(chunk_shape=(10, 100, 50), buffer_shape=(50, 100, 50), **settings)

    def _get_data(self, selection):
        self.num_read += self.values[selection].size
        return self.values[selection]

    def _get_maxshape(self):
        return self.values.shape

    def _get_dtype(self):
        return self.values.dtype


def nwbfile_of(data):
    start = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=start)
    nwbfile.add_acquisition(TimeSeries(name="movie", data=data, unit="a", rate=1.0))
    return nwbfile


@pytest.fixture
def free(monkeypatch):
    """Return a function that sets the free space."""

    def set_free(size, total=10**12):
        usage = Usage(total, total - size, size)
        monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: usage)
        monkeypatch.setattr(space, "_may_share_blocks", lambda folder: False)

    return set_free


@BACKENDS
def test_noise_that_does_not_fit_is_refused_with_both_numbers(tmp_path, free, backend):
    free(1_500_000)
    target = tmp_path / f"session{SUFFIX[backend]}"
    with pytest.raises(DiskError) as caught:
        create_nwbfile(nwbfile_of(NOISE), target, backend=backend)
    message = str(caught.value)
    assert message.startswith(f"'{target}' needs about 2.0 MB, but the file system of '{tmp_path}'")
    assert "has 1.5 MB free." in message
    assert with_flags(message).endswith("or use --no-space-check to write all the same.")
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@BACKENDS
@COMPRESSIONS
def test_the_estimate_is_that_of_the_codec(tmp_path, free, backend, compression):
    values = (NOISE % 64).astype("u2")  # takes less than half of its bytes
    configuration = BackendConfiguration(backend=backend, compression=compression)
    options = WriteOptions(configuration=configuration)
    target = tmp_path / f"a{SUFFIX[backend]}"
    nwbfile = nwbfile_of(Counted(values))
    create_nwbfile(nwbfile, target, backend=backend, options=options)
    data = target / "acquisition" / "movie" / "data"
    stored = size_of(data) if backend == "zarr" else _stored_bytes(target)
    assert stored < values.nbytes * 0.9
    other = tmp_path / f"b{SUFFIX[backend]}"
    free(int(stored * 1.15))
    create_nwbfile(nwbfile, other, backend=backend, options=options)
    free(int(stored * 0.95))
    with pytest.raises(DiskError, match="needs about"):
        create_nwbfile(nwbfile, other, backend=backend, overwrite=True, options=options)


def _stored_bytes(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        return file["acquisition/movie/data"].id.get_storage_size()


@BACKENDS
def test_no_value_is_read_where_the_values_fit_without_compression(tmp_path, free, backend):
    for size, is_sampled in ((3_000_000, False), (1_000_000, True)):
        free(size)
        data = Counted(EVEN)
        target = tmp_path / f"a{SUFFIX[backend]}"
        create_nwbfile(nwbfile_of(data), target, backend=backend, overwrite=True)
        assert (data.num_read > EVEN.size) == is_sampled


def test_the_pieces_are_a_small_part_of_a_long_dataset(tmp_path, free):
    values = np.broadcast_to(np.uint16(7), (20_000, 100, 50))  # 200 MB
    free(50_000_000)
    data = Counted(values)
    create_nwbfile(nwbfile_of(data), tmp_path / "a.nwb")
    assert 0 < data.num_read - values.size <= values.size * 0.011


def test_the_places_of_the_pieces_are_spread_over_the_chunks_of_a_frame(tmp_path, free):
    """Tiles of a frame may be empty while others are full."""
    values = NOISE.copy()
    values[:, :50] = 0
    settings = H5DataIO(values, chunks=(25, 50, 50))
    free(800_000)
    with pytest.raises(DiskError, match="needs about"):
        create_nwbfile(nwbfile_of(settings), tmp_path / "a.nwb")
    free(1_800_000)
    create_nwbfile(nwbfile_of(settings), tmp_path / "a.nwb")


@pytest.mark.parametrize("give", [lambda values: values, Counted])
def test_without_the_check_everything_is_written(tmp_path, free, give):
    free(10)
    path = run.write_nwbfile(nwbfile_of(give(NOISE)), tmp_path / "a.nwb", space_check=False)
    assert path.is_file()


def test_a_file_system_that_states_no_numbers_is_not_asked(tmp_path, free, monkeypatch):
    free(0, total=0)
    create_nwbfile(nwbfile_of(NOISE), tmp_path / "a.nwb")

    def refuse(folder):
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(space.shutil, "disk_usage", refuse)
    create_nwbfile(nwbfile_of(NOISE), tmp_path / "b.nwb")


@BACKENDS
def test_a_copy_to_append_to_is_counted_before_it_is_made(tmp_path, free, backend):
    target = tmp_path / f"a{SUFFIX[backend]}"
    create_nwbfile(nwbfile_of(NOISE), target, backend=backend)
    size = size_of(target)
    free(1_000_000)
    with pytest.raises(DiskError, match=r"is appended to in a copy of 2\.\d MB, but .* 1\.0 MB fr"):
        append_to_nwbfile(target, lambda nwbfile: None)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert size_of(target) == size
    options = WriteOptions(space_check=False)
    append_to_nwbfile(target, lambda nwbfile: None, options=options)


def test_a_copy_that_may_share_blocks_is_not_refused(tmp_path, free, monkeypatch):
    target = tmp_path / "a.nwb"
    create_nwbfile(nwbfile_of(NOISE), target)
    free(1_000_000)
    monkeypatch.setattr(space, "_may_share_blocks", lambda folder: True)
    append_to_nwbfile(target, lambda nwbfile: None)


def test_the_kind_of_the_file_system_is_that_of_the_nearest_mount(monkeypatch):
    lines = (
        "22 1 8:1 / / rw - ext4 /dev/a - b rw\n"
        "23 22 0:30 / /my\\040disk rw shared:3 - btrfs /dev/b rw\n"
    )
    monkeypatch.setattr(space.Path, "read_text", lambda self, errors: lines)
    found = [space._may_share_blocks(space.Path(each)) for each in ("/my disk/x", "/my", "/")]
    assert found == [True, False, False]


@BACKENDS
@pytest.mark.parametrize("values", [NOISE, EVEN], ids=["noise", "even"])
def test_repacking_is_checked(tmp_path, free, backend, values):
    source = tmp_path / "source.nwb"
    create_nwbfile(nwbfile_of(values), source)
    target = tmp_path / f"target{SUFFIX[backend]}"
    free(1_000_000)
    if values is NOISE:
        with pytest.raises(DiskError, match=rf"'{target}' needs about 2\.\d MB"):
            repack(source, target, backend=backend)
        assert [path.name for path in tmp_path.iterdir()] == ["source.nwb"]
        repack(source, target, backend=backend, space_check=False)
    else:
        repack(source, target, backend=backend)
    assert target.exists()


def test_the_size_of_filters_that_are_kept_is_that_of_the_source(tmp_path, free):
    source, options = tmp_path / "source.nwb", WriteOptions(space_check=False)
    create_nwbfile(nwbfile_of(_lzf(EVEN)), source)
    free(1_000_000)
    repack(source, tmp_path / "even.nwb")
    create_nwbfile(nwbfile_of(_lzf(NOISE)), source, overwrite=True, options=options)
    with pytest.raises(DiskError, match="needs about"):
        repack(source, tmp_path / "noise.nwb")


def test_records_are_estimated(tmp_path, free):
    """Fault: the mask of pixels of a repacked file has no truth in NumPy."""
    source = tmp_path / "source.nwb"
    nwbfile = nwbfile_of(EVEN[:2])
    create_nwbfile(nwbfile, source)
    kind = np.dtype([("x", "u4"), ("y", "u4"), ("weight", "f4")])
    with h5py.File(source, "a") as file:
        series = file["acquisition/movie"]
        attributes = dict(series["data"].attrs)
        del series["data"]
        made = series.create_dataset("data", (100_000,), kind, chunks=(1_000,))
        made[:50] = (1, 2, 0.5)
        made.attrs.update(attributes)
    free(1_000_000)
    repack(source, tmp_path / "target.nwb")
    with h5py.File(tmp_path / "target.nwb") as file:
        assert file["acquisition/movie/data"][49].tolist() == (1, 2, 0.5)
        assert not file["acquisition/movie/data"][50]["x"]


def _lzf(values):
    with pytest.warns(UserWarning, match="lzf compression may not be available"):
        return H5DataIO(values, compression="lzf", chunks=(10, 100, 50))


def test_the_command_line_has_the_flag(tmp_path, free, capsys):
    from nwb_ophys.cli import main

    source = tmp_path / "source.nwb"
    create_nwbfile(nwbfile_of(NOISE), source)
    free(1_000_000)
    command = ["repack", str(source), "-o", str(tmp_path / "a.nwb"), "--no-progress"]
    with pytest.raises(SystemExit, match="2"):
        main(command)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "has 1.0 MB free." in said
    assert "or use --no-space-check to write" in said
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--no-space-check"])


def test_the_free_space_is_that_of_the_user(tmp_path):
    assert space.free_space(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert space.free_space(tmp_path / "absent") is None


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="a call of POSIX")
@pytest.mark.parametrize(
    ("num_files", "num_blocks", "word"),
    [(0, 50_000, "no room for more files"), (0, 0, "Free some space"), (900, 0, "Free some space")],
)
def test_a_file_system_without_room_for_files_is_named(
    tmp_path, monkeypatch, num_files, num_blocks, word
):
    """Fault: a store of many chunks asked for space, of which there was enough."""
    found = SimpleNamespace(f_files=1000, f_favail=num_files, f_bavail=num_blocks)
    monkeypatch.setattr(os, "statvfs", lambda path: found)
    assert word in str(disk_error(errno.ENOSPC, tmp_path / "a.nwb.zarr"))
