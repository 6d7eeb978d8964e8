"""Tests of Minian's output against the written data, and of errors that name the damage."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest
import zarr
from roiextractors import MinianSegmentationExtractor

import nwb_ophys
from nwb_ophys import MinianSegmentationInterface
from nwb_ophys.errors import CorruptSourceError, SourceError, UnknownFormatError
from nwb_ophys.formats.minian import reader as module
from nwb_ophys.formats.minian.reader import MinianExtractor
from nwb_ophys.formats.minian.sample import write_zarr_array
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_minian

RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=20.0)
IDS = [3, 4, 9, 12, 40]
TRACES = {"C": "denoised", "S": "deconvolved", "b0": "baseline", "c0": "c0"}


def _write(folder: Path, **options):
    return write_minian(folder / "minian", RECORDING, **options)


def _values(folder: Path, store: str, name: str | None = None) -> np.ndarray:
    return zarr.open(str(folder / f"{store}.zarr"), mode="r")[name or store][...]


def _of_roiextractors(folder: Path, **options):
    """roiextractors' own reader, which asks for a group that Minian does not write, and warns."""
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MinianSegmentationExtractor(folder, **options)


# --- what was written -------------------------------------------------------------------------


def test_units_and_traces_are_those_that_were_written(tmp_path):
    extractor = MinianExtractor(_write(tmp_path, unit_ids=IDS))
    assert extractor.get_roi_ids() == IDS
    assert (extractor.get_num_rois(), extractor.get_num_samples()) == (5, 20)
    assert extractor.get_frame_shape() == RECORDING.field_shape
    traces = extractor.get_traces_dict()
    np.testing.assert_array_equal(np.asarray(traces["denoised"]), RECORDING.calcium)
    np.testing.assert_array_equal(np.asarray(traces["deconvolved"]), RECORDING.spikes)
    np.testing.assert_array_equal(traces["denoised"][3:7, [1, 0]], RECORDING.calcium[3:7, [1, 0]])
    np.testing.assert_array_equal(traces["denoised"][4], RECORDING.calcium[4])
    assert traces["denoised"][5:5].shape == (0, 5)
    images = np.moveaxis(extractor.get_roi_image_masks([40, 4]), -1, 0)
    np.testing.assert_array_equal(images, RECORDING.image_masks()[[4, 1]])
    (pixels,) = extractor.get_roi_pixel_masks([9])
    assert sorted(map(tuple, pixels)) == sorted(map(tuple, RECORDING.pixel_masks[2]))
    np.testing.assert_array_equal(
        extractor.get_images_dict()["maximum_projection"], RECORDING.maximum_image()
    )


def test_footprints_are_pixels_found_a_block_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    extractor = MinianExtractor(_write(tmp_path, unit_ids=IDS))
    masks = attrs.evolve(Rois.of(extractor), ids=[12, 3]).images
    assert masks.is_sparse
    assert masks.dtype == np.float64
    expected = RECORDING.image_masks()[[3, 0]].swapaxes(1, 2)
    np.testing.assert_array_equal(masks.block([slice(None)] * 3), expected)


def test_neither_footprints_nor_traces_are_read_on_opening(tmp_path):
    folder = _write(tmp_path)
    for store in ("A", *TRACES, "b"):
        for chunk in (folder / f"{store}.zarr" / store).iterdir():
            if not chunk.name.startswith("."):
                chunk.write_bytes(b"cut off")
    extractor = MinianExtractor(folder)
    with pytest.raises(CorruptSourceError, match=r"C\.zarr.*damaged"):
        extractor.get_traces_dict()["denoised"][:]
    with pytest.raises(CorruptSourceError, match=r"A\.zarr.*damaged"):
        extractor.get_roi_image_masks()


def test_a_recording_without_units(tmp_path):
    recording = simulate_recording(num_samples=8, num_cells=0)
    extractor = MinianExtractor(write_minian(tmp_path, recording))
    assert extractor.get_roi_ids() == []
    assert extractor.get_roi_image_masks().shape == (*recording.field_shape, 0)


# --- faults of roiextractors' reader ----------------------------------------------------------


def test_fault_masks_of_units_whose_labels_have_gaps_are_not_found(tmp_path):
    folder = _write(tmp_path, unit_ids=IDS)
    theirs = _of_roiextractors(folder)
    assert list(theirs.get_roi_ids()) == IDS
    with pytest.raises(KeyError):
        theirs.get_roi_image_masks([40])
    np.testing.assert_array_equal(
        MinianExtractor(folder).get_roi_image_masks([40])[..., 0], RECORDING.image_masks()[4]
    )


