"""Tests of the metadata in ScanImage's header, in NWB's units."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.errors import UnknownFormatError
from nwb_ophys.formats.scanimage.header import parse_epoch
from nwb_ophys.formats.scanimage.interface import ScanImageImagingInterface
from nwb_ophys.testing import write_scanimage


def _movie(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def _plane(interface: Any) -> dict[str, Any]:
    return dict(interface.describe()["Ophys"]["ImagingPlane"][0])


def test_depths_of_planes(tmp_path):
    """Fault: the header states the depth of each plane, and the file does not."""
    (path,) = write_scanimage(tmp_path / "a.tif", _movie(3, 8, 8, 3), z_step=7.5)
    plane = _plane(ScanImageImagingInterface(path))
    assert len(plane["grid_spacing"]) == 3
    assert plane["grid_spacing"][2] == pytest.approx(7.5e-6)
    assert plane["grid_spacing_unit"] == "meters"
    assert "Volume of planes at z = 0, 7.5, 15 µm" in plane["description"]
    plane = _plane(ScanImageImagingInterface(path, plane_index=2))
    assert len(plane["grid_spacing"]) == 2
    assert "Plane at z = 15 µm in ScanImage's stack." in plane["description"]


def test_depths_of_the_real_recording(data_folder):
    folder = data_folder / "scanimage/volumetric_single_channel_single_file_no_flyback"
    path = next(folder.glob("*.tif"))
    plane = _plane(ScanImageImagingInterface(path))
    np.testing.assert_allclose(plane["grid_spacing"], [8.4375e-07, 8.4375e-07, 2e-06])
    assert "z = 92, 94, 96" in plane["description"]


def test_a_single_plane_states_no_depth(tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", _movie(3, 8, 8))
    plane = _plane(ScanImageImagingInterface(path))
    assert plane["description"] is None
    assert len(plane["grid_spacing"]) == 2


@pytest.mark.parametrize("numbers", ["0 0 0 0 0 0", "2024 13 1 0 0 0", "2024 5", "1e9 1 1 1 1 1"])
def test_an_epoch_that_is_no_date(numbers):
    """Fault: ends with a traceback."""
    assert parse_epoch(f"epoch = [{numbers}]\n") is None


_SIDE_FILES = {
    "values of integration fields": ["grab_IntegrationRois_00001.csv"],
    "estimates of motion": ["grab_Motion_00001.csv"],
    "line scans along arbitrary paths": ["grab_00001.PMT.DAT", "grab_00001.meta.txt"],
}


def test_files_beside_the_movies_are_named(tmp_path):
    """Fault: what ScanImage writes beside its movies was left out without a word."""
    movie = np.zeros((3, 4, 5), np.int16)
    (file,) = write_scanimage(tmp_path, movie, stem="grab")
    assert not _notes_of_side_files(file)
    for name in (*itertools.chain(*_SIDE_FILES.values()), "other_00001.pmt.dat"):
        (tmp_path / name).touch()
    notes = _notes_of_side_files(file)
    for (kind, names), note in zip(_SIDE_FILES.items(), notes, strict=True):
        listed = ", ".join(f"'{name}'" for name in names)
        assert note == f"'{tmp_path}': {kind} ({listed}) are left out; only images are converted."
    assert any("('other_00001.pmt.dat')" in each for each in _notes_of_side_files(tmp_path))


def _notes_of_side_files(path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(path)
    return [str(each.message) for each in caught if "are left out" in str(each.message)]


def test_a_line_scan_without_images_is_refused(tmp_path):
    (tmp_path / "a_00001.pmt.dat").write_bytes(bytes(16))
    for path in (tmp_path, tmp_path / "a_00001.pmt.dat"):
        with pytest.raises(UnknownFormatError, match=r"line scan of ScanImage along an arbitrary"):
            nwb_ophys.open(path)
