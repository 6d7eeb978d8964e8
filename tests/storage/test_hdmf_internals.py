"""Tests of the private attributes of hdmf, pynwb, hdmf-zarr, zarr and numcodecs that storage uses.

A new version of one of these packages may rename them. Each test names the attribute and the file
that uses it, so that the failure says what to change.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import h5py
import numcodecs.blosc
import numpy as np
import pynwb
import pytest
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.build import DatasetBuilder
from hdmf.common import VectorData
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator
from hdmf.query import HDMFDataset
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys.storage.hdmf import internals
from nwb_ophys.storage.hdmf.placeholders import BuilderHook

from .conftest import VALUES, new_file

PACKAGE = Path(nwb_ophys.__file__).parent
# Private attributes that are neither of hdmf nor of the object's own class, with their reasons.
OTHER_PACKAGES = {
    # Of Python; they are documented.
    ("_exit", "cli/signals.py"),
    ("_exit", "trial/child.py"),
    ("_exit", "storage/children.py"),
    ("_replace", "formats/bruker/lost_images.py"),
    ("_replace", "formats/bruker/reader.py"),
    ("_getframe", "cli/__init__.py"),
    ("_chunk_key", "storage/backends/zarr.py"),  # of zarr.Array; tested below
    ("_parent_segmentation", "rois/pixel_sources.py"),  # of roiextractors
}


class Blocks(GenericDataChunkIterator):
    """Iterator with random access."""

    def _get_data(self, selection):
        return VALUES[selection]

    def _get_maxshape(self):
        return VALUES.shape

    def _get_dtype(self):
        return VALUES.dtype


def check(owner, name, used_in):
    kind = owner if isinstance(owner, type) else type(owner)
    package = kind.__module__.split(".")[0]
    version = getattr(importlib.import_module(package), "__version__", "?")
    assert hasattr(owner, name), (
        f"{package} {version}: {kind.__name__} no longer has {name}, used in "
        f"nwb_ophys/storage/{used_in}"
    )


def column():
    return VectorData(name="a", description="b", data=[1])


@pytest.mark.parametrize(
    ("make", "name", "used_in"),
    [
        (
            lambda: VectorData(name="a", description="b", data=[1]),
            "_Data__data",
            "hdmf/internals.py",
        ),
        (lambda: DatasetBuilder("a", 1), "_DatasetBuilder__dtype", "hdmf/internals.py"),
        (lambda: HDMFDataset(VALUES), "_HDMFDataset__dataset", "hdmf/internals.py"),
        (new_file, "_AbstractContainer__container_source", "hdmf/internals.py"),
        (lambda: H5DataIO(VALUES), "io_settings", "hdmf/internals.py"),
        (Blocks, "_get_data", "hdmf/iterators.py"),
        (Blocks, "_get_default_chunk_shape", "hdmf/iterators.py"),
        (Blocks, "buffer_shape", "hdmf/iterators.py"),
        (Blocks, "num_buffers", "hdmf/iterators.py"),
        (Blocks, "display_progress", "hdmf/iterators.py"),
        (lambda: DataChunkIterator([1]), "chunk_index", "hdmf/iterators.py"),
        (lambda: DataChunkIterator([1]), "buffer_size", "hdmf/iterators.py"),
        (lambda: DataChunkIterator([1]), "iter_axis", "hdmf/iterators.py"),
        (lambda: NWBHDF5IO, "write_builder", "hdmf/placeholders.py"),
    ],
)
def test_attributes_of_hdmf(make, name, used_in):
    check(make(), name, used_in)


def test_the_open_file_of_an_io(tmp_path):
    with NWBHDF5IO(tmp_path / "a.nwb", "w") as io:
        check(io, "_file", "hdmf/internals.py")
        assert isinstance(internals.root_of(io), h5py.File)


def test_attributes_of_hdmf_zarr(tmp_path):
    hdmf_zarr = pytest.importorskip("hdmf_zarr")
    check(hdmf_zarr.NWBZarrIO, "write_builder", "hdmf/placeholders.py")
    check(hdmf_zarr.ZarrDataIO(VALUES), "io_settings", "hdmf/internals.py")
    with hdmf_zarr.NWBZarrIO(str(tmp_path / "a.nwb.zarr"), "w") as io:
        check(io, "_file", "hdmf/internals.py")
        check(io, "_ZarrIO__codec_cls", "hdmf/internals.py")
        array = io._file.create_dataset("a", data=VALUES, chunks=(4, *VALUES.shape[1:]))
        check(array, "_chunk_key", "backends/zarr.py")
        check(array, "chunk_store", "backends/zarr.py")
        check(array.chunk_store, "_tofile", "hdmf/internals.py")


def test_the_lock_of_numcodecs():
    assert hasattr(numcodecs.blosc, "use_threads"), (
        f"numcodecs {numcodecs.__version__}: blosc no longer has use_threads, used in "
        "nwb_ophys/storage/threads.py"
    )


@pytest.mark.parametrize(
    "name",
    [
        "_TypeMap__ns_dt_to_container_cls",
        "_TypeMap__mapper_cls",
        "_TypeMap__class_generator_manager",
    ],
)
def test_the_state_of_a_map_of_types(name):
    check(pynwb.get_type_map(), name, "hdmf/internals.py")


def test_a_wrapper_reads_its_settings_from_the_dictionary():
    wrapper = H5DataIO(VALUES)
    internals.settings_of(wrapper)["shuffle"] = True
    assert wrapper.io_settings["shuffle"] is True


def test_data_are_replaced():
    owner = column()
    internals.replace_data(owner, np.arange(3))
    assert owner.data.tolist() == [0, 1, 2]


def test_fields_are_forgotten():
    builder = DatasetBuilder("a", VALUES, dtype="int16")
    internals.forget_fields(builder)
    assert builder.dtype is None


def test_the_file_of_an_object_is_forgotten(tmp_path):
    nwbfile = new_file()
    with NWBHDF5IO(tmp_path / "a.nwb", "w") as io:
        io.write(nwbfile)
    assert nwbfile.container_source is not None
    internals.forget_file(nwbfile)
    assert nwbfile.container_source is None
    assert nwbfile.modified


def test_the_codec_of_objects_is_set(tmp_path):
    hdmf_zarr = pytest.importorskip("hdmf_zarr")
    with hdmf_zarr.NWBZarrIO(str(tmp_path / "a.nwb.zarr"), "w") as io:
        internals.set_object_codec(io, numcodecs.JSON)
        assert io._ZarrIO__codec_cls is numcodecs.JSON


def test_a_store_writes_its_files_with_a_function(tmp_path):
    zarr = pytest.importorskip("zarr")
    store, written = zarr.DirectoryStore(str(tmp_path)), []

    def write(content, path):
        written.append(Path(path).name)
        Path(path).write_bytes(content)

    internals.write_files_with(store, write)
    store["a/0"] = b"content"
    assert (tmp_path / "a" / "0").read_bytes() == b"content"
    assert len(written) == 1


def test_the_hook_is_called_with_the_tree(tmp_path):
    hooked = type("Hooked", (BuilderHook, NWBHDF5IO), {})
    trees = []
    with hooked(str(tmp_path / "a.nwb"), "w") as io:
        io.before_writing = trees.append
        io.write(new_file())
    assert [tree.name for tree in trees] == ["root"]


def private_attributes_of_others():
    """Yield each private attribute of objects whose class is not in the same file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        used = [node for node in used if node.attr.startswith("_") and node.attr[-2:] != "__"]
        own = {node.attr for node in used if ast.unparse(node.value) in ("self", "cls")}
        for name in {node.attr for node in used} - own:
            yield name, where


def test_private_attributes_are_used_in_one_room_only():
    found = {
        (name, where)
        for name, where in private_attributes_of_others()
        if not where.startswith("storage/hdmf/")
    }
    assert found <= OTHER_PACKAGES, f"Move to storage/hdmf: {sorted(found - OTHER_PACKAGES)}."


def test_settings_of_wrappers_are_used_in_one_room_only():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if ".io_settings" in path.read_text(encoding="utf-8")
    }
    assert users == {"storage/hdmf/internals.py"}


def test_every_mangled_attribute_is_named_here():
    """A private attribute that is added to the room needs a test above."""
    here = Path(__file__).read_text(encoding="utf-8")
    for name, where in private_attributes_of_others():
        if where.startswith("storage/hdmf/"):
            assert f'"{name}"' in here, f"{where} uses {name}, which no test names."
