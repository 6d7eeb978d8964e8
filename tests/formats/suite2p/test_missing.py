"""Files and planes that a folder of Suite2p lacks, and folders of which one file is given."""

from __future__ import annotations

import io
import pathlib
import pickle
import re
import shutil
import warnings

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import Suite2pImagingInterface, Suite2pSegmentationInterface
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.paths import PathProbe
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import write_suite2p


@pytest.fixture
def folder(tmp_path):
    """Three planes of one recording."""
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12))
    for index in (1, 2):
        shutil.copytree(folder / "plane0", folder / f"plane{index}")
    return folder


def _notes(path, **options) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path, **options)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("name", ["F.npy", "Fneu.npy", "spks.npy", "iscell.npy"])
def test_a_file_that_the_other_planes_have(name, folder):
    (folder / "plane1" / name).unlink()
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder}': plane1 lacks {name}. The conversion goes on without")
    assert _notes(folder, plane_name="plane2") == []
    assert _notes(folder / "plane2") == []
    assert len(_notes(folder, plane_name="plane1")) == 1
    assert len(_notes(folder / "plane1")) == 1


def test_a_file_that_no_plane_has(folder):
    for plane in folder.glob("plane?"):
        (plane / "spks.npy").unlink()
    assert _notes(folder) == []
    for plane in folder.glob("plane?"):
        (plane / "F.npy").unlink()
    (note,) = _notes(folder)
    assert "plane0 lacks F.npy; plane1 lacks F.npy; plane2 lacks F.npy." in note


def test_a_plane_without_a_folder(folder):
    shutil.rmtree(folder / "plane1")
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder}' has no folder plane1, although")


def test_a_plane_without_its_rois(folder):
    (folder / "plane1" / "stat.npy").unlink()
    (note,) = _notes(folder)
    assert f"'{folder}' also has plane1, but without ops.npy and stat.npy" in note


@pytest.mark.parametrize("name", ["F.npy", "stat.npy", "ops.npy", "iscell.npy", "spks.npy"])
def test_the_folder_that_a_file_belongs_to(name, folder):
    file = folder / "plane1" / name
    assert Suite2pSegmentationInterface.recording_of(PathProbe(file)) == folder
    assert Suite2pImagingInterface.recording_of(PathProbe(file)) is None  # it has no movie
    given = nwb_ophys.open(file)
    assert set(given.interfaces) == set(nwb_ophys.open(folder).interfaces)


def test_the_folder_of_a_movie(folder):
    np.zeros(4, "<i2").tofile(folder / "plane0" / "data.bin")
    probe = PathProbe(folder / "plane0" / "ops.npy")
    assert Suite2pImagingInterface.recording_of(probe) == folder


def test_paths_that_are_their_own_recording(folder, tmp_path):
    (tmp_path / "F.npy").write_bytes((folder / "plane0" / "F.npy").read_bytes())
    (folder / "plane0" / "notes.npy").write_bytes(b"")
    for path in (folder, folder / "plane1", tmp_path / "F.npy", folder / "plane0" / "notes.npy"):
        assert Suite2pSegmentationInterface.recording_of(PathProbe(path)) is None


# --- folders that were refused ------------------------------------------------------------------


def _edit_ops(folder, **changes):
    path = folder / "plane0" / "ops.npy"
    np.save(path, {**np.load(path, allow_pickle=True).item(), **changes})
    return path


