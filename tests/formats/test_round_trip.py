"""Tests of round trips: movies, masks and traces, sample by sample, on both backends."""

from __future__ import annotations

import functools
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pynwb import NWBHDF5IO
from roiextractors import NwbImagingExtractor, NwbSegmentationExtractor

from nwb_ophys import (
    CaimanSegmentationInterface,
    NumpyImagingInterface,
    NumpySegmentationInterface,
    ScanImageImagingInterface,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
)
from nwb_ophys.storage import get_backend
from nwb_ophys.testing import (
    simulate_recording,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
SMALL = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

pixels = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 7))


@st.composite
def movies(draw: Any, dtypes: tuple[str, ...] = DTYPES, planes: int = 0) -> np.ndarray:
    """Draw a movie (frames, rows, columns[, planes]) of any values of a dtype, NaN included."""
    shape = draw(pixels) + ((draw(st.integers(1, 3)),) if planes else ())
    return draw(arrays(np.dtype(draw(st.sampled_from(dtypes))), shape))


@contextmanager
def reading(path: Path, backend: str) -> Any:
    with get_backend(backend).open(path, "r") as io:
        yield io.read()


def convert(interface: Any, folder: Path, backend: str = "hdf5", **options: Any) -> Path:
    path = folder / ("session.nwb" if backend == "hdf5" else "session.nwb.zarr")
    return interface.run_conversion(
        path, metadata=START, backend=backend, overwrite=True, progress=False, **options
    )


def assert_movie(path: Path, backend: str, movie: np.ndarray) -> None:
    with reading(path, backend) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        assert np.dtype(series.data.dtype) == movie.dtype
        np.testing.assert_array_equal(np.swapaxes(series.data[:], 1, 2), movie)
        rows, columns, *planes = movie.shape[1:]
        assert list(series.dimension[:]) == [columns, rows, *planes]
    if backend == "hdf5" and movie.ndim == 3:
        extractor = NwbImagingExtractor(path)
        found = np.asarray(extractor.get_series()).reshape(movie.shape)
        np.testing.assert_array_equal(found, movie)
        extractor._io.close() if hasattr(extractor, "_io") else None


# --- movies -----------------------------------------------------------------------------------


@SMALL
@given(movie=movies())
def test_arrays(tmp_path: Path, movie: np.ndarray) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        path = convert(NumpyImagingInterface(movie, 30.0), Path(folder))
        with h5py.File(path, "r") as file:  # a reader that knows nothing of NWB
            stored = file["acquisition/TwoPhotonSeries/data"]
            assert stored.dtype == movie.dtype
            np.testing.assert_array_equal(stored[:].transpose(0, 2, 1), movie)


@SMALL
@given(movie=movies(planes=3))
def test_volumes_in_arrays(tmp_path: Path, movie: np.ndarray) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        path = convert(NumpyImagingInterface(movie, 30.0), Path(folder))
        assert_movie(path, "hdf5", movie)


@settings(SMALL, max_examples=10)
@given(movie=movies())
def test_arrays_in_zarr(tmp_path: Path, movie: np.ndarray) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        path = convert(NumpyImagingInterface(movie, 30.0), Path(folder), "zarr")
        assert_movie(path, "zarr", movie)


@SMALL
@given(
    movie=movies(),
    compression=st.sampled_from([None, "zlib", "lzw"]),
    bigtiff=st.booleans(),
)
def test_tiff(tmp_path: Path, movie: np.ndarray, compression: str | None, bigtiff: bool) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        source = write_tiff(Path(folder) / "a.tif", movie, compression=compression, bigtiff=bigtiff)
        interface = TiffImagingInterface(source, 30.0)
        assert_movie(convert(interface, Path(folder)), "hdf5", movie)


@SMALL
@given(movie=movies(dtypes=("int16", "uint16"), planes=3), flyback=st.integers(0, 2))
def test_scanimage(tmp_path: Path, movie: np.ndarray, flyback: int) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        (source,) = write_scanimage(
            Path(folder) / "a.tif", movie, num_flyback_frames=flyback if movie.shape[3] > 1 else 0
        )
        interface = ScanImageImagingInterface(source)
        start = {"NWBFile": {"session_start_time": "2024-05-17T14:03:21.250+02:00"}}
        path = interface.run_conversion(Path(folder) / "s.nwb", metadata=start)
        with NWBHDF5IO(path, "r") as io:
            (series,) = io.read().acquisition.values()
            found = np.swapaxes(series.data[:], 1, 2).reshape(movie.shape)
            np.testing.assert_array_equal(found, movie)


