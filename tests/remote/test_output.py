"""Files and folders that are written to an object store."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import s3fs
import zarr

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import ArgumentError, OutputError, OutputExistsError
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.remote.stores import open_store
from nwb_ophys.storage import WriteOptions, target, uploads
from nwb_ophys.tools import write_imaging

from .conftest import KEY, METADATA, SECRET, Fault

DATA = "acquisition/TwoPhotonSeries/data"
NAMES = {"hdf5": "session.nwb", "zarr": "session.nwb.zarr"}


@pytest.fixture
def name(backend):
    return NAMES[backend]


def _is_plain(error, *words):
    text = str(error)
    assert len(text.splitlines()) == 1
    assert len(text) < 400
    assert KEY not in text
    assert SECRET not in text
    assert "X-Amz" not in text
    for word in words:
        assert word in text
    return True


def _nothing_is_left(bucket):
    return not bucket.keys and not bucket.open_uploads


def _values(bucket, name, tmp_path):
    if name.endswith(".zarr"):
        store = s3fs.S3FileSystem()
        return zarr.open_consolidated(s3fs.S3Map(f"{bucket.name}/{name}", s3=store))[DATA][:]
    (tmp_path / "copy.nwb").write_bytes(bucket.get(name))
    with h5py.File(tmp_path / "copy.nwb") as file:
        return file[DATA][:]


def test_contents_are_those_of_a_local_conversion(bucket, convert, name, movie, tmp_path):
    written = convert(f"{bucket.url}/{name}", verify=True)
    assert isinstance(written, RemotePath)
    assert str(written) == f"{bucket.url}/{name}"
    assert np.array_equal(_values(bucket, name, tmp_path), np.load(movie).transpose(0, 2, 1))
    assert not bucket.open_uploads
    if name.endswith(".zarr"):
        local = convert(tmp_path / name)
        files = {
            each.relative_to(tmp_path).as_posix() for each in local.rglob("*") if each.is_file()
        }
        assert set(bucket.keys) == files
    assert all(b"/nwb-ophys-" not in bucket.get(key) for key in bucket.keys)


def test_the_file_is_uploaded_in_parts_and_joined_last(bucket, convert):
    convert(f"{bucket.url}/session.nwb")
    own = [query for method, _, query in bucket.app.requests if method in ("PUT", "POST")]
    parts = [query for query in own if "partNumber" in query]
    assert len(parts) >= 3
    assert own[-1].startswith("uploadId=")
    assert "PUT" not in [m for m, _, query in bucket.app.requests if "partNumber" not in query]


def test_a_folder_can_be_opened_only_when_it_is_complete(bucket, convert):
    convert(f"{bucket.url}/session.nwb.zarr")
    put = [path for method, path, _ in bucket.app.requests if method == "PUT"]
    order = [path.partition(".zarr/")[2] for path in put]
    assert order[-3:] == [".zattrs", ".zgroup", ".zmetadata"]
    assert not {".zgroup", ".zmetadata"} & set(order[:-3])
    # The answer to each request states the checksum, so that no second request asks for it.
    assert sum(method == "HEAD" for method, _, _ in bucket.app.requests) < len(put) / 4


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[:-1] + b"?"])
def test_a_small_object_that_is_stored_otherwise_is_noticed(bucket, convert, monkeypatch, change):
    store = open_store(RemotePath(f"{bucket.url}/session.nwb.zarr")).fs
    put = store.pipe_file

    def put_other(path, data):
        return put(path, change(data) if path.endswith(f"{DATA}/.zarray") else data)

    monkeypatch.setattr(store, "pipe_file", put_other)
    with pytest.raises(OutputError, match="not stored as it was sent"):
        convert(f"{bucket.url}/session.nwb.zarr", stub_test=True)
    assert _nothing_is_left(bucket)


@pytest.mark.parametrize("answer", [None, "", {}, {"ETag": None}, {"ETag": '"abc-2"'}])
def test_an_answer_without_the_checksum_confirms_nothing(answer):
    digests = uploads.Digests()
    digests.add(b"abc")
    assert not digests.are_confirmed_by(answer)
    assert digests.are_confirmed_by({"ETag": '"900150983cd24fb0d6963f7d28e17f72"'})


def test_a_part_that_is_refused_once_is_sent_again(bucket, convert, tmp_path, movie):
    fault = bucket.app.fail("PUT", "partNumber=2", times=1)
    convert(f"{bucket.url}/session.nwb")
    assert fault.reached.is_set()
    assert np.array_equal(
        _values(bucket, "session.nwb", tmp_path), np.load(movie).transpose(0, 2, 1)
    )


def test_an_object_that_is_refused_once_is_sent_again(bucket, convert):
    fault = bucket.app.fail("PUT", path="/0.0.0", times=1, status=503, code="ServiceUnavailable")
    convert(f"{bucket.url}/session.nwb.zarr")
    assert fault.reached.is_set()
    assert f"session.nwb.zarr/{DATA}/0.0.0" in bucket.keys


@pytest.mark.parametrize("part", [1, 3])
def test_a_part_that_is_refused_ends_the_upload(bucket, convert, part):
    # The upload that is tried and aborted before the conversion has one part as well.
    with pytest.raises(OutputError) as caught:
        convert_with(
            convert,
            f"{bucket.url}/session.nwb",
            lambda _: bucket.app.faults or bucket.app.fail("PUT", f"partNumber={part}&"),
        )
    assert _is_plain(caught.value, "session.nwb", "InternalError", "4 attempts")
    assert _nothing_is_left(bucket)


def test_parts_that_are_not_joined_are_removed(bucket, convert):
    bucket.app.fail("POST", "uploadId=")
    with pytest.raises(OutputError) as caught:
        convert(f"{bucket.url}/session.nwb")
    assert _is_plain(caught.value, "session.nwb", "InternalError")
    assert _nothing_is_left(bucket)


def convert_with(convert, target, begin):
    return convert.__closure__[0].cell_contents.run_conversion(
        target, metadata=METADATA, progress=begin
    )


@pytest.mark.parametrize("path", ["zarr/.zmetadata"])
def test_an_object_that_is_refused_ends_the_upload(bucket, convert, path):
    bucket.app.fail("PUT", path=path)
    with pytest.raises(OutputError) as caught:
        convert(f"{bucket.url}/session.nwb.zarr")
    assert _is_plain(caught.value, "session.nwb.zarr")
    assert _nothing_is_left(bucket)


@pytest.mark.parametrize(("name", "times"), [("session.nwb", 1), ("session.nwb", 99)])
def test_a_connection_that_is_cut(bucket, convert, name, times):
    query, path = ("partNumber=2", "") if name == "session.nwb" else ("", "/0.0.0")
    fault = bucket.app.fail("PUT", query, path, cuts=True, times=times)
    if times == 1:
        convert(f"{bucket.url}/{name}")
        assert any(key.startswith(name) for key in bucket.keys)
    else:
        with pytest.raises(OutputError) as caught:
            convert(f"{bucket.url}/{name}")
        assert _is_plain(caught.value, name, "could not be reached")
        assert _nothing_is_left(bucket)
    assert fault.reached.is_set()


def test_a_missing_bucket_is_named_before_the_conversion(bucket, convert):
    name = "session.nwb"

    def progress(_):
        raise AssertionError("The conversion began.")

    with pytest.raises(OutputError) as caught:
        convert_with(convert, f"s3://no-such-bucket/{name}", progress)
    assert _is_plain(caught.value, f"s3://no-such-bucket/{name}", "NoSuchBucket")


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_wrong_credentials(bucket, convert, code):
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        bucket.app.fail(method, status=403, code=code)
    with pytest.raises(OutputError) as caught:
        convert(f"{bucket.url}/session.nwb")
    bucket.app.faults.clear()
    assert _is_plain(caught.value, "session.nwb", "credentials")
    assert _nothing_is_left(bucket)


def test_missing_credentials(bucket, convert, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    # Another instance of the store than that of the other tests, which keeps its credentials.
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": bucket.endpoint})
    with pytest.raises(OutputError) as caught:
        convert(f"{bucket.url}/session.nwb")
    assert _is_plain(caught.value, "credentials")


def test_an_existing_target_is_kept_or_replaced(bucket, convert, name):
    convert(f"{bucket.url}/{name}")
    before = bucket.keys
    for options, error in (({}, OutputExistsError), ({"append": True}, OutputError)):
        with pytest.raises(error) as caught:
            convert(f"{bucket.url}/{name}", **options)
        assert _is_plain(caught.value, name)
    assert bucket.keys == before
    if name.endswith(".zarr"):  # a chunk that the new store does not have
        bucket.put(f"{name}/{DATA}/9999.0.0", b"old")
    convert(f"{bucket.url}/{name}", overwrite=True)
    assert set(bucket.keys) == set(before)


def test_a_file_is_replaced_only_when_the_new_one_is_complete(bucket, convert):
    convert(f"{bucket.url}/session.nwb")
    before = bucket.get("session.nwb")
    bucket.app.fail("PUT", "partNumber=2")
    with pytest.raises(OutputError):
        convert(f"{bucket.url}/session.nwb", overwrite=True)
    assert bucket.get("session.nwb") == before
    assert not bucket.open_uploads


def test_objects_of_another_kind_are_not_replaced(bucket, convert):
    bucket.put("session.nwb", b"my notes")
    bucket.put("session.nwb.zarr/notes.txt", b"my notes")
    bucket.put("other.nwb.zarr/.zgroup", b'{"zarr_format": 2}')
    before = bucket.keys
    for each in ("session.nwb", "session.nwb.zarr", "other.nwb.zarr"):
        with pytest.raises(OutputError, match="is not an NWB file"):
            convert(f"{bucket.url}/{each}", overwrite=True)
    assert bucket.keys == before


def test_an_object_in_the_place_of_a_store_is_refused_before_anything_is_read(bucket, convert):
    """Fault: the whole conversion was done, and then refused."""
    convert(f"{bucket.url}/a.nwb", stub_test=True)
    bucket.put("b.nwb.zarr", bucket.get("a.nwb"))
    before = bucket.keys
    with (
        pytest.raises(OutputError, match="is a file of another backend and is left as it is"),
        target(f"{bucket.url}/b.nwb.zarr", WriteOptions(overwrite=True)),
    ):
        pytest.fail("the file would be written")
    assert bucket.keys == before


def test_an_upload_that_did_not_end_is_named(bucket, convert):
    """Fault: nobody heard of the parts that a killed process leaves, for which a store charges."""
    url = f"{bucket.url}/a.nwb"
    for key in ("a.nwb", "a.nwb2"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    with pytest.warns(UserWarning, match="has 1 upload in parts that began before and did not end"):
        convert(url, stub_test=True)
    assert sorted(bucket.open_uploads) == ["a.nwb", "a.nwb2"]


def test_empty_objects_that_mark_folders_are_none_of_a_store(bucket, convert):
    """A store under one was said to exist, and could not be replaced either."""
    bucket.put("a.nwb.zarr/", b"")
    bucket.put("a.nwb.zarr/general/", b"")
    convert(f"{bucket.url}/a.nwb.zarr", stub_test=True)
    with nwb_ophys.open(f"{bucket.url}/a.nwb.zarr") as opened:
        assert opened.extractor.get_num_samples() > 0


def test_a_file_that_another_process_writes_meanwhile_is_kept(bucket, convert):
    def progress(_):
        bucket.put("session.nwb", b"of another process")

    with pytest.raises(OutputError, match="another process"):
        convert_with(convert, f"{bucket.url}/session.nwb", progress)
    assert bucket.get("session.nwb") == b"of another process"
    assert not bucket.open_uploads


def test_a_wrong_checksum_is_noticed(bucket, convert, monkeypatch):
    """The store is damaged while the file is uploaded."""
    add = uploads._add_part

    def add_other(file, data, stop):
        add(file, bytes(len(data)), stop)

    monkeypatch.setattr(uploads, "_add_part", add_other)
    with pytest.raises(OutputError, match="not stored as it was sent"):
        convert(f"{bucket.url}/session.nwb")
    assert _nothing_is_left(bucket)


def test_another_kind_of_tag_is_no_error(bucket, convert, monkeypatch):
    """Encrypted objects have tags that are not sums of their bytes; they are read back."""
    monkeypatch.setattr(uploads.Digests, "agree_with", lambda *_: False)
    convert(f"{bucket.url}/session.nwb")
    assert "session.nwb" in bucket.keys


@pytest.mark.parametrize(
    ("options", "error"),
    [({"resume": True}, ArgumentError), ({"in_place": True}, ArgumentError)],
)
def test_options_for_files_are_refused(bucket, convert, options, error):
    with pytest.raises(error) as caught:
        convert(f"{bucket.url}/session.nwb", **options)
    assert _is_plain(caught.value)


@pytest.mark.parametrize("url", ["https://host/a.nwb", "s3://bucket", "simplecache::s3://b/a.nwb"])
def test_urls_that_cannot_be_written(convert, url):
    with pytest.raises((OutputError, ValueError)) as caught:
        convert(url)
    assert _is_plain(caught.value, url)


def test_a_password_is_not_shown(convert):
    with pytest.raises(OutputError) as caught:
        convert("https://me:my-password@host/a.nwb?X-Amz-Signature=abc")
    assert "my-password" not in str(caught.value)
    assert _is_plain(caught.value, "https://host/a.nwb")


def test_memory(convert, name, movie):
    memory = fsspec.filesystem("memory")
    target = f"memory://folder/{name}"
    try:
        convert(target)
        with pytest.raises(OutputExistsError):
            convert(target)
        convert(target, overwrite=True)
        if name.endswith(".zarr"):
            values = zarr.open_consolidated(fsspec.get_mapper(target))[DATA][:]
        else:
            with memory.open(target) as opened, h5py.File(opened) as file:
                values = file[DATA][:]
        assert np.array_equal(values, np.load(movie).transpose(0, 2, 1))
    finally:
        memory.rm("/folder", recursive=True)


def test_a_file_of_pynwb_and_the_functional_api(bucket, recording):
    nwbfile = recording.create_nwbfile(METADATA)
    written = nwb_ophys.write_nwbfile(nwbfile, f"{bucket.url}/a.nwb", progress=False)
    assert str(written) == f"{bucket.url}/a.nwb"
    write_imaging(recording.extractor, f"{bucket.url}/b.nwb", metadata=METADATA, verbose=False)
    assert set(bucket.keys) == {"a.nwb", "b.nwb"}


def _arguments(movie, target):
    given = [str(movie), "-o", target, "--option", "sampling_frequency=30", "--no-progress"]
    return ["convert", *given, "--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"]


def test_the_command_line(bucket, movie, capsys):
    with pytest.raises(SystemExit) as ended:
        main(_arguments(movie, f"{bucket.url}/a.nwb"))
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"{bucket.url}/a.nwb: ")
    with pytest.raises(SystemExit) as ended:
        main(_arguments(movie, f"{bucket.url}/a.nwb"))
    assert ended.value.code == 2
    assert re.fullmatch(
        r"Error: 's3://\S+' already exists; use --overwrite.*\n", capsys.readouterr().err
    )


def _expired_from(bucket, query, path):
    """Let all requests fail after one whose query and path contain texts."""
    seen = []

    def applies(environ):
        if query in environ["QUERY_STRING"] and path in environ["PATH_INFO"]:
            seen.append(environ["REQUEST_METHOD"] == "PUT")
        return any(seen)

    bucket.app.faults.append(Fault(applies, status=400, code="ExpiredToken"))


@pytest.mark.parametrize(
    ("name", "query", "path", "words"),
    [
        ("a.nwb", "partNumber=2", "", "abort the incomplete multipart upload with the tool"),
        ("a.nwb.zarr", "", "/0.0.0", "holds parts that cannot be removed: .* Remove them with"),
    ],
)
def test_credentials_that_expire_are_named_and_what_is_left(
    bucket, convert, name, query, path, words
):
    """The parts of a file stayed in the store, without a word."""
    _expired_from(bucket, query, path)
    with pytest.raises(OutputError, match=rf"credentials have expired \(ExpiredToken\).*{words}"):
        convert(f"{bucket.url}/{name}")
    bucket.app.faults.clear()
    assert bucket.open_uploads or f"{name}/.nwb-ophys-upload" in bucket.keys


def test_an_interrupt_says_that_parts_are_left(bucket, movie, capsys, monkeypatch):
    _expired_from(bucket, "partNumber=2", "")

    class Interrupted(uploads.Workers):
        def next_done(self, *, wait=True):
            while not bucket.app.faults[0].reached.is_set():
                time.sleep(0.01)
            self._stop.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(uploads, "Workers", Interrupted)
    with pytest.raises(SystemExit) as ended:
        main(_arguments(movie, f"{bucket.url}/a.nwb"))
    assert ended.value.code == 130
    assert "a.nwb' could not be removed; remove them in the store." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("session.nwb", signal.SIGINT, 130),
        ("session.nwb.zarr", signal.SIGINT, 130),
        ("session.nwb.zarr", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_program_that_is_ended_while_it_uploads(bucket, movie, name, number, code, tmp_path):
    query, path = ("partNumber=2", "") if name == "session.nwb" else ("", "/0.0.0")
    fault = bucket.app.fail("PUT", query, path, waits=threading.Event())
    settings = f'{{"endpoint_url": "{bucket.endpoint}"}}'
    script = (
        "import sys; from nwb_ophys.storage import uploads; uploads.PART_BYTES = 5 << 20\n"
        "from nwb_ophys.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, *_arguments(movie, f"{bucket.url}/{name}")],
        env={**os.environ, "FSSPEC_S3": settings, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert fault.reached.wait(30)
    process.send_signal(number)
    threading.Timer(0.3, fault.waits.set).start()
    _, printed = process.communicate(timeout=30)
    assert process.returncode == code
    if number == signal.SIGINT:
        assert printed == "Interrupted. No incomplete file was left.\n"
        assert _nothing_is_left(bucket)
        assert not list(Path(tmp_path).iterdir())
    else:
        assert "session.nwb" not in bucket.keys
        assert not {f"{name}/.zgroup", f"{name}/.zmetadata"} & set(bucket.keys)
