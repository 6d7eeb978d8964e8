"""Tests of SIMA's folders, written by Python 2 and 3, and of errors that name the damage.

SIMA does not run on a Python of today, and there is no real recording with ROIs; the folders are
written as SIMA 1.3 pickles them.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pynwb import NWBHDF5IO, validate
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, lil_matrix

from nwb_ophys import SimaSegmentationInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    UnknownFormatError,
)
from nwb_ophys.formats.sima.folder import SimaFolder
from nwb_ophys.formats.sima.pickles import load_sima_pickle
from nwb_ophys.formats.sima.reader import SimaExtractor
from nwb_ophys.formats.sima.sample import dump_sima_pickle, write_sample
from nwb_ophys.opening import open_recording
from nwb_ophys.paths import PathProbe
from nwb_ophys.testing import simulate_recording, write_sima

RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=20.0)
ARGUMENTS = ("channel_name", "signals_label", "roi_label", "sequence")


def _write(folder: Path, **options):
    return write_sima(folder / "recording.sima", RECORDING, **options)


def _open(folder: Path, **chosen) -> SimaExtractor:
    sima = SimaFolder(folder)
    return SimaExtractor(sima, sima.choose(**dict.fromkeys(ARGUMENTS) | chosen), 20.0)


def _edit(path: Path, change) -> None:
    content = pickle.loads(path.read_bytes())
    changed = change(content)
    path.write_bytes(pickle.dumps(content if changed is None else changed))


# --- what was written -------------------------------------------------------------------------


@pytest.mark.parametrize("python2", [True, False])
def test_rois_and_signals_are_those_that_were_written(tmp_path, python2):
    extractor = _open(_write(tmp_path, python2=python2))
    assert extractor.get_roi_ids() == [0, 1, 2, 3, 4]
    assert (extractor.get_num_samples(), extractor.get_sampling_frequency()) == (20, 20.0)
    assert extractor.get_frame_shape() == RECORDING.field_shape
    traces = extractor.get_traces_dict()
    np.testing.assert_array_equal(traces["raw"], RECORDING.fluorescence)
    np.testing.assert_array_equal(traces["deconvolved"], RECORDING.spikes)
    np.testing.assert_array_equal(traces["denoised"], RECORDING.calcium.astype("float32"))
    images = np.moveaxis(extractor.get_roi_image_masks([4, 1]), -1, 0)
    np.testing.assert_array_equal(images, RECORDING.image_masks()[[4, 1]])
    (pixels,) = extractor.get_roi_pixel_masks([2])
    assert sorted(map(tuple, pixels)) == sorted(map(tuple, RECORDING.pixel_masks[2]))
    np.testing.assert_array_equal(extractor.get_images_dict()["mean"], RECORDING.mean_image())
    names = extractor.get_property("sima_id", [3, 0])
    assert list(names) == ["cell3", "cell0"]
    assert list(extractor.get_property("sima_tags", [0, 1])) == ["bright, left", ""]
    assert "sima_label" not in extractor.get_property_keys()


def test_a_volume(tmp_path):
    recording = simulate_recording(num_samples=6, num_cells=4, num_planes=3)
    extractor = _open(write_sima(tmp_path, recording))
    assert extractor.get_frame_shape() == recording.field_shape
    images = np.moveaxis(extractor.get_roi_image_masks(), -1, 0)
    np.testing.assert_array_equal(images, recording.image_masks())
    assert sorted(extractor.get_images_dict()) == ["mean_plane0", "mean_plane1", "mean_plane2"]


def test_no_file_of_the_users_is_changed(tmp_path):
    """Fault of roiextractors: it replaces each pickle and leaves a copy of the old one."""
    folder = _write(tmp_path, python2=True)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
        rois = SimaSegmentationInterface(folder, sampling_frequency=20.0)
        rois.run_conversion(tmp_path / "x.nwb", metadata=start)
    finally:
        folder.chmod(0o755)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert after == before


def test_nothing_but_numpy_is_imported(tmp_path):
    folder = _write(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from nwb_ophys.formats import SimaSegmentationInterface\n"
        f"print(SimaSegmentationInterface.matches(Path({str(folder)!r})))\n"
        "assert not {'sima', 'dill', 'scipy', 'roiextractors'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == (
        "dataset.pkl with SIMA's channel_names, and rois.pkl and signals_0.pkl"
    ), done.stderr


@pytest.mark.parametrize("python2", [True, False])
@pytest.mark.parametrize("kind", [lil_matrix, csr_matrix, csc_matrix, coo_matrix])
def test_sparse_matrices_of_every_kind(tmp_path, kind, python2):
    dense = np.zeros((5, 7), dtype="float32")
    dense[[1, 4, 2], [6, 0, 3]] = [0.25, 0.5, 1]
    path = tmp_path / "mask.pkl"
    path.write_bytes(dump_sima_pickle(kind(dense), python2=python2))
    state = load_sima_pickle(path)
    row, column, weight = state.pixels()
    found = np.zeros(state.shape, dtype=weight.dtype)
    found[row, column] = weight
    np.testing.assert_array_equal(found, dense)
    assert weight.dtype == np.float32


# --- polygons ---------------------------------------------------------------------------------


def test_polygons_cover_the_pixels_whose_centres_they_hold(tmp_path):
    """The example in the documentation of SIMA's poly2mask, and one in which x is not y."""
    example = [[[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]], [[0, 1], [0, 2], [2, 2], [2, 1]]]
    bar = [[[10, 3, 0], [10, 5, 0], [17, 5, 0], [17, 3, 0]]]
    folder = _write(tmp_path, polygons={0: example, 3: bar})
    masks = _open(folder).get_roi_image_masks([0, 3, 1])
    assert np.argwhere(masks[..., 0]).tolist() == [[0, 0], [1, 0], [1, 1]]
    expected = np.zeros(RECORDING.field_shape)
    expected[3:5, 10:17] = 1
    np.testing.assert_array_equal(masks[..., 1], expected)
    np.testing.assert_array_equal(masks[..., 2], RECORDING.image_masks()[1])


