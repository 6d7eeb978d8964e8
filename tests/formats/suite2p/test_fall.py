"""``Fall.mat`` alone: all results of a plane in one MATLAB file, of version 5 or 7.3."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

import nwb_ophys
from nwb_ophys import Suite2pConverter, Suite2pSegmentationInterface
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.suite2p.rois import MendedSuite2pExtractor
from nwb_ophys.registry import detect
from nwb_ophys.rois.model import Rois
from nwb_ophys.testing import simulate_recording, write_suite2p

RECORDING = simulate_recording(num_samples=20, num_cells=5, sampling_frequency=7.5)
CROP = ((1, 45), (1, 60))
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
NAMES = ("F", "Fneu", "spks", "iscell", "redcell", "F_chan2", "Fneu_chan2")
VERSIONS = ("5", "7.3", "7.3 array of structs")


def _store(parent, name, value, file):
    """Write a value as MATLAB does, with the axes reversed and cells as references."""
    if isinstance(value, dict):
        group = parent.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, each in value.items():
            _store(group, key, each, file)
    elif isinstance(value, str):
        codes = np.array([[ord(letter)] for letter in value], np.uint16)
        parent.create_dataset(name, data=codes).attrs["MATLAB_class"] = np.bytes_("char")
    elif isinstance(value, list) and value and isinstance(value[0], (str, dict)):
        cells = parent.create_dataset(name, (len(value), 1), h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
        for index, each in enumerate(value):
            cells[index, 0] = _referred(file, each)
    else:
        array = np.atleast_2d(np.asarray(value, None if np.size(value) else float))
        data = parent.create_dataset(name, data=array.T if array.size else np.array(array.shape))
        if not array.size:
            data.attrs["MATLAB_empty"] = np.uint8(1)
        data.attrs["MATLAB_class"] = np.bytes_("double")


def _referred(file, value):
    refs = file.require_group("#refs#")
    name = f"r{len(refs)}"
    _store(refs, name, value, file)
    return refs[name].ref


def _write_fall(plane, version, **changes):
    """Write Fall.mat from the other files of a plane, and remove these."""
    found = {name: plane / f"{name}.npy" for name in ("ops", "stat", *NAMES)}
    arrays = {
        name: np.load(path, allow_pickle=True) for name, path in found.items() if path.exists()
    }
    ops = {key: item for key, item in arrays.pop("ops").item().items() if item is not None}
    content = {"redcell": np.zeros(2), **arrays, "ops": ops, **changes}
    if version == "5":
        scipy.io.savemat(plane / "Fall.mat", content)
    else:
        with h5py.File(plane / "Fall.mat", "w", userblock_size=512) as file:
            stat = list(content.pop("stat"))
            if version == "7.3":
                _store(file, "stat", stat, file)
            else:
                group = file.create_group("stat")
                group.attrs["MATLAB_class"] = np.bytes_("struct")
                for key in stat[0]:
                    field = group.create_dataset(key, (len(stat), 1), h5py.ref_dtype)
                    for index, roi in enumerate(stat):
                        field[index, 0] = _referred(file, roi[key])
            for name, value in content.items():
                _store(file, name, value, file)
        with (plane / "Fall.mat").open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(116) + bytes(8) + b"\0\2IM")
    for path in plane.glob("*.npy"):
        path.unlink()
    return plane / "Fall.mat"


def _contents(interface):
    rois = Rois.of(interface.extractor)
    return {
        "ids": rois.ids,
        "pixels": [mask.tolist() for mask in interface.extractor.get_roi_pixel_masks()],
        "dtype": interface.extractor.get_ragged_pixels(rois.ids).weights.dtype,
        "traces": {name: np.asarray(data).tolist() for name, data in rois.traces.items()},
        "types": {name: np.dtype(data.dtype) for name, data in rois.traces.items()},
        "images": {
            name: image.tolist() for name, image in interface.extractor.get_images_dict().items()
        },
        "properties": {
            name: (each.values.tolist(), each.description) for name, each in rois.properties.items()
        },
        "accepted": None if rois.accepted is None else rois.accepted.tolist(),
        "shape": interface.extractor.get_frame_shape(),
        "rate": interface.extractor.get_sampling_frequency(),
        "samples": interface.extractor.get_num_samples(),
        "metadata": interface.get_metadata()["Ophys"].to_dict(),
        "files": type(interface).movie_files(interface.source.folder_path),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("second_channel", [False, True])
def test_it_holds_what_the_other_files_hold(tmp_path, version, second_channel):
    flags = [[True, False, True, True, False]]
    folder = write_suite2p(
        tmp_path, RECORDING, second_channel=second_channel, crop=CROP, iscell=flags
    )
    channels = ("chan1", "chan2") if second_channel else ("chan1",)
    expected = [
        _contents(Suite2pSegmentationInterface(folder, channel_name=channel))
        for channel in channels
    ]
    _write_fall(folder / "plane0", version)
    for channel, contents in zip(channels, expected, strict=True):
        found = _contents(Suite2pSegmentationInterface(folder, channel_name=channel))
        assert found.keys() == contents.keys()
        for name, content in contents.items():
            assert found[name] == content, name
    streams = Suite2pSegmentationInterface.streams(folder)
    assert len(streams) == len(channels)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_converted(tmp_path, version, backend):
    folder = write_suite2p(tmp_path, RECORDING)
    path = _write_fall(folder / "plane0", version)
    (candidate,) = detect(tmp_path)
    assert candidate.evidence == "plane0 with Fall.mat"
    nwb_file = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    for given in (tmp_path, folder, folder / "plane0", path):
        assert nwb_ophys.open(given).extractor.get_num_rois() == 5
    Suite2pConverter(folder).run_conversion(nwb_file, metadata=START, backend=backend)
    with nwb_ophys.storage.get_backend(backend).open(nwb_file, "r") as io:
        module = io.read().processing["ophys"]
        series = module["Fluorescence"]["RoiResponseSeries"]
        np.testing.assert_array_equal(series.data[:], RECORDING.fluorescence)
        masks = module["ImageSegmentation"]["PlaneSegmentation"]["image_mask"].data[:]
        np.testing.assert_array_equal(masks, RECORDING.image_masks().swapaxes(1, 2))


def test_the_other_files_come_first(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING)
    plane = folder / "plane0"
    saved = {path.name: path.read_bytes() for path in plane.glob("*.npy")}
    _write_fall(plane, "5", F=np.zeros((5, 20), np.float32))
    for name, content in saved.items():
        (plane / name).write_bytes(content)
    extractor = MendedSuite2pExtractor(folder, "chan1", "plane0")
    np.testing.assert_array_equal(extractor.get_traces_dict()["raw"], RECORDING.fluorescence)


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("count", [0, 1])
def test_few_rois(tmp_path, version, count):
    recording = simulate_recording(num_samples=20, num_cells=count)
    folder = write_suite2p(tmp_path, recording)
    if count == 0 and version == "5":
        _write_fall(folder / "plane0", version, stat=np.zeros((0, 0), object))
    else:
        _write_fall(folder / "plane0", version)
    extractor = MendedSuite2pExtractor(folder, "chan1", "plane0")
    assert extractor.get_num_rois() == count
    assert extractor.get_num_samples() == 20


def test_settings_of_empty_values_and_flags_that_are_absent(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING)
    ops = np.load(folder / "plane0" / "ops.npy", allow_pickle=True).item()
    ops |= {"dx": np.array([]), "io": {"save_mat": True}, "nframes": 3}
    _write_fall(folder / "plane0", "5", ops=ops, iscell=np.array([]), redcell=np.array([]))
    extractor = MendedSuite2pExtractor(folder, "chan1", "plane0")
    assert not {"iscell", "redcell"} & set(extractor.get_property_keys())
    assert extractor.get_num_samples() == 20


def test_a_variable_of_another_shape_is_named(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING)
    path = _write_fall(folder / "plane0", "7.3", Fneu=np.zeros((4, 20)))
    with pytest.raises(CorruptSourceError, match="Fneu has the shape") as caught:
        MendedSuite2pExtractor(folder, "chan1", "plane0")
    assert str(path) in str(caught.value)


def test_a_truncated_file_is_named(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING)
    path = _write_fall(folder / "plane0", "5")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    with pytest.raises(CorruptSourceError, match=r"Fall\.mat"):
        nwb_ophys.open(folder)


def test_a_second_channel_that_does_not_fit_is_left_out_with_a_note(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING, second_channel=True)
    path = _write_fall(folder / "plane0", "5", F_chan2=np.zeros((4, 20)))
    with pytest.warns(UserWarning, match="F_chan2 is of 4 ROIs, F of 5; only the first channel"):
        (source,) = Suite2pSegmentationInterface.streams(folder).values()
    assert source["channel_name"] == "chan1"
    assert path.exists()


def test_a_movie_beside_it(tmp_path):
    folder = write_suite2p(tmp_path, RECORDING, movie=True)
    movie = np.fromfile(folder / "plane0" / "data.bin", "<i2")
    _write_fall(folder / "plane0", "5")
    names = {each.row.name: each.evidence for each in detect(folder)}
    assert names["suite2p-movie"] == "plane0 with Fall.mat and data.bin"
    interface = nwb_ophys.Suite2pImagingInterface(folder)
    np.testing.assert_array_equal(interface.extractor.get_series().ravel(), movie)
    assert interface.extractor.get_shifts().shape == (20, 2)
    assert interface.extractor.get_original_files() == (["recording.tif"], [0])


def test_the_settings_are_read_without_the_traces(tmp_path, monkeypatch):
    folder = write_suite2p(tmp_path, RECORDING)
    _write_fall(folder / "plane0", "5")
    asked = []
    load = scipy.io.loadmat
    monkeypatch.setattr(
        scipy.io, "loadmat", lambda *args, **opts: asked.append(opts) or load(*args, **opts)
    )
    assert Suite2pSegmentationInterface.movie_files(folder) == ["recording.tif"]
    assert [list(each["variable_names"]) for each in asked] == [["ops"]]


def test_flags_that_are_absent_of_a_single_roi(tmp_path):
    """Fault: Suite2p's zeros in their place were read as the flags of the ROI."""
    recording = simulate_recording(num_samples=12, num_cells=1)
    folder = write_suite2p(tmp_path, recording, iscell=[[False]])
    _write_fall(folder / "plane0", "5")
    extractor = Suite2pSegmentationInterface(folder).extractor
    assert extractor.get_property("iscell", [0]).tolist() == [0]
    assert "redcell" not in extractor.get_property_keys()
