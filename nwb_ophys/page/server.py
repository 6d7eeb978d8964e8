"""The server of the page, on the loopback only."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import ArgumentError
from nwb_ophys.optional import require_package
from nwb_ophys.page.roots import Roots
from nwb_ophys.storage.threads import to_the_end

_LOOPBACK = "127.0.0.1"
_SECONDS_TO_CLOSE = 2


@attrs.frozen(kw_only=True)
class Address:
    """Address of a server that runs.

    Attributes
    ----------
    url : str
        The first URL, with the token.
    port : int
    has_ended : threading.Event
        Set when the server has ended.
    """

    url: str
    port: int
    has_ended: threading.Event


@contextmanager
def served(roots: Roots, folder: Path | None = None, port: int = 0) -> Iterator[Address]:
    """Serve the page within the block.

    Parameters
    ----------
    roots : Roots
    folder : pathlib.Path, optional
        Recording that is looked at first.
    port : int
        Port of the loopback; 0 for one that is free.

    Raises
    ------
    ArgumentError
        If the port is not free.
    MissingPackageError
        If the extra ``gui`` is not installed.
    """
    for name in ("starlette", "jinja2"):
        require_package(name, "gui")
    uvicorn = require_package("uvicorn", "gui")
    from nwb_ophys.page.app import make_app
    from nwb_ophys.page.desk import Desk
    from nwb_ophys.page.worker import Worker

    with _listening(port) as listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        desk = Desk(roots, Worker(), folder)
        app = make_app(desk, token=token, port=port)
        config = uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SECONDS_TO_CLOSE,
            loop="asyncio",
            http="h11",
            ws="none",
            h11_max_incomplete_event_size=1 << 16,
            limit_concurrency=200,
        )
        server = uvicorn.Server(config)
        url = f"http://{_LOOPBACK}:{port}/?token={token}"
        with _running(server, listener, desk.release) as has_ended:
            yield Address(url=url, port=port, has_ended=has_ended)


@contextmanager
def _running(
    server: Any, listener: socket.socket, release: Callable[[], None]
) -> Iterator[threading.Event]:
    """Run a server in a thread, so that Ctrl-C reaches the command."""
    has_ended = threading.Event()

    def run() -> None:
        try:
            server.run([listener])
        finally:
            has_ended.set()

    def end() -> None:
        release()
        server.should_exit = True
        # Python takes a thread for ended when an interrupt comes while it is joined.
        has_ended.wait()

    threading.Thread(target=run, name="nwb_ophys page", daemon=True).start()
    try:
        yield has_ended
    finally:
        # The command line raises an interrupt again until it is handled, here once it is done.
        to_the_end(end)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows would share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, port))
            listener.listen(64)
        except OSError as error:
            raise ArgumentError(
                f"Port {port} cannot be used ({error.strerror or error}); give another one with "
                "--port, or none to use one that is free."
            ) from error
        yield listener
