"""Base class of all interfaces: source arguments, options and metadata."""

from __future__ import annotations

import copy
import importlib
import inspect
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from nwb_ophys.errors import (
    ArgumentError,
    MetadataError,
    OptionError,
    SourceArgumentError,
    shown,
)
from nwb_ophys.extractors.labels import keep_paths
from nwb_ophys.extractors.ranges import check_rate
from nwb_ophys.html_tables import html_table
from nwb_ophys.interfaces.arguments import (
    arguments_schema,
    arguments_signature,
    as_paths,
    bind_positional,
    check_paths,
    parse_arguments,
    path_argument,
    paths_in,
    with_absolute_paths,
    with_common_arguments,
)
from nwb_ophys.interfaces.closing import Closeable
from nwb_ophys.interfaces.conversion import Convertible, Prepared, join_file
from nwb_ophys.interfaces.declarations import check_declarations
from nwb_ophys.interfaces.detectable import Detectable
from nwb_ophys.interfaces.made_from import MadeFrom, paths_of
from nwb_ophys.interfaces.reopenable import Reopenable
from nwb_ophys.interfaces.streams import Part, part_name, streams_of
from nwb_ophys.interfaces.summary import facts_of
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.listings import listed_once
from nwb_ophys.metadata import (
    DeepDict,
    FullMetadata,
    check_metadata,
    fill_metadata,
    has_dictionary_form,
    start_reported,
    to_lists,
    unowned,
    without_impossible,
)
from nwb_ophys.metadata.neuroconv_keys import with_closed_keys
from nwb_ophys.outside import (
    Reach,
    reading_from,
    reading_within_reach,
)
from nwb_ophys.timing import require_rate

if TYPE_CHECKING:
    from pynwb import NWBFile

# Methods that may open files of the recording again.
_READING = {"describe", "made_from"}


@attrs.frozen(kw_only=True)
class NoArguments:
    """Arguments of an interface without arguments."""


class _Signature:
    """Signature of a class, made when help() or an editor asks for the arguments."""

    def __get__(self, _: Any, cls: type[BaseOphysInterface]) -> inspect.Signature:
        if cls.Source is NoArguments:
            raise AttributeError("__signature__")
        return arguments_signature(with_common_arguments(cls.Source))


