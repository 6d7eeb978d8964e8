"""Sessions of a batch that convert the same recording, by two entries or through a link."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence

from nwb_ophys.errors import first_named, printable
from nwb_ophys.remote.paths import is_url
from nwb_ophys.sessions.session import Session

_MOST_SESSIONS, _MOST_LINES = 3, 5

_Identity = tuple[object, ...]


def warn_of_shared_recordings(sessions: Sequence[Session]) -> None:
    """Warn of files and folders that several sessions convert with the same options.

    Parameters
    ----------
    sessions : sequence of Session
    """
    found = _shared(sessions)
    for path, keys in list(found.items())[:_MOST_LINES]:
        names = first_named([printable(key) for key in keys], _MOST_SESSIONS)
        _warn(
            f"The sessions {names} convert the same recording, '{printable(path)}'. If that "
            "is not intended, leave it out of one of them."
        )
    if len(found) > _MOST_LINES:
        _warn(f"{len(found) - _MOST_LINES} more recordings are those of several sessions.")


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=4)


def _shared(sessions: Sequence[Session]) -> dict[str, list[str]]:
    """Return the keys of the sessions by the path of each recording that several convert."""
    identities: dict[str, _Identity | None] = {}
    users: dict[tuple[_Identity, str], dict[str, str]] = {}
    for session in sessions:
        how = _how(session)
        for path in session.paths:
            identity = _identity(path, identities)
            if identity is not None:
                users.setdefault((identity, how), {})[session.key] = path
    found: dict[str, list[str]] = {}
    for session in sessions:
        how = _how(session)
        for path in session.paths:
            for place in _with_parents(path):
                identity = _identity(place, identities)
                keys = {} if identity is None else users.get((identity, how), {})
                if set(keys) - {session.key}:
                    shown = next(iter(keys.values()))
                    known = found.setdefault(shown, [])
                    known += [
                        key for key in dict.fromkeys((*keys, session.key)) if key not in known
                    ]
    return found


def _how(session: Session) -> str:
    """Return what tells sessions apart that convert different parts of one file."""
    left_out = session.settings.get("leave_out")
    return repr((session.formats, session.streams, session.options, left_out))


def _with_parents(path: str) -> Iterator[str]:
    yield path
    while not is_url(path) and os.path.dirname(path) != path:  # noqa: PTH120
        path = os.path.dirname(path)  # noqa: PTH120
        yield path


def _identity(path: str, known: dict[str, _Identity | None]) -> _Identity | None:
    """Return what is the same for all names of a file or folder; None if it does not exist."""
    if path not in known:
        known[path] = (path,) if is_url(path) else _number_of(path)
    return known[path]


def _number_of(path: str) -> _Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    # Some file systems number nothing.
    return (status.st_dev, status.st_ino) if status.st_ino else (os.path.realpath(path),)
