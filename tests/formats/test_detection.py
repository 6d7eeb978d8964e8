"""Tests of detection: each sample matches its own format and no other."""

from __future__ import annotations

import io
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.errors import SourceError, SourceNotFoundError, UnknownFormatError
from nwb_ophys.opening import open_recording
from nwb_ophys.paths import PathProbe, natural_order
from nwb_ophys.registry import detect, formats
from nwb_ophys.testing import (
    SimulatedRecording,
    check_format,
    write_bruker,
    write_inscopix,
    write_minian,
    write_ome_tiff,
)

from .conftest import Sample, sample_of

_BRUKER = "NCCR32_2022_11_03_IntoTheVoid_t_series-005"
# What each real recording is; paths that are none of the formats' have none.
REAL = {
    "tiff/neurofinder_crop_101x256x256.tif": {"tiff"},
    "tiff/video-gcamp.tif": {"tiff"},
    "tiff/zebrafish_two_planes": {"tiff"},
    "scanimage/scanimage_20220923_noroi.tif": {"scanimage"},
    "scanimage/volumetric_two_channels_multi_file": {"scanimage"},
    "scanimage/volumetric_single_channel_single_file_no_flyback": {"scanimage"},
    "scanbox": set(),  # the .sbx file is absent
    "scanbox/sample.mat": set(),
    "scanimage_legacy/sample_scanimage_version_3_8.tiff": {"scanimage-legacy"},
    "scanimage_legacy": {"scanimage-legacy"},
    "femtonics/p29.mesc": {"femtonics"},
    "miniscope/C6-J588_Disc5": {"miniscope"},
    "miniscope/C6-J588_Disc5/15_03_28": {"miniscope"},
    "miniscope/C6-J588_Disc5/15_03_28/Miniscope": {"miniscope"},
    "miniscope/C6-J588_Disc5/15_03_28/BehavCam_2": set(),
    "suite2p/two_planes_two_channels": {"suite2p"},
    "suite2p/two_planes_two_channels/plane1": {"suite2p"},
    "suite2p/two_planes_two_channels/combined": set(),
    "suite2p/v1.1.0/suite2p": {"suite2p"},
    "caiman/caiman_analysis.hdf5": {"caiman"},
    "caiman/v1.12.1_neurofinder_crop.hdf5": {"caiman"},
    "extract/extract_public_output.mat": {"extract"},
    "minian/segmented_data_3units_100frames": {"minian"},
    "inscopix/movie_longer_than_3_min.isxd": {"inscopix"},
    "inscopix/cellset_series_part1.isxd": {"inscopix-cells"},
    "suite2p/v1.1.0/written_by_suite2p.nwb": {"nwb-segmentation"},
    f"bruker/{_BRUKER}": {"bruker"},
    f"bruker/{_BRUKER}/{_BRUKER}.xml": {"bruker"},
    "thor/20231018-002": {"thor"},
    "thor/20231018-002/Experiment.xml": {"thor"},
    "thor/20231018-002/ChanA_001_001_001_002.tif": {"thor"},
    "README.md": set(),
}


@pytest.mark.parametrize("path", REAL)
def test_real_recordings_are_of_their_own_format_alone(data_folder, path):
    probe = PathProbe(data_folder / path)
    claims = {row.name: row.load().matches(probe) for row in formats().values()}
    assert {name for name, evidence in claims.items() if evidence} == REAL[path]
    assert {each.format for each in detect(data_folder / path)} == REAL[path]


def test_a_sample_is_of_its_own_format_alone(sample: Sample) -> None:
    """Every detector is applied to every sample."""
    claims = {name for name, row in formats().items() if row.load().matches(sample.path)}
    # Arrays of ROIs are told by their names only; by itself such a file is one of an array.
    own = "numpy" if sample.row.name == "numpy-segmentation" else sample.row.name
    assert claims == {own}


