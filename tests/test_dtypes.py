"""Tests of the types of all datasets: NumPy's dtypes x datasets x files x backends."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from pynwb import NWBFile

import nwb_ophys
from nwb_ophys import (
    NumpyImagingInterface,
    NumpySegmentationInterface,
    repack,
    tools,
    write_nwbfile,
)
from nwb_ophys.dtypes import as_stored, is_number, stored_dtype, widened
from nwb_ophys.errors import NwbOphysError, SourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor
from nwb_ophys.inspection import inspect_file

STORED = {
    "bool": "uint8",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
    ">u2": "uint16",
    ">i8": "int64",
    ">f2": "float32",
    ">f8": "float64",
}
REFUSED = ["longdouble", "complex64", "complex128", "U3", "S3", "O", "M8[s]", "m8[s]", "u1,f4"]
# Types for which tifffile has a predictor.
PREDICTED = ("float16", "float32", "float64", "uint8", "uint16", ">u2")
START = datetime(2024, 5, 17, 12, 30, tzinfo=timezone.utc)
KNOWN = {*STORED.values()}


def _numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return values of a dtype, of which the extremes are among the first."""
    kind = np.dtype(dtype)
    values = (np.arange(np.prod(shape)) % 100).reshape(shape).astype(kind)
    if kind.kind == "f":
        values /= kind.type(7)
    if kind.kind in "iu":
        values.flat[:2] = np.iinfo(kind).min, np.iinfo(kind).max
    return values


def _file() -> NWBFile:
    return NWBFile(session_description="s", identifier="i", session_start_time=START)


def _masks(dtype: str) -> np.ndarray[Any, Any]:
    masks = np.zeros((6, 8, 3), dtype)
    for roi in range(3):
        masks[roi : roi + 2, 1:4, roi] = _numbers((2, 3), dtype)
        masks[roi, 0, roi] = 1
    return masks


def _segmentation(dtype: str) -> ArraySegmentationExtractor:
    segmentation = ArraySegmentationExtractor(
        _masks(dtype),
        {"raw": _numbers((12, 3), dtype)},
        sampling_frequency=10.0,
        images={"mean": _numbers((6, 8), dtype)},
    )
    segmentation.set_property("score", _numbers((3,), dtype), [0, 1, 2])
    return segmentation


def _datasets(path: Path) -> dict[str, Any]:
    """Return the values of all datasets, by their paths."""
    if path.is_dir():
        import zarr

        found: dict[str, Any] = {}
        zarr.open(str(path), mode="r").visititems(
            lambda name, item: found.update({name: item[...]}) if hasattr(item, "dtype") else None
        )
        return found
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def _written(found: dict[str, Any], ending: str) -> np.ndarray[Any, Any]:
    (values,) = [values for name, values in found.items() if name.endswith(ending)]
    return np.asarray(values)


