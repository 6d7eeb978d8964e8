"""Commands that only look import nothing that writes, and no package that the files do not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nwb_ophys.formats import builtin_rows
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

PROGRAM = """
import contextlib, io, sys
from nwb_ophys.cli import main

for line in sys.argv[2:]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(line.split("|"))
            code = 0
        except SystemExit as end:
            code = end.code
    loaded = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
    print(line.partition("|")[0], code, *loaded)
    if code == 2:
        print(said.getvalue())
"""
WRITING = ("pynwb", "hdmf", "hdmf_zarr", "nwb_ophys.writers.session", "nwb_ophys.storage.files")
READING = ("h5py", "zarr", "scipy", "pandas", "cv2", "tifffile", "imagecodecs", "psutil", "isal")


def run(packages, *commands) -> list[str]:
    """Run commands in one process; return for each its name, its exit code and what it imported."""
    lines = ["|".join(map(str, command)) for command in commands]
    arguments = [sys.executable, "-c", PROGRAM, ",".join(packages), *lines]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("light")


def test_looking_at_a_recording_imports_no_pynwb(folder):
    """Fault: 0.7 s of imports for types, writers and the readers of other formats."""
    recording = _sample("bruker", folder / "bruker")
    np.save(folder / "movie.npy", np.ones((9, 8, 8), np.uint16))
    packages = [*WRITING, *READING, "ssl", "multiprocessing"]
    assert run(
        packages,
        ("formats",),
        ("detect", recording),
        ("check", recording),
        ("metadata", recording, "-o", folder / "bruker.yaml"),
        ("check", folder / "movie.npy", "--option", "sampling_frequency=30", "--debug"),
    ) == ["formats 0", "detect 0", "check 1", "metadata 0", "check 1 h5py"]


def test_looking_at_a_segmentation_imports_no_pynwb(folder):
    rois = _sample("caiman", folder / "caiman")
    (line,) = run([*WRITING, "zarr"], ("check", rois))
    assert line == "check 1"


def test_one_backend_is_imported(folder):
    """Faults: a conversion to HDF5 imported the Zarr backend, and ``verify`` imported pynwb."""
    np.save(folder / "other.npy", np.ones((9, 8, 8), np.uint16))
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    given = (folder / "other.npy", "--option", "sampling_frequency=30", "--set", start)
    zarr = [f"nwb_ophys.storage.backends.{name}" for name in ("zarr", "zarr3")]
    nwb = folder / "other.nwb"
    assert run(["hdmf_zarr", "dask", *zarr], ("convert", *given, "-o", nwb, "--quiet")) == [
        "convert 0"
    ]
    assert run(["pynwb", "hdmf_zarr", *zarr], ("verify", nwb)) == ["verify 0"]


def test_a_batch_that_is_listed_imports_neither_pynwb_nor_numpy_readers(folder):
    (folder / "raw" / "M1").mkdir(parents=True)
    np.save(folder / "raw" / "M1" / "movie.npy", np.ones((9, 8, 8), np.uint16))
    (folder / "lab.yaml").write_text(
        "output: dandi\nsessions: [{pattern: 'raw/{subject_id}', paths: movie.npy}]\n"
    )
    packages = [*WRITING, *READING, "roiextractors", "dask"]
    lab = folder / "lab.yaml"
    assert run(packages, ("batch", lab, "--status"), ("batch", lab, "--dry-run")) == [
        "batch 0",
        "batch 0",
    ]


def test_the_process_that_runs_a_batch_converts_nothing_itself(folder):
    (folder / "run").mkdir()
    np.save(folder / "run" / "movie.npy", np.ones((9, 8, 8), np.uint16))
    lab = folder / "run.yaml"
    lab.write_text("output: done\nsessions: [{pattern: 'ru{subject_id}', paths: movie.npy}]\n")
    # The session fails in its own process: its rate is not stated.
    assert run([*WRITING, "h5py", "zarr", "pandas"], ("batch", lab, "--jobs", "1")) == ["batch 3"]


def _sample(name: str, folder: Path) -> Path:
    """Write the smallest sample of a format, and return its path."""
    (row,) = (row for row in builtin_rows() if row.name == name)
    folder.mkdir()
    recording = simulate_recording(num_samples=5, num_cells=2)
    return next(iter(write_sample(row, folder, recording).values()))


# --- the base classes of roiextractors ----------------------------------------------------------


def _python(code: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_interfaces_of_all_formats_import_no_pynwb():
    code = (
        "import sys, nwb_ophys.formats as formats, nwb_ophys, nwb_ophys.opening\n"
        "for name in formats.__all__: getattr(formats, name)\n"
        "nwb_ophys.ImagingInterface, nwb_ophys.SegmentationInterface, nwb_ophys.OphysConverter\n"
        f"print(sorted(set({[*WRITING, *READING]!r}) & set(sys.modules)))"
    )
    assert _python(code) == "[]\n"


def test_roiextractors_is_itself_once_it_is_asked():
    """Its own file is executed late, once, and by any use of it."""
    code = """
import sys, threading
import nwb_ophys.base_extractors as own
assert "pynwb" not in sys.modules
import roiextractors
assert "pynwb" not in sys.modules
found = []
ask = lambda: found.append(roiextractors.NumpyImagingExtractor)
threads = [threading.Thread(target=ask) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
assert len(found) == 4 and len(set(found)) == 1
assert issubclass(found[0], own.ImagingExtractor) and "pynwb" in sys.modules
assert own.ImagingExtractor is roiextractors.ImagingExtractor
assert roiextractors.__version__ and "SegmentationExtractor" in dir(roiextractors)
names = {}
exec("from roiextractors import *", names)
assert names["ImagingExtractor"] is own.ImagingExtractor
try:
    roiextractors.bogus
except AttributeError as error:
    print(error)
"""
    assert _python(code) == "module 'roiextractors' has no attribute 'bogus'\n"


def test_roiextractors_that_is_imported_already_stays():
    """Also: hdmf leaves datasets that check their chunks as they are, whichever writer is used."""
    code = (
        "import roiextractors\nbefore = roiextractors\nimport nwb_ophys.base_extractors, sys\n"
        "print(sys.modules['roiextractors'] is before, type(before).__name__)\n"
        "from hdmf.build import ObjectMapper\n"
        "from nwb_ophys.writers.images import add_summary_images\n"
        "from nwb_ophys.storage.backends.hdf5_reading import CheckedDataset\n"
        "print(CheckedDataset in ObjectMapper._ObjectMapper__no_convert)"
    )
    assert _python(code) == "True module\nTrue\n"


def test_an_import_that_failed_is_tried_again(tmp_path, monkeypatch):
    from nwb_ophys.base_extractors import defer

    package = tmp_path / "package_that_fails"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nif os.environ['FAILS']: import nowhere\nx = 1")
    (package / "inner.py").write_text("y = 2")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FAILS", "yes")
    defer(package.name)
    import package_that_fails

    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nowhere"):
            package_that_fails.x  # noqa: B018
    from package_that_fails.inner import y

    monkeypatch.setenv("FAILS", "")
    assert (package_that_fails.x, y) == (1, 2)
    defer("a_package_that_is_not_installed")
