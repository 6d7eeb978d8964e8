"""The verification of a file, with or without its sources."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.certification.recorded import RecordedComparison
from nwb_ophys.certification.report import FileReport
from nwb_ophys.errors import (
    MissingPackageError,
    OutsideFolderError,
    SourceError,
    as_sentence,
    not_found,
)
from nwb_ophys.home import with_home
from nwb_ophys.outside import reading_from
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.remote.reading import begin_reading
from nwb_ophys.storage import NO_BACKEND, WriteOptions, backend_of_path
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.configuration import DEFAULT_BUFFER_GB
from nwb_ophys.storage.in_place import check_whole
from nwb_ophys.storage.record import records_of
from nwb_ophys.storage.stored_objects import reason_of
from nwb_ophys.storage.verification import Resources

if TYPE_CHECKING:
    from nwb_ophys.certification.with_sources import SourceComparison
    from nwb_ophys.storage.backends.base import Backend


def verify(
    path: str | Path,
    sources: str | Path | Sequence[str | Path] = (),
    *,
    options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Any = None,
    buffer_gb: float = DEFAULT_BUFFER_GB,
) -> FileReport:
    """Compare a file with the hashes of its writing, and with its sources.

    Parameters
    ----------
    path : path-like
        File that this package has written, of any backend, or a copy made by :func:`repack`.
    sources : path-like or sequence of path-like
        Files and folders that were converted, perhaps moved since. They are opened again as the
        record of the file states, and every movie, image and trace is compared value by value.
    options : Mapping, optional
        Source arguments for opening the sources, such as ``trust_pickles``, which no record sets.
        ``allow_outside`` also holds for the files to which `path` leads.
    workers : int, optional
        Number of threads that read and compare; all usable cores by default.
    progress : bool or callable, optional
        True shows a bar on a terminal. A function is called with a ``WriteProgress``.
    buffer_gb : float
        Size of all blocks that are compared at any time, in units of 1e9 bytes.

    Returns
    -------
    FileReport
        All differences, and the answer whether the source files may be deleted.

    Raises
    ------
    SourceNotFoundError, SourceError
        If the file or a source does not exist, or the file has no record.
    """
    how = WriteOptions(workers=workers, progress=progress)
    place, given = with_home(as_path(path)), _as_paths(sources)
    for each in (place, *given):
        if isinstance(each, RemotePath):
            begin_reading(each)
        if not each.exists():
            raise not_found(each)
    check_whole(place)
    storage = backend_of_path(place)
    if storage is None:
        raise SourceError(f"'{path}' is {NO_BACKEND}; choose an NWB file.")
    allowed = (options or {}).get("allow_outside", ())
    with how.reporting() as report:
        resources = Resources(workers=how.num_workers, budget=Budget.of(buffer_gb), report=report)
        with _opened(storage, place, _as_paths(allowed)) as root:
            records = records_of(root, storage)
            if not records:
                raise SourceError(
                    f"'{path}' has no record of nwb_ophys, so that there is nothing to compare it "
                    "with. A copy made with repack has one, of the values that it has then."
                )
            comparison = RecordedComparison(root, storage, records)
            comparison.run(resources)
            good = [each for each in records.values() if not isinstance(each, str)]
            with_sources = None
            if given:
                # Imported here, since only the sources are read by pynwb.
                from nwb_ophys.certification.with_sources import SourceComparison

                with_sources = SourceComparison(root, storage, good, place, given, options or {})
                with_sources.run(resources)
    return _report(place, comparison, with_sources)


def _opened(storage: Backend, path: Path, allowed: Sequence[Path]) -> AbstractContextManager[Any]:
    """Open the root of a file, whose damage is an error in words."""
    try:
        with warnings.catch_warnings(), reading_from([path], allowed):
            warnings.simplefilter("ignore")  # the report names what cannot be read
            return storage.open_root(path)
    except (MissingPackageError, OutsideFolderError):
        raise
    except Exception as error:  # of the backend, about a damaged file
        said = as_sentence(reason_of(error))
        raise SourceError(f"'{path}' cannot be read: {said}") from error


def _report(
    path: Path, comparison: RecordedComparison, with_sources: SourceComparison | None
) -> FileReport:
    differences, not_compared = comparison.differences, list(comparison.not_compared())
    compared: tuple[str, ...] = ()
    answer = None
    if with_sources is not None:
        differences = differences + with_sources.differences
        not_compared += with_sources.not_compared
        compared, answer = tuple(with_sources.compared), with_sources.answer(differences)
    return FileReport(
        path=path,
        differences=tuple(differences),
        num_datasets=comparison.num_datasets,
        num_objects=comparison.num_objects,
        num_bytes=comparison.num_bytes,
        compared_with_source=compared,
        not_compared=tuple(not_compared),
        answer=answer,
    )


def _as_paths(sources: str | Path | Sequence[str | Path]) -> list[Path]:
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    return [with_home(as_path(each)) for each in given]
