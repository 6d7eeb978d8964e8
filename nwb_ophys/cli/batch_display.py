"""Output of ``nwb-ophys batch``: bars or lines while it runs, and tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.cli.terminal import say
from nwb_ophys.documents import dump_yaml
from nwb_ophys.errors import aligned, counted, first_of, printable, shown_size
from nwb_ophys.storage.terminals import is_shown_on_terminal

_MOST_BARS, _MOST_NAMED = 8, 3
_SECONDS_PER_LOOK = 1.0


class BatchDisplay:
    """Progress of a batch: bars on a terminal, and a line for each session that ends.

    Parameters
    ----------
    planned : sequence of PlannedSession
    is_shown : bool
        Whether bars are shown on a terminal.
    is_quiet : bool
        Whether nothing is printed but bars.
    """

    def __init__(self, planned: Sequence[Any], *, is_shown: bool, is_quiet: bool) -> None:
        self._sessions = [each.session for each in planned if each.is_pending]
        self._is_quiet = is_quiet
        self._has_bars = is_shown and is_shown_on_terminal()
        self._bars: dict[str, Any] = {}
        self._total: Any = None
        self._ended: set[str] = set()
        self._looked = 0.0

    def __enter__(self) -> BatchDisplay:
        if self._has_bars:
            from tqdm import tqdm

            self._total = tqdm(total=len(self._sessions), desc="sessions", unit="session")
        return self

    def __exit__(self, *_: Any) -> None:
        for bar in (*self._bars.values(), self._total):
            if bar is not None:
                bar.close()

    def show(self, state: Any) -> None:
        """Show the state of a session that ended, or how far the others are.

        Parameters
        ----------
        state : SessionState or None
        """
        if state is not None:
            self._ended.add(state.key)
            self._close(state.key)
            if self._total is not None:
                self._total.update(1)
            if not self._is_quiet:
                self._write(f"[{len(self._ended)}/{len(self._sessions)}] {line_of(state)}")
        if self._total is not None and time.monotonic() - self._looked > _SECONDS_PER_LOOK:
            self._looked = time.monotonic()
            self._look()

    def _write(self, text: str) -> None:
        if self._total is None:
            say(text)
            return
        with self._total.external_write_mode():  # the bars make room for the line
            say(text)

    def _look(self) -> None:
        from tqdm import tqdm

        from nwb_ophys.sessions.batch import fractions_of

        pending = [each for each in self._sessions if each.key not in self._ended]
        found = fractions_of(pending[: 4 * _MOST_BARS + len(self._bars)])
        for key in [key for key in self._bars if key not in found]:
            self._close(key)
        for key, fraction in list(found.items())[:_MOST_BARS]:
            if key not in self._bars:
                shape = "{l_bar}{bar}| {elapsed}"
                self._bars[key] = tqdm(
                    total=1.0, desc=printable(key), leave=False, bar_format=shape
                )
            self._bars[key].n = fraction
            self._bars[key].refresh()

    def _close(self, key: str) -> None:
        bar = self._bars.pop(key, None)
        if bar is not None:
            bar.close()


def summary_of(result: Any, specification: Path) -> str:
    """Return the numbers of sessions, those that failed, and the next step."""
    lines = [f"{counted(len(result.states), 'session')}: {result}."]
    found: dict[str, list[str]] = {}
    for each in result.states:
        for text in each.findings:
            found.setdefault(text, []).append(each.key)
    if found:
        lines += ["", "The DANDI archive would refuse:"]
        # A lab that lacks one fact lacks it in hundreds of sessions.
        lines += [
            f"  {text} ({_sessions_in_words(own, len(result.states))})"
            for text, own in found.items()
        ]
    if result.failed:
        lines += ["", "Failed:", *(f"  {each.key}: {each.reason}" for each in result.failed)]
        lines += [
            "",
            "Mend them and run the same command, which converts the rest. 'nwb-ophys batch "
            f"{specification} --status' prints all states.",
        ]
    if result.elsewhere:
        lines += ["", "Being converted by another process:"]
        lines += [f"  {each.key}: {each.reason}" for each in result.elsewhere]
    return "\n".join(lines)


def _sessions_in_words(own: Sequence[str], number: int) -> str:
    return "all sessions" if len(own) == number > 1 else first_of(own, _MOST_NAMED)


def line_of(state: Any) -> str:
    """Return the line of a session that ended."""
    if state.state != "done":
        return f"{state.state} {state.key}: {state.reason}"
    notes = f", {counted(len(state.warnings), 'note')} in --status" if state.warnings else ""
    size = shown_size(state.num_bytes)
    return f"{state.state} {state.key}: {state.output} ({size}, {state.seconds:.1f} s{notes})"


def table_of(states: Sequence[Any]) -> str:
    """Return a table of states, with their counts below."""
    rows: list[tuple[str, ...]] = [("SESSION", "STATE", "TIME", "SIZE", "FILE OR REASON")]
    for each in states:
        is_done = each.state == "done"
        shown = each.output if is_done else each.reason
        if each.state == "running":
            shown = f"{each.fraction:.0%} written"
        rows.append(
            (
                each.key,
                each.state,
                f"{each.seconds:.1f} s" if each.seconds else "",
                shown_size(each.num_bytes) if is_done else "",
                shown,
            )
        )
        rows += [("", "", "", "", f"Note: {note}") for note in each.warnings]
        rows += [("", "", "", "", f"DANDI: {finding}") for finding in each.findings]
    counts = Counter(each.state for each in states)
    total = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    return f"{aligned(rows)}\n{counted(len(states), 'session')}: {total}."


def plan_in_words(planned: Sequence[Any], *, overwrite: bool = False) -> str:
    """Return a table of what a run would do, with or without ``--overwrite``."""
    rows: list[tuple[str, ...]] = [("SESSION", "RUN", "WHY", "FILE OR REASON")]
    for each in planned:
        faults = " ".join(each.session.faults)
        act = "would fail" if each.would_fail(overwrite=overwrite) else each.decision.act
        rows.append((each.session.key, act, each.decision.why, faults or each.session.shown_output))
    counts = Counter(row[1] for row in rows[1:])
    total = ", ".join(f"{number} {act}" for act, number in sorted(counts.items()))
    number = counted(len(planned), "session")
    lines = [aligned(rows), f"{number}: {total}. Nothing was written."]
    return "\n".join([*lines, *_findings_in_words([each.session for each in planned])])


def _findings_in_words(sessions: Sequence[Any]) -> list[str]:
    """Return what the archive requires and advises of the values of sessions, each once."""
    from nwb_ophys.sessions.archive import stated_findings

    keys: dict[tuple[str, str, str, str], list[str]] = {}
    for session in sessions:
        for each in stated_findings(session):
            found = (each.importance, each.key, each.message, each.cure)
            keys.setdefault(found, []).append(session.key)
    if not keys:
        return []
    lines = ["", "The DANDI archive, as far as the specification alone tells:"]
    for (importance, key, message, cure), own in sorted(
        keys.items(), key=lambda item: item[0][0] != "required"
    ):
        listed = _sessions_in_words(own, len(sessions))
        lines.append(f"  {importance} {key}: {message} ({listed})")
        lines.append(f"    {cure}")
    return [*lines, "'nwb-ophys check' with the specification opens the recordings, too."]


def plan_values(planned: Any, *, overwrite: bool = False) -> dict[str, Any]:
    """Return what a run would do with a session as plain values, with or without --overwrite."""
    return {
        "key": planned.session.key,
        "run": planned.decision.act,
        "would_fail": planned.would_fail(overwrite=overwrite),
        "why": planned.decision.why,
        "output": planned.session.shown_output,
        "paths": list(planned.session.paths),
        "faults": list(planned.session.faults),
    }


def values_of(session: Any) -> dict[str, Any]:
    """Return the values of a session, each with the place that states it, as plain values."""
    from nwb_ophys.sessions.session import leaves

    stated: dict[str, Any] = {
        "paths": list(session.paths),
        "format": list(session.formats) or None,
        "output": session.shown_output,
        **session.settings,
        **{f"options.{key}": value for key, value in session.options.items()},
        **dict(leaves(session.metadata)),
        **session.edits,
    }
    origins = session.origins
    values = {
        key: {"value": value, "from": origins.get(key, "the match of the pattern")}
        for key, value in stated.items()
        if value is not None
    }
    return {"key": session.key, "values": values, "faults": list(session.faults)}


def values_in_words(values: Mapping[str, Any]) -> str:
    """Return the values of a session as lines."""
    lines = [f"{values['key']}:"]
    for key, each in values["values"].items():
        text = each["value"] if isinstance(each["value"], str) else _on_one_line(each["value"])
        lines.append(f"  {key}: {text}  # {each['from']}")
    return "\n".join([*lines, *(f"  Fault: {fault}" for fault in values["faults"])])


def _on_one_line(value: Any) -> str:
    return " ".join(dump_yaml(value, flow_style=True).split())
