"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine is slow, which is no fault of the code.
# Under CI the examples are the same in each run, so that a change fails for its own faults only;
# runs by hand go on looking for new ones.
settings.register_profile(
    "nwb_ophys",
    max_examples=60,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nwb_ophys")


# A shell starts background jobs with SIGINT ignored, and nohup with SIGHUP ignored, which every
# process of a test would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Keep the collector from going through all imported modules whenever a test needs it."""
    gc.collect()
    gc.freeze()


def _find_data() -> Path | None:
    stated = os.environ.get("NWB_OPHYS_TEST_DATA")
    folder = Path(stated) if stated else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real recordings; their absence is a failure under CI, elsewhere a skip."""
    folder = _find_data()
    if folder is None:
        message = "The real recordings are absent; set NWB_OPHYS_TEST_DATA to their folder."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(params=["hdf5", "zarr"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn, for anything that is written."""
    return request.param


@pytest.fixture(autouse=True)
def _no_file_left_open():
    """Fail a test that leaves a file open: a reader of its own, or a half-written target."""
    before = _open_files()
    yield
    left = _open_files() - before
    if left:  # collecting takes a tenth of a second, which most tests need not wait for
        gc.collect()
        left = _open_files() - before
    assert not left, f"files left open: {sorted(left)}"


def _open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return set()
    names = set()
    for entry in folder.iterdir():
        try:
            target = os.readlink(entry)  # noqa: PTH115
        except OSError:
            continue
        if target.startswith("/") and Path(target).suffix in _DATA_SUFFIXES:
            names.add(target)
    return names


_DATA_SUFFIXES = (".nwb", ".tif", ".tiff", ".hdf5", ".h5", ".npy", ".partial")
