"""A server of S3 on the loopback, in front of which requests can fail."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import attrs
import boto3
import fsspec.config
import numpy as np
import pytest
import s3fs.core
from moto.server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

import nwb_ophys
from nwb_ophys.remote import stores
from nwb_ophys.storage import uploads

KEY, SECRET = "AKIATHISISAKEYOFTEST", "this-is-the-secret-of-the-tests"
METADATA = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
PART_BYTES = 5 << 20
_ERROR = (
    "<?xml version='1.0'?><Error><Code>{code}</Code><Message>AWSAccessKeyId " + KEY + "</Message>"
    "</Error>"
)


@attrs.define
class Fault:
    """Answer of the store to some requests in place of its own."""

    applies: Callable[[dict[str, Any]], bool]
    status: int = 500
    code: str = "InternalError"
    times: float = float("inf")
    cuts: bool = False
    waits: threading.Event | None = None
    reached: threading.Event = attrs.field(factory=threading.Event)
    lock: Any = attrs.field(factory=threading.Lock)

    def take(self, environ: dict[str, Any]) -> bool:
        with self.lock:
            if self.times < 1 or not self.applies(environ):
                return False
            self.times -= 1
        self.reached.set()
        return True


class FaultyStore:
    """WSGI application of the store, with faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []
        self.ranges: list[str] = []
        # The application for all services lists moto's folders, for each request.
        self._store = create_backend_app("s3")

    def fail(self, method: str, query: str = "", path: str = "", **how: Any) -> Fault:
        """Let requests fail of a method whose query and path contain texts."""
        fault = Fault(
            lambda e: (
                e["REQUEST_METHOD"] == method
                and query in e["QUERY_STRING"]
                and path in e["PATH_INFO"]
            ),
            **how,
        )
        self.faults.append(fault)
        return fault

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.requests.append(
            (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"])
        )
        self.ranges.append(environ.get("HTTP_RANGE", ""))
        for fault in self.faults:
            if fault.take(environ):
                if fault.waits is not None:
                    fault.waits.wait(20)
                    continue
                if fault.cuts:
                    if environ["REQUEST_METHOD"] == "PUT":
                        environ["wsgi.input"].read(1000)
                    _cut(environ["werkzeug.socket"])
                    raise ConnectionResetError
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{fault.status} Error", [("Content-Type", "application/xml")])
                # An answer to HEAD has no body; the next answer would begin with it.
                has_body = environ["REQUEST_METHOD"] != "HEAD"
                return [_ERROR.format(code=fault.code).encode()] if has_body else []
        return self._store(environ, start_response)


def _cut(connection: socket.socket) -> None:
    """Reset a connection at once, as a broken router does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # which keeps connections open, as a real store does

    def log(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[FaultyStore, str]]:
    app = FaultyStore()
    served = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield app, f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()


@attrs.frozen
class Bucket:
    """An empty bucket."""

    name: str
    app: FaultyStore
    client: Any
    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def keys(self) -> dict[str, int]:
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {each["Key"]: each["Size"] for each in found}

    @property
    def open_uploads(self) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return [each["Key"] for each in found]

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)


async def _nap(seconds: float) -> None:
    await asyncio.sleep(seconds / 50)


@pytest.fixture
def bucket(server: tuple[FaultyStore, str], monkeypatch: pytest.MonkeyPatch, request: Any) -> Any:
    app, endpoint = server
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    settings = {"endpoint_url": endpoint, "config_kwargs": {"retries": {"max_attempts": 1}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", settings)
    monkeypatch.setattr(stores, "_FIRST_PAUSE", 0.01)
    # s3fs repeats requests, too, with pauses of two seconds in all.
    monkeypatch.setattr(s3fs.core, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": _nap}))
    monkeypatch.setattr(uploads, "PART_BYTES", PART_BYTES)
    client = boto3.client("s3", endpoint_url=endpoint)
    name = f"bucket-{abs(hash(request.node.nodeid)):x}"
    client.create_bucket(Bucket=name)
    app.faults.clear()
    app.requests.clear()
    yield Bucket(name, app, client, endpoint)
    app.faults.clear()
    client.close()


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A file of noise that takes three parts."""
    path = tmp_path_factory.mktemp("movie") / "movie.npy"
    noise = np.random.default_rng(0).integers(0, 1 << 16, (90, 256, 256), dtype=np.uint16)
    np.save(path, noise)
    return path


@pytest.fixture
def recording(movie: Any) -> Iterator[Any]:
    opened = nwb_ophys.open(movie, sampling_frequency=30.0)
    yield opened
    opened.close()


@pytest.fixture
def convert(recording: Any) -> Callable[..., Any]:
    def call(target: Any, **options: Any) -> Any:
        return recording.run_conversion(target, metadata=METADATA, progress=False, **options)

    return call
