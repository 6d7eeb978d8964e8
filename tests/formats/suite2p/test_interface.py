"""Tests of complete Suite2p folders: planes, channels, images, movies and their shifts."""

from __future__ import annotations

from contextlib import contextmanager

import h5py
import numpy as np
import pynwb
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import (
    NumpyImagingInterface,
    Suite2pConverter,
    Suite2pImagingInterface,
    Suite2pSegmentationInterface,
)
from nwb_ophys.cli import main
from nwb_ophys.errors import MetadataError, OptionError, SourceArgumentError, SourceError
from nwb_ophys.testing import simulate_recording, write_suite2p

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
PLANES = [
    simulate_recording(num_samples=30, num_rows=24, num_columns=34, num_cells=2 + k, seed=k)
    for k in range(2)
]
OFFSETS = np.random.default_rng(0).integers(-3, 4, (30, 2))


@pytest.fixture
def folder(tmp_path):
    return write_suite2p(
        tmp_path,
        PLANES,
        movie=True,
        second_channel=True,
        offsets=OFFSETS,
        iscell=[[True, False], [False, True, True]],
    )


@contextmanager
def reading(path):
    if path.is_dir():
        from hdmf_zarr import NWBZarrIO

        io = NWBZarrIO(str(path), "r")
    else:
        io = NWBHDF5IO(path, "r")
    with io:
        assert pynwb.validate(io=io) == []
        yield io.read()


def _raw(folder, plane, channel):
    name = "data.bin" if channel == 1 else "data_chan2.bin"
    return np.fromfile(folder / f"plane{plane}" / name, "<i2").reshape(30, 24, 34)


# --- the movie by itself ------------------------------------------------------------------------


def test_a_registered_movie_is_no_acquisition(tmp_path, folder, backend):
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    movie = Suite2pImagingInterface(folder, channel_name="chan2", plane_name="plane1")
    movie.run_conversion(target, metadata=START)
    with reading(target) as nwbfile:
        assert len(nwbfile.acquisition) == 0
        series = nwbfile.processing["ophys"]["TwoPhotonSeriesChan2Plane1"]
        np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), _raw(folder, 1, 2))
        assert (series.rate, series.starting_time) == (30.0, 0.0)
        assert series.description.startswith("Movie of plane1, channel chan2")
        assert series.imaging_plane.name == "ImagingPlaneChan2Plane1"


@pytest.mark.parametrize("nothing", [None, [], np.zeros(0)])
def test_a_movie_that_was_not_registered(folder, nothing):
    """With the setting do_registration = 0 Suite2p keeps the frames as they were recorded."""
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    shifts = {} if nothing is None else {"xoff": nothing, "yoff": nothing}
    kept = {key: value for key, value in ops.items() if key not in ("xoff", "yoff")}
    np.save(path, {**kept, **shifts, "do_registration": 0})
    movie = Suite2pImagingInterface(folder, channel_name="chan1", plane_name="plane0")
    (series,) = movie.get_metadata()["Ophys"]["TwoPhotonSeries"]
    assert series["description"].endswith(", without registration by Suite2p.")


def test_motion_correction_holds_movie_shifts_and_the_names_of_the_raw_files(
    tmp_path, folder, backend
):
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    movie = Suite2pImagingInterface(folder, plane_name="plane0")
    movie.run_conversion(target, metadata=START, motion_correction=True)
    with reading(target) as nwbfile:
        (stack,) = nwbfile.processing["ophys"]["MotionCorrection"].corrected_image_stacks.values()
        assert stack.name == "CorrectedImageStackChan1Plane0"
        np.testing.assert_array_equal(stack.corrected.data[:].swapaxes(1, 2), _raw(folder, 0, 1))
        assert stack.corrected.imaging_plane.name == "ImagingPlaneChan1Plane0"
        np.testing.assert_array_equal(stack.xy_translation.data[:], -OFFSETS[:, ::-1])
        assert stack.xy_translation.unit == "pixels"
        assert stack.corrected.rate == stack.xy_translation.rate == 30.0
        assert stack.original is nwbfile.acquisition["OriginalChan1Plane0"]
        assert list(stack.original.external_file[:]) == ["recording.tif"]
        assert list(stack.original.starting_frame) == [0]
        assert (stack.original.rate, stack.original.num_samples) == (30.0, 30)