class BaseOphysInterface(Detectable, Reopenable, Closeable, Convertible):
    """Base class of all interfaces: one extractor and its metadata, convertible to NWB.

    A format subclasses :class:`ImagingInterface` or :class:`SegmentationInterface`, declares its
    source arguments in ``Source`` and opens the extractor in :meth:`open`.

    Parameters
    ----------
    *args, **source
        Source arguments, as declared in ``Source``.

    Attributes
    ----------
    source : attrs instance
        The checked arguments.
    extractor : roiextractors.ImagingExtractor or roiextractors.SegmentationExtractor
        Reads the data.

    Raises
    ------
    SourceArgumentError
        For an unknown, missing or ill-typed argument.
    SourceError
        When the source cannot be read.
    """

    __signature__ = _Signature()

    Source: ClassVar[type] = NoArguments
    """attrs class of the source arguments, declared with :func:`argument`."""

    Options: ClassVar[type] = NoArguments
    """attrs class of the conversion options."""

    default_options: Mapping[str, Any] = {}
    """Values of conversion options that the caller leaves out."""

    stream_options: ClassVar[Mapping[str, Any]] = {}
    """JSON schemas of arguments of :meth:`streams` that choose streams, by their names."""

    has_volumes: ClassVar[bool] = False
    """Whether :meth:`streams` takes ``as_volume``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.partition(".")[0] != "nwb_ophys":
            check_declarations(cls)
        for name in _READING & cls.__dict__.keys():
            setattr(cls, name, reading_within_reach(cls.__dict__[name]))

    _reach: Reach | None = None

    def __init__(self, *args: Any, **source: Any) -> None:
        name = type(self).__name__
        cls = with_common_arguments(type(self).Source)
        source = bind_positional(cls, args, source, name)
        parsed: Any = parse_arguments(cls, source, name, SourceArgumentError)
        if self.needs_rate and parsed.sampling_frequency is None:
            schema = arguments_schema(cls, name)["properties"]["sampling_frequency"]
            needs = f"{name} needs the argument 'sampling_frequency': {schema['description']}"
            require_rate(SourceArgumentError(needs))
        if (rate := getattr(parsed, "sampling_frequency", None)) is not None:
            check_rate(rate)
        fields = [each.name for each in attrs.fields(type(self).Source)]
        arguments = {each: with_absolute_paths(getattr(parsed, each)) for each in fields}
        self.source: Any = type(self).Source(**arguments)
        self.allow_outside = with_absolute_paths(as_paths(parsed.allow_outside))
        self.open_source([path for each in fields for path in paths_in(getattr(parsed, each))])

    def open_source(self, given: Iterable[Path]) -> None:
        """Open the extractor of :attr:`source`.

        Parameters
        ----------
        given : iterable of pathlib.Path
            Paths of the arguments, as the user gave them.
        """
        with (
            listed_once(),
            reading_from(given, self.allow_outside) as self._reach,
            witnessed() as witness,
        ):
            check_paths(paths_of(self), reads_ranges=self.reads_ranges)
            self.extractor: Any = self.open(self.source)
        keep_paths(self.extractor, paths_of(self))
        self.witness = witness
        self._as_opened = self.extractor

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, facts_of(self))

    def preview(self) -> Any:
        """Return pictures of what is read, for a notebook; see :func:`nwb_ophys.preview`."""
        # The pictures lie above the interfaces; the public name is found when it is asked for.
        return importlib.import_module("nwb_ophys").preview(self)

    # --- what a format states -------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata that the files state, and nothing else.

        The metadata has the shape of :meth:`get_metadata`, with only the keys that the files state.
        It is merged into the defaults, lists entry by entry. None counts as not stated.
        """
        return {}

    def possible_facts(self) -> Mapping[str, Any]:
        """Return :meth:`describe` without numbers that no instrument has, which a warning names."""
        paths, stated = paths_of(self), self.describe()
        if not isinstance(stated, Mapping):
            raise MetadataError(
                f"describe() of {type(self).__name__} returned a {type(stated).__name__}; it must "
                "return a dictionary, which is empty if the files state nothing."
            )
        for key, value in stated.items():
            if value is not None and not isinstance(value, Mapping):
                raise MetadataError(
                    f"describe() of {type(self).__name__} returned {key!r}: {shown(value)}; its "
                    "value must be a dictionary."
                )
        name = str(paths[0]) if paths else type(self).__name__
        return without_impossible(stated, name)

    def part(self) -> str:
        """Return the part of its recording that this is, such as ``Channel 1``, for names.

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
        if not hasattr(self.extractor, "channel_name"):
            raise ArgumentError(
                f"channel_names() of {type(self).__name__} states several channels, but its "
                f"{type(self.extractor).__name__} has no attribute channel_name; set it to the "
                "name of the channel that is read, or override channel_name()."
            )
        return str(self.extractor.channel_name)

    def position_name(self) -> str:
        """Return the name of the position or region, or empty where there is only one."""
        return ""

    def made_from(self) -> MadeFrom | None:
        """Return what the files state of the movie that they were made from.

        None, the default of movies, for a recording.
        """
        return None

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
        given = [*as_paths(path), *(one for each in source.values() for one in paths_in(each))]
        with listed_once(), reading_from(given, as_paths(source.get("allow_outside"))):
            return streams_of(cls.parts(path, **source), source, as_volume)

    @classmethod
    def class_of(cls, arguments: Mapping[str, Any]) -> type:
        """Return the interface class of a stream that :meth:`streams` returned.

        By default this class. A recording may also hold what is no movie, such as line scans, which
        other classes write.

        Parameters
        ----------
        arguments : Mapping
            Source arguments of the stream.
        """
        return cls

    # --- schemas and metadata -------------------------------------------------------------------

    @classmethod
    def get_source_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of the source arguments."""
        common = with_common_arguments(cls.Source)
        return arguments_schema(common, f"Source arguments of {cls.__name__}")

    def get_conversion_options_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the conversion options."""
        title = f"Conversion options of {type(self).__name__}"
        return arguments_schema(type(self).Options, title)

    @abstractmethod
    def get_metadata(self, **options: Any) -> DeepDict:
        """Return the metadata that the files state, with defaults for the rest; edit it freely.

        Parameters
        ----------
        **options
            Conversion options, of which some change the metadata, such as ``photon_series_type``.
        """

    def for_options(self, metadata: Any, options: Mapping[str, Any]) -> Any:
        """Return metadata that was made without conversion options, adapted to them."""
        return metadata

    @abstractmethod
    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""

    def validate_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Check metadata, filled from :meth:`get_metadata` where keys are missing.

        Raises
        ------
        MetadataError
            With the path of each wrong key.
        """
        self._check(self.full_metadata(metadata))

    def _check(self, full: Mapping[str, Any], *, joins_file: bool = False) -> None:
        schema = with_closed_keys(self.get_metadata_schema())
        check_metadata(full, schema, joins_file=joins_file)

    def full_metadata(
        self, metadata: Mapping[str, Any] | None, options: Mapping[str, Any] | None = None
    ) -> FullMetadata:
        """Return the user's metadata, filled from :meth:`get_metadata`; the user's values win.

        Metadata that :meth:`prepare` has filled already for this interface is returned as it is.

        Parameters
        ----------
        metadata : Mapping or None
        options : Mapping, optional
            Conversion options, of which some change the metadata.

        Raises
        ------
        MetadataError
            When the metadata is not a dictionary.
        """
        if isinstance(metadata, FullMetadata) and metadata.owner is self:
            return metadata
        stated = stated_metadata(self, options)
        given = self.for_options(to_lists(metadata, stated), options or {})
        return fill_metadata(stated, given, self)

    def joined_metadata(
        self,
        nwbfile: NWBFile,
        metadata: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None = None,
    ) -> FullMetadata:
        """Return :meth:`full_metadata` with names that fit the devices and planes of a file.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping or None
        options : Mapping, optional
            Conversion options, of which some change the metadata.

        Raises
        ------
        MetadataError
            When the user gave a device or plane the name of another one in the file.
        """
        given = among_others(self, metadata, options or {})
        return join_file(filled_with_options(self, given, options or {}), nwbfile)

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

    def prepare(
        self,
        metadata: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        joins_file: bool = False,
    ) -> Prepared:
        """Gather and check the metadata and the options of a conversion.

        See :meth:`nwb_ophys.interfaces.conversion.Convertible.prepare`.
        """
        # A converter may have shifted the times to the start of a session with other streams.
        self.shift_to_session_start(0.0)
        given = dict(options or {})
        self.parse_options(given)
        full = filled_with_options(self, unowned(metadata), given)
        if joins_file:  # the file may have devices and planes that the metadata lacks
            self._check(full, joins_file=True)
        else:
            with start_reported(full):
                self.validate_metadata(full)
        return Prepared(source=self, metadata=full, options=given)

    def add_prepared(self, nwbfile: NWBFile, prepared: Prepared) -> None:
        """Add what :meth:`add_to_nwbfile` adds, from a prepared conversion."""
        self.count_from_start_of(nwbfile)
        self.add_to_nwbfile(nwbfile, prepared.metadata, **prepared.options)

    def with_extractor(self, extractor: Any) -> Any:
        """Return a copy of this interface with another extractor, such as a part of its own."""
        other = copy.copy(self)
        other.extractor = extractor
        return other


