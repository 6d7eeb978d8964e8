"""Tests of write_imaging and write_segmentation: objects, new and existing files, and failures."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from roiextractors import NwbImagingExtractor
from roiextractors.testing import (
    generate_dummy_imaging_extractor,
    generate_dummy_segmentation_extractor,
)

from nwb_ophys import tools
from nwb_ophys.errors import ArgumentError

BASE = {
    "NWBFile": {
        "session_start_time": datetime.datetime(2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc),
        "session_description": "a session",
        "identifier": "one",
    }
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.nwb"


@pytest.fixture(params=["imaging", "segmentation"])
def write(request: pytest.FixtureRequest, imaging: Any, segmentation: Any) -> Callable[..., Any]:
    """Both functions, each with its extractor."""
    if request.param == "imaging":
        return lambda *args, **options: tools.write_imaging(imaging, *args, **options)
    return lambda *args, **options: tools.write_segmentation(segmentation, *args, **options)


def look(path: Path, what: Callable[[NWBFile], Any]) -> Any:
    with NWBHDF5IO(str(path), "r") as io:
        return what(io.read())


def content(nwbfile: NWBFile) -> set[str]:
    found = set(nwbfile.acquisition)
    if "ophys" in nwbfile.processing:
        found |= set(nwbfile.processing["ophys"].data_interfaces)
    return found


SEGMENTATION = {"ImageSegmentation", "Fluorescence", "DfOverF", "SegmentationImages"}


def series(name: str) -> dict[str, Any]:
    return {"Ophys": {"TwoPhotonSeries": [{"name": name, "imaging_plane": "ImagingPlane"}]}}


# --- objects ----------------------------------------------------------------------------------


def test_path_and_object_together(write: Callable[..., Any], path: Path, nwbfile: NWBFile) -> None:
    with pytest.raises(AssertionError, match="nwbfile_path"):
        write(path, nwbfile=nwbfile, metadata=BASE)
    assert not path.exists()
    assert content(nwbfile) == set()


def test_an_object_is_filled_and_returned(
    write: Callable[..., Any], nwbfile: NWBFile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(nwbfile=nwbfile) is nwbfile
    assert content(nwbfile) in ({"TwoPhotonSeries"}, SEGMENTATION)
    assert capsys.readouterr().out == ""


def test_neither_gives_a_new_object(write: Callable[..., Any]) -> None:
    found = write(metadata=BASE)
    assert isinstance(found, NWBFile)
    assert found.session_start_time == BASE["NWBFile"]["session_start_time"]
    assert (found.session_description, found.identifier) == ("a session", "one")
    assert content(found) in ({"TwoPhotonSeries"}, SEGMENTATION)


def test_neither_fills_what_the_metadata_lack(write: Callable[..., Any]) -> None:
    given = {"NWBFile": {"session_start_time": BASE["NWBFile"]["session_start_time"]}}
    first, second = write(metadata=given), write(metadata=given)
    assert first.session_description == "no description"
    assert first.identifier != second.identifier


@pytest.mark.parametrize("given", [None, {}, {"Ophys": {}}, {"NWBFile": {"lab": "x"}}])
@pytest.mark.parametrize("to_path", [False, True])
def test_a_missing_start_time_is_named(
    given: Any, to_path: bool, write: Callable[..., Any], path: Path
) -> None:
    with pytest.raises(ValueError, match="session_start_time"):
        write(path if to_path else None, metadata=given)
    assert list(path.parent.iterdir()) == []


# --- new files --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_created(
    kind: type, write: Callable[..., Any], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    returned = write(kind(path), metadata=BASE)
    assert isinstance(returned, NWBFile)
    assert capsys.readouterr().out.count("\n") == 1
    assert [found.name for found in path.parent.iterdir()] == ["session.nwb"]
    assert look(path, content) in ({"TwoPhotonSeries"}, SEGMENTATION)
    assert look(path, lambda f: f.identifier) == "one"


def test_verbose_prints_one_line_with_the_path_as_given(
    write: Callable[..., Any],
    path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(path, metadata=BASE, verbose=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert str(path) in line
    link = path.parent / "link"
    link.symlink_to(path.parent, target_is_directory=True)
    write(link / "linked.nwb", metadata=BASE)
    (line,) = capsys.readouterr().out.splitlines()
    assert str(link / "linked.nwb") in line


def test_not_verbose(
    write: Callable[..., Any], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(path, metadata=BASE, verbose=False)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_data_of_a_movie(imaging: Any, path: Path) -> None:
    tools.write_imaging(
        imaging, path, metadata=BASE, iterator_options={"chunk_shape": (2, 9, 7)}, verbose=False
    )
    with h5py.File(path) as file:
        stored = file["acquisition/TwoPhotonSeries/data"]
        assert stored.chunks == (2, 9, 7)
        assert stored.compression == "gzip"
        np.testing.assert_array_equal(stored[:], imaging.get_series().transpose(0, 2, 1))


@pytest.mark.parametrize("iterator_type", ["v1", None])
def test_other_iterators(iterator_type: Any, imaging: Any, path: Path) -> None:
    tools.write_imaging(imaging, path, metadata=BASE, iterator_type=iterator_type, verbose=False)
    with h5py.File(path) as file:
        stored = file["acquisition/TwoPhotonSeries/data"]
        np.testing.assert_array_equal(stored[:], imaging.get_series().transpose(0, 2, 1))


def test_one_photon(imaging: Any, path: Path) -> None:
    tools.write_imaging(
        imaging, path, metadata=BASE, photon_series_type="OnePhotonSeries", verbose=False
    )
    assert look(path, content) == {"OnePhotonSeries"}


def test_options_of_a_segmentation(segmentation: Any, path: Path) -> None:
    tools.write_segmentation(
        segmentation,
        path,
        metadata=BASE,
        verbose=False,
        include_roi_centroids=False,
        include_roi_acceptance=False,
        mask_type="pixel",
        compression_options={"compression": "gzip", "compression_opts": 1},
    )
    with h5py.File(path) as file:
        group = file["processing/ophys/ImageSegmentation/PlaneSegmentation"]
        assert set(group.attrs["colnames"]) == {"roi_name", "pixel_mask"}
        assert group["pixel_mask"].compression_opts == 1
        assert file["processing/ophys/DfOverF/RoiResponseSeries/data"].compression_opts == 1


def test_a_segmentation_without_masks_can_be_read(segmentation: Any, path: Path) -> None:
    tools.write_segmentation(segmentation, path, metadata=BASE, mask_type=None, verbose=False)
    table = lambda f: f.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]  # noqa: E731
    assert look(path, lambda f: list(table(f)["roi_name"][:])) == segmentation.get_roi_ids()
    assert look(path, lambda f: len(table(f).to_dataframe())) == 5
    tools.write_imaging(generate_dummy_imaging_extractor(), path, verbose=False)
    assert look(path, content) == {"TwoPhotonSeries", *SEGMENTATION}


# --- files that are there ---------------------------------------------------------------------


def test_an_existing_file_is_appended_to(imaging: Any, segmentation: Any, path: Path) -> None:
    tools.write_imaging(imaging, path, metadata=BASE, verbose=False)
    other = {"NWBFile": {"session_description": "other", "identifier": "two"}}
    found = tools.write_segmentation(segmentation, path, metadata=other, verbose=False)
    assert isinstance(found, NWBFile)
    assert look(path, content) == {"TwoPhotonSeries", *SEGMENTATION}
    fields = look(path, lambda f: (f.session_description, f.identifier, f.session_start_time))
    assert fields == ("a session", "one", BASE["NWBFile"]["session_start_time"])
    assert look(path, lambda f: (list(f.devices), list(f.imaging_planes))) == (
        ["Microscope"],
        ["ImagingPlane"],
    )
    with h5py.File(path) as file:
        stored = file["acquisition/TwoPhotonSeries/data"][:]
    np.testing.assert_array_equal(stored, imaging.get_series().transpose(0, 2, 1))
    assert [found.name for found in path.parent.iterdir()] == ["session.nwb"]


def test_appending_reuses_devices_and_planes_by_name(imaging: Any, path: Path) -> None:
    tools.write_imaging(imaging, path, metadata=BASE, verbose=False)
    second = series("Second")
    second["Ophys"]["Device"] = [{"name": "Microscope", "description": "new"}, {"name": "Laser"}]
    tools.write_imaging(imaging, path, metadata=second, verbose=False)
    shared = look(
        path,
        lambda f: (
            f.acquisition["Second"].imaging_plane is f.acquisition["TwoPhotonSeries"].imaging_plane,
            f.devices["Microscope"].description,
            set(f.devices),
        ),
    )
    assert shared == (True, None, {"Microscope", "Laser"})


def test_a_second_segmentation_shares_the_containers(
    segmentation: Any, metadata: Any, path: Path
) -> None:
    tools.write_segmentation(segmentation, path, metadata=BASE, verbose=False)
    before = look(path, content)
    tools.write_segmentation(segmentation, path, verbose=False)
    assert look(path, content) == before


def test_overwrite_replaces(imaging: Any, segmentation: Any, path: Path) -> None:
    tools.write_imaging(imaging, path, metadata=BASE, verbose=False)
    new = {"NWBFile": BASE["NWBFile"] | {"identifier": "two"}}
    tools.write_segmentation(segmentation, path, metadata=new, overwrite=True, verbose=False)
    assert look(path, content) == SEGMENTATION
    assert look(path, lambda f: f.identifier) == "two"
    assert [found.name for found in path.parent.iterdir()] == ["session.nwb"]


def test_overwrite_of_what_is_not_there(write: Callable[..., Any], path: Path) -> None:
    write(path, metadata=BASE, overwrite=True, verbose=False)
    assert look(path, content)


def test_a_file_of_another_program_is_appended_to(
    imaging: Any, nwbfile: NWBFile, path: Path
) -> None:
    nwbfile.notes = "by hand"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    tools.write_imaging(imaging, path, verbose=False)
    assert look(path, lambda f: (f.notes, set(f.acquisition))) == ("by hand", {"TwoPhotonSeries"})


# --- failures ---------------------------------------------------------------------------------


class Broken(Exception):
    """Error raised by a source."""


def break_imaging(error: BaseException) -> Any:
    extractor = generate_dummy_imaging_extractor(num_samples=12, num_rows=7, num_columns=9)
    whole = extractor.get_series

    def get_series(start_sample: int, end_sample: int) -> Any:
        if end_sample > 6:
            raise error
        return whole(start_sample, end_sample)

    extractor.get_series = get_series
    return extractor


def break_segmentation(error: BaseException) -> Any:
    extractor = generate_dummy_segmentation_extractor(num_rois=5, num_rows=7, num_columns=9)

    def raising(roi_ids: Any = None) -> Any:
        raise error

    extractor.get_roi_image_masks = raising
    return extractor


PIECES = {"chunk_shape": (3, 9, 7), "buffer_shape": (3, 9, 7)}


def fail(kind: str, error: BaseException, path: Path, **options: Any) -> None:
    if kind == "imaging":
        write, extractor = tools.write_imaging, break_imaging(error)
        options["iterator_options"] = PIECES
    else:
        write, extractor = tools.write_segmentation, break_segmentation(error)
    with pytest.raises(type(error)):
        write(extractor, path, **options)


@pytest.mark.parametrize("error", [Broken("half way"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("kind", ["imaging", "segmentation"])
def test_a_failure_leaves_no_new_file(
    kind: str, error: BaseException, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(kind, error, path, metadata=BASE)
    assert list(path.parent.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("error", [Broken("half way"), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", ["imaging", "segmentation"])
def test_a_failure_leaves_an_existing_file_as_it_was(
    kind: str, error: BaseException, overwrite: bool, path: Path
) -> None:
    old = {**BASE, **series("Old")}
    tools.write_imaging(generate_dummy_imaging_extractor(), path, metadata=old, verbose=False)
    before = path.read_bytes()
    fail(kind, error, path, metadata=BASE, overwrite=overwrite)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["session.nwb"]


@pytest.mark.parametrize("iterator_type", ["v1", "v2", None])
def test_the_end_of_an_iterator_is_not_taken_for_the_end_of_the_data(
    iterator_type: Any, path: Path
) -> None:
    options = {"iterator_options": PIECES} if iterator_type == "v2" else {}
    with pytest.raises(ValueError, match="ended"):
        tools.write_imaging(
            break_imaging(StopIteration()),
            path,
            metadata=BASE,
            iterator_type=iterator_type,
            **options,
        )
    assert list(path.parent.iterdir()) == []


def test_a_name_that_is_taken_leaves_the_file_as_it_was(imaging: Any, path: Path) -> None:
    tools.write_imaging(imaging, path, metadata=BASE, verbose=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="TwoPhotonSeries"):
        tools.write_imaging(imaging, path, metadata=BASE, verbose=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"metadata": {"Ophys": {"ImagingPlane": [{"name": "half"}]}}}, ValueError),
        ({"metadata": {"NWBFile": {}}, "overwrite": True}, ValueError),
        ({"photon_series_type": "Three"}, AssertionError),
        ({"iterator_type": "v3"}, AssertionError),
        ({"iterator_options": {"chunk_mb": -1}}, AssertionError),
    ],
)
def test_wrong_arguments_leave_the_file_as_it_was(
    options: Any, kind: type, imaging: Any, path: Path
) -> None:
    old = {**BASE, **series("Old")}
    tools.write_imaging(imaging, path, metadata=old, verbose=False)
    before = path.read_bytes()
    with pytest.raises(kind):
        tools.write_imaging(imaging, path, verbose=False, **options)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["session.nwb"]


def test_a_file_that_is_no_nwb_file_is_not_appended_to(
    write: Callable[..., Any], path: Path
) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(OSError, match=r"session\.nwb"):
        write(path, metadata=BASE)
    assert path.read_bytes() == b"precious"


def test_a_folder_that_is_not_there(write: Callable[..., Any], path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        write(path.parent / "nowhere" / "session.nwb", metadata=BASE)
    assert list(path.parent.iterdir()) == []


# --- the deprecated size ----------------------------------------------------------------------


def test_buffer_size(imaging: Any, nwbfile: NWBFile) -> None:
    options = {"chunk_shape": (1, 9, 7)}
    with pytest.warns(DeprecationWarning, match="buffer_size") as caught:
        tools.write_imaging(imaging, nwbfile=nwbfile, buffer_size=4e-7, iterator_options=options)
    assert caught[0].filename == __file__
    # A frame takes 126 bytes: three fit into 400.
    assert nwbfile.acquisition["TwoPhotonSeries"].data.data.buffer_shape == (3, 9, 7)
    assert options == {"chunk_shape": (1, 9, 7)}


def test_a_wrong_buffer_size(imaging: Any, nwbfile: NWBFile) -> None:
    with (
        pytest.warns(DeprecationWarning, match="buffer_size"),
        pytest.raises(AssertionError, match="buffer_gb"),
    ):
        tools.write_imaging(imaging, nwbfile=nwbfile, buffer_size=-1)


def test_the_file_of_the_extractor_is_not_replaced(path: Path, imaging: Any) -> None:
    """Fault: all that the file held beside the movie was lost."""
    tools.write_imaging(imaging, path, metadata=BASE, verbose=False)
    before = path.read_bytes()
    link = path.with_name("link.nwb")
    link.symlink_to(path)
    for output in (path, link):
        with pytest.raises(ArgumentError, match="from which the data are read"):
            tools.write_imaging(
                NwbImagingExtractor(path), output, metadata=BASE, overwrite=True, verbose=False
            )
    assert path.read_bytes() == before
