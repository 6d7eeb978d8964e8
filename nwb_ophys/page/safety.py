"""Checks of every request before the page sees it, and the headers of every answer.

A page on the loopback can be asked by any other page that the browser shows, by names that an
attacker points at 127.0.0.1, and by other users of the computer. Therefore each request needs the
host of this server, and the cookie that only the first URL gives; a request that changes something
needs the origin of this server, too, and JSON of a bounded size.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1 << 20
"""Size of the largest body of a request."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PICTURES: Mapping[str, str] = {
    # Reports have styles of their own, and no script; the page shows them in a frame.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'; sandbox"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
"""Headers of reports in place of those of the page."""
_TOKEN = "token"  # noqa: S105  (the name of a parameter)
_SAFE = ("GET", "HEAD")


class Guard:
    """ASGI application that refuses hostile requests and passes the others on.

    Parameters
    ----------
    app : ASGI application
    token : str
        Secret of this server.
    port : int
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app, self._token = app, token
        # Cookies belong to a host whatever its port, so that two servers need two names.
        self._cookie = f"nwb_ophys_{port}"
        self._hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        sending = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, sending)
            return
        if scope["method"] in _SAFE:
            await self._app(scope, receive, sending)
            return
        body = await _bounded(receive)
        if body is None:
            text = f"A request has at most {MOST_BYTES:,} bytes; nothing is uploaded here.\n"
            await _refused(413, text)(scope, receive, sending)
            return
        await self._app(scope, _replayed(body, receive), sending)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return _refused(421, f"This page is only at http://{self._hosts[0]}/.\n")
        if scope["method"] not in (*_SAFE, "POST"):
            return _refused(405, "Only GET and POST are known here.\n")
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(_TOKEN)
        if given is not None and scope["method"] in _SAFE and scope["path"] == "/":
            return self._first(given[0])
        if not self._has_cookie(headers):
            text = "Open the address that nwb-ophys gui printed; it holds a key for this page.\n"
            return _refused(403, text)
        return None if scope["method"] in _SAFE else _unfit(headers, host)

    def _first(self, given: str) -> Response:
        """Return the answer to the first URL: the cookie, and the way to the page without token."""
        if not self._is_token(given):
            return _refused(403, "This address has expired; open the one that was printed last.\n")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(errors="replace"), self._token.encode())

    def _has_cookie(self, headers: Headers) -> bool:
        # SimpleCookie drops all cookies if another server on this computer has set an odd one.
        given = "; ".join(headers.getlist("cookie")).split(";")
        pairs = (each.strip().partition("=") for each in given)
        return any(name == self._cookie and self._is_token(value) for name, _, value in pairs)


def _unfit(headers: Headers, host: str) -> Response | None:
    """Return the answer to a request that may not change anything, or None."""
    if headers.get("origin") != f"http://{host}":
        return _refused(403, "Requests that change something come from this page only.\n")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return _refused(403, "Requests that change something come from this page only.\n")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _refused(415, "Requests that change something are JSON (application/json).\n")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_BYTES:
        return _refused(413, f"A request has at most {MOST_BYTES:,} bytes.\n")
    return None


def _refused(status: int, text: str) -> Response:
    return PlainTextResponse(text, status, headers={"Connection": "close"})


def _with_headers(send: Send) -> Send:
    """Return a function that sends answers with the headers of all answers."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


async def _bounded(receive: Receive) -> bytes | None:
    """Return the body of a request, or None as soon as it is too large; the rest is not read."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives a body that was read, and then what follows."""
    waiting = [body]

    async def receiving() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receiving
