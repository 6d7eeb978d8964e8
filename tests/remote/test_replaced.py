"""Objects that are replaced by others of the same size while they are read, and servers of HTTP."""

from __future__ import annotations

import http.server
import threading
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.errors import NwbOphysError, SourceError
from nwb_ophys.remote import reading, stores

from .conftest import METADATA, Fault
from .test_input import _no_blocks_of_before

_caches = _no_blocks_of_before
NUM_PAGES = 40


def _tiff(path, value):
    movie = np.full((NUM_PAGES, 64, 64), value, np.uint16)
    tifffile.imwrite(path, movie, photometric="minisblack", metadata=None)
    return path.read_bytes()


@pytest.fixture
def versions(tmp_path):
    """Two movies of the same size with other pixels."""
    first, second = (_tiff(tmp_path / "a.tif", value) for value in (1, 2))
    assert len(first) == len(second)
    return first, second


def _replaced(opened, tmp_path, words):
    with opened, pytest.raises(SourceError, match=words):
        opened.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    assert not (tmp_path / "a.nwb").exists()
    return True


def _before_pixels(action):
    """Return a fault that acts once before a range of the object is answered."""
    seen = []

    def applies(environ):
        if environ["REQUEST_METHOD"] == "GET" and environ.get("HTTP_RANGE") and not seen:
            seen.append(1)
            action()
        return False

    return Fault(applies, lock=nullcontext())  # the action is a request itself


def test_a_movie_that_is_replaced_while_it_is_read(bucket, versions, tmp_path):
    bucket.put("a.tif", versions[0])
    opened = nwb_ophys.open(f"{bucket.url}/a.tif", sampling_frequency=30.0)
    bucket.app.faults.append(_before_pixels(lambda: bucket.put("a.tif", versions[1])))
    assert _replaced(opened, tmp_path, r"'s3://.*/a\.tif' was replaced .*\.$")


def test_a_movie_that_is_replaced_after_its_last_pixel_was_read(bucket, versions, tmp_path):
    bucket.put("a.tif", versions[0])
    opened = nwb_ophys.open(f"{bucket.url}/a.tif", sampling_frequency=30.0)

    def replace(_):
        bucket.put("a.tif", versions[1])

    with opened, pytest.raises(SourceError, match=r"a\.tif' was replaced while it was converted"):
        opened.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=replace)
    assert not (tmp_path / "a.nwb").exists()


# --- HTTP -----------------------------------------------------------------------------------------


class _Server(http.server.ThreadingHTTPServer):
    data, tag, faults, num_asked = b"", '"1"', (), 0
    daemon_threads, block_on_close = True, False  # connections stay open


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Print nothing."""

    def _answer(self, status, data, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        server, faults = self.server, self.server.faults
        server.num_asked += 1
        if "signed for GET" in faults and self.command == "HEAD":
            return self._answer(403, b"")
        if "busy" in faults and server.num_asked in (2, 3):
            return self._answer(503, b"")
        if "denied" in faults:
            return self._answer(403, b"")
        asked = self.headers.get("Range")
        headers = {"ETag": server.tag}
        if "gzip" in faults and self.command == "GET":
            headers["Content_Encoding"] = "gzip"
        if asked is None or "no ranges" in faults:
            return self._answer(200, server.data, **headers)
        start, stop = map(int, asked.removeprefix("bytes=").split("-"))
        first = start + ("shifted" in faults)
        part = server.data[first : stop + 1 + ("shifted" in faults)]
        headers["Content_Range"] = f"bytes {first}-{first + len(part) - 1}/{len(server.data)}"
        return self._answer(206, part, **headers)

    do_HEAD = do_GET


@pytest.fixture
def web(versions, monkeypatch):
    monkeypatch.setattr(stores, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(reading, "SMALL_BYTES", 1 << 14)
    server = _Server(("127.0.0.1", 0), _Answers)
    server.data = versions[0]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _opened(web):
    url = f"http://127.0.0.1:{web.server_port}/a.tif?X-Amz-Signature=secret"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The files beside")
        return nwb_ophys.open(url, sampling_frequency=30.0)


@pytest.mark.parametrize("faults", [(), ("busy",), ("signed for GET",)])
def test_a_file_on_the_web(web, faults):
    web.faults = faults
    with _opened(web) as opened:
        assert (opened.extractor.get_series() == 1).all()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("denied", "the store denies access"),
        ("no ranges", "its server does not give parts of files"),
        ("gzip", "its server sends it compressed"),
        ("shifted", "the store failed"),
    ],
)
def test_a_server_that_gives_something_else(web, fault, words):
    web.faults = (fault,)
    with pytest.raises(NwbOphysError, match=rf"^'http://[^?]*/a\.tif' .*{words}") as caught:
        _opened(web)
    assert "secret" not in str(caught.value)


def test_a_file_on_the_web_that_is_replaced(web, versions, tmp_path):
    opened = _opened(web)
    web.data, web.tag = versions[1], '"2"'
    assert _replaced(opened, tmp_path, r"a\.tif' was replaced by another object")
