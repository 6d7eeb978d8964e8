"""What every interface does, whatever it reads and writes."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
from pynwb import NWBFile

from nwb_ophys.errors import MetadataError, OptionError, SourceArgumentError, SourceNotFoundError
from nwb_ophys.interfaces.alignment import TimeAlignment
from nwb_ophys.interfaces.arguments import (
    arguments_schema,
    arguments_signature,
    bind_positional,
    parse_arguments,
    path_argument,
)
from nwb_ophys.interfaces.neuroconv import without_neuroconv_keys
from nwb_ophys.interfaces.streams import Part, part_name, streams_of
from nwb_ophys.metadata import DeepDict, check_links, merge_metadata, validate
from nwb_ophys.paths import PathProbe
from nwb_ophys.storage import BackendConfiguration
from nwb_ophys.writers.run import run
from nwb_ophys.writers.session import make_nwbfile, warn_of_other_session


class Detectable:
    """What detection asks of a format; by default nothing is recognised as it."""

    file_suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings, in lower case, of files that are a recording each, wherever they lie."""

    searched_in_folders: ClassVar[bool] = True
    """Whether it is looked for in the folders of a folder; else it is recognised only itself."""

    request_option: ClassVar[str] = ""
    """Option that asks for it, where it is left out of a recording that holds more."""

    request_defaults: ClassVar[Mapping[str, Any]] = {}
    """Conversion options that hold where it was asked for so."""

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return evidence, in words, that a path is of this format, else None.

        Names and headers only are read, and no optional package is imported. What another format
        of this package says of itself is not evidence: each path is of one.

        Parameters
        ----------
        path : pathlib.Path or PathProbe
            Formats of this package make it a :class:`PathProbe`, which they share; those of others
            are given a path.
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
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Whether a file that has an ending of this format's, and is of none, was to be of it.

        So that a recording that was cut off, or that lacks a file, is not passed over in a folder.
        """
        return False


@attrs.frozen(kw_only=True)
class NoArguments:
    """Arguments of an interface that takes none."""


class BaseOphysInterface(Detectable, TimeAlignment, ABC):
    """An extractor, the metadata of what it reads, and the way of both into a file.

    A format subclasses :class:`ImagingInterface` or :class:`SegmentationInterface`, states its
    arguments in ``Source`` and opens them in :meth:`open`.

    Parameters
    ----------
    *args, **source
        The arguments that ``Source`` states.

    Attributes
    ----------
    source : attrs instance
        The checked arguments.
    extractor : roiextractors.ImagingExtractor or roiextractors.SegmentationExtractor
        The data.

    Raises
    ------
    SourceArgumentError
        For an unknown, missing or ill-typed argument.
    SourceError
        When the source cannot be read.
    """

    Source: ClassVar[type] = NoArguments
    """attrs class of the source arguments, declared with :func:`argument`."""

    Options: ClassVar[type] = NoArguments
    """attrs class of the conversion options."""

    default_options: Mapping[str, Any] = {}
    """Conversion options that hold where they are not given."""

    has_volumes: ClassVar[bool] = False
    """Whether :meth:`streams` takes ``as_volume``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "Source" in cls.__dict__:
            # So that help() and editors show the arguments.
            cls.__signature__ = arguments_signature(cls.Source)  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **source: Any) -> None:
        name = type(self).__name__
        source = bind_positional(type(self).Source, args, source, name)
        self.source: Any = parse_arguments(type(self).Source, source, name, SourceArgumentError)
        self._check_paths()
        self.extractor: Any = self.open(self.source)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    def _check_paths(self) -> None:
        name = path_argument(type(self).Source)
        paths = getattr(self.source, name) if name else None
        for path in paths if isinstance(paths, list) else [paths]:
            if isinstance(path, Path) and not path.exists():
                raise SourceNotFoundError(f"'{path}' does not exist; check the path.")

    # --- what a format states -------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata that the files themselves state; nothing invented.

        In the shape of :meth:`get_metadata`, with only the keys that are stated: they are filled
        into the defaults, entry by entry in lists. None counts as not stated.
        """
        return {}

    def part(self) -> str:
        """Return which part of its recording this is, such as ``Channel 1``, for the names.

        Made of :meth:`position_name`, of :meth:`channel_name` where there are several channels,
        and with ``has_volumes`` of the plane where one was chosen. Empty where the recording has
        one part only.
        """
        channel = self.channel_name() if len(self.channel_names()) > 1 else ""
        plane = getattr(self.source, "plane_index", None) if self.has_volumes else None
        return part_name(self.position_name(), channel, plane_index=plane)

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording; empty where they have none."""
        return ()

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return str(self.extractor.channel_name)

    def position_name(self) -> str:
        """Return the name of the position or region, or empty where there is only one."""
        return ""

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterable[Part]:
        """Return all that a path holds, part by part.

        A format states what is there; :meth:`streams` names the streams, chooses by the arguments
        that the user gave, and divides volumes into planes.

        Parameters
        ----------
        path : pathlib.Path
        **source
            Further arguments that the user gave, for formats in which one of them decides what a
            file holds, such as the order of its axes.
        """
        return [Part(arguments={path_argument(cls.Source) or "file_path": path})]

    @classmethod
    def streams(
        cls, path: Path, as_volume: bool = True, **source: Any
    ) -> dict[str, dict[str, Any]]:
        """Return all that a path holds: source arguments by the name of the stream.

        Parameters
        ----------
        path : pathlib.Path
        as_volume : bool
            With ``has_volumes``, make one stream of the planes of a volume (True), or one of each
            plane (False).
        **source
            Further arguments that the user gave, which choose among the parts.
        """
        return streams_of(cls.parts(path, **source), source, as_volume)

    # --- schemas and metadata -------------------------------------------------------------------

    @classmethod
    def get_source_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of the source arguments."""
        return arguments_schema(cls.Source, f"Source arguments of {cls.__name__}")

    def get_conversion_options_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the conversion options."""
        title = f"Conversion options of {type(self).__name__}"
        return arguments_schema(type(self).Options, title)

    @abstractmethod
    def get_metadata(self) -> DeepDict:
        """Return what will be written unless it is edited: stated by the files, else defaults."""

    @abstractmethod
    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""

    def validate_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Check metadata, with what they leave out filled from :meth:`get_metadata`.

        Raises
        ------
        MetadataError
            With the path of the first wrong key.
        """
        self._check_shape(metadata)
        check_links(self.full_metadata(metadata))

    def _check_shape(self, metadata: Mapping[str, Any] | None) -> None:
        schema = without_neuroconv_keys(self.get_metadata_schema())
        validate(self.full_metadata(metadata), schema)

    def full_metadata(self, metadata: Mapping[str, Any] | None) -> DeepDict:
        """Return the user's metadata, filled from :meth:`get_metadata`; the user's win."""
        if metadata is not None and not isinstance(metadata, Mapping):
            raise MetadataError(f"metadata is {metadata!r}; it must be a dictionary.")
        return merge_metadata(self.get_metadata(), metadata)

    def parse_options(self, options: Mapping[str, Any]) -> Any:
        """Return checked conversion options.

        Raises
        ------
        TypeError
            For an unknown or ill-typed option, naming the allowed ones.
        """
        given = {**self.default_options, **options}
        return parse_arguments(type(self).Options, given, type(self).__name__, OptionError)

    # --- conversion -----------------------------------------------------------------------------

    @abstractmethod
    def add_to_nwbfile(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None = None, **options: Any
    ) -> NWBFile:
        """Add everything to an ``NWBFile``; data are read when it is written."""

    def create_nwbfile(self, metadata: Mapping[str, Any] | None = None, **options: Any) -> NWBFile:
        """Return a new ``NWBFile`` with everything in it; data are read when it is written."""
        self.parse_options(options)
        self.validate_metadata(metadata or {})
        nwbfile = make_nwbfile(self.full_metadata(metadata))
        self.add_to_nwbfile(nwbfile, metadata, **options)
        return nwbfile

    def run_conversion(
        self,
        nwbfile_path: str | Path | None = None,
        nwbfile: NWBFile | None = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        append: bool = False,
        backend: str | None = None,
        progress: Any = True,
        configuration: BackendConfiguration | None = None,
        workers: int | None = None,
        verify: bool = False,
        **options: Any,
    ) -> Path | NWBFile:
        """Write everything to a file.

        Parameters
        ----------
        nwbfile_path : path-like, optional
            The file.
        nwbfile : pynwb.NWBFile, optional
            An object to add to, which is then written to ``nwbfile_path`` if that is given.
        metadata : Mapping, optional
            What they leave out is filled from :meth:`get_metadata`.
        overwrite, append : bool
            What may be done with an existing file: without either, it is an error.
        backend : {"hdf5", "zarr"}, optional
            Of a new file. When not given that of the configuration, zarr for a name that ends in
            ``.zarr``, or else hdf5. A file that is appended to keeps its own.
        progress : bool or callable
            Show a bar on a terminal, or call it with a ``WriteProgress`` after each block.
        configuration : BackendConfiguration, optional
            How the datasets are stored; as the data propose it when not given.
        workers : int, optional
            Threads that read, encode and store; the usable cores when not given, 0 for none.
        verify : bool
            Whether what was written in chunks is read again and compared.
        **options
            Conversion options.

        Returns
        -------
        pathlib.Path or pynwb.NWBFile
            The file written, or the object when there is no path.
        """
        self.parse_options(options)
        # Of a file that is there, devices and planes may be linked to that only it knows.
        check = self._check_shape if append or nwbfile is not None else self.validate_metadata
        check(metadata or {})
        return run(
            lambda: make_nwbfile(self.full_metadata(metadata)),
            lambda target: self._join(target, metadata, options),
            nwbfile_path=nwbfile_path,
            nwbfile=nwbfile,
            overwrite=overwrite,
            append=append,
            backend=backend,
            progress=progress,
            configuration=configuration,
            workers=workers,
            verify=verify,
        )

    def _join(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> None:
        warn_of_other_session(nwbfile, self.full_metadata(metadata))
        self.add_to_nwbfile(nwbfile, metadata, **options)

    def with_extractor(self, extractor: Any) -> Any:
        """Return this interface over another extractor, such as a part of its own."""
        other = copy.copy(self)
        other.extractor = extractor
        return other
