"""HDF5 files in object stores are read while the collector rests."""

from __future__ import annotations

import gc
import io
import threading

import h5py

from nwb_ophys.storage.backends.hdf5_opening import CalmReader
from nwb_ophys.storage.backends.registry import get_backend


class _Fetching(io.BytesIO):
    """Object whose bytes another thread fetches, as fsspec does, and which may collect or not."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.might_collect: list[bool] = []

    def read(self, size: int | None = -1) -> bytes:
        thread = threading.Thread(target=lambda: self.might_collect.append(gc.isenabled()))
        thread.start()
        thread.join()
        return super().read(size)


def test_a_thread_that_fetches_for_hdf5_collects_nothing(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["neurodata_type"] = "NWBFile"
        file["values"] = range(1000)
    fetching = _Fetching((tmp_path / "a.nwb").read_bytes())
    assert gc.isenabled()
    assert get_backend("hdf5").type_in_object(fetching) == "NWBFile"
    assert fetching.might_collect
    assert not any(fetching.might_collect)
    assert gc.isenabled()


def test_all_of_a_file_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"] = range(1000)
    with (
        (tmp_path / "a.h5").open("rb") as opened,
        h5py.File(CalmReader(opened), "r") as file,
    ):
        assert file["values"][:].tolist() == list(range(1000))
