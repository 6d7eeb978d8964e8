"""State of each session of a batch, in one small file per session beside the outputs.

A state is written to another name and renamed, so that a reader sees the former or the new one on
network file systems, too. Its lock lasts while the session is converted, whatever ends the process.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import xxhash

from nwb_ophys.errors import OutputError, SourceError
from nwb_ophys.remote.paths import RemotePath, as_path, is_url
from nwb_ophys.remote.reading import version_of, versions_below
from nwb_ophys.sessions.session import RESULTS, Session
from nwb_ophys.storage.disk_errors import output_error
from nwb_ophys.storage.flushing import sync
from nwb_ophys.storage.hidden_names import HiddenName, HiddenNames
from nwb_ophys.storage.locking import current_holder
from nwb_ophys.storage.read_only import reason_to_protect

FOLDER = ".nwb-ophys-batch"
"""Name of the folder of the states."""
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
_STATES = (WAITING, RUNNING, DONE, FAILED)
_PROGRAM, _VERSION = "nwb_ophys", 1
_NEWER = "The state '{}' is of a newer version of nwb_ophys; use that version, or update this one."
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.-]+")
_MOST_CHARACTERS = 60


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(value)


def _numbers(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)


@attrs.frozen(kw_only=True)
class SessionState:
    """State of one session.

    Attributes
    ----------
    key : str
        Name of the session.
    state : {"waiting", "running", "done", "failed"}
        A session that was interrupted waits; see :func:`as_it_is`.
    sources, settings : str
        Fingerprints of the source files, and of options and metadata.
    output : str
        Path of the file, empty while it is not known.
    paths : tuple of str
        Files and folders of the recording from which it is made.
    before, written : tuple of int or None
        Size and time of change, in ns, of the output before the run and after it.
    reason : str
        Reason of a failure.
    warnings : tuple of str
        Notes that were given while it was converted.
    findings : tuple of str
        What an archive would refuse.
    started : float
        Time at which the conversion began, in s since 1970; 0 if it never did.
    seconds : float
        Duration of the conversion.
    num_bytes : int
        Size of the file.
    fraction : float
        Written part of the data, from 0 to 1, while it is converted.
    process : str
        Process that converts or converted it, in words.
    version : str
        Version of nwb_ophys that converted it.
    """

    key: str
    state: str = WAITING
    sources: str = ""
    settings: str = ""
    output: str = ""
    paths: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    before: tuple[int, ...] | None = attrs.field(default=None, converter=_numbers)
    written: tuple[int, ...] | None = attrs.field(default=None, converter=_numbers)
    reason: str = ""
    warnings: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    findings: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    started: float = 0.0
    seconds: float = 0.0
    num_bytes: int = 0
    fraction: float = 0.0
    process: str = ""
    version: str = ""


_TYPES = {each.name: each for each in attrs.fields(SessionState)}


def state_path(session: Session) -> Path:
    """Return the path of the state of a session.

    It lies in a hidden folder: within the folder of outputs that DANDI's rules name, or within the
    folder in which the outputs of a template lie.
    """
    output = session.output
    root = output if session.is_named_for_dandi else os.path.dirname(output)  # noqa: PTH120
    if is_url(output):
        # States of outputs in an object store lie in the current folder.
        root = str(Path.cwd())
    words = _NOT_IN_A_NAME.sub("-", session.key).strip("-.")[-_MOST_CHARACTERS:]
    mark = xxhash.xxh64_hexdigest(
        f"{session.output}\n{session.key}".encode("utf-8", "surrogatepass")
    )
    return Path(root, FOLDER, f"{words}.{mark[:8]}.json")


def read_state(path: Path, key: str) -> SessionState:
    """Return the state in a file; that of a file which is absent or damaged is "waiting".

    That of a newer version of nwb_ophys, which this one does not replace, is "failed".

    Parameters
    ----------
    path : pathlib.Path
    key : str
        Name of the session.
    """
    found = _stated(path)
    if found is not None:
        return attrs.evolve(found, key=key)
    if _is_newer(path):
        return SessionState(key=key, state=FAILED, reason=_NEWER.format(path))
    return SessionState(key=key)


def _is_newer(path: Path) -> bool:
    """Return whether a state is one that a newer version wrote."""
    try:
        stated = json.loads(path.read_text("utf-8"))
        return bool(stated["program"] == _PROGRAM and stated["format"] > _VERSION)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _stated(path: Path) -> SessionState | None:
    """Return the state in a file; None for one that is absent, damaged, or of another version."""
    try:
        stated = json.loads(path.read_text("utf-8"))
        if stated.pop("program") != _PROGRAM or stated.pop("format") != _VERSION:
            return None
        known = {name: value for name, value in stated.items() if name in _TYPES}
        is_whole = all(_is_of_type(value, _TYPES[name].type) for name, value in known.items())
        return SessionState(**known) if is_whole and known["state"] in _STATES else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_of_type(value: Any, annotation: Any) -> bool:
    """Return whether a value of a file is of the type of its field, by its annotation."""
    if "tuple" in annotation:
        item: Any = str if "str" in annotation else int
        is_absent = value is None and "None" in annotation
        is_list = isinstance(value, list) and all(isinstance(each, item) for each in value)
        return is_absent or is_list
    kinds: dict[str, Any] = {"str": str, "int": int, "float": (int, float)}
    return isinstance(value, kinds[annotation])


def states_in(folder: Path) -> list[SessionState]:
    """Return the states of all sessions in a folder of states, in the order of their names.

    Parameters
    ----------
    folder : pathlib.Path
        Of the name :data:`FOLDER`.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        stated = _stated(path)
        if stated is not None and stated.key:
            found.append(as_it_is(stated, path))
    return found


