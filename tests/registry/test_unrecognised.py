"""Reasons in the error for paths that no format recognises."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from pynwb import NWBHDF5IO
from pynwb.image import ImageSeries
from pynwb.ophys import TwoPhotonSeries
from pynwb.testing.mock.file import mock_NWBFile
from pynwb.testing.mock.ophys import mock_ImagingPlane

import nwb_ophys
from nwb_ophys.errors import UnknownFormatError
from nwb_ophys.formats.foreign import FOREIGN_FORMATS, ForeignVideo
from nwb_ophys.registry import detect, unrecognised
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import (
    write_bruker,
    write_minian,
    write_scanbox,
    write_sima,
    write_suite2p,
    write_thor,
)


def reason(path: Path) -> str:
    """Return the message for a path, after checking that nothing recognises the path."""
    assert detect(path) == []
    with pytest.raises(UnknownFormatError) as caught:
        nwb_ophys.open(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert len(message) < 420 + 3 * len(str(path)), message  # two lines, and the paths
    assert message == str(unrecognised(path))
    return message


@pytest.fixture
def recording():
    return simulate_recording(num_samples=12)


# --- other programs -----------------------------------------------------------------------------


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("foreign", FOREIGN_FORMATS, ids=lambda each: each.suffixes[0])
def test_files_of_other_programs(foreign, begins, tmp_path):
    path = tmp_path / f"scan{foreign.suffixes[0].upper()}"
    start = foreign.starts[0] if foreign.starts and begins else b"?"
    path.write_bytes(bytes(foreign.at) + start + bytes(100))
    for given_path in (path, tmp_path):
        message = reason(given_path)
        assert foreign.what in message
        assert "not read yet" in message
        assert "TIFF" in message
        assert foreign.program in message
        assert ("does not begin like one" in message) == (bool(foreign.starts) and not begins)


def test_a_real_file_of_fluoview(data_folder):
    message = reason(data_folder / "oib" / "test.oib")
    assert message.endswith(
        "is a file of Olympus FluoView, which is not read yet. Export it as TIFF or OME-TIFF in "
        "FluoView, or convert it with the command of Bio-Formats, bfconvert 'test.oib' "
        "'test.ome.tif'; then give the TIFF files."
    )


def test_a_renamed_file_of_another_program(tmp_path):
    path = tmp_path / "scan.data"
    path.write_bytes(b"ZISRAWFILE" + bytes(100))
    assert "is a file of Zeiss ZEN, which" in reason(path)


def test_each_ending_is_of_one_program():
    endings = [suffix for each in FOREIGN_FORMATS for suffix in each.suffixes]
    assert len(endings) == len(set(endings))
    known = {suffix for row in nwb_ophys.formats.builtin_rows() for suffix in row.file_suffixes}
    assert not known & set(endings)


def test_a_video_is_not_a_recording_of_its_own(tmp_path):
    path = tmp_path / "behaviour.avi"
    path.write_bytes(b"RIFF\0\0\0\0AVI LIST")
    message = reason(path)
    assert (
        "Only videos of a Miniscope are read: give the folder with their metaData.json" in message
    )
    assert "ffmpeg -i 'behaviour.avi' -pix_fmt gray 'behaviour_%06d.tif'" in message
    assert {".avi", ".mkv", ".mp4"} <= {
        suffix
        for each in FOREIGN_FORMATS
        if isinstance(each, ForeignVideo)
        for suffix in each.suffixes
    }


@pytest.mark.parametrize("name", ["day1.zip", "scan.tif.gz", "Day.TAR", "day.tar.bz2", "day.7z"])
def test_archives_must_be_unpacked(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"PK\3\4" + bytes(100))
    for given_path in (path, tmp_path):
        message = reason(given_path)
        assert f"'{path}' is an archive or a compressed file, which is not read." in message
        assert "Unpack it" in message


def test_a_compressed_file_is_known_by_its_first_bytes(tmp_path):
    """Fault: a file, or an object of a store, that only its bytes show to be packed was unknown."""
    path = tmp_path / "scan.tif"
    path.write_bytes(gzip.compress(b"II*\0" + bytes(100)))
    assert f"'{path}' is compressed, whatever its name says" in reason(path)


# --- MATLAB and HDF5 ----------------------------------------------------------------------------


@pytest.mark.parametrize("class_name", ["Sources2D", "table"])
def test_an_object_of_a_matlab_class(class_name, tmp_path):
    path = tmp_path / "neuron.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset("neuron", data=np.array([[3707764736, 2, 1, 1, 1, 1]], "u4"))
        data.attrs["MATLAB_class"] = np.bytes_(class_name)
        data.attrs["MATLAB_object_decode"] = np.int32(3)
        file.create_group("#subsystem#")
    for given_path in (path, tmp_path):
        message = reason(given_path)
        assert f"'neuron' is an object of the class {class_name}, which only MATLAB" in message
        assert "struct(NAME)" in message


def _element(kind: int, data: bytes) -> bytes:
    return np.array([kind, len(data)], "<u4").tobytes() + data + bytes(-len(data) % 8)


def _level5(*matrices: bytes) -> bytes:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + np.array([0x0100], "<u2").tobytes() + b"IM"
    return head + b"".join(_element(14, matrix) for matrix in matrices)


@pytest.mark.parametrize("name", ["neuron", "n", "results_2"])
def test_an_object_in_a_file_of_version_5(name, tmp_path):
    flags = _element(6, np.array([17, 0], "<u4").tobytes())
    texts = [_element(1, text.encode()) for text in (name, "MCOS", "Sources2D")]
    path = tmp_path / "neuron.mat"
    path.write_bytes(_level5(flags + b"".join(texts)))
    assert f"'{name}' is an object of the class Sources2D" in reason(path)


def test_a_date_of_matlab_is_no_reason(tmp_path):
    path = tmp_path / "day.mat"
    with h5py.File(path, "w") as file:
        file["day"] = np.zeros((1, 6), "u4")
        file["day"].attrs["MATLAB_class"] = np.bytes_("datetime")
        file["day"].attrs["MATLAB_object_decode"] = np.int32(3)
    assert "which contains the variable day" in reason(path)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (
            {"raw": (6, 4, 5), "registered": (6, 4, 5)},
            "2 datasets that may be the movie: 'raw' (6 x 4 x 5), 'registered' (6 x 4 x 5)",
        ),
        (
            {"green/movie": (6, 4, 5), "red/movie": (6, 4, 5), "times": (6,)},
            "'green/movie' (6 x 4 x 5), 'red/movie' (6 x 4 x 5). Choose",
        ),
        ({"scan/movie": (6, 4, 5)}, "a dataset below its root that may be the movie: 'scan/movie'"),
    ],
)
def test_datasets_to_choose_from(shapes, words, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file[name] = np.arange(np.prod(shape)).reshape(shape)
    message = reason(path)
    assert words in message
    first = next(iter(shapes))
    assert message.endswith(f"--format hdf5 --option dataset_name={first}.")
    movie = nwb_ophys.open(path, format="hdf5", dataset_name=first, sampling_frequency=30.0)
    np.testing.assert_array_equal(
        movie.extractor.get_series().reshape(-1), np.arange(np.prod(shapes[first]))
    )


def test_estimates_without_parameters(tmp_path):
    path = tmp_path / "c.hdf5"
    with h5py.File(path, "w") as file:
        file["estimates/A/data"] = np.zeros(3)
    assert "CaImAn's estimates, but not the group params/data" in reason(path)


# --- NWB ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TwoPhotonSeries, ImageSeries])
def test_nwb_with_an_external_movie(kind, tmp_path):
    nwbfile = mock_NWBFile()
    stated = {
        "name": "movie",
        "external_file": ["movie_1.tif", "movie_2.tif"],
        "starting_frame": [0, 5],
        "format": "external",
        "timestamps": np.arange(10) / 30,
        "unit": "n.a.",
    }
    if kind is TwoPhotonSeries:
        stated["imaging_plane"] = mock_ImagingPlane(nwbfile=nwbfile)
    nwbfile.add_acquisition(kind(**stated))
    path = tmp_path / "a.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    message = reason(path)
    assert "its series 'movie' are in an external file ('movie_1.tif', 'movie_2.tif')." in message
    assert message.endswith("Convert the external file instead.")


def test_nwb_without_imaging(tmp_path):
    path = tmp_path / "a.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(mock_NWBFile())
    assert "is an NWB file without a TwoPhotonSeries, OnePhotonSeries or" in reason(path)


# --- Inscopix -----------------------------------------------------------------------------------


def _write_isxd(path: Path, **content: object) -> None:
    text = json.dumps(content).encode()
    path.write_bytes(bytes(64) + text + b"\0" + len(text).to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("kind", "what"),
    [(4, "a single image"), (5, "an event set"), (8, "a vessel set"), (99, "data of type 99")],
)
@pytest.mark.parametrize("sized", [True, False])
def test_other_data_of_inscopix(kind, what, sized, tmp_path):
    path = tmp_path / "a.isxd"
    _write_isxd(path, type=kind, **({"spacingInfo": {}, "timingInfo": {}} if sized else {}))
    for given_path in (path, tmp_path):  # and no warning of a damaged file
        assert f"'{path}' is {what} of Inscopix; only movies and cell sets" in reason(given_path)


@pytest.mark.parametrize("suffix", [".isxb", ".gpio", ".imu", ".isxp", ".isxc"])
def test_other_files_of_inscopix(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"data")
    assert "of Inscopix; only movies and cell sets" in reason(path)


# --- Suite2p, Minian and SIMA -------------------------------------------------------------------


def test_only_the_file_for_matlab(tmp_path, recording):
    plane = write_suite2p(tmp_path, recording) / "plane0"
    for file in plane.iterdir():
        file.unlink()
    scipy.io.savemat(plane / "Fall.mat", {"F": np.zeros((3, 4))})
    for path in (tmp_path, tmp_path / "suite2p", plane, plane / "Fall.mat"):
        message = reason(path)
        assert f"'{plane}' contains Suite2p's Fall.mat, but not ops.npy and stat.npy" in message
        assert "Copy the .npy files" in message


def test_a_plane_without_its_rois(tmp_path, recording):
    plane = write_suite2p(tmp_path, recording) / "plane0"
    (plane / "stat.npy").unlink()
    for path in (tmp_path, plane, plane / "F.npy"):
        assert f"'{plane}' contains Suite2p's" in reason(path)
        assert "but not stat.npy" in reason(path)


@pytest.mark.parametrize("name", ["F.npy", "stat.npy", "ops.npy", "iscell.npy", "spks.npy"])
def test_one_file_of_suite2p(name, tmp_path, recording):
    folder = write_suite2p(tmp_path, recording)
    path = folder / "plane0" / name
    assert detect(path) == []
    words = f"'{path}' is one file of Suite2p's output; give the folder '{folder}'."
    assert str(unrecognised(path)) == words


def test_a_plane_with_another_name(tmp_path, recording):
    folder = write_suite2p(tmp_path, recording)
    results = (folder / "plane0").rename(tmp_path / "results")
    assert [each.row.name for each in detect(results)] == ["suite2p"]
    words = f"'{results / 'F.npy'}' is one file of Suite2p's output; give the folder '{results}'."
    assert str(unrecognised(results / "F.npy")) == words


def test_a_damaged_file_for_matlab(tmp_path, recording):
    plane = write_suite2p(tmp_path, recording) / "plane0"
    for file in plane.iterdir():
        file.unlink()
    scipy.io.savemat(plane / "Fall.mat", {"F": np.zeros((3, 4))})
    whole = (plane / "Fall.mat").read_bytes()
    (plane / "Fall.mat").write_bytes(whole[:140])
    assert f"'{plane / 'Fall.mat'}' is not a whole MATLAB file" in reason(tmp_path)


def test_stores_of_minian(tmp_path, recording):
    folder = write_minian(tmp_path, recording)
    for name in ("C.zarr", "S.zarr"):
        if (folder / name).is_dir():
            (folder / name).rename(tmp_path / f"moved {name}")
    assert "Minian's A.zarr" in str(unrecognised(folder))
    assert "but no readable C.zarr or S.zarr with traces" in str(unrecognised(folder))


def test_a_dataset_of_sima_without_rois(tmp_path, recording):
    folder = write_sima(tmp_path, recording)
    for file in [*folder.glob("rois.pkl"), *folder.glob("signals_*.pkl")]:
        file.unlink()
    for path in (folder, tmp_path):
        assert f"'{folder}' is a dataset of SIMA without ROIs" in reason(path)


# --- files beside recordings --------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_bruker, write_thor])
def test_a_header_in_another_encoding(write, tmp_path, recording):
    write(tmp_path, recording.movie)
    (header,) = tmp_path.rglob("*.xml")
    text = header.read_text("utf-8-sig")
    header.write_bytes(text.encode("utf-16"))
    message = reason(tmp_path)
    assert f"'{header}' is UTF-16 text, but it must be UTF-8 text; save it as UTF-8" in message


def test_unrelated_files_are_not_accused(tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    np.save(tmp_path / "weights.npy", np.zeros((3, 4)))
    scipy.io.savemat(tmp_path / "behaviour.mat", {"licks": np.zeros(3), "speed": np.zeros(3)})
    message = reason(tmp_path)
    assert "which contains 1 " in message
    assert "cut off" not in message
    assert "missing" not in message
    assert "variables licks, speed" in reason(tmp_path / "behaviour.mat")
    assert "an array of shape (3, 4), float64" in reason(tmp_path / "weights.npy")


def test_a_folder_of_tiff_files_that_cannot_be_read(tmp_path):
    for index in range(5):
        (tmp_path / f"{index}.tif").write_text("no TIFF")
    message = reason(tmp_path)
    assert "which contains 5 .tif files. Looked for " in message
    assert "cut off" not in message


@given(name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8))
def test_any_name_has_a_next_step(name, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / f"a.{name}"
    path.write_bytes(b"\x01\x02 no recording")
    message = str(unrecognised(path))
    assert f"{path}" in message
    assert message.endswith(".")


@pytest.mark.parametrize("keeps", [0.3, 0.9])
def test_a_damaged_file_is_explained_as_with_its_format(keeps, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["mov"] = np.zeros((6, 40, 50))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keeps)])
    message = str(unrecognised(path))
    assert message.startswith(f"'{path}' cannot be read as an HDF5 file: ")
    assert "It may be truncated or damaged; copy it again from where it was recorded." in message


def test_a_header_without_its_pixels(tmp_path, recording):
    write_scanbox(tmp_path / "a.sbx", recording.movie.astype(np.uint16))
    (pixels,) = tmp_path.rglob("*.sbx")
    pixels.unlink()
    (header,) = tmp_path.rglob("*.mat")
    for path in (tmp_path, header):
        assert f"there is no '{pixels.name}' with the pixels beside it" in reason(path)


def test_links_to_nothing_and_files_without_permission(tmp_path, monkeypatch):
    for name in ("a.tif", "b.tif", "c.tif", "d.tif"):
        (tmp_path / name).symlink_to(f"../.git/annex/objects/ab/cd/{name}/{name}")
    (tmp_path / "e.xml").write_text("<a/>")
    monkeypatch.setattr(
        sys.modules["nwb_ophys.registry.unrecognised"],
        "is_denied",
        lambda path: path.name == "e.xml",
    )
    message = reason(tmp_path)
    assert "'a.tif', 'b.tif', 'c.tif' and 1 more: a link of DataLad" in message
    assert "'e.xml': the permission to read is missing" in message
