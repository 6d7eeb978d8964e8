"""Space that the datasets of a file need, compared with the free space before they are written.

Where the datasets fit without compression, no value is read. Otherwise small pieces of the largest
datasets are encoded, and the write is refused only where that estimate does not fit either.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import DiskError, shown_size
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import backend_of_data
from nwb_ophys.storage.compression import KEEP_FILTERS
from nwb_ophys.storage.debris import size_of
from nwb_ophys.storage.error_context import while_reading
from nwb_ophys.storage.grid import Selection, cell_at, grid_shape, spread_corners
from nwb_ophys.storage.grid import size_of as num_values
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.sampling import configuration_to_encode, has_any
from nwb_ophys.storage.sources import unwrapped

# Codecs enlarge noise by so much at most; HDF5 has an entry per chunk in an index.
_LARGEST_GAIN = 1.001
_BYTES_PER_CHUNK = 128
# Each chunk of a folder is a file, which takes whole blocks of the disk.
_DISK_BLOCK = 4096
_MOST_PIECES = 16
_SHARE_OF_PIECES = 0.01
_SMALLEST_PIECE = 1 << 16
# The pieces may compress better than the rest.
_MARGIN = 1.05
# Metadata that an append changes, and with them what lies close to them.
_LARGEST_JOURNAL = 4 << 20
# File systems on which a copy may share the blocks of the original.
_SHARING = {"bcachefs", "btrfs", "cifs", "nfs4", "ocfs2", "overlay", "smb3", "xfs", "zfs"}


def check_space(
    target: Path,
    planned: Sequence[PlannedDataset],
    storage: Backend,
    root: Any,
    *,
    in_place: bool = False,
) -> None:
    """Check that planned datasets fit on the disk.

    Parameters
    ----------
    target : pathlib.Path
        File that the user asked for.
    planned : sequence of PlannedDataset
    storage : Backend
    root : object
        Open root group of the file.
    in_place : bool
        Whether the file is changed in its place, with a journal that takes space too.

    Raises
    ------
    DiskError
        If they do not fit; the message gives the space that they need and the free space.
    SourceError
        If a piece of a dataset cannot be read.
    """
    free = free_space(target.parent)
    if free is None:
        return
    is_folder = storage.single_file(root) is None
    needs = [_Need(each, storage, is_folder) for each in planned]
    needed = sum(need.most for need in needs)
    if in_place:
        needed += min(size_of(target), _LARGEST_JOURNAL)
    for need in sorted(needs, key=lambda need: need.most, reverse=True):
        if needed <= free:
            return
        needed += min(need.estimate(), need.most) - need.most
    if needed > free:
        raise _too_small(target, f"needs about {shown_size(needed)}", free)


def check_copy(target: Path) -> None:
    """Check that a copy of an existing file fits beside it, unless the two may share blocks.

    Parameters
    ----------
    target : pathlib.Path
        File or folder that is appended to, in a copy.

    Raises
    ------
    DiskError
        If it does not fit; the message gives both sizes.
    """
    free, size = free_space(target.parent), size_of(target)
    if free is not None and size > free and not _may_share_blocks(target.parent):
        need = f"is appended to in a copy of {shown_size(size)}"
        raise _too_small(target, need, free, "append with in_place=True (--in-place)")


def free_space(folder: Path) -> int | None:
    """Return the number of bytes that this user may write to a folder, or None if not known."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free if usage.total else None  # some file systems state no numbers


def _too_small(
    target: Path, need: str, free: int, remedy: str = "choose a folder on another disk"
) -> DiskError:
    return DiskError(
        f"'{target}' {need}, but the file system of '{target.parent}' has {shown_size(free)} free. "
        f"Free some space, {remedy}, or use space_check=False "
        "(--no-space-check) to write all the same.",
        errno.ENOSPC,
        os.strerror(errno.ENOSPC),
    )


@attrs.frozen
class _Need:
    """Space that one planned dataset needs."""

    planned: PlannedDataset
    storage: Backend
    is_folder: bool
    """Whether each chunk is a file."""

    @property
    def most(self) -> float:
        """Number of bytes without compression."""
        return self._stored(_LARGEST_GAIN)

    def _stored(self, share: float) -> float:
        """Return the number of bytes of all chunks that take a share of their values."""
        chunk = math.prod(self.planned.chunk_shape) * self.planned.source.dtype.itemsize
        size = chunk * share + _BYTES_PER_CHUNK
        if self.is_folder:
            size = math.ceil(size / _DISK_BLOCK) * _DISK_BLOCK
        return self._num_chunks * size

    @property
    def _num_chunks(self) -> int:
        return math.prod(grid_shape(self.planned.source.shape, self.planned.chunk_shape))

    def estimate(self) -> float:
        """Return the number of bytes, with a margin, from pieces that are encoded."""
        compression = self.planned.configuration.compression
        if compression == "none":
            return self.most
        configuration = configuration_to_encode(self.planned, self.storage)
        if compression == KEEP_FILTERS:
            data = unwrapped(self.planned.given)
            origin = backend_of_data(data)
            if origin is not None:
                return origin.stored_size(data) * _MARGIN
        source, shares = self.planned.source, []
        for piece in self._pieces():
            with while_reading(self.planned, piece):
                values = source.read(piece)
            is_absent = (source.is_sparse or source.skips_zeros) and not has_any(values)
            size = 0 if is_absent else self.storage.encoded_size(configuration, values)
            shares.append(size / (num_values(piece) * source.dtype.itemsize))
        return self._stored(float(np.mean(shares)) * _MARGIN)

    def _pieces(self) -> Iterator[Selection]:
        """Yield parts of chunks that are spread at random, together a hundredth of the values."""
        chunk, source = self.planned.chunk_shape, self.planned.source
        num_pieces = min(self._num_chunks, _MOST_PIECES)
        entry = math.prod(chunk[1:]) * source.dtype.itemsize
        size = math.prod(source.shape) * source.dtype.itemsize * _SHARE_OF_PIECES / num_pieces
        length = min(max(int(max(size, _SMALLEST_PIECE) // entry), 1), chunk[0])
        for corner in spread_corners(source.shape, chunk, num_pieces):
            yield cell_at(corner, (length, *chunk[1:]), source.shape)


def _may_share_blocks(folder: Path) -> bool:
    """Return whether the file system of a folder may let copies share blocks (Linux only)."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    kinds = {
        Path(line.split()[4].replace("\\040", " ")): line.split(" - ", 1)[1].split()[0]
        for line in lines
    }
    place = folder.resolve()
    mounted = next((each for each in (place, *place.parents) if each in kinds), None)
    return mounted is not None and kinds[mounted] in _SHARING
