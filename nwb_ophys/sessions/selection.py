"""Choice of the sessions of a batch that a run is about."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence

import attrs

from nwb_ophys.errors import OptionError
from nwb_ophys.sessions.session import Session

_SECTIONS = ("Subject", "NWBFile")


@attrs.frozen
class Task:
    """One part of a batch that several tasks share.

    Attributes
    ----------
    index : int
        From 0.
    count : int
        Number of tasks.
    stated_by : str
        Where it is stated, in words.
    """

    index: int
    count: int
    stated_by: str = "--task"

    def own(self, sessions: Sequence[Session]) -> list[Session]:
        """Return the sessions of this task; each session belongs to one task."""
        return list(sessions[self.index :: self.count])

    def __str__(self) -> str:
        return f"task {self.index + 1} of {self.count} ({self.stated_by})"


def parse_task(text: str) -> Task:
    """Return the task of a text such as ``1/8``, the first of eight.

    Raises
    ------
    OptionError
        When it is not of this form.
    """
    index, slash, count = text.partition("/")
    if slash and index.strip().isdecimal() and count.strip().isdecimal():
        task = Task(int(index) - 1, int(count))
        if 0 <= task.index < task.count:
            return task
    raise OptionError(
        f"--task is '{text}'; it must be the number of the task and the number of tasks, from 1/8 "
        "to 8/8."
    )


def task_of_environment() -> Task | None:
    """Return the task that an array of SLURM or AWS Batch states; None outside of an array.

    Raises
    ------
    OptionError
        When the array does not state its size.
    """
    known = os.environ
    slurm, aws = known.get("SLURM_ARRAY_TASK_ID"), known.get("AWS_BATCH_JOB_ARRAY_INDEX")
    try:
        if slurm is not None:
            first, last, step = (
                int(known[f"SLURM_ARRAY_TASK_{name}"])
                if name != "STEP"
                else int(known.get("SLURM_ARRAY_TASK_STEP", 1))
                for name in ("MIN", "MAX", "STEP")
            )
            index, count = (int(slurm) - first) // step, (last - first) // step + 1
            task = Task(index, count, f"SLURM_ARRAY_TASK_ID={slurm}")
        elif aws is not None:
            count = int(known["AWS_BATCH_JOB_ARRAY_SIZE"])
            task = Task(int(aws), count, f"AWS_BATCH_JOB_ARRAY_INDEX={aws}")
        else:
            return None
    except (KeyError, ValueError) as error:
        raise OptionError(
            f"The environment states a task of an array, but not how many there are ({error}); "
            "give --task, such as --task 1/8."
        ) from error
    if not 0 <= task.index < task.count:
        raise OptionError(f"The environment states {task}, which does not exist; give --task.")
    return task


def matching(sessions: Sequence[Session], only: Mapping[str, str]) -> list[Session]:
    """Return the sessions whose values match.

    Parameters
    ----------
    sessions : sequence of Session
    only : Mapping of str to str
        Texts or patterns such as ``M*`` by field, column, key of metadata, or ``key``.

    Raises
    ------
    OptionError
        When no session has such a field, or none matches.
    """
    for name in only:
        if all(_value(session, name) is None for session in sessions):
            known = sorted({name for each in sessions for name in each.fields})
            raise OptionError(
                f"--only {name}= names no field of any session; there are key, "
                f"{', '.join(known) or 'no fields'} and the keys of metadata."
            )
    found = [
        session
        for session in sessions
        if all(_is_meant(_value(session, name) or "", text) for name, text in only.items())
    ]
    if not found:
        said = " ".join(f"--only {name}={text}" for name, text in only.items())
        raise OptionError(f"No session matches {said}.")
    return found


def _is_meant(value: str, text: str) -> bool:
    """Return whether a value is a text, which may have brackets of its own, or fits a pattern."""
    return value == text or fnmatch.fnmatchcase(value, text)


def _value(session: Session, name: str) -> str | None:
    if name == "key":
        return session.key
    if name in session.fields:
        return session.fields[name]
    section, dot, key = name.partition(".")
    if dot:
        return session.stated(section, key)
    stated = (session.stated(each, name) for each in _SECTIONS)
    return next((value for value in stated if value is not None), None)
