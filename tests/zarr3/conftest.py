"""Fixtures of the tests of Zarr format 3, which run where hdmf-zarr writes it."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries

from nwb_ophys.storage import create_nwbfile
from nwb_ophys.storage.backends.zarr_installed import written_format

collect_ignore_glob = [] if written_format() == 3 else ["test_*.py"]

START = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)
VALUES = np.random.default_rng(0).integers(0, 4000, (100, 12, 10)).astype("u2")
DATA = "acquisition/a/data"


def new_file(**data):
    """Return an ``NWBFile`` with a series of each name."""
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=START)
    for name, values in data.items():
        nwbfile.add_acquisition(TimeSeries(name=name, data=values, unit="a", rate=1.0))
    return nwbfile


@pytest.fixture
def small_shards(monkeypatch):
    """Let shards hold 5,000 bytes, so that small arrays have several."""
    monkeypatch.setattr("nwb_ophys.storage.backends.zarr_shards.SHARD_BYTES", 5_000)


def in_chunks(values, chunks):
    """Return values that are stored in chunks of a shape."""
    from hdmf_zarr import ZarrDataIO

    return ZarrDataIO(values, chunks=chunks)


@pytest.fixture
def store(tmp_path, small_shards):
    """A store with a series of 20 chunks in 5 shards."""
    path = tmp_path / "a.nwb.zarr"
    nwbfile = new_file(a=in_chunks(VALUES, (10, 12, 5)))
    create_nwbfile(nwbfile, path, backend="zarr")
    return path


@pytest.fixture
def format_2(tmp_path):
    """A store of format 2 that this package wrote with hdmf-zarr 0.13."""
    path = tmp_path / "old.nwb.zarr"
    with zipfile.ZipFile(Path(__file__).parent / "format2.nwb.zarr.zip") as packed:
        packed.extractall(path)
    return path
