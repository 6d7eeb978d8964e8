"""Tests of stores of Zarr format 3 that lack shards or chunks, or whose shards are damaged."""

from __future__ import annotations

import shutil
import warnings

import h5py
import numpy as np
import pytest
import zarr
from pynwb.testing.mock.file import mock_NWBFile
from pynwb.testing.mock.ophys import mock_ImagingPlane, mock_TwoPhotonSeries

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.nwb.sample import write_segmentation_sample
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.storage import check_complete, create_nwbfile, repack
from nwb_ophys.storage.backends.zarr_claims import layout_of
from nwb_ophys.storage.backends.zarr_parts import absent_chunks
from nwb_ophys.storage.backends.zarr_places import ABSENT, checksum, read_index

from .conftest import DATA, START, VALUES, in_chunks, new_file

MOVIE = "acquisition/TwoPhotonSeries/data"


@pytest.fixture
def movie(tmp_path, small_shards):
    """A store with a movie of 20 chunks in 5 shards, 20 frames each."""
    plane = mock_ImagingPlane()
    nwbfile = mock_NWBFile(session_start_time=START)
    nwbfile.add_device(plane.device)
    nwbfile.add_imaging_plane(plane)
    data = in_chunks(VALUES, (10, 12, 5))
    nwbfile.add_acquisition(
        mock_TwoPhotonSeries(
            name="TwoPhotonSeries", imaging_plane=plane, data=data, rate=30.0, unit="n.a."
        )
    )
    path = tmp_path / "movie.nwb.zarr"
    create_nwbfile(nwbfile, path, backend="zarr")
    layout = layout_of(path / MOVIE)
    assert (layout.num_shards, layout.per_shard) == ((5, 1, 1), (2, 1, 2))
    return path


def _lose_shard(folder):
    (folder / "c/3/0/0").unlink()


def _lose_chunk(folder):
    layout, file = layout_of(folder), folder / "c/3/0/0"
    index = read_index(file, layout)[0].copy()
    index[1] = ABSENT
    content = index.tobytes()
    _overwrite(file, 0, content + checksum(content))


def _flip_index(folder):
    file = folder / "c/3/0/0"
    _overwrite(file, 8, bytes([file.read_bytes()[8] ^ 1]))


def _truncate(folder):
    file = folder / "c/3/0/0"
    file.write_bytes(file.read_bytes()[:-1])


def _overwrite(file, start, content):
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(content)


DAMAGES = {
    "a lost shard": (_lose_shard, "lacks 4 of 20 chunks.* 60 to 79"),
    "a lost chunk": (_lose_chunk, "lacks 1 of 20 chunks.* 60 to 69"),
    "a flipped index": (_flip_index, "index of the shard 'c/3/0/0' has another checksum"),
    "a truncated shard": (_truncate, "shard 'c/3/0/0' names bytes beyond its end"),
}


def _ended(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in command])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return ended.value.code, out + err


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_and_named(movie, tmp_path, capsys, damage):
    act, said = DAMAGES[damage]
    act(movie / MOVIE)
    array = zarr.open_group(str(movie), mode="r")[MOVIE]
    with pytest.raises(CorruptSourceError, match=said):
        check_complete(array)
    code, text = _ended(capsys, "convert", movie, "-o", tmp_path / "b.nwb")
    assert code == 2
    assert "c/3/0/0" in text or "60 to " in text
    assert not (tmp_path / "b.nwb").exists()
    code, text = _ended(capsys, "verify", movie)
    assert code


def test_a_whole_movie_passes(movie, tmp_path, capsys):
    check_complete(zarr.open_group(str(movie), mode="r")[MOVIE])
    target = tmp_path / "b.nwb"
    code, text = _ended(capsys, "convert", movie, "-o", target, "--no-progress")
    assert code in (0, None), text
    assert _ended(capsys, "verify", movie)[0] in (0, None)
    with h5py.File(target) as file:
        assert np.array_equal(file[MOVIE][()], VALUES)


def test_every_byte_of_a_chunk_is_verified(movie, capsys):
    file = movie / MOVIE / "c/3/0/0"
    _overwrite(file, file.stat().st_size - 9, b"\xff\x00\xff")
    code, text = _ended(capsys, "verify", movie)
    assert code == 1
    assert MOVIE in text


def test_absent_chunks_of_zeros_stay_absent_in_a_copy(tmp_path, small_shards):
    """Only a source that says so has them, as the masks of ROIs."""
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    first, second = tmp_path / "a.nwb.zarr", tmp_path / "b.nwb"
    nwb_ophys.open(path, format="nwb-segmentation").run_conversion(
        first, backend="zarr", progress=False
    )
    repack(first, second)
    repack(second, tmp_path / "c.nwb.zarr")
    before = nwb_ophys.open(first, format="nwb-segmentation").extractor
    after = nwb_ophys.open(tmp_path / "c.nwb.zarr", format="nwb-segmentation").extractor
    for roi in before.get_roi_ids():
        assert np.array_equal(before.get_roi_image_masks([roi]), after.get_roi_image_masks([roi]))


def test_shards_of_which_some_chunks_are_absent_are_complete(tmp_path, small_shards):
    """The index of such a shard has its checksum when all chunks that exist are stored."""
    source = tmp_path / "a.nwb"
    create_nwbfile(new_file(a=VALUES), source)
    with h5py.File(source, "r+") as file:
        attributes = dict(file[DATA].attrs)
        del file[DATA]
        stored = file.create_dataset(DATA, (100, 40, 30), "u2", chunks=(10, 40, 15))
        stored[20:50, :, 10:20] = 3
        stored.attrs.update(attributes)
        values = stored[()]
    repack(source, tmp_path / "b.nwb.zarr", verify=True)
    array = zarr.open_group(tmp_path / "b.nwb.zarr", mode="r")[DATA]
    assert np.array_equal(array[...], values)
    assert sum(absent_chunks(array).values()) == 20 - 6


@pytest.mark.parametrize("is_header", [True, False])
def test_a_lost_group_is_named(tmp_path, is_header):
    """The copies of headers in the root still state it."""
    path = write_segmentation_sample(tmp_path, simulate_recording(num_samples=4))["file_path"]
    written = tmp_path / "a.nwb.zarr"
    nwb_ophys.open(path, format="nwb-segmentation").run_conversion(
        written, backend="zarr", progress=False
    )
    place = "processing/ophys/Fluorescence"
    if is_header:
        (written / place / "zarr.json").unlink()
        said = f"'{written}' has '{place}', which cannot be read"
    else:
        shutil.rmtree(written / place)
        said = f"'{written}' has no '{place}', although the record of its conversion"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nwb_ophys.open(written)
    assert any(str(each.message).startswith(said) for each in caught)
