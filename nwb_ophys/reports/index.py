"""The index of a dataset: a page per NWB file, and a table of all sessions with links to them."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import attrs
from markupsafe import Markup

from nwb_ophys import __version__
from nwb_ophys.errors import NwbOphysError, OutputError, OutputExistsError, as_sentence, counted
from nwb_ophys.remote.paths import is_url, walk
from nwb_ophys.reports.places import PAGE, default_output
from nwb_ophys.reports.rendering import TEMPLATES, render_report, rendered, style
from nwb_ophys.reports.report import gather_report
from nwb_ophys.reports.rows import META, Row, known_row, row_of, text_in
from nwb_ophys.sessions import states_of
from nwb_ophys.sessions.session import Session
from nwb_ophys.sessions.states import DONE, FOLDER, SessionState, state_path, states_in
from nwb_ophys.storage.backends.registry import NWB_SUFFIXES, backend_of_path
from nwb_ophys.storage.text_files import write_text

INDEX = "index.html"
"""Name of the index of a folder."""

Progress = Callable[[str], None]
# Stores with one of these suffixes are NWB files, or were to become some; others may hold anything.
_NWB = tuple(each for each in NWB_SUFFIXES if "nwb" in each)


@attrs.frozen(kw_only=True)
class Entry:
    """A session of an index before its page is made.

    Attributes
    ----------
    name : str
    path : pathlib.Path or None
        Its NWB file; None for a session without one.
    state, reason : str
        See :class:`Row`.
    """

    name: str
    path: Path | None
    state: str = DONE
    reason: str = ""


def write_entries(
    entries: Sequence[Entry],
    root: Path,
    place: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Path, tuple[Row, ...]]:
    """Write the pages of some sessions and their index.

    Parameters
    ----------
    entries : sequence of Entry
    root : pathlib.Path
        Folder of the files, which the pages mirror.
    place : pathlib.Path
        Folder of the index and the pages.
    overwrite, progress
        See :func:`nwb_ophys.reports.write_index`.
    """
    rows = [_row(each, root, place, overwrite=overwrite, progress=progress) for each in entries]
    index = place / INDEX
    _write(index, render_index(rows, root.resolve().name), overwrite=overwrite)
    return index, tuple(rows)


def entries_of(root: Path) -> Iterator[Entry]:
    """Yield the NWB files below a folder, then the sessions of batches there that are not done.

    Parameters
    ----------
    root : pathlib.Path
    """
    states: dict[Path, SessionState] = {}
    unfinished: list[SessionState] = []
    paths: list[Path] = []
    for folder, subfolders, names in walk(root):
        if folder.name == FOLDER:
            found = states_in(folder)
            states.update((Path(each.output), each) for each in found if each.output)
            unfinished += [each for each in found if each.state != DONE]
        stores = [name for name in subfolders if name.endswith(NWB_SUFFIXES)]
        shown = [name for name in stores if name.endswith(_NWB) or _is_nwb(folder / name)]
        subfolders[:] = sorted(
            name for name in subfolders if name not in stores and (name == FOLDER or name[0] != ".")
        )
        own = [name for name in names if name.endswith(NWB_SUFFIXES) and not name.startswith(".")]
        paths += [folder / name for name in [*shown, *own]]
    for path in sorted(paths):
        yield Entry(name=path.relative_to(root).as_posix(), path=path)
    present = {path.resolve() for path in paths}
    for state in sorted(unfinished, key=lambda each: each.key):
        if not state.output or Path(state.output).resolve() not in present:
            yield Entry(name=state.key, path=None, state=state.state, reason=state.reason)


def _is_nwb(store: Path) -> bool:
    """Return whether a store whose name does not say so is an NWB file."""
    with suppress(Exception):  # of any library, about whatever a folder holds
        backend = backend_of_path(store)
        return backend is not None and backend.neurodata_type(store) == "NWBFile"
    return False


def entries_of_batch(sessions: Sequence[Session]) -> tuple[list[Entry], Path]:
    """Return the sessions of a batch, and the folder that holds all of their files.

    Parameters
    ----------
    sessions : sequence of Session

    Raises
    ------
    OutputError
        If the files are in an object store.
    """
    remote = next((each.output for each in sessions if is_url(each.output)), None)
    if remote is not None:
        raise OutputError(
            f"'{remote}' is in an object store, beside which no pages are written; copy the files "
            "to a disk, and make the index of their folder with nwb-ophys report."
        )
    # The states lie in a hidden folder beside the files.
    folders = [str(state_path(each).parent.parent.resolve()) for each in sessions]
    root = Path(os.path.commonpath(folders)) if folders else Path.cwd()
    entries = [
        Entry(
            name=each.key,
            path=Path(each.output).resolve() if each.state == DONE and each.output else None,
            state=each.state,
            reason=each.reason,
        )
        for each in states_of(sessions)
    ]
    return entries, root


def _row(
    entry: Entry, root: Path, place: Path, *, overwrite: bool, progress: Progress | None
) -> Row:
    if entry.path is None:
        return Row(name=entry.name, state=entry.state, reason=entry.reason)
    relative = Path(os.path.relpath(default_output(entry.path).resolve(), root.resolve()))
    page = place / relative
    row = known_row(page, entry.path)
    if row is None:
        try:
            row = _written(entry.path, page, overwrite=overwrite)
        except OutputExistsError:
            raise
        except NwbOphysError as error:
            return Row(name=entry.name, state="unreadable", reason=as_sentence(error))
        if progress is not None:
            progress(f"Wrote {page}")
    link = quote(os.fsencode(relative.as_posix()))
    return attrs.evolve(row, name=entry.name, page=link, state=entry.state, reason=entry.reason)


def _written(path: Path, page: Path, *, overwrite: bool) -> Row:
    report = gather_report(path)
    page.parent.mkdir(parents=True, exist_ok=True)
    _write(page, render_report(report), overwrite=overwrite)
    return row_of(report)


def _write(page: Path, text: str, *, overwrite: bool) -> None:
    """Write a page; one that this package wrote is replaced."""
    page.parent.mkdir(parents=True, exist_ok=True)
    is_replaced = overwrite or text_in(page) is not None
    write_text(page, text, replaces=PAGE if is_replaced else None)


def render_index(rows: Iterable[Row], title: str) -> str:
    """Return the page of an index.

    Parameters
    ----------
    rows : iterable of Row
    title : str
    """
    listed = list(rows)
    script = (TEMPLATES / "index.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values = {
        "rows": listed,
        "number": counted(len(listed), "session"),
        "title": title,
        "version": __version__,
        "meta": META,
        "style": style(),
        "script": Markup(script),  # noqa: S704 - our own
        "digest": digest,
        "num_failed": sum(each.state in ("failed", "unreadable") for each in listed),
    }
    return rendered("index.html", values)
