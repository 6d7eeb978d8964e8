"""Conversion of interfaces and converters to NWB files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from pynwb import NWBFile

from nwb_ophys.errors import ArgumentError, OptionError, shown
from nwb_ophys.interfaces.closing import empty
from nwb_ophys.interfaces.provenance import ConversionProvenance
from nwb_ophys.interfaces.reopening import opener_of
from nwb_ophys.interfaces.source_facts import check_other_sources, source_facts
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.metadata import (
    Contents,
    FullMetadata,
    check_duplicates,
    check_links,
    join_contents,
    unowned,
)
from nwb_ophys.storage import (
    BackendConfiguration,
    WriteOptions,
    final_path,
    reserved,
    target,
)
from nwb_ophys.storage.cluster import ClusterExecutor, check_cluster, connected
from nwb_ophys.storage.in_place import check_in_place
from nwb_ophys.storage.remote_targets import check_resumable
from nwb_ophys.writers.session import make_nwbfile, state_session, warn_of_other_session
from nwb_ophys.writers.tables_without_masks import complete_tables_without_masks


@attrs.frozen(kw_only=True)
class Prepared:
    """One conversion with complete metadata and checked options, both made once.

    Attributes
    ----------
    source : Convertible
        The interface or converter that is converted.
    metadata : FullMetadata
        All metadata that will be written: the user's, filled with the metadata of the files and
        the defaults.
    options : Mapping of str to object
        Checked conversion options: by name for an interface, by stream for a converter.
    """

    source: Convertible
    metadata: FullMetadata
    options: Mapping[str, Any]

    def new_nwbfile(self) -> NWBFile:
        """Return an ``NWBFile`` with the session and the subject, without data."""
        return make_nwbfile(self.metadata)

    def add_to(self, nwbfile: NWBFile) -> None:
        """Add all streams to an ``NWBFile``; their data are read when it is written."""
        joined = attrs.evolve(self, metadata=join_file(self.metadata, nwbfile))
        self.source.add_prepared(nwbfile, joined)


def all_options(conversion_options: Any, by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return conversion options that were given as a dictionary and by name in one.

    Parameters
    ----------
    conversion_options : Mapping or None
    by_name : Mapping
        These win.

    Raises
    ------
    OptionError
        If the first is not a dictionary.
    """
    if conversion_options is not None and not isinstance(conversion_options, Mapping):
        raise OptionError(
            f"conversion_options is {shown(conversion_options)}; it must be a dictionary, such as "
            "{'stub': 20}, or {'movie': {'stub': 20}} for the stream 'movie' of a converter."
        )
    return {**(conversion_options or {}), **by_name}


