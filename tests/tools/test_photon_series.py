"""Tests of photon series: types, names, containers, orientation, fields, and iterators of data."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import h5py
import numpy as np
import psutil
import pytest
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ophys import OnePhotonSeries, TwoPhotonSeries
from roiextractors.testing import generate_dummy_imaging_extractor

from nwb_ophys import tools
from nwb_ophys.errors import MetadataError
from nwb_ophys.tools import ImagingExtractorDataChunkIterator
from nwb_ophys.writers.run import write_nwbfile

KINDS = {"TwoPhotonSeries": TwoPhotonSeries, "OnePhotonSeries": OnePhotonSeries}


def describe(kind: str = "TwoPhotonSeries", **fields: Any) -> dict[str, Any]:
    return {"Ophys": {kind: [{"name": "Movie", "imaging_plane": "ImagingPlane", **fields}]}}


def in_nwb(extractor: Any) -> np.ndarray:
    """Return the complete movie as NWB stores it, without code of this package."""
    series = extractor.get_series()
    return np.stack([np.moveaxis(frame, 0, 1) for frame in series])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [None, {}, {"Ophys": {}}])
def test_defaults(kind: str, given: Any, imaging: Any, nwbfile: NWBFile) -> None:
    tools.add_photon_series(imaging, nwbfile, given, photon_series_type=kind)
    series = nwbfile.acquisition[kind]
    assert type(series) is KINDS[kind]
    assert series.imaging_plane is nwbfile.imaging_planes["ImagingPlane"]
    assert series.imaging_plane.device is nwbfile.devices["Microscope"]
    assert series.unit == "n.a."
    assert list(series.dimension) == [9, 7]
    assert len(nwbfile.processing) == 0


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("photon_series_type", "ThreePhotonSeries", ["OnePhotonSeries", "TwoPhotonSeries"]),
        ("photon_series_type", None, ["OnePhotonSeries", "TwoPhotonSeries"]),
        ("parent_container", "processing", ["acquisition", "processing/ophys"]),
        ("iterator_type", "v3", ["v1", "v2", "None"]),
    ],
)
def test_wrong_choices(
    argument: str, value: Any, allowed: list[str], imaging: Any, nwbfile: NWBFile
) -> None:
    with pytest.raises(AssertionError, match=argument) as caught:
        tools.add_photon_series(imaging, nwbfile, None, **{argument: value})
    for choice in allowed:
        assert choice in str(caught.value)
    assert len(nwbfile.acquisition) == 0
    assert len(nwbfile.devices) == 0


def test_one_photon_metadata_with_the_default_type(imaging: Any, nwbfile: NWBFile) -> None:
    with pytest.raises(AssertionError, match="OnePhotonSeries"):
        tools.add_photon_series(imaging, nwbfile, describe("OnePhotonSeries"))
    tools.add_photon_series(
        imaging, nwbfile, describe("OnePhotonSeries"), photon_series_type="OnePhotonSeries"
    )
    assert type(nwbfile.acquisition["Movie"]) is OnePhotonSeries


def test_two_series_may_share_a_plane(imaging: Any, nwbfile: NWBFile) -> None:
    given = describe()
    given["Ophys"]["TwoPhotonSeries"].append({"name": "Other", "imaging_plane": "ImagingPlane"})
    for index in (0, 1):
        tools.add_photon_series(imaging, nwbfile, given, photon_series_index=index)
    assert set(nwbfile.acquisition) == {"Movie", "Other"}
    assert len(nwbfile.imaging_planes) == 1
    movie, other = nwbfile.acquisition.values()
    assert movie.imaging_plane is other.imaging_plane


def test_second_entry_with_its_plane(imaging: Any, metadata: Any, nwbfile: NWBFile) -> None:
    tools.add_photon_series(imaging, nwbfile, metadata, photon_series_index=1)
    assert list(nwbfile.acquisition) == ["Movie2"]
    assert list(nwbfile.imaging_planes) == ["Plane2"]
    assert nwbfile.acquisition["Movie2"].imaging_plane.device.name == "Scope2"


@pytest.mark.parametrize("index", [2, -1])
def test_an_entry_that_is_not_there(
    index: int, imaging: Any, metadata: Any, nwbfile: NWBFile
) -> None:
    with pytest.raises(ValueError, match=str(index)):
        tools.add_photon_series(imaging, nwbfile, metadata, photon_series_index=index)


def test_deprecated_index(imaging: Any, metadata: Any, nwbfile: NWBFile) -> None:
    with pytest.warns(Warning, match="two_photon_series_index") as caught:
        tools.add_photon_series(imaging, nwbfile, metadata, two_photon_series_index=1)
    assert caught[0].filename == __file__
    assert list(nwbfile.acquisition) == ["Movie2"]


@pytest.mark.parametrize("container", ["acquisition", "processing/ophys"])
def test_a_name_that_is_taken(container: str, imaging: Any, nwbfile: NWBFile) -> None:
    tools.add_photon_series(imaging, nwbfile, describe(), parent_container=container)
    with pytest.raises(ValueError, match="Movie") as caught:
        tools.add_photon_series(imaging, nwbfile, describe(), parent_container=container)
    assert container in str(caught.value)


def test_the_same_name_in_the_other_container(imaging: Any, nwbfile: NWBFile) -> None:
    for container in ("acquisition", "processing/ophys"):
        tools.add_photon_series(imaging, nwbfile, describe(), parent_container=container)
    assert list(nwbfile.acquisition) == ["Movie"]
    assert list(nwbfile.processing["ophys"].data_interfaces) == ["Movie"]


def test_processing_only(imaging: Any, nwbfile: NWBFile) -> None:
    tools.add_photon_series(imaging, nwbfile, describe(), parent_container="processing/ophys")
    assert len(nwbfile.acquisition) == 0
    assert type(nwbfile.processing["ophys"]["Movie"]) is TwoPhotonSeries


def test_an_ophys_module_of_the_caller_is_used(imaging: Any, nwbfile: NWBFile) -> None:
    module = nwbfile.create_processing_module(name="ophys", description="mine")
    tools.add_photon_series(imaging, nwbfile, None, parent_container="processing/ophys")
    assert list(module.data_interfaces) == ["TwoPhotonSeries"]
    assert module.description == "mine"


@pytest.mark.parametrize("num_planes", [None, 2])
@pytest.mark.parametrize("iterator_type", ["v2", "v1", None])
def test_round_trip_is_transposed_and_compressed(
    num_planes: int | None, iterator_type: Any, nwbfile: NWBFile, tmp_path: Any
) -> None:
    extractor = generate_dummy_imaging_extractor(
        num_samples=6, num_rows=4, num_columns=5, num_planes=num_planes
    )
    tools.add_photon_series(extractor, nwbfile, None, iterator_type=iterator_type)
    series = nwbfile.acquisition["TwoPhotonSeries"]
    assert list(series.dimension) == [5, 4] + ([] if num_planes is None else [2])
    assert isinstance(series.data, H5DataIO)
    assert series.data.io_settings["compression"] == "gzip"
    path = tmp_path / "movie.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        stored = file["acquisition/TwoPhotonSeries/data"]
        assert stored.compression == "gzip"
        assert stored.dtype == np.uint16
        expected = in_nwb(extractor)
        assert stored.shape == expected.shape
        np.testing.assert_array_equal(stored[:], expected)


def test_a_planted_pixel(make_movie: Callable[..., Any], nwbfile: NWBFile) -> None:
    movie = np.zeros((3, 4, 6), dtype=np.int16)
    movie[2, 1, 5] = 7  # row 1, column 5
    tools.add_photon_series(make_movie(movie), nwbfile, None)
    data = np.asarray(nwbfile.acquisition["TwoPhotonSeries"].data.data)
    assert list(zip(*np.nonzero(data), strict=True)) == [(2, 5, 1)]


TWO = {"pmt_gain": 60.0, "scan_line_rate": 1.5, "field_of_view": [0.1, 0.2]}
ONE = {
    "pmt_gain": 60.0,
    "scan_line_rate": 1.5,
    "binning": 2,
    "exposure_time": 0.01,
    "power": 500.0,
    "intensity": 3.0,
}
BOTH = {
    "description": "d",
    "comments": "c",
    "conversion": 2.0,
    "offset": 1.0,
    "resolution": 0.5,
    "unit": "photons",
    "format": "raw",
}


@pytest.mark.parametrize(
    ("kind", "fields"), [("TwoPhotonSeries", TWO | BOTH), ("OnePhotonSeries", ONE | BOTH)]
)
def test_other_keys_pass_through(
    kind: str, fields: Any, imaging: Any, nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    tools.add_photon_series(imaging, nwbfile, describe(kind, **fields), photon_series_type=kind)

    def look(read: NWBFile) -> Any:
        values = {field: getattr(read.acquisition["Movie"], field) for field in fields}
        return {key: list(v[:]) if np.ndim(v) else v for key, v in values.items()}

    assert round_trip(nwbfile, look) == fields


@pytest.mark.parametrize("key", ["pmt_gian", "bits_per_pixel"])
def test_an_unknown_key_is_refused_with_those_allowed(
    key: str, imaging: Any, nwbfile: NWBFile
) -> None:
    """pynwb 4.2 also rejects bits_per_pixel, but its message does not name the key."""
    with pytest.raises(MetadataError, match=key) as caught:
        tools.add_photon_series(imaging, nwbfile, describe(**{key: 3}))
    assert "TwoPhotonSeries" in str(caught.value)
    assert "pmt_gain" in str(caught.value)


def test_a_series_that_names_a_plane_that_is_not_there(imaging: Any, nwbfile: NWBFile) -> None:
    given = describe(imaging_plane="Elsewhere")
    with pytest.raises(ValueError, match="Elsewhere"):
        tools.add_photon_series(imaging, nwbfile, given)
    assert len(nwbfile.acquisition) == 0


def test_v2_takes_the_options(imaging: Any, nwbfile: NWBFile) -> None:
    options = {"buffer_shape": (8, 9, 7), "chunk_shape": (4, 9, 7)}
    tools.add_photon_series(imaging, nwbfile, None, iterator_options=options)
    iterator = nwbfile.acquisition["TwoPhotonSeries"].data.data
    assert type(iterator) is ImagingExtractorDataChunkIterator
    assert iterator.imaging_extractor is imaging
    assert iterator.buffer_shape == (8, 9, 7)
    assert iterator.chunk_shape == (4, 9, 7)
    assert options == {"buffer_shape": (8, 9, 7), "chunk_shape": (4, 9, 7)}


def test_v1_is_over_frames(imaging: Any, nwbfile: NWBFile) -> None:
    options = {"buffer_size": 5}
    tools.add_photon_series(imaging, nwbfile, None, iterator_type="v1", iterator_options=options)
    iterator = nwbfile.acquisition["TwoPhotonSeries"].data.data
    assert type(iterator) is DataChunkIterator
    assert iterator.maxshape == (12, 9, 7)
    assert iterator.dtype == np.uint16
    assert iterator.iter_axis == 0
    blocks = [chunk.data for chunk in iterator]
    assert [len(block) for block in blocks] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), in_nwb(imaging))


def test_v1_reads_ten_frames_at_a_time(imaging: Any, nwbfile: NWBFile) -> None:
    read = Mock(side_effect=imaging.get_series)
    expected = in_nwb(imaging)
    imaging.get_series = read
    tools.add_photon_series(imaging, nwbfile, None, iterator_type="v1")
    iterator = nwbfile.acquisition["TwoPhotonSeries"].data.data
    blocks = [chunk.data for chunk in iterator]
    assert [len(block) for block in blocks] == [10, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    ranges = [(call.kwargs["start_sample"], call.kwargs["end_sample"]) for call in read.mock_calls]
    assert ranges == [(0, 10), (10, 12)]


def test_v1_with_a_wrong_buffer(imaging: Any, nwbfile: NWBFile) -> None:
    options = {"buffer_size": 0}
    with pytest.raises(AssertionError, match="buffer_size must be greater than zero, not 0"):
        tools.add_photon_series(
            imaging, nwbfile, None, iterator_type="v1", iterator_options=options
        )


def test_no_iterator_is_the_array(imaging: Any, nwbfile: NWBFile) -> None:
    tools.add_photon_series(imaging, nwbfile, None, iterator_type=None)
    data = nwbfile.acquisition["TwoPhotonSeries"].data
    assert isinstance(data, H5DataIO)
    assert isinstance(data.data, np.ndarray)
    np.testing.assert_array_equal(data.data, in_nwb(imaging))


@pytest.mark.parametrize(
    ("iterator_type", "kind"),
    [("v2", ImagingExtractorDataChunkIterator), ("v1", DataChunkIterator), (None, np.ndarray)],
)
def test_frames_to_iterator(iterator_type: Any, kind: type, imaging: Any) -> None:
    found = tools._imaging_frames_to_hdmf_iterator(imaging, iterator_type)
    assert type(found) is kind


def test_frames_to_iterator_refuses_others(imaging: Any) -> None:
    with pytest.raises(AssertionError, match="v2"):
        tools._imaging_frames_to_hdmf_iterator(imaging, iterator_type="v0")


def test_nothing_is_read_before_the_file_is_written(imaging: Any, nwbfile: NWBFile) -> None:
    imaging.get_series = Mock(side_effect=AssertionError("read too early"))
    tools.add_photon_series(imaging, nwbfile, None)
    imaging.get_series.assert_not_called()


def memory(available: int) -> Callable[[], Any]:
    return lambda: SimpleNamespace(available=available)


def test_a_movie_larger_than_memory(
    imaging: Any, nwbfile: NWBFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 12 * 7 * 9 * 2
    monkeypatch.setattr(psutil, "virtual_memory", memory(needed))
    tools.check_if_imaging_fits_into_memory(imaging)
    monkeypatch.setattr(psutil, "virtual_memory", memory(needed - 1))
    imaging.get_series = Mock(side_effect=AssertionError("read before the check"))
    for call in (
        lambda: tools.check_if_imaging_fits_into_memory(imaging),
        lambda: tools._imaging_frames_to_hdmf_iterator(imaging, iterator_type=None),
        lambda: tools.add_photon_series(imaging, nwbfile, None, iterator_type=None),
    ):
        with pytest.raises(MemoryError):
            call()
    assert len(nwbfile.acquisition) == 0


def test_the_memory_error_gives_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = generate_dummy_imaging_extractor(num_samples=1000, num_rows=500, num_columns=1000)
    monkeypatch.setattr(psutil, "virtual_memory", memory(250_000_000))
    with pytest.raises(MemoryError, match=r"1\.00 GB") as caught:
        tools.check_if_imaging_fits_into_memory(extractor)
    assert "0.25 GB" in str(caught.value)


def test_a_mock_whose_frame_count_is_a_float() -> None:
    mock = Mock()
    mock.get_dtype.return_value = np.dtype("uint16")
    mock.get_sample_shape.return_value = (7, 9)
    available = psutil.virtual_memory().available
    mock.get_num_samples.return_value = available * 1.5 / (7 * 9 * 2)
    with pytest.raises(MemoryError):
        tools.check_if_imaging_fits_into_memory(mock)
    mock.get_num_samples.return_value = 2.5
    assert tools.check_if_imaging_fits_into_memory(imaging=mock) is None


def test_a_movie_without_frames(
    make_movie: Callable[..., Any], nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    tools.add_photon_series(make_movie(np.zeros((0, 4, 5), np.uint8)), nwbfile, None)
    assert round_trip(nwbfile, lambda f: f.acquisition["TwoPhotonSeries"].data.shape) == (0, 5, 4)


def test_add_imaging_adds_all(imaging: Any, metadata: Any, nwbfile: NWBFile) -> None:
    found = tools.add_imaging(
        imaging, nwbfile, metadata, photon_series_index=1, parent_container="processing/ophys"
    )
    assert found is nwbfile
    assert set(nwbfile.devices) == {"Scope1", "Scope2"}
    assert list(nwbfile.processing["ophys"].data_interfaces) == ["Movie2"]


def test_add_imaging_passes_the_iterator(imaging: Any, nwbfile: NWBFile) -> None:
    tools.add_imaging(imaging, nwbfile, iterator_options={"chunk_shape": (3, 9, 7)})
    assert nwbfile.acquisition["TwoPhotonSeries"].data.data.chunk_shape == (3, 9, 7)
    tools.add_imaging(imaging, nwbfile, photon_series_type="OnePhotonSeries", iterator_type=None)
    assert isinstance(nwbfile.acquisition["OnePhotonSeries"].data.data, np.ndarray)


def test_a_dimension_that_is_not_the_movies_is_refused(imaging: Any, nwbfile: NWBFile) -> None:
    with pytest.raises(ValueError, match=r"\[9, 7\]"):
        tools.add_photon_series(imaging, nwbfile, describe(dimension=[7, 9]))
    tools.add_photon_series(imaging, nwbfile, describe(dimension=[9, 7]))


def test_options_without_an_iterator_are_refused(imaging: Any) -> None:
    with pytest.raises(AssertionError, match="iterator_options"):
        tools._imaging_frames_to_hdmf_iterator(imaging, None, {"chunk_mb": 1.0})


def test_every_backend_takes_the_data(
    backend: str, imaging: Any, nwbfile: NWBFile, tmp_path: Any
) -> None:
    """``nwbfile.objects`` keeps the objects that it found when it was first used."""
    assert len(nwbfile.objects) == 1
    tools.add_photon_series(imaging, nwbfile, None)
    suffix = ".nwb.zarr" if backend == "zarr" else ".nwb"
    path = write_nwbfile(nwbfile, tmp_path / f"movie{suffix}", backend=backend)
    again = write_nwbfile(nwbfile, tmp_path / f"again{suffix}", backend=backend)
    for written in (path, again):
        with open_nwb(written, backend) as io:
            data = io.read().acquisition["TwoPhotonSeries"].data[:]
            np.testing.assert_array_equal(data, in_nwb(imaging))


def open_nwb(path: Any, backend: str) -> Any:
    if backend == "hdf5":
        return NWBHDF5IO(str(path), "r")
    from hdmf_zarr import NWBZarrIO

    return NWBZarrIO(str(path), "r")
