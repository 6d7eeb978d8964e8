"""URLs as paths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.remote.paths import RemotePath, as_path, is_url, local_text


@pytest.mark.parametrize("given", ["s3://bucket/a b/x.nwb", Path("s3://bucket/a b/x.nwb")])
def test_a_url_is_a_path(given):
    path = as_path(given)
    assert isinstance(path, RemotePath)
    assert str(path) == path.url == "s3://bucket/a b/x.nwb"
    assert (path.name, path.suffix, path.protocol) == ("x.nwb", ".nwb", "s3")
    assert str(path.parent) == "s3://bucket/a b"
    assert str(path.parent / "y.nwb") == "s3://bucket/a b/y.nwb"
    assert path == as_path(str(path))
    assert hash(path) == hash(as_path(str(path)))


@pytest.mark.parametrize(
    "given", ["a.nwb", "/tmp/a.nwb", r"C:\data\a.nwb", "C:/a.nwb", "run:/a.nwb", "a:b", "x:1/a.nwb"]
)
def test_other_paths_are_those_of_the_disk(given):
    assert not is_url(given)
    assert as_path(given) == Path(given)


def test_a_url_of_a_file_is_a_path_of_the_disk():
    assert as_path("file:///tmp/a.nwb") == Path("/tmp/a.nwb")


def test_credentials_are_not_in_the_text():
    path = as_path("https://me:pass@host/a.nwb?X-Amz-Signature=123")
    assert str(path) == "https://host/a.nwb"
    assert "pass" not in repr(path)
    assert path.url == "https://me:pass@host/a.nwb?X-Amz-Signature=123"


@pytest.mark.parametrize("key", ["a//b.tif", "/b.tif", "./b.tif", "a/./b.tif"])
def test_names_that_no_path_has_are_refused(key):
    """Another object, without the second slash, was read or replaced."""
    with pytest.raises(SourceArgumentError, match="which may be another object"):
        as_path(f"s3://bucket/{key}")


def test_slashes_at_the_end_are_those_of_a_folder():
    assert str(as_path("s3://bucket/a.nwb.zarr/")) == "s3://bucket/a.nwb.zarr"


def test_the_command_line_reads_a_url_as_it_was_given(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["detect", "memory://nothing/a//b.tif"])
    assert ended.value.code == 2
    assert "'memory://nothing/a//b.tif' has an empty name" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["detect", "memory://nothing/b.tif"])
    assert "'memory://nothing/b.tif'" in capsys.readouterr().err


def test_files_that_differ_in_their_query_are_not_mistaken_for_each_other():
    """The second of two recordings was converted in the place of the first one, too."""
    as_path("https://host/get.tif?id=1&X-Amz-Signature=1")
    path = as_path("https://host/get.tif?id=1&X-Amz-Signature=2&Expires=5")  # signed once more
    assert path.url.endswith("Signature=2&Expires=5")
    with pytest.raises(SourceArgumentError, match=r"'https://host/get\.tif' was given with diff"):
        as_path("https://host/get.tif?id=2&X-Amz-Signature=1")


@pytest.mark.parametrize(
    "url", ["s3://bucket/a?b.nwb", "gs://bucket/a?/b.nwb", "abfs://raw@lab.dfs.core.windows.net/b"]
)
def test_names_and_containers_are_no_credentials(url):
    assert str(as_path(url)) == url
    assert (as_path(url) / "c").url == f"{url}/c"


@pytest.mark.parametrize("url", ["abfs://me:pass@host/a", "s3://me@bucket/a?sig=pass"])
def test_credentials_of_a_store_are_not_in_the_text(url):
    assert as_path(url).url == url
    assert not {"me", "pass"} & set(re.split(r"\W", str(as_path(url))))


@pytest.mark.parametrize(
    "read",
    [
        lambda url: nwb_ophys.open(url, format="miniscope"),
        lambda url: nwb_ophys.MiniscopeImagingInterface(url),
    ],
)
@pytest.mark.parametrize("as_given", [str, Path])
def test_a_format_that_is_not_read_by_ranges_is_refused(read, as_given, monkeypatch):
    monkeypatch.setattr(nwb_ophys.MiniscopeImagingInterface, "reads_ranges", False)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/raw/0.avi", b"RIFF")
    try:
        with pytest.raises(SourceError, match=r"^'memory://raw' .* Download it first"):
            read(as_given("memory://raw"))
    finally:
        memory.rm("/raw", recursive=True)


def test_fsspec_is_imported_for_urls_only():
    code = (
        "import sys; from nwb_ophys.cli import main\n"
        "try: main(['detect', 'setup.cfg'])\n"
        "except SystemExit: print('fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("beginning", ["file://", "file:", "FILE://", "file://localhost"])
def test_a_url_of_a_file_may_have_codes_and_a_computer(tmp_path, beginning):
    """Fault: blanks as %20, and the name of this computer, were parts of the path."""
    assert as_path(f"{beginning}/tmp/a%20b.nwb") == Path("/tmp/a b.nwb")
    assert as_path(f"{beginning}/tmp/a b.nwb") == Path("/tmp/a b.nwb")
    (tmp_path / "100%20.npy").touch()
    assert as_path(f"{beginning}{tmp_path}/100%20.npy") == tmp_path / "100%20.npy"


@pytest.mark.parametrize(
    ("rest", "has_host", "path"),
    [
        ("C:/data/a.nwb", False, "C:/data/a.nwb"),
        ("localhost/C:/data/a.nwb", True, "C:/data/a.nwb"),
        ("server/share/a.nwb", True, "//server/share/a.nwb"),
    ],
)
def test_a_url_of_a_file_with_a_drive(rest, has_host, path):
    assert local_text(rest, has_host=has_host, is_windows=True) == path
