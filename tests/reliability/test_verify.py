"""One flipped bit anywhere in the stored bytes of a dataset is found by ``verify``."""

from __future__ import annotations

import datetime
import random
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries

from nwb_ophys import BackendConfiguration, verify, write_nwbfile

from .setting import rounds

CODECS = ("gzip", "none", "lz4", "zstd", "blosc")
DESCRIPTION = "The description of a session in a text of some length."
START = "2024-05-17T12:00:00+00:00"
MOVIE = "acquisition/movie/data"


class Movie(GenericDataChunkIterator):
    """A movie in chunks."""

    def __init__(self, values):
        self.values = values
        super().__init__(buffer_shape=(40, 48, 40), chunk_shape=(10, 48, 40))

    def _get_maxshape(self):
        return self.values.shape

    def _get_dtype(self):
        return self.values.dtype

    def _get_data(self, selection):
        return self.values[selection]


def written(folder, codec, backend):
    """Return a file with a movie, whose last chunk is clipped, and its times."""
    noise = np.random.default_rng(1)
    values = noise.poisson(60, (197, 48, 40)).astype(np.uint16)
    nwbfile = NWBFile(
        session_description=DESCRIPTION,
        identifier="i",
        session_start_time=datetime.datetime.fromisoformat(START),
    )
    times = np.arange(197) / 30.0
    nwbfile.add_acquisition(
        TimeSeries(name="movie", data=Movie(values), unit="a.u.", timestamps=times)
    )
    path = Path(folder) / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    configuration = BackendConfiguration(backend=backend, compression=codec)
    write_nwbfile(nwbfile, path, backend=backend, configuration=configuration, workers=1)
    return path


def stored_bytes(path, location):
    """Return the file, the offset and the size of each stored chunk of a dataset."""
    if path.is_dir():
        chunks = (each for each in (path / location).iterdir() if each.name[0] != ".")
        return [(each, 0, each.stat().st_size) for each in sorted(chunks)]
    with h5py.File(path) as file:
        dataset = file[location].id
        if file[location].chunks is None:
            return [(path, dataset.get_offset(), dataset.get_storage_size())]
        infos = [dataset.get_chunk_info(number) for number in range(dataset.get_num_chunks())]
        return [(path, info.byte_offset, info.size) for info in infos]


def flipped(file, position, bit):
    """Flip one bit of a file."""
    with file.open("r+b") as opened:
        opened.seek(position)
        (byte,) = opened.read(1)
        opened.seek(position)
        opened.write(bytes([byte ^ 1 << bit]))


def independent(path, location):
    """Return the values as another program reads them, or None for an error."""
    try:
        if path.is_dir():
            return zarr.open(str(path), mode="r")[location][...].tolist()
        with h5py.File(path) as file:
            return file[location][()].tolist() if file[location].shape else file[location][()]
    except Exception:
        return None


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("codec", CODECS)
def test_each_flip_of_a_bit_that_changes_a_value_is_found(tmp_path, codec, backend):
    path = written(tmp_path, codec, backend)
    assert verify(path, workers=0).is_equal
    places = stored_bytes(path, MOVIE)
    right = independent(path, MOVIE)
    random.seed(f"{codec} {backend}")
    wanted = rounds(4, 100)
    found, without_effect = 0, 0
    while found < wanted:
        file, offset, size = random.choice(places)
        position, bit = offset + random.randrange(size), random.randrange(8)
        flipped(file, position, bit)
        report = verify(path, workers=0)
        if report.is_equal:
            # Unused bits of a codec's header or padding: every reader gets the right values.
            assert independent(path, MOVIE) == right, (file, position, bit)
            without_effect += 1
            assert without_effect < wanted
        else:
            (difference,) = report.differences
            assert difference.location == MOVIE
            assert difference.frames
            found += 1
        flipped(file, position, bit)
    print(f"{backend} {codec}: {found} of {found} found; {without_effect} flips change no value")
    assert verify(path, workers=0).is_equal


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("location", ["acquisition/movie/timestamps", "session_description"])
def test_each_flip_in_a_small_dataset_is_found(tmp_path, location, backend):
    path = written(tmp_path, "gzip", backend)
    places = stored_bytes(path, location)
    if backend == "hdf5" and location == "session_description":
        # The bytes of texts lie in a heap of the file.
        places = [(path, path.read_bytes().index(DESCRIPTION.encode()), len(DESCRIPTION))]
    random.seed(location)
    right = independent(path, location)
    for _ in range(rounds(3, 100)):
        file, offset, size = random.choice(places)
        position, bit = offset + random.randrange(size), random.randrange(8)
        flipped(file, position, bit)
        report = verify(path, workers=0)
        if report.is_equal:
            assert independent(path, location) == right, (file, position, bit)
        else:
            assert location in {difference.location for difference in report.differences}
        flipped(file, position, bit)
    assert verify(path, workers=0).is_equal
