"""Conversion of interfaces and converters to NWB files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import OptionError, shown
from nwb_ophys.metadata import (
    Contents,
    FullMetadata,
    check_duplicates,
    check_links,
    join_contents,
)

if TYPE_CHECKING:
    from pynwb import NWBFile

    from nwb_ophys.storage import BackendConfiguration


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
        from nwb_ophys.writers.session import make_nwbfile  # here, as it imports pynwb

        return make_nwbfile(self.metadata)

    def create(self) -> NWBFile:
        """Return a new ``NWBFile`` with everything in it."""
        nwbfile = self.new_nwbfile()
        self.add_to(nwbfile)
        return nwbfile

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
        # Imported here, so that commands that only look import neither pynwb nor a backend.
        from nwb_ophys.interfaces.writing import write_conversion
        from nwb_ophys.storage import WriteOptions

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
        given = all_options(conversion_options, options)
        return write_conversion(
            self,
            nwbfile_path,
            nwbfile,
            metadata,
            given,
            how,
            hash_sources=hash_sources,
            cluster=cluster,
        )

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
        return self.prepare(metadata, all_options(conversion_options, options)).create()


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