def test_the_traces_state_the_number_of_frames(folder):
    """Fault: ops.npy of a former run, with another number of frames, made F.npy damaged."""
    _edit_ops(folder, nframes=7)
    rois = Suite2pSegmentationInterface(folder, plane_name="plane0")
    traces = np.load(folder / "plane0" / "F.npy")
    np.testing.assert_array_equal(rois.extractor.get_traces_dict()["raw"], traces.T)
    np.save(folder / "plane0" / "spks.npy", np.load(folder / "plane0" / "spks.npy")[:, :-1])
    with pytest.raises(CorruptSourceError, match=r"F.npy' has the shape"):
        Suite2pSegmentationInterface(folder, plane_name="plane0")


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
def test_a_path_of_another_operating_system(module, folder):
    """Fault: ops.npy of Windows could not be unpickled elsewhere."""
    path = _edit_ops(folder, save_path0=pathlib.PurePosixPath("data/m1"))
    buffer = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(buffer, header)
    content = np.array(np.load(path, allow_pickle=True).item(), object)
    text = pickle.dumps(content, protocol=2)
    found = re.search(rb"cpathlib(\._local)?\nPurePosixPath\n", text)
    buffer.write(text.replace(found[0], f"c{module}\nWindowsPath\n".encode()))
    path.write_bytes(buffer.getvalue())
    ops = Suite2pSegmentationInterface(folder, plane_name="plane0").extractor.options
    assert ops["save_path0"] == "data\\m1"


def test_the_parts_of_ops(folder):
    """Fault: Suite2p 1.0 and later writes ops.npy on request only; without it was no plane."""
    plane = folder / "plane0"
    ops = np.load(plane / "ops.npy", allow_pickle=True).item()
    settings = {"fs": ops.pop("fs")}
    images = {name: ops.pop(name) for name in ("Vcorr", "max_proj") if name in ops}
    for name, content in (("settings", settings), ("detect_outputs", images), ("db", ops)):
        np.save(plane / f"{name}.npy", content)
    whole = Suite2pSegmentationInterface(folder, plane_name="plane0").extractor
    (plane / "ops.npy").unlink()
    extractor = Suite2pSegmentationInterface(folder, plane_name="plane0").extractor
    assert extractor.get_sampling_frequency() == whole.get_sampling_frequency()
    np.testing.assert_array_equal(
        extractor.get_traces_dict()["raw"], whole.get_traces_dict()["raw"]
    )
    assert set(extractor.get_images_dict()) == set(whole.get_images_dict())
    assert _notes(folder) == []
    (plane / "settings.npy").unlink()
    assert "also has plane0, but without ops.npy" in _notes(folder)[0]


def test_a_second_channel_of_former_rois(tmp_path):
    """Fault: the folder was refused after ROIs were merged in Suite2p's window."""
    recording = simulate_recording(num_samples=12)
    folder = write_suite2p(tmp_path, recording, second_channel=True)
    path = folder / "plane0" / "F_chan2.npy"
    traces = np.load(path)
    np.save(path, traces[:-1])
    (note,) = _notes(folder)
    count = len(traces)
    assert note.startswith(f"'{path}' is of {count - 1} ROIs, F.npy of {count}; only the first")
    assert len(nwb_ophys.open(folder, channel_name="chan1").extractor.get_roi_ids()) == count
    with pytest.raises(CorruptSourceError, match=r"F_chan2.npy' has the shape"):
        nwb_ophys.open(folder, channel_name="chan2")


@pytest.mark.parametrize("name", ["F_chan2", "Fneu_chan2"])
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda a: a[1:], "is of 5 ROIs, F.npy of 6"),
        (lambda a: a[:, 2:], "of 10 frames, F.npy of 12"),
    ],
)
def test_a_second_channel_of_another_length(name, edit, words, tmp_path):
    recording = simulate_recording(num_samples=12)
    folder = write_suite2p(tmp_path, recording, second_channel=True)
    path = folder / "plane0" / f"{name}.npy"
    np.save(path, edit(np.load(path)))
    (note,) = _notes(folder)
    assert note.startswith(f"'{path}' is of ")
    assert words in note


