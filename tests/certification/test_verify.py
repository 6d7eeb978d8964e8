"""A file is compared with its record, whatever was done to it since."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import warnings
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest
import zarr
from pynwb import TimeSeries, validate

from nwb_ophys import (
    OphysConverter,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
    repack,
    verify,
    write_nwbfile,
)
from nwb_ophys.errors import SourceError, SourceNotFoundError
from nwb_ophys.inspection import inspect_file
from nwb_ophys.storage import append_to_nwbfile, backend_of_path
from nwb_ophys.storage.record import Record, records_of
from nwb_ophys.testing import simulate_recording, write_suite2p, write_tiff

METADATA = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
MOVIE = "acquisition/TwoPhotonSeries/data"
RECORD = "scratch/nwb_ophys_record"


@pytest.fixture
def raw(tmp_path):
    """Folder with a movie, outside the folder of its file."""
    return raw_below(tmp_path)


def raw_below(folder):
    folder = folder / "secretive_person" / "raw"
    if not folder.exists():  # it was not copied with a converted file
        folder.mkdir(parents=True)
        recording = simulate_recording(num_samples=40, num_rows=24, num_columns=34, num_cells=3)
        write_tiff(folder / "movie.tif", recording.movie)
    return folder


def converted(raw, target, **options):
    movie = TiffImagingInterface(raw / "movie.tif", sampling_frequency=30.0)
    return movie.run_conversion(target, metadata=METADATA, progress=False, **options)


@pytest.fixture(scope="module", params=["a.nwb", "a.nwb.zarr"])
def written(request, tmp_path_factory):
    """A converted file of each backend, which no test may change."""
    folder = tmp_path_factory.mktemp("written")
    return converted(raw_below(folder), folder / request.param)


@pytest.fixture
def path(written, tmp_path):
    """Copy of the converted file and its source."""
    shutil.copytree(written.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / written.name


def record_of(path, location=RECORD):
    backend = backend_of_path(path)
    with backend.open_root(path) as root:
        return records_of(root, backend)[location]


def opened(path):
    return zarr.open_group(str(path), mode="r+") if path.is_dir() else h5py.File(path, "r+")


def changed(path, change):
    """Change a file as another program would."""
    root = opened(path)
    change(root)
    if isinstance(root, h5py.File):
        root.close()


def with_contents(path, **contents):
    """Write a record with other contents and a right hash, as an attacker could."""
    record = record_of(path)
    forged = attrs.evolve(record, contents={**record.contents, **contents})
    changed(path, lambda root: backend_of_path(path).write_text(root, RECORD, forged.to_text()))


def add_series(nwbfile, name="more"):
    nwbfile.add_acquisition(TimeSeries(name=name, data=np.arange(50_000), unit="n", rate=1.0))


# --- hashes -------------------------------------------------------------------------------------


def test_a_changed_value_is_named_with_its_frames(path):
    def change(root):
        root[MOVIE][17, 3, 4] += 1

    changed(path, change)
    (difference,) = verify(path).differences
    assert difference.location == MOVIE
    ((first, last),) = difference.frames
    assert first <= 17 <= last


def test_all_differences_are_found_not_only_the_first(path):
    def change(root):
        root[MOVIE][0, 0, 0] += 1
        root["general/optophysiology/ImagingPlane"].attrs["object_id"] = "another"
        del root["general/optophysiology/ImagingPlane/indicator"]

    changed(path, change)
    found = {each.location: each.message for each in verify(path).differences}
    assert set(found) == {
        MOVIE,
        "general/optophysiology/ImagingPlane",
        "general/optophysiology/ImagingPlane/indicator",
    }
    assert "attributes" in found["general/optophysiology/ImagingPlane"]
    assert "is not in the file" in found["general/optophysiology/ImagingPlane/indicator"]


def test_another_shape_or_type_is_a_difference(path):
    def change(root):
        values = root[MOVIE][...]
        stored = dict(root[MOVIE].attrs)
        del root[MOVIE]
        root.create_dataset(MOVIE, data=values[:30].astype("f8")).attrs.update(stored)

    changed(path, change)
    (difference,) = verify(path).differences
    assert "its shape is (30, " in difference.message


def test_data_of_another_program_are_listed_not_compared(path):
    changed(path, lambda root: root.create_dataset("analysis/mine", data=np.arange(3)))
    report = verify(path)
    assert report.is_equal
    (line,) = report.not_compared
    assert line == "not written by nwb_ophys: 1 dataset, not compared: 'analysis/mine'"


def test_a_damaged_record_is_a_difference(path):
    record = record_of(path)
    text = record.to_text()
    for damaged in (text.replace('"written"', '"Written"'), text[:-2], text.replace(":", " :", 1)):
        with pytest.raises(ValueError, match=r"."):
            Record.from_text(damaged)
    backend = backend_of_path(path)
    changed(path, lambda root: backend.write_text(root, RECORD, text.replace("tif", "tIf")))
    assert "this record is damaged" in str(verify(path).differences[0])


def test_a_file_without_a_record_is_refused(path):
    changed(path, lambda root: root.__delitem__(RECORD))
    with pytest.raises(SourceError, match="has no record of nwb_ophys"):
        verify(path)
    with pytest.raises(SourceNotFoundError):
        verify("absent.nwb")
    with pytest.raises(SourceNotFoundError):
        verify(path, "absent")


@pytest.mark.parametrize("workers", [0, 3])
def test_workers_do_not_change_the_report(path, workers):
    changed(path, lambda root: root[MOVIE].__setitem__((39, 0, 0), 7))
    assert verify(path, workers=workers).differences == verify(path).differences


def test_blocks_beyond_the_buffer_are_named_not_compared(path):
    report = verify(path, buffer_gb=1e-6)
    assert report.is_equal
    (line,) = [each for each in report.not_compared if MOVIE in each]
    assert line.startswith(
        "not compared, since their blocks need more memory than buffer_gb allows"
    )


# --- records of several writes ------------------------------------------------------------------


def test_appending_adds_a_record_and_keeps_the_old_one(path):
    before = record_of(path)
    append_to_nwbfile(path, add_series)
    assert record_of(path) == before
    added = record_of(path, f"{RECORD}_2")
    assert added.contents["action"] == "append"
    assert set(added.datasets) == {"acquisition/more/data"}
    assert MOVIE not in {*added.datasets, *added.values}
    assert verify(path).is_equal
    changed(path, lambda root: root["acquisition/more/data"].__setitem__(5, 77))
    assert [each.location for each in verify(path).differences] == ["acquisition/more/data"]


@pytest.mark.parametrize("suffix", [".nwb", ".nwb.zarr"])
@pytest.mark.parametrize("chunk_mb", [None, 0.001])
def test_a_repacked_file_is_still_verified(path, tmp_path, suffix, chunk_mb):
    from nwb_ophys import BackendConfiguration

    backend = "zarr" if suffix == ".nwb.zarr" else "hdf5"
    configuration = BackendConfiguration(backend=backend, chunk_mb=chunk_mb)
    copy = repack(path, tmp_path / f"copy{suffix}", configuration=configuration)
    assert record_of(copy) == record_of(path)
    report = verify(copy)
    assert report.is_equal
    assert report.not_compared == ()


@pytest.mark.parametrize("suffix", [".nwb", ".nwb.zarr"])
def test_a_copy_of_a_damaged_file_is_damaged(path, tmp_path, suffix):
    changed(path, lambda root: root[MOVIE].__setitem__((3, 0, 0), 7))
    changed(path, lambda root: root["analysis"].attrs.__setitem__("x", 1))
    copy = repack(path, tmp_path / f"copy{suffix}", backend="zarr" if "zarr" in suffix else "hdf5")
    found = {each.location for each in verify(copy).differences}
    assert MOVIE in found


def test_a_copy_of_a_file_of_another_program_has_a_record(tmp_path):
    from pynwb import NWBHDF5IO
    from pynwb.testing.mock.file import mock_NWBFile

    nwbfile = mock_NWBFile()
    add_series(nwbfile)
    with NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(nwbfile)
    copy = repack(tmp_path / "a.nwb", tmp_path / "b.nwb")
    assert verify(copy).is_equal
    changed(copy, lambda root: root["acquisition/more/data"].__setitem__(5, 77))
    assert [each.location for each in verify(copy).differences] == ["acquisition/more/data"]


def test_two_conversions_have_the_same_hashes(raw, tmp_path):
    one, two = (
        record_of(converted(raw, tmp_path / name, workers=workers))
        for name, workers in (("a.nwb", 0), ("b.nwb.zarr", 3))
    )
    other = hashes_without_form(two)
    assert hashes_without_form(one) == other


def hashes_without_form(record):
    return {
        name: (each.grid.shape, each.total)
        for name, each in record.datasets.items()
        if not each.grid.is_shuffled and each.grid.dtype.itemsize == 1
    }


# --- the form of the record ---------------------------------------------------------------------


def test_validators_accept_the_record(path):
    errors = validate(path=str(path)) if path.is_file() else []
    assert errors == []
    findings = inspect_file(path)
    assert not [each for each in findings if "record" in each.location or "script" in each.location]
    assert not any(finding.is_error for finding in findings)


def test_no_path_outside_the_common_folder_and_no_name_is_stored(written):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = record_of(written).to_text()
    backend = backend_of_path(written)
    with backend.open_root(written) as root:
        script = backend.read_text(root, "general/source_script")
    for name in (str(written.parent), str(Path.home()), "secretive_person", socket.gethostname()):
        assert name not in text + script
    user = getpass.getuser()
    assert user == "root" or user not in text
    assert json.loads(text)["source_files"][0]["path"] == "movie.tif"


def test_the_script_names_the_call_and_the_versions(path):
    root = opened(path)
    script = backend_of_path(path).read_text(root, "general/source_script")
    if isinstance(root, h5py.File):
        root.close()
    assert "TiffImagingInterface(file_path='movie.tif', sampling_frequency=30.0" in script
    assert "# nwb_ophys 0." in script
    assert "# numpy " in script


def test_a_script_of_the_user_is_kept(raw, tmp_path):
    movie = TiffImagingInterface(raw / "movie.tif", sampling_frequency=30.0)
    nwbfile = movie.create_nwbfile(metadata=METADATA)
    nwbfile.source_script = "mine"
    nwbfile.source_script_file_name = "mine.py"
    path = write_nwbfile(nwbfile, tmp_path / "a.nwb")
    with h5py.File(path) as file:
        assert file["general/source_script"].asstr()[()] == "mine"
    assert verify(path).is_equal
    assert not nwbfile.scratch


def test_notes_are_recorded_with_their_paths_shortened(raw, tmp_path):
    class Noting(TiffImagingInterface):
        @classmethod
        def open(cls, source):
            warnings.warn(f"'{source.file_path}' was odd; half is left out.", UserWarning, 2)
            return super().open(source)

    with pytest.warns(UserWarning, match="half is left out"):
        movie = Noting(raw / "movie.tif", sampling_frequency=30.0)
    path = movie.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    assert record_of(path).contents["notes"] == ["'movie.tif' was odd; half is left out."]


def test_writing_with_verify_finds_what_hdmf_wrote_wrong(raw, tmp_path, monkeypatch):
    from nwb_ophys.errors import OutputError
    from nwb_ophys.storage import record

    right = record.expected_values
    monkeypatch.setattr(
        record,
        "expected_values",
        lambda data, stored: "0" * 32 if stored.path.endswith("dimension") else right(data, stored),
    )
    with pytest.raises(OutputError, match=r"dimension': what is in the file is not what"):
        converted(raw, tmp_path / "a.nwb", verify=True)
    assert not (tmp_path / "a.nwb").exists()


# --- sources ------------------------------------------------------------------------------------


def test_sources_that_are_all_in_the_file_may_be_deleted(path, raw, tmp_path):
    for place in (raw, raw / "movie.tif", Path(shutil.copytree(raw, tmp_path / "x" / "other"))):
        report = verify(path, place)
        assert report.is_equal
        assert MOVIE in report.compared_with_source
        assert report.answer.is_yes, str(report.answer)
        assert str(report.answer).startswith("May the source files be deleted? Yes: ")


def test_a_renamed_source_is_found_by_its_contents(path, raw):
    (raw / "movie.tif").rename(raw / "renamed.tif")
    assert verify(path, raw).answer.is_yes


def test_the_first_difference_from_the_source_is_named_with_both_values(path, raw):
    changed(path, lambda root: root[MOVIE].__setitem__((17, 3, 4), 12_345))
    changed(path, lambda root: root[MOVIE].__setitem__((20, 0, 0), 12_345))
    report = verify(path, raw, workers=0)
    assert not report.answer.is_yes
    (found,) = [each for each in report.differences if each.index is not None]
    assert found.location == MOVIE
    assert found.index == (17, 3, 4)
    assert found.frames == ((17, 17), (20, 20))
    assert found.found == 12_345
    values = f"12345 in the file, {found.expected} in the source"
    assert f"the first at [17, 3, 4]: {values}" in str(found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: (raw / "movie.tif").unlink(), "1 source file is not found: 'movie.tif'"),
        (lambda raw: (raw / "notes.txt").write_text("x"), "did not read 1 file there: 'notes.txt'"),
        (
            lambda raw: (raw / "movie.tif").write_bytes((raw / "movie.tif").read_bytes() + b"x"),
            "1 source file is not as converted",
        ),
    ],
)
def test_sources_that_are_not_all_in_the_file_may_not_be_deleted(path, raw, change, reason):
    change(raw)
    answer = verify(path, raw).answer
    assert not answer.is_yes
    assert reason in str(answer)


def test_a_stub_is_not_the_whole_recording(raw, tmp_path):
    report = verify(converted(raw, tmp_path / "a.nwb", stub=10), raw)
    assert report.is_equal
    assert "only the first samples were written" in str(report.answer)


def test_an_appended_stream_is_compared_too(raw, path):
    recording = simulate_recording(num_samples=30, num_rows=24, num_columns=34, num_cells=3)
    write_tiff(raw / "second.tif", recording.movie)
    second = TiffImagingInterface(raw / "second.tif", sampling_frequency=20.0)
    metadata = second.get_metadata()
    metadata["NWBFile"] |= METADATA["NWBFile"]
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Second"
    OphysConverter({"second": second}).run_conversion(
        path,
        metadata=metadata,
        append=True,
        progress=False,
    )
    report = verify(path, raw)
    assert report.is_equal
    assert report.answer.is_yes, str(report.answer)
    assert len([name for name in report.compared_with_source if name.endswith("/data")]) == 2


@pytest.mark.parametrize("in_place", [False, True])
def test_rois_that_were_appended_without_a_start_are_compared_too(raw, path, in_place):
    """They take the start from the file, and the imaging plane of its movie."""
    recording = simulate_recording(num_samples=40, num_rows=24, num_columns=34, num_cells=3)
    analysis = write_suite2p(raw, recording)
    Suite2pSegmentationInterface(analysis).run_conversion(
        path, append=True, in_place=in_place, progress=False
    )
    report = verify(path, raw)
    assert report.is_equal
    assert report.answer.is_yes, str(report.answer)
    assert "processing/ophys/ImageSegmentation/PlaneSegmentation/image_mask" in (
        report.compared_with_source
    )
    fluorescence = next(raw.rglob("F.npy"))
    np.save(fluorescence, np.load(fluorescence) + 1)
    report = verify(path, raw)
    assert not report.answer.is_yes
    assert any("RoiResponseSeries" in each.location for each in report.differences)


@pytest.mark.parametrize(
    "stream",
    [
        {"class": "os:system", "source": {}},
        {"class": "nwb_ophys.formats.tiff.interface:warnings", "source": {}},
        {"source": {"file_path": {"path": "../../../etc/passwd"}}},
        {"source": {"file_path": {"path": "/etc/passwd"}}},
        {"source": {"file_path": "/etc/passwd"}},
    ],
)
def test_a_forged_record_opens_nothing_else(path, raw, stream):
    given = record_of(path).contents["streams"][0]
    with_contents(path, streams=[{**given, **stream}])
    answer = verify(path, raw).answer
    assert not answer.is_yes
    assert "could not be opened again" in str(answer)
    assert "is not a format here" in str(answer) or "not found among the sources" in str(answer)
