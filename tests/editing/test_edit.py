"""Metadata of files of any author are changed in their place."""

from __future__ import annotations

import datetime
import importlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import h5py
import numpy as np
import psutil
import pynwb
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys import edit_metadata, verify
from nwb_ophys.editing import edit as editing
from nwb_ophys.editing.changes import changes_of
from nwb_ophys.editing.contents import contents_of
from nwb_ophys.errors import MetadataError, OptionError, OutputBusyError, OutputError
from nwb_ophys.inspection import Finding, inspect_file
from nwb_ophys.metadata import class_schema
from nwb_ophys.storage import append_to_nwbfile, backend_of_path, create_nwbfile, repack
from nwb_ophys.storage.guards import FileGuard
from nwb_ophys.storage.hashes import digest
from nwb_ophys.storage.locking import locked
from nwb_ophys.storage.record import records_of

from .conftest import NAMES, START, new_file, write_file

MANY = {
    "Subject.sex": "female",
    "Subject.weight": "25 g",
    "NWBFile.session_description": "Drifting gratings, naïve mouse.",
    "NWBFile.experimenter": "[Last First, Other Name]",
    "NWBFile.keywords": "calcium imaging; cortex; mouse",
    "NWBFile.institution": "University of X",
    "Ophys.ImagingPlane.location": "VISp",
    "Ophys.ImagingPlane.Plane2.excitation_lambda": "920.5",
    "Ophys.ImagingPlane.0.optical_channel.Green.emission_lambda": "515",
    "Ophys.ImagingPlane.Plane2.origin_coords": "[0.001, 0.002]",
    "Ophys.Device.Microscope.description": "Bergamo",
    "Ophys.Device.Microscope.manufacturer": "Thorlabs",
    "Ophys.TwoPhotonSeries.0.pmt_gain": "60",
    "Ophys.TwoPhotonSeries.0.unit": "V",
    "Ophys.OnePhotonSeries.0.exposure_time": "0.02",
    "Ophys.Fluorescence.PlaneSegmentation.raw.description": "Raw traces",
    "Ophys.Fluorescence.PlaneSegmentation.Neuropil.unit": "V",
    "Ophys.SegmentationImages.PlaneSegmentation.a.description": "Image a",
    "Ophys.ImageSegmentation.plane_segmentations.0.description": "By hand",
}


def opened(path: Path):
    """Open a file with the package of its backend."""
    if path.is_dir():
        return importlib.import_module("hdmf_zarr").NWBZarrIO(str(path), mode="r")
    return NWBHDF5IO(str(path), mode="r")


def state_of(path: Path) -> dict[str, bytes]:
    """Return the contents of a file, or of all files in a folder, and what lies beside it."""
    files = [each for each in path.parent.rglob("*") if each.is_file()]
    return {str(each.relative_to(path.parent)): each.read_bytes() for each in files}


def values_of(path: Path) -> dict[str, object]:
    """Return the hashes of all values and attributes by location."""
    storage = backend_of_path(path)
    found = {}
    with storage.open_root(path) as root:
        for each in storage.objects(root):
            found[f"{each.path}@"] = dict(each.attributes)
            if each.is_dataset:
                found[each.path] = each.values_hash()
    return found


def test_other_readers_get_the_new_values(tmp_path, backend, writer):
    path = write_file(tmp_path / NAMES[backend], backend, writer)
    before = values_of(path)
    with pytest.warns(UserWarning, match="it is written as"):
        report = edit_metadata(path, MANY)
    assert len(report.fields) == len(MANY) + 1  # the location of two planes
    assert report.archive_name is None
    with opened(path) as io:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        assert (nwbfile.subject.sex, nwbfile.subject.weight) == ("F", "0.025 kg")
        assert (nwbfile.subject.age, nwbfile.subject.age__reference) == ("P90D", "birth")
        assert nwbfile.session_description == "Drifting gratings, naïve mouse."
        assert list(nwbfile.experimenter) == ["Last First", "Other Name"]
        assert list(nwbfile.keywords) == ["calcium imaging", "cortex", "mouse"]
        assert nwbfile.lab == "Old lab"
        first, second = (nwbfile.imaging_planes[f"Plane{number}"] for number in (1, 2))
        assert (first.location, second.location) == ("VISp", "VISp")
        assert (first.excitation_lambda, second.excitation_lambda) == (900, 920.5)
        assert first.optical_channel[0].emission_lambda == 515
        assert list(second.origin_coords) == [0.001, 0.002]
        assert second.origin_coords_unit == "meters"
        assert nwbfile.devices["Microscope"].description == "Bergamo"
        assert nwbfile.device_models["B2"].manufacturer == "Thorlabs"
        movie = nwbfile.acquisition["TwoPhotonSeries"]
        assert (movie.pmt_gain, movie.unit, movie.rate) == (60, "V", 30)
        assert nwbfile.acquisition["OnePhotonSeries"].exposure_time == 0.02
        module = nwbfile.processing["ophys"]
        traces = module["Fluorescence"].roi_response_series
        assert traces["RoiResponseSeries"].description == "Raw traces"
        assert traces["Neuropil"].unit == "V"
        assert module["SegmentationImages"]["a"].description == "Image a"
        table = module["ImageSegmentation"].plane_segmentations["PlaneSegmentation"]
        assert table.description == "By hand"
    places = {f"{each.location}{'@' if each.attribute else ''}" for each in report.fields}
    after = values_of(path)
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    new = {"general/subject/weight@", "general/optophysiology/Plane2/origin_coords@"}
    new |= {"general/experimenter@", "general/institution@"}
    assert {key for key in changed - new if not key.startswith("scratch")} == places
    assert verify(path).is_equal
    assert not [each for each in inspect_file(path) if each.is_error]
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name]