@pytest.mark.parametrize("key", ["filelist", "file_list"])
def test_the_movie_that_suite2p_read(key, folder, tmp_path):
    """Fault: all TIFF files beside the analysis were joined, or none was chosen."""
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    ops.pop("filelist", None)
    np.save(path, {**ops, key: [r"D:\day1\b_1.tif", "/data/b_2.tif"]})
    assert Suite2pSegmentationInterface.movie_files(folder) == ["b_1.tif", "b_2.tif"]
    assert Suite2pSegmentationInterface.movie_files(folder.parent) == ["b_1.tif", "b_2.tif"]
    path.write_bytes(b"damaged")
    assert Suite2pSegmentationInterface.movie_files(folder) == ()


# --- flags, numbers of frames, and names of folders ---------------------------------------------


@pytest.mark.parametrize("name", ["iscell", "redcell"])
@pytest.mark.parametrize("edit", [lambda a: a[:, 0], lambda a: a[:, :1], lambda a: a[:, 0] > 0])
def test_flags_of_one_column(name, edit, tmp_path):
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12), second_channel=True)
    path = folder / "plane0" / f"{name}.npy"
    flags = np.load(path)
    np.save(path, edit(flags))
    extractor = Suite2pSegmentationInterface(folder).extractor
    ids = extractor.get_roi_ids()
    assert extractor.get_property(name, ids).astype(int).tolist() == flags[:, 0].tolist()
    assert f"{name}_probability" not in extractor.get_property_keys()


@pytest.mark.parametrize("name", ["iscell", "redcell"])
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda a: a[:-1], "has 5 flags for 6 ROIs; it is left out."),
        (lambda a: np.vstack([a, a]), "has 12 flags for 6 ROIs; it is left out."),
        (lambda a: a[:0], "has 0 flags for 6 ROIs; it is left out."),
        (lambda a: a[:, 1:], "has values other than 0 and 1 in its first column"),
    ],
)
def test_flags_that_do_not_fit_are_left_out_with_a_note(name, edit, words, tmp_path):
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12), second_channel=True)
    path = folder / "plane0" / f"{name}.npy"
    np.save(path, edit(np.load(path)))
    with pytest.warns(UserWarning, match=words) as notes:
        extractor = Suite2pSegmentationInterface(folder).extractor
    assert f"'{path}'" in str(notes[0].message)
    assert name not in extractor.get_property_keys()
    assert extractor.get_num_rois() == 6


def test_without_nframes_the_traces_are_counted(folder):
    path = folder / "plane0" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    del ops["nframes"]
    np.save(path, ops)
    open_plane = lambda: Suite2pSegmentationInterface(folder, plane_name="plane0")  # noqa: E731
    assert open_plane().extractor.get_num_samples() == 12
    for name in ("Fneu", "spks"):
        (folder / "plane0" / f"{name}.npy").unlink()
    assert open_plane().extractor.get_num_samples() == 12
    (folder / "plane0" / "F.npy").unlink()
    with pytest.raises(CorruptSourceError, match=r"ops.npy lacks nframes, and there are no traces"):
        open_plane()


def test_one_trace_states_the_number_of_frames_too(folder):
    _edit_ops(folder, nframes=7)
    for name in ("Fneu", "spks"):
        (folder / "plane0" / f"{name}.npy").unlink()
    extractor = Suite2pSegmentationInterface(folder, plane_name="plane0").extractor
    assert extractor.get_num_samples() == 12


@pytest.mark.parametrize("name", ["plane0_backup", "results", "suite2p", "plane"])
def test_a_plane_of_another_name_is_read_by_its_path(name, folder, tmp_path):
    plane = tmp_path / "elsewhere" / name
    shutil.copytree(folder / "plane0", plane)
    for given in (plane, plane / "F.npy"):
        extractor = nwb_ophys.open(given).extractor
        np.testing.assert_array_equal(
            extractor.get_traces_dict()["raw"], np.load(plane / "F.npy").T
        )
    rois = Suite2pSegmentationInterface(plane)
    assert rois.extractor.plane_name == name
    assert rois.part() == ""


