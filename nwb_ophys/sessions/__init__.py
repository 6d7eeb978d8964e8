"""Batches: specifications of many sessions, and the engines that convert them."""

from nwb_ophys.sessions.batch import (
    BatchResult,
    PlannedSession,
    plan_sessions,
    run_planned,
    run_sessions,
    selected,
    sessions_of,
    states_of,
)
from nwb_ophys.sessions.session import Session
from nwb_ophys.sessions.specification import specification_schema
from nwb_ophys.sessions.states import SessionState

__all__ = [
    "BatchResult",
    "PlannedSession",
    "Session",
    "SessionState",
    "plan_sessions",
    "run_planned",
    "run_sessions",
    "selected",
    "sessions_of",
    "specification_schema",
    "states_of",
]
