"""The note on objects of an NWB file that are not copied."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pynwb import TimeSeries
from pynwb.base import Images
from pynwb.behavior import SpatialSeries
from pynwb.image import GrayscaleImage, RGBImage
from pynwb.testing.mock.file import mock_NWBFile
from pynwb.testing.mock.ophys import (
    mock_ImagingPlane,
    mock_PlaneSegmentation,
    mock_RoiResponseSeries,
    mock_TwoPhotonSeries,
)

import nwb_ophys
from nwb_ophys.storage import get_backend


def _add_trials(nwbfile):
    nwbfile.add_trial(start_time=0.0, stop_time=1.0)


def _add_epochs(nwbfile):
    nwbfile.add_epoch(start_time=0.0, stop_time=1.0, tags=["rest"])


def _add_units(nwbfile):
    nwbfile.add_unit(spike_times=[0.1, 0.2])


def _series(name, kind=TimeSeries, **others):
    return kind(name=name, data=np.zeros(3), rate=10.0, **{"unit": "V", **others})


def _add_voltage(nwbfile):
    nwbfile.add_acquisition(_series("Voltage"))


def _add_stimulus(nwbfile):
    nwbfile.add_stimulus(_series("Gratings"))


def _add_behaviour(nwbfile):
    module = nwbfile.create_processing_module("behavior", "of the animal")
    module.add(_series("Position", SpatialSeries, unit="m", reference_frame="arena"))


def _add_electrodes(nwbfile):
    device = nwbfile.create_device("probe")
    group = nwbfile.create_electrode_group("shank", "one", "V1", device)
    nwbfile.add_electrode(location="V1", group=group)


def _write(path, backend, add=(), ophys=("movie",)):
    nwbfile = mock_NWBFile()
    plane = mock_ImagingPlane(nwbfile=nwbfile)
    if "movie" in ophys:
        data = np.zeros((5, 8, 9), "u2")
        mock_TwoPhotonSeries(nwbfile=nwbfile, name="Movie", imaging_plane=plane, data=data)
    if "rois" in ophys:
        table = mock_PlaneSegmentation(
            nwbfile=nwbfile, imaging_plane=plane, name="PlaneSegmentation"
        )
        mock_RoiResponseSeries(nwbfile=nwbfile, plane_segmentation=table)
    for each in add:
        each(nwbfile)
    with get_backend(backend).open(path, "w") as io:
        io.write(nwbfile)
    return path


def _notes(path, **options) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path, **options)
    return [str(each.message) for each in caught if "also contains" in str(each.message)]


@pytest.mark.parametrize("ophys", [("movie",), ("rois",), ("movie", "rois")])
@pytest.mark.parametrize(
    ("add", "name"),
    [
        (_add_trials, "intervals/trials"),
        (_add_epochs, "intervals/epochs"),
        (_add_units, "units"),
        (_add_voltage, "acquisition/Voltage"),
        (_add_stimulus, "stimulus/presentation/Gratings"),
        (_add_behaviour, "processing/behavior/Position"),
        (_add_electrodes, "electrodes"),
    ],
)
def test_each_kind_is_named_once(add, name, ophys, tmp_path):
    path = _write(tmp_path / "a.nwb", "hdf5", [add], ophys)
    (note,) = _notes(path)
    assert note == (
        f"'{path}' also contains {name}. Only movies, ROIs, session and subject are copied; add "
        "the others to the new file with pynwb."
    )


def test_all_are_in_one_note(backend, tmp_path):
    add = [_add_trials, _add_units, _add_voltage, _add_behaviour]
    (note,) = _notes(_write(tmp_path / "a.nwb", backend, add, ("movie", "rois")))
    names = ("acquisition/Voltage", "processing/behavior/Position", "intervals/trials", "units")
    assert f"also contains {', '.join(names)}. Only" in note


def test_many_are_counted(tmp_path):
    def add(nwbfile):
        for index in range(12):
            nwbfile.add_acquisition(_series(f"Lick{index:02}"))

    (note,) = _notes(_write(tmp_path / "a.nwb", "hdf5", [add]))
    assert "acquisition/Lick07 and 4 more. Only" in note


def _add_images(nwbfile):
    images = [GrayscaleImage(name="mean", data=np.zeros((10, 10)))]
    images += [RGBImage(name="both", data=np.zeros((10, 10, 3)))]
    module = nwbfile.processing.get("ophys") or nwbfile.create_processing_module("ophys", "of it")
    module.add(Images(name="Summary", images=images))


def _add_table(nwbfile):
    plane = mock_ImagingPlane(nwbfile=nwbfile)
    mock_PlaneSegmentation(nwbfile=nwbfile, imaging_plane=plane, name="Second")


@pytest.mark.parametrize(
    ("add", "ophys", "named"),
    [
        ([_add_images], ("rois",), ["processing/ophys/Summary/both"]),
        ([_add_images], ("movie",), ["processing/ophys/Summary"]),
        (
            [_add_table, _add_images],
            ("rois",),
            ["processing/ophys/Summary/both", "the images 'Summary/mean', which are not stated to"],
        ),
    ],
    ids=["in colour", "without ROIs", "of either plane"],
)
def test_images_that_no_segmentation_has_are_named(add, ophys, named, tmp_path):
    notes = _notes(_write(tmp_path / "a.nwb", "hdf5", add, ophys))
    assert len(notes) == len(named)
    assert all(f"also contains {each}" in note for each, note in zip(named, notes, strict=True))


def test_images_of_another_table_than_the_chosen_one_are_named(backend, tmp_path):
    """Fault: they were left out without a word."""
    path = _write(tmp_path / "a.nwb", backend, [_add_table, _add_images], ("rois",))
    first, second = (part.arguments["plane_segmentation_name"] for part in _parts(path))
    with pytest.warns(UserWarning, match=f"Summary/mean. These images.* table '{first}', and are"):
        _parts(path, plane_segmentation_name=second)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*These images")
        _parts(path, plane_segmentation_name=first)


def _parts(path, **given):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Only movies, ROIs")
        return nwb_ophys.NwbSegmentationInterface.parts(path, **given)


@pytest.mark.parametrize("ophys", [("movie",), ("rois",), ("movie", "rois")])
def test_nothing_is_said_of_what_is_copied(ophys, backend, tmp_path):
    assert _notes(_write(tmp_path / "a.nwb", backend, (), ophys)) == []


def test_numbers_of_the_samples_are_named(backend, tmp_path):
    def add(nwbfile):
        plane = mock_ImagingPlane(nwbfile=nwbfile)
        mock_TwoPhotonSeries(
            nwbfile=nwbfile,
            name="Marked",
            imaging_plane=plane,
            data=np.zeros((5, 8, 9), "u2"),
            control=np.arange(5, dtype="u1"),
            control_description=list("abcde"),
        )

    (note,) = _notes(_write(tmp_path / "a.nwb", backend, [add]))
    assert "also contains acquisition/Marked/control. Only" in note


def test_reference_images_of_a_table_are_named(backend, tmp_path):
    """Fault: they were left out without a word."""

    def add(nwbfile):
        table = nwbfile.processing["ophys"]["PlaneSegmentation"]
        plane, data = table.imaging_plane, np.zeros((5, 8, 9), "u2")
        inner = mock_TwoPhotonSeries(name="Inner", imaging_plane=plane, data=data)
        table.reference_images = [nwbfile.acquisition["Movie"], inner]

    path = _write(tmp_path / "a.nwb", backend, [add], ("movie", "rois"))
    with pytest.warns(UserWarning, match="reference images") as caught:
        nwb_ophys.open(path)
    (note,) = [str(each.message) for each in caught if "reference images" in str(each.message)]
    assert note == (
        f"'PlaneSegmentation' of '{path}' holds the reference images 'PlaneSegmentation/Inner', "
        "which are left out, and names the reference images 'Movie', which its copy does not. Add "
        "them to the new table with pynwb."
    )
