"""Arrays in ``.npy`` files."""

from __future__ import annotations

import math
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, UnsafePickleError
from nwb_ophys.filetypes.files import COPY_AGAIN, require_file, unreadable_file
from nwb_ophys.filetypes.mapped import mapped_rows
from nwb_ophys.filetypes.pickles import load_pickle, unsafe_pickle
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.outside import check_file
from nwb_ophys.remote.arrays import whole_array
from nwb_ophys.remote.paths import RemotePath

# An array of this size never compresses so well.
_LARGE_MEMBER, _DENSEST_MEMBER = 1 << 27, 200


@attrs.frozen(kw_only=True)
class NpyHeader:
    """Header of a ``.npy`` file.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    is_fortran : bool
        Whether the first axis is the fastest in the file.
    offset : int
        Position of the first number, in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    offset: int

    @property
    def num_bytes(self) -> int:
        """Size of the complete file, in bytes."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(path: Path) -> NpyHeader | None:
    """Read the header of a ``.npy`` file of plain numbers; return None if it has none."""
    try:
        check_file(path)
        with path.open("rb", buffering=0) as file:
            return _read_header(file)
    except OSError:
        return None


def _read_header(file: Any) -> NpyHeader | None:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read(file)
        found = NpyHeader(shape=shape, dtype=dtype, is_fortran=is_fortran, offset=file.tell())
    except Exception:  # NumPy parses the header as Python, whose errors are of many classes
        return None
    return None if found.dtype.hasobject else found


def npy_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of the array in a ``.npy`` file, of which only the header is read.

    Raises
    ------
    SourceError
        As for :func:`load_npy`.
    """
    header = read_npy_header(path)
    if header is None or path.stat().st_size != header.num_bytes:
        return load_npy(path).shape  # with the error, or the warning
    return header.shape


def load_npy_movie(path: Path, *, allow_truncated: bool = False) -> Any:
    """Open a ``.npy`` file whose first axis is time, as a memory map.

    One in an object store is read by ranges of its frames.

    Parameters
    ----------
    path : pathlib.Path
    allow_truncated : bool
        Whether to read the complete frames of a truncated file, with a UserWarning.

    Raises
    ------
    SourceError
        As for :func:`load_npy`; of a truncated file with the number of complete frames.
    """
    require_file(path, "a .npy file", folder_error=CorruptSourceError)
    header, size = read_npy_header(path), path.stat().st_size
    if header is None or len(header.shape) < 2 or size >= header.num_bytes:
        if header is None or not isinstance(path, RemotePath):
            return load_npy(path)
        _warn_of_rest(path)
        return _frames(path, header, header.shape)
    evidence = f"it has {size} bytes of {header.num_bytes}"
    if header.is_fortran:
        raise CorruptSourceError(
            f"'{path}' is truncated ({evidence}): its order is that of Fortran, in which time is "
            f"the fastest axis, so no frame is complete. To repair it, {COPY_AGAIN}."
        )
    frame_bytes = max(math.prod(header.shape[1:]) * header.dtype.itemsize, 1)
    count = max(size - header.offset, 0) // frame_bytes
    if not count:
        raise nothing_complete(path, reason=evidence)
    report_truncated(path, count, header.shape[0], allow=allow_truncated, reason=evidence)
    return _frames(path, header, (count, *header.shape[1:]))


def _frames(path: Path, header: NpyHeader, shape: tuple[int, ...]) -> Any:
    if header.is_fortran or len(shape) < 2 or not all(shape):
        return load_npy(path)
    return mapped_rows(path, header.dtype, shape, header.offset)


def check_characters(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array, after a check that its texts consist of characters of Unicode.

    NumPy and Python accept some numbers that are no characters, and fail when they are encoded.

    Raises
    ------
    ValueError
    """
    if values.dtype.kind == "U" and values.size:
        codes = np.frombuffer(values.astype(values.dtype.newbyteorder("=")).tobytes(), np.uint32)
        if codes.max(initial=0) > sys.maxunicode:
            raise ValueError("its text has characters that do not exist.")
    return values


def check_npz(path: Path) -> None:
    """Check that the arrays of a ``.npz`` file fit into their members, before one is inflated.

    Raises
    ------
    ValueError, OSError, zipfile.BadZipFile
        With the member and its sizes; or when the file is no archive.
    """
    with path.open("rb") as opened, zipfile.ZipFile(opened) as archive:
        for member in archive.infolist():
            size, packed = member.file_size, member.compress_size
            if size > max(_LARGE_MEMBER, packed * _DENSEST_MEMBER):
                raise ValueError(f"'{member.filename}' claims {size} bytes, packed to {packed}.")
            with archive.open(member) as file:
                header = _read_header(file)
            if header is not None and header.num_bytes > size:
                raise ValueError(
                    f"'{member.filename}' claims the shape {header.shape}, but has {size} bytes."
                )


def _warn_of_rest(path: Path) -> None:
    """Warn of bytes behind the array that the header states, whose shape may be damaged."""
    header, size = read_npy_header(path), path.stat().st_size
    if header is not None and size > header.num_bytes:
        warnings.warn(
            f"'{path}' has {size} bytes, but its header states the shape {header.shape}, which "
            f"takes {header.num_bytes}; the {size - header.num_bytes} bytes behind it are not "
            f"read. If the array was larger, {COPY_AGAIN}.",
            UserWarning,
            stacklevel=4,
        )


def _load_objects(path: Path, *, is_trusted: bool) -> NDArray[Any]:
    """Load a file that may hold Python objects."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            dtype = read(file)[2] if read is not None else None
        except ValueError:
            dtype = None
        if dtype is None or not dtype.hasobject:
            in_store = isinstance(path, RemotePath)
            # In memory, where the readers of a few numbers may change them.
            found = _load_numbers(path) if in_store else np.load(path, allow_pickle=False)
            return check_characters(found)
        found = load_pickle(file, is_trusted=is_trusted)
    if not isinstance(found, np.ndarray):
        raise UnsafePickleError("holds no array.")
    return found


def _load_numbers(path: Path) -> NDArray[Any]:
    """Open a file of plain numbers as a memory map; one in an object store is fetched."""
    if not isinstance(path, RemotePath):
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    header, size = read_npy_header(path), path.stat().st_size
    if header is None:
        with path.open("rb") as file:
            return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]
    if size < header.num_bytes:
        raise ValueError(f"it has {size} bytes of {header.num_bytes}")
    order = "F" if header.is_fortran else "C"
    return whole_array(path, header.dtype, header.shape, header.offset, order)


def load_npy(path: Path, *, allow_pickle: bool = False, is_trusted: bool = False) -> NDArray[Any]:
    """Open a ``.npy`` file, as a memory map if it holds plain numbers.

    Parameters
    ----------
    path : pathlib.Path
    allow_pickle : bool
        Whether it may hold Python objects: plain data, whose paths are read as texts.
    is_trusted : bool
        Whether the objects may be of any kind, which can run code when they are loaded.

    Raises
    ------
    SourceNotFoundError
        When it does not exist.
    CorruptSourceError
        When it is truncated, or is not a ``.npy`` file.
    UnsafePickleError
        When it holds more than plain data and is not trusted.
    """
    require_file(path, "a .npy file", folder_error=CorruptSourceError)
    _warn_of_rest(path)
    try:
        if not allow_pickle:
            return check_characters(_load_numbers(path))
        return _load_objects(path, is_trusted=is_trusted)
    except UnsafePickleError as error:
        raise unsafe_pickle(path, error) from None
    except Exception as error:  # unpickling a damaged file can raise anything
        raise unreadable_file(path, "a .npy file", error) from error
