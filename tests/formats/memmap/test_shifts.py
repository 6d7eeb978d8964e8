"""Tests of CaImAn's motion-corrected movie with its shifts, from its files to NWB."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from edited_hdf5 import edit_hdf5
from pynwb import NWBHDF5IO, validate

import nwb_ophys
from nwb_ophys import MemmapImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import OptionError, SourceError
from nwb_ophys.testing import simulate_recording, write_caiman, write_memmap

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
RECORDING = simulate_recording(num_samples=12, num_cells=3, sampling_frequency=7.5)
RIGID = np.random.default_rng(3).integers(-4, 5, (12, 2)).astype(float)
PATCHES = np.random.default_rng(4).normal(size=(2, 12, 6))
ORIGINAL = RECORDING.movie.astype(np.float32)


def moved(frame, shift):
    """Return a frame as CaImAn moves it: (rows, columns)."""
    matrix = np.float32([[1, 0, shift[1]], [0, 1, shift[0]]])
    return cv2.warpAffine(frame, matrix, frame.shape[::-1], borderMode=cv2.BORDER_REFLECT)


CORRECTED = np.stack([moved(f, s) for f, s in zip(ORIGINAL, RIGID, strict=True)])


def write(folder, order="F", stem="recording_memmap_", shifts=RIGID, **options):
    """Write a memory map and CaImAn's results that name it."""
    path = write_memmap(folder, CORRECTED, order=order, stem=stem)
    options = {"memory_map": f"/data/{path.name}", "shifts": shifts} | options
    write_caiman(folder / "results.hdf5", RECORDING, **options)
    return path


def stack_of(nwbfile, name="CorrectedImageStack"):
    return nwbfile.processing["ophys"]["MotionCorrection"].corrected_image_stacks[name]


def command(*arguments):
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    with pytest.raises(SystemExit) as end:
        main(["convert", *map(str, arguments), "--set", start])
    return end.value.code


@pytest.mark.parametrize("order", ["F", "C"])
def test_the_movie_and_its_shifts_by_the_command_line(tmp_path, order):
    """The folder states the rate, the shifts, and the file that was registered."""
    write(tmp_path / "in", order)
    assert command(tmp_path / "in", "-o", tmp_path / "a.nwb") == 0
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert validate(io=io) == []
        nwbfile = io.read()
        stack = stack_of(nwbfile)
        shifts, movie = stack.xy_translation.data[:], stack.corrected.data[:].swapaxes(1, 2)
        np.testing.assert_array_equal(movie, CORRECTED)
        np.testing.assert_array_equal(shifts, RIGID[:, ::-1])
        # Far from the edges, moving the original by x and y gives the corrected frame.
        for before, after, (x, y) in zip(ORIGINAL, movie, shifts.astype(int), strict=True):
            expected = np.roll(before, (y, x), axis=(0, 1))[4:-4, 4:-4]
            np.testing.assert_allclose(after[4:-4, 4:-4], expected, rtol=1e-6)
        assert stack.corrected.rate == stack.xy_translation.rate == 7.5
        assert stack.xy_translation.unit == "pixels"
        assert stack.xy_translation.description == (
            "Number of pixels by which CaImAn moved each frame: x towards larger columns, y "
            "towards larger rows."
        )
        assert stack.original is nwbfile.acquisition["Original"]
        assert stack.original.external_file[:].tolist() == ["recording.tif"]
        assert stack.original.starting_frame[:].tolist() == [0]
        assert stack.corrected.description == "Movie after motion correction by CaImAn."
        assert (
            "RoiResponseSeries" in nwbfile.processing["ophys"]["Fluorescence"].roi_response_series
        )


def test_the_map_and_the_results_as_two_paths(tmp_path):
    path = write(tmp_path / "movie")
    results = tmp_path / "analysis" / "results.hdf5"
    results.parent.mkdir()
    (tmp_path / "movie" / "results.hdf5").rename(results)
    assert command(path, results, "-o", tmp_path / "a.nwb") == 0
    assert command(results, path, "-o", tmp_path / "b.nwb") == 0
    for name in ("a.nwb", "b.nwb"):
        with NWBHDF5IO(tmp_path / name, "r") as io:
            found = stack_of(io.read()).xy_translation.data[:]
            np.testing.assert_array_equal(found, RIGID[:, ::-1])


def test_the_rate_that_is_given_wins(tmp_path):
    path = write(tmp_path)
    assert nwb_ophys.open(path).extractor.get_sampling_frequency() == 7.5
    assert nwb_ophys.open(path, sampling_frequency=5).extractor.get_sampling_frequency() == 5


def test_without_a_rate_the_message_asks_for_it(tmp_path):
    path = write_memmap(tmp_path, CORRECTED)
    with pytest.raises(SourceError, match="needs sampling_frequency"):
        nwb_ophys.open(path)


