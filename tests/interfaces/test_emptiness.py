"""Movies without frames are refused; segmentations without ROIs or samples come with a note."""

from __future__ import annotations

import re
import warnings

import attrs
import h5py
import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import Hdf5ImagingInterface, NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.errors import SourceError, UnknownFormatError
from nwb_ophys.registry import detect
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import write_caiman, write_inscopix_cells, write_nwb, write_sima


@pytest.mark.parametrize("shape", [(0, 8, 6), (0, 8, 6, 2), (5, 0, 6), (5, 8, 6, 0)])
def test_a_movie_without_values(tmp_path, shape):
    np.save(tmp_path / "movie.npy", np.zeros(shape, "uint16"))
    with pytest.raises(SourceError) as raised:
        NumpyImagingInterface(tmp_path / "movie.npy", sampling_frequency=10.0)
    lacks = "no frames" if shape[0] == 0 else "frames without pixels"
    assert f"movie.npy' has {lacks}: its shape is {shape}, (frames, rows, columns" in str(
        raised.value
    )


def test_an_array_in_memory_without_frames():
    with pytest.raises(SourceError, match="The movie of NumpyImagingInterface has no frames"):
        NumpyImagingInterface(np.zeros((0, 8, 6)), sampling_frequency=10.0)


def test_a_series_of_an_nwb_file_without_frames(tmp_path):
    file = write_nwb(tmp_path / "empty.nwb", np.zeros((0, 8, 6), "uint16"))
    with pytest.raises(UnknownFormatError, match=r"has no pixels \(shape \(0, 6, 8\)\)"):
        nwb_ophys.open(file)


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(num_samples=6, num_rows=32, num_columns=32, num_cells=2)


def _without(recording, rois: slice, samples: slice):
    names = ("fluorescence", "neuropil", "calcium", "spikes")
    traces = {name: getattr(recording, name)[samples, rois] for name in names}
    return attrs.evolve(recording, pixel_masks=recording.pixel_masks[rois], **traces)


def _notes(path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.hdf5", write_caiman),
        ("a.isxd", write_inscopix_cells),
        ("a.sima", write_sima),
    ],
)
def test_a_segmentation_without_rois(tmp_path, recording, name, write):
    path = write(tmp_path / name, _without(recording, slice(0), slice(None)))
    (note,) = [note for note in _notes(path) if "0 ROIs" in note]
    assert f"{name}'" in note
    assert note.endswith("has 0 ROIs; its table has no rows.")


@pytest.mark.parametrize(("name", "write"), [("a.sima", write_sima)])
def test_traces_without_samples(tmp_path, recording, name, write):
    path = write(tmp_path / name, _without(recording, slice(None), slice(0)))
    (note,) = [note for note in _notes(path) if "0 samples" in note]
    assert f"{name}'" in note
    assert "0 samples and are not written, for 2 ROIs: 'raw', 'deconvolved'" in note


def test_arrays_of_masks_and_traces():
    with pytest.warns(UserWarning, match="NumpySegmentationInterface has 0 ROIs"):
        NumpySegmentationInterface(image_masks=np.zeros((4, 3, 0)), sampling_frequency=1.0)
    with pytest.warns(UserWarning, match="have 0 samples and are not written, for 2 ROIs: 'dff'"):
        NumpySegmentationInterface(
            image_masks=np.ones((4, 3, 2)), dff=np.zeros((0, 2)), sampling_frequency=1.0
        )


@pytest.mark.parametrize("shape", [(0, 8, 6), (0, 3, 8, 6), (5, 0, 6)])
@pytest.mark.parametrize("ending", ["npy", "h5"])
def test_a_file_of_an_empty_movie_is_refused_with_its_shape(tmp_path, shape, ending):
    """Fault: no format recognised the file, without a word about the axis of 0."""
    path = tmp_path / f"movie.{ending}"
    if ending == "npy":
        np.save(path, np.zeros(shape, "uint16"))
    else:
        with h5py.File(path, "w") as file:
            file["mov"] = np.zeros(shape, "uint16")
    reason = re.escape(f"has the shape {shape}: an axis of 0, so it has no ")
    with pytest.raises(UnknownFormatError, match=reason):
        nwb_ophys.open(path)
    with (
        pytest.warns(UserWarning, match="No format with this ending"),
        pytest.raises(UnknownFormatError, match=reason),
    ):
        nwb_ophys.open(tmp_path)
    if ending == "h5":
        with pytest.raises(SourceError, match=reason):
            Hdf5ImagingInterface(path, sampling_frequency=10.0)


def test_an_empty_movie_beside_a_recording_is_named(tmp_path):
    np.save(tmp_path / "empty.npy", np.zeros((0, 8, 6)))
    np.save(tmp_path / "movie.npy", np.zeros((5, 8, 6)))
    with pytest.warns(UserWarning, match=r"'.*empty\.npy': empty, cut off"):
        assert [each.path.name for each in detect(tmp_path)] == ["movie.npy"]
