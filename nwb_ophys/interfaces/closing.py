"""Release of the files that a conversion has open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.made_from import paths_of

if TYPE_CHECKING:
    from pynwb import NWBFile


class Closeable:
    """Mixin that closes the files of ``self.extractor``, also at the end of a ``with`` block."""

    extractor: Any

    def close(self) -> None:
        """Close the files; reading from the interface afterwards raises SourceError.

        Files that stay open are closed when the interface is deleted. A second call does nothing.
        """
        if not isinstance(self.extractor, ClosedExtractor):
            close_all((self.extractor, getattr(self.extractor, "parent", None)))
            self.extractor = ClosedExtractor(paths_of(self))
            vars(self).pop("_as_opened", None)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ClosedExtractor:
    """Substitute of an extractor whose files were closed; every use raises SourceError."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of Python's own protocols, such as copying
            raise AttributeError(name)
        which = f"'{self._paths[0]}'" if self._paths else "The source"
        raise SourceError(f"{which} was closed; open it again to read it.")


def close_all(opened: Iterable[Any]) -> None:
    """Close the objects that have ``close()``."""
    for one in opened:
        close = getattr(one, "close", None)
        if callable(close):
            close()


def empty(nwbfile: NWBFile) -> None:
    """Remove all contents from an ``NWBFile`` that was written and that nobody else has.

    The objects of an ``NWBFile`` refer to each other in circles, so that the files of their data
    would stay open until Python collects them.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    """
    for each in list(nwbfile.objects.values()):
        vars(each).clear()