def _assert_same(values: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    assert values.dtype.newbyteorder("=").name in KNOWN
    np.testing.assert_array_equal(values, expected.astype(values.dtype))
    # Nothing was lost: the values become the source's again.
    np.testing.assert_array_equal(values.astype(expected.dtype), expected)


def _check_file(path: Path) -> None:
    findings = [each for each in inspect_file(path) if each.importance != _ADVICE]
    # Constants of this test, not of the types.
    assert [each for each in findings if not any(w in each.message for w in _ABOUT_TEST)] == []


_ADVICE = "BEST_PRACTICE_SUGGESTION"
_ABOUT_TEST = ("description", "Description", "subject", "Subject", "experimenter", "institution")


# --- the rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", STORED)
def test_numbers_are_stored_without_loss(dtype: str) -> None:
    stored = stored_dtype(dtype, "x")
    assert stored.newbyteorder("=") == STORED[dtype]
    assert np.can_cast(dtype, stored, "safe")
    assert widened(stored) == stored


def test_every_dtype_of_numpy_is_stored_or_refused() -> None:
    codes = {np.dtype(code).str for code in np.typecodes["All"] if code not in "SUVOmM"}
    for code in codes:
        assert is_number(code) == (np.dtype(code).name in STORED), code


@pytest.mark.parametrize("dtype", REFUSED)
def test_others_are_refused_by_name(dtype: str) -> None:
    with pytest.raises(SourceError, match=r"'a\.tif' has values of type .* NWB cannot store; it"):
        stored_dtype(dtype, "'a.tif'")


def test_long_floats_in_memory_become_float64_where_no_value_changes() -> None:
    exact = np.array([0.5, np.nan, -np.inf, 3], np.longdouble)
    assert as_stored(exact, "x").dtype == np.float64
    np.testing.assert_array_equal(as_stored(exact, "x"), exact)
    with pytest.raises(SourceError, match=r"x has values of type .*; .*convert them to float64"):
        as_stored(np.array([1 / np.longdouble(3)]), "x")


# --- every dataset ------------------------------------------------------------------------------


def _described(dtype: str) -> dict[str, Any]:
    """Return metadata in which each name has the dtype at its end."""
    names = {kind: f"{kind}_{STORED_NAMES[dtype]}" for kind in ("Movie", "Images", "Pixels", "raw")}
    tables = [
        {"name": names[kind], "description": "d", "imaging_plane": "ImagingPlane"}
        for kind in ("Images", "Pixels")
    ]
    image = {"mean": {"name": f"mean_{STORED_NAMES[dtype]}", "description": "d"}}
    series = {"name": names["Movie"], "imaging_plane": "ImagingPlane", "description": "d"}
    return {
        "Ophys": {
            "TwoPhotonSeries": [{**series, "unit": "n.a."}],
            "ImageSegmentation": {"plane_segmentations": tables},
            "Fluorescence": {names["Images"]: {"raw": {"name": names["raw"]}}},
            "SegmentationImages": {names["Images"]: image},
        }
    }


STORED_NAMES = {dtype: dtype.replace(">", "big_") for dtype in STORED}


@pytest.fixture(scope="module", params=["hdf5", "zarr"])
def file_of_all(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Write a file with all datasets of all dtypes; return its path and its datasets."""
    nwbfile = _file()
    for dtype in STORED:
        movie, segmentation = _numbers((12, 6, 8), dtype), _segmentation(dtype)
        described, name = _described(dtype), STORED_NAMES[dtype]
        tools.add_imaging(ArrayImagingExtractor(movie, 10.0), nwbfile, described)
        tools.add_segmentation(segmentation, nwbfile, described, f"Images_{name}")
        tools.add_plane_segmentation(
            segmentation, nwbfile, described, f"Pixels_{name}", mask_type="pixel"
        )
    path = tmp_path_factory.mktemp("all") / "a.nwb"
    write_nwbfile(nwbfile, path, backend=request.param, workers=1, verify=True)
    return path, _datasets(path)


@pytest.mark.parametrize("dtype", STORED)
def test_every_dataset_of_every_dtype(dtype: str, file_of_all: Any) -> None:
    _, found = file_of_all
    name = STORED_NAMES[dtype]
    movie, masks = _numbers((12, 6, 8), dtype), _masks(dtype)
    _assert_same(_written(found, f"Movie_{name}/data"), movie.swapaxes(1, 2))
    _assert_same(_written(found, f"Images_{name}/image_mask"), masks.transpose(2, 1, 0))
    _assert_same(_written(found, f"raw_{name}/data"), _numbers((12, 3), dtype))
    _assert_same(_written(found, f"mean_{name}"), _numbers((6, 8), dtype).T)
    weights = _written(found, f"Pixels_{name}/pixel_mask")
    weights = weights["weight"] if weights.dtype.names else np.array([row[-1] for row in weights])
    expected = [mask[mask != 0].astype(float) for mask in masks.transpose(2, 0, 1)]
    # hdmf stores the weights of pixels as float32 in Zarr.
    np.testing.assert_allclose(weights, np.concatenate(expected), rtol=1e-6)
    score = _written(found, f"Images_{name}/score")
    np.testing.assert_array_equal(score, _numbers((3,), dtype))
    # NWB's columns may hold truth values.
    assert score.dtype.newbyteorder("=") == ("bool" if dtype == "bool" else STORED[dtype])


def test_the_validator_and_the_inspector_know_all_types(file_of_all: Any) -> None:
    _check_file(file_of_all[0])


def test_repacking_keeps_the_types(file_of_all: Any, tmp_path: Path) -> None:
    path, found = file_of_all
    again = _datasets(repack(path, tmp_path / "again.nwb", backend="hdf5", verify=True))
    for name, values in found.items():
        ends = ("/data", "/image_mask", "/score")
        if name.endswith(ends) or "/mean_" in name:
            np.testing.assert_array_equal(again[name], values)
            assert again[name].dtype == values.dtype


@pytest.mark.parametrize("dtype", REFUSED)
@pytest.mark.parametrize("dataset", ["movie", "masks", "pixels", "traces", "image", "column"])
def test_every_dataset_of_a_dtype_that_is_refused(dtype: str, dataset: str) -> None:
    def values(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        if dataset != name:
            return np.ones(shape)
        if dtype == "longdouble":
            return np.full(shape, 1 / np.longdouble(3))
        return np.zeros(shape, dtype)

    nwbfile = _file()
    if dataset == "pixels" and dtype in ("M8[s]", "u1,f4"):
        return  # NumPy has no array of coordinates beside such weights
    if dataset == "movie":
        movie = ArrayImagingExtractor(values("movie", (4, 6, 8)), 10.0)
        for iterator_type in ("v2", "v1", None):
            with pytest.raises(SourceError, match="ArrayImagingExtractor has values of type"):
                tools.add_imaging(movie, nwbfile, iterator_type=iterator_type)
        return
    masks = values("masks" if dataset == "masks" else "pixels", (6, 8, 3))
    segmentation = ArraySegmentationExtractor(
        masks,
        {"raw": values("traces", (4, 3))},
        sampling_frequency=10.0,
        images={"mean": values("image", (6, 8))},
    )
    segmentation.set_property("score", values("column", (3,)), [0, 1, 2])
    form = "pixel" if dataset == "pixels" else "image"
    names = {"traces": "'raw'", "image": "'mean'", "column": "'score'"}
    if dataset == "column" and dtype in ("U3", "S3", "O", "M8[s]"):
        tools.add_segmentation(segmentation, nwbfile)
        return
    with pytest.raises(SourceError, match=rf"{names.get(dataset, 'masks')}.* has values of type"):
        tools.add_segmentation(segmentation, nwbfile, mask_type=form)


COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "bytes": (np.array([b"a", b"\xff", b"c"]), ["a", "\\xff", "c"]),
    "text": (np.array(["a", "b", "c"], object), ["a", "b", "c"]),
    "dates": (
        np.array(["2024-05-17", "2024-05-18", "NaT"], "M8[D]"),
        ["2024-05-17", "2024-05-18", "NaT"],
    ),
    "reals": (np.array([1, 2.5, True], object), [1.0, 2.5, 1.0]),
    "integers": (np.array([1, 2**40, 3], object), [1, 2**40, 3]),
    "mixed": (np.array([1, None, "x"], object), ["1", "None", "x"]),
    "flags": (np.array([True, False, True], object), [True, False, True]),
}


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
def test_columns_of_text_dates_and_objects(backend: str, tmp_path: Path) -> None:
    segmentation = _segmentation("float32")
    for name, (values, _) in COLUMNS.items():
        segmentation.set_property(name, values, [0, 1, 2])
    nwbfile = _file()
    tools.add_segmentation(segmentation, nwbfile)
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", backend=backend)
    found = _datasets(path)
    for name, (_, expected) in COLUMNS.items():
        values = _written(found, f"/{name}").tolist()
        assert [v.decode() if isinstance(v, bytes) else v for v in values] == expected
    _check_file(path)


# --- every file ---------------------------------------------------------------------------------


def _write_movie(
    folder: Path, kind: str, movie: np.ndarray[Any, Any]
) -> tuple[Path, dict[str, Any]]:
    options: dict[str, Any] = {"sampling_frequency": 10.0}
    if kind == "npy":
        path = folder / "m.npy"
        np.save(path, movie)
    elif kind == "hdf5":
        path = folder / "m.h5"
        with h5py.File(path, "w") as file:
            file["mov"] = movie
        if movie.dtype == bool:
            options["dataset_name"] = "mov"
    elif kind == "memmap":
        path = folder / "m.dat"
        movie.tofile(path)
        options |= {"shape": [12, 6, 8], "dtype": movie.dtype.str}
    else:
        path = folder / "m.tif"
        encoding: dict[str, Any] = {"compression": kind} if kind == "zlib" else {}
        if kind == "predictor":
            encoding = {"compression": "zlib", "predictor": True}
        tifffile.imwrite(
            path,
            movie,
            byteorder=">" if movie.dtype.byteorder == ">" else "<",
            metadata=None,
            photometric="minisblack",
            **encoding,
        )
    return path, options


def _open(path: Path, options: dict[str, Any]) -> Any:
    named = {"dtype": "memmap", "dataset_name": "hdf5"}
    by_name = next((named[option] for option in options if option in named), None)
    return nwb_ophys.open(path, format=by_name, **options)


@pytest.mark.parametrize("kind", ["npy", "hdf5", "memmap", "tiff", "zlib", "predictor"])
def test_movies_in_files(kind: str, tmp_path: Path) -> None:
    nwbfile, movies = _file(), {}
    for dtype, name in STORED_NAMES.items():
        if (kind == "predictor" and dtype not in PREDICTED) or (kind, dtype) == ("memmap", "bool"):
            continue
        (tmp_path / name).mkdir()
        movies[name] = _numbers((12, 6, 8), dtype)
        interface = _open(*_write_movie(tmp_path / name, kind, movies[name]))
        series = {"name": name, "imaging_plane": "ImagingPlane"}
        interface.add_to_nwbfile(nwbfile, {"Ophys": {"TwoPhotonSeries": [series]}})
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb", verify=True)
    found = _datasets(path)
    for name, movie in movies.items():
        _assert_same(_written(found, f"/{name}/data"), movie.swapaxes(1, 2))
    _check_file(path)


@pytest.mark.parametrize("kind", ["npy", "hdf5", "memmap", "tiff"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_movies_in_files_are_refused_by_name(kind: str, dtype: str, tmp_path: Path) -> None:
    path, options = _write_movie(tmp_path, kind, np.zeros((12, 6, 8), dtype))
    with pytest.raises(NwbOphysError) as caught:
        _open(path, options).run_conversion(
            tmp_path / "a.nwb", metadata={"NWBFile": {"session_start_time": START}}
        )
    assert "complex" in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "a.nwb").exists()


@pytest.mark.parametrize("dtype", ["longdouble", "U3", "u1,f4", "M8[s]"])
def test_arrays_of_other_types_are_refused_by_name(dtype: str, tmp_path: Path) -> None:
    path, options = _write_movie(tmp_path, "npy", np.zeros((12, 6, 8), dtype))
    with pytest.raises(NwbOphysError, match=rf"'{path}'.* has values of type .* cannot store"):
        _open(path, options)
    with pytest.raises(NwbOphysError, match="image_masks has values of type"):
        NumpySegmentationInterface(image_masks=np.zeros((6, 8, 3), dtype))


def test_truth_values_in_an_hdf5_file_are_a_movie_by_name(tmp_path: Path) -> None:
    path, options = _write_movie(tmp_path, "hdf5", np.zeros((12, 6, 8), bool))
    with pytest.raises(
        NwbOphysError, match=r"truth values, which may be masks\. .*dataset_name=mov"
    ):
        nwb_ophys.open(path, sampling_frequency=10.0)
    assert _open(path, options).extractor.get_dtype().kind == "b"
    interface = nwb_ophys.open(path, format="hdf5", sampling_frequency=10.0)
    assert interface.extractor.get_num_samples() == 12


def test_truth_values_among_other_files_are_masks(tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", np.zeros((6, 8, 3), bool))
    np.save(tmp_path / "movie.npy", np.zeros((12, 6, 8), np.uint8))
    assert [each.path.name for each in nwb_ophys.detect(tmp_path)] == ["movie.npy"]
    assert [each.format for each in nwb_ophys.detect(tmp_path / "masks.npy")] == ["numpy"]


# --- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", ">f4", "longdouble", "O"])
def test_timestamps_of_numbers(dtype: str) -> None:
    interface = NumpyImagingInterface(np.zeros((4, 6, 8), np.uint8), 10.0)
    interface.set_aligned_timestamps(np.array([0, 1, 4, 9], dtype))
    series = interface.create_nwbfile({"NWBFile": {"session_start_time": START}}).acquisition
    times = np.asarray(series["TwoPhotonSeries"].timestamps.data)
    assert times.dtype == np.float64
    np.testing.assert_array_equal(times, [0, 1, 4, 9])


@pytest.mark.parametrize(
    "times",
    [
        np.array(["2024-05-17", "2024-05-18", "2024-05-19", "2024-05-20"], "M8[ns]"),
        np.arange(4).astype("m8[s]"),
        np.arange(4).astype(complex),
        np.arange(4).astype("U1"),
        np.arange(4) > 1,
        np.arange(4).astype("u1,f4"),
        np.arange(4) + 2**60,
    ],
    ids=lambda times: str(times.dtype),
)
def test_timestamps_that_are_no_seconds(times: Any) -> None:
    interface = NumpyImagingInterface(np.zeros((4, 6, 8), np.uint8), 10.0)
    with pytest.raises(SourceError, match="The timestamps for NumpyImagingInterface are of type"):
        interface.set_aligned_timestamps(times)
    with pytest.raises(SourceError, match="unaligned times of the events are of type"):
        interface.align_by_interpolation(times, np.arange(4))
