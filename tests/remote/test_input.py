"""Recordings that are read in an object store."""

from __future__ import annotations

import re
import shutil

import fsspec
import h5py
import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    NwbOphysError,
    SourceError,
    SourceNotFoundError,
    UnknownFormatError,
)
from nwb_ophys.registry import formats
from nwb_ophys.remote import reading
from nwb_ophys.testing import simulate_recording, write_scanimage
from nwb_ophys.testing.samples import write_sample

from .conftest import KEY, METADATA, SECRET

FORMATS = ("hdf5", "nwb", "nwb-segmentation", "scanimage", "ome-tiff")
IN_MEMORY = (
    "tiff",
    "scanimage-legacy",
    "metamorph",
    "micromanager",
    "ndtiff",
    "femtonics",
    "caiman",
    "cnmfe",
    "extract",
)
# Written anew by each conversion.
_VOLATILE = re.compile(
    r"identifier|file_create_date|general/source_script|scratch/.*|specifications/.*"
)


@pytest.fixture(autouse=True)
def _no_blocks_of_before():
    reading._block.cache_clear()
    reading._small_block.cache_clear()
    reading._info.cache_clear()
    reading._entries.cache_clear()


def _contents(path):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and not _VOLATILE.fullmatch(name):
            values = item[()]
            if h5py.check_ref_dtype(item.dtype) is not None:
                values = [item.file[each].name for each in np.ravel(values)]
            found[name] = values

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _is_same(one, other):
    first, second = _contents(one), _contents(other)
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)
    return bool(first)


def _converted(source, target, hints):
    opened = nwb_ophys.open(source, **hints)
    try:
        return opened.run_conversion(target, metadata=METADATA, progress=False)
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("name", "store"),
    [*((name, "s3") for name in FORMATS), *((name, "memory") for name in IN_MEMORY)],
)
def test_contents_are_those_of_the_file_on_the_disk(bucket, name, store, tmp_path):
    (tmp_path / "raw").mkdir()
    recording = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
    hints = write_sample(formats()[name], tmp_path / "raw", recording)
    given = hints.pop("folder_path" if "folder_path" in hints else "file_path")
    path = given if given.is_file() else sorted(given.glob("*.tif"))[-1]
    url = f"{bucket.url}/raw/{path.name}"
    if store == "memory":
        url = f"memory://raw-{name}/{path.relative_to(tmp_path / 'raw')}"
        fsspec.filesystem("memory").put(str(tmp_path / "raw"), f"/raw-{name}", recursive=True)
    else:
        bucket.put(f"raw/{path.name}", path.read_bytes())
    local = _converted(path, tmp_path / "local.nwb", hints)
    remote = _converted(url, tmp_path / "remote.nwb", hints)
    assert _is_same(local, remote)
    with h5py.File(remote) as file:
        record = str(file["scratch/nwb_ophys_record"][()])
    assert path.name in record
    assert SECRET not in record


@pytest.fixture
def nwb(movie, tmp_path_factory, bucket):
    folder = tmp_path_factory.mktemp("nwb")
    path = _converted(movie, folder / "movie.nwb", {"sampling_frequency": 30.0})
    bucket.put("movie.nwb", path.read_bytes())
    yield path
    shutil.rmtree(folder)


def _bytes_read(bucket):
    ranges = [each for each in bucket.app.ranges if each]
    ends = [re.fullmatch(r"bytes=(\d+)-(\d+)", each).groups() for each in ranges]
    return sum(int(stop) - int(start) + 1 for start, stop in ends)


def test_a_file_is_detected_by_few_of_its_bytes(bucket, nwb):
    bucket.app.ranges.clear()
    (found, *_) = nwb_ophys.detect(f"{bucket.url}/movie.nwb")
    assert found.format == "nwb"
    assert _bytes_read(bucket) <= 2 * reading.BLOCK_BYTES < nwb.stat().st_size


def test_pixels_are_read_about_once(bucket, nwb, tmp_path):
    bucket.app.ranges.clear()
    written = _converted(f"{bucket.url}/movie.nwb", tmp_path / "copy.nwb", {})
    assert _is_same(nwb, written)
    # The hash of the source in the record reads it as well.
    assert _bytes_read(bucket) <= 2 * nwb.stat().st_size + 4 * reading.BLOCK_BYTES


@pytest.mark.parametrize("how", [{"status": 500}, {"cuts": True}])
def test_a_read_that_fails_once_is_repeated(bucket, nwb, tmp_path, how):
    fault = bucket.app.fail("GET", path="movie.nwb", times=1, **how)
    written = _converted(f"{bucket.url}/movie.nwb", tmp_path / "copy.nwb", {})
    assert fault.reached.is_set()
    assert _is_same(nwb, written)


def test_a_store_that_fails_while_pixels_are_read(bucket, nwb, tmp_path):
    opened = nwb_ophys.open(f"{bucket.url}/movie.nwb")
    reading._block.cache_clear()
    bucket.app.fail("GET", path="movie.nwb")
    with pytest.raises(NwbOphysError) as caught:
        opened.run_conversion(tmp_path / "copy.nwb", metadata=METADATA, progress=False)
    opened.close()
    assert KEY not in str(caught.value)
    assert "movie.nwb" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId"])
def test_wrong_credentials(bucket, nwb, code):
    bucket.app.fail("HEAD", status=403, code=code)
    bucket.app.fail("GET", status=403, code=code)
    with pytest.raises(SourceError, match="denies access") as caught:
        nwb_ophys.open(f"{bucket.url}/movie.nwb")
    assert KEY not in str(caught.value)


