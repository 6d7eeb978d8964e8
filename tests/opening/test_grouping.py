"""Tests of grouping: the same recordings however they are given, and whatever lies beside them."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import NwbOphysError, OptionError, UnknownFormatError
from nwb_ophys.opening import open_recording
from nwb_ophys.opening.grouping import group
from nwb_ophys.registry import detect, formats, likeliest
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_ome_tiff,
    write_scanimage,
    write_suite2p,
    write_tiff,
)
from nwb_ophys.testing.samples import write_sample

from ..reliability.setting import rounds

NAMES = sorted(name for name, row in formats().items() if row.is_ours)
# Arrays in .npy files are told apart by their names only, so that a stray is an array, too.
# Samples of these have the same UUIDs, so that a file of one completes the other.
_ALIKE = {"micromanager", "ome-tiff"}
_OPTIONS = {"sampling_frequency": 30.0}


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture(scope="module")
def strays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The first and the last file of the sample of each format, of another movie."""
    other = simulate_recording(num_samples=15, num_rows=24, num_columns=34, num_cells=3, seed=9)
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp("stray") / name
        folder.mkdir()
        write_sample(formats()[name], folder, other)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found[name] = [files[0], *files[:0:-1][:1]]
    return found


@pytest.fixture(scope="module")
def samples(
    tmp_path_factory: pytest.TempPathFactory, recording: SimulatedRecording
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A folder with the sample of each format, and its source arguments."""
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp("sample") / name
        folder.mkdir()
        found[name] = folder, write_sample(formats()[name], folder, recording)
    return found


def _contents(*paths: Path, name: str | None = None, **options: Any) -> list[str]:
    """Return a hash of the data of each stream that paths hold, sorted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = open_recording(paths, [name] if name else [], options=options, all_in_one=True)
    return sorted(_digest(each) for each in opened.converter.interfaces.values())


def _digest(interface: Any) -> str:
    extractor = interface.extractor
    if hasattr(extractor, "get_series"):
        arrays = [extractor.get_series()]
    else:
        arrays = [t for t in extractor.get_traces_dict().values() if t is not None]
        arrays += [extractor.get_roi_image_masks()]
    found = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array)
        found.update(f"{values.shape} {values.dtype}".encode() + values.tobytes())
    return found.hexdigest()


def _known_options(source: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in source.items() if not isinstance(value, Path | list)}


def _path_of(source: dict[str, Any]) -> Path:
    return next(value for value in source.values() if isinstance(value, Path))


# --- strangers beside a recording ---------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name != "numpy-segmentation"])
def test_a_stray_file_of_another_format_changes_nothing(
    name: str,
    samples: dict[str, tuple[Path, dict[str, Any]]],
    strays: dict[str, list[Path]],
    tmp_path: Path,
) -> None:
    """A file of every other format lies beside the sample, before or after it in the alphabet."""
    folder, source = samples[name]
    options = _known_options(source)
    if name in ("minian-movie", "suite2p-movie"):  # left out beside a movie, unless asked for
        options["registered_movie"] = True
    own = Counter(_contents(_path_of(source), **options))
    here = tmp_path / "here"
    shutil.copytree(folder, here)
    inner = here / _path_of(source).relative_to(folder)
    target = inner if inner.is_dir() else inner.parent
    # NWB files are not searched for in folders, where they may be results.
    given = [inner] if name.startswith("nwb") else [target]
    for number, other in enumerate(NAMES):
        if other in (name, "numpy-segmentation") or {name, other} == _ALIKE:
            continue
        places = (("000_", strays[other][0]), ("zzz_", strays[other][-1]))
        for prefix, stray in rounds((places[(number + NAMES.index(name)) % 2],), places):
            place = target / f"{prefix}{stray.name}"
            shutil.copyfile(stray, place)
            try:
                found = Counter(_with_rate_if_asked(given, options))
            except NwbOphysError as error:
                # A file of a recording whose other files are missing, beside ROIs without a movie.
                if place.name not in str(error) or formats()[name].kind == "imaging":
                    raise
            else:
                assert own <= found, (other, place.name)
            place.unlink()


def _with_rate_if_asked(paths: list[Path], options: dict[str, Any]) -> list[str]:
    try:
        return _contents(*paths, **options)
    except NwbOphysError as error:
        if "sampling_frequency" not in str(error):
            raise
        return _contents(*paths, **_OPTIONS | options)


# --- however a recording is given ---------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_folder_file_all_files_and_twice_are_the_same(
    name: str, samples: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    """Fault: a shell glob over ten files wrote the same recording ten times."""
    folder, source = samples[name]
    path, options = _path_of(source), _known_options(source)
    given = name if name == "numpy-segmentation" else None
    own = _contents(path, name=given, **options)
    assert _contents(path, path, name=given, **options) == own
    assert _contents(path, path.parent / "." / path.name, name=given, **options) == own
    if given is None and not name.startswith("nwb"):  # not searched for in folders
        assert _contents(folder, **options) == own
        assert _contents(folder, path, **options) == own
        assert _contents(path, folder, **options) == own


