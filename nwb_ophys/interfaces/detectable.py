"""Base class of formats that are detected: what a path holds, and which files belong together."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nwb_ophys.interfaces.door import guard
from nwb_ophys.interfaces.grouping import FileGroup, Grouping
from nwb_ophys.paths import PathProbe

# Attributes of version 0.1 that formats of other packages may still define.
_FORMER_NAMES = {
    "is_found_in_folders": "searched_in_folders",
    "on_request": "request_option",
    "options_on_request": "request_defaults",
    "follow_session": "shift_to_session_start",
}


class Detectable:
    """Base class of formats that are detected; by default no path matches."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        guard(cls)
        for former in _FORMER_NAMES.keys() & cls.__dict__.keys():
            present = _FORMER_NAMES[former]
            warnings.warn(
                f"{cls.__name__}.{former} is now called {present}; rename it.",
                DeprecationWarning,
                stacklevel=2,
            )
            if present not in cls.__dict__:
                setattr(cls, present, cls.__dict__[former])

    file_suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes, in lower case, of files that each hold a recording, wherever they lie."""

    searched_in_folders: ClassVar[bool] = True
    """Whether detection looks for the format inside folders, or only at the path itself."""

    request_option: ClassVar[str] = ""
    """Name of the option that requests the format where a recording also holds others."""

    request_defaults: ClassVar[Mapping[str, Any]] = {}
    """Conversion options that apply when the format was requested with that option."""

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence that a path has this format, as text, or None.

        Only names and headers are read, and no optional package is imported. A file that another
        format of this package claims is no evidence: each path has one format.

        Parameters
        ----------
        path : pathlib.Path or PathProbe
            Formats of this package share one :class:`PathProbe`; formats of other packages get a
            path.
        """
        return None

    owned_beside: ClassVar[tuple[str, ...]] = ()
    """Endings of files that must lie beside the TIFF files that :meth:`owns` recognises.

    Without such a file the images are plain TIFF or OME-TIFF files.
    """

    @classmethod
    def owns(cls, heading: Any) -> bool:
        """Return whether a TIFF file was written by the program of this format.

        Formats of plain TIFF and OME-TIFF files match only files that no format of this package
        owns.

        Parameters
        ----------
        heading : TiffHeading
            Tags and texts of the first page.
        """
        return False

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the path of the recording that a file or folder belongs to, or None.

        A user may give any file of a recording. By default a path is its own recording.

        Parameters
        ----------
        probe : PathProbe
        """
        return None

    reads_ranges: ClassVar[bool] = False
    """Whether files are read in object stores, by ranges of their bytes."""

    is_generic: ClassVar[bool] = False
    """Whether any program may write such files: in a folder, the movie of a program goes first."""

    needs_rate: ClassVar[bool] = False
    """Whether ``sampling_frequency`` must be given, unless the times of all samples are."""

    movies_need: ClassVar[tuple[str, ...]] = ()
    """Arguments that movies of this format need, and images do not."""

    @classmethod
    def needs(cls, path: Path | list[Path]) -> Sequence[str]:
        """Return the arguments that a movie needs, as its files do not state them.

        Parameters
        ----------
        path : pathlib.Path or list of pathlib.Path
            The path argument of a recording of this format.
        """
        return cls.movies_need

    joins_subfolders: ClassVar[bool] = False
    """Whether a folder of this format holds the recordings of its subfolders, too."""

    joined_by_names: ClassVar[bool] = False
    """Whether :meth:`group` joins files by their names, so that the user may choose others."""

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the recordings that a path of this format holds, and the files left out.

        By default the path is one recording. Formats of several files tell the recordings of a
        folder apart, and find the other files of a recording when one of them is given.

        Parameters
        ----------
        probe : PathProbe
            A path that the format recognises, or that the user opens as this format.
        movie_names : collection of str
            Names of the files that analyses of the recording have read, in order.

        Raises
        ------
        SourceError
            If it is not clear which files make one recording; the message lists them.
        """
        return Grouping(groups=(FileGroup(path=probe.path, files=(probe.path,)),))

    @classmethod
    def is_stray(cls, group: FileGroup) -> bool:
        """Return whether a recording is left out where others of its folder are converted.

        Parameters
        ----------
        group : FileGroup
        """
        return False

    @classmethod
    def movie_files(cls, path: Path) -> Sequence[str]:
        """Return names of the files that an analysis states to have read; empty if unknown.

        They decide which files of a folder are the movie where names and headers do not.

        Parameters
        ----------
        path : pathlib.Path
            A path of this format.
        """
        return ()

    @classmethod
    def stated_beside(cls, path: Path, others: Sequence[Path] = ()) -> Mapping[str, Any]:
        """Return source arguments that files beside a recording, or given with it, state.

        The user's arguments replace them.

        Parameters
        ----------
        path : pathlib.Path
            A path of this format.
        others : sequence of pathlib.Path
            The other recordings and analyses that are opened with it.
        """
        return {}

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a file that no format recognises is a damaged file of this format.

        Detection reports such files, so that a truncated recording in a folder is not overlooked.
        """
        return False

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return why a path that looks like one of this format cannot be read, or None.

        The error for a path that no format recognises quotes it. Only names and headers are read.

        Parameters
        ----------
        probe : PathProbe
            File or folder that :meth:`matches` does not recognise.

        Returns
        -------
        str or None
            One or two sentences: path, reason and next step.
        """
        return None