@pytest.mark.parametrize("form", ["axes first", "axes last", "own names"])
def test_shifts_of_patches(tmp_path, form):
    """Their mean is the shift of the frame; those of the patches lie beside the stack."""
    path = write(tmp_path, shifts=PATCHES)
    if form == "axes last":  # as the online algorithm stores them
        edit_hdf5(tmp_path / "results.hdf5", estimates__shifts=np.moveaxis(PATCHES, 0, -1))
    elif form == "own names":
        edit_hdf5(
            tmp_path / "results.hdf5",
            estimates__shifts=np.zeros(0),
            motion_correction__x_shifts_els=PATCHES[0],
            motion_correction__y_shifts_els=PATCHES[1],
        )
    interface = MemmapImagingInterface(path, sampling_frequency=7.5)
    interface.run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert validate(io=io) == []
        ophys = io.read().processing["ophys"]
        stack = ophys["MotionCorrection"]["CorrectedImageStack"]
        expected = np.stack([PATCHES[1], PATCHES[0]], axis=-1)
        np.testing.assert_allclose(stack.xy_translation.data[:], expected.mean(axis=1))
        assert stack.xy_translation.description.startswith("Mean of the numbers of pixels by which")
        beside = ophys["CorrectedImageStackPatchTranslation"]
        np.testing.assert_array_equal(beside.data[:], expected)
        assert beside.rate == 7.5


@pytest.mark.parametrize("kind", ["_rig_", "_els_", "_memmap_"])
def test_a_file_of_numpy_with_both_kinds_of_shifts(tmp_path, kind):
    """The name of the map tells which shifts were applied; patches are CaImAn's last step."""
    path = write_memmap(tmp_path, CORRECTED, stem=f"recording{kind}")
    np.savez(
        tmp_path / "mc.npz",
        fname=["/data/recording.tif"],
        shifts_rig=RIGID,
        x_shifts_els=PATCHES[0],
        y_shifts_els=PATCHES[1],
        total_template_rig=CORRECTED[0],
        mc=np.array({"an": "object"}, dtype=object),
        mmap_file=np.array(None, dtype=object),
    )
    found = MemmapImagingInterface(path, sampling_frequency=7.5).registration
    if kind == "_rig_":
        np.testing.assert_array_equal(found.shifts, RIGID[:, ::-1])
        assert found.patches is None
    else:
        np.testing.assert_array_equal(found.patches, np.moveaxis(PATCHES[::-1], 0, -1))
    assert (found.original.files, found.original.starting_frames) == (["recording.tif"], [0])


def test_several_files_whose_maps_state_their_frames(tmp_path):
    path = write_memmap(tmp_path, CORRECTED)
    maps = [f"{n}_rig__d1_48_d2_64_d3_1_order_F_frames_{c}_.mmap" for n, c in (("a", 7), ("b", 5))]
    both = {"fname": ["/x/a.tif", "/x/b.tif"], "shifts_rig": RIGID}
    np.savez(tmp_path / "mc.npz", fname_tot_rig=[*maps], mmap_file=[path.name], **both)
    stack = stack_of(MemmapImagingInterface(path, sampling_frequency=7.5).create_nwbfile(START))
    assert list(stack.original.external_file) == ["a.tif", "b.tif"]
    assert list(stack.original.starting_frame) == [0, 7]


@pytest.mark.parametrize("fnames", [[b"a.tif", b"b.tif"], b"NoneType", [b"x.mmap"]])
def test_an_unknown_original_must_be_named(tmp_path, fnames):
    path = write(tmp_path)
    edit_hdf5(tmp_path / "results.hdf5", params__data__fnames=fnames)
    interface = MemmapImagingInterface(path, sampling_frequency=7.5)
    with pytest.warns(UserWarning, match="as the option 'original'. The movie is written as a"):
        nwbfile = interface.create_nwbfile(START)
    assert list(nwbfile.acquisition) == ["TwoPhotonSeries"]
    with pytest.raises(SourceError, match="as the option 'original', or write the movie as a"):
        interface.create_nwbfile(START, motion_correction=True)
    nwbfile = interface.create_nwbfile(START, motion_correction=False)
    interface.add_to_nwbfile(nwbfile, original="TwoPhotonSeries")
    assert stack_of(nwbfile).original is nwbfile.acquisition["TwoPhotonSeries"]


def test_a_part_of_the_movie_has_a_part_of_the_shifts(tmp_path):
    interface = MemmapImagingInterface(write(tmp_path), sampling_frequency=7.5)
    stack = stack_of(interface.create_nwbfile(START, stub=5))
    np.testing.assert_array_equal(stack.xy_translation.data[:], RIGID[:5, ::-1])


def test_volumes(tmp_path):
    volume = simulate_recording(num_samples=6, num_planes=3, num_cells=2)
    shifts = np.arange(18.0).reshape(6, 3)
    path = write_memmap(tmp_path, volume.movie, stem="v_memmap_")
    write_caiman(tmp_path / "v.hdf5", volume, shifts=shifts, memory_map=path)
    stack = stack_of(MemmapImagingInterface(path, sampling_frequency=7.5).create_nwbfile(START))
    np.testing.assert_array_equal(stack.xy_translation.data[:], shifts[:, [1, 0, 2]])
    assert "z towards later planes" in stack.xy_translation.description