def test_fault_traces_are_taken_in_the_order_of_the_file(tmp_path):
    folder = _write(tmp_path, unit_ids=IDS)
    write_zarr_array(folder / "C.zarr/unit_id", np.array(IDS[::-1]), [5], ["unit_id"])
    theirs = np.asarray(_of_roiextractors(folder).get_traces_dict()["denoised"])
    np.testing.assert_array_equal(theirs, RECORDING.calcium)
    ours = MinianExtractor(folder).get_traces_dict()
    np.testing.assert_array_equal(np.asarray(ours["denoised"]), RECORDING.calcium[:, ::-1])
    np.testing.assert_array_equal(np.asarray(ours["deconvolved"]), RECORDING.spikes)


def test_fault_the_backgrounds_trace_goes_to_the_cell_where_there_is_one(tmp_path):
    recording = simulate_recording(num_samples=8, num_cells=1)
    folder = write_minian(tmp_path / "minian", recording)
    assert _of_roiextractors(folder)._roi_responses[2].roi_ids == [0]
    extractor = MinianExtractor(folder)
    (response,) = [r for r in extractor._roi_responses if r.response_type == "background"]
    assert response.roi_ids == extractor.get_background_ids() == ["background0"]


def test_fault_a_rate_without_a_table_of_timestamps(tmp_path):
    folder = _write(tmp_path, with_timestamps=False)
    theirs = _of_roiextractors(folder, sampling_frequency=20.0)
    with pytest.raises(FileNotFoundError):
        theirs.get_timestamps()
    extractor = MinianExtractor(folder, sampling_frequency=20.0)
    assert extractor.get_sampling_frequency() == 20.0
    assert not extractor.has_time_vector()
    np.testing.assert_allclose(extractor.get_timestamps(), np.arange(20) / 20)


def test_fault_a_folder_as_minian_writes_it_has_no_group_at_its_root(tmp_path):
    folder = _write(tmp_path)
    assert not (folder / ".zgroup").exists()
    with pytest.raises(Exception, match="nothing found"):
        MinianSegmentationExtractor(folder)
    MinianExtractor(folder)


def test_fault_a_folder_without_background_is_refused(tmp_path):
    folder = _write(tmp_path, with_background=False)
    with pytest.raises(ValueError, match="background"):
        _of_roiextractors(folder)
    extractor = MinianExtractor(folder)
    assert extractor.get_background_ids() == []
    assert extractor.get_background_image_masks().shape == (*RECORDING.field_shape, 0)


def test_fault_frames_without_a_timestamp_are_dropped(tmp_path):
    folder = _write(tmp_path)
    table = folder / "timeStamps.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:6] + lines[9:]))
    assert len(_of_roiextractors(folder).get_native_timestamps()) == 17
    with pytest.raises(
        CorruptSourceError, match="lacks those of 3 of 20 frames, the first of them frame"
    ):
        MinianExtractor(folder)
    with pytest.warns(UserWarning, match="rate of 20 Hz is used instead"):
        extractor = MinianExtractor(folder, sampling_frequency=20.0)
    assert extractor.get_native_timestamps() is None


def test_fault_timestamps_are_in_the_order_of_the_table(tmp_path):
    folder = _write(tmp_path)
    table = folder / "timeStamps.csv"
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([first, *rows[::-1]]))
    assert _of_roiextractors(folder).get_native_timestamps()[0] == pytest.approx(0.95)
    np.testing.assert_allclose(MinianExtractor(folder).get_timestamps(), np.arange(20) / 20)


def test_fault_the_initial_decay_is_left_out(tmp_path):
    folder = _write(tmp_path)
    assert "c0" not in _of_roiextractors(folder).get_traces_dict()
    found = MinianExtractor(folder).get_traces_dict()["c0"]
    np.testing.assert_array_equal(np.asarray(found), _values(folder, "c0").T)


# --- times ------------------------------------------------------------------------------------