def test_centres_on_the_edge_of_a_polygon_are_outside_it(tmp_path):
    square = [[[10.5, 3.5, 0], [10.5, 5.5, 0], [13.5, 5.5, 0], [13.5, 3.5, 0]]]
    mask = _open(_write(tmp_path, polygons={0: square})).get_roi_image_masks([0])[..., 0]
    assert np.argwhere(mask).tolist() == [[4, 11], [4, 12]]


def test_masks_that_are_true_or_false_weigh_one(tmp_path):
    folder = _write(tmp_path)

    def make_boolean(signals):
        for roi in signals["auto_ROIs"]["rois"]:
            roi["mask"] = [plane.astype(bool) for plane in roi["mask"]]

    _edit(folder / "signals_0.pkl", make_boolean)
    masks = np.moveaxis(_open(folder).get_roi_image_masks(), -1, 0)
    np.testing.assert_array_equal(masks, RECORDING.image_masks() > 0)
    assert masks.dtype == np.float32


def test_slanted_polygons_against_another_rule(tmp_path):
    outlines = pytest.importorskip("matplotlib.path")

    random = np.random.default_rng(1)
    angles = np.sort(random.uniform(0, 2 * np.pi, 9))
    radii = random.uniform(6, 20, 9)
    corners = np.column_stack([32 + radii * np.cos(angles), 24 + radii * np.sin(angles)])
    for outline in (corners, corners[::-1]):
        mask = _open(_write(tmp_path, polygons={2: [outline]})).get_roi_image_masks([2])[..., 0]
        rows, columns = np.indices(RECORDING.field_shape)
        centres = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
        expected = outlines.Path(np.vstack([corners, corners[:1]]), closed=True).contains_points(
            centres
        )
        np.testing.assert_array_equal(mask.ravel() > 0, expected)
        assert mask.sum() > 100


def test_polygons_in_planes(tmp_path):
    recording = simulate_recording(num_samples=4, num_cells=2, num_planes=3)
    square = [[[4, 2, 2], [4, 4, 2], [6, 4, 2], [6, 2, 2]]]
    mask = _open(write_sima(tmp_path, recording, polygons={1: square})).get_roi_image_masks([1])
    assert {tuple(place) for place in np.argwhere(mask[..., 0])} == {
        (row, column, 2) for row in (2, 3) for column in (4, 5)
    }


def test_pixels_outside_the_field_are_told_of(tmp_path):
    folder = _write(tmp_path)

    def shrink(dataset):
        dataset["frame_shape"] = (1, 30, 40, 1)

    _edit(folder / "dataset.pkl", shrink)
    (folder / "time_averages.pkl").unlink()

    def drop_the_mean(signals):
        del signals["auto_ROIs"]["mean_frame"]

    _edit(folder / "signals_0.pkl", drop_the_mean)
    inside = RECORDING.image_masks()[:, :30, :40]
    outside = np.count_nonzero(RECORDING.image_masks()) - np.count_nonzero(inside)
    assert outside > 0
    with pytest.warns(UserWarning, match=f"{outside} pixels of ROIs lie outside the field"):
        extractor = _open(folder)
    np.testing.assert_array_equal(np.moveaxis(extractor.get_roi_image_masks(), -1, 0), inside)


