"""Tests of configurations: printed, edited, saved as YAML, and applied to the file."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hypothesis import example, given
from hypothesis import strategies as st
from pynwb import NWBHDF5IO

from nwb_ophys import BackendConfiguration, DatasetConfiguration, repack, write_nwbfile
from nwb_ophys.errors import ArgumentError, MemoryLimitError, NwbOphysError, SourceNotFoundError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor
from nwb_ophys.storage import WriteOptions, append_to_nwbfile
from nwb_ophys.storage.grid import block_shape, default_chunk_shape, grid, whole
from nwb_ophys.tools import add_fluorescence_traces, add_photon_series, add_plane_segmentation

from .conftest import VALUES, Lazy, new_file, read

MOVIE = "acquisition/TwoPhotonSeries/data"
TRACES = "processing/ophys/Fluorescence/RoiResponseSeries/data"
A, B = "acquisition/a/data", "acquisition/b/data"


def movie(num_frames=200, rows=24, columns=30):
    values = np.random.default_rng(4).integers(0, 500, (num_frames, rows, columns))
    return values.astype(np.uint16)


def recorded(values, traces=None, **options):
    """Return an ``NWBFile`` with a movie and, if there are ROIs, their traces."""
    nwbfile = new_file()
    add_photon_series(ArrayImagingExtractor(values, 30.0), nwbfile, None)
    if traces is not None:
        add_fluorescence_traces(rois_of(traces), nwbfile, None, **options)
    return nwbfile


def rois_of(traces):
    masks = np.zeros((6, 7, traces.shape[1]), np.float32)
    masks[2, 3] = 1.0
    return ArraySegmentationExtractor(masks, {"raw": traces}, 30.0)


def facts(path, location):
    """Return chunks, compression and level of a dataset of either backend."""
    if Path(path).is_dir():
        array = zarr.open(str(path), mode="r")[location]
        codec = array.compressor
        return array.chunks, codec and codec.codec_id, getattr(codec, "level", None)
    with h5py.File(path) as file:
        dataset = file[location]
        return dataset.chunks, dataset.compression, dataset.compression_opts


# --- what is shown ------------------------------------------------------------------------------


def test_looking_leaves_the_nwbfile_as_it_was(tmp_path):
    nwbfile = recorded(movie(), np.ones((50, 3), np.float32))
    before = {item.object_id: (item.container_source, item.modified) for item in _all(nwbfile)}
    for backend in ("hdf5", "zarr"):
        print(BackendConfiguration.from_nwbfile(nwbfile, backend))
    after = {item.object_id: (item.container_source, item.modified) for item in _all(nwbfile)}
    assert after == before
    # So does write_nwbfile; plain pynwb, which takes an object only once, takes it afterwards.
    write_nwbfile(nwbfile, tmp_path / "ours.nwb")
    BackendConfiguration.from_nwbfile(nwbfile)
    with NWBHDF5IO(tmp_path / "plain.nwb", "w") as io:
        io.write(nwbfile)
    for name in ("ours.nwb", "plain.nwb"):
        assert read(tmp_path / name, MOVIE)[0].tolist() == movie().swapaxes(1, 2).tolist()


def _all(nwbfile):
    return list(nwbfile.all_children())


def test_the_table_shows_each_dataset_with_sizes():
    nwbfile = recorded(movie(), np.ones((50, 3), np.float32))
    text = str(BackendConfiguration.from_nwbfile(nwbfile, compression="gzip:5"))
    head, *rows = text.splitlines()
    assert " ".join(head.split()) == "dataset shape dtype MB chunk chunk MB compression shuffle"
    row = next(row for row in rows if row.startswith(MOVIE))
    assert row.split("  ")[0] == MOVIE
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        *(MOVIE, "200 x 30 x 24", "uint16", "0.3", "200 x 30 x 24", "0.29", "gzip:5", "yes")
    ]
    start = head.index("shape")
    assert all(row[start - 2 : start] == "  " and row[start].isdigit() for row in rows)


def test_small_arrays_are_not_listed():
    nwbfile = new_file(small=np.arange(10.0), large=np.zeros((300, 200)))
    configuration = BackendConfiguration.from_nwbfile(nwbfile)
    assert [each.location for each in configuration] == ["acquisition/large/data"]
    assert configuration["/acquisition/large/data"].num_bytes == 480_000
    with pytest.raises(KeyError, match=r"small.*; there are: acquisition/large/data"):
        configuration["acquisition/small/data"]


# --- YAML ---------------------------------------------------------------------------------------


def saved(tmp_path, text):
    file = tmp_path / "storage.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("options", [{}, {"compression": "none", "chunk_mb": 0.1, "buffer_gb": 2}])
def test_yaml_says_the_same(tmp_path, backend, options):
    nwbfile = recorded(movie(), np.ones((50, 3), ">f4"))
    configuration = BackendConfiguration.from_nwbfile(nwbfile, backend, **options)
    configuration[MOVIE].chunk_shape = (7, 30, 11)
    configuration[MOVIE].shuffle = False
    again = BackendConfiguration.from_yaml(saved(tmp_path, configuration.to_yaml()))
    assert again == configuration
    assert again.to_yaml() == configuration.to_yaml()


def test_yaml_of_records_says_the_same(tmp_path):
    nwbfile = with_pixels()
    configuration = BackendConfiguration.from_nwbfile(nwbfile)
    assert configuration[PIXELS].dtype.names == ("x", "y", "weight")
    assert "(x, y, weight)" in str(configuration)
    again = BackendConfiguration.from_yaml(saved(tmp_path, configuration.to_yaml()))
    assert again == configuration


def test_partial_yaml_leaves_the_rest_to_the_data(tmp_path):
    file = saved(tmp_path, f"datasets:\n  /{MOVIE}:\n    compression: gzip:8\n    shuffle: null\n")
    configuration = BackendConfiguration.from_yaml(file)
    assert configuration.backend == "hdf5"
    path = write_nwbfile(
        recorded(movie(), np.ones((50, 3))), tmp_path / "a.nwb", configuration=configuration
    )
    assert facts(path, MOVIE) == ((200, 30, 24), "gzip", 8)
    assert facts(path, TRACES) == ((50, 3), "gzip", 4)


@pytest.mark.parametrize("text", ["", "# nothing\n", "datasets:\n", f"datasets:\n  {MOVIE}:\n"])
def test_yaml_without_values_states_nothing(tmp_path, text):
    configuration = BackendConfiguration.from_yaml(saved(tmp_path, text))
    general = {each: getattr(configuration, each) for each in ("backend", "compression")}
    assert general == {"backend": "hdf5", "compression": None}
    write_nwbfile(recorded(movie()), tmp_path / "a.nwb", configuration=configuration)


def test_yaml_may_leave_the_backend_open(tmp_path):
    file = saved(tmp_path, "compression: gzip\n")
    assert BackendConfiguration.from_yaml(file, default_backend="zarr").backend == "zarr"
    file = saved(tmp_path, "backend: hdf5\n")
    assert BackendConfiguration.from_yaml(file, default_backend="zarr").backend == "hdf5"


def entry(text):
    return f"datasets: {{{MOVIE}: {text}}}"


WRONG_YAML = {
    # text: words of the message
    "compresion: gzip": ["'compresion'", "compression"],
    "compression: bz2": ["'bz2'", "gzip:1 to gzip:9", "none"],
    "compression: 3": ["3", "gzip"],
    "chunk_mb: 0": ["chunk_mb", "above 0"],
    "chunk_mb: .inf": ["chunk_mb", "above 0"],
    "buffer_gb: lots": ["buffer_gb", "'lots'"],
    "buffer_gb: true": ["buffer_gb", "above 0"],
    "[1, 2]": ["[1, 2]", "dictionary"],
    "just words": ["'just words'", "dictionary"],
    "datasets: [1, 2]": ["datasets", "dictionary"],
    "datasets: false": ["datasets", "dictionary"],
    "[1, 2": ["is not valid: line 1, column 6: while parsing a flow sequence"],
    entry("gzip"): [MOVIE, "'gzip'", "dictionary"],
    entry("0"): [MOVIE, "dictionary"],
    entry("{chunks: [1, 2, 3]}"): [MOVIE, "'chunks'", "chunk_shape"],
    entry("{compression: gzip:11}"): [MOVIE, "gzip:11"],
    entry("{compression: [gzip]}"): [MOVIE, "['gzip']"],
    entry("{chunk_shape: 5}"): [MOVIE, "5", "list of integers"],
    entry("{chunk_shape: [1.5, 2, 3]}"): [MOVIE, "list of integers"],
    entry("{chunk_shape: [0, 30, 24]}"): [MOVIE, "from 1"],
    entry("{chunk_shape: [201, 30, 24], shape: [200, 30, 24]}"): [MOVIE, "(200, 30, 24)"],
    entry("{shuffle: 1}"): [MOVIE, "shuffle", "true or false"],
    entry("{dtype: uint17}"): [MOVIE, "'uint17'"],
    entry("{dtype: [1, 2]}"): [MOVIE, "[1, 2]"],
    entry("{dtype: 'i4,,'}"): [MOVIE, "i4,,"],
}


@pytest.mark.parametrize("text", WRONG_YAML)
def test_wrong_yaml_is_told_with_the_file_and_the_place(tmp_path, text):
    file = saved(tmp_path, text)
    with pytest.raises(ArgumentError) as caught:
        BackendConfiguration.from_yaml(file)
    told = str(caught.value)
    assert "\n" not in told
    for word in (str(file), *WRONG_YAML[text]):
        assert word in told


UNFIT_YAML = {
    entry("{chunk_shape: [201, 30, 24]}"): ["chunk_shape", "(200, 30, 24)"],
    entry("{chunk_shape: [10, 30]}"): ["chunk_shape", "3 sizes"],
    entry("{shape: [200, 30, 25]}"): ["shape", "(200, 30, 24)"],
    entry("{dtype: int16}"): ["dtype", "int16", "uint16"],
    entry("{compression: as given}"): ["as given", "no filters"],
    "datasets: {acquisition/Movie/data: {compression: gzip}}": ["acquisition/Movie/data", MOVIE],
    "backend: zarr": ["zarr", "hdf5"],
    "backend: mat": ["mat"],
    "backend: [hdf5]": ["hdf5"],
}


@pytest.mark.parametrize("text", UNFIT_YAML)
def test_yaml_that_does_not_fit_the_data_is_told_before_anything_is_written(tmp_path, text):
    configuration = BackendConfiguration.from_yaml(saved(tmp_path, text))
    target = tmp_path / "out" / "a.nwb"
    target.parent.mkdir()
    with pytest.raises(ArgumentError) as caught:
        write_nwbfile(recorded(movie()), target, configuration=configuration)
    for word in UNFIT_YAML[text]:
        assert word in str(caught.value)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["mat", ["hdf5"], None])
def test_a_backend_that_is_none_is_told_when_looking(name):
    with pytest.raises(ArgumentError, match=r"backend is .*'hdf5', 'zarr'"):
        BackendConfiguration.from_nwbfile(recorded(movie()), name)


def test_a_file_that_is_no_text_or_absent(tmp_path):
    (tmp_path / "movie.tif").write_bytes(b"II*\0\xe0\xff\x80")
    with pytest.raises(
        ArgumentError, match=r"'.*movie\.tif' is not a text in UTF-8; give a YAML file"
    ):
        BackendConfiguration.from_yaml(tmp_path / "movie.tif")
    for name in ("absent.yaml", "."):
        with pytest.raises(SourceNotFoundError) as caught:
            BackendConfiguration.from_yaml(tmp_path / name)
        assert isinstance(caught.value, NwbOphysError)
        assert str(tmp_path / name) in str(caught.value)


# --- editing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compression", "bz2"),
        ("compression", "gzip:0"),
        ("chunk_shape", (201, 30, 24)),
        ("chunk_shape", (0, 30, 24)),
        ("chunk_shape", (10, 30)),
        ("chunk_shape", 10),
        ("shuffle", "yes"),
    ],
)
def test_a_wrong_edit_is_refused_at_once(name, value):
    configuration = BackendConfiguration.from_nwbfile(recorded(movie()))
    before = configuration.to_yaml()
    with pytest.raises(ArgumentError):
        setattr(configuration[MOVIE], name, value)
    assert configuration.to_yaml() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("compression", "zip"), ("chunk_mb", -1), ("chunk_mb", math.nan), ("buffer_gb", None)],
)
def test_a_wrong_general_setting_is_refused_at_once(name, value):
    configuration = BackendConfiguration()
    with pytest.raises(ArgumentError, match=name):
        setattr(configuration, name, value)
    with pytest.raises(ArgumentError, match=name):
        BackendConfiguration(**{name: value})


@pytest.mark.parametrize("name", ["location", "shape", "dtype"])
def test_what_the_data_are_cannot_be_edited(name):
    configuration = BackendConfiguration.from_nwbfile(recorded(movie()))
    with pytest.raises(AttributeError):
        setattr(configuration[MOVIE], name, None)


def test_edits_are_in_the_file(tmp_path, target, backend):
    nwbfile = recorded(movie())
    configuration = BackendConfiguration.from_nwbfile(nwbfile, backend)
    configuration[MOVIE].compression = "gzip:9"
    configuration[MOVIE].chunk_shape = (50, 15, 24)
    write_nwbfile(nwbfile, target, backend=backend, configuration=configuration)
    assert facts(target, MOVIE) == ((50, 15, 24), "gzip", 9)
    assert read(target, MOVIE)[0].tolist() == movie().swapaxes(1, 2).tolist()


# --- general settings ---------------------------------------------------------------------------


def test_compression_of_all_datasets(target, backend):
    configuration = BackendConfiguration(backend=backend, compression="gzip:6")
    nwbfile = recorded(movie(), np.ones((50, 3)))
    write_nwbfile(nwbfile, target, backend=backend, configuration=configuration)
    for location in (MOVIE, TRACES):
        assert facts(target, location)[1:] == ("gzip", 6)


def test_defaults_of_the_backends(tmp_path):
    for backend, codec in (("hdf5", "gzip"), ("zarr", "blosc")):
        path = write_nwbfile(recorded(movie()), tmp_path / backend, backend=backend)
        assert facts(path, MOVIE)[1] == codec


@pytest.mark.parametrize("chunk_mb", [0.0001, 0.005, 0.1, 50])
def test_chunks_of_movies_are_whole_frames_within_a_size(target, backend, chunk_mb):
    configuration = BackendConfiguration(backend=backend, chunk_mb=chunk_mb)
    write_nwbfile(recorded(movie()), target, backend=backend, configuration=configuration)
    frames = min(max(math.floor(chunk_mb * 1e6 / (30 * 24 * 2)), 1), 200)
    assert facts(target, MOVIE)[0] == (frames, 30, 24)


def test_chunks_of_traces_are_cut_along_both_axes(target, backend):
    configuration = BackendConfiguration(backend=backend, chunk_mb=0.01)
    nwbfile = recorded(movie(), np.ones((1000, 40), np.float32))
    write_nwbfile(nwbfile, target, backend=backend, configuration=configuration)
    rows, columns = facts(target, TRACES)[0]
    assert (rows, columns) == (250, 10)  # a quarter along both: 10 kB of 160


def test_buffer_gb_bounds_what_is_read_at_once(target, backend):
    asked = []

    class Watched(Lazy):
        def _get_data(self, selection):
            asked.append(selection[0].stop - selection[0].start)
            return super()._get_data(selection)

    values = np.zeros((2000, 5, 4), np.int16)
    for buffer_gb, at_once in ((0.5, 2000), (0.00001, 250)):
        asked.clear()
        lazy = Watched(values, buffer_shape=(2000, 5, 4))
        configuration = BackendConfiguration(backend=backend, buffer_gb=buffer_gb)
        write_nwbfile(
            *(new_file(a=lazy), target),
            **{"backend": backend, "configuration": configuration, "overwrite": True},
        )
        assert sum(asked) == 2000
        assert max(asked) <= at_once
    assert len(asked) > 8


def test_a_small_buffer_is_told_with_sizes_that_differ(tmp_path):
    configuration = BackendConfiguration(buffer_gb=1e-5)
    with pytest.raises(MemoryLimitError, match=r"needs 0\.\d+ MB .* allows 0\.01 MB"):
        write_nwbfile(recorded(movie()), tmp_path / "a.nwb", configuration=configuration)


# --- what stands above what ---------------------------------------------------------------------


def wrapped_and_bare():
    stated = H5DataIO(
        Lazy(VALUES), compression="gzip", compression_opts=7, shuffle=False, chunks=(25, 5, 4)
    )
    return new_file(a=stated, b=Lazy(VALUES))


def test_the_general_settings_stand_above_the_wrapper(target, backend):
    configuration = BackendConfiguration(backend=backend, compression="gzip:2", chunk_mb=0.0002)
    write_nwbfile(wrapped_and_bare(), target, backend=backend, configuration=configuration)
    for location in (A, B):
        chunks, *compression = facts(target, location)
        assert compression == ["gzip", 2]
        assert math.prod(chunks) * 2 <= 200


def test_the_wrapper_stands_above_the_defaults(target, backend):
    write_nwbfile(wrapped_and_bare(), target, backend=backend)
    assert facts(target, A) == ((25, 5, 4), "gzip", 7)


def test_a_general_setting_that_is_set_later_holds_for_all(target, backend):
    configuration = BackendConfiguration.from_nwbfile(wrapped_and_bare(), backend)
    configuration.compression = "gzip:3"
    configuration.chunk_mb = 0.0002
    configuration[A].compression = "gzip:5"
    write_nwbfile(wrapped_and_bare(), target, backend=backend, configuration=configuration)
    assert facts(target, A)[1:] == ("gzip", 5)
    assert facts(target, B)[1:] == ("gzip", 3)
    assert max(math.prod(facts(target, each)[0]) for each in (A, B)) * 2 <= 200


def test_the_entry_of_a_dataset_stands_above_the_wrapper(target, backend):
    own = DatasetConfiguration(location=A, compression="gzip:3", chunk_shape=(20, 5, 2))
    configuration = BackendConfiguration(
        backend=backend, compression="gzip:2", datasets={own.location: own}
    )
    write_nwbfile(wrapped_and_bare(), target, backend=backend, configuration=configuration)
    assert facts(target, A) == ((20, 5, 2), "gzip", 3)
    assert facts(target, B)[1:] == ("gzip", 2)


def test_a_wrapper_without_a_level_is_the_default_that_general_settings_change(target, backend):
    """The functional API wraps all data in this way, for writing with plain pynwb."""
    nwbfile = new_file(a=H5DataIO(Lazy(VALUES), compression="gzip"))
    configuration = BackendConfiguration(backend=backend, compression="none")
    write_nwbfile(nwbfile, target, backend=backend, configuration=configuration)
    assert facts(target, A)[1] is None


@pytest.mark.filterwarnings("ignore:lzf compression:UserWarning")
def test_filters_that_are_no_preset_are_kept(tmp_path):
    nwbfile = new_file(
        a=H5DataIO(Lazy(VALUES), compression="lzf"),
        b=H5DataIO(Lazy(VALUES), compression="gzip", fletcher32=True, shuffle=True),
    )
    configuration = BackendConfiguration.from_nwbfile(nwbfile)
    assert [configuration[each].compression for each in (A, B)] == ["as given", "as given"]
    again = BackendConfiguration.from_yaml(saved(tmp_path, configuration.to_yaml()))
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", configuration=again)
    with h5py.File(path) as file:
        assert file[A].compression == "lzf"
        assert not file[A].fletcher32
        assert (file[B].compression, file[B].fletcher32, file[B].shuffle) == ("gzip", True, True)
        for location in (A, B):
            assert file[location][()].tolist() == VALUES.tolist()


def test_what_is_appended_is_stored_as_said(target, backend):
    write_nwbfile(new_file(b=Lazy(VALUES)), target, backend=backend)
    before = facts(target, B)
    configuration = BackendConfiguration(backend=backend, compression="gzip:5", chunk_mb=0.0004)

    def add(nwbfile):
        add_photon_series(ArrayImagingExtractor(movie(), 30.0), nwbfile, None)

    append_to_nwbfile(target, add, options=WriteOptions(configuration=configuration))
    assert facts(target, MOVIE) == ((1, 30, 24), "gzip", 5)
    assert facts(target, B) == before


# --- records ------------------------------------------------------------------------------------

PIXELS = "processing/ophys/ImageSegmentation/PlaneSegmentation/pixel_mask"


def with_pixels():
    masks = np.random.default_rng(3).random((40, 50, 30)).astype(np.float32)
    extractor = ArraySegmentationExtractor(masks, {}, 30.0)
    nwbfile = new_file()
    add_plane_segmentation(extractor, nwbfile, None, mask_type="pixel")
    return nwbfile


def test_settings_of_records_are_used(tmp_path):
    nwbfile = with_pixels()
    configuration = BackendConfiguration.from_nwbfile(nwbfile)
    configuration[PIXELS].compression = "gzip:2"
    configuration[PIXELS].chunk_shape = (4096,)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", configuration=configuration)
    assert facts(path, PIXELS) == ((4096,), "gzip", 2)
    plain = write_nwbfile(nwbfile, tmp_path / "plain.nwb")
    assert read(path, PIXELS)[0].tolist() == read(plain, PIXELS)[0].tolist()


IDS = "processing/ophys/ImageSegmentation/PlaneSegmentation/id"


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("num_rois", [3, 400])
def test_lists_of_ids_stay_lists_and_are_stored_as_pynwb_does(tmp_path, backend, num_rois):
    nwbfile = new_file()
    ids = list(range(7, 7 + num_rois))
    masks = np.ones((4, 5, num_rois), np.float32)
    extractor = ArraySegmentationExtractor(masks, {}, 30.0, roi_ids=ids)
    add_plane_segmentation(extractor, nwbfile, None)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
    before = table.id.data
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", backend=backend)
    assert table.id.data is before
    stored = read(path, IDS)[0]
    assert stored.tolist() == ids
    assert stored.dtype == np.int64


# --- chunks of traces ---------------------------------------------------------------------------


def stored_bytes_touched(path, location, axis, index):
    """Return the share of a dataset's stored bytes in chunks that hold one index of an axis."""
    with h5py.File(path) as file:
        dataset = file[location]
        infos = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
        size = dataset.chunks[axis]
    touched = sum(i.size for i in infos if i.chunk_offset[axis] // size == index // size)
    return touched / sum(info.size for info in infos)


def test_one_roi_or_one_moment_of_traces_touches_little_of_the_file(tmp_path):
    traces = np.random.default_rng(5).normal(size=(5000, 1500)).astype(np.float32)
    path = write_nwbfile(recorded(movie(2), traces), tmp_path / "a.nwb")
    chunks = facts(path, TRACES)[0]
    assert 0.4e6 < math.prod(chunks) * 4 <= 0.5e6
    for axis, index in ((0, 0), (0, 4999), (1, 0), (1, 700), (1, 1499)):
        assert stored_bytes_touched(path, TRACES, axis, index) <= 0.15
    with h5py.File(path) as file:
        assert np.array_equal(file[TRACES][:, 700], traces[:, 700])


@pytest.mark.parametrize(
    ("options", "chunks"),
    [
        ({"chunk_shape": (40, 1500)}, (40, 1500)),
        ({"chunk_mb": 30.0, "buffer_gb": 0.1}, (5000, 1500)),
        ({"buffer_shape": (1000, 1500)}, (500, 150)),
    ],
)
def test_stated_sizes_stand_above_the_chunks_of_traces(tmp_path, options, chunks):
    traces = np.zeros((5000, 1500), np.float32)
    nwbfile = recorded(movie(2), traces, iterator_options=options)
    found = BackendConfiguration.from_nwbfile(nwbfile)[TRACES].chunk_shape
    assert found == chunks


@pytest.mark.parametrize("options", [{}, {"chunk_mb": 0.5}])
def test_the_chunks_of_a_single_roi_are_full(options):
    nwbfile = recorded(movie(2), np.zeros((300_000, 1), np.float32), iterator_options=options)
    found = BackendConfiguration.from_nwbfile(nwbfile)[TRACES].chunk_shape
    assert found == (125_000, 1)


# HDF5 caches chunks of up to 1 MB.
@pytest.mark.parametrize(("number", "expected"), [(20_000, 20_000), (300_000, 100_000)])
def test_timestamps_are_in_chunks_of_one_axis_that_hdf5_caches(tmp_path, number, expected):
    times = np.cumsum(np.random.default_rng(0).random(number))
    imaging = ArrayImagingExtractor(np.zeros((number, 2, 3), np.uint8), 30.0)
    imaging.set_times(times)
    nwbfile = new_file()
    add_photon_series(imaging, nwbfile, None)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb")
    found, chunks = read(path, "acquisition/TwoPhotonSeries/timestamps")
    assert np.array_equal(found, times)
    assert chunks == (expected,)


@pytest.mark.parametrize("itemsize", [8, 12])
def test_the_pixels_of_an_roi_are_in_a_chunk_that_hdf5_caches(itemsize):
    # HDF5 before 2.0 caches 1 MiB, of 521 chunks at most.
    chunk = default_chunk_shape((3_000_000,), itemsize)
    assert 0.9e6 < chunk[0] * itemsize <= 1 << 20


def test_frames_that_propose_no_chunks_stay_whole():
    assert default_chunk_shape((100, 1024, 1024), 2) == (1, 1024, 1024)
    assert default_chunk_shape((512, 512), 4) == (512, 512)


def test_a_backend_is_kept_in_repacking_where_none_is_stated(tmp_path):
    path = write_nwbfile(new_file(a=np.zeros((300, 200))), tmp_path / "a.zarr", backend="zarr")
    again = repack(path, tmp_path / "b.zarr")
    assert again.is_dir()


# --- pure arithmetic ----------------------------------------------------------------------------

SHAPES = st.lists(st.integers(1, 3000), min_size=1, max_size=4).map(tuple)


@given(shape=SHAPES, itemsize=st.sampled_from([1, 2, 4, 8]), chunk_mb=st.floats(1e-6, 20))
@example(shape=(1_000_000, 3), itemsize=4, chunk_mb=0.5)
@example(shape=(3, 1_000_000), itemsize=4, chunk_mb=0.5)
@example(shape=(3000, 2), itemsize=8, chunk_mb=0.001)
def test_default_chunks_are_within_the_data_and_the_size(shape, itemsize, chunk_mb):
    chunk = default_chunk_shape(shape, itemsize, chunk_mb)
    assert len(chunk) == len(shape)
    assert all(1 <= step <= size for step, size in zip(chunk, shape, strict=True))
    assert math.prod(chunk) * itemsize <= max(chunk_mb * 1e6, itemsize)


@given(size=st.integers(1, 10**7), itemsize=st.sampled_from([1, 2, 4, 8, 12]))
def test_lists_are_cut_into_equal_parts(size, itemsize):
    (chunk,) = default_chunk_shape((size,), itemsize)
    assert chunk * itemsize <= 1e6
    num_chunks = math.ceil(size / chunk)
    assert num_chunks == math.ceil(size / (1_000_000 // itemsize))
    assert num_chunks * chunk - size < num_chunks  # one value less in some parts at most


@given(rows=st.integers(1000, 10**6), columns=st.integers(1000, 10**5))
def test_tables_are_cut_by_the_same_factor_along_both_axes(rows, columns):
    chunk_rows, chunk_columns = default_chunk_shape((rows, columns), 4, 4.0)
    assert chunk_rows / rows == pytest.approx(chunk_columns / columns, abs=1 / rows + 1 / columns)
    if rows * columns * 4 > 8e6:
        assert chunk_rows * chunk_columns * 4 > 1.5e6


@given(data=st.data())
def test_blocks_are_whole_chunks_within_a_size(data):
    shape = data.draw(SHAPES)
    chunk = tuple(data.draw(st.integers(1, size)) for size in shape)
    largest = data.draw(
        st.none() | st.tuples(*(st.integers(1, 2 * size) for size in shape)), label="largest"
    )
    most = data.draw(st.integers(1, 10**7))
    block = block_shape(shape, chunk, largest, most)
    assert all(size >= step and size % step == 0 for size, step in zip(block, chunk, strict=True))
    assert math.prod(block) <= most or block == chunk
    if largest is not None:
        assert all(
            size <= max(most_, step)
            for size, most_, step in zip(block, largest, chunk, strict=True)
        )


@given(data=st.data())
def test_a_grid_covers_everything_once(data):
    shape = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple))
    step = tuple(data.draw(st.integers(1, 15)) for _ in shape)
    covered = np.zeros(shape, int)
    corners = []
    for cell in grid(whole(shape), step):
        covered[cell] += 1
        corners.append(tuple(bound.start for bound in cell))
        assert all(bound.stop - bound.start <= size for bound, size in zip(cell, step, strict=True))
    assert (covered == 1).all()
    assert corners == sorted(corners)
