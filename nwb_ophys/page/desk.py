"""Acts of the buttons and fields: changes of the work, and the long work that they start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from nwb_ophys.errors import (
    ArgumentError,
    NwbOphysError,
    OptionError,
    OutputError,
    SourceError,
    printable,
)
from nwb_ophys.home import with_home
from nwb_ophys.page import specifications
from nwb_ophys.page.roots import Roots
from nwb_ophys.page.state import Job, Part, Refused, Store, Work
from nwb_ophys.page.values import setting_of
from nwb_ophys.page.wording import page_lines
from nwb_ophys.page.worker import Done, WorkCancelled, Worker, WorkFailed

_OUTPUTS = (".nwb", ".zarr")
_STAGES = {
    "detect": "Looking for recordings",
    "survey": "Opening the recording",
    "look": "Reading the first frames",
    "plan": "Planning the file",
    "convert": "Opening the recording",
    "plan_batch": "Looking for sessions",
    "run_batch": "Converting sessions",
}


# Acts with the text of one field, which stays in the field when it is refused.
_OF_FIELDS = ("option", "target")
_WRITTEN = "Cancelled after the file was written: '{}' is whole, but was not checked."
_LONGEST_KEY = 64


class _BusyError(ArgumentError):
    """Other work is going on."""


class Desk:
    """The work of one page.

    Parameters
    ----------
    roots : Roots
    worker : Worker
    folder : pathlib.Path or None
        Folder of a recording that is looked at first.
    """

    def __init__(self, roots: Roots, worker: Worker, folder: Path | None = None) -> None:
        self.roots, self.store, self._worker = roots, Store(), worker
        self._task: asyncio.Task[None] | None = None
        self._is_stale = False
        # An act that waits until the recording is open, with its values.
        self._next: tuple[str, Mapping[str, Any]] | None = None
        # A relative one begins in the current folder, unlike the paths that a browser sends.
        self._first = None if folder is None else with_home(folder).absolute()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def work(self) -> Work:
        """The present work."""
        return self.store.work

    def begin(self) -> None:
        """Start what the command line asked for; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._warming = asyncio.create_task(asyncio.to_thread(self._worker.start))
        if self._first is not None:
            self._choose(self.roots.checked(str(self._first)))

    def release(self) -> None:
        """End the streams of events; called in any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.store.close)

    async def close(self) -> None:
        """End the work and wait for its process."""
        self.store.close()
        await asyncio.to_thread(self._worker.end)
        if self._task is not None:
            await asyncio.wait([self._task])

    def act(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a button or a field asks for.

        Parameters
        ----------
        name : str
            One of ``ACTS``.
        given : Mapping
            Values of the form.

        Returns
        -------
        dict
            ``errors``, lines by field; and ``is_kept``, whether the page keeps a refused text.
        """
        field = str(given.get("field", ""))
        refused = {key: each for key, each in self.work.refused.items() if key != field}
        is_kept = False
        try:
            if field in self.work.refused:
                self.store.change(refused=refused)
            ACTS[name](self, given)
        except (NwbOphysError, OSError) as error:
            lines = tuple(map(printable, page_lines(error) or ()))
            text = given.get("value" if name == "option" else field)
            is_kept = name in _OF_FIELDS and not isinstance(error, _BusyError)
            if is_kept and field and isinstance(text, str):
                refused[field] = Refused(text=text, lines=lines)
            self.store.change(errors={**self.work.errors, field: lines}, refused=refused)
            return {"errors": {field: lines}, "is_kept": is_kept}
        return {"errors": {}, "is_kept": is_kept}

    # --- the steps ------------------------------------------------------------------------------

    def choose(self, given: Mapping[str, Any]) -> None:
        """Choose a folder or a file, and detect what is in it."""
        self._require_free()
        self._choose(self.roots.existing(_text(given, "path")))

    def _choose(self, path: Path) -> None:
        roots = tuple(map(str, self.roots.folders))
        output = str(self._suggested_output(path))
        request = attrs.evolve(Work().request, output=output, roots=roots)
        blank = Work(folder=str(path), request=request, batch=self.work.batch)
        self.store.change(**attrs.asdict(blank, recurse=False))
        self._start("detect", {"path": str(path)}, self._take_detected)

    def tick(self, given: Mapping[str, Any]) -> None:
        """Take a recording of the folder in, leave it out, or change its format."""
        self._require_editable()
        index = given.get("index")
        parts = list(self.work.parts)
        if not isinstance(index, int) or not 0 <= index < len(parts):
            raise ArgumentError(f"There is no recording {index!r}; reload the page.")
        part = parts[index]
        chosen = str(given.get("format", part.format))
        if chosen not in (self.work.detected or {}).get("formats", ()):
            raise OptionError(f"There is no format '{chosen}'; choose one of the list.")
        is_ticked = bool(given.get("is_ticked", part.is_ticked))
        parts[index] = attrs.evolve(part, format=chosen, is_ticked=is_ticked)
        self._take_parts(tuple(parts))

    def stream(self, given: Mapping[str, Any]) -> None:
        """Take a stream in, or leave it out."""
        self._require_editable()
        name = _text(given, "name")
        known = [each["name"] for each in (self.work.survey or {}).get("streams", ())]
        if name not in known:
            raise OptionError(f"There is no stream '{name}'; reload the page.")
        others = tuple(each for each in self.work.request.leave_out if each != name)
        self._edit(leave_out=others if given.get("is_ticked") else (*others, name))

    def option(self, given: Mapping[str, Any]) -> None:
        """Set a source argument or an option, or return to its default with an empty value."""
        self._require_editable()
        key, text = _text(given, "key"), _text(given, "value")
        fields = {each["key"]: each for each in (self.work.survey or {}).get("options", ())}
        if key not in fields:
            raise OptionError(f"There is no option '{key}' here; reload the page.")
        if fields[key]["is_path"]:  # whole paths, which are the same in every folder
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            text = "\n".join(str(self.roots.existing(line)) for line in lines)
        options = _with(self.work.request.options, key, setting_of(text, fields[key]["control"]))
        self._note_typed({key: text})
        self._edit(options=options)

    def clock(self, given: Mapping[str, Any]) -> None:
        """Give the frames the times of another device, or add trials."""
        self._require_editable()
        key = _text(given, "key")
        if key not in ("times", "pulses", "trials"):
            raise OptionError(f"There is no field '{key}' here; reload the page.")
        self._edit(**{key: _text(given, "value").strip()})

    def setting(self, given: Mapping[str, Any]) -> None:
        """Set a value of the metadata, or return to that of the files with an empty one."""
        self._require_editable()
        key = _text(given, "key")
        control = _text(given, "control")
        value = setting_of(_text(given, "value"), control)
        settings = _with(self.work.request.settings, key, value)
        self._note_typed({key: _text(given, "value")})
        self._edit(settings=settings)

    def subject(self, given: Mapping[str, Any]) -> None:
        """Take the facts of a subject from a table."""
        self._require_editable()
        from nwb_ophys.sessions.subjects import read_subjects

        table = self.roots.existing(_text(given, "path"))
        name = _text(given, "subject_id").strip()
        subjects = read_subjects(table)
        row = subjects.row(name)
        if row is None:
            known = ", ".join(list(subjects.rows)[:10]) or "no subject"
            raise OptionError(f"'{table}' has no subject '{name}'; it has {known}.")
        facts = {f"Subject.{key}": text for key, text in row.values.items()}
        found = {"Subject.subject_id": name.removeprefix("sub-"), **facts}
        self._note_typed(found)
        self._edit(settings={**self.work.request.settings, **found})

    def target(self, given: Mapping[str, Any]) -> None:
        """Choose the file to write, and how."""
        self._require_editable()
        changes: dict[str, Any] = {}
        if "output" in given:
            changes["output"] = str(self._output(_text(given, "output")))
        for name in ("overwrite", "verify", "report", "all_in_one"):
            if name in given:
                changes[name] = bool(given[name])
        if "compression" in given:
            changes["compression"] = _text(given, "compression").strip()
        self._edit(**changes)

    def look(self, given: Mapping[str, Any]) -> None:
        """Make pictures of the first samples."""
        if self._waits("look", given):
            return
        self._require_open()
        self._start("look", {"request": self.work.request}, self._keep("look"))

    def plan(self, given: Mapping[str, Any]) -> None:
        """Plan the datasets of the file, and estimate its size and time."""
        if self._waits("plan", given):
            return
        self._require_request()
        self._start("plan", {"request": self.work.request}, self._keep("plan"))

    def convert(self, given: Mapping[str, Any]) -> None:
        """Convert the recording."""
        key = _text(given, "key")[:_LONGEST_KEY]
        if self._waits("convert", given):
            return
        self._require_request()
        self.store.change(result=None)
        # The request may change while the file is written and shown.
        keep = self._keep("result", request=self.work.request, key=key)
        self._start("convert", {"request": self.work.request}, keep)

    def plan_batch(self, given: Mapping[str, Any]) -> None:
        """List the sessions of a specification, or of a pattern or table of sessions."""
        self._require_free()
        form = {name: _text(given, name).strip() for name in specifications.FIELDS}
        self.store.change(batch={"form": form})  # which stays when it is wrong
        stated = specifications.specification_of(form, self.roots)
        jobs = specifications.jobs_of(form)
        self.store.change(batch={"form": form, "stated": stated, "jobs": jobs})
        self._start("plan_batch", self._batch_arguments(), self._take_batch)

    def run_batch(self, _: Mapping[str, Any]) -> None:
        """Convert the sessions that were listed."""
        self._require_free()
        batch = self.work.batch
        if batch is None or "rows" not in batch:
            raise ArgumentError("List the sessions first.")
        arguments = {**self._batch_arguments(), "jobs": batch["jobs"]}
        # The summary is that of a former run.
        self.store.change(batch={key: each for key, each in batch.items() if key != "summary"})
        self._start("run_batch", arguments, self._take_batch)

    def save_batch(self, given: Mapping[str, Any]) -> None:
        """Write the specification of the batch to a file."""
        from nwb_ophys.sessions.specification import SPECIFICATION_TEXT
        from nwb_ophys.storage.text_files import write_text

        batch = self.work.batch
        if batch is None or "yaml" not in batch:
            raise ArgumentError("List the sessions first.")
        path = self.roots.path_of(_text(given, "path").strip())
        if path.suffix not in (".yaml", ".yml"):
            raise OutputError(f"'{path}' is not the name of a YAML file; give lab.yaml, say.")
        replaces = SPECIFICATION_TEXT if given.get("overwrite") else None
        write_text(path, batch["yaml"], replaces=replaces)
        self.store.change(batch={**batch, "saved": str(path)}, errors=self._refusals())

    def reopen(self, _: Mapping[str, Any]) -> None:
        """Open the recording again, after this was cancelled or has failed."""
        self._require_free()
        self._survey()

    def cancel(self, _: Mapping[str, Any]) -> None:
        """End the present work."""
        if self.work.job is not None:
            self._next = None
            if self.work.job.name == "survey":
                self._is_stale = False
            self._worker.cancel()

    def forget(self, _: Mapping[str, Any]) -> None:
        """Start again with nothing."""
        self._require_free()
        self.store.change(**attrs.asdict(Work(), recurse=False))

    # --- outcomes -------------------------------------------------------------------------------

    def _take_detected(self, done: Done) -> None:
        recordings = done.value["recordings"]
        has_plain = any(not each["option"] for each in recordings)
        parts = tuple(
            Part(
                found=each,
                format=each["format"],
                is_ticked=not (each["option"] and has_plain),
            )
            for each in recordings
        )
        self.store.change(detected=done.value)
        self._take_parts(parts)

    def _take_parts(self, parts: tuple[Part, ...]) -> None:
        """Take over which recordings are wanted, as the arguments of the command line."""
        work, given = self.work, self.work.request.options
        fields = (work.survey or {}).get("options", ())
        own = {part.format for part in parts if part.is_ticked}
        foreign = [each["key"] for each in fields if own and own.isdisjoint(each["formats"])]
        options = {key: text for key, text in given.items() if key not in foreign}
        lines = tuple(
            f"The option {key}={printable(text)} is left out, since no ticked recording has it."
            for key, text in given.items()
            if key not in options
        )
        # Options of other formats are not shown any more.
        refused = {key: each for key, each in work.refused.items() if key == "output"}
        self.store.change(parts=parts, notes={**work.notes, "parts": lines}, refused=refused)
        self._edit(**_sources(work.folder, parts, options))

    def _batch_arguments(self) -> dict[str, Any]:
        roots = tuple(map(str, self.roots.folders))
        return {"specification": (self.work.batch or {})["stated"], "roots": roots}

    def _take_batch(self, done: Done) -> None:
        self.store.change(batch={**(self.work.batch or {}), **done.value})

    def _keep(self, name: str, **more: Any) -> Callable[[Done], None]:
        return lambda done: self.store.change(
            **{name: {**done.value, **more, "made": self.store.version}}
        )

    def _edit(self, **changes: Any) -> None:
        """Change the request; what followed from the former one is outdated."""
        request = attrs.evolve(self.work.request, **changes)
        same = request.source == self.work.request.source
        self.store.change(
            request=request,
            errors=self._refusals(),
            plan=None,
            look=self.work.look if same else None,
            ended="",
        )
        self._survey()

    def _note_typed(self, texts: Mapping[str, str]) -> None:
        """Note texts of fields, which the form shows until the recording is open with them."""
        self.store.change(typed={**self.work.typed, **texts})

    def _survey(self, said: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Open the recording with the present request, after the present work.

        Parameters
        ----------
        said : Mapping
            How the work before ended, which stays on the page.
        """
        if self._is_working():
            self._is_stale = True
            return
        if not any(part.is_ticked for part in self.work.parts):
            self._next = None
            self.store.change(survey=None)
            return
        arguments = {"request": self.work.request, "names": self.work.formats}
        self._start("survey", arguments, self._keep("survey"), said)

    # --- long work ------------------------------------------------------------------------------

    def _is_working(self) -> bool:
        return self.work.job is not None

    def _waits(self, name: str, given: Mapping[str, Any]) -> bool:
        """Return whether an act waits until the recording is open with what was just changed."""
        is_opening = self.work.job is not None and self.work.job.name == "survey"
        if is_opening and self._next is not None and self._next[0] == "convert":
            # Another tab, or a further press, would take its place.
            raise _BusyError("A conversion waits until the recording is open; cancel it, or wait.")
        self._next = (name, given) if is_opening else None
        return is_opening

    def _require_free(self) -> None:
        job = self.work.job
        if job is not None:
            raise _BusyError(f"{job.stage} is going on; cancel it, or wait until it has ended.")

    def _require_editable(self) -> None:
        """Check that there is a recording to edit; other work has a request of its own."""
        if self.work.job is not None and self.work.job.name == "detect":
            self._require_free()

    def _refusals(self) -> dict[str, tuple[str, ...]]:
        """Return the errors that last until another text of their field is accepted."""
        return {field: each.lines for field, each in self.work.refused.items()}

    def _require_request(self) -> None:
        self._require_open()
        self._checked_output(self.roots.checked(self.work.request.output))

    def _require_open(self) -> None:
        self._require_free()
        work = self.work
        if work.survey is None or not work.request.paths:
            raise ArgumentError("Choose a folder with a recording first.")
        if work.survey["metadata"] is None:
            raise ArgumentError("The recording cannot be opened yet; see 'What is in it'.")
        for field, each in work.refused.items():
            raise ArgumentError(f"Correct the field '{field}' first. {' '.join(each.lines)}")

    def _start(
        self,
        name: str,
        arguments: Mapping[str, Any],
        take: Callable[[Done], None],
        said: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._is_stale = False
        notes = {key: lines for key, lines in self.work.notes.items() if key != name}
        job = Job(name=name, stage=_STAGES[name])
        errors = {**said.get("errors", {}), **self._refusals()}
        self.store.change(job=job, errors=errors, ended=said.get("ended", ""), notes=notes)
        self._task = asyncio.create_task(self._do(name, arguments, take))

    async def _do(
        self, name: str, arguments: Mapping[str, Any], take: Callable[[Done], None]
    ) -> None:
        changes: dict[str, Any] = {"job": None}
        done, source = None, self.work.request.source
        try:
            done = await self._worker.run(name, arguments, self._report)
            changes["notes"] = {**self.work.notes, name: done.notes}
        except WorkFailed as error:
            changes["errors"] = {"": error.args}
        except WorkCancelled as error:
            written = self.work.job.written if self.work.job is not None else ""
            changes["ended"] = _WRITTEN.format(printable(written)) if written else str(error)
        except Exception as error:  # the page would wait for ever
            changes["errors"] = {"": (printable(f"{type(error).__name__}: {error}"),)}
        is_outdated = self._is_outdated(name, source)
        if name == "survey" and done is None:
            changes["survey"] = _not_opened(self.work.survey)
            self._next = self._next if self._is_stale else None
        if name == "survey" and done is not None and not is_outdated:
            changes["typed"] = {}
        self.store.change(**changes)
        if done is not None and is_outdated and name != "survey":
            self._next = (name, {})  # is done again
        elif done is not None and not is_outdated:
            take(done)
        self._go_on(changes)

    def _is_outdated(self, name: str, source: tuple[Any, ...]) -> bool:
        """Return whether the outcome of work is that of a former request."""
        if name == "look":
            return self._is_stale and source != self.work.request.source
        return self._is_stale and name in ("survey", "plan")

    def _go_on(self, said: Mapping[str, Any]) -> None:
        """Open the recording with what was changed meanwhile, or do what waits for that."""
        if self.work.job is not None:  # detection has begun it
            return
        if self._is_stale:
            self._survey(said)
            return
        following, self._next = self._next, None
        if following is not None:
            self.act(*following)

    def _report(self, value: Mapping[str, Any]) -> None:
        batch = self.work.batch
        known = {name: each for name, each in value.items() if name != "rows"}
        if value.get("rows") and batch is not None:
            self.store.change(batch={**batch, "rows": {**batch["rows"], **value["rows"]}})
        if self.work.job is not None:
            self.store.change(job=attrs.evolve(self.work.job, **known))

    # --- paths ----------------------------------------------------------------------------------

    def _suggested_output(self, path: Path) -> Path:
        """Return a file beside a recording, or within its folder if that is a root."""
        name = f"{path.stem if path.is_file() else path.name}.nwb"
        beside = path.parent / name
        return beside if self.roots.holds(beside) else path / name

    def _output(self, text: str) -> Path:
        return self._checked_output(self.roots.path_of(text.strip()))

    def _checked_output(self, path: Path) -> Path:
        if path.suffix not in _OUTPUTS or not path.parent.is_dir():
            raise OutputError(
                f"'{path}' is not the name of a file to write; give one that ends in .nwb, or in "
                ".nwb.zarr, in a folder that exists."
            )
        return path


def _not_opened(survey: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a survey without the streams and metadata, which are those of a former request."""
    if survey is None:
        return None
    faults = {"": ["The recording is not open; change a value, or open it again."]}
    closed = {"is_closed": True, "faults": faults, "streams": [], "lines": [], "metadata": None}
    return {**survey, **closed}


def _sources(folder: str, parts: tuple[Part, ...], options: Mapping[str, str]) -> dict[str, Any]:
    """Return paths, formats and requests of the recordings that are ticked."""
    requests = {part.found["option"] for part in parts if part.found["option"]}
    others = {key: value for key, value in options.items() if key not in requests}
    has_plain = any(not part.found["option"] for part in parts)
    plain = [part for part in parts if not (part.found["option"] and has_plain)]
    ticked = [part for part in parts if part.is_ticked]
    asked = {p.found["option"]: "true" for p in ticked if p.found["option"] and has_plain}
    is_as_found = all(part.format == part.found["format"] for part in parts)
    if is_as_found and all(part.is_ticked for part in plain):
        return {"paths": (folder,), "formats": (), "options": {**others, **asked}}
    return {
        "paths": tuple(part.found["path"] for part in ticked),
        "formats": tuple(part.format for part in ticked),
        "options": {**others, **asked},
    }


def _text(given: Mapping[str, Any], name: str) -> str:
    """Return a text of a form; bytes of paths that are no text are coded in it."""
    value = given.get(name, "")
    if not isinstance(value, str) or any("\ud800" <= each <= "\udfff" for each in value):
        raise ArgumentError(f"{name} is not a text; reload the page.")
    return value


def _with(given: Mapping[str, str], key: str, value: str) -> dict[str, str]:
    """Return texts with one that is changed, or without it if it is empty."""
    if not key:
        raise SourceError("The name of the field is empty; reload the page.")
    kept = {name: text for name, text in given.items() if name != key or value}
    return {**kept, **({key: value} if value else {})}


ACTS: Mapping[str, Callable[[Desk, Mapping[str, Any]], None]] = {
    "choose": Desk.choose,
    "tick": Desk.tick,
    "stream": Desk.stream,
    "option": Desk.option,
    "clock": Desk.clock,
    "setting": Desk.setting,
    "subject": Desk.subject,
    "target": Desk.target,
    "look": Desk.look,
    "plan": Desk.plan,
    "convert": Desk.convert,
    "plan_batch": Desk.plan_batch,
    "run_batch": Desk.run_batch,
    "save_batch": Desk.save_batch,
    "reopen": Desk.reopen,
    "cancel": Desk.cancel,
    "forget": Desk.forget,
}
"""Acts by their names in URLs."""