# --- channels, labels, sequences --------------------------------------------------------------


def test_fault_signals_are_rois_by_frames(tmp_path):
    """roiextractors takes raw, (ROIs, frames), for (frames, ROIs): 20 ROIs of 5 frames here."""
    extractor = _open(_write(tmp_path))
    assert extractor.get_num_rois() == 5
    assert extractor.get_traces_dict()["raw"].shape == (20, 5)


def test_fault_every_channel_is_a_stream(tmp_path):
    folder = _write(tmp_path, channel_names=("red", "green"))
    streams = SimaSegmentationInterface.streams(folder, sampling_frequency=20.0)
    assert list(streams) == ["red", "green"]
    with pytest.raises(SourceArgumentError, match=r"several.*channel_name='red'.*'green'"):
        SimaSegmentationInterface(folder)
    for factor, name in ((1, "red"), (2, "green")):
        rois = SimaSegmentationInterface(**streams[name])
        np.testing.assert_array_equal(
            rois.extractor.get_traces_dict()["raw"], factor * RECORDING.fluorescence
        )
        image = rois.extractor.get_images_dict()["mean"]
        np.testing.assert_array_equal(image, factor * RECORDING.mean_image())
        assert rois.part() == name
    with pytest.raises(SourceArgumentError, match="none of what was asked for"):
        SimaSegmentationInterface(folder, channel_name="blue")


def test_fault_every_sequence_is_a_stream(tmp_path):
    folder = _write(tmp_path, num_sequences=3)
    streams = SimaSegmentationInterface.streams(folder, sampling_frequency=20.0)
    assert list(streams) == ["sequence0", "sequence1", "sequence2"]
    parts = []
    for arguments in streams.values():
        with pytest.warns(UserWarning, match="has 3 sequences, but does not state when each began"):
            parts.append(SimaSegmentationInterface(**arguments).extractor.get_traces_dict()["raw"])
    assert [len(part) for part in parts] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(parts), RECORDING.fluorescence)


def test_fault_signals_have_the_rois_that_they_were_extracted_of(tmp_path):
    """ROIs of which nothing was extracted, or that were changed since, are a part of their own."""
    folder = _write(tmp_path)
    _edit(
        folder / "rois.pkl",
        lambda sets: sets | {"by hand": {"rois": sets["auto_ROIs"]["rois"][:2], "timestamp": "x"}},
    )
    streams = SimaSegmentationInterface.streams(folder, sampling_frequency=20.0)
    assert list(streams) == ["GCaMP auto_ROIs", "by hand"]
    drawn = SimaSegmentationInterface(**streams["by hand"])
    assert drawn.extractor.get_num_rois() == 2
    assert drawn.extractor.get_num_samples() == 0
    metadata = drawn.get_metadata()
    (cells,) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    assert cells["description"] == "ROIs 'by hand' of SIMA."


def test_rois_without_signals(tmp_path):
    folder = _write(tmp_path, with_signals=False)
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    SimaSegmentationInterface(folder).run_conversion(tmp_path / "x.nwb", metadata=start)
    with NWBHDF5IO(tmp_path / "x.nwb", "r") as io:
        table = io.read().processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        masks = table["image_mask"][:].swapaxes(1, 2)
        np.testing.assert_array_equal(masks, RECORDING.image_masks())
        assert list(table["sima_id"][:]) == [f"cell{index}" for index in range(5)]


@pytest.mark.parametrize("python2", [True, False])
def test_the_whole_conversion_on_the_command_line(tmp_path, python2):
    folder = _write(tmp_path, channel_names=("red", "green"), python2=python2)
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    arguments = ["convert", str(folder), "-o", str(tmp_path / "x.nwb"), "--set", start]
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--option", "sampling_frequency=20"])
    assert exit_.value.code == 0
    assert validate(path=str(tmp_path / "x.nwb")) == []
    with NWBHDF5IO(tmp_path / "x.nwb", "r") as io:
        ophys = io.read().processing["ophys"]
        for factor, name in ((1, "Red"), (2, "Green")):
            table = ophys["ImageSegmentation"][f"PlaneSegmentation{name}"]
            masks = table["image_mask"][:].swapaxes(1, 2)
            np.testing.assert_array_equal(masks, RECORDING.image_masks())
            series = ophys["Fluorescence"][f"RoiResponseSeries{name}"]
            np.testing.assert_array_equal(series.data[:], factor * RECORDING.fluorescence)
            assert series.rate == 20.0
            assert series.rois.table is table


