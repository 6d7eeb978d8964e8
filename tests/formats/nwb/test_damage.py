"""NWB files that lack what they list."""

from __future__ import annotations

import json
import shutil
import uuid
import warnings
from pathlib import Path

import h5py
import pytest
from pynwb import NWBHDF5IO, TimeSeries
from pynwb.testing.mock.file import mock_NWBFile
from pynwb.testing.mock.ophys import mock_ImagingPlane, mock_TwoPhotonSeries

import nwb_ophys
from nwb_ophys import NwbImagingInterface, NwbSegmentationInterface
from nwb_ophys.errors import CorruptSourceError, NwbOphysError
from nwb_ophys.formats.nwb.lost import warn_of_lost
from nwb_ophys.formats.nwb.sample import write_nwb, write_segmentation_sample
from nwb_ophys.inspection import inspect_file
from nwb_ophys.opening import open_recording
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.storage import get_backend


def test_a_column_that_the_table_lists_and_lacks_is_named(tmp_path):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    with h5py.File(path, "r+") as file:
        table = next(iter(file["processing/ophys/ImageSegmentation"].values()))
        table.attrs["colnames"] = [*table.attrs["colnames"], "quality"]
    with pytest.raises(CorruptSourceError, match=r"\.nwb' is damaged: its table .*'quality'"):
        nwb_ophys.open(path, format="nwb-segmentation")


def _notes(path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path)
    return [str(each.message) for each in caught if each.category is UserWarning]


@pytest.mark.parametrize("attribute", ["neurodata_type", "namespace"])
@pytest.mark.parametrize("place", ["Fluorescence", "Fluorescence/RoiResponseSeries"])
def test_an_object_that_lost_its_type_is_named(tmp_path, place, attribute):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    assert _notes(path) == []
    with h5py.File(path, "r+") as file:
        del file[f"processing/ophys/{place}"].attrs[attribute]
    note = next(note for note in _notes(path) if "has taken away" in note)
    assert note.startswith(f"'{path}' has 'processing/ophys/{place}', which cannot be read")


@pytest.fixture(scope="module", params=["hdf5", "zarr"])
def converted(request, tmp_path_factory) -> Path:
    """A file that this package wrote, with the record of its conversion; never changed."""
    folder = tmp_path_factory.mktemp("converted")
    path = write_segmentation_sample(folder, simulate_recording(num_samples=4))["file_path"]
    return nwb_ophys.open(path, format="nwb-segmentation").run_conversion(
        folder / ("out.nwb" if request.param == "hdf5" else "out.nwb.zarr"),
        backend=request.param,
        progress=False,
    )


