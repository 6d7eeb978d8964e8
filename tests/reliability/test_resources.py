"""Tests of what a conversion leaves behind in its process, and of where it can run."""

from __future__ import annotations

import asyncio
import datetime
import gc
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries

from nwb_ophys import NumpyImagingInterface, OphysConverter, write_nwbfile
from nwb_ophys.cli.app import app
from nwb_ophys.errors import OutputBusyError, SourceError
from nwb_ophys.registry import formats
from nwb_ophys.storage import append_to_nwbfile
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

from .setting import IS_LONG, rounds

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
RECORDING = simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)


def _open_below(folder: Path) -> set[str]:
    """Return the files below a folder that this process has open or mapped."""
    process = psutil.Process()
    names = {file.path for file in process.open_files()}
    names |= {region.path for region in process.memory_maps()}
    return {name for name in names if name.startswith(str(folder))}


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _movie(folder: Path, seed: int = 0) -> Path:
    path = folder / f"movie_{seed}.npy"
    values = np.random.default_rng(seed).integers(0, 999, (20, 12, 10)).astype("uint16")
    np.save(path, values)
    return path


def _convert(path: Path, target: Path, backend: str = "hdf5") -> str:
    with NumpyImagingInterface(path, sampling_frequency=30.0) as interface:
        interface.run_conversion(target, metadata=START, backend=backend, progress=False)
    return str(target)


def _check(path: Path, target: Path) -> None:
    with h5py.File(target) as file:
        written = file["acquisition/TwoPhotonSeries/data"][()]
    np.testing.assert_array_equal(written.transpose(0, 2, 1), np.load(path))


@pytest.mark.parametrize("name", formats())
def test_files_are_closed_when_the_conversion_ends(name, tmp_path, backend, without_collector):
    row = formats()[name]
    source = write_sample(row, tmp_path, RECORDING)
    interface = row.load()(**source)
    interface.run_conversion(tmp_path / "out.nwb", metadata=START, backend=backend, progress=False)
    del interface
    assert _open_below(tmp_path) == set()


@pytest.mark.parametrize("name", formats())
def test_a_closed_interface_has_no_file_open_and_says_so(name, tmp_path, without_collector):
    row = formats()[name]
    interface = row.load()(**write_sample(row, tmp_path, RECORDING))
    interface.get_metadata()
    interface.close()
    interface.close()
    assert _open_below(tmp_path) == set()
    with pytest.raises(SourceError, match="was closed; open it again to read it"):
        interface.run_conversion(tmp_path / "out.nwb", metadata=START, progress=False)
    assert not list(tmp_path.glob("*.nwb.partial*"))


def test_a_converter_closes_its_streams(tmp_path, without_collector):
    path = _movie(tmp_path)
    with OphysConverter(
        {"a": NumpyImagingInterface(path, sampling_frequency=30.0), "b": _Foreign()}
    ) as converter:
        assert _open_below(tmp_path)
    assert _open_below(tmp_path) == set()
    with pytest.raises(SourceError, match=r"movie_0\.npy' was closed"):
        converter.get_metadata()


class _Foreign:
    def get_metadata(self):
        return {}

    def add_to_nwbfile(self, nwbfile, metadata):
        raise AssertionError


@pytest.mark.parametrize("command", ["convert", "metadata"])
def test_commands_close_their_files(command, tmp_path, without_collector):
    path = _movie(tmp_path)
    end = {
        "convert": ["-o", "out.nwb", "--set", "NWBFile.session_start_time=2024-05-17T14:30:00Z"],
        "metadata": ["-o", "out.yaml"],
    }[command]
    end[1] = str(tmp_path / end[1])
    given = [command, str(path), "--option", "sampling_frequency=30", *end]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert _open_below(tmp_path) == set()


def test_handles_threads_and_memory_stay_level(tmp_path):
    number = rounds(30, 1_000)
    path, process = _movie(tmp_path), psutil.Process()
    levels = []
    for index in range(number):
        _convert(path, tmp_path / "out.nwb" if index == 0 else tmp_path / f"out_{index}.nwb")
        (tmp_path / f"out_{index}.nwb").unlink(missing_ok=True)
        levels.append((process.num_fds(), process.num_threads(), process.memory_info().rss))
    handles, threads, memory = (np.array(each) for each in zip(*levels, strict=True))
    assert handles[-1] <= handles[2]
    assert threads[-1] <= threads[2]
    # The allocator keeps what the first conversions freed.
    settled = number // 3
    assert memory[-1] - memory[settled] < 30e6
    if IS_LONG:
        print(f"{number}: handles {handles[2]} to {handles[-1]}, threads {threads[2]} to ", end="")
        print(f"{threads[-1]}, memory {memory[settled] / 1e6:.0f} to {memory[-1] / 1e6:.0f} MB")


def test_threads_convert_side_by_side(tmp_path):
    paths = [_movie(tmp_path, seed) for seed in range(6)]
    targets = [tmp_path / f"{path.stem}.nwb" for path in paths]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(_convert, paths, targets))
    for path, target in zip(paths, targets, strict=True):
        _check(path, target)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_process_converts_after_a_fork(tmp_path):
    path = _movie(tmp_path)
    _convert(path, tmp_path / "before.nwb")  # whatever threads and locks a conversion leaves
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_convert, args=(path, tmp_path / f"{index}.nwb"))
        for index in range(2)
    ]
    for process in processes:
        process.start()
    for index, process in enumerate(processes):
        process.join(60)
        assert process.exitcode == 0
        _check(path, tmp_path / f"{index}.nwb")


