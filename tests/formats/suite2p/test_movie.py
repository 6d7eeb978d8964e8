"""Tests of Suite2p's registered movie against the bytes of data.bin, and of its shifts."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.suite2p.folder import (
    MOVIE_FILES,
    channel_names,
    find_suite2p_folder,
    part_of,
    placed,
    plane_names,
)
from nwb_ophys.formats.suite2p.movie import Suite2pMovieExtractor
from nwb_ophys.testing import simulate_recording, write_suite2p

RECORDING = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
OFFSETS = np.random.default_rng(0).integers(-3, 4, (20, 2))


@pytest.fixture
def folder(tmp_path):
    return write_suite2p(
        tmp_path, RECORDING, movie=True, second_channel=True, rois=False, offsets=OFFSETS
    )


def _open(folder, channel="chan1", plane="plane0"):
    return Suite2pMovieExtractor(folder, channel, plane)


def _edit_ops(folder, **changes):
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    ops.update(changes)
    np.save(path, {k: v for k, v in ops.items() if v is not None}, allow_pickle=True)


@pytest.mark.parametrize(("channel", "file"), [("chan1", "data.bin"), ("chan2", "data_chan2.bin")])
def test_frames_are_the_bytes_of_the_file(folder, channel, file):
    raw = np.fromfile(folder / "plane0" / file, "<i2").reshape(20, 24, 34)
    movie = _open(folder, channel)
    assert movie.get_num_samples() == 20
    assert movie.get_image_shape() == (24, 34)
    assert movie.get_dtype() == np.dtype("int16")
    assert movie.get_sampling_frequency() == 30.0
    for start, stop in ((None, None), (0, 20), (3, 11), (19, 20), (7, 7), (0, 0), (20, 20)):
        found = movie.get_series(start, stop)
        np.testing.assert_array_equal(found, raw[start:stop])
        assert found.shape[1:] == (24, 34)


def test_the_first_channel_is_the_movie_that_was_simulated(folder):
    np.testing.assert_array_equal(_open(folder).get_series(), RECORDING.movie)


def test_frames_are_read_when_they_are_asked_for(folder):
    movie = _open(folder)
    assert isinstance(movie._movie, np.memmap)
    path = folder / "plane0" / "data.bin"
    with path.open("r+b") as file:  # after it was opened
        file.seek(5 * 24 * 34 * 2)
        file.write(np.full(24 * 34, 77, "<i2").tobytes())
    assert (movie.get_series(5, 6) == 77).all()


def test_several_threads_may_read(folder):
    movie = _open(folder)
    assert movie.reads_in_parallel
    found = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: movie.get_series(i, i + 1)}))
        for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.concatenate([found[i] for i in range(20)]), RECORDING.movie)


def test_a_recording_without_frames(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING, movie=True, rois=False)
    (folder / "plane0" / "data.bin").write_bytes(b"")
    _edit_ops(folder, nframes=0)
    assert _open(folder).get_series().shape == (0, 24, 34)


# --- damaged and missing files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "frames"),
    [
        (0, "0 frames"),
        (1, "0 frames"),
        (-1, "19 of 20 frames"),
        (-1632, "19 of 20 frames"),
        (1632, "21.00 frames"),
    ],
)
def test_a_movie_of_another_size_is_an_error_with_both_numbers(folder, size, frames):
    path = folder / "plane0" / "data.bin"
    content = path.read_bytes() + bytes(max(size, 0))
    path.write_bytes(content[:size] if size < 2 else content)
    with pytest.raises(CorruptSourceError) as caught:
        _open(folder)
    message = str(caught.value)
    assert str(path) in message
    assert frames in message
    assert "20 frames of 24 x 34 pixels" in message


def test_a_movie_that_suite2p_has_deleted(folder):
    (folder / "plane0" / "data_chan2.bin").unlink()
    with pytest.raises(SourceError, match=r"data_chan2.bin' is absent"):
        _open(folder, "chan2")
    (folder / "plane0" / "data.bin").unlink()
    with pytest.raises(SourceError, match=r"ops.npy and data.bin"):
        find_suite2p_folder(folder, MOVIE_FILES)


@pytest.mark.parametrize("change", [{"Ly": None}, {"fs": None}, {"Ly": "many"}])
def test_settings_without_the_size_of_the_movie(folder, change):
    _edit_ops(folder, **change)
    with pytest.raises(CorruptSourceError, match=r"ops.npy"):
        _open(folder)


# --- planes and channels ------------------------------------------------------------------------


def test_planes_with_a_movie_are_told_from_those_with_rois(tmp_path):
    folder = write_suite2p(tmp_path, [RECORDING] * 3, movie=True)
    (folder / "plane1" / "data.bin").unlink()
    (folder / "plane2" / "stat.npy").unlink()
    assert plane_names(folder, MOVIE_FILES) == ["plane0", "plane2"]
    assert plane_names(folder) == ["plane0", "plane1"]
    assert find_suite2p_folder(folder / "plane2", MOVIE_FILES) == (folder, "plane2")
    assert channel_names(folder, MOVIE_FILES) == ["chan1"]


def test_movie_and_rois_of_a_plane_have_one_name(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING, movie=True)
    assert part_of(folder, "chan1", "plane0") == ""
    (folder / "plane0" / "data_chan2.bin").write_bytes(b"")
    assert part_of(folder, "chan1", "plane0") == "chan1"


# --- shifts -------------------------------------------------------------------------------------


def test_shifts_are_the_opposite_of_where_frames_were_found(folder):
    shifts = _open(folder).get_shifts()
    np.testing.assert_array_equal(shifts, -OFFSETS[:, ::-1])  # (x, y), not (row, column)


def test_shifts_move_frames_of_a_real_recording_onto_the_reference(data_folder):
    """The shifts are those that align, not their opposite: found by matching each frame anew."""
    movie = tifffile.imread(data_folder / "tiff" / "neurofinder_crop_101x256x256.tif")
    path = data_folder / "suite2p" / "v1.1.0" / "suite2p" / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    reference = ops["refImg"].astype(float)
    inner = slice(16, 240)

    def displacement(frame):
        """How many rows the frame lies below the reference, whose part it is from (128, 128) on."""
        smooth = gaussian_filter(frame.astype(float), 1)[inner, inner].ravel()
        places = range(-2, 3)
        match = [
            np.corrcoef(smooth, reference[144 - d : 368 - d, 144:368].ravel())[0, 1] for d in places
        ]
        return places[int(np.argmax(match))]

    found = np.array([displacement(frame) for frame in movie])
    moved = Suite2pMovieExtractor.__new__(Suite2pMovieExtractor)
    moved.options, moved.folder_path, moved.plane_name = ops, path.parents[1], "plane0"
    moved._movie = movie
    along_y = moved.get_shifts()[:, 1]
    # A frame that lies below is moved up.
    assert (found[along_y == -1] == 1).all()
    assert np.corrcoef(found, along_y)[0, 1] < -0.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"yoff": None}, SourceError, "has no yoff: the movie was not registered"),
        ({"xoff": 0, "yoff": 0}, SourceError, "has no xoff and no yoff"),
        ({"xoff": [], "yoff": np.zeros(0)}, SourceError, "has no xoff and no yoff"),
        ({"xoff": np.zeros(19)}, CorruptSourceError, "19 shifts in x and 20 in y for 20 frames"),
    ],
)
def test_shifts_that_are_not_whole(folder, change, error, message):
    _edit_ops(folder, **change)
    with pytest.raises(error, match=message):
        _open(folder).get_shifts()


def test_the_raw_files_and_their_first_frames(folder):
    assert _open(folder).get_original_files() == (["recording.tif"], [0])
    files = ["C:\\data\\a.tif", "/data/b.tif", "c.tif"]
    _edit_ops(folder, filelist=None, file_list=files, frames_per_file=np.array([7, 0, 13]))
    assert _open(folder).get_original_files() == (["a.tif", "b.tif", "c.tif"], [0, 7, 7])


@pytest.mark.parametrize(
    "change", [{"filelist": None}, {"filelist": []}, {"frames_per_file": [19]}]
)
def test_raw_files_that_are_not_stated(folder, change):
    _edit_ops(folder, **change)
    with pytest.raises(SourceError, match="option 'original'"):
        _open(folder).get_original_files()


# --- images of a part of the field --------------------------------------------------------------


def test_an_image_lies_where_it_was_cut_out():
    ops = {"Ly": 6, "Lx": 9, "yrange": [1, 4], "xrange": [2, 9]}
    image = np.arange(21.0).reshape(3, 7)
    whole = placed("maximum", image, ops)
    np.testing.assert_array_equal(whole[1:4, 2:9], image)
    assert whole.sum() == image.sum()
    assert placed("mean", whole, ops) is whole
    with pytest.raises(ValueError, match=r"the mean image has the shape \(3, 6\)"):
        placed("mean", image[:, 1:], ops)


@pytest.mark.parametrize("nframes", [None, 3, 99])
@pytest.mark.parametrize("rois", [True, False])
def test_frames_that_the_settings_do_not_state_truly(tmp_path, nframes, rois):
    recording = simulate_recording(num_samples=12)
    folder = write_suite2p(tmp_path, recording, movie=True, rois=rois)
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    del ops["nframes"]
    np.save(path, ops if nframes is None else {**ops, "nframes": nframes})
    if nframes is not None and not rois:
        with pytest.raises(CorruptSourceError, match=f"ops.npy states {nframes} frames"):
            Suite2pMovieExtractor(folder, "chan1", "plane0")
        return
    movie = Suite2pMovieExtractor(folder, "chan1", "plane0")
    frames = np.fromfile(folder / "plane0" / "data.bin", "<i2").reshape(12, *recording.field_shape)
    np.testing.assert_array_equal(movie.get_series(), frames)
    assert len(movie.get_shifts()) == 12


def test_without_a_number_of_frames_the_file_must_hold_whole_ones(tmp_path):
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12), movie=True, rois=False)
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    del ops["nframes"]
    np.save(path, ops)
    file = folder / "plane0" / "data.bin"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(CorruptSourceError, match="no whole number of frames"):
        Suite2pMovieExtractor(folder, "chan1", "plane0")
