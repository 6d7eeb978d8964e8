"""Tests of folders of plain TIFF files: what is one movie, what is left out, what is refused."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError, SourceError, UnknownFormatError
from nwb_ophys.formats import TiffImagingInterface
from nwb_ophys.formats.tiff.grouping import group_file, group_folder
from nwb_ophys.formats.tiff.reader import TiffStackExtractor
from nwb_ophys.opening import open_recording
from nwb_ophys.paths import PathProbe
from nwb_ophys.testing import simulate_recording, write_caiman, write_tiff

RATE = {"sampling_frequency": 30.0}


def _frames(number: int, seed: int = 0, shape: tuple[int, int] = (8, 9)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, (number, *shape)).astype("u2")


def _write(folder: Path, files: dict[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, movie in files.items():
        tifffile.imwrite(folder / name, movie, photometric="minisblack")
    return folder


def _movies(*paths: Path, **options: Any) -> dict[str, np.ndarray]:
    opened = open_recording(paths, options={**RATE, **options})
    return {name: i.extractor.get_series() for name, i in opened.converter.interfaces.items()}


def _same(found: dict[str, np.ndarray], *expected: np.ndarray) -> None:
    assert len(found) == len(expected)
    for movie, array in zip(found.values(), expected, strict=True):
        np.testing.assert_array_equal(movie, array)


@pytest.mark.parametrize("names", [("m_ch1.tif", "m_ch2.tif"), ("m_green.tif", "m_red.tif")])
def test_channels_are_streams(tmp_path: Path, names: tuple[str, str]) -> None:
    """Fault: the second channel was written after the first, in one movie."""
    green, red = _frames(4), _frames(4, 1)
    folder = _write(tmp_path / "in", dict(zip(names, (green, red), strict=True)))
    found = _movies(folder)
    _same(found, green, red)
    assert list(found) == [f"tiff {names[0][2:-4]}", f"tiff {names[1][2:-4]}"]
    for order in itertools.permutations([folder / name for name in names]):
        by_path = _movies(*order)
        assert sorted(m.tobytes() for m in by_path.values()) == sorted(
            m.tobytes() for m in found.values()
        )


def test_channels_and_planes_of_single_images(tmp_path: Path) -> None:
    movies = {(c, z): _frames(3, 10 * c + z) for c in (1, 2) for z in (1, 2)}
    files = {
        f"t{t:03d}_c{c}_z{z}.tif": movie[t] for (c, z), movie in movies.items() for t in range(3)
    }
    found = _movies(_write(tmp_path / "in", files))
    assert list(found) == ["tiff c1 z1", "tiff c1 z2", "tiff c2 z1", "tiff c2 z2"]
    _same(found, *movies.values())


def test_projections_and_odd_images_are_left_out(tmp_path: Path) -> None:
    movie = _frames(6)
    files = {f"img_{k}.tif": frame for k, frame in enumerate(movie)}
    folder = _write(tmp_path / "in", {**files, "MAX_img.tif": movie.max(0)})
    with pytest.warns(UserWarning, match="'MAX_img.tif' in .* is left out: its name is that of a"):
        _same(_movies(folder), movie)
    _write(folder, {"img_6.tif": _frames(1, shape=(4, 5))[0], "snapshot.tif": movie[0]})
    with pytest.warns(UserWarning, match="is left out") as caught:
        _same(_movies(folder), movie)
    words = " ".join(str(each.message) for each in caught)
    assert "'img_6.tif'" in words
    assert "differ in size or type" in words
    assert "'snapshot.tif'" in words
    assert "a single image beside the movie" in words


def test_other_recordings_are_refused_with_a_way_to_choose(tmp_path: Path) -> None:
    """Fault: two mice were one movie."""
    first, second = _frames(4), _frames(4, 1)
    folder = _write(tmp_path / "in", {"mouseA.tif": first, "mouseB.tif": second})
    with pytest.raises(SourceError, match=r"'mouseA.tif', 'mouseB.tif'.*files=PATTERN"):
        _movies(folder)
    with pytest.raises(SourceError, match=r"'mouseA\.tif', 'mouseB\.tif'"):
        TiffImagingInterface(folder, 30.0)
    _same(_movies(folder / "mouseA.tif", folder / "mouseB.tif"), first, second)
    with pytest.warns(UserWarning, match=r"'mouseB.tif' .* does not match files=mouseA\*"):
        _same(_movies(folder, files="mouseA*"), first)
    with pytest.raises(SourceError, match=r"No TIFF file in .* matches files=x\*"):
        _movies(folder, files="x*")


def test_files_that_a_pattern_chooses_are_joined_by_number(tmp_path: Path) -> None:
    parts = [_frames(2, k) for k in range(3)]
    names = ["a_1_1.tif", "a_1_2.tif", "a_2_1.tif"]
    folder = _write(tmp_path / "in", dict(zip(names, parts, strict=True)))
    with pytest.raises(SourceError, match=r"'a_1_1.tif' to 'a_1_2.tif' \(2 files\), 'a_2_1.tif'"):
        _movies(folder)
    _same(_movies(folder, files="a_*.tif"), np.concatenate(parts))


def test_one_file_stands_for_the_series_that_it_belongs_to(tmp_path: Path) -> None:
    movie = _frames(12)
    names = ["rec_8.tif", "rec_9.tif", "rec_10.tif", "rec_11.tif"]
    folder = _write(tmp_path / "in", {n: movie[3 * k : 3 * k + 3] for k, n in enumerate(names)})
    paths = [folder / name for name in names]
    for given in ([folder], paths[2:3], paths, paths[::-1], [*paths, *paths], [folder, paths[1]]):
        _same(_movies(*given), movie)
    _same(_movies(*paths[1:3]), movie[3:9])


@pytest.mark.parametrize("content", [b"", b"II*\0", bytes(500)])
@pytest.mark.parametrize("damaged", [1, 3])
def test_a_damaged_file_of_the_series_of_one_file(
    tmp_path: Path, content: bytes, damaged: int
) -> None:
    """Fault: given by another file, the series was joined without the damaged one."""
    folder = _write(tmp_path / "in", {f"r_{k}.tif": _frames(2, k) for k in range(4)})
    (folder / f"r_{damaged}.tif").write_bytes(content)
    for path in (folder, folder / "r_0.tif"):
        with pytest.raises(CorruptSourceError, match=f"r_{damaged}.tif"):
            _movies(path)


def test_missing_numbers_are_named(tmp_path: Path) -> None:
    folder = _write(tmp_path / "in", {f"r_{k}.tif": _frames(2, k) for k in (1, 2, 3, 5)})
    (group,) = group_folder(PathProbe(folder)).groups
    assert "numbers between 3 and 5 are missing" in group.notes[0]
    with pytest.warns(UserWarning, match="numbers between 3 and 5 are missing"):
        _movies(folder)


def test_single_images_of_planes_are_no_movie(tmp_path: Path) -> None:
    files = {f"s_z{k:02d}.tif": _frames(1, k)[0] for k in range(5)}
    with pytest.raises(SourceError, match="single images of 5 channels, planes or positions"):
        _movies(_write(tmp_path / "in", files))


def test_an_analysis_names_the_movie(tmp_path: Path) -> None:
    """CaImAn states the files that it has read."""
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)
    folder = _write(tmp_path / "in", {"raw.tif": recording.movie, "other.tif": _frames(5)})
    path = write_caiman(folder / "c.hdf5", recording)
    _name_movie(path, "/somewhere/else/raw.tif")
    with pytest.warns(UserWarning, match="'other.tif' .* not among the files that the analysis"):
        found = nwb_ophys.open(folder, **RATE)
    np.testing.assert_array_equal(found.interfaces["tiff"].extractor.get_series(), recording.movie)


def _name_movie(path: Path, name: str) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        group = file.require_group("params/data")
        if "fnames" in group:
            del group["fnames"]
        group["fnames"] = np.array([name.encode()])


def test_big_tiff_by_its_suffix(tmp_path: Path) -> None:
    movie = _frames(5)
    tifffile.imwrite(tmp_path / "m.btf", movie, bigtiff=True, photometric="minisblack")
    _same(_movies(tmp_path / "m.btf"), movie)
    _same(_movies(tmp_path), movie)


def test_images_of_confocal_programs_are_no_plain_movies(tmp_path: Path) -> None:
    movie = _frames(4)
    tags = [(34412, 7, 8, b"\x00" * 8, True)]
    tifffile.imwrite(tmp_path / "a.tif", movie, photometric="minisblack", extratags=tags)
    with pytest.raises(UnknownFormatError, match=r"is an LSM file of Zeiss.*OME-TIFF"):
        _movies(tmp_path / "a.tif")
    folder = _write(tmp_path / "x.oif.files", {"s_C001T001.tif": movie, "s_C001T002.tif": movie})
    with pytest.raises(UnknownFormatError):
        _movies(folder)


def test_a_file_of_another_type_beside_the_given_one_is_named(tmp_path):
    """Fault: where one file was given, others of its series were dropped without a word."""
    for index in range(4):
        dtype = "uint8" if index == 1 else "uint16"
        write_tiff(tmp_path / f"f_{index}.tif", np.zeros((2, 4, 5), dtype))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened = nwb_ophys.open(tmp_path / "f_0.tif", sampling_frequency=10.0)
    notes = [str(each.message) for each in caught]
    assert opened.extractor.get_num_samples() == 6
    assert any("the numbers between 0 and 2 are missing" in each for each in notes)
    assert any("'f_1.tif'" in each and "differ in size or type" in each for each in notes)


@pytest.mark.parametrize(
    ("numbers", "is_gap"), [((0, 2), True), ((1, 3, 5), True), ((10, 20), False), ((0, 1), False)]
)
def test_a_gap_between_few_files(tmp_path, numbers, is_gap):
    """Fault: of three files without the second, no note said that one was missing."""
    for number in numbers:
        write_tiff(tmp_path / f"f_{number:03d}.tif", np.full((2, 4, 5), number, "uint16"))
    (group,) = group_folder(PathProbe(tmp_path)).groups
    assert any("are missing" in note for note in group.notes) is is_gap


@pytest.mark.parametrize(
    ("later", "is_noted"),
    [("m_X2", True), ("m@0001", True), ("m_2", True), ("m_ch2", False), ("m_240517", False)],
)
def test_files_that_may_continue_one_without_a_number(tmp_path, later, is_noted):
    """Fault: the first file of a recording was written, and its later files left out in silence."""
    _write(tmp_path, {"m.tif": _frames(2), f"{later}.tif": _frames(2, 1)})
    for name in ("m", later):
        (group,) = group_file(PathProbe(tmp_path / f"{name}.tif")).groups
        said = [note for note in group.notes if "may continue 'm.tif'" in note]
        assert (len(said) == 1 and "files='m*.tif'" in said[0]) is is_noted


def test_a_file_with_fewer_frames_than_the_others_is_named(tmp_path):
    """Fault: frames after lost ones had times that were too early, without a word."""
    _write(tmp_path, {f"m_{i}.tif": _frames(n) for i, n in enumerate((3, 2, 3, 3, 1))})
    paths = sorted(tmp_path.iterdir())
    with pytest.warns(UserWarning, match=r"have 3 pages.*fewer: 'm_1\.tif' \(2\)\. If frames"):
        TiffStackExtractor(paths, 30.0).close()
    TiffStackExtractor(paths[2:], 30.0).close()  # the last one may have any number