# --- which shifts belong to which map -----------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"estimates__shifts": np.zeros(0)},
        {"estimates__shifts": np.zeros((11, 2))},
        {"estimates__shifts": np.zeros((12, 4))},
        {"estimates__shifts": b"NoneType"},
        {"estimates__shifts": h5py.Empty("f8")},
        {"mmap_file": b"/data/another_d1_48_d2_64_d3_1_order_F_frames_12_.mmap"},
        {"params__data__dims": [64, 48]},
    ],
    ids=str,
)
def test_shifts_that_are_not_of_the_map(tmp_path, values):
    path = write(tmp_path)
    edit_hdf5(tmp_path / "results.hdf5", **values)
    interface = MemmapImagingInterface(path, sampling_frequency=7.5)
    assert interface.registration is None
    assert list(interface.create_nwbfile(START).acquisition) == ["TwoPhotonSeries"]
    for options in ({"motion_correction": True}, {"original": "x"}):
        with pytest.raises(SourceError, match="has no shifts of its frames beside it"):
            interface.create_nwbfile(START, **options)


def test_shifts_found_in_the_map_itself_were_not_applied_to_it(tmp_path):
    path = write(tmp_path)
    edit_hdf5(tmp_path / "results.hdf5", params__data__fnames=[path.name.encode()], mmap_file=None)
    assert MemmapImagingInterface(path, sampling_frequency=7.5).registration is None


def test_two_files_with_different_shifts(tmp_path):
    path = write(tmp_path)
    np.savez(tmp_path / "mc.npz", shifts_rig=RIGID)
    assert MemmapImagingInterface(path, sampling_frequency=7.5).registration.original
    np.savez(tmp_path / "mc.npz", shifts_rig=RIGID + 1)
    with pytest.raises(SourceError, match="have different shifts of the 12 frames"):
        MemmapImagingInterface(path, sampling_frequency=7.5).get_metadata()
    given = {"sampling_frequency": 7.5, "shifts_path": tmp_path / "mc.npz"}
    found = MemmapImagingInterface(path, **given).registration
    np.testing.assert_array_equal(found.shifts, RIGID[:, ::-1] + 1)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_a_file_with_shifts_that_is_given(tmp_path, suffix):
    path, given = write_memmap(tmp_path / "map", CORRECTED), tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(given, RIGID)
    elif suffix == ".npz":
        np.savez(given, shifts_rig=RIGID)
    else:
        with h5py.File(given, "w") as file:
            file["shifts_rig"] = RIGID
    source = {"sampling_frequency": 7.5, "shifts_path": given}
    found = MemmapImagingInterface(path, **source).registration
    np.testing.assert_array_equal(found.shifts, RIGID[:, ::-1])
    other = write_memmap(tmp_path / "map", CORRECTED[:5])
    with pytest.raises(SourceError, match=r"has no shifts of the 5 frames .* the shape"):
        MemmapImagingInterface(other, **source).get_metadata()


def test_files_that_cannot_be_read_as_shifts(tmp_path):
    path = write_memmap(tmp_path, CORRECTED)
    for name in ("a.npz", "b.npy", "c.hdf5", "d.txt"):
        given = tmp_path / "other" / name
        given.parent.mkdir(exist_ok=True)
        given.write_bytes(b"PK damaged")
        interface = MemmapImagingInterface(path, sampling_frequency=7.5, shifts_path=given)
        with pytest.raises(SourceError, match=f"'{given}'"):
            interface.get_metadata()
        # Beside the map such a file says nothing of it.
        given.rename(tmp_path / f"shifts{name}")
        assert MemmapImagingInterface(path, sampling_frequency=7.5).registration is None


def test_shifts_of_what_is_no_memory_map_of_caiman(tmp_path):
    path = tmp_path / "movie.raw"
    CORRECTED.tofile(path)
    np.save(tmp_path / "shifts.npy", RIGID)
    source = {"sampling_frequency": 7.5, "shape": [12, 48, 64], "dtype": "float32"}
    assert MemmapImagingInterface(path, **source).registration is None
    interface = MemmapImagingInterface(path, shifts_path=tmp_path / "shifts.npy", **source)
    with pytest.raises(SourceError, match="does not have the name of a CaImAn memory map"):
        interface.get_metadata()


def test_options_that_contradict_each_other(tmp_path):
    interface = MemmapImagingInterface(write(tmp_path), sampling_frequency=7.5)
    for options, message in (
        ({"motion_correction": True, "parent_container": "acquisition"}, "goes to MotionCorr"),
        ({"motion_correction": False, "original": "x"}, "it needs motion_correction=True"),
    ):
        with pytest.raises(OptionError, match=message):
            interface.create_nwbfile(START, **options)
    nwbfile = interface.create_nwbfile(START, parent_container="acquisition")
    assert list(nwbfile.acquisition) == ["TwoPhotonSeries"]


def test_a_number_after_the_last_underscore_is_that_of_the_frames(tmp_path):
    path = write_memmap(tmp_path, CORRECTED)
    renamed = Path(str(path).replace("frames_12_", "frames_40_12"))
    path.rename(renamed)
    movie = MemmapImagingInterface(renamed, sampling_frequency=7.5).extractor
    np.testing.assert_array_equal(movie.get_series(), CORRECTED)
