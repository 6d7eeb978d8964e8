"""Tests of what storage uses of hdmf-zarr 0.14 and Zarr 3 beyond their public names."""

from __future__ import annotations

import inspect

import hdmf_zarr
import hdmf_zarr.utils
import pytest
import zarr
from zarr.core.sync import sync

from nwb_ophys.storage.backends import zarr_guarded
from nwb_ophys.storage.hdmf.internals import RootByItsHeaders

from .conftest import VALUES


@pytest.mark.parametrize("name", ["_open_file", "_open_file_consolidated"])
def test_methods_that_are_replaced(name):
    own = inspect.signature(getattr(RootByItsHeaders, name)).parameters
    assert list(own) == list(inspect.signature(getattr(hdmf_zarr.NWBZarrIO, name)).parameters)


def test_the_settings_of_a_wrapper():
    wrapper = hdmf_zarr.ZarrDataIO(VALUES, chunks=(10, 12, 10), shards=(20, 12, 10), fillvalue=3)
    assert wrapper.io_settings == {
        "chunks": (10, 12, 10),
        "shards": (20, 12, 10),
        "fill_value": 3,
    }


def test_open_arrays_may_be_given_another_class(tmp_path):
    array = zarr.create_array(tmp_path / "a", data=VALUES)
    array.__class__ = hdmf_zarr.utils.HDMFZarrArray
    array.__class__ = type("Other", (hdmf_zarr.utils.HDMFZarrArray,), {})
    assert len(array) == len(VALUES)


def test_the_event_loop_is_that_of_zarr():
    async def answer():
        return 7

    assert sync(answer(), timeout=5) == 7


def test_each_method_of_a_store_that_changes_files_is_guarded():
    """A method that a later Zarr adds would change files without a record of those before."""
    local = zarr.storage.LocalStore
    known = {
        *("open", "get", "get_sync", "get_partial_values", "exists", "list", "list_prefix"),
        *("list_dir", "getsize", "with_read_only", "set", "set_if_not_exists", "set_sync"),
        *("delete", "delete_sync", "delete_dir", "clear", "move"),
    }
    found = {name for name in vars(local) if callable(getattr(local, name)) and name[0] != "_"}
    assert found <= known
    changing = {"set", "set_if_not_exists", "set_sync", "delete", "delete_sync", "delete_dir"}
    assert changing | {"clear", "move"} <= set(vars(zarr_guarded._GuardedLocal))
