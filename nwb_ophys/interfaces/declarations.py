"""Checks of what a class of another package declares, made when the class is defined."""

from __future__ import annotations

from typing import Any

import attrs

from nwb_ophys.errors import ArgumentError, shown

_METHODS = {
    *("open", "describe", "matches", "parts", "streams", "part", "made_from", "channel_names"),
    *("channel_name", "position_name", "add_to_nwbfile", "get_metadata", "refusal", "group"),
}
_EXAMPLE = 'file_path: Path = argument("Recording of the rig.")'


def check_declarations(cls: type) -> None:
    """Check the source arguments, the conversion options and the suffixes that a class declares.

    Parameters
    ----------
    cls : type
        Class of an interface. Only its own attributes are checked.

    Raises
    ------
    ArgumentError
        Names the class and the attribute, and says how it is written.
    """
    for name in ("Source", "Options"):
        if name in vars(cls):
            _check_arguments(f"{cls.__name__}.{name}", vars(cls)[name])
    for name in _METHODS & vars(cls).keys():
        declared = vars(cls)[name]
        if not isinstance(declared, (classmethod, staticmethod)) and not callable(declared):
            raise ArgumentError(
                f"{cls.__name__}.{name} is a {type(declared).__name__}; it must be a method."
            )
    if "file_suffixes" in vars(cls):
        _check_suffixes(f"{cls.__name__}.file_suffixes", vars(cls)["file_suffixes"])


def _check_arguments(what: str, declared: Any) -> None:
    if not isinstance(declared, type) or not attrs.has(declared):
        raise ArgumentError(
            f"{what} is {shown(declared)}; it must be a class with the decorator "
            f"@attrs.frozen(kw_only=True) and fields such as {_EXAMPLE}."
        )
    for each in attrs.fields(declared):
        if not {"schema", "description"} <= set(each.metadata):
            raise ArgumentError(
                f"The field '{each.name}' of {what} is not declared with argument(); write it as "
                f"{_EXAMPLE}."
            )
        if each.type is None:
            raise ArgumentError(
                f"The field '{each.name}' of {what} has no type; write it as {_EXAMPLE}."
            )


def _check_suffixes(what: str, suffixes: Any) -> None:
    """Raise unless suffixes are a tuple of endings that names in lower case can have."""
    is_listed = isinstance(suffixes, (tuple, list)) and all(isinstance(e, str) for e in suffixes)
    if not is_listed or any(not each or each != each.lower() for each in suffixes):
        raise ArgumentError(
            f"{what} is {shown(suffixes)}; it must be a tuple of endings in lower case, such as "
            "('.raw',), which stand for those in upper case, too."
        )