def test_times_are_those_of_the_frames_that_were_kept(tmp_path):
    folder = _write(tmp_path, first_frame=7, frame_step=3)
    extractor = MinianExtractor(folder)
    period = 1 / 20.0 / 3
    expected = (7 + 3 * np.arange(20)) * period
    np.testing.assert_allclose(extractor.get_timestamps(), expected, atol=6e-4)
    assert extractor.get_sampling_frequency() is None
    np.testing.assert_array_equal(
        extractor.get_native_timestamps(2, 5), extractor.get_timestamps()[2:5]
    )


def test_the_table_is_found_in_the_folder_of_the_recording(tmp_path):
    folder = _write(tmp_path)
    times = MinianExtractor(folder).get_timestamps()
    shutil.move(folder / "timeStamps.csv", tmp_path / "timeStamps.csv")
    np.testing.assert_array_equal(MinianExtractor(folder).get_timestamps(), times)
    shutil.move(tmp_path / "timeStamps.csv", tmp_path / "elsewhere.csv")
    with pytest.raises(SourceError, match=r"no timeStamps\.csv.*sampling_frequency"):
        MinianExtractor(folder)
    found = MinianExtractor(folder, timestamps_path=tmp_path / "elsewhere.csv").get_timestamps()
    np.testing.assert_array_equal(found, times)


def test_a_rate_that_contradicts_the_table_is_told_of(tmp_path):
    folder = _write(tmp_path)
    with pytest.warns(UserWarning, match="is 30 Hz, but .* states 20 Hz"):
        MinianExtractor(folder, sampling_frequency=30.0)
    MinianExtractor(folder, sampling_frequency=20.1)


def test_frames_left_out_unevenly_take_their_times_with_them(tmp_path):
    folder = _write(tmp_path, with_timestamps=False)
    frames = np.delete(np.arange(21), 4)
    for store in (*TRACES, "f"):
        write_zarr_array(folder / f"{store}.zarr/frame", frames, [20], ["frame"])
    with pytest.warns(UserWarning, match="something else at 1 of 19 steps"):
        extractor = MinianExtractor(folder, sampling_frequency=20.0)
    np.testing.assert_allclose(extractor.get_timestamps(), frames / 20)


def test_a_later_first_frame_has_its_time_without_a_table_too(tmp_path):
    folder = _write(tmp_path, first_frame=7, frame_step=3, with_timestamps=False)
    with pytest.warns(UserWarning, match="Minian analysed its movie from frame 7; times"):
        extractor = MinianExtractor(folder, sampling_frequency=20.0)
    np.testing.assert_allclose(extractor.get_timestamps(), (7 / 3 + np.arange(20)) / 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a complete table of timestamps"),
        ("Frame Number,Time Stamp (ms)\n0,0\n1,fifty\n", "not a complete table of timestamps"),
        ("camNum\tframeNum\tsysClock\n0\t1\t3\n", "'Frame Number' and 'Time Stamp"),
        ("Frame Number,Time Stamp (ms)\n0,0\n0,50\n", "2 rows, but only 1 different"),
        ("Frame Number,Time Stamp (ms)\n0,0\n1,50\n", "has 2 times, but lacks those of 18 of 20"),
    ],
)
def test_a_damaged_table(tmp_path, text, message):
    folder = _write(tmp_path)
    (folder / "timeStamps.csv").write_text(text)
    with pytest.raises(CorruptSourceError, match=message):
        MinianExtractor(folder)


# --- what is missing or damaged ---------------------------------------------------------------


def test_a_background_without_trace_or_footprint(tmp_path):
    folder = _write(tmp_path)
    shutil.move(folder / "f.zarr", tmp_path / "f.zarr")
    extractor = MinianExtractor(folder)
    assert extractor.get_background_ids() == ["background0"]
    assert extractor.get_traces_dict()["background"] is None
    footprint = extractor.get_background_image_masks()[..., 0]
    np.testing.assert_array_equal(footprint, _values(folder, "b"))
    shutil.move(tmp_path / "f.zarr", folder / "f.zarr")
    shutil.rmtree(folder / "b.zarr")
    with pytest.warns(UserWarning, match=r"no b\.zarr"):
        extractor = MinianExtractor(folder)
    assert not extractor.get_background_image_masks().any()
    trace = extractor.get_traces_dict()["background"]
    np.testing.assert_array_equal(trace[:, 0], _values(folder, "f"))


def _edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