def test_the_shifts_move_the_original_onto_the_corrected(tmp_path):
    """In NWB's words: the delta necessary to align each frame."""
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=2)
    offsets = OFFSETS[:12]
    folder = write_suite2p(tmp_path, recording, movie=True, offsets=offsets)
    # Suite2p found each frame of the raw movie off by so many rows and columns.
    raw = np.array([np.roll(f, o, (0, 1)) for f, o in zip(recording.movie, offsets, strict=True)])
    target = tmp_path / "a.nwb"
    NumpyImagingInterface(raw, 30.0).run_conversion(target, metadata=START)
    registered = Suite2pImagingInterface(folder)
    metadata = registered.get_metadata()
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Registered"
    options = {"motion_correction": True, "original": "TwoPhotonSeries"}
    registered.run_conversion(target, metadata=metadata, append=True, **options)
    with reading(target) as nwbfile:
        stack = nwbfile.processing["ophys"]["MotionCorrection"]["Registered"]
        assert stack.original is nwbfile.acquisition["TwoPhotonSeries"]
        assert list(nwbfile.acquisition) == ["TwoPhotonSeries"]
        moved = [
            np.roll(frame, (int(x), int(y)), (0, 1))  # (columns, rows), as NWB has frames
            for frame, (x, y) in zip(
                stack.original.data[:], stack.xy_translation.data[:], strict=True
            )
        ]
        np.testing.assert_array_equal(moved, stack.corrected.data[:])


def test_a_stub_has_as_many_shifts_as_frames(tmp_path, folder):
    movie = Suite2pImagingInterface(folder, plane_name="plane0")
    movie.run_conversion(tmp_path / "a.nwb", metadata=START, motion_correction=True, stub=7)
    with reading(tmp_path / "a.nwb") as nwbfile:
        (stack,) = nwbfile.processing["ophys"]["MotionCorrection"].corrected_image_stacks.values()
        assert stack.corrected.data.shape == (7, 34, 24)
        np.testing.assert_array_equal(stack.xy_translation.data[:], -OFFSETS[:7, ::-1])


def test_wrong_originals(tmp_path, folder):
    movie = Suite2pImagingInterface(folder, plane_name="plane0")
    with pytest.raises(OptionError, match="original is given, but it needs motion_correction=True"):
        movie.create_nwbfile(START, original="TwoPhotonSeries")
    with pytest.raises(MetadataError, match="no movie of that name; its movies: none"):
        movie.create_nwbfile(START, motion_correction=True, original="TwoPhotonSeries")
    nwbfile = NumpyImagingInterface(np.zeros((4, 24, 34), "int16"), 30.0).create_nwbfile(START)
    with pytest.warns(UserWarning, match=r"'TwoPhotonSeries' has 4 frames, .* registered 30"):
        movie.add_to_nwbfile(nwbfile, motion_correction=True, original="TwoPhotonSeries")
    with pytest.raises(MetadataError, match="is in 'MotionCorrection' already"):
        movie.add_to_nwbfile(nwbfile, motion_correction=True, original="TwoPhotonSeries")


def test_planes_and_channels_are_chosen(folder):
    with pytest.raises(SourceArgumentError, match="several planes; choose one with plane_name"):
        Suite2pImagingInterface(folder)
    with pytest.raises(SourceArgumentError, match="has no plane 'plane7'; it has plane0, plane1"):
        Suite2pImagingInterface(folder, plane_name="plane7")
    for path in folder.glob("plane*/data_chan2.bin"):
        path.unlink()
    with pytest.raises(SourceArgumentError, match="no channel 'chan2'; it has chan1"):
        Suite2pImagingInterface(folder / "plane1", channel_name="chan2")


# --- planes that differ ---------------------------------------------------------------------------


