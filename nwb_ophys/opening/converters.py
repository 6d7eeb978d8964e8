"""Whole recordings: a converter per acquisition system, of every channel and every plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import SourceError
from nwb_ophys.opening import open_all
from nwb_ophys.registry import FormatRow, detect, get_format, likeliest


class RecordingConverter(OphysConverter):
    """Everything in a recording of one system.

    Parameters
    ----------
    path : path-like
        A file or the folder of the recording.
    **source
        Source arguments of the formats, and ``as_volume`` where there are planes: whether those of
        volumes are one series (True, the default), or a series each on planes of their own (False).

    Raises
    ------
    SourceError
        When the path is of none of the system's formats.
    """

    format_names: ClassVar[tuple[str, ...]] = ()
    """Names of the formats of the system."""

    def __init__(self, path: str | Path, **source: Any) -> None:
        rows = self._found(path, self.format_names)
        super().__init__(open_all(rows, source, with_options=False))

    @classmethod
    def _found(cls, path: str | Path, names: tuple[str, ...]) -> list[tuple[Path, FormatRow]]:
        """Return where in a path there are recordings of some formats, one of a kind each."""
        found = likeliest(detect(path, format_names=names, every_file=True))
        if not found:
            looked_for = "; ".join(get_format(name).recognised for name in names)
            raise SourceError(
                f"'{path}' is no recording that {cls.__name__} reads; it looks for: {looked_for}."
            )
        return found


class MiniscopeConverter(RecordingConverter):
    """Every Miniscope of a recording, or of several recordings of one animal."""

    format_names = ("miniscope",)


class ScanImageConverter(RecordingConverter):
    """Every channel, and every plane or volume, of recordings of ScanImage."""

    format_names = ("scanimage", "scanimage-legacy")


class Suite2pConverter(RecordingConverter):
    """Every plane and channel that Suite2p wrote: ROIs, traces, images, and the movies if asked.

    Parameters
    ----------
    path : path-like
        The folder ``suite2p``, or that of one of its planes.
    registered_movie : bool
        Whether the registered movies are written, too: each as a ``CorrectedImageStack`` with the
        shifts of its frames, in ``MotionCorrection``. The option ``original`` of such a stream
        names the series in the file that was registered.
    **source
        ``plane_name`` and ``channel_name``, where not all are to be written.

    Raises
    ------
    SourceError
        When the path holds no ROIs of Suite2p's; or no movie, where that is asked for.
    """

    format_names = ("suite2p", "suite2p-movie")

    def __init__(self, path: str | Path, registered_movie: bool = False, **source: Any) -> None:
        rois, movie = self.format_names
        names = (rois, movie) if registered_movie else (rois,)
        rows = self._found(path, names)
        if registered_movie and all(row.name != movie for _, row in rows):
            self._found(path, (movie,))  # raises, saying what was looked for
        asked = {"registered_movie": True} if registered_movie else {}
        OphysConverter.__init__(self, open_all(rows, source | asked, with_options=False))


class InscopixConverter(RecordingConverter):
    """Every movie and every cell set in a folder of Inscopix's files."""

    format_names = ("inscopix", "inscopix-cells")


class BrukerConverter(RecordingConverter):
    """Every channel, and every plane or volume, of recordings of Bruker's Prairie View."""

    format_names = ("bruker",)


class ThorConverter(RecordingConverter):
    """Every channel, and every plane or volume, of recordings of Thorlabs' ThorImage."""

    format_names = ("thor",)