def as_it_is(state: SessionState, path: Path) -> SessionState:
    """Return a recorded state; "running" only while a process converts the session.

    Parameters
    ----------
    state : SessionState
    path : pathlib.Path
        Its file. A process that was killed left "running" in it.
    """
    if state.state != RUNNING:
        return state
    holder = current_holder(HiddenNames.beside(path).lock)
    if holder is None:
        return attrs.evolve(state, state=WAITING, reason="It was interrupted.")
    return attrs.evolve(state, reason=f"It is being converted by {holder}.")


def shown_paths(session: Session) -> tuple[str, ...]:
    """Return the paths of a recording as they are recorded: URLs without what is never shown."""
    return tuple(str(as_path(each)) if is_url(each) else each for each in session.paths)


def other_of(path: Path, output: str, paths: Sequence[str]) -> SessionState | None:
    """Return the state of another recording, whose session an existing output is; None without one.

    Parameters
    ----------
    path : pathlib.Path
        State of the session that would replace the output, beside which the others lie.
    output : str
        Path of the file.
    paths : sequence of str
        Files and folders of its recording. A session with the same ones, but another key, is the
        same session before its specification changed.
    """
    present = output_identity(output)
    if present is None:
        return None
    for each in path.parent.glob("*.json"):
        state = None if each == path else _stated(each)
        if state is None or state.output != output or state.paths in ((), tuple(paths)):
            continue
        # A session that was killed before its file was whole has none.
        is_new = state.state == RUNNING and state.before != present
        if state.written == present or is_new:
            return state
    return None


def write_state(path: Path, state: SessionState) -> None:
    """Write a state, which replaces the former one as a whole.

    Raises
    ------
    OutputError
        When the file cannot be written, or is of a newer version.
    """
    if _is_newer(path):
        raise OutputError(_NEWER.format(path))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    document = {"program": _PROGRAM, "format": _VERSION, **attrs.asdict(state)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=True)
            file.flush()
            sync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise error if isinstance(error, OutputError) else output_error(error, path) from error
    finally:  # after an interruption, too
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def record_failure(session: Session, reason: str) -> SessionState:
    """Record that a session failed outside of its own conversion, and return its state.

    Parameters
    ----------
    session : Session
    reason : str
    """
    path = state_path(session)
    state = attrs.evolve(read_state(path, session.key), state=FAILED, reason=reason)
    with suppress(OSError):  # a state that cannot be written stops no other session
        write_state(path, state)
    return state


_NO_SETTINGS = ("origins", "faults", "key", "fields")


def remove_partial(path: Path) -> None:
    """Remove what a process that was killed wrote of a state, which the caller has locked."""
    for each in path.parent.glob(f".{path.name}.*.partial"):
        with suppress(OSError):
            each.unlink(missing_ok=True)


def settings_fingerprint(session: Session) -> str:
    """Return the fingerprint of everything that a specification says of a session.

    What it does not say has no part in it, so that a later version with more keys finds the same.
    """
    said = {
        name: value
        for name, value in attrs.asdict(session).items()
        if name not in _NO_SETTINGS and value
    } | {"paths": shown_paths(session)}
    text = json.dumps(said, sort_keys=True, default=str)
    return xxhash.xxh128_hexdigest(text.encode("utf-8", "surrogatepass"))


