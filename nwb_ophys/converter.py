"""Several streams, such as a movie and the ROIs found in it, into one file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pynwb import NWBFile

from nwb_ophys.errors import MetadataError, OptionError, SourceArgumentError
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.neuroconv import without_neuroconv_keys
from nwb_ophys.metadata import (
    JSON_SCHEMA_DIALECT,
    Composition,
    DeepDict,
    check_links,
    compose_metadata,
    merge_metadata,
    validate,
)
from nwb_ophys.storage import BackendConfiguration
from nwb_ophys.writers.run import run
from nwb_ophys.writers.session import make_nwbfile, warn_of_other_session


class OphysConverter:
    """Interfaces by name, written into one file.

    Streams that describe the same device or plane share it; whatever else collides is kept apart
    by names made from the streams' names.

    Parameters
    ----------
    interfaces : mapping of str to interface, optional
        Ours, or any object with ``get_metadata()`` and
        ``add_to_nwbfile(nwbfile, metadata, **options)``, such as neuroconv's.
    **sources
        Of a subclass that states ``streams``: for each stream its source arguments.

    Examples
    --------
    >>> class Rig(OphysConverter):
    ...     streams = {"movie": ScanImageImagingInterface, "rois": Suite2pSegmentationInterface}
    >>> Rig(movie={"file_path": "a.tif"}, rois={"folder_path": "suite2p"})
    """

    streams: ClassVar[Mapping[str, type]] = {}
    """Classes of the streams by name, for subclasses."""

    def __init__(
        self, interfaces: Mapping[str, Any] | None = None, **sources: Mapping[str, Any]
    ) -> None:
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

    def get_metadata(self) -> DeepDict:
        """Return the metadata of all streams in one; what is edited in it is what is written."""
        return self._compose().metadata

    def _compose(self) -> Composition:
        return compose_metadata({n: i.get_metadata() for n, i in self.interfaces.items()})

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata of all streams."""
        schema: dict[str, Any] = {}
        foreign: set[str] = set()
        for interface in self.interfaces.values():
            if isinstance(interface, BaseOphysInterface):
                schema = merge_metadata(schema, interface.get_metadata_schema()).to_dict()
            else:
                foreign |= set(interface.get_metadata())
        properties = schema.setdefault("properties", {})
        if foreign:
            # What keys another package's metadata have is its own to check.
            properties |= {key: {} for key in foreign if key not in properties}
            properties.setdefault("Ophys", {}).pop("additionalProperties", None)
        base = {"$schema": JSON_SCHEMA_DIALECT, "type": "object", "additionalProperties": False}
        return base | schema

    def validate_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Check metadata, with what they leave out filled from :meth:`get_metadata`.

        Raises
        ------
        MetadataError
            With the path of the first wrong key.
        """
        self._check_shape(metadata)
        check_links(self._full(self._compose(), metadata))

    def _check_shape(self, metadata: Mapping[str, Any]) -> None:
        schema = without_neuroconv_keys(self.get_metadata_schema())
        validate(self._full(self._compose(), metadata), schema)

    @staticmethod
    def _full(composition: Composition, metadata: Mapping[str, Any] | None) -> DeepDict:
        if metadata is not None and not isinstance(metadata, Mapping):
            raise MetadataError(f"metadata is {metadata!r}; it must be a dictionary.")
        return merge_metadata(composition.metadata, metadata)

    # --- conversion -----------------------------------------------------------------------------

    def temporally_align(
        self, metadata: Mapping[str, Any], conversion_options: Mapping[str, Any]
    ) -> None:
        """Bring the streams onto one clock: by the starts that they state, if no subclass says how.

        The times of a stream that began later than the first count from the start of that. Called
        before anything is written. Our ``self.interfaces`` have ``set_aligned_timestamps``,
        ``set_aligned_starting_time`` and ``align_by_interpolation``.

        Parameters
        ----------
        metadata : Mapping
            All that will be written.
        conversion_options : Mapping
            By stream.
        """
        for name, delay in self._compose().delays.items():
            interface = self.interfaces[name]
            if isinstance(interface, BaseOphysInterface):
                interface.shift_to_session_start(delay)
            elif delay:
                warnings.warn(
                    f"The stream '{name}' began {delay:g} s after the first; its times stay as its "
                    "own source counts them, since its class is of another package; align them in "
                    "temporally_align().",
                    UserWarning,
                    stacklevel=2,
                )

    def create_nwbfile(
        self,
        metadata: Mapping[str, Any] | None = None,
        conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> NWBFile:
        """Return a new ``NWBFile`` with all streams; data are read when it is written."""
        self.validate_metadata(metadata or {})
        nwbfile = make_nwbfile(self._full(self._compose(), metadata))
        return self.add_to_nwbfile(nwbfile, metadata, conversion_options)

    def add_to_nwbfile(
        self,
        nwbfile: NWBFile,
        metadata: Mapping[str, Any] | None = None,
        conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> NWBFile:
        """Add all streams to an ``NWBFile``; data are read when it is written.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            What they leave out is filled from :meth:`get_metadata`.
        conversion_options : Mapping, optional
            For each stream its options.

        Returns
        -------
        pynwb.NWBFile
            The same.
        """
        options = self._checked_options(conversion_options)
        composition = self._compose()
        full = self._full(composition, metadata)
        self.temporally_align(full, options)
        for name, interface in self.interfaces.items():
            own: Mapping[str, Any] = composition.project(full, name)
            if not isinstance(interface, BaseOphysInterface):
                own = DeepDict(own).to_dict()
            interface.add_to_nwbfile(nwbfile, own, **options.get(name, {}))
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
        conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Path | NWBFile:
        """Write all streams to a file.

        Parameters
        ----------
        nwbfile_path, nwbfile, metadata, overwrite, append, backend, progress, configuration, \
        workers, verify
            Those of :meth:`BaseOphysInterface.run_conversion`.
        conversion_options : Mapping, optional
            For each stream its options.

        Returns
        -------
        pathlib.Path or pynwb.NWBFile
            The file written, or the object when there is no path.
        """
        self._checked_options(conversion_options)
        # Of a file that is there, devices and planes may be linked to that only it knows.
        check = self._check_shape if append or nwbfile is not None else self.validate_metadata
        check(metadata or {})
        return run(
            lambda: make_nwbfile(self._full(self._compose(), metadata)),
            lambda target: self._join(target, metadata, conversion_options),
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

    def _join(self, nwbfile: NWBFile, metadata: Any, conversion_options: Any) -> None:
        warn_of_other_session(nwbfile, self._full(self._compose(), metadata))
        self.add_to_nwbfile(nwbfile, metadata, conversion_options)

    def _checked_options(
        self, conversion_options: Mapping[str, Mapping[str, Any]] | None
    ) -> dict[str, Mapping[str, Any]]:
        options = dict(conversion_options or {})
        for name, given in options.items():
            if name not in self.interfaces:
                raise OptionError(
                    f"conversion_options has '{name}', but there is no such stream; streams: "
                    f"{', '.join(self.interfaces)}."
                )
            if isinstance(self.interfaces[name], BaseOphysInterface):
                self.interfaces[name].parse_options(given)
        return options


def _object_schema(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