DAMAGES = {
    "no A": (lambda f: shutil.rmtree(f / "A.zarr"), r"no A\.zarr"),
    "A without array": (lambda f: shutil.rmtree(f / "A.zarr/A"), "has no array 'A'"),
    "no traces": (
        lambda f: [shutil.rmtree(f / f"{name}.zarr") for name in TRACES],
        r"no traces in C\.zarr or S\.zarr",
    ),
    "other axes": (
        lambda f: _edit(f / "C.zarr/C/.zattrs", _ARRAY_DIMENSIONS=["frame", "width"]),
        "must be frame, unit_id",
    ),
    "header": (lambda f: (f / "C.zarr/C/.zarray").write_text("{"), "cannot be opened"),
    "labels cut off": (
        lambda f: (f / "A.zarr/unit_id/0").write_bytes(b"\0" * 9),
        r"unit_id' cannot be read",
    ),
    "labels missing": (lambda f: (f / "A.zarr/unit_id/0").unlink(), "each must have its own"),
    "other units": (
        lambda f: write_zarr_array(
            f / "S.zarr/unit_id", np.array([3, 4, 9, 12, 41]), [5], ["unit_id"]
        ),
        r"S\.zarr' has 5 units, A\.zarr 5; in one of them only are the unit_id \[40, 41\]",
    ),
    "other frames": (
        lambda f: write_zarr_array(f / "S.zarr/frame", 1 + np.arange(20), [20], ["frame"]),
        "other frames",
    ),
    "fewer frames": (
        lambda f: write_zarr_array(f / "f.zarr/f", np.ones(19), [19], ["frame"]),
        r"f\.zarr' has 19 samples, but its coordinate 'frame' has 20 values",
    ),
    "fewer samples": (
        lambda f: [
            shutil.rmtree(f / "f.zarr/frame"),
            write_zarr_array(f / "f.zarr/f", np.ones(19), [19], ["frame"]),
        ],
        r"f\.zarr' has 19 samples, the other traces 20",
    ),
    "frames twice": (
        lambda f: write_zarr_array(f / "C.zarr/frame", np.arange(20) // 2, [20], ["frame"]),
        "10 of them different",
    ),
    "other field": (
        lambda f: write_zarr_array(f / "b.zarr/b", np.ones((4, 5)), [4, 5], ["height", "width"]),
        r"b\.zarr' is of \(4, 5\) pixels",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damages_are_named(tmp_path, damage):
    folder = _write(tmp_path, unit_ids=IDS)
    destroy, message = DAMAGES[damage]
    destroy(folder)
    with pytest.raises(CorruptSourceError, match=message):
        MinianSegmentationInterface(folder)


def test_missing_chunks_of_footprints_are_told_of(tmp_path):
    folder = _write(tmp_path)
    for chunk in (folder / "A.zarr/A").glob("2.*"):
        chunk.unlink()
    extractor = MinianExtractor(folder)
    with pytest.warns(UserWarning, match=r"1 of 5 units .*unit_id \[2\].* 4 of its 20 chunks"):
        extractor.get_roi_image_masks()


def test_a_part_of_a_footprint_is_missed_if_zeros_are_stored(tmp_path):
    """Fault: a unit that lost one of its chunks lost the pixels in it without a note."""
    folder = _write(tmp_path, unit_ids=IDS)
    chunks = sorted((folder / "A.zarr/A").glob("2.*"))
    filled = [c for c in chunks if zarr.open(folder / "A.zarr", "r")["A"].blocks[_of(c)].any()]
    assert len(chunks) > len(filled)
    next(chunk for chunk in chunks if chunk not in filled).unlink()
    with pytest.warns(UserWarning, match=r"some chunks of 1 units \(unit_id \[9\]\), although"):
        MinianExtractor(folder).get_roi_image_masks()


def test_footprints_of_a_writer_that_leaves_out_zeros(tmp_path):
    folder = _write(tmp_path)
    expected = MinianExtractor(folder).get_roi_image_masks()
    stored = zarr.open(folder / "A.zarr", "r")["A"]
    empty = [c for c in (folder / "A.zarr/A").glob("[0-9]*") if not stored.blocks[_of(c)].any()]
    for chunk in empty:
        chunk.unlink()
    assert empty
    np.testing.assert_array_equal(MinianExtractor(folder).get_roi_image_masks(), expected)


def _of(chunk: Path) -> tuple[int, ...]:
    return tuple(map(int, chunk.name.split(".")))


def test_absent_chunks_of_footprints_are_not_weights_of_nan(tmp_path):
    """Fault: masks were of NaN where xarray had set its fill value of real numbers."""
    folder = _write(tmp_path, unit_ids=IDS)
    header = folder / "A.zarr/A/.zarray"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"fill_value": "NaN"}))
    (folder / "A.zarr/A/2.0.0").unlink()
    with pytest.raises(
        CorruptSourceError, match=r"not numbers in 1 units \(unit_id \[9\]\), and 1 of"
    ):
        MinianExtractor(folder).get_roi_image_masks()