def test_each_plane_has_a_field_and_a_length_of_its_own(tmp_path):
    """The size of one plane must not be taken for that of another."""
    sizes = ((24, 34, 20), (30, 26, 19))
    planes = [
        simulate_recording(num_samples=t, num_rows=r, num_columns=c, num_cells=2, seed=c)
        for r, c, t in sizes
    ]
    folder = write_suite2p(tmp_path, planes, movie=True, second_channel=True)
    converter = Suite2pConverter(folder, registered_movie=True)
    converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    with reading(tmp_path / "a.nwb") as nwbfile:
        ophys = nwbfile.processing["ophys"]
        for index, (rows, columns, samples) in enumerate(sizes):
            for channel, file in ((1, "data.bin"), (2, "data_chan2.bin")):
                suffix = f"Chan{channel}Plane{index}"
                raw = np.fromfile(folder / f"plane{index}" / file, "<i2")
                movie = ophys["MotionCorrection"][f"CorrectedImageStack{suffix}"].corrected
                expected = raw.reshape(samples, rows, columns)
                np.testing.assert_array_equal(movie.data[:].swapaxes(1, 2), expected)
                table = ophys["ImageSegmentation"][f"PlaneSegmentation{suffix}"]
                masks = table["image_mask"][:].swapaxes(1, 2)
                np.testing.assert_allclose(masks, planes[index].image_masks(), rtol=1e-6)
                mean = ophys["SegmentationImages"][f"mean{suffix}"].data
                assert mean.shape == (columns, rows)
                series = ophys["Fluorescence"][f"RoiResponseSeries{suffix}"]
                assert series.data.shape == (samples, 2)


@pytest.mark.parametrize(("functional", "recorded"), [(1, (1, 2)), (2, (2, 1))])
def test_which_channel_of_the_recording_the_functional_one_is(tmp_path, functional, recorded):
    """Fault: what Suite2p calls the first channel was not said to be the second recorded one."""
    folder = write_suite2p(tmp_path, PLANES[0], movie=True, second_channel=True)
    _edit_ops(folder, functional_chan=functional)
    for channel, number in zip(("chan1", "chan2"), recorded, strict=True):
        rois = Suite2pSegmentationInterface(folder, channel)
        movie = Suite2pImagingInterface(folder, channel)
        (entry,) = rois.describe()["Ophys"]["ImageSegmentation"]["plane_segmentations"]
        (series,) = movie.describe()["Ophys"]["TwoPhotonSeries"]
        for described in (entry, series):
            words = f"{channel} (channel {number} of the recording)"
            assert words in described["description"]


def test_images_without_a_stated_place(tmp_path):
    folder = write_suite2p(tmp_path, PLANES[0])
    _edit_ops(folder, yrange=None, xrange=None)
    images = Suite2pSegmentationInterface(folder).extractor.get_images_dict()
    assert images["correlation"].shape == (24, 34)  # as large as the field, it lies at its corner
    _edit_ops(folder, Vcorr=np.zeros((20, 30)))
    with pytest.raises(SourceError, match="no yrange and xrange, which say where it lies"):
        Suite2pSegmentationInterface(folder)


@pytest.mark.parametrize("fs", [0.0, -1.0, float("nan"), "30", np.array([30.0])])
def test_a_rate_that_is_none(tmp_path, fs):
    """Fault: a traceback, or a message that did not name the file."""
    folder = write_suite2p(tmp_path, PLANES[0], movie=True)
    _edit_ops(folder, fs=fs)
    for interface in (Suite2pSegmentationInterface, Suite2pImagingInterface):
        with pytest.raises(SourceError, match=r"ops.npy' states fs = .* must be a number above 0"):
            interface(folder)


def test_planes_that_are_not_complete_are_told_of(tmp_path):
    """Fault: a plane without stat.npy was left out without a word."""
    folder = write_suite2p(tmp_path, PLANES)
    (folder / "plane1" / "stat.npy").unlink()
    with pytest.warns(UserWarning, match=r"also has plane1, but without ops.npy and stat.npy"):
        found = nwb_ophys.open(folder)
    assert isinstance(found, Suite2pSegmentationInterface)
    assert isinstance(nwb_ophys.open(folder, plane_name="plane0"), Suite2pSegmentationInterface)


