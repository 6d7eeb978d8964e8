"""Tests of streams that are compared: planes and times of ROIs and of their movie."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest

from nwb_ophys import (
    BrukerImagingInterface,
    CaimanSegmentationInterface,
    ExtractSegmentationInterface,
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
    ScanImageImagingInterface,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
)
from nwb_ophys.errors import MetadataError, OptionError
from nwb_ophys.opening import open_recording
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_bruker,
    write_caiman,
    write_cnmfe,
    write_extract,
    write_scanimage,
    write_sima,
    write_suite2p,
    write_tiff,
)

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
LOST = np.delete(np.arange(46) / 30, [5, 11, 12, 20, 30, 31])
"""Times of 40 frames at 30 Hz, after six others were lost."""


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=40, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture(scope="module")
def other() -> SimulatedRecording:
    """A recording of another field."""
    return simulate_recording(num_samples=40, num_rows=20, num_columns=28, num_cells=3, seed=1)


def _movie(recording: SimulatedRecording, rate: float = 30.0) -> NumpyImagingInterface:
    return NumpyImagingInterface(recording.movie, rate)


def _rois(recording: SimulatedRecording, rate: float = 30.0, samples: int = 40) -> Any:
    masks = np.moveaxis(recording.image_masks(), 0, -1)
    traces = recording.fluorescence[:samples]
    return NumpySegmentationInterface(masks, raw=traces, sampling_frequency=rate)


def _suite2p(folder: Path, recording: Any, **ops: Any) -> Path:
    path = write_suite2p(folder, recording)
    for file in path.glob("plane*/ops.npy"):
        stored = np.load(file, allow_pickle=True).item() | ops
        np.save(file, np.array(stored, dtype=object), allow_pickle=True)
    return path


def _lost_frames(folder: Path, recording: SimulatedRecording) -> Path:
    write_bruker(folder, recording.movie, timestamps=LOST)
    return folder


def _create(streams: Any, **options: Any) -> Any:
    converter = streams if isinstance(streams, OphysConverter) else OphysConverter(streams)
    return converter.create_nwbfile(START, options)


def _planes(nwbfile: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of the planes of series and of plane segmentations."""
    series = {s.name: s.imaging_plane.name for s in nwbfile.acquisition.values()}
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    return series, {name: table.imaging_plane.name for name, table in tables.items()}


def _trace(nwbfile: Any) -> Any:
    found = nwbfile.processing["ophys"]["Fluorescence"].roi_response_series
    return next(iter(found.values()))


def _times(series: Any) -> Any:
    if series.timestamps is None:
        return series.starting_time + np.arange(40) / series.rate
    stored = series.timestamps
    return np.asarray(getattr(stored, "data", stored)[:])


# --- streams that agree -------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [30.0, 30.0003, 29.9997, 30.02])
def test_rates_that_agree_are_no_disagreement(recording, tmp_path, rate):
    rois = Suite2pSegmentationInterface(_suite2p(tmp_path, recording, fs=rate))
    nwbfile = _create({"movie": _movie(recording), "rois": rois})
    assert _trace(nwbfile).rate == 30.0  # sample k is frame k


def test_averaged_frames_are_no_disagreement(recording):
    rois = _rois(recording, rate=15.0, samples=20)
    assert _trace(_create({"movie": _movie(recording), "rois": rois})).rate == 15.0


def test_rois_without_traces_have_no_times_to_compare(recording):
    masks = NumpySegmentationInterface(np.moveaxis(recording.image_masks(), 0, -1))
    planes = _planes(_create({"movie": _movie(recording), "rois": masks}))
    assert planes == ({"TwoPhotonSeries": "ImagingPlane"}, {"PlaneSegmentation": "ImagingPlane"})


# --- samples and rates --------------------------------------------------------------------------


def test_other_numbers_of_samples_are_named(recording):
    with pytest.warns(UserWarning, match=r"25 samples \(0.8333 s at 30 Hz\).*40 samples \(1.333 s"):
        _create({"movie": _movie(recording), "rois": _rois(recording, samples=25)})


