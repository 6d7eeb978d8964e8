"""Tests with independent readers, which open the files of the engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from nwb_ophys import BackendConfiguration, write_nwbfile

from .conftest import Lazy, new_file

MOVIE = np.random.default_rng(0).poisson(60, (50, 40, 30)).astype(np.int16)
TRACES = np.random.default_rng(1).normal(0, 1, (333, 77))


@pytest.fixture(scope="module", params=["gzip", "gzip:9", "none"])
def path(request, tmp_path_factory):
    """File that needs no plug-in, with axes that are no multiples of the chunks."""
    movie = Lazy(MOVIE, chunk_shape=(7, 40, 30), buffer_shape=(21, 40, 30))
    # Large enough for bytes that are stored without compression.
    traces = Lazy(TRACES, chunk_shape=(300, 70), buffer_shape=(300, 70))
    folder = tmp_path_factory.mktemp("readers")
    configuration = BackendConfiguration(compression=request.param)
    target = folder / "session.nwb"
    nwbfile = new_file(movie=movie, traces=traces)
    return write_nwbfile(nwbfile, target, configuration=configuration, workers=2), request.param


def program(name: str) -> str:
    """Return the path of a program; if it is missing, fail in CI and skip elsewhere."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not installed; .ci/run installs it."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def output_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout


def test_h5py_without_plugins(path):
    code = (
        "import sys, h5py, numpy as np\n"
        "file = h5py.File(sys.argv[1])\n"
        "for name in ('movie', 'traces'):\n"
        "    print(repr(float(file[f'acquisition/{name}/data'][()].astype('f8').sum())))\n"
        "assert 'hdf5plugin' not in sys.modules and 'nwb_ophys' not in sys.modules\n"
    )
    found = output_of(sys.executable, "-c", code, str(path[0])).split()
    assert [float(text) for text in found] == [
        float(MOVIE.astype("f8").sum()),
        float(TRACES.sum()),
    ]


def test_h5dump(path):
    h5dump = program("h5dump")
    shown = output_of(h5dump, "-y", "-w", "1", "-d", "/acquisition/movie/data", str(path[0]))
    values = shown.split("DATA {")[1].split("}")[0]
    numbers = np.array(re.findall(r"-?\d+", values), dtype=np.int16)
    np.testing.assert_array_equal(numbers.reshape(MOVIE.shape), MOVIE)


def test_h5stat(path):
    shown = output_of(program("h5stat"), str(path[0]))
    stated = dict(re.findall(r"(GZIP|SHUFFLE|USER-DEFINED) filter: (\d+)", shown))
    expected = "0" if path[1] == "none" else "2"
    assert stated == {"GZIP": expected, "SHUFFLE": expected, "USER-DEFINED": "0"}


def test_octave(path):
    """Octave prints warnings about NWB's texts and references, and reads the numbers."""
    code = (
        f"s = load('-hdf5', '{path[0]}');"
        "m = s.acquisition.movie.data; t = s.acquisition.traces.data;"
        "printf('%d ', size(m)); printf('%d ', m);"
        "printf('\\n'); printf('%d ', size(t)); printf('%.17g ', t);"
    )
    movie, traces = output_of(program("octave-cli"), "--quiet", "--eval", code).split("\n")[:2]
    numbers = np.array(movie.split(), dtype=np.int64)
    assert numbers[:3].tolist() == list(MOVIE.shape[::-1])
    np.testing.assert_array_equal(numbers[3:].reshape(MOVIE.shape), MOVIE)
    samples = np.array(traces.split(), dtype=np.float64)
    assert samples[:2].tolist() == list(TRACES.shape[::-1])
    np.testing.assert_array_equal(samples[2:].reshape(TRACES.shape), TRACES)
