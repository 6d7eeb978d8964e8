"""The web application: pages, acts and events."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import NwbOphysError, printable
from nwb_ophys.page import request as commands
from nwb_ophys.page.desk import ACTS, Desk
from nwb_ophys.page.roots import Listing, as_identifier
from nwb_ophys.page.safety import PICTURES, Guard
from nwb_ophys.page.specifications import FIELDS
from nwb_ophys.page.state import Work
from nwb_ophys.page.values import lines_of
from nwb_ophys.page.wording import page_lines

STEPS: Mapping[str, str] = {
    "folder": "Folder",
    "contents": "What is in it",
    "look": "Look",
    "metadata": "Metadata",
    "convert": "Convert",
    "result": "Result",
}
_STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
_SECONDS_ALIVE = 15.0


@functools.cache
def _templates() -> Environment:
    """Return the environment of the templates, which compiles each of them once."""
    made = Environment(
        loader=PackageLoader("nwb_ophys.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "shown": lambda path: printable(str(path)),
        "identifier": lambda path: as_identifier(Path(path)) if str(path) else "",
        "shell": commands.in_a_shell,
    }
    made.globals |= {"commands": commands, "steps": STEPS, "lines_of": lines_of}
    made.globals["batch_fields"] = FIELDS
    return made


class Page:
    """Answers of the application.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._templates = _templates()

    def routes(self) -> list[Route]:
        """Return the routes of the application."""
        return [
            Route("/", self.first),
            *(Route(f"/{step}", self.step, name=step) for step in (*STEPS, "batch")),
            Route("/pictures/{name}", self.pictures),
            Route("/events", self.events),
            Route("/terms", self.terms),
            Route("/act/{name}", self.act, methods=["POST"]),
            Route("/static/{name}", self.static),
        ]

    async def first(self, _: Request) -> Response:
        """Lead to the step at which the work is."""
        work = self._desk.work
        step = "folder"
        if work.folder:
            step = "result" if work.result else "contents"
        return RedirectResponse(f"/{step}", status_code=303)

    async def step(self, request: Request) -> Response:
        """Return the page of a step."""
        name = request.url.path.strip("/")
        values: dict[str, Any] = {"step": name, "listing": None, "trouble": ()}
        if name in ("folder", "batch"):
            values |= self._listed(request.query_params.get("path", ""))
        return self._rendered(f"{name}.html", **values)

    def _listed(self, text: str) -> dict[str, Any]:
        """Return the listing of a folder, or the lines of the error."""
        desk = self._desk
        try:
            path = desk.roots.existing(text) if text else self._place()
            return {"listing": desk.roots.listing(path.parent if path.is_file() else path)}
        except (NwbOphysError, OSError) as error:
            return {"listing": self._first_listing(), "trouble": page_lines(error) or ()}

    def _first_listing(self) -> Listing:
        """Return the listing of the first folder; an empty one if it is gone."""
        folder = self._desk.roots.folders[0]
        try:
            return self._desk.roots.listing(folder)
        except NwbOphysError:
            return Listing(folder=folder, above=None, entries=(), num_left_out=0)

    def _place(self) -> Path:
        """Return the folder in which browsing begins."""
        chosen = Path(self._desk.work.folder or "/nowhere")
        is_there = chosen.parent.is_dir() and self._desk.roots.holds(chosen.parent)
        return chosen.parent if is_there else self._desk.roots.folders[0]

    def _rendered(self, template: str, **values: Any) -> Response:
        store = self._desk.store
        text = self._templates.get_template(template).render(
            work=store.work, version=store.shown_version, roots=self._desk.roots, **values
        )
        # Names of files may have bytes that no text has.
        return Response(text.encode("utf-8", "backslashreplace"), media_type="text/html")

    async def act(self, request: Request) -> Response:
        """Do what a button or a field asks for."""
        name = request.path_params["name"]
        if name not in ACTS:
            return JSONResponse({"errors": {"": [f"There is no act '{name}'."]}}, 404)
        try:
            given = parse_source_json(await request.body())
        except ValueError:
            given = None
        if not isinstance(given, dict):
            return JSONResponse({"errors": {"": ["The request is not a JSON object."]}}, 400)
        outcome = self._desk.act(name, given)
        status = 422 if outcome["errors"] else 200
        return JSONResponse({"version": self._desk.store.version, **outcome}, status)

    async def terms(self, request: Request) -> Response:
        """Return terms of the Allen CCF that a text may mean."""
        from nwb_ophys.metadata.brain_areas import suggested_terms

        found = suggested_terms(request.query_params.get("text", ""))
        return JSONResponse([{"term": term, "name": name} for term, name in found])

    async def events(self, request: Request) -> Response:
        """Return the stream of changes of the state."""
        return StreamingResponse(
            self._events(request), media_type="text/event-stream", headers={"X-Accel": "no"}
        )

    async def _events(self, request: Request) -> AsyncIterator[bytes]:
        store, seen = self._desk.store, -1
        while not store.is_closed:
            version = store.version if seen < 0 else await store.next_version(seen, _SECONDS_ALIVE)
            if version == seen:
                yield b": alive\n\n"
                if await request.is_disconnected():
                    return
                continue
            seen = version
            data = json.dumps(_event(store.work, store.shown_version))
            yield f"id: {version}\ndata: {data}\n\n".encode()

    async def pictures(self, request: Request) -> Response:
        """Return the pictures of a recording, or the report of a file."""
        work, name = self._desk.work, request.path_params["name"]
        found = {"look": work.look, "report": work.result}.get(name)
        if not found or not found["html"]:
            return Response("There are no pictures yet.\n", 404, media_type="text/plain")
        content = found["html"].encode("utf-8", "backslashreplace")
        return Response(content, media_type="text/html", headers=dict(PICTURES))

    async def static(self, request: Request) -> Response:
        """Return the style or the script of the page."""
        name = request.path_params["name"]
        if name not in _STATIC:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        content = Path(__file__).with_name("static").joinpath(name).read_bytes()
        return Response(content, media_type=_STATIC[name])


def _event(work: Work, version: int) -> dict[str, Any]:
    """Return what the browser is sent of a new state; it asks for the rest itself."""
    job = work.job
    progress = None
    if job is not None:
        progress = {"stage": job.stage, "detail": job.detail, "fraction": job.fraction}
    return {
        "version": version,
        "job": progress,
        "ended": work.ended,
        "errors": [line for lines in work.errors.values() for line in lines],
        "written": (work.result or {}).get("key", ""),
    }


def make_app(desk: Desk, *, token: str, port: int) -> ASGIApp:
    """Return the application, which refuses everything without the token of its first URL.

    Parameters
    ----------
    desk : Desk
    token : str
        Secret of this server.
    port : int
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        desk.begin()
        yield
        await desk.close()

    app = Starlette(routes=Page(desk).routes(), lifespan=lifespan)
    return Guard(app, token=token, port=port)
