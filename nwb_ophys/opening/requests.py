"""What is opened only where it is asked for, such as the movie that an analysis registered."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.errors import OptionError, SourceError
from nwb_ophys.opening.texts import read_text
from nwb_ophys.registry import FormatRow, formats, option_asking_for


def asked_for(
    rows: Sequence[tuple[Path, FormatRow]], given: Mapping[str, Any], *, are_named: bool
) -> tuple[list[tuple[Path, FormatRow]], dict[str, Any]]:
    """Leave out what nobody asked for, unless it is all there is, and say that it is there.

    Parameters
    ----------
    rows : sequence of (pathlib.Path, FormatRow)
    given : Mapping
        Source arguments and options by name.
    are_named : bool
        Whether the formats were given by name, which is asking for them.

    Returns
    -------
    rows : list of (pathlib.Path, FormatRow)
    given : dict
        Without the options that ask for nothing; those that do are True.

    Raises
    ------
    OptionError
        When such an option is neither true nor false.
    SourceError
        When something is asked for that is not there, or there is nothing but what is not wanted.
    """
    options = {option: row for row in formats().values() if (option := _option_of(row))}
    wishes = {name: _wish(name, value) for name, value in given.items() if name in options}
    found = {_option_of(row) for _, row in rows}
    for option, wish in wishes.items():
        if wish and option not in found:
            row = options[option]
            raise SourceError(
                f"There is nothing for {option} here; it asks for {row.name}: {row.recognised}."
            )
    default = are_named or "" not in found
    kept = [row for row in rows if _is_wanted(row[1], wishes, default)]
    if not kept:
        raise SourceError(f"'{rows[0][0]}' holds nothing but what {max(found)}=false leaves out.")
    for path, row in rows:
        if (path, row) not in kept and _option_of(row) not in wishes:
            _tell(path, row)
    others = {name: value for name, value in given.items() if name not in wishes}
    return kept, others | {name: True for name, wish in wishes.items() if wish}


def _option_of(row: FormatRow) -> str:
    # Classes of other packages are always opened: one that fails to load would fail all.
    return option_asking_for(row) if row.is_ours else ""


def _is_wanted(row: FormatRow, wishes: Mapping[str, bool], default: bool) -> bool:
    option = _option_of(row)
    return not option or wishes.get(option, default)


def _wish(name: str, value: Any) -> bool:
    wish = read_text(value, {"type": "boolean"}) if isinstance(value, str) else value
    if not isinstance(wish, bool):
        raise OptionError(f"{name} is {value!r}; it must be true or false.")
    return wish


def _tell(path: Path, row: FormatRow) -> None:
    option = _option_of(row)
    warnings.warn(
        f"'{path}' has a {option.replace('_', ' ')}, too ({row.name}), which is left out. Give "
        f"{option}=True (--option {option}=true) to have it, False to do without this note.",
        UserWarning,
        stacklevel=5,
    )