def _other(value, schema):
    """Return a value that a field does not have yet."""
    kinds = schema.get("type", "string")
    if schema.get("format") == "date-time":
        return "2020-01-02T03:04:05+00:00"
    if "array" in kinds and schema["items"].get("type") == "number":
        return [3.0, 4.0]
    if schema.get("items", {}).get("type") == "array":
        return [["program", "1"]]
    if "array" in kinds:
        return ["Last, First", "x"]
    number = max(7.5, schema.get("minimum", 0))
    return {"number": number, "integer": 2}.get(kinds, "Mus musculus")


_FORMS = {
    **{"sex": "F", "age": "P1D", "age__reference": "gestational", "weight": "1 kg"},
    **{"grid_spacing_unit": "um"},
}
_LEFT_OUT = {"optical_channel", "model"}


@pytest.mark.filterwarnings("ignore:The '.*' field is deprecated:DeprecationWarning")
def test_every_field_of_every_object(session):
    """A key of the metadata that has a place in the file is one that can be edited."""

    def contents():
        with opened(session) as io:
            return contents_of(io.read(), io.manager)

    edits = {}
    for steps, owner in contents().owners.items():
        schema = class_schema(owner.model)["properties"]
        for name, place in owner.places.items():
            # hdmf-zarr states no type of the attribute, which pynwb's validator refuses.
            if name in _LEFT_OUT or place.obstacle or (name == "binning" and session.is_dir()):
                continue
            key = ".".join(map(str, (*steps, name)))
            edits[key] = _FORMS.get(name) or _other(None, schema[name])
    for key in [key for key in edits if key.startswith("Ophys.Device.") and ".model." in key]:
        edits[key] = edits[key.replace(".model.", ".")] if key.count(".") == 4 else "z"
    assert len(edits) > 120
    report = edit_metadata(session, edits)
    assert len(report.fields) >= len(edits) - 10  # some have the value already
    metadata = contents().metadata
    for key, value in edits.items():
        place = metadata
        for step in key.split("."):
            place = place[int(step) if isinstance(place, list) else step]
        assert place == value, key
    with opened(session) as io:
        io.read()
        assert pynwb.validate(io=io) == []
    assert verify(session).is_equal


# --- what is written ----------------------------------------------------------------------------


@pytest.fixture
def ranges(monkeypatch):
    """The ranges of bytes that were secured."""
    found = []
    original = FileGuard.before_changes

    def before(self, given):
        given = list(given)
        found.extend(given)
        original(self, given)

    monkeypatch.setattr(FileGuard, "before_changes", before)
    return found


@pytest.mark.parametrize("backend", ["hdf5"])
def test_bytes_outside_of_the_journal_are_untouched(session, ranges):
    before = np.fromfile(session, np.uint8)
    edit_metadata(session, {"NWBFile.lab": "x" * 5000, "Subject.strain": "C57BL/6J"})
    after = np.fromfile(session, np.uint8)
    same = np.ones(len(before), bool)
    for start, stop in ranges:
        same[start:stop] = False
    assert (before[same] == after[: len(before)][same]).all()
    assert 0.9 < same.mean() < 1


