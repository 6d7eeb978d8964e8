"""Files of a recording that were swapped or copied over each other."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor
from nwb_ophys.testing import write_bruker

_HEAD = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2012-06" '


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording whose files state their own UUIDs, as those of Prairie View do."""
    movie = np.arange(6 * 8 * 9, dtype=np.uint16).reshape(6, 8, 9)
    folder = write_bruker(tmp_path / "session", movie)
    folder = folder if folder.is_dir() else folder.parent
    files = sorted(folder.glob("*.tif"))
    uuids = {file.name: f"urn:uuid:{uuid.uuid4()}" for file in files}
    listed = "".join(
        f'<TiffData IFD="0"><UUID FileName="{name}">{one}</UUID></TiffData>'
        for name, one in uuids.items()
    )
    for index, file in enumerate(files):
        inside = f'<BinaryOnly MetadataFile="{files[0].name}" UUID="{uuids[files[0].name]}"/>'
        if not index:
            inside = f"<Image><Pixels>{listed}</Pixels></Image>"
        text = f'{_HEAD}UUID="{uuids[file.name]}">{inside}</OME>'
        tifffile.imwrite(file, tifffile.imread(file, is_ome=False), description=text, metadata=None)
    return folder


def _read(folder: Path) -> np.ndarray:
    extractor = BrukerTiffExtractor(folder / f"{folder.name}.xml")
    try:
        return extractor.get_series()
    finally:
        extractor.close()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tif"))


def test_files_under_their_own_names_are_read(folder: Path) -> None:
    assert (_read(folder).ravel() == np.arange(6 * 8 * 9)).all()


@pytest.mark.parametrize(("one", "other"), [(1, 2), (0, 3), (4, 5)])
def test_swapped_files_are_refused_by_name(folder: Path, one: int, other: int) -> None:
    first, second = _files(folder)[one], _files(folder)[other]
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)
    with pytest.raises(CorruptSourceError, match=r"\.tif' contains the images of .* swapped"):
        _read(folder)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (0, 3), (3, 0)])
def test_a_file_copied_over_another_is_refused_by_name(folder: Path, one: int, other: int) -> None:
    files = _files(folder)
    shutil.copyfile(files[one], files[other])
    with pytest.raises(CorruptSourceError, match=f"{files[other].name}' contains the images of"):
        _read(folder)


def test_a_recording_that_was_renamed_as_a_whole_is_read(folder: Path) -> None:
    """The files still list their former names, which say nothing of their order."""
    xml = folder / f"{folder.name}.xml"
    text = xml.read_text(encoding="utf-8-sig").replace(f"{folder.name}_Cycle", "other_Cycle")
    xml.write_text(text)
    for file in _files(folder):
        file.rename(folder / file.name.replace(folder.name, "other"))
    assert (_read(folder).ravel() == np.arange(6 * 8 * 9)).all()
