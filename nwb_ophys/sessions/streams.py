"""Streams of a session that names their classes: interfaces of this package or of neuroconv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nwb_ophys
from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import SpecificationError
from nwb_ophys.interfaces import BaseOphysInterface
from nwb_ophys.opening import Recording
from nwb_ophys.optional import require_package
from nwb_ophys.sessions.session import Session


def open_streams(session: Session) -> Recording:
    """Open the streams of a session.

    Parameters
    ----------
    session : Session
        With ``streams``.

    Returns
    -------
    Recording

    Raises
    ------
    SpecificationError
        For a class that neither package has.
    """
    interfaces = {
        name: _class_of(class_name, arguments)(**arguments)
        for name, (class_name, arguments) in session.streams.items()
    }
    return Recording(OphysConverter(interfaces), dict(session.options))


def _class_of(name: str, arguments: Mapping[str, Any]) -> Any:
    """Return a class: ours if it knows the arguments, or else that of neuroconv."""
    ours: Any = getattr(nwb_ophys, name, None) if name in nwb_ophys.__dir__() else None
    is_interface = isinstance(ours, type) and issubclass(ours, BaseOphysInterface)
    if is_interface and set(arguments) <= set(ours.get_source_schema()["properties"]):
        return ours
    try:
        theirs = require_package("neuroconv.datainterfaces", "")
    except ImportError as error:
        if is_interface:
            return ours  # which names the argument that it does not know
        raise SpecificationError(
            f"'{name}' is no interface of this package, and neuroconv, which may have it, is not "
            "installed; correct the name, or install it with: pip install neuroconv."
        ) from error
    found = getattr(theirs, name, None)
    if found is None and not is_interface:
        raise SpecificationError(
            f"Neither this package nor neuroconv has an interface '{name}'; correct the name."
        )
    return ours if found is None else found
