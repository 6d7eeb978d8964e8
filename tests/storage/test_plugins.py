"""Tests of files with compression that HDF5 lacks, in a process that did not write them."""

from __future__ import annotations

import subprocess

import h5py
import numpy as np
import pytest
from pynwb import TimeSeries

from nwb_ophys import repack, write_nwbfile
from nwb_ophys.errors import MissingPackageError
from nwb_ophys.storage import BackendConfiguration

from .conftest import new_file

VALUES = np.random.default_rng(0).poisson(50, (64, 64, 64)).astype(np.int16)


def written(path, compression):
    configuration = BackendConfiguration(backend="hdf5", compression=compression)
    return write_nwbfile(new_file(a=VALUES), path, configuration=configuration)


_COMMAND = """
import sys, warnings
assert "hdf5plugin" not in sys.modules
warnings.simplefilter("ignore")
from nwb_ophys.cli import main
main()
"""


@pytest.fixture
def nwb_ophys(programs, tmp_path_factory):
    script = tmp_path_factory.mktemp("script") / "command.py"
    script.write_text(_COMMAND)

    def call(*arguments):
        command = [programs / "python", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    return call


@pytest.mark.parametrize("compression", ["zstd", "blosc", "lz4"])
@pytest.mark.parametrize("to", ["--backend zarr", "--compression gzip"])
def test_a_file_is_read_where_the_plugin_is_installed(tmp_path, nwb_ophys, compression, to):
    path = written(tmp_path / "a.nwb", compression)
    done = nwb_ophys("repack", path, "-o", tmp_path / "b.nwb", *to.split())
    assert done.returncode == 0, done.stderr
    repack(tmp_path / "b.nwb", tmp_path / "c.nwb", backend="hdf5")
    with h5py.File(tmp_path / "c.nwb") as file:
        np.testing.assert_array_equal(file["acquisition/a/data"][:], VALUES)


def test_a_file_is_inspected_where_the_plugin_is_installed(tmp_path, nwb_ophys):
    nwbfile = new_file()
    times = np.sort(np.random.default_rng(0).random(100_000))  # which the Inspector reads
    nwbfile.add_acquisition(TimeSeries(name="a", data=times, unit="s", timestamps=times))
    configuration = BackendConfiguration(backend="hdf5", compression="zstd")
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", configuration=configuration)
    done = nwb_ophys("inspect", path)
    assert "findings" in done.stdout
    assert "OSError" not in done.stdout
    assert "ERROR" not in done.stdout


def test_a_filter_that_is_not_installed_is_named(tmp_path, monkeypatch):
    path = written(tmp_path / "a.nwb", "zstd")
    available = h5py.h5z.filter_avail
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code != 32015 and available(code))
    for backend in ("hdf5", "zarr"):
        with pytest.raises(MissingPackageError, match=r"a/data' of .*32015 .*nwb-ophys\[compr"):
            repack(path, tmp_path / "b.nwb", backend=backend)
    assert list(tmp_path.iterdir()) == [path]
