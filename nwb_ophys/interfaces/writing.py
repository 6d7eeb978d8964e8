"""Writing of a conversion: the file or object, the record of its sources, and a cluster.

Only this module of the interfaces needs the storage engine and the backends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import ArgumentError
from nwb_ophys.interfaces.closing import empty
from nwb_ophys.interfaces.provenance import ConversionProvenance
from nwb_ophys.interfaces.reopening import opener_of
from nwb_ophys.interfaces.source_facts import check_other_sources, source_facts
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.metadata import unowned
from nwb_ophys.storage import WriteOptions, final_path, reserved, target
from nwb_ophys.storage.cluster import ClusterExecutor, check_cluster, connected
from nwb_ophys.storage.in_place import check_in_place
from nwb_ophys.storage.remote_targets import check_resumable
from nwb_ophys.writers.session import state_session, warn_of_other_session
from nwb_ophys.writers.tables_without_masks import complete_tables_without_masks

if TYPE_CHECKING:
    from pynwb import NWBFile

    from nwb_ophys.interfaces.conversion import Convertible, Prepared


def write_conversion(
    source: Convertible,
    nwbfile_path: str | Path | None,
    nwbfile: NWBFile | None,
    metadata: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    how: WriteOptions,
    *,
    hash_sources: bool,
    cluster: Any,
) -> Path | NWBFile:
    """Write an interface or a converter to a file, or add it to an object.

    Parameters are those of ``run_conversion``.

    Parameters
    ----------
    source : Convertible
    nwbfile_path : path-like or None
    nwbfile : pynwb.NWBFile or None
    metadata : Mapping or None
    options : Mapping
        Conversion options: by name for an interface, by stream for a converter.
    how : WriteOptions
    hash_sources : bool
    cluster : str, distributed.Client or None

    Returns
    -------
    pathlib.Path or pynwb.NWBFile
    """
    _check_how(how, nwbfile_path)
    joins_file = how.append or nwbfile is not None
    if cluster is not None:
        check_cluster(nwbfile_path, how, is_new=nwbfile is None)
    if nwbfile_path is None:
        return _added_to(nwbfile, source.prepare(metadata, options, joins_file=joins_file))
    if how.append and nwbfile is not None:
        raise ArgumentError("An nwbfile object cannot be appended to a file; leave out one.")
    with (
        connected(cluster) as client,
        reserved(nwbfile_path, overwrite=how.overwrite, append=how.append) as path,
    ):
        if how.in_place or how.overwrite:
            check_other_sources(source, final_path(nwbfile_path, path), in_place=how.in_place)
        prepared = source.prepare(metadata, options, joins_file=joins_file)
        if nwbfile is None:  # an object may hold data of other sources
            facts = partial(source_facts, source, prepared.options, path)
            executor = _executor(client, prepared, metadata, path)
            how = attrs.evolve(how, source_facts=facts, executor=executor)
        with _recorded(prepared, how, whole=hash_sources) as recorded:
            written = _written(prepared, path, recorded, nwbfile)
    return final_path(nwbfile_path, written)


def _added_to(nwbfile: NWBFile | None, prepared: Prepared) -> NWBFile:
    if nwbfile is None:
        raise ArgumentError("Give nwbfile_path, the file to write, or nwbfile, an object.")
    return _join(prepared, nwbfile)


@contextmanager
def _recorded(prepared: Prepared, how: WriteOptions, *, whole: bool) -> Iterator[WriteOptions]:
    """Give settings of a write with the provenance of a conversion, which is then recorded.

    Parameters
    ----------
    prepared : Prepared
    how : WriteOptions
    whole : bool
        Whether every byte of the source files is hashed.
    """
    streams = prepared.source.stated_streams()
    options = prepared.options if set(prepared.options) <= set(streams) else {}
    if set(streams) == {""}:
        options = {"": prepared.options}
    with witnessed() as witness:
        witness.notes.extend(prepared.source.notes)
        provenance = ConversionProvenance(streams, options, prepared.metadata, witness, whole=whole)
        try:
            yield attrs.evolve(how, provenance=provenance)
        finally:
            provenance.close()


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
        filled = prepared.create() if joined is None else _join(prepared, joined)
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


def _join(prepared: Prepared, nwbfile: NWBFile) -> NWBFile:
    """Add a conversion to an ``NWBFile`` that has a session, and maybe a subject, already."""
    warn_of_other_session(nwbfile, prepared.metadata)
    state_session(nwbfile, prepared.metadata)
    prepared.add_to(nwbfile)
    return nwbfile
