"""Schemas of files for ``pynwb.validate``, prepared once and not again for each file.

Almost all files have the same schemas, which take longer than their comparison with a file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import h5py
import pynwb.validation
import pytest
from hdmf.build import BuildManager


@contextmanager
def prepared_schemas() -> Iterator[None]:
    """Prepare schemas once while the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        validation = pynwb.validation
        read = validation.get_cached_namespaces_to_validate
        patch.setattr(validation, "get_cached_namespaces_to_validate", _reading_once(read))
        patch.setattr(validation, "ValidatorMap", _making_once(validation.ValidatorMap))
        yield


def _reading_once(read: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that reads the schemas stored in a file, each text of them once."""
    known: dict[Any, Any] = {}

    def call(path: Any = None, driver: Any = None, aws_region: Any = None, io: Any = None) -> Any:
        is_hdf5 = io is None and driver is None and h5py.is_hdf5(path)
        with h5py.File(path) if is_hdf5 else nullcontext(io and io._file) as root:
            texts = _stored_schemas(root)
        if not texts:
            return read(path=path, driver=driver, aws_region=aws_region, io=io)
        if texts not in known:
            known[texts] = read(path=path, io=io)
        names, manager, dependencies = known[texts]
        return names, BuildManager(manager.type_map), dependencies

    return call


def _stored_schemas(root: Any) -> Any:
    """Return the names and the texts of the schemas in an open file; None without any."""
    if root is None or ".specloc" not in root.attrs:
        return None
    group, found = root[root.attrs[".specloc"]], {}
    if hasattr(group, "visititems"):
        group.visititems(lambda name, each: found.update({name: each}))
    else:  # of Zarr 3
        found = dict(group.members(max_depth=None))
    return tuple((name, str(each[()])) for name, each in found.items() if hasattr(each, "dtype"))


def _making_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that makes the validator of a namespace, for the latest ones once."""

    @functools.lru_cache(maxsize=4)
    def of_identity(found: _Identity) -> Any:
        return make(found.value)

    return lambda namespace: of_identity(_Identity(namespace))


class _Identity:
    """Key of an object that has no hash; equal to that of the same object only."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value
