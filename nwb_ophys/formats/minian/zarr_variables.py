"""Reader of variables that xarray saved as Zarr, one store each, without xarray.

The store of a variable holds an array of its name, and beside it one for each coordinate. The
attribute ``_ARRAY_DIMENSIONS`` (``dimension_names`` in Zarr format 3) names the axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import CorruptSourceError, SourceError, shown
from nwb_ophys.filetypes.npy import check_characters
from nwb_ophys.optional import require_package
from nwb_ophys.outside import check_file
from nwb_ophys.storage import check_complete
from nwb_ophys.storage.backends.zarr_claims import check_chunks_of, check_header, opening_array
from nwb_ophys.storage.backends.zarr_parts import absent_chunks

_HEADERS = (".zarray", "zarr.json")


def read_zarr_shape(folder: Path) -> tuple[int, ...] | None:
    """Return the shape that the header of a Zarr array states; None where there is no array.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array. Only its header is read, and Zarr is not imported.
    """
    for name in _HEADERS:
        try:
            check_file(folder / name)
            shape = parse_source_json(read_limited(folder / name))["shape"]
            return tuple(int(size) for size in shape)
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return None


@attrs.frozen(kw_only=True, eq=False)
class ZarrVariable:
    """A variable in a store of its own, read on request.

    Attributes
    ----------
    store : pathlib.Path
        The store, such as ``A.zarr``.
    name : str
    array : zarr.Array
    axes : tuple of int
        The array's axes in the reader's order.
    """

    store: Path
    name: str
    array: Any = attrs.field(repr=False)
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, with the axes in the reader's order."""
        return tuple(int(self.array.shape[axis]) for axis in self.axes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk, with the axes in the reader's order."""
        return tuple(int(self.array.chunks[axis]) for axis in self.axes)

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        selected = selection if isinstance(selection, tuple) else (selection,)
        selected += (slice(None),) * (self.ndim - len(selected))
        stored: list[Any] = [slice(None)] * self.ndim
        for axis, part in zip(self.axes, selected, strict=True):
            stored[axis] = part
        values = _read(self.store / self.name, self.array, tuple(stored))
        # An integer drops its axis.
        kept = [axis for axis, part in zip(self.axes, selected, strict=True) if _is_slice(part)]
        return np.transpose(values, np.argsort(np.argsort(kept)))

    def coordinate(self, name: str) -> NDArray[Any] | None:
        """Return a coordinate of the variable; None where the store lacks it."""
        array = _open(self.store / name)
        return None if array is None else _read(self.store / name, array, ...)

    def check_complete(self) -> None:
        """Check that all chunks have a file, in whose place Zarr would read zeros.

        Raises
        ------
        CorruptSourceError
            Names the frames of those that have none.
        """
        check_complete(self.array)

    def parts_of_absent_chunks(self) -> list[int]:
        """Return the indices along the first axis at which chunks have no file."""
        return [] if self.axes[0] else sorted(absent_chunks(self.array))

    def num_missing_chunks(self) -> tuple[int, int]:
        """Return the number of chunks without a file, which Zarr reads as zeros, and of all chunks.

        A writer may leave out chunks of zeros.
        """
        total = int(self.array.nchunks)
        return total - int(self.array.nchunks_initialized), total


def open_zarr_variable(
    store: Path, dimensions: Sequence[str], saved: Sequence[str] | None = None
) -> ZarrVariable | None:
    """Open the variable that is named like its store.

    Parameters
    ----------
    store : pathlib.Path
        Such as ``A.zarr``.
    dimensions : sequence of str
        Names of the axes, in the requested order.
    saved : sequence of str, optional
        The saved order, for files that do not state it; ``dimensions`` by default.

    Returns
    -------
    ZarrVariable or None
        None where the folder is absent.

    Raises
    ------
    CorruptSourceError
        When the store lacks an array of its name, or the array has other axes.
    """
    if not store.is_dir():
        return None
    name = store.name.removesuffix(".zarr")
    array = _open(store / name)
    if array is None:
        raise CorruptSourceError(
            f"'{store}' has no array '{name}'; the folder is incomplete. Copy it again."
        )
    stated = _dimension_names(store / name, array)
    if stated is None and array.ndim == len(dimensions):
        stated = list(saved or dimensions)
    if stated is None or sorted(stated) != sorted(dimensions):
        raise CorruptSourceError(
            f"'{store / name}' has the axes {stated or array.shape}; they must be "
            f"{', '.join(dimensions)}."
        )
    axes = tuple(stated.index(dimension) for dimension in dimensions)
    return ZarrVariable(store=store, name=name, array=array, axes=axes)


def _is_slice(part: Any) -> bool:
    return isinstance(part, slice)


def _open(folder: Path) -> Any:
    # Imported here, with asyncio, which detection does without.
    from nwb_ophys.storage.backends.zarr_guarded import reading_store

    zarr = require_package("zarr", "minian")
    if not any((folder / name).is_file() for name in _HEADERS):
        return None
    with opening_array(folder):
        check_header(folder)
        return zarr.open_array(reading_store(folder), mode="r")


def _read(folder: Path, array: Any, selection: Any) -> NDArray[Any]:
    try:
        parts = (slice(None),) * array.ndim if selection is ... else selection
        check_chunks_of(array, parts)
        return check_characters(np.asarray(array[selection]))
    except SourceError:  # of an object store, which names the object
        raise
    except Exception as error:  # a damaged chunk can raise anything
        raise CorruptSourceError(
            f"'{folder}' cannot be read: {shown(error)}. It may be damaged; copy it again."
        ) from error


def _dimension_names(folder: Path, array: Any) -> list[str] | None:
    try:  # in format 2, attributes have a file of their own
        names = array.attrs.get("_ARRAY_DIMENSIONS")
    except Exception as error:  # damaged attributes can raise anything
        raise CorruptSourceError(
            f"The attributes of '{folder}' cannot be read: {shown(error)}. They may be damaged; "
            "copy it again."
        ) from error
    if names is None:
        names = getattr(getattr(array, "metadata", None), "dimension_names", None)
    return None if names is None else [str(name) for name in names]