@pytest.fixture
def written(converted, tmp_path) -> Path:
    """A copy of that file, which a test may change."""
    copy = shutil.copytree if converted.is_dir() else shutil.copy
    return copy(converted, tmp_path / converted.name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A file of another author of which nothing is said; never changed."""
    recording = simulate_recording(num_samples=4)
    path = write_nwb(tmp_path_factory.mktemp("whole") / "a.nwb", recording.movie, recording)
    assert _notes(path) == []
    return path


def test_an_object_that_the_record_states_is_missed(written):
    assert _notes(written) == []
    place = "processing/ophys/Fluorescence"
    if written.is_dir():
        shutil.rmtree(written / place)
        (written / ".zmetadata").unlink(missing_ok=True)
    else:
        with h5py.File(written, "r+") as file:
            del file[place]
    (note,) = _notes(written)
    assert note.startswith(f"'{written}' has no '{place}', although the record of its conversion")


def test_a_group_of_a_zarr_store_that_lost_its_header_is_named(written):
    if written.is_file():
        pytest.skip("of Zarr stores")
    place = "processing/ophys/Fluorescence"
    (written / place / ".zgroup").unlink()
    (written / ".zmetadata").unlink(missing_ok=True)
    (note,) = _notes(written)
    assert note.startswith(f"'{written}' has '{place}', which cannot be read")


# --- members that a file of any author must have ------------------------------------------------

_TABLE = "processing/ophys/ImageSegmentation/PlaneSegmentation"
_TRACES = "processing/ophys/Fluorescence/RoiResponseSeries"
_MOVIE = "acquisition/TwoPhotonSeries"


def _drop(place: str, attribute: str = ""):
    def change(file: h5py.File) -> None:
        if attribute:
            del file[place].attrs[attribute]
        else:
            del file[place]

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_drop(f"{_MOVIE}/data", "unit"), f"the attribute 'unit' of 'data' of '{_MOVIE}'"),
        (_drop(f"{_MOVIE}/data", "offset"), f"the attribute 'offset' of 'data' of '{_MOVIE}'"),
        (_drop(f"{_TRACES}/data", "conversion"), f"'conversion' of 'data' of '{_TRACES}'"),
        (_drop(f"{_TRACES}", "description"), f"the attribute 'description' of '{_TRACES}'"),
        (_drop(f"{_MOVIE}/data"), f"the data of '{_MOVIE}'"),
        (_drop(f"{_TABLE}/id"), f"the ids of '{_TABLE}'"),
        (_drop(_TABLE, "colnames"), f"the attribute 'colnames' of '{_TABLE}'"),
        (_drop(f"{_TRACES}/starting_time"), f"the rate or the timestamps of '{_TRACES}'"),
        (_drop(f"{_TRACES}/starting_time", "rate"), f"the rate or the timestamps of '{_TRACES}'"),
        (_drop(_TRACES), "the members of 'processing/ophys/Fluorescence'"),
        (_drop("processing"), "the group 'processing'"),
        (_drop("acquisition"), "the group 'acquisition'"),
    ],
)
def test_a_member_that_must_be_there_is_missed(whole, tmp_path, change, named):
    path = shutil.copy(whole, tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        change(file)
    (note,) = _notes(path)
    assert note.startswith(f"'{path}' lacks ")
    assert f"{named}, which NWB requires or all its writers state: damage may have" in note


def test_what_other_authors_need_not_write_is_not_missed(tmp_path):
    """Offsets came with NWB 2.5; a writer of its own may state only the conversion."""
    path = write_nwb(tmp_path / "a.nwb", simulate_recording(num_samples=4).movie)
    with h5py.File(path, "r+") as file:
        del file[f"{_MOVIE}/data"].attrs["offset"]
        file.attrs["nwb_version"] = "2.4.0"
    assert _notes(path) == []
    with h5py.File(path, "r+") as file:
        file.attrs["nwb_version"] = "2.10.0"
    assert "'offset'" in _notes(path)[0]
    with h5py.File(path, "r+") as file:
        del file[f"{_MOVIE}/data"].attrs["resolution"]
        del file[_MOVIE].attrs["comments"]
    assert _notes(path) == []


def _without_reference(path: Path, place: str) -> None:
    if path.is_dir():
        attributes = path / place / ".zattrs"
        stated = json.loads(attributes.read_text(encoding="utf-8"))
        del stated["table"]
        attributes.write_text(json.dumps(stated), encoding="utf-8")
        (path / ".zmetadata").unlink(missing_ok=True)
    else:
        with h5py.File(path, "r+") as file:
            del file[place].attrs["table"]


def test_traces_of_no_table_are_named(written):
    _without_reference(written, f"{_TRACES}/rois")
    with pytest.warns(UserWarning, match="refer to no table of ROIs") as caught:
        interface = NwbSegmentationInterface(written)
    assert interface.extractor.get_traces_dict() == {}
    note = next(str(each.message) for each in caught if "no table" in str(each.message))
    assert note.startswith(f"The traces 'Fluorescence/RoiResponseSeries' of '{written}' refer to")


def test_traces_of_another_kind_of_table_are_named(tmp_path):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        nwbfile.add_trial(start_time=0.0, stop_time=1.0)
        io.write(nwbfile)
    with h5py.File(path, "r+") as file:
        file[f"{_TRACES}/rois"].attrs["table"] = file["intervals/trials"].ref
    with pytest.warns(UserWarning, match="refer to no table of ROIs"):
        NwbSegmentationInterface(path)


def test_traces_that_lost_their_times_are_the_ones_left_out(tmp_path):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    with h5py.File(path, "r+") as file:
        traces = file["processing/ophys/Fluorescence"]
        file.copy(_TRACES, traces, "Neuropil")
        for copied in (traces["Neuropil"], traces["Neuropil/rois"]):
            copied.attrs["object_id"] = str(uuid.uuid4())
        traces["Neuropil/rois"].attrs["table"] = file[_TABLE].ref
        del file[f"{_TRACES}/starting_time"]
    match = r"'Fluorescence/RoiResponseSeries' .* state neither a rate nor times, which the others"
    with pytest.warns(UserWarning, match=match):
        interface = NwbSegmentationInterface(path)
    assert list(interface.extractor.get_traces_dict()) == ["neuropil"]
    given = NwbSegmentationInterface(path, sampling_frequency=30.0)
    assert sorted(given.extractor.get_traces_dict()) == ["neuropil", "raw"]


# --- differences from the record ----------------------------------------------------------------


def _change(path: Path, place: str, name: str) -> None:
    """Remove an attribute, or set a dataset to 7 where no attribute is named."""
    if not path.is_dir():
        with h5py.File(path, "r+") as file:
            if name:
                del file[place].attrs[name]
            else:
                file[place][...] = 7
        return
    (path / ".zmetadata").unlink(missing_ok=True)
    if name:
        attributes = path / place / ".zattrs"
        stated = json.loads(attributes.read_text(encoding="utf-8"))
        del stated[name]
        attributes.write_text(json.dumps(stated), encoding="utf-8")
    else:
        zarr = pytest.importorskip("zarr")
        zarr.open(str(path), mode="r+")[place][...] = 7


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (_TRACES, "comments"),
        (f"{_TRACES}/starting_time", ""),
        ("general/optophysiology/ImagingPlane/grid_spacing", "unit"),
        ("general/optophysiology/ImagingPlane/imaging_rate", ""),
    ],
)
def test_a_difference_from_the_record_is_named(written, place, name):
    _change(written, place, name)
    (note,) = _notes(written)
    assert note == (
        f"'{written}' has other attributes, links or values than the record of its conversion "
        f"states in '{place}', and they are converted as they are. List the differences with "
        "nwb-ophys verify; copy the file again if nobody changed it."
    )


def test_a_fact_that_the_record_states_is_missed(written):
    place = "general/optophysiology/ImagingPlane/grid_spacing"
    if written.is_dir():
        (written / place / ".zarray").unlink()
        (written / ".zmetadata").unlink(missing_ok=True)
        expected = f"'{written}' has '{place}', which cannot be read"
    else:
        with h5py.File(written, "r+") as file:
            del file[place]
        expected = f"'{written}' has no '{place}', although the record of its conversion"
    assert _notes(written)[0].startswith(expected)


@pytest.mark.parametrize("target", ["hdf5", "zarr"])
def test_what_pynwb_adds_or_exports_is_no_difference(written, tmp_path, target):
    source = get_backend("zarr" if written.is_dir() else "hdf5")
    with source.open(written, "r+") as io:
        nwbfile = io.read()
        nwbfile.create_device("Another")
        nwbfile.processing["ophys"].add(TimeSeries(name="x", data=[1.0], rate=1.0, unit="V"))
        io.write(nwbfile)
    exported = tmp_path / ("exported.nwb" if target == "hdf5" else "exported.nwb.zarr")
    with source.open(written, "r") as io, get_backend(target).open(exported, "w") as out:
        out.export(src_io=io, write_args={"link_data": False})
    for path in (written, exported):
        (note,) = _notes(path)
        assert "also contains processing/ophys/x." in note


def test_a_script_that_lost_the_name_of_its_file_is_left_out(written):
    _change(written, "general/source_script", "file_name")
    with pytest.warns(UserWarning, match=r"The script in 'general/source_script' of '.*' is left"):
        metadata = NwbSegmentationInterface(written).get_metadata()
    assert "source_script" not in metadata["NWBFile"]


def test_a_link_without_its_target_is_named(tmp_path):
    path = tmp_path / "a.nwb"
    nwbfile = mock_NWBFile()
    model = nwbfile.create_device_model(name="Model", manufacturer="Maker")
    device = nwbfile.create_device(name="Scope", model=model)
    plane = mock_ImagingPlane(nwbfile=nwbfile, device=device)
    mock_TwoPhotonSeries(nwbfile=nwbfile, imaging_plane=plane)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    assert _notes(path) == []
    with h5py.File(path, "r+") as file:
        del file["general/devices/models/Model"]
    (note,) = _notes(path)
    assert note.startswith(f"'{path}' has the links 'general/devices/Scope/model', whose targets")


def test_a_movie_in_another_file_is_named(tmp_path):
    recording = simulate_recording(num_samples=4)
    movie, rois = tmp_path / "movie.nwb", tmp_path / "rois.nwb"
    write_nwb(movie, recording.movie)
    write_nwb(rois, recording=recording)
    with NWBHDF5IO(movie, "r") as inner, NWBHDF5IO(rois, "a", manager=inner.manager) as outer:
        nwbfile = outer.read()
        nwbfile.add_acquisition(inner.read().acquisition["TwoPhotonSeries"])
        outer.write(nwbfile)
    (note,) = _notes(rois)
    assert note == (
        f"'{rois}' has '{_MOVIE}', which are links to objects in other files, and are not copied. "
        "Convert those files, too."
    )
    movie.unlink()
    (note,) = _notes(rois)
    assert note.startswith(f"'{rois}' has the links '{_MOVIE}', whose targets are absent")


@pytest.mark.parametrize("place", ["Movie", "Movie/data"])
def test_a_file_of_links_names_the_file_to_convert(tmp_path, place):
    """Fault: it was said to have no movie."""
    movie, path = tmp_path / "movie.nwb", tmp_path / "links.nwb"
    write_nwb(movie, simulate_recording(num_samples=4).movie)
    with NWBHDF5IO(path, "w") as io:
        nwbfile = mock_NWBFile()
        mock_TwoPhotonSeries(name="Movie", nwbfile=nwbfile)
        io.write(nwbfile)
    with h5py.File(path, "r+") as file:
        del file[f"acquisition/{place}"]
        target = _MOVIE + place.removeprefix("Movie")
        file[f"acquisition/{place}"] = h5py.ExternalLink("movie.nwb", target)
    if place == "Movie":
        start = f"'acquisition/{place}' is a link to '{target}' of 'movie.nwb'. Convert '{movie}'"
        for raising in (open_recording, NwbImagingInterface):
            with pytest.raises(NwbOphysError) as raised:
                raising(path)
            assert start in str(raised.value)
    movie.unlink()
    with pytest.raises(
        NwbOphysError, match=f"'acquisition/{place}'.*That file is absent; copy it to "
    ):
        open_recording(path)


@pytest.mark.parametrize("place", ["ImagingPlane/Green", "ImagingPlane"])
def test_a_fact_that_lost_its_type_is_named(tmp_path, place):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    place = f"general/optophysiology/{place}"
    with h5py.File(path, "r+") as file:
        file.copy(file[place], f"{place}2")
        file[f"{place}2"].attrs["object_id"] = str(uuid.uuid4())
        del file[f"{place}2"].attrs["neurodata_type"]
    (note,) = _notes(path)
    assert note.startswith(f"'{path}' has '{place}2', which cannot be read: damage")


def test_links_in_a_circle_end(tmp_path):
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    with h5py.File(path, "r+") as file:
        for number in range(40):
            file[f"processing/ophys/circle{number}"] = file["processing/ophys"]
    warn_of_lost(path)


def test_a_file_that_is_refused_is_closed(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", *_movie_and_rois())
    with h5py.File(path, "r+") as file:
        del file["acquisition/TwoPhotonSeries"].attrs["namespace"]
    with pytest.raises(CorruptSourceError) as refused:
        NwbImagingInterface(path)
    with h5py.File(path, "r+"):  # HDF5 refuses it while the file is open for reading
        assert path.name in str(refused.value)


def _movie_and_rois():
    recording = simulate_recording(num_samples=4, num_cells=3)
    return recording.movie, recording


def test_an_extension_without_its_schema_is_no_damage(tmp_path):
    """Fault: its file was said to be damaged."""
    path = write_nwb(tmp_path / "r.nwb", simulate_recording(num_samples=4).movie)
    with h5py.File(path, "r+") as file:
        pose = file.create_group("processing/behavior/Pose")
        file["processing/behavior"].attrs.update(
            neurodata_type="ProcessingModule", namespace="core", object_id="a", description="x"
        )
        pose.attrs.update(neurodata_type="PoseEstimation", namespace="ndx-of-a-lab", object_id="b")
    with pytest.raises(
        CorruptSourceError, match="extension 'ndx-of-a-lab', whose schema"
    ) as raised:
        NwbImagingInterface(path)
    assert "damaged" not in str(raised.value)
    (finding,) = inspect_file(path)
    assert "ndx-of-a-lab" in finding.message


def test_types_of_an_extension_are_named(tmp_path):
    """Fault: the file was said to have no movie."""
    path = write_nwb(tmp_path / "r.nwb", simulate_recording(num_samples=4).movie)
    with h5py.File(path, "r+") as file:
        file["acquisition/TwoPhotonSeries"].attrs["neurodata_type"] = "LabSeries"
        file["acquisition/TwoPhotonSeries"].attrs["namespace"] = "ndx-of-a-lab"
    with pytest.raises(
        NwbOphysError, match="'acquisition/TwoPhotonSeries' is a LabSeries of ndx-of-a-lab"
    ):
        open_recording(path)