def _edit_ops(folder, **changes):
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item() | changes
    np.save(path, {k: v for k, v in ops.items() if v is not None}, allow_pickle=True)


# --- the whole ----------------------------------------------------------------------------------


def test_the_converter_writes_rois_of_all_planes_and_channels(tmp_path, folder, backend):
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    Suite2pConverter(folder).run_conversion(target, metadata=START)
    with reading(target) as nwbfile:
        assert len(nwbfile.acquisition) == 0
        ophys = nwbfile.processing["ophys"]
        assert "MotionCorrection" not in ophys.data_interfaces
        tables = ophys["ImageSegmentation"].plane_segmentations
        names = {f"PlaneSegmentationChan{c}Plane{p}" for c in (1, 2) for p in (0, 1)}
        assert set(tables) == names
        for name, table in tables.items():
            suffix = name.removeprefix("PlaneSegmentation")
            plane = folder / suffix[-6:].lower()
            flags = np.load(plane / "iscell.npy")
            np.testing.assert_array_equal(table["Accepted"][:], flags[:, 0])
            np.testing.assert_array_equal(table["iscell_probability"][:], flags[:, 1])
            file = "F.npy" if "Chan1" in name else "F_chan2.npy"
            series = ophys["Fluorescence"][f"RoiResponseSeries{suffix}"]
            np.testing.assert_array_equal(series.data[:], np.load(plane / file).T)


def test_the_converter_writes_the_movies_on_request(tmp_path, folder, backend):
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    converter = Suite2pConverter(folder, registered_movie=True)
    converter.run_conversion(target, metadata=START)
    with reading(target) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        stacks = ophys["MotionCorrection"].corrected_image_stacks
        assert len(stacks) == len(ophys["ImageSegmentation"].plane_segmentations) == 4
        for plane in (0, 1):
            for channel in (1, 2):
                suffix = f"Chan{channel}Plane{plane}"
                stack = stacks[f"CorrectedImageStack{suffix}"]
                found = stack.corrected.data[:].swapaxes(1, 2)
                np.testing.assert_array_equal(found, _raw(folder, plane, channel))
                table = ophys["ImageSegmentation"][f"PlaneSegmentation{suffix}"]
                # Movie and ROIs are of the same plane.
                assert table.imaging_plane is stack.corrected.imaging_plane
        assert len(nwbfile.imaging_planes) == 4


def test_an_option_of_a_movie_stands_above_the_converters(folder):
    converter = Suite2pConverter(folder, registered_movie=True, plane_name="plane1")
    assert set(converter.interfaces) == {
        f"suite2p{kind} chan{channel}" for kind in ("", "-movie") for channel in (1, 2)
    }
    options = {"suite2p-movie chan1": {"motion_correction": False}}
    ophys = converter.create_nwbfile(START, options).processing["ophys"]
    assert "TwoPhotonSeriesChan1Plane1" in ophys.data_interfaces
    assert list(ophys["MotionCorrection"].corrected_image_stacks) == [
        "CorrectedImageStackChan2Plane1"
    ]


def test_the_converter_of_what_is_not_there(tmp_path, folder):
    for path in folder.glob("plane*/data*.bin"):
        path.unlink()
    with pytest.raises(SourceError, match="no recording that Suite2pConverter reads"):
        Suite2pConverter(folder, registered_movie=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match=r"it looks for: a folder with plane0"):
        Suite2pConverter(empty)


def test_open_finds_movies_and_rois(folder):
    found = nwb_ophys.open(folder, registered_movie=True)
    assert len(found.interfaces) == 8
    assert len(nwb_ophys.open(folder, registered_movie=False).interfaces) == 4
    rois = nwb_ophys.open(folder, format="suite2p", plane_name="plane0", channel_name="chan1")
    assert isinstance(rois, Suite2pSegmentationInterface)
    assert {each.format for each in nwb_ophys.detect(folder)} == {"suite2p", "suite2p-movie"}