def _write_sparse(path, size):
    """Write a file with a movie of some bytes, of which the disk holds only marks."""
    write_file(path, "hdf5")
    with h5py.File(path, "r+") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        series = file["acquisition/TwoPhotonSeries"]
        attributes = dict(series["data"].attrs)
        del series["data"]
        space = h5py.h5s.create_simple((size // (1 << 19), 512, 512))
        made = h5py.h5d.create(series.id, b"data", h5py.h5t.STD_U16LE, space, settings)
        data = h5py.Dataset(made)
        data.attrs.update(attributes)
        start = made.get_offset()
    marks = range(start, start + size - 4096, size // 50)
    with path.open("r+b") as file:
        for mark in marks:
            file.seek(mark)
            file.write(digest(mark.to_bytes(8, "little")) * 256)
    return marks


def test_a_file_of_two_gigabytes_is_neither_read_nor_written(tmp_path, ranges):
    path = tmp_path / "large.nwb"
    marks = _write_sparse(path, 1 << 31)
    before = path.stat()
    assert before.st_size > 1 << 31
    edit_metadata(path, {"Subject.sex": "M"})  # imports
    read = psutil.Process().io_counters().read_chars
    report = edit_metadata(path, {"Subject.sex": "F", "Ophys.ImagingPlane.location": "VISp"})
    assert psutil.Process().io_counters().read_chars - read < 50_000_000
    assert len(report.fields) == 3
    assert sum(stop - start for start, stop in ranges if stop > start) < 100_000
    with path.open("rb") as file:
        for mark in marks:
            file.seek(mark)
            assert file.read(4096) == digest(mark.to_bytes(8, "little")) * 256
    after = path.stat()
    assert after.st_ino == before.st_ino
    assert after.st_size < before.st_size + 50_000
    assert (after.st_blocks - before.st_blocks) * 512 < 1 << 20
    with h5py.File(path) as file:
        assert file["general/subject/sex"].asstr()[()] == "F"


@pytest.mark.parametrize("backend", ["zarr"])
def test_chunks_of_a_store_are_neither_read_nor_written(session, monkeypatch):
    data = session / "acquisition/TwoPhotonSeries/data"
    for chunk in (each for each in data.iterdir() if each.name[0] in "0123456789"):
        chunk.write_bytes(os.urandom(3_000_000))
    before = {each: each.stat() for each in data.iterdir()}
    edit_metadata(session, {"Subject.sex": "M", "Ophys.TwoPhotonSeries.0.unit": "V"})
    after = {each: each.stat() for each in data.iterdir()}
    changed = [each.name for each in before if before[each] != after[each] and each.name != "0.0.0"]
    assert changed == [".zattrs"]
    copies = importlib.import_module("zarr").open_consolidated(str(session), mode="r")
    assert copies["acquisition/TwoPhotonSeries/data"].attrs["unit"] == "V"
    assert copies["general/subject/sex"][()] == "M"


def test_the_record_says_what_changed(session):
    edit_metadata(session, {"Subject.sex": "M", "NWBFile.lab": None, "Subject.strain": "B6"})
    storage = backend_of_path(session)
    with storage.open_root(session) as root:
        *_, record = records_of(root, storage).values()
    assert record.contents["action"] == "edit"
    assert record.contents["versions"].keys() >= {"pynwb", "hdmf"}
    assert datetime.datetime.fromisoformat(record.contents["written"])
    place = {"attribute": None}
    assert record.contents["changes"] == [
        {"key": "NWBFile.lab", "location": "general/lab", "old": "Old lab", "new": None, **place},
        {
            "key": "Subject.sex",
            "location": "general/subject/sex",
            "old": "U",
            "new": "M",
            **place,
        },
        {
            "key": "Subject.strain",
            "location": "general/subject/strain",
            "old": None,
            "new": "B6",
            **place,
        },
    ]
    assert verify(session).is_equal
    edit_metadata(session, {"NWBFile.lab": "New lab"})
    assert verify(session).is_equal
    if session.is_file():
        copy = repack(session, session.with_name("copy.nwb"))
        assert verify(copy).is_equal


@pytest.mark.parametrize("backend", ["hdf5"])
def test_an_edit_hides_no_earlier_damage(session):
    with h5py.File(session, "r+") as file:
        file["acquisition/TwoPhotonSeries"].attrs["comments"] = "damage"
    (difference,) = verify(session).differences
    edit_metadata(session, {"Ophys.TwoPhotonSeries.0.description": "x", "Subject.sex": "F"})
    assert verify(session).differences == (difference,)


def test_a_subject_is_added(tmp_path, backend):
    path = write_file(tmp_path / NAMES[backend], backend, with_subject=False)
    with pytest.warns(UserWarning, match="gestational"):
        report = edit_metadata(path, {"Subject.subject_id": "M 7", "Subject.age": "E15"})
    suffix = backend_of_path(path).suffix
    assert report.archive_name == f"sub-M-7/sub-M-7_ses-20240517T143000_ophys{suffix}"
    with opened(path) as io:
        subject = io.read().subject
        assert (subject.subject_id, subject.age) == ("M 7", "P15D")
        assert subject.age__reference == "gestational"
        assert len(subject.object_id) == 36
        assert pynwb.validate(io=io) == []
    assert verify(path).is_equal
    if backend == "zarr":
        return

    def add(nwbfile):
        nwbfile.add_acquisition(pynwb.TimeSeries(name="new", data=[1, 2], unit="a", rate=1.0))

    append_to_nwbfile(path, add)
    assert verify(path).is_equal


@pytest.mark.parametrize("backend", ["hdf5"])
def test_time_zero_follows_the_start_of_the_session(session):
    report = edit_metadata(session, {"NWBFile.session_start_time": "2024-05-17T15:00:00+02:00"})
    keys = [each.key for each in report.fields]
    assert keys == ["NWBFile.session_start_time", "NWBFile.timestamps_reference_time"]
    start = datetime.datetime.fromisoformat("2024-05-17T15:00:00+02:00")
    with opened(session) as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time == nwbfile.timestamps_reference_time == start
    edit_metadata(session, {"NWBFile.timestamps_reference_time": START.isoformat()})
    edit_metadata(session, {"NWBFile.session_start_time": "2024-05-17T16:00:00+02:00"})
    with opened(session) as io:
        assert io.read().timestamps_reference_time == START


def test_numbers_are_never_cut(session):
    """A dataset of single precision gets a type that holds the new value."""
    key = "Ophys.ImagingPlane.Plane1.excitation_lambda"
    place = "general/optophysiology/Plane1/excitation_lambda"
    if session.is_dir():
        root = importlib.import_module("zarr").open_group(str(session), mode="r+")
        attributes = dict(root[place].attrs)
        root.create_dataset(place, data=np.array([900], "f4"), overwrite=True)
        root[place].attrs.update(attributes)
    else:
        with h5py.File(session, "r+") as root:
            del root[place]
            root[place] = np.float32(900)
    edit_metadata(session, {key: 920.1})
    if session.is_file():
        edit_metadata(session, {"Ophys.OnePhotonSeries.0.binning": 300})
    with opened(session) as io:
        nwbfile = io.read()
        assert nwbfile.imaging_planes["Plane1"].excitation_lambda == 920.1
        assert nwbfile.acquisition["OnePhotonSeries"].binning == (
            300 if session.is_file() else None
        )


def test_nothing_is_written_without_a_change(session):
    before = state_of(session), session.stat().st_mtime_ns
    values = {"Subject.sex": "U", "NWBFile.keywords": "a, b", "NWBFile.institution": None}
    assert edit_metadata(session, values | {"Ophys.TwoPhotonSeries.rate": 30}).fields == ()
    assert (state_of(session), session.stat().st_mtime_ns) == before


# --- refusals -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The metadata of a file."""
    path = write_file(tmp_path_factory.mktemp("contents") / "a.nwb", "hdf5")
    with opened(path) as io:
        return contents_of(io.read(), io.manager)


@pytest.mark.parametrize(
    ("key", "value", "error", "words"),
    [
        ("Subject.sxe", "F", OptionError, "Did you mean 'sex'"),
        ("Subject.sex", "blue", MetadataError, "write 'M' (male)"),
        ("Subject.sex", 3, MetadataError, "it must be a text"),
        ("Subject.strain", "", MetadataError, "is an empty text; give a text, or null"),
        ("Subject", "{sex: F}", OptionError, "only single fields are edited"),
        ("NWBFile.session_description", None, MetadataError, "is required by NWB"),
        ("NWBFile.session_start_time", "yesterday", MetadataError, "ISO 8601"),
        ("Ophys.ImagingPlane.0.origin_coords_unit", "m", MetadataError, "is stored with"),
        ("Ophys.ImagingPlane.0.excitation_lambda", "green", MetadataError, "must be a number"),
        ("Ophys.ImagingPlane.0.excitation_lambda", "-920", MetadataError, "at least 100 nm"),
        ("Ophys.ImagingPlane.0.excitation_lambda", "9.2e-7", MetadataError, "at least 100 nm"),
        ("Ophys.ImagingPlane.0.imaging_rate", "-3", MetadataError, "must be at least"),
        ("Ophys.ImagingPlane.0.grid_spacing", "[0, 1e-6]", MetadataError, "more than 0"),
        ("Ophys.ImagingPlane.0.grid_spacing", "[0.5, 1]", MetadataError, "give [5e-07, 1e-06]"),
        (
            "NWBFile.timestamps_reference_time",
            "0024-05-17T00:00Z",
            MetadataError,
            "from 1601 to 2199",
        ),
        ("Ophys.ImagingPlane.0.origin_coords", "[.nan, 0]", MetadataError, "a finite number"),
        ("Ophys.TwoPhotonSeries.0.pmt_gain", ".inf", MetadataError, "must be at most"),
        ("Ophys.TwoPhotonSeries.0.conversion", ".nan", MetadataError, "a finite number"),
        ("Ophys.ImagingPlane.0.device", "Camera", OptionError, "is a link to another object"),
        ("Ophys.ImagingPlane.0.name", "x", OptionError, "is the name of an object"),
        ("Ophys.ImagingPlane.Plane3.location", "x", OptionError, "0 ('Plane1'), 1 ('Plane2')"),
        ("Ophys.ImagingPlane.0.reference_frame", "\0", MetadataError, "the character NUL"),
        ("Ophys.ImagingPlane", [], OptionError, "only single fields are edited"),
        ("Ophys.Device.0", {"name": "x"}, OptionError, "only single fields are edited"),
        ("Ophys.Images.0.description", "x", OptionError, "which the file lacks; it has Device"),
        ("Ophys.TwoPhotonSeries.0.data", "1", OptionError, "has no key 'data'"),
        ("Ophys.TwoPhotonSeries.0.dimension", [1, 2], OptionError, "is a fact of the data"),
        ("Ophys.TwoPhotonSeries.0.rate", None, MetadataError, "is not removed"),
    ],
)
def test_mistakes(contents, key, value, error, words):
    with pytest.raises(error) as raised:
        changes_of(contents, {"NWBFile.lab": "New lab", key: value})
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mistake_changes_nothing(session):
    before = state_of(session)
    with pytest.raises(OptionError, match="Did you mean 'sex'"):
        edit_metadata(session, {"NWBFile.lab": "New lab", "Subject.sxe": "F"})
    assert state_of(session) == before


def test_a_place_has_one_value(contents):
    edits = {"Ophys.Device.Microscope.manufacturer": "A"}
    with pytest.raises(MetadataError, match="are stored in one place"):
        changes_of(contents, edits | {"Ophys.Device.Microscope.model.manufacturer": "B"})
    with pytest.raises(OptionError, match="is the name of another object"):
        changes_of(contents, {"Ophys.Device.Microscope.model_name": "B"})


def test_files_that_are_not_changed(tmp_path, session):
    edits = {"Subject.sex": "M"}
    link = tmp_path / "link.nwb"
    link.symlink_to(session)
    with pytest.raises(OutputError, match="is a symbolic link"):
        edit_metadata(link, edits)
    link.unlink()
    before = state_of(session)
    with locked(session), ThreadPoolExecutor() as pool:
        error = pool.submit(edit_metadata, session, edits).exception()
    assert isinstance(error, OutputBusyError)
    assert "is being written by another thread" in str(error)
    head = session / ".zattrs" if session.is_dir() else session
    head.chmod(0o444)
    with pytest.raises(OutputError, match="is read-only"):
        edit_metadata(session, edits)
    head.chmod(0o644)
    assert state_of(session) == before
    (tmp_path / "text.nwb").write_text("no file")
    with pytest.raises(OutputError, match="is not an NWB file"):
        edit_metadata(tmp_path / "text.nwb", edits)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        edit_metadata(tmp_path / "none.nwb", edits)


@pytest.mark.parametrize("backend", ["hdf5"])
def test_a_file_that_a_reader_has_open_is_busy(session):
    before = session.read_bytes()
    with (
        h5py.File(session, "r"),
        pytest.raises(OutputBusyError, match="is open, here or in another program") as raised,
    ):
        edit_metadata(session, {"Subject.sex": "M"})
    assert "in_place" not in str(raised.value)
    assert session.read_bytes() == before


@pytest.mark.parametrize("backend", ["hdf5"])
def test_a_dataset_of_several_names_is_left(session):
    with h5py.File(session, "r+") as file:
        file["general/other_lab"] = file["general/lab"]
    before = session.read_bytes()
    with pytest.raises(OutputError, match="has several names in the file"):
        edit_metadata(session, {"NWBFile.lab": "x", "Subject.sex": "F"})
    assert session.read_bytes() == before


@pytest.mark.parametrize("backend", ["hdf5"])
def test_an_object_behind_a_link_is_edited_where_it_is(tmp_path, session):
    with h5py.File(session, "r+") as file:
        series = file["acquisition/OnePhotonSeries"]
        del series["data"]
        series["data"] = h5py.SoftLink("/acquisition/TwoPhotonSeries/data")
    with pytest.raises(OptionError, match="is stored in 'acquisition/TwoPhotonSeries/data'; edit"):
        edit_metadata(session, {"Ophys.OnePhotonSeries.0.unit": "V"})
    other = write_file(tmp_path / "other.nwb", "hdf5")
    with h5py.File(session, "r+") as file:
        del file["acquisition/OnePhotonSeries"]
        place = "/acquisition/OnePhotonSeries"
        file["acquisition/OnePhotonSeries"] = h5py.ExternalLink("other.nwb", place)
    before = other.read_bytes(), session.read_bytes()
    with pytest.raises(OptionError, match=r"lies in another file, '.*other\.nwb'; edit that one"):
        edit_metadata(session, {"Ophys.OnePhotonSeries.0.description": "V"})
    assert (other.read_bytes(), session.read_bytes()) == before
    edit_metadata(session, {"Ophys.TwoPhotonSeries.0.description": "V"})
    assert other.read_bytes() == before[0]


@pytest.mark.parametrize("backend", ["hdf5"])
def test_damaged_files_are_left(session):
    whole = bytearray(session.read_bytes())
    for damaged in (whole[: len(whole) // 2], whole[:3000] + b"x" * 9000 + whole[12000:]):
        session.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises((ValueError, OSError)):
                edit_metadata(session, {"Subject.sex": "M"})
        assert session.read_bytes() == damaged
        assert [each.name for each in session.parent.iterdir()] == [session.name]


@pytest.mark.parametrize("backend", ["hdf5"])
def test_a_file_that_would_not_be_valid_is_left(session, monkeypatch):
    before, calls = state_of(session), []
    finding = Finding(importance="PYNWB_VALIDATION", location="x", message="wrong type")

    def findings(io, validators):
        calls.append(io)
        return [finding] if len(calls) == 2 else []

    monkeypatch.setattr(editing, "validation_findings", findings)
    with pytest.raises(OutputError, match=r"would not be valid NWB any more.*: wrong type"):
        edit_metadata(session, {"Subject.sex": "M"})
    assert state_of(session) == before


@pytest.mark.parametrize("backend", ["hdf5"])
def test_a_value_that_is_read_otherwise_is_refused(session, monkeypatch):
    before = state_of(session)
    original = editing._stored
    monkeypatch.setattr(editing, "_stored", lambda each: attrs.evolve(original(each), value="Z"))
    with pytest.raises(OutputError, match=r"otherwise than requested for Subject\.sex"):
        edit_metadata(session, {"Subject.sex": "M"})
    assert state_of(session) == before


def test_an_error_of_the_disk_undoes_the_change(session, monkeypatch, backend):
    before = state_of(session)
    name = "positioned_access.write_at" if backend == "hdf5" else "backends.zarr_drafts._write"
    module, _, function = name.rpartition(".")
    module = importlib.import_module(f"nwb_ophys.storage.{module}")
    original, left = getattr(module, function), [2]

    def failing(*given):
        left[0] -= 1
        if not left[0]:
            raise OSError(28, "No space left on device")
        return original(*given)

    monkeypatch.setattr(module, function, failing)
    with pytest.raises(OutputError, match="No space left"):
        edit_metadata(session, {"Subject.sex": "M", "NWBFile.lab": "x"})
    assert state_of(session) == before


def test_dots_and_numbers_in_names(tmp_path):
    nwbfile = new_file()
    nwbfile.create_device("1")
    nwbfile.create_device("a.b")
    path = create_nwbfile(nwbfile, tmp_path / "a.nwb")
    edit_metadata(path, {"Ophys.Device.a.b.description": "x"})
    with pytest.raises(OptionError, match="is the index of one entry and the name of another"):
        edit_metadata(path, {"Ophys.Device.1.description": "x"})
    with opened(path) as io:
        assert io.read().devices["a.b"].description == "x"
