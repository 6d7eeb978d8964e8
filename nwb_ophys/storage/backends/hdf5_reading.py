"""Reading of HDF5 datasets chunk by chunk, decoded outside of the HDF5 library where possible.

h5py lets one thread at a time into the library, whose filters do not check the size of a decoded
chunk.
"""

from __future__ import annotations

import collections
import itertools
import math
import threading
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.storage.backends.hdf5_codecs import (
    CHECKED,
    FLETCHER32,
    SHUFFLE,
    DamagedChunkError,
    check_chunk,
    checksum_removed,
    decoder_of,
)
from nwb_ophys.storage.backends.hdf5_direct import read_chunk
from nwb_ophys.storage.backends.hdf5_parts import stored_chunks
from nwb_ophys.storage.checksums import CHECKSUM_BYTES
from nwb_ophys.storage.encoding import unshuffled
from nwb_ophys.storage.grid import Selection, Shape, cell_at, inside

# Decoded chunks that are kept, since readers ask for frames that share a chunk.
_KEPT_BYTES = 1 << 25


class _Stage:
    """A filter, with the number of bytes to which it decodes; None if that is not known."""

    def __init__(self, number: int, settings: tuple[int, ...], size: int | None) -> None:
        self.number, self.settings, self.size = number, settings, size
        self.decode = decoder_of(number)
        self.is_understood = number == FLETCHER32 or (
            size is not None and (self._is_shuffle_of(size) or self.decode is not None)
        )

    def _is_shuffle_of(self, size: int) -> bool:
        """Return whether the filter shuffles whole items; HDF5 leaves a rest at the end."""
        item = self.settings[0] if self.settings else 0
        return self.number == SHUFFLE and item > 0 and size % item == 0