def test_a_file_of_an_old_version_is_refused_with_the_way_to_convert_it(tmp_path):
    with h5py.File(tmp_path / "minian.nc", "w") as file:
        file["A"], file["C"], file["unit_id"] = np.zeros((2, 4, 5)), np.zeros((2, 9)), [0, 1]
    with pytest.raises(UnknownFormatError, match=r"Minian before 1.0 .* its backend zarr"):
        nwb_ophys.open(tmp_path / "minian.nc")


@pytest.mark.parametrize("name", ["b", "max_proj", "C"])
def test_a_missing_chunk_is_not_read_as_zeros(tmp_path, name):
    """Fault: traces and the background's footprint were zeros, at best with a note."""
    folder = _write(tmp_path)
    (folder / f"{name}.zarr/{name}/0.0").unlink()
    with pytest.raises(CorruptSourceError, match=rf"{name}\.zarr/{name}' lacks 1 of 1 chunks"):
        MinianExtractor(folder)


@pytest.mark.parametrize("content", [b"", b'{"_ARRAY', b"\xff\xff"])
def test_damaged_attributes_are_named(tmp_path, content):
    """Fault: a traceback that named neither the file nor what to do."""
    folder = _write(tmp_path)
    (folder / "C.zarr/C/.zattrs").write_bytes(content)
    with pytest.raises(CorruptSourceError, match=r"The attributes of '.*C\.zarr/C' cannot be read"):
        MinianExtractor(folder)


def test_an_unknown_unit(tmp_path):
    extractor = MinianExtractor(_write(tmp_path, unit_ids=IDS))
    with pytest.raises(SourceError, match=r"no units \[0\]; unit_id are \[3, 4, 9, 12, 40\]"):
        extractor.get_roi_image_masks([0])


def test_axes_are_taken_by_their_names(tmp_path):
    folder = _write(tmp_path)
    write_zarr_array(folder / "C.zarr/C", RECORDING.calcium, [7, 2], ["frame", "unit_id"])
    (folder / "C.zarr/C/.zattrs").write_text('{"_ARRAY_DIMENSIONS": ["frame", "unit_id"]}')
    found = MinianExtractor(folder).get_traces_dict()["denoised"]
    np.testing.assert_array_equal(np.asarray(found), RECORDING.calcium)
    (folder / "S.zarr/S/.zattrs").unlink()  # without names they are as Minian saves them
    found = MinianExtractor(folder).get_traces_dict()["deconvolved"]
    np.testing.assert_array_equal(np.asarray(found), RECORDING.spikes)


# --- metadata and detection -------------------------------------------------------------------


def test_metadata_that_the_files_state(tmp_path):
    metadata = MinianSegmentationInterface(_write(tmp_path)).get_metadata()
    assert metadata["NWBFile"]["session_id"] == "m7-4"
    assert metadata["Subject"] == {"subject_id": "m7"}
    (cells, _) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    assert cells["description"] == "Units that Minian found."
    decay = metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]["c0"]
    assert decay["name"] == "InitialDecay"


def test_where_a_cropped_field_lies_is_stated(tmp_path):
    metadata = MinianSegmentationInterface(_write(tmp_path, first_pixel=(12, 0))).get_metadata()
    (cells, _) = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    assert cells["description"].endswith("The field covers rows 12 to 59 of the recorded movie.")


def test_evidence(tmp_path):
    folder = _write(tmp_path)
    evidence = MinianSegmentationInterface.matches(folder)
    assert evidence == "A.zarr with footprints of 5 units in 48 x 64 pixels, and C.zarr and S.zarr"
    assert MinianSegmentationInterface.matches(folder / "A.zarr") is None
    (folder / "A.zarr/A/.zarray").write_text("{}")
    assert MinianSegmentationInterface.matches(folder) is None
    with pytest.raises(ValueError, match="one plane"):
        write_minian(tmp_path / "volume", simulate_recording(num_samples=2, num_planes=2))