class _Slow(GenericDataChunkIterator):
    """A movie of which every block takes a moment to read."""

    def __init__(self, started: threading.Event) -> None:
        self.started = started
        super().__init__(buffer_shape=(1, 12, 10), chunk_shape=(1, 12, 10))

    def _get_data(self, selection: Any) -> np.ndarray:
        self.started.set()
        time.sleep(0.05)
        return np.full([each.stop - each.start for each in selection], 7, "u2")

    def _get_maxshape(self) -> tuple[int, ...]:
        return (40, 12, 10)

    def _get_dtype(self) -> np.dtype:
        return np.dtype("u2")


def _write_slowly(target: Path, started: threading.Event) -> None:
    start = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=start)
    nwbfile.add_acquisition(TimeSeries(name="a", data=_Slow(started), unit="a", rate=1.0))
    write_nwbfile(nwbfile, target, workers=2)


def _refused(path: Path, target: Path) -> None:
    with pytest.raises(OutputBusyError):
        _convert(path, target)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
def test_a_process_forked_while_a_thread_writes(tmp_path, backend):
    """The child neither waits for locks of the thread nor takes its target."""
    path, started = _movie(tmp_path), threading.Event()
    target = tmp_path / f"slow.nwb{'.zarr' if backend == 'zarr' else ''}"
    context = multiprocessing.get_context("fork")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_write_slowly, target, started)
        assert started.wait(30)
        work = [(_convert, tmp_path / "forked.nwb"), (_refused, target)]
        processes = [context.Process(target=act, args=(path, place)) for act, place in work]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            is_alive = process.is_alive()
            process.kill()
            assert not is_alive
            assert process.exitcode == 0
        writing.result(60)
    _check(path, tmp_path / "forked.nwb")
    if backend == "hdf5":
        with h5py.File(target) as file:
            assert (file["acquisition/a/data"][()] == 7).all()
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {path.name, target.name, "forked.nwb"}


def test_of_two_threads_with_one_target_one_is_refused(tmp_path):
    path, target, started = _movie(tmp_path), tmp_path / "slow.nwb", threading.Event()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_write_slowly, target, started)
        assert started.wait(30)
        _refused(path, target)
        _convert(path, tmp_path / "other.nwb")
        writing.result(60)
    _check(path, tmp_path / "other.nwb")
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "slow.nwb", "other.nwb"}


def test_threads_append_to_one_file_one_after_the_other(tmp_path):
    path, target = _movie(tmp_path), tmp_path / "a.nwb"
    _convert(path, target)

    def append(number: int) -> bool:
        def add(nwbfile: NWBFile) -> None:
            series = TimeSeries(name=f"s{number}", data=np.arange(9), unit="a", rate=1.0)
            nwbfile.add_acquisition(series)

        try:
            append_to_nwbfile(target, add)
        except OutputBusyError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(append, range(4)))
    with h5py.File(target) as file:
        found = [f"s{number}" in file["acquisition"] for number in range(4)]
    assert found == added
    assert any(added)
    _check(path, target)


_SCRIPT = """
import sys

def convert(given):
    import nwb_ophys
    number, folder = given
    path, target = f"{folder}/movie_{number}.npy", f"{folder}/{number}.nwb"
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    with nwb_ophys.NumpyImagingInterface(path, sampling_frequency=30.0) as interface:
        interface.run_conversion(target, metadata=start, progress=False)
    return target
"""

_SPAWNING = """
if __name__ == "__main__":
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(convert, [(0, sys.argv[1]), (1, sys.argv[1])])
"""

_DISTRIBUTING = """
if __name__ == "__main__":
    import dask, distributed
    dask.config.set({"distributed.worker.daemon": True})
    given = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **given) as cluster:
        with distributed.Client(cluster) as client:
            tasks = client.map(convert, [(0, sys.argv[1]), (1, sys.argv[1])])
            client.gather(tasks)
"""


@pytest.mark.parametrize("way", [_SPAWNING, _DISTRIBUTING], ids=["spawn", "dask"])
def test_another_process_converts(way, tmp_path):
    paths = [_movie(tmp_path, seed) for seed in range(2)]
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT + way)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for seed, path in enumerate(paths):
        _check(path, tmp_path / f"{seed}.nwb")


def test_a_conversion_runs_in_an_event_loop(tmp_path):
    """As in Jupyter, in the thread of the loop and in another one."""
    path = _movie(tmp_path)

    async def convert() -> None:
        _convert(path, tmp_path / "inside.nwb")
        await asyncio.to_thread(_convert, path, tmp_path / "beside.nwb")

    asyncio.run(convert())
    _check(path, tmp_path / "inside.nwb")
    _check(path, tmp_path / "beside.nwb")


def test_no_thread_is_left(tmp_path):
    path, process = _movie(tmp_path), psutil.Process()
    before = {thread.id for thread in process.threads()}
    _convert(path, tmp_path / "out.nwb")
    assert {thread.id for thread in process.threads()} <= before