def test_other_rates_are_named_with_the_remedy(recording, tmp_path):
    movie = ScanImageImagingInterface(write_scanimage(tmp_path / "a.tif", recording.movie)[0])
    rois = Suite2pSegmentationInterface(_suite2p(tmp_path, recording, fs=10.0))
    streams = {"movie": movie, "rois": rois}
    with pytest.warns(UserWarning, match="10 Hz.*'movie'.*30 Hz.*align=movie.*align=own") as caught:
        assert _trace(_create(streams)).rate == 10.0
    assert len(caught) == 1
    assert _trace(_create(streams, rois={"align": "own"})).rate == 10.0
    assert _trace(_create(streams, rois={"align": "movie"})).rate == 30.0
    assert rois.get_timestamps()[1] == 0.1  # the interface is as before


def test_planes_with_the_same_disagreement_are_one_note(tmp_path):
    planes = [simulate_recording(num_samples=30, seed=seed) for seed in (0, 1)]
    volume = np.stack([plane.movie for plane in planes], axis=-1)
    write_scanimage(tmp_path / "v.tif", volume)
    paths = [tmp_path / "v.tif", _suite2p(tmp_path, planes, fs=10.0)]
    with pytest.warns(UserWarning, match="'suite2p plane0' and 'suite2p plane1'") as caught:
        open_recording(paths).converter.create_nwbfile(START)
    assert len(caught) == 1


def test_rates_of_segmentations_without_a_movie_are_compared(recording, other, tmp_path):
    suite2p = Suite2pSegmentationInterface(_suite2p(tmp_path, recording, fs=10.0))
    caiman = CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", recording))
    with pytest.warns(UserWarning, match=r"'caiman' have .* 30 Hz.*'suite2p'.*10 Hz"):
        _create({"suite2p": suite2p, "caiman": caiman})
    _create({"suite2p": suite2p, "elsewhere": _rois(other)})


def test_a_rate_in_the_metadata_is_compared_and_kept(recording):
    converter = OphysConverter({"movie": _movie(recording), "rois": _rois(recording)})
    metadata = converter.get_metadata()
    metadata.deep_update(START)
    metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["rate"] = 12.0
    with pytest.warns(UserWarning, match="12 Hz.*30 Hz"):
        assert _trace(converter.create_nwbfile(metadata)).rate == 12.0
    metadata["Ophys"]["TwoPhotonSeries"][0]["rate"] = 12.0
    assert _trace(converter.create_nwbfile(metadata)).rate == 12.0


# --- timestamps ---------------------------------------------------------------------------------