@pytest.mark.parametrize("name", sorted(formats()))
def test_every_format_keeps_the_contract(
    name: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    sample = sample_of(name, tmp_path, recording)
    check_format(sample.cls, sample.source, is_detected=name != "numpy-segmentation")


def test_a_folder_of_ten_thousand_files_is_looked_at_at_once(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"note_{number}.txt").touch()
    detect(tmp_path)  # imports the formats
    start = time.process_time()
    assert detect(tmp_path) == []
    # A listing per format takes seconds.
    assert time.process_time() - start < 1


def _write_hdf5(path: Path, name: str = "mov") -> None:
    with h5py.File(path, "w") as file:
        file[name] = np.zeros((4, 8, 9), "u2")


def _bytes_of(folder: Path, write: Callable[[Path], Any]) -> bytes:
    path = folder / "one"
    write(path)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.mark.parametrize(
    ("suffix", "most"),
    [
        # Each of up to 100 files is also opened for the names of other files in it.
        *((suffix, 400) for suffix in (".h5", ".mat", ".npy", ".isxd", ".sbx", ".mmap", ".mesc")),
        *((".tif", 50), (".nwb", 10), (".avi", 10), (".txt", 0)),
    ],
)
def test_few_of_very_many_files_are_opened(
    suffix: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _bytes_of(tmp_path, _write_hdf5)
    for number in range(1500):
        (tmp_path / f"trial_{number}{suffix}").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detect(tmp_path / f"trial_0{suffix}")  # imports the formats
    opened = _counted_opens(tmp_path, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = detect(tmp_path)
    assert len(opened) <= most
    assert len(set(opened)) <= 100
    assert bool(found) == (suffix == ".h5")


def _counted_opens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that records the path of each file in a folder that is opened."""
    opened: list[str] = []

    def counted(function: Any) -> Any:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if str(path).startswith(f"{folder}/"):
                opened.append(str(path))
            return function(path, *args, **kwargs)

        return call

    monkeypatch.setattr(io, "open", counted(io.open))
    monkeypatch.setattr("builtins.open", counted(open))
    monkeypatch.setattr(h5py, "is_hdf5", counted(h5py.is_hdf5))
    opens, is_counted = h5py.File.__init__, counted(lambda path, *_, **__: path)
    monkeypatch.setattr(
        h5py.File,
        "__init__",
        lambda self, path, *args, **kwargs: (
            opens(self, path, *args, **kwargs) if is_counted(path) else None
        ),
    )
    return opened


def test_it_is_said_that_not_every_file_was_looked_at(tmp_path: Path) -> None:
    for number in range(150):
        _write_hdf5(tmp_path / f"trial_{number}.h5")
    _write_hdf5(tmp_path / "whole.h5")
    with pytest.warns(UserWarning, match="opened 100 of 151 files"):
        found = detect(tmp_path)
    names = [candidate.source["file_path"].name for candidate in found]
    # The first and the last of a series, and what is named otherwise, and in the order of names.
    assert {"trial_0.h5", "trial_149.h5", "whole.h5"} < set(names)
    assert len(names) == 100
    assert names == sorted(names, key=natural_order)
    assert len(detect(tmp_path, every_file=True)) == 151


def test_a_file_among_very_many_that_are_no_recordings_is_found(tmp_path: Path) -> None:
    for number in range(150):
        _write_hdf5(tmp_path / f"table_{number}.h5", "deep/down")
    _write_hdf5(tmp_path / "z_movie.h5")
    with pytest.warns(UserWarning, match="opened 100 of 151 files"):
        (found,) = detect(tmp_path)
    assert found.source == {"file_path": tmp_path / "z_movie.h5"}


def test_no_recording_of_very_many_is_dropped(tmp_path: Path) -> None:
    """A conversion opens each file; detection opens only a few."""
    for number in range(120):
        name = "mov" if number in (3, 57, 118) else "deep/down"
        _write_hdf5(tmp_path / f"trial_{number}.h5", name)
    with pytest.warns(UserWarning, match="differ in a number"):
        recording = open_recording([tmp_path], options={"sampling_frequency": 30.0})
    assert list(recording.converter.interfaces) == ["trial_3", "trial_57", "trial_118"]
    with pytest.warns(UserWarning, match="differ in a number"):
        opened = nwb_ophys.open(tmp_path, sampling_frequency=30.0)
    assert len(opened.interfaces) == 3


def test_few_are_taken_of_every_folder(tmp_path: Path) -> None:
    for day in range(15):
        (tmp_path / f"day{day}").mkdir()
        for number in range(20):
            np.save(tmp_path / f"day{day}" / f"trial_{number}.npy", np.zeros((4, 8, 9)))
    with pytest.warns(UserWarning, match="opened 100 of 300 files"):
        found = detect(tmp_path)
    assert {each.source["timeseries"].parent.name for each in found} == {
        f"day{day}" for day in range(15)
    }


def test_the_chunks_of_a_zarr_store_are_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))
    (tmp_path / "movie.zarr" / "0").mkdir(parents=True)
    (tmp_path / "movie.zarr" / ".zarray").write_text("{}")
    detect(tmp_path)
    assert tmp_path / "movie.zarr" / "0" not in listed


def test_a_store_of_zarr_in_a_folder_is_found(
    tmp_path: Path, recording: SimulatedRecording
) -> None:
    """Fault: a Zarr group of Minian was found alone, but not in the folder of its session."""
    store = tmp_path / "mouse7" / "day1" / "minian"
    write_minian(store, recording)
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    found = detect(tmp_path)
    assert [(each.format, each.source["folder_path"]) for each in found] == [("minian", store)]


def test_links_that_lead_back_are_not_followed(
    tmp_path: Path, recording: SimulatedRecording
) -> None:
    """Fault: a recording beside a link to its own folder was converted three times."""
    write_bruker(tmp_path / "links" / "TSeries", recording.movie.astype("u2"))
    (tmp_path / "links" / "loop").symlink_to(tmp_path / "links")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "links" / "TSeries")
    assert [each.format for each in detect(tmp_path / "links")] == ["bruker"]
    assert [each.format for each in detect(tmp_path / "elsewhere")] == ["bruker"]


def test_one_name_of_a_format(tmp_path: Path, recording: SimulatedRecording) -> None:
    """Fault: a text was read as a list of letters."""
    path = write_bruker(tmp_path / "TSeries", recording.movie.astype("u2"))
    assert [each.format for each in detect(path, format_names="bruker")] == ["bruker"]
    assert detect(path, format_names="tiff") == []


def test_a_plain_file_beside_a_recording_does_not_decide_the_format(
    tmp_path: Path, recording: SimulatedRecording
) -> None:
    """Fault: the folder became one of plain TIFF files, and the recording was left out."""
    write_inscopix(tmp_path / "movie.isxd", recording.movie.astype("u2"))
    tifffile.imwrite(tmp_path / "overview.tif", recording.movie)
    assert sorted(each.format for each in detect(tmp_path)) == ["inscopix", "tiff"]
    with pytest.warns(UserWarning, match=r"'overview.tif' .* it needs sampling_frequency, and"):
        opened = nwb_ophys.open(tmp_path)
    np.testing.assert_array_equal(opened.extractor.get_series(), recording.movie)
    with_rate = nwb_ophys.open(tmp_path, sampling_frequency=30.0)
    assert list(with_rate.interfaces) == ["tiff", "inscopix"]
    converter = nwb_ophys.InscopixConverter(tmp_path)
    assert list(converter.interfaces) == ["inscopix"]


@pytest.mark.parametrize("name", ["stimulus.h5", "export.ome.tif"])
def test_a_movie_without_rate_beside_a_recording_is_left_out(
    tmp_path: Path, recording: SimulatedRecording, name: str
) -> None:
    """Fault: the whole folder was refused, since one file in it states no rate."""
    write_inscopix(tmp_path / "movie.isxd", recording.movie.astype("u2"))
    if name.endswith(".h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["frames"] = recording.movie
    else:
        write_ome_tiff(tmp_path / name, recording.movie, sampling_frequency=None)
    with pytest.warns(
        UserWarning, match=rf"'{name}' .* it needs sampling_frequency, and"
    ) as caught:
        opened = nwb_ophys.open(tmp_path)
    assert len(caught) == 1
    np.testing.assert_array_equal(opened.extractor.get_series(), recording.movie)


@pytest.mark.parametrize(
    ("name", "keeps"),
    [
        ("inscopix", 0.9),
        ("inscopix-cells", 0.9),
        ("hdf5", 0.9),
        ("hdf5", 0),
        ("femtonics", 0.5),
        ("numpy", 0),
        ("caiman", 0.9),
    ],
)
def test_a_recording_that_was_cut_off_is_told_of(
    name: str, keeps: float, tmp_path: Path, recording: SimulatedRecording
) -> None:
    """Fault: in a folder of several recordings it was left out silently."""
    sample = sample_of(name, tmp_path, recording)
    content = sample.path.read_bytes()
    cut = sample.path.with_name(f"cut_{sample.path.name}")
    cut.write_bytes(content[: int(len(content) * keeps)])
    with pytest.warns(UserWarning, match=f"No format with this ending recognises '{cut}'"):
        found = detect(cut.parent)
    assert {next(iter(each.source.values())) for each in found} == {sample.path}
    assert detect(cut) == []
    with pytest.raises(
        UnknownFormatError,
        match="truncated" if keeps else "an empty file",
    ):
        nwb_ophys.open(cut)


@pytest.mark.parametrize("name", ["numpy", "memmap"])
def test_a_truncated_array_beside_another_is_refused_with_the_option(
    name: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    """Its complete frames can be converted, so that it is not left out."""
    sample = sample_of(name, tmp_path, recording)
    content = sample.path.read_bytes()
    cut = sample.path.with_name(f"cut_{sample.path.name}")
    cut.write_bytes(content[: int(len(content) * 0.9)])
    assert len(detect(cut.parent)) == 2
    given = {key: value for key, value in sample.source.items() if value != sample.path}
    with pytest.raises(SourceError, match=rf"'{cut}' is truncated.*allow_truncated=True"):
        nwb_ophys.open(cut.parent, **given)


def test_files_of_others_with_usual_endings_are_not_told_of(tmp_path: Path) -> None:
    _write_hdf5(tmp_path / "a.h5", "deep/down")
    (tmp_path / "b.h5").write_text("text")
    np.save(tmp_path / "c.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "masks.npy", np.zeros((3, 8, 9), bool))
    (tmp_path / "d.npy").write_text("text")
    (tmp_path / "e.mmap").write_text("text")
    assert detect(tmp_path) == []


@pytest.mark.parametrize("name", ["numpy", "memmap", "hdf5", "inscopix", "femtonics", "scanbox"])
def test_endings_in_upper_case(name: str, tmp_path: Path, recording: SimulatedRecording) -> None:
    sample = sample_of(name, tmp_path, recording)
    for file in list(sample.path.parent.iterdir()):
        file.rename(file.with_suffix(file.suffix.upper()))
    assert [each.format for each in detect(sample.path.parent)] == [name]
    assert sample.cls(
        **{
            key: value.with_suffix(value.suffix.upper()) if value == sample.path else value
            for key, value in sample.source.items()
        }
    ).extractor.get_num_samples()


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Any] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))
    (tmp_path / "notes.txt").touch()
    detect(tmp_path)
    assert listed.count(str(tmp_path)) == 1


def test_what_is_in_folders_is_found(tmp_path: Path, recording: SimulatedRecording) -> None:
    day = tmp_path / "mouse" / "day1"
    day.mkdir(parents=True)
    np.save(day / "movie.npy", recording.movie)
    (candidate,) = detect(tmp_path)
    assert candidate.format == "numpy"
    assert candidate.source == {"timeseries": day / "movie.npy"}
    movie = nwb_ophys.open(tmp_path, sampling_frequency=30.0)
    np.testing.assert_array_equal(movie.extractor.get_series(), recording.movie)


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "@eaDir", "__MACOSX", "#recycle"])
def test_folders_of_the_system_are_not_searched(tmp_path: Path, name: str) -> None:
    """Fault: recordings that the user had deleted were converted from the bin of a drive."""
    for folder in (tmp_path, tmp_path / name / "S-1-5-21"):
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "movie.npy", np.zeros((3, 4, 5), np.uint16))
    (found,) = detect(tmp_path)
    assert found.path == tmp_path / "movie.npy"
    # The user may mean the folder itself.
    (found,) = detect(tmp_path / name)
    assert found.path.parent.name == "S-1-5-21"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="absent"):
        detect(tmp_path / "absent")
    with pytest.raises(UnknownFormatError, match="No format recognises"):
        nwb_ophys.open(tmp_path)


def test_what_is_wrong_with_files_is_said(tmp_path: Path, recording: SimulatedRecording) -> None:
    """Fault: a leading empty file, or a broken link, hid the other files silently."""
    (tmp_path / "a.tif").touch()
    tifffile.imwrite(tmp_path / "b.tif", recording.movie)
    with pytest.warns(UserWarning, match=r"'a.tif' .* is left out: it is empty or cannot be read"):
        opened = nwb_ophys.open(tmp_path, sampling_frequency=30.0)
    np.testing.assert_array_equal(opened.extractor.get_series(), recording.movie)
    with pytest.raises(UnknownFormatError, match=r"'.*a.tif' is an empty file, of 0 bytes"):
        nwb_ophys.open(tmp_path / "a.tif")
    (tmp_path / "a.tif").unlink()
    (tmp_path / "a.tif").symlink_to(tmp_path / "absent.tif")
    with pytest.warns(UserWarning, match=r"'a.tif' .* is left out: it is empty or cannot be read"):
        nwb_ophys.open(tmp_path, sampling_frequency=30.0)


def test_a_folder_of_nwb_files(tmp_path: Path) -> None:
    """Fault: the message listed all formats."""
    (tmp_path / "session.nwb").write_bytes(b"\x89HDF\r\n\x1a\n")
    words = r"contains only NWB files\. .* give the path of a file\."
    with pytest.raises(UnknownFormatError, match=words):
        nwb_ophys.open(tmp_path)


@pytest.fixture
def denied(monkeypatch):
    """Take the permission to read folders of the name ``locked``, which root has in any case."""
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode, **more: path.name != "locked" and real(path, mode, **more)
    )


def test_folders_without_permission_are_named(tmp_path, denied):
    """Fault: the whole folder was refused, or a subfolder counted as empty without a word."""
    movie = np.zeros((3, 6, 8), "u2")
    for name in ("run", "locked"):
        write_bruker(tmp_path / name, movie)
    with pytest.warns(UserWarning, match="Left out, as they cannot be read: '.*locked'; the perm"):
        found = detect(tmp_path)
    assert [each.path.name for each in found] == ["run"]
    with pytest.raises(SourceError, match="locked' cannot be read: the permission is missing"):
        detect(tmp_path / "locked")
