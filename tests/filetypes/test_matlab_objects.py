"""Optional members of MATLAB files that are objects, cells or texts instead of arrays."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from nwb_ophys.filetypes.matlab.variables import MatlabFile
from nwb_ophys.formats.cnmfe.reader import CnmfeExtractor
from nwb_ophys.formats.extract.reader import ExtractExtractor
from nwb_ophys.formats.suite2p.fall import FallFile
from nwb_ophys.simulation.recording import simulate_recording
from nwb_ophys.testing import write_cnmfe, write_extract

RECORDING = simulate_recording(num_samples=6, num_rows=32, num_columns=32, num_cells=2)
# A number in whose place an object is written.
PLACE = np.pi * 1e7
VERSIONS = ("5", "7.3")


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def _object(class_name: bytes, name: str) -> bytes:
    """Return an object of one of MATLAB's classes, as version 5 stores it; unnamed in a struct."""
    numbers = np.array([0xDD000000, 2, 1, 1, 1, 1], "<u4").tobytes()
    place = _element(6, struct.pack("<II", 13, 0)) + _element(5, struct.pack("<ii", 6, 1))
    place = _element(14, place + _element(1, b"") + _element(6, numbers))
    head = _element(6, struct.pack("<II", 17, 0)) + _element(1, name.encode())
    return _element(14, head + _element(1, b"MCOS") + _element(1, class_name) + place)


def _with_objects(data: bytes, class_name: bytes, names: Sequence[str] = ()) -> bytes:
    """Return elements of version 5 with an object in each place."""
    parts, place, key, rest = [], 0, struct.pack("<d", PLACE), list(names)
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place)
        size = 0 if kind >> 16 else size
        end = place + 8 + size + -size % 8
        body = data[place + 8 : place + 8 + size]
        name = rest.pop(0) if rest else ""
        if kind == 14 and key in body:
            is_number = len(body) < 80
            inner = _object(class_name, name) if is_number else _with_objects(body, class_name)
            parts.append(inner if is_number else _element(14, inner))
        else:
            parts.append(data[place:end])
        place = end
    return b"".join(parts)


def _tree(value: Any) -> Any:
    """Return what scipy read as the dictionaries that it writes."""
    if isinstance(value, np.ndarray) and value.dtype.names:
        return {name: _tree(value[0, 0][name]) for name in value.dtype.names}
    return value


def with_object(path: Path, class_name: str, *places: str) -> Path:
    """Replace members of a MATLAB file of either version by objects."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "r+") as file:
            for place in places:
                if place in file:
                    del file[place]
                file[place] = np.array([[0xDD000000, 2, 1, 1, 1, 1]], np.uint32)
                file[place].attrs["MATLAB_class"] = np.bytes_(class_name)
                file[place].attrs["MATLAB_object_decode"] = np.int32(3)
        return path
    found = scipy.io.loadmat(path)
    found = {name: _tree(each) for name, each in found.items() if not name.startswith("__")}
    for place in places:
        *groups, name = place.split("/")
        group = found
        for each in groups:
            group = group[each]
        group[name] = PLACE
    scipy.io.savemat(path, found)
    data = path.read_bytes()
    path.write_bytes(data[:128] + _with_objects(data[128:], class_name.encode(), list(found)))
    return path


def _notes(opened: Any, *arguments: Any) -> tuple[Any, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = opened(*arguments)
    return found, "\n".join(str(each.message) for each in caught)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", ["info/summary_image", "info/cellcheck/is_bad", "info/cellcheck/metrics"]
)
def test_members_of_extract(tmp_path, version, name):
    """Fault: a member on a graphics card (gpuArray), as an object, was left out without a word."""
    path = write_extract(tmp_path / "a.mat", RECORDING, matlab_version=version)
    found, notes = _notes(ExtractExtractor, with_object(path, "gpuArray", f"output/{name}"), 10.0)
    assert f"'{path}': '{name}' is an object of the class gpuArray instead of" in notes
    assert "summary_image" in found.get_images_dict() or name == "info/summary_image"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["info/cellcheck", "config"])
def test_structs_of_extract(tmp_path, version, name):
    path = write_extract(tmp_path / "a.mat", RECORDING, matlab_version=version)
    _, notes = _notes(ExtractExtractor, with_object(path, "Settings", f"output/{name}"), 10.0)
    assert f"only MATLAB can read are left out: {name} (Settings)" in notes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["Cn", "tags", "options"])
def test_members_of_cnmfe(tmp_path, version, name):
    path = write_cnmfe(tmp_path / "a.mat", RECORDING, matlab_version=version)
    with_object(path, "table", f"results/{name}")
    _, notes = _notes(CnmfeExtractor, path, RECORDING.sampling_frequency)
    assert name in notes
    assert "table" in notes


@pytest.mark.parametrize("version", VERSIONS)
def test_members_of_suite2p(tmp_path, version):
    path = tmp_path / "Fall.mat"
    content = {"iscell": np.ones((2, 2)), "ops": {"fs": 30.0, "day": 1.0}}
    if version == "5":
        scipy.io.savemat(path, content)
    else:
        with h5py.File(path, "w") as file:
            file["iscell"], file["ops/fs"] = content["iscell"], [[30.0]]
    with_object(path, "table", "iscell", "ops/day")
    file = FallFile(path)
    ops, notes = _notes(file.ops)
    assert ops == {"fs": 30.0}
    assert "left out: day (table)" in notes
    flags, notes = _notes(file.array, "iscell")
    assert flags is None
    assert f"'{path}': 'iscell' is an object of the class table" in notes
    file.close()


def test_other_values_than_arrays_are_named(tmp_path):
    cells = np.empty((1, 2), object)
    cells[:] = [[np.ones(2), np.zeros(3)]]
    values = {"cells": cells, "text": "abc", "struct": {"a": 1.0}, "none": np.zeros((0, 0))}
    scipy.io.savemat(tmp_path / "a.mat", {**values, "empty": np.empty((0, 0), object), "blank": ""})
    struct = MatlabFile(tmp_path / "a.mat", "extract").variables
    kinds = {}
    for name in (*struct.names, "absent", "absent/inner", "text/inner"):
        found, notes = _notes(struct.array, name, tmp_path / "a.mat")
        assert found is None
        kinds[name] = notes.partition(" is ")[2].partition(" instead")[0]
    expected = {"cells": "a cell array", "text": "a text", "struct": "a struct"}
    assert {name: kind for name, kind in kinds.items() if kind} == expected
