"""HTTP server of one folder on the loopback, with ranges of bytes, delays and counts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from attrs import define, field

#: Time until the first byte of an answer, as of a bucket in the same part of the world.
LATENCY_SECONDS = 0.05
BYTES_PER_SECOND = 25e6

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_PIECE = 1 << 18


@define
class Traffic:
    """Counts of a server.

    Attributes
    ----------
    requests : int
    num_bytes : int
        Bytes of the ranges that were sent. The body of an answer to a request without a range is
        not counted: remfile asks so for the size, and leaves.
    """

    requests: int = 0
    num_bytes: int = 0
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, num_bytes: int = 0) -> None:
        """Count; several threads may call this."""
        with self._lock:
            self.requests += requests
            self.num_bytes += num_bytes


@contextmanager
def served(folder: Path, *, delays: bool = True) -> Iterator[tuple[str, Traffic]]:
    """Serve the files of a folder within the block.

    Parameters
    ----------
    folder : pathlib.Path
    delays : bool
        Whether answers take the time of a distant server.

    Yields
    ------
    str
        URL of the folder.
    Traffic
    """
    traffic = Traffic()

    class Handler(_Handler):
        pass

    Handler.folder, Handler.traffic, Handler.delays = folder, traffic, delays
    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", traffic
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients leave without reading the answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    traffic: Traffic
    delays: bool

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, *, with_body: bool) -> None:
        self.traffic.add(requests=1)
        if self.delays:
            time.sleep(LATENCY_SECONDS)
        path = self.folder / Path(urlsplit(self.path).path).name
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        start, stop = 0, size
        asked = _RANGE.match(self.headers.get("Range", ""))
        if asked:
            start = int(asked[1])
            stop = min(int(asked[2]) + 1, size) if asked[2] else size
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()
        if with_body:
            self._send(path, start, stop)
            self.traffic.add(num_bytes=stop - start if asked else 0)

    def _send(self, path: Path, start: int, stop: int) -> None:
        """Send bytes of a file, unless the client leaves, as remfile does to learn the size."""
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(_PIECE, stop - start))
                if not piece:
                    return
                if self.delays:
                    time.sleep(len(piece) / BYTES_PER_SECOND)
                try:
                    self.wfile.write(piece)
                except OSError:
                    self.close_connection = True
                    return
                start += len(piece)