def sources_fingerprint(session: Session) -> str:
    """Return the fingerprint of names, sizes and times of change of all source files.

    Nothing is read from the files. Of objects in a store their versions count. Files that runs
    write have no part in it, also where the outputs lie in the folder of the recording.
    """
    digest = xxhash.xxh128()
    for path in (*session.paths, *session.beside):
        entries = _remote_entries if is_url(path) else _entries
        for line in entries(path, session.output):
            digest.update(f"{line}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _remote_entries(path: str, output: str) -> Iterator[str]:
    """Yield a line for the object at a URL, or for each one below it, without credentials."""
    place = as_path(path)
    try:
        found = versions_below(place) if isinstance(place, RemotePath) else {}
    except SourceError:  # its conversion says so
        yield f"{place}: not listed"
        return
    own = str(as_path(output)) if is_url(output) else None
    for name, facts in sorted(found.items()):
        where = str(place / name) if name else str(place)
        is_own = own is not None and f"{where}/".startswith(f"{own}/")
        if not (is_own or any(map(_is_name_of_a_run, name.split("/")))):
            yield f"{where} {facts}"
    if not found:
        yield f"{place}: absent"


def _entries(path: str, output: str) -> Iterator[str]:
    """Yield a line for each file at a path that may be a source, in a fixed order."""
    try:
        found = Path(path).stat()
    except OSError:
        yield f"{path}: absent"
        return
    if not stat.S_ISDIR(found.st_mode):
        yield f"{path} {found.st_size} {found.st_mtime_ns}"
        return
    pending = [path]
    while pending:
        folder = pending.pop()
        with suppress(OSError), os.scandir(folder) as listing:
            for each in sorted(listing, key=lambda entry: entry.name):
                if each.path == output or _is_of_a_run(each):
                    continue
                if each.is_dir(follow_symlinks=False):
                    pending.append(each.path)
                    continue
                with suppress(OSError):
                    found = each.stat()
                    yield f"{each.path} {found.st_size} {found.st_mtime_ns}"


def _is_of_a_run(entry: os.DirEntry[str]) -> bool:
    """Return whether a file or folder in a folder is an output, a state or a file of a run."""
    return _is_name_of_a_run(entry.name)


def _is_name_of_a_run(name: str) -> bool:
    if name.startswith("."):
        return name == FOLDER or HiddenName.parse(Path(name)) is not None
    return name.endswith(RESULTS)


def output_identity(path: str) -> tuple[int, ...] | None:
    """Return size and time of change of an output, in ns; None if it does not exist.

    Parameters
    ----------
    path : str
        Empty while it is not known. Of a URL the version in the store is returned as well; None
        also where the store cannot be read, whose conversion says so.
    """
    if not path:  # which would be the current folder
        return None
    return _identity(as_path(path) if is_url(path) else Path(path))


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        if isinstance(path, RemotePath):
            return version_of(path)
        found = path.stat()
    except (OSError, ValueError, SourceError):
        return None
    return (found.st_size, found.st_mtime_ns)


class Look:
    """Look at the sources and the outputs of a session, each taken once, when it is needed.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outputs: dict[str, tuple[int, ...] | None] = {}

    @cached_property
    def sources(self) -> str:
        """The fingerprint of the source files."""
        return sources_fingerprint(self._session)

    def output(self, path: str) -> tuple[int, ...] | None:
        """Return size and time of change of an output, as :func:`output_identity`."""
        if path not in self._outputs:
            self._outputs[path] = output_identity(path)
        return self._outputs[path]


def decided(session: Session, state: SessionState, look: Look | None = None) -> Decision:
    """Return what a run does with a session, whose state is known.

    Parameters
    ----------
    session : Session
    state : SessionState
    look : Look, optional
        A new look at the files by default.
    """
    look = look or Look(session)
    found = _decided(session, state, look)
    # What a process wrote that was killed is not recorded, and is replaced.
    if found.act != "convert" or state.state == RUNNING:
        return found
    output = session.shown_output
    present = look.output(output)
    is_own = output == state.output and present == state.written
    found = attrs.evolve(found, needs_overwrite=present is not None and not is_own)
    reason = None if not output or is_url(output) else reason_to_protect(Path(output))
    if reason is None:
        return found
    return attrs.evolve(found, why=f"{found.why}, but the file {reason}", is_protected=True)


def _decided(session: Session, state: SessionState, look: Look) -> Decision:
    if state.state == WAITING:
        is_there = look.output(session.shown_output) is not None
        more = ", but the file exists, which only --overwrite replaces" if is_there else ""
        return Decision("convert", f"new{more}")
    if state.state == FAILED:
        return Decision("convert", "failed before")
    is_same = state.settings == settings_fingerprint(session)
    is_read_alike = state.sources == look.sources
    present = look.output(state.output)
    if state.state == RUNNING:
        # The rename of the whole file is the last step of a conversion.
        is_whole = present is not None and present != state.before
        if is_whole and is_same and is_read_alike:
            return Decision("keep", "written before the process ended")
        return Decision("convert", "interrupted")
    if present is None:
        return Decision("convert", f"'{state.output}' is no longer there")
    if is_same and is_read_alike:
        return Decision("skip", "done")
    return Decision("convert", "source files changed" if is_same else "settings changed")


@attrs.frozen
class Decision:
    """Act of a run on a session, ``convert``, ``keep`` or ``skip``, and the reason in words.

    ``needs_overwrite`` is true where a file is there that no run of the batch wrote as it is now;
    ``is_protected`` where it is read-only, so that no run replaces it.
    """

    act: str
    why: str
    needs_overwrite: bool = attrs.field(default=False, kw_only=True)
    is_protected: bool = attrs.field(default=False, kw_only=True)
