"""Parts of HDF5 files that lie in other files, or that were never written.

HDF5 follows links to other files wherever they lead, waits forever where one leads to a pipe, and
gives fill values in place of parts that it does not find. Thus the files that a file names are
checked before it is read, and a dataset is checked before its values are used.
"""

from __future__ import annotations

import functools
import math
import operator
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.outside import current_reach, named_file, reading_from, require_ordinary
from nwb_ophys.storage.backends.hdf5_opening import is_hdf5, read_hdf5
from nwb_ophys.storage.backends.ranges import positions
from nwb_ophys.trial import is_tried_damaged

_LINK, _RAW, _VIRTUAL = "link", "raw file", "source"
_PREFIXES = {_LINK: "HDF5_EXT_PREFIX", _RAW: "HDF5_EXTFILE_PREFIX", _VIRTUAL: "HDF5_VDS_PREFIX"}
_BLOCK = "%b"
_MOST_BLOCKS = 100_000
_DEEPEST = 200  # levels of groups; HDF5 takes a time that grows with their square
HDF5_FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises of an object that is damaged or absent."""


@attrs.frozen
class NamedFile:
    """Another file that an HDF5 file names.

    Attributes
    ----------
    kind : {"link", "raw file", "source"}
        The target of an external link, an external raw file, or the source of a virtual dataset.
    holder : str
        Path of the link or dataset that names it.
    name : str
    num_bytes : int
        Number of bytes that an external raw file must have.
    """

    kind: str
    holder: str
    name: str
    num_bytes: int = 0


def check_named_files(path: Path, *, follows_links: bool = True, in_full: bool = True) -> None:
    """Check the other files that an HDF5 file names, before its values are read.

    Parameters
    ----------
    path : pathlib.Path
        An HDF5 file; nothing is checked if it cannot be opened.
    follows_links : bool
        Whether the caller follows external links, or only keeps them.
    in_full : bool
        Whether files outside of the recording's folder are refused, too.

    Raises
    ------
    OutsideFolderError
        If a file lies outside of the recording's folder.
    SpecialFileError
        If a file is a pipe, a socket or a device.
    CorruptSourceError
        If the source of a virtual dataset, or a part of an external raw file, is absent.
    """
    within = nullcontext() if current_reach() is not None else reading_from([path])
    with within:
        remaining, seen = [path], set()
        while remaining:
            each = remaining.pop()
            identity = os.path.realpath(each)
            if identity not in seen:
                seen.add(identity)
                remaining += _checked(each, follows_links, in_full)


def _checked(path: Path, follows_links: bool, in_full: bool) -> list[Path]:
    """Check the files that one file names, and return those that are HDF5 files."""
    found = []
    for each in named_files_of(path):
        if each.kind == _LINK and not follows_links:
            continue
        if _BLOCK in each.name and each.kind == _VIRTUAL:
            found += _blocks(path, each, in_full)
            continue
        there = _existing(path, each, in_full)
        if each.kind == _RAW:
            _check_raw(path, each, there)
        elif there is not None:
            found.append(there)
        elif each.kind == _VIRTUAL:
            raise _absent_source(path, each.holder, f"the file '{each.name}'")
    return found


def _blocks(path: Path, each: NamedFile, in_full: bool) -> list[Path]:
    """Return the files of a pattern with the number of a block, up to the first that is absent."""
    found: list[Path] = []
    while len(found) < _MOST_BLOCKS:
        name = each.name.replace(_BLOCK, str(len(found)))
        there = _existing(path, attrs.evolve(each, name=name), in_full)
        if there is None:
            break
        found.append(there)
    if not found:
        raise _absent_source(path, each.holder, f"the files '{each.name}'")
    return found


def _existing(path: Path, each: NamedFile, in_full: bool) -> Path | None:
    """Return the file that HDF5 opens for a name; each place where it looks is checked."""
    what = f"The external link '{each.holder}'" if each.kind == _LINK else f"'{each.holder}'"
    for place in _places(path, each):
        if not os.path.lexists(place):
            continue
        if in_full:
            named_file(path, each.name, of=what, place=place)
        require_ordinary(place)
        # HDF5 looks further if it cannot open a file.
        if place.is_file() and (each.kind == _RAW or h5py.is_hdf5(place)):
            return place
    return None


def _places(path: Path, each: NamedFile) -> Iterator[Path]:
    """Yield the places in which HDF5 looks for a file, in its order."""
    name, prefix = Path(each.name), os.environ.get(_PREFIXES[each.kind])
    if name.is_absolute():
        yield name
    if each.kind != _RAW:
        name = Path(name.name) if name.is_absolute() else name
    if prefix:
        for folder in prefix.split(os.pathsep):
            yield Path(folder.replace("${ORIGIN}", str(path.parent)), name)
    if each.kind != _RAW:
        yield path.parent / name
    yield Path.cwd() / name
    yield path.resolve().parent / name


def _check_raw(path: Path, each: NamedFile, there: Path | None) -> None:
    if there is None:
        raise CorruptSourceError(
            f"'{each.holder}' in '{path}' has its values in the external file '{each.name}', which "
            f"does not exist; HDF5 would read zeros. Copy the file to '{path.parent}', and run "
            "the conversion there."
        )
    size = there.stat().st_size
    if size < each.num_bytes:
        raise CorruptSourceError(
            f"'{each.holder}' in '{path}' has its values in the external file '{each.name}', which "
            f"has {size} bytes instead of {each.num_bytes}; HDF5 would read zeros in place of the "
            "others. Copy the file again from where it was recorded."
        )


def _absent_source(path: Path, holder: str, what: str) -> CorruptSourceError:
    return CorruptSourceError(
        f"The virtual dataset '{holder}' in '{path}' reads {what}, which does not exist; HDF5 "
        "would read fill values in its place. Copy it there."
    )


def named_files_of(path: Path) -> tuple[NamedFile, ...]:
    """Return all other files that an HDF5 file names; empty if it cannot be opened."""
    try:
        require_ordinary(path)
        if not (path.is_file() and is_hdf5(path)) or is_tried_damaged(path):
            return ()
        state = path.stat()
        return _read_named_files(str(path), state.st_ino, state.st_size, state.st_mtime_ns)
    except OSError:
        return ()


@functools.lru_cache(maxsize=256)
def _read_named_files(path: str, inode: int, size: int, changed: int) -> tuple[NamedFile, ...]:
    """Walk an HDF5 file; cached, since a conversion opens its files several times."""
    found: list[NamedFile] = []
    with read_hdf5(path) as file:
        try:
            links, datasets = _visit(file.id, path)
        except HDF5_FAULTS as error:
            if isinstance(error, CorruptSourceError):
                raise
            links, datasets = _walk(file.id, path)
        for link in links:
            with suppress(*HDF5_FAULTS):
                name = file.id.links.get_val(link)[0]
                found.append(NamedFile(_LINK, _text(link), os.fsdecode(name)))
        for dataset in datasets:
            with suppress(*HDF5_FAULTS):
                found += _of_dataset(h5py.h5d.open(file.id, dataset), _text(dataset))
    return tuple(dict.fromkeys(found))


def _visit(root: Any, path: str) -> tuple[list[bytes], list[bytes]]:
    """Return the paths of the external links and of the datasets; fails at a damaged object."""
    links: list[bytes] = []
    datasets: list[bytes] = []

    # A result other than None ends a visit.
    def see_link(name: bytes, info: Any) -> bool | None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            links.append(name)
        return name.count(b"/") >= _DEEPEST or None

    def see_object(name: bytes, info: Any) -> None:
        if info.type == h5py.h5o.TYPE_DATASET:
            datasets.append(name)

    # Both visit each group once, so that circles of links end.
    if root.links.visit(see_link, info=True):
        raise _too_deep(path)
    h5py.h5o.visit(root, see_object, info=True)
    return links, datasets


def _walk(root: Any, path: str) -> tuple[list[bytes], list[bytes]]:
    """Return the same as :func:`_visit`, but leave out damaged objects, which nobody can read.

    Raises
    ------
    CorruptSourceError
        If a group cannot be listed, since it may hold links that nobody sees.
    """
    links: list[bytes] = []
    datasets: list[bytes] = []
    seen: set[tuple[int, int]] = set()
    waiting: list[bytes] = [b"."]
    while waiting:
        place = waiting.pop()
        if place.count(b"/") >= _DEEPEST:
            raise _too_deep(path)
        try:
            found = h5py.h5o.open(root, place)
            about = h5py.h5o.get_info(found)
        except HDF5_FAULTS:
            continue
        if (about.fileno, about.addr) in seen:
            continue
        seen.add((about.fileno, about.addr))
        if about.type == h5py.h5o.TYPE_DATASET:
            datasets.append(place)
        elif about.type == h5py.h5o.TYPE_GROUP:
            for name, kind in _members(found, place, path):
                inner = name if place == b"." else place + b"/" + name
                if kind == h5py.h5l.TYPE_EXTERNAL:
                    links.append(inner)
                elif kind == h5py.h5l.TYPE_HARD:
                    waiting.append(inner)
    return links, datasets


def _members(group: Any, place: bytes, path: str) -> list[tuple[bytes, int]]:
    found: list[tuple[bytes, int]] = []
    try:
        group.links.iterate(lambda name, info: found.append((name, info.type)), info=True)
    except HDF5_FAULTS:
        raise CorruptSourceError(
            f"'{path}' is damaged: its group '{_text(place)}' cannot be listed, so that links to "
            "other files may be in it. Copy the file again from where it was recorded."
        ) from None
    return found


def _too_deep(path: str) -> CorruptSourceError:
    return CorruptSourceError(
        f"'{path}' is not read: its groups are nested deeper than {_DEEPEST} levels, which no "
        "recording needs."
    )


def _text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")


def _of_dataset(dataset: Any, name: str) -> Iterator[NamedFile]:
    """Yield the files that a dataset names."""
    stated = dataset.get_create_plist()
    remaining = dataset.get_type().get_size() * math.prod(dataset.shape or ())
    for index in range(stated.get_external_count()):
        file, offset, size = stated.get_external(index)
        part = min(int(size), remaining) if int(size) > 0 else remaining
        remaining -= part
        yield NamedFile(_RAW, name, os.fsdecode(file), int(offset) + part)
    if stated.get_layout() == h5py.h5d.VIRTUAL:
        for index in range(stated.get_virtual_count()):
            file = os.fsdecode(stated.get_virtual_filename(index))
            if file != ".":
                yield NamedFile(_VIRTUAL, name, file)


def check_complete(
    dataset: h5py.Dataset,
    path: Path | None = None,
    *,
    is_sparse: bool = False,
    within: Sequence[Any] = (),
) -> None:
    """Check that all values of a dataset were written, so that no fill value is read as data.

    Parameters
    ----------
    dataset : h5py.Dataset
    path : pathlib.Path, optional
        Path of the file for messages; by default its name.
    is_sparse : bool
        Whether chunks of zeros may be absent.
    within : sequence
        The virtual datasets that read this one, which may not do so in a circle.

    Raises
    ------
    CorruptSourceError
        If a part was never written, or the source of a virtual dataset is absent; names the part.
    """
    file = Path(dataset.file.filename) if path is None else path
    if not dataset.shape or 0 in dataset.shape:
        return
    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.VIRTUAL:
        _check_virtual(dataset, file, is_sparse, (*within, _identity(dataset)))
    elif layout == h5py.h5d.CHUNKED:
        _check_chunks(dataset, file, is_sparse)
    elif not dataset.external:
        _check_allocated(dataset, file, is_sparse)


def _check_allocated(dataset: h5py.Dataset, file: Path, is_sparse: bool) -> None:
    size = int(dataset.id.get_storage_size())
    needed = math.prod(dataset.shape) * int(dataset.id.get_type().get_size())
    if size not in (0, needed) and not dataset.dtype.hasobject:
        raise CorruptSourceError(
            f"'{_name(dataset)}' in '{file}' has the shape {dataset.shape}, which takes {needed} "
            f"bytes, but {size} bytes of values; its shape is damaged. Copy the file again from "
            "where it was recorded."
        )
    if size == 0 and not is_sparse:
        raise CorruptSourceError(
            f"'{_name(dataset)}' in '{file}' has the shape {dataset.shape}, but its values were "
            "never written; HDF5 would read fill values. Copy the file again from where it was "
            "recorded."
        )


def _identity(dataset: h5py.Dataset) -> tuple[str, int]:
    return os.path.realpath(dataset.file.filename), int(h5py.h5o.get_info(dataset.id).addr)


def _name(dataset: h5py.Dataset) -> str:
    return str(dataset.name).strip("/")


def lacks_chunks(dataset: h5py.Dataset) -> bool:
    """Return whether some chunks of a dataset were never written."""
    if dataset.chunks is None:
        return False
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    return bool(dataset.id.get_num_chunks() < math.prod(-(-size // step) for size, step in sizes))


def stored_chunks(dataset: h5py.Dataset) -> NDArray[np.bool_]:
    """Return whether each chunk of a dataset was written, with one axis for each of the dataset."""
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    found = np.zeros([-(-size // step) for size, step in sizes], bool)

    def see(chunk: Any) -> None:
        places = zip(chunk.chunk_offset, dataset.chunks, strict=True)
        index = tuple(offset // step for offset, step in places)
        if all(i < count for i, count in zip(index, found.shape, strict=True)):
            found[index] = True

    dataset.id.chunk_iter(see)
    return found


def _check_chunks(dataset: h5py.Dataset, path: Path, is_sparse: bool) -> None:
    counts = [math.ceil(n / size) for n, size in zip(dataset.shape, dataset.chunks, strict=True)]
    total, stored = math.prod(counts), dataset.id.get_num_chunks()
    if stored > total:
        raise CorruptSourceError(
            f"'{_name(dataset)}' in '{path}' has {stored} chunks, but its shape {dataset.shape} "
            f"only {total}; its shape is damaged. Copy the file again from where it was recorded."
        )
    if stored == total or is_sparse:
        return
    per_step, seen = total // counts[0], [0] * counts[0]

    def see(chunk: Any) -> None:
        first = chunk.chunk_offset[0] // dataset.chunks[0]
        if first < counts[0]:
            seen[first] += 1

    dataset.id.chunk_iter(see)
    size = dataset.chunks[0]
    lacking = [index for index, number in enumerate(seen) if number < per_step]
    raise CorruptSourceError(
        f"'{_name(dataset)}' in '{path}' lacks {total - stored} of {total} chunks, "
        f"{positions(lacking, size, dataset.shape[0])} along its first axis; they were never "
        "written, and HDF5 would read fill values. Copy the file again from where it was recorded, "
        "or give a file without these parts."
    )


def _check_virtual(
    dataset: h5py.Dataset, path: Path, is_sparse: bool, within: Sequence[Any]
) -> None:
    """Check the sources of a virtual dataset, and that they make up the whole of it."""
    stated, covered, is_open = dataset.id.get_create_plist(), 0, False
    total = math.prod(dataset.shape)
    for index in range(stated.get_virtual_count()):
        name = os.fsdecode(stated.get_virtual_filename(index))
        inner = _text(stated.get_virtual_dsetname(index))
        count = int(stated.get_virtual_vspace(index).get_select_npoints())
        if _BLOCK in name or _BLOCK in inner or count < 0:
            is_open = True
            continue
        covered += count
        with _source(dataset, path, name, inner) as source:
            _check_size(dataset, path, source, stated.get_virtual_srcspace(index), count)
            if _identity(source) in within:
                raise CorruptSourceError(
                    f"The virtual dataset '{_name(dataset)}' in '{path}' reads itself. Give a "
                    "file with the values."
                )
            check_complete(source, is_sparse=is_sparse, within=within)
    if covered < total and not is_open:
        raise CorruptSourceError(
            f"The virtual dataset '{_name(dataset)}' in '{path}' states no source for "
            f"{total - covered} of its {total} values; HDF5 would read fill values in their "
            "place. Give a file with all of them."
        )


@contextmanager
def _source(dataset: h5py.Dataset, path: Path, name: str, inner: str) -> Iterator[h5py.Dataset]:
    """Open the source of a virtual dataset, in the same file or in another one."""
    holder, there = _name(dataset), path
    if name != ".":
        found = _existing(path, NamedFile(_VIRTUAL, holder, name), in_full=False)
        if found is None:
            raise _absent_source(path, holder, f"the file '{name}'")
        there = found
    with nullcontext(dataset.file) if name == "." else read_hdf5(there) as file:
        try:
            source = file[inner]
        except HDF5_FAULTS:
            source = None
        if not isinstance(source, h5py.Dataset):
            raise _absent_source(path, holder, f"the dataset '{inner}' of '{there}'")
        yield source


def _check_size(
    dataset: h5py.Dataset, path: Path, source: h5py.Dataset, space: Any, num_values: int
) -> None:
    """Check that a source has all values that a virtual dataset reads."""
    shape = source.shape or ()
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        is_whole = math.prod(shape) >= num_values
    else:
        last = space.get_select_bounds()[1]
        is_whole = len(last) == len(shape) and all(map(operator.lt, last, shape))
    if not is_whole:
        raise CorruptSourceError(
            f"The virtual dataset '{_name(dataset)}' in '{path}' reads {num_values} values of "
            f"'{_name(source)}' in '{source.file.filename}', which has only those of the shape "
            f"{shape}; HDF5 would read fill values in place of the others. Copy it again from "
            "where it was recorded."
        )
