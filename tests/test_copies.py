"""Copies that systems and browsers make beside files are not read as if they were more of them."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys import TiffImagingInterface
from nwb_ophys.copies import copied_folders, copies_in, is_named_as_copy
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.testing import write_bruker, write_scanimage, write_scanimage_legacy

MOVIE = np.arange(4 * 6 * 8, dtype="u2").reshape(4, 6, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scanimage_legacy(tmp_path / "cell001.tif", MOVIE)
    shutil.copy(tmp_path / "cell001.tif", tmp_path / "cell001 - Copy.tif")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "a b - Copy.tif",
        "a b - Copy (2).tif",
        "a b (Anna's conflicted copy 2024-05-17).tif",
        "a b (PC-3's conflicted copy 2024-05-17 (1)).tif",
        "a b (In Konflikt stehende Kopie von Anna 2024-05-17).tif",
        "a b (conflicted copy 2024-05-17 143021).tif",
        "a b_conflict-20240517-143021.tif",
        "a b.sync-conflict-20240517-143021-ABCDEF7.tif",
        "a b - Kopie.tif",
        "a b copy 2.tif",
        "a b_copy.tif",
        "a b (1).tif",
        "a b (copy).tif",
        "a b (3rd copy).tif",
        "Copy of a b.tif",
        "Copy (2) of a b.tif",
        "Kopie von a b.tif",
    ],
)
def test_names_of_copies(tmp_path, name):
    assert is_named_as_copy(name)
    names = {name, "a b.tif", "a b 2.tif"}
    for each in names:
        (tmp_path / each).write_bytes(b"pixels")
    assert copies_in(str(tmp_path), names) == {name: "a b.tif"}
    (tmp_path / name).write_bytes(b"others")
    assert copies_in(str(tmp_path), names) == {}


@pytest.mark.parametrize("name", ["copy.tif", "a (1", "copyright.tif", "a 1.tif", "(1).tif"])
def test_other_names(name):
    assert not is_named_as_copy(name)


def test_large_files_are_compared_in_places(tmp_path, monkeypatch):
    monkeypatch.setattr("nwb_ophys.copies._WHOLE_BYTES", 10_000)
    monkeypatch.setattr("nwb_ophys.copies._BLOCK_BYTES", 16)
    pixels = bytearray(np.random.default_rng(0).bytes(12_345))
    names = {"a.raw", "a (1).raw"}
    for name in names:
        (tmp_path / name).write_bytes(pixels)
    assert copies_in(str(tmp_path), names) == {"a (1).raw": "a.raw"}
    pixels[-1] ^= 1
    (tmp_path / "a.raw").write_bytes(pixels)
    assert copies_in(str(tmp_path), names) == {}


def test_a_copy_is_not_joined_to_its_file(folder):
    """Files of one trigger are joined, and a copy has the trigger of its file."""
    with pytest.warns(UserWarning, match="'cell001 - Copy.tif' in .* is a copy of 'cell001.tif'"):
        opened = nwb_ophys.open(folder)
    np.testing.assert_array_equal(opened.extractor.get_series(), MOVIE)


def test_a_copy_that_is_given_is_read_in_place_of_its_file(folder):
    with pytest.warns(UserWarning, match="'cell001.tif' in .* is a copy of 'cell001 - Copy.tif'"):
        opened = nwb_ophys.open(folder / "cell001 - Copy.tif")
    assert [path.name for path in opened.extractor.file_paths] == ["cell001 - Copy.tif"]


def _bruker_folder(path: Path) -> Path:
    write_bruker(path, MOVIE)
    return path


@pytest.mark.parametrize("name", ["run1 - Copy", "run1 copy 2", "Copy of run1", "run1 (1)"])
def test_copies_of_folders_are_left_out(tmp_path, name):
    run = _bruker_folder(tmp_path / "day.1" / "run1")
    shutil.copytree(run, run.parent / name)
    (run.parent / name / ".DS_Store").write_bytes(b"\0")
    (run / "notes.txt").write_text("The mouse moved.")
    with pytest.warns(UserWarning, match=f"'.*{re.escape(name)}' \\(of 'run1'\\)"):
        opened = nwb_ophys.open(tmp_path)
    np.testing.assert_array_equal(opened.extractor.get_series(), MOVIE)


def test_copies_of_folders_without_recordings_are_not_named(tmp_path, recwarn):
    _bruker_folder(tmp_path / "run1")
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.txt").write_text("A text.")
    shutil.copytree(tmp_path / "papers", tmp_path / "papers - Copy")
    nwb_ophys.open(tmp_path)
    assert not [each for each in recwarn if "copies" in str(each.message)]


@pytest.mark.parametrize("change", ["pixels", "more files", "empty"])
def test_folders_that_hold_something_else_are_no_copies(tmp_path, change):
    run = _bruker_folder(tmp_path / "run1")
    copy = tmp_path / "run1 - Copy"
    copy.mkdir() if change == "empty" else shutil.copytree(run, copy)
    if change == "pixels":
        image = sorted(copy.glob("*.tif"))[1]
        content = bytearray(image.read_bytes())
        content[-1] ^= 1
        image.write_bytes(content)
    elif change == "more files":
        (copy / "notes.txt").write_text("The mouse moved.")
    assert copied_folders(str(tmp_path), {"run1", "run1 - Copy"}) == {}


def test_a_copy_of_a_folder_that_is_given_is_read(tmp_path, recwarn):
    run = _bruker_folder(tmp_path / "run1")
    shutil.copytree(run, tmp_path / "run1 - Copy")
    opened = nwb_ophys.open(tmp_path / "run1 - Copy")
    np.testing.assert_array_equal(opened.extractor.get_series(), MOVIE)
    assert not [each for each in recwarn if "copies" in str(each.message)]


def _notes_of_contents(path: Path, **options: float) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path, **options)
    return [str(each.message) for each in caught if "the contents of" in str(each.message)]


def test_equal_recordings_of_other_names_are_named(tmp_path):
    """Fault: the same recording under two names was written twice without a word."""
    for name in ("run1", "third"):
        _bruker_folder(tmp_path / "bruker" / name / "raw")
        (stack,) = write_scanimage(tmp_path / "stacks", MOVIE + len(name), stem=name)
    shutil.copytree(tmp_path / "bruker" / "run1", tmp_path / "bruker" / "other")
    shutil.copy(stack.parent / "run1_00001.tif", stack.parent / "other_00001.tif")
    (note,) = _notes_of_contents(tmp_path / "bruker")
    assert f"'{tmp_path / 'bruker' / 'other'}'" in note
    assert "third" not in note
    (note,) = _notes_of_contents(stack.parent)
    assert note.startswith(f"'run1_00001.tif' in '{stack.parent}' has the size and the contents of")
    (stack.parent / "run1_00001.tif").unlink()
    assert not _notes_of_contents(stack.parent)


def test_a_copy_of_any_name_is_not_joined_to_the_file_of_its_trigger(folder):
    """Fault: frames of a copy that was renamed followed those of its file, in one movie."""
    (folder / "cell001 - Copy.tif").rename(folder / "tuesday.tif")
    said = r"'tuesday.tif' in .* is left out: it holds the same as 'cell001.tif'. To convert it,"
    with pytest.warns(UserWarning, match=said):
        opened = nwb_ophys.open(folder)
    np.testing.assert_array_equal(opened.extractor.get_series(), MOVIE)


@pytest.mark.parametrize("is_folder", [False, True])
def test_unfinished_copies_are_named(tmp_path, is_folder):
    """Fault: a file of a series whose copy is not finished was left out without a word."""
    if is_folder:
        name, place = "run_Cycle00001_Ch2_000005.ome.tif.part", _bruker_folder(tmp_path / "run")
    else:
        name, place = "a_00002.tif.crdownload", tmp_path
        write_scanimage(place, MOVIE, stem="a")
    (place / name).write_bytes(b"II*")
    (place / "notes.docx.download").touch()
    (place / "notes.docx.gz").touch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(place)
    (note,) = {str(each.message) for each in caught if name in str(each.message)}
    assert f"'{name}'" in note
    assert note.endswith("not finished. Finish it, or remove the file.")


def test_compressed_files_of_a_series_are_named(tmp_path):
    """Fault: files of a series that were compressed were left out without a word."""
    for number in (1, 2):
        tifffile.imwrite(tmp_path / f"m_{number}.tif", MOVIE + number, photometric="minisblack")
    for name in ("m_1.tif.gz", "m_3.tif.gz", "all.zip", "notes.txt.gz"):
        (tmp_path / name).write_bytes(b"PK")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(tmp_path, sampling_frequency=5.0)
    (note,) = {str(each.message) for each in caught}
    assert note == (
        f"'m_3.tif.gz' in '{tmp_path}' is left out: it is compressed, and its contents are not "
        "beside it. Unpack it if it belongs to the recording."
    )


def test_equal_files_of_one_series_are_named(tmp_path):
    """Fault: a copy with the next number was joined to its file without a word."""
    for number in (1, 3):
        tifffile.imwrite(tmp_path / f"m_{number}.tif", MOVIE + number, photometric="minisblack")
    shutil.copy(tmp_path / "m_1.tif", tmp_path / "m_2.tif")
    (note,) = _notes_of_contents(tmp_path, sampling_frequency=5.0)
    assert note.startswith(f"Of one recording in '{tmp_path}', 'm_2.tif' has the size and the")
    for file in tmp_path.iterdir():  # blank frames, a file each, are equal
        tifffile.imwrite(file, np.zeros((4, 5), "uint16"))
    assert not _notes_of_contents(tmp_path, sampling_frequency=5.0)


def test_a_file_that_is_given_twice_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", MOVIE, photometric="minisblack")
    with pytest.raises(SourceArgumentError, match=r"m\.tif' is given 2 times"):
        TiffImagingInterface([tmp_path / "m.tif"] * 2, sampling_frequency=5.0)
