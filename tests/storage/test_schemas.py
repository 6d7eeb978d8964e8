"""Tests of the schemas that a file stores: those of hdmf, stored once."""

from __future__ import annotations

import h5py
from hdmf_zarr import NWBZarrIO
from pynwb import NWBHDF5IO, TimeSeries

from nwb_ophys.storage import WriteOptions, append_to_nwbfile, create_nwbfile

from .conftest import VALUES, new_file, snapshot


def _texts(path):
    found = {}
    with h5py.File(path) as file:
        schemas = file[file.attrs[".specloc"]]
        schemas.visititems(
            lambda name, each: (
                found.update({name: each[()]}) if isinstance(each, h5py.Dataset) else None
            )
        )
    return found


def test_schemas_of_hdf5_are_those_of_hdmf(tmp_path):
    own, theirs = tmp_path / "own.nwb", tmp_path / "theirs.nwb"
    create_nwbfile(new_file(a=VALUES), own, backend="hdf5")
    with NWBHDF5IO(theirs, "w") as io:
        io.write(new_file(a=VALUES))
    assert len(_texts(own)) > 10
    assert _texts(own) == _texts(theirs)


def test_schemas_of_zarr_are_those_of_hdmf_zarr(tmp_path):
    own, theirs = tmp_path / "own.nwb.zarr", tmp_path / "theirs.nwb.zarr"
    with NWBZarrIO(str(theirs), "w") as io:
        io.write(new_file(a=VALUES))
    for _ in range(2):  # the second file gets the texts of the first one
        create_nwbfile(new_file(a=VALUES), own, backend="zarr", overwrite=True)
        assert len(snapshot(own / "specifications")) > 30
        assert snapshot(own / "specifications") == snapshot(theirs / "specifications")


def test_an_append_to_a_store_leaves_its_schemas_alone(tmp_path):
    path = tmp_path / "a.nwb.zarr"
    create_nwbfile(new_file(a=VALUES), path, backend="zarr")
    parts = sorted((path / "specifications").rglob("*"))
    before = [each.stat().st_ino for each in parts]
    added = TimeSeries(name="b", data=VALUES, unit="a", rate=1.0)
    append_to_nwbfile(
        path,
        lambda nwbfile: nwbfile.add_acquisition(added),
        options=WriteOptions(in_place=True, workers=0),
    )
    assert (path / "acquisition" / "b").is_dir()
    assert [each.stat().st_ino for each in parts] == before
