"""Tests of the managers for new files, which share a map of types, and of the stored schemas."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from hdmf.build import ObjectMapper, TypeMap
from pynwb import NWBHDF5IO, TimeSeries, get_type_map
from pynwb.spec import NWBGroupSpec, NWBNamespaceBuilder

from nwb_ophys.storage import create_nwbfile
from nwb_ophys.storage.backends.registry import BACKENDS
from nwb_ophys.storage.hdmf.managers import make_manager

from .conftest import new_file


@pytest.fixture
def global_map(monkeypatch: pytest.MonkeyPatch) -> TypeMap:
    """Map of types in the place of pynwb's own, which the test may change."""
    own = get_type_map()

    def get(copy: bool = True) -> TypeMap:
        # As pynwb does.
        return own.__copy__() if copy else own

    monkeypatch.setattr(pynwb, "get_type_map", get)
    return own


def _extension(folder: Path) -> str:
    """Write an extension with a type of series; return the path of its namespace."""
    builder = NWBNamespaceBuilder("An extension.", "ndx-own", version="0.1.0")
    builder.include_namespace("core")
    series = NWBGroupSpec(
        "A series.", neurodata_type_def="OwnSeries", neurodata_type_inc="TimeSeries"
    )
    builder.add_spec("own.yaml", series)
    builder.export("own.namespace.yaml", outdir=str(folder))
    return str(folder / "own.namespace.yaml")


def test_managers_share_the_map_but_no_builders():
    one, other = make_manager(), make_manager()
    assert one is not other
    assert one.type_map is other.type_map
    assert one.type_map is not get_type_map(copy=False)


def test_an_extension_that_is_loaded_later_is_known_and_stored(global_map, tmp_path):
    assert "ndx-own" not in make_manager().namespace_catalog.namespaces
    global_map.load_namespaces(_extension(tmp_path))
    cls = global_map.get_dt_container_cls("OwnSeries", "ndx-own")
    nwbfile = new_file()
    nwbfile.add_acquisition(cls(name="a", data=np.arange(3), unit="m", rate=1.0))
    create_nwbfile(nwbfile, tmp_path / "a.nwb")
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert pynwb.validate(io=io) == []
        assert type(io.read().acquisition["a"]).__name__ == "OwnSeries"
    with h5py.File(tmp_path / "a.nwb") as file:
        assert "own" in file["specifications/ndx-own/0.1.0"]


def test_a_mapper_that_is_registered_later_is_used(global_map):
    first = make_manager()
    series = TimeSeries(name="a", data=[1], unit="m", rate=1.0)
    assert not isinstance(first.type_map.get_map(series), _Mapper)
    global_map.register_map(TimeSeries, _Mapper)
    assert isinstance(make_manager().type_map.get_map(series), _Mapper)


class _Mapper(ObjectMapper):
    """Mapper of another package."""


def test_the_stored_schemas_are_those_of_pynwb(tmp_path):
    create_nwbfile(new_file(), tmp_path / "ours.nwb")
    with NWBHDF5IO(tmp_path / "theirs.nwb", "w") as io:
        io.write(new_file())
    ours, theirs = (_schemas(tmp_path / f"{name}.nwb") for name in ("ours", "theirs"))
    assert ours == theirs
    assert {place.split("/")[0] for place in ours} == {"core", "hdmf-common", "hdmf-experimental"}


def _schemas(path: Path) -> dict[str, object]:
    found = {}
    with h5py.File(path) as file:
        group = file[file.attrs[".specloc"]]
        assert group.name == "/specifications"

        def visit(name, each):
            if isinstance(each, h5py.Dataset):
                found[name] = (each.shape, each.dtype, json.loads(each[()]))

        group.visititems(visit)
    return found


def test_schemas_are_not_made_again(tmp_path, monkeypatch):
    create_nwbfile(new_file(), tmp_path / "a.nwb")
    from hdmf.backends import utils

    def convert(*_, **__):
        raise AssertionError

    monkeypatch.setattr(utils.NamespaceToBuilderHelper, "convert_namespace", convert)
    create_nwbfile(new_file(), tmp_path / "b.nwb")
    assert _schemas(tmp_path / "a.nwb") == _schemas(tmp_path / "b.nwb")


def _opened_map(path, backend):
    with BACKENDS[backend].open(path, "r") as io:
        assert io.read().acquisition["a"].rate == 1.0
        return io.manager.type_map


def _rename_core(path, backend, name):
    if backend == "zarr":
        (folder,) = (each for each in (path / "specifications/core").iterdir() if each.is_dir())
        folder.rename(folder.with_name(name))
        (path / ".zmetadata").unlink()
        return
    with h5py.File(path, "a") as file:
        group = file["specifications/core"]
        (version,) = group
        group.move(version, name)


@pytest.mark.filterwarnings("ignore")
def test_files_share_the_map_unless_they_store_other_schemas(tmp_path, target, backend):
    create_nwbfile(new_file(a=np.arange(3)), target, backend=backend)
    assert _opened_map(target, backend) is make_manager().type_map
    _rename_core(target, backend, "2.0.0")
    assert _opened_map(target, backend) is not make_manager().type_map


def test_a_type_that_only_the_file_knows_is_read(tmp_path, target, backend):
    """hdmf makes a class of the schema in the file; the shared map does not get it."""
    code = (
        "import sys, numpy as np, pynwb; sys.path.insert(0, sys.argv[1])\n"
        "from conftest import new_file\n"
        "from nwb_ophys.storage import create_nwbfile\n"
        "pynwb.load_namespaces(sys.argv[2])\n"
        "nwbfile = new_file()\n"
        "own = pynwb.get_class('OwnSeries', 'ndx-own')\n"
        "nwbfile.add_acquisition(own(name='a', data=np.arange(3), unit='m', rate=1.0))\n"
        "create_nwbfile(nwbfile, sys.argv[3], backend=sys.argv[4])\n"
    )
    given = [Path(__file__).parent, _extension(tmp_path), target, backend]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, *map(str, given)], check=True)
    with BACKENDS[backend].open(target, "r") as io:
        assert type(io.read().acquisition["a"]).__name__ == "OwnSeries"
    assert "ndx-own" not in make_manager().namespace_catalog.namespaces
