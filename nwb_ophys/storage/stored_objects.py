"""Groups and datasets of an open file in a form that no backend determines, and their hashes.

Attributes, texts, references and small datasets are hashed one object at a time. The same contents
have the same hash in every backend, as far as backends store the same contents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import xxhash

from nwb_ophys.dtypes import PLAIN_CLASSES
from nwb_ophys.errors import LOCKED, is_locked
from nwb_ophys.storage.grid import Shape
from nwb_ophys.storage.hashes import dtype_text

_PIECE_BYTES = 1 << 22
_TEXT = "text"


@attrs.frozen(kw_only=True)
class StoredObject:
    """A group or a dataset of an open file.

    Attributes
    ----------
    path : str
        Path in the file, without a slash at the beginning; empty for the root.
    attributes : mapping of str to object
        Attributes as plain data; references are mappings with the path of their object.
    links : mapping of str to str
        Targets of the soft and external links in a group.
    further_names : mapping of str to str
        Members of a group that are listed under an earlier path, by name: hard links. Complete
        once all objects of a file were listed; not part of any hash.
    shape : tuple of int or None
        Shape of a dataset; None for a group, and for a dataset without values.
    dtype : numpy.dtype or None
        Dtype of a dataset.
    read : callable or None
        Return the values of a part along the first axis, or all with ``None``.
    error : str
        Reason for which the object cannot be read; empty if it can.
    """

    path: str
    attributes: Mapping[str, Any]
    links: Mapping[str, str] = {}
    further_names: Mapping[str, str] = {}
    shape: Shape | None = None
    dtype: np.dtype[Any] | None = None
    read: Callable[[slice | None], Any] | None = None
    error: str = ""

    @classmethod
    def unreadable(cls, path: str, error: Exception) -> StoredObject:
        """Return an object that the library cannot read."""
        return cls(path=path.strip("/"), attributes={}, error=reason_of(error))

    @property
    def is_dataset(self) -> bool:
        """Return whether the object is a dataset with values."""
        return self.read is not None

    def attributes_hash(self) -> str:
        """Return the hash of the attributes and links, in hexadecimal digits."""
        contents = {"attributes": self.attributes, "links": dict(self.links)}
        return xxhash.xxh3_128_hexdigest(canonical(contents).encode("utf-8", "surrogatepass"))

    def values_hash(self) -> str:
        """Return the hash of the values, in hexadecimal digits; large ones are read in parts."""
        assert self.read is not None
        assert self.shape is not None
        hashing = ValueHash(self.shape, self.dtype)
        if not self.shape or 0 in self.shape:
            hashing.add(self.read(None))
            return hashing.hexdigest()
        itemsize = self.dtype.itemsize if self.dtype is not None else 64
        step = max(_PIECE_BYTES // max(math.prod(self.shape[1:]) * itemsize, 1), 1)
        for start in range(0, self.shape[0], step):
            hashing.add(self.read(slice(start, min(start + step, self.shape[0]))))
        return hashing.hexdigest()


class ValueHash:
    """Hash of the values of a dataset, which are added in order.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype or None
        Dtype of numbers in any byte order; texts and other objects have any other dtype.
    """

    def __init__(self, shape: Shape, dtype: np.dtype[Any] | None) -> None:
        self._dtype = _numbers(dtype)
        kind = _TEXT if self._dtype is None else dtype_text(self._dtype)
        self._state: Any = xxhash.xxh3_128(json.dumps([kind, list(shape)]).encode())

    def add(self, values: Any) -> None:
        """Add values in C order."""
        if self._dtype is not None:
            ordered = np.ascontiguousarray(np.asarray(values).astype(self._dtype, copy=False))
            self._state.update(ordered.reshape(-1).view(np.uint8))
            return
        for value in np.asarray(values, dtype=object).reshape(-1):
            text = canonical(plain(value)).encode("utf-8", "surrogatepass")
            self._state.update(len(text).to_bytes(8, "little"))
            self._state.update(text)

    def hexdigest(self) -> str:
        """Return the hash in hexadecimal digits."""
        return self._state.hexdigest()


def reason_of(error: Exception) -> str:
    """Return an error in one line of limited length."""
    if is_locked(error):
        return LOCKED
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _numbers(dtype: np.dtype[Any] | None) -> np.dtype[Any] | None:
    """Return the little-endian dtype of numbers, or of records of numbers; None for others."""
    if dtype is None:
        return None
    kinds = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    if not all(kind.kind in "biufc" and kind.shape == () for kind in kinds):
        return None
    if dtype.names is None:
        return dtype.newbyteorder("<")
    return np.dtype([(name, dtype[name].newbyteorder("<")) for name in dtype.names])


def plain(value: Any, reference: Callable[[Any], Any] | None = None) -> Any:
    """Return a value as data that JSON has: texts, numbers, lists and mappings.

    Parameters
    ----------
    value : object
    reference : callable, optional
        Return a reference of the backend as plain data, and other objects unchanged.
    """
    if type(value) in PLAIN_CLASSES:  # most values are, and no reference is
        return value
    if reference is not None:
        value = reference(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.void) and value.dtype.names is not None:
        return {name: plain(value[name], reference) for name in value.dtype.names}
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(item, reference) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item(), reference)
    if isinstance(value, Mapping):
        return {str(key): plain(item, reference) for key, item in value.items()}
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def canonical(contents: Any) -> str:
    """Return plain data as the one text that describes them."""
    text = json.dumps(contents, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Bytes of a file name that are not UTF-8 become codes, which readers of JSON decode.
    return text.encode("utf-8", "backslashreplace").decode()


@attrs.frozen(kw_only=True)
class Inventory:
    """Objects of an open file at one time.

    Attributes
    ----------
    attributes : dict of str to str
        Hashes of the attributes by path.
    shapes : dict of str to tuple of int
        Shapes of the datasets by path.
    """

    attributes: dict[str, str]
    shapes: dict[str, Shape]

    @classmethod
    def of(cls, objects: Iterator[StoredObject]) -> Inventory:
        """Return the inventory of some objects."""
        attributes, shapes = {}, {}
        for each in objects:
            attributes[each.path] = each.attributes_hash()
            if each.shape is not None:
                shapes[each.path] = each.shape
        return cls(attributes=attributes, shapes=shapes)