@pytest.mark.parametrize(
    ("file", "format_name"), [("F_chan2.npy", "suite2p"), ("data_chan2.bin", "suite2p-movie")]
)
def test_a_second_channel_of_some_planes(folder, file, format_name):
    (folder / "plane1" / file).unlink()
    with pytest.warns(UserWarning, match="second channel, but not for plane1"):
        found = nwb_ophys.open(folder, format=format_name)
    assert sorted(found.interfaces) == [
        f"{format_name} {part}" for part in ("chan1 plane0", "chan1 plane1", "chan2 plane0")
    ]


def test_the_command_line_writes_rois_and_movies(tmp_path, folder):
    target = tmp_path / "a.nwb"
    options = ("plane_name=plane1", "channel_name=chan1", "registered_movie=true")
    assert _convert(folder, target, *options) == 0
    with reading(target) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        (stack,) = ophys["MotionCorrection"].corrected_image_stacks.values()
        np.testing.assert_array_equal(stack.corrected.data[:].swapaxes(1, 2), _raw(folder, 1, 1))
        assert len(ophys["ImageSegmentation"].plane_segmentations) == 1


def _convert(path, target, *options):
    arguments = ["convert", str(path), "-o", str(target), "--overwrite"]
    arguments += [word for option in options for word in ("--option", option)]
    start = START["NWBFile"]["session_start_time"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--set", f"NWBFile.session_start_time={start}"])
    return end.value.code


def _movies(target):
    """Return the names of the movies in a file: of stacks, then of series."""
    with reading(target) as nwbfile:
        ophys = nwbfile.processing["ophys"].data_interfaces
        stacks = (
            ophys["MotionCorrection"].corrected_image_stacks if "MotionCorrection" in ophys else ()
        )
        return sorted(stacks), sorted(n for n in ophys if n.startswith("TwoPhotonSeries"))


def test_the_registered_movie_is_not_written_unasked(tmp_path, capsys):
    """Fault: `convert suite2p` wrote data.bin, as large as the recording, since it was there."""
    folder, target = write_suite2p(tmp_path, PLANES[0], movie=True), tmp_path / "a.nwb"
    assert _convert(folder, target) == 0
    assert _movies(target) == ([], [])
    told = capsys.readouterr().err
    assert "also has a registered movie (suite2p-movie), which is left out" in told
    assert "--option registered_movie=true" in told
    with pytest.warns(UserWarning, match="Give registered_movie=True"):
        assert isinstance(nwb_ophys.open(folder), Suite2pSegmentationInterface)
    assert _convert(folder, target, "registered_movie=false") == 0
    assert (_movies(target), capsys.readouterr().err) == (([], []), "")


def test_the_registered_movie_is_written_with_its_shifts_when_asked_for(tmp_path):
    folder, target = write_suite2p(tmp_path, PLANES[0], movie=True), tmp_path / "a.nwb"
    assert _convert(folder, target, "registered_movie=true") == 0
    assert _movies(target) == (["CorrectedImageStack"], [])
    assert _convert(folder, target, "registered_movie=true", "motion_correction=false") == 0
    assert _movies(target) == ([], ["TwoPhotonSeries"])
    found = nwb_ophys.open(folder, registered_movie=True)
    found.run_conversion(target, metadata=START, overwrite=True)
    assert _movies(target) == (["CorrectedImageStack"], [])


def test_the_registered_movie_by_itself_needs_no_asking(tmp_path):
    folder = write_suite2p(tmp_path, PLANES[0], movie=True, rois=False)
    assert isinstance(nwb_ophys.open(folder), Suite2pImagingInterface)
    assert _convert(folder, tmp_path / "a.nwb") == 0
    assert _movies(tmp_path / "a.nwb") == ([], ["TwoPhotonSeries"])
    with pytest.raises(SourceError, match="holds only what registered_movie=false leaves out"):
        nwb_ophys.open(folder, registered_movie=False)


def test_wrong_wishes_for_a_registered_movie(tmp_path, capsys):
    folder = write_suite2p(tmp_path, PLANES[0])
    with pytest.raises(
        SourceError,
        match="registered_movie requests the format suite2p-movie, which was not found",
    ):
        nwb_ophys.open(folder, registered_movie=True)
    assert _convert(folder, tmp_path / "a.nwb", "registered_movie=maybe") == 2
    assert "must be true or false" in capsys.readouterr().err


def test_a_recording_does_not_hide_a_registered_movie_nor_is_hidden_by_one(tmp_path):
    """Fault: of the raw and the registered movie only the one that lies higher was found."""
    movie = PLANES[0].movie
    for name, raw in (("above", "."), ("below", "raw")):
        write_suite2p(tmp_path / name, PLANES[0], movie=True)
        (tmp_path / name / raw).mkdir(exist_ok=True)
        np.save(tmp_path / name / raw / "raw.npy", movie)
        hints = {"sampling_frequency": 30.0}
        both = nwb_ophys.open(tmp_path / name, registered_movie=True, **hints)
        assert set(both.interfaces) == {"numpy", "suite2p-movie", "suite2p"}
        with pytest.warns(UserWarning, match="is left out"):
            raw_and_rois = nwb_ophys.open(tmp_path / name, **hints)
        assert set(raw_and_rois.interfaces) == {"numpy", "suite2p"}
        found = Suite2pConverter(tmp_path / name, registered_movie=True)
        assert set(found.interfaces) == {"suite2p-movie", "suite2p"}


def test_registered_frames_as_tiff_files_are_no_recording(tmp_path):
    """Fault: those that Suite2p writes with reg_tif were taken for a recording without a rate."""
    folder = write_suite2p(tmp_path, PLANES[0])
    tiffs = folder / "plane0" / "reg_tif"
    tiffs.mkdir()
    tifffile.imwrite(tiffs / "file000_chan0.tif", PLANES[0].movie)
    assert [each.format for each in nwb_ophys.detect(folder)] == ["suite2p"]


def test_a_stack_is_no_acquisition(tmp_path):
    """Fault: parent_container was ignored together with motion_correction."""
    movie = Suite2pImagingInterface(write_suite2p(tmp_path, PLANES[0], movie=True))
    with pytest.raises(OptionError, match="goes to MotionCorrection"):
        movie.create_nwbfile(START, motion_correction=True, parent_container="acquisition")


# --- images -------------------------------------------------------------------------------------

CROP = ((3, 22), (1, 30))


def test_all_images_lie_at_the_true_offset_of_the_crop(tmp_path, backend):
    recording = PLANES[0]
    folder = write_suite2p(tmp_path, recording, second_channel=True, crop=_fitting(recording))
    ops = np.load(folder / "plane0" / "ops.npy", allow_pickle=True).item()
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    Suite2pConverter(folder).run_conversion(target, metadata=START)
    (top, bottom), (left, right) = ops["yrange"], ops["xrange"]
    assert (top, left) != (24 - bottom, 34 - right)  # so that a flipped offset shows
    with reading(target) as nwbfile:
        images = nwbfile.processing["ophys"]["SegmentationImages"].images
        keys = {
            "meanChan1": "meanImg",
            "enhancedChan1": "meanImgE",
            "maximumChan1": "max_proj",
            "correlationChan1": "Vcorr",
            "meanChan2": "meanImg_chan2",
        }
        assert set(images) == set(keys)
        for name, key in keys.items():
            found = images[name].data[:].T
            expected = ops[key]
            if key in ("max_proj", "Vcorr"):
                assert expected.shape == (bottom - top, right - left)
                expected = np.zeros((24, 34), expected.dtype)
                expected[top:bottom, left:right] = ops[key]
            np.testing.assert_array_equal(found, expected)
            assert images[name].description


def _fitting(recording):
    """Return a crop that no cell reaches out of, and that is not in the middle."""
    pixels = np.concatenate(recording.pixel_masks)
    (top, left), (bottom, right) = pixels[:, :2].min(axis=0), pixels[:, :2].max(axis=0)
    return ((int(top), int(bottom) + 1), (int(left), int(right) + 1))


def test_images_of_real_recordings(data_folder):
    folder = data_folder / "suite2p" / "v1.1.0" / "suite2p"
    ops = np.load(folder / "plane0" / "ops.npy", allow_pickle=True).item()
    images = Suite2pSegmentationInterface(folder).extractor.get_images_dict()
    assert list(images) == ["mean", "enhanced", "maximum", "correlation"]
    for name, key in (("maximum", "max_proj"), ("correlation", "Vcorr")):
        assert images[name].shape == (512, 512)
        np.testing.assert_array_equal(images[name][1:511, 1:511], ops[key])
    np.testing.assert_array_equal(images["enhanced"], ops["meanImgE"])
    folder = data_folder / "suite2p" / "two_planes_two_channels"
    second = Suite2pSegmentationInterface(folder, channel_name="chan2", plane_name="plane1")
    ops = np.load(folder / "plane1" / "ops.npy", allow_pickle=True).item()
    images = second.extractor.get_images_dict()
    # Those of the first channel are not the second's.
    assert list(images) == ["mean", "corrected"]
    np.testing.assert_array_equal(images["mean"], ops["meanImg_chan2"])
    np.testing.assert_array_equal(images["corrected"], ops["meanImg_chan2_corrected"])


# --- masks: x is the column ---------------------------------------------------------------------


def test_pixel_masks_are_those_of_suite2ps_own_nwb_file_transposed(tmp_path, data_folder):
    """Suite2p's own file calls the row x; ours calls the column so, as the series has it."""
    source = data_folder / "suite2p" / "v1.1.0"
    rois = Suite2pSegmentationInterface(source / "suite2p")
    rois.run_conversion(tmp_path / "a.nwb", metadata=START, mask_type="pixel")
    stat = np.load(source / "suite2p" / "plane0" / "stat.npy", allow_pickle=True)
    place = "processing/ophys/ImageSegmentation/PlaneSegmentation"
    found = []
    for path in (tmp_path / "a.nwb", source / "written_by_suite2p.nwb"):
        with h5py.File(path, "r") as file:
            found.append((file[f"{place}/pixel_mask"][:], file[f"{place}/pixel_mask_index"][:]))
    (ours, ends), (theirs, their_ends) = found
    np.testing.assert_array_equal(ends, their_ends)
    np.testing.assert_array_equal(ours["weight"], theirs["weight"])
    np.testing.assert_array_equal(ours["x"], theirs["y"])
    np.testing.assert_array_equal(ours["y"], theirs["x"])
    np.testing.assert_array_equal(ours["x"], np.concatenate([roi["xpix"] for roi in stat]))
    np.testing.assert_array_equal(ours["y"], np.concatenate([roi["ypix"] for roi in stat]))


def test_pixel_masks_lie_on_the_cells_of_the_registered_movie(tmp_path):
    """The pixels of each ROI follow its trace; transposed or mirrored they do not."""
    recording = simulate_recording(num_samples=200, num_rows=48, num_columns=48, num_cells=6)
    folder = write_suite2p(tmp_path, recording, movie=True)
    converter = Suite2pConverter(folder, registered_movie=True)
    options = {"suite2p": {"mask_type": "pixel"}}
    converter.run_conversion(tmp_path / "a.nwb", metadata=START, conversion_options=options)
    with reading(tmp_path / "a.nwb") as nwbfile:
        ophys = nwbfile.processing["ophys"]
        (stack,) = ophys["MotionCorrection"].corrected_image_stacks.values()
        movie = stack.corrected.data[:].astype(float)  # (time, x, y)
        movie -= movie.mean(axis=(1, 2), keepdims=True)
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        masks = [np.array([list(pixel) for pixel in mask]) for mask in table["pixel_mask"][:]]
        traces = ophys["Fluorescence"]["RoiResponseSeries"].data[:]
        places = [mask[:, :2].astype(int).T for mask in masks]

    def agreement(where):
        pairs = zip(places, traces.T, strict=True)
        return np.mean(
            [
                np.corrcoef(movie[(slice(None), *where(*place))].mean(axis=1), t)[0, 1]
                for place, t in pairs
            ]
        )

    right = agreement(lambda x, y: (x, y))
    wrong = [
        agreement(lambda x, y: (y, x)),
        agreement(lambda x, y: (47 - x, y)),
        agreement(lambda x, y: (x, 47 - y)),
    ]
    assert right > 0.8
    assert max(wrong) < right - 0.3