def test_absent_objects_and_folders(bucket, nwb):
    bucket.put("run/a.nwb", b"")
    for url in (f"{bucket.url}/absent.nwb", "s3://no-such-bucket/a.nwb"):
        with pytest.raises(SourceNotFoundError, match="does not exist"):
            nwb_ophys.open(url)
    with pytest.raises(UnknownFormatError, match="contains only NWB files"):
        nwb_ophys.open(f"{bucket.url}/run")


def test_a_shortened_object_is_noticed(bucket, nwb, tmp_path):
    opened = nwb_ophys.open(f"{bucket.url}/movie.nwb")
    reading._block.cache_clear()
    bucket.put("movie.nwb", nwb.read_bytes()[:1_000_000])
    with pytest.raises(NwbOphysError):
        opened.run_conversion(tmp_path / "copy.nwb", metadata=METADATA, progress=False)
    opened.close()
    assert not list(tmp_path.iterdir())


def test_from_store_to_store_on_the_command_line(bucket, nwb, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["convert", f"{bucket.url}/movie.nwb", "-o", f"{bucket.url}/copy.nwb"])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    assert "copy.nwb" in bucket.keys
    with pytest.raises(SystemExit) as ended:
        main(["detect", f"{bucket.url}/copy.nwb"])
    assert "nwb (imaging)" in capsys.readouterr().out


def _put_all(bucket, files):
    for each in files:
        bucket.put(f"run/{each.name}", each.read_bytes())
    return f"{bucket.url}/run"


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_of_a_tiff_file_are_read_in_few_requests(bucket, movie, tmp_path, compression):
    path = tmp_path / "movie.tif"
    values = np.load(movie)
    with tifffile.TiffWriter(path) as writer:
        for frame in values:
            writer.write(frame, compression=compression, contiguous=False, metadata=None)
    url = _put_all(bucket, [path])
    bucket.app.ranges.clear()
    written = _converted(f"{url}/movie.tif", tmp_path / "a.nwb", {"sampling_frequency": 30.0})
    with h5py.File(written) as file:
        stored = file["acquisition/TwoPhotonSeries/data"][:]
    np.testing.assert_array_equal(stored, values.transpose(0, 2, 1))
    if compression is None:  # a table of pages, the pixels, and the hash of the source
        assert len([each for each in bucket.app.ranges if each]) < 2 * len(values)


def test_files_of_one_movie_are_joined(bucket, movie, tmp_path):
    """A file stands for the recording to which it belongs, in a store as on a disk."""
    folder = tmp_path / "run"
    folder.mkdir()
    values = np.load(movie)[:30]
    for number in range(3):
        tifffile.imwrite(folder / f"movie_{number}.tif", values[number * 10 : number * 10 + 10])
    url = _put_all(bucket, folder.iterdir())
    hints = {"sampling_frequency": 30.0}
    local = _converted(folder / "movie_1.tif", tmp_path / "a.nwb", hints)
    remote = _converted(f"{url}/movie_1.tif", tmp_path / "b.nwb", hints)
    assert _is_same(local, remote)
    with h5py.File(remote) as file:
        assert len(file["acquisition/TwoPhotonSeries/data"]) == 30


def test_files_of_one_acquisition_are_joined(bucket, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    recording = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
    files = write_scanimage(folder, recording.movie, frames_per_file=8)
    assert len(files) == 3
    url = _put_all(bucket, files)
    local = _converted(files[0], tmp_path / "a.nwb", {})
    remote = _converted(f"{url}/{files[0].name}", tmp_path / "b.nwb", {})
    assert _is_same(local, remote)


def test_a_folder_that_cannot_be_listed_is_an_error(bucket, movie, tmp_path):
    """Files of the same recording would be missing otherwise."""
    path = tmp_path / "movie_1.tif"
    tifffile.imwrite(path, np.load(movie)[:10])
    url = _put_all(bucket, [path])
    bucket.app.fail("GET", query="list-type", status=403, code="AccessDenied")
    with pytest.raises(SourceError, match="denies access"):
        nwb_ophys.open(f"{url}/movie_1.tif", sampling_frequency=30.0)


def test_other_formats_are_refused(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(nwb_ophys.MiniscopeImagingInterface, "reads_ranges", False)
    recording = simulate_recording(num_samples=5, num_rows=24, num_columns=34, num_cells=3)
    folder = tmp_path / "raw"
    folder.mkdir()
    write_sample(formats()["miniscope"], folder, recording)
    for each in (each for each in folder.rglob("*") if each.is_file()):
        bucket.put(f"run/{each.relative_to(folder).as_posix()}", each.read_bytes())
    for each in (*sorted(bucket.keys)[::3], "run"):
        with pytest.raises(NwbOphysError) as caught:
            nwb_ophys.open(f"{bucket.url}/{each}")
        assert len(str(caught.value).splitlines()) == 1
    assert "is read from a disk only. Download it first" in str(caught.value)


def test_signatures_and_passwords_are_not_recorded(bucket, tmp_path, capsys):
    recording = simulate_recording(num_samples=5, num_rows=24, num_columns=34, num_cells=3)
    (path,) = write_sample(formats()["nwb"], tmp_path, recording).values()
    bucket.put("a.nwb", path.read_bytes())
    host = bucket.endpoint.replace("://", "://me:the-password@")
    url = f"{host}/{bucket.name}/a.nwb?X-Amz-Signature=the-signature"
    with pytest.raises(SystemExit) as end:
        main(["convert", url, "-o", str(tmp_path / "b.nwb"), "--no-progress"])
    assert end.value.code == 0
    said = "".join(capsys.readouterr())
    record = (tmp_path / "b.nwb").read_bytes()
    assert b"nwb-ophys convert" in record
    for secret in ("the-password", "the-signature"):
        assert secret not in said
        assert secret.encode() not in record