def _rate_only(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    return {
        "suite2p": Suite2pSegmentationInterface(write_suite2p(folder, recording)),
        "caiman": CaimanSegmentationInterface(write_caiman(folder / "c.hdf5", recording)),
    }


@pytest.mark.parametrize("name", ["suite2p", "caiman"])
def test_rois_with_a_rate_take_the_timestamps_of_the_movie(recording, tmp_path, name):
    movie = BrukerImagingInterface(_lost_frames(tmp_path / "TS", recording))
    streams = {"rois": _rate_only(tmp_path, recording)[name], "movie": movie}
    nwbfile = _create(streams)
    np.testing.assert_allclose(_times(_trace(nwbfile)), LOST - LOST[0], atol=1e-6)
    nwbfile = _create(streams, rois={"align": "own"})
    assert _trace(nwbfile).rate == 30.0
    nwbfile = _create(streams, rois={"stub": 7}, movie={"stub": 7})
    np.testing.assert_allclose(_times(_trace(nwbfile)), LOST[:7] - LOST[0], atol=1e-6)


def test_timestamps_replace_another_rate_with_a_note(recording, tmp_path):
    movie = BrukerImagingInterface(_lost_frames(tmp_path / "TS", recording))
    rois = Suite2pSegmentationInterface(_suite2p(tmp_path, recording, fs=10.0))
    with pytest.warns(UserWarning, match="10 Hz.*timestamps at about 30 Hz.*align=own"):
        nwbfile = _create({"movie": movie, "rois": rois})
    np.testing.assert_allclose(_times(_trace(nwbfile)), LOST - LOST[0], atol=1e-6)


def test_a_rate_that_the_user_gave_is_kept(recording, tmp_path):
    movie = BrukerImagingInterface(_lost_frames(tmp_path / "TS", recording))
    file = write_extract(tmp_path / "e.mat", recording)
    rois = ExtractSegmentationInterface(file, sampling_frequency=30.0)
    with pytest.warns(UserWarning, match=r"differ by up to 0.2 s: sample .*align=movie"):
        nwbfile = _create({"movie": movie, "rois": rois})
    assert next(iter(nwbfile.processing["ophys"]["DfOverF"].roi_response_series.values())).rate


def test_times_that_the_user_set_win(recording, tmp_path):
    movie = BrukerImagingInterface(_lost_frames(tmp_path / "TS", recording))
    rois = Suite2pSegmentationInterface(write_suite2p(tmp_path, recording))
    rois.set_aligned_starting_time(7.0)
    streams = {"movie": movie, "rois": rois}
    assert _trace(_create(streams)).starting_time == 7.0
    with pytest.raises(OptionError, match=r"align=movie .* times are set"):
        _create(streams, rois={"align": "movie"})


def test_times_of_a_movie_that_the_user_set_are_those_of_its_rois(recording, tmp_path):
    class Rig(OphysConverter):
        streams = {"movie": NumpyImagingInterface, "rois": Suite2pSegmentationInterface}  # noqa: RUF012

        def temporally_align(self, metadata: Any, conversion_options: Any) -> None:
            self.interfaces["movie"].set_aligned_timestamps(LOST + 3)

    folder = write_suite2p(tmp_path, recording)
    rig = Rig(
        movie={"timeseries": recording.movie, "sampling_frequency": 30.0},
        rois={"folder_path": folder},
    )
    np.testing.assert_array_equal(_times(_trace(_create(rig))), LOST + 3)
    rig.interfaces["movie"].set_aligned_starting_time(2.5)
    assert not rig.interfaces["rois"].times_are_set


def test_rois_start_with_their_movie(recording):
    movie, rois = _movie(recording), _rois(recording)
    movie.set_aligned_starting_time(2.5)
    nwbfile = _create({"movie": movie, "rois": rois})
    assert (_trace(nwbfile).rate, _trace(nwbfile).starting_time) == (30.0, 2.5)


def test_timestamps_of_both_are_compared(recording, tmp_path):
    movie, rois = _movie(recording), _rois(recording)
    rois.extractor.get_native_timestamps = lambda *_: LOST
    streams = {"movie": movie, "rois": rois}
    with pytest.warns(UserWarning, match=r"differ by up to 0.2 s: sample 27 is at .* and at"):
        nwbfile = _create(streams)
    np.testing.assert_array_equal(_times(_trace(nwbfile)), LOST)
    assert _trace(_create(streams, rois={"align": "movie"})).rate == 30.0


def test_align_movie_needs_a_movie_with_as_many_samples(recording):
    with pytest.raises(OptionError, match=r"25 samples.*'movie' has 40"):
        _create(
            {"movie": _movie(recording), "rois": _rois(recording, samples=25)},
            rois={"align": "movie"},
        )
    with pytest.raises(OptionError, match="no movie: neither among the streams nor in the file"):
        _rois(recording).create_nwbfile(START, align="movie")
    with pytest.raises(OptionError, match="align"):
        _rois(recording).create_nwbfile(START, align="movies")


# --- planes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("functional", [1, 2])
def test_suite2p_is_linked_to_its_functional_channel(recording, tmp_path, functional):
    movie = recording.movie
    write_scanimage(tmp_path / "a.tif", {1: movie, 4: movie[::-1]})
    rois = _suite2p(tmp_path, recording, nchannels=2, functional_chan=functional)
    nwbfile = open_recording([tmp_path / "a.tif", rois]).converter.create_nwbfile(START)
    names = list(_planes(nwbfile)[0].values())
    assert list(_planes(nwbfile)[1].values()) == [names[functional - 1]]
    assert len(nwbfile.imaging_planes) == 2


def test_the_second_channel_of_suite2p_lies_in_the_plane_of_the_other_channel(recording, tmp_path):
    movie = recording.movie
    (path,) = write_scanimage(tmp_path / "a.tif", {1: movie, 2: movie[::-1]})
    folder = write_suite2p(tmp_path, recording, second_channel=True)
    nwbfile = open_recording([path, folder]).converter.create_nwbfile(START)
    assert _planes(nwbfile)[1] == {
        "PlaneSegmentationChan1": "ImagingPlaneChannel1",
        "PlaneSegmentationChan2": "ImagingPlaneChannel2",
    }


def test_planes_of_suite2p_lie_in_planes_and_volumes(tmp_path):
    planes = [simulate_recording(num_samples=30, seed=seed) for seed in (0, 1)]
    volume = np.stack([plane.movie for plane in planes], axis=-1)
    (path,) = write_scanimage(tmp_path / "v.tif", volume)
    paths = [path, _suite2p(tmp_path, planes)]
    as_volume = open_recording(paths).converter.create_nwbfile(START)
    assert set(_planes(as_volume)[1].values()) == {"ImagingPlane"}
    by_plane = open_recording(paths, options={"as_volume": False}).converter.create_nwbfile(START)
    assert _planes(by_plane)[1] == {
        "PlaneSegmentationPlane0": "ImagingPlanePlane0",
        "PlaneSegmentationPlane1": "ImagingPlanePlane1",
    }


def test_a_channel_that_is_not_converted_is_named(recording, tmp_path):
    movie = recording.movie
    (path,) = write_scanimage(tmp_path / "a.tif", {1: movie, 2: movie[::-1]})
    rois = Suite2pSegmentationInterface(
        _suite2p(tmp_path, recording, nchannels=2, functional_chan=2)
    )
    streams = {"movie": ScanImageImagingInterface(path, channel_name="Channel 1"), "rois": rois}
    with pytest.warns(UserWarning, match="made from channel 2 of 2, which is not among"):
        nwbfile = _create(streams)
    assert _planes(nwbfile) == (
        {"TwoPhotonSeriesChannel1": "ImagingPlaneChannel1"},
        {"PlaneSegmentation": "ImagingPlane"},
    )


def _two_channels(folder: Path, recording: SimulatedRecording) -> list[Path]:
    (path,) = write_scanimage(folder / "a.tif", {1: recording.movie, 2: recording.movie[::-1]})
    return [path, _suite2p(folder, recording)]


def test_an_unknown_movie_is_asked_for(recording, tmp_path):
    converter = open_recording(_two_channels(tmp_path, recording)).converter
    metadata = converter.get_metadata()
    metadata.deep_update(START)
    with pytest.warns(
        UserWarning,
        match=r"'ImagingPlaneChannel1' and 'ImagingPlaneChannel2' .* --set "
        r"Ophys.ImageSegmentation.plane_segmentations.0.imaging_plane=ImagingPlaneChannel1",
    ):
        nwbfile = converter.create_nwbfile(metadata)
    assert _planes(nwbfile)[1] == {"PlaneSegmentation": "ImagingPlane"}
    (entry,) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    entry["imaging_plane"] = "ImagingPlaneChannel2"
    nwbfile = converter.create_nwbfile(metadata)
    assert _planes(nwbfile)[1] == {"PlaneSegmentation": "ImagingPlaneChannel2"}
    assert len(nwbfile.imaging_planes) == 2


def test_the_background_lies_in_the_plane_that_was_chosen_for_the_rois(recording, tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", {1: recording.movie, 2: recording.movie[::-1]})
    caiman = write_caiman(tmp_path / "c.hdf5", recording)
    converter = open_recording([path, caiman]).converter
    metadata = converter.get_metadata()
    metadata.deep_update(START)
    cells, _ = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    cells["imaging_plane"] = "ImagingPlaneChannel2"
    tables = _planes(converter.create_nwbfile(metadata))[1]
    assert set(tables.values()) == {"ImagingPlaneChannel2"}


def test_a_plane_that_is_described_is_not_asked_for(recording, tmp_path):
    converter = open_recording(_two_channels(tmp_path, recording)).converter
    metadata = converter.get_metadata()
    metadata.deep_update(START)
    (own,) = [p for p in metadata["Ophys"]["ImagingPlane"] if p["name"] == "ImagingPlane"]
    own["location"] = "VISp"
    assert len(converter.create_nwbfile(metadata).imaging_planes) == 3


@pytest.mark.parametrize("stated", ["b.tif", "b_rig__d1_24_d2_34_order_F_frames_40_.mmap"])
def test_caiman_is_linked_to_the_file_that_it_read(recording, tmp_path, stated):
    import h5py

    first = write_tiff(tmp_path / "a.tif", recording.movie)
    second = write_tiff(tmp_path / "b.tif", recording.movie[::-1])
    path = write_caiman(tmp_path / "c.hdf5", recording)
    with h5py.File(path, "a") as file:
        if "params/data/fnames" in file:
            del file["params/data/fnames"]
        file["params/data/fnames"] = [f"C:\\data\\{stated}".encode()]
    nwbfile = _create(
        {
            "a": TiffImagingInterface(first, sampling_frequency=30.0),
            "b": TiffImagingInterface(second, sampling_frequency=30.0),
            "rois": CaimanSegmentationInterface(path),
        }
    )
    series, tables = _planes(nwbfile)
    assert set(tables.values()) == {series["TwoPhotonSeriesB"]}


def test_other_formats_state_their_movie(recording, tmp_path):
    import h5py

    from nwb_ophys import CnmfeSegmentationInterface, SimaSegmentationInterface

    path = write_cnmfe(tmp_path / "c.mat", recording)
    with h5py.File(path, "a") as file:
        codes = np.frombuffer("/data/scan_1p.mat".encode("utf-16-le"), np.uint16)
        file["results/file"] = codes[:, None]
    assert CnmfeSegmentationInterface(path).made_from().files == ("scan_1p.mat",)
    folder = write_sima(tmp_path / "s.sima", recording, channel_names=("Green", "Red"))
    red = SimaSegmentationInterface(folder, sampling_frequency=30.0, channel_name="Red")
    assert (red.made_from().channel, red.made_from().num_channels) == (2, 2)


def test_the_field_and_the_samples_choose_among_movies(recording, other):
    nwbfile = _create({"a": _movie(other), "b": _movie(recording), "rois": _rois(recording)})
    series, tables = _planes(nwbfile)
    assert tables == {"PlaneSegmentation": series["TwoPhotonSeriesB"]}
    short = NumpyImagingInterface(recording.movie[:30], 30.0)
    nwbfile = _create({"a": short, "b": _movie(recording), "rois": _rois(recording)})
    series, tables = _planes(nwbfile)
    assert tables == {"PlaneSegmentation": series["TwoPhotonSeriesB"]}


def test_rois_of_another_field_get_a_plane_of_their_own(recording, other):
    streams = {"movie": _movie(recording), "rois": _rois(other)}
    with pytest.warns(
        UserWarning, match=r"28 x 20 \(x, y\).*'movie' of 34 x 24 \(x, y\)"
    ) as caught:
        nwbfile = _create(streams)
    assert len(caught) == 1
    assert _planes(nwbfile) == (
        {"TwoPhotonSeries": "ImagingPlane"},
        {"PlaneSegmentation": "ImagingPlaneRois"},
    )
    converter = OphysConverter(streams)
    metadata = converter.get_metadata()
    metadata.deep_update(START)
    (entry,) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    entry["imaging_plane"] = "ImagingPlane"
    with pytest.raises(MetadataError, match=r"'ImagingPlane'.*34 x 24.*28 x 20.*leave the key out"):
        converter.create_nwbfile(metadata)


def test_rois_of_another_field_with_as_many_samples_take_the_times_with_a_note(
    recording, other, tmp_path
):
    movie = BrukerImagingInterface(_lost_frames(tmp_path / "TS", recording))
    rois = Suite2pSegmentationInterface(write_suite2p(tmp_path, other))
    with (
        pytest.warns(UserWarning, match="28 x 20"),
        pytest.warns(UserWarning, match="times of the movie 'movie', which has another field"),
    ):
        nwbfile = _create({"movie": movie, "rois": rois})
    np.testing.assert_allclose(_times(_trace(nwbfile)), LOST - LOST[0], atol=1e-6)


def test_the_plane_keeps_facts_of_both(recording, tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", {1: recording.movie, 2: recording.movie})
    folder = _suite2p(tmp_path, recording, nchannels=2, functional_chan=2)

    class Described(Suite2pSegmentationInterface):
        def describe(self) -> Any:
            plane = {"name": "ImagingPlane", "indicator": "GCaMP6s"}
            return {**super().describe(), "Ophys": {"ImagingPlane": [plane]}}

    channels = {
        str(number): ScanImageImagingInterface(path, channel_name=f"Channel {number}")
        for number in (1, 2)
    }
    nwbfile = _create({**channels, "rois": Described(folder)})
    plane = nwbfile.imaging_planes["ImagingPlaneChannel2"]
    assert plane.indicator == "GCaMP6s"
    assert plane.optical_channel[0].name == "Channel2"
    assert nwbfile.imaging_planes["ImagingPlaneChannel1"].indicator == "unknown"
    assert set(_planes(nwbfile)[1].values()) == {"ImagingPlaneChannel2"}


def test_a_registered_movie_shares_the_plane_of_the_recording(recording, tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", recording.movie)
    folder = write_suite2p(tmp_path, recording, movie=True)
    given = {"registered_movie": True}
    nwbfile = open_recording([path, folder], options=given).converter.create_nwbfile(START)
    assert list(nwbfile.imaging_planes) == ["ImagingPlane"]


def test_a_registered_movie_takes_the_place_of_the_recording(tmp_path):
    planes = [simulate_recording(num_samples=30, seed=seed) for seed in (0, 1)]
    folder = write_suite2p(tmp_path, planes, second_channel=True, movie=True)
    given = {
        "registered_movie": True,
        "motion_correction": False,
        "parent_container": "acquisition",
    }
    nwbfile = open_recording([folder], options=given).converter.create_nwbfile(
        START, conversion_options=open_recording([folder], options=given).conversion_options
    )
    series, tables = _planes(nwbfile)
    assert len(set(series.values())) == 4
    for name, plane in tables.items():
        assert plane == series[name.replace("PlaneSegmentation", "TwoPhotonSeries")]


def test_a_memory_map_of_caiman_lies_in_the_plane_of_the_recording(recording, tmp_path):
    from nwb_ophys import MemmapImagingInterface

    name = "b_rig__d1_24_d2_34_d3_1_order_F_frames_40.mmap"
    pixels = recording.movie.astype(np.float32)
    np.ascontiguousarray(pixels.reshape(40, -1, order="C")).tofile(tmp_path / name)
    first = write_tiff(tmp_path / "a.tif", recording.movie)
    second = write_tiff(tmp_path / "b.tif", recording.movie)
    nwbfile = _create(
        {
            "a": TiffImagingInterface(first, sampling_frequency=30.0),
            "b": TiffImagingInterface(second, sampling_frequency=30.0),
            "map": MemmapImagingInterface(tmp_path / name, sampling_frequency=30.0),
        }
    )
    series = {each.name: each.imaging_plane.name for each in nwbfile.acquisition.values()}
    assert series["TwoPhotonSeriesMap"] == series["TwoPhotonSeriesB"] != series["TwoPhotonSeriesA"]


# --- files that hold the movie --------------------------------------------------------------------


def _append(path: Path, rois: Any, **options: Any) -> Any:
    rois.run_conversion(path, metadata=START, append=True, progress=False, **options)
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        trace = _trace(nwbfile)
        return _planes(nwbfile), trace.rate, None if trace.rate else trace.timestamps[:]


def _written(path: Path, streams: Any, **options: Any) -> Path:
    converter = OphysConverter(streams)
    return converter.run_conversion(path, metadata=START, progress=False, **options)


def test_appended_rois_take_plane_and_times_of_the_movie(recording, tmp_path):
    movie = BrukerImagingInterface(_lost_frames(tmp_path / "TS", recording))
    path = _written(tmp_path / "a.nwb", {"movie": movie})
    rois = Suite2pSegmentationInterface(write_suite2p(tmp_path, recording))
    planes, _, times = _append(path, rois)
    assert set(planes[1].values()) == set(planes[0].values())
    np.testing.assert_allclose(times, LOST - LOST[0], atol=1e-6)


def test_appended_rois_are_compared(recording, other, tmp_path):
    (scan,) = write_scanimage(tmp_path / "a.tif", {1: recording.movie, 2: recording.movie})
    one = ScanImageImagingInterface(scan, channel_name="Channel 2")
    path = _written(tmp_path / "a.nwb", {"movie": one})
    rois = Suite2pSegmentationInterface(_suite2p(tmp_path, recording, fs=10.0))
    with pytest.warns(UserWarning, match="10 Hz.*'TwoPhotonSeriesChannel2'.*30 Hz"):
        planes, rate, _ = _append(path, rois)
    assert (set(planes[1].values()), rate) == ({"ImagingPlaneChannel2"}, 10.0)
    path = _written(tmp_path / "b.nwb", {"movie": one})
    planes, rate, _ = _append(path, rois, align="movie")
    assert rate == 30.0
    path = _written(tmp_path / "c.nwb", {"movie": _movie(recording)})
    with pytest.warns(UserWarning, match=r"28 x 20 \(x, y\).*'TwoPhotonSeries' of 34 x 24"):
        planes, _, _ = _append(path, _rois(other))
    assert planes == (
        {"TwoPhotonSeries": "ImagingPlane"},
        {"PlaneSegmentation": "ImagingPlane2"},
    )


def test_the_plane_of_appended_rois_is_asked_for(recording, tmp_path):
    streams = open_recording(_two_channels(tmp_path, recording)).converter.interfaces
    movies = {name: each for name, each in streams.items() if name != "suite2p"}
    path = _written(tmp_path / "a.nwb", movies)
    with pytest.warns(UserWarning, match="'ImagingPlaneChannel1' and 'ImagingPlaneChannel2' in"):
        planes, _, _ = _append(path, streams["suite2p"])
    assert planes[1] == {"PlaneSegmentation": "ImagingPlane"}


def test_appended_rois_that_agree_say_nothing(recording, tmp_path):
    path = _written(tmp_path / "a.nwb", {"movie": _movie(recording)}, conversion_options={})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        planes, rate, _ = _append(path, OphysConverter({"rois": _rois(recording)}))
    assert (planes[1], rate) == ({"PlaneSegmentation": "ImagingPlane"}, 30.0)
    path = _written(
        tmp_path / "b.nwb", {"movie": _movie(recording)}, conversion_options={"movie": {"stub": 9}}
    )
    _append(path, _rois(recording), stub=9)


def test_an_interface_alone_compares_with_an_nwbfile_object(recording):
    nwbfile = _movie(recording).create_nwbfile(START)
    with pytest.warns(UserWarning, match="25 samples.*40 samples"):
        _rois(recording, samples=25).add_to_nwbfile(nwbfile)


def test_a_movie_is_compared_with_the_rois_of_the_file(recording, other):
    late = _movie(recording)
    late.set_aligned_timestamps(LOST)
    nwbfile = _rois(recording).create_nwbfile(START)
    with pytest.warns(UserWarning, match=r"'PlaneSegmentation'.*differ by up to 0.2 s"):
        late.add_to_nwbfile(nwbfile)
    nwbfile = _rois(recording, samples=25).create_nwbfile(START)
    with pytest.warns(UserWarning, match=r"'PlaneSegmentation' have 25 samples.*40 samples"):
        _movie(recording).add_to_nwbfile(nwbfile)
    nwbfile = _rois(other).create_nwbfile(START)
    with pytest.warns(UserWarning, match=r"28 x 20 \(x, y\) pixels.*34 x 24.*'ImagingPlane'"):
        _movie(recording).add_to_nwbfile(nwbfile)
    _movie(recording).add_to_nwbfile(_rois(recording).create_nwbfile(START))
