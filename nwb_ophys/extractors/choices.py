"""Choose one of several channels or regions by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nwb_ophys.errors import SourceArgumentError


def index_of_name(
    argument: str, given: str | None, names: Sequence[str], path: Path, noun: str = "channels"
) -> int:
    """Return the index of a name, which need not be given where there is only one.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    given : str or None
        Its value.
    names : sequence of str
        Names that may be given.
    path : pathlib.Path
        File or folder that has them.
    noun : str
        Plural of the things that have the names.

    Raises
    ------
    SourceArgumentError
        If no name is given and there are several, or if the name is not one of them.
    """
    if given is None and len(names) == 1:
        return 0
    if given is not None and given in names:
        return list(names).index(given)
    what = "is needed" if given is None else f"is {given!r}"
    listed = f"the {noun} {', '.join(names)}; give one of them" if names else f"no {noun}"
    raise SourceArgumentError(f"{argument} {what}; '{path}' has {listed}.")
