"""Tests of the storage options of ``convert`` and ``repack``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
import tifffile
import zarr

from nwb_ophys.documents import dump_yaml, parse_yaml
from nwb_ophys.storage import get_backend
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p, write_tiff

START = ("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00")
MOVIE_OF = ("movie.tif", "--option", "sampling_frequency=30", *START)
ROIS_OF = ("suite2p", *START)
MOVIE = "acquisition/TwoPhotonSeries/data"
MASKS = "processing/ophys/ImageSegmentation/PlaneSegmentation/image_mask"
TRACES = "processing/ophys/Fluorescence/RoiResponseSeries/data"


@pytest.fixture(scope="session")
def recording():
    """NWB file with a movie above 64 kB; repacking copies smaller datasets unchanged."""
    return simulate_recording(num_samples=60, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory, recording) -> Path:
    """Folder with files that do not name their folder, which tests copy."""
    folder = tmp_path_factory.mktemp("written")
    write_tiff(folder / "movie.tif", recording.movie)
    write_caiman(folder / "caiman.hdf5", recording)
    return folder


@pytest.fixture
def raw(tmp_path, recording, written, monkeypatch) -> Path:
    """Folder with recordings, in which the command line runs."""
    folder = shutil.copytree(written, tmp_path / "raw")
    write_suite2p(folder, recording)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def target(raw, backend) -> Path:
    return raw / {"hdf5": "out.nwb", "zarr": "out.nwb.zarr"}[backend]


def facts(path, location):
    """Return chunks, compression and level of a dataset of either backend."""
    if Path(path).is_dir():
        array = zarr.open(str(path), mode="r")[location]
        codec = array.compressor
        return array.chunks, codec and codec.codec_id, getattr(codec, "level", None)
    with h5py.File(path) as file:
        dataset = file[location]
        return dataset.chunks, dataset.compression, dataset.compression_opts


def values(path, location):
    with get_backend("zarr" if Path(path).is_dir() else "hdf5").open(path, "r") as io:
        assert pynwb.validate(io=io) == []
        nwbfile = io.read()
        if location == MOVIE:
            return nwbfile.acquisition["TwoPhotonSeries"].data[:]
        ophys = nwbfile.processing["ophys"]
        if location == TRACES:
            return ophys["Fluorescence"]["RoiResponseSeries"].data[:]
        return ophys["ImageSegmentation"]["PlaneSegmentation"]["image_mask"][:]


def listing(folder):
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


# --- convert ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "location"), [(MOVIE_OF, MOVIE), (ROIS_OF, MASKS), (ROIS_OF, TRACES)]
)
def test_every_option_at_once(run, raw, target, backend, source, location):
    plain = run("convert", *source, "-o", f"plain-{target.name}", "--backend", backend)
    assert plain.code == 0
    done = run(
        *("convert", *source, "-o", target.name, "--backend", backend),
        *("--compression", "gzip:7", "--chunk-mb", "0.002", "--buffer-gb", "0.001"),
        *("--workers", "2", "--verify", "--no-progress"),
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{target}: ")
    chunks, *compression = facts(target, location)
    assert compression == ["gzip", 7]
    found = values(target, location)
    itemsize = found.dtype.itemsize
    # A frame has 1632 bytes, a mask 3264.
    assert np.prod(chunks) * itemsize <= 2000
    if location != TRACES:
        assert chunks != facts(raw / f"plain-{target.name}", location)[0]
    assert np.array_equal(found, values(raw / f"plain-{target.name}", location))


@pytest.mark.parametrize("compression", ["gzip", "gzip:1", "zstd", "blosc", "lz4", "none"])
def test_each_compression(run, raw, target, backend, compression, recording):
    done = run(
        "convert", *MOVIE_OF, "-o", target, "--backend", backend, "--compression", compression
    )
    assert (done.code, done.err) == (0, "")
    if backend == "hdf5":
        import hdf5plugin  # noqa: F401
    assert np.array_equal(values(target, MOVIE).swapaxes(1, 2), recording.movie)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_do_not_change_the_file(run, raw, target, backend, workers, recording):
    done = run(
        *("convert", *MOVIE_OF, "-o", target, "--backend", backend),
        *("--workers", workers, "--chunk-mb", "0.005", "--verify"),
    )
    assert done.code == 0
    assert np.array_equal(values(target, MOVIE).swapaxes(1, 2), recording.movie)


@pytest.mark.parametrize("command", ["convert", "repack"])
def test_workers_and_verify_are_handed_on(run, raw, command, monkeypatch):
    from nwb_ophys.storage import write

    handed = []

    def fill(tasks, *, workers, **options):
        handed.append((workers, all(task.sink.digests.from_values for task in tasks)))
        right(tasks, workers=workers, **options)

    assert run("convert", *MOVIE_OF, "-o", "made.nwb").code == 0
    right = write.fill
    monkeypatch.setattr(write, "fill", fill)
    source = MOVIE_OF if command == "convert" else ("made.nwb",)
    for name, options in (("a.nwb", ("--workers", "0")), ("b.nwb", ("--workers", "3", "--verify"))):
        assert run(command, *source, "-o", name, *options).code == 0
    assert handed == [(0, False), (3, True)]


def test_a_plan_is_printed_and_nothing_is_written(run, raw, target, backend):
    before = listing(raw)
    shown = run("convert", *MOVIE_OF, "-o", target, "--backend", backend, "--plan")
    assert (shown.code, shown.err) == (0, "")
    assert listing(raw) == before
    document = parse_yaml(shown.out)
    assert document["backend"] == backend
    assert document["datasets"][MOVIE] == {
        "shape": [60, 34, 24],
        "dtype": "int16",
        "chunk_shape": [60, 34, 24],
        "compression": {"hdf5": "gzip", "zarr": "blosc"}[backend],
        "shuffle": True,
    }
    head, row, *_ = shown.out.splitlines()
    assert head.startswith("# dataset")
    assert row.startswith(f"# {MOVIE}")


@pytest.mark.parametrize(("compression", "less"), [("none", 1.0), ("gzip", 0.9)])
def test_a_plan_ends_with_an_estimate(run, raw, target, backend, compression, less):
    before = listing(raw)
    options = ("--backend", backend, "--compression", compression, "--workers", "1")
    shown = run("convert", *MOVIE_OF, "-o", target, *options, "--chunk-mb", "0.01", "--plan")
    assert (shown.code, shown.err, listing(raw)) == (0, "", before)
    last = shown.out.splitlines()[-1]
    found = re.fullmatch(
        r"# about ([\d,]+) bytes, less than a second with 1 worker, from all 10 blocks", last
    )
    assert found, last
    assert float(found[1].replace(",", "")) <= less * 60 * 34 * 24 * 2


def test_a_plan_of_a_damaged_movie_is_printed_and_names_the_damage(run, raw, recording):
    path = raw / "damaged.tif"
    tifffile.imwrite(path, recording.movie, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as file:
        places = [(page.dataoffsets[0], page.databytecounts[0]) for page in file.pages]
    with path.open("r+b") as file:
        for start, size in places[30:]:
            file.seek(start)
            file.write(b"\xff" * size)
    before = listing(raw)
    rate = ("--option", "sampling_frequency=30")
    shown = run("convert", path, "-o", "a.nwb", *rate, *START, "--plan", "--chunk-mb", "0.01")
    assert shown.code == 2
    assert f"'{MOVIE}', frames" in shown.err
    assert "damaged.tif" in shown.err
    assert "Traceback" not in shown.err
    assert MOVIE in parse_yaml(shown.out)["datasets"]
    assert listing(raw) == before


def test_a_plan_with_options_is_what_is_written(run, raw, target, backend):
    sizes = ("--chunk-mb", "0.005", "--compression", "gzip:2")
    shown = run("convert", *ROIS_OF, "-o", target, "--backend", backend, "--plan", *sizes)
    planned = parse_yaml(shown.out)["datasets"]
    assert run("convert", *ROIS_OF, "-o", target, "--backend", backend, *sizes).code == 0
    for location, entry in planned.items():
        assert facts(target, location) == (tuple(entry["chunk_shape"]), "gzip", 2), location


def test_an_edited_plan_is_heeded(run, raw, target, backend):
    shown = run("convert", *MOVIE_OF, "-o", target, "--backend", backend, "--plan")
    document = parse_yaml(shown.out)
    document["datasets"][MOVIE] |= {"chunk_shape": [8, 34, 12], "compression": "gzip:9"}
    (raw / "plan.yaml").write_text(dump_yaml(document))
    done = run("convert", *MOVIE_OF, "-o", target, "--configuration", "plan.yaml")
    assert done.code == 0, done  # the backend is the plan's
    assert facts(target, MOVIE) == ((8, 34, 12), "gzip", 9)


def test_options_stand_above_all_that_the_yaml_says(run, raw, target, backend):
    (raw / "part.yaml").write_text(
        f"compression: gzip:2\nchunk_mb: 0.003\ndatasets: {{{MASKS}: {{compression: gzip:4}}}}\n"
    )
    both = ("movie.tif", "suite2p", *MOVIE_OF[1:], "-o", target, "--backend", backend)
    done = run("convert", *both, "--configuration", "part.yaml", "--compression", "gzip:8")
    assert done.code == 0, done
    assert facts(target, MOVIE) == ((1, 34, 24), "gzip", 8)
    assert facts(target, MASKS)[1:] == ("gzip", 8)


def test_what_is_appended_is_stored_as_said(run, raw, target, backend):
    assert run("convert", *MOVIE_OF, "-o", target, "--backend", backend).code == 0
    before = facts(target, MOVIE)
    # Of which backend the file is, it says itself.
    done = run(
        *("convert", "suite2p", "-o", target, "--append"),
        *("--compression", "gzip:3", "--workers", "0", "--verify"),
    )
    assert (done.code, done.err) == (0, "")
    assert facts(target, TRACES)[1:] == ("gzip", 3)
    assert facts(target, MOVIE) == before
    (raw / "own.yaml").write_text(f"backend: {backend}\ncompression: gzip:5\n")
    again = run(
        *("convert", "caiman.hdf5", "-o", target, "--append", "--configuration", "own.yaml"),
        *("--set", "Ophys.ImageSegmentation.plane_segmentations.0.name=Second"),
    )
    assert again.code == 0, again
    assert facts(target, MASKS.replace("PlaneSegmentation", "Second"))[1:] == ("gzip", 5)


def test_appending_as_another_backend_is_refused(run, raw, target, backend):
    assert run("convert", *MOVIE_OF, "-o", target, "--backend", backend).code == 0
    other = {"hdf5": "zarr", "zarr": "hdf5"}[backend]
    (raw / "other.yaml").write_text(f"backend: {other}\n")
    before = listing(raw)
    for given in (("--backend", other), ("--configuration", "other.yaml")):
        told = run("convert", "suite2p", "-o", target, "--append", *given)
        assert told.is_mistake(f"'{backend}'", f"'{other}'"), told
    assert listing(raw) == before


def test_the_help_names_what_there_is(run):
    for command in ("convert", "repack"):
        told = " ".join(run(command, "--help").out.split())
        for part in ("gzip:1 to gzip:9", "lz4", "[default: 0.5]", "--plan", "--verify", "x>=0"):
            assert part in told


# --- mistakes -----------------------------------------------------------------------------------

MISTAKES = {
    # name: (options, words)
    "negative workers": (["--workers", "-1"], ["--workers", "-1"]),
    "workers in words": (["--workers", "many"], ["--workers", "'many'"]),
    "unknown compression": (["--compression", "bz2"], ["'bz2'", "gzip:1 to gzip:9", "none"]),
    "a level that is none": (["--compression", "gzip:10"], ["'gzip:10'"]),
    "no filters to keep": (["--compression", "as given"], ["as given", "no filters"]),
    "chunks of nothing": (["--chunk-mb", "0"], ["--chunk-mb", "x>0"]),
    "chunks of no number": (["--chunk-mb", "nan"], ["chunk_mb", "above 0"]),
    "endless chunks": (["--chunk-mb", "inf"], ["chunk_mb", "above 0"]),
    "a buffer of nothing": (["--buffer-gb", "-2"], ["--buffer-gb", "x>0"]),
    "a buffer that is too small": (
        ["--buffer-gb", "0.00001"],
        ["(60, 34, 24)", "0.01 MB", "a larger buffer_gb"],
    ),
    "no configuration": (["--configuration", "absent.yaml"], ["'absent.yaml'", "check the path"]),
    "a folder for a configuration": (["--configuration", "suite2p"], ["'suite2p'", "not a file"]),
    "a configuration of no text": (
        ["--configuration", "movie.tif"],
        ["'movie.tif'", "is not a text in UTF-8; give a YAML file"],
    ),
    "broken YAML": (
        ["--configuration", "broken.yaml"],
        ["'broken.yaml'", "is not valid: line 2, column 6:"],
    ),
    "a key given twice": (
        ["--configuration", "twice.yaml"],
        ["'twice.yaml'", f"line 3, column 3: the key '{MOVIE}' is given twice, first in line 2."],
    ),
    "misspelt YAML": (["--configuration", "misspelt.yaml"], ["'compresion'", "compression"]),
    "YAML of another movie": (["--configuration", "unfit.yaml"], [MOVIE, "(60, 34, 24)"]),
    "YAML of a dataset that is not there": (
        ["--configuration", "elsewhere.yaml"],
        ["acquisition/Movie/data", MOVIE],
    ),
    "a backend that is none": (["--configuration", "mat.yaml"], ["'mat'", "'hdf5', 'zarr'"]),
    "a backend of a list": (["--configuration", "list.yaml"], ["['hdf5']", "'hdf5', 'zarr'"]),
    "another backend": (
        ["--configuration", "zarr.yaml", "--backend", "hdf5"],
        ["'zarr.yaml'", "'zarr'", "'hdf5'", "--plan"],
    ),
    "an existing output": (["--workers", "1", "-o", "there.nwb"], ["'there.nwb'", "exists"]),
}


@pytest.fixture
def mistaken(raw) -> Path:
    """Folder with invalid configurations."""
    (raw / "broken.yaml").write_text("datasets: [1,\n  x: }")
    (raw / "twice.yaml").write_text(
        "datasets:\n  acquisition/A/data: {shuffle: true}\n  acquisition/A/data: {}\n"
    )
    (raw / "twice.yaml").write_text(
        f"datasets:\n  {MOVIE}: {{shuffle: true}}\n  {MOVIE}: {{compression: gzip}}\n"
    )
    (raw / "misspelt.yaml").write_text("compresion: gzip")
    (raw / "unfit.yaml").write_text(f"datasets: {{{MOVIE}: {{chunk_shape: [61, 34, 24]}}}}")
    (raw / "elsewhere.yaml").write_text("datasets: {acquisition/Movie/data: {shuffle: false}}")
    (raw / "mat.yaml").write_text("backend: mat")
    (raw / "list.yaml").write_text("backend: [hdf5]")
    (raw / "zarr.yaml").write_text("backend: zarr")
    (raw / "there.nwb").write_bytes(b"")
    return raw


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_convert(run, mistaken, name):
    before = listing(mistaken)
    options, words = MISTAKES[name]
    output = [] if "-o" in options else ["-o", "out.nwb"]
    told = run("convert", *MOVIE_OF, *output, *options)
    assert told.is_mistake(*words), told
    assert told.out == ""
    assert listing(mistaken) == before


REPACKING = [name for name in MISTAKES if not MISTAKES[name][1][0].startswith("as given")]


@pytest.mark.parametrize("name", REPACKING)
def test_mistakes_of_repack(run, mistaken, name):
    done = run("convert", *MOVIE_OF, "-o", "made.nwb")
    assert done.code == 0
    before = listing(mistaken)
    options, words = MISTAKES[name]
    output = [] if "-o" in options else ["-o", "out.nwb"]
    told = run("repack", "made.nwb", *output, *options)
    assert told.is_mistake(*words), told
    assert told.out == ""
    assert listing(mistaken) == before


def test_a_preset_without_its_package(run, raw, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    told = run("convert", *MOVIE_OF, "-o", "out.nwb", "--compression", "zstd")
    assert told.is_mistake('pip install "nwb-ophys[compression]"', "zstd")
    assert not (raw / "out.nwb").exists()


# --- repack -------------------------------------------------------------------------------------


@pytest.fixture
def made(run, raw, target, backend) -> Path:
    """Files of both backends, each with a movie and ROIs."""
    path = raw / f"made{''.join(target.suffixes)}"
    both = ("movie.tif", "suite2p", *MOVIE_OF[1:])
    assert run("convert", *both, "-o", path, "--backend", backend, "--chunk-mb", "0.01").code == 0
    return path


@pytest.mark.parametrize("other", ["hdf5", "zarr", None])
def test_repacking(run, made, target, backend, other):
    options = () if other is None else ("--backend", other)
    done = run("repack", made, "-o", target, *options, "--verify", "--workers", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{target}: ")
    assert " MB, from " in done.out
    assert Path(target).is_dir() == ((other or backend) == "zarr")
    for location in (MOVIE, MASKS, TRACES):
        assert np.array_equal(values(made, location), values(target, location))
    assert facts(target, MOVIE)[0] == facts(made, MOVIE)[0] == (6, 34, 24)


def test_repacking_with_options(run, made, target, backend):
    options = ("--compression", "gzip:9", "--chunk-mb", "0.02", "--buffer-gb", "0.1")
    assert run("repack", made, "-o", target, *options).code == 0
    assert facts(target, MOVIE) == ((12, 34, 24), "gzip", 9)


def test_repacking_with_a_partial_yaml_keeps_the_backend(run, raw, made, target, backend):
    (raw / "part.yaml").write_text(f"datasets: {{{MOVIE}: {{compression: gzip:6}}}}")
    assert run("repack", made, "-o", target, "--configuration", "part.yaml").code == 0
    assert target.is_dir() == (backend == "zarr")
    assert facts(target, MOVIE) == ((6, 34, 24), "gzip", 6)


def test_a_plan_of_repacking_can_be_edited(run, raw, made, target, backend):
    before = listing(raw)
    shown = run("repack", made, "-o", target, "--plan", "--compression", "gzip:1")
    assert (shown.code, shown.err) == (0, "")
    assert listing(raw) == before
    document = parse_yaml(shown.out)
    assert document["datasets"][MOVIE]["compression"] == "gzip:1"
    document["datasets"][MOVIE]["chunk_shape"] = [60, 17, 24]
    (raw / "plan.yaml").write_text(dump_yaml(document))
    assert run("repack", made, "-o", target, "--configuration", "plan.yaml").code == 0
    assert facts(target, MOVIE) == ((60, 17, 24), "gzip", 1)


def test_repacking_in_place(run, made):
    before = values(made, MOVIE)
    refused = run("repack", made, "-o", made)
    assert refused.is_mistake("already exists")
    assert run("repack", made, "-o", made, "--overwrite", "--compression", "gzip:8").code == 0
    assert facts(made, MOVIE)[1:] == ("gzip", 8)
    assert np.array_equal(values(made, MOVIE), before)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("absent.nwb", ["'absent.nwb'", "does not exist"]),
        ("movie.tif", ["'movie.tif'", "neither an HDF5 file nor a Zarr folder"]),
        ("suite2p", ["'suite2p'", "neither"]),
        ("caiman.hdf5", ["'caiman.hdf5'", "not an NWB file"]),
        ("store.zarr", ["'store.zarr'", "NWB file"]),
        ("cut.nwb", ["'cut.nwb'", "truncated"]),
    ],
)
@pytest.mark.parametrize("more", [(), ("--plan",), ("--backend", "zarr")])
def test_repacking_what_is_no_nwb_file(run, raw, source, words, more):
    zarr.open(str(raw / "store.zarr"), mode="w")["a"] = np.zeros((300, 300))
    assert run("convert", *MOVIE_OF, "-o", "whole.nwb").code == 0
    (raw / "cut.nwb").write_bytes((raw / "whole.nwb").read_bytes()[:30_000])
    before = listing(raw)
    told = run("repack", source, "-o", "out.nwb", *more)
    assert told.is_mistake(*words), told
    assert listing(raw) == before