class ChunkReader:
    """Reads blocks of a dataset with chunks.

    Parameters
    ----------
    dataset : h5py.Dataset
        With chunks.
    most_kept_bytes : int
        Size of the decoded chunks that are kept.

    Attributes
    ----------
    can_decode : bool
        Whether all chunks are decoded here, in any number of threads. Otherwise HDF5 decodes them
        after their headers were checked.
    """

    def __init__(self, dataset: h5py.Dataset, most_kept_bytes: int = 0) -> None:
        self._dataset, self._most_kept_bytes = dataset, most_kept_bytes
        self._chunk_shape: Shape = dataset.chunks
        kind = dataset.id.get_type()
        self._item = int(kind.get_size())
        self._size = math.prod(self._chunk_shape) * self._item
        plist = dataset.id.get_create_plist()
        self._filters = [plist.get_filter(index) for index in range(plist.get_nfilters())]
        self._by_mask: dict[int, list[_Stage]] = {}
        stages = self._stages(0)
        # Only then bytes are values: some types have unused bits, or other bytes in between.
        is_plain = kind == h5py.h5t.py_create(dataset.dtype, logical=True)
        self.can_decode = is_plain and all(stage.is_understood for stage in stages)
        self._can_check = self.can_decode or any(
            stage.is_understood or stage.number in CHECKED for stage in stages
        )
        self._kept: collections.OrderedDict[Shape, NDArray[Any]] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._stored: NDArray[np.bool_] | None = None
        self._is_read_only = dataset.file.mode == "r"
        if not self._is_read_only:
            self._most_kept_bytes = 0

    def _stages(self, mask: int) -> list[_Stage]:
        """Return the filters of a chunk in the order of decoding, without those of its mask."""
        if mask not in self._by_mask:
            self._by_mask[mask] = self._stages_of(mask)
        return self._by_mask[mask]

    def _stages_of(self, mask: int) -> list[_Stage]:
        found: list[_Stage] = []
        size: int | None = self._size
        for index, (number, _, settings, _) in enumerate(self._filters):
            if mask >> index & 1:
                continue
            found.append(_Stage(number, tuple(settings), size))
            if number == FLETCHER32:
                size = None if size is None else size + CHECKSUM_BYTES
            elif number != SHUFFLE:
                size = None
        return found[::-1]

    def read(self, selection: Any) -> NDArray[Any]:
        """Return a block.

        Parameters
        ----------
        selection : sequence of range
            For each axis, with a step above 0.

        Returns
        -------
        numpy.ndarray
            With all axes.

        Raises
        ------
        CorruptSourceError
            If a chunk has another size than its shape, or cannot be decoded.
        """
        values = np.empty([len(axis) for axis in selection], self._dataset.dtype)
        for corner, target, part in self._overlaps(selection):
            values[target] = self.chunk(corner)[part]
        return values

    def check(self, selection: Any) -> None:
        """Check the chunks of a selection, which HDF5 then decodes."""
        if self._can_check:
            for corner, _, _ in self._overlaps(selection):
                if self._is_stored[self._index(corner)]:
                    self._decoded(corner)

    def _overlaps(self, selection: Any) -> Iterator[tuple[Shape, Selection, Selection]]:
        """Yield each chunk of a selection, with its parts of the selection and of the chunk."""
        axes = [
            list(_along_axis(axis, size))
            for axis, size in zip(selection, self._chunk_shape, strict=True)
        ]
        for found in itertools.product(*axes):
            corner, target, part = zip(*found, strict=True) if found else ((), (), ())
            yield corner, target, part

    def chunk(self, corner: Shape) -> NDArray[Any]:
        """Return the values of a whole chunk; some of the last chunks are kept."""
        with self._lock:
            kept = self._kept.get(corner)
            if kept is not None:
                self._kept.move_to_end(corner)
                return kept
        values = self._read_chunk(corner)
        with self._lock:
            self._kept[corner] = values
            while self._kept and len(self._kept) * self._size > self._most_kept_bytes:
                self._kept.popitem(last=False)
        return values

    def _read_chunk(self, corner: Shape) -> NDArray[Any]:
        dataset = self._dataset
        if not self._is_stored[self._index(corner)]:
            fill = np.asarray(dataset.fillvalue, dataset.dtype)
            return np.broadcast_to(fill, self._chunk_shape)
        decoded = self._decoded(corner)
        if decoded is not None:
            return decoded.view(dataset.dtype).reshape(self._chunk_shape)
        values = np.zeros(self._chunk_shape, dataset.dtype)
        cell = cell_at(corner, self._chunk_shape, dataset.shape)
        values[inside(cell)] = h5py.Dataset.__getitem__(dataset, cell)
        return values

    def _index(self, corner: Shape) -> Shape:
        return tuple(i // step for i, step in zip(corner, self._chunk_shape, strict=True))

    @property
    def _is_stored(self) -> NDArray[np.bool_]:
        """Whether each chunk is stored; found once, unless the file is open for writing.

        HDF5 goes through all chunks to find one, which takes minutes for 100,000 chunks.
        """
        found = self._stored
        if found is None:
            found = stored_chunks(self._dataset)
            self._stored = found if self._is_read_only else None
        return found

    def _decoded(self, corner: Shape) -> NDArray[np.uint8] | None:
        """Return the bytes of a chunk, or None if only HDF5 can decode it."""
        mask, stored = read_chunk(self._dataset, corner)
        is_raw_edge = len(stored) == self._size and self._is_cut(corner) and bool(self._filters)
        try:
            decoded = self._bytes(mask, stored)
        except DamagedChunkError as error:
            if is_raw_edge:  # a setting of HDF5, which h5py does not show
                return None
            raise CorruptSourceError(
                f"'{self._dataset.file.filename}' is damaged: the chunk at {corner} of its dataset "
                f"'{self._dataset.name}' is not whole. {error} Copy the file again from where it "
                "was recorded."
            ) from error
        return decoded if self.can_decode and not is_raw_edge else None

    def _is_cut(self, corner: Shape) -> bool:
        ends = zip(corner, self._chunk_shape, self._dataset.shape, strict=True)
        return any(first + size > total for first, size, total in ends)

    def _bytes(self, mask: int, stored: bytes) -> NDArray[np.uint8] | None:
        """Reverse the filters of a chunk, as far as can be done here."""
        data: Any = stored
        for stage in self._stages(mask):
            if stage.number == FLETCHER32:
                data = checksum_removed(data)
            elif not stage.is_understood:
                if stage.size is not None:
                    check_chunk(stage.number, stage.settings, data, stage.size, self._item)
                return None
            elif stage.decode is not None and stage.size is not None:
                data = stage.decode(data, stage.size)
            else:
                if len(data) != stage.size:
                    raise DamagedChunkError(f"It has {len(data)} bytes instead of {stage.size}.")
                data = unshuffled(data, stage.settings[0])
        if len(data) != self._size:
            raise DamagedChunkError(f"It has {len(data)} bytes instead of {self._size}.")
        return np.frombuffer(data, np.uint8)


def _along_axis(wanted: range, size: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield the start of each chunk along an axis, and the slices of the selection and chunk."""
    done = 0
    while done < len(wanted):
        first = wanted[done]
        start = first // size * size
        stop = min(len(wanted), done + -(-(start + size - first) // wanted.step))
        last = wanted[stop - 1]
        yield start, slice(done, stop), slice(first - start, last - start + 1, wanted.step)
        done = stop


class CheckedDataset(h5py.Dataset):  # type: ignore[misc]
    """A dataset whose chunks are checked before HDF5 decodes them, or are decoded outside of it.

    Parameters
    ----------
    dataset : h5py.Dataset
        With chunks.
    kept_bytes : int
        Size of the decoded chunks that are kept.

    Raises
    ------
    CorruptSourceError
        On reading, if a chunk has another size than its shape, or cannot be decoded.
    """

    def __init__(self, dataset: h5py.Dataset, kept_bytes: int = _KEPT_BYTES) -> None:
        super().__init__(dataset.id, readonly=dataset.file.mode == "r")
        self.kept_bytes = kept_bytes
        self._chunk_reader = ChunkReader(dataset, kept_bytes)

    @property
    def reads_in_parallel(self) -> bool:
        """Return whether several threads decode chunks at once."""
        return self._chunk_reader.can_decode

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        if new_dtype is None and self.reads_in_parallel:
            found = _ranges(args, self.shape)
            if found is not None:
                ranges, dropped = found
                values = self._chunk_reader.read(ranges)
                return values[tuple(0 if is_one else slice(None) for is_one in dropped)]
        self._chunk_reader.check(_bounds(args, self.shape))
        return super().__getitem__(args, new_dtype)

    def check(self) -> None:
        """Check all chunks."""
        self._chunk_reader.check([range(size) for size in self.shape])

    def __array__(self, dtype: Any = None, copy: bool | None = True) -> NDArray[Any]:
        return np.asarray(self[()], dtype=dtype)

    def read_direct(self, dest: Any, source_sel: Any = None, dest_sel: Any = None) -> None:
        """Read into an array, as h5py does, after the chunks were checked."""
        chosen = () if source_sel is None else source_sel
        self._chunk_reader.check(_bounds(chosen, self.shape))
        super().read_direct(dest, source_sel, dest_sel)


def checked(dataset: Any, kept_bytes: int = _KEPT_BYTES) -> Any:
    """Return a dataset of HDF5 that checks its chunks when they are read; others as they are.

    Texts and references, whose values are pointers, are read whole in another process first; see
    :mod:`nwb_ophys.trial`.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.chunks is None or not dataset.size:
        return dataset
    if dataset.dtype.hasobject or getattr(dataset, "kept_bytes", None) == kept_bytes:
        return dataset
    return CheckedDataset(dataset, kept_bytes)


def check_chunks(dataset: h5py.Dataset) -> None:
    """Check all chunks of a dataset.

    Raises
    ------
    CorruptSourceError
        If a chunk has another size than its shape, or cannot be decoded.
    """
    values = checked(dataset, kept_bytes=0)
    if isinstance(values, CheckedDataset):
        values.check()


def _parts(args: Any, ndim: int) -> list[Any] | None:
    """Return one index per axis, without names of fields; None if they do not fit the axes."""
    parts = [*args] if isinstance(args, tuple) else [args]
    parts = [part for part in parts if not isinstance(part, str)]
    places = [index for index, part in enumerate(parts) if part is Ellipsis]
    if len(places) > 1 or len(parts) - len(places) > ndim:
        return None
    place = places[0] if places else len(parts)
    filled = [slice(None)] * (ndim - len(parts) + len(places))
    return [*parts[:place], *filled, *parts[place + 1 :]]


def _ranges(args: Any, shape: Shape) -> tuple[list[range], list[bool]] | None:
    """Return the range of a selection along each axis, and which axes it drops.

    Returns
    -------
    tuple or None
        None for selections that h5py itself has to read or to refuse.
    """
    if isinstance(args, str) or (isinstance(args, tuple) and any(isinstance(a, str) for a in args)):
        return None
    parts = _parts(args, len(shape))
    if parts is None:
        return None
    found: list[range] = []
    dropped: list[bool] = []
    for part, total in zip(parts, shape, strict=True):
        axis = _range(part, total)
        if axis is None:
            return None
        found.append(axis)
        dropped.append(not isinstance(part, slice))
    return found, dropped


def _range(part: Any, total: int) -> range | None:
    if isinstance(part, slice):
        try:
            start, stop, step = part.indices(total)
        except TypeError:
            return None
        return range(start, stop, step) if step > 0 else None
    if not isinstance(part, (int, np.integer)) or isinstance(part, (bool, np.bool_)):
        return None
    place = int(part) + (total if part < 0 else 0)
    return range(place, place + 1) if 0 <= place < total else None


def _bounds(args: Any, shape: Shape) -> list[range]:
    """Return ranges that hold all that a selection reads."""
    parts = _parts(args, len(shape))
    if parts is None:
        return [range(total) for total in shape]
    return [_hull(part, total) for part, total in zip(parts, shape, strict=True)]


def _hull(part: Any, total: int) -> range:
    found = _range(part, total)
    if found is not None:
        return found
    try:
        listed = np.asarray(part)
    except (TypeError, ValueError):
        return range(total)
    if listed.dtype.kind == "b" and listed.shape == (total,):
        listed = np.flatnonzero(listed)
    if listed.dtype.kind not in "iu" or not listed.size:
        return range(total)
    return range(max(int(listed.min()), 0), min(int(listed.max()) + 1, total))
