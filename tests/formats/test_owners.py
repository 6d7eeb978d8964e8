"""Owners of TIFF files: each maker's file has one format, and plain formats leave it alone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile

from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES, has_beside, some_headings
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.formats.owners import owner_of
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import formats
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

PLAIN = {"tiff", "ome-tiff"}
OWNED = {"bruker", "thor", "scanimage", "scanimage-legacy", "micromanager", "ndtiff"}
NEED_XML = ("bruker", "thor")


@pytest.fixture(scope="module")
def tiff_files(tmp_path_factory):
    """Return the TIFF files of the sample of every format that writes any."""
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)
    found = {}
    for name, row in formats().items():
        folder = tmp_path_factory.mktemp(name)
        write_sample(row, folder, recording)
        files = sorted(
            path for path in folder.rglob("*") if path.name.lower().endswith(TIFF_SUFFIXES)
        )
        if files:
            found[name] = files
    return found


def _owners(path) -> list[str]:
    heading = read_tiff_heading(path)
    probe = PathProbe(path)
    classes = {name: row.load() for name, row in formats().items()}
    return [
        name
        for name, cls in classes.items()
        if cls.owns(heading) and has_beside(probe, cls.owned_beside)
    ]


def is_owned(probe: PathProbe) -> bool:
    return any(owner_of(heading, probe) is not None for _, heading in some_headings(probe))


def test_every_format_of_tiff_files_is_tried(tiff_files):
    assert set(tiff_files) == PLAIN | OWNED


@pytest.mark.parametrize("name", sorted(PLAIN | OWNED))
def test_a_tiff_file_has_one_owner_or_is_plain(tiff_files, name):
    for path in tiff_files[name]:
        assert _owners(path) == ([name] if name in OWNED else []), path.name
        assert is_owned(PathProbe(path)) is (name in OWNED)


@pytest.mark.parametrize("name", sorted(PLAIN | OWNED))
def test_plain_formats_leave_owned_files_alone(tiff_files, name):
    path = tiff_files[name][0]
    rows = formats()
    plain = {each for each in PLAIN if rows[each].load().matches(path)}
    assert plain == ({name} if name in PLAIN else set())


@pytest.mark.parametrize("name", NEED_XML)
def test_an_image_without_its_xml_file_has_no_owner(tiff_files, tmp_path, name):
    image = tiff_files[name][0]
    alone = tmp_path / image.name
    shutil.copy(image, alone)
    assert not is_owned(PathProbe(alone))
    assert not is_owned(PathProbe(tmp_path))
    for xml in image.parent.glob("*.xml"):
        shutil.copy(xml, tmp_path)
    assert is_owned(PathProbe(alone))
    assert is_owned(PathProbe(tmp_path))


@pytest.mark.parametrize("name", sorted(OWNED - set(NEED_XML)))
def test_other_images_are_owned_without_further_files(tiff_files, tmp_path, name):
    image = tiff_files[name][0]
    alone = tmp_path / image.name
    shutil.copy(image, alone)
    assert is_owned(PathProbe(alone))


def test_a_path_without_tiff_files_has_no_owner(tmp_path):
    assert not is_owned(PathProbe(tmp_path))
    (tmp_path / "cut_off.tif").write_bytes(b"II*\x00")
    assert not is_owned(PathProbe(tmp_path / "cut_off.tif"))
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, np.zeros((3, 8, 8), np.uint16), photometric="minisblack")
    assert not is_owned(PathProbe(plain))
