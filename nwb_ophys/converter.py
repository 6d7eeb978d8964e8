"""Write several streams, such as a movie and the ROIs found in it, to one file."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nwb_ophys.errors import OptionError, SourceArgumentError
from nwb_ophys.html_tables import html_table
from nwb_ophys.interfaces.base import (
    BaseOphysInterface,
    stated_metadata,
    takes_options_by_stream,
)
from nwb_ophys.interfaces.closing import close_all
from nwb_ophys.interfaces.conversion import Convertible, Prepared, all_options, join_file
from nwb_ophys.interfaces.relations import Comparison, Relations
from nwb_ophys.interfaces.summary import contents_of
from nwb_ophys.interfaces.trials import TrialsInterface
from nwb_ophys.metadata import (
    JSON_SCHEMA_DIALECT,
    Composition,
    DeepDict,
    FullMetadata,
    adapt_lists,
    check_metadata,
    compose_metadata,
    faults_of_kinds,
    fill_metadata,
    fits,
    merge_metadata,
    session_schemas,
    start_reported,
    to_lists,
    unowned,
    without_dictionaries,
)
from nwb_ophys.metadata.neuroconv_keys import (
    with_closed_keys,
    with_neuroconv_keys,
    without_neuroconv_keys,
)
from nwb_ophys.metadata.plane_links import link_background

if TYPE_CHECKING:
    from pynwb import NWBFile


class OphysConverter(Convertible):
    """Converter of several streams, each an interface with a name, to one file.

    Streams that describe the same device or imaging plane share it. Other objects of the same name
    are kept apart: the names of the streams become part of their names.

    Parameters
    ----------
    interfaces : mapping of str to interface, optional
        Interfaces of this package, or any objects with ``get_metadata()`` and
        ``add_to_nwbfile(nwbfile, metadata, **options)``, such as those of neuroconv.
    **sources
        Source arguments of each stream, for a subclass with the class attribute ``streams``.

    Examples
    --------
    >>> class Rig(OphysConverter):
    ...     streams = {"movie": ScanImageImagingInterface, "rois": Suite2pSegmentationInterface}
    >>> Rig(movie={"file_path": "a.tif"}, rois={"folder_path": "suite2p"})
    """

    streams: ClassVar[Mapping[str, type]] = {}
    """Interface classes by the name of the stream, stated by subclasses."""

    _delay: float = 0.0
    """Seconds from the start of the session of an outer converter to that of these streams."""

    def __init__(
        self, interfaces: Mapping[str, Any] | None = None, **sources: Mapping[str, Any]
    ) -> None:
        if interfaces is not None and not isinstance(interfaces, Mapping):
            raise SourceArgumentError(
                f"{type(self).__name__} takes a dictionary of interfaces by the name of the "
                f"stream, such as {{'movie': interface}}, not a {type(interfaces).__name__}."
            )
        self.interfaces: dict[str, Any] = dict(interfaces or {})
        for name, source in sources.items():
            if name not in self.streams:
                known = ", ".join(self.streams) or "none; state them in the class attribute streams"
                raise SourceArgumentError(
                    f"{type(self).__name__} has no stream '{name}'; its streams: {known}."
                )
            self.interfaces[name] = self.streams[name](**source)
        if not self.interfaces:
            known = f": {', '.join(self.streams)}" if self.streams else " by name"
            raise SourceArgumentError(f"{type(self).__name__} needs at least one stream{known}.")
        for name, interface in self.interfaces.items():
            for method in ("get_metadata", "add_to_nwbfile"):
                if not callable(getattr(interface, method, None)):
                    raise SourceArgumentError(
                        f"Stream '{name}' is a {type(interface).__name__}, which has no "
                        f"{method}(); give an interface."
                    )

    def __repr__(self) -> str:
        streams = ", ".join(f"'{k}': {type(v).__name__}" for k, v in self.interfaces.items())
        return f"{type(self).__name__}({{{streams}}})"

    def preview(self) -> Any:
        """Return pictures of what is read, for a notebook; see :func:`nwb_ophys.preview`."""
        # The pictures lie above the converters; the public name is found when it is asked for.
        return importlib.import_module("nwb_ophys").preview(self)

    def _repr_html_(self) -> str:
        rows = [
            (name, type(each).__name__, contents_of(each)) for name, each in self.interfaces.items()
        ]
        return html_table(type(self).__name__, rows, ("stream", "interface", "contents"))

    def close(self) -> None:
        """Close the files of all streams; reading from them afterwards raises SourceError.

        Leaving a ``with`` block closes them too. Streams of other packages without ``close()``
        are left as they are.
        """
        close_all(self.interfaces.values())

    def __enter__(self) -> OphysConverter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_trials(self, file_path: str | Path, **source: Any) -> TrialsInterface:
        """Add a stream ``trials``: a table with a line per trial.

        Parameters
        ----------
        file_path : path-like
            A .csv or .tsv file with the columns ``start_time`` and ``stop_time``, in seconds from
            the start of the session, and any others.
        **source
            Further arguments of :class:`~nwb_ophys.interfaces.trials.TrialsInterface`, such as
            ``start="onset"`` and ``unit="ms"``.

        Raises
        ------
        SourceArgumentError
            If there is a stream of this name already.
        SourceError
            If the table cannot be read.
        """
        if "trials" in self.interfaces:
            raise SourceArgumentError("There is a stream 'trials' already; add trials once.")
        trials = TrialsInterface(file_path=file_path, **source)
        self.interfaces["trials"] = trials
        return trials

    def stated_streams(self) -> Mapping[str, Any]:
        """Return the interfaces by the name of the stream."""
        return self.interfaces

    # --- schemas and metadata -------------------------------------------------------------------

    @classmethod
    def get_source_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of the source arguments, by stream."""
        properties = {
            name: stream.get_source_schema()
            for name, stream in cls.streams.items()
            if hasattr(stream, "get_source_schema")
        }
        return _object_schema(f"Source arguments of {cls.__name__}", properties)

    def get_conversion_options_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the conversion options, by stream."""
        properties = {
            name: interface.get_conversion_options_schema()
            for name, interface in self.interfaces.items()
            if hasattr(interface, "get_conversion_options_schema")
        }
        return _object_schema(f"Conversion options of {type(self).__name__}", properties)

    def get_metadata(
        self, conversion_options: Mapping[str, Mapping[str, Any]] | None = None
    ) -> DeepDict:
        """Return the metadata of all streams in one; edit it to change what is written.

        Parameters
        ----------
        conversion_options : Mapping, optional
            Options of each stream, of which some change the metadata, such as
            ``photon_series_type``.
        """
        return self._compose(self._checked_options(conversion_options)).metadata

    def complete_metadata(
        self,
        metadata: Mapping[str, Any] | None = None,
        conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> DeepDict:
        """Return the user's metadata, filled with that of all streams, to be edited.

        Parameters
        ----------
        metadata : Mapping, optional
            The user's values win. Metadata that was made without the options is adapted to them.
        conversion_options : Mapping, optional
            Options of each stream.
        """
        options = self._checked_options(conversion_options)
        return self._full_metadata(unowned(metadata), options).copy()

    def _compose(self, options: Mapping[str, Mapping[str, Any]]) -> Composition:
        stated = {
            name: stated_metadata(interface, options.get(name))
            for name, interface in self.interfaces.items()
        }
        return compose_metadata(stated, Relations.of(self.interfaces).planes(stated))

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata of all streams."""
        foreign = [i for i in self.interfaces.values() if not isinstance(i, BaseOphysInterface)]
        keys = {key for interface in foreign for key in interface.get_metadata()}
        return with_neuroconv_keys(self._schema(keys))

    def _schema(self, foreign_keys: Iterable[str]) -> dict[str, Any]:
        """Return the schema of our streams, in which the keys of other streams may be anything."""
        schema: dict[str, Any] = {}
        for interface in self.interfaces.values():
            if isinstance(interface, BaseOphysInterface):
                own = without_neuroconv_keys(interface.get_metadata_schema())
                schema = merge_metadata(schema, own).to_dict()
        properties = schema.setdefault("properties", {})
        # Interfaces of other packages may state no schema of the session and the subject.
        properties |= {key: own for key, own in session_schemas().items() if key not in properties}
        foreign = [i for i in self.interfaces.values() if not isinstance(i, BaseOphysInterface)]
        if foreign:
            # Another package checks the metadata of its own streams.
            keys = {*foreign_keys, *(key for one in foreign for key in _schema_keys(one))}
            properties |= {key: {} for key in keys if key not in properties}
            properties.setdefault("Ophys", {}).pop("additionalProperties", None)
        base = {"$schema": JSON_SCHEMA_DIALECT, "type": "object", "additionalProperties": False}
        return base | schema

    def validate_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Check metadata, filled from :meth:`get_metadata` where keys are missing.

        Raises
        ------
        MetadataError
            With the path of each wrong key.
        """
        self._check(self._full_metadata(metadata))

    def _check(self, full: FullMetadata, *, joins_file: bool = False) -> None:
        if type(self).get_metadata_schema is OphysConverter.get_metadata_schema:
            schema = self._schema(full.composition.metadata)  # asks no stream a second time
        else:
            schema = self.get_metadata_schema()
        also = faults_of_kinds(full, full.composition)
        check_metadata(full, with_closed_keys(schema), also=also, joins_file=joins_file)

    def _full_metadata(
        self,
        metadata: Mapping[str, Any] | None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        among_others: bool = False,
    ) -> FullMetadata:
        """Return the user's metadata, filled with that of all streams, each asked once."""
        if isinstance(metadata, FullMetadata) and metadata.owner is self:
            return metadata
        composition = self._compose(options or {})
        is_own = type(self).get_metadata is OphysConverter.get_metadata
        stated = composition.metadata if is_own else self.get_metadata()
        metadata = to_lists(metadata, stated, among_others=among_others)
        if isinstance(metadata, Mapping):
            metadata = self._fitted(metadata, options or {}, composition)
        full = fill_metadata(stated, metadata, self)
        full.composition = composition
        return full

    def for_options(
        self, metadata: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Return metadata that was made without conversion options, adapted to them.

        Parameters
        ----------
        metadata : Mapping
            Not changed.
        options : Mapping
            Conversion options of each stream.
        """
        return self._fitted(metadata, options, self._compose(options)) if options else metadata

    def _fitted(
        self,
        metadata: Mapping[str, Any],
        options: Mapping[str, Mapping[str, Any]],
        composition: Composition,
    ) -> Mapping[str, Any]:
        """Return metadata whose lists fit those that the streams have with their options."""
        if not options or fits(metadata, composition):
            return metadata
        adapters = {
            name: functools.partial(_adapted, interface, options.get(name, {}))
            for name, interface in self.interfaces.items()
        }
        return adapt_lists(metadata, self._compose({}), composition, adapters)

    # --- conversion -----------------------------------------------------------------------------

    def prepare(
        self,
        metadata: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        joins_file: bool = False,
    ) -> Prepared:
        """Gather and check the metadata and the options of all streams, each of them once.

        See :meth:`nwb_ophys.interfaces.conversion.Convertible.prepare`.
        """
        self.shift_to_session_start(0.0)
        checked = self._checked_options(options)
        full = self._full_metadata(unowned(metadata), checked)
        if joins_file:  # the file may have devices and planes that the metadata lacks
            self._check(full, joins_file=True)
        else:
            with start_reported(full):
                self.validate_metadata(full)
        return Prepared(source=self, metadata=full, options=checked)

    def temporally_align(
        self, metadata: Mapping[str, Any], conversion_options: Mapping[str, Any]
    ) -> None:
        """Bring the streams onto one clock: by the starts that they state, unless overridden.

        The times of a stream that began later than the first one are counted from the start of
        the first one. Called before anything is written. Our ``self.interfaces`` have
        ``set_aligned_timestamps``, ``set_aligned_starting_time`` and ``align_by_interpolation``.

        Parameters
        ----------
        metadata : Mapping
            All metadata that will be written.
        conversion_options : Mapping
            By stream.
        """
        for name, delay in self._full_metadata(metadata).composition.delays.items():
            interface = self.interfaces[name]
            delay += self._delay
            if isinstance(interface, (BaseOphysInterface, OphysConverter)):
                interface.shift_to_session_start(delay)
            elif delay:
                warnings.warn(
                    f"The stream '{name}' began {delay:g} s after the first one. Its times are "
                    "written as its own source counts them, because its class belongs to another "
                    "package; align them in temporally_align().",
                    UserWarning,
                    stacklevel=2,
                )

    def _forget_shifts(self) -> None:
        """Undo the shifts of an earlier conversion, in which other streams may have been."""
        for interface in self.interfaces.values():
            if isinstance(interface, (BaseOphysInterface, OphysConverter)):
                interface.shift_to_session_start(0.0)

    def count_from_start_of(self, nwbfile: NWBFile) -> None:
        """Count times of all streams that were set as dates and times from the start of a file.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        """
        for interface in self.interfaces.values():
            if isinstance(interface, (BaseOphysInterface, OphysConverter)):
                interface.count_from_start_of(nwbfile)

    def shift_to_session_start(self, delay: float) -> None:
        """Count the times of all streams from the start of the session of an outer converter.

        Parameters
        ----------
        delay : float
            Seconds from the start of the session to the earliest start of these streams. Kept for
            :meth:`temporally_align`.
        """
        self._delay = delay

    def add_to_nwbfile(
        self,
        nwbfile: NWBFile,
        metadata: Mapping[str, Any] | None = None,
        conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
        **by_stream: Mapping[str, Any],
    ) -> NWBFile:
        """Add all streams to an ``NWBFile``; data are read when it is written.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            Filled from :meth:`get_metadata` where keys are missing.
        conversion_options : Mapping, optional
            Options of each stream.
        **by_stream
            The same by the names of the streams, as converters of neuroconv give them.

        Returns
        -------
        pynwb.NWBFile
            The same.
        """
        options = self._checked_options(all_options(conversion_options, by_stream))
        full = join_file(self._full_metadata(metadata, options, among_others=True), nwbfile)
        self._forget_shifts()
        self.count_from_start_of(nwbfile)
        self.temporally_align(full, options)
        self.count_from_start_of(nwbfile)  # of dates and times that were set just now
        relations = Relations.of(self.interfaces)
        clocks = Comparison(relations, full, full.composition, options).clocks()
        for name, interface in self.interfaces.items():
            own: Any = full.composition.project(full, name, interface)
            link_background(own, full.composition.plane_of(name))
            if isinstance(interface, BaseOphysInterface):
                without_dictionaries(own)
            else:
                own = full.composition.as_stated(own, name)
            with ExitStack() as stack:
                if isinstance(interface, BaseOphysInterface) and relations.movies:
                    stack.enter_context(interface.compared(clocks.get(name)))
                given = _as_arguments(interface, options.get(name, {}))
                interface.add_to_nwbfile(nwbfile, own, **given)
        return nwbfile

    def add_prepared(self, nwbfile: NWBFile, prepared: Prepared) -> None:
        """Add what :meth:`add_to_nwbfile` adds, from a prepared conversion."""
        self.add_to_nwbfile(nwbfile, prepared.metadata, prepared.options)

    def _checked_options(
        self, conversion_options: Mapping[str, Mapping[str, Any]] | None
    ) -> dict[str, Mapping[str, Any]]:
        options = {
            name: {} if own is None else own
            for name, own in all_options(conversion_options, {}).items()
        }
        for name, given in options.items():
            if name not in self.interfaces:
                raise OptionError(
                    f"conversion_options has '{name}', but there is no such stream; streams: "
                    f"{', '.join(self.interfaces)}."
                )
            interface = self.interfaces[name]
            if not isinstance(given, Mapping):
                raise OptionError(
                    f"conversion_options['{name}'] is {given!r}; it must be a dictionary of the "
                    f"options of the stream '{name}'."
                )
            if isinstance(interface, OphysConverter):
                interface._checked_options(given)
            elif isinstance(interface, BaseOphysInterface):
                interface.parse_options(given)
        return options


def _as_arguments(interface: Any, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return conversion options as the arguments of ``add_to_nwbfile`` of a stream.

    A converter within this one takes those of its own streams in one argument.
    """
    is_converter = takes_options_by_stream(interface.add_to_nwbfile)
    return {"conversion_options": options} if is_converter else options


def _schema_keys(interface: Any) -> Iterable[str]:
    """Return the keys of the metadata that another package's interface knows by its schema."""
    if not hasattr(interface, "get_metadata_schema"):
        return ()
    return (interface.get_metadata_schema() or {}).get("properties") or ()


def _adapted(interface: Any, options: Mapping[str, Any], metadata: DeepDict) -> Any:
    adapt = getattr(interface, "for_options", None)
    return metadata if adapt is None else adapt(metadata, options)


def _object_schema(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