def check_extractor(interface: Any, method: str, kind: str, of_arrays: str) -> None:
    """Raise unless the extractor of an interface has a method.

    Parameters
    ----------
    interface : BaseOphysInterface
    method : str
    kind : str
        Class of roiextractors that has it, for the message.
    of_arrays : str
        Class of ours that makes one of arrays.

    Raises
    ------
    ArgumentError
        With what :meth:`BaseOphysInterface.open` returned.
    """
    found = interface.extractor
    if not hasattr(found, method):
        what = "nothing (None)" if found is None else f"a {type(found).__name__}"
        raise ArgumentError(
            f"open() of {type(interface).__name__} returned {what}; it must return an {kind} of "
            f"roiextractors, or, for arrays, nwb_ophys.extractors.arrays.{of_arrays}."
        )


def stated_metadata(interface: Any, options: Mapping[str, Any] | None) -> Any:
    """Return the metadata of an interface with its conversion options.

    Interfaces of other packages, and subclasses of theirs, may take no options.

    Parameters
    ----------
    interface : object
        Any object with ``get_metadata``.
    options : Mapping or None
    """
    given = dict(options or {})
    if given and takes_options_by_stream(interface.get_metadata):
        return interface.get_metadata(conversion_options=given)
    takes_options = given and any(
        each.kind is inspect.Parameter.VAR_KEYWORD
        for each in inspect.signature(interface.get_metadata).parameters.values()
    )
    if takes_options and isinstance(interface, BaseOphysInterface):
        return _as_metadata(interface, interface.get_metadata(**given))
    stated = _as_metadata(interface, interface.get_metadata())
    return interface.for_options(stated, given) if hasattr(interface, "for_options") else stated


def _as_metadata(interface: Any, stated: Any) -> Any:
    if not isinstance(stated, Mapping):
        raise MetadataError(
            f"get_metadata() of {type(interface).__name__} returned {shown(stated)}; it must "
            "return a dictionary, such as that of super().get_metadata() with changes."
        )
    return stated


def takes_options_by_stream(method: Any) -> bool:
    """Return whether a method is that of a converter, with the options of all streams in one.

    Parameters
    ----------
    method : callable
        ``add_to_nwbfile`` or ``get_metadata`` of a stream, of any package.
    """
    parameter = inspect.signature(method).parameters.get("conversion_options")
    return parameter is not None and parameter.kind is not inspect.Parameter.VAR_KEYWORD


def among_others(interface: BaseOphysInterface, metadata: Any, options: Mapping[str, Any]) -> Any:
    """Return metadata that a converter of another package may have given, in the list form.

    Parameters
    ----------
    interface : BaseOphysInterface
    metadata : Mapping or None
        In the dictionary form it may have entries of other interfaces, which are left out.
    options : Mapping
        Conversion options.
    """
    if not has_dictionary_form(metadata):
        return metadata
    return to_lists(metadata, stated_metadata(interface, options), among_others=True)


def filled_with_options(
    interface: BaseOphysInterface, metadata: Any, options: Mapping[str, Any]
) -> FullMetadata:
    """Return complete metadata of an interface, whose class may override ``full_metadata``.

    Parameters
    ----------
    interface : BaseOphysInterface
    metadata : Mapping or None
    options : Mapping
        Conversion options; subclasses of other packages may not take them.
    """
    if "options" in inspect.signature(interface.full_metadata).parameters:
        return interface.full_metadata(metadata, options)
    return interface.full_metadata(metadata)