@settings(SMALL, max_examples=15)
@given(movie=movies(), data=st.data())
def test_any_chunks_and_buffers_give_the_same(tmp_path: Path, movie: np.ndarray, data: Any) -> None:
    shape = (movie.shape[0], movie.shape[2], movie.shape[1])
    chunk = tuple(data.draw(st.integers(1, size)) for size in shape)
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        path = convert(
            NumpyImagingInterface(movie, 30.0),
            Path(folder),
            iterator_options={"chunk_shape": chunk},
        )
        with h5py.File(path, "r") as file:
            assert file["acquisition/TwoPhotonSeries/data"].chunks == chunk
        assert_movie(path, "hdf5", movie)


@pytest.mark.filterwarnings("ignore:Timestamps of .* repeat")
@SMALL
@given(
    times=st.lists(
        st.floats(-1e6, 1e9, allow_nan=False, allow_subnormal=False), min_size=1, max_size=20
    )
)
def test_any_timestamps(times: list[float]) -> None:
    vector = np.sort(np.asarray(times))
    interface = NumpyImagingInterface(np.zeros((len(times), 2, 3), "uint8"), 30.0)
    interface.set_aligned_timestamps(vector)
    (series,) = interface.create_nwbfile(START).acquisition.values()
    if series.rate is not None:
        found = series.starting_time + np.arange(len(vector)) / series.rate
    else:
        found = np.asarray(series.timestamps.data)
    np.testing.assert_allclose(found, vector, rtol=0, atol=1e-5 if series.rate else 0)


@pytest.mark.parametrize("kind", ["TwoPhotonSeries", "OnePhotonSeries"])
@pytest.mark.parametrize("container", ["acquisition", "processing/ophys"])
def test_kinds_and_containers(tmp_path, backend, kind, container):
    movie = np.arange(4 * 3 * 5, dtype="uint16").reshape(4, 3, 5)
    path = convert(
        NumpyImagingInterface(movie, 30.0),
        tmp_path,
        backend,
        photon_series_type=kind,
        parent_container=container,
    )
    with reading(path, backend) as nwbfile:
        home = nwbfile.acquisition if container == "acquisition" else nwbfile.processing["ophys"]
        series = home[kind]
        assert type(series).__name__ == kind
        assert (series.rate, series.starting_time) == (30.0, 0.0)
        np.testing.assert_array_equal(series.data[:], movie.swapaxes(1, 2))


# --- segmentations ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells() -> Any:
    """Recording of L-shaped cells in a field that is wider than high."""
    return simulate_recording(num_samples=60, num_rows=32, num_columns=58, num_cells=5)


def _suite2p(folder: Path, cells: Any) -> Any:
    return Suite2pSegmentationInterface(write_suite2p(folder, cells))


def _caiman(folder: Path, cells: Any) -> Any:
    return CaimanSegmentationInterface(write_caiman(folder / "c.hdf5", cells))


def _arrays(folder: Path, cells: Any) -> Any:
    return NumpySegmentationInterface(
        np.moveaxis(cells.image_masks(), 0, -1),
        raw=cells.fluorescence,
        neuropil=cells.neuropil,
        deconvolved=cells.spikes,
        sampling_frequency=cells.sampling_frequency,
    )


SEGMENTATIONS = {"suite2p": _suite2p, "caiman": _caiman, "arrays": _arrays}


@pytest.fixture(scope="module", params=SEGMENTATIONS)
def opened(request, tmp_path_factory, cells) -> Any:
    """Interface of the cells in each format; no test changes it or its files."""
    return SEGMENTATIONS[request.param](tmp_path_factory.mktemp("source"), cells)


@pytest.fixture(scope="module")
def converted(opened, tmp_path_factory) -> Any:
    """Function that returns the file with the cells of a format; no test changes it."""
    folder = tmp_path_factory.mktemp("converted")
    return functools.cache(lambda backend: convert(opened, folder, backend))


def _table(nwbfile: Any, name: str = "PlaneSegmentation") -> Any:
    return nwbfile.processing["ophys"]["ImageSegmentation"][name]


