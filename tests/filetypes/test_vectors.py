"""Tests of vectors in files of every type."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.filetypes.vectors import opened_vector, split_unit

TIMES = np.arange(5) * 0.25
OTHERS = np.arange(15.0).reshape(5, 3)


def in_text(path):
    lines = [f"{t},{a},{b}" for t, (a, b, _) in zip(TIMES, OTHERS, strict=True)]
    path.write_text("t,a,b\n" + "\n".join(lines))


def in_hdf5(path):
    with h5py.File(path, "w") as file:
        file["scan/t"] = TIMES
        file["scan/t"].attrs["unit"] = "seconds"
        file["others"] = OTHERS
        file["name"] = "text"


def in_hdf5_matlab(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["t"] = TIMES[:, None]
        file["others"] = OTHERS.T
        for each in file.values():
            each.attrs["MATLAB_class"] = np.bytes_("double")


WRITERS = {
    "t.csv": in_text,
    "t.npz": lambda path: np.savez(path, t=TIMES, others=OTHERS),
    "t.mat": lambda path: scipy.io.savemat(path, {"t": TIMES, "others": OTHERS, "s": "text"}),
    "t73.mat": in_hdf5_matlab,
    "t.h5": in_hdf5,
}


def values_of(path, name=None):
    with opened_vector(path, name) as vector:
        assert len(vector) == 5
        return np.concatenate(list(vector.blocks()))


@pytest.mark.parametrize("name", WRITERS)
def test_the_only_times_are_found_and_others_by_name(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    np.testing.assert_array_equal(values_of(path), TIMES)
    second = "a" if name == "t.csv" else "others[0]"
    np.testing.assert_array_equal(values_of(path, second), OTHERS[:, 0])
    with pytest.raises(SourceError, match=r"has no \w+ 'no': it has.*'t' \(|'scan/t' \("):
        values_of(path, "no")


def test_arrays_without_names(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, OTHERS)
    np.testing.assert_array_equal(values_of(path, "2"), OTHERS[:, 2])
    with pytest.raises(SourceError, match=r"shape \(5, 3\); name one of its rows or columns"):
        values_of(path)
    with pytest.raises(SourceError, match="no \\[3\\]; the indices are 0 to 2"):
        values_of(path, "3")
    np.save(path, TIMES[None])
    np.testing.assert_array_equal(values_of(path), TIMES)
    np.save(path, np.array(list(zip(TIMES, OTHERS[:, 1], strict=True)), "f8,f8"))
    np.testing.assert_array_equal(values_of(path, "f1"), OTHERS[:, 1])


def test_nested_names(tmp_path):
    scipy.io.savemat(tmp_path / "s.mat", {"daq": {"clock": {"t": TIMES}, "x": OTHERS}})
    np.testing.assert_array_equal(values_of(tmp_path / "s.mat", "daq/clock/t"), TIMES)
    in_hdf5(tmp_path / "t.h5")
    with opened_vector(tmp_path / "t.h5", "/scan/t") as vector:
        assert vector.unit == "seconds"


def test_several_vectors_are_not_chosen_among(tmp_path):
    np.savez(tmp_path / "t.npz", a=TIMES, b=TIMES)
    with pytest.raises(SourceError, match=r"not clear which array.*'a' \(5,\), 'b' \(5,\).*::a"):
        values_of(tmp_path / "t.npz")


@pytest.mark.parametrize("name", ["x.h5", "x.npy", "x.mat", "x.npz", "x.csv"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    heads = {"x.h5": b"\x89HDF\r\n\x1a\n", "x.npy": b"\x93NUMPY", "x.npz": b"PK\x03\x04"}
    path.write_bytes(heads.get(name, b"\0") + b"\0" * 600)
    with pytest.raises(CorruptSourceError, match=name):
        values_of(path)
    with pytest.raises(SourceNotFoundError):
        values_of(tmp_path / f"absent{name}")


def test_pickles_are_not_loaded(tmp_path):
    np.save(tmp_path / "p.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(CorruptSourceError):
        values_of(tmp_path / "p.npy")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("time (ms)", ("time", "ms")),
        ("Time [s]", ("Time", "s")),
        ("time_ms", ("time", "ms")),
        ("start_time_ms", ("start_time", "ms")),
        ("t/us", ("t", "us")),
        ("start_time", ("start_time", None)),
        ("frame_times", ("frame_times", None)),
        ("t", ("t", None)),
    ],
)
def test_units_behind_names(name, found):
    assert split_unit(name) == found
