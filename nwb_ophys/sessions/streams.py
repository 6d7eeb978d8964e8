"""Recordings of sessions: detected, or of streams whose classes the specification names."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any

import nwb_ophys
from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import SpecificationError
from nwb_ophys.interfaces import BaseOphysInterface
from nwb_ophys.opening import Recording, apply_times, open_recording
from nwb_ophys.sessions.session import Session
from nwb_ophys.timing import times_follow


def open_session(session: Session) -> Recording:
    """Open the recording of a session, with the times that other devices recorded.

    Parameters
    ----------
    session : Session

    Returns
    -------
    Recording

    Raises
    ------
    SpecificationError
        For faults that were found beforehand, or a class that neither package has.
    """
    if session.faults:
        raise SpecificationError(*session.faults)
    recording = _streams(session) if session.streams else _detected(session)
    for line in apply_times(recording, **session.clocks) if session.clocks else ():
        warnings.warn(line, UserWarning, stacklevel=2)
    return recording


def _has_times(session: Session) -> bool:
    return bool((session.clocks or {}).keys() & {"times", "pulses"})


def _detected(session: Session) -> Recording:
    stub = session.settings.get("stub")
    options = {**session.options, **({} if stub is None else {"stub": stub})}
    is_one = bool(session.settings.get("all_in_one"))
    left = session.settings.get("leave_out") or ()
    return open_recording(
        session.paths,
        session.formats,
        options,
        all_in_one=is_one,
        leave_out=[left] if isinstance(left, str) else left,
        has_times=_has_times(session),
    )


def _streams(session: Session) -> Recording:
    with times_follow(_has_times(session)):
        interfaces = {
            name: _class_of(class_name, arguments)(**arguments)
            for name, (class_name, arguments) in session.streams.items()
        }
    return Recording(OphysConverter(interfaces), dict(session.options))


def _class_of(name: str, arguments: Mapping[str, Any]) -> Any:
    """Return a class: ours if it knows the arguments, or else that of neuroconv if it does."""
    ours: Any = getattr(nwb_ophys, name, None) if name in nwb_ophys.__dir__() else None
    if not (isinstance(ours, type) and issubclass(ours, BaseOphysInterface)):
        ours = None
    if ours is not None and _knows(ours, arguments):
        return ours
    try:
        theirs = getattr(importlib.import_module("neuroconv.datainterfaces"), name, None)
        is_installed = True
    except ImportError:
        theirs, is_installed = None, False
    # Of two classes that do not know an argument, ours names it in a line.
    if theirs is not None and (ours is None or _knows(theirs, arguments)):
        return theirs
    if ours is not None:
        return ours
    if is_installed:
        raise SpecificationError(
            f"Neither this package nor neuroconv has an interface '{name}'; correct the name."
        )
    raise SpecificationError(
        f"'{name}' is not an interface of this package, and neuroconv, which may have it, is not "
        "installed; correct the name, or install it with: pip install neuroconv."
    )


def _knows(cls: Any, arguments: Mapping[str, Any]) -> bool:
    return set(arguments) <= set(cls.get_source_schema().get("properties", {}))