def test_the_three_forms_of_a_mask_are_one(tmp_path, backend, cells, opened, converted):
    """Image masks, pixel lists and the bright pixels of the movie are the same pixels."""
    expected = cells.image_masks()
    with reading(converted(backend), backend) as nwbfile:
        found = np.swapaxes(_table(nwbfile)["image_mask"][:], 1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    lists = convert(opened, tmp_path, backend, mask_type="pixel")
    with reading(lists, backend) as nwbfile:
        table = _table(nwbfile)
        for index, image in enumerate(expected):
            drawn = np.zeros_like(image)
            for x, y, weight in table["pixel_mask"][index]:
                drawn[int(y), int(x)] = weight
            np.testing.assert_allclose(drawn, image, rtol=1e-6)
    # The movie says the same by itself: its pixels that follow a cell's calcium are the cell's.
    for image, response in zip(found, _responses(cells), strict=True):
        brightest = np.argsort(response)[::-1][: np.count_nonzero(image) * 3 // 4]
        assert (image.ravel()[brightest] > 0).all()
        for wrong in (image[::-1], image[:, ::-1], image[::-1, ::-1]):
            assert (wrong.ravel()[brightest] > 0).mean() < 0.7


def _responses(cells: Any) -> np.ndarray:
    """Return the response of each pixel to the calcium of each cell: (cells, pixels)."""
    movie = cells.movie.reshape(len(cells.movie), -1).astype(float)
    away = (cells.image_masks().sum(axis=0) == 0).ravel()
    regressors = np.column_stack([cells.calcium, np.ones(len(movie)), movie[:, away].mean(axis=1)])
    return np.linalg.lstsq(regressors, movie, rcond=None)[0][: cells.num_cells]


def test_voxel_masks_of_volumes(tmp_path, backend):
    volume = simulate_recording(
        num_samples=10, num_rows=24, num_columns=34, num_planes=3, num_cells=4
    )
    interface = NumpySegmentationInterface(
        np.moveaxis(volume.image_masks(), 0, -1),
        raw=volume.fluorescence,
        sampling_frequency=10.0,
    )
    path = convert(interface, tmp_path, backend, mask_type="voxel")
    with reading(path, backend) as nwbfile:
        table = _table(nwbfile)
        for index, image in enumerate(volume.image_masks()):
            drawn = np.zeros_like(image)
            for x, y, z, weight in table["voxel_mask"][index]:
                drawn[int(y), int(x), int(z)] = weight
            np.testing.assert_array_equal(drawn, image)


def test_no_masks(tmp_path, backend, cells, opened):
    path = convert(opened, tmp_path, backend, mask_type=None)
    with reading(path, backend) as nwbfile:
        table = _table(nwbfile)
        assert len(table.id) == cells.num_cells
        assert "image_mask" not in table.colnames
        assert all(len(mask) == 0 for mask in table["pixel_mask"][:])


def test_traces(backend, cells, converted):
    with reading(converted(backend), backend) as nwbfile:
        traces = nwbfile.processing["ophys"]["Fluorescence"]
        raw = traces["RoiResponseSeries"]
        np.testing.assert_allclose(raw.data[:], cells.fluorescence, rtol=1e-6)
        np.testing.assert_array_equal(traces["Deconvolved"].data[:], cells.spikes)
        assert list(raw.rois.data[:]) == list(range(cells.num_cells))
        assert raw.rois.table is _table(nwbfile)
        assert raw.rate == cells.sampling_frequency
        assert raw.starting_time == 0.0
        if "Neuropil" in traces.roi_response_series:
            np.testing.assert_array_equal(traces["Neuropil"].data[:], cells.neuropil)


def test_selected_rois_keep_their_traces_masks_and_ids(tmp_path, backend, cells, opened):
    path = convert(opened, tmp_path, backend, roi_ids=[3, 1])
    with reading(path, backend) as nwbfile:
        table = _table(nwbfile)
        assert list(table.id[:]) == [3, 1]
        masks = np.swapaxes(table["image_mask"][:], 1, 2)
        np.testing.assert_allclose(masks, cells.image_masks()[[3, 1]], rtol=1e-6)
        raw = nwbfile.processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
        np.testing.assert_allclose(raw.data[:], cells.fluorescence[:, [3, 1]], rtol=1e-6)
        for row, cell in enumerate((3, 1)):
            pixels = cells.pixel_masks[cell]
            brightest = pixels[pixels[:, 2] == pixels[:, 2].max()]
            centre = np.median(brightest[:, [1, 0]], axis=0).astype(int)
            assert list(table["ROICentroids"][row]) == list(centre)


def test_what_roiextractors_reads_back(cells, converted):
    extractor = NwbSegmentationExtractor(converted("hdf5"))
    try:
        assert extractor.get_num_rois() == cells.num_cells
        masks = np.moveaxis(extractor.get_roi_image_masks(), -1, 0)
        if masks.shape != cells.image_masks().shape:
            masks = np.swapaxes(masks, 1, 2)
        np.testing.assert_allclose(masks, cells.image_masks(), rtol=1e-6)
        raw = np.asarray(extractor.get_traces(name="raw"))
        np.testing.assert_allclose(raw, cells.fluorescence, rtol=1e-6)
        assert extractor.get_sampling_frequency() == cells.sampling_frequency
    finally:
        extractor._io.close() if hasattr(extractor, "_io") else None


# --- background -------------------------------------------------------------------------------


@pytest.mark.parametrize("num_components", [1, 2, 3])
def test_background_is_a_table_of_its_own(tmp_path, backend, cells, num_components):
    """Components are never mixed or dropped: fewer than cells, as many, or only one."""
    source = write_caiman(tmp_path / "c.hdf5", cells, num_background_components=num_components)
    with h5py.File(source, "r") as file:
        footprints, activity = file["estimates/b"][:], file["estimates/f"][:]
    path = convert(CaimanSegmentationInterface(source), tmp_path, backend)
    shape = cells.field_shape
    with reading(path, backend) as nwbfile:
        table = _table(nwbfile, "BackgroundPlaneSegmentation")
        assert len(table.id) == num_components
        masks = np.swapaxes(table["image_mask"][:], 1, 2)
        expected = footprints.T.reshape(num_components, *shape, order="F")
        expected = np.array([f.reshape(shape, order="F") for f in footprints.T])
        np.testing.assert_allclose(masks, expected, rtol=1e-6)
        traces = nwbfile.processing["ophys"]["Fluorescence"]
        of_background = [s for s in traces.roi_response_series.values() if s.rois.table is table]
        assert [s.name for s in of_background] == ["Background"]
        np.testing.assert_allclose(of_background[0].data[:], activity.T)
        assert len(_table(nwbfile).id) == cells.num_cells
        for series in traces.roi_response_series.values():
            if series.rois.table is not table:
                assert series.data.shape[1] == cells.num_cells


def test_background_left_out_when_asked(tmp_path, cells):
    source = write_caiman(tmp_path / "c.hdf5", cells)
    nwbfile = CaimanSegmentationInterface(source).create_nwbfile(START, include_background=False)
    ophys = nwbfile.processing["ophys"]
    assert list(ophys["ImageSegmentation"].plane_segmentations) == ["PlaneSegmentation"]
    assert "Background" not in ophys["Fluorescence"].roi_response_series


def test_no_background_no_table(tmp_path, cells):
    source = write_caiman(tmp_path / "c.hdf5", cells, num_background_components=0)
    nwbfile = CaimanSegmentationInterface(source).create_nwbfile(START)
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    assert list(tables) == ["PlaneSegmentation"]


def test_background_in_the_users_names(tmp_path, cells):
    interface = CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", cells))
    found = interface.get_metadata()
    cell_entry, background = found["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    traces = found["Ophys"]["Fluorescence"]
    for entry, name in ((cell_entry, "Cells"), (background, "Haze")):
        for container in ("Fluorescence", "DfOverF", "SegmentationImages"):
            if entry["name"] in found["Ophys"][container]:
                found["Ophys"][container][name] = found["Ophys"][container].pop(entry["name"])
        entry["name"] = name
    traces["Haze"]["background"]["name"] = "HazeTraces"
    found["NWBFile"] |= START["NWBFile"]
    ophys = interface.create_nwbfile(found).processing["ophys"]
    assert list(ophys["ImageSegmentation"].plane_segmentations) == ["Cells", "Haze"]
    assert ophys["Fluorescence"]["HazeTraces"].rois.table.name == "Haze"
