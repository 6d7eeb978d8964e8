"""State of the work of one page, which every tab sees, and its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import attrs

from nwb_ophys.page.request import Request


@attrs.frozen(kw_only=True)
class Part:
    """A recording in the folder, as the user wants it.

    Attributes
    ----------
    found : Mapping
        What detection states of it.
    format : str
        Chosen format.
    is_ticked : bool
    """

    found: Mapping[str, Any]
    format: str
    is_ticked: bool


@attrs.frozen(kw_only=True)
class Refused:
    """A text of a field that was refused, so that the former value still holds.

    Attributes
    ----------
    text : str
        As it was typed.
    lines : tuple of str
        Why it was refused.
    """

    text: str
    lines: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Job:
    """Long work that is going on.

    Attributes
    ----------
    name : str
        Function of :mod:`nwb_ophys.page.work`.
    stage, detail : str
        Words for the eye and for screen readers.
    fraction : float or None
        Done part, from 0 to 1, if it is known.
    written : str
        Path of the file that is already whole, if there is one.
    """

    name: str
    stage: str
    detail: str = ""
    fraction: float | None = None
    written: str = ""


@attrs.frozen(kw_only=True)
class Work:
    """Everything that the page shows.

    Attributes
    ----------
    folder : str
        Path of the recording; empty before one is chosen.
    parts : tuple of Part
        Recordings in it.
    detected, survey, look, plan, result, batch : Mapping or None
        Outcomes of work, see :mod:`nwb_ophys.page.work`.
    request : Request
    errors : Mapping of str to tuple of str
        Lines by the field that they belong to; of the whole step by an empty name.
    refused : Mapping of str to Refused
        By field, until another text of it is accepted.
    typed : Mapping of str to str
        Texts of fields, by their keys, until the recording is open with them.
    notes : Mapping of str to tuple of str
        Warnings by the work that gave them.
    ended : str
        How the last work ended, in words.
    job : Job or None
    """

    folder: str = ""
    parts: tuple[Part, ...] = ()
    detected: Mapping[str, Any] | None = None
    survey: Mapping[str, Any] | None = None
    look: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    batch: Mapping[str, Any] | None = None
    request: Request = attrs.field(factory=Request)
    errors: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    refused: Mapping[str, Refused] = attrs.field(factory=dict)
    typed: Mapping[str, str] = attrs.field(factory=dict)
    notes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    ended: str = ""
    job: Job | None = None

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the ticked parts, each once."""
        return tuple(dict.fromkeys(part.format for part in self.parts if part.is_ticked))


class Store:
    """The present work with a version that grows, and a way to wait for the next one.

    Attributes
    ----------
    version : int
        Number of the last change.
    shown_version : int
        Number of the last change of what the pages of the steps show: all but the progress.
    """

    def __init__(self) -> None:
        self.work, self.version, self.is_closed = Work(), 0, False
        self.shown_version = 0
        self._changed = asyncio.Event()

    def change(self, **changes: Any) -> None:
        """Replace some values of the work; whoever waits is woken."""
        before, self.work = self.work, attrs.evolve(self.work, **changes)
        self.version += 1
        if set(changes) != {"job"} or _stage(before) != _stage(self.work):
            self.shown_version = self.version
        self._wake()

    def close(self) -> None:
        """End all waiting; there will be no further version."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def next_version(self, seen: int, seconds: float) -> int:
        """Return the present version as soon as it is not the one that was seen.

        Parameters
        ----------
        seen : int
        seconds : float
            Longest time to wait.
        """
        event = self._changed
        if self.version == seen and not self.is_closed:
            try:
                await asyncio.wait_for(event.wait(), seconds)
            except asyncio.TimeoutError:
                return self.version
        return self.version


def _stage(work: Work) -> tuple[str, str] | None:
    return None if work.job is None else (work.job.name, work.job.stage)