class Convertible(ABC):
    """Base class of everything that can be written to an NWB file."""

    notes: Sequence[str] = ()
    """Notes that were given when the source was found, for the record in the file."""

    @abstractmethod
    def prepare(
        self,
        metadata: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        joins_file: bool = False,
    ) -> Prepared:
        """Gather and check the metadata and the options of a conversion.

        Parameters
        ----------
        metadata : Mapping, optional
            Filled from ``get_metadata()`` where keys are missing.
        options : Mapping, optional
            Conversion options: by name for an interface, by stream for a converter.
        joins_file : bool
            Whether the streams are added to existing contents. The metadata may then link to
            devices and planes that only the file has.

        Returns
        -------
        Prepared

        Raises
        ------
        MetadataError
            With the path of the first wrong key.
        OptionError
            For an unknown or ill-typed option, naming the allowed ones.
        """

    @abstractmethod
    def add_prepared(self, nwbfile: NWBFile, prepared: Prepared) -> None:
        """Add all streams of a prepared conversion to an ``NWBFile``."""

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
        hash_sources: bool = False,
        resume: bool = False,
        space_check: bool = True,
        in_place: bool = False,
        zarr_format: int | None = None,
        cluster: Any = None,
        observer: Any = None,
        conversion_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Path | NWBFile:
        """Write everything to a file.

        Parameters
        ----------
        nwbfile_path : path-like, optional
            Path of the file, or a URL such as ``s3://bucket/session.nwb``.
        nwbfile : pynwb.NWBFile, optional
            An object to add to. It is written to ``nwbfile_path`` where that is given.
        metadata : Mapping, optional
            Filled from ``get_metadata()`` where keys are missing.
        overwrite, append : bool
            Whether an existing file may be replaced, or added to. Without either it is an error.
        backend : {"hdf5", "zarr"}, optional
            Backend of a new file. By default the backend of the configuration, zarr for a name
            that ends in ``.zarr``, or else hdf5. A file that is appended to keeps its own.
        progress : bool or callable
            True shows a bar on a terminal. A function is called with a ``WriteProgress`` after
            each block.
        configuration : BackendConfiguration, optional
            How the datasets are stored. By default the data decide.
        workers : int, optional
            Number of threads that read, encode and store. All usable cores by default; 0 does
            everything in the caller's thread.
        verify : bool
            Whether everything that was written is read back and compared.
        hash_sources : bool
            Whether every byte of the source files is hashed for the record in the file, which
            reads them a second time. By default samples of large files are.
        resume : bool
            Whether the conversion goes on where an earlier run of the same conversion was killed.
            Where sources or settings differ, it starts again and warns why. If this run is
            interrupted, what it wrote is kept for a later run.
        space_check : bool
            Whether the space that the file needs is compared with the free space before it is
            written. False is for file systems that state a wrong number.
        in_place : bool
            Whether ``append=True`` changes the file itself instead of a copy of it, where there is
            no space for a copy. An error undoes the changes. After a kill or a power failure the
            next write of the file does, or ``nwb-ophys clean``, from a hidden journal beside it;
            until then the file is damaged, and without its journal it stays so. Whoever reads or
            copies the file meanwhile gets a mixture.
        zarr_format : {2, 3}, optional
            Format of a Zarr store to insist on. By default the installed hdmf-zarr decides:
            version 0.13 writes format 2, and 0.14 format 3.
        cluster : str or distributed.Client, optional
            Scheduler of Dask, such as ``tcp://scheduler:8786``, whose workers fill the large
            datasets of a new Zarr store. Each opens the sources itself and writes its own chunks,
            so that all machines need the same folders.
        observer : BlockObserver, optional
            Sees each block of the datasets before it is encoded, such as a ``StatisticsGatherer``.
        conversion_options : Mapping, optional
            Options of a converter: for each stream its own. An interface takes them by name.
        **options
            Conversion options of an interface.

        Returns
        -------
        pathlib.Path or pynwb.NWBFile
            Path of the file, links followed, or the object when there is no path.
        """
        how = WriteOptions(
            backend=backend,
            zarr_format=zarr_format,
            overwrite=overwrite,
            append=append,
            configuration=configuration,
            workers=workers,
            progress=progress,
            verify=verify,
            resume=resume,
            space_check=space_check,
            in_place=in_place,
            observer=observer,
        )
        _check_how(how, nwbfile_path)
        given = all_options(conversion_options, options)
        joins_file = append or nwbfile is not None
        if cluster is not None:
            check_cluster(nwbfile_path, how, is_new=nwbfile is None)
        if nwbfile_path is None:
            return self._added_to(nwbfile, self.prepare(metadata, given, joins_file=joins_file))
        if append and nwbfile is not None:
            raise ArgumentError("An nwbfile object cannot be appended to a file; leave out one.")
        with (
            connected(cluster) as client,
            reserved(nwbfile_path, overwrite=overwrite, append=append) as path,
        ):
            if in_place or overwrite:
                check_other_sources(self, final_path(nwbfile_path, path), in_place=in_place)
            prepared = self.prepare(metadata, given, joins_file=joins_file)
            if nwbfile is None:  # an object may hold data of other sources
                facts = partial(source_facts, self, prepared.options, path)
                executor = _executor(client, prepared, metadata, path)
                how = attrs.evolve(how, source_facts=facts, executor=executor)
            with self.recorded(prepared, how, whole=hash_sources) as recorded:
                written = _written(prepared, path, recorded, nwbfile)
        return final_path(nwbfile_path, written)

    def _added_to(self, nwbfile: NWBFile | None, prepared: Prepared) -> NWBFile:
        if nwbfile is None:
            raise ArgumentError("Give nwbfile_path, the file to write, or nwbfile, an object.")
        return _join(prepared, nwbfile)

    @contextmanager
    def recorded(
        self, prepared: Prepared, how: WriteOptions, *, whole: bool = False
    ) -> Iterator[WriteOptions]:
        """Give settings of a write with the provenance of a conversion, which is then recorded.

        Parameters
        ----------
        prepared : Prepared
        how : WriteOptions
        whole : bool
            Whether every byte of the source files is hashed.
        """
        streams = self.stated_streams()
        options = prepared.options if set(prepared.options) <= set(streams) else {}
        if set(streams) == {""}:
            options = {"": prepared.options}
        with witnessed() as witness:
            witness.notes.extend(self.notes)
            provenance = ConversionProvenance(
                streams, options, prepared.metadata, witness, whole=whole
            )
            try:
                yield attrs.evolve(how, provenance=provenance)
            finally:
                provenance.close()

    def stated_streams(self) -> Mapping[str, Any]:
        """Return the interfaces by the name of the stream; one of its own has none."""
        return {"": self}

    def create_nwbfile(
        self,
        metadata: Mapping[str, Any] | None = None,
        conversion_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> NWBFile:
        """Return a new ``NWBFile`` with everything in it; data are read when it is written.

        Parameters
        ----------
        metadata : Mapping, optional
            Filled from ``get_metadata()`` where keys are missing.
        conversion_options, **options
            See :meth:`run_conversion`.
        """
        return _start(self.prepare(metadata, all_options(conversion_options, options)))


def join_file(metadata: FullMetadata, nwbfile: NWBFile) -> FullMetadata:
    """Return complete metadata with names that fit the devices and planes of a file.

    Parameters
    ----------
    metadata : FullMetadata
        Not changed. Metadata that fits the file already is returned as it is.
    nwbfile : pynwb.NWBFile

    Raises
    ------
    MetadataError
        When the user gave a device or plane the name of another one, in the metadata or in the
        file, or for a link to a name that neither has.
    """
    if metadata.joins is nwbfile:
        return metadata
    check_duplicates(metadata)
    check_links(metadata, nwbfile.devices, nwbfile.imaging_planes)
    ophys = nwbfile.processing.get("ophys")
    contents = Contents(
        devices=nwbfile.devices,
        device_models=nwbfile.device_models,
        planes=nwbfile.imaging_planes,
        containers={} if ophys is None else ophys.data_interfaces,
    )
    joined = join_contents(metadata, contents)
    joined.joins = nwbfile
    return joined


def _executor(
    client: Any, prepared: Prepared, metadata: Mapping[str, Any] | None, path: Path
) -> ClusterExecutor | None:
    """Return the executor of a conversion by the workers of a cluster; without a client, None."""
    if client is None:
        return None
    opener = opener_of(prepared.source, unowned(metadata), prepared.options, path)
    return ClusterExecutor(client, opener)


def _written(prepared: Prepared, path: Path, how: WriteOptions, nwbfile: NWBFile | None) -> Path:
    """Write a prepared conversion, with the contents of an object if one is given."""
    with target(path, how) as place:
        joined = place.nwbfile if nwbfile is None else nwbfile
        filled = _start(prepared) if joined is None else _join(prepared, joined)
        complete_tables_without_masks(filled)
        place.write(filled)
        if joined is None:
            empty(filled)
    return place.path


def _check_how(how: WriteOptions, path: str | Path | None) -> None:
    """Check that the settings of a write fit together, and fit its target."""
    check_in_place(in_place=how.in_place, append=how.append, resume=how.resume)
    if path is not None:
        check_resumable(path, resume=how.resume)
    elif how.observer is not None:
        raise ArgumentError(
            "observer= sees what is written to a file; give nwbfile_path, or leave out observer."
        )


def _start(prepared: Prepared) -> NWBFile:
    """Return a new ``NWBFile`` with everything in it."""
    nwbfile = prepared.new_nwbfile()
    prepared.add_to(nwbfile)
    return nwbfile


def _join(prepared: Prepared, nwbfile: NWBFile) -> NWBFile:
    """Add a conversion to an ``NWBFile`` that has a session, and maybe a subject, already."""
    warn_of_other_session(nwbfile, prepared.metadata)
    state_session(nwbfile, prepared.metadata)
    prepared.add_to(nwbfile)
    return nwbfile
