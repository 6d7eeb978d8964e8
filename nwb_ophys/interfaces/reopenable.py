"""Pickling of interfaces: files are opened again, and everything else travels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from nwb_ophys.errors import ArgumentError
from nwb_ophys.interfaces.alignment import TimeAlignment
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.timing import extractor_times, times_follow

# The extractor has files open; the others are made when it is opened.
_MADE_BY_OPENING = ("extractor", "_as_opened", "witness", "_reach")
_TIMES = "times of the samples"

Self = TypeVar("Self", bound="Reopenable")


class Reopenable(TimeAlignment):
    """Mixin that pickles an interface with its arguments and times, but without open files.

    Unpickling opens the files again, so that they must exist there.
    """

    def open_source(self, given: Iterable[Path]) -> None:
        """Open the extractor of the checked arguments.

        Parameters
        ----------
        given : iterable of pathlib.Path
            Paths of the arguments, as the user gave them.
        """
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        if self.extractor is not getattr(self, "_as_opened", None):
            raise ArgumentError(
                f"{type(self).__name__} was closed, or has another extractor than the one that it "
                "opened, so that it cannot be pickled; another process opens the files itself."
            )
        state = {key: value for key, value in vars(self).items() if key not in _MADE_BY_OPENING}
        has_new_times = self.times_are_set or self.is_shifted
        return state | {_TIMES: extractor_times(self.extractor) if has_new_times else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        times = state.pop(_TIMES)
        vars(self).update(state)
        with times_follow():  # a rate was not needed where it was opened first
            self.open_source(paths_of(self))
        if times is not None:
            self.extractor.set_times(times)

    def __copy__(self: Self) -> Self:
        """Return an interface with the same extractor."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other
