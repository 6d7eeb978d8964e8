"""Tests of the estimate of the size and time of a write."""

from __future__ import annotations

import datetime
import math

import h5py
import numpy as np
import pytest
from hdmf.data_utils import GenericDataChunkIterator
from hypothesis import given
from hypothesis import strategies as st
from pynwb import NWBFile, TimeSeries

from nwb_ophys import Suite2pSegmentationInterface, write_nwbfile
from nwb_ophys.errors import ArgumentError, SourceError
from nwb_ophys.storage import (
    BackendConfiguration,
    WriteEstimate,
    estimate_nwbfile,
    estimating,
    get_backend,
)
from nwb_ophys.storage.grid import spread_corners
from nwb_ophys.testing import simulate_recording, write_suite2p

START = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)
MOVIE = "acquisition/movie/data"
FRAME = (100, 80)


class Counted(GenericDataChunkIterator):
    """Iterator over 50 chunks of 2 frames that counts the values that are read."""

    def __init__(self, values):
        self.values, self.num_read, self.largest = values, 0, 0
        super().__init__(
            chunk_shape=(2, *FRAME), buffer_shape=(2 * (min(len(values), 20) // 2), *FRAME)
        )

    def _get_data(self, selection):
        found = self.values[selection]
        self.num_read += found.size
        self.largest = max(self.largest, found.size)
        return found

    def _get_maxshape(self):
        return self.values.shape

    def _get_dtype(self):
        return self.values.dtype


class Broken(Counted):
    """Iterator whose second half cannot be read."""

    def _get_data(self, selection):
        if selection[0].stop > 50:
            raise OSError("no such sector")
        return super()._get_data(selection)


def file_of(*data):
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=START)
    for number, values in enumerate(data):
        name = "movie" if number == 0 else f"movie{number}"
        nwbfile.add_acquisition(TimeSeries(name=name, data=values, unit="a", rate=1.0))
    return nwbfile


def noise(num_frames=100, high=300):
    return np.random.default_rng(0).integers(0, high, (num_frames, *FRAME)).astype("u2")


def movies():
    even = np.full((100, *FRAME), 7, "u2")
    half = np.concatenate([noise(50), even[:50]])
    ramp = np.stack([noise(1, 2 + 10 * i)[0] for i in range(100)])  # noisier and noisier
    return {"noise": noise(), "even": even, "half": half, "ramp": ramp}


def stored_size(path, location):
    storage = get_backend("zarr" if path.is_dir() else "hdf5")
    with storage.open_root(path) as root:
        return storage.stored_size(root[location])


# --- size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("name", list(movies()))
def test_the_size_is_that_of_the_file(tmp_path, backend, name):
    values = movies()[name]
    configuration = BackendConfiguration(backend=backend)
    found = estimate_nwbfile(file_of(Counted(values)), configuration)
    path = write_nwbfile(
        file_of(Counted(values)), tmp_path / "a.nwb", configuration=configuration, backend=backend
    )
    # A dozen of 50 blocks meet the change of content about where it is; Zarr adds its metadata.
    assert found.num_bytes == pytest.approx(stored_size(path, MOVIE), rel=0.1, abs=1000)
    assert (found.num_measured, found.num_blocks) == (12, 50)


@pytest.mark.parametrize("compression", ["gzip:9", "zstd", "blosc", "lz4", "none"])
def test_the_size_depends_on_the_compression(tmp_path, compression):
    configuration = BackendConfiguration(compression=compression)
    found = estimate_nwbfile(file_of(Counted(noise())), configuration)
    path = write_nwbfile(file_of(Counted(noise())), tmp_path / "a.nwb", configuration=configuration)
    assert found.num_bytes == pytest.approx(stored_size(path, MOVIE), rel=0.05)


def test_the_size_of_masks_is_that_of_their_pixels(tmp_path):
    recording = simulate_recording(num_samples=40, num_rows=300, num_columns=310, num_cells=30)
    interface = Suite2pSegmentationInterface(write_suite2p(tmp_path, recording))
    metadata = interface.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    nwbfile = interface.create_nwbfile(metadata)
    planned = estimating.planned_nwbfile(nwbfile, BackendConfiguration())
    (masks,) = (each for each in planned if each.location.endswith("image_mask"))
    (sample,) = estimating._measure_all([masks], get_backend("hdf5"))
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb")
    stored = stored_size(path, masks.location)
    assert sample.num_bytes == pytest.approx(stored, rel=0.15)
    assert (len(sample.blocks), sample.num_blocks) == (12, len(recording.pixel_masks))
    # Chunks of zeros are not stored, and count as nothing.
    with h5py.File(path) as file:
        assert file[masks.location].id.get_num_chunks() < 30 * 9 / 2


def test_all_blocks_of_a_short_movie_are_measured(tmp_path):
    found = estimate_nwbfile(file_of(Counted(noise(9))), BackendConfiguration())
    path = write_nwbfile(file_of(Counted(noise(9))), tmp_path / "a.nwb")
    with h5py.File(path) as file:
        assert found.num_bytes == pytest.approx(file[MOVIE].id.get_storage_size(), rel=0.01)
    assert "from all 5 blocks" in str(found)


# --- bounds -------------------------------------------------------------------------------------


def test_only_a_dozen_blocks_are_read_one_at_a_time(tmp_path):
    data = Counted(noise())
    estimate_nwbfile(file_of(data), BackendConfiguration())
    block = 2 * math.prod(FRAME)
    assert (data.num_read, data.largest) == (12 * block, block)
    assert list(tmp_path.iterdir()) == []


def test_each_dataset_has_a_block_when_the_time_is_over(monkeypatch):
    monkeypatch.setattr(estimating, "_MOST_SECONDS", 0.0)
    both = Counted(noise()), Counted(movies()["even"])
    found = estimate_nwbfile(file_of(*both), BackendConfiguration())
    assert [each.num_read for each in both] == [2 * math.prod(FRAME)] * 2
    assert (found.num_measured, found.num_blocks) == (2, 100)


def test_the_nwbfile_can_be_written_afterwards(tmp_path):
    nwbfile = file_of(Counted(noise()))
    estimate_nwbfile(nwbfile, BackendConfiguration())
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb")
    with h5py.File(path) as file:
        assert np.array_equal(file[MOVIE][:], noise())


def test_a_block_that_cannot_be_read_is_an_error_that_names_it():
    with pytest.raises(SourceError, match=r"acquisition/movie/data.*no such sector"):
        estimate_nwbfile(file_of(Broken(noise())), BackendConfiguration())


def test_wrong_workers_are_refused():
    with pytest.raises(ArgumentError, match="workers is -1"):
        estimate_nwbfile(file_of(noise()), BackendConfiguration(), workers=-1)


# --- time and text ------------------------------------------------------------------------------


def sample_of(monkeypatch, in_parallel, cores):
    """Return a measured dataset of 10 blocks: each takes 1 s to read, and 3 s to encode."""
    monkeypatch.setattr(estimating, "usable_cores", lambda: cores)
    (planned,) = estimating.planned_nwbfile(file_of(Counted(noise(20))), BackendConfiguration())
    planned.source.in_parallel = in_parallel
    sample = estimating._Sample(planned, get_backend("hdf5"))
    size = 2 * math.prod(FRAME) * 2
    sample.blocks[:] = [estimating._Block(size, size, 100.0, 100.0)]  # opens the file
    sample.blocks += [estimating._Block(size, size, 1.0, 3.0)] * 2
    return sample


@pytest.mark.parametrize(
    ("workers", "cores", "in_parallel", "seconds"),
    [
        (0, 8, True, 40),
        (1, 8, True, 40),
        (4, 8, True, 10),
        (8, 2, True, 20),  # no more than the cores
        (1, 8, False, 30),  # one thread reads, another one encodes
        (2, 2, False, 20),  # three threads on two cores
        (8, 8, False, 10),  # reading takes longest
    ],
)
def test_the_time_follows_the_threads(monkeypatch, workers, cores, in_parallel, seconds):
    sample = sample_of(monkeypatch, in_parallel, cores)
    assert sample.seconds(workers) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than a second"),
        (75, "about 75 s"),
        (240, "about 4 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_the_text_has_size_time_and_what_was_measured(seconds, text):
    estimate = WriteEstimate(
        num_bytes=3_200_000_000, seconds=seconds, workers=2, num_measured=12, num_blocks=3000
    )
    assert str(estimate) == f"about 3.2 GB, {text} with 2 workers, from 12 of 3,000 blocks"


def test_a_file_without_large_data_has_nothing_to_measure():
    found = estimate_nwbfile(file_of([1, 2, 3]), BackendConfiguration())
    assert str(found) == "all datasets are small, so that nothing was measured"


# --- places -------------------------------------------------------------------------------------


@given(
    axes=st.lists(st.tuples(st.integers(1, 200), st.integers(1, 50)), min_size=1, max_size=4),
    most=st.integers(1, 30),
)
def test_places_are_different_cells_in_each_part_of_a_grid(axes, most):
    shape, step = zip(*axes, strict=True)
    corners = list(spread_corners(shape, step, most))
    counts = [-(-size // cell) for size, cell in axes]
    total = math.prod(counts)
    assert len(corners) == min(most, total)
    assert all(
        c % cell == 0 and c < size
        for corner in corners
        for c, size, cell in zip(corner, shape, step, strict=True)
    )
    indices = sorted(
        int(np.ravel_multi_index([c // cell for c, cell in zip(corner, step, strict=True)], counts))
        for corner in corners
    )
    for part, index in enumerate(indices):
        assert part * total // len(indices) <= index < (part + 1) * total // len(indices)
