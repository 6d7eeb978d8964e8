"""Converters of whole recordings, one per acquisition system, for all channels and planes.

The row of a format names its converter; the converter reads all formats whose rows name it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import SourceError
from nwb_ophys.formats import builtin_rows
from nwb_ophys.opening import open_all
from nwb_ophys.registry import FormatRow, detect, get_format, likeliest


class RecordingConverter(OphysConverter):
    """Converter of everything in a recording of one acquisition system.

    Parameters
    ----------
    path : path-like
        File or folder of the recording.
    **source
        Source arguments of the formats, and for formats with planes ``as_volume``: True (the
        default) for one series per volume, False for one series per plane, each on an imaging
        plane of its own.

    Raises
    ------
    SourceError
        If the path does not match any format in `format_names`.
    """

    format_names: ClassVar[tuple[str, ...]] = ()
    """Names of the formats that the converter reads; by default those whose rows name it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        names = tuple(row.name for row in builtin_rows() if row.converter == cls.__name__)
        if names and "format_names" not in vars(cls):
            cls.format_names = names

    def __init__(self, path: str | Path, **source: Any) -> None:
        rows = self._found(path, self.format_names)
        super().__init__(open_all(rows, source, with_options=False))

    @classmethod
    def _found(cls, path: str | Path, names: tuple[str, ...]) -> list[tuple[Path, FormatRow]]:
        """Return the recordings of some formats at a path, at most one per file and kind."""
        found = likeliest(detect(path, format_names=names, every_file=True))
        if not found:
            looked_for = "; ".join(get_format(name).recognised for name in names)
            raise SourceError(
                f"'{path}' contains no recording that {cls.__name__} reads; it looks for: "
                f"{looked_for}."
            )
        return found


class MiniscopeConverter(RecordingConverter):
    """Converter of all Miniscopes of a recording, or of several recordings of one animal."""


class ScanImageConverter(RecordingConverter):
    """Converter of all channels and planes or volumes of ScanImage recordings."""


class Suite2pConverter(RecordingConverter):
    """Converter of all planes and channels of a Suite2p folder: ROIs, traces, images and movies.

    Parameters
    ----------
    path : path-like
        Folder ``suite2p``, or the folder of one plane.
    registered_movie : bool
        Also write the registered movies: each as a ``CorrectedImageStack`` with the
        shifts of its frames, in ``MotionCorrection``. The option ``original`` of such a stream
        names the series in the file that was registered.
    **source
        ``plane_name`` and ``channel_name``, to convert only some planes or channels.

    Raises
    ------
    SourceError
        If the path contains no ROIs of Suite2p, or no movie although `registered_movie` is True.
    """

    def __init__(self, path: str | Path, registered_movie: bool = False, **source: Any) -> None:
        movies = tuple(name for name in self.format_names if get_format(name).kind == "imaging")
        rois = tuple(name for name in self.format_names if name not in movies)
        rows = self._found(path, (*rois, *movies) if registered_movie else rois)
        if registered_movie and all(row.name not in movies for _, row in rows):
            self._found(path, movies)  # raises an error that says which files are missing
        asked = {"registered_movie": True} if registered_movie else {}
        OphysConverter.__init__(self, open_all(rows, source | asked, with_options=False))


class InscopixConverter(RecordingConverter):
    """Converter of all movies and cell sets in a folder of Inscopix files."""


class BrukerConverter(RecordingConverter):
    """Converter of all channels and planes or volumes of Bruker's Prairie View recordings."""


class ThorConverter(RecordingConverter):
    """Converter of all channels and planes or volumes of Thorlabs' ThorImage recordings."""
