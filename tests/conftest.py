"""Fixtures that all tests share."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from prepared_schemas import prepared_schemas
from quick_arguments import quick_arguments
from warm import warm_programs

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


# NumPy 1 cannot load the real pickles that NumPy 2 wrote, which name its modules so.
if np.__version__.startswith("1."):
    sys.modules["numpy._core"] = np.core
    sys.modules["numpy._core.multiarray"] = np.core.multiarray


def pytest_configure(config: pytest.Config) -> None:
    """Put the folders of the tests into memory, which is written in half the time of a disk.

    A stated ``--basetemp`` or ``PYTEST_DEBUG_TEMPROOT`` says otherwise.
    """
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ENOUGH_MEMORY:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    if sys.dont_write_bytecode and sys.pycache_prefix is None:
        _share_compiled_code(config)


def _share_compiled_code(config: pytest.Config) -> None:
    """Let the processes that tests start compile the package once, for as long as the tests run.

    Where ``PYTHONDONTWRITEBYTECODE`` keeps the source free of compiled code, each of them would
    compile all modules again, which takes a third of its start.
    """
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(
            prefix="nwb_ophys-compiled-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")
        )
        os.environ[_COMPILED] = folder
        atexit.register(_remove, folder, os.getpid())  # when the workers have ended
    # The workers of pytest-xdist themselves read what was compiled with the packages.
    if not _only_hands_out(config):
        os.environ["PYTHONPYCACHEPREFIX"] = os.environ[_COMPILED]
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


_COMPILED = "NWB_OPHYS_TEST_COMPILED"


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _only_hands_out(config: pytest.Config) -> bool:
    """Return whether this is the process of pytest-xdist that hands out tests and runs none."""
    return bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")


# The folders of tests that passed are removed, so that the others have some hundred megabytes.
_ENOUGH_MEMORY = 4 * 2**30


def pytest_collection(session: pytest.Session) -> None:
    """Leave garbage until all tests are found; looking for it takes a third of that time."""
    if not _only_hands_out(session.config):
        gc.disable()


def pytest_collection_finish() -> None:
    """Keep the collector from going through all imported modules whenever a test needs it."""
    gc.enable()
    _collect_and_freeze()


def pytest_runtest_logstart() -> None:
    """Do the same for what the tests before have loaded and cached, most of which stays."""
    if next(_STARTED) % _TESTS_BETWEEN_FREEZES == 0:
        _collect_and_freeze()


_STARTED = itertools.count(1)
# Without, a collection takes 0.2 s after a thousand tests, and hundreds of tests need one.
_TESTS_BETWEEN_FREEZES = 100


def _collect_and_freeze() -> None:
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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser that playwright drives; its absence is a failure under CI, elsewhere a skip."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None and not os.environ.get("CI"):
        pytest.skip("There is no Chromium.")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class _Tab:
    """Tab of a browser without a network that notes what a page must not do.

    Attributes
    ----------
    troubles : list of str
        Errors, texts on the console, and requests of other pages.
    """

    def __init__(self, chromium: Any, *, script: bool) -> None:
        context = chromium.new_context(java_script_enabled=script, offline=True)
        self.page, self.script = context.new_page(), script
        self.troubles: list[str] = []
        self._own = ""
        context.on("console", lambda each: self.troubles.append(each.text))
        context.on("weberror", lambda each: self.troubles.append(str(each.error)))
        context.on("request", lambda each: self._check(each.url))

    def _check(self, url: str) -> None:
        if url != self._own and not url.startswith("data:"):
            self.troubles.append(url)

    def open(self, path: Path, width: int, colours: str) -> Any:
        """Open a page as a new tab would."""
        self.troubles, self._own = [], path.as_uri()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(media="null", color_scheme=colours)
        self.page.goto(self._own)
        return self.page


@pytest.fixture(scope="module")
def _idle_tabs(chromium: Any) -> Iterator[list[_Tab]]:
    """Tabs that no test uses; a new one takes half a second."""
    idle: list[_Tab] = []
    yield idle
    for tab in idle:
        tab.page.context.close()


@pytest.fixture
def visit(chromium: Any, _idle_tabs: list[_Tab]) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page, and check that it had no trouble when the test ends."""
    used: list[_Tab] = []

    def open_page(
        path: Path, *, width: int = 1280, colours: str = "light", script: bool = True
    ) -> Any:
        tab = next((each for each in _idle_tabs if each.script == script), None)
        if tab is None:
            tab = _Tab(chromium, script=script)
        else:
            _idle_tabs.remove(tab)
        used.append(tab)
        return tab.open(path, width, colours)

    yield open_page
    for tab in used:
        tab.page.evaluate("0")  # after what the page has done before
    troubles = [each for tab in used for each in tab.troubles]
    _idle_tabs.extend(used)
    assert troubles == []


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """A folder with ``nwb-ophys`` and ``python``, which start at once, see ``programs/warm.py``."""
    with tempfile.TemporaryDirectory() as folder, warm_programs(Path(folder)) as found:
        yield found


@pytest.fixture(params=["hdf5", "zarr"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn, for anything that is written."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _arguments_of_hdmf_are_compared_quickly() -> Iterator[None]:
    """Compare the arguments of hdmf's functions, a tenth of the time, in a third of it."""
    with quick_arguments():
        yield


@pytest.fixture(scope="session", autouse=True)
def _schemas_are_prepared_once() -> Iterator[None]:
    """Prepare the schemas of a file for ``pynwb.validate`` once, not again for each file."""
    with prepared_schemas():
        yield


@pytest.fixture(autouse=True)
def _no_file_left_open():
    """Fail a test that leaves a file open: a reader of its own, or a half-written target."""
    before = _open_files()
    yield
    left = _open_files() - before
    if left:  # collecting takes some time, which most tests need not wait for
        gc.collect()
        left = _open_files() - before
    assert not left, f"files left open: {sorted(left)}"


def _open_files() -> Counter[str]:
    names: Counter[str] = Counter()
    for handle in os.listdir(_HANDLES) if os.path.isdir(_HANDLES) else ():  # noqa: PTH112, PTH208
        with suppress(OSError):
            target = os.readlink(f"{_HANDLES}/{handle}")  # noqa: PTH115
            target = target.removesuffix(" (deleted)")  # with the folder of a test that passed
            if target.endswith(_DATA_SUFFIXES):
                names[target] += 1
    return names


# Listed twice in each test, so that no objects are made of the paths.
_HANDLES = "/proc/self/fd"
_DATA_SUFFIXES = (".nwb", ".tif", ".tiff", ".hdf5", ".h5", ".npy", ".partial")