def test_a_plane_of_another_name_beside_planes(folder):
    shutil.copytree(folder / "plane0", folder / "plane0_backup")
    np.save(folder / "plane0_backup" / "F.npy", np.load(folder / "plane0" / "F.npy") + 1)
    (note,) = _notes(folder)
    assert note == (
        f"'{folder}' also has ROIs in plane0_backup, whose names are not plane0, plane1, …; they "
        "are left out. Give the path of such a folder to convert it."
    )
    assert _notes(folder / "plane0_backup") == []
    for rois in (
        nwb_ophys.open(folder / "plane0_backup"),
        nwb_ophys.open(folder, plane_name="plane0_backup"),
        Suite2pSegmentationInterface(folder, plane_name="plane0_backup"),
    ):
        raw = rois.extractor.get_traces_dict()["raw"]
        np.testing.assert_array_equal(raw, np.load(folder / "plane0" / "F.npy").T + 1)


def test_channels_of_a_plane_of_another_name(tmp_path):
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12), second_channel=True)
    plane = (folder / "plane0").rename(tmp_path / "mine")
    streams = Suite2pSegmentationInterface.streams(plane)
    assert len(streams) == 2
    parts = [Suite2pSegmentationInterface(**source).part() for source in streams.values()]
    assert parts == ["chan1", "chan2"]


def test_the_combined_view_is_read_only_without_its_planes(folder):
    combined = folder / "combined"
    shutil.copytree(folder / "plane0", combined)
    assert Suite2pSegmentationInterface.matches(combined) is None
    words = Suite2pSegmentationInterface.refusal(PathProbe(combined))
    assert "is Suite2p's view of all planes in one image; give the folder" in words
    for index in range(3):
        shutil.rmtree(folder / f"plane{index}")
    (note,) = _notes(combined)
    assert "is Suite2p's view of all planes in one image" in note
    with pytest.warns(UserWarning, match="view of all planes"):
        assert nwb_ophys.open(combined).extractor.get_num_rois() == 6


def test_the_neuropil_that_no_plane_has(folder):
    for plane in folder.glob("plane?"):
        (plane / "Fneu.npy").unlink()
    (note,) = _notes(folder)
    assert "plane0 lacks Fneu.npy; plane1 lacks Fneu.npy; plane2 lacks Fneu.npy." in note


@pytest.mark.parametrize(
    ("settings", "is_missed"),
    [
        ({"spikedetect": True}, True),
        ({"spikedetect": False}, False),
        ({"run": {"do_deconvolution": True}}, True),
        ({"run": {"do_deconvolution": False}}, False),
    ],
)
def test_spikes_that_the_settings_state(folder, settings, is_missed):
    for plane in folder.glob("plane?"):
        ops = np.load(plane / "ops.npy", allow_pickle=True).item()
        np.save(plane / "ops.npy", {**ops, **settings})
        (plane / "spks.npy").unlink()
    notes = [note for note in _notes(folder) if "spks.npy" in note]
    assert len(notes) == is_missed


@pytest.mark.parametrize(
    ("settings", "are_zeros", "is_read"),
    [
        ({"spikedetect": False}, True, False),
        ({"run": {"do_deconvolution": False}}, True, False),
        ({"spikedetect": False}, False, True),
        ({"spikedetect": True}, True, True),
    ],
)
def test_zeros_in_place_of_spikes(folder, settings, are_zeros, is_read):
    """Suite2p writes zeros to spks.npy where it is set not to deconvolve."""
    plane = folder / "plane0"
    ops = np.load(plane / "ops.npy", allow_pickle=True).item()
    np.save(plane / "ops.npy", {**ops, **settings})
    np.save(plane / "spks.npy", np.load(plane / "spks.npy") * (not are_zeros))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        interface = Suite2pSegmentationInterface(folder, plane_name="plane0")
    found = interface.extractor.get_traces_dict()["deconvolved"]
    assert (found is not None) == is_read
    assert [str(each.message) for each in caught if "holds zeros only" in str(each.message)] == [
        f"'{plane / 'spks.npy'}' holds zeros only, which Suite2p writes where it was set not to "
        "deconvolve (spikedetect, do_deconvolution); the deconvolved traces are left out."
    ] * (not is_read)