@pytest.mark.parametrize("name", [name for name in NAMES if name != "numpy-segmentation"])
def test_each_file_stands_for_its_recording_and_all_of_them_do(
    name: str, samples: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    folder, source = samples[name]
    options = _known_options(source)
    if name in ("minian-movie", "suite2p-movie"):
        options["registered_movie"] = True
    own = _contents(_path_of(source), **options)
    # Zarr stores count as files; DisplaySettings.json states nothing of the recording.
    stores = [path for path in folder.rglob("*.zarr") if path.is_dir()]
    files = stores + [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(store in path.parents for store in stores)
    ]
    for given in (files, files[::-1], [*files, *files]):
        assert _contents(*given, **options) == own
    for path in [*files[:3], *files[-3:]]:
        if path.name != "DisplaySettings.json":
            assert _contents(path, **options) == own, path.name


def test_a_file_that_no_format_knows_is_left_out_only_beside_a_recording(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 900, (8, 20, 24)).astype("i2")
    (path,) = write_scanimage(tmp_path / "a.tif", movie)
    (tmp_path / "notes.docx").write_text("notes")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.docx").write_text("notes")
    with pytest.warns(UserWarning, match=r"'notes.docx' .*left out: no format recognises it"):
        opened = open_recording([tmp_path / "notes.docx", path])
    assert list(opened.converter.interfaces) == ["scanimage"]
    with pytest.raises(UnknownFormatError):
        open_recording([path, tmp_path / "b" / "notes.docx"])


def test_files_of_one_acquisition_in_any_order(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 900, (12, 20, 24)).astype("i2")
    files = write_scanimage(tmp_path / "in", movie, frames_per_file=5)
    own = _contents(files[1])
    assert len(own) == 1
    for given in itertools.permutations(files):
        assert _contents(*given) == own
    assert _contents(tmp_path / "in") == _contents(*files, *files) == own


def test_files_of_an_ome_recording(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 900, (6, 20, 24)).astype("u2")
    (tmp_path / "in").mkdir()
    path = write_ome_tiff(tmp_path / "in", {"Ch1": movie}, num_files=3)
    own = _contents(path[0])
    assert len(own) == 1
    for given in (path, path[::-1], [*path, *path], [tmp_path / "in", path[1]], path[1:2]):
        assert _contents(*given) == own


# --- projections beside a recording -------------------------------------------------------------


@pytest.mark.parametrize("stray", ["AVG_mouse.tif", "z_MAX_mouse.tif", "other.tif"])
def test_a_plain_image_beside_a_recording_with_a_header(tmp_path: Path, stray: str) -> None:
    """Fault: the first file by name decided the format of a folder."""
    movie = np.random.default_rng(0).integers(0, 900, (8, 20, 24)).astype("i2")
    (tmp_path / "in").mkdir()
    files = write_scanimage(tmp_path / "in" / "mouse_00001.tif", {1: movie, 2: movie + 1})
    tifffile.imwrite(tmp_path / "in" / stray, movie.max(0))
    for given in ([tmp_path / "in"], [*files, tmp_path / "in" / stray]):
        for order in itertools.permutations(given):
            with pytest.warns(UserWarning, match=f"'{stray}' .*is left out"):
                opened = open_recording(order)
            assert list(opened.converter.interfaces) == [
                "scanimage Channel 1",
                "scanimage Channel 2",
            ]
    alone = open_recording([tmp_path / "in" / stray], options=_OPTIONS)
    assert list(alone.converter.interfaces) == ["tiff"]


def test_two_movies_that_are_given_are_both_converted(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 900, (8, 20, 24)).astype("u2")
    one = write_tiff(tmp_path / "one.tif", movie)
    two = write_tiff(tmp_path / "two.tif", movie + 1)
    assert len(_contents(one, two, **_OPTIONS)) == 2


def test_a_recording_among_many_files_of_like_names_is_found(tmp_path: Path) -> None:
    """Detection reads few headers; opening reads all."""
    movie = np.random.default_rng(0).integers(0, 900, (8, 20, 24)).astype("i2")
    for number in range(1, 31):
        tifffile.imwrite(tmp_path / f"f_{number:05d}.tif", movie[:1])
    write_scanimage(tmp_path / "f_00015.tif", movie)
    with pytest.warns(UserWarning, match="numbers between 14 and 16 are missing"):
        opened = open_recording([tmp_path], options=_OPTIONS)
    movies = {n: i.extractor.get_series() for n, i in opened.converter.interfaces.items()}
    np.testing.assert_array_equal(movies["scanimage"], movie)
    assert len(movies["tiff"]) == 29


def _runs_of_suite2p(folder: Path, *places: str) -> Path:
    """Write runs of Suite2p with other numbers of ROIs at places in a folder."""
    for seed, place in enumerate(places, start=1):
        run = simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=seed)
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_suite2p(folder / "written", [run])
        shutil.move(folder / "written" / "suite2p", folder / place)
    return folder


