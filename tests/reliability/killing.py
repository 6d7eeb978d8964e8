"""A conversion of a movie and its ROIs that is killed at a stated time or at a stated step."""

from __future__ import annotations

import os
import signal
import time
import warnings
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
import zarr

from nwb_ophys import OphysConverter
from nwb_ophys.formats.numpy.interface import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.storage import BackendConfiguration, checkpoints, resuming
from nwb_ophys.storage.backends.hdf5 import Hdf5Sink
from nwb_ophys.storage.backends.hdf5_commits import Hdf5Commits
from nwb_ophys.storage.backends.zarr import ZarrSink
from nwb_ophys.storage.hdmf.iterators import IteratorSource
from nwb_ophys.storage.journal import JournalFile
from nwb_ophys.storage.resuming import find_earlier

START = {"NWBFile": {"session_start_time": "2024-05-17T12:00:00+00:00"}}
MOVIE = "acquisition/TwoPhotonSeries/data"
FRAMES, ROWS, COLUMNS = 600, 48, 40
# Values that differ between two runs of the same conversion.
_RANDOM = ("object_id", ".specloc", "scratch", "file_create_date", "identifier", "specifications")


def write_sources(folder):
    """Save a movie, masks and traces."""
    rng = np.random.default_rng(0)
    movie = rng.poisson(60, (FRAMES, ROWS, COLUMNS)).astype(np.uint16)
    movie[100:150] = 0  # chunks of zeros are not stored
    np.save(folder / "movie.npy", movie)
    masks = np.zeros((ROWS, COLUMNS, 30))
    for number in range(30):
        masks[number : number + 5, number : number + 4, number] = rng.uniform(0.1, 1, (5, 4))
    np.save(folder / "masks.npy", masks)
    np.save(folder / "raw.npy", rng.normal(100, 9, (FRAMES, 30)).astype(np.float32))


def conversion(folder):
    """Return a converter of the movie and the ROIs."""
    movie = NumpyImagingInterface(timeseries=folder / "movie.npy", sampling_frequency=30.0)
    rois = NumpySegmentationInterface(
        image_masks=folder / "masks.npy", raw=folder / "raw.npy", sampling_frequency=30.0
    )
    return OphysConverter({"movie": movie, "rois": rois})


def convert(folder, target, *, backend="hdf5", workers=0, **options):
    """Convert the recording in small chunks."""
    configuration = BackendConfiguration(backend=backend, chunk_mb=0.02, buffer_gb=0.0008)
    given = {"configuration": configuration, "metadata": START, "progress": None, **options}
    return conversion(folder).run_conversion(target, backend=backend, workers=workers, **given)


@contextmanager
def frequent_commits():
    """Let every write have a journal, and commit often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "FIRST", 0.01)
        patch.setattr(checkpoints, "INTERVAL", 0.01)
        patch.setattr(checkpoints, "LARGEST_SHARE", 1.0)
        patch.setattr(resuming, "LEAST_BYTES", 0)
        yield


def _kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(function, step):
    """Call a function in a child process, which is killed at a step of the write.

    Parameters
    ----------
    function : callable
    step : (str, int)
        Kind of the step, and how many of the kind are completed before.
    """
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    try:
        kind, number = step
        owner, name, is_after = _STEPS[kind]
        left = [number]
        original = getattr(owner, name)

        def counted(*args, **kwargs):
            if not is_after and left[0] <= 0:
                _kill()
            result = original(*args, **kwargs)
            left[0] -= 1
            if is_after and left[0] < 0:
                _kill()
            return result

        setattr(owner, name, counted)
        warnings.simplefilter("ignore")
        function()
    finally:
        os._exit(1)


# Owner and name of a function, and whether the process is killed after it.
_STEPS = {
    "before the flush": (Hdf5Commits, "flush", False),
    "after the flush": (Hdf5Commits, "flush", True),
    "before the return is prepared": (Hdf5Commits, "arm", False),
    "after the return is prepared": (Hdf5Commits, "arm", True),
    "before a line of the journal": (JournalFile, "append", False),
    "after a line of the journal": (JournalFile, "append", True),
    "a chunk of HDF5": (Hdf5Sink, "put_byte_planes", True),
    "a chunk of Zarr": (ZarrSink, "put_byte_planes", True),
}
STEPS = {
    "hdf5": [name for name in _STEPS if name != "a chunk of Zarr"],
    "zarr": [name for name in _STEPS if "journal" in name or name == "a chunk of Zarr"],
}


def killed_after(function, seconds):
    """Call a function in a child process, which is killed after some time."""
    pid = os.fork()
    if pid == 0:
        try:
            warnings.simplefilter("ignore")
            function()
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def slowly():
    """Return a progress callback that makes a write take long."""
    return lambda progress: time.sleep(0.02)


def committed(target):
    """Return the corners of the chunks in the journal beside a target, by dataset."""
    found = {}
    for earlier in find_earlier(target)[0][:1]:
        for location, entries in earlier.journal.entries():
            found.setdefault(location, set()).update(entries.index.tolist())
    return found


@contextmanager
def counted_chunks():
    """Count, by dataset, the chunks that are encoded, and the bytes of movie that are read."""
    stored, read = {}, []
    originals = {cls: cls.put_byte_planes for cls in (Hdf5Sink, ZarrSink)}
    reading = IteratorSource.read

    def counting(cls):
        def put(self, corner, planes):
            index = self.progress._index(corner)
            stored.setdefault(self.progress.location, set()).add(index)
            return originals[cls](self, corner, planes)

        return put

    def read_counted(self, selection):
        read.append((self.shape, selection))
        return reading(self, selection)

    try:
        for cls in originals:
            cls.put_byte_planes = counting(cls)
        IteratorSource.read = read_counted
        yield stored, read
    finally:
        for cls, original in originals.items():
            cls.put_byte_planes = original
        IteratorSource.read = reading


def contents_of(path):
    """Return the values, types, chunks, filters and attributes of a file of either backend."""
    found = {}
    if path.is_dir():
        root = zarr.open(str(path), mode="r")
        root.visititems(lambda name, item: _note(found, name, item))
        return found
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: _note(found, name, item))
    return found


def _note(found, name, item):
    if name.startswith(_RANDOM):
        return
    kept = {key: repr(value) for key, value in item.attrs.items() if key not in _RANDOM}
    found[f"{name}.attributes"] = {
        key: text for key, text in kept.items() if "reference" not in text and "path" not in text
    }
    if not hasattr(item, "shape"):
        return
    settings = [getattr(item, key, None) for key in ("chunks", "compression", "compressor")]
    settings += [repr(getattr(item, key, None)) for key in ("filters", "shuffle", "fletcher32")]
    found[name] = (item.shape, str(item.dtype), settings)
    if item.dtype.kind in "biufc":
        found[f"{name}.values"] = np.asarray(item[()]).tobytes()