def test_flags_of_a_second_channel_that_are_none(folder):
    """Suite2p 1.0 saves None to redcell.npy of a recording with one channel."""
    np.save(folder / "plane0" / "redcell.npy", np.array(None), allow_pickle=True)
    interface = Suite2pSegmentationInterface(folder, plane_name="plane0")
    assert "redcell" not in interface.extractor.get_property_keys()


def test_images_that_are_empty_lists_are_absent(folder):
    ops = np.load(folder / "plane0" / "ops.npy", allow_pickle=True).item()
    np.save(folder / "plane0" / "ops.npy", {**ops, "max_proj": [], "Vcorr": np.array([])})
    interface = Suite2pSegmentationInterface(folder, plane_name="plane0")
    assert list(interface.extractor.get_images_dict()) == ["mean", "enhanced"]


def test_the_last_plane_that_the_settings_count(folder):
    for plane in folder.glob("plane?"):
        ops = np.load(plane / "ops.npy", allow_pickle=True).item()
        np.save(plane / "ops.npy", {**ops, "nplanes": 3})
    shutil.rmtree(folder / "plane2")
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder}' has no folder plane2, although")


def test_parts_of_the_settings_with_the_images(folder):
    for plane in folder.glob("plane?"):
        ops = np.load(plane / "ops.npy", allow_pickle=True).item()
        np.save(plane / "db.npy", ops)
        np.save(plane / "settings.npy", {"run": {"do_registration": 1}})
        (plane / "ops.npy").unlink()
    (note,) = _notes(folder)
    assert "plane0 lacks reg_outputs.npy, detect_outputs.npy; plane1 lacks reg_" in note


def test_movies_before_registration_are_named(folder):
    (folder / "plane0" / "data_raw.bin").write_bytes(b"")
    (folder / "plane2" / "reg_tif").mkdir()
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder}' also has plane0/data_raw.bin, plane2/reg_tif: movies")
    assert _notes(folder, plane_name="plane1") == []
    (folder / "plane2" / "data.bin").write_bytes(b"")  # reg_tif has the same frames
    notes = _notes(folder, plane_name="plane2", registered_movie=False)
    assert not any("reg_tif" in note for note in notes)


def test_bad_frames_are_named(folder):
    path = folder / "plane1" / "ops.npy"
    ops = np.load(path, allow_pickle=True).item()
    marks = np.isin(np.arange(12), (2, 7))
    np.save(path, {**ops, "badframes": marks}, allow_pickle=True)
    (note,) = _notes(folder)
    assert note.startswith(f"'{folder / 'plane1'}' has 2 frames that its settings mark as bad")
    assert note.endswith("the marks are left out. Frames from 0: 2, 7.")


def test_a_plane_without_rois_is_not_damaged(tmp_path):
    folder = write_suite2p(tmp_path, simulate_recording(num_samples=12))
    for path in (folder / "plane0").glob("*.npy"):
        if path.name != "ops.npy":
            np.save(path, np.load(path, allow_pickle=True)[:0], allow_pickle=True)
    (note,) = _notes(folder)
    assert note.endswith("has 0 ROIs; its table has no rows.")


def test_arrays_and_values_that_another_program_added(folder):
    """Fault: they were left out without a word."""
    np.save(folder / "plane1" / "dff.npy", np.zeros(3))
    stat = np.load(folder / "plane0" / "stat.npy", allow_pickle=True)
    for roi in stat:
        roi["layer"] = 2
    np.save(folder / "plane0" / "stat.npy", stat)
    notes = _notes(folder)
    assert any(f"'{folder}' also has 'plane1/dff.npy', which is not read" in each for each in notes)
    assert any("stat.npy': 'layer' of its ROIs are not written by" in each for each in notes)
    assert len(notes) == 2