def _numbers_of_rois(*paths: Path) -> list[int]:
    found = open_recording(paths)
    return sorted(e.extractor.get_num_rois() for e in found.converter.interfaces.values())


def test_other_runs_of_suite2p_are_named(tmp_path: Path) -> None:
    folder = _runs_of_suite2p(tmp_path, "suite2p", "suite2p_old", "day2/again/suite2p", "flat")
    shutil.move(folder / "flat" / "plane0", folder / "plane_of_flat")
    notes = pytest.warns(UserWarning, match="is left out: it holds the ROIs of another run")
    with notes as caught:
        assert _numbers_of_rois(folder) == [1]
    texts = [str(each.message) for each in caught]
    assert len(texts) == 2
    assert any(f"'plane_of_flat', 'suite2p_old' in '{folder}' is left out" in t for t in texts)
    assert any(f"'suite2p' in '{folder / 'day2' / 'again'}' is left out" in t for t in texts)
    with pytest.warns(UserWarning, match="another run"):  # a plane of a run is its own
        assert _numbers_of_rois(folder, folder / "suite2p" / "plane0") == [1]
    assert _numbers_of_rois(folder / "suite2p") == [1]
    # Several folders have the same name.
    found = group(likeliest(detect(folder, every_file=True)))
    lines = [line for each in found for line in each.describe()]
    place = Path("day2", "again", "suite2p")
    assert any(line.startswith(f"left out: '{place}' (it holds") for line in lines)


def test_a_run_of_suite2p_within_a_given_folder_is_converted_if_it_is_given(tmp_path: Path) -> None:
    folder = _runs_of_suite2p(tmp_path, "suite2p", "suite2p_old")
    for paths in itertools.permutations([folder, folder / "suite2p_old"]):
        assert _numbers_of_rois(*paths) == [1, 2]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if formats()[name].load().searched_in_folders]
)
def test_a_recording_in_a_subfolder_of_another_is_converted_or_named(
    name: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    other = simulate_recording(num_samples=15, num_rows=24, num_columns=34, num_cells=3, seed=9)
    (tmp_path / "second").mkdir()
    write_sample(formats()[name], tmp_path, recording)
    write_sample(formats()[name], tmp_path / "second", other)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = group(likeliest(detect(tmp_path, every_file=True)))
    named = [path for each in found for own in each.groups for path in own.files]
    named += [left.path for each in found for left in each.left_out]
    assert any("second" in str(each) for each in [*named, *(c.message for c in caught)])


def test_a_pattern_of_files_needs_a_folder(tmp_path: Path) -> None:
    for number in (1, 2):
        write_tiff(tmp_path / f"a_{number}.tif", np.zeros((5, 6, 7), "u2"))
    with pytest.raises(OptionError, match=r"files=a_2\* chooses files of a folder, but '.*a_1"):
        open_recording(tmp_path / "a_1.tif", options={**_OPTIONS, "files": "a_2*"})
    with pytest.raises(OptionError, match="files is 3; it must be a pattern"):
        open_recording(tmp_path, options={**_OPTIONS, "files": 3})


def _channels(folder: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        write_tiff(folder / f"{name}.tif", np.full((5, 6, 7), index, "u2"))
    return folder


def test_a_file_that_only_one_channel_lacks_is_named(tmp_path: Path) -> None:
    folder = _channels(tmp_path, *(f"rec_00{n}_ch{c}" for n, c in ("11", "21", "31", "12", "22")))
    with pytest.warns(UserWarning, match=r"'rec_001_ch2.tif' to .* have no file with the number 3"):
        found = open_recording(folder, options=_OPTIONS)
    numbers = [e.extractor.get_num_samples() for e in found.converter.interfaces.values()]
    assert numbers == [15, 10]
    (tmp_path / "rec_003_ch1.tif").unlink()
    open_recording(folder, options=_OPTIONS)  # no note


def test_other_channels_of_a_file_are_named(tmp_path: Path) -> None:
    names = ["rec_ch1_1", "rec_ch1_2", "rec_ch2_1", "rec_ch2_2", "AVG_rec_ch1_1", "other_ch3_1"]
    folder = _channels(tmp_path, *names)
    said = "'rec_ch2_1.tif' in .* is left out: by the names it and 1 further file are another"
    with pytest.warns(UserWarning, match=said) as caught:
        open_recording(folder / "rec_ch1_1.tif", options=_OPTIONS)
    assert len(caught) == 1
    open_recording([folder / f"{name}.tif" for name in names[:4]], options=_OPTIONS)  # no note