# --- what must not be run, and what is damaged -----------------------------------------------


class _Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class _Evaluated:
    def __reduce__(self):
        return (eval, ("1 + 1",))


class _Codec:
    def __reduce__(self):
        import codecs

        return (codecs.encode, ("x", "rot13"))


@pytest.mark.parametrize("file", ["dataset.pkl", "rois.pkl", "signals_0.pkl", "time_averages.pkl"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_no_code_of_a_pickle_is_run(tmp_path, file, protocol):
    """Fault of roiextractors: whatever a pickle names is called."""
    folder = _write(tmp_path)
    trace = tmp_path / "harmed"
    (folder / file).write_bytes(pickle.dumps(_Harm(trace), protocol))
    with pytest.raises(CorruptSourceError, match=f"{file}' names '.*which is not plain data"):
        SimaSegmentationInterface(folder)
    assert not trace.exists()


@pytest.mark.parametrize("harm", [_Evaluated(), _Codec(), Path.touch, getattr])
def test_functions_are_refused(tmp_path, harm):
    (tmp_path / "rois.pkl").write_bytes(pickle.dumps(harm))
    with pytest.raises(CorruptSourceError):
        load_sima_pickle(tmp_path / "rois.pkl")


@pytest.mark.parametrize("protocol", [0, 5])
def test_a_pickle_cannot_change_functions(tmp_path, protocol):
    """The state of what a pickle makes is set as attributes: of a function, its defaults."""
    function, *_ = (np.zeros(1) if protocol else object.__new__(_Plain)).__reduce_ex__(protocol)
    before = function.__defaults__
    name = f"{function.__module__}\n{function.__name__}\n"
    text = f"c{name}N}}X\x0c\x00\x00\x00__defaults__K\x07\x85s\x86b."
    (tmp_path / "rois.pkl").write_bytes(b"\x80\x02" + text.encode("latin1"))
    assert load_sima_pickle(tmp_path / "rois.pkl").__defaults__ == (7,)
    assert function.__defaults__ == before


class _Plain:
    pass


def test_classes_of_sima_do_nothing(tmp_path):
    """Datasets of SIMA 0.x name classes in dataset.pkl."""
    path = tmp_path / "dataset.pkl"
    path.write_bytes(b"\x80\x02}q\x01(U\titerables]csima.iterables\nMultiPageTIFF\nau.")
    assert list(load_sima_pickle(path)) == ["iterables"]


def test_texts_of_the_package_future(tmp_path):
    path = tmp_path / "dataset.pkl"
    path.write_bytes(b"\x80\x02cfuture.types.newstr\nnewstr\nX\x03\x00\x00\x00red\x85\x81}b.")
    with pytest.raises(CorruptSourceError):  # a text takes no state
        load_sima_pickle(path)
    path.write_bytes(b"\x80\x02cfuture.types.newstr\nnewstr\nX\x03\x00\x00\x00red\x85\x81.")
    assert load_sima_pickle(path) == "red"


@pytest.mark.parametrize("file", ["dataset.pkl", "rois.pkl", "signals_0.pkl"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_files_that_are_cut_off(tmp_path, file, share):
    path = _write(tmp_path) / file
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CorruptSourceError, match=f"{file}' cannot be read"):
        SimaSegmentationInterface(path.parent)


def _drop_a_roi(signals):
    signals["auto_ROIs"]["rois"].pop()


def _empty(roi):
    roi["mask"] = None


DAMAGES = {
    "dataset.pkl": (lambda _: [1], "holds list, not a dictionary"),
    "signals_0.pkl": (_drop_a_roi, r"shape \(5, 20\); with 4 ROIs it must be \(4, 20\)"),
    "rois.pkl": (lambda sets: _empty(sets["auto_ROIs"]["rois"][1]), "ROI 1 cannot be read"),
    "time_averages.pkl": (
        lambda _: np.zeros((1, 4, 4, 1)),
        r"mean image has the shape \(1, 4, 4\)",
    ),
}


@pytest.mark.parametrize("file", DAMAGES)
def test_what_does_not_fit_is_named(tmp_path, file):
    folder = _write(tmp_path)
    change, message = DAMAGES[file]
    _edit(folder / file, change)
    if file == "signals_0.pkl":
        (folder / "rois.pkl").unlink()
    with pytest.raises(CorruptSourceError, match=message):
        SimaSegmentationInterface(folder)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": "x" * 300_000}, protocol=2).replace(b"xxxxx", b"xxx\xffx", 1),
        b"c__builtin__" + b"y" * 300_000 + b"\xff\n.",
    ],
)
def test_errors_of_damaged_pickles_are_short(tmp_path, content):
    """Fault: the message repeated the whole text in which Python had found the damage."""
    path = tmp_path / "dataset.pkl"
    path.write_bytes(content)
    with pytest.raises(CorruptSourceError, match="cannot be read as a pickle") as caught:
        load_sima_pickle(path)
    assert len(str(caught.value)) < 500


def test_folders_without_rois(tmp_path):
    folder = _write(tmp_path, with_signals=False)
    (folder / "rois.pkl").unlink()
    assert SimaSegmentationInterface.matches(folder) is None
    with pytest.raises(CorruptSourceError, match="has no ROIs"):
        SimaSegmentationInterface(folder)
    (folder / "dataset.pkl").unlink()
    with pytest.raises(CorruptSourceError, match=r"no dataset\.pkl"):
        SimaSegmentationInterface(folder)


@pytest.mark.parametrize("content", [None, b"", bytes(50)])
def test_a_folder_whose_dataset_is_absent_or_damaged(tmp_path, content):
    """Fault: a damaged dataset.pkl was called absent."""
    folder = _write(tmp_path)
    (folder / "dataset.pkl").unlink()
    if content is not None:
        (folder / "dataset.pkl").write_bytes(content)
    words = "no dataset.pkl" if content is None else "its dataset.pkl is damaged"
    with pytest.raises(UnknownFormatError, match=words):
        open_recording([folder])


def test_an_unknown_roi(tmp_path):
    with pytest.raises(SourceError, match=r"no ROIs \[7\]; there are 5"):
        _open(_write(tmp_path)).get_roi_image_masks([7])


def test_the_field_is_what_the_rois_state_where_the_dataset_does_not(tmp_path):
    folder = _write(tmp_path)
    _edit(folder / "dataset.pkl", _without_frame_shape)
    assert _open(folder).get_frame_shape() == RECORDING.field_shape
    for file in ("rois.pkl", "signals_0.pkl"):
        _edit(folder / file, _without_shapes)
    assert _open(folder).get_frame_shape() == RECORDING.field_shape


def _without_shapes(content):
    for roi in content["auto_ROIs"]["rois"]:
        roi["im_shape"] = None


def _without_frame_shape(dataset):
    del dataset["frame_shape"]


def test_the_folder_that_a_pickle_belongs_to(tmp_path):
    folder = _write(tmp_path)
    for file in folder.glob("*.pkl"):
        assert SimaSegmentationInterface.recording_of(PathProbe(file)) == folder
        given = open_recording([file], options={"sampling_frequency": 30.0}).converter
        assert given.interfaces
    assert SimaSegmentationInterface.recording_of(PathProbe(folder)) is None
    (folder / "dataset.pkl").unlink()
    for file in folder.glob("*.pkl"):
        assert SimaSegmentationInterface.recording_of(PathProbe(file)) is None


def test_signals_of_fewer_sequences(tmp_path):
    folder = _write(tmp_path, num_sequences=3)

    def shorten(signals):
        for entry in signals.values():
            entry["raw"] = entry["raw"][:2]

    _edit(folder / "signals_0.pkl", shorten)
    words = "has 3 sequences, but signals 'auto_ROIs' in signals_0.pkl of 2. Those of the other"
    with pytest.warns(UserWarning, match=words):
        assert len(SimaSegmentationInterface.streams(folder)) == 2


def test_signals_that_are_lost(tmp_path):
    folder = write_sample(tmp_path, simulate_recording(num_samples=12))["folder_path"]
    assert SimaSegmentationInterface.parts(folder)
    shutil.move(folder / "signals_0.pkl", folder / "signals_1.pkl")
    with pytest.warns(UserWarning, match=r"has no signals_0\.pkl, which SIMA normally writes"):
        SimaSegmentationInterface.parts(folder)
    (folder / "signals_1.pkl").unlink()
    with pytest.warns(UserWarning, match=r"has no signals_0\.pkl, which SIMA normally writes"):
        SimaSegmentationInterface.parts(folder)


def test_signals_whose_name_is_damaged_are_named(tmp_path):
    folder = write_sample(tmp_path, simulate_recording(num_samples=12))["folder_path"]
    path = folder / "signals_0.pkl"
    path.write_bytes(path.read_bytes().replace(b"spikes_fits", b"spikes_fitz"))
    with pytest.warns(UserWarning, match="signals under names .*'spikes_fitz' under"):
        SimaSegmentationInterface.parts(folder)
