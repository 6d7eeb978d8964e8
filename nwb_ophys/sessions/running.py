"""Conversion of one session of a batch, in whatever process or on whatever machine."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

import nwb_ophys
from nwb_ophys.errors import (
    MetadataError,
    NwbOphysError,
    OutputBusyError,
    OutputExistsError,
    SpecificationError,
    as_sentence,
)
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.metadata import archive_findings, parse_datetime
from nwb_ophys.metadata.dandi_names import dandi_path, modalities_of
from nwb_ophys.opening import edited_metadata
from nwb_ophys.remote.paths import as_path, is_url
from nwb_ophys.sessions.archive import required_lines
from nwb_ophys.sessions.session import Session, Share
from nwb_ophys.sessions.states import (
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    Look,
    SessionState,
    decided,
    other_of,
    output_identity,
    read_state,
    remove_partial,
    settings_fingerprint,
    shown_paths,
    state_path,
    write_state,
)
from nwb_ophys.sessions.streams import open_session
from nwb_ophys.storage import BackendConfiguration, WriteProgress, size_of
from nwb_ophys.storage.disk_errors import output_errors
from nwb_ophys.storage.locking import Holder, locked

# Seconds between two records of the progress, which a network file system bears.
_SECONDS_PER_RECORD = 2.0


def run_session(session: Session, share: Share) -> SessionState:
    """Convert a session, unless it is done, and return its state, which is also on the disk.

    Errors of the session become its state, so that they never stop another one. The state of one
    that another process converts is "running", with that process as the reason.

    Parameters
    ----------
    session : Session
    share : Share

    Raises
    ------
    OutputError
        When the state cannot be written.
    """
    path = state_path(session)
    with output_errors(path.parent.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(path):
            return _run_locked(session, share, path)
    except OutputBusyError as error:
        # Its process records what becomes of it.
        state = read_state(path, session.key)
        return attrs.evolve(state, state=RUNNING, reason=f"It is being converted by {error.by}")


def _run_locked(session: Session, share: Share, path: Path) -> SessionState:
    remove_partial(path)
    before = read_state(path, session.key)
    look = Look(session)
    decision = decided(session, before, look)
    if decision.act == "skip":
        return before
    if decision.act == "keep":
        return _ended(path, attrs.evolve(before, state=DONE))
    present = look.output(before.output)
    # A process that was killed did not record what it wrote.
    is_newer = before.state == RUNNING and present != before.before
    state = SessionState(
        key=session.key,
        state=RUNNING,
        settings=settings_fingerprint(session),
        sources=look.sources,
        output=before.output,
        paths=before.paths,
        before=present,
        written=present if is_newer else before.written,
        started=time.time(),
        process=str(Holder.present("").pid),
        version=nwb_ophys.__version__,
    )
    run = _Run(session, share, path, state)
    with _every_warning(), witnessed() as witness:
        try:
            run.convert()
            return run.end(DONE, witness.notes)
        except Exception as error:
            return run.end(FAILED, witness.notes, reason_of(error))
        except BaseException:  # an interruption, after which the session waits
            run.end(WAITING, witness.notes)
            raise


@contextmanager
def _every_warning() -> Iterator[None]:
    """Let each session note its warnings, also those that an earlier one noted."""
    if threading.current_thread() is not threading.main_thread():
        # The filters belong to all threads, so that no thread may restore them.
        warnings.simplefilter("always", UserWarning)
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        # They are in the state, and one process shows them all.
        warnings.showwarning = _not_shown
        yield


def _not_shown(*_: Any, **__: Any) -> None:
    pass


def reason_of(error: BaseException) -> str:
    """Return the reason of a failure in one line."""
    if isinstance(error, (MetadataError, SpecificationError)):
        return " ".join(" ".join(map(str, error.args)).split())
    if isinstance(error, NwbOphysError):
        return " ".join(str(error).split())
    return " ".join(f"{type(error).__name__}: {as_sentence(error)}".split())


class _Run:
    """One conversion of a session, which records its state."""

    def __init__(self, session: Session, share: Share, path: Path, state: SessionState) -> None:
        self._session, self._share, self._path, self.state = session, share, path, state
        self._recorded, self._began = 0.0, time.monotonic()
        write_state(path, state)

    def convert(self) -> None:
        """Open the recording and write its file."""
        session = self._session
        settings, recording = session.settings, open_session(session)
        converter, chosen = recording.converter, recording.conversion_options
        try:
            metadata = edited_metadata(converter, session.metadata, session.edits, chosen)
            findings = required_lines(archive_findings(metadata))
            output = self._output(lambda: converter.create_nwbfile(metadata, chosen), metadata)
            overwrite = self._may_replace(output)
            self._note_former(output)
            if not is_url(output):
                Path(output).parent.mkdir(parents=True, exist_ok=True)
            self._record(
                output=output,
                paths=shown_paths(session),
                before=output_identity(output),
                findings=findings,
            )
            converter.run_conversion(
                as_path(output),
                metadata=metadata,
                overwrite=overwrite,
                configuration=self._configuration(output),
                zarr_format=settings.get("zarr_format"),
                workers=self._share.workers,
                progress=self._progress,
                conversion_options=chosen,
                verify=bool(settings.get("verify")),
                hash_sources=bool(settings.get("hash_sources")),
            )
        finally:
            converter.close()

    def _output(self, make: Callable[[], Any], metadata: Mapping[str, Any]) -> str:
        """Return the path of the file; one of DANDI's names follows from its contents."""
        session = self._session
        if not session.is_named_for_dandi:
            return session.output
        nwbfile = make()
        subject = nwbfile.subject.subject_id if nwbfile.subject is not None else None
        start = metadata["NWBFile"].get("session_start_time")
        name = dandi_path(
            subject,
            nwbfile.session_id,
            parse_datetime(start, "session_start_time"),
            modalities_of(nwbfile.all_children()),
            session.suffix,
        )
        return f"{session.output.rstrip('/')}/{name}"

    def _note_former(self, output: str) -> None:
        """Warn of the file of an earlier run that has another name and stays."""
        former = self.state.output
        if former != output and output_identity(former) is not None:
            warnings.warn(
                f"An earlier run wrote '{former}', which stays beside the new file; remove it, "
                "unless it is needed.",
                UserWarning,
                stacklevel=3,
            )

    def _may_replace(self, output: str) -> bool:
        """Return whether a file of that name is replaced: only the one that a run wrote."""
        is_known = output == self.state.output
        other = None if is_known else other_of(self._path, output, shown_paths(self._session))
        if other is not None:
            raise OutputExistsError(
                f"'{output}' is the file of the session '{other.key}' ('{other.paths[0]}'), too. "
                "Give both of them other ids, such as NWBFile.session_id, or a template with the "
                "fields that differ."
            )
        if self._share.overwrite:
            return True
        present = output_identity(output)
        if present is None:
            return False
        if not is_known or present != self.state.written:
            raise OutputExistsError(
                f"'{output}' exists, and no run of this batch wrote it as it is now; move it "
                "elsewhere, or use overwrite=True to replace it."
            )
        if _are_unrelated(self.state.paths, shown_paths(self._session)):
            raise OutputExistsError(
                f"'{output}' was made from '{self.state.paths[0]}', which is another recording "
                f"than '{shown_paths(self._session)[0]}'; give another output, or use "
                "overwrite=True to replace it."
            )
        return True

    def _configuration(self, output: str) -> BackendConfiguration:
        from nwb_ophys.storage import DEFAULT_BACKEND, backend_of_name

        settings = self._session.settings
        named = settings.get("backend") or backend_of_name(Path(output)) or DEFAULT_BACKEND
        chosen = {key: settings.get(key) for key in ("compression", "chunk_mb")}
        chosen["buffer_gb"] = self._share.buffer_gb
        given = {key: value for key, value in chosen.items() if value is not None}
        return BackendConfiguration(backend=named, **given)

    def _progress(self, progress: WriteProgress) -> None:
        now = time.monotonic()
        if now - self._recorded > _SECONDS_PER_RECORD:
            self._recorded = now
            fraction = progress.num_bytes / max(progress.total_bytes, 1)
            with suppress(OSError):  # the progress is for the eye only
                self._record(fraction=fraction)

    def _record(self, **changes: Any) -> None:
        self.state = attrs.evolve(self.state, **changes)
        write_state(self._path, self.state)

    def end(self, state: str, notes: Sequence[str], reason: str = "") -> SessionState:
        """Record the end of the conversion.

        A file that appeared under its name is whole, and is of this run whatever happened then.
        """
        present = output_identity(self.state.output)
        is_written = present is not None and present != self.state.before
        changed = attrs.evolve(
            self.state,
            state=DONE if state == WAITING and is_written else state,
            written=present if is_written else self.state.written,
            warnings=notes,
            reason=reason,
            seconds=time.monotonic() - self._began,  # clocks are set back
        )
        return _ended(self._path, changed)


def _are_unrelated(before: Sequence[str], now: Sequence[str]) -> bool:
    """Return whether a file was made from another recording, which was not moved.

    The paths of one recording have one in common, or one lies within another.
    """
    if not before or not now or not all(os.path.exists(each) for each in before):  # noqa: PTH110
        return False
    pairs = [(Path(old), Path(new)) for old in before for new in now]
    return not any(new.is_relative_to(old) or old.is_relative_to(new) for old, new in pairs)


def _ended(path: Path, state: SessionState) -> SessionState:
    """Record a state that ended, with what the file is now."""
    if state.state == DONE:
        output = state.output
        num_bytes = size_of(as_path(output))
        state = attrs.evolve(
            state, written=output_identity(output), num_bytes=num_bytes, fraction=1.0, reason=""
        )
    write_state(path, state)
    return state
